//! Memory that the kernel reads from and writes to.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::ops::Range;
use std::ptr::NonNull;
use std::rc::Rc;

thread_local! {
    /// Bytes of the slabs that this thread has: a slab never leaves its thread.
    static ALIVE: Cell<usize> = const { Cell::new(0) };
}

/// A growable-once, page-aligned buffer of fixed capacity, fit for direct I/O.
///
/// It is filled by one owner, then frozen by putting it into an `Rc`; slices of it keep it alive.
pub struct Slab {
    memory: NonNull<u8>,
    capacity: usize,
    length: usize,
}

impl Slab {
    /// Alignment of every slab, and the granularity of its capacity, in bytes.
    pub const ALIGNMENT: usize = 4096;

    /// An empty slab that can take `capacity` bytes, rounded up to [`ALIGNMENT`](Self::ALIGNMENT).
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.max(1).next_multiple_of(Self::ALIGNMENT);
        let layout = Self::layout(capacity);
        // SAFETY: the layout has a non-zero size.
        let memory = unsafe { alloc(layout) };
        let Some(memory) = NonNull::new(memory) else { handle_alloc_error(layout) };
        ALIVE.set(ALIVE.get() + capacity);
        Self { memory, capacity, length: 0 }
    }

    fn layout(capacity: usize) -> Layout {
        Layout::from_size_align(capacity, Self::ALIGNMENT).expect("a slab is far below isize::MAX")
    }

    /// Bytes of all slabs that this thread has: what a checker holds against a budget.
    pub fn bytes_alive() -> usize {
        ALIVE.get()
    }

    /// Bytes in use.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether nothing is in use.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Bytes that still fit.
    pub fn room(&self) -> usize {
        self.capacity - self.length
    }

    /// Bytes in all.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Appends `bytes`. Panics when they do not fit: the caller has asked [`room`](Self::room).
    pub fn append(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= self.room(), "a slab was overfilled");
        // SAFETY: the target range lies inside the allocation, which nobody else can reach.
        unsafe {
            let target = self.memory.as_ptr().add(self.length);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len());
        }
        self.length += bytes.len();
    }

    /// Appends zeros up to the next multiple of `alignment`, at most to the capacity.
    pub fn pad_to(&mut self, alignment: usize) {
        let end = self.length.next_multiple_of(alignment).min(self.capacity);
        self.set_len(end);
    }

    /// Makes `length` bytes count as in use; new ones are zero.
    pub(crate) fn set_len(&mut self, length: usize) {
        assert!(length <= self.capacity, "a slab was overfilled");
        if length > self.length {
            // SAFETY: inside the allocation. Bytes past `length` may be stale after `clear`.
            unsafe { self.memory.as_ptr().add(self.length).write_bytes(0, length - self.length) };
        }
        self.length = length;
    }

    /// As [`set_len`](Self::set_len), for bytes that the kernel has just written.
    pub(crate) fn set_read(&mut self, length: usize) {
        assert!(length <= self.capacity, "a slab was overfilled");
        self.length = length;
    }

    /// Forgets all bytes; the capacity stays.
    pub fn clear(&mut self) {
        self.length = 0;
    }

    /// Start of the memory.
    pub(crate) fn as_mut_ptr(&mut self) -> *mut u8 {
        self.memory.as_ptr()
    }

    /// The bytes in use.
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: `length` bytes were written (by `append`, `set_len` or the kernel) and lie inside
        // the allocation.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr(), self.length) }
    }

    /// The bytes in use, to be changed in place.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as in `as_slice`, and `&mut self` is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.memory.as_ptr(), self.length) }
    }
}

impl Drop for Slab {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this very layout.
        unsafe { dealloc(self.memory.as_ptr(), Self::layout(self.capacity)) }
        // A slab may outlive the thread's count, in a destructor at the thread's end.
        let _ = ALIVE.try_with(|alive| alive.set(alive.get() - self.capacity));
    }
}

impl std::fmt::Debug for Slab {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Slab({} of {})", self.length, self.capacity)
    }
}

/// A range of a frozen slab.
#[derive(Clone, Debug)]
pub struct SlabSlice {
    slab: Rc<Slab>,
    range: Range<usize>,
}

impl SlabSlice {
    /// The bytes `range` of `slab`. Panics when they are not in use.
    pub fn new(slab: Rc<Slab>, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= slab.len(), "a slice beyond its slab");
        Self { slab, range }
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.slab.as_slice()[self.range.clone()]
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }
}

/// A piece of what is sent or written; a call takes several and gathers them.
#[derive(Clone, Debug)]
pub enum Part {
    /// Bytes of its own.
    Bytes(Vec<u8>),
    /// A range of a shared slab.
    Slice(SlabSlice),
    /// Bytes that live for ever.
    Fixed(&'static [u8]),
}

impl Part {
    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Slice(slice) => slice.as_slice(),
            Self::Fixed(bytes) => bytes,
        }
    }
}

/// Parts with the vectors that describe what is left of them, at a stable address once boxed.
pub(crate) struct Gather {
    parts: Vec<Part>,
    vectors: Vec<libc::iovec>,
    header: libc::msghdr,
}

impl Gather {
    /// The kernel's own limit is 1024 (UIO_MAXIOV).
    const MAX: usize = 1024;

    /// As [`fill`](Self::fill), in memory of its own.
    #[cfg(test)]
    pub(crate) fn new(parts: Vec<Part>, skip: usize) -> Box<Self> {
        let mut gather = Box::<Self>::default();
        gather.fill(parts, skip);
        gather
    }

    /// Takes vectors of `parts` from byte `skip` on; at most [`MAX`](Self::MAX) of them.
    pub(crate) fn fill(self: &mut Box<Self>, parts: Vec<Part>, skip: usize) {
        self.vectors.clear();
        let mut before = skip;
        for part in &parts {
            let bytes = part.as_slice();
            let from = before.min(bytes.len());
            before -= from;
            if from < bytes.len() && self.vectors.len() < Self::MAX {
                let rest = &bytes[from..];
                self.vectors.push(libc::iovec {
                    iov_base: rest.as_ptr().cast_mut().cast(),
                    iov_len: rest.len(),
                });
            }
        }
        self.parts = parts;
        self.header.msg_iov = self.vectors.as_mut_ptr();
        self.header.msg_iovlen = self.vectors.len();
    }

    /// Gives the parts back; the memory of the vectors stays.
    pub(crate) fn empty(&mut self) -> Vec<Part> {
        self.vectors.clear();
        std::mem::take(&mut self.parts)
    }

    /// The vectors.
    pub(crate) fn vectors(&self) -> &[libc::iovec] {
        &self.vectors
    }

    /// For sendmsg.
    pub(crate) fn header(&self) -> *const libc::msghdr {
        &raw const self.header
    }

    /// The bytes that the vectors describe, in order.
    pub(crate) fn slices(&self) -> impl Iterator<Item = &[u8]> {
        self.vectors.iter().map(|vector| {
            // SAFETY: each vector was made from a slice of a part that `self` keeps alive and
            // unchanged.
            unsafe { std::slice::from_raw_parts(vector.iov_base.cast::<u8>(), vector.iov_len) }
        })
    }

    /// How many bytes the vectors describe.
    pub(crate) fn len(&self) -> usize {
        self.vectors.iter().map(|vector| vector.iov_len).sum()
    }
}

impl Default for Gather {
    fn default() -> Self {
        // SAFETY: all zeros is a valid msghdr.
        let header = unsafe { std::mem::zeroed() };
        Self { parts: Vec::new(), vectors: Vec::new(), header }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slab_is_aligned_and_keeps_its_bytes() {
        let mut slab = Slab::new(5000);
        assert_eq!(slab.capacity(), 8192);
        assert_eq!(slab.as_slice().as_ptr() as usize % Slab::ALIGNMENT, 0);
        slab.append(b"hello");
        slab.pad_to(512);
        assert_eq!(slab.len(), 512);
        slab.clear();
        slab.append(b"he");
        slab.pad_to(4);
        assert_eq!(slab.as_slice(), b"he\0\0");
    }

    #[test]
    fn slabs_that_live_are_counted() {
        let before = Slab::bytes_alive();
        let slab = Slab::new(5000);
        assert_eq!(Slab::bytes_alive() - before, 8192);
        drop(slab);
        assert_eq!(Slab::bytes_alive(), before);
    }

    #[test]
    fn a_gather_describes_what_is_left_after_a_short_write() {
        let parts = vec![Part::Bytes(b"abc".to_vec()), Part::Fixed(b"de"), Part::Fixed(b"fgh")];
        for skip in 0..=8 {
            let mut gather = Gather::new(parts.clone(), skip);
            let left: Vec<u8> = gather.slices().flatten().copied().collect();
            assert_eq!(left, b"abcdefgh"[skip..]);
            assert_eq!(gather.len(), 8 - skip);
            assert_eq!(gather.empty().len(), 3);
        }
    }
}
