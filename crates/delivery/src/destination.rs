//! How many sessions a destination bears, and who may have them.
//!
//! A pure structure, owned by the destination's home shard: no clock, no chance, no messages. Times
//! and random numbers arrive as arguments, what follows leaves as [`Change`]s. Start reading at
//! [`Destination::changes`].
//!
//! The words are Postfix's. The *window* is how many sessions there may be: it begins small, grows
//! by one for each *cohort* (as many deliveries as the window is wide), and shrinks by one for each
//! cohort of deferrals. A destination that cannot be reached is *throttled*: left alone for a while
//! that doubles each time, then probed with one session.
//!
//! Invariant: no permit is granted that would make more of them than the window.

use reactor::Instant;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Sessions to begin with (Postfix's `initial_destination_concurrency`).
const WINDOW_FIRST: usize = 5;

/// The first rest. A next hop that restarts is back within seconds, and a probe costs one
/// connection.
const REST_FIRST: Duration = Duration::from_secs(1);

/// The longest rest, jitter aside (Postfix's `minimal_backoff_time`).
const REST_MAX: Duration = Duration::from_secs(300);

/// A destination, as its home shard sees it.
#[derive(Debug)]
pub(crate) struct Destination {
    /// What the route allows.
    limit: usize,
    window: usize,
    standing: Standing,
    /// Rests in a row.
    failures: u32,
    /// Why it was not reached, since it last was.
    trouble: Option<Arc<str>>,
    /// When the last one ended, or will.
    rested_until: Instant,
    /// Deliveries and deferrals since the window moved.
    delivered: usize,
    deferred: usize,
    shares: BTreeMap<usize, Share>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Open,
    Resting {
        until: Instant,
    },
    /// The rest is over: one session looks whether it was enough.
    Probing,
}

/// What one shard has and wants.
#[derive(Debug)]
struct Share {
    /// Sessions that it has use for, including those that it has.
    wanted: usize,
    /// Permits that it has.
    held: usize,
    /// Permits that it was last told to keep.
    keep: usize,
    /// What it was last told about the destination.
    told: Option<News>,
}

/// How the destination stands: window, until when it is left alone, why it is not reached.
type News = (usize, Option<Instant>, Option<Arc<str>>);

/// Something to tell a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// So many more permits.
    Grant(usize),
    /// Others wait: give back what is over this number, after 100 messages or 1 s each.
    /// `usize::MAX` when nobody waits any more.
    Keep(usize),
    /// How the destination stands.
    Standing {
        /// Sessions that there may be, over all shards.
        window: usize,
        /// Until when it is left alone.
        resting_until: Option<Instant>,
        /// Why it was not reached, since it last was.
        trouble: Option<Arc<str>>,
    },
}

impl Destination {
    pub(crate) fn new(limit: usize) -> Self {
        let limit = limit.max(1);
        Self {
            limit,
            window: WINDOW_FIRST.min(limit),
            standing: Standing::Open,
            failures: 0,
            trouble: None,
            rested_until: Instant::default(),
            delivered: 0,
            deferred: 0,
            shares: BTreeMap::new(),
        }
    }

    /// A shard has use for `wanted` sessions in all; its route allows `limit` over all shards.
    pub(crate) fn want(&mut self, shard: usize, wanted: usize, limit: usize) {
        self.limit = limit.max(1);
        if reactor::mutated("window-ignored") {
            self.limit = 3 * limit;
        }
        self.window = self.window.min(self.limit);
        self.share(shard).wanted = wanted;
    }

    /// A shard gives permits back.
    pub(crate) fn returned(&mut self, shard: usize, permits: usize) {
        let share = self.share(shard);
        share.held = share.held.checked_sub(permits).expect("a permit was given back twice");
    }

    /// Messages were delivered. Returns whether this ended a time of trouble.
    pub(crate) fn delivered(&mut self, messages: usize) -> bool {
        self.deferred = 0;
        self.delivered += messages;
        while self.delivered >= self.window && self.window < self.limit {
            self.delivered -= self.window;
            self.window += 1;
        }
        self.delivered = self.delivered.min(self.window);
        self.reached()
    }

    /// A whole message was deferred by the peer.
    pub(crate) fn deferred(&mut self) {
        self.delivered = 0;
        self.deferred += 1;
        if self.deferred >= self.window {
            self.deferred = 0;
            self.window = (self.window - 1).max(1);
        }
    }

    /// One more session was refused while others work: the peer wants fewer.
    pub(crate) fn crowded(&mut self) {
        let held: usize = self.shares.values().map(|share| share.held).sum();
        self.window = held.saturating_sub(1).clamp(1, self.window);
        self.delivered = 0;
    }

    /// The destination could not be reached. Returns until when it rests, if that is new; `chance`
    /// in 0..1 spreads it by ±20%.
    pub(crate) fn down(&mut self, reason: &str, now: Instant, chance: f64) -> Option<Instant> {
        if matches!(self.standing, Standing::Resting { .. }) {
            return None;
        }
        let doubled = REST_FIRST.saturating_mul(1 << self.failures.min(16));
        let rest = doubled.min(REST_MAX).mul_f64(0.8 + 0.4 * chance.clamp(0.0, 1.0));
        self.failures += 1;
        self.trouble = Some(reason.into());
        self.window = (self.window / 2).max(1);
        self.delivered = 0;
        let until = now + rest;
        self.standing = Standing::Resting { until };
        self.rested_until = until;
        Some(until)
    }

    /// A session has begun. Returns whether this ended a time of trouble.
    pub(crate) fn reached(&mut self) -> bool {
        if self.standing == Standing::Open {
            return false;
        }
        self.standing = Standing::Open;
        self.failures = 0;
        self.trouble = None;
        self.window = self.window.max(WINDOW_FIRST.min(self.limit));
        true
    }

    /// The rest is over, if its time has come.
    pub(crate) fn wake(&mut self, now: Instant) {
        if self.resting_until().is_some_and(|until| until <= now) {
            self.standing = Standing::Probing;
        }
    }

    /// An operator wants it tried now.
    pub(crate) fn flush(&mut self) {
        self.failures = 0;
        if self.standing != Standing::Open {
            self.standing = Standing::Probing;
        }
    }

    /// Until when it is left alone.
    pub(crate) fn resting_until(&self) -> Option<Instant> {
        match self.standing {
            Standing::Resting { until } => Some(until),
            Standing::Open | Standing::Probing => None,
        }
    }

    /// Whether nobody has or wants anything of it.
    pub(crate) fn is_unused(&self) -> bool {
        self.shares.is_empty()
    }

    /// Whether nothing is lost by beginning anew: it is well, or its trouble is `memory` past.
    pub(crate) fn may_be_forgotten(&self, now: Instant, memory: Duration) -> bool {
        self.standing == Standing::Open || now >= self.rested_until + memory
    }

    /// How many sessions there may be at the moment.
    fn allowed(&self) -> usize {
        match self.standing {
            Standing::Open => self.window,
            Standing::Resting { .. } => 0,
            Standing::Probing => 1,
        }
    }

    /// What the shards must be told after what was noted since the last call.
    pub(crate) fn changes(&mut self) -> Vec<(usize, Change)> {
        let mut changes = Vec::new();
        for (shard, permits) in self.grant() {
            changes.push((shard, Change::Grant(permits)));
        }
        self.tell_to_keep(&mut changes);
        self.shares.retain(|_, share| share.wanted > 0 || share.held > 0);
        let news = (self.window, self.resting_until(), self.trouble.clone());
        for (&shard, share) in &mut self.shares {
            if share.told.as_ref() != Some(&news) {
                share.told = Some(news.clone());
                let (window, resting_until, trouble) = news.clone();
                changes.push((shard, Change::Standing { window, resting_until, trouble }));
            }
        }
        changes
    }

    /// Gives out what is free, one by one to whoever has fewest.
    fn grant(&mut self) -> BTreeMap<usize, usize> {
        let held: usize = self.shares.values().map(|share| share.held).sum();
        let mut granted = BTreeMap::new();
        for _ in held..self.allowed() {
            let hungry = self.shares.iter_mut().filter(|(_, share)| share.held < share.wanted);
            let Some((&shard, share)) = hungry.min_by_key(|(_, share)| share.held) else { break };
            share.held += 1;
            *granted.entry(shard).or_insert(0) += 1;
        }
        granted
    }

    /// While somebody has less than the fair share, the others may keep no more than it.
    fn tell_to_keep(&mut self, changes: &mut Vec<(usize, Change)>) {
        let wanting = self.shares.values().filter(|share| share.wanted > 0).count().max(1);
        let allowed = self.allowed().max(1);
        let fair = allowed.div_ceil(wanting);
        let held: usize = self.shares.values().map(|share| share.held).sum();
        let hungry = self.shares.values().any(|s| s.held < s.wanted && s.held < fair);
        let contended = hungry || held > allowed;
        for (&shard, share) in &mut self.shares {
            let keep = match (contended, share.wanted) {
                (false, _) => usize::MAX,
                (true, 0) => 0,
                (true, _) => fair,
            };
            // Who has no more than that needs no word, but one to take an old word back.
            let matters = share.held > keep || share.keep != usize::MAX;
            if share.keep != keep && matters {
                share.keep = keep;
                changes.push((shard, Change::Keep(keep)));
            }
        }
    }

    fn share(&mut self, shard: usize) -> &mut Share {
        let fresh = Share { wanted: 0, held: 0, keep: usize::MAX, told: None };
        self.shares.entry(shard).or_insert(fresh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn granted(destination: &mut Destination) -> Vec<(usize, usize)> {
        let changes = destination.changes().into_iter();
        changes
            .filter_map(|(shard, change)| match change {
                Change::Grant(permits) => Some((shard, permits)),
                Change::Keep(_) | Change::Standing { .. } => None,
            })
            .collect()
    }

    fn kept(changes: Vec<(usize, Change)>) -> Vec<(usize, usize)> {
        let keep = |(shard, change)| match change {
            Change::Keep(sessions) => Some((shard, sessions)),
            Change::Grant(_) | Change::Standing { .. } => None,
        };
        changes.into_iter().filter_map(keep).collect()
    }

    fn at(seconds: u64) -> Instant {
        Instant::default() + Duration::from_secs(seconds)
    }

    #[test]
    fn it_starts_slowly_and_grows_by_one_for_each_cohort_up_to_the_limit() {
        let mut destination = Destination::new(7);
        destination.want(0, 20, 7);
        assert_eq!(granted(&mut destination), [(0, 5)]);
        destination.delivered(4);
        assert_eq!(granted(&mut destination), []);
        destination.delivered(1);
        assert_eq!(granted(&mut destination), [(0, 1)]);
        destination.delivered(1000);
        assert_eq!(granted(&mut destination), [(0, 1)]);
        assert_eq!(destination.window, 7);
    }

    #[test]
    fn a_cohort_of_deferrals_takes_one_away_but_never_the_last() {
        let mut destination = Destination::new(20);
        for expected in [5, 5, 5, 5, 5, 4, 4, 4, 4, 3] {
            assert_eq!(destination.window, expected);
            destination.deferred();
        }
        for _ in 0..100 {
            destination.deferred();
        }
        assert_eq!(destination.window, 1);
    }

    #[test]
    fn who_waits_makes_the_others_keep_no_more_than_the_fair_share() {
        let mut destination = Destination::new(5);
        destination.want(0, 20, 5);
        assert_eq!(granted(&mut destination), [(0, 5)]);
        destination.want(1, 20, 5);
        assert_eq!(kept(destination.changes()), [(0, 3)]);
        destination.returned(0, 2);
        assert_eq!(granted(&mut destination), [(1, 2)]);
        // 2 is less than the fair share of 3, but the other has no more than it.
        assert_eq!(kept(destination.changes()), []);
        // Once one has no mail, all of it is the other's fair share.
        destination.want(1, 0, 5);
        assert_eq!(kept(destination.changes()), [(0, 5), (1, 0)]);
        destination.returned(1, 2);
        assert_eq!(granted(&mut destination), [(0, 2)]);
    }

    #[test]
    fn a_shard_with_idle_sessions_only_gives_them_to_one_with_mail() {
        let mut destination = Destination::new(5);
        destination.want(0, 5, 5);
        assert_eq!(granted(&mut destination), [(0, 5)]);
        destination.want(0, 0, 5);
        assert_eq!(kept(destination.changes()), []);
        destination.want(1, 1, 5);
        assert_eq!(kept(destination.changes()), [(0, 0)]);
    }

    #[test]
    fn a_throttled_destination_rests_longer_each_time_and_is_probed_by_one() {
        let mut destination = Destination::new(20);
        destination.want(0, 9, 20);
        assert_eq!(granted(&mut destination), [(0, 5)]);
        assert_eq!(destination.down("refused", at(100), 0.5), Some(at(101)));
        assert_eq!(
            destination.down("refused", at(100), 0.5),
            None,
            "the others' failures are the same one"
        );
        destination.returned(0, 5);
        assert_eq!(granted(&mut destination), []);
        destination.wake(at(100));
        assert_eq!(granted(&mut destination), []);
        destination.wake(at(101));
        assert_eq!(granted(&mut destination), [(0, 1)]);
        assert_eq!(destination.down("refused", at(102), 0.5), Some(at(104)));
        destination.returned(0, 1);
        destination.wake(at(104));
        assert_eq!(granted(&mut destination), [(0, 1)]);
        assert!(destination.reached());
        assert_eq!(granted(&mut destination), [(0, 4)]);
    }

    #[test]
    fn the_rest_has_a_bound_and_is_spread() {
        let mut destination = Destination::new(20);
        for _ in 0..100 {
            let until = destination.down("refused", at(0), 1.0).expect("not resting");
            assert!(until <= at(360));
            destination.wake(until);
        }
        assert_eq!(destination.down("refused", at(0), 0.0), Some(at(240)));
    }

    #[test]
    fn a_flush_ends_the_rest() {
        let mut destination = Destination::new(20);
        destination.want(0, 9, 20);
        destination.down("refused", at(0), 0.5);
        assert_eq!(granted(&mut destination), []);
        destination.flush();
        assert_eq!(granted(&mut destination), [(0, 1)]);
    }

    #[test]
    fn a_refusal_beside_working_sessions_narrows_the_window_without_a_rest() {
        let mut destination = Destination::new(20);
        destination.want(0, 9, 20);
        assert_eq!(granted(&mut destination), [(0, 5)]);
        destination.crowded();
        destination.returned(0, 1);
        assert_eq!(granted(&mut destination), []);
        assert_eq!(destination.resting_until(), None);
        assert_eq!(destination.window, 4);
    }

    proptest! {
        /// Whatever shards and peers do, permits never exceed what is allowed when they are
        /// granted, and once all is given back, whoever wants gets.
        #[test]
        fn permits_are_neither_invented_nor_lost(
            steps in proptest::collection::vec((0usize..8, 0usize..4, 0usize..25), 1..200)
        ) {
            let mut destination = Destination::new(20);
            let mut held = [0usize; 4];
            let mut clock = 0;
            for (kind, shard, number) in steps {
                clock += 1;
                match kind {
                    0 | 1 => destination.want(shard, number, 20),
                    2 | 3 => {
                        let permits = number.min(held[shard]);
                        held[shard] -= permits;
                        destination.returned(shard, permits);
                    }
                    4 => drop(destination.delivered(number)),
                    5 => destination.deferred(),
                    6 => drop(destination.down("refused", at(clock), 0.5)),
                    _ => destination.crowded(),
                }
                destination.wake(at(clock));
                for (shard, permits) in granted(&mut destination) {
                    held[shard] += permits;
                    prop_assert!(held.iter().sum::<usize>() <= destination.allowed());
                }
            }
            for (shard, permits) in held.into_iter().enumerate() {
                destination.returned(shard, permits);
                destination.want(shard, 0, 20);
            }
            prop_assert_eq!(granted(&mut destination), []);
            prop_assert!(destination.is_unused());
            destination.want(2, 1, 20);
            destination.wake(Instant::NEVER);
            prop_assert_eq!(granted(&mut destination), [(2, 1)]);
        }
    }
}
