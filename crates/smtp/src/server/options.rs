//! What an operator may set about a server session.

use super::extensions::{Extension, ExtensionSet};
use super::privacy::Privacy;
use mail::Domain;
use std::time::Duration;

/// What becomes of a bare CR or LF in a message. A NUL is always refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BareNewline {
    /// The message gets 550 5.5.2.
    Refuse,
    /// LF becomes CRLF, a lone CR a space; neither is ever part of an end of data.
    Normalise,
}

/// What VRFY and EXPN tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disclosure {
    /// Nothing: 252.
    Noncommittal,
    /// To trusted clients what the tables say.
    Answer,
}

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
    /// What is announced where nothing speaks against it. SMTPUTF8 and DSN are promises that the
    /// whole relay must keep, so that they are added by whoever knows that it does. STARTTLS, AUTH,
    /// EXPN and XCLIENT follow from what stands elsewhere.
    pub offers: ExtensionSet,
    /// Extensions that nobody is offered (`without`).
    pub without: ExtensionSet,
    /// Bare CR and LF from strangers.
    pub bare_newline: BareNewline,
    /// Bare CR and LF from trusted clients.
    pub bare_newline_trusted: BareNewline,
    /// What VRFY tells.
    pub vrfy: Disclosure,
    /// What EXPN tells; it is announced only when it answers.
    pub expn: Disclosure,
    /// The `privacy` words.
    pub privacy: Privacy,
    /// SASL mechanisms of a submission listener, by their names in upper case (RFC 4422 §3.1);
    /// none: no AUTH.
    pub mechanisms: Vec<Box<str>>,
    /// Whether AUTH may be used without TLS, in which case passwords cross the network.
    pub auth_in_clear: bool,
    /// Completes addresses without a domain from local and submission clients.
    pub origin: Option<Domain>,
    /// How long a stranger must wait for the greeting; who talks first is refused. 0 is off.
    pub early_talker: Duration,
    /// Whether Received says nothing of where authenticated users are; obeyed by the corridor.
    pub hide_client: bool,
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
            offers: ExtensionSet::of(&[
                Extension::Pipelining,
                Extension::Size,
                Extension::EightBitMime,
                Extension::EnhancedStatusCodes,
                Extension::Chunking,
                Extension::Limits,
            ]),
            without: ExtensionSet::EMPTY,
            bare_newline: BareNewline::Refuse,
            bare_newline_trusted: BareNewline::Normalise,
            vrfy: Disclosure::Noncommittal,
            expn: Disclosure::Noncommittal,
            privacy: Privacy::default(),
            mechanisms: Vec::new(),
            auth_in_clear: false,
            origin: None,
            early_talker: Duration::ZERO,
            hide_client: false,
        }
    }
}
