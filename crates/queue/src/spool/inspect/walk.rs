//! Goes through the segments of a log in order and judges each batch, as a start would.

use super::files::{Contents, Files, Segment, read};
use crate::spool::layout::{BLOCK, FRAME, Frame, Seal, find_seal};
use crate::spool::scan::{Scan, Scanned, ScannedSeal, scan};
use crate::spool::tail::{Horizon, Tail};
use std::collections::BTreeSet;
use std::io;

/// A segment, read and judged.
pub(super) struct Judged<'a> {
    pub(super) segment: &'a Segment,
    /// The whole file.
    pub(super) bytes: Vec<u8>,
    pub(super) batches: Vec<Batch>,
    /// Records that the seal lists and that do not verify where they lie.
    pub(super) lost: Vec<Lost>,
    /// What is wrong beside the batches' own damage, by offset.
    pub(super) wrong: Vec<(u32, &'static str)>,
    /// Whether it ends with a seal.
    pub(super) sealed: bool,
}

/// A batch whose header verifies.
pub(super) struct Batch {
    pub(super) scanned: Scanned,
    /// It lies in the torn tail: nobody was promised what is in it.
    pub(super) torn: bool,
}

/// A record as the seal has it.
pub(super) struct Lost {
    pub(super) offset: u32,
    /// Of what is listed: shorter by the header block than the frame on disk.
    pub(super) frame: Frame,
    /// Its payload, with room for a frame before it.
    pub(super) bytes: Vec<u8>,
}

/// A record that belongs to the log.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) offset: u32,
    pub(super) frame: &'a Frame,
    /// Its bytes from the frame on.
    pub(super) bytes: &'a [u8],
    /// Whether it verifies where it lies; otherwise it is as the seal has it.
    pub(super) whole: bool,
}

/// The block cannot be read.
pub(super) const NOT_GIVEN: &str = "the disk does not give this block";

/// The seal, which lists all records, is damaged: that costs no message.
pub(super) const BAD_SEAL: &str = "the seal does not verify";

/// Visits every segment, the oldest first. One of them is in memory at a time.
///
/// What cannot be opened is told with its error, and the others follow.
pub(super) fn walk(files: &Files, visit: &mut dyn FnMut(&Segment, io::Result<Judged<'_>>)) {
    let mut tail = Tail::new(horizon(files));
    let last_start = files.last_start();
    for segment in &files.segments {
        let judged = read(&files.path_of(segment.id)).map(|contents| {
            let is_last = segment.header.start == last_start;
            let may_be_torn = segment.end.is_none() && is_last;
            judge(segment, contents, may_be_torn.then_some(&mut tail))
        });
        visit(segment, judged);
    }
}

/// Every batch of the last start up to this sequence was durable.
fn horizon(files: &Files) -> u64 {
    let mut horizon = Horizon::default();
    let last_start = files.last_start();
    let open = |segment: &&Segment| segment.end.is_none() && segment.header.start == last_start;
    for segment in files.segments.iter().rev().filter(open) {
        // What cannot be read says nothing; it is told of when it is visited.
        let Ok(contents) = read(&files.path_of(segment.id)) else { continue };
        if horizon.take_in(&scanned(segment, &contents.bytes)) {
            break;
        }
    }
    horizon.durable_through()
}

fn scanned(segment: &Segment, bytes: &[u8]) -> Scan {
    let limit = segment.end.map_or(bytes.len(), |end| end.offset as usize);
    scan(bytes, segment.header.generation, segment.begin, limit)
}

fn judge<'a>(segment: &'a Segment, contents: Contents, mut tail: Option<&mut Tail>) -> Judged<'a> {
    let Contents { bytes, unreadable } = contents;
    let mut wrong: Vec<_> = unreadable.into_iter().map(|offset| (offset, NOT_GIVEN)).collect();
    let Scan { batches: found, seal } = scanned(segment, &bytes);
    let sealed_whole = seal.is_some_and(|seal| seal.whole);
    // The seal of the last start may have been on its way to the disk.
    if segment.end.is_none() && tail.is_none() {
        let trailer = find_seal(segment.header.generation, &bytes);
        let ends = seal.is_some_and(|seal| seal.whole && trailer == Some(seal.offset));
        let last = bytes.len().saturating_sub(BLOCK) as u32;
        let place = seal.map(|seal| seal.offset).or(trailer).unwrap_or(last);
        wrong.extend((!ends).then_some((place, BAD_SEAL)));
    }
    let mut at = segment.begin as u32;
    let mut sequence = 0;
    let mut batches = Vec::new();
    for scanned in found {
        let torn = tail.as_mut().is_some_and(|tail| !tail.keeps(&scanned));
        if !torn {
            // What a whole seal lists is told record by record.
            if scanned.offset > at && !sealed_whole {
                wrong.push((at, "a batch is missing"));
            }
            at = scanned.end();
            sequence = scanned.header.sequence;
        }
        batches.push(Batch { scanned, torn });
    }
    let ended = segment.end.is_some_and(|end| end.offset > u64::from(at));
    let before_seal = seal.is_some_and(|seal| seal.header.sequence > sequence && !seal.whole);
    if ended || before_seal {
        wrong.push((at, "the last batches are missing"));
    }
    let lost = seal.map_or_else(Vec::new, |seal| lost(segment, &bytes, &batches, seal));
    Judged { segment, batches, lost, wrong, sealed: seal.is_some(), bytes }
}

/// The records that a seal lists and that do not verify in the batches before it.
fn lost(segment: &Segment, bytes: &[u8], batches: &[Batch], seal: ScannedSeal) -> Vec<Lost> {
    let from = seal.offset as usize;
    let seal_bytes = bytes.get(from..from + seal.header.bytes as usize).unwrap_or_default();
    let Some(seal) = Seal::read(segment.header.generation, seal.offset, seal_bytes) else {
        return Vec::new();
    };
    let records = batches.iter().flat_map(|batch| &batch.scanned.records);
    let whole: BTreeSet<u32> = records.map(|(offset, _)| *offset).collect();
    let missing = seal.records.iter().filter(|listed| !whole.contains(&listed.offset));
    let lost = missing.map(|listed| {
        let frame = Frame { payload: listed.payload.len() as u32, ..listed.frame };
        let bytes = [&[0; FRAME], listed.payload].concat();
        Lost { offset: listed.offset, frame, bytes }
    });
    lost.collect()
}

impl Judged<'_> {
    /// The records that belong to the log, in the order in which they were written.
    pub(super) fn records(&self) -> Vec<Known<'_>> {
        let kept = self.batches.iter().filter(|batch| !batch.torn);
        let whole = kept.flat_map(|batch| &batch.scanned.records).map(|(offset, frame)| Known {
            offset: *offset,
            frame,
            bytes: &self.bytes[*offset as usize..],
            whole: true,
        });
        let lost = self.lost.iter().map(|lost| Known {
            offset: lost.offset,
            frame: &lost.frame,
            bytes: &lost.bytes,
            whole: false,
        });
        let mut records: Vec<Known<'_>> = whole.chain(lost).collect();
        records.sort_by_key(|record| record.offset);
        records
    }
}
