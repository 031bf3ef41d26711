//! What a server session asks for, and what it hands over.

use mail::{Envelope, Question};
use std::time::Duration;

/// What a `ServerSession` wants next. Ask again until it says [`Step::Receive`] or
/// [`Step::Close`].
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Send what `ServerSession::take_output` gives, then call `ServerSession::sent`.
    Transmit,
    /// Wait for bytes, then call `ServerSession::receive`, or `ServerSession::lost`.
    Receive {
        /// How long to wait.
        within: Duration,
    },
    /// Decide, then call `ServerSession::answer`.
    Decide(Question),
    /// Append these bytes to the draft: wire form, dot-stuffed as received, without the terminator.
    Body(&'a [u8]),
    /// Throw the draft away.
    Discard,
    /// Make the draft durable, then call `ServerSession::committed`.
    Commit(Accepted),
    /// Close, lingering.
    Close,
}

/// A message whose end has been seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its envelope; `origin.arrived` is `UnixTime(0)`, which the corridor fills in.
    pub envelope: Envelope,
    /// Wire bytes of the body, the line of the terminator not counted.
    pub bytes: u64,
    /// How many of its lines begin with a dot on the wire.
    pub stuffed_lines: u64,
}

/// Why a draft did not become a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitRefusal {
    /// No room on disk or in the queue: 452 4.3.1.
    Full,
    /// The write failed: 451 4.3.0.
    Failed,
}
