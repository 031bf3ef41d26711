//! The bytes of segment headers, batch headers and record frames. Pure; `docs/SPOOL.md` draws them.

use super::SegmentId;
use super::codec::{Decoder, Encoder, Malformed};

mod directory;

pub(super) use directory::{Directory, Listed, Seal, find_seal};

/// The granularity of everything that is written: batches begin and end on it, so that no block is
/// written twice. Larger than any sector in use, and the page size.
pub(super) const BLOCK: usize = 4096;

/// The format that this program writes, and the only one that it reads.
pub(super) const VERSION: u32 = 2;

/// Bytes of a batch header.
pub(super) const BATCH_HEADER: usize = 64;

/// Bytes of a record's frame.
pub(super) const FRAME: usize = 24;

const SEGMENT_MAGIC: &[u8; 8] = b"RINGPOST";
pub(super) const BATCH_MAGIC: &[u8; 4] = b"RPB1";

/// Bytes of a segment header before its ends.
const SEGMENT_HEADER_FIXED: usize = 64;

/// Where the second copy of a header of one block lies.
const SECOND_COPY: usize = BLOCK / 2;

/// Bytes of one end in a segment header.
const END: usize = 32;

/// Where the checksum of a segment header stands.
const SEGMENT_CHECKSUM: usize = 56;

/// 64 random bits of a segment. They stand in its header and in every batch header and seed its
/// checksums, so that neither stale bytes nor forged ones verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Generation(pub(super) u64);

impl Generation {
    /// The checksum of a record or a body.
    pub(super) fn checksum(self, bytes: &[u8]) -> u32 {
        crc32c::crc32c_append(self.seed(), bytes)
    }

    /// What checksums begin with.
    pub(super) fn seed(self) -> u32 {
        if reactor::mutated("generation-not-checked") {
            return 0;
        }
        crc32c::crc32c(&self.0.to_le_bytes())
    }

    /// The checksum of a batch header. The offset is in it, so that a write that landed elsewhere
    /// does not verify.
    fn header_checksum(self, offset: u32, bytes: &[u8]) -> u32 {
        let seed = crc32c::crc32c_append(self.seed(), &offset.to_le_bytes());
        crc32c::crc32c_append(seed, bytes)
    }
}

/// Where an earlier segment ends, for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// Which segment.
    pub(super) segment: SegmentId,
    /// Its generation: an end of an earlier tenant of the name means nothing.
    pub(super) generation: Generation,
    /// The first byte that does not belong to it.
    pub(super) offset: u64,
    /// The sequence number of its last batch; zero when it has none.
    pub(super) sequence: u64,
}

/// The first blocks of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    /// The segment's random bits.
    pub(super) generation: Generation,
    /// The log.
    pub(super) log: u16,
    /// The start count of the log.
    pub(super) start: u32,
    /// The segment's own number.
    pub(super) segment: SegmentId,
    /// Where earlier segments end that have no seal.
    pub(super) ends: Vec<End>,
}

/// What the first block of a file says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HeaderFound {
    /// A header of a version that we read, and its length in bytes.
    Whole(SegmentHeader, usize),
    /// A header of another version, newer or older.
    Version(u32),
    /// The header is longer than the bytes that were given: give this many.
    Longer(usize),
    /// No header.
    None,
}

impl SegmentHeader {
    /// Bytes that are in use of each of the two copies.
    fn used(&self) -> usize {
        SEGMENT_HEADER_FIXED + self.ends.len() * END
    }

    /// Bytes that the header takes.
    pub(super) fn bytes(&self) -> usize {
        (2 * self.used()).next_multiple_of(BLOCK)
    }

    /// The header, in whole blocks: twice, since a whole segment hangs on it.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut copy = Vec::with_capacity(self.used());
        let mut out = Encoder::new(&mut copy);
        out.raw(SEGMENT_MAGIC);
        out.u32(VERSION);
        out.u32(0);
        out.u64(self.generation.0);
        out.u16(self.log);
        out.u16(0);
        out.u32(self.start);
        out.u32(self.segment.0);
        out.u32(self.bytes() as u32);
        out.u32(BLOCK as u32);
        out.count(self.ends.len());
        out.u64(0);
        out.u32(0);
        out.u32(0);
        for end in &self.ends {
            out.u32(end.segment.0);
            out.u32(0);
            out.u64(end.generation.0);
            out.u64(end.offset);
            out.u64(end.sequence);
        }
        // The version has a checksum of its own, at a place that no version will move: a flipped
        // bit must not pass for another version.
        let checksum = crc32c::crc32c(&copy[..12]);
        put_u32(&mut copy, 12, checksum);
        let checksum = self.generation.checksum(&copy);
        put_u32(&mut copy, SEGMENT_CHECKSUM, checksum);
        let mut bytes = vec![0; self.bytes()];
        let (first, second) = bytes.split_at_mut(self.bytes() / 2);
        first[..copy.len()].copy_from_slice(&copy);
        second[..copy.len()].copy_from_slice(&copy);
        bytes
    }

    /// Reads the header at the beginning of `bytes`. Where the first copy does not verify, the
    /// second one will do if it lies in the first block, as nearly always.
    pub(super) fn find(bytes: &[u8]) -> HeaderFound {
        let first = Self::find_copy(bytes, bytes);
        match first {
            HeaderFound::Whole(..) | HeaderFound::Version(_) => first,
            HeaderFound::Longer(_) | HeaderFound::None => {
                let second = bytes.get(SECOND_COPY..BLOCK).unwrap_or_default();
                match Self::find_copy(second, bytes) {
                    // Elsewhere it would be part of a long first one.
                    HeaderFound::Whole(header, BLOCK) => HeaderFound::Whole(header, BLOCK),
                    HeaderFound::Version(version) => HeaderFound::Version(version),
                    HeaderFound::Whole(..) | HeaderFound::Longer(_) | HeaderFound::None => first,
                }
            }
        }
    }

    /// Reads the copy that `copy` begins with, of the header that `bytes` begin with.
    fn find_copy(copy: &[u8], bytes: &[u8]) -> HeaderFound {
        if copy.len() < SEGMENT_HEADER_FIXED || &copy[..8] != SEGMENT_MAGIC {
            return HeaderFound::None;
        }
        if get_u32(copy, 12) != crc32c::crc32c(&copy[..12]) {
            return HeaderFound::None;
        }
        let version = get_u32(copy, 8);
        if version != VERSION {
            return HeaderFound::Version(version);
        }
        let length = get_u32(copy, 36) as usize;
        if length < BLOCK || !length.is_multiple_of(BLOCK) || length > 1 << 26 {
            return HeaderFound::None;
        }
        if length > bytes.len() {
            return HeaderFound::Longer(length);
        }
        match Self::decode(copy) {
            Ok(header) if header.bytes() == length => HeaderFound::Whole(header, length),
            Ok(_) | Err(Malformed) => HeaderFound::None,
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut decoder = Decoder::new(bytes);
        decoder.raw(16)?;
        let generation = Generation(decoder.u64()?);
        let log = decoder.u16()?;
        decoder.u16()?;
        let start = decoder.u32()?;
        let segment = SegmentId(decoder.u32()?);
        decoder.raw(8)?;
        let count = decoder.count(END)?;
        decoder.u64()?;
        let checksum = decoder.u32()?;
        let used = bytes.get(..SEGMENT_HEADER_FIXED + count * END).ok_or(Malformed)?;
        let mut unsigned = used.to_vec();
        put_u32(&mut unsigned, SEGMENT_CHECKSUM, 0);
        if generation.checksum(&unsigned) != checksum {
            return Err(Malformed);
        }
        decoder.u32()?;
        let mut ends = Vec::with_capacity(count.min(bytes.len() / END));
        for _ in 0..count {
            let segment = SegmentId(decoder.u32()?);
            decoder.u32()?;
            let generation = Generation(decoder.u64()?);
            ends.push(End {
                segment,
                generation,
                offset: decoder.u64()?,
                sequence: decoder.u64()?,
            });
        }
        Ok(Self { generation, log, start, segment, ends })
    }
}

/// The beginning of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BatchHeader {
    /// Counted from 1 within a start of the log, over its segments.
    pub(super) sequence: u64,
    /// The last batch known to be durable, with all before it, when this one was submitted.
    pub(super) durable_through: u64,
    /// Bytes of the whole batch, a multiple of the block.
    pub(super) bytes: u32,
    /// Bytes of the records, which follow the header.
    pub(super) record_bytes: u32,
    /// How many records.
    pub(super) records: u32,
    /// Whether the segment ends here: nothing follows.
    pub(super) seal: bool,
}

impl BatchHeader {
    /// Writes the header of the batch at `offset` to the beginning of `out`.
    pub(super) fn write(&self, generation: Generation, offset: u32, out: &mut [u8]) {
        out[..BATCH_HEADER].fill(0);
        out[..4].copy_from_slice(BATCH_MAGIC);
        out[4] = u8::from(self.seal);
        out[8..16].copy_from_slice(&generation.0.to_le_bytes());
        out[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        out[24..32].copy_from_slice(&self.durable_through.to_le_bytes());
        put_u32(out, 32, self.bytes);
        put_u32(out, 36, self.record_bytes);
        put_u32(out, 40, self.records);
        let checksum = generation.header_checksum(offset, &out[..60]);
        put_u32(out, 60, checksum);
    }

    /// Reads the header of a batch at `offset`; `None` when there is none of this generation.
    pub(super) fn read(generation: Generation, offset: u32, bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..BATCH_HEADER)?;
        if &bytes[..4] != BATCH_MAGIC
            || get_u32(bytes, 60) != generation.header_checksum(offset, &bytes[..60])
        {
            return None;
        }
        let header = Self {
            sequence: get_u64(bytes, 16),
            durable_through: get_u64(bytes, 24),
            bytes: get_u32(bytes, 32),
            record_bytes: get_u32(bytes, 36),
            records: get_u32(bytes, 40),
            seal: bytes[4] & 1 != 0,
        };
        let length = header.bytes as usize;
        let whole = length >= BLOCK
            && length.is_multiple_of(BLOCK)
            && header.record_bytes as usize <= length - BATCH_HEADER
            && (get_u64(bytes, 8) == generation.0 || reactor::mutated("generation-not-checked"));
        whole.then_some(header)
    }
}

/// What stands before each record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Frame {
    /// Bytes of the record behind the frame.
    pub(super) payload: u32,
    /// Where the record's body begins in the segment; meaningless without one.
    pub(super) body_at: u32,
    /// Bytes of the body in this batch; zero: none.
    pub(super) body_bytes: u32,
    /// The body's checksum.
    pub(super) body_checksum: u32,
    /// Which record it is (`record.rs`).
    pub(super) kind: u8,
}

impl Frame {
    /// Fills in the frame at the beginning of `record`, over the payload behind it.
    pub(super) fn write(&self, generation: Generation, record: &mut [u8]) {
        put_u32(record, 0, self.payload);
        put_u32(record, 8, self.body_at);
        put_u32(record, 12, self.body_bytes);
        put_u32(record, 16, self.body_checksum);
        put_u32(record, 20, u32::from(self.kind));
        let checksum = generation.checksum(&record[8..FRAME + self.payload as usize]);
        put_u32(record, 4, checksum);
    }

    /// Reads the frame at the beginning of `bytes`, without looking at the checksum.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut decoder = Decoder::new(bytes);
        let payload = decoder.u32()?;
        decoder.u32()?;
        let frame = Self {
            payload,
            body_at: decoder.u32()?,
            body_bytes: decoder.u32()?,
            body_checksum: decoder.u32()?,
            kind: decoder.u8()?,
        };
        decoder.raw(3)?;
        decoder.raw(payload as usize)?;
        Ok(frame)
    }

    /// Bytes of the record with its frame.
    pub(super) fn bytes(&self) -> usize {
        FRAME + self.payload as usize
    }

    /// Whether the record at the beginning of `bytes`, which this is the frame of, verifies.
    pub(super) fn verifies(&self, generation: Generation, bytes: &[u8]) -> bool {
        let record = bytes.get(..self.bytes());
        record.is_some_and(|record| get_u32(record, 4) == generation.checksum(&record[8..]))
    }
}

fn put_u32(out: &mut [u8], at: usize, value: u32) {
    out[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

fn get_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn get_u64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(ends: u32) -> SegmentHeader {
        let end = |number| End {
            segment: SegmentId(number),
            generation: Generation(u64::from(number) << 7),
            offset: 8192,
            sequence: 9,
        };
        SegmentHeader {
            generation: Generation(0x1234_5678_9abc_def0),
            log: 3,
            start: 4,
            segment: SegmentId(500),
            ends: (0..ends).map(end).collect(),
        }
    }

    #[test]
    fn a_segment_header_is_read_as_it_was_written_however_many_ends_it_has() {
        for ends in [0, 1, 62, 63, 126, 127, 1000] {
            let header = header(ends);
            let bytes = header.encode();
            assert_eq!(SegmentHeader::find(&bytes), HeaderFound::Whole(header, bytes.len()));
            if bytes.len() > BLOCK {
                let first = SegmentHeader::find(&bytes[..BLOCK]);
                assert_eq!(first, HeaderFound::Longer(bytes.len()));
            }
        }
    }

    #[test]
    fn a_header_of_which_one_copy_is_damaged_is_read_as_it_was_written() {
        let header = header(3);
        let bytes = header.encode();
        let whole = HeaderFound::Whole(header, bytes.len());
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::find(&flipped), whole, "bit {bit}");
        }
    }

    #[test]
    fn a_flipped_bit_in_both_copies_is_never_a_header_nor_another_version() {
        for ends in [3, 100] {
            let header = header(ends);
            let bytes = header.encode();
            let half = bytes.len() / 2;
            for bit in 0..header.used() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                flipped[half + bit / 8] ^= 1 << (bit % 8);
                let found = SegmentHeader::find(&flipped);
                let refused = matches!(found, HeaderFound::None | HeaderFound::Longer(_));
                assert!(refused, "bit {bit}: {found:?}");
            }
        }
    }

    #[test]
    fn another_version_is_told_from_damage() {
        for version in [VERSION - 1, VERSION + 1] {
            let mut bytes = header(0).encode();
            bytes[SECOND_COPY..].fill(0);
            put_u32(&mut bytes, 8, version);
            assert_eq!(SegmentHeader::find(&bytes), HeaderFound::None);
            let checksum = crc32c::crc32c(&bytes[..12]);
            put_u32(&mut bytes, 12, checksum);
            assert_eq!(SegmentHeader::find(&bytes), HeaderFound::Version(version));
        }
    }

    #[test]
    fn a_batch_header_verifies_only_in_its_generation_and_at_its_offset() {
        let header = BatchHeader {
            sequence: 7,
            durable_through: 5,
            bytes: 8192,
            record_bytes: 300,
            records: 2,
            seal: false,
        };
        let generation = Generation(99);
        let mut bytes = [0; BATCH_HEADER];
        header.write(generation, 4096, &mut bytes);
        assert_eq!(BatchHeader::read(generation, 4096, &bytes), Some(header));
        assert_eq!(BatchHeader::read(generation, 8192, &bytes), None);
        assert_eq!(BatchHeader::read(Generation(98), 4096, &bytes), None);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(BatchHeader::read(generation, 4096, &flipped), None, "bit {bit}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_header_or_none(
            mut bytes in prop::collection::vec(any::<u8>(), 0..9000),
        ) {
            if bytes.len() > 16 {
                bytes[..8].copy_from_slice(SEGMENT_MAGIC);
                put_u32(&mut bytes, 8, VERSION);
                let checksum = crc32c::crc32c(&bytes[..12]);
                put_u32(&mut bytes, 12, checksum);
            }
            SegmentHeader::find(&bytes);
            BatchHeader::read(Generation(1), 0, &bytes);
            let _ = Frame::read(&bytes);
        }
    }
}
