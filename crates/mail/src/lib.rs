//! The words of the field as plain values: what every other room speaks in.
//!
//! For: mailboxes, envelopes, replies, outcomes, ids, times, log events, trace headers and DSNs.
//! Never here: a clock, a socket, a file, randomness, `async`, `unsafe`. Times arrive as arguments.
//! Start reading at [`Envelope`], then [`Outcome`].
#![forbid(unsafe_code)]

mod address;
mod dsn;
mod envelope;
mod event;
mod hop;
mod id;
mod outcome;
mod question;
mod reply;
mod time;
mod trace;

pub use address::{AddressError, Domain, ForwardPath, Mailbox, ReversePath};
pub use dsn::{FailedRecipient, FailureReport, compose_failure};
pub use envelope::{
    BodyKind, Envelope, Notify, Origin, Protocol, RecipientRequest, Returned, StatusRequest,
};
pub use event::{Event, EventKind, Field, Journal, Level, Value};
pub use hop::NextHop;
pub use id::{MessageId, NotAnId};
pub use outcome::{Outcome, Reason};
pub use question::{Question, Verdict};
pub use reply::{EnhancedStatus, Reply};
pub use time::UnixTime;
pub use trace::{TlsFacts, Trace, received};
