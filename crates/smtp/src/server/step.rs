//! What a server session asks for, and what it hands over.

use super::header::HeaderFacts;
use crate::command::Introduction;
use mail::{Envelope, Question, Reply};
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
    /// Begin TLS, then call `ServerSession::secured`, or `ServerSession::lost`.
    Secure,
    /// Go on with a SASL exchange, then call `ServerSession::authenticated`, unless it was
    /// [`Exchange::Cancel`].
    Authenticate(Exchange),
    /// The client speaks for another (XCLIENT): judge by that one from now on, then call
    /// `ServerSession::introduced`.
    Introduce(Box<Introduction>),
    /// Decide, then call `ServerSession::answer`.
    Decide(Question),
    /// Append these bytes to the draft: wire form, dot-stuffed, without the terminator.
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
    /// What its header has and lacks.
    pub header: HeaderFacts,
    /// Bare CR and LF that were replaced, which breaks signatures.
    pub bare_newlines: u64,
}

/// A turn of a SASL exchange (RFC 4422 §4), out of its base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// It begins.
    Begin {
        /// The mechanism: one of `ServerOptions::mechanisms`.
        mechanism: Box<str>,
        /// The initial response, which may be empty; `None` when there is none.
        initial: Option<Vec<u8>>,
    },
    /// The client's next response.
    Respond(Vec<u8>),
    /// The client has given up. Not to be answered.
    Cancel,
}

/// The answer to a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthReply {
    /// Ask the client this; a mechanism's last word too, which the client answers with nothing.
    Challenge(Vec<u8>),
    /// It is `user`: 235.
    Accepted {
        /// The name that rules and log know.
        user: Box<str>,
    },
    /// It is not: 535 5.7.8.
    Refused,
    /// Nobody can say at present: 454 4.7.0.
    Unavailable,
    /// Too often: 421 4.7.0 and the end.
    TooMany,
}

/// Why a draft did not become a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitRefusal {
    /// No room on disk or in the queue: 452 4.3.1.
    Full,
    /// The write failed: 451 4.3.0.
    Failed,
    /// Rules, checks or a milter said no: a 4yz or 5yz; 421 and 521 end the session.
    Refused(Reply),
}

/// What nobody was told on the wire, since the last call of `ServerSession::take_notes`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// How often a trusted client talked out of turn.
    pub out_of_turn: u32,
    /// How often a stranger was sent away for it.
    pub out_of_turn_refused: u32,
    /// Bare CR and LF replaced.
    pub bare_newlines: u64,
    /// Messages refused for a bare CR or LF, or a NUL.
    pub bare_newlines_refused: u32,
}
