//! Folds the records of a log into the messages that are not over: the naive twin of a start's
//! fold, which keeps more of each, and has no thought for memory. Pure.

use super::walk::Known;
use crate::spool::layout::Frame;
use crate::spool::record::{MessageRecord, OutcomesRecord, Record};
use crate::spool::{SegmentId, Standing};
use mail::MessageId;
use std::collections::BTreeMap;

/// A message that is not over.
pub(super) struct Living {
    pub(super) record: MessageRecord,
    /// Which segment its record lies in.
    pub(super) segment: SegmentId,
    /// Where its frame begins, in bytes from the start of the file.
    pub(super) offset: u32,
    pub(super) frame: Frame,
    /// One for each recipient.
    pub(super) standings: Vec<Standing>,
}

/// The messages of a log that are not over, by id, which is the order of acceptance.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) messages: BTreeMap<MessageId, Living>,
}

impl Ledger {
    /// Takes in a record of `segment`; `None` when it says nothing that we understand.
    pub(super) fn take_in(&mut self, segment: SegmentId, known: &Known<'_>) -> Option<()> {
        let place = (segment, known.offset, *known.frame);
        match Record::decode(known.frame, known.bytes).ok()? {
            Record::Message(message) => self.message(place, message),
            Record::Chunk => {}
            Record::Outcomes(outcomes, dsn) => {
                self.outcomes(outcomes);
                if let Some(dsn) = dsn {
                    self.message(place, dsn);
                }
            }
        }
        Some(())
    }

    /// A later copy counts; one without standings of its own has those from before.
    fn message(&mut self, place: (SegmentId, u32, Frame), mut record: MessageRecord) {
        let (segment, offset, frame) = place;
        let id = record.id;
        let mut standings = std::mem::take(&mut record.standings);
        if standings.is_empty()
            && let Some(before) = self.messages.remove(&id)
        {
            standings = before.standings;
        }
        standings.resize(record.envelope.recipients.len(), Standing::default());
        let living = Living { record, segment, offset, frame, standings };
        self.messages.insert(id, living);
    }

    fn outcomes(&mut self, outcomes: OutcomesRecord) {
        let Some(message) = self.messages.get_mut(&outcomes.id) else { return };
        for (recipient, change) in outcomes.changes {
            if let Some(standing) = message.standings.get_mut(recipient as usize) {
                standing.change(change);
            }
        }
        if message.standings.iter().all(|standing| standing.done) {
            self.messages.remove(&outcomes.id);
        }
    }
}
