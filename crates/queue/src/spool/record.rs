//! What a record says, and its bytes.

use super::codec::{Decoder, Encoder, Malformed};
use super::layout::{FRAME, Frame};
use super::{Chunk, SegmentId};
use mail::{Envelope, MessageId, UnixTime};
use std::ops::Range;

mod envelope;

/// A run of bytes in a segment, with the checksum that they must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
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
pub(crate) struct NewMessage<'a> {
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
pub(crate) struct Standing {
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
pub(crate) enum Change {
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
    /// This is where it stands, whatever went before: compaction carries along in one change what
    /// several have come to.
    Standing(Standing),
}

/// What happened to some recipients of one message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcomes<'a> {
    /// The message.
    pub id: MessageId,
    /// The segment of its accepting record: this record lives at least as long as that segment.
    pub segment: SegmentId,
    /// Index of the recipient in the envelope, and its change.
    pub changes: &'a [(u32, Change)],
}

/// The kinds of records, as frames name them.
pub(super) mod kind {
    /// A message.
    pub(crate) const MESSAGE: u8 = 1;
    /// A part of a body, ahead of its message.
    pub(crate) const CHUNK: u8 = 2;
    /// Outcomes.
    pub(crate) const OUTCOMES: u8 = 3;
    /// Outcomes and the DSN that reports them.
    pub(crate) const OUTCOMES_WITH_DSN: u8 = 4;
    /// All records of a segment, in its seal.
    pub(crate) const DIRECTORY: u8 = 5;
}

/// A reason is cut at this many bytes: eight reply lines at their longest (RFC 5321 §4.5.3.1.5).
const REASON_BYTES_MAX: usize = 4096;

/// A message as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MessageRecord {
    pub(super) id: MessageId,
    pub(super) accepted: UnixTime,
    pub(super) stuffed_lines: u64,
    pub(super) size: u64,
    pub(super) envelope: Envelope,
    pub(super) chunks: Vec<Extent>,
    pub(super) standings: Vec<Standing>,
    /// Where the header block lies, in bytes from the beginning of the frame.
    pub(super) header: Range<usize>,
}

/// Outcomes as they are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OutcomesRecord {
    pub(super) id: MessageId,
    /// The segment of the accepting record, as whoever appended them knew it.
    pub(super) segment: SegmentId,
    pub(super) changes: Vec<(u32, Change)>,
}

/// A record as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    Message(MessageRecord),
    Chunk,
    Outcomes(OutcomesRecord, Option<MessageRecord>),
}

impl Record {
    /// Reads the record at the beginning of `bytes`, which `frame` was read from and verified.
    pub(super) fn decode(frame: &Frame, bytes: &[u8]) -> Result<Self, Malformed> {
        let record = bytes.get(FRAME..frame.bytes()).ok_or(Malformed)?;
        Self::decode_payload(frame.kind, record)
    }

    /// Reads the record of this kind with this payload.
    pub(super) fn decode_payload(kind: u8, payload: &[u8]) -> Result<Self, Malformed> {
        let mut decoder = Decoder::new(payload);
        let record = match kind {
            kind::MESSAGE => Self::Message(decode_message(&mut decoder)?),
            kind::CHUNK => {
                decode_id(&mut decoder)?;
                Self::Chunk
            }
            kind::OUTCOMES => Self::Outcomes(decode_outcomes(&mut decoder)?, None),
            kind::OUTCOMES_WITH_DSN => {
                let outcomes = decode_outcomes(&mut decoder)?;
                Self::Outcomes(outcomes, Some(decode_message(&mut decoder)?))
            }
            // A directory is read as such (`directory.rs`).
            _ => return Err(Malformed),
        };
        decoder.end()?;
        Ok(record)
    }
}

/// The message, or the DSN, in the verified record at the beginning of `bytes`.
pub(super) fn decode_message_of(bytes: &[u8]) -> Result<MessageRecord, Malformed> {
    let frame = Frame::read(bytes)?;
    match Record::decode(&frame, bytes)? {
        Record::Message(message) | Record::Outcomes(_, Some(message)) => Ok(message),
        Record::Chunk | Record::Outcomes(_, None) => Err(Malformed),
    }
}

pub(super) fn encode_message(out: &mut Vec<u8>, message: &NewMessage<'_>, body_inside: bool) {
    let mut out = Encoder::new(out);
    out.u128(message.id.to_bits());
    out.u64(message.accepted.0);
    out.u64(message.stuffed_lines);
    out.u64(message.size());
    envelope::encode(&mut out, message.envelope);
    out.count(message.chunks.len());
    for Chunk { extent, .. } in message.chunks {
        out.u32(extent.segment.0);
        out.u32(extent.offset);
        out.u32(extent.bytes);
        out.u32(extent.checksum);
    }
    out.count(message.standings.len());
    for standing in message.standings {
        encode_standing(&mut out, standing);
    }
    let body: &[u8] = if body_inside { message.body } else { &[] };
    out.count(message.header.len() + body.len());
    out.raw(message.header);
    out.raw(body);
}

impl NewMessage<'_> {
    /// At least the bytes of its record with the frame, without the body.
    pub(super) fn record_bytes_max(&self) -> usize {
        /// Id, times, sizes and counts.
        const FIXED: usize = FRAME + 64;
        let standings = self.standings.iter().map(Standing::bytes_max).sum::<usize>();
        let extents = self.chunks.len() * 16;
        FIXED + envelope::bytes_max(self.envelope) + standings + extents + self.header.len()
    }

    /// Bytes of the header block and the body.
    pub(super) fn size(&self) -> u64 {
        let chunks: u64 = self.chunks.iter().map(|chunk| u64::from(chunk.extent.bytes)).sum();
        self.header.len() as u64 + chunks + self.body.len() as u64
    }
}

fn decode_message(decoder: &mut Decoder<'_>) -> Result<MessageRecord, Malformed> {
    let id = decode_id(decoder)?;
    let accepted = UnixTime(decoder.u64()?);
    let stuffed_lines = decoder.u64()?;
    let size = decoder.u64()?;
    let envelope = envelope::decode(decoder)?;
    let mut chunks = Vec::with_capacity(decoder.clone().count(16)?);
    for _ in 0..decoder.count(16)? {
        chunks.push(Extent {
            segment: SegmentId(decoder.u32()?),
            offset: decoder.u32()?,
            bytes: decoder.u32()?,
            checksum: decoder.u32()?,
        });
    }
    let mut standings = Vec::with_capacity(decoder.clone().count(14)?);
    for _ in 0..decoder.count(14)? {
        standings.push(decode_standing(decoder)?);
    }
    let length = decoder.count(1)?;
    let begin = FRAME + decoder.position();
    decoder.raw(length)?;
    let header = begin..begin + length;
    Ok(MessageRecord { id, accepted, stuffed_lines, size, envelope, chunks, standings, header })
}

fn decode_id(decoder: &mut Decoder<'_>) -> Result<MessageId, Malformed> {
    MessageId::from_bits(decoder.u128()?).ok_or(Malformed)
}

/// Bits of a standing's first byte.
const DONE: u8 = 1;
const HELD: u8 = 2;
const WITH_REASON: u8 = 4;

fn encode_standing(out: &mut Encoder<'_>, standing: &Standing) {
    let Standing { done, held, attempts, next, reason } = standing;
    let bit = |is: bool, bit: u8| if is { bit } else { 0 };
    out.u8(bit(*done, DONE) | bit(*held, HELD) | bit(reason.is_some(), WITH_REASON));
    out.u8(0);
    out.u32(*attempts);
    out.u64(next.0);
    if let Some(reason) = reason {
        out.text(reason, REASON_BYTES_MAX);
    }
}

fn decode_standing(decoder: &mut Decoder<'_>) -> Result<Standing, Malformed> {
    let flags = decoder.u8()?;
    decoder.u8()?;
    let attempts = decoder.u32()?;
    let next = UnixTime(decoder.u64()?);
    let reason = if flags & WITH_REASON != 0 { Some(Box::from(decoder.text()?)) } else { None };
    Ok(Standing { done: flags & DONE != 0, held: flags & HELD != 0, attempts, next, reason })
}

pub(super) fn encode_outcomes(out: &mut Vec<u8>, outcomes: &Outcomes<'_>) {
    let mut out = Encoder::new(out);
    out.u128(outcomes.id.to_bits());
    out.u32(outcomes.segment.0);
    out.count(outcomes.changes.len());
    for (recipient, change) in outcomes.changes {
        out.u32(*recipient);
        match change {
            Change::Delivered => out.u8(1),
            Change::Deferred { next, attempts, reason } => {
                out.u8(2);
                out.u64(next.0);
                out.u32(*attempts);
                out.text(reason, REASON_BYTES_MAX);
            }
            Change::Bounced => out.u8(3),
            Change::Held => out.u8(4),
            Change::Released { next } => {
                out.u8(5);
                out.u64(next.0);
            }
            Change::Removed => out.u8(6),
            Change::Standing(standing) => {
                out.u8(7);
                encode_standing(&mut out, standing);
            }
        }
    }
}

fn decode_outcomes(decoder: &mut Decoder<'_>) -> Result<OutcomesRecord, Malformed> {
    let id = decode_id(decoder)?;
    let segment = SegmentId(decoder.u32()?);
    let count = decoder.count(5)?;
    let mut changes = Vec::with_capacity(count);
    for _ in 0..count {
        let recipient = decoder.u32()?;
        let change = match decoder.u8()? {
            1 => Change::Delivered,
            2 => {
                let next = UnixTime(decoder.u64()?);
                let attempts = decoder.u32()?;
                Change::Deferred { next, attempts, reason: decoder.text()?.into() }
            }
            3 => Change::Bounced,
            4 => Change::Held,
            5 => Change::Released { next: UnixTime(decoder.u64()?) },
            6 => Change::Removed,
            7 => Change::Standing(decode_standing(decoder)?),
            _ => return Err(Malformed),
        };
        changes.push((recipient, change));
    }
    Ok(OutcomesRecord { id, segment, changes })
}

impl Change {
    /// At least the bytes that it takes in a record.
    pub(super) fn bytes_max(&self) -> usize {
        match self {
            Self::Deferred { reason, .. } => 24 + reason.len().min(REASON_BYTES_MAX),
            Self::Released { .. } => 16,
            Self::Delivered | Self::Bounced | Self::Held | Self::Removed => 8,
            Self::Standing(standing) => 8 + standing.bytes_max(),
        }
    }
}

impl Standing {
    /// At least the bytes that it takes in a record.
    pub(super) fn bytes_max(&self) -> usize {
        16 + self.reason.as_ref().map_or(0, |reason| reason.len().min(REASON_BYTES_MAX))
    }

    /// Takes in what happened. An end is an end: nothing that is written later undoes it.
    pub(super) fn change(&mut self, change: Change) {
        if self.done {
            return;
        }
        match change {
            Change::Delivered | Change::Bounced | Change::Removed => {
                *self = Self { done: true, ..Self::default() };
            }
            Change::Deferred { next, attempts, reason } => {
                self.next = next;
                self.attempts = attempts;
                self.reason = Some(reason);
            }
            Change::Held => self.held = true,
            Change::Released { next } => {
                self.held = false;
                self.next = next;
            }
            Change::Standing(Self { done: true, .. }) => {
                *self = Self { done: true, ..Self::default() };
            }
            Change::Standing(standing) => *self = standing,
        }
    }
}
