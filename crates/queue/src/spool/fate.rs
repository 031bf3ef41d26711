//! What becomes of a batch, as its commits see it.

use super::layout::{Frame, Generation};
use super::record::kind;
use super::stored::{self, Chunk, Hot, HotShare, Pin, Position, Stored};
use super::{Extent, SegmentId};
use crate::CommitError;
use reactor::{Instant, Reactor, Signal, Slab, SlabSlice};
use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;

/// Where a batch is going to be written.
pub(super) struct Place {
    pub(super) segment: SegmentId,
    pub(super) generation: Generation,
    pub(super) offset: u32,
    pub(super) sequence: u64,
    pub(super) durable_through: u64,
    /// Keeps the segment while somebody may ask for a place in it.
    pub(super) pin: Pin,
}

/// Where a batch has been placed, with its bytes.
pub(super) struct Placed {
    pub(super) segment: SegmentId,
    pub(super) offset: u32,
    pub(super) pin: Pin,
    pub(super) records: Vec<PlacedRecord>,
    pub(super) head: Rc<Slab>,
    pub(super) bodies: Vec<Region>,
    /// The budget's consent to keep all that.
    pub(super) share: Option<Rc<HotShare>>,
}

/// One record of a placed batch.
pub(super) struct PlacedRecord {
    pub(super) frame: Frame,
    /// Where its frame begins in the head.
    pub(super) at: usize,
    /// Where its body begins in the bodies.
    pub(super) body: usize,
    /// Bytes of header block and body of the message in it.
    pub(super) size: u64,
}

impl PlacedRecord {
    /// Whether it is, or carries, a message.
    pub(super) fn is_message(&self) -> bool {
        matches!(self.frame.kind, kind::MESSAGE | kind::OUTCOMES_WITH_DSN)
    }

    /// Bytes of the record, and of its body.
    pub(super) fn bytes(&self) -> u32 {
        self.frame.bytes() as u32 + self.frame.body_bytes
    }
}

/// Shared by a batch and its commits.
pub(super) struct Fate {
    verdict: Cell<Option<Result<(), CommitError>>>,
    /// Messages and chunks were taken out for want of room.
    refused: Cell<bool>,
    placed: RefCell<Option<Placed>>,
    signal: Signal,
}

impl Fate {
    pub(super) fn new(reactor: &Reactor) -> Rc<Self> {
        Rc::new(Self {
            verdict: Cell::new(None),
            refused: Cell::new(false),
            placed: RefCell::new(None),
            signal: Signal::new(reactor),
        })
    }

    pub(super) fn place(&self, placed: Placed) {
        *self.placed.borrow_mut() = Some(placed);
    }

    /// Refuses the messages, not the outcomes.
    pub(super) fn refuse(&self) {
        self.refused.set(true);
        self.signal.notify_all();
    }

    /// The end of the matter.
    pub(super) fn decide(&self, verdict: Result<(), CommitError>) {
        self.verdict.set(Some(verdict));
        self.signal.notify_all();
    }

    /// Waits for the end of the matter.
    pub(super) async fn decided(&self) -> Result<(), CommitError> {
        loop {
            if let Some(verdict) = self.verdict.get() {
                return verdict;
            }
            self.signal.wait(Instant::NEVER).await;
        }
    }

    /// Shows every record to `each`.
    pub(super) fn each_record(&self, mut each: impl FnMut(&PlacedRecord)) {
        if let Some(placed) = &*self.placed.borrow() {
            placed.records.iter().for_each(&mut each);
        }
    }
}

/// What a commit is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A message or chunk: refused when there is no room.
    Accept,
    /// Outcomes, and what is stored once more: they wait for room.
    Settle,
}

/// A record on its way to the disk. Dropping it changes nothing: the record becomes durable all the
/// same. There is no deadline.
#[must_use = "a record is not durable before its commit resolves"]
pub(crate) struct Commit {
    state: State,
}

enum State {
    /// Refused at once.
    Refused(CommitError),
    /// Record `index` of a batch.
    Riding { fate: Rc<Fate>, index: usize, purpose: Purpose, chunks: Option<Box<[stored::Part]>> },
}

impl Commit {
    pub(super) fn refused(error: CommitError) -> Self {
        Self { state: State::Refused(error) }
    }

    pub(super) fn riding(
        fate: &Rc<Fate>,
        index: usize,
        purpose: Purpose,
        chunks: Option<Box<[stored::Part]>>,
    ) -> Self {
        Self { state: State::Riding { fate: Rc::clone(fate), index, purpose, chunks } }
    }

    /// Waits until the message (or DSN) in the record is durable. Panics when there is none in it.
    ///
    /// # Errors
    /// As [`CommitError`] says.
    pub(crate) async fn stored(mut self) -> Result<Stored, CommitError> {
        self.settle().await?;
        let State::Riding { fate, index, chunks, .. } = &mut self.state else {
            unreachable!("a refused commit has no verdict")
        };
        let placed = fate.placed.borrow();
        let placed = placed.as_ref().expect("what is durable has a place");
        Ok(placed.stored(*index, chunks.take()))
    }

    /// Waits until the chunk is durable. Panics when the record is none.
    ///
    /// # Errors
    /// As [`CommitError`] says.
    pub(crate) async fn chunk(self) -> Result<Chunk, CommitError> {
        self.settle().await?;
        let State::Riding { fate, index, .. } = &self.state else {
            unreachable!("a refused commit has no verdict")
        };
        let placed = fate.placed.borrow();
        Ok(placed.as_ref().expect("what is durable has a place").chunk(*index))
    }

    async fn settle(&self) -> Result<(), CommitError> {
        loop {
            let wait = match &self.state {
                State::Refused(error) => return Err(*error),
                State::Riding { fate, purpose, .. } => {
                    if fate.refused.get() && *purpose == Purpose::Accept {
                        return Err(CommitError::Full);
                    }
                    if let Some(verdict) = fate.verdict.get() {
                        return verdict;
                    }
                    fate.signal.wait(Instant::NEVER)
                }
            };
            wait.await;
        }
    }
}

impl Placed {
    fn stored(&self, index: usize, chunks: Option<Box<[stored::Part]>>) -> Stored {
        let record = &self.records[index];
        assert_ne!(record.frame.kind, kind::CHUNK, "a chunk is no message");
        assert_ne!(record.frame.kind, kind::OUTCOMES, "no message among these outcomes");
        let at = self.offset + record.at as u32;
        let position = Position::of(self.segment, at, &record.frame);
        Stored { position, size: record.size, chunks, hot: self.hot(record).map(Box::new) }
    }

    fn hot(&self, record: &PlacedRecord) -> Option<Hot> {
        let share = Rc::clone(self.share.as_ref()?);
        let mut range = record.body..record.body + record.frame.body_bytes as usize;
        if reactor::mutated("hot-body-of-another") {
            let whole: usize = self.bodies.iter().map(|body| body.as_slice().len()).sum();
            let next = range.end..range.end + range.len();
            range = if next.end <= whole { next } else { range };
        }
        Some(Hot {
            _share: share,
            head: Rc::clone(&self.head),
            record: record.at..record.at + record.frame.bytes(),
            body: slices(&self.bodies, &range),
        })
    }

    fn chunk(&self, index: usize) -> Chunk {
        let frame = &self.records[index].frame;
        assert_eq!(frame.kind, kind::CHUNK, "only a chunk is a chunk");
        let extent = Extent {
            segment: self.segment,
            offset: frame.body_at,
            bytes: frame.body_bytes,
            checksum: frame.body_checksum,
        };
        Chunk { extent, pin: self.pin.clone() }
    }
}

/// A range of a frozen slab that can be cut further.
#[derive(Clone, Debug)]
pub(super) struct Region {
    slab: Rc<Slab>,
    range: Range<usize>,
}

impl Region {
    pub(super) fn new(slab: Rc<Slab>, range: Range<usize>) -> Self {
        Self { slab, range }
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.slab.as_slice()[self.range.clone()]
    }

    pub(super) fn whole(&self) -> SlabSlice {
        SlabSlice::new(Rc::clone(&self.slab), self.range.clone())
    }

    /// The part of it that lies in `range`, when it begins at byte `before` itself.
    fn part(&self, before: usize, range: &Range<usize>) -> Option<SlabSlice> {
        let end = before + self.range.len();
        let from = range.start.clamp(before, end) - before + self.range.start;
        let to = range.end.clamp(before, end) - before + self.range.start;
        (from < to).then(|| SlabSlice::new(Rc::clone(&self.slab), from..to))
    }
}

/// The bytes `range` of what `regions` hold one after the other.
fn slices(regions: &[Region], range: &Range<usize>) -> Rc<[SlabSlice]> {
    let mut before = 0;
    let mut found = Vec::with_capacity(2);
    for region in regions {
        found.extend(region.part(before, range));
        before += region.range.len();
    }
    found.into()
}
