//! The shard's loop: from messages that are due to sessions that carry them.
//!
//! It starts nothing itself: it calls idle sessions, and asks the destinations' homes for permits.
//! A destination at rest gets none, and holds up nobody.

use crate::place::Place;
use crate::report;
use crate::routes::Target;
use crate::shard::Shard;
use mail::{EnhancedStatus, Outcome, Reason, UnixTime};
use reactor::Instant;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

/// How long the queue is waited for at most.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// When to look again while mail waits for room in the total of sessions.
const BLOCKED_WAIT: Duration = Duration::from_millis(100);

/// Next hops that one look may find without a pause after it.
const HOPS_UNPACED: usize = 64;

/// The pause for each next hop beyond, so that many destinations at rest cost a bounded share of
/// the shard: a look at one takes well under a microsecond.
const PACE: Duration = Duration::from_micros(10);

/// How long a message without a next hop is put off: until an operator flushes it.
const HOLD: Duration = Duration::from_secs(365 * 24 * 3600);

/// Runs until the drain.
pub(crate) async fn dispatch(shard: Rc<Shard>) {
    while !shard.is_draining() {
        let hops = look(&shard);
        if hops > HOPS_UNPACED {
            let pause = PACE * u32::try_from(hops).unwrap_or(u32::MAX);
            shard.reactor.sleep(shard.now() + pause.min(Duration::from_secs(1))).await;
        }
        shard.queue.wait(next_look(&shard)).await;
    }
}

fn next_look(shard: &Shard) -> Instant {
    let now = shard.now();
    let unix_time = shard.unix_time();
    let due = shard.queue.next_due().map_or(WAIT_MAX, |at| at.since(unix_time));
    let blocked = if shard.is_blocked() { BLOCKED_WAIT } else { WAIT_MAX };
    now + due.min(blocked).min(WAIT_MAX)
}

/// Looks at everything that is due; returns how many next hops that is.
pub(crate) fn look(shard: &Rc<Shard>) -> usize {
    if shard.is_draining() {
        return 0;
    }
    shard.unblock();
    let due = shard.queue.due(shard.unix_time());
    for (hop, messages) in &due {
        let place = shard.place(hop);
        match place.route().target {
            Target::Discard | Target::Hold => swallow(shard, place),
            Target::Mx(_) | Target::Host { .. } => call(shard, &place, *messages),
        }
    }
    if shard.places.borrow().len() > 2 * due.len() + HOPS_UNPACED {
        forget(shard, &due.iter().map(|(hop, _)| hop.as_str()).collect());
    }
    due.len()
}

/// Calls idle sessions to the mail of a place, and asks for permits for the rest.
fn call(shard: &Rc<Shard>, place: &Place, messages: usize) {
    place.set_due(messages);
    while place.needs_session() && shard.idle.call(place) {}
    shard.tell_wanted(place);
}

/// Settles mail that no session carries.
fn swallow(shard: &Rc<Shard>, place: Rc<Place>) {
    if !place.begin_swallowing() {
        return;
    }
    let task = Rc::clone(shard);
    shard.reactor.spawn(async move {
        match place.route().target {
            Target::Discard => report::discard_all(&task, &place).await,
            Target::Mx(_) | Target::Host { .. } | Target::Hold => {
                let outcome = held(task.unix_time());
                report::settle_all(&task, &place, &outcome).await;
            }
        }
        place.end_swallowing();
    });
}

fn held(now: UnixTime) -> Outcome {
    let text = "held: it has no next hop; give it one, then flush".to_owned();
    let reason = Reason::Policy(EnhancedStatus(4, 3, 5), text);
    Outcome::Deferred { reason, not_before: now.plus(HOLD) }
}

/// Forgets places without sessions whose mail has gone in another way.
fn forget(shard: &Rc<Shard>, due: &BTreeSet<&str>) {
    let gone = |place: &&Rc<Place>| !due.contains(place.hop.as_str());
    let places: Vec<_> = shard.places.borrow().values().filter(gone).cloned().collect();
    for place in places {
        place.set_due(0);
        shard.tell_wanted(&place);
        if place.is_unused() {
            shard.places.borrow_mut().remove(&place.hop);
        }
    }
}
