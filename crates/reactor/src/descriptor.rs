//! Descriptors, what has arrived on them, and when they may be closed.

use crate::executor::TaskId;
use crate::kernel::{Descriptor, Group, Token};
use std::collections::VecDeque;

/// Names a descriptor for as long as it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct DescriptorKey {
    index: u32,
    generation: u32,
}

/// Bytes that have arrived.
pub(crate) enum Chunk {
    /// In a receive buffer, from its start.
    Lent { buffer: u16, length: u32 },
    /// In memory of their own, as too many buffers were lent to this socket.
    Copied(Vec<u8>),
}

/// What a socket has received and nobody has taken.
pub(crate) struct Inbox {
    pub(crate) group: Group,
    /// The receive in flight.
    pub(crate) armed: Option<Token>,
    /// Its cancellation was asked for.
    pub(crate) stopping: bool,
    /// It waits in the line of those that found no buffer.
    pub(crate) starved: bool,
    /// What has arrived, in order.
    pub(crate) chunks: VecDeque<Chunk>,
    /// The end: 0 by the peer, else an errno.
    pub(crate) ended: Option<i32>,
    /// Somebody wants the waiting task to look up.
    pub(crate) interrupted: bool,
    /// The task that waits.
    pub(crate) waiter: Option<TaskId>,
}

impl Inbox {
    pub(crate) fn new(group: Group) -> Self {
        Self {
            group,
            armed: None,
            stopping: false,
            starved: false,
            chunks: VecDeque::new(),
            ended: None,
            interrupted: false,
            waiter: None,
        }
    }
}

/// What a listener has accepted and nobody has taken.
#[derive(Default)]
pub(crate) struct Door {
    /// The accept in flight.
    pub(crate) armed: Option<Token>,
    /// Connected sockets.
    pub(crate) arrived: VecDeque<Descriptor>,
    /// An errno that ended the accept.
    pub(crate) failed: Option<i32>,
    /// Somebody wants the waiting task to look up.
    pub(crate) interrupted: bool,
    /// The task that waits.
    pub(crate) waiter: Option<TaskId>,
}

/// What a descriptor is.
pub(crate) enum Kind {
    File,
    Socket(Box<Inbox>),
    Listener(Box<Door>),
}

/// An open descriptor.
pub(crate) struct Entry {
    generation: u32,
    pub(crate) descriptor: Descriptor,
    /// Operations queued or in flight: it is closed when there are none.
    pub(crate) in_flight: u32,
    /// Its owner is gone.
    pub(crate) closing: bool,
    pub(crate) kind: Kind,
}

/// The open descriptors of one reactor.
pub(crate) struct Descriptors {
    entries: slab::Slab<Entry>,
    generation: u32,
}

impl Descriptors {
    pub(crate) fn new() -> Self {
        Self { entries: slab::Slab::new(), generation: 0 }
    }

    pub(crate) fn insert(&mut self, descriptor: Descriptor, kind: Kind) -> DescriptorKey {
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let entry = Entry { generation, descriptor, in_flight: 0, closing: false, kind };
        DescriptorKey { index: self.entries.insert(entry) as u32, generation }
    }

    pub(crate) fn get(&mut self, key: DescriptorKey) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(key.index as usize)?;
        (entry.generation == key.generation).then_some(entry)
    }

    pub(crate) fn inbox(&mut self, key: DescriptorKey) -> Option<&mut Inbox> {
        match &mut self.get(key)?.kind {
            Kind::Socket(inbox) => Some(inbox),
            Kind::File | Kind::Listener(_) => None,
        }
    }

    pub(crate) fn door(&mut self, key: DescriptorKey) -> Option<&mut Door> {
        match &mut self.get(key)?.kind {
            Kind::Listener(door) => Some(door),
            Kind::File | Kind::Socket(_) => None,
        }
    }

    pub(crate) fn remove(&mut self, key: DescriptorKey) -> Option<Entry> {
        self.get(key)?;
        Some(self.entries.remove(key.index as usize))
    }

    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}
