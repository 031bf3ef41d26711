//! The messages of a spool that no relay has, one after the other: a recovery that writes nothing.

use super::Spool;
use super::files::{Files, read_at};
use super::ledger::{Ledger, Living};
use super::walk::{Known, walk};
use crate::OpenError;
use crate::exchange::{ExportStep, Plain, Portable, Waiting, only};
use crate::spool::record::Record;
use crate::spool::{Extent, SegmentId, Standing};
use mail::MessageId;
use std::collections::VecDeque;
use std::path::Path;

/// Goes over the messages of a spool; the same steps as [`Export`](crate::Export) gives. One log is
/// looked at at a time.
pub struct SpoolExport {
    spool: Spool,
    logs: std::vec::IntoIter<u16>,
    log: Option<OneLog>,
    reading: Option<Reading>,
}

/// The messages of one log.
struct OneLog {
    files: Files,
    messages: std::vec::IntoIter<Living>,
}

/// A message that is being read.
struct Reading {
    id: MessageId,
    /// The header block, until it is given.
    header: Option<Vec<u8>>,
    pieces: VecDeque<Extent>,
    plain: Plain,
}

impl Spool {
    /// Begins an export of all messages that are not over. Nothing is locked: no relay may start
    /// on the spool meanwhile.
    pub fn export(&self) -> SpoolExport {
        let logs = self.logs.clone().into_iter();
        SpoolExport { spool: self.clone(), logs, log: None, reading: None }
    }

    /// Begins an export of one message, live or not, as its last record has it; of none when no
    /// record is found.
    ///
    /// # Errors
    /// What keeps its log from being looked at.
    pub fn export_one(&self, id: MessageId) -> Result<SpoolExport, OpenError> {
        let mut one = SpoolExport { logs: Vec::new().into_iter(), ..self.export() };
        if self.logs.contains(&id.log()) {
            one.log = Some(OneLog::with(&self.log_directory(id.log()), id)?);
        }
        Ok(one)
    }
}

impl SpoolExport {
    /// The next step.
    ///
    /// # Errors
    /// What keeps a whole log from being looked at.
    pub fn step(&mut self) -> Result<ExportStep, OpenError> {
        loop {
            if let Some(log) = &mut self.log {
                if let Some(reading) = self.reading.take() {
                    let (step, reading) = reading.go_on(&log.files);
                    self.reading = reading;
                    return Ok(step);
                }
                if let Some(living) = log.messages.next() {
                    let (step, reading) = begin(&log.files, &living);
                    self.reading = reading;
                    return Ok(step);
                }
            }
            let Some(number) = self.logs.next() else { return Ok(ExportStep::Over) };
            self.log = Some(OneLog::of(&self.spool.log_directory(number), number)?);
        }
    }
}

impl OneLog {
    /// Log `number` with the messages that are not over.
    fn of(directory: &Path, number: u16) -> Result<Self, OpenError> {
        let mut ledger = Ledger::default();
        let files = each_record(directory, number, &mut |segment, known| {
            // What is not understood names no message; `spool check` tells of it.
            let _ = ledger.take_in(segment, known);
        })?;
        let messages: Vec<Living> = ledger.messages.into_values().collect();
        Ok(Self { files, messages: messages.into_iter() })
    }

    /// The log of `wanted` with the last copy of this message, live or not.
    fn with(directory: &Path, wanted: MessageId) -> Result<Self, OpenError> {
        let mut last = None;
        let files = each_record(directory, wanted.log(), &mut |segment, known| {
            let message = match Record::decode(known.frame, known.bytes) {
                Ok(Record::Message(message) | Record::Outcomes(_, Some(message))) => message,
                Ok(_) | Err(_) => return,
            };
            if message.id == wanted {
                let standings = vec![Standing::default(); message.envelope.recipients.len()];
                let (offset, frame) = (known.offset, *known.frame);
                last = Some(Living { record: message, segment, offset, frame, standings });
            }
        })?;
        Ok(Self { files, messages: last.into_iter().collect::<Vec<_>>().into_iter() })
    }
}

/// Visits every record that belongs to a log and verifies.
fn each_record(
    directory: &Path,
    log: u16,
    visit: &mut dyn FnMut(SegmentId, &Known<'_>),
) -> Result<Files, OpenError> {
    let files = Files::of(directory, log)?;
    if let Some(error) = files.unreadable().into_iter().next() {
        return Err(error);
    }
    let mut failed = None;
    walk(&files, &mut |segment, judged| match judged {
        Ok(judged) => judged.records().iter().for_each(|known| visit(segment.id, known)),
        Err(error) => {
            failed.get_or_insert(OpenError::from_io(&files.path_of(segment.id), error));
        }
    });
    failed.map_or(Ok(()), Err)?;
    Ok(files)
}

/// Reads the record of a message.
fn begin(files: &Files, living: &Living) -> (ExportStep, Option<Reading>) {
    let Living { record, segment, offset, frame, standings } = living;
    let id = record.id;
    let place = || format!("{} at byte {offset}", files.path_of(*segment).display());
    let bytes = match read_at(&files.path_of(*segment), *offset, frame.bytes() as u32) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return (broken(id, format!("{} is cut short", place())), None),
        Err(error) => return (broken(id, format!("{}: {error}", place())), None),
    };
    let generation = files.find(*segment).map(|segment| segment.header.generation);
    if !generation.is_some_and(|generation| frame.verifies(generation, &bytes)) {
        return (broken(id, format!("{} does not verify", place())), None);
    }
    let body = (frame.body_bytes > 0).then_some(Extent {
        segment: *segment,
        offset: frame.body_at,
        bytes: frame.body_bytes,
        checksum: frame.body_checksum,
    });
    let reading = Reading {
        id,
        header: Some(bytes[record.header.clone()].to_vec()),
        pieces: record.chunks.iter().copied().chain(body).collect(),
        plain: Plain::new(),
    };
    let unfinished = (0..).zip(standings).filter(|(_, standing)| !standing.done);
    let (keep, waiting): (Vec<u32>, Vec<Waiting>) =
        unfinished.map(|(index, standing)| (index, waiting(standing))).unzip();
    let portable = Portable {
        id,
        accepted: record.accepted,
        envelope: only(&record.envelope, &keep),
        waiting,
        bytes: record.size.checked_sub(record.stuffed_lines),
    };
    (ExportStep::Message(Box::new(portable)), Some(reading))
}

impl Reading {
    /// The next piece, and itself unless it is over.
    fn go_on(mut self, files: &Files) -> (ExportStep, Option<Self>) {
        let mut plain = Vec::new();
        if let Some(header) = self.header.take() {
            self.plain.take(&header, &mut plain);
            return (ExportStep::Bytes(plain), Some(self));
        }
        let Some(extent) = self.pieces.pop_front() else { return (ExportStep::Whole, None) };
        let path = files.path_of(extent.segment);
        let place = || format!("{} at byte {}", path.display(), extent.offset);
        let Some(segment) = files.find(extent.segment) else {
            return (broken(self.id, format!("{} is gone", path.display())), None);
        };
        match read_at(&path, extent.offset, extent.bytes) {
            Err(error) => (broken(self.id, format!("{}: {error}", place())), None),
            Ok(Some(bytes)) if segment.header.generation.checksum(&bytes) == extent.checksum => {
                self.plain.take(&bytes, &mut plain);
                (ExportStep::Bytes(plain), Some(self))
            }
            Ok(_) => (broken(self.id, format!("{} does not verify", place())), None),
        }
    }
}

fn broken(id: MessageId, why: String) -> ExportStep {
    ExportStep::Broken { id, reason: format!("it is damaged on disk: {why}") }
}

fn waiting(standing: &Standing) -> Waiting {
    let Standing { held, attempts, next, reason, .. } = standing;
    Waiting { held: *held, attempts: *attempts, next: *next, reason: reason.clone() }
}
