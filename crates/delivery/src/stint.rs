//! How long a permit may be used when others wait for it.

use reactor::Instant;
use std::time::Duration;

/// Messages after which a permit goes back when another shard waits.
const MESSAGES: u32 = 100;

/// Time after which it does.
const TIME: Duration = Duration::from_secs(1);

/// The use of one permit since another shard began to wait. A shard that waits for a moment only
/// gets nothing, so that shards whose mail comes and goes do not close and connect for each other.
#[derive(Default)]
pub(crate) struct Stint {
    contended_since: Option<Instant>,
    messages: u32,
}

impl Stint {
    /// One message more; others wait since then.
    pub(crate) fn count(&mut self, contended_since: Option<Instant>) {
        if self.contended_since != contended_since {
            *self = Self { contended_since, messages: 0 };
        }
        self.messages += 1;
    }

    /// Whether others should have the permit.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        let over = |since| self.messages >= MESSAGES || now >= since + TIME;
        self.contended_since.is_some_and(over)
    }
}

/// Until when a session without mail since `idle_since` may keep its permit.
pub(crate) fn patience(idle_since: Instant, contended_since: Option<Instant>) -> Instant {
    contended_since.map_or(Instant::NEVER, |since| since.max(idle_since) + TIME)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Instant {
        Instant::default() + Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_permit_goes_back_after_100_messages_or_1_s_of_others_waiting() {
        let mut stint = Stint::default();
        for _ in 0..1000 {
            stint.count(None);
        }
        assert!(!stint.is_over(at(10_000)), "nobody waits");
        for _ in 0..99 {
            stint.count(Some(at(20_000)));
            assert!(!stint.is_over(at(20_999)));
        }
        assert!(stint.is_over(at(21_000)));
        stint.count(Some(at(20_000)));
        assert!(stint.is_over(at(20_000)));
        stint.count(Some(at(30_000)));
        assert!(!stint.is_over(at(30_000)), "it was not the same wait");
    }

    #[test]
    fn an_idle_session_waits_as_long_as_others_have_waited_for_it() {
        assert_eq!(patience(at(5), None), Instant::NEVER);
        assert_eq!(patience(at(5), Some(at(700))), at(1700));
        assert_eq!(patience(at(900), Some(at(700))), at(1900));
    }
}
