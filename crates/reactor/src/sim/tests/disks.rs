//! What happens to disks by call.

use super::*;
use crate::file::FileSystemKind;
use crate::sim::{Ailment, Call};

const FILE: &str = "/var/file";

fn errno<T>(result: std::io::Result<T>) -> Option<i32> {
    result.err().and_then(|error| error.raw_os_error())
}

fn write(world: &World, reactor: &Reactor, byte: u8) -> Option<i32> {
    errno(finish(world, reactor, write_page(reactor.clone(), byte, true)))
}

fn calm() -> (World, Host, Reactor) {
    let world = World::new(1, Faults::none());
    let host = world.host(ALPHA);
    let reactor = host.start().reactor();
    (world, host, reactor)
}

/// Makes a file, writes, reads, syncs, renames it to and fro, looks at the directory, removes
/// another; gives the first error with the call that it came from.
async fn everything(reactor: Reactor) -> Result<(), (Call, i32)> {
    let (file, moved, gone) = (Path::new(FILE), Path::new("/var/moved"), Path::new("/var/gone"));
    let fails = |call| move |error: std::io::Error| (call, error.raw_os_error().unwrap_or(0));
    let opened = reactor.open(file, WRITABLE).await.map_err(fails(Call::Open))?;
    drop(reactor.open(gone, WRITABLE).await.map_err(fails(Call::Open))?);
    let page = vec![Part::Bytes(vec![b'p'; 4096])];
    opened.write(page, 0, true).await.map_err(fails(Call::Write))?;
    drop(opened.read(Slab::new(4096), 0, 4096).await.map_err(fails(Call::Read))?);
    opened.sync().await.map_err(fails(Call::Sync))?;
    opened.length().await.map_err(fails(Call::Length))?;
    reactor.rename(file, moved).await.map_err(fails(Call::Rename))?;
    reactor.rename(moved, file).await.map_err(fails(Call::Rename))?;
    reactor.remove(gone).await.map_err(fails(Call::Remove))?;
    drop(reactor.read_directory(Path::new("/var")).await.map_err(fails(Call::List))?);
    let made = reactor.make_directory(Path::new("/var/made")).await;
    made.map_err(fails(Call::MakeDirectory))?;
    reactor.sync_directory(Path::new("/var")).await.map_err(fails(Call::SyncDirectory))
}

#[test]
fn an_ailment_strikes_the_call_that_it_names_and_goes() {
    let calls = [
        Call::Open,
        Call::Write,
        Call::Read,
        Call::Sync,
        Call::Length,
        Call::Rename,
        Call::Remove,
        Call::List,
        Call::MakeDirectory,
        Call::SyncDirectory,
    ];
    for call in calls {
        let (world, host, reactor) = calm();
        host.ail(Ailment { calls: vec![call], times: 1, ..Ailment::default() });
        let first = finish(&world, &reactor, everything(reactor.clone()));
        assert_eq!(first, Err((call, libc::EIO)));
        assert_eq!(finish(&world, &reactor, everything(reactor.clone())), Ok(()), "{call:?}");
        host.ail(Ailment { calls: vec![call], path: "elsewhere".into(), ..Ailment::default() });
        assert_eq!(finish(&world, &reactor, everything(reactor.clone())), Ok(()), "{call:?}");
    }
}

#[test]
fn a_disk_that_fills_and_a_quota_have_errors_of_their_own() {
    let (world, host, reactor) = calm();
    host.set_quota(4095);
    assert_eq!(write(&world, &reactor, b'q'), Some(libc::EDQUOT));
    host.set_quota(u64::MAX);
    host.fill_disk((1 << 30) - 4095);
    assert_eq!(write(&world, &reactor, b'f'), Some(libc::ENOSPC));
    host.fill_disk(0);
    assert_eq!(write(&world, &reactor, b'w'), None);
    host.fill_disk(1 << 30);
    assert_eq!(write(&world, &reactor, b'o'), None, "what does not grow needs no room");
    let ours = reactor.clone();
    let made = async move { ours.open(Path::new("/var/new"), WRITABLE).await.map(drop) };
    assert_eq!(errno(finish(&world, &reactor, made)), Some(libc::ENOSPC));
}

#[test]
fn a_hanging_write_lands_or_fails_after_a_minute_or_more() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..20 {
        let world = World::new(seed, Faults { hang: 1.0, ..Faults::none() });
        let reactor = world.host(ALPHA).start().reactor();
        outcomes.insert(write(&world, &reactor, b'h'));
        let took = world.now().since(Instant(0)).as_secs();
        assert!((60..301).contains(&took), "{took}");
    }
    assert_eq!(outcomes, BTreeSet::from([None, Some(libc::EIO)]));
}

#[test]
fn a_vanished_disk_fails_everything_and_comes_back_with_what_was_durable() {
    let mut answers = BTreeSet::new();
    for seed in 0..20 {
        let world = World::new(seed, Faults::none());
        let host = world.host(ALPHA);
        let reactor = host.start().reactor();
        assert_eq!(write(&world, &reactor, b'd'), None);
        let ours = reactor.clone();
        let open = async move { ours.open(Path::new(FILE), WRITABLE).await.expect("there") };
        let file = Rc::new(finish(&world, &reactor, open));
        host.vanish_disk();
        answers.insert(write(&world, &reactor, b'x').expect("it is gone"));
        let there = [false, true].map(|back| {
            if back {
                host.return_disk();
            }
            let file = Rc::clone(&file);
            let page = async move { file.write(vec![Part::Bytes(vec![0; 4096])], 0, true).await };
            errno(finish(&world, &reactor, page))
        });
        assert_eq!(there, [Some(libc::EIO); 2], "what was open is stale");
        assert_eq!(page(&host), Some(vec![b'd'; 4096]));
        assert_eq!(write(&world, &reactor, b'n'), None);
    }
    assert_eq!(answers, BTreeSet::from([libc::EIO, libc::ENODEV, libc::ENOENT]));
}

#[test]
fn a_write_under_way_when_the_disk_vanishes_fails() {
    let (world, host, reactor) = calm();
    assert_eq!(write(&world, &reactor, b'd'), None);
    let result = Rc::new(Cell::new(None));
    let (ours, place) = (reactor.clone(), Rc::clone(&result));
    reactor.spawn(async move { place.set(Some(errno(write_page(ours, b'x', true).await))) });
    // Open, fsync of the directory, and half of the write's 100 µs.
    world.run(|| false, Duration::from_micros(250));
    host.vanish_disk();
    world.run(|| result.get().is_some(), HOUR);
    assert_eq!(result.get(), Some(Some(libc::EIO)));
}

#[test]
fn rot_hurts_the_bytes_that_it_says_and_no_others() {
    let (world, host, reactor) = calm();
    assert_eq!(write(&world, &reactor, b'd'), None);
    assert_eq!(host.rot(|path| path == Path::new("/var/other"), 0..u64::MAX, 9), []);
    let rotten = host.rot(|path| path == Path::new(FILE), 1000..2000, 9);
    assert_eq!(rotten.len(), 1, "one in each page");
    assert!((1000..2000).contains(&rotten[0].offset));
    let mut expected = vec![b'd'; 4096];
    expected[rotten[0].offset as usize] ^= rotten[0].mask;
    assert_eq!(page(&host), Some(expected.clone()));
    host.lose_power();
    assert_eq!(page(&host), Some(expected));
}

#[test]
fn a_misdirected_write_says_nothing_but_the_world_knows() {
    let (world, host, reactor) = calm();
    let ours = reactor.clone();
    let fill = |byte: u8, at: u64, length: usize| {
        let ours = ours.clone();
        async move {
            let file = ours.open(Path::new(FILE), WRITABLE).await.expect("made");
            file.write(vec![Part::Bytes(vec![byte; length])], at, true).await.expect("written");
        }
    };
    finish(&world, &reactor, fill(b'a', 0, 10 * 4096));
    world.set_faults(Faults { misdirected: 1.0, ..Faults::none() });
    finish(&world, &reactor, fill(b'b', 40_960, 512));
    let lost = host.take_misdirected();
    assert_eq!(lost.len(), 1);
    assert_eq!(lost[0].meant, 40_960..41_472);
    let bytes = page(&host).expect("there");
    let hurt: Vec<u64> = (0..).zip(&bytes).filter(|(_, b)| **b == b'b').map(|(n, _)| n).collect();
    assert_eq!(hurt, Vec::from_iter(lost[0].landed.clone()));
    assert_eq!(host.take_misdirected(), []);
}

#[test]
fn a_file_system_in_memory_is_empty_after_a_loss_of_power() {
    let (world, host, reactor) = calm();
    host.format(FileSystemKind::Memory, 1 << 30, 512);
    assert_eq!(write(&world, &reactor, b'm'), None);
    host.lose_power();
    assert_eq!(host.files(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_failed_sync_shows_bytes_that_the_next_loss_of_power_takes() {
    let (world, host, reactor) = calm();
    assert_eq!(write(&world, &reactor, b'd'), None);
    host.ail(Ailment { calls: vec![Call::Sync], times: 1, ..Ailment::default() });
    let ours = reactor.clone();
    let syncs = finish(&world, &reactor, async move {
        let file = ours.open(Path::new(FILE), WRITABLE).await.expect("there");
        file.write(vec![Part::Bytes(vec![b'n'; 4096])], 0, false).await.expect("written");
        [file.sync().await.is_ok(), file.sync().await.is_ok()]
    });
    assert_eq!(syncs, [false, true]);
    assert_eq!(page(&host), Some(vec![b'n'; 4096]), "the cache shows them");
    host.lose_power();
    assert_eq!(page(&host), Some(vec![b'd'; 4096]));
}
