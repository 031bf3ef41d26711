//! Closing descriptors, and passing receive buffers on: what becomes free when something ends.

use super::Core;
use crate::descriptor::{Chunk, DescriptorKey, Descriptors, Kind};
use crate::kernel::{Descriptor, Group, Operation};
use crate::slot::{Owner, Payload};
use std::cell::RefMut;
use std::collections::VecDeque;

impl Core {
    /// Closes a descriptor that has no entry.
    pub(crate) fn close_raw(&self, descriptor: Descriptor) {
        let close = |_: &mut Payload| Operation::Close { descriptor };
        self.start(Owner::Closer, None, Payload::Nothing, close);
        self.closing.set(self.closing.get() + 1);
    }

    /// One operation less on a descriptor.
    pub(super) fn release_descriptor(&self, key: DescriptorKey) {
        let mut descriptors = self.descriptors.borrow_mut();
        let entry = descriptors.get(key).expect("an entry outlives its operations");
        entry.in_flight -= 1;
        self.close_if_idle(descriptors, key);
    }

    /// Closes a descriptor for its owner: at once, or after its last operation.
    pub(crate) fn close(&self, key: DescriptorKey) {
        let mut descriptors = self.descriptors.borrow_mut();
        let Some(entry) = descriptors.get(key) else { return };
        entry.closing = true;
        let mut armed = None;
        let mut buffers = Vec::new();
        let mut arrived = VecDeque::new();
        let mut group = Group::Inbound;
        match &mut entry.kind {
            Kind::File => {}
            Kind::Socket(inbox) => {
                armed = inbox.armed.filter(|_| !std::mem::replace(&mut inbox.stopping, true));
                buffers.extend(inbox.chunks.drain(..).filter_map(|chunk| match chunk {
                    Chunk::Lent { buffer, .. } => Some(buffer),
                    Chunk::Copied(_) => None,
                }));
                group = inbox.group;
            }
            Kind::Listener(door) => {
                armed = door.armed;
                arrived = std::mem::take(&mut door.arrived);
            }
        }
        if let Some(token) = armed
            && crate::mutated("cancel-frees-early")
            && let Some(slot) = self.slots.borrow_mut().get(token)
        {
            entry.in_flight -= 1;
            slot.descriptor = None;
            slot.owner = Owner::Nobody;
        }
        self.close_if_idle(descriptors, key);
        if let Some(token) = armed {
            self.cancel(token);
        }
        for buffer in buffers {
            self.release_buffer(group, buffer);
        }
        for descriptor in arrived {
            self.close_raw(descriptor);
        }
    }

    fn close_if_idle(&self, mut descriptors: RefMut<'_, Descriptors>, key: DescriptorKey) {
        if descriptors.get(key).is_some_and(|entry| entry.closing && entry.in_flight == 0) {
            let entry = descriptors.remove(key).expect("just seen");
            drop(descriptors);
            self.close_raw(entry.descriptor);
        }
    }

    /// Gives a receive buffer back, and lets the socket that has waited longest have it.
    pub(crate) fn release_buffer(&self, group: Group, buffer: u16) {
        self.kernel.borrow_mut().release(group, buffer);
        self.count_lent(group, -1);
        self.feed_next(group);
    }

    /// A buffer is free: the first in line that still wants one tries again. A socket in line has
    /// something to receive, so it takes the buffer, or passes its turn on when its receive ends.
    pub(crate) fn feed_next(&self, group: Group) {
        loop {
            let next = self.starved.borrow_mut()[group as usize].pop_front();
            let Some(key) = next else { return };
            if crate::stream::feed(self, key) {
                return;
            }
        }
    }

    /// Notes that the kernel has handed a receive buffer out.
    pub(crate) fn borrow_buffer(&self, group: Group) {
        self.count_lent(group, 1);
    }

    fn count_lent(&self, group: Group, change: i32) {
        let mut lent = self.lent.get();
        let count = &mut lent[group as usize];
        *count = count.checked_add_signed(change).expect("a buffer was released twice");
        self.lent.set(lent);
    }

    /// Puts a socket at the end of the line for receive buffers, unless one has come back since the
    /// kernel had none: nobody would be left to feed it, if none was to come back any more.
    pub(crate) fn line_up(&self, group: Group, key: DescriptorKey) {
        let lent = self.lent.get()[group as usize];
        if lent < self.kernel.borrow().buffer_count(group) {
            crate::stream::feed(self, key);
        } else {
            self.starved.borrow_mut()[group as usize].push_back(key);
        }
    }
}
