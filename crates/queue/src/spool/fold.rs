//! Folds records, in the order in which they were written, into the messages that are not over.
//! Pure.

use super::layout::{FRAME, Listed};
use super::record::{MessageRecord, OutcomesRecord, Record};
use super::scan::Scanned;
use super::stored::{Position, Stored};
use super::{Recovered, SegmentId, Standing};
use mail::MessageId;
use std::collections::BTreeMap;

/// What has been folded so far.
#[derive(Default)]
pub(super) struct Fold {
    /// By id, which is the order of acceptance within a log.
    messages: BTreeMap<MessageId, Folded>,
    /// For each segment, the segments whose messages its outcomes name, and the bytes of these.
    pub(super) needs: BTreeMap<SegmentId, BTreeMap<SegmentId, u64>>,
    /// Where the copies of a message lie, if that is not just the segment that its outcomes name:
    /// outcomes live as long as any of them.
    pub(super) copies: BTreeMap<MessageId, Vec<SegmentId>>,
}

struct Folded {
    record: MessageRecord,
    position: Position,
    standings: Vec<Standing>,
}

impl Fold {
    /// Takes in the records of one batch of `segment`, whose bytes are `bytes`; gives the offsets
    /// of records that verify and say nothing that we understand.
    pub(super) fn take_in(
        &mut self,
        segment: SegmentId,
        bytes: &[u8],
        batch: &Scanned,
    ) -> Vec<u32> {
        let mut strange = Vec::new();
        for (offset, frame) in &batch.records {
            let position = Position::of(segment, *offset, frame);
            let record = &bytes[*offset as usize + FRAME..][..frame.payload as usize];
            if self.take_in_one(position, frame.kind, record).is_none() {
                strange.push(*offset);
            }
        }
        strange
    }

    /// Takes in a record that a seal of `segment` lists; `None` when it says nothing that we
    /// understand.
    pub(super) fn take_in_listed(&mut self, segment: SegmentId, listed: &Listed<'_>) -> Option<()> {
        let Listed { offset, frame, payload } = *listed;
        let position = Position::of(segment, offset, &frame);
        self.take_in_one(position, frame.kind, payload)
    }

    fn take_in_one(&mut self, position: Position, kind: u8, payload: &[u8]) -> Option<()> {
        match Record::decode_payload(kind, payload).ok()? {
            Record::Message(message) => self.message(position, message),
            Record::Chunk => {}
            Record::Outcomes(outcomes, dsn) => {
                self.outcomes(position, outcomes);
                if let Some(dsn) = dsn {
                    self.message(position, dsn);
                }
            }
        }
        Some(())
    }

    /// A copy of a message that comes later has its standings folded in, or is the same once more.
    fn message(&mut self, position: Position, mut record: MessageRecord) {
        let mut standings = std::mem::take(&mut record.standings);
        let before = self.messages.remove(&record.id);
        if let Some(before) = &before {
            let first = || vec![before.position.segment];
            let copies = self.copies.entry(record.id).or_insert_with(first);
            copies.push(position.segment);
        }
        if let Some(before) = before.filter(|_| standings.is_empty()) {
            standings = before.standings;
        }
        standings.resize(record.envelope.recipients.len(), Standing::default());
        self.messages.insert(record.id, Folded { record, position, standings });
    }

    fn outcomes(&mut self, position: Position, outcomes: OutcomesRecord) {
        let (segment, bytes) = (position.segment, outcomes.bytes());
        // It stays as long as the message that it was written for, which may be over by now, and as
        // any other copy of it.
        let mut of = vec![outcomes.segment];
        of.extend(self.copies.get(&outcomes.id).into_iter().flatten());
        of.extend(self.messages.get(&outcomes.id).map(|message| message.position.segment));
        of.sort_unstable();
        of.dedup();
        for of in of.into_iter().filter(|of| *of != segment) {
            let needs = self.needs.entry(segment).or_default();
            *needs.entry(of).or_default() += bytes;
        }
        if let Some(message) = self.messages.get(&outcomes.id)
            && message.position.segment != outcomes.segment
        {
            let copies = self.copies.entry(outcomes.id).or_default();
            copies.extend([outcomes.segment, message.position.segment]);
        }
        // Unknown: it is over, or its segment has gone, and this is a tombstone that may go too.
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

    /// The messages that are not over, in the order of their ids.
    pub(super) fn into_messages(self) -> Vec<Recovered> {
        self.messages.into_values().map(Folded::recovered).collect()
    }
}

impl OutcomesRecord {
    /// About the bytes of the record, without a DSN.
    fn bytes(&self) -> u64 {
        let changes = self.changes.iter().map(|(_, change)| change.bytes_max() as u64);
        FRAME as u64 + 24 + changes.sum::<u64>()
    }
}

impl Folded {
    fn recovered(self) -> Recovered {
        let Self { record, position, standings } = self;
        let chunks: Box<[_]> =
            record.chunks.iter().map(|chunk| (chunk.segment, chunk.bytes)).collect();
        let chunks = (!chunks.is_empty()).then_some(chunks);
        Recovered {
            id: record.id,
            accepted: record.accepted,
            envelope: record.envelope,
            standings,
            stored: Stored { position, size: record.size, chunks, hot: None },
        }
    }
}
