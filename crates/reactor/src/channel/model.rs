//! All interleavings of a receiver that falls asleep and senders that wake it.
//!
//! The queue itself is crossbeam's, which the model does not see: a counter stands for it, as weak
//! as an item's arrival may be. What is checked is the two levels of flags around it.

use super::{Bell, Remote};
use crate::executor::TaskId;
use crate::kernel::WakeTarget;
use crate::sync::{AtomicBool, Mutex};
use loom::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

const TASK: TaskId = TaskId(7);

struct Scene {
    items: AtomicUsize,
    bell: Bell,
    remote: Arc<Remote>,
}

impl Scene {
    fn new() -> Arc<Self> {
        let bell = Bell { parked: AtomicBool::new(false), waiter: Mutex::new(None) };
        let remote = Remote::new(WakeTarget::Sim);
        Arc::new(Self { items: AtomicUsize::new(0), bell, remote })
    }

    fn send(&self) {
        self.items.fetch_add(1, Ordering::Release);
        self.bell.ring();
    }

    fn take(&self) -> bool {
        let items = self.items.load(Ordering::Acquire);
        items > 0 && self.items.fetch_sub(1, Ordering::AcqRel) > 0
    }

    /// As `Receiver::recv` polls.
    fn poll(&self) -> bool {
        if self.take() {
            return true;
        }
        self.bell.park(Arc::clone(&self.remote), TASK);
        self.take()
    }

    /// Turns until `wanted` items were taken or there is nothing to do; whether it sleeps then.
    fn receive(&self, wanted: usize) -> bool {
        let mut taken = 0;
        while taken < wanted {
            if self.poll() {
                taken += 1;
            } else if self.remote.fall_asleep() {
                return true;
            } else {
                self.remote.collect(&mut Vec::new());
            }
        }
        false
    }
}

fn no_item_is_slept_through(senders: usize) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let scene = Scene::new();
        let sending: Vec<_> = (0..senders)
            .map(|_| {
                let scene = Arc::clone(&scene);
                loom::thread::spawn(move || scene.send())
            })
            .collect();
        let sleeps = scene.receive(senders);
        for sender in sending {
            sender.join().unwrap();
        }
        if sleeps {
            // Somebody took the sleeper's flag, and so sounds the alarm; and the task is ready.
            assert!(!scene.remote.sleeping.load(Ordering::SeqCst), "nobody sounded the alarm");
            let mut woken = Vec::new();
            scene.remote.collect(&mut woken);
            assert!(woken.contains(&TASK), "the task was not made ready");
        }
    });
}

#[test]
fn one_sender_and_a_receiver_never_miss_each_other() {
    no_item_is_slept_through(1);
}

#[test]
fn two_senders_and_a_receiver_never_miss_each_other() {
    no_item_is_slept_through(2);
}
