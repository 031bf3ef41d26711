//! Counts replies, for the metrics.

use crate::Verb;

/// How often each code answered each verb. A handful of pairs, so that a list is the best map.
#[derive(Default)]
pub(crate) struct Tally(Vec<(Verb, u16, u32)>);

impl Tally {
    pub(crate) fn count(&mut self, verb: Verb, code: u16) {
        match self.0.iter_mut().find(|(v, c, _)| (*v, *c) == (verb, code)) {
            Some((_, _, times)) => *times = times.saturating_add(1),
            None => self.0.push((verb, code, 1)),
        }
    }

    pub(crate) fn take(&mut self) -> Vec<(Verb, u16, u32)> {
        std::mem::take(&mut self.0)
    }
}
