//! *Descriptors*: they stay within sessions and files; at rest none is left.

use super::Sight;

/// Of a shard beside sessions and the spool's files: its listener, and what is being closed.
const PER_SHARD: usize = 8;

/// Tasks of a shard beside those of its sessions: those of its parts, and a few a log.
const TASKS_PER_SHARD: usize = 60;

/// Connections that linger, are turned away, or are being closed, for each that may be open: a
/// close waits for its last operation.
const LINGERING: usize = 3;

/// What is left open, or running.
pub(crate) fn look(sight: &Sight) -> Vec<String> {
    let mut wrongs = Vec::new();
    let sessions = sight.bounds.sessions as usize + sight.bounds.outbound;
    let shards = sight.shards.len();
    let most = LINGERING * sessions + 2 * sight.files + PER_SHARD * shards;
    if sight.descriptors > most {
        wrongs.push(format!("{} descriptors are open, at most {most}", sight.descriptors));
    }
    let tasks: usize = sight.shards.iter().map(|shard| shard.tasks).sum();
    let most = (LINGERING + 1) * sessions + TASKS_PER_SHARD * shards;
    if tasks > most {
        wrongs.push(format!("{tasks} tasks exist, at most {most}"));
    }
    wrongs
}

/// The same when nobody is connected and nothing is queued.
pub(crate) fn look_at_rest(sight: &Sight) -> Vec<String> {
    let mut wrongs = Vec::new();
    let sessions: u64 = sight.shards.iter().map(|shard| shard.sessions + shard.outbound).sum();
    if sessions > 0 {
        wrongs.push(format!("at rest {sessions} sessions are open"));
    }
    // The listener of each shard, the lock, and the files of the spool.
    let most = sight.shards.len() + 1 + sight.files;
    if sight.descriptors > most {
        wrongs.push(format!("at rest {} descriptors are open, at most {most}", sight.descriptors));
    }
    wrongs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::ShardSight;

    #[test]
    fn at_rest_only_listeners_and_files_are_open() {
        let sight = |descriptors, sessions| Sight {
            descriptors,
            files: 3,
            shards: vec![ShardSight { sessions, ..ShardSight::default() }],
            ..Sight::default()
        };
        assert!(look_at_rest(&sight(5, 0)).is_empty());
        assert_eq!(look_at_rest(&sight(6, 0)).len(), 1);
        assert_eq!(look_at_rest(&sight(5, 1)).len(), 1);
    }

    #[test]
    fn descriptors_and_tasks_follow_the_sessions() {
        let sight =
            Sight { descriptors: 9, shards: vec![ShardSight::default()], ..Sight::default() };
        assert_eq!(look(&sight).len(), 1);
        let shard = ShardSight { tasks: 61, ..ShardSight::default() };
        assert_eq!(look(&Sight { shards: vec![shard], ..Sight::default() }).len(), 1);
    }
}
