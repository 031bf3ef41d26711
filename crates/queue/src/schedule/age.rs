//! Messages by age, and how far down the row they have been looked at for giving up.

use mail::UnixTime;
use std::collections::BTreeSet;
use std::time::Duration;

/// One row for each time to give up: messages with a reverse-path, and bounces.
pub(super) struct Ages {
    rows: [AgeRow; 2],
}

#[derive(Default)]
struct AgeRow {
    messages: BTreeSet<Key>,
    /// Everything before it has been looked at, so that what is held is not looked at again.
    next: Key,
}

/// A message by the second at which it was accepted, rounded up so that nothing is given up early:
/// expiry comes with that grain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    seconds: u32,
    message: u32,
}

/// What one of them takes.
#[cfg(test)]
pub(super) const KEY_BYTES: usize = size_of::<Key>();

impl Key {
    fn new(accepted: UnixTime, message: u32) -> Self {
        let seconds = u32::try_from(accepted.0.div_ceil(1_000_000)).unwrap_or(u32::MAX);
        Self { seconds, message }
    }

    fn accepted(self) -> UnixTime {
        UnixTime(u64::from(self.seconds) * 1_000_000)
    }
}

impl Ages {
    pub(super) fn new() -> Self {
        Self { rows: Default::default() }
    }

    pub(super) fn insert(&mut self, is_bounce: bool, accepted: UnixTime, message: u32) {
        let row = &mut self.rows[usize::from(is_bounce)];
        let key = Key::new(accepted, message);
        row.messages.insert(key);
        // A key is reused, and a clock may go back.
        row.next = row.next.min(key);
    }

    pub(super) fn remove(&mut self, is_bounce: bool, accepted: UnixTime, message: u32) {
        self.rows[usize::from(is_bounce)].messages.remove(&Key::new(accepted, message));
    }

    /// When the oldest message was accepted, within a second.
    pub(super) fn oldest(&self) -> Option<UnixTime> {
        let first = self.rows.iter().filter_map(|row| row.messages.first());
        first.map(|first| first.accepted()).min()
    }

    /// When the youngest message was accepted, within a second.
    pub(super) fn youngest(&self) -> Option<UnixTime> {
        let last = self.rows.iter().filter_map(|row| row.messages.last());
        last.map(|last| last.accepted()).max()
    }

    /// The next message that was accepted at least `limit` before `now`, each once.
    pub(super) fn next_older(
        &mut self,
        is_bounce: bool,
        limit: Duration,
        now: UnixTime,
    ) -> Option<u32> {
        let row = &mut self.rows[usize::from(is_bounce)];
        let key = *row.messages.range(row.next..).next()?;
        if key.accepted().plus(limit) > now {
            return None;
        }
        row.next = Key { message: key.message + 1, ..key };
        Some(key.message)
    }
}
