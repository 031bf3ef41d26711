//! When something is due: the one timer structure of a shard.

use crate::time::Instant;
use std::collections::BTreeMap;

/// Names a timer until it has expired or was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TimerKey {
    at: Instant,
    order: u64,
}

/// Timers with a payload each; those of one instant expire in the order of their making.
pub(crate) struct Timers<T> {
    due: BTreeMap<TimerKey, T>,
    next_order: u64,
}

impl<T> Timers<T> {
    pub(crate) fn new() -> Self {
        Self { due: BTreeMap::new(), next_order: 0 }
    }

    /// Makes a timer that is due at `at`.
    pub(crate) fn insert(&mut self, at: Instant, payload: T) -> TimerKey {
        let key = TimerKey { at, order: self.next_order };
        self.next_order += 1;
        self.due.insert(key, payload);
        key
    }

    /// Forgets a timer; one that has expired is no error.
    pub(crate) fn cancel(&mut self, key: TimerKey) {
        self.due.remove(&key);
    }

    /// When the next one is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.due.first_key_value().map(|(key, _)| key.at)
    }

    /// Takes the next one that is due at `now`.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<T> {
        let first = self.due.first_entry()?;
        if first.key().at <= now { Some(first.remove()) } else { None }
    }
}
