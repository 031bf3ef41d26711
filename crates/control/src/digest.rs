//! The few numbers that `status` shows, out of the shards' snapshots.

use crate::order::Snapshot;
use serde::Serialize;

/// Sums over the shards, as last published.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Digest {
    /// Sessions of clients.
    pub(crate) sessions_open: u64,
    /// Messages accepted since the start.
    pub(crate) messages_received: u64,
    /// Sessions with next hops.
    pub(crate) outbound_sessions_open: u64,
    /// Recipients delivered since the start.
    pub(crate) recipients_delivered: u64,
    /// Messages by state.
    pub(crate) active: u64,
    /// Messages by state.
    pub(crate) deferred: u64,
    /// Messages by state.
    pub(crate) held: u64,
    /// Recipients that have not finished.
    pub(crate) recipients: u64,
    /// Age of the oldest message.
    pub(crate) oldest_seconds: f64,
    /// Bytes of live records.
    pub(crate) live_bytes: u64,
    /// Bytes of dead records.
    pub(crate) dead_bytes: u64,
    /// Bytes that the file system has left.
    pub(crate) free_bytes: u64,
}

impl Digest {
    /// The sums of `snapshots`, one a shard.
    pub(crate) fn of<'a>(snapshots: impl Iterator<Item = &'a Snapshot>) -> Self {
        let mut sum = Self::default();
        for Snapshot { server, queue, delivery, .. } in snapshots {
            sum.sessions_open += server.sessions.values().map(|count| count.open).sum::<u64>();
            sum.messages_received +=
                server.sessions.values().map(|count| count.messages).sum::<u64>();
            sum.outbound_sessions_open += delivery.sessions_open;
            sum.recipients_delivered += delivery.delivered;
            sum.active += queue.messages[0];
            sum.deferred += queue.messages[1];
            sum.held += queue.messages[2];
            sum.recipients += queue.recipients.iter().sum::<u64>();
            sum.oldest_seconds = sum.oldest_seconds.max(queue.oldest_seconds);
            sum.live_bytes += queue.live_bytes;
            sum.dead_bytes += queue.dead_bytes;
            // All shards see the same file system.
            sum.free_bytes = sum.free_bytes.max(queue.free_bytes);
        }
        sum
    }
}
