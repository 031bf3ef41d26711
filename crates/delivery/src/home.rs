//! The home shard's book of destinations, and what shards say to each other about them.
//!
//! Which shard is home is a function of the destination's name. [`Homes`] is pure: a message in,
//! messages out; `post.rs` carries them. A single shard takes the same path without the post.

use crate::destination::{Change, Destination};
use mail::NextHop;
use reactor::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// How long a destination that nobody uses is remembered after its rest, so that its next failure
/// makes it rest longer.
const MEMORY: Duration = Duration::from_secs(600);

/// What shards say to each other about destinations.
#[derive(Debug)]
pub struct HomeMessage {
    pub(crate) hop: NextHop,
    pub(crate) content: Content,
}

#[derive(Debug)]
pub(crate) enum Content {
    /// From a shard to the home of the destination.
    Say(usize, Say),
    /// From the home to a shard.
    Tell(Change),
}

/// What a shard says to the home of a destination.
#[derive(Clone, Debug)]
pub(crate) enum Say {
    /// It has use for so many sessions in all, of the so many that its route allows.
    Want { sessions: usize, limit: usize },
    /// It gives a permit back, and has use for so many sessions now.
    Return { permits: usize, sessions: usize, limit: usize },
    /// So many messages were delivered.
    Delivered(usize),
    /// A whole message was deferred by the peer.
    Deferred,
    /// A session was refused while others work.
    Crowded,
    /// Not reached, and why.
    Down(Box<str>),
    /// Reached, after a time of trouble.
    Reached,
    /// An operator wants it tried now.
    Flush,
}

/// Something for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// The destination is left alone until then.
    Throttled { until: Instant, reason: Box<str> },
    /// It takes mail again.
    Recovered,
}

/// What follows from a message.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// What to tell whom.
    pub(crate) tell: Vec<(usize, NextHop, Change)>,
    /// What to log.
    pub(crate) notices: Vec<(NextHop, Notice)>,
}

/// The destinations whose home is this shard.
#[derive(Default)]
pub(crate) struct Homes {
    destinations: BTreeMap<NextHop, Destination>,
    /// When something happens by itself: a rest ends, or a memory.
    alarms: BTreeSet<(Instant, NextHop)>,
}

/// The home of `hop` among `shards`.
pub(crate) fn home(hop: &NextHop, shards: usize) -> usize {
    // Fixed keys: all shards must agree. Who chooses names to burden one shard burdens its window
    // book only, never its sessions.
    let mut hasher = DefaultHasher::new();
    hop.hash(&mut hasher);
    (hasher.finish() % shards.max(1) as u64) as usize
}

impl Homes {
    /// Takes in what `shard` says about `hop`; `chance` in 0..1.
    pub(crate) fn hear(
        &mut self,
        hop: &NextHop,
        shard: usize,
        say: Say,
        now: Instant,
        chance: f64,
    ) -> Effects {
        let mut effects = Effects::default();
        let known = self.destinations.get_mut(hop);
        let destination = match (known, &say) {
            (Some(destination), _) => destination,
            (None, Say::Flush) => return effects,
            (None, Say::Want { limit, .. } | Say::Return { limit, .. }) => {
                self.destinations.entry(hop.clone()).or_insert(Destination::new(*limit))
            }
            (None, _) => self.destinations.entry(hop.clone()).or_insert(Destination::new(1)),
        };
        let notice = note(destination, shard, say, now, chance);
        if let Some(Notice::Throttled { until, .. }) = &notice {
            self.alarms.insert((*until, hop.clone()));
            self.alarms.insert((*until + MEMORY, hop.clone()));
        }
        effects.notices.extend(notice.map(|notice| (hop.clone(), notice)));
        self.follow_up(hop, now, &mut effects);
        effects
    }

    /// When [`wake`](Self::wake) has something to do.
    pub(crate) fn next_alarm(&self) -> Option<Instant> {
        self.alarms.first().map(|(at, _)| *at)
    }

    /// Ends the rests whose time has come.
    pub(crate) fn wake(&mut self, now: Instant) -> Effects {
        let mut effects = Effects::default();
        while self.alarms.first().is_some_and(|(at, _)| *at <= now) {
            let (_, hop) = self.alarms.pop_first().expect("just seen");
            self.follow_up(&hop, now, &mut effects);
        }
        effects
    }

    fn follow_up(&mut self, hop: &NextHop, now: Instant, effects: &mut Effects) {
        let Some(destination) = self.destinations.get_mut(hop) else { return };
        destination.wake(now);
        let changes = destination.changes();
        effects.tell.extend(changes.into_iter().map(|(shard, one)| (shard, hop.clone(), one)));
        if destination.is_unused() && destination.may_be_forgotten(now, MEMORY) {
            self.destinations.remove(hop);
        }
    }

    /// The destinations that this home knows of.
    pub(crate) fn names(&self) -> impl Iterator<Item = &NextHop> {
        self.destinations.keys()
    }

    /// Destinations in the book.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.destinations.len()
    }
}

fn note(
    destination: &mut Destination,
    shard: usize,
    say: Say,
    now: Instant,
    chance: f64,
) -> Option<Notice> {
    let recovered = match say {
        Say::Want { sessions, limit } => {
            destination.want(shard, sessions, limit);
            false
        }
        Say::Return { permits, sessions, limit } => {
            destination.returned(shard, permits);
            destination.want(shard, sessions, limit);
            false
        }
        Say::Delivered(messages) => destination.delivered(messages),
        Say::Reached => destination.reached(),
        Say::Deferred => {
            destination.deferred();
            false
        }
        Say::Crowded => {
            destination.crowded();
            false
        }
        Say::Flush => {
            destination.flush();
            false
        }
        Say::Down(reason) => {
            let until = destination.down(&reason, now, chance)?;
            return Some(Notice::Throttled { until, reason });
        }
    };
    recovered.then_some(Notice::Recovered)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::default() + Duration::from_secs(seconds)
    }

    fn hop() -> NextHop {
        NextHop::new("mx://example.org")
    }

    fn grants(effects: &Effects) -> Vec<(usize, usize)> {
        let grant = |(shard, _, change): &(usize, NextHop, Change)| match change {
            Change::Grant(permits) => Some((*shard, *permits)),
            Change::Keep(_) | Change::Standing { .. } => None,
        };
        effects.tell.iter().filter_map(grant).collect()
    }

    #[test]
    fn a_rest_ends_by_itself_and_is_remembered_for_a_while() {
        let mut homes = Homes::default();
        let want = Say::Want { sessions: 1, limit: 20 };
        assert_eq!(grants(&homes.hear(&hop(), 3, want.clone(), at(0), 0.5)), [(3, 1)]);
        let down = homes.hear(&hop(), 3, Say::Down("refused".into()), at(0), 0.5);
        let throttled = Notice::Throttled { until: at(1), reason: "refused".into() };
        assert_eq!(down.notices, [(hop(), throttled)]);
        let back = Say::Return { permits: 1, sessions: 1, limit: 20 };
        assert_eq!(grants(&homes.hear(&hop(), 3, back, at(0), 0.5)), []);
        assert_eq!(homes.next_alarm(), Some(at(1)));
        assert_eq!(grants(&homes.wake(at(1))), [(3, 1)]);
        let reached = homes.hear(&hop(), 3, Say::Reached, at(2), 0.5);
        assert_eq!(reached.notices, [(hop(), Notice::Recovered)]);
        let back = Say::Return { permits: 1, sessions: 0, limit: 20 };
        homes.hear(&hop(), 3, back, at(3), 0.5);
        assert_eq!(homes.len(), 0, "all is well, and nobody uses it");
    }

    #[test]
    fn an_unused_destination_in_trouble_is_forgotten_in_the_end() {
        let mut homes = Homes::default();
        homes.hear(&hop(), 0, Say::Want { sessions: 1, limit: 20 }, at(0), 0.5);
        homes.hear(&hop(), 0, Say::Down("refused".into()), at(0), 0.5);
        homes.hear(&hop(), 0, Say::Return { permits: 1, sessions: 0, limit: 20 }, at(0), 0.5);
        homes.wake(at(1));
        assert_eq!(homes.len(), 1);
        let last = homes.next_alarm().expect("the memory's end");
        homes.wake(last);
        assert_eq!(homes.len(), 0);
        assert_eq!(homes.next_alarm(), None);
    }

    #[test]
    fn every_hop_has_one_home() {
        for shards in [1, 2, 7] {
            assert!(home(&hop(), shards) < shards);
            assert_eq!(home(&hop(), shards), home(&NextHop::new("mx://example.org"), shards));
        }
    }
}
