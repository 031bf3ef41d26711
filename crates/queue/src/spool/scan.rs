//! Finds the batches in the bytes of a segment. Pure.

use super::layout::{BATCH_HEADER, BLOCK, BatchHeader, Frame, Generation, Seal};

/// A batch whose header verifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scanned {
    /// Where it begins, in bytes from the start of the segment.
    pub(super) offset: u32,
    pub(super) header: BatchHeader,
    /// Records that verify, in order: where each begins, and its frame.
    pub(super) records: Vec<(u32, Frame)>,
    /// Where records and bodies lie that do not verify.
    pub(super) damage: Vec<u32>,
}

impl Scanned {
    /// The first byte behind it.
    pub(super) fn end(&self) -> u32 {
        self.offset + self.header.bytes
    }

    /// Whether all of it is as it was written.
    pub(super) fn is_whole(&self) -> bool {
        self.damage.is_empty()
    }
}

/// What lies in a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    /// Its batches, in order.
    pub(super) batches: Vec<Scanned>,
    /// Its seal.
    pub(super) seal: Option<ScannedSeal>,
}

/// A seal whose header verifies. It was written when all batches before it were durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ScannedSeal {
    /// Where it begins, in bytes from the start of the segment.
    pub(super) offset: u32,
    pub(super) header: BatchHeader,
    /// Whether all of it verifies.
    pub(super) whole: bool,
}

/// All batches of `generation` in `bytes`, a segment from its beginning, between the block
/// boundaries `begin` and `limit`. What is no header is skipped block by block; a seal ends it.
pub(super) fn scan(bytes: &[u8], generation: Generation, begin: usize, limit: usize) -> Scan {
    let mut found = Scan::default();
    let limit = limit.min(bytes.len());
    let mut at = begin;
    while at + BLOCK <= limit {
        let header = BatchHeader::read(generation, at as u32, &bytes[at..]);
        let Some(header) = header.filter(|header| at + header.bytes as usize <= limit) else {
            at += BLOCK;
            continue;
        };
        let end = at + header.bytes as usize;
        if header.seal {
            let whole = Seal::read(generation, at as u32, &bytes[at..end]).is_some();
            found.seal = Some(ScannedSeal { offset: at as u32, header, whole });
            break;
        }
        found.batches.push(look_into(bytes, generation, at, header));
        at = end;
    }
    found
}

fn look_into(bytes: &[u8], generation: Generation, at: usize, header: BatchHeader) -> Scanned {
    let mut batch = Scanned { offset: at as u32, header, records: Vec::new(), damage: Vec::new() };
    let end = at + header.bytes as usize;
    let records_end = at + BATCH_HEADER + header.record_bytes as usize;
    let mut record_at = at + BATCH_HEADER;
    for _ in 0..header.records {
        let record = &bytes[record_at..records_end];
        let Ok(frame) = Frame::read(record) else {
            // Its length is not to be believed, so where the next one begins is not known.
            batch.damage.push(record_at as u32);
            return batch;
        };
        if frame.verifies(generation, record) {
            batch.records.push((record_at as u32, frame));
            batch.damage.extend(damage_of_body(bytes, generation, &frame, records_end..end));
        } else {
            batch.damage.push(record_at as u32);
        }
        record_at += frame.bytes();
    }
    batch
}

/// Where the body of a record lies, if it does not verify.
fn damage_of_body(
    bytes: &[u8],
    generation: Generation,
    frame: &Frame,
    bodies: std::ops::Range<usize>,
) -> Option<u32> {
    if frame.body_bytes == 0 {
        return None;
    }
    let begin = frame.body_at as usize;
    let end = begin.saturating_add(frame.body_bytes as usize);
    let good = begin >= bodies.start
        && end <= bodies.end
        && generation.checksum(&bytes[begin..end]) == frame.body_checksum;
    if good { None } else { Some(frame.body_at) }
}
