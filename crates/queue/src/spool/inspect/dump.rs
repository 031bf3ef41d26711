//! `spool dump`: every record in order, and why a message is live or not.

use super::examine::id_at;
use super::files::{Files, Segment};
use super::seen::{LastChange, Life, RecipientLife, Run, Says, Seen, StandingSeen, seen};
use super::walk::{Batch, Judged, walk};
use crate::OpenError;
use crate::spool::Standing;
use crate::spool::layout::Frame;
use crate::spool::record::{MessageRecord, Record};
use mail::MessageId;
use std::collections::BTreeMap;
use std::path::Path;

/// Tells every record of log `log`, in the order in which they were written. What cannot be opened
/// is told with the kernel's word for it.
pub(super) fn dump(
    directory: &Path,
    log: u16,
    tell: &mut dyn FnMut(&Seen),
) -> Result<Vec<OpenError>, OpenError> {
    let files = Files::of(directory, log)?;
    let mut unreadable = files.unreadable();
    walk(&files, &mut |segment, judged| match judged {
        Ok(judged) => tell_all(&judged, log, tell),
        Err(error) => unreadable.push(OpenError::from_io(&files.path_of(segment.id), error)),
    });
    Ok(unreadable)
}

/// All that befell message `wanted`, out of the log that has it.
pub(super) fn life(directory: &Path, wanted: MessageId) -> Result<Life, OpenError> {
    let files = Files::of(directory, wanted.log())?;
    let mut story = Story { wanted, recipients: Vec::new(), last: BTreeMap::new() };
    walk(&files, &mut |_, judged| {
        let Ok(judged) = judged else { return };
        for known in judged.records() {
            if let Ok(record) = Record::decode(known.frame, known.bytes) {
                story.take_in(judged.segment, known.offset, record);
            }
        }
    });
    let Story { recipients, mut last, .. } = story;
    let recipients = (0..).zip(recipients).map(|(index, (to, standing))| {
        let standing = StandingSeen::from(&standing);
        RecipientLife { to, standing, last: last.remove(&index) }
    });
    Ok(Life { id: wanted, recipients: recipients.collect() })
}

fn tell_all(judged: &Judged<'_>, log: u16, tell: &mut dyn FnMut(&Seen)) {
    for batch in &judged.batches {
        let mut seen: Vec<Seen> = batch
            .scanned
            .records
            .iter()
            .map(|(offset, frame)| whole(judged, batch, log, *offset, frame))
            .collect();
        let bodies: Vec<u32> =
            batch.scanned.records.iter().map(|(_, frame)| frame.body_at).collect();
        let records = batch.scanned.damage.iter().filter(|offset| !bodies.contains(offset));
        seen.extend(records.map(|offset| damaged(judged, batch, log, *offset)));
        seen.sort_by_key(|seen| seen.offset);
        seen.iter().for_each(&mut *tell);
    }
}

fn whole(judged: &Judged<'_>, batch: &Batch, log: u16, offset: u32, frame: &Frame) -> Seen {
    let bytes = &judged.bytes[offset as usize..];
    let id = id_at(bytes, log);
    let says = Record::decode(frame, bytes).map_or(Says::Damaged(id), |one| Says::of(one, id));
    let body = (frame.body_bytes > 0).then(|| Run {
        file: judged.segment.id.to_string(),
        offset: frame.body_at.into(),
        bytes: frame.body_bytes.into(),
        whole: Some(!batch.scanned.damage.contains(&frame.body_at)),
    });
    Seen { bytes: frame.bytes() as u64, body, says, ..damaged(judged, batch, log, offset) }
}

fn damaged(judged: &Judged<'_>, batch: &Batch, log: u16, offset: u32) -> Seen {
    Seen {
        log,
        file: judged.segment.id.to_string(),
        offset: offset.into(),
        bytes: 0,
        sequence: batch.scanned.header.sequence,
        torn: batch.torn,
        body: None,
        says: Says::Damaged(id_at(&judged.bytes[offset as usize..], log)),
    }
}

/// What befell one message, as far as it has been read.
struct Story {
    wanted: MessageId,
    recipients: Vec<(String, Standing)>,
    last: BTreeMap<u32, LastChange>,
}

impl Story {
    fn take_in(&mut self, segment: &Segment, offset: u32, record: Record) {
        match record {
            Record::Message(message) => self.message(message),
            Record::Chunk => {}
            Record::Outcomes(outcomes, report) => {
                if outcomes.id == self.wanted {
                    for (recipient, change) in outcomes.changes {
                        let file = segment.id.to_string();
                        let (told, offset) = (seen(recipient, &change), offset.into());
                        let last = LastChange { change: told, file, offset };
                        self.last.insert(recipient, last);
                        if let Some((_, standing)) = self.recipients.get_mut(recipient as usize) {
                            standing.change(change);
                        }
                    }
                }
                report.into_iter().for_each(|report| self.message(report));
            }
        }
    }

    fn message(&mut self, message: MessageRecord) {
        if message.id != self.wanted {
            return;
        }
        let before = std::mem::take(&mut self.recipients);
        let to = message.envelope.recipients.iter().map(ToString::to_string);
        let standing = |index: usize| {
            let own = message.standings.get(index).cloned();
            own.or_else(|| before.get(index).map(|(_, standing)| standing.clone()))
        };
        let numbered = to.enumerate();
        self.recipients =
            numbered.map(|(index, to)| (to, standing(index).unwrap_or_default())).collect();
    }
}
