//! Taking messages.

use crate::draft::HELD_BYTES;
use crate::spool::NewMessage;
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
        let log = self.own_log();
        if self.failed() || log.stalled() {
            return Admission::Failed;
        }
        if self.shared.books.borrow().schedule.len() >= self.shared.options.queue_messages {
            return Admission::QueueFull;
        }
        let options = &self.shared.options;
        let file_system = self.shared.file_system.get();
        let reserve = options.spool_free.reserve(file_system.bytes, options.message_bytes);
        if file_system.free < reserve || log.full() {
            return Admission::DiskFull;
        }
        Admission::Open
    }

    /// Begins a message.
    pub fn draft(&self) -> Draft {
        Draft::new(self.own_log().clone())
    }

    /// Makes a message durable and schedules it. `header` goes in front of the draft's bytes, in
    /// wire form; `stuffed_lines` of the draft begin with a stuffed dot. Returns only once the
    /// message is durable: now it may get its 250.
    ///
    /// # Errors
    /// As [`CommitError`] says.
    pub async fn commit(
        &self,
        mut draft: Draft,
        envelope: Envelope,
        header: Vec<u8>,
        stuffed_lines: u64,
    ) -> Result<MessageId, CommitError> {
        // What does not fit into one record with its envelope is streamed before it.
        if draft.held() + header.len() + envelope_bytes(&envelope) > HELD_BYTES {
            draft.room().await?;
        }
        let id = draft.id();
        let accepted = self.unix_time();
        let message = NewMessage {
            id,
            envelope: &envelope,
            header: &header,
            chunks: draft.chunks(),
            body: draft.rest(),
            stuffed_lines,
            accepted,
            standings: &[],
        };
        let commit = self.own_log().append_message(&message);
        self.land(commit, id, accepted, envelope).await
    }
}

/// An upper bound for the bytes of an envelope on disk.
fn envelope_bytes(envelope: &Envelope) -> usize {
    /// Lengths and tags around each address, and the fixed fields.
    const AROUND: usize = 16;
    let address = |local_part: &str, domain: &str| local_part.len() + domain.len() + AROUND;
    let recipients = envelope.recipients.iter().map(|recipient| match recipient {
        mail::ForwardPath::Postmaster => AROUND,
        mail::ForwardPath::Mailbox(to) => address(to.local_part(), to.domain().as_str()),
    });
    let from = match &envelope.reverse_path {
        mail::ReversePath::Null => AROUND,
        mail::ReversePath::Mailbox(from) => address(from.local_part(), from.domain().as_str()),
    };
    let origin = &envelope.origin;
    let texts = origin.hello.len() + origin.listener.len() + origin.rule.len();
    recipients.sum::<usize>() + from + texts + 8 * AROUND
}
