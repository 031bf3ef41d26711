//! What a client session asks for, is given, and reports.

use super::extensions::Mechanisms;
use mail::{BodyKind, ForwardPath, Outcome, Reason, ReversePath, StatusRequest};
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
    /// Shake hands, then call `ClientSession::secured`, or `ClientSession::lost`.
    Secure,
    /// Say who we are by one of these mechanisms: call `ClientSession::authenticate`, or
    /// `ClientSession::give_up` when none will do.
    Authenticate(Mechanisms),
    /// Answer this challenge: call `ClientSession::respond`, or `ClientSession::give_up`.
    Respond(Vec<u8>),
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
    /// The size of the message in bytes, for SIZE=: what will be sent.
    pub bytes: u64,
    /// Whether address or header are really UTF-8, so that the peer must know SMTPUTF8.
    pub utf8: bool,
    /// Whether the body may go out by BDAT as it is: no line of it is dot-stuffed.
    pub plain: bool,
    /// What is asked about status notifications, its recipients as long as ours.
    pub request: Option<Box<StatusRequest>>,
}

impl Transaction {
    /// A transaction that asks for nothing.
    pub fn new(reverse_path: ReversePath, recipients: Vec<ForwardPath>, bytes: u64) -> Self {
        let body = BodyKind::SevenBit;
        Self { reverse_path, recipients, body, bytes, utf8: false, plain: false, request: None }
    }
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
    /// What was asked about status notifications was passed on: the peer reports from now on
    /// (RFC 3461 §5.2).
    pub request_passed_on: bool,
}
