//! What a session asks, and what policy answers.

use crate::{ForwardPath, Reply, ReversePath};

/// A decision that a server session waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// A client has connected: may it be greeted?
    Connect,
    /// HELO or EHLO.
    Hello {
        /// The name it gave, as it gave it.
        name: Box<str>,
    },
    /// MAIL: may a transaction begin?
    Sender {
        /// The reverse-path.
        reverse_path: ReversePath,
        /// The SIZE parameter (RFC 1870), in bytes.
        size: Option<u64>,
    },
    /// RCPT: may this recipient be added?
    Recipient {
        /// The transaction's reverse-path.
        reverse_path: ReversePath,
        /// The recipient as received.
        forward_path: ForwardPath,
    },
    /// VRFY, of a client that may be answered: is there such a mailbox?
    Verify {
        /// What stood behind the verb.
        text: Box<str>,
    },
    /// EXPN, likewise: who is on this list?
    Expand {
        /// What stood behind the verb.
        text: Box<str>,
    },
}

/// The answer to a [`Question`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on; with VRFY and EXPN: say nothing that helps. `rule` names what allowed it, for the log
    /// and `explain`.
    Accept {
        /// The rule's name, such as `relay.networks`.
        rule: Box<str>,
    },
    /// Answer with `reply`, which is 4yz or 5yz; 421 and 521 end the session.
    Refuse {
        /// What the client is told.
        reply: Reply,
        /// The rule's name.
        rule: Box<str>,
    },
    /// To [`Question::Verify`] and [`Question::Expand`] only: answer with `reply`, which is 2yz.
    Answer {
        /// What the client is told: a mailbox, or a member of the list a line.
        reply: Reply,
    },
}
