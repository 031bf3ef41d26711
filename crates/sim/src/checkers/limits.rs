//! *Limits*: sessions, those of a destination and the queue stay within their limits.

use super::Sight;
use std::collections::BTreeMap;

/// What exceeds its limit.
pub(crate) fn look(sight: &Sight) -> Vec<String> {
    let mut wrongs = Vec::new();
    let shards = sight.shards.len() as u64;
    let bounds = &sight.bounds;
    let mut at_most = |what: &str, is: u64, most: u64| {
        if is > most {
            wrongs.push(format!("{is} {what}, and {most} are allowed"));
        }
    };
    // Shards read each other's counts once a tick: each may let one more in meanwhile.
    let sessions = sight.shards.iter().map(|shard| shard.sessions).sum();
    at_most("sessions of clients", sessions, bounds.sessions + shards);
    // A shard has its share, rounded up, and at least one.
    let outbound = sight.shards.iter().map(|shard| shard.outbound).sum();
    at_most("sessions to next hops", outbound, bounds.outbound as u64 + shards);
    for (name, sessions) in per_destination(sight) {
        at_most(&format!("sessions to {name}"), sessions, bounds.per_destination as u64);
    }
    // Those that were let in below the limit may end above it; reports are never refused; and a
    // shard takes over what more shards had.
    let listed = || sight.shards.iter().flat_map(|shard| &shard.listed);
    let reports = listed().filter(|message| message.from.is_empty()).count() as u64;
    let most = bounds.logs * bounds.queue_messages + bounds.sessions + shards + reports;
    at_most("messages in the queues", listed().count() as u64, most);
    wrongs
}

fn per_destination(sight: &Sight) -> BTreeMap<&str, u64> {
    let mut sessions = BTreeMap::new();
    for view in sight.shards.iter().flat_map(|shard| &shard.destinations) {
        *sessions.entry(view.name.as_str()).or_insert(0) += view.sessions as u64;
    }
    sessions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::{Bounds, ShardSight};
    use delivery::DestinationView;

    fn sight(sessions: u64, to_one: usize) -> Sight {
        let view = DestinationView {
            name: "mx://mx.example".into(),
            window: 1,
            sessions: to_one,
            resting_until: None,
            last_reply: None,
            queued: 0,
        };
        let shard = ShardSight { sessions, destinations: vec![view], ..ShardSight::default() };
        let bounds = Bounds { sessions: 5, outbound: 9, per_destination: 4, ..Bounds::default() };
        Sight { bounds, shards: vec![shard.clone(), shard], ..Sight::default() }
    }

    #[test]
    fn sessions_of_all_shards_count_together() {
        assert!(look(&sight(3, 2)).is_empty());
        assert_eq!(look(&sight(4, 2)).len(), 1);
        assert_eq!(look(&sight(3, 3)).len(), 1);
    }
}
