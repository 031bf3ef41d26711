//! Taking messages.

use crate::{CommitError, Draft, Queue};
use mail::{Envelope, MessageId};

/// Whether new messages are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// They are.
    Open,
    /// `limits.queue_messages` wait already: 452 4.3.1.
    QueueFull,
    /// Less than `limits.spool_free` is left: 452 4.3.1.
    DiskFull,
    /// The disk failed, or has not answered for 30 s: 451 4.3.0.
    Failed,
}

impl Queue {
    /// Whether new messages are taken.
    pub fn admission(&self) -> Admission {
        unimplemented!()
    }

    /// Begins a message.
    pub fn draft(&self) -> Draft {
        unimplemented!()
    }

    /// Makes a message durable and schedules it. `header` goes in front of the draft's bytes, in
    /// wire form; `stuffed_lines` of the draft begin with a stuffed dot. Returns only once the
    /// message is durable: now it may get its 250.
    ///
    /// # Errors
    /// As [`CommitError`] says.
    pub async fn commit(
        &self,
        draft: Draft,
        envelope: Envelope,
        header: Vec<u8>,
        stuffed_lines: u64,
    ) -> Result<MessageId, CommitError> {
        let _ = (draft, envelope, header, stuffed_lines);
        unimplemented!()
    }
}
