//! What the operator has set: options of the rooms, drawn.

use crate::message::{DOMAINS, SENDERS};
use crate::yard::{MX, PORT, SMART};
use delivery::{Pattern, Route, Via};
use policy::DomainPattern;
use queue::{Retry, SpoolFree};
use reactor::sim::Chance;
use smtp::ServerOptions;
use std::path::PathBuf;
use std::time::Duration;

/// The name of the relay.
pub(crate) const HOSTNAME: &str = "relay.example";

/// The largest message: the workload's all fit.
const MESSAGE_BYTES: u64 = 1 << 20;

/// The spool.
pub(crate) const SPOOL: &str = "/var/spool/ringpost";

/// What the operator has set.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Shards at most; each start draws a number up to it.
    pub(crate) shards: u64,
    /// Sessions of clients, over all shards.
    pub(crate) sessions: u64,
    /// Sessions to next hops, over all shards.
    pub(crate) outbound: usize,
    /// Sessions to one next hop.
    pub(crate) per_destination: usize,
    /// Messages in a session to the host of a route.
    pub(crate) messages_per_session: u32,
    /// Messages in the queue of one shard.
    pub(crate) queue_messages: u64,
    /// Bytes of bodies that a shard keeps in memory.
    pub(crate) hot_bytes: u64,
    /// Hundredths of the disk that are left free.
    pub(crate) free_percent: u8,
    /// When a recipient is tried again, and when no more.
    pub(crate) retry: Retry,
    /// The route of smart.example leads to the host of another domain.
    pub(crate) detour: bool,
}

impl Settings {
    /// Draws some.
    pub(crate) fn draw(chance: &mut Chance) -> Self {
        let days = Duration::from_secs(24 * 3600);
        let short = Duration::from_secs(300 + chance.below(3600));
        let few = if chance.hits(0.5) { 4 } else { 1000 };
        let give_up = if chance.hits(0.3) { short } else { 5 * days };
        Self {
            shards: 1 + chance.below(4),
            sessions: if chance.hits(0.3) { 2 + chance.below(5) } else { 50 },
            outbound: if chance.hits(0.3) { 1 + chance.below(6) as usize } else { 100 },
            per_destination: 1 + chance.below(20) as usize,
            messages_per_session: 1 + chance.below(few) as u32,
            queue_messages: if chance.hits(0.2) { 1 + chance.below(20) } else { 5000 },
            hot_bytes: 1 << (10 + chance.below(15)),
            free_percent: chance.below(8) as u8,
            retry: Retry {
                first: Duration::from_secs(20 + chance.below(180)),
                give_up,
                give_up_bounces: give_up.min(2 * days),
                ..Retry::default()
            },
            detour: chance.hits(0.3),
        }
    }

    /// What a reload changes: the rest stays until a restart.
    pub(crate) fn reloaded(&self, chance: &mut Chance) -> Self {
        let Self { shards, queue_messages, hot_bytes, free_percent, retry, .. } = *self;
        Self { shards, queue_messages, hot_bytes, free_percent, retry, ..Self::draw(chance) }
    }

    /// `queue`.
    pub(crate) fn queue(&self) -> queue::Options {
        queue::Options {
            directory: PathBuf::from(SPOOL),
            hostname: HOSTNAME.into(),
            message_bytes: MESSAGE_BYTES,
            spool_free: SpoolFree::Percent(self.free_percent),
            queue_messages: self.queue_messages,
            hot_bytes: self.hot_bytes,
            retry: self.retry,
            ..queue::Options::default()
        }
    }

    /// `server`.
    pub(crate) fn server(&self) -> server::Options {
        let smtp = ServerOptions {
            hostname: HOSTNAME.into(),
            message_bytes: MESSAGE_BYTES,
            ..ServerOptions::default()
        };
        server::Options { sessions: self.sessions, smtp }
    }

    /// `policy`.
    pub(crate) fn policy(&self) -> policy::Options {
        let parse = |domain: &&str| DomainPattern::parse(domain).expect("good domains");
        policy::Options {
            domains: DOMAINS.iter().map(parse).collect(),
            ..policy::Options::default()
        }
    }

    /// `delivery`.
    pub(crate) fn delivery(&self) -> delivery::Options {
        let patterns = |domains: &[&str]| {
            let parse = |domain: &&str| domain.parse::<Pattern>().expect("a good pattern");
            domains.iter().map(parse).collect::<Vec<_>>()
        };
        let route = |domains: &[&str], host: std::net::IpAddr| {
            let via = Via::Smtp { host: host.to_string().into(), port: PORT };
            let messages_per_session = self.messages_per_session;
            Route { messages_per_session, ..Route::new(patterns(domains), via) }
        };
        let smart = if self.detour { MX[0] } else { SMART };
        delivery::Options {
            hello: HOSTNAME.into(),
            sessions: self.outbound,
            sessions_per_destination: self.per_destination,
            routes: vec![route(&[DOMAINS[0]], smart), route(&[SENDERS], SMART)],
            ..delivery::Options::default()
        }
    }
}
