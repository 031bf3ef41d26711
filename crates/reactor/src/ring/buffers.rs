//! Receive buffers that the kernel picks from: one ring of them per group.

use io_uring::{IoUring, types::BufRingEntry};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

/// Anonymous pages, zeroed, given back when dropped.
struct Pages {
    start: NonNull<u8>,
    bytes: usize,
}

impl Pages {
    fn new(bytes: usize) -> io::Result<Self> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: an anonymous mapping at an address of the kernel's choice touches nobody's
        // memory.
        let start =
            unsafe { mmap_anonymous(std::ptr::null_mut(), bytes, protection, MapFlags::PRIVATE) }?;
        let start = NonNull::new(start.cast()).expect("a mapping is never at zero");
        Ok(Self { start, bytes })
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: mapped in `new` with this length, and the ring that used it is gone: its owner
        // drops it first.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.bytes) };
        unmapped.expect("a whole mapping can be unmapped");
    }
}

/// A group's buffers and the ring through which they are lent to the kernel.
pub(crate) struct Buffers {
    /// `count` entries of 16 bytes, read by the kernel.
    ring: Pages,
    /// `count` buffers, written by the kernel.
    memory: Pages,
    count: u16,
    bytes: usize,
    tail: u16,
}

impl Buffers {
    /// Registers `count` buffers (a power of two, at most 32,768) of `bytes` each as group
    /// `number` of `uring`.
    pub(crate) fn new(uring: &IoUring, number: u16, count: u16, bytes: usize) -> io::Result<Self> {
        assert!(count.is_power_of_two() && count <= 32_768, "{count} receive buffers");
        let ring = Pages::new(usize::from(count) * size_of::<BufRingEntry>())?;
        let memory = Pages::new(usize::from(count) * bytes)?;
        // SAFETY: the pages live as long as the ring: `RingKernel` drops its ring first, after the
        // last operation has landed.
        unsafe {
            let address = ring.start.as_ptr() as u64;
            uring.submitter().register_buf_ring_with_flags(address, count, number, 0)?;
        }
        let mut buffers = Self { ring, memory, count, bytes, tail: 0 };
        for buffer in 0..count {
            buffers.push(buffer);
        }
        buffers.publish();
        Ok(buffers)
    }

    /// How many there are, lent or not.
    pub(crate) fn count(&self) -> u32 {
        self.count.into()
    }

    /// Start of a buffer.
    pub(crate) fn start(&self, buffer: u16) -> *const u8 {
        assert!(buffer < self.count, "no such receive buffer");
        // SAFETY: inside the mapping, as just asserted.
        unsafe { self.memory.start.as_ptr().add(usize::from(buffer) * self.bytes) }
    }

    /// Lends a buffer to the kernel again.
    pub(crate) fn release(&mut self, buffer: u16) {
        self.push(buffer);
        self.publish();
    }

    fn push(&mut self, buffer: u16) {
        let start = self.start(buffer) as u64;
        let place = usize::from(self.tail & (self.count - 1));
        // SAFETY: `place` is inside the ring. The kernel reads entries below the published tail
        // only, and this one is above it: there are never more buffers out than entries.
        unsafe {
            let entry = &mut *self.ring.start.as_ptr().cast::<BufRingEntry>().add(place);
            entry.set_addr(start);
            entry.set_len(self.bytes as u32);
            entry.set_bid(buffer);
        }
        self.tail = self.tail.wrapping_add(1);
    }

    fn publish(&self) {
        // SAFETY: the tail lies in the first entry of the mapped ring, in a place that entries do
        // not use, and the kernel only reads it.
        unsafe {
            let base = self.ring.start.as_ptr().cast::<BufRingEntry>();
            let tail = BufRingEntry::tail(base).cast::<AtomicU16>();
            // Release: the entries are visible before the tail that covers them.
            (*tail).store(self.tail, Ordering::Release);
        }
    }
}
