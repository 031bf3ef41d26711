//! What becomes of space: spares, the reserve, and a disk that fills up.

use super::support::*;
use crate::CommitError;
use crate::spool::{Log, Stored};
use mail::MessageId;
use reactor::FileSystemKind;
use reactor::sim::{Faults, Host};
use std::collections::VecDeque;
use std::time::Duration;

fn named(host: &Host, prefix: &str) -> usize {
    let files = host.files().into_iter();
    files.filter(|path| path.to_string_lossy().contains(prefix)).count()
}

/// Stores and finishes `count` messages of 60,000 bytes, one after the other.
async fn churn(log: &Log, count: usize) {
    for _ in 0..count {
        let (id, stored) = store(log, 60_000).await;
        deliver(log, id, stored);
    }
    log.drain().await;
}

#[test]
fn dead_segments_become_spares_and_serve_again() {
    let (world, host) = world(20, Faults::none());
    let disk = host.clone();
    let (kept, process) = live(&world, &host, |reactor| async move {
        let Opening { log, lock, .. } = open(&reactor, 0).await.expect("a fresh spool");
        let mut kept = Vec::new();
        for _ in 0..20 {
            churn(&log, 20).await;
            reactor.sleep(reactor.now() + Duration::from_millis(100)).await;
            assert!(named(&disk, "spare-") <= 4, "{:?}", disk.files());
        }
        kept.push(store(&log, 60_000).await.0);
        assert!(named(&disk, "segment-") <= 4, "{:?}", disk.files());
        drop(lock);
        kept
    });
    assert!(named(&host, "spare-") >= 2, "{:?}", host.files());
    process.kill();
    let disk = host.clone();
    live(&world, &host, |reactor| async move {
        let spares = named(&disk, "spare-");
        let opening = open(&reactor, 0).await;
        let Opening { log, found, damaged, lock, .. } = opening.expect("a good spool");
        assert_eq!(damaged, 0, "what an earlier tenant wrote was looked at");
        let found: Vec<MessageId> = found.iter().map(|one| one.id).collect();
        assert_eq!(found, kept);
        assert_eq!(named(&disk, "spare-"), spares - 1, "the first segment is one of the spares");
        churn(&log, 40).await;
        assert!(named(&disk, "spare-") <= 4, "{:?}", disk.files());
        drop(lock);
    });
}

#[test]
fn where_files_grow_nothing_is_recycled() {
    let (world, host) = world(21, Faults::none());
    host.format(FileSystemKind::Btrfs, 1 << 30, 4096);
    let disk = host.clone();
    live(&world, &host, |reactor| async move {
        let Opening { log, lock, .. } = open(&reactor, 0).await.expect("a fresh spool");
        churn(&log, 60).await;
        assert_eq!(named(&disk, "spare-"), 0);
        drop(lock);
    });
}

/// Stores messages until there is no room.
async fn fill(log: &Log, stored: &mut VecDeque<(MessageId, Stored)>) {
    loop {
        let id = log.next_id();
        let (envelope, header, body) = (envelope(1), header_of(id), body_of(id, 20_000));
        match log.append_message(&message(id, &envelope, &header, &body)).stored().await {
            Ok(place) => stored.push_back((id, place)),
            Err(error) => {
                assert_eq!(error, CommitError::Full);
                return;
            }
        }
    }
}

#[test]
fn a_full_log_delivers_out_of_its_reserve_and_takes_mail_again() {
    for kind in [FileSystemKind::Ext, FileSystemKind::Btrfs] {
        let (world, host) = world(22, Faults::none());
        host.format(kind, 8 << 20, 4096);
        live(&world, &host, |reactor| async move {
            let Opening { log, lock, .. } = open(&reactor, 0).await.expect("a fresh spool");
            let mut stored = VecDeque::new();
            for round in 0..5 {
                fill(&log, &mut stored).await;
                assert!(log.full() && !log.failed());
                // Each outcome by itself: a block for each message.
                while let Some((id, place)) = stored.pop_front() {
                    deliver(&log, id, place);
                    log.drain().await;
                }
                let patience = reactor.now() + Duration::from_secs(60);
                while log.full() {
                    assert!(reactor.now() < patience, "round {round}: full for ever");
                    reactor.sleep(reactor.now() + Duration::from_millis(100)).await;
                }
                stored.push_back(store(&log, 20_000).await);
            }
            drop(lock);
        });
    }
}
