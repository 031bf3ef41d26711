//! What a world promises.

mod disks;
mod each;
mod kernels;
mod links;
#[cfg(feature = "mutations")]
mod mutations;

use super::{Chance, Faults, Host, Process, World};
use crate::{Hangup, Instant, OpenHow, Part, Reactor, Slab, channel};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const ALPHA: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const BETA: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
const WRITABLE: OpenHow = OpenHow { write: true, create: true, exclusive: false, direct: false };

/// Runs `task` on `reactor` to its end.
fn finish<T: 'static>(
    world: &World,
    reactor: &Reactor,
    task: impl Future<Output = T> + 'static,
) -> T {
    let result = Rc::new(RefCell::new(None));
    let place = Rc::clone(&result);
    reactor.spawn(async move { *place.borrow_mut() = Some(task.await) });
    assert!(world.run(|| result.borrow().is_some(), 24 * HOUR), "the task does not end");
    result.take().expect("just seen")
}

/// The events of a world as text.
fn listen_to(world: &World) -> Rc<RefCell<Vec<String>>> {
    let heard = Rc::new(RefCell::new(Vec::new()));
    let ears = Rc::clone(&heard);
    world.watch(move |line| ears.borrow_mut().push(line.to_owned()));
    heard
}

fn worlds() -> impl Iterator<Item = World> {
    let mild = (1..20).map(|seed| World::new(seed, Faults::mild()));
    std::iter::once(World::new(0, Faults::none())).chain(mild)
}

/// Sends back what comes, on any number of connections.
fn echo(reactor: &Reactor, port: u16) {
    let listener = reactor.listen(SocketAddr::new(ALPHA, port), false).expect("a free port");
    let ours = reactor.clone();
    reactor.spawn(async move {
        while let Ok(stream) = listener.accept().await {
            ours.spawn(async move {
                while let Ok(lease) = stream.recv(Instant::NEVER).await {
                    let bytes = lease.to_vec();
                    drop(lease);
                    if stream.send(vec![Part::Bytes(bytes)], Instant::NEVER).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
}

/// Sends `bytes` to the echo, ends its half, and gives what came back.
async fn ask_echo(reactor: Reactor, port: u16, bytes: Vec<u8>) -> Result<Vec<u8>, Hangup> {
    let by = reactor.now() + HOUR;
    let stream = Rc::new(reactor.connect(SocketAddr::new(ALPHA, port), None, by).await?);
    let sender = Rc::clone(&stream);
    reactor.spawn(async move {
        if sender.send(vec![Part::Bytes(bytes)], by).await.is_ok() {
            // The echo may have gone already.
            let _ = sender.shut_down().await;
        }
    });
    let mut back = Vec::new();
    loop {
        match stream.recv(by).await {
            Ok(lease) => back.extend_from_slice(&lease),
            Err(Hangup::Closed) => return Ok(back),
            Err(hangup) => return Err(hangup),
        }
    }
}

fn echo_between_hosts(world: &World) -> u64 {
    let server = world.host(ALPHA).start();
    echo(&server.reactor(), 25);
    let client = world.host(BETA).start().reactor();
    let bytes: Vec<u8> = (0..100_000u32).map(|n| n as u8).collect();
    let back = finish(world, &client, ask_echo(client.clone(), 25, bytes.clone()));
    assert_eq!(back.map(|back| back == bytes), Ok(true));
    world.run(|| server.descriptors() == 1, HOUR);
    assert_eq!(server.descriptors(), 1, "only the listener is left");
    world.end();
    world.hash()
}

#[test]
fn bytes_go_there_and_back_in_order() {
    for world in worlds() {
        echo_between_hosts(&world);
    }
}

#[test]
fn the_same_seed_gives_the_same_events_and_another_seed_others() {
    let run = |seed| echo_between_hosts(&World::new(seed, Faults::mild()));
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

#[test]
fn a_swarm_of_faults_breaks_connections_but_nothing_else() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..100 {
        let world = World::new(seed, Faults::swarm(seed));
        let server = world.host(ALPHA).start();
        echo(&server.reactor(), 25);
        let client = world.host(BETA).start().reactor();
        let bytes = vec![b'x'; 30_000];
        let back = finish(&world, &client, ask_echo(client.clone(), 25, bytes.clone()));
        assert!(back.as_ref().is_err() || back.as_ref() == Ok(&bytes), "seed {seed}");
        outcomes.insert(back.is_ok());
        world.end();
    }
    assert_eq!(outcomes.len(), 2);
}

#[test]
fn nobody_listens_and_nobody_is_there() {
    let world = World::new(1, Faults::none());
    world.host(ALPHA);
    let reactor = world.host(BETA).start().reactor();
    for (to, kind) in [
        (ALPHA, std::io::ErrorKind::ConnectionRefused),
        (Ipv4Addr::new(10, 9, 9, 9).into(), std::io::ErrorKind::HostUnreachable),
    ] {
        let ours = reactor.clone();
        let error = finish(&world, &reactor, async move {
            let connected = ours.connect(SocketAddr::new(to, 25), None, Instant::NEVER).await;
            connected.err().map(|error| error.kind())
        });
        assert_eq!(error, Some(kind));
    }
}

#[test]
fn an_unanswered_connection_attempt_ends_at_its_deadline() {
    let world = World::new(1, Faults { connect_black_hole: 1.0, ..Faults::none() });
    let process = world.host(ALPHA).start();
    let reactor = process.reactor();
    let ours = reactor.clone();
    let error = finish(&world, &reactor, async move {
        let by = ours.now() + Duration::from_secs(30);
        let connected = ours.connect(SocketAddr::new(BETA, 25), None, by).await;
        connected.err().map(|error| error.kind())
    });
    assert_eq!(error, Some(std::io::ErrorKind::TimedOut));
    assert_eq!(world.now().since(Instant(0)).as_secs(), 30);
    world.run(|| process.descriptors() == 0, HOUR);
    assert_eq!(process.descriptors(), 0);
}

/// Two ends of a connection from beta to alpha: the process and stream of each is `done` with.
fn connected(
    world: &World,
    server: impl AsyncFnOnce(Reactor, crate::Stream) + 'static,
) -> (Process, Reactor, crate::Stream) {
    let process = world.host(ALPHA).start();
    let reactor = process.reactor();
    let listener = reactor.listen(SocketAddr::new(ALPHA, 25), false).expect("a free port");
    let theirs = reactor.clone();
    reactor.spawn(async move {
        let stream = listener.accept().await.expect("a connection");
        server(theirs, stream).await;
    });
    let client = world.host(BETA).start().reactor();
    let ours = client.clone();
    let stream = finish(world, &client, async move {
        ours.connect(SocketAddr::new(ALPHA, 25), None, Instant::NEVER).await.expect("listening")
    });
    (process, client, stream)
}

#[test]
fn a_close_with_unread_bytes_resets_and_may_eat_what_was_sent_before() {
    for (discards, expected) in [(0.0, Ok(b"bye".to_vec())), (1.0, Err(Hangup::Closed))] {
        let world = World::new(1, Faults { reset_discards: discards, ..Faults::none() });
        let (_, client, stream) = connected(&world, async |reactor, stream| {
            reactor.sleep(Instant(1_000_000_000)).await;
            stream.send(vec![Part::Fixed(b"bye")], Instant::NEVER).await.expect("connected");
        });
        let ours = client.clone();
        let first = finish(&world, &client, async move {
            stream.send(vec![Part::Fixed(b"unread")], Instant::NEVER).await.expect("connected");
            ours.sleep(Instant(2_000_000_000)).await;
            stream.recv(Instant::NEVER).await.map(|lease| lease.to_vec())
        });
        if expected.is_ok() {
            assert_eq!(first, expected);
        } else {
            assert_eq!(first, Err(Hangup::Broken(std::io::ErrorKind::ConnectionReset)));
        }
    }
}

#[test]
fn a_sender_waits_for_a_peer_that_does_not_read() {
    let world = World::new(1, Faults { window_bytes: 1000, ..Faults::none() });
    let (_, client, stream) = connected(&world, async |reactor, stream| {
        reactor.sleep(Instant(60_000_000_000)).await;
        while stream.recv(Instant::NEVER).await.is_ok() {}
    });
    let ours = client.clone();
    let (early, late) = finish(&world, &client, async move {
        let by = ours.now() + Duration::from_secs(50);
        let early = stream.send(vec![Part::Bytes(vec![0; 1000])], by).await.is_ok();
        let late = stream.send(vec![Part::Bytes(vec![0; 5000])], by).await.err();
        (early, late)
    });
    assert!(early);
    assert_eq!(late, Some(Hangup::TimedOut));
}

#[test]
fn peers_hear_of_a_killed_process_but_not_of_a_lost_machine() {
    for seed in 0..10 {
        for power in [false, true] {
            let world = World::new(seed, Faults::none());
            let (process, client, stream) = connected(&world, async |_, stream| {
                drop(stream.recv(Instant::NEVER).await);
            });
            if power {
                world.host(ALPHA).lose_power();
            } else {
                process.kill();
            }
            assert!(!process.is_alive());
            let by = client.now() + HOUR;
            let heard = finish(&world, &client, async move { stream.recv(by).await.err() });
            assert_eq!(heard == Some(Hangup::TimedOut), power, "{heard:?}");
        }
    }
}

/// Writes a page of `byte` at the start of `/var/file`.
async fn write_page(reactor: Reactor, byte: u8, durable: bool) -> std::io::Result<()> {
    let file = reactor.open(Path::new("/var/file"), WRITABLE).await?;
    reactor.sync_directory(Path::new("/var")).await?;
    file.write(vec![Part::Bytes(vec![byte; 4096])], 0, durable).await
}

fn page(host: &Host) -> Option<Vec<u8>> {
    host.read(Path::new("/var/file"))
}

#[test]
fn a_durable_write_survives_a_loss_of_power_once_it_has_completed() {
    for seed in 0..50 {
        let world = World::new(seed, Faults::mild());
        let host = world.host(ALPHA);
        let reactor = host.start().reactor();
        finish(&world, &reactor, write_page(reactor.clone(), b'd', true)).expect("written");
        host.lose_power();
        assert_eq!(page(&host), Some(vec![b'd'; 4096]));
    }
}

#[test]
fn a_write_that_is_not_durable_may_be_lost_or_torn_by_a_loss_of_power() {
    let mut seen = BTreeSet::new();
    for seed in 0..100 {
        let world = World::new(seed, Faults::mild());
        let host = world.host(ALPHA);
        let reactor = host.start().reactor();
        finish(&world, &reactor, write_page(reactor.clone(), b'd', true)).expect("written");
        finish(&world, &reactor, write_page(reactor.clone(), b'n', false)).expect("written");
        host.lose_power();
        let new = page(&host).expect("there").iter().filter(|byte| **byte == b'n').count();
        seen.insert(match new {
            0 => "lost",
            4096 => "kept",
            _ => "torn",
        });
        assert_eq!(new % 512, 0);
    }
    assert_eq!(seen.len(), 3);
}

/// A process is killed on its way to a write; its next start waits for the lock and notes what the
/// file holds then. Gives the host, what was there when it died, and when the lock was had.
fn die_while_writing(seed: u64) -> (World, Host, Option<Vec<u8>>, Option<Vec<u8>>) {
    let world = World::new(seed, Faults { late_write: 1.0, ..Faults::none() });
    let host = world.host(ALPHA);
    let first = host.start();
    let reactor = first.reactor();
    let ours = reactor.clone();
    let writing = Rc::new(Cell::new(false));
    let seen = Rc::clone(&writing);
    reactor.spawn(async move {
        let lock = ours.open(Path::new("/var/lock"), WRITABLE).await.expect("made");
        assert!(lock.try_lock().await.expect("locks work"));
        ours.hold(lock.shared()).expect("held");
        seen.set(true);
        drop(write_page(ours, b'x', true).await);
    });
    // Somewhere on the way.
    world.run(|| writing.get(), HOUR);
    world.run(|| false, Duration::from_micros(Chance::new(seed).below(500)));
    first.kill();
    let before = page(&host);
    let second = host.start().reactor();
    let ours = second.clone();
    finish(&world, &second, async move {
        let lock = ours.open(Path::new("/var/lock"), WRITABLE).await.expect("there");
        while !lock.try_lock().await.expect("locks work") {
            ours.sleep(ours.now() + Duration::from_millis(50)).await;
        }
    });
    let locked = page(&host);
    (world, host, before, locked)
}

fn something_lands_after_the_lock_was_had(seed: u64) -> bool {
    let (world, host, _, locked) = die_while_writing(seed);
    world.run(|| false, HOUR);
    page(&host) != locked
}

#[test]
fn a_write_of_a_dead_process_may_land_after_the_restart_and_the_lock_is_held_until_then() {
    let late = (0..50).filter(|seed| {
        let (_, _, before, locked) = die_while_writing(*seed);
        locked != before
    });
    let late = late.count();
    assert!(late > 5, "{late}");
    assert!(!(0..50).any(something_lands_after_the_lock_was_had));
}

#[test]
fn direct_files_take_whole_blocks_only() {
    let world = World::new(1, Faults::none());
    let reactor = world.host(ALPHA).start().reactor();
    let ours = reactor.clone();
    finish(&world, &reactor, async move {
        let how = OpenHow { direct: true, ..WRITABLE };
        let file = ours.open(Path::new("/var/direct"), how).await.expect("made");
        let mut slab = Slab::new(4096);
        slab.append(b"hello");
        slab.pad_to(4096);
        let slice = crate::SlabSlice::new(Rc::new(slab), 0..4096);
        file.write(vec![Part::Slice(slice.clone())], 4096, true).await.expect("aligned");
        assert!(file.write(vec![Part::Slice(slice)], 100, true).await.is_err());
        let read = file.read(Slab::new(8192), 4096, 8192).await.expect("aligned");
        assert_eq!((read.len(), &read.as_slice()[..5]), (4096, &b"hello"[..]));
        assert!(file.read(Slab::new(8192), 1, 4096).await.is_err());
    });
}

#[test]
fn a_full_disk_a_failing_write_and_a_broken_disk_say_so() {
    let run = |faults: Faults, prepare: fn(&Host)| {
        let world = World::new(1, faults);
        let host = world.host(ALPHA);
        prepare(&host);
        let reactor = host.start().reactor();
        let result = finish(&world, &reactor, write_page(reactor.clone(), b'x', true));
        result.err().and_then(|error| error.raw_os_error())
    };
    let none = Faults::none;
    assert_eq!(run(none(), |_| {}), None);
    assert_eq!(run(none(), |host| host.fill_disk(1 << 30)), Some(libc::ENOSPC));
    assert_eq!(run(none(), |host| host.break_disk(true)), Some(libc::EIO));
    assert_eq!(run(Faults { write_fails: 1.0, ..none() }, |_| {}), Some(libc::EIO));
    assert_eq!(run(Faults { no_space: 1.0, ..none() }, |_| {}), Some(libc::ENOSPC));
}

#[test]
fn shards_of_a_process_reach_each_other_and_timers_move_the_clock() {
    let world = World::new(1, Faults::none());
    let process = world.host(ALPHA).start();
    let (first, second) = (process.reactor(), process.reactor());
    let (sender, mut receiver) = channel::<Instant>(1);
    let ours = first.clone();
    first.spawn(async move {
        ours.sleep(Instant(7_000_000_000)).await;
        sender.try_send(ours.now()).expect("room");
    });
    let theirs = second.clone();
    let (sent, seen) = finish(&world, &second, async move {
        let sent = receiver.recv(&theirs).await.expect("sent");
        (sent, theirs.now())
    });
    assert_eq!(sent, Instant(7_000_000_000));
    assert_eq!(seen, sent, "a shard that slept sees the time at once");
}

#[test]
fn steps_of_the_wall_clock_both_ways_move_no_timer() {
    let world = World::new(1, Faults::none());
    let host = world.host(ALPHA);
    let reactor = host.start().reactor();
    let before = reactor.wall_clock();
    host.step_clock(HOUR);
    assert_eq!(reactor.wall_clock(), before + HOUR);
    host.step_clock_back(3 * HOUR);
    assert_eq!(reactor.wall_clock(), before - 2 * HOUR);
    let ours = reactor.clone();
    finish(&world, &reactor, async move { ours.sleep(Instant(1_000)).await });
    assert_eq!(world.now(), Instant(1_000));
}

#[test]
fn a_clock_can_be_wrong_at_boot_but_not_before_1970() {
    let world = World::new(1, Faults::none());
    let (host, other) = (world.host(ALPHA), world.host(BETA));
    host.set_clock(HOUR);
    let reactor = host.start().reactor();
    assert_eq!((reactor.wall_clock(), host.wall_clock()), (HOUR, HOUR));
    assert_eq!(other.wall_clock(), world.wall_clock());
    host.step_clock_back(2 * HOUR);
    assert_eq!(reactor.wall_clock(), Duration::ZERO);
}

#[test]
fn a_world_in_which_nothing_can_happen_says_so() {
    let world = World::new(1, Faults::none());
    let reactor = world.host(ALPHA).start().reactor();
    let ours = reactor.clone();
    reactor.spawn(async move { ours.sleep(Instant::NEVER).await });
    while world.step() {}
    assert!(!world.run(|| false, HOUR));
    assert_eq!(world.now().since(Instant(0)), HOUR, "but time passes");
}

#[test]
fn a_watcher_hears_events_with_their_time() {
    let heard = Rc::new(RefCell::new(Vec::new()));
    let world = World::new(1, Faults::none());
    let ears = Rc::clone(&heard);
    world.watch(move |line| ears.borrow_mut().push(line.to_owned()));
    world.run(|| false, Duration::from_millis(1500));
    world.note("here we are");
    assert_eq!(*heard.borrow(), ["     1.500000 here we are"]);
}
