//! *Memory*: slabs and leases stay within what the options come to.

use super::Sight;

/// Receive buffers that a connection may hold, and the bytes of a large one (design, the reactor).
const LEASES: u64 = 4;
const LEASE_BYTES: u64 = 16 << 10;

/// What a log holds whatever happens: batches under construction and in flight, in slabs that may
/// be half full.
const LOG_BYTES: u64 = 3 << 19;

/// What a session of a client holds: its part of a body, and that in a batch.
const DRAFT_BYTES: u64 = 256 << 10;

/// What a session to a next hop holds: a piece on its way, and the next one read.
const READ_BYTES: u64 = 2 * (256 << 10);

/// What holds more memory than it may.
pub(crate) fn look(sight: &Sight) -> Vec<String> {
    let mut wrongs = Vec::new();
    let most = sight.connections as u64 * LEASES * LEASE_BYTES;
    if sight.leased_bytes > most {
        wrongs.push(format!("{} bytes of buffers are held, at most {most}", sight.leased_bytes));
    }
    let bounds = &sight.bounds;
    let sessions: u64 = sight.shards.iter().map(|shard| shard.sessions).sum();
    let outbound: u64 = sight.shards.iter().map(|shard| shard.outbound).sum();
    let most = sight.shards.len() as u64 * bounds.hot_bytes
        + bounds.logs * LOG_BYTES
        + sessions * DRAFT_BYTES
        + outbound * READ_BYTES;
    if sight.slab_bytes > most {
        wrongs.push(format!("{} bytes of slabs are held, at most {most}", sight.slab_bytes));
    }
    wrongs
}

/// The same when nobody is connected.
pub(crate) fn look_at_rest(sight: &Sight) -> Vec<String> {
    if sight.leased_bytes == 0 {
        return Vec::new();
    }
    vec![format!("at rest {} bytes of receive buffers are held", sight.leased_bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::{Bounds, ShardSight};

    #[test]
    fn the_bound_of_slabs_follows_the_options() {
        let sight = |slab_bytes, hot_bytes| Sight {
            slab_bytes,
            bounds: Bounds { hot_bytes, ..Bounds::default() },
            shards: vec![ShardSight::default()],
            ..Sight::default()
        };
        assert!(look(&sight(64 << 20, 64 << 20)).is_empty());
        assert_eq!(look(&sight(128 << 20, 64 << 20)).len(), 1);
    }

    #[test]
    fn a_connection_holds_few_leases_and_none_at_rest() {
        let sight = |leases, connections| Sight {
            leased_bytes: leases * LEASE_BYTES,
            connections,
            ..Sight::default()
        };
        assert!(look(&sight(4, 1)).is_empty());
        assert_eq!(look(&sight(5, 1)).len(), 1);
        assert!(look_at_rest(&sight(0, 0)).is_empty());
        assert_eq!(look_at_rest(&sight(1, 1)).len(), 1);
    }
}
