//! The habits of kernels, and what may be asked of a process.

use super::*;
use crate::sim::state::KernelId;

/// The numbers of each `complete` among `events`: kernel, token, result, more.
fn completions(events: &[String]) -> Vec<[i64; 4]> {
    let numbers = |line: &String| {
        let (_, list) = line.split_once(" complete [")?;
        let mut parts = list.trim_end_matches(']').split(", ").map(|part| part.parse::<i64>());
        let mut next = || parts.next().and_then(Result::ok).expect("four numbers");
        Some([next(), next(), next(), next()])
    };
    events.iter().filter_map(numbers).collect()
}

#[test]
fn a_full_completion_queue_ends_multishots_and_loses_nothing() {
    let world = World::new(1, Faults { queue_entries: 1, ..Faults::none() });
    let server = world.host(ALPHA).start();
    echo(&server.reactor(), 25);
    let client = world.host(BETA).start().reactor();
    let heard = listen_to(&world);
    let answers = Rc::new(Cell::new(0));
    for _ in 0..20 {
        let (ours, answers) = (client.clone(), Rc::clone(&answers));
        client.spawn(async move {
            let back = ask_echo(ours, 25, vec![b'x'; 5000]).await;
            answers.set(answers.get() + usize::from(back == Ok(vec![b'x'; 5000])));
        });
    }
    world.run(|| answers.get() == 20, HOUR);
    assert_eq!(answers.get(), 20);
    let all = completions(&heard.borrow());
    // Kernel 0 is the server's: a receive of bytes, or an accept, that was not to end.
    let ended =
        all.iter().filter(|[kernel, _, result, more]| (*kernel, *more) == (0, 0) && *result > 0);
    assert!(ended.count() > 25, "more than the sends end");
}

#[test]
fn a_cancellation_and_its_target_complete_in_both_orders() {
    let mut orders = BTreeSet::new();
    for seed in 0..20 {
        let world = World::new(seed, Faults { cancel_races: 0.5, ..Faults::none() });
        let (_, client, stream) = connected(&world, async |reactor, stream| {
            reactor.sleep(Instant::NEVER).await;
            drop(stream);
        });
        let heard = listen_to(&world);
        let soon = client.now() + Duration::from_millis(1);
        finish(&world, &client, async move { stream.recv(soon).await.map(drop) })
            .expect_err("nothing comes");
        world.run(|| false, Duration::from_secs(1));
        let all = completions(&heard.borrow());
        let canceled = i64::from(-libc::ECANCELED);
        let target = all.iter().position(|[_, _, result, _]| *result == canceled);
        let target = target.expect("the receive was cancelled");
        // Both complete at once: the one beside it is the cancellation.
        orders.insert(target == 0);
    }
    assert_eq!(orders.len(), 2);
}

#[test]
fn what_is_being_cancelled_may_complete_first() {
    let mut seen = BTreeSet::new();
    for seed in 0..40 {
        let delay = Duration::from_micros(1)..Duration::from_micros(400);
        let faults = Faults { cancel_races: 0.5, completion_delay: delay, ..Faults::none() };
        let world = World::new(seed, faults);
        let (_, client, stream) = connected(&world, async |_, stream| {
            stream.send(vec![Part::Fixed(b"hello")], Instant::NEVER).await.expect("connected");
            drop(stream.recv(Instant::NEVER).await);
        });
        let heard = listen_to(&world);
        let soon = client.now() + Duration::from_micros(300);
        let got = finish(&world, &client, async move { stream.recv(soon).await.is_ok() });
        world.run(|| false, Duration::from_secs(1));
        let bytes = completions(&heard.borrow()).iter().any(|[_, _, result, _]| *result == 5);
        seen.insert((got, bytes));
    }
    assert!(seen.contains(&(false, true)), "bytes came to an operation given up: {seen:?}");
    assert!(seen.contains(&(true, true)));
}

#[test]
fn accept_is_interrupted_as_the_manual_says() {
    let world = World::new(1, Faults { interrupted: 0.5, ..Faults::none() });
    let reactor = world.host(ALPHA).start().reactor();
    let listener = reactor.listen(SocketAddr::new(ALPHA, 25), false).expect("a free port");
    let client = world.host(BETA).start().reactor();
    let ours = client.clone();
    client.spawn(async move {
        for _ in 0..20 {
            drop(ours.connect(SocketAddr::new(ALPHA, 25), None, Instant::NEVER).await);
        }
    });
    let kinds = finish(&world, &reactor, async move {
        let mut kinds = BTreeSet::new();
        let mut taken = 0;
        while taken < 20 {
            match listener.accept().await {
                Ok(_) => taken += 1,
                Err(error) => drop(kinds.insert(error.raw_os_error())),
            }
        }
        kinds
    });
    let wanted = [libc::EINTR, libc::EAGAIN, libc::ECONNABORTED].map(Some);
    assert_eq!(kinds, BTreeSet::from(wanted));
}

#[test]
fn a_shortage_lasts_for_a_while_and_ends() {
    let mut seen = BTreeSet::new();
    for seed in 0..20 {
        let world = World::new(seed, Faults { shortage: 1.0, ..Faults::none() });
        let reactor = world.host(ALPHA).start().reactor();
        let open = |reactor: Reactor| async move {
            let opened = reactor.open(Path::new("/var/file"), WRITABLE).await;
            opened.err().and_then(|error| error.raw_os_error())
        };
        let first = finish(&world, &reactor, open(reactor.clone())).expect("short");
        world.set_faults(Faults::none());
        seen.insert(first);
        let second = finish(&world, &reactor, open(reactor.clone()));
        assert!(second.is_none() || second == Some(first));
        world.run(|| false, Duration::from_secs(5));
        assert_eq!(finish(&world, &reactor, open(reactor.clone())), None);
    }
    assert_eq!(seen, BTreeSet::from([libc::EMFILE, libc::ENFILE, libc::ENOMEM]));
}

#[test]
fn a_descriptor_is_reused_right_after_its_close() {
    let world = World::new(1, Faults::none());
    let reactor = world.host(ALPHA).start().reactor();
    let ours = reactor.clone();
    let numbers = finish(&world, &reactor, async move {
        let mut numbers = BTreeSet::new();
        for _ in 0..3 {
            let file = ours.open(Path::new("/var/file"), WRITABLE).await.expect("made");
            numbers.insert(format!("{:?}", file.shared()));
        }
        numbers
    });
    assert_eq!(numbers.len(), 1, "{numbers:?}");
}

#[test]
fn a_checker_sees_descriptors_leases_operations_and_that_nothing_can_happen() {
    let world = World::new(1, Faults::none());
    let held = Rc::new(RefCell::new(None));
    let place = Rc::clone(&held);
    let (process, client, stream) = connected(&world, async move |reactor, stream| {
        *place.borrow_mut() = stream.recv(Instant::NEVER).await.ok();
        drop(stream.recv(Instant::NEVER).await);
        reactor.sleep(Instant::NEVER).await;
    });
    world.run(|| false, Duration::from_secs(1));
    let kinds = process.descriptors_by_kind();
    assert_eq!((kinds.files, kinds.sockets, kinds.listeners), (0, 1, 1));
    let pending = process.pending();
    assert_eq!((pending.receives, pending.accepts, pending.operations()), (1, 1, 2));
    assert_eq!(process.operations(), 2);
    assert!(pending.is_stuck());
    assert_eq!(process.leased_bytes(), 0);

    let send = async move { stream.send(vec![Part::Fixed(b"x")], Instant::NEVER).await.map(drop) };
    finish(&world, &client, send).expect("connected");
    world.run(|| held.borrow().is_some(), HOUR);
    assert_eq!(process.leased_bytes(), 16 * 1024);
    let lease = held.borrow_mut().take();
    drop(lease);
    assert_eq!(process.leased_bytes(), 0);
    assert_eq!(world.violations(), Vec::<String>::new());
}

#[test]
fn pending_work_is_not_called_stuck() {
    let world = World::new(1, Faults::none());
    let process = world.host(ALPHA).start();
    let reactor = process.reactor();
    let ours = reactor.clone();
    reactor.spawn(async move { ours.sleep(Instant(5_000_000)).await });
    assert!(process.pending().can_run);
    world.run(|| false, Duration::from_millis(1));
    assert_eq!(process.pending().timer, Some(Instant(5_000_000)));
    world.run(|| false, Duration::from_millis(5));
    assert!(process.pending().is_stuck());
    reactor.spawn({
        let ours = reactor.clone();
        async move { drop(write_page(ours, b'x', true).await) }
    });
    world.run(|| false, Duration::from_micros(50));
    let pending = process.pending();
    assert!(!pending.is_stuck() && pending.others == 1, "{pending:?}");
}

#[test]
fn a_kernel_notes_what_it_should_not_be_asked_for() {
    let world = World::new(1, Faults::none());
    let (_process, _client, _stream) = connected(&world, async |_, stream| {
        drop(stream.recv(Instant::NEVER).await);
    });
    world.run(|| false, Duration::from_secs(1));
    // Descriptor 3 is the listener, 4 the connection, whose receive is armed.
    let state = &world.engine.state;
    state.borrow_mut().close(KernelId(0), 4).expect("open");
    state.borrow_mut().give_buffer(KernelId(0), crate::kernel::Group::Inbound, 7);
    let noted = world.violations();
    assert_eq!(noted.len(), 2, "{noted:?}");
    assert!(noted[0].contains("descriptor 4"), "{noted:?}");
    assert!(noted[1].contains("buffer 7"), "{noted:?}");
    world.end();
}
