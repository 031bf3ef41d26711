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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The client's address and port; `None` for what is made here.
    pub client: Option<SocketAddr>,
    /// The name of its HELO or EHLO, as received (printable, at most 255 bytes).
    pub hello: Box<str>,
    /// The listener's name.
    pub listener: Box<str>,
    /// The rule that let it in.
    pub rule: Box<str>,
    /// HELO, EHLO or made here.
    pub protocol: Protocol,
    /// When its MAIL command was answered.
    pub arrived: UnixTime,
}

impl Origin {
    /// The client's address.
    pub fn address(&self) -> Option<IpAddr> {
        self.client.map(|client| client.ip())
    }
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
    /// Where it came from.
    pub origin: Origin,
}
