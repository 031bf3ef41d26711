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
    messages: BTreeSet<(UnixTime, u32)>,
    /// Everything before it has been looked at, so that what is held is not looked at again.
    next: (UnixTime, u32),
}

impl Ages {
    pub(super) fn new() -> Self {
        Self { rows: Default::default() }
    }

    pub(super) fn insert(&mut self, is_bounce: bool, accepted: UnixTime, message: u32) {
        let row = &mut self.rows[usize::from(is_bounce)];
        row.messages.insert((accepted, message));
        // A key is reused, and a clock may go back.
        row.next = row.next.min((accepted, message));
    }

    pub(super) fn remove(&mut self, is_bounce: bool, accepted: UnixTime, message: u32) {
        self.rows[usize::from(is_bounce)].messages.remove(&(accepted, message));
    }

    /// When the oldest message was accepted.
    pub(super) fn oldest(&self) -> Option<UnixTime> {
        self.rows.iter().filter_map(|row| row.messages.first()).map(|first| first.0).min()
    }

    /// When the youngest message was accepted.
    pub(super) fn youngest(&self) -> Option<UnixTime> {
        self.rows.iter().filter_map(|row| row.messages.last()).map(|last| last.0).max()
    }

    /// The next message that was accepted at least `limit` before `now`, each once.
    pub(super) fn next_older(
        &mut self,
        is_bounce: bool,
        limit: Duration,
        now: UnixTime,
    ) -> Option<u32> {
        let row = &mut self.rows[usize::from(is_bounce)];
        let (accepted, message) = *row.messages.range(row.next..).next()?;
        if accepted.plus(limit) > now {
            return None;
        }
        row.next = (accepted, message + 1);
        Some(message)
    }
}
