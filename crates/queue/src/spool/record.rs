//! What a record says, before it is bytes.

use super::{Chunk, SegmentId};
use mail::{Envelope, MessageId, UnixTime};

/// A run of bytes in a segment, with the checksum that they must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Which segment of the log.
    pub segment: SegmentId,
    /// Where it begins, in bytes from the start of the file.
    pub offset: u32,
    /// How long it is, in bytes.
    pub bytes: u32,
    /// CRC32C of the bytes, seeded with the segment's generation.
    pub checksum: u32,
}

/// A message to be stored: its envelope and header block go into one record, its body lies in the
/// chunks and behind the record.
#[derive(Debug)]
pub struct NewMessage<'a> {
    /// From [`Log::next_id`](super::Log::next_id) of the same log.
    pub id: MessageId,
    /// Who sends it to whom.
    pub envelope: &'a Envelope,
    /// The fields put in front of the body, in wire form. A DSN travels whole in here, so that it
    /// is one record under one checksum with the outcomes that it reports.
    pub header: &'a [u8],
    /// What was streamed before, in order.
    pub chunks: &'a [Chunk],
    /// The rest of the body, in wire form; at most 96 KiB.
    pub body: &'a [u8],
    /// Lines that begin with a stuffed dot (RFC 5321 §4.5.2).
    pub stuffed_lines: u64,
    /// When it was accepted.
    pub accepted: UnixTime,
    /// Where its recipients stand: empty for a new message (all are due at once).
    pub standings: &'a [Standing],
}

/// Where a recipient of a stored message stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Nothing more will be done for it: delivered, bounced or removed.
    pub done: bool,
    /// Not to be tried until it is released.
    pub held: bool,
    /// Attempts so far.
    pub attempts: u32,
    /// Not before this time; zero: at once.
    pub next: UnixTime,
    /// Why it was last deferred, in words; at most 4 KiB.
    pub reason: Option<Box<str>>,
}

/// What happened to one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The next hop has it.
    Delivered,
    /// Not now.
    Deferred {
        /// When it is tried next.
        next: UnixTime,
        /// Attempts so far.
        attempts: u32,
        /// Why, in words; cut at 4 KiB.
        reason: Box<str>,
    },
    /// Never.
    Bounced,
    /// An operator holds it.
    Held,
    /// An operator lets it go, due at `next`.
    Released {
        /// When it is tried next.
        next: UnixTime,
    },
    /// An operator removed it.
    Removed,
}

/// What happened to some recipients of one message.
#[derive(Clone, Copy, Debug)]
pub struct Outcomes<'a> {
    /// The message.
    pub id: MessageId,
    /// The segment of its accepting record: this record lives at least as long as that segment.
    pub segment: SegmentId,
    /// Index of the recipient in the envelope, and its change.
    pub changes: &'a [(u32, Change)],
}
