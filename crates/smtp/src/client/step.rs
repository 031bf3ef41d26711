//! What a client session asks for, is given, and reports.

use mail::{BodyKind, ForwardPath, Outcome, Reason, ReversePath};
use std::time::Duration;

/// What a `ClientSession` wants next.
#[derive(Debug, PartialEq, Eq)]
pub enum ClientStep {
    /// Send what `ClientSession::take_output` gives, then call `ClientSession::sent`.
    Transmit,
    /// Wait for bytes, then call `ClientSession::receive`, or `ClientSession::lost`.
    Receive {
        /// How long to wait.
        within: Duration,
    },
    /// Call `ClientSession::begin` or `ClientSession::quit`.
    Ready,
    /// Send the body, then call `ClientSession::body_sent` or one of its siblings.
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
