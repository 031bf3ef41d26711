//! Bounded channels between shards and other threads.
//!
//! Any thread may send; one task of one reactor receives. Sending never blocks. Lost wake-ups are
//! excluded on both levels in the same way: the sleeper sets its flag, fences and looks again; the
//! waker makes its item visible, fences and then reads the flag.

use crate::executor::TaskId;
use crate::kernel::WakeTarget;
use crate::reactor::{Reactor, wake_from_here};
use crate::sync::{AtomicBool, Mutex, Ordering, fence};
use std::future::poll_fn;
use std::sync::{Arc, PoisonError};
use std::task::Poll;

/// How other threads reach a reactor: the tasks that they made ready, and its alarm.
pub(crate) struct Remote {
    sleeping: AtomicBool,
    any: AtomicBool,
    woken: Mutex<Vec<TaskId>>,
    target: WakeTarget,
}

impl Remote {
    pub(crate) fn new(target: WakeTarget) -> Arc<Self> {
        Arc::new(Self {
            sleeping: AtomicBool::new(false),
            any: AtomicBool::new(false),
            woken: Mutex::new(Vec::new()),
            target,
        })
    }

    /// Makes `task` ready, from any thread; one alarm per sleep.
    pub(crate) fn wake(&self, task: TaskId) {
        self.woken.lock().unwrap_or_else(PoisonError::into_inner).push(task);
        self.any.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if claim(&self.sleeping) {
            wake_from_here(&self.target);
        }
    }

    /// Whether some task was made ready since the last [`collect`](Self::collect).
    pub(crate) fn any(&self) -> bool {
        self.any.load(Ordering::SeqCst)
    }

    /// Takes the tasks that were made ready.
    pub(crate) fn collect(&self, into: &mut Vec<TaskId>) {
        if self.any.swap(false, Ordering::SeqCst) {
            into.append(&mut self.woken.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Announces a sleep; `false` when there is a reason not to.
    pub(crate) fn fall_asleep(&self) -> bool {
        self.sleeping.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if self.any() {
            self.wake_up();
            return false;
        }
        true
    }

    /// Ends a sleep.
    pub(crate) fn wake_up(&self) {
        self.sleeping.store(false, Ordering::SeqCst);
    }
}

/// Takes a sleeper's flag: `true` for one of those who try. Mostly nobody sleeps, and then it only
/// looks, so that the flag stays in every core's cache.
fn claim(flag: &AtomicBool) -> bool {
    flag.load(Ordering::SeqCst) && flag.swap(false, Ordering::SeqCst)
}

/// The receiving task, when it waits.
struct Bell {
    parked: AtomicBool,
    waiter: Mutex<Option<(Arc<Remote>, TaskId)>>,
}

impl Bell {
    fn ring(&self) {
        fence(Ordering::SeqCst);
        if claim(&self.parked) {
            let waiter = self.waiter.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some((remote, task)) = waiter {
                remote.wake(task);
            }
        }
    }

    fn park(&self, remote: Arc<Remote>, task: TaskId) {
        *self.waiter.lock().unwrap_or_else(PoisonError::into_inner) = Some((remote, task));
        self.parked.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }
}

/// The sending end: clone it, send it to any thread.
pub struct Sender<T> {
    queue: Option<crossbeam_channel::Sender<T>>,
    bell: Arc<Bell>,
}

/// The receiving end, owned by one task.
pub struct Receiver<T> {
    queue: crossbeam_channel::Receiver<T>,
    bell: Arc<Bell>,
}

/// A channel that holds at most `capacity` items.
pub fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = crossbeam_channel::bounded(capacity);
    let bell = Arc::new(Bell { parked: AtomicBool::new(false), waiter: Mutex::new(None) });
    let sending = Sender { queue: Some(sender), bell: Arc::clone(&bell) };
    (sending, Receiver { queue: receiver, bell })
}

impl<T> Sender<T> {
    /// Sends `item`, from any thread, without blocking.
    ///
    /// # Errors
    /// Gives the item back when the channel is full or its receiver is gone.
    pub fn try_send(&self, item: T) -> Result<(), T> {
        let queue = self.queue.as_ref().expect("taken only by drop");
        queue.try_send(item).map_err(crossbeam_channel::TrySendError::into_inner)?;
        self.bell.ring();
        Ok(())
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), bell: Arc::clone(&self.bell) }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        // The queue's end goes first, so that the receiver finds it disconnected.
        self.queue.take();
        self.bell.ring();
    }
}

impl<T> Receiver<T> {
    /// The next item, without waiting.
    pub fn try_recv(&mut self) -> Option<T> {
        self.queue.try_recv().ok()
    }

    /// The next item; `None` once the channel is empty and all senders are gone.
    pub async fn recv(&mut self, reactor: &Reactor) -> Option<T> {
        poll_fn(|_| {
            for last in [false, true] {
                match self.queue.try_recv() {
                    Ok(item) => return Poll::Ready(Some(item)),
                    Err(crossbeam_channel::TryRecvError::Disconnected) => return Poll::Ready(None),
                    Err(crossbeam_channel::TryRecvError::Empty) if last => {}
                    Err(crossbeam_channel::TryRecvError::Empty) => {
                        self.bell.park(reactor.remote(), reactor.current_task());
                    }
                }
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(all(test, loom))]
mod model;
