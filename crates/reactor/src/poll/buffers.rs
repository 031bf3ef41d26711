//! The receive buffers of one group: what a provided buffer ring is to the other kernel.

use crate::memory::Slab;

/// Buffers of one size, handed out by number.
pub(super) struct Buffers {
    /// Keeps the memory; it is reached by `start` alone, as leases look into parts of it.
    _memory: Slab,
    start: *mut u8,
    bytes: usize,
    count: u16,
    /// The one that came back last goes out first: it is warm.
    free: Vec<u16>,
}

impl Buffers {
    /// `count` buffers of `bytes` bytes each. Memory that is never received into stays untouched.
    pub(super) fn new(count: u16, bytes: usize) -> Self {
        let mut memory = Slab::new(usize::from(count) * bytes);
        let start = memory.as_mut_ptr();
        Self { _memory: memory, start, bytes, count, free: (0..count).rev().collect() }
    }

    /// The buffer that [`take`](Self::take) would give.
    pub(super) fn next(&self) -> Option<u16> {
        self.free.last().copied()
    }

    /// Hands the [`next`](Self::next) one out.
    pub(super) fn take(&mut self) {
        self.free.pop().expect("the caller has just seen the next one");
    }

    /// Takes one back.
    pub(super) fn release(&mut self, buffer: u16) {
        assert!(buffer < self.count && self.free.len() < usize::from(self.count));
        self.free.push(buffer);
    }

    /// How many there are, out or not.
    pub(super) fn count(&self) -> u32 {
        self.count.into()
    }

    /// Where `buffer` begins.
    pub(super) fn start(&self, buffer: u16) -> *mut u8 {
        assert!(buffer < self.count, "a buffer of another group");
        // SAFETY: buffers 0 to `count` lie in the slab one after the other.
        unsafe { self.start.add(usize::from(buffer) * self.bytes) }
    }

    /// Bytes of each.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_buffer_is_out_once_and_lies_apart() {
        let mut buffers = Buffers::new(4, 100);
        let mut starts = Vec::new();
        while let Some(buffer) = buffers.next() {
            buffers.take();
            starts.push(buffers.start(buffer) as usize);
        }
        assert_eq!(starts.len(), 4);
        assert!(starts.windows(2).all(|pair| pair[1] - pair[0] == 100));
        buffers.release(2);
        assert_eq!(buffers.next(), Some(2));
    }

    #[test]
    #[should_panic(expected = "free.len()")]
    fn a_buffer_too_many_is_noticed() {
        Buffers::new(2, 8).release(1);
    }
}
