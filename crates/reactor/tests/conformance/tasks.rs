//! What tasks, timers, signals and channels promise within one reactor.

use crate::bench::{Bench, Promise, try_once};
use reactor::{Instant, Signal, channel};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

pub(crate) const PROMISES: &[Promise] = &[
    ("a main that ends at once ends", a_main_that_ends_at_once_ends),
    ("tasks take turns", tasks_take_turns),
    ("timers expire in order", timers_expire_in_order),
    ("timers of one instant expire as made", timers_of_one_instant_expire_as_made),
    ("time never goes back", time_never_goes_back),
    ("entropy differs", entropy_differs),
    ("a signal wakes who waited longest", a_signal_wakes_who_waited_longest),
    ("a signal wakes all", a_signal_wakes_all),
    ("a signal's wait has a deadline", a_signals_wait_has_a_deadline),
    ("a wake-up survives who went away", a_wake_up_survives_who_went_away),
    ("a channel keeps order and bounds", a_channel_keeps_order_and_bounds),
    ("a channel ends with its senders", a_channel_ends_with_its_senders),
    ("a channel gives back what nobody takes", a_channel_gives_back_what_nobody_takes),
    ("a task may spawn at its end", a_task_may_spawn_at_its_end),
];

fn a_main_that_ends_at_once_ends(bench: &Bench) {
    assert_eq!(bench.run(async { 7 }), 7);
    if !bench.is_simulated() {
        assert_eq!(bench.reactor.run(async { 8 }), 8);
    }
}

fn tasks_take_turns(bench: &Bench) {
    let reactor = bench.reactor.clone();
    let order = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&order);
    bench.run(async move {
        let left = Rc::new(Cell::new(3));
        for name in ["a", "b", "c"] {
            let (reactor, seen, left) = (reactor.clone(), Rc::clone(&seen), Rc::clone(&left));
            reactor.clone().spawn(async move {
                for _ in 0..1000 {
                    seen.borrow_mut().push(name);
                    reactor.yield_now().await;
                }
                left.set(left.get() - 1);
            });
        }
        while left.get() > 0 {
            reactor.yield_now().await;
        }
    });
    let order = order.borrow();
    assert_eq!(order.len(), 3000);
    assert!(order.chunks(3).all(|round| round == ["a", "b", "c"]));
}

fn timers_expire_in_order(bench: &Bench) {
    let reactor = bench.reactor.clone();
    let order = bench.run(async move {
        let order = Rc::new(RefCell::new(Vec::new()));
        let start = reactor.now();
        for delay in [30u64, 10, 20, 0, 25, 5, 15] {
            let (reactor, order) = (reactor.clone(), Rc::clone(&order));
            reactor.clone().spawn(async move {
                let at = start + Duration::from_millis(delay);
                reactor.sleep(at).await;
                assert!(reactor.now() >= at);
                order.borrow_mut().push(delay);
            });
        }
        reactor.sleep(start + Duration::from_millis(40)).await;
        order.take()
    });
    assert_eq!(order, [0, 5, 10, 15, 20, 25, 30]);
}

fn timers_of_one_instant_expire_as_made(bench: &Bench) {
    let reactor = bench.reactor.clone();
    let order = bench.run(async move {
        let order = Rc::new(RefCell::new(Vec::new()));
        let at = reactor.now() + Duration::from_millis(10);
        for number in 0..100 {
            let (reactor, order) = (reactor.clone(), Rc::clone(&order));
            reactor.clone().spawn(async move {
                reactor.sleep(at).await;
                order.borrow_mut().push(number);
            });
        }
        reactor.yield_now().await;
        reactor.sleep(at).await;
        order.take()
    });
    assert_eq!(order, (0..100).collect::<Vec<_>>());
}

fn time_never_goes_back(bench: &Bench) {
    let reactor = bench.reactor.clone();
    bench.run(async move {
        let (first, wall) = (reactor.now(), reactor.wall_clock());
        let mut last = first;
        for _ in 0..100 {
            reactor.sleep(last + Duration::from_micros(100)).await;
            assert!(reactor.now() >= last + Duration::from_micros(100));
            last = reactor.now();
        }
        assert!(last.since(first) >= Duration::from_millis(10));
        assert!(reactor.wall_clock() > wall);
        assert!(wall > Duration::from_secs(1_000_000_000), "later than 2001");
    });
}

fn entropy_differs(bench: &Bench) {
    let mut seen: Vec<u64> = (0..100).map(|_| bench.reactor.entropy()).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 100);
}

fn a_signal_wakes_who_waited_longest(bench: &Bench) {
    let reactor = bench.reactor.clone();
    bench.run(async move {
        let (signal, order) = (Signal::new(&reactor), Rc::new(RefCell::new(Vec::new())));
        assert!(!signal.notify_one(), "nobody waits, and nothing is remembered");
        for number in 0..3 {
            let (signal, order) = (signal.clone(), Rc::clone(&order));
            reactor.spawn(async move {
                assert!(signal.wait(Instant::NEVER).await);
                order.borrow_mut().push(number);
            });
        }
        for count in 0..3usize {
            reactor.yield_now().await;
            assert_eq!(order.borrow().len(), count);
            assert!(signal.notify_one());
            reactor.yield_now().await;
        }
        assert_eq!(*order.borrow(), [0, 1, 2]);
        assert!(!signal.notify_one());
    });
}

fn a_signal_wakes_all(bench: &Bench) {
    let reactor = bench.reactor.clone();
    bench.run(async move {
        let (signal, count) = (Signal::new(&reactor), Rc::new(Cell::new(0)));
        for _ in 0..500 {
            let (signal, count) = (signal.clone(), Rc::clone(&count));
            reactor.spawn(async move {
                signal.wait(Instant::NEVER).await;
                count.set(count.get() + 1);
            });
        }
        reactor.yield_now().await;
        signal.notify_all();
        reactor.yield_now().await;
        assert_eq!(count.get(), 500);
    });
}

fn a_signals_wait_has_a_deadline(bench: &Bench) {
    let (reactor, soon) = (bench.reactor.clone(), bench.soon());
    bench.run(async move {
        let signal = Signal::new(&reactor);
        assert!(!signal.wait(soon).await);
        assert!(reactor.now() >= soon);
        assert!(!signal.notify_one(), "it waits no more");
    });
}

fn a_wake_up_survives_who_went_away(bench: &Bench) {
    let reactor = bench.reactor.clone();
    bench.run(async move {
        let (signal, woken) = (Signal::new(&reactor), Rc::new(Cell::new(false)));
        let mut first = Box::pin(signal.wait(Instant::NEVER));
        assert!(try_once(&mut first).await.is_none());
        let (second, told) = (signal.clone(), Rc::clone(&woken));
        reactor.spawn(async move {
            second.wait(Instant::NEVER).await;
            told.set(true);
        });
        reactor.yield_now().await;
        signal.notify_one();
        drop(first);
        reactor.yield_now().await;
        reactor.yield_now().await;
        assert!(woken.get());
    });
}

fn a_channel_keeps_order_and_bounds(bench: &Bench) {
    let reactor = bench.reactor.clone();
    bench.run(async move {
        let (sender, mut receiver) = channel(4);
        for number in 0..4 {
            sender.try_send(number).unwrap();
        }
        assert_eq!(sender.try_send(4), Err(4), "it is full");
        for number in 0..4 {
            assert_eq!(receiver.recv(&reactor).await, Some(number));
        }
        assert_eq!(receiver.try_recv(), None);
        let (again, turns) = (sender.clone(), reactor.clone());
        reactor.spawn(async move {
            for number in 0..1000 {
                while again.try_send(number).is_err() {
                    turns.yield_now().await;
                }
            }
        });
        for number in 0..1000 {
            assert_eq!(receiver.recv(&reactor).await, Some(number));
        }
    });
}

fn a_channel_ends_with_its_senders(bench: &Bench) {
    let reactor = bench.reactor.clone();
    bench.run(async move {
        let (sender, mut receiver) = channel(4);
        let (second, later) = (sender.clone(), reactor.clone());
        drop(sender);
        reactor.spawn(async move {
            later.sleep(later.now() + Duration::from_millis(5)).await;
            second.try_send("last").unwrap();
        });
        assert_eq!(receiver.recv(&reactor).await, Some("last"));
        assert_eq!(receiver.recv(&reactor).await, None);
    });
}

fn a_channel_gives_back_what_nobody_takes(_: &Bench) {
    let (sender, receiver) = channel(4);
    drop(receiver);
    assert_eq!(sender.try_send("back"), Err("back"));
}

fn a_task_may_spawn_at_its_end(bench: &Bench) {
    struct Last(reactor::Reactor, Rc<Cell<bool>>);
    impl Drop for Last {
        fn drop(&mut self) {
            let ran = Rc::clone(&self.1);
            self.0.spawn(async move { ran.set(true) });
        }
    }
    let reactor = bench.reactor.clone();
    bench.run(async move {
        let ran = Rc::new(Cell::new(false));
        let last = Last(reactor.clone(), Rc::clone(&ran));
        reactor.spawn(async move { drop(std::convert::identity(last)) });
        reactor.yield_now().await;
        reactor.yield_now().await;
        assert!(ran.get());
    });
}
