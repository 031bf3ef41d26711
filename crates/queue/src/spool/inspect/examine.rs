//! `spool check`: verifies every batch, record and body of a log, and says what damage costs.

use super::files::{Files, Other, Segment, Strange, read_at};
use super::ledger::Ledger;
use super::report::{Cost, Damage, FileKind, FileReport, LogReport};
use super::walk::{BAD_SEAL, Judged, NOT_GIVEN, walk};
use crate::OpenError;
use crate::spool::layout::{FRAME, Frame};
use crate::spool::record::kind;
use crate::spool::{Extent, SegmentId};
use mail::MessageId;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

/// What a place that does not verify belongs to.
enum Hit {
    /// The message whose record begins at this offset; a seal may vouch for the record.
    Message(u32),
    /// A chunk that begins at the place.
    Chunk,
    /// A record; its id is what stands there now.
    Record(Option<MessageId>),
    /// Whole batches, or blocks.
    More,
}

/// An examination under way.
struct Examination {
    log: u16,
    ledger: Ledger,
    reports: BTreeMap<SegmentId, FileReport>,
    /// Damage by place, until all records are known and its cost can be told.
    hits: BTreeMap<(SegmentId, u32), (&'static str, Hit)>,
    /// Blocks that the disk does not give.
    not_given: BTreeSet<(SegmentId, u32)>,
    /// Chunks that verify: segment, offset, bytes and checksum.
    chunks: BTreeSet<(SegmentId, u32, u32, u32)>,
}

/// Examines log `log`, which lies in `directory`.
pub(super) fn examine(directory: &Path, log: u16) -> Result<LogReport, OpenError> {
    let files = Files::of(directory, log)?;
    let mut examination = Examination {
        log,
        ledger: Ledger::default(),
        reports: BTreeMap::new(),
        hits: BTreeMap::new(),
        not_given: BTreeSet::new(),
        chunks: BTreeSet::new(),
    };
    walk(&files, &mut |segment, judged| examination.take_in(segment, judged));
    examination.look_after_chunks(&files);
    examination.count_living();
    examination.tell_costs();
    let Examination { ledger, reports, .. } = examination;
    let living = || ledger.messages.values();
    let unfinished = living().flat_map(|living| &living.standings).filter(|one| !one.done);
    let others = files.others.iter().map(report_of);
    Ok(LogReport {
        number: log,
        directory: directory.into(),
        live_messages: living().count() as u64,
        live_recipients: unfinished.count() as u64,
        files: reports.into_values().chain(others).collect(),
    })
}

fn report_of(other: &Other) -> FileReport {
    let kind = match &other.what {
        Strange::Spare => FileKind::Spare,
        Strange::Unfinished => FileKind::Unfinished,
        Strange::Headless => FileKind::Headless,
        Strange::Misplaced => FileKind::Misplaced,
        Strange::Version(version) => FileKind::Version(*version),
        Strange::Unreadable(error) => FileKind::Unreadable(error.to_string()),
        Strange::Foreign => FileKind::Foreign,
    };
    FileReport::new(other.name.clone(), kind, other.file_bytes)
}

impl Examination {
    /// Takes in one segment.
    fn take_in(&mut self, segment: &Segment, judged: io::Result<Judged<'_>>) {
        let judged = match judged {
            Ok(judged) => judged,
            // The relay has deleted it since the directory was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => {
                let kind = FileKind::Unreadable(error.to_string());
                let report = FileReport::new(segment.id.to_string(), kind, segment.file_bytes);
                self.reports.insert(segment.id, report);
                return;
            }
        };
        let kind = match (judged.sealed, segment.end) {
            (true, _) => FileKind::Sealed,
            (false, Some(_)) => FileKind::Ended,
            (false, None) => FileKind::Open,
        };
        let mut report = FileReport::new(segment.id.to_string(), kind, segment.file_bytes);
        report.start = segment.header.start;
        for batch in &judged.batches {
            if batch.torn {
                report.torn_batches += 1;
                report.torn_at.get_or_insert(u64::from(batch.scanned.offset));
                continue;
            }
            report.batches += 1;
            report.records += batch.scanned.records.len() as u64;
            report.dead_bytes += u64::from(batch.scanned.header.bytes);
            self.take_in_damage(&judged, &batch.scanned.damage, &batch.scanned.records);
        }
        self.take_in_records(&judged);
        for (offset, reason) in &judged.wrong {
            let place = (segment.id, *offset);
            if *reason == NOT_GIVEN {
                self.not_given.insert(place);
            }
            self.hits.entry(place).or_insert((*reason, Hit::More));
        }
        self.reports.insert(segment.id, report);
    }

    fn take_in_records(&mut self, judged: &Judged<'_>) {
        let segment = judged.segment.id;
        for known in judged.records() {
            let Frame { kind, body_at, body_bytes, body_checksum, .. } = *known.frame;
            let place = (segment, known.offset);
            if !known.whole {
                // The seal knows what it was.
                let hit = ("a record does not verify", Hit::Message(known.offset));
                self.hits.insert(place, hit);
            } else if kind == kind::CHUNK && !self.hits.contains_key(&(segment, body_at)) {
                self.chunks.insert((segment, body_at, body_bytes, body_checksum));
            }
            if self.ledger.take_in(segment, &known).is_none() {
                let hit = Hit::Record(id_at(known.bytes, self.log));
                self.hits.insert(place, ("a record is not understood", hit));
            }
        }
    }

    fn take_in_damage(&mut self, judged: &Judged<'_>, damage: &[u32], records: &[(u32, Frame)]) {
        let segment = judged.segment.id;
        for offset in damage {
            let owner =
                records.iter().find(|(_, frame)| frame.body_bytes > 0 && frame.body_at == *offset);
            let hit = match owner {
                Some((_, frame)) if frame.kind == kind::CHUNK => {
                    ("a piece of a body does not verify", Hit::Chunk)
                }
                Some((record, _)) => ("a body does not verify", Hit::Message(*record)),
                None => {
                    let id = id_at(&judged.bytes[*offset as usize..], self.log);
                    ("a record does not verify", Hit::Record(id))
                }
            };
            self.hits.insert((segment, *offset), hit);
        }
    }

    /// Looks whether the streamed pieces of every living message are there: those that no chunk
    /// record vouches for are read.
    fn look_after_chunks(&mut self, files: &Files) {
        let mut bad = Vec::new();
        for living in self.ledger.messages.values() {
            for extent in &living.record.chunks {
                let Extent { segment, offset, bytes, checksum } = *extent;
                if self.chunks.contains(&(segment, offset, bytes, checksum)) {
                    continue;
                }
                if !self.hits.contains_key(&(segment, offset)) && !verifies(files, extent) {
                    let hit = ("a piece of its body is gone", Hit::Message(living.offset));
                    bad.push(((living.segment, living.offset), hit));
                }
            }
        }
        for (place, hit) in bad {
            self.hits.entry(place).or_insert(hit);
        }
    }

    /// Counts what living messages take, segment by segment.
    fn count_living(&mut self) {
        for living in self.ledger.messages.values() {
            let own = living.frame.bytes() as u64 + u64::from(living.frame.body_bytes);
            let chunks = living.record.chunks.iter();
            let chunks = chunks.map(|extent| (extent.segment, u64::from(extent.bytes)));
            for (segment, bytes) in chunks.chain([(living.segment, own)]) {
                if let Some(report) = self.reports.get_mut(&segment) {
                    report.live_bytes += bytes;
                    report.dead_bytes = report.dead_bytes.saturating_sub(bytes);
                }
            }
            if let Some(report) = self.reports.get_mut(&living.segment) {
                report.live_messages += 1;
            }
        }
    }

    /// Puts each damage into the report of its segment, with its cost.
    fn tell_costs(&mut self) {
        let mut records = BTreeMap::new();
        let mut chunks = BTreeMap::new();
        for living in self.ledger.messages.values() {
            let id = living.record.id;
            records.insert((living.segment, living.offset), id);
            let extents = living.record.chunks.iter();
            chunks.extend(extents.map(|extent| ((extent.segment, extent.offset), id)));
        }
        let cost_of = |id: Option<&MessageId>| id.map_or(Cost::Nothing, |id| Cost::Message(*id));
        for ((segment, offset), (reason, hit)) in &self.hits {
            let cost = match hit {
                Hit::Message(record) => cost_of(records.get(&(*segment, *record))),
                Hit::Chunk => cost_of(chunks.get(&(*segment, *offset))),
                Hit::Record(Some(id)) => Cost::Perhaps(*id),
                Hit::More if *reason == BAD_SEAL => Cost::Nothing,
                Hit::Record(None) | Hit::More => Cost::Unknown,
            };
            if let Some(report) = self.reports.get_mut(segment) {
                let unreadable = self.not_given.contains(&(*segment, *offset));
                let offset = u64::from(*offset);
                report.damage.push(Damage { offset, reason, cost, unreadable });
            }
        }
    }
}

/// Whether an extent is on disk as it was written.
fn verifies(files: &Files, extent: &Extent) -> bool {
    let Some(segment) = files.find(extent.segment) else { return false };
    let read = read_at(&files.path_of(extent.segment), extent.offset, extent.bytes);
    let checksum = |bytes: &[u8]| segment.header.generation.checksum(bytes);
    matches!(read, Ok(Some(bytes)) if checksum(&bytes) == extent.checksum)
}

/// The id in the record at the beginning of `bytes`: the first thing in each kind of record. Where
/// the record does not verify it is a guess, but one that fits the log.
pub(super) fn id_at(bytes: &[u8], log: u16) -> Option<MessageId> {
    let bits = bytes.get(FRAME..FRAME + 16)?.try_into().expect("sixteen bytes");
    MessageId::from_bits(u128::from_le_bytes(bits)).filter(|id| id.log() == log)
}
