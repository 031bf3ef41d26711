//! What a full segment ends with: the seal, which lists all records without their bytes. Pure.
//!
//! The seal is written when every batch of the segment is durable, so that one that verifies says
//! that they were: a start reads it instead of the batches, and no body. Its last bytes, the
//! *trailer*, say where it begins. It is no part of the sequence, and no 250 waits for it.

use super::super::codec::{Decoder, Encoder, Malformed};
use super::super::record::kind;
use super::{BATCH_HEADER, BLOCK, BatchHeader, FRAME, Frame, Generation};
use reactor::Slab;

/// Bytes of the trailer, which end the segment.
pub(crate) const TRAILER: usize = 32;

const TRAILER_MAGIC: &[u8; 8] = b"RINGSEAL";

/// Bytes of an entry before its payload. Fewer than those of a frame, so that a batch adds at most
/// the bytes of its records.
const ENTRY: usize = 21;

/// The records of a segment that is being written.
#[derive(Default)]
pub(in crate::spool) struct Directory {
    entries: Vec<u8>,
    count: u32,
}

impl Directory {
    /// Adds the record with `frame` at `offset` of the segment. The last `header_bytes` of its
    /// payload are the header block of a message, which is left out.
    pub(in crate::spool) fn add(
        &mut self,
        frame: &Frame,
        offset: u32,
        payload: &[u8],
        header_bytes: usize,
    ) {
        let with_message = matches!(frame.kind, kind::MESSAGE | kind::OUTCOMES_WITH_DSN);
        let kept = payload.len() - header_bytes;
        let mut out = Encoder::new(&mut self.entries);
        out.u8(frame.kind);
        out.u32(offset);
        out.u32(frame.payload);
        out.u32(frame.body_at);
        out.u32(frame.body_bytes);
        out.count(kept);
        if with_message {
            // The length of the header block stands before it: none is left.
            out.raw(&payload[..kept - 4]);
            out.u32(0);
        } else {
            out.raw(&payload[..kept]);
        }
        self.count += 1;
    }

    /// Bytes of the seal, when `more` bytes of records are yet to be listed.
    pub(in crate::spool) fn seal_bytes(&self, more: usize) -> usize {
        let listed = self.entries.len() + more;
        (BATCH_HEADER + FRAME + 4 + listed + TRAILER).next_multiple_of(BLOCK)
    }

    /// The seal as it is written at `offset`, behind batches up to `sequence`, all durable.
    pub(in crate::spool) fn seal(
        &self,
        generation: Generation,
        offset: u32,
        sequence: u64,
        durable_through: u64,
    ) -> Slab {
        let bytes = self.seal_bytes(0);
        let frame = Frame {
            payload: (4 + self.entries.len()) as u32,
            kind: kind::DIRECTORY,
            ..Frame::default()
        };
        let header = BatchHeader {
            sequence,
            durable_through,
            bytes: u32::try_from(bytes).expect("a segment fits 32 bits"),
            record_bytes: frame.bytes() as u32,
            records: 1,
            seal: true,
        };
        let mut slab = Slab::new(bytes);
        slab.append(&[0; BATCH_HEADER + FRAME]);
        slab.append(&self.count.to_le_bytes());
        slab.append(&self.entries);
        slab.append(&[0; TRAILER]);
        slab.pad_to(BLOCK);
        let out = slab.as_mut_slice();
        frame.write(generation, &mut out[BATCH_HEADER..]);
        header.write(generation, offset, out);
        write_trailer(generation, offset, &mut out[bytes - TRAILER..]);
        slab
    }
}

fn write_trailer(generation: Generation, offset: u32, out: &mut [u8]) {
    out[..8].copy_from_slice(TRAILER_MAGIC);
    out[8..16].copy_from_slice(&generation.0.to_le_bytes());
    out[16..20].copy_from_slice(&offset.to_le_bytes());
    out[20..28].fill(0);
    let checksum = generation.checksum(&out[..28]);
    out[28..32].copy_from_slice(&checksum.to_le_bytes());
}

/// Where the seal of a segment begins, if `bytes` (at least [`TRAILER`] of them, to the end of the
/// file) end with a trailer of this generation.
pub(crate) fn find_seal(generation: Generation, bytes: &[u8]) -> Option<u32> {
    let trailer = bytes.get(bytes.len().checked_sub(TRAILER)?..)?;
    let mut expected = [0; TRAILER];
    let offset = u32::from_le_bytes(trailer[16..20].try_into().expect("four bytes"));
    write_trailer(generation, offset, &mut expected);
    (trailer == expected).then_some(offset)
}

/// A seal that verifies.
pub(crate) struct Seal<'a> {
    /// Its header: the last batch of the segment, and how far the log was durable.
    pub(crate) header: BatchHeader,
    /// The records, in order.
    pub(crate) records: Vec<Listed<'a>>,
}

/// One record that a seal lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listed<'a> {
    /// Where its frame begins, in bytes from the start of the segment.
    pub(crate) offset: u32,
    /// Its frame, without the checksum of the body.
    pub(crate) frame: Frame,
    /// Its payload; the header block of a message is left out.
    pub(crate) payload: &'a [u8],
}

impl<'a> Seal<'a> {
    /// Reads the seal whose bytes, from `offset` of the segment to its end, are `bytes`; `None`
    /// when any of it does not verify.
    pub(crate) fn read(generation: Generation, offset: u32, bytes: &'a [u8]) -> Option<Self> {
        let header = BatchHeader::read(generation, offset, bytes)?;
        if !header.seal || header.bytes as usize != bytes.len() {
            return None;
        }
        let record = bytes.get(BATCH_HEADER..)?;
        let frame = Frame::read(record).ok()?;
        if frame.kind != kind::DIRECTORY || !frame.verifies(generation, record) {
            return None;
        }
        let records = entries(&record[FRAME..frame.bytes()]).ok()?;
        Some(Self { header, records })
    }
}

fn entries(payload: &[u8]) -> Result<Vec<Listed<'_>>, Malformed> {
    let mut decoder = Decoder::new(payload);
    let count = decoder.count(ENTRY)?;
    let mut listed = Vec::with_capacity(count);
    for _ in 0..count {
        let kind = decoder.u8()?;
        let offset = decoder.u32()?;
        let frame = Frame {
            payload: decoder.u32()?,
            body_at: decoder.u32()?,
            body_bytes: decoder.u32()?,
            kind,
            ..Frame::default()
        };
        let kept = decoder.count(1)?;
        listed.push(Listed { offset, frame, payload: decoder.raw(kept)? });
    }
    decoder.end()?;
    Ok(listed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GENERATION: Generation = Generation(0xbeef);

    fn directory() -> Directory {
        let mut directory = Directory::default();
        let frame = |payload, kind| Frame { payload, kind, ..Frame::default() };
        // Four bytes of envelope, the length of the header block, the header block.
        let message = b"mail\x03\0\0\0abc";
        directory.add(&frame(11, kind::MESSAGE), 4160, message, 3);
        let chunk =
            Frame { body_at: 8192, body_bytes: 90_000, body_checksum: 7, ..frame(2, kind::CHUNK) };
        directory.add(&chunk, 8256, b"id", 0);
        directory.add(&frame(8, kind::OUTCOMES), 100_000, b"outcomes", 0);
        directory
    }

    fn seal() -> Slab {
        directory().seal(GENERATION, 1 << 20, 17, 19)
    }

    #[test]
    fn a_seal_lists_all_records_without_header_blocks_and_body_checksums() {
        let slab = seal();
        assert_eq!(find_seal(GENERATION, slab.as_slice()), Some(1 << 20));
        let seal = Seal::read(GENERATION, 1 << 20, slab.as_slice()).expect("as written");
        assert_eq!((seal.header.sequence, seal.header.durable_through), (17, 19));
        let said: Vec<_> = seal
            .records
            .iter()
            .map(|one| (one.offset, one.frame.bytes(), one.frame.body_at, one.payload))
            .collect();
        let expected: [(u32, usize, u32, &[u8]); 3] = [
            (4160, FRAME + 11, 0, b"mail\0\0\0\0"),
            (8256, FRAME + 2, 8192, b"id"),
            (100_000, FRAME + 8, 0, b"outcomes"),
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn a_seal_is_never_longer_than_was_reckoned_with() {
        for bytes in [0, 1, 21, 3877, 3878, 3900, 3910, 3940, 4000, 100_000] {
            let mut directory = directory();
            let before = directory.seal_bytes(FRAME + bytes);
            let frame = Frame { payload: bytes as u32, kind: kind::CHUNK, ..Frame::default() };
            directory.add(&frame, 0, &vec![1; bytes], 0);
            let slab = directory.seal(GENERATION, 0, 1, 1);
            assert!(slab.len() <= before, "{bytes}");
            assert!(Seal::read(GENERATION, 0, slab.as_slice()).is_some(), "{bytes}");
        }
    }

    #[test]
    fn a_seal_verifies_in_its_generation_at_its_place_and_whole() {
        let slab = seal();
        let bytes = slab.as_slice();
        let other = Generation(0xbeee);
        assert_eq!(find_seal(other, bytes), None);
        assert!(Seal::read(other, 1 << 20, bytes).is_none());
        assert!(Seal::read(GENERATION, 1 << 19, bytes).is_none());
        assert!(Seal::read(GENERATION, 1 << 20, &bytes[..bytes.len() / 2]).is_none());
        let used = BATCH_HEADER + FRAME + 4 + directory().entries.len();
        for at in (0..used).chain(bytes.len() - TRAILER..bytes.len()) {
            let mut flipped = bytes.to_vec();
            flipped[at] ^= 0x20;
            let found = find_seal(GENERATION, &flipped);
            let read = Seal::read(GENERATION, 1 << 20, &flipped);
            assert!(found != Some(1 << 20) || read.is_none(), "byte {at}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_entries_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = entries(&bytes);
            find_seal(GENERATION, &bytes);
            Seal::read(GENERATION, 0, &bytes);
        }
    }
}
