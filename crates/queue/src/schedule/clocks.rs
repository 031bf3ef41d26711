//! Whether the wall clock is to be believed: age and due times are told by it, and it may step.

use mail::UnixTime;
use reactor::Instant;
use std::time::Duration;

/// A wall clock that steps further than this against the monotonic one, in either direction, was
/// wrong before or is now.
pub(super) const STEP: Duration = Duration::from_secs(60 * 60);

/// For this long after a step nothing is given up, so that an operator, or the network's time, may
/// mend the clock.
pub(super) const MERCY: Duration = Duration::from_secs(60 * 60);

/// Both clocks as they were at the last look.
#[derive(Debug, Default)]
pub(super) struct Clocks {
    last: Option<(Instant, UnixTime)>,
}

/// How far the wall clock has stepped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Ahead(Duration),
    Back(Duration),
}

impl Clocks {
    /// Whether anybody has looked yet.
    pub(super) fn are_running(&self) -> bool {
        self.last.is_some()
    }

    /// Looks at both clocks; the step since the last look, if there was one.
    pub(super) fn look(&mut self, now: Instant, wall: UnixTime) -> Option<Step> {
        let (then, wall_then) = self.last.replace((now, wall))?;
        // Where the wall clock would be if it had gone like the other.
        let expected = wall_then.plus(now.since(then));
        if wall.since(expected) > STEP {
            Some(Step::Ahead(wall.since(expected)))
        } else if expected.since(wall) > STEP {
            Some(Step::Back(expected.since(wall)))
        } else {
            None
        }
    }
}

impl Step {
    /// What a time told before the step is after it.
    pub(super) fn carry(self, time: UnixTime) -> UnixTime {
        match self {
            Self::Ahead(by) => time.plus(by),
            Self::Back(by) => UnixTime(time.0.saturating_sub(UnixTime::from_epoch(by).0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3600;

    fn at(seconds: u64) -> Instant {
        Instant::default() + Duration::from_secs(seconds)
    }

    fn wall(seconds: u64) -> UnixTime {
        UnixTime(0).plus(Duration::from_secs(seconds))
    }

    #[test]
    fn a_step_of_over_an_hour_is_seen_in_both_directions_and_once() {
        let mut clocks = Clocks::default();
        assert_eq!(clocks.look(at(10), wall(10 * HOUR)), None, "there is nothing to compare with");
        let ahead = clocks.look(at(20), wall(12 * HOUR + 10));
        assert_eq!(ahead, Some(Step::Ahead(Duration::from_secs(2 * HOUR))));
        assert_eq!(clocks.look(at(30), wall(12 * HOUR + 20)), None);
        let back = clocks.look(at(40), wall(10 * HOUR + 30));
        assert_eq!(back, Some(Step::Back(Duration::from_secs(2 * HOUR))));
        assert_eq!(clocks.look(at(50), wall(10 * HOUR + 40)), None);
    }

    #[test]
    fn a_long_wait_and_a_small_step_are_none() {
        let mut clocks = Clocks::default();
        clocks.look(at(0), wall(0));
        assert_eq!(clocks.look(at(100 * HOUR), wall(100 * HOUR)), None);
        assert_eq!(clocks.look(at(100 * HOUR), wall(101 * HOUR)), None);
        assert_eq!(clocks.look(at(100 * HOUR), wall(100 * HOUR)), None);
    }

    #[test]
    fn a_time_is_carried_over_a_step() {
        assert_eq!(Step::Ahead(Duration::from_secs(5)).carry(wall(7)), wall(12));
        assert_eq!(Step::Back(Duration::from_secs(5)).carry(wall(7)), wall(2));
        assert_eq!(Step::Back(Duration::from_secs(50)).carry(wall(7)), wall(0));
    }
}
