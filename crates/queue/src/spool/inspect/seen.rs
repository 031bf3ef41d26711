//! What `spool dump` shows of a record, as plain values.

use crate::spool::record::{MessageRecord, Record};
use crate::spool::{Change, Extent, Standing};
use mail::{Envelope, MessageId, UnixTime};

/// A record as it lies on disk.
#[derive(Debug)]
pub struct Seen {
    /// Its log.
    pub log: u16,
    /// The name of its segment's file.
    pub file: String,
    /// Where its frame begins, in bytes from the start of the file.
    pub offset: u64,
    /// Its length with its frame, in bytes; 0 where that is not known.
    pub bytes: u64,
    /// The sequence number of its batch.
    pub sequence: u64,
    /// It lies in the torn tail, and nobody was promised it.
    pub torn: bool,
    /// The body that lies in the same batch.
    pub body: Option<Run>,
    /// What it says.
    pub says: Says,
}

/// A run of bytes in a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The name of the segment's file.
    pub file: String,
    /// Where it begins, in bytes from the start of the file.
    pub offset: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// Whether it verifies; `None` where that was not looked at.
    pub whole: Option<bool>,
}

/// What a record says.
#[derive(Debug)]
pub enum Says {
    /// A message.
    Message(Box<MessageSeen>),
    /// A part of the body of the message that will have this id.
    Chunk(MessageId),
    /// What became of recipients, and the report about it.
    Outcomes {
        /// The message.
        id: MessageId,
        /// The name of the segment that had its record when this was written.
        segment: String,
        /// What happened.
        changes: Vec<ChangeSeen>,
        /// The report to its sender.
        report: Option<Box<MessageSeen>>,
    },
    /// It does not verify, or says nothing that this version understands; the id that stands where
    /// one should.
    Damaged(Option<MessageId>),
}

/// A message as its record has it.
#[derive(Debug)]
pub struct MessageSeen {
    /// Its id.
    pub id: MessageId,
    /// When it was accepted.
    pub accepted: UnixTime,
    /// Header block and body in wire form, in bytes.
    pub size: u64,
    /// Lines that begin with a stuffed dot.
    pub stuffed_lines: u64,
    /// Its envelope.
    pub envelope: Envelope,
    /// The header block in the record, in bytes.
    pub header_bytes: u64,
    /// The streamed parts of its body.
    pub chunks: Vec<Run>,
    /// Where its recipients stood; empty: all were due at once.
    pub standings: Vec<StandingSeen>,
}

/// Where a recipient stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StandingSeen {
    /// Nothing more is done for it.
    pub done: bool,
    /// An operator holds it.
    pub held: bool,
    /// Attempts so far.
    pub attempts: u32,
    /// Not before this time.
    pub next: UnixTime,
    /// Why it was deferred last.
    pub reason: Option<Box<str>>,
}

/// What happened to one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeSeen {
    /// Its index in the envelope.
    pub recipient: u32,
    /// `delivered`, `deferred`, `bounced`, `held`, `released` or `removed`; `standing` where a
    /// compaction wrote down how it stood.
    pub what: &'static str,
    /// When it is tried next.
    pub next: Option<UnixTime>,
    /// Attempts so far.
    pub attempts: Option<u32>,
    /// Why.
    pub reason: Option<Box<str>>,
    /// How it stood.
    pub standing: Option<StandingSeen>,
}

/// Why a message is, or is not, live.
#[derive(Debug)]
pub struct Life {
    /// The message.
    pub id: MessageId,
    /// Its recipients; empty when no record of the message was found.
    pub recipients: Vec<RecipientLife>,
}

/// How one recipient of a message stands.
#[derive(Debug)]
pub struct RecipientLife {
    /// The forward-path without brackets.
    pub to: String,
    /// How it stands.
    pub standing: StandingSeen,
    /// What was last recorded of it.
    pub last: Option<LastChange>,
}

/// The last change of a recipient, and where it is recorded.
#[derive(Debug)]
pub struct LastChange {
    /// What happened.
    pub change: ChangeSeen,
    /// The name of the segment's file.
    pub file: String,
    /// Where the record's frame begins, in bytes from the start of the file.
    pub offset: u64,
}

impl Life {
    /// Whether some recipient has not finished.
    pub fn is_live(&self) -> bool {
        self.recipients.iter().any(|one| !one.standing.done)
    }
}

impl Seen {
    /// Whether the record is about this message.
    pub fn is_about(&self, wanted: MessageId) -> bool {
        match &self.says {
            Says::Message(message) => message.id == wanted,
            Says::Chunk(id) | Says::Damaged(Some(id)) => *id == wanted,
            Says::Outcomes { id, report, .. } => {
                *id == wanted || report.as_ref().is_some_and(|report| report.id == wanted)
            }
            Says::Damaged(None) => false,
        }
    }
}

impl Says {
    /// What a decoded record says; `id` is what stands first in it.
    pub(super) fn of(record: Record, id: Option<MessageId>) -> Self {
        match (record, id) {
            (Record::Message(message), _) => Self::Message(Box::new(message.into())),
            (Record::Chunk, Some(id)) => Self::Chunk(id),
            (Record::Chunk, None) => Self::Damaged(None),
            (Record::Outcomes(outcomes, report), _) => Self::Outcomes {
                id: outcomes.id,
                segment: outcomes.segment.to_string(),
                changes: outcomes.changes.iter().map(|(one, change)| seen(*one, change)).collect(),
                report: report.map(|report| Box::new(report.into())),
            },
        }
    }
}

/// What a change says.
pub(super) fn seen(recipient: u32, change: &Change) -> ChangeSeen {
    let plain = |what| ChangeSeen {
        recipient,
        what,
        next: None,
        attempts: None,
        reason: None,
        standing: None,
    };
    match change {
        Change::Delivered => plain("delivered"),
        Change::Deferred { next, attempts, reason } => ChangeSeen {
            next: Some(*next),
            attempts: Some(*attempts),
            reason: Some(reason.clone()),
            ..plain("deferred")
        },
        Change::Bounced => plain("bounced"),
        Change::Held => plain("held"),
        Change::Released { next } => ChangeSeen { next: Some(*next), ..plain("released") },
        Change::Removed => plain("removed"),
        Change::Standing(standing) => {
            ChangeSeen { standing: Some(standing.into()), ..plain("standing") }
        }
    }
}

impl From<MessageRecord> for MessageSeen {
    fn from(record: MessageRecord) -> Self {
        Self {
            id: record.id,
            accepted: record.accepted,
            size: record.size,
            stuffed_lines: record.stuffed_lines,
            envelope: record.envelope,
            header_bytes: record.header.len() as u64,
            chunks: record.chunks.iter().map(run).collect(),
            standings: record.standings.iter().map(StandingSeen::from).collect(),
        }
    }
}

fn run(extent: &Extent) -> Run {
    Run {
        file: extent.segment.to_string(),
        offset: extent.offset.into(),
        bytes: extent.bytes.into(),
        whole: None,
    }
}

impl From<&Standing> for StandingSeen {
    fn from(standing: &Standing) -> Self {
        let Standing { done, held, attempts, next, reason } = standing;
        let reason = reason.clone();
        Self { done: *done, held: *held, attempts: *attempts, next: *next, reason }
    }
}
