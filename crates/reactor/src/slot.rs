//! Slots: what is known of each operation between its submission and its last completion.

use crate::descriptor::DescriptorKey;
use crate::executor::TaskId;
use crate::file::FileAnswer;
use crate::kernel::Token;
use crate::memory::{Gather, Slab};
use crate::timer::TimerKey;
use std::net::SocketAddr;

/// Memory that the kernel may touch; it lives in the slot until the last completion.
pub(crate) enum Payload {
    /// None.
    Nothing,
    /// What is sent or written.
    Parts(Box<Gather>),
    /// What is read into.
    Memory(Slab),
    /// Where to connect to.
    Address(Box<SocketAddr>),
}

/// Who hears of the completions.
pub(crate) enum Owner {
    /// A future, whose task is woken at the end.
    Task(TaskId),
    /// A future that has not been told yet.
    Done {
        /// The kernel's result.
        result: i32,
        /// The answer of a call.
        answer: Option<Box<FileAnswer>>,
    },
    /// The receive queue of the slot's descriptor.
    Receiver,
    /// The accept queue of the slot's descriptor.
    Acceptor,
    /// The count of descriptors that are being closed.
    Closer,
    /// Nobody: the future was dropped, or never was.
    Nobody,
}

/// One operation.
pub(crate) struct Slot {
    generation: u32,
    /// Who hears of it.
    pub(crate) owner: Owner,
    /// The descriptor that must not be closed before the last completion.
    pub(crate) descriptor: Option<DescriptorKey>,
    /// The memory that must not be freed before it.
    pub(crate) payload: Payload,
    /// The deadline.
    pub(crate) timer: Option<TimerKey>,
    /// Whether the deadline has passed: a cancellation then means a time-out.
    pub(crate) timed_out: bool,
}

/// The slots of one reactor.
pub(crate) struct Slots {
    slots: slab::Slab<Slot>,
    generation: u32,
    in_flight: usize,
}

impl Slots {
    pub(crate) fn new() -> Self {
        Self { slots: slab::Slab::new(), generation: 0, in_flight: 0 }
    }

    /// Takes a slot.
    pub(crate) fn insert(
        &mut self,
        owner: Owner,
        descriptor: Option<DescriptorKey>,
        payload: Payload,
    ) -> Token {
        // A generation that never repeats within reach: a late completion finds another tenant.
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let slot = Slot { generation, owner, descriptor, payload, timer: None, timed_out: false };
        let index = self.slots.insert(slot);
        self.in_flight += 1;
        Token(u64::from(generation) << 32 | index as u64)
    }

    /// The slot of `token`, unless it has a later tenant or none.
    pub(crate) fn get(&mut self, token: Token) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(token.0 as u32 as usize)?;
        (slot.generation == (token.0 >> 32) as u32).then_some(slot)
    }

    /// Frees the slot of `token`.
    pub(crate) fn remove(&mut self, token: Token) -> Option<Slot> {
        self.get(token)?;
        Some(self.slots.remove(token.0 as u32 as usize))
    }

    /// Notes a last completion.
    pub(crate) fn landed(&mut self) {
        self.in_flight -= 1;
    }

    /// Operations whose last completion has not come.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }
}
