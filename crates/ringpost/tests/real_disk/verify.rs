//! What arrived, against what was promised.

use crate::load::{Key, REFUSED, body, keys};
use crate::relay::Site;
use crate::sink::{Received, Sink};
use crate::wait::until;
use std::collections::{BTreeMap, BTreeSet};

/// Looks that find nothing new before a test gives up: some seconds. A relay that delivers, or that
/// waits out a back-off which `flush` has ended, is never silent for so long.
const QUIET_LOOKS: u32 = 2000;

/// What is known of a moment after which nothing of the relay went on.
#[derive(Default)]
pub(crate) struct Cut {
    /// Had its 250 before it.
    pub(crate) promised: BTreeSet<Key>,
    /// A next hop had taken it, and its outcome was on disk, before it: it must not come again.
    pub(crate) settled: BTreeSet<Key>,
    /// A next hop had taken it before the cut was over: its outcome may be on disk.
    pub(crate) taken: BTreeSet<Key>,
}

impl Cut {
    /// Lets all that waits at `site` go, and judges what `sink`, which was empty at the start of
    /// the relay, then has: everything that is owed, once, and whole.
    pub(crate) fn verify(&self, site: &Site, sink: &Sink) {
        site.told(&["queue", "flush", "--all"]);
        let owed: BTreeSet<Key> = self.promised.difference(&self.taken).cloned().collect();
        wait_for(&owed, sink);
        site.until_queued(0);
        self.judge(&arrived(sink));
    }

    fn judge(&self, arrived: &BTreeMap<Key, usize>) {
        let owed = self.promised.difference(&self.taken);
        let lost: Vec<&Key> = owed.filter(|key| !arrived.contains_key(*key)).collect();
        assert!(lost.is_empty(), "{} of {} lost: {lost:?}", lost.len(), self.promised.len());
        let again: Vec<&Key> =
            self.settled.iter().filter(|key| arrived.contains_key(*key)).collect();
        assert!(again.is_empty(), "{} came again: {again:?}", again.len());
        let twice: Vec<_> = arrived.iter().filter(|(_, times)| **times > 1).collect();
        assert!(twice.is_empty(), "{} came twice: {twice:?}", twice.len());
    }
}

/// Waits until `owed` is there, or nothing more comes for [`QUIET_LOOKS`]: who judges then says
/// what is missing. (The queue is no measure: a report is not in it before it is on disk.)
pub(crate) fn wait_for(owed: &BTreeSet<Key>, sink: &Sink) {
    let (mut count, mut quiet) = (usize::MAX, 0);
    until("no end of arrivals", || {
        if sink.count() == count {
            quiet += 1;
            return quiet > QUIET_LOOKS;
        }
        (count, quiet) = (sink.count(), 0);
        owed.is_subset(&taken(sink))
    });
}

/// How often each recipient of each message has come; each copy must be whole.
pub(crate) fn arrived(sink: &Sink) -> BTreeMap<Key, usize> {
    let mut arrived = BTreeMap::new();
    for message in sink.received() {
        for key in keys_of(&message) {
            *arrived.entry(key).or_insert(0) += 1;
        }
    }
    arrived
}

/// The same without the count.
pub(crate) fn taken(sink: &Sink) -> BTreeSet<Key> {
    arrived(sink).into_keys().collect()
}

fn keys_of(message: &Received) -> Vec<Key> {
    let text = message.text();
    let token = text.split_once("\r\nX-Token: ").and_then(|(_, rest)| rest.split_once('\r'));
    let token = token.unwrap_or_else(|| panic!("no token in\n{text}")).0;
    if message.from.is_empty() {
        assert!(text.contains(REFUSED), "a report of somebody else:\n{text}");
        return vec![format!("{token} {REFUSED}")];
    }
    assert!(message.original() == body(token).as_bytes(), "{token} is not what was sent:\n{text}");
    let expected: Vec<Key> = keys(token).collect();
    let found = message.to.iter().map(|to| format!("{token} {to}"));
    let found: Vec<Key> = found.collect();
    assert!(found.iter().all(|key| expected.contains(key)), "somebody else's: {found:?}");
    found
}

#[test]
fn a_lost_a_settled_and_a_doubled_recipient_are_each_found() {
    let set = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<BTreeSet<Key>>();
    let cut =
        Cut { promised: set(&["a", "b", "c"]), settled: set(&["c"]), taken: set(&["b", "c"]) };
    let judged = |keys: &[(&str, usize)]| {
        let arrived = keys.iter().map(|(key, times)| ((*key).to_owned(), *times)).collect();
        std::panic::catch_unwind(|| cut.judge(&arrived)).is_ok()
    };
    assert!(judged(&[("a", 1)]));
    assert!(judged(&[("a", 1), ("b", 1)]), "its outcome may have been lost");
    assert!(!judged(&[("b", 1)]), "a was lost");
    assert!(!judged(&[("a", 1), ("c", 1)]), "c came again");
    assert!(!judged(&[("a", 2)]), "a came twice");
}
