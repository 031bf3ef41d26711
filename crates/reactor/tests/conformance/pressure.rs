//! What holds when there is too much of everything. A bench has eight receive buffers a group.

use crate::bench::{Bench, Promise, bytes, pattern, receive, receive_all};
use reactor::{Instant, Reactor, Stream};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

pub(crate) const PROMISES: &[Promise] = &[
    ("many connections are served", many_connections_are_served),
    ("a reader that pauses stops the sender", a_reader_that_pauses_stops_the_sender),
    ("more bytes than buffers all arrive", more_bytes_than_buffers_all_arrive),
    ("idle receivers keep no buffer", idle_receivers_keep_no_buffer),
    ("the starved are fed when others close", the_starved_are_fed_when_others_close),
    ("both directions flow at once", both_directions_flow_at_once),
];

async fn echo(stream: Stream) {
    while let Ok(lease) = stream.recv(Instant::NEVER).await {
        let copy = lease.to_vec();
        drop(lease);
        if stream.send(bytes(copy), Instant::NEVER).await.is_err() {
            return;
        }
    }
}

/// Waits until `count` tasks have said that they are done.
async fn all_of(reactor: &Reactor, done: &Rc<Cell<usize>>, count: usize) {
    while done.get() < count {
        reactor.sleep(reactor.now() + Duration::from_millis(1)).await;
    }
}

fn many_connections_are_served(bench: &Bench) {
    const CONNECTIONS: usize = 200;
    let (listener, address) = bench.listen();
    let reactor = bench.reactor.clone();
    bench.run(async move {
        let done = Rc::new(Cell::new(0));
        for number in 0..CONNECTIONS {
            let (reactor, count) = (reactor.clone(), Rc::clone(&done));
            reactor.clone().spawn(async move {
                let stream = reactor.connect(address, None, Instant::NEVER).await.unwrap();
                let sent = pattern(number * 37 + 1);
                stream.send(bytes(sent.clone()), Instant::NEVER).await.unwrap();
                assert_eq!(receive(&stream, sent.len()).await, sent);
                count.set(count.get() + 1);
            });
        }
        for _ in 0..CONNECTIONS {
            reactor.spawn(echo(listener.accept().await.unwrap()));
        }
        all_of(&reactor, &done, CONNECTIONS).await;
    });
}

fn a_reader_that_pauses_stops_the_sender(bench: &Bench) {
    const BYTES: usize = 16 << 20;
    let (ours, theirs) = bench.pair();
    let reactor = bench.reactor.clone();
    bench.run(async move {
        let sent = pattern(BYTES);
        let through = Rc::new(Cell::new(false));
        let (whole, is_through) = (sent.clone(), Rc::clone(&through));
        reactor.spawn(async move {
            ours.send(bytes(whole), Instant::NEVER).await.unwrap();
            is_through.set(true);
        });
        let mut received = theirs.recv(Instant::NEVER).await.unwrap().to_vec();
        // Longer than the fastest sender would need.
        reactor.sleep(reactor.now() + Duration::from_millis(100)).await;
        assert!(!through.get(), "16 MiB fit nowhere");
        received.extend(receive_all(&theirs).await);
        assert_eq!(received.len(), BYTES);
        assert!(received == sent, "bytes came in another order");
        assert!(through.get());
    });
}

fn more_bytes_than_buffers_all_arrive(bench: &Bench) {
    const CONNECTIONS: usize = 24;
    let pairs: Vec<_> = (0..CONNECTIONS).map(|_| bench.pair()).collect();
    let reactor = bench.reactor.clone();
    bench.run(async move {
        let done = Rc::new(Cell::new(0));
        for (ours, theirs) in pairs {
            reactor.spawn(async move {
                ours.send(bytes(pattern(300_000)), Instant::NEVER).await.unwrap();
            });
            let count = Rc::clone(&done);
            reactor.spawn(async move {
                assert!(receive_all(&theirs).await == pattern(300_000));
                count.set(count.get() + 1);
            });
        }
        all_of(&reactor, &done, CONNECTIONS).await;
    });
}

fn idle_receivers_keep_no_buffer(bench: &Bench) {
    let idle: Vec<_> = (0..40).map(|_| bench.pair()).collect();
    let (ours, theirs) = bench.pair();
    let reactor = bench.reactor.clone();
    bench.run(async move {
        for (_, waiting) in &idle {
            let waits = waiting.recv(reactor.now() + Duration::from_millis(1)).await;
            assert!(waits.is_err(), "nobody sends to it");
        }
        ours.send(bytes(pattern(50_000)), Instant::NEVER).await.unwrap();
        assert_eq!(receive(&theirs, 50_000).await, pattern(50_000));
        for (quiet, waiting) in &idle {
            quiet.send(bytes("x"), Instant::NEVER).await.unwrap();
            assert_eq!(receive(waiting, 1).await, b"x");
        }
    });
}

fn the_starved_are_fed_when_others_close(bench: &Bench) {
    // Two connections that nobody reads take all eight buffers.
    let hogs: Vec<_> = (0..2).map(|_| bench.pair()).collect();
    let hungry: Vec<_> = (0..3).map(|_| bench.pair()).collect();
    let reactor = bench.reactor.clone();
    bench.run(async move {
        let mut full = Vec::new();
        for (sender, receiver) in hogs {
            reactor.spawn(async move {
                // It fails when the other end closes with bytes unread.
                let _ = sender.send(bytes(pattern(400_000)), Instant::NEVER).await;
            });
            // The first lease arms the receive, which goes on by itself.
            drop(receiver.recv(Instant::NEVER).await.unwrap());
            full.push(receiver);
        }
        reactor.sleep(reactor.now() + Duration::from_millis(20)).await;
        let mut missing = Vec::new();
        for (ours, theirs) in &hungry {
            ours.send(bytes("hungry"), Instant::NEVER).await.unwrap();
            // It joins the line, or is lucky in a world with more buffers.
            let by = reactor.now() + Duration::from_millis(5);
            missing.push(6 - theirs.recv(by).await.map_or(0, |lease| lease.len()));
        }
        drop(full);
        for ((_, theirs), missing) in hungry.iter().zip(missing) {
            assert_eq!(receive(theirs, missing).await, &b"hungry"[6 - missing..]);
        }
    });
}

fn both_directions_flow_at_once(bench: &Bench) {
    const BYTES: usize = 2 << 20;
    let (ours, theirs) = bench.pair();
    let reactor = bench.reactor.clone();
    bench.run(async move {
        let ends = [Rc::new(ours), Rc::new(theirs)];
        let done = Rc::new(Cell::new(0));
        for end in &ends {
            let (sender, count) = (Rc::clone(end), Rc::clone(&done));
            reactor.spawn(async move {
                sender.send(bytes(pattern(BYTES)), Instant::NEVER).await.unwrap();
                count.set(count.get() + 1);
            });
            let (receiver, count) = (Rc::clone(end), Rc::clone(&done));
            reactor.spawn(async move {
                assert!(receive(&receiver, BYTES).await == pattern(BYTES));
                count.set(count.get() + 1);
            });
        }
        all_of(&reactor, &done, 4).await;
    });
}
