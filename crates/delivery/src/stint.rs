//! How long one permit may be used when others wait for it.

use reactor::Instant;
use std::time::Duration;

/// Messages after which a permit goes back when another shard waits.
const MESSAGES: u32 = 100;

/// Time after which it does.
const TIME: Duration = Duration::from_secs(1);

/// The use of one permit so far.
pub(crate) struct Stint {
    since: Instant,
    messages: u32,
}

impl Stint {
    pub(crate) fn new(now: Instant) -> Self {
        Self { since: now, messages: 0 }
    }

    /// One message more.
    pub(crate) fn count(&mut self) {
        self.messages += 1;
    }

    /// Whether it has been used enough for others to have it.
    pub(crate) fn is_long(&self, now: Instant) -> bool {
        self.messages >= MESSAGES || now >= self.since + TIME
    }

    /// Until when a session that is idle since `began` may stay so when others wait: a moment
    /// without mail is no reason to close and connect again.
    pub(crate) fn idle_until(&self, began: Instant) -> Instant {
        began.max(self.since) + TIME
    }
}
