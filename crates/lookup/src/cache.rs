//! Answers that are still good, or good enough.

use crate::{Answer, Ask};
use reactor::Instant;
use std::collections::HashMap;
use std::time::Duration;

/// Entries in all. With some 200 bytes each this is below 2 MiB a shard.
pub(crate) const ENTRIES_MAX: usize = 8192;

/// How long after its end an answer still serves when the resolver is down.
pub(crate) const STALE: Duration = Duration::from_secs(3600);

/// An answer is trusted at least this long, whatever its records say: a time to live of zero would
/// otherwise ask once for each message.
const VALID_MIN: Duration = Duration::from_secs(1);

/// An answer is trusted at most this long, whatever its records say (RFC 8767 §4 has seven days
/// for a cap; mail has no reason to hold on to a name that long).
const VALID_MAX: Duration = Duration::from_secs(24 * 3600);

/// A bounded cache of two generations: what is used moves to the young one; when that is full, the
/// old one is forgotten and the young one becomes old. No list to keep in order, nothing to scan.
#[derive(Default)]
pub(crate) struct Cache {
    young: HashMap<Ask, Entry>,
    old: HashMap<Ask, Entry>,
}

struct Entry {
    answer: Answer,
    until: Instant,
}

impl Cache {
    /// The answer to `ask`, if its time has not run out.
    pub(crate) fn fresh(&mut self, ask: &Ask, now: Instant) -> Option<Answer> {
        self.find(ask, now)
    }

    /// The answer to `ask`, up to [`STALE`] after its time.
    pub(crate) fn stale(&mut self, ask: &Ask, now: Instant) -> Option<Answer> {
        self.find(ask, now - STALE)
    }

    fn find(&mut self, ask: &Ask, now: Instant) -> Option<Answer> {
        if let Some(entry) = self.old.remove(ask) {
            self.put(ask.clone(), entry);
        }
        let entry = self.young.get(ask)?;
        (now < entry.until).then(|| entry.answer.clone())
    }

    /// Keeps an answer that is good for `valid`.
    pub(crate) fn insert(&mut self, ask: Ask, answer: Answer, valid: Duration, now: Instant) {
        self.old.remove(&ask);
        let until = now + valid.clamp(VALID_MIN, VALID_MAX);
        self.put(ask, Entry { answer, until });
    }

    fn put(&mut self, ask: Ask, entry: Entry) {
        if self.young.len() >= ENTRIES_MAX / 2 && !self.young.contains_key(&ask) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(ask, entry);
    }

    /// Entries in all.
    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MxAnswer;
    use mail::Domain;

    fn ask(number: usize) -> Ask {
        Ask::Mx(Domain::parse(&format!("d{number}.example")).expect("a domain"))
    }

    fn at(seconds: u64) -> Instant {
        Instant::default() + Duration::from_secs(seconds + 100_000)
    }

    #[test]
    fn an_answer_is_fresh_for_its_time_and_stale_for_an_hour_more() {
        let mut cache = Cache::default();
        cache.insert(ask(1), Answer::Mx(MxAnswer::NullMx), Duration::from_secs(60), at(0));
        assert!(cache.fresh(&ask(1), at(59)).is_some());
        assert!(cache.fresh(&ask(1), at(60)).is_none());
        assert!(cache.stale(&ask(1), at(60 + 3599)).is_some());
        assert!(cache.stale(&ask(1), at(60 + 3600)).is_none());
        assert!(cache.fresh(&ask(2), at(0)).is_none());
    }

    #[test]
    fn a_time_to_live_of_zero_still_serves_a_burst() {
        let mut cache = Cache::default();
        cache.insert(ask(1), Answer::Mx(MxAnswer::Implicit), Duration::ZERO, at(0));
        assert!(cache.fresh(&ask(1), at(0)).is_some());
        assert!(cache.fresh(&ask(1), at(1)).is_none());
    }

    #[test]
    fn it_never_holds_more_than_its_bound_and_keeps_what_is_used() {
        let mut cache = Cache::default();
        let valid = Duration::from_secs(1000);
        for number in 0..3 * ENTRIES_MAX {
            cache.insert(ask(number), Answer::Mx(MxAnswer::Implicit), valid, at(0));
            assert!(cache.len() <= ENTRIES_MAX, "{number}");
            assert!(cache.fresh(&ask(0), at(1)).is_some(), "used, and forgotten at {number}");
        }
        assert!(cache.fresh(&ask(1), at(1)).is_none(), "never used, and still there");
    }
}
