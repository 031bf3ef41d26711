//! What is promised, and who looks whether it is kept: one small file a promise.
//!
//! Some look all the time, at a [`Sight`] of the relay; some hear every byte or every event; some
//! judge the [`Ledger`](crate::ledger::Ledger) at the end. All are pure: what they look at is
//! handed to them. Start reading at [`Checker::promise`], then [`Watch::look`].

pub(crate) mod accounting;
pub(crate) mod content;
pub(crate) mod damage;
pub(crate) mod descriptors;
pub(crate) mod expiry;
pub(crate) mod limits;
pub(crate) mod lost;
pub(crate) mod memory;
pub(crate) mod progress;
pub(crate) mod replies;
mod sight;
pub(crate) mod space;
pub(crate) mod states;
pub(crate) mod twice;

pub(crate) use sight::{Bounds, ShardSight, Sight};

use accounting::Accounting;
use damage::Damage;
use expiry::Expiry;
use mail::{Event, MessageId};
use progress::Progress;
use reactor::Instant;
use states::States;
use std::fmt;

/// Who found something wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Checker {
    /// See [`promise`](Self::promise), as for all.
    Lost,
    /// What arrives is what was sent.
    Content,
    /// Nobody gets what was not for him.
    Stranger,
    /// Nothing arrives twice without a cause.
    Twice,
    /// The dialogue with clients.
    Replies,
    /// Sessions and the queue.
    Limits,
    /// Memory.
    Memory,
    /// Descriptors.
    Descriptors,
    /// The queue's own numbers.
    Accounting,
    /// One recipient, one state.
    States,
    /// Nothing stands still.
    Progress,
    /// Giving up.
    Expiry,
    /// Bytes on disk.
    Space,
    /// Damage.
    Damage,
    /// What the kernel is asked for.
    Kernel,
    /// One seed, one run.
    Repeat,
    /// The code's own assertions.
    Panic,
}

impl Checker {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::Lost,
        Self::Content,
        Self::Stranger,
        Self::Twice,
        Self::Replies,
        Self::Limits,
        Self::Memory,
        Self::Descriptors,
        Self::Accounting,
        Self::States,
        Self::Progress,
        Self::Expiry,
        Self::Space,
        Self::Damage,
        Self::Kernel,
        Self::Repeat,
        Self::Panic,
    ];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Content => "content",
            Self::Stranger => "stranger",
            Self::Twice => "twice",
            Self::Replies => "replies",
            Self::Limits => "limits",
            Self::Memory => "memory",
            Self::Descriptors => "descriptors",
            Self::Accounting => "accounting",
            Self::States => "states",
            Self::Progress => "progress",
            Self::Expiry => "expiry",
            Self::Space => "space",
            Self::Damage => "damage",
            Self::Kernel => "kernel",
            Self::Repeat => "repeat",
            Self::Panic => "panic",
        }
    }

    /// The promise that it holds.
    pub fn promise(self) -> &'static str {
        match self {
            Self::Lost => "what got its 250 arrives at a next hop or is reported to its sender",
            Self::Content => "what arrives is, to the byte, what was sent, and its end was sent",
            Self::Stranger => "a recipient gets nothing that was written to others",
            Self::Twice => "nothing arrives twice unless a crash or the network ate a reply",
            Self::Replies => {
                "each command gets its own reply, in order; nobody relays for strangers"
            }
            Self::Limits => {
                "sessions, those of a destination and the queue stay within their limits"
            }
            Self::Memory => "slabs and leases stay within what the options come to",
            Self::Descriptors => "descriptors stay within sessions and files; at rest none is left",
            Self::Accounting => "the queue's counts are those of its list, and no message vanishes",
            Self::States => "a recipient is in one state, of one shard, and over when it is over",
            Self::Progress => "when all is well all mail moves, and new mail is taken again",
            Self::Expiry => "nobody waits past his time, and nobody is given up before it",
            Self::Space => "files take at most 1.5 times what lives in them, and a few segments",
            Self::Damage => "nothing that was durable is found damaged unless the disk damaged it",
            Self::Kernel => "no descriptor is closed in use, no buffer given back twice",
            Self::Repeat => "a seed that is run twice gives the same events",
            Self::Panic => "no assertion of the code fails",
        }
    }
}

/// Something that must not happen has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Who found it.
    pub checker: Checker,
    /// When, since the world's birth.
    pub at: Instant,
    /// What.
    pub what: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.at.0 as f64 / 1e9;
        write!(f, "[{}] at {seconds:.6} s: {}", self.checker.name(), self.what)
    }
}

/// What a checker says that has found something.
pub(crate) type Finding = (Checker, String);

/// The checkers that look at the running relay and remember what they saw.
#[derive(Default)]
pub(crate) struct Watch {
    accounting: Accounting,
    states: States,
    progress: Progress,
    expiry: Expiry,
    /// What has been done to the disk.
    pub(crate) damage: Damage,
}

impl Watch {
    /// A process begins: what was known of the one before is over. `clean`: that one had ended
    /// with everything written down.
    pub(crate) fn restarted(&mut self, clean: bool) {
        self.accounting = Accounting::default();
        self.states.restarted(clean);
        self.progress = Progress::default();
        self.expiry.restarted();
    }

    /// Takes in an event of the relay.
    pub(crate) fn hear(&mut self, event: &Event, bounds: &Bounds) -> Vec<Finding> {
        self.accounting.hear(event);
        self.states.hear(event);
        let mut findings = self.expiry.hear(event, bounds);
        findings.extend(self.damage.hear(event).map(|what| (Checker::Damage, what)));
        findings
    }

    /// An operator holds a message, or lets it go.
    pub(crate) fn hold(&mut self, id: MessageId, held: bool) {
        self.expiry.hold(id, held);
    }

    /// An operator removes a message.
    pub(crate) fn remove(&mut self, id: MessageId) {
        self.accounting.remove(id);
    }

    /// Looks at the relay.
    pub(crate) fn look(&mut self, sight: &Sight) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut collect = |checker, whats: Vec<String>| {
            findings.extend(whats.into_iter().map(|what| (checker, what)));
        };
        collect(Checker::Accounting, self.accounting.look(sight));
        collect(Checker::States, self.states.look(sight));
        collect(Checker::Progress, self.progress.look(sight));
        collect(Checker::Expiry, self.expiry.look(sight));
        collect(Checker::Limits, limits::look(sight));
        collect(Checker::Memory, memory::look(sight));
        collect(Checker::Descriptors, descriptors::look(sight));
        collect(Checker::Kernel, sight.violations.clone());
        findings
    }
}
