//! The seam between a shard and whoever asks the network.

use crate::{Answer, Ask, LookupError};
use reactor::Sender;
use std::time::Duration;

/// An answer and how long it is valid, or why there is none.
pub type Answered = Result<(Answer, Duration), LookupError>;

/// A question on its way to whoever asks the network, on any thread.
pub struct Request {
    /// What is asked.
    pub question: Ask,
    /// How the answer comes back.
    pub reply: Reply,
}

/// Carries one answer back to the shard that asked. One that is dropped says that nobody answered,
/// so no question stays open for ever.
pub struct Reply {
    number: u64,
    back: Sender<Replied>,
    sent: bool,
}

/// An answer that has arrived.
pub(crate) struct Replied {
    pub(crate) number: u64,
    pub(crate) result: Answered,
}

impl Reply {
    pub(crate) fn new(number: u64, back: Sender<Replied>) -> Self {
        Self { number, back, sent: false }
    }

    /// Answers. The answer must be of the question's kind.
    pub fn send(mut self, result: Answered) {
        self.put(result);
    }

    fn put(&mut self, result: Answered) {
        self.sent = true;
        // The shard has room for every question that it has open; it fails only when it is gone.
        drop(self.back.try_send(Replied { number: self.number, result }));
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if !self.sent {
            self.put(Err(LookupError::Temporary("the resolver gave no answer".into())));
        }
    }
}
