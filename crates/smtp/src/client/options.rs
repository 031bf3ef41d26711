//! What an operator may set about a client session.

use std::time::Duration;

/// How we talk to a next hop. Defaults are those of the interface page's `[delivery]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientOptions {
    /// The name for EHLO: a domain or an address literal. From the route, else `hostname`.
    pub hello: Box<str>,
    /// Whether to speak LMTP (RFC 2033): LHLO, and a final reply for each recipient.
    pub lmtp: bool,
    /// Whether PIPELINING (RFC 2920) may be used when the peer offers it.
    pub pipelining: bool,
    /// Whether CHUNKING (RFC 3030) may be used when the peer offers it.
    pub chunking: bool,
    /// Whether DSN (RFC 3461) may be used when the peer offers it.
    pub dsn: bool,
    /// Whether SMTPUTF8 (RFC 6531) may be used when the peer offers it.
    pub utf8: bool,
    /// When the session is encrypted.
    pub encryption: Encryption,
    /// Whether the peer must be told who we are (AUTH) before the first message.
    pub authenticate: bool,
    /// Whether 8-bit content is bounced where the peer lacks 8BITMIME, instead of sent as it is.
    pub eight_bit_bounces: bool,
    /// How long to wait for the greeting (RFC 5321 §4.5.3.2.1: 5 minutes).
    pub greeting_timeout: Duration,
    /// How long to wait for the reply to a command (RFC 5321 §4.5.3.2.2 and .3: 5 minutes).
    pub command_timeout: Duration,
    /// How long the sending of one block of a body may take (RFC 5321 §4.5.3.2.5: 3 minutes). The
    /// corridor that sends the body obeys it.
    pub data_timeout: Duration,
    /// How long to wait for 354 (RFC 5321 §4.5.3.2.4: 2 minutes).
    pub data_go_timeout: Duration,
    /// How long to wait for the final reply (RFC 5321 §4.5.3.2.6: 10 minutes). Shorter makes
    /// duplicates.
    pub end_of_data_timeout: Duration,
}

/// When a session is encrypted with STARTTLS (RFC 3207).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encryption {
    /// Not by STARTTLS: it is encrypted already, or shall not be.
    #[default]
    Never,
    /// When the peer offers it (RFC 7435).
    Offered,
    /// Always: a peer that does not offer it gets no mail.
    Required,
}

impl Default for ClientOptions {
    fn default() -> Self {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        Self {
            hello: "localhost".into(),
            lmtp: false,
            pipelining: true,
            chunking: true,
            dsn: true,
            utf8: true,
            encryption: Encryption::Never,
            authenticate: false,
            eight_bit_bounces: false,
            greeting_timeout: minutes(5),
            command_timeout: minutes(5),
            data_timeout: minutes(3),
            data_go_timeout: minutes(2),
            end_of_data_timeout: minutes(10),
        }
    }
}
