//! What happens to bytes and connections on their way.

use super::*;

/// When bytes came, and how many.
type Arrival = (Instant, usize);

/// Sends `bytes` at once from beta to alpha; gives, for alpha, when and what came.
fn receive_log(
    world: &World,
    sizes: &[usize],
    before: impl FnOnce(&World),
) -> Rc<RefCell<Vec<Arrival>>> {
    let log = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&log);
    let (_, client, stream) = connected(world, async move |reactor, stream| {
        while let Ok(lease) = stream.recv(Instant::NEVER).await {
            seen.borrow_mut().push((reactor.now(), lease.len()));
        }
    });
    before(world);
    let sizes = sizes.to_vec();
    client.clone().spawn(async move {
        for size in sizes {
            if stream.send(vec![Part::Bytes(vec![b'x'; size])], Instant::NEVER).await.is_err() {
                break;
            }
        }
        client.sleep(Instant::NEVER).await;
        drop(stream);
    });
    log
}

#[test]
fn what_is_sent_into_a_partition_arrives_after_it() {
    let world = World::new(1, Faults::none());
    let log = receive_log(&world, &[100], |world| {
        world.partition(&world.host(ALPHA), &world.host(BETA), Duration::from_secs(60));
    });
    let arrived = || log.borrow().iter().map(|(_, length)| length).sum::<usize>();
    world.run(|| false, Duration::from_secs(59));
    assert_eq!(arrived(), 0);
    world.run(|| false, Duration::from_secs(2));
    assert_eq!(arrived(), 100);
}

#[test]
fn one_way_may_be_cut_while_the_other_works() {
    for (from, to, early) in [(ALPHA, BETA, true), (BETA, ALPHA, false)] {
        let world = World::new(1, Faults { window_bytes: 1000, ..Faults::none() });
        let log = receive_log(&world, &[2000], |world| {
            world.cut(&world.host(from), &world.host(to), Duration::from_secs(60));
        });
        world.run(|| false, Duration::from_secs(30));
        let arrived = log.borrow().iter().map(|(_, length)| length).sum::<usize>();
        // Where the acknowledgements are swallowed, one window arrives and no more.
        assert_eq!(arrived, if early { 1000 } else { 0 });
        world.run(|| false, Duration::from_secs(60));
        assert_eq!(log.borrow().iter().map(|(_, length)| length).sum::<usize>(), 2000);
    }
}

#[test]
fn a_sender_gives_up_after_a_quarter_of_an_hour() {
    let world = World::new(1, Faults::none());
    let (_, client, stream) =
        connected(&world, async |_, stream| while stream.recv(Instant::NEVER).await.is_ok() {});
    let (alpha, beta) = (world.host(ALPHA), world.host(BETA));
    world.cut(&beta, &alpha, HOUR);
    let began = world.now();
    let heard = finish(&world, &client, async move {
        stream.send(vec![Part::Fixed(b"hello?")], Instant::NEVER).await.expect("buffered");
        stream.recv(Instant::NEVER).await.err()
    });
    // The kernel's word for it is ETIMEDOUT, which is no deadline of ours.
    assert_eq!(heard, Some(Hangup::Broken(std::io::ErrorKind::TimedOut)));
    assert_eq!(world.now().since(began).as_secs(), 924);
}

#[test]
fn connecting_through_a_cut_waits_for_it_or_times_out() {
    for (seconds, connects) in [(60, true), (300, false)] {
        for both in [false, true] {
            let world = World::new(1, Faults::none());
            let server = world.host(ALPHA).start();
            echo(&server.reactor(), 25);
            let (alpha, beta) = (world.host(ALPHA), world.host(BETA));
            let time = Duration::from_secs(seconds);
            if both {
                world.partition(&alpha, &beta, time);
            } else {
                world.cut(&alpha, &beta, time);
            }
            let client = beta.start().reactor();
            let back = finish(&world, &client, ask_echo(client.clone(), 25, b"x".to_vec()));
            assert_eq!(back.is_ok(), connects, "{back:?}");
            assert_eq!(world.now().since(Instant(0)).as_secs(), seconds.min(127));
        }
    }
}

#[test]
fn mended_links_carry_what_is_sent_from_then_on() {
    let world = World::new(1, Faults::none());
    let log = receive_log(&world, &[100], |world| {
        world.partition(&world.host(ALPHA), &world.host(BETA), HOUR);
        world.mend_links();
    });
    world.run(|| false, Duration::from_secs(1));
    assert_eq!(log.borrow().iter().map(|(_, length)| length).sum::<usize>(), 100);
}

#[test]
fn a_connection_may_meet_a_hole_that_swallows_one_way() {
    let mut waited = BTreeSet::new();
    for seed in 0..20 {
        let hole_time = Duration::from_secs(10)..Duration::from_secs(100);
        let world = World::new(seed, Faults { hole: 1.0, hole_time, ..Faults::none() });
        let server = world.host(ALPHA).start();
        echo(&server.reactor(), 25);
        let client = world.host(BETA).start().reactor();
        let back = finish(&world, &client, ask_echo(client.clone(), 25, b"x".to_vec()));
        assert_eq!(back, Ok(b"x".to_vec()));
        waited.insert(world.now().since(Instant(0)).as_secs());
    }
    assert!(waited.iter().all(|seconds| (10..101).contains(seconds)), "{waited:?}");
    assert!(waited.len() > 5);
}

#[test]
fn a_reset_may_come_after_any_byte() {
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let world = World::new(seed, Faults { reset: 1.0, ..Faults::none() });
        let log = receive_log(&world, &[8], |_| {});
        world.run(|| false, Duration::from_secs(1));
        seen.insert(log.borrow().iter().map(|(_, length)| *length).sum::<usize>());
    }
    assert_eq!(seen, (0..=8).collect());
}

/// The first number of bytes that `read` sees of eight, over a hundred seeds.
fn first_lengths(faults: &Faults, read: fn(&[String], &[Arrival]) -> usize) -> BTreeSet<usize> {
    let lengths = |seed| {
        let world = World::new(seed, faults.clone());
        let heard = listen_to(&world);
        let log = receive_log(&world, &[8], |_| {});
        world.run(|| false, Duration::from_secs(1));
        let log = log.borrow();
        assert_eq!(log.iter().map(|(_, length)| *length).sum::<usize>(), 8);
        read(&heard.borrow(), &log)
    };
    (0..100).map(lengths).collect()
}

#[test]
fn sends_are_short_at_every_length() {
    let faults = Faults { short_send: 1.0, ..Faults::none() };
    let arrives = |heard: &[String], _: &[Arrival]| {
        let mut lists = heard.iter().filter_map(|line| line.split_once(" arrives ["));
        let (_, numbers) = lists.next().expect("it arrives");
        let (_, length) = numbers.trim_end_matches(']').split_once(", ").expect("two numbers");
        length.parse().expect("a number")
    };
    assert_eq!(first_lengths(&faults, arrives), (1..=8).collect());
}

#[test]
fn receives_are_short_at_every_length() {
    let faults = Faults { short_receive: 1.0, ..Faults::none() };
    assert_eq!(first_lengths(&faults, |_, log| log[0].1), (1..=8).collect());
}

#[test]
fn delays_have_a_heavy_tail() {
    let world = World::new(1, Faults { latency_tail: 0.5, ..Faults::none() });
    let log = receive_log(&world, &[1; 2000], |_| {});
    world.run(|| false, HOUR);
    let times: Vec<Instant> = log.borrow().iter().map(|(at, _)| *at).collect();
    let longest = times.windows(2).map(|pair| pair[1].since(pair[0])).max().expect("some");
    assert!(longest > Duration::from_micros(50 * 64), "{longest:?}");
}
