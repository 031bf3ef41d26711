//! Operations from their submission to their last completion, and the futures that wait for them.

use super::{Core, Expiry, GATHERS_KEPT};
use crate::descriptor::DescriptorKey;
use crate::file::FileAnswer;
use crate::kernel::{Completion, Operation, Token};
use crate::memory::{Gather, Part};
use crate::slot::{Owner, Payload, Slot};
use crate::time::Instant;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

impl Core {
    /// Submits an operation whose completions go to `owner`.
    pub(crate) fn start(
        &self,
        owner: Owner,
        descriptor: Option<DescriptorKey>,
        payload: Payload,
        operation: impl FnOnce(&mut Payload) -> Operation,
    ) -> Token {
        if let Some(key) = descriptor {
            let mut descriptors = self.descriptors.borrow_mut();
            let entry = descriptors.get(key).expect("an operation needs an open descriptor");
            entry.in_flight += 1;
        }
        let mut slots = self.slots.borrow_mut();
        let token = slots.insert(owner, descriptor, payload);
        let slot = slots.get(token).expect("just inserted");
        let operation = operation(&mut slot.payload);
        drop(slots);
        self.kernel.borrow_mut().submit(token, operation);
        token
    }

    /// Submits a one-shot operation for the running task; ends by `by`.
    pub(crate) fn ask(
        self: &Rc<Self>,
        descriptor: Option<DescriptorKey>,
        by: Instant,
        payload: Payload,
        operation: impl FnOnce(&mut Payload) -> Operation,
    ) -> Pending {
        let owner = Owner::Task(self.current_task());
        let token = self.start(owner, descriptor, payload, operation);
        if by != Instant::NEVER {
            let timer = self.set_timer(by, Expiry::Operation(token));
            self.slots.borrow_mut().get(token).expect("just started").timer = Some(timer);
        }
        Pending { core: Rc::clone(self), token, cancels: true }
    }

    /// As [`ask`](Self::ask), but nothing ends it early: dropping the future lets it go on.
    pub(crate) fn ask_for_good(
        self: &Rc<Self>,
        descriptor: Option<DescriptorKey>,
        payload: Payload,
        operation: impl FnOnce(&mut Payload) -> Operation,
    ) -> Pending {
        let mut pending = self.ask(descriptor, Instant::NEVER, payload, operation);
        pending.cancels = false;
        pending
    }

    /// Vectors of `parts` from byte `skip` on, in recycled memory if there is some.
    pub(crate) fn gather(&self, parts: Vec<Part>, skip: usize) -> Box<Gather> {
        let mut gather = self.gathers.borrow_mut().pop().unwrap_or_default();
        gather.fill(parts, skip);
        gather
    }

    /// Takes the parts back, and keeps the memory for the next call.
    pub(crate) fn ungather(&self, mut gather: Box<Gather>) -> Vec<Part> {
        let parts = gather.empty();
        let mut gathers = self.gathers.borrow_mut();
        if gathers.len() < GATHERS_KEPT {
            gathers.push(gather);
        }
        parts
    }

    /// Asks for the cancellation of `target`.
    pub(crate) fn cancel(&self, target: Token) {
        self.start(Owner::Nobody, None, Payload::Nothing, |_| Operation::Cancel { target });
    }

    /// Takes one completion in.
    pub(super) fn complete(&self, completion: Completion) {
        let token = completion.token;
        let mut slots = self.slots.borrow_mut();
        let Some(slot) = slots.get(token) else { return };
        let descriptor = slot.descriptor;
        let last = !completion.more;
        match slot.owner {
            Owner::Task(task) => {
                if !last {
                    return;
                }
                slot.owner = Owner::Done { result: completion.result, answer: completion.answer };
                if let Some(timer) = slot.timer.take() {
                    self.timers.borrow_mut().cancel(timer);
                }
                slots.landed();
                drop(slots);
                self.tasks.wake(task);
            }
            Owner::Nobody => {
                if last {
                    slots.remove(token);
                    slots.landed();
                }
                drop(slots);
                self.discard(&completion);
            }
            Owner::Closer => {
                slots.remove(token);
                slots.landed();
                self.closing.set(self.closing.get() - 1);
            }
            Owner::Receiver | Owner::Acceptor => {
                let receives = matches!(slot.owner, Owner::Receiver);
                if last {
                    slots.remove(token);
                    slots.landed();
                }
                drop(slots);
                let key = descriptor.expect("a multishot operation belongs to a descriptor");
                if receives {
                    crate::stream::received(self, key, &completion);
                } else {
                    crate::stream::accepted(self, key, &completion);
                }
            }
            Owner::Done { .. } => panic!("the kernel completed an operation twice"),
        }
        if let (true, Some(key)) = (last, descriptor) {
            self.release_descriptor(key);
        }
    }

    /// Gives back what a completion brought for a future that is gone.
    fn discard(&self, completion: &Completion) {
        if let Some(FileAnswer::Opened(descriptor)) = completion.answer.as_deref() {
            self.close_raw(*descriptor);
        }
    }
}

/// What an operation came to.
pub(crate) struct Landed {
    /// Not negative, or why not; a cancellation by the deadline is `TimedOut`.
    pub(crate) result: io::Result<i32>,
    /// The memory, back from the kernel.
    pub(crate) payload: Payload,
    /// The answer of a call.
    pub(crate) answer: Option<Box<FileAnswer>>,
}

/// A one-shot operation in flight. Dropping it detaches it: the operation is cancelled, if it may
/// be, and its memory and descriptor live until it has completed.
pub(crate) struct Pending {
    core: Rc<Core>,
    token: Token,
    /// Whether dropping it asks for a cancellation.
    cancels: bool,
}

impl Future for Pending {
    type Output = Landed;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Landed> {
        let mut slots = self.core.slots.borrow_mut();
        let slot = slots.get(self.token).expect("polled after its end");
        if let Owner::Task(task) = &mut slot.owner {
            *task = self.core.current_task();
            return Poll::Pending;
        }
        let slot = slots.remove(self.token).expect("just seen");
        Poll::Ready(land(slot))
    }
}

fn land(slot: Slot) -> Landed {
    let Owner::Done { result, answer } = slot.owner else {
        panic!("an operation landed before it was done")
    };
    let result = match result {
        result if result >= 0 => Ok(result),
        error if error == -libc::ECANCELED && slot.timed_out => {
            Err(io::Error::from(io::ErrorKind::TimedOut))
        }
        error => Err(io::Error::from_raw_os_error(-error)),
    };
    Landed { result, payload: slot.payload, answer }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let mut slots = self.core.slots.borrow_mut();
        let Some(slot) = slots.get(self.token) else { return };
        if let Some(timer) = slot.timer.take() {
            self.core.cancel_timer(timer);
        }
        if let Owner::Done { .. } = slot.owner {
            let slot = slots.remove(self.token).expect("just seen");
            drop(slots);
            if let Owner::Done { answer: Some(answer), .. } = slot.owner
                && let FileAnswer::Opened(descriptor) = *answer
            {
                self.core.close_raw(descriptor);
            }
            return;
        }
        slot.owner = Owner::Nobody;
        drop(slots);
        if self.cancels {
            self.core.cancel(self.token);
        }
    }
}
