//! What the log says: one closed table of events, one of fields.
//!
//! An event is a kind and some fields in the order they were added. How it is written (text, JSON)
//! and where is the control plane's business; the rooms on the mail path only record it.

use crate::{MessageId, UnixTime};
use std::fmt;
use std::rc::Rc;

/// How much an operator wants to hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Somebody must act.
    Error,
    /// Somebody should look.
    Warn,
    /// The life of messages.
    Info,
    /// The life of sessions.
    Debug,
}

macro_rules! table {
    ($(#[$doc:meta])* $name:ident {
        $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }
        impl $name {
            /// All of them, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];
            /// The name that scripts rely on.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(self.as_str()) }
        }
    };
}

table! {
    /// What happened.
    EventKind {
        /// A client has connected.
        SessionOpened = "session.opened",
        /// A session has ended.
        SessionClosed = "session.closed",
        /// A client was turned away at the door.
        SessionRefused = "session.refused",
        /// A client has proven who it is.
        AuthSucceeded = "auth.succeeded",
        /// A client has not, or nobody could say.
        AuthFailed = "auth.failed",
        /// A handshake came to nothing.
        TlsFailed = "tls.failed",
        /// A certificate and its key are not taken; the old ones stay.
        TlsRefused = "tls.refused",
        /// A table is not taken; the old one stays.
        TableRefused = "table.refused",
        /// 250 to end of data: the message is durable.
        MessageAccepted = "message.accepted",
        /// A message or a recipient was refused.
        MessageRefused = "message.refused",
        /// A next hop took the recipient.
        RecipientDelivered = "recipient.delivered",
        /// Not now.
        RecipientDeferred = "recipient.deferred",
        /// Never.
        RecipientBounced = "recipient.bounced",
        /// Given up.
        RecipientExpired = "recipient.expired",
        /// A report was queued.
        DsnSent = "dsn.sent",
        /// A report was not: its message has a null reverse-path.
        DsnDropped = "dsn.dropped",
        /// A destination is left alone for a while.
        DestinationThrottled = "destination.throttled",
        /// A destination takes mail again.
        DestinationRecovered = "destination.recovered",
        /// What was found in the spool at start.
        SpoolRecovered = "spool.recovered",
        /// A batch or record does not verify; file and offset are given.
        SpoolQuarantined = "spool.quarantined",
        /// A write or sync failed.
        SpoolFailed = "spool.failed",
        /// No room.
        SpoolFull = "spool.full",
        /// The spool is not what it should be: waiting for its lock, not durable, slow.
        SpoolWarned = "spool.warned",
        /// The new configuration is in force.
        ConfigReloaded = "config.reloaded",
        /// The new configuration is not: the old one stays.
        ConfigRefused = "config.refused",
        /// The process itself: started, draining, ended, out of descriptors.
        ProcessNoted = "process.noted",
        /// A library's warning.
        LibraryWarned = "library.warned",
    }
}

table! {
    /// What is said about it.
    Field {
        /// The session, a number of this process.
        Session = "session",
        /// The message.
        Id = "id",
        /// The listener's name.
        Listener = "listener",
        /// The client's address.
        Client = "client",
        /// The client's port.
        ClientPort = "client_port",
        /// The name of HELO or EHLO.
        Hello = "hello",
        /// Who authenticated.
        User = "user",
        /// The cipher suite.
        Cipher = "cipher",
        /// The reverse-path in angle brackets.
        From = "from",
        /// A forward-path in angle brackets.
        To = "to",
        /// How many recipients.
        Recipients = "recipients",
        /// Bytes of the message.
        Size = "size",
        /// The rule that decided.
        Rule = "rule",
        /// The next hop's name.
        Destination = "destination",
        /// The host that was spoken to: `name[address]:port`.
        Host = "host",
        /// TLS version, or none.
        Tls = "tls",
        /// Seconds since the message was accepted.
        Delay = "delay_s",
        /// Seconds before queue, in queue, connecting, transmitting: `a/b/c/d`.
        Delays = "delays",
        /// The number of this attempt, from 1.
        Attempt = "attempt",
        /// The enhanced status.
        Status = "status",
        /// A reply, ours or the peer's, on one line.
        Reply = "reply",
        /// Why, in words.
        Reason = "reason",
        /// When it is tried again.
        Next = "next",
        /// A file.
        File = "file",
        /// A byte offset in it.
        Offset = "offset",
        /// A count, of what the event is about.
        Count = "count",
        /// What to do about it.
        Remedy = "remedy",
    }
}

impl EventKind {
    /// The level at which the event is heard.
    pub fn level(self) -> Level {
        match self {
            Self::SessionOpened | Self::SessionClosed => Level::Debug,
            Self::SessionRefused
            | Self::AuthSucceeded
            | Self::AuthFailed
            | Self::TlsFailed
            | Self::MessageAccepted
            | Self::MessageRefused
            | Self::RecipientDelivered
            | Self::RecipientDeferred
            | Self::RecipientBounced
            | Self::RecipientExpired
            | Self::DsnSent
            | Self::DsnDropped
            | Self::DestinationThrottled
            | Self::DestinationRecovered
            | Self::SpoolRecovered
            | Self::ConfigReloaded
            | Self::ProcessNoted => Level::Info,
            Self::SpoolQuarantined
            | Self::SpoolFull
            | Self::SpoolWarned
            | Self::ConfigRefused
            | Self::TlsRefused
            | Self::TableRefused
            | Self::LibraryWarned => Level::Warn,
            Self::SpoolFailed => Level::Error,
        }
    }
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text from anywhere; the writer escapes it.
    Text(Box<str>),
    /// Text of ours.
    Fixed(&'static str),
    /// A count, a size, a port.
    Number(u64),
    /// Seconds.
    Seconds(f64),
    /// A message.
    Id(MessageId),
    /// A point in time.
    Time(UnixTime),
}

/// One line of the log, before it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// What is said about it, in this order.
    pub fields: Vec<(Field, Value)>,
}

impl Event {
    /// An event without fields.
    pub fn new(kind: EventKind) -> Self {
        Self { kind, fields: Vec::with_capacity(10) }
    }

    /// Adds a text.
    #[must_use]
    pub fn text(mut self, field: Field, text: impl Into<Box<str>>) -> Self {
        self.fields.push((field, Value::Text(text.into())));
        self
    }

    /// Adds a text of ours.
    #[must_use]
    pub fn fixed(mut self, field: Field, text: &'static str) -> Self {
        self.fields.push((field, Value::Fixed(text)));
        self
    }

    /// Adds a number.
    #[must_use]
    pub fn number(mut self, field: Field, number: u64) -> Self {
        self.fields.push((field, Value::Number(number)));
        self
    }

    /// Adds seconds.
    #[must_use]
    pub fn seconds(mut self, field: Field, seconds: f64) -> Self {
        self.fields.push((field, Value::Seconds(seconds)));
        self
    }

    /// Adds the message's id.
    #[must_use]
    pub fn id(mut self, id: MessageId) -> Self {
        self.fields.push((Field::Id, Value::Id(id)));
        self
    }

    /// Adds a point in time.
    #[must_use]
    pub fn time(mut self, field: Field, time: UnixTime) -> Self {
        self.fields.push((field, Value::Time(time)));
        self
    }
}

/// Where a room records its events; every room of a shard holds a clone.
#[derive(Clone)]
pub struct Journal {
    level: Level,
    sink: Rc<dyn Fn(Event)>,
}

impl Journal {
    /// A journal that hands events up to `level` to `sink`, which must not block.
    pub fn new(level: Level, sink: Rc<dyn Fn(Event)>) -> Self {
        Self { level, sink }
    }

    /// A journal that forgets.
    pub fn silent() -> Self {
        Self::new(Level::Error, Rc::new(|_| {}))
    }

    /// Whether events of this kind are heard: ask before composing a costly one.
    pub fn hears(&self, kind: EventKind) -> bool {
        kind.level() <= self.level
    }

    /// Records an event, if its kind is heard.
    pub fn record(&self, event: Event) {
        if self.hears(event.kind) {
            (self.sink)(event);
        }
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("level", &self.level).finish_non_exhaustive()
    }
}
