//! One log as the façade sees it.

use super::fate::{Commit, Purpose};
use super::layout::{BATCH_HEADER, BLOCK, FRAME, Frame, Generation};
use super::plan::{Plan, STALL};
use super::record::{MessageRecord, decode_message_of};
use super::recovery::quarantined;
use super::segments::Segments;
use super::stored::{self, Finished, HotBudget, Opened, Piece, Pin, Position, Stored};
use super::writer::Writer;
use super::{Extent, NewMessage, Outcomes};
use crate::{CommitError, LoadError};
use mail::{Journal, MessageId};
use reactor::{File, Instant, OpenHow, Reactor, Signal, Slab, SlabSlice};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

/// Names a segment within its log: `segment-XXXXXXXX` in hexadecimal, counted from 1, never reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SegmentId(pub u32);

/// One batch that became durable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// From the submission of its write to its end.
    pub took: Duration,
    /// Messages in it.
    pub messages: u32,
}

/// What a log has done and holds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    /// Bytes of messages that are not over.
    pub live_bytes: u64,
    /// Bytes of everything else in segments that exist.
    pub dead_bytes: u64,
    /// Bytes that can be written without another segment.
    pub free_bytes: u64,
    /// Writes and syncs that failed.
    pub failures: u64,
    /// Records, batches and segments that do not verify.
    pub quarantined: u64,
}

/// Running totals, kept where batches complete.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    pub(super) live_bytes: u64,
    pub(super) failures: u64,
    pub(super) quarantined: u64,
}

/// What the handles and the tasks of a log share.
pub(super) struct Shared {
    pub(super) reactor: Reactor,
    pub(super) journal: Journal,
    pub(super) directory: PathBuf,
    pub(super) number: u16,
    pub(super) start: u32,
    pub(super) plan: Plan,
    pub(super) hot: HotBudget,
    pub(super) next_id: Cell<u64>,
    pub(super) next_segment: Cell<u32>,
    pub(super) segments: Rc<Segments>,
    pub(super) writer: RefCell<Writer>,
    /// Wakes the writer.
    pub(super) write: Signal,
    /// Wakes the preparer.
    pub(super) prepare: Signal,
    /// Wakes who waits for everything to be durable.
    pub(super) idle: Signal,
    pub(super) totals: Cell<Totals>,
    pub(super) samples: RefCell<Vec<Sample>>,
    /// Where something was read that does not verify.
    pub(super) damage: RefCell<BTreeSet<(SegmentId, u32)>>,
}

/// One directory `log-NN` and its writer. Cloning gives another handle to the same log.
///
/// - *accepting*: [`next_id`](Self::next_id), [`append_chunk`](Self::append_chunk),
///   [`append_message`](Self::append_message)
/// - *delivering*: [`load`](Self::load), [`read`](Self::read), [`pin`](Self::pin),
///   [`append_outcomes`](Self::append_outcomes)
/// - *state*: [`failed`](Self::failed), [`full`](Self::full), [`stalled`](Self::stalled),
///   [`counters`](Self::counters), [`take_samples`](Self::take_samples)
///
/// It is opened by [`recover`](Self::recover) (in `recovery.rs`).
#[derive(Clone)]
pub(crate) struct Log {
    pub(super) shared: Rc<Shared>,
}

impl Log {
    /// The number NN of this log.
    pub(crate) fn number(&self) -> u16 {
        self.shared.number
    }

    /// A new message id; its start count is durable.
    pub(crate) fn next_id(&self) -> MessageId {
        let sequence = self.shared.next_id.replace(self.shared.next_id.get() + 1);
        MessageId::new(self.shared.number, self.shared.start, sequence)
    }

    /// Makes messages leave `bytes` of the file system free, whatever the reserve is.
    pub(crate) fn leave_free(&self, bytes: u64) {
        self.shared.segments.leave_bytes.set(bytes);
    }

    /// The longest record, in bytes: what envelope and header block of a message, or its outcomes
    /// and the DSN, may come to when each recipient counts for the longest path (320 bytes).
    pub(crate) fn record_bytes_max(&self) -> usize {
        (self.shared.plan.segment_bytes as usize / 8 * 3).min(RECORD_BYTES_MAX)
    }

    /// Appends a message to the batch under construction.
    pub(crate) fn append_message(&self, message: &NewMessage<'_>) -> Commit {
        let shared = &self.shared;
        if let Some(error) = self.refusal() {
            return Commit::refused(error);
        }
        let bytes = message.record_bytes_max();
        if bytes > self.record_bytes_max() {
            return Commit::refused(CommitError::Full);
        }
        let mut batch = shared.open_batch(bytes + message.body.len());
        let index = batch.add_message(message);
        let fate = Rc::clone(&batch.fate);
        drop(batch);
        shared.appended(true);
        Commit::riding(&fate, index, Purpose::Accept, message.chunk_parts())
    }

    /// Appends a part (at most 96 KiB) of the body of draft `id`, ahead of its message.
    pub(crate) fn append_chunk(&self, id: MessageId, bytes: &[u8]) -> Commit {
        assert!(!bytes.is_empty() && bytes.len() <= 128 * 1024, "a chunk is 1 byte to 96 KiB");
        if let Some(error) = self.refusal() {
            return Commit::refused(error);
        }
        self.append_chunk_for(id, bytes, Purpose::Accept)
    }

    pub(super) fn append_chunk_for(&self, id: MessageId, bytes: &[u8], purpose: Purpose) -> Commit {
        let mut batch = self.shared.open_batch(bytes.len() + FRAME + 16);
        let index = batch.add_chunk(id, bytes, purpose);
        let fate = Rc::clone(&batch.fate);
        drop(batch);
        self.shared.appended(purpose == Purpose::Accept);
        Commit::riding(&fate, index, purpose, None)
    }

    fn refusal(&self) -> Option<CommitError> {
        let writer = self.shared.writer.borrow();
        match (writer.failed, writer.full) {
            (true, _) => Some(CommitError::Failed),
            (false, true) => Some(CommitError::Full),
            (false, false) => None,
        }
    }

    /// Appends outcomes, and the DSN that reports them, as one record. It rides in a batch within
    /// 2 ms; the commit may be dropped, or its [`stored`](Commit::stored) awaited for the DSN.
    /// Outcomes are never refused for want of room: they wait. Too long a record (see
    /// [`record_bytes_max`](Self::record_bytes_max)) is `Full`, and then nothing of it is recorded.
    pub(crate) fn append_outcomes(
        &self,
        outcomes: &Outcomes<'_>,
        dsn: Option<&NewMessage<'_>>,
        finished: Finished,
    ) -> Commit {
        let shared = &self.shared;
        if shared.writer.borrow().failed {
            return Commit::refused(CommitError::Failed);
        }
        let dsn_bytes = dsn.map_or(0, |dsn| dsn.record_bytes_max() + dsn.body.len());
        let bytes = outcomes.record_bytes() + dsn_bytes;
        if bytes > self.record_bytes_max() {
            return Commit::refused(CommitError::Full);
        }
        let mut batch = shared.open_batch(bytes);
        let index = batch.add_outcomes(outcomes, dsn);
        if let Finished::Yes(stored) = finished {
            batch.finished.push(stored);
        }
        let fate = Rc::clone(&batch.fate);
        drop(batch);
        shared.appended(false);
        let chunks = dsn.and_then(NewMessage::chunk_parts);
        Commit::riding(&fate, index, Purpose::Settle, chunks)
    }

    /// Reads the record of a message.
    ///
    /// # Errors
    /// As [`LoadError`] says.
    pub(crate) async fn load(&self, position: Position) -> Result<Opened, LoadError> {
        let (raw, message, tail) = self.load_record(position).await?;
        Ok(Opened::new(message, &raw.slab, raw.at, tail.into_iter().map(Piece::Disk)))
    }

    /// Reads and verifies the record of a message; gives its body too, as far as it lies behind it.
    pub(super) async fn load_record(
        &self,
        position: Position,
    ) -> Result<(Raw, MessageRecord, Option<Extent>), LoadError> {
        let Position { segment, offset, bytes, .. } = position;
        let raw = self.shared.read(segment, offset, bytes).await?;
        let record = raw.bytes();
        let damaged = || self.shared.damaged(segment, offset);
        let frame = Frame::read(record).map_err(|_| damaged())?;
        if !frame.verifies(raw.generation, record) {
            return Err(damaged());
        }
        let message = decode_message_of(record).map_err(|_| damaged())?;
        let tail = (frame.body_bytes > 0).then_some(Extent {
            segment,
            offset: frame.body_at,
            bytes: frame.body_bytes,
            checksum: frame.body_checksum,
        });
        Ok((raw, message, tail))
    }

    /// Reads and verifies an extent.
    ///
    /// # Errors
    /// As [`LoadError`] says.
    pub(crate) async fn read(&self, extent: Extent) -> Result<SlabSlice, LoadError> {
        let raw = self.shared.read(extent.segment, extent.offset, extent.bytes).await?;
        let checked = !reactor::mutated("piece-not-checked");
        if checked && raw.generation.checksum(raw.bytes()) != extent.checksum {
            return Err(self.shared.damaged(extent.segment, extent.offset));
        }
        Ok(SlabSlice::new(Rc::clone(&raw.slab), raw.at..raw.at + raw.length))
    }

    /// Keeps the segments of a message while the result lives (an attempt in flight).
    pub(crate) fn pin(&self, stored: &Stored) -> Vec<Pin> {
        let pin = |(segment, _)| Pin::new(&self.shared.segments, segment);
        stored.parts().map(pin).collect()
    }

    /// Whether a write or sync has failed: the process must drain and exit 74.
    pub(crate) fn failed(&self) -> bool {
        self.shared.writer.borrow().failed
    }

    /// Whether there is no room for another segment: messages are refused, outcomes are not.
    pub(crate) fn full(&self) -> bool {
        self.shared.writer.borrow().full
    }

    /// Whether some write has been in flight for over 30 s.
    pub(crate) fn stalled(&self) -> bool {
        let oldest = self.shared.writer.borrow().oldest_flight();
        oldest.is_some_and(|began| self.shared.reactor.now().since(began) > STALL)
    }

    /// Waits until everything appended so far is durable (or has failed).
    pub(crate) async fn drain(&self) {
        let shared = &self.shared;
        shared.writer.borrow_mut().draining += 1;
        while !shared.writer.borrow().is_idle() {
            shared.write.notify_one();
            shared.idle.wait(Instant::NEVER).await;
        }
        shared.writer.borrow_mut().draining -= 1;
    }

    /// What it has done and holds.
    pub(crate) fn counters(&self) -> Counters {
        let totals = self.shared.totals.get();
        let file_bytes = self.shared.segments.file_bytes();
        let free_bytes = self.shared.writer.borrow().free_bytes();
        Counters {
            live_bytes: totals.live_bytes,
            dead_bytes: file_bytes.saturating_sub(totals.live_bytes + free_bytes),
            free_bytes: self.shared.room_bytes(),
            failures: totals.failures,
            quarantined: totals.quarantined,
        }
    }

    /// The batches since the last call, at most 4,096 of them.
    pub(crate) fn take_samples(&self) -> Vec<Sample> {
        std::mem::take(&mut self.shared.samples.borrow_mut())
    }
}

/// Bytes of a segment as they were read, not yet verified.
#[derive(Debug)]
pub(super) struct Raw {
    pub(super) slab: Rc<Slab>,
    pub(super) at: usize,
    length: usize,
    pub(super) generation: Generation,
}

impl Raw {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.slab.as_slice()[self.at..self.at + self.length]
    }
}

impl Shared {
    /// Reads `bytes` at `offset`, in whole blocks as direct reads want it.
    pub(super) async fn read(
        &self,
        segment: SegmentId,
        offset: u32,
        bytes: u32,
    ) -> Result<Raw, LoadError> {
        // Nobody deletes the segment while it is read.
        let _pin = Pin::new(&self.segments, segment);
        let Some((generation, file_bytes, _)) = self.segments.find(segment) else {
            return Err(self.damaged(segment, offset));
        };
        let end = u64::from(offset) + u64::from(bytes);
        if end > file_bytes {
            return Err(self.damaged(segment, offset));
        }
        let failed = |error: io::Error| LoadError::Failed {
            reason: format!("{}: {error}", self.path_of(segment).display()).into(),
        };
        let file = self.file(segment).await.map_err(failed)?;
        let from = offset as usize / BLOCK * BLOCK;
        let length = (end as usize).next_multiple_of(BLOCK) - from;
        let slab = file.read(Slab::new(length), from as u64, length).await.map_err(failed)?;
        let at = offset as usize - from;
        if slab.len() < at + bytes as usize {
            return Err(self.damaged(segment, offset));
        }
        Ok(Raw { slab: Rc::new(slab), at, length: bytes as usize, generation })
    }

    pub(super) async fn file(&self, segment: SegmentId) -> io::Result<Rc<File>> {
        if let Some((_, _, Some(file))) = self.segments.find(segment) {
            return Ok(file);
        }
        let how = OpenHow { direct: self.plan.direct, ..OpenHow::default() };
        let file = Rc::new(self.reactor.open(&self.path_of(segment), how).await?);
        self.segments.keep_open(segment, &file);
        Ok(file)
    }

    pub(super) fn path_of(&self, segment: SegmentId) -> PathBuf {
        super::prepare::path_of(&self.directory, segment)
    }

    /// What is read there does not verify; told and counted once.
    pub(super) fn damaged(&self, segment: SegmentId, offset: u32) -> LoadError {
        let path = self.path_of(segment);
        if self.damage.borrow_mut().insert((segment, offset)) {
            let mut totals = self.totals.get();
            totals.quarantined += 1;
            self.totals.set(totals);
            let reason = "what is read here does not verify";
            self.journal.record(quarantined(&path, offset, reason));
        }
        LoadError::Damaged { place: format!("{} at byte {offset}", path.display()).into() }
    }

    /// A message is over.
    pub(super) fn release(&self, stored: &Stored) {
        let mut totals = self.totals.get();
        totals.live_bytes -= stored.size;
        self.totals.set(totals);
        stored.parts().for_each(|part| self.segments.drop_live(part));
    }
}

/// No record is longer, however large the segments are: each is held in memory as a whole.
const RECORD_BYTES_MAX: usize = 8 << 20;

/// Bytes of a record beside its texts: frame, numbers and their counts, rounded up.
const RECORD_FIXED: usize = FRAME + BATCH_HEADER + 256;

impl NewMessage<'_> {
    pub(super) fn chunk_parts(&self) -> Option<Box<[stored::Part]>> {
        if self.chunks.is_empty() {
            return None;
        }
        let parts = self.chunks.iter();
        Some(parts.map(|chunk| (chunk.extent.segment, chunk.extent.bytes)).collect())
    }
}

impl Outcomes<'_> {
    fn record_bytes(&self) -> usize {
        let changes = self.changes.iter().map(|(_, change)| change.bytes_max());
        RECORD_FIXED + changes.sum::<usize>()
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "segment-{:08x}", self.0)
    }
}
