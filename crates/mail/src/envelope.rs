//! The envelope of a message and where it came from.

use crate::{ForwardPath, ReversePath, UnixTime};
use std::net::{IpAddr, SocketAddr};

/// The BODY parameter of MAIL (RFC 6152).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyKind {
    /// `7BIT`, or no parameter.
    #[default]
    SevenBit,
    /// `8BITMIME`.
    EightBitMime,
}

/// How the message arrived: the `with` word of its Received field (RFC 3848).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// After HELO.
    Smtp,
    /// After EHLO.
    #[default]
    Esmtp,
    /// Made here: a DSN.
    Local,
}

/// Where a message came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The client's address and port; `None` for what is made here.
    pub client: Option<SocketAddr>,
    /// The name of its HELO or EHLO, as received (printable, at most 255 bytes).
    pub hello: Box<str>,
    /// The listener's name.
    pub listener: Box<str>,
    /// The rule that let it in.
    pub rule: Box<str>,
    /// Who authenticated (RFC 4954), or submits over the local socket.
    pub user: Option<Box<str>>,
    /// HELO, EHLO or made here.
    pub protocol: Protocol,
    /// The session was encrypted.
    pub secured: bool,
    /// The client may send to anyone: it is in `relay.networks`, authenticated, shows a listed
    /// certificate, or is local. Bounces to strangers are rationed.
    pub trusted: bool,
    /// When its MAIL command was answered.
    pub arrived: UnixTime,
}

impl Origin {
    /// The client's address.
    pub fn address(&self) -> Option<IpAddr> {
        self.client.map(|client| client.ip())
    }
}

/// What a sender wants returned of a message that failed: the RET parameter (RFC 3461 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returned {
    /// `FULL`.
    Full,
    /// `HDRS`.
    Headers,
}

/// When a sender wants to hear of a recipient: the NOTIFY parameter (RFC 3461 §4.1). All false is
/// `NEVER`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notify {
    /// `SUCCESS`.
    pub success: bool,
    /// `FAILURE`.
    pub failure: bool,
    /// `DELAY`.
    pub delay: bool,
}

/// What is asked for one recipient.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecipientRequest {
    /// NOTIFY, when it was given; otherwise failures and delays are reported.
    pub notify: Option<Notify>,
    /// ORCPT as it was given: address type, `;`, xtext (RFC 3461 §4.2) or utf-8-addr-xtext
    /// (RFC 6533 §3); at most 500 bytes.
    pub original: Option<Box<str>>,
}

/// What the sender asks about delivery status notifications (RFC 3461).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusRequest {
    /// RET.
    pub returned: Option<Returned>,
    /// ENVID in xtext, as it was given; at most 100 bytes.
    pub envelope_id: Option<Box<str>>,
    /// For each recipient of the envelope, in its order.
    pub recipients: Vec<RecipientRequest>,
}

/// An envelope: who sent it, who shall get it, how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Where bounces go; null for a bounce itself.
    pub reverse_path: ReversePath,
    /// In the order of the RCPT commands; at least one once accepted.
    pub recipients: Vec<ForwardPath>,
    /// Whether the content may have 8-bit bytes.
    pub body: BodyKind,
    /// SMTPUTF8 was given (RFC 6531): addresses and header may be UTF-8.
    pub utf8: bool,
    /// What was asked about status notifications; `None`: nothing, as nearly always.
    pub request: Option<Box<StatusRequest>>,
    /// Where it came from.
    pub origin: Origin,
}

impl Envelope {
    /// A seven-bit envelope that asks for nothing.
    pub fn new(reverse_path: ReversePath, recipients: Vec<ForwardPath>, origin: Origin) -> Self {
        let body = BodyKind::SevenBit;
        Self { reverse_path, recipients, body, utf8: false, request: None, origin }
    }
}
