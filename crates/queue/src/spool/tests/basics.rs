//! What a log promises where nothing goes wrong, and with a full or broken disk.

use super::support::*;
use crate::spool::{Change, Finished, Log, Outcomes, Piece};
use crate::{CommitError, LoadError, OpenError};
use mail::{MessageId, UnixTime};
use reactor::sim::Faults;
use reactor::{FileSystemKind, OpenHow, Part, Reactor, Slab};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

const KINDS: [FileSystemKind; 2] = [FileSystemKind::Ext, FileSystemKind::Btrfs];

fn segments(host: &reactor::sim::Host) -> Vec<PathBuf> {
    let files = host.files().into_iter();
    files.filter(|path| path.to_string_lossy().contains("segment-")).collect()
}

#[test]
fn a_stored_message_comes_back_whole_hot_cold_and_after_a_restart() {
    for kind in KINDS {
        let (world, host) = world(1, Faults::none());
        host.format(kind, 1 << 30, 4096);
        let lengths = [0, 1, 5000, 20_000, 98_304];
        let (ids, process) = live(&world, &host, |reactor| async move {
            let opening = open(&reactor, 1 << 20).await.expect("a fresh spool");
            let mut ids = Vec::new();
            for length in lengths {
                let (id, stored) = store(&opening.log, length).await;
                let hot = stored.hot.as_ref().expect("the budget has room").open();
                assert_is(id, &bytes_of(&opening.log, hot).await);
                let cold = opening.log.load(stored.position).await.expect("just written");
                assert_eq!((cold.stuffed_lines, &*cold.envelope), (3, &envelope(1)));
                assert_is(id, &bytes_of(&opening.log, cold).await);
                ids.push(id);
            }
            ids
        });
        process.kill();
        live(&world, &host, |reactor| async move {
            let opening = open(&reactor, 0).await.expect("a good spool");
            let found: Vec<MessageId> = opening.found.iter().map(|one| one.id).collect();
            assert_eq!(found, ids);
            assert_eq!(opening.damaged, 0);
            for one in &opening.found {
                let opened = opening.log.load(one.stored.position).await.expect("recovered");
                assert_is(one.id, &bytes_of(&opening.log, opened).await);
            }
            assert!(!ids.contains(&opening.log.next_id()), "an id was given out twice");
        });
    }
}

#[test]
fn outcomes_survive_and_a_finished_message_does_not() {
    let (world, host) = world(2, Faults::none());
    let ((kept, _), process) = live(&world, &host, |reactor| async move {
        let Opening { log, lock, .. } = open(&reactor, 0).await.expect("a fresh spool");
        let (gone, stored) = store(&log, 100).await;
        deliver(&log, gone, stored);
        let (kept, stored) = store(&log, 100).await;
        let reason = "450 busy".into();
        let changes = [(0, Change::Deferred { next: UnixTime(77), attempts: 3, reason })];
        let outcomes = Outcomes { id: kept, segment: stored.position.segment, changes: &changes };
        drop(log.append_outcomes(&outcomes, None, Finished::No));
        log.drain().await;
        (kept, lock)
    });
    process.kill();
    live(&world, &host, |reactor| async move {
        let opening = open(&reactor, 0).await.expect("a good spool");
        let [one] = &opening.found[..] else { panic!("one message is left") };
        let standing = &one.standings[0];
        assert_eq!((one.id, standing.attempts, standing.next), (kept, 3, UnixTime(77)));
        assert_eq!(standing.reason.as_deref(), Some("450 busy"));
    });
}

#[test]
fn dead_segments_go_and_their_outcomes_after_them() {
    for kind in KINDS {
        let (world, host) = world(3, Faults::none());
        host.format(kind, 1 << 30, 4096);
        let (_, process) = live(&world, &host, |reactor| async move {
            let Opening { log, lock, .. } = open(&reactor, 0).await.expect("a fresh spool");
            for _ in 0..100 {
                let (id, stored) = store(&log, 60_000).await;
                deliver(&log, id, stored);
            }
            log.drain().await;
            lock
        });
        // Twelve segments were written: the current one, the next, and perhaps one whose outcomes
        // lie in it are left.
        world.run(|| segments(&host).len() <= 3, Duration::from_secs(10));
        assert!(segments(&host).len() <= 3, "{:?}", segments(&host));
        process.kill();
        live(&world, &host, |reactor| async move {
            let opening = open(&reactor, 0).await.expect("a good spool");
            assert!(opening.found.is_empty(), "a finished message has come back");
        });
    }
}

/// Stores and finishes messages until the log has left the segment that it writes to.
async fn leave_segment(log: &Log) {
    for _ in 0..10 {
        let (id, stored) = store(log, 60_000).await;
        deliver(log, id, stored);
    }
    log.drain().await;
}

#[test]
fn an_outcome_stays_as_long_as_the_segment_of_its_message() {
    let (world, host) = world(10, Faults::none());
    let (alive, process) = live(&world, &host, |reactor| async move {
        let Opening { log, lock, .. } = open(&reactor, 0).await.expect("a fresh spool");
        let (alive, _) = store(&log, 100).await;
        let (over, stored) = store(&log, 100).await;
        leave_segment(&log).await;
        deliver(&log, over, stored);
        leave_segment(&log).await;
        leave_segment(&log).await;
        reactor.sleep(reactor.now() + Duration::from_secs(1)).await;
        drop(lock);
        alive
    });
    process.kill();
    for _ in 0..2 {
        let (_, process) = live(&world, &host, |reactor| async move {
            let opening = open(&reactor, 0).await.expect("a good spool");
            let found: Vec<MessageId> = opening.found.iter().map(|one| one.id).collect();
            assert_eq!(found, [alive]);
            leave_segment(&opening.log).await;
            reactor.sleep(reactor.now() + Duration::from_secs(1)).await;
        });
        process.kill();
    }
}

#[test]
fn a_segment_outlives_its_last_message_until_the_dsn_is_durable() {
    let (world, host) = world(11, Faults::none());
    let ((), process) = live(&world, &host, |reactor| async move {
        let Opening { log, lock, .. } = open(&reactor, 0).await.expect("a fresh spool");
        let (id, stored) = store(&log, 100).await;
        leave_segment(&log).await;
        let dsn = log.next_id();
        let (envelope, header) = (envelope(1), header_of(dsn));
        let changes = [(0, Change::Bounced)];
        let outcomes = Outcomes { id, segment: stored.position.segment, changes: &changes };
        let report = message(dsn, &envelope, &header, b"");
        drop(log.append_outcomes(&outcomes, Some(&report), Finished::Yes(stored)));
        // Less than outcomes wait for a batch.
        reactor.sleep(reactor.now() + Duration::from_millis(1)).await;
        drop(lock);
    });
    process.kill();
    live(&world, &host, |reactor| async move {
        let opening = open(&reactor, 0).await.expect("a good spool");
        assert_eq!(opening.found.len(), 1, "the message or its DSN");
    });
}

#[test]
fn a_damaged_body_costs_one_message_and_a_damaged_batch_what_is_in_it() {
    let (world, host) = world(12, Faults::none());
    let (positions, process) = live(&world, &host, |reactor| async move {
        let Opening { log, lock, .. } = open(&reactor, 0).await.expect("a fresh spool");
        let mut positions = Vec::new();
        for _ in 0..5 {
            let (id, stored) = store(&log, 1000).await;
            positions.push((id, stored.position));
        }
        drop(lock);
        positions
    });
    process.kill();
    let (segment, body) = (positions[1].1.segment, positions[1].1.offset + 600);
    let header = positions[3].1.offset - 64;
    let path = format!("{SPOOL}/log-00/{segment}");
    live(&world, &host, |reactor| async move {
        for at in [body, header] {
            corrupt(&reactor, &path, at).await;
        }
        let opening = open(&reactor, 0).await;
        let Opening { log, found, damaged, lock, .. } = opening.expect("it goes on");
        assert_eq!(damaged, 2);
        let ids: Vec<MessageId> = found.iter().map(|one| one.id).collect();
        let expected = [0, 1, 2, 4].map(|index: usize| positions[index].0);
        assert_eq!(ids, expected);
        for one in found {
            let opened = log.load(one.stored.position).await.expect("its record is whole");
            let Some(Piece::Disk(extent)) = opened.pieces.into_iter().next() else { panic!() };
            let good = log.read(extent).await.is_ok();
            assert_eq!(good, one.id != positions[1].0, "{}", one.id);
        }
        drop(lock);
    });
}

/// Flips a bit of a file.
async fn corrupt(reactor: &Reactor, path: &str, at: u32) {
    let how = OpenHow { write: true, ..OpenHow::default() };
    let file = reactor.open(Path::new(path), how).await.expect("a segment");
    let begin = u64::from(at) / 4096 * 4096;
    let mut slab = file.read(Slab::new(4096), begin, 4096).await.expect("readable");
    slab.as_mut_slice()[at as usize % 4096] ^= 1;
    let parts = vec![Part::Bytes(slab.as_slice().to_vec())];
    file.write(parts, begin, true).await.expect("writable");
}

/// What opening says when the first segment claims to be of format `version`.
fn open_version(version: u8) -> OpenError {
    let (world, host) = world(13, Faults::none());
    let ((), process) = live(&world, &host, |reactor| async move {
        open(&reactor, 0).await.expect("a fresh spool");
    });
    process.kill();
    let (error, _) = live(&world, &host, |reactor| async move {
        let path = format!("{SPOOL}/log-00/segment-00000001");
        let how = OpenHow { write: true, ..OpenHow::default() };
        let file = reactor.open(Path::new(&path), how).await.expect("a segment");
        let slab = file.read(Slab::new(4096), 0, 4096).await.expect("readable");
        let mut bytes = slab.as_slice().to_vec();
        bytes[8] = version;
        let checksum = crc32c::crc32c(&bytes[..12]);
        bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
        file.write(vec![Part::Bytes(bytes)], 0, true).await.expect("writable");
        open(&reactor, 0).await.err().expect("another version")
    });
    error
}

#[test]
fn a_spool_of_another_version_is_left_alone() {
    let newer = open_version(3);
    assert!(matches!(newer, OpenError::TooNew { found: 3, known: 2 }), "{newer}");
    let older = open_version(1);
    assert!(matches!(older, OpenError::TooOld { found: 1, known: 2 }), "{older}");
}

#[test]
fn a_chunk_keeps_its_segment_until_its_message_is_over() {
    let (world, host) = world(4, Faults::none());
    let (id, process) = live(&world, &host, |reactor| async move {
        let Opening { log, lock, .. } = open(&reactor, 0).await.expect("a fresh spool");
        let id = log.next_id();
        let body = body_of(id, 200_000);
        let mut chunks = Vec::new();
        for piece in body[..180_000].chunks(90_000) {
            chunks.push(log.append_chunk(id, piece).chunk().await.expect("there is room"));
        }
        for _ in 0..30 {
            let (other, stored) = store(&log, 60_000).await;
            deliver(&log, other, stored);
        }
        let (envelope, header) = (envelope(1), header_of(id));
        let mut new = message(id, &envelope, &header, &body[180_000..]);
        new.chunks = &chunks;
        let stored = log.append_message(&new).stored().await.expect("there is room");
        drop(chunks);
        log.drain().await;
        let opened = log.load(stored.position).await.expect("just written");
        assert_is(id, &bytes_of(&log, opened).await);
        drop(lock);
        id
    });
    process.kill();
    live(&world, &host, |reactor| async move {
        let Opening { log, found, lock, .. } = open(&reactor, 0).await.expect("a good spool");
        let one = found.into_iter().find(|one| one.id == id).expect("it was promised");
        let opened = log.load(one.stored.position).await.expect("recovered");
        assert_is(id, &bytes_of(&log, opened).await);
        drop(lock);
    });
}

#[test]
fn many_commits_share_a_write_and_ids_are_all_different() {
    let (world, host) = world(5, Faults::none());
    live(&world, &host, |reactor| async move {
        let Opening { log, lock, .. } = open(&reactor, 1 << 30).await.expect("a fresh spool");
        let mut commits = Vec::new();
        let mut ids = BTreeSet::new();
        for _ in 0..1000 {
            let id = log.next_id();
            ids.insert(id);
            let (envelope, header, body) = (envelope(1), header_of(id), body_of(id, 1000));
            commits.push(log.append_message(&message(id, &envelope, &header, &body)));
        }
        for commit in commits {
            commit.stored().await.expect("there is room");
        }
        assert_eq!(ids.len(), 1000);
        let samples = log.take_samples();
        assert!(samples.len() < 20, "{} writes for 1,000 messages", samples.len());
        drop(lock);
    });
}

#[test]
fn a_full_disk_refuses_messages_keeps_outcomes_and_takes_mail_again_when_there_is_room() {
    for kind in KINDS {
        let (world, host) = world(6, Faults::none());
        host.format(kind, 4 << 20, 4096);
        let disk = host.clone();
        let (ids, process) = live(&world, &host, |reactor| async move {
            let Opening { log, lock, .. } = open(&reactor, 0).await.expect("a fresh spool");
            let (first, stored) = store(&log, 1000).await;
            disk.fill_disk(4 << 20);
            let mut kept = BTreeSet::new();
            loop {
                let id = log.next_id();
                let (envelope, header, body) = (envelope(1), header_of(id), body_of(id, 50_000));
                match log.append_message(&message(id, &envelope, &header, &body)).stored().await {
                    Ok(_) => kept.insert(id),
                    Err(error) => {
                        assert_eq!(error, CommitError::Full);
                        break;
                    }
                };
            }
            assert!(log.full() && !log.failed());
            deliver(&log, first, stored);
            disk.fill_disk(0);
            log.drain().await;
            while log.full() {
                reactor.sleep(reactor.now() + Duration::from_millis(100)).await;
            }
            kept.insert(store(&log, 1000).await.0);
            drop(lock);
            kept
        });
        process.kill();
        live(&world, &host, |reactor| async move {
            let opening = open(&reactor, 0).await.expect("a good spool");
            let found: BTreeSet<MessageId> = opening.found.iter().map(|one| one.id).collect();
            assert_eq!(found, ids, "{kind:?}");
            assert_eq!(opening.damaged, 0);
        });
    }
}

#[test]
fn a_broken_disk_poisons_the_log() {
    let (world, host) = world(7, Faults::none());
    let disk = host.clone();
    live(&world, &host, |reactor| async move {
        let Opening { log, lock, .. } = open(&reactor, 0).await.expect("a fresh spool");
        store(&log, 1000).await;
        disk.break_disk(true);
        let id = log.next_id();
        let (envelope, header) = (envelope(1), header_of(id));
        let commit = log.append_message(&message(id, &envelope, &header, b"")).stored().await;
        assert_eq!(commit.map(|_| ()), Err(CommitError::Failed));
        disk.break_disk(false);
        let commit = log.append_message(&message(id, &envelope, &header, b"")).stored().await;
        assert_eq!(commit.map(|_| ()), Err(CommitError::Failed), "a failed sync is final");
        assert!(log.failed());
        log.drain().await;
        drop(lock);
    });
}

#[test]
fn the_start_fails_with_what_the_disk_says() {
    let (world, host) = world(8, Faults::none());
    host.break_disk(true);
    let (error, _) = live(&world, &host, |reactor| async move {
        open(&reactor, 0).await.err().expect("a broken disk")
    });
    assert!(matches!(error, OpenError::Io { .. }), "{error}");
    assert_eq!(error.exit_code(), 74);
}

#[test]
fn an_extent_with_another_checksum_is_damage_and_never_bytes() {
    let (world, host) = world(9, Faults::none());
    live(&world, &host, |reactor| async move {
        let Opening { log, lock, .. } = open(&reactor, 0).await.expect("a fresh spool");
        let id = log.next_id();
        let chunk = log.append_chunk(id, b"chunk").chunk().await.expect("there is room");
        let mut extent = chunk.extent;
        assert_eq!(log.read(extent).await.expect("as written").as_slice(), b"chunk");
        extent.checksum ^= 1;
        assert!(matches!(log.read(extent).await, Err(LoadError::Damaged { .. })));
        extent.segment.0 += 77;
        assert!(matches!(log.read(extent).await, Err(LoadError::Damaged { .. })));
        drop(lock);
    });
}
