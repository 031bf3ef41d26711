//! *Accounting*: the queue's counts are those of its list, and no message vanishes.
//!
//! The model: each recipient that was ever listed, until an event says that it is over.

use super::Sight;
use mail::{Event, EventKind, Field, MessageId, Value};
use queue::{Listed, State};
use std::collections::{BTreeMap, BTreeSet};

/// What the model knows of one process.
#[derive(Default)]
pub(crate) struct Accounting {
    open: BTreeMap<MessageId, BTreeSet<String>>,
    /// What an operator has removed while it was in flight goes without an event.
    removed: BTreeSet<MessageId>,
}

/// The message and the recipient that an event ends, if it ends one.
pub(crate) fn end_of(event: &Event) -> Option<(MessageId, &str)> {
    let ends = matches!(
        event.kind,
        EventKind::RecipientDelivered | EventKind::RecipientBounced | EventKind::RecipientExpired
    );
    let id = event.fields.iter().find_map(|field| match field {
        (Field::Id, Value::Id(id)) => Some(*id),
        _ => None,
    });
    let to = event.fields.iter().find_map(|field| match field {
        (Field::To, Value::Text(to)) => Some(to.trim_matches(['<', '>'])),
        _ => None,
    });
    ends.then_some(())?;
    Some((id?, to?))
}

impl Accounting {
    /// Takes in an event of the relay.
    pub(crate) fn hear(&mut self, event: &Event) {
        let Some((id, to)) = end_of(event) else { return };
        if let Some(open) = self.open.get_mut(&id) {
            open.remove(to);
        }
    }

    /// An operator removes a message.
    pub(crate) fn remove(&mut self, id: MessageId) {
        self.removed.insert(id);
    }

    /// What the queue counts wrongly, and what it has forgotten.
    pub(crate) fn look(&mut self, sight: &Sight) -> Vec<String> {
        let mut wrongs = Vec::new();
        for shard in &sight.shards {
            let (messages, recipients) = shard.counted;
            let (listed, theirs) = count(&shard.listed);
            if messages != listed || recipients.iter().sum::<u64>() != theirs {
                wrongs.push(format!(
                    "{messages:?} messages and {recipients:?} recipients are counted, {listed:?} \
                     and {theirs} listed"
                ));
            }
        }
        self.compare(sight, &mut wrongs);
        wrongs
    }

    fn compare(&mut self, sight: &Sight, wrongs: &mut Vec<String>) {
        let listed = sight.shards.iter().flat_map(|shard| &shard.listed);
        let mut known = std::mem::take(&mut self.open);
        for message in listed {
            let here: BTreeSet<String> =
                message.recipients.iter().map(|recipient| recipient.to.clone()).collect();
            if let Some(open) = known.remove(&message.id) {
                let gone: Vec<_> = open.difference(&here).collect();
                if !gone.is_empty() && !self.removed.contains(&message.id) {
                    wrongs.push(format!("{} has lost recipients {gone:?}", message.id));
                }
            }
            self.open.insert(message.id, here);
        }
        for (id, open) in known {
            if !open.is_empty() && !self.removed.contains(&id) {
                wrongs.push(format!("{id} is gone, and {open:?} with it"));
            }
        }
    }
}

/// Messages by state, and their unfinished recipients.
fn count(listed: &[Listed]) -> ([u64; 3], u64) {
    let mut messages = [0; 3];
    let mut recipients = 0;
    for message in listed {
        let index = match message.state {
            State::Active => 0,
            State::Deferred => 1,
            State::Held => 2,
        };
        messages[index] += 1;
        recipients += message.recipients.len() as u64;
    }
    (messages, recipients)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::sight::tests::{listed, sight};

    fn delivered(number: u64, to: &str) -> Event {
        let id = MessageId::new(0, 1, number);
        Event::new(EventKind::RecipientDelivered).id(id).text(Field::To, format!("<{to}>"))
    }

    #[test]
    fn counts_must_be_those_of_the_list() {
        let mut right = sight(vec![listed(1, 2), listed(2, 1)]);
        assert!(Accounting::default().look(&right).is_empty());
        right.shards[0].counted.1[0] -= 1;
        assert_eq!(Accounting::default().look(&right).len(), 1);
    }

    #[test]
    fn a_recipient_leaves_the_list_only_with_an_event() {
        let mut accounting = Accounting::default();
        assert!(accounting.look(&sight(vec![listed(1, 2)])).is_empty());
        accounting.hear(&delivered(1, "r1.1@smart.example"));
        assert!(accounting.look(&sight(vec![listed(1, 1)])).is_empty());
        assert_eq!(accounting.look(&sight(vec![])).len(), 1);
    }

    #[test]
    fn what_an_operator_removed_may_go() {
        let mut accounting = Accounting::default();
        accounting.look(&sight(vec![listed(1, 1)]));
        accounting.remove(MessageId::new(0, 1, 1));
        assert!(accounting.look(&sight(vec![])).is_empty());
    }
}
