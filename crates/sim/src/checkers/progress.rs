//! *Progress*: when all is well all mail moves, and new mail is taken again.
//!
//! The deadlock that this is about: mail is due, and no session carries it, nor will one.

use super::Sight;
use queue::State;
use reactor::Instant;
use std::time::Duration;

/// How long mail may be due without a session anywhere: look-ups take seconds, a permit that
/// another shard holds comes back when its session ends.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// Since when nothing has moved.
#[derive(Default)]
pub(crate) struct Progress {
    idle_since: Option<Instant>,
    told: bool,
}

impl Progress {
    /// What stands still.
    pub(crate) fn look(&mut self, sight: &Sight) -> Vec<String> {
        let due = due(sight);
        let sessions: u64 = sight.shards.iter().map(|shard| shard.outbound).sum();
        if !sight.healthy || due == 0 || sessions > 0 {
            self.idle_since = None;
            return Vec::new();
        }
        let since = *self.idle_since.get_or_insert(sight.now);
        let waited = sight.now.since(since);
        if waited < PATIENCE || std::mem::replace(&mut self.told, true) {
            return Vec::new();
        }
        vec![format!("all is well, {due} recipients are due, and for {waited:?} nobody moves")]
    }
}

/// Recipients that are due, or are said to be tried.
fn due(sight: &Sight) -> usize {
    let listed = sight.shards.iter().flat_map(|shard| &shard.listed);
    let recipients = listed.flat_map(|message| &message.recipients);
    recipients
        .filter(|one| one.state != State::Held && one.next.is_none_or(|next| next <= sight.wall))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::sight::tests::{listed, sight};

    fn looks(healthy: bool, outbound: u64) -> usize {
        let mut progress = Progress::default();
        let mut sight = Sight { healthy, ..sight(vec![listed(1, 1)]) };
        sight.shards[0].outbound = outbound;
        let first = progress.look(&sight).len();
        sight.now = Instant(0) + PATIENCE;
        first + progress.look(&sight).len() + progress.look(&sight).len()
    }

    #[test]
    fn due_mail_without_a_session_is_said_once_when_all_is_well() {
        assert_eq!(looks(true, 0), 1);
        assert_eq!(looks(true, 1), 0);
        assert_eq!(looks(false, 0), 0);
    }
}
