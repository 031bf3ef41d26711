//! What the real kernels promise between threads, and about time that passes while tasks spin.

use crate::bench::{Bench, bytes, options, receive};
use reactor::{Backend, Instant, Reactor, Receiver, Sender, channel, start_thread};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// Keeps all promises of this module.
pub(crate) fn keep_all(backend: Backend) {
    channels_join_two_reactors(backend);
    a_foreign_thread_wakes_a_sleeper(backend);
    a_message_is_sent_by_a_main_that_ends(backend);
    a_spinning_task_starves_nobody(backend);
    a_reactor_dropped_in_flight_is_gone(backend);
    listeners_of_one_port_share_it(backend);
}

const ROUNDS: u64 = 5_000;

/// Sends back what it gets, until there is no more.
async fn reflect(reactor: Reactor, mut requests: Receiver<u64>, replies: Sender<u64>) {
    while let Some(number) = requests.recv(&reactor).await {
        replies.try_send(number + 1).expect("the other end waits for it");
    }
}

fn channels_join_two_reactors(backend: Backend) {
    let (requests, incoming) = channel(4);
    let (replies, mut outcome) = channel(4);
    let other = start_thread("other", None, move || {
        let (reactor, _) = Reactor::new(&options(backend)).unwrap();
        reactor.run(reflect(reactor.clone(), incoming, replies));
    });
    let bench = Bench::real(backend);
    let reactor = bench.reactor.clone();
    bench.run(async move {
        for number in 0..ROUNDS {
            requests.try_send(number).unwrap();
            assert_eq!(outcome.recv(&reactor).await, Some(number + 1));
        }
    });
    bench.close();
    other.unwrap().join().unwrap();
}

fn a_foreign_thread_wakes_a_sleeper(backend: Backend) {
    let (sender, mut receiver) = channel(1);
    let (ready, wait) = std::sync::mpsc::channel();
    let other = start_thread("foreign", None, move || {
        for number in 0..ROUNDS {
            wait.recv().unwrap();
            sender.try_send(number).unwrap();
        }
    });
    let bench = Bench::real(backend);
    let reactor = bench.reactor.clone();
    bench.run(async move {
        for number in 0..ROUNDS {
            ready.send(()).unwrap();
            assert_eq!(receiver.recv(&reactor).await, Some(number));
        }
    });
    bench.close();
    other.unwrap().join().unwrap();
}

fn a_message_is_sent_by_a_main_that_ends(backend: Backend) {
    let (sender, mut receiver) = channel(4);
    let (asleep, wait) = std::sync::mpsc::channel();
    let other = start_thread("other", None, move || {
        let (reactor, _) = Reactor::new(&options(backend)).unwrap();
        let handle = reactor.clone();
        reactor.run(async move {
            asleep.send(()).unwrap();
            assert_eq!(receiver.recv(&handle).await, Some("inside"));
            assert_eq!(receiver.recv(&handle).await, Some("outside"));
        });
    });
    wait.recv().unwrap();
    let (reactor, _) = Reactor::new(&options(backend)).unwrap();
    let inside = sender.clone();
    // From its last task, and then from its thread while it does not turn.
    reactor.run(async move { inside.try_send("inside").unwrap() });
    sender.try_send("outside").unwrap();
    other.unwrap().join().unwrap();
}

fn a_spinning_task_starves_nobody(backend: Backend) {
    let bench = Bench::real(backend);
    let (ours, theirs) = bench.pair();
    let reactor = bench.reactor.clone();
    bench.run(async move {
        let over = Rc::new(Cell::new(false));
        for _ in 0..3 {
            let (reactor, over) = (reactor.clone(), Rc::clone(&over));
            reactor.clone().spawn(async move {
                while !over.get() {
                    reactor.yield_now().await;
                }
            });
        }
        for _ in 0..10 {
            ours.send(bytes("x"), Instant::NEVER).await.unwrap();
            assert_eq!(receive(&theirs, 1).await, b"x");
            reactor.sleep(reactor.now() + Duration::from_millis(1)).await;
        }
        over.set(true);
        reactor.yield_now().await;
    });
    bench.close();
}

/// Without `shut_down`: the kernel waits for what is in flight, so that no memory is written late.
fn a_reactor_dropped_in_flight_is_gone(backend: Backend) {
    let directory = tempfile::tempdir().unwrap();
    let (reactor, _) = Reactor::new(&options(backend)).unwrap();
    let listener = reactor.listen("127.0.0.1:0".parse().unwrap(), false).unwrap();
    let (handle, path) = (reactor.clone(), directory.path().join("file"));
    let kept = reactor.run(async move {
        let file = Bench::file(&handle, path).await;
        let written = crate::bench::try_once(file.write(bytes(vec![1; 1 << 20]), 0, true)).await;
        assert!(written.is_none());
        assert!(crate::bench::try_once(listener.accept()).await.is_none());
        (file, listener)
    });
    drop(kept);
    drop(reactor);
    assert_eq!(directory.path().join("file").metadata().unwrap().len(), 1 << 20);
}

/// Bound before there was a reactor, adopted by two of them; each connection comes to one.
fn listeners_of_one_port_share_it(backend: Backend) {
    let sockets = reactor::bind("127.0.0.1:0".parse().unwrap(), 2).unwrap();
    let bench = Bench::real(backend);
    let mut listeners: Vec<_> = sockets.into_iter().map(|one| bench.reactor.adopt(one)).collect();
    let address = listeners[0].local_address().unwrap();
    assert_eq!(listeners[1].local_address().unwrap(), address);
    let taken = reactor::bind(address, 2).expect_err("somebody listens there");
    assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);
    let (reactor, second) = (bench.reactor.clone(), listeners.pop().unwrap());
    let first = listeners.pop().unwrap();
    bench.run(async move {
        let accepted = Rc::new(Cell::new(0));
        for listener in [first, second] {
            let count = Rc::clone(&accepted);
            reactor.spawn(async move {
                while let Ok(stream) = listener.accept().await {
                    count.set(count.get() + 1);
                    stream.send(bytes("x"), Instant::NEVER).await.unwrap();
                    if count.get() == 50 {
                        return;
                    }
                }
            });
        }
        let mut streams = Vec::new();
        for _ in 0..50 {
            let stream = reactor.connect(address, None, Instant::NEVER).await.unwrap();
            assert_eq!(receive(&stream, 1).await, b"x");
            streams.push(stream);
        }
        assert_eq!(accepted.get(), 50);
    });
    bench.reactor.shut_down();
}
