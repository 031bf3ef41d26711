//! The states of a server session: one struct or variant each, holding what is true in it.

use super::legality::Phase;
use super::reception::Reception;
use mail::{BodyKind, ForwardPath, Protocol, Question, ReversePath};

/// Where a session is.
pub(super) enum State {
    /// A verdict is awaited.
    Deciding(Pending),
    /// The greeting was a refusal; QUIT is awaited.
    Rejected,
    /// Greeted.
    Greeted,
    /// Between transactions.
    Ready(Hello),
    /// MAIL was accepted.
    Mail(Hello, Transaction),
    /// 354 was said.
    Receiving(Hello, Reception),
    /// The corridor makes the message durable.
    Committing(Hello),
    /// What is in the output is our last word.
    Parting {
        /// Whether there is a draft to throw away first.
        discard: bool,
    },
}

/// What the client said in HELO or EHLO.
pub(super) struct Hello {
    pub(super) name: Box<str>,
    pub(super) protocol: Protocol,
}

/// An envelope in the making.
pub(super) struct Transaction {
    pub(super) reverse_path: ReversePath,
    pub(super) body: BodyKind,
    pub(super) recipients: Vec<ForwardPath>,
    /// The rule that accepted the first recipient; that of the sender until then.
    pub(super) rule: Box<str>,
}

/// What a verdict is awaited about, with all that its answer needs.
pub(super) enum Pending {
    Connect,
    Hello {
        hello: Hello,
        /// Where the session stays when the answer is no (RFC 5321 §4.1.4).
        before: Box<State>,
    },
    Sender {
        hello: Hello,
        reverse_path: ReversePath,
        size: Option<u64>,
        body: BodyKind,
    },
    Recipient {
        hello: Hello,
        transaction: Transaction,
        forward_path: ForwardPath,
    },
}

impl Pending {
    pub(super) fn question(&self) -> Question {
        match self {
            Self::Connect => Question::Connect,
            Self::Hello { hello, .. } => Question::Hello { name: hello.name.clone() },
            Self::Sender { reverse_path, size, .. } => {
                Question::Sender { reverse_path: reverse_path.clone(), size: *size }
            }
            Self::Recipient { transaction, forward_path, .. } => Question::Recipient {
                reverse_path: transaction.reverse_path.clone(),
                forward_path: forward_path.clone(),
            },
        }
    }
}

impl State {
    /// The phase in which a command arrives; `None` where none can.
    pub(super) fn phase(&self) -> Option<Phase> {
        match self {
            Self::Rejected => Some(Phase::Rejected),
            Self::Greeted => Some(Phase::Greeted),
            Self::Ready(_) => Some(Phase::Ready),
            Self::Mail(..) => Some(Phase::Mail),
            Self::Deciding(_)
            | Self::Receiving(..)
            | Self::Committing(_)
            | Self::Parting { .. } => None,
        }
    }
}
