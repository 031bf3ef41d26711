//! The states of a server session: one struct or variant each, holding what is true in it.

use super::legality::Phase;
use super::pace::Pace;
use super::reception::Reception;
use crate::Verb;
use crate::command::Introduction;
use mail::{
    BodyKind, ForwardPath, Protocol, Question, RecipientRequest, Reply, Returned, ReversePath,
};

/// Where a session is.
pub(super) enum State {
    /// A verdict is awaited.
    Deciding(Pending),
    /// The client would be greeted, but must show first that it can wait.
    Listening,
    /// The greeting was a refusal; QUIT is awaited.
    Rejected,
    /// Greeted.
    Greeted,
    /// Between transactions.
    Ready(Hello),
    /// MAIL was accepted.
    Mail(Hello, Transaction),
    /// 354 was said, or a chunk is coming.
    Receiving(Hello, Box<Reception>),
    /// Between two chunks.
    Chunking(Hello, Box<Reception>),
    /// A chunk was refused, and with it the transaction (RFC 3030 §2).
    Failed(Hello),
    /// A chunk comes that nobody wants.
    Skipping(Box<Skip>),
    /// A turn of a SASL exchange is the corridor's.
    Asking(Hello, Turn),
    /// A turn of a SASL exchange is the client's.
    Answering(Hello),
    /// TLS begins once 220 has gone.
    Securing,
    /// The corridor is told of another client; what is `None` has been told.
    Introducing(Option<Box<Introduction>>, Option<Hello>),
    /// The corridor makes the message durable.
    Committing(Hello),
    /// What is in the output is our last word.
    Parting,
}

/// Whether the corridor has been given its turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Not yet: with this.
    Due(super::Exchange),
    /// Yes; its answer is awaited.
    Given,
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
    pub(super) utf8: bool,
    pub(super) returned: Option<Returned>,
    pub(super) envelope_id: Option<Box<str>>,
    pub(super) recipients: Vec<ForwardPath>,
    /// One for each recipient; empty while none has asked for anything.
    pub(super) requests: Vec<RecipientRequest>,
    /// The rule that accepted the first recipient; that of the sender until then.
    pub(super) rule: Box<str>,
}

impl Transaction {
    /// Adds a recipient with what was asked for it.
    pub(super) fn add(&mut self, forward_path: ForwardPath, request: RecipientRequest) {
        if request != RecipientRequest::default() {
            self.requests.resize(self.recipients.len(), RecipientRequest::default());
        }
        if request != RecipientRequest::default() || !self.requests.is_empty() {
            self.requests.push(request);
        }
        self.recipients.push(forward_path);
    }
}

/// A refused chunk: its bytes are read and dropped, never obeyed, and then it is answered.
pub(super) struct Skip {
    /// Where the session goes on.
    pub(super) then: State,
    pub(super) left: u64,
    pub(super) skipped: u64,
    pub(super) reply: Reply,
    pub(super) pace: Pace,
}

/// What a verdict is awaited about, with all that its answer needs.
pub(super) enum Pending {
    Connect {
        /// What XCLIENT said about HELO.
        hello: Option<Hello>,
    },
    Hello {
        hello: Hello,
        /// Where the session stays when the answer is no (RFC 5321 §4.1.4).
        before: Box<State>,
    },
    Sender {
        hello: Hello,
        transaction: Transaction,
        size: Option<u64>,
    },
    Recipient {
        hello: Hello,
        transaction: Transaction,
        forward_path: ForwardPath,
        request: RecipientRequest,
    },
    /// VRFY or EXPN.
    Disclosure {
        verb: Verb,
        text: Box<str>,
        before: Box<State>,
    },
}

impl Pending {
    pub(super) fn question(&self) -> Question {
        match self {
            Self::Connect { .. } => Question::Connect,
            Self::Hello { hello, .. } => Question::Hello { name: hello.name.clone() },
            Self::Sender { transaction, size, .. } => {
                Question::Sender { reverse_path: transaction.reverse_path.clone(), size: *size }
            }
            Self::Recipient { transaction, forward_path, .. } => Question::Recipient {
                reverse_path: transaction.reverse_path.clone(),
                forward_path: forward_path.clone(),
            },
            Self::Disclosure { verb: Verb::Expn, text, .. } => {
                Question::Expand { text: text.clone() }
            }
            Self::Disclosure { text, .. } => Question::Verify { text: text.clone() },
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
            Self::Chunking(..) => Some(Phase::Chunking),
            Self::Failed(_) => Some(Phase::Failed),
            Self::Deciding(_)
            | Self::Listening
            | Self::Receiving(..)
            | Self::Skipping(_)
            | Self::Asking(..)
            | Self::Answering(_)
            | Self::Securing
            | Self::Introducing(..)
            | Self::Committing(_)
            | Self::Parting => None,
        }
    }

    /// Whether the corridor holds a draft that ends with this state.
    pub(super) fn has_draft(&self) -> bool {
        match self {
            Self::Receiving(_, reception) | Self::Chunking(_, reception) => reception.has_draft(),
            Self::Deciding(Pending::Hello { before, .. } | Pending::Disclosure { before, .. }) => {
                before.has_draft()
            }
            Self::Deciding(
                Pending::Connect { .. } | Pending::Sender { .. } | Pending::Recipient { .. },
            )
            | Self::Listening
            | Self::Rejected
            | Self::Greeted
            | Self::Ready(_)
            | Self::Mail(..)
            | Self::Failed(_)
            | Self::Skipping(_)
            | Self::Asking(..)
            | Self::Answering(_)
            | Self::Securing
            | Self::Introducing(..)
            | Self::Committing(_)
            | Self::Parting => false,
        }
    }
}
