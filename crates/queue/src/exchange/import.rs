//! One message out of a file into a queue.

use super::dots::Stuffed;
use super::{Portable, Waiting};
use crate::spool::{NewMessage, Standing};
use crate::{Admission, CommitError, Draft, Queue};
use mail::{Event, EventKind, Field, MessageId};
use std::fmt;

/// Bytes that are looked at at a time: a receive buffer, which still fits into a full draft.
const PIECE: usize = 16 << 10;

/// More than this in memory goes into the spool before the record, so that an envelope fits beside
/// the rest.
const INSIDE_BYTES: usize = 32 << 10;

/// What is kept of a reason.
const REASON_BYTES_MAX: usize = 1024;

/// What is kept of the reasons of all recipients of a message: a record of the smallest segments
/// has room for it.
const REASONS_BYTES_MAX: usize = 64 << 10;

/// A message under way; dropping it forgets it.
pub struct Import {
    queue: Queue,
    draft: Draft,
    stuffed: Stuffed,
    /// Bytes as they came.
    bytes: u64,
}

/// Why a message is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportError {
    /// No room, or too many messages: try again later.
    Full,
    /// The disk has failed.
    Failed,
    /// It is no message as it should be; why.
    Malformed(String),
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the queue or the disk is full; make room and try again"),
            Self::Failed => f.write_str("the spool's disk has failed"),
            Self::Malformed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for ImportError {}

impl From<CommitError> for ImportError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Full => Self::Full,
            CommitError::Failed => Self::Failed,
        }
    }
}

impl Queue {
    /// Begins to take a message.
    pub fn import(&self) -> Import {
        Import { queue: self.clone(), draft: self.draft(), stuffed: Stuffed::new(), bytes: 0 }
    }
}

impl Import {
    /// Takes bytes of the message, as a file has them.
    ///
    /// # Errors
    /// As [`ImportError`] says; the message is of no use then.
    pub async fn append(&mut self, bytes: &[u8]) -> Result<(), ImportError> {
        for piece in bytes.chunks(PIECE) {
            let wire = self.stuffed.take(piece).map_err(ImportError::Malformed)?;
            self.bytes += piece.len() as u64;
            if self.draft.append(&wire).is_full() {
                self.draft.room().await?;
            }
        }
        Ok(())
    }

    /// Makes the message durable under a new id and schedules its recipients where they stood.
    ///
    /// # Errors
    /// As [`ImportError`] says; nothing was taken then.
    pub async fn commit(mut self, message: &Portable) -> Result<MessageId, ImportError> {
        self.check(message)?;
        let end = self.stuffed.end().map_err(ImportError::Malformed)?;
        if self.draft.append(end).is_full() || self.draft.len() > INSIDE_BYTES as u64 {
            self.draft.room().await?;
        }
        let Self { queue, draft, stuffed, .. } = self;
        let id = draft.id();
        let standings = standings(&message.waiting);
        let stored = queue.own_log().append_message(&NewMessage {
            id,
            envelope: &message.envelope,
            header: &[],
            chunks: draft.chunks(),
            body: draft.rest(),
            stuffed_lines: stuffed.stuffed_lines,
            accepted: message.accepted,
            standings: &standings,
        });
        let stored = stored.stored().await?;
        queue.insert(id, message.accepted, &message.envelope, &standings, stored);
        let event = Event::new(EventKind::MessageAccepted).id(id);
        queue.shared.journal.record(
            event
                .text(Field::From, format!("<{}>", message.envelope.reverse_path))
                .number(Field::Recipients, message.waiting.len() as u64)
                .text(Field::Reason, format!("imported; it was {}", message.id)),
        );
        Ok(id)
    }

    fn check(&self, message: &Portable) -> Result<(), ImportError> {
        let malformed = |why: String| Err(ImportError::Malformed(why));
        match self.queue.admission() {
            Admission::Open => {}
            Admission::QueueFull | Admission::DiskFull => return Err(ImportError::Full),
            Admission::Failed => return Err(ImportError::Failed),
        }
        if message.envelope.recipients.is_empty() {
            return malformed("it has no recipient".into());
        }
        if message.envelope.recipients.len() != message.waiting.len() {
            return malformed("not every recipient has a standing".into());
        }
        if self.bytes == 0 {
            return malformed("it is empty".into());
        }
        match message.bytes {
            Some(bytes) if bytes != self.bytes => {
                malformed(format!("it has {} bytes, and its envelope says {bytes}", self.bytes))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// What the record says of the recipients; reasons only as far as there is room.
fn standings(waiting: &[Waiting]) -> Vec<Standing> {
    let mut left = REASONS_BYTES_MAX;
    let standing = |one: &Waiting| {
        let Waiting { held, attempts, next, reason } = one;
        let reason = reason.as_deref().map(|reason| cut(reason, REASON_BYTES_MAX));
        let reason: Option<Box<str>> = reason.filter(|one| one.len() <= left).map(Box::from);
        left -= reason.as_deref().map_or(0, str::len);
        Standing { done: false, held: *held, attempts: *attempts, next: *next, reason }
    };
    waiting.iter().map(standing).collect()
}

/// The beginning of `text`, cut between characters.
fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
