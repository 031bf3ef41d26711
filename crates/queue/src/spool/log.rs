//! One log as the façade sees it.

use super::{Extent, NewMessage, Outcomes, Standing};
use crate::{CommitError, LoadError, OpenError};
use mail::{Envelope, Journal, MessageId, UnixTime};
use reactor::{Part, Reactor, SlabSlice};
use std::fmt;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// Names a segment within its log: `segment-XXXXXXXX` in hexadecimal, counted from 1, never reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId(pub u32);

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Which segment of the log.
    pub segment: SegmentId,
    /// Where its frame begins, in bytes from the start of the file.
    pub offset: u32,
    /// How long it is with its frame, in bytes.
    pub bytes: u32,
}

/// Memory that hot bodies may keep, shared by the logs of a shard. Cloning shares it.
#[derive(Clone, Debug)]
pub struct HotBudget {}

/// How a log is written.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many logs share the file system: the segment size follows.
    pub logs: usize,
    /// Bytes of a segment, instead of what the file system suggests (tests).
    pub segment_bytes: Option<u32>,
    /// What hot bodies may keep.
    pub hot: HotBudget,
}

/// One directory `log-NN` and its writer. Cloning gives another handle to the same log.
#[derive(Clone)]
pub struct Log {}

/// A record on its way to the disk. Dropping it changes nothing: the record becomes durable all the
/// same. There is no deadline.
#[must_use = "a record is not durable before its commit resolves"]
pub struct Commit {}

/// Where a message is stored. Neither `Copy` nor `Clone`: whoever holds it owns the place, and
/// gives it back with the last outcome ([`Finished::Yes`]).
#[derive(Debug)]
pub struct Stored {
    /// The accepting record.
    pub position: Position,
    /// Bytes of the header block and the body, in wire form.
    pub size: u64,
    /// Further segments that hold parts of the body.
    pub(super) chunks: Option<Box<[SegmentId]>>,
    /// The message in memory, while the budget has room for it. Set it to `None` to let go.
    pub hot: Option<Hot>,
}

/// A message whose bytes are still in memory. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Hot {}

/// Whether a message is over with the outcomes that are being appended.
#[derive(Debug)]
pub enum Finished {
    /// Recipients are left.
    No,
    /// All are done: its place is free once these outcomes are durable.
    Yes(Stored),
}

/// A part of a body that is durable before its message is. While it lives, its segment stays.
#[derive(Debug)]
pub struct Chunk {
    /// Where it lies.
    pub extent: Extent,
    pub(super) pin: Pin,
}

/// Keeps a segment from being deleted while it lives.
#[derive(Debug)]
pub struct Pin {}

/// A message, read and verified, its body still to be read piece by piece.
#[derive(Debug)]
pub struct Opened {
    /// The envelope.
    pub envelope: Rc<Envelope>,
    /// The header block.
    pub header: Part,
    /// The body, in order.
    pub pieces: Vec<Piece>,
    /// Lines of the body that begin with a stuffed dot.
    pub stuffed_lines: u64,
    /// When it was accepted.
    pub accepted: UnixTime,
    /// Bytes of header block and body.
    pub size: u64,
}

/// A piece of a body.
#[derive(Clone, Debug)]
pub enum Piece {
    /// In memory.
    Memory(SlabSlice),
    /// On disk: [`Log::read`] it.
    Disk(Extent),
}

/// A message found at start that is not over.
#[derive(Debug)]
pub struct Recovered {
    /// Its id.
    pub id: MessageId,
    /// When it was accepted.
    pub accepted: UnixTime,
    /// Its envelope.
    pub envelope: Envelope,
    /// Where each of its recipients stands; as long as the envelope's list.
    pub standings: Vec<Standing>,
    /// Where it is stored.
    pub stored: Stored,
}

/// What was found at start.
#[derive(Debug, Default)]
pub struct Recovery {
    /// Messages that are not over, in the order of their ids.
    pub messages: Vec<Recovered>,
    /// Segments found.
    pub segments: u64,
    /// Records and batches that were durable and no longer verify; each is journalled.
    pub damaged: u64,
    /// Bytes of batches that were never answered, dropped.
    pub torn_bytes: u64,
    /// Whether a 250 survives a crash of the machine on this file system.
    pub durable: bool,
}

/// One batch that became durable.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// From the submission of its write to its end.
    pub took: Duration,
    /// Messages in it.
    pub messages: u32,
}

/// What a log has done and holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    /// Messages that became durable since the start.
    pub messages: u64,
    /// Batches that became durable since the start.
    pub batches: u64,
    /// Bytes of records and bodies that are needed.
    pub live_bytes: u64,
    /// Bytes of records and bodies that are not, in segments that exist.
    pub dead_bytes: u64,
    /// Bytes of segments that can still be written.
    pub free_bytes: u64,
    /// Writes and syncs that failed.
    pub failures: u64,
    /// Records and batches that do not verify.
    pub quarantined: u64,
    /// Segments that exist.
    pub segments: u64,
}

impl HotBudget {
    /// A budget of `bytes`.
    pub fn new(bytes: u64) -> Self {
        let _ = bytes;
        Self {}
    }
}

impl Log {
    /// The numbers of the logs in a spool, in order; other names are no business of ours.
    ///
    /// # Errors
    /// What the disk said.
    pub async fn numbers(reactor: &Reactor, spool: &Path) -> Result<Vec<u16>, OpenError> {
        let _ = (reactor, spool);
        unimplemented!()
    }

    /// Opens log `number` of `spool`, which this process has [locked](crate::Lock): reads what is
    /// there, opens a segment of its own that says where the earlier ones end, and starts the
    /// writer's tasks. What it recovers may be acted upon.
    ///
    /// # Errors
    /// As [`OpenError`] says.
    pub async fn recover(
        reactor: &Reactor,
        spool: &Path,
        number: u16,
        options: Options,
        journal: Journal,
    ) -> Result<(Self, Recovery), OpenError> {
        let _ = (reactor, spool, number, options, journal);
        unimplemented!()
    }

    /// The number NN of this log.
    pub fn number(&self) -> u16 {
        unimplemented!()
    }

    /// A new message id; its start count is durable.
    pub fn next_id(&self) -> MessageId {
        unimplemented!()
    }

    /// The longest record, in bytes: what envelope and header block of a message, or its outcomes
    /// and the DSN, may come to.
    pub fn record_bytes_max(&self) -> usize {
        unimplemented!()
    }

    /// Appends a message to the batch under construction.
    pub fn append_message(&self, message: &NewMessage<'_>) -> Commit {
        let _ = message;
        unimplemented!()
    }

    /// Appends a part (at most 96 KiB) of the body of draft `id`, ahead of its message.
    pub fn append_chunk(&self, id: MessageId, bytes: &[u8]) -> Commit {
        let _ = (id, bytes);
        unimplemented!()
    }

    /// Appends outcomes, and the DSN that reports them, as one record. It rides in a batch within
    /// 2 ms; the commit may be dropped, or its [`stored`](Commit::stored) awaited for the DSN.
    /// Outcomes are never refused for want of room: they wait.
    pub fn append_outcomes(
        &self,
        outcomes: &Outcomes<'_>,
        dsn: Option<&NewMessage<'_>>,
        finished: Finished,
    ) -> Commit {
        let _ = (outcomes, dsn, finished);
        unimplemented!()
    }

    /// Reads the record of a message.
    ///
    /// # Errors
    /// As [`LoadError`] says.
    pub async fn load(&self, position: Position) -> Result<Opened, LoadError> {
        let _ = position;
        unimplemented!()
    }

    /// Reads and verifies an extent.
    ///
    /// # Errors
    /// As [`LoadError`] says.
    pub async fn read(&self, extent: Extent) -> Result<SlabSlice, LoadError> {
        let _ = extent;
        unimplemented!()
    }

    /// Keeps the segments of a message while the result lives (an attempt in flight).
    pub fn pin(&self, stored: &Stored) -> Vec<Pin> {
        let _ = stored;
        unimplemented!()
    }

    /// Whether a write or sync has failed: the process must drain and exit 74.
    pub fn failed(&self) -> bool {
        unimplemented!()
    }

    /// Whether there is no room for another segment: messages are refused, outcomes are not.
    pub fn full(&self) -> bool {
        unimplemented!()
    }

    /// Whether some write has been in flight for over 30 s.
    pub fn stalled(&self) -> bool {
        unimplemented!()
    }

    /// Waits until everything appended so far is durable (or has failed).
    pub async fn drain(&self) {
        unimplemented!()
    }

    /// What it has done and holds.
    pub fn counters(&self) -> Counters {
        unimplemented!()
    }

    /// The batches since the last call, at most 4,096 of them.
    pub fn take_samples(&self) -> Vec<Sample> {
        unimplemented!()
    }
}

impl Commit {
    /// Waits until the record is durable.
    ///
    /// # Errors
    /// As [`CommitError`] says.
    pub async fn done(self) -> Result<(), CommitError> {
        unimplemented!()
    }

    /// Waits until the message (or DSN) in the record is durable. Panics when there is none in it.
    ///
    /// # Errors
    /// As [`CommitError`] says.
    pub async fn stored(self) -> Result<Stored, CommitError> {
        unimplemented!()
    }

    /// Waits until the chunk is durable. Panics when the record is none.
    ///
    /// # Errors
    /// As [`CommitError`] says.
    pub async fn chunk(self) -> Result<Chunk, CommitError> {
        unimplemented!()
    }
}

impl Hot {
    /// The message, without a disk access.
    pub fn open(&self) -> Opened {
        unimplemented!()
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "segment-{:08x}", self.0)
    }
}
