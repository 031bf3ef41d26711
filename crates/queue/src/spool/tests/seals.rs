//! What seals promise: nothing that was not durable, and a start that reads no bodies.

use super::support::*;
use crate::spool::layout::{HeaderFound, Seal, SegmentHeader, find_seal};
use crate::spool::record::{Record, kind};
use crate::spool::scan::scan;
use mail::MessageId;
use reactor::sim::{Chance, Faults, Host, World};
use reactor::{FileSystemKind, OpenHow, Part, Reactor, Slab};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

const KINDS: [FileSystemKind; 2] = [FileSystemKind::Ext, FileSystemKind::Btrfs];

fn segments(host: &Host) -> Vec<PathBuf> {
    let files = host.files().into_iter();
    files.filter(|path| path.to_string_lossy().contains("segment-")).collect()
}

/// All bytes of a file.
async fn bytes_of_file(reactor: &Reactor, path: &Path) -> Vec<u8> {
    let file = reactor.open(path, OpenHow::default()).await.expect("a segment");
    let length = file.length().await.expect("a length") as usize;
    let slab = file.read(Slab::new(length), 0, length.next_multiple_of(4096)).await;
    slab.expect("readable").as_slice().to_vec()
}

/// Flips a bit of a file.
async fn corrupt(reactor: &Reactor, path: &Path, at: usize) {
    let file = reactor.open(path, OpenHow { write: true, ..OpenHow::default() }).await;
    let file = file.expect("a segment");
    let begin = at / 4096 * 4096;
    let slab = file.read(Slab::new(4096), begin as u64, 4096).await.expect("readable");
    let mut bytes = slab.as_slice().to_vec();
    bytes[at % 4096] ^= 1;
    file.write(vec![Part::Bytes(bytes)], begin as u64, true).await.expect("writable");
}

/// Stores 40 messages of 30,000 bytes, which takes three segments, and seals the last one too.
fn fill(world: &World, host: &Host) -> Vec<MessageId> {
    let (ids, process) = live(world, host, |reactor| async move {
        let Opening { log, lock, .. } = open(&reactor, 0).await.expect("a fresh spool");
        let mut ids = Vec::new();
        for _ in 0..40 {
            ids.push(store(&log, 30_000).await.0);
        }
        log.close().await;
        drop(lock);
        ids
    });
    process.kill();
    ids
}

/// What a start finds, and how: ids, damaged places, segments that were read whole.
fn start(world: &World, host: &Host) -> (Vec<MessageId>, u64, u64) {
    let (found, process) = live(world, host, |reactor| async move {
        let opening = open(&reactor, 0).await.expect("a good spool");
        for one in &opening.found {
            let opened = opening.log.load(one.stored.position).await.expect("recovered");
            assert_is(one.id, &bytes_of(&opening.log, opened).await);
        }
        let ids = opening.found.iter().map(|one| one.id).collect();
        (ids, opening.damaged, opening.scanned)
    });
    process.kill();
    found
}

#[test]
fn a_start_reads_of_sealed_segments_nothing_but_their_seals() {
    for kind in KINDS {
        let (world, host) = world(30, Faults::none());
        host.format(kind, 1 << 30, 4096);
        let ids = fill(&world, &host);
        let before = segments(&host).len();
        assert!(before >= 4, "{before} segments for 1.2 MB");
        // The one that was prepared and not used has no seal.
        assert_eq!(start(&world, &host), (ids.clone(), 0, 1), "{kind:?}");
        // As have the first one of the last start, and the one that it prepared.
        let (found, damaged, scanned) = start(&world, &host);
        assert_eq!((found, damaged), (ids, 0), "{kind:?}");
        assert!(scanned <= 3, "{scanned} segments were read whole");
    }
}

#[test]
fn a_damaged_seal_is_told_once_and_costs_no_message() {
    for kind in KINDS {
        // In the middle of its list, and in the trailer.
        for from_end in [3000, 5] {
            let (world, host) = world(31, Faults::none());
            host.format(kind, 1 << 30, 4096);
            let ids = fill(&world, &host);
            start(&world, &host);
            let path = segments(&host).swap_remove(0);
            let ((), process) = live(&world, &host, |reactor| async move {
                let bytes = bytes_of_file(&reactor, &path).await;
                let HeaderFound::Whole(header, _) = SegmentHeader::find(&bytes) else { panic!() };
                assert!(find_seal(header.generation, &bytes).is_some());
                corrupt(&reactor, &path, bytes.len() - from_end).await;
            });
            process.kill();
            let (found, damaged, _) = start(&world, &host);
            assert_eq!((&found, damaged), (&ids, 1), "{kind:?}");
            // From now on a header says where that segment ends.
            let (found, damaged, _) = start(&world, &host);
            assert_eq!((found, damaged), (ids, 0), "{kind:?}");
        }
    }
}

#[test]
fn where_there_is_no_room_for_a_seal_a_header_to_come_says_where_the_segment_ends() {
    let (world, host) = world(32, Faults::none());
    host.format(FileSystemKind::Btrfs, 16 << 20, 4096);
    let disk = host.clone();
    let (ids, process) = live(&world, &host, |reactor| async move {
        let Opening { log, lock, .. } = open(&reactor, 0).await.expect("a fresh spool");
        let mut ids = Vec::new();
        for _ in 0..8 {
            ids.push(store(&log, 30_000).await.0);
        }
        while log.shared.writer.borrow().ready.is_none() {
            reactor.sleep(reactor.now() + Duration::from_millis(10)).await;
        }
        disk.fill_disk(16 << 20);
        log.close().await;
        assert!(!log.failed(), "no room is no failure");
        let ends: Vec<u64> =
            log.shared.writer.borrow().ends.iter().map(|end| end.sequence).collect();
        assert_eq!(ends.len(), 1, "the seal has found room");
        disk.fill_disk(0);
        while log.full() {
            reactor.sleep(reactor.now() + Duration::from_millis(100)).await;
        }
        for _ in 0..30 {
            ids.push(store(&log, 30_000).await.0);
        }
        log.close().await;
        drop(lock);
        ids
    });
    process.kill();
    let (found, damaged, _) = start(&world, &host);
    assert_eq!((found, damaged), (ids, 0));
}

#[test]
fn a_disk_that_breaks_under_a_seal_poisons_the_log() {
    let (world, host) = world(33, Faults::none());
    let disk = host.clone();
    live(&world, &host, |reactor| async move {
        let Opening { log, lock, .. } = open(&reactor, 0).await.expect("a fresh spool");
        store(&log, 1000).await;
        while log.shared.writer.borrow().ready.is_none() {
            reactor.sleep(reactor.now() + Duration::from_millis(10)).await;
        }
        disk.break_disk(true);
        log.close().await;
        assert!(log.failed());
        drop(lock);
    });
}

/// Holds what a seal lists, if there is one that verifies, against the batches before it. Gives the
/// number of records.
fn compare(path: &Path, bytes: &[u8]) -> usize {
    let HeaderFound::Whole(header, begin) = SegmentHeader::find(bytes) else { return 0 };
    let generation = header.generation;
    let Some(offset) = find_seal(generation, bytes) else { return 0 };
    let seal = Seal::read(generation, offset, &bytes[offset as usize..]);
    let Some(seal) = seal else { return 0 };
    let found = scan(bytes, generation, begin, bytes.len());
    let last = found.batches.last().map_or(0, |batch| batch.header.sequence);
    assert_eq!((seal.header.sequence, seal.header.durable_through >= last), (last, true));
    assert!(found.batches.iter().all(|batch| batch.is_whole()), "{path:?}: sealed before durable");
    let scanned: BTreeMap<u32, _> =
        found.batches.iter().flat_map(|batch| batch.records.iter().copied()).collect();
    assert_eq!(scanned.len(), seal.records.len(), "{path:?}");
    for listed in &seal.records {
        let frame = &scanned[&listed.offset];
        assert_eq!((frame.body_at, frame.bytes()), (listed.frame.body_at, listed.frame.bytes()));
        let whole = Record::decode(frame, &bytes[listed.offset as usize..]).expect("whole");
        let cut = Record::decode_payload(listed.frame.kind, listed.payload).expect("whole");
        match (whole, cut) {
            (Record::Message(whole), Record::Message(mut cut))
            | (Record::Outcomes(_, Some(whole)), Record::Outcomes(_, Some(mut cut))) => {
                assert!(cut.header.is_empty() && !whole.header.is_empty());
                cut.header = whole.header.clone();
                assert_eq!(whole, cut);
            }
            (whole, cut) => assert_eq!(whole, cut),
        }
        assert_ne!(listed.frame.kind, kind::DIRECTORY);
    }
    seal.records.len()
}

/// A life that stores, defers and bounces, and ends somewhere.
fn one_life(world: &World, host: &Host, chance: &mut Chance) {
    let process = host.start();
    let reactor = process.reactor();
    reactor.clone().spawn(async move {
        let Opening { log, lock, .. } = open(&reactor, 0).await.expect("a good disk");
        for number in 0.. {
            let (id, stored) = store(&log, 20_000 + number % 7 * 9_000).await;
            if number % 3 == 0 {
                deliver(&log, id, stored);
            }
            if number % 50 == 49 {
                log.close().await;
            }
        }
        drop(lock);
    });
    world.run(|| false, Duration::from_micros(chance.below(2_000_000)));
    if chance.hits(0.5) { host.lose_power() } else { process.kill() }
}

#[test]
fn a_seal_that_verifies_lists_what_lies_before_it_after_every_crash() {
    let mut compared = 0;
    for seed in 0..12 {
        let (world, host) = world(seed, Faults::mild());
        host.format(KINDS[seed as usize % 2], 1 << 32, 4096);
        let mut chance = Chance::new(seed);
        for _ in 0..4 {
            one_life(&world, &host, &mut chance);
            let paths = segments(&host);
            let (count, process) = live(&world, &host, |reactor| async move {
                let mut count = 0;
                for path in paths {
                    count += compare(&path, &bytes_of_file(&reactor, &path).await);
                }
                count
            });
            process.kill();
            compared += count;
        }
        world.end();
    }
    assert!(compared > 500, "{compared} records are few");
}
