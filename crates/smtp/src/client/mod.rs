//! The sending end.

mod extensions;
mod options;

pub use extensions::Extensions;
pub use options::ClientOptions;

use crate::Hangup;
use mail::{BodyKind, ForwardPath, Outcome, Reason, ReversePath};
use std::rc::Rc;
use std::time::Duration;

/// What a [`ClientSession`] wants next.
#[derive(Debug, PartialEq, Eq)]
pub enum ClientStep {
    /// Send what [`ClientSession::take_output`] gives, then call [`ClientSession::sent`].
    Transmit,
    /// Wait for bytes, then call [`ClientSession::receive`], or [`ClientSession::lost`].
    Receive {
        /// How long to wait.
        within: Duration,
    },
    /// Call [`ClientSession::begin`] or [`ClientSession::quit`].
    Ready,
    /// Send the body, then call [`ClientSession::body_sent`] or one of its siblings.
    SendBody,
    /// A transaction is over.
    Finished(TransactionResult),
    /// Close. A reason is given when the session could not even begin: greeting or EHLO refused,
    /// or the network.
    Close(Option<Reason>),
}

/// A message to hand over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// The path of MAIL.
    pub reverse_path: ReversePath,
    /// The paths of RCPT; at least one.
    pub recipients: Vec<ForwardPath>,
    /// Whether the content may have 8-bit bytes.
    pub body: BodyKind,
    /// The size of the message in bytes, for SIZE=.
    pub bytes: u64,
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionResult {
    /// By recipient, in the order of the transaction. `not_before` is `UnixTime(0)`.
    pub outcomes: Vec<Outcome>,
    /// The end of data was sent, but no final reply came: the message may have arrived.
    pub uncertain: bool,
    /// The peer said 421 after it had taken messages: it wants fewer in a session, nothing failed.
    pub session_limit: bool,
}

/// One conversation with a next hop.
pub struct ClientSession {
    options: Rc<ClientOptions>,
    extensions: Extensions,
}

impl ClientSession {
    /// A session on a connection that has just been made; it waits for the greeting first.
    pub fn new(options: Rc<ClientOptions>) -> Self {
        Self { options, extensions: Extensions::parse("") }
    }

    /// What to do next.
    pub fn step(&mut self) -> ClientStep {
        unimplemented!("{:?}", self.options)
    }

    /// The bytes to send at [`ClientStep::Transmit`].
    pub fn take_output(&mut self) -> Vec<u8> {
        unimplemented!()
    }

    /// The output has gone; its buffer comes back.
    pub fn sent(&mut self, _buffer: Vec<u8>) {}

    /// Bytes have come.
    pub fn receive(&mut self, _bytes: &[u8]) {}

    /// The wire has no more.
    pub fn lost(&mut self, _hangup: Hangup) {}

    /// Begins a transaction; only at [`ClientStep::Ready`].
    pub fn begin(&mut self, _transaction: Transaction) {}

    /// The whole body has been sent, in wire form, ending with CRLF, without the terminator.
    pub fn body_sent(&mut self) {}

    /// As [`Self::body_sent`], and [`Self::terminator`] went with it.
    pub fn body_sent_with_terminator(&mut self) {}

    /// What ends a body.
    pub fn terminator(&self) -> &'static [u8] {
        b".\r\n"
    }

    /// Our copy of the body does not verify: it is never ended, and the session closes.
    pub fn body_failed(&mut self) {}

    /// Says goodbye; only at [`ClientStep::Ready`].
    pub fn quit(&mut self) {}

    /// What EHLO offered.
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }
}
