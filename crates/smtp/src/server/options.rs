//! What an operator may set about a server session, and who the peer is.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// The `[smtp]` part of the configuration. Defaults are those of the interface page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerOptions {
    /// Our name in the greeting and in EHLO: a domain of at most 255 bytes. From `hostname`.
    pub hostname: Box<str>,
    /// What follows the name in the greeting; printable ASCII, never product or version.
    pub banner: Box<str>,
    /// The largest message in bytes, dot-stuffing not counted; announced as SIZE (RFC 1870).
    /// From 64 KiB (RFC 5321 §4.5.3.1.7) to 2^62. A larger body is dropped to its end.
    pub message_bytes: u64,
    /// Recipients of one message, at least 100 (RFC 5321 §4.5.3.1.8); the next gets 452 4.5.3.
    pub recipients_per_message: usize,
    /// Received fields of one message, at least 1; RFC 5321 §6.3 wants 100. More are a loop.
    pub hops: u32,
    /// How long to wait for a command; RFC 5321 §4.5.3.2.7 wants 5 minutes.
    pub command_timeout: Duration,
    /// How long to wait between two reads of a body (RFC 5321 §4.5.3.2.5: 3 minutes).
    pub data_timeout: Duration,
    /// The mean rate of a body after 30 s, in bytes a second; 0 is off.
    pub data_rate: u64,
    /// How long we wait for a body in all; time in which we do not read is not counted.
    pub data_total: Duration,
    /// Replaces `command_timeout` for strangers while the relay is nearly full.
    pub stress_timeout: Duration,
    /// Strangers' wrong or refused commands since the last accepted message; the next wrong one
    /// gets 421 4.7.0. `u32::MAX` is off.
    pub errors: u32,
    /// The longest text line in bytes, its CRLF not counted; a longer one is refused with
    /// 550 5.6.0. `None`: any length passes unchanged.
    pub line_bytes: Option<u64>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            hostname: "localhost".into(),
            banner: "ESMTP".into(),
            message_bytes: 35 << 20,
            recipients_per_message: 1000,
            hops: 100,
            command_timeout: Duration::from_secs(5 * 60),
            data_timeout: Duration::from_secs(3 * 60),
            data_rate: 1 << 10,
            data_total: Duration::from_secs(60 * 60),
            stress_timeout: Duration::from_secs(10),
            errors: 20,
            line_bytes: None,
        }
    }
}

/// Who is at the other end.
#[derive(Clone, Debug)]
pub struct ServerPeer {
    /// The client's address and port.
    pub client: SocketAddr,
    /// The listener's name.
    pub listener: Rc<str>,
    /// Whether the client is trusted: the `errors` limit is for strangers only.
    pub trusted: bool,
}
