//! A batch: what one write makes durable.
//!
//! Records and bodies are collected apart, since records come first on disk. Where the batch goes
//! is known only when it is written, so frames, checksums and header are filled in then, by
//! [`Batch::build`]; a batch that could not be written is built again for another place.

use super::fate::{Fate, Place, Placed, PlacedRecord, Purpose, Region};
use super::layout::{BATCH_HEADER, BLOCK, BatchHeader, Directory, FRAME, Frame, Generation};
use super::record::{encode_message, encode_outcomes, kind};
use super::stored::{self, HotBudget, HotShare, Pin};
use super::{Chunk, NewMessage, Outcomes, SegmentId, Stored};
use mail::MessageId;
use reactor::{Instant, Part, Slab, SlabSlice};
use std::ops::Range;
use std::rc::Rc;

/// A batch is closed before it passes this: one long write holds up all later replies.
pub(super) const BATCH_BYTES_MAX: usize = 256 * 1024;

/// Bodies are collected in slabs of this size, which hot messages keep as a whole.
const SLAB_BYTES: usize = 64 * 1024;

/// Bodies up to this are copied behind the records, so that a lone message takes one block or two
/// and keeps no more memory than that. The copy costs less than the block.
const SMALL_BODIES: usize = 16 * 1024;

/// One record of a batch under construction.
#[derive(Clone, Copy)]
struct Entry {
    frame: Frame,
    /// Where its frame begins in the batch's records.
    at: usize,
    /// Where its body begins in the batch's bodies.
    body: usize,
    /// Bytes of the header block that it ends with.
    header_bytes: usize,
    /// Bytes of header block and body of the message in it.
    size: u64,
    /// Whether it is a message or a chunk that may be refused for want of room.
    may_be_refused: bool,
    /// Refused for want of room: it is not in the batch any more.
    refused: bool,
}

/// A chunk that a message of the batch lists: kept by its draft until now, by the message from now
/// on.
struct Listed {
    /// The entry of the message.
    entry: usize,
    part: stored::Part,
    _pin: Pin,
}

/// Outcomes of a batch.
pub(super) struct Tombstone {
    pub(super) message: MessageId,
    /// Where a copy of the message lies.
    pub(super) of: SegmentId,
    /// Bytes of the record, without a DSN.
    pub(super) bytes: u64,
}

/// The bodies of a batch.
enum Bodies {
    /// Being filled.
    Open(Vec<Slab>),
    /// Built once at least.
    Frozen(Vec<Region>),
}

/// Records and bodies for one write.
pub(super) struct Batch {
    records: Vec<u8>,
    entries: Vec<Entry>,
    bodies: Bodies,
    body_bytes: usize,
    /// Since when somebody waits for a reply.
    pub(super) waiting_since: Option<Instant>,
    /// Since when an outcome waits for company.
    pub(super) quiet_since: Option<Instant>,
    /// Messages in it, DSNs included.
    pub(super) messages: u32,
    /// What its commits look at.
    pub(super) fate: Rc<Fate>,
    /// The outcomes in it.
    pub(super) tombstones: Vec<Tombstone>,
    /// Messages that are written once more, and where they lie so far.
    pub(super) copies: Vec<(MessageId, SegmentId)>,
    /// Messages that are over once it is durable.
    pub(super) finished: Vec<Stored>,
    chunks: Vec<Listed>,
}

/// A batch as it is written.
pub(super) struct Built {
    /// What is written: whole blocks.
    pub(super) parts: Vec<Part>,
    /// Bytes of it.
    pub(super) bytes: u32,
}

impl Batch {
    pub(super) fn new(fate: Rc<Fate>) -> Self {
        Self {
            records: Vec::with_capacity(4096),
            entries: Vec::new(),
            bodies: Bodies::Open(Vec::new()),
            body_bytes: 0,
            waiting_since: None,
            quiet_since: None,
            messages: 0,
            fate,
            tombstones: Vec::new(),
            copies: Vec::new(),
            finished: Vec::new(),
            chunks: Vec::new(),
        }
    }

    /// Whether there is nothing to write.
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Bytes so far, without header and padding.
    pub(super) fn len(&self) -> usize {
        self.records.len() + self.body_bytes
    }

    /// The most that it adds to the directory of its segment.
    pub(super) fn listed_bytes_max(&self) -> usize {
        self.records.len()
    }

    /// The most that it can take on disk.
    pub(super) fn bytes_max(&self) -> usize {
        BATCH_HEADER + self.records.len().next_multiple_of(BLOCK) + self.body_bytes + 2 * BLOCK
    }

    /// Adds a message; gives its index.
    pub(super) fn add_message(&mut self, message: &NewMessage<'_>) -> usize {
        self.messages += 1;
        let index = self.add_copy(message);
        self.entries[index].may_be_refused = true;
        index
    }

    /// Adds a message that is stored already; gives its index.
    pub(super) fn add_copy(&mut self, message: &NewMessage<'_>) -> usize {
        let at = self.begin();
        encode_message(&mut self.records, message, false);
        self.take_chunks(message.chunks);
        self.end(at, kind::MESSAGE, message.body, (message.header.len(), message.size()))
    }

    /// Adds a part of a body; gives its index.
    pub(super) fn add_chunk(&mut self, id: MessageId, bytes: &[u8], purpose: Purpose) -> usize {
        let at = self.begin();
        self.records.extend_from_slice(&id.to_bits().to_le_bytes());
        let index = self.end(at, kind::CHUNK, bytes, (0, 0));
        self.entries[index].may_be_refused = purpose == Purpose::Accept;
        index
    }

    /// Adds outcomes, with the DSN that reports them; gives the record's index.
    pub(super) fn add_outcomes(
        &mut self,
        outcomes: &Outcomes<'_>,
        dsn: Option<&NewMessage<'_>>,
    ) -> usize {
        let at = self.begin();
        encode_outcomes(&mut self.records, outcomes);
        let bytes = (self.records.len() - at) as u64;
        let Outcomes { id: message, segment: of, .. } = *outcomes;
        self.tombstones.push(Tombstone { message, of, bytes });
        let Some(dsn) = dsn else { return self.end(at, kind::OUTCOMES, &[], (0, 0)) };
        encode_message(&mut self.records, dsn, true);
        self.messages += 1;
        self.take_chunks(dsn.chunks);
        let header_bytes = dsn.header.len() + dsn.body.len();
        self.end(at, kind::OUTCOMES_WITH_DSN, &[], (header_bytes, dsn.size()))
    }

    fn take_chunks(&mut self, chunks: &[Chunk]) {
        let entry = self.entries.len();
        self.chunks.extend(chunks.iter().map(|chunk| Listed {
            entry,
            part: (chunk.extent.segment, chunk.extent.bytes),
            _pin: chunk.pin.clone(),
        }));
    }

    fn begin(&mut self) -> usize {
        let at = self.records.len();
        self.records.resize(at + FRAME, 0);
        at
    }

    /// Ends a record. Of the message in it: the bytes of its header block, and all of its bytes.
    fn end(&mut self, at: usize, kind: u8, body: &[u8], sizes: (usize, u64)) -> usize {
        let bytes =
            |length: usize| u32::try_from(length).expect("the log has looked at the length");
        let frame = Frame {
            payload: bytes(self.records.len() - at - FRAME),
            body_bytes: bytes(body.len()),
            kind,
            ..Frame::default()
        };
        let begin = self.body_bytes;
        self.append_body(body);
        let (header_bytes, size) = sizes;
        let (may_be_refused, refused) = (false, false);
        let body = begin;
        self.entries.push(Entry { frame, at, body, header_bytes, size, may_be_refused, refused });
        self.entries.len() - 1
    }

    /// The one copy of a body: from the draft into slabs that are written as they are.
    fn append_body(&mut self, mut body: &[u8]) {
        let Bodies::Open(slabs) = &mut self.bodies else { unreachable!("a built batch is closed") };
        self.body_bytes += body.len();
        while !body.is_empty() {
            if slabs.last().is_none_or(|slab| slab.room() == 0) {
                slabs.push(Slab::new(SLAB_BYTES));
            }
            let slab = slabs.last_mut().expect("just pushed");
            let (now, later) = body.split_at(body.len().min(slab.room()));
            slab.append(now);
            body = later;
        }
    }

    /// Whether there are messages or chunks in it that may be refused.
    pub(super) fn may_be_refused(&self) -> bool {
        self.entries.iter().any(|entry| entry.may_be_refused && !entry.refused)
    }

    /// Takes all new messages and chunks out, for want of room; outcomes, DSNs and what is copied
    /// stay.
    pub(super) fn refuse_messages(&mut self) {
        if !self.may_be_refused() {
            return;
        }
        let before = std::mem::replace(self, Self::new(Rc::clone(&self.fate)));
        self.messages = before.messages;
        for mut entry in before.entries.iter().copied() {
            if entry.may_be_refused && !entry.refused {
                entry.refused = true;
                self.messages -= u32::from(entry.frame.kind == kind::MESSAGE);
            }
            if !entry.refused {
                let record = entry.at..entry.at + entry.frame.bytes();
                let body = entry.body..entry.body + entry.frame.body_bytes as usize;
                (entry.at, entry.body) = (self.records.len(), self.body_bytes);
                self.records.extend_from_slice(&before.records[record]);
                before.for_each_slice(body, |bytes| self.append_body(bytes));
            }
            self.entries.push(entry);
        }
        self.quiet_since = before.quiet_since.or(before.waiting_since);
        self.tombstones = before.tombstones;
        self.copies = before.copies;
        self.finished = before.finished;
        self.chunks = before.chunks;
        self.chunks.retain(|chunk| !self.entries[chunk.entry].refused);
        self.fate.refuse();
    }

    /// The parts of messages of the batch that lie in chunks.
    pub(super) fn chunk_parts(&self) -> impl Iterator<Item = stored::Part> + '_ {
        self.chunks.iter().map(|chunk| chunk.part)
    }

    /// Makes the bytes of the batch for `place`, and tells its commits where everything will lie.
    /// `spare` gives and takes the slab that small bodies were collected in.
    pub(super) fn build(
        &mut self,
        place: Place,
        hot: &HotBudget,
        spare: &mut Option<Slab>,
    ) -> Built {
        let small = self.body_bytes <= SMALL_BODIES;
        let record_bytes = self.records.len();
        let behind = if small { self.body_bytes } else { 0 };
        let mut head = Slab::new(BATCH_HEADER + record_bytes + behind);
        head.append(&[0; BATCH_HEADER]);
        head.append(&self.records);
        if small {
            self.for_each_body(|bytes| head.append(bytes));
        }
        head.pad_to(BLOCK);
        let bodies_at = if small { BATCH_HEADER + record_bytes } else { head.len() };
        if !small {
            self.freeze();
        }
        let bytes = head.len() + if small { 0 } else { self.body_bytes.next_multiple_of(BLOCK) };
        self.sign(&mut head, &place, bodies_at, bytes);
        let head = Rc::new(head);
        if small {
            self.keep_small(&head, bodies_at, spare);
        }
        let Bodies::Frozen(slices) = &self.bodies else { unreachable!("just frozen") };
        let mut parts = vec![Part::Slice(SlabSlice::new(Rc::clone(&head), 0..head.len()))];
        if !small {
            parts.extend(slices.iter().map(|region| Part::Slice(region.whole())));
        }
        let kept =
            if small { head.capacity() } else { head.capacity() + slices.len() * SLAB_BYTES };
        let share = if self.messages > 0 { hot.share(kept as u64) } else { None };
        self.fate.place(self.placed(place, head, share));
        Built { parts, bytes: u32::try_from(bytes).expect("a batch fits its segment") }
    }

    /// Freezes the slabs, padded to whole blocks.
    fn freeze(&mut self) {
        let Bodies::Open(slabs) = &mut self.bodies else { return };
        let freeze = |mut slab: Slab| {
            slab.pad_to(BLOCK);
            let length = slab.len();
            Region::new(Rc::new(slab), 0..length)
        };
        let slices = slabs.drain(..).map(freeze).collect();
        self.bodies = Bodies::Frozen(slices);
    }

    /// Keeps small bodies where they were copied to, and their slab for the next batch.
    fn keep_small(&mut self, head: &Rc<Slab>, bodies_at: usize, spare: &mut Option<Slab>) {
        let range = bodies_at..bodies_at + self.body_bytes;
        let slices = vec![Region::new(Rc::clone(head), range)];
        let before = std::mem::replace(&mut self.bodies, Bodies::Frozen(slices));
        if let Bodies::Open(slabs) = before
            && let Some(mut slab) = slabs.into_iter().next()
        {
            slab.clear();
            *spare = Some(slab);
        }
    }

    /// Begins with a slab that another batch has no use for.
    pub(super) fn reuse(&mut self, spare: &mut Option<Slab>) {
        if let (Bodies::Open(slabs), Some(slab)) = (&mut self.bodies, spare.take()) {
            slabs.push(slab);
        }
    }

    fn for_each_body(&self, mut each: impl FnMut(&[u8])) {
        match &self.bodies {
            Bodies::Open(slabs) => slabs.iter().for_each(|slab| each(slab.as_slice())),
            Bodies::Frozen(slices) => slices.iter().for_each(|slice| each(slice.as_slice())),
        }
    }

    /// Fills in frames, checksums and the header.
    fn sign(&mut self, head: &mut Slab, place: &Place, bodies_at: usize, bytes: usize) {
        let generation = place.generation;
        let mut entries = std::mem::take(&mut self.entries);
        for entry in entries.iter_mut().filter(|entry| !entry.refused) {
            let frame = &mut entry.frame;
            if frame.body_bytes > 0 {
                frame.body_at = place.offset + (bodies_at + entry.body) as u32;
                let range = entry.body..entry.body + frame.body_bytes as usize;
                frame.body_checksum = self.body_checksum(generation, range);
            }
            let at = BATCH_HEADER + entry.at;
            frame.write(generation, &mut head.as_mut_slice()[at..]);
        }
        self.entries = entries;
        let records = self.entries.iter().filter(|entry| !entry.refused).count();
        let header = BatchHeader {
            sequence: place.sequence,
            durable_through: place.durable_through,
            bytes: u32::try_from(bytes).expect("a batch fits its segment"),
            record_bytes: self.records.len() as u32,
            records: records as u32,
            seal: false,
        };
        header.write(generation, place.offset, head.as_mut_slice());
    }

    /// Lists the records of the batch, which was built for `offset`.
    pub(super) fn list(&self, offset: u32, directory: &mut Directory) {
        for entry in self.entries.iter().filter(|entry| !entry.refused) {
            let payload = entry.at + FRAME..entry.at + entry.frame.bytes();
            let at = offset + (BATCH_HEADER + entry.at) as u32;
            directory.add(&entry.frame, at, &self.records[payload], entry.header_bytes);
        }
    }

    fn body_checksum(&self, generation: Generation, range: Range<usize>) -> u32 {
        let mut checksum = generation.seed();
        self.for_each_slice(range, |bytes| {
            checksum = crc32c::crc32c_append(checksum, bytes);
        });
        checksum
    }

    /// Shows the bytes `range` of the bodies to `each`, piece by piece.
    fn for_each_slice(&self, range: Range<usize>, mut each: impl FnMut(&[u8])) {
        let mut before = 0;
        self.for_each_body(|bytes| {
            let from = range.start.clamp(before, before + bytes.len()) - before;
            let to = range.end.clamp(before, before + bytes.len()) - before;
            each(&bytes[from..to]);
            before += bytes.len();
        });
    }

    fn placed(&self, place: Place, head: Rc<Slab>, share: Option<Rc<HotShare>>) -> Placed {
        let Bodies::Frozen(slices) = &self.bodies else { unreachable!("built before") };
        let records = self.entries.iter().map(|entry| PlacedRecord {
            // One that was refused keeps its index and nothing else.
            frame: if entry.refused { Frame::default() } else { entry.frame },
            at: BATCH_HEADER + entry.at,
            body: entry.body,
            size: if entry.refused { 0 } else { entry.size },
        });
        Placed {
            segment: place.segment,
            offset: place.offset,
            pin: place.pin,
            records: records.collect(),
            bodies: slices.clone(),
            head,
            share,
        }
    }
}
