//! A wake-up between tasks of one reactor.

use crate::executor::TaskId;
use crate::reactor::{Core, Expiry, Reactor};
use crate::time::Instant;
use crate::timer::TimerKey;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// Wakes waiting tasks; it keeps no memory of a wake-up that nobody waited for.
///
/// Tasks of one reactor do not interrupt each other, so *look at the condition, then wait* misses
/// nothing.
#[derive(Clone)]
pub struct Signal {
    shared: Rc<Shared>,
}

struct Shared {
    core: Rc<Core>,
    waiters: RefCell<VecDeque<(u64, TaskId)>>,
    next: Cell<u64>,
}

impl Shared {
    fn notify_one(&self) -> bool {
        let first = self.waiters.borrow_mut().pop_front();
        if let Some((_, task)) = first {
            self.core.wake(task);
        }
        first.is_some()
    }

    fn waits(&self, number: u64) -> bool {
        self.waiters.borrow().iter().any(|(waiter, _)| *waiter == number)
    }
}

impl Signal {
    /// A signal for tasks of `reactor`.
    pub fn new(reactor: &Reactor) -> Self {
        let shared = Shared {
            core: reactor.core(),
            waiters: RefCell::new(VecDeque::new()),
            next: Cell::new(0),
        };
        Self { shared: Rc::new(shared) }
    }

    /// Wakes the task that has waited longest; `false` when none waits.
    pub fn notify_one(&self) -> bool {
        self.shared.notify_one()
    }

    /// Wakes all tasks that wait.
    pub fn notify_all(&self) {
        while self.notify_one() {}
    }

    /// Waits for a wake-up; `false` when `by` has come first.
    pub fn wait(&self, by: Instant) -> impl Future<Output = bool> + use<> {
        Wait { shared: Rc::clone(&self.shared), by, waiting: None, timer: None, told: false }
    }
}

struct Wait {
    shared: Rc<Shared>,
    by: Instant,
    waiting: Option<u64>,
    timer: Option<TimerKey>,
    /// It has answered.
    told: bool,
}

impl Future for Wait {
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<bool> {
        let shared = Rc::clone(&self.shared);
        let Some(number) = self.waiting else {
            let number = shared.next.replace(shared.next.get() + 1);
            let task = shared.core.current_task();
            shared.waiters.borrow_mut().push_back((number, task));
            self.waiting = Some(number);
            if self.by != Instant::NEVER {
                self.timer = Some(shared.core.set_timer(self.by, Expiry::Task(task)));
            }
            return Poll::Pending;
        };
        let woken = !shared.waits(number);
        if woken || shared.core.now() >= self.by {
            self.told = true;
            return Poll::Ready(woken);
        }
        Poll::Pending
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let Some(timer) = self.timer.take() {
            self.shared.core.cancel_timer(timer);
        }
        let Some(number) = self.waiting else { return };
        if self.shared.waits(number) {
            self.shared.waiters.borrow_mut().retain(|(waiter, _)| *waiter != number);
        } else if !self.told {
            // The wake-up was for somebody who went away: the next one gets it.
            self.shared.notify_one();
        }
    }
}
