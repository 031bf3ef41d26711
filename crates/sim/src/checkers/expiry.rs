//! *Expiry*: nobody waits past his time, and nobody is given up before it; who is held never is.

use super::accounting::end_of;
use super::{Bounds, Checker, Finding, Sight};
use mail::{Event, EventKind, Field, MessageId, Value};
use queue::{Listed, State};
use reactor::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long past its time a message may be seen: what was in flight may be at a peer that stalls
/// in each of its replies; a clock that has stepped suspends giving up for an hour; and a message
/// that this process has not tried is tried once, behind whatever rests for up to 72 minutes.
const SLACK: Duration = Duration::from_secs(150 * 60);

/// What is known of messages that are late, and of those that are held.
#[derive(Default)]
pub(crate) struct Expiry {
    /// Since when a message is seen past its time.
    late: BTreeMap<MessageId, Instant>,
    held: BTreeSet<MessageId>,
}

impl Expiry {
    /// Another process begins: it tries everything once.
    pub(crate) fn restarted(&mut self) {
        self.late.clear();
        self.held.clear();
    }

    /// An operator holds these messages, or lets them go.
    pub(crate) fn hold(&mut self, id: MessageId, held: bool) {
        if held {
            self.held.insert(id);
        } else {
            self.held.remove(&id);
        }
    }

    /// Takes in an event of the relay.
    pub(crate) fn hear(&mut self, event: &Event, bounds: &Bounds) -> Vec<Finding> {
        if event.kind != EventKind::RecipientExpired {
            return Vec::new();
        }
        let Some((id, to)) = end_of(event) else { return Vec::new() };
        let delay = event.fields.iter().find_map(|field| match field {
            (Field::Delay, Value::Seconds(delay)) => Some(*delay),
            _ => None,
        });
        let least = bounds.give_up[0].min(bounds.give_up[1]).as_secs_f64() - 1.0;
        let mut findings = Vec::new();
        if delay.is_some_and(|delay| delay < least) {
            findings.push((Checker::Expiry, format!("{to} of {id} is given up after {delay:?} s")));
        }
        if self.held.contains(&id) {
            findings.push((Checker::Expiry, format!("{to} of {id} is held, and given up")));
        }
        findings
    }

    /// Who waits past his time.
    pub(crate) fn look(&mut self, sight: &Sight) -> Vec<String> {
        let mut late = BTreeMap::new();
        let mut wrongs = Vec::new();
        for message in sight.shards.iter().flat_map(|shard| &shard.listed) {
            let give_up = sight.bounds.give_up[usize::from(message.from.is_empty())];
            let age = sight.wall.since(message.accepted);
            if message.state == State::Held || age <= give_up {
                continue;
            }
            let since = self.late.get(&message.id).copied().unwrap_or(sight.now);
            late.insert(message.id, since);
            if sight.now.since(since) > SLACK {
                wrongs.push(format!("{} is {age:?} old: {}", message.id, states(message)));
            }
        }
        self.late = late;
        wrongs
    }
}

fn states(message: &Listed) -> String {
    let states = message.recipients.iter().map(|one| {
        format!("{} {:?}, {} attempts, next {:?}", one.to, one.state, one.attempts, one.next)
    });
    states.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::sight::tests::{listed, sight};
    use mail::UnixTime;

    const HOUR: Duration = Duration::from_secs(3600);

    fn bounds() -> Bounds {
        Bounds { give_up: [HOUR, HOUR], ..Bounds::default() }
    }

    fn expired(delay: f64) -> Event {
        let event = Event::new(EventKind::RecipientExpired).id(MessageId::new(0, 1, 1));
        event.text(Field::To, "<r0.1@smart.example>").seconds(Field::Delay, delay)
    }

    #[test]
    fn nobody_is_given_up_before_his_time_or_while_he_is_held() {
        let mut expiry = Expiry::default();
        assert!(expiry.hear(&expired(3600.0), &bounds()).is_empty());
        assert_eq!(expiry.hear(&expired(3000.0), &bounds()).len(), 1);
        expiry.hold(MessageId::new(0, 1, 1), true);
        assert_eq!(expiry.hear(&expired(3600.0), &bounds()).len(), 1);
    }

    #[test]
    fn nobody_waits_long_past_his_time() {
        let looked = |hours: u32| {
            let mut expiry = Expiry::default();
            let late = UnixTime(0).plus(2 * HOUR);
            let mut sight = Sight { wall: late, bounds: bounds(), ..sight(vec![listed(1, 1)]) };
            let first = expiry.look(&sight).len();
            sight.now = Instant(0) + hours * HOUR;
            first + expiry.look(&sight).len()
        };
        assert_eq!(looked(1), 0);
        assert_eq!(looked(3), 1);
    }
}
