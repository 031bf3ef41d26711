//! *Twice*: nothing arrives twice unless a crash or the network ate a reply.

use crate::ledger::{Arrival, Ledger, Pair};
use std::time::Duration;

/// An arrival after one of which the relay has heard needs a cause: a crash that ate what it had
/// heard, or that it was under way already, in a session that the relay has given up (it hears
/// nothing of it). A crash is a cause only within `grace` of the relay's hearing: by then the
/// outcome is durable, unless the disk had no room for it or has damaged it. After a report
/// nothing may come but the same report again.
pub(crate) fn judge(ledger: &Ledger, grace: Duration) -> Vec<String> {
    let pairs = ledger.pairs().flat_map(|(pair, arrivals)| {
        arrivals.windows(2).filter_map(move |two| look(ledger, grace, pair, &two[0], &two[1]))
    });
    pairs.collect()
}

fn look(
    ledger: &Ledger,
    grace: Duration,
    (number, recipient): Pair,
    one: &Arrival,
    next: &Arrival,
) -> Option<String> {
    let given_up = next.heard.is_none() && next.began <= one.at;
    let rotten = ledger.was_rotten(next.at) && ledger.crashed_between(one.at, next.at);
    let what = if one.report.is_some() && one.report != next.report && !given_up && !rotten {
        "comes once more after a report of its failure"
    } else {
        let heard = one.heard?;
        let forgotten = ledger.crashed_between(one.at, next.at.min(heard + grace))
            || (ledger.crashed_between(one.at, next.at) && ledger.was_full(one.at, next.at));
        if forgotten || given_up || rotten {
            return None;
        }
        "arrives twice without a cause"
    };
    let (first, second) = (one.at.0 as f64 / 1e9, next.at.0 as f64 / 1e9);
    Some(format!("message {number} for {recipient} {what}, at {first:.6} s and {second:.6} s"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::When;
    use crate::ledger::tests::{promised, when};
    use reactor::Instant;

    const GRACE: Duration = Duration::from_nanos(6);

    fn twice(heard: bool, crash: Option<u64>) -> bool {
        let (mut ledger, body) = promised();
        let first = ledger.arrive((1, 0), &body, when(10));
        if heard {
            ledger.heard(first, Instant(11));
        }
        ledger.arrive((1, 0), &body, when(20));
        crash.into_iter().for_each(|at| ledger.crash(Instant(at)));
        !judge(&ledger, GRACE).is_empty()
    }

    #[test]
    fn a_second_arrival_needs_an_eaten_reply_or_a_crash_soon_after() {
        assert!(twice(true, None));
        assert!(twice(true, Some(9)));
        assert!(twice(true, Some(21)));
        assert!(twice(true, Some(18)));
        assert!(!twice(true, Some(15)));
        assert!(!twice(false, None));
    }

    #[test]
    fn a_late_crash_is_a_cause_where_the_outcome_found_no_room() {
        let (mut ledger, body) = promised();
        let first = ledger.arrive((1, 0), &body, when(10));
        ledger.heard(first, Instant(11));
        ledger.arrive((1, 0), &body, when(20));
        ledger.crash(Instant(18));
        ledger.full(Instant(12));
        assert!(judge(&ledger, GRACE).is_empty());
    }

    #[test]
    fn what_comes_late_in_a_session_that_the_relay_gave_up_is_no_fault_of_its() {
        let late = |second_is_heard: bool| {
            let (mut ledger, body) = promised();
            let first = ledger.arrive((1, 0), &body, when(10));
            ledger.heard(first, Instant(11));
            let began = Instant(5);
            let second = ledger.arrive((1, 0), &body, When { at: Instant(20), began });
            if second_is_heard {
                ledger.heard(second, Instant(21));
            }
            judge(&ledger, GRACE).is_empty()
        };
        assert!(late(false));
        assert!(!late(true));
    }

    #[test]
    fn after_a_report_nothing_comes_but_the_same_report() {
        let (mut ledger, body) = promised();
        ledger.report((1, 0), "x", when(10));
        ledger.report((1, 0), "x", when(11));
        assert!(judge(&ledger, GRACE).is_empty());
        ledger.arrive((1, 0), &body, when(15));
        assert!(judge(&ledger, GRACE)[0].contains("after a report"));
    }
}
