//! *States*: a recipient is in one state, of one shard, and over when it is over.

use super::Sight;
use super::accounting::end_of;
use mail::{Event, MessageId};
use std::collections::{BTreeMap, BTreeSet};

/// Who is over, as far as that is certain.
#[derive(Default)]
pub(crate) struct States {
    /// Ended in this process, or in one that ended with everything written down.
    over: BTreeSet<(MessageId, String)>,
}

impl States {
    /// Another process begins. What the one before had not written down may come back.
    pub(crate) fn restarted(&mut self, clean: bool) {
        if !clean {
            self.over.clear();
        }
    }

    /// Takes in an event of the relay.
    pub(crate) fn hear(&mut self, event: &Event) {
        if let Some((id, to)) = end_of(event) {
            self.over.insert((id, to.to_owned()));
        }
    }

    /// Who is in two states.
    pub(crate) fn look(&mut self, sight: &Sight) -> Vec<String> {
        let mut wrongs = Vec::new();
        let mut places: BTreeMap<MessageId, usize> = BTreeMap::new();
        for (shard, its) in sight.shards.iter().enumerate() {
            for message in &its.listed {
                let id = message.id;
                if let Some(other) = places.insert(id, shard) {
                    wrongs.push(format!("{id} is in the queue of shard {shard} and of {other}"));
                }
                let mut seen = BTreeSet::new();
                for recipient in &message.recipients {
                    if !seen.insert(recipient.to.as_str()) {
                        wrongs.push(format!("{id} lists {} twice", recipient.to));
                    }
                    if self.over.contains(&(id, recipient.to.clone())) {
                        wrongs.push(format!("{id} lists {}, who is over", recipient.to));
                    }
                }
            }
        }
        wrongs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::sight::tests::{listed, sight};
    use mail::{EventKind, Field};

    #[test]
    fn a_message_is_in_one_queue() {
        let mut twice = sight(vec![listed(1, 1)]);
        assert!(States::default().look(&twice).is_empty());
        twice.shards.push(twice.shards[0].clone());
        assert_eq!(States::default().look(&twice).len(), 1);
    }

    #[test]
    fn who_is_over_stays_so_after_a_clean_restart() {
        let mut states = States::default();
        let event = Event::new(EventKind::RecipientBounced).id(MessageId::new(0, 1, 1));
        states.hear(&event.text(Field::To, "<r0.1@smart.example>"));
        states.restarted(true);
        assert_eq!(states.look(&sight(vec![listed(1, 1)])).len(), 1);
        states.restarted(false);
        assert!(states.look(&sight(vec![listed(1, 1)])).is_empty());
    }

    #[test]
    fn a_recipient_is_listed_once() {
        let mut message = listed(1, 1);
        message.recipients.push(message.recipients[0].clone());
        assert_eq!(States::default().look(&sight(vec![message])).len(), 1);
    }
}
