//! What streams and listeners promise.

use crate::bench::{Bench, Promise, bytes, pattern, receive, receive_all, try_once};
use reactor::{Hangup, Instant, Part, Slab, SlabSlice};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

pub(crate) const PROMISES: &[Promise] = &[
    ("what is sent arrives", what_is_sent_arrives),
    ("parts arrive in order", parts_arrive_in_order),
    ("both ends know both addresses", both_ends_know_both_addresses),
    ("a half-closed stream still receives", a_half_closed_stream_still_receives),
    ("the end comes after the bytes", the_end_comes_after_the_bytes),
    ("an abort is a reset", an_abort_is_a_reset),
    ("a receive ends at its deadline", a_receive_ends_at_its_deadline),
    ("a send ends at its deadline", a_send_ends_at_its_deadline),
    ("a connect ends at its deadline", a_connect_ends_at_its_deadline),
    ("a closed port refuses", a_closed_port_refuses),
    ("a receive can be interrupted", a_receive_can_be_interrupted),
    ("an interrupt is kept for the next wait", an_interrupt_is_kept_for_the_next_wait),
    ("an accept can be interrupted", an_accept_can_be_interrupted),
    ("a dropped receive loses nothing", a_dropped_receive_loses_nothing),
    ("a dropped send lets go", a_dropped_send_lets_go),
    ("a dropped connect lets go", a_dropped_connect_lets_go),
    ("a closed listener closes who waits", a_closed_listener_closes_who_waits),
    ("a stream is closed while it receives", a_stream_is_closed_while_it_receives),
];

fn what_is_sent_arrives(bench: &Bench) {
    let (ours, theirs) = bench.pair();
    bench.run(async move {
        for round in 0..100usize {
            let sent = pattern(round * 7 + 1);
            ours.send(bytes(sent.clone()), Instant::NEVER).await.unwrap();
            assert_eq!(receive(&theirs, sent.len()).await, sent);
            theirs.send(bytes(sent.clone()), Instant::NEVER).await.unwrap();
            assert_eq!(receive(&ours, sent.len()).await, sent);
        }
    });
}

fn parts_arrive_in_order(bench: &Bench) {
    let (ours, theirs) = bench.pair();
    bench.run(async move {
        let mut slab = Slab::new(1);
        slab.append(b"0123456789");
        let slab = Rc::new(slab);
        let mut parts = vec![
            Part::Fixed(b"fixed "),
            Part::Bytes(Vec::new()),
            Part::Slice(SlabSlice::new(Rc::clone(&slab), 2..5)),
            Part::Bytes(b" bytes".to_vec()),
        ];
        // More than one call takes.
        parts.extend((0..3000).map(|_| Part::Fixed(b"ab")));
        let count = parts.len();
        let parts = ours.send(parts, Instant::NEVER).await.unwrap();
        assert_eq!(parts.len(), count, "the parts come back");
        drop(parts);
        assert_eq!(Rc::strong_count(&slab), 1, "nothing keeps them");
        let received = receive(&theirs, 15 + 6000).await;
        assert!(received.starts_with(b"fixed 234 bytesabab"));
        assert!(received[15..].chunks(2).all(|pair| pair == b"ab"));
        ours.send(Vec::new(), Instant::NEVER).await.unwrap();
    });
}

fn both_ends_know_both_addresses(bench: &Bench) {
    let (listener, address) = bench.listen();
    let reactor = bench.reactor.clone();
    let source = bench.anywhere.ip();
    bench.run(async move {
        let ours = reactor.connect(address, Some(source), Instant::NEVER).await.unwrap();
        let theirs = listener.accept().await.unwrap();
        assert_eq!(ours.peer(), address);
        assert_eq!(theirs.peer(), ours.local_address().unwrap());
        assert_eq!(theirs.local_address().unwrap(), address);
        assert_eq!(ours.local_address().unwrap().ip(), source);
        assert_ne!(ours.local_address().unwrap().port(), 0);
    });
}

fn a_half_closed_stream_still_receives(bench: &Bench) {
    let (ours, theirs) = bench.pair();
    bench.run(async move {
        ours.send(bytes("question"), Instant::NEVER).await.unwrap();
        ours.shut_down().await.unwrap();
        assert_eq!(receive_all(&theirs).await, b"question");
        assert!(theirs.is_ended());
        assert!(!ours.is_ended());
        theirs.send(bytes("answer"), Instant::NEVER).await.unwrap();
        drop(theirs);
        assert_eq!(receive_all(&ours).await, b"answer");
    });
}

fn the_end_comes_after_the_bytes(bench: &Bench) {
    let (ours, theirs) = bench.pair();
    bench.run(async move {
        let sent = pattern(10_000);
        ours.send(bytes(sent.clone()), Instant::NEVER).await.unwrap();
        drop(ours);
        assert_eq!(receive_all(&theirs).await, sent);
        // It stays ended.
        assert_eq!(theirs.recv(Instant::NEVER).await.unwrap_err(), Hangup::Closed);
    });
}

fn an_abort_is_a_reset(bench: &Bench) {
    let (ours, theirs) = bench.pair();
    bench.run(async move {
        theirs.abort();
        let hangup = ours.recv(Instant::NEVER).await.unwrap_err();
        assert_eq!(hangup, Hangup::Broken(ErrorKind::ConnectionReset));
        let failed = ours.send(bytes("x"), Instant::NEVER).await.unwrap_err();
        assert!(matches!(failed, Hangup::Broken(_)), "{failed:?}");
    });
}

fn a_receive_ends_at_its_deadline(bench: &Bench) {
    let (ours, theirs) = bench.pair();
    let (reactor, soon) = (bench.reactor.clone(), bench.soon());
    bench.run(async move {
        assert_eq!(theirs.recv(soon).await.unwrap_err(), Hangup::TimedOut);
        assert!(reactor.now() >= soon);
        // The past is a deadline, too, but bytes that are there come first.
        assert_eq!(theirs.recv(soon).await.unwrap_err(), Hangup::TimedOut);
        ours.send(bytes("late"), Instant::NEVER).await.unwrap();
        assert_eq!(receive(&theirs, 4).await, b"late");
    });
}

fn a_send_ends_at_its_deadline(bench: &Bench) {
    let (ours, theirs) = bench.pair();
    let soon = bench.soon();
    bench.run(async move {
        // Nobody reads: no socket buffer takes it all.
        let hangup = ours.send(bytes(vec![7; 64 << 20]), soon).await.unwrap_err();
        assert_eq!(hangup, Hangup::TimedOut);
        ours.abort();
        drop(theirs);
    });
}

fn a_connect_ends_at_its_deadline(bench: &Bench) {
    let hole = bench.black_hole();
    let (reactor, soon) = (bench.reactor.clone(), bench.soon());
    bench.run(async move {
        let error = reactor.connect(hole, None, soon).await.err().expect("nobody is there");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(reactor.now() >= soon);
    });
}

fn a_closed_port_refuses(bench: &Bench) {
    let (listener, address) = bench.listen();
    drop(listener);
    let reactor = bench.reactor.clone();
    bench.run(async move {
        while reactor.descriptors() > 0 {
            reactor.sleep(reactor.now() + Duration::from_millis(1)).await;
        }
        let error = reactor.connect(address, None, Instant::NEVER).await.err();
        assert_eq!(error.expect("nobody listens").kind(), ErrorKind::ConnectionRefused);
    });
}

fn a_receive_can_be_interrupted(bench: &Bench) {
    let (ours, theirs) = bench.pair();
    let reactor = bench.reactor.clone();
    bench.run(async move {
        let interrupter = theirs.interrupter();
        let (soon, at) = (reactor.clone(), reactor.now() + Duration::from_millis(10));
        reactor.spawn(async move {
            soon.sleep(at).await;
            interrupter.interrupt();
        });
        assert_eq!(theirs.recv(Instant::NEVER).await.unwrap_err(), Hangup::Interrupted);
        ours.send(bytes("after"), Instant::NEVER).await.unwrap();
        assert_eq!(receive(&theirs, 5).await, b"after");
    });
}

fn an_interrupt_is_kept_for_the_next_wait(bench: &Bench) {
    let (ours, theirs) = bench.pair();
    bench.run(async move {
        let interrupter = theirs.interrupter();
        interrupter.interrupt();
        interrupter.interrupt();
        assert_eq!(theirs.recv(Instant::NEVER).await.unwrap_err(), Hangup::Interrupted);
        // Two before one wait are one.
        ours.send(bytes("x"), Instant::NEVER).await.unwrap();
        assert_eq!(receive(&theirs, 1).await, b"x");
        drop(theirs);
        interrupter.interrupt();
    });
}

fn an_accept_can_be_interrupted(bench: &Bench) {
    let (listener, address) = bench.listen();
    let reactor = bench.reactor.clone();
    bench.run(async move {
        let interrupter = listener.interrupter();
        let (soon, at) = (reactor.clone(), reactor.now() + Duration::from_millis(10));
        reactor.spawn(async move {
            soon.sleep(at).await;
            interrupter.interrupt();
        });
        let error = listener.accept().await.err().expect("nobody connects");
        assert_eq!(error.kind(), ErrorKind::Interrupted);
        let _ours = reactor.connect(address, None, Instant::NEVER).await.unwrap();
        listener.accept().await.unwrap();
    });
}

fn a_dropped_receive_loses_nothing(bench: &Bench) {
    let (ours, theirs) = bench.pair();
    let reactor = bench.reactor.clone();
    bench.run(async move {
        let sent = pattern(20_000);
        let mut received = Vec::new();
        let (sender, whole) = (reactor.clone(), sent.clone());
        reactor.spawn(async move {
            for piece in whole.chunks(100) {
                ours.send(bytes(piece), Instant::NEVER).await.unwrap();
                sender.yield_now().await;
            }
        });
        while received.len() < sent.len() {
            match try_once(theirs.recv(Instant::NEVER)).await {
                Some(lease) => received.extend_from_slice(&lease.unwrap()),
                None => reactor.sleep(reactor.now() + Duration::from_micros(200)).await,
            }
        }
        assert_eq!(received, sent);
    });
}

fn a_dropped_send_lets_go(bench: &Bench) {
    let (ours, theirs) = bench.pair();
    bench.run(async move {
        let mut slab = Slab::new(32 << 20);
        slab.append(&pattern(32 << 20));
        let slab = Rc::new(slab);
        let part = Part::Slice(SlabSlice::new(Rc::clone(&slab), 0..slab.len()));
        let sent = try_once(ours.send(vec![part], Instant::NEVER)).await;
        assert!(sent.is_none(), "more than a socket takes at once");
        assert!(Rc::strong_count(&slab) > 1, "the kernel may still read it");
        drop(ours);
        let received = receive_all(&theirs).await;
        assert_eq!(received, &slab.as_slice()[..received.len()], "a beginning");
        assert!(received.len() < slab.len());
        assert_eq!(Rc::strong_count(&slab), 1, "it was closed, so nothing keeps the memory");
    });
}

fn a_dropped_connect_lets_go(bench: &Bench) {
    let hole = bench.black_hole();
    let reactor = bench.reactor.clone();
    bench.run(async move {
        assert!(try_once(reactor.connect(hole, None, Instant::NEVER)).await.is_none());
    });
}

fn a_closed_listener_closes_who_waits(bench: &Bench) {
    let (listener, address) = bench.listen();
    let reactor = bench.reactor.clone();
    bench.run(async move {
        let first = reactor.connect(address, None, Instant::NEVER).await.unwrap();
        let accepted = listener.accept().await.unwrap();
        let second = reactor.connect(address, None, Instant::NEVER).await.unwrap();
        drop(listener);
        assert!(second.recv(Instant::NEVER).await.is_err());
        first.send(bytes("still there"), Instant::NEVER).await.unwrap();
        assert_eq!(receive(&accepted, 11).await, b"still there");
    });
}

fn a_stream_is_closed_while_it_receives(bench: &Bench) {
    let (ours, theirs) = bench.pair();
    bench.run(async move {
        assert!(try_once(theirs.recv(Instant::NEVER)).await.is_none());
        drop(theirs);
        assert_eq!(receive_all(&ours).await, b"");
    });
    // The wildcard address is one to listen at, on a real host.
    if !bench.is_simulated() {
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        drop(bench.reactor.listen(any, true).unwrap());
    }
}
