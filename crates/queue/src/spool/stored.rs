//! What the façade holds of stored messages: places, and bytes that are still in memory.

use super::layout::Frame;
use super::record::{MessageRecord, decode_message_of};
use super::segments::Segments;
use super::{Extent, SegmentId};
use mail::Envelope;
use reactor::{Slab, SlabSlice};
use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    /// Which segment of the log.
    pub segment: SegmentId,
    /// Where its frame begins, in bytes from the start of the file.
    pub offset: u32,
    /// How long it is with its frame, in bytes.
    pub bytes: u32,
    /// Bytes of the body behind it, in the same batch.
    pub body_bytes: u32,
}

impl Position {
    /// That of the record with `frame` at `offset`.
    pub(super) fn of(segment: SegmentId, offset: u32, frame: &Frame) -> Self {
        let bytes = u32::try_from(frame.bytes()).expect("a record fits its segment");
        Self { segment, offset, bytes, body_bytes: frame.body_bytes }
    }
}

/// Where a message is stored. Neither `Copy` nor `Clone`: whoever holds it owns the place, and
/// gives it back with the last outcome ([`Finished::Yes`]).
#[derive(Debug)]
pub(crate) struct Stored {
    /// The accepting record.
    pub position: Position,
    /// Bytes of the header block and the body, in wire form.
    pub size: u64,
    /// Segments that hold streamed parts of the body, and how many bytes, for each part.
    pub(super) chunks: Option<Box<[Part]>>,
    /// The message in memory, while the budget has room for it. Set it to `None` to let go.
    pub hot: Option<Box<Hot>>,
}

/// A part of a message: where it lies, and its bytes there.
pub(super) type Part = (SegmentId, u32);

impl Stored {
    /// The parts that it consists of on disk.
    pub(super) fn parts(&self) -> impl Iterator<Item = Part> + '_ {
        let chunks = self.chunks.iter().flat_map(|chunks| chunks.iter().copied());
        let Position { segment, bytes, body_bytes, .. } = self.position;
        std::iter::once((segment, bytes + body_bytes)).chain(chunks)
    }
}

/// Whether a message is over with the outcomes that are being appended.
#[derive(Debug)]
pub(crate) enum Finished {
    /// Recipients are left.
    No,
    /// All are done: its place is free once these outcomes are durable.
    Yes(Stored),
}

/// A part of a body that is durable before its message is. While it lives, its segment stays.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// Where it lies.
    pub extent: Extent,
    pub(super) pin: Pin,
}

/// Keeps a segment from being deleted while it lives.
#[derive(Debug)]
pub(crate) struct Pin {
    segments: Rc<Segments>,
    segment: SegmentId,
}

impl Pin {
    pub(super) fn new(segments: &Rc<Segments>, segment: SegmentId) -> Self {
        segments.pin(segment);
        Self { segments: Rc::clone(segments), segment }
    }
}

impl Clone for Pin {
    fn clone(&self) -> Self {
        Self::new(&self.segments, self.segment)
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.segments.unpin(self.segment);
    }
}

/// Memory that hot bodies may keep, shared by the logs of a shard. Cloning shares it.
#[derive(Clone, Debug)]
pub(crate) struct HotBudget {
    left: Rc<Cell<u64>>,
}

impl HotBudget {
    /// A budget of `bytes`.
    pub(crate) fn new(bytes: u64) -> Self {
        Self { left: Rc::new(Cell::new(bytes)) }
    }

    /// Takes `bytes`, if they are left. Whole slabs count, since a slice keeps its slab.
    pub(super) fn share(&self, bytes: u64) -> Option<Rc<HotShare>> {
        let bytes = if reactor::mutated("hot-budget-ignored") { 0 } else { bytes };
        let left = self.left.get().checked_sub(bytes)?;
        self.left.set(left);
        Some(Rc::new(HotShare { budget: self.clone(), bytes }))
    }
}

/// What the slabs of one batch take from the budget, until the last hot message of it is gone.
#[derive(Debug)]
pub(super) struct HotShare {
    budget: HotBudget,
    bytes: u64,
}

impl Drop for HotShare {
    fn drop(&mut self) {
        self.budget.left.set(self.budget.left.get() + self.bytes);
    }
}

/// A message whose bytes are still in memory. Cloning is cheap.
#[derive(Clone, Debug)]
pub(crate) struct Hot {
    /// Only its end matters: it gives the memory back to the budget.
    pub(super) _share: Rc<HotShare>,
    /// Where the record lies with its frame.
    pub(super) head: Rc<Slab>,
    pub(super) record: Range<usize>,
    /// The part of the body that lies behind the record.
    pub(super) body: Rc<[SlabSlice]>,
}

impl Hot {
    /// The message, without a disk access (but for the chunks of a long one).
    pub(crate) fn open(&self) -> Opened {
        let record = &self.head.as_slice()[self.record.clone()];
        let message = decode_message_of(record).expect("we have just written it");
        let tail = self.body.iter().cloned().map(Piece::Memory);
        Opened::new(message, &self.head, self.record.start, tail)
    }
}

/// A message, read and verified, its body still to be read piece by piece.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The envelope.
    pub envelope: Rc<Envelope>,
    /// The header block.
    pub header: reactor::Part,
    /// The body, in order.
    pub pieces: Vec<Piece>,
    /// Lines of the body that begin with a stuffed dot.
    pub stuffed_lines: u64,
    /// Bytes of header block and body.
    pub size: u64,
}

/// A piece of a body.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    /// In memory.
    Memory(SlabSlice),
    /// On disk: [`Log::read`](super::Log::read) it.
    Disk(Extent),
}

impl Opened {
    /// The message whose record begins at byte `at` of `slab`, followed by `tail`.
    pub(super) fn new(
        message: MessageRecord,
        slab: &Rc<Slab>,
        at: usize,
        tail: impl Iterator<Item = Piece>,
    ) -> Self {
        let header = at + message.header.start..at + message.header.end;
        Self {
            envelope: Rc::new(message.envelope),
            header: reactor::Part::Slice(SlabSlice::new(Rc::clone(slab), header)),
            pieces: message.chunks.into_iter().map(Piece::Disk).chain(tail).collect(),
            stuffed_lines: message.stuffed_lines,
            size: message.size,
        }
    }
}
