//! The receiving end.

mod options;

pub use options::{ServerOptions, ServerPeer};

use crate::{Hangup, Verb};
use mail::{Envelope, MessageId, Question, Verdict};
use std::rc::Rc;
use std::time::Duration;

/// What a [`ServerSession`] wants next. Ask again until it says [`Step::Receive`] or
/// [`Step::Close`].
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Send what [`ServerSession::take_output`] gives, then call [`ServerSession::sent`].
    Transmit,
    /// Wait for bytes, then call [`ServerSession::receive`], or [`ServerSession::lost`].
    Receive {
        /// How long to wait.
        within: Duration,
    },
    /// Decide, then call [`ServerSession::answer`].
    Decide(Question),
    /// Append these bytes to the draft: wire form, dot-stuffed as received, without the terminator.
    Body(&'a [u8]),
    /// Throw the draft away.
    Discard,
    /// Make the draft durable, then call [`ServerSession::committed`].
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

/// One client's conversation with us.
pub struct ServerSession {
    options: Rc<ServerOptions>,
    peer: ServerPeer,
}

impl ServerSession {
    /// A session with a client that has just connected.
    pub fn new(options: Rc<ServerOptions>, peer: ServerPeer) -> Self {
        Self { options, peer }
    }

    /// What to do next.
    pub fn step(&mut self) -> Step<'_> {
        unimplemented!("{:?} {:?}", self.options, self.peer)
    }

    /// The bytes to send at [`Step::Transmit`].
    pub fn take_output(&mut self) -> Vec<u8> {
        unimplemented!()
    }

    /// The output has gone; its buffer comes back.
    pub fn sent(&mut self, _buffer: Vec<u8>) {}

    /// Bytes have come, after [`Step::Receive`].
    pub fn receive(&mut self, _bytes: &[u8]) {}

    /// The waits for input so far, added to by `elapsed`: call before [`Self::receive`].
    pub fn waited(&mut self, _elapsed: Duration) {}

    /// The verdict after [`Step::Decide`].
    pub fn answer(&mut self, _verdict: Verdict) {}

    /// What became of the draft after [`Step::Commit`].
    pub fn committed(&mut self, _result: Result<MessageId, CommitRefusal>) {}

    /// The wire has no more.
    pub fn lost(&mut self, _hangup: Hangup) {}

    /// Ends the session with 421 4.3.2 as soon as no body is under way.
    pub fn shut_down(&mut self) {}

    /// Whether the relay is nearly full, which shortens the wait for strangers' commands.
    pub fn set_stress(&mut self, _stress: bool) {}

    /// Between transactions with nothing buffered.
    pub fn is_idle(&self) -> bool {
        unimplemented!()
    }

    /// The replies given since the last call: verb, code, how often.
    pub fn take_replies(&mut self) -> Vec<(Verb, u16, u32)> {
        unimplemented!()
    }
}
