//! What became of a recipient at one attempt.

use crate::{EnhancedStatus, Reply, UnixTime};
use std::fmt;

/// The one result type of delivery, for each recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The next hop took responsibility with this final reply.
    Delivered {
        /// Its reply to the end of data.
        reply: Reply,
    },
    /// Not now; try again.
    Deferred {
        /// Why, and whose fault.
        reason: Reason,
        /// Not before this time (the queue's own back-off may make it later).
        not_before: UnixTime,
    },
    /// Never.
    Bounced {
        /// Why, and whose fault.
        reason: Reason,
    },
}

/// Why a recipient was deferred or bounced: the variant names whose fault it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The next hop said so.
    Peer(Reply),
    /// No connection, a reset, a time-out: the text says what and where.
    Network(String),
    /// DNS: status and text (`5.1.2 example.org does not exist`).
    Lookup(EnhancedStatus, String),
    /// Our configuration or an operator.
    Policy(EnhancedStatus, String),
    /// Our own limits or disk.
    Local(String),
    /// `retry.give_up` has passed; the text is the last reason before it.
    Expired(String),
}

impl Reason {
    /// The enhanced status that a DSN reports, for a recipient that has failed for good.
    pub fn status(&self, permanent: bool) -> EnhancedStatus {
        let class = if permanent { 5 } else { 4 };
        match self {
            Self::Peer(reply) => {
                let status = reply.status_or_class();
                EnhancedStatus(class, status.1, status.2)
            }
            Self::Network(_) => EnhancedStatus(class, 4, 1),
            Self::Lookup(status, _) | Self::Policy(status, _) => {
                EnhancedStatus(class, status.1, status.2)
            }
            Self::Local(_) => EnhancedStatus(class, 3, 0),
            Self::Expired(_) => EnhancedStatus(class, 4, 7),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer(reply) => write!(f, "{reply}"),
            Self::Network(text) | Self::Local(text) => f.write_str(text),
            Self::Lookup(status, text) | Self::Policy(status, text) => write!(f, "{status} {text}"),
            Self::Expired(text) => write!(f, "gave up; last: {text}"),
        }
    }
}
