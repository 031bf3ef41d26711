//! The format on disk, held by a spool that an earlier program wrote: it must be found as it was
//! then. When the format changes, a new one is put beside it (`examples/spool_fixture.rs`).

mod harness;
#[path = "fixtures/spool.rs"]
mod spool;

use harness::*;
use mail::Journal;
use queue::{Lock, OpenError, Queue, Start};
use reactor::sim::Faults;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

/// Files of the repository: where they lie in the spool, and their bytes.
fn fixture() -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for directory in spool::FILES_AT {
        for entry in std::fs::read_dir(spool::home().join(directory)).expect("a directory") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_owned();
            if path.is_file() && name != "list" {
                let bytes = std::fs::read(&path).expect("a file");
                files.push((Path::new(spool::SPOOL).join(directory).join(name), bytes));
            }
        }
    }
    files.sort();
    files
}

/// A machine with these files.
fn machine_with(files: Vec<(PathBuf, Vec<u8>)>) -> Machine {
    let machine = Machine::new(1, Faults::none());
    spool::apart(&machine, |reactor| async move {
        for directory in spool::FILES_AT {
            let path = Path::new(spool::SPOOL).join(directory);
            reactor.make_directory(&path).await.expect("the disk is well");
        }
        for (path, bytes) in files {
            spool::write(&reactor, &path, bytes).await;
        }
    });
    machine
}

#[test]
fn a_spool_of_this_format_is_found_as_it_was_written() {
    let machine = machine_with(fixture());
    let (found, damaged) = machine.live(|life| async move {
        let damaged = life.heard(mail::EventKind::SpoolQuarantined);
        (spool::listing(life).await, damaged)
    });
    let list = std::fs::read_to_string(spool::home().join("list")).expect("the list");
    let expected: Vec<&str> = list.lines().collect();
    assert_eq!(found, expected);
    assert_eq!(damaged, 0);
}

/// What a start says to the spool when its first segment claims to be of `version`.
fn refusal(version: u8) -> OpenError {
    let mut files = fixture();
    let named = |path: &Path| path.ends_with("segment-00000001");
    let (_, first) = files.iter_mut().find(|(path, _)| named(path)).expect("the first segment");
    first[8] = version;
    let checksum = crc32c::crc32c(&first[..12]);
    first[12..16].copy_from_slice(&checksum.to_le_bytes());
    let machine = machine_with(files);
    spool::apart(&machine, |reactor| async move {
        let (directory, journal) = (Path::new(spool::SPOOL), Journal::silent());
        let lock = Lock::take(&reactor, directory, &journal, Duration::from_secs(60)).await;
        let lock = lock.expect("the spool is free");
        let start = Start {
            options: Rc::new(options(directory)),
            tenure: lock.shared(),
            shard: 0,
            shards: 1,
            router: Rc::new(|_, _| mail::NextHop::new("mx://example.net")),
            journal,
        };
        Queue::open(&reactor, start).await.err().expect("another version")
    })
}

#[test]
fn a_spool_of_a_newer_or_an_older_format_is_refused_with_78() {
    let newer = refusal(3);
    assert!(matches!(newer, OpenError::TooNew { found: 3, known: 2 }), "{newer}");
    let older = refusal(1);
    assert!(matches!(older, OpenError::TooOld { found: 1, known: 2 }), "{older}");
    assert_eq!((newer.exit_code(), older.exit_code()), (78, 78));
}
