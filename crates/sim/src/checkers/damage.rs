//! *Damage*: nothing that was durable is found damaged unless the disk damaged it.

use mail::{Event, EventKind, Field, Value};
use std::collections::BTreeSet;

/// What has been done to the disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Damage {
    /// Reads fail now and then: the spool says so of each block.
    pub(crate) unread: bool,
    /// After a failed sync the page cache shows what the disk never got (Linux drops the dirty
    /// marks): the spool cannot tell, and rightly calls it damage after the next loss of power.
    pub(crate) lied: bool,
    /// Files with flipped bits.
    pub(crate) rotten: BTreeSet<String>,
}

impl Damage {
    /// Takes in an event of the relay: damage that nobody did.
    pub(crate) fn hear(&self, event: &Event) -> Option<String> {
        if event.kind != EventKind::SpoolQuarantined || self.lied {
            return None;
        }
        let text = |wanted| {
            event.fields.iter().find_map(|(field, value)| match value {
                Value::Text(text) if *field == wanted => Some(&**text),
                Value::Fixed(text) if *field == wanted => Some(*text),
                _ => None,
            })
        };
        let reason = text(Field::Reason).unwrap_or_default();
        if self.unread && reason.contains("disk does not give") {
            return None;
        }
        let file = text(Field::File).unwrap_or_default();
        let is_rotten = self.rotten.iter().any(|rotten| file.contains(rotten.as_str()));
        let what = || format!("durable bytes are found damaged: {:?}", event.fields);
        (!is_rotten).then(what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(damage: &Damage) -> bool {
        let event = Event::new(EventKind::SpoolQuarantined);
        let event = event.text(Field::File, "/spool/log-00/segment-00000002");
        damage.hear(&event.fixed(Field::Reason, "a record does not verify")).is_some()
    }

    #[test]
    fn damage_needs_a_cause_in_the_same_file() {
        assert!(found(&Damage::default()));
        assert!(found(&Damage { unread: true, ..Damage::default() }));
        assert!(!found(&Damage { lied: true, ..Damage::default() }));
        let rotten =
            |file: &str| Damage { rotten: BTreeSet::from([file.to_owned()]), ..Damage::default() };
        assert!(found(&rotten("/spool/log-00/segment-00000001")));
        assert!(!found(&rotten("/spool/log-00/segment-00000002")));
    }
}
