//! Damage on a real disk: it costs the messages that it hits, and nothing of them is sent.

mod harness;

use harness::*;
use mail::EventKind;
use queue::LoadError;
use std::path::{Path, PathBuf};

/// All segments of a spool.
fn segments(spool: &Path) -> Vec<PathBuf> {
    let log = std::fs::read_dir(spool.join("log-00")).expect("the log");
    log.map(|entry| entry.expect("an entry").path()).collect()
}

/// Flips a bit of the one place where `text` is on disk.
fn damage(spool: &Path, text: &[u8]) {
    let mut hits = 0;
    for path in segments(spool) {
        let mut bytes = std::fs::read(&path).expect("a segment");
        let place = bytes.windows(text.len()).position(|window| window == text);
        if let Some(place) = place {
            bytes[place] ^= 1;
            std::fs::write(&path, bytes).expect("a segment");
            hits += 1;
        }
    }
    assert_eq!(hits, 1, "the text is on disk once");
}

/// Accepts one message with `mark` in its body between two others, damages the mark, and starts
/// again; only the two others can be sent.
fn damage_costs_one(mark: &'static str, bytes: usize) {
    let spool = tempfile::tempdir().expect("a directory");
    live_on_disk(spool.path(), move |life| async move {
        for (number, extra) in [(1, ""), (2, mark), (3, "")] {
            let mail = [&body(number, bytes), extra.as_bytes(), &body(number, bytes)].concat();
            life.accept("a@example.org", &["b@example.net"], &mail).await;
        }
        life.queue.drain().await;
    });
    damage(spool.path(), mark.as_bytes());
    live_on_disk(spool.path(), |life| async move {
        let mut whole = 0;
        while let Some(ticket) = life.take() {
            let sent = match life.queue.load(&ticket).await {
                Ok(mut loaded) => read_all(&mut loaded).await,
                Err(error) => Err(error),
            };
            match sent {
                Ok(bytes) => {
                    assert!(bytes.starts_with(HEADER));
                    whole += 1;
                    life.settle(ticket, &delivered());
                }
                Err(LoadError::Damaged { .. }) => life.settle(ticket, &deferred()),
                Err(LoadError::Failed { reason }) => panic!("{reason}"),
            }
        }
        assert_eq!(whole, 2);
        assert!(life.heard(EventKind::SpoolQuarantined) >= 1);
        assert!(life.queue.counters().quarantined >= 1);
    });
}

#[test]
fn damage_in_one_body_costs_that_message_only() {
    damage_costs_one("marked-short-body", 1_000);
}

#[test]
fn damage_in_one_chunk_of_a_long_body_costs_that_message_only() {
    damage_costs_one("marked-long-body", 300_000);
}

#[test]
fn messages_go_from_life_to_life_on_a_real_disk() {
    let spool = tempfile::tempdir().expect("a directory");
    let long = body(7, 3 << 20);
    let sent = long.clone();
    live_on_disk(spool.path(), |life| async move {
        life.accept("a@example.org", &["b@example.net"], &sent).await;
        let short = life.accept("a@example.org", &["c@example.com"], &body(8, 4_000)).await;
        let hop = mail::NextHop::new("mx://example.com");
        let ticket = life.queue.take(&hop, life.unix_time()).expect("due");
        assert_eq!(ticket.id, short);
        assert_eq!(life.read(&ticket).await, whole(&body(8, 4_000)));
        life.settle(ticket, &delivered());
        life.queue.drain().await;
    });
    live_on_disk(spool.path(), move |life| async move {
        assert_eq!(life.list().len(), 1);
        let ticket = life.next().await;
        assert_eq!(life.read(&ticket).await, whole(&long));
        life.settle(ticket, &delivered());
        life.queue.drain().await;
    });
    live_on_disk(spool.path(), |life| async move { assert_eq!(life.list(), []) });
}
