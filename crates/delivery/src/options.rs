//! What an operator may choose about delivery.

use crate::{Route, TlsWord};
use std::time::Duration;

/// Options of delivery: `[delivery]` and `[[route]]`. Defaults are those of the interface page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The port at which MX hosts are called (`port`).
    pub port: u16,
    /// Sessions to all next hops together, over all shards; at least 1 a shard (`sessions`).
    pub sessions: usize,
    /// Sessions to one next hop, unless its route says otherwise (`sessions_per_destination`).
    pub sessions_per_destination: usize,
    /// How long a session is kept for the next message (`idle`).
    pub idle: Duration,
    /// How long a connection may take (`connect_timeout`).
    pub connect_timeout: Duration,
    /// How long the greeting may take (RFC 5321 §4.5.3.2.1: 5 minutes).
    pub greeting_timeout: Duration,
    /// How long a reply to a command may take (RFC 5321 §4.5.3.2.2 and .3: 5 minutes).
    pub command_timeout: Duration,
    /// How long one block of a body may take to be sent (RFC 5321 §4.5.3.2.5: 3 minutes).
    pub data_timeout: Duration,
    /// How long the reply to the end of data may take (RFC 5321 §4.5.3.2.6: 10 minutes). Shorter
    /// makes duplicates.
    pub end_of_data_timeout: Duration,
    /// Our name in EHLO, unless a route says otherwise; also the name under which we find ourselves
    /// in an MX set. Default: `hostname`.
    pub hello: Box<str>,
    /// How sessions are encrypted, unless a route says otherwise (`tls`).
    pub tls: TlsWord,
    /// Whether 8-bit content is bounced where a next hop lacks 8BITMIME, instead of sent as it is
    /// (`smtp.eightbit`).
    pub eight_bit_bounces: bool,
    /// Routes; the first that matches wins, without a match MX records decide.
    pub routes: Vec<Route>,
}

impl Default for Options {
    fn default() -> Self {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        Self {
            port: 25,
            sessions: 2000,
            sessions_per_destination: 20,
            idle: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(30),
            greeting_timeout: minutes(5),
            command_timeout: minutes(5),
            data_timeout: minutes(3),
            end_of_data_timeout: minutes(10),
            hello: "localhost".into(),
            tls: TlsWord::Opportunistic,
            eight_bit_bounces: false,
            routes: Vec::new(),
        }
    }
}
