//! The segments of a log: who needs them, and which can go.
//!
//! A segment can go when nothing is written to it, no message lives in it, nobody has pinned it,
//! every segment whose messages its outcomes name has durably gone (an outcome that vanished before
//! the message it is about would bring the message back), and every segment whose end its header
//! gives has gone too, or is ended by a newer one.

use super::SegmentId;
use super::layout::Generation;
use super::pool::Spares;
use super::stored::Part;
use mail::MessageId;
use reactor::{File, Instant, Reactor, Signal};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

/// Files of segments that nobody writes to are kept open up to this many: descriptors are for
/// sessions.
const OPEN_FILES_MAX: usize = 64;

/// What is known of one segment.
pub(super) struct Segment {
    pub(super) generation: Generation,
    /// Bytes of the file.
    pub(super) file_bytes: u64,
    file: Option<Rc<File>>,
    /// Records and chunks here of messages that are not over, and their bytes.
    live: u64,
    live_bytes: u64,
    pins: u64,
    /// Segments that must have gone before this one, and the bytes of the outcomes here that are
    /// about messages in them.
    needs: BTreeMap<SegmentId, u64>,
    /// Segments whose end stands in this one's header.
    ends: BTreeSet<SegmentId>,
    /// Being written, or prepared for it.
    writing: bool,
    /// How far it has been written, where that is known.
    written: Option<u32>,
    /// Its living messages and its outcomes have been written elsewhere.
    emptied: bool,
    /// Not to be compacted before this time.
    rests_until: Option<Instant>,
    /// Damaged as a whole, and kept for whoever wants to look.
    quarantined: bool,
    /// Being deleted.
    doomed: bool,
}

/// All segments of a log.
pub(super) struct Segments {
    all: RefCell<BTreeMap<SegmentId, Segment>>,
    open: RefCell<VecDeque<SegmentId>>,
    /// Where the copies of messages lie, if that is not just the segment that their outcomes name:
    /// an outcome must live as long as any of them.
    copies: RefCell<BTreeMap<MessageId, Copies>>,
    /// Free bytes of the file system that messages leave alone.
    pub(super) leave_bytes: Cell<u64>,
    /// Files for segments to come.
    pub(super) spares: RefCell<Spares>,
    /// Wakes the sweeper.
    pub(super) sweep: Signal,
}

impl std::fmt::Debug for Segments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Segments").field("count", &self.all.borrow().len()).finish()
    }
}

impl Segment {
    pub(super) fn new(generation: Generation, file_bytes: u64) -> Self {
        Self {
            generation,
            file_bytes,
            file: None,
            live: 0,
            live_bytes: 0,
            pins: 0,
            needs: BTreeMap::new(),
            ends: BTreeSet::new(),
            writing: false,
            written: None,
            emptied: false,
            rests_until: None,
            quarantined: false,
            doomed: false,
        }
    }

    /// A segment to write to; it stays at least as long as those that its header ends.
    pub(super) fn writing(mut self, file: Rc<File>, ends: BTreeSet<SegmentId>) -> Self {
        self.writing = true;
        self.file = Some(file);
        self.ends = ends;
        self
    }

    /// The same, never to be deleted: something in it did not verify, and may be promised mail that
    /// a later start, or a person, can read.
    pub(super) fn kept(self) -> Self {
        Self { quarantined: true, ..self }
    }

    /// A segment whose header does not verify.
    pub(super) fn quarantined(file_bytes: u64) -> Self {
        Self::new(Generation(0), file_bytes).kept()
    }

    /// Whether nothing keeps it but what it may need.
    fn is_free(&self) -> bool {
        let used = self.writing || self.quarantined || self.doomed;
        !used && self.live == 0 && self.pins == 0
    }

    /// Bytes that it takes on disk.
    fn weight(&self, in_place: bool) -> u64 {
        match self.written {
            // A file that grows is as long as it has been written.
            Some(written) if !in_place => u64::from(written),
            Some(_) | None => self.file_bytes,
        }
    }

    /// Bytes of living messages, and of outcomes that are needed.
    fn bytes_in_use(&self) -> u64 {
        self.live_bytes + self.needs.values().sum::<u64>()
    }
}

/// The copies of one message.
#[derive(Debug, Default)]
struct Copies {
    /// Where they lie.
    segments: Vec<SegmentId>,
    /// Where the last one lies, or lay.
    last: SegmentId,
    /// Some outcome names another segment than that of the last copy.
    astray: bool,
}

/// Bytes of a log, or of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weight {
    /// On disk.
    pub(super) bytes: u64,
    /// Of living messages, and of outcomes that are needed.
    pub(super) live_bytes: u64,
}

impl Weight {
    /// What deleting it would win.
    pub(super) fn dead_bytes(self) -> u64 {
        self.bytes.saturating_sub(self.live_bytes)
    }
}

/// The segments of a log, as compaction looks at them.
#[derive(Clone, Debug, Default)]
pub(super) struct Weights {
    /// All but those that are kept for ever or are about to go.
    pub(super) total: Weight,
    /// Those that may be compacted.
    pub(super) candidates: Vec<(SegmentId, Weight)>,
}

impl Segments {
    pub(super) fn new(reactor: &Reactor) -> Rc<Self> {
        Rc::new(Self {
            all: RefCell::new(BTreeMap::new()),
            open: RefCell::new(VecDeque::new()),
            copies: RefCell::default(),
            leave_bytes: Cell::new(0),
            spares: RefCell::default(),
            sweep: Signal::new(reactor),
        })
    }

    pub(super) fn insert(&self, id: SegmentId, segment: Segment) {
        self.all.borrow_mut().insert(id, segment);
    }

    fn with<T>(&self, id: SegmentId, work: impl FnOnce(&mut Segment) -> T) -> Option<T> {
        self.all.borrow_mut().get_mut(&id).map(work)
    }

    /// Changes a count, and wakes the sweeper when the segment may be free now.
    fn change(&self, id: SegmentId, work: impl FnOnce(&mut Segment)) {
        let free = self.with(id, |segment| {
            work(segment);
            segment.live == 0 && segment.pins == 0 && !segment.writing
        });
        if free == Some(true) {
            self.sweep.notify_one();
        }
    }

    pub(super) fn pin(&self, id: SegmentId) {
        self.change(id, |segment| segment.pins += 1);
    }

    pub(super) fn unpin(&self, id: SegmentId) {
        self.change(id, |segment| segment.pins -= 1);
    }

    /// A part of a message has come to lie here.
    pub(super) fn add_live(&self, (id, bytes): Part) {
        self.change(id, |segment| {
            segment.live += 1;
            segment.live_bytes += u64::from(bytes);
        });
    }

    /// A message that had this part is over, or has moved.
    pub(super) fn drop_live(&self, (id, bytes): Part) {
        self.change(id, |segment| {
            segment.live -= 1;
            segment.live_bytes -= u64::from(bytes);
        });
    }

    /// `id` holds `bytes` of outcomes of messages in `of`: it stays as long as that is there.
    pub(super) fn need(&self, id: SegmentId, of: SegmentId, bytes: u64) {
        if reactor::mutated("outcome-dropped-with-its-segment") {
            return;
        }
        if id != of && self.all.borrow().contains_key(&of) {
            self.with(id, |segment| *segment.needs.entry(of).or_default() += bytes);
        }
    }

    /// The header of `id` says where `ends` end.
    pub(super) fn ends(&self, id: SegmentId, ends: impl Iterator<Item = SegmentId>) {
        self.with(id, |segment| segment.ends.extend(ends));
    }

    /// `id` has been written up to `at`.
    pub(super) fn wrote(&self, id: SegmentId, at: u32) {
        self.with(id, |segment| segment.written = segment.written.max(Some(at)));
    }

    /// A message has several copies; one lies in `segment`.
    pub(super) fn copied(&self, message: MessageId, segment: SegmentId) {
        let mut copies = self.copies.borrow_mut();
        let copies = copies.entry(message).or_default();
        copies.last = segment;
        if !copies.segments.contains(&segment) {
            copies.segments.push(segment);
        }
    }

    /// The outcomes of a message name other segments than that of its last copy, as far as is
    /// known.
    pub(super) fn astray(&self, message: MessageId) {
        if let Some(copies) = self.copies.borrow_mut().get_mut(&message) {
            copies.astray = true;
        }
    }

    /// The segments that exist and hold a copy of `message`, when one lies in `segment`.
    pub(super) fn copies_of(&self, message: MessageId, segment: SegmentId) -> Vec<SegmentId> {
        let mut found = vec![segment];
        let copies = self.copies.borrow();
        let others = copies.get(&message).into_iter().flat_map(|copies| &copies.segments);
        found.extend(others.copied().filter(|other| *other != segment));
        let all = self.all.borrow();
        found.retain(|segment| all.contains_key(segment));
        found
    }

    /// `id` holds `bytes` of outcomes of `message`, a copy of which lies in `of`: it stays as long
    /// as any copy.
    pub(super) fn entomb(&self, id: SegmentId, message: MessageId, of: SegmentId, bytes: u64) {
        if reactor::mutated("copy-not-needed") {
            return self.need(id, of, bytes);
        }
        if let Some(copies) = self.copies.borrow_mut().get_mut(&message) {
            copies.astray |= copies.last != of;
        }
        // An outcome that was appended before the last copy is bound to it too, though it could go
        // earlier.
        for of in self.copies_of(message, of) {
            self.need(id, of, bytes);
        }
    }

    /// How far `id` has been written, where that is known.
    pub(super) fn written(&self, id: SegmentId) -> Option<u32> {
        self.with(id, |segment| segment.written).flatten()
    }

    /// All that lives in `id` has been written elsewhere, its outcomes too: nothing keeps it but
    /// who reads it.
    pub(super) fn emptied(&self, id: SegmentId) {
        self.change(id, |segment| {
            segment.emptied = true;
            segment.needs.clear();
        });
    }

    /// Leaves a segment alone until `until`.
    pub(super) fn rest(&self, id: SegmentId, until: Instant) {
        self.with(id, |segment| segment.rests_until = Some(until));
    }

    /// A segment is damaged: it stays for ever.
    pub(super) fn keep(&self, id: SegmentId) {
        self.with(id, |segment| segment.quarantined = true);
    }

    /// Whether something lives in it.
    pub(super) fn lives(&self, id: SegmentId) -> bool {
        self.with(id, |segment| segment.live > 0) == Some(true)
    }

    /// What compaction chooses from.
    pub(super) fn weights(&self, in_place: bool, now: Instant) -> Weights {
        let all = self.all.borrow();
        let mut weights = Weights::default();
        for (id, segment) in all.iter() {
            let going = segment.live == 0 && segment.emptied || segment.doomed;
            if going || segment.quarantined {
                continue;
            }
            let bytes = segment.weight(in_place);
            let weight = Weight { bytes, live_bytes: segment.bytes_in_use() };
            weights.total.bytes += weight.bytes;
            weights.total.live_bytes += weight.live_bytes;
            let rests = segment.rests_until.is_some_and(|until| until > now);
            if !segment.writing && !rests && ended(&all, *id, segment) {
                weights.candidates.push((*id, weight));
            }
        }
        weights
    }

    /// Nothing more is written to it.
    pub(super) fn close(&self, id: SegmentId) {
        if self.with(id, |segment| segment.file.is_some()) == Some(true) {
            self.note_open(id);
        }
        self.change(id, |segment| segment.writing = false);
    }

    /// Generation, length and, if it is open, file of a segment.
    pub(super) fn find(&self, id: SegmentId) -> Option<(Generation, u64, Option<Rc<File>>)> {
        self.with(id, |segment| (segment.generation, segment.file_bytes, segment.file.clone()))
    }

    /// Keeps a file that was opened for reading.
    pub(super) fn keep_open(&self, id: SegmentId, file: &Rc<File>) {
        let fresh = self.with(id, |segment| segment.file.replace(Rc::clone(file)).is_none());
        if fresh == Some(true) {
            self.note_open(id);
        }
    }

    fn note_open(&self, id: SegmentId) {
        let mut open = self.open.borrow_mut();
        open.push_back(id);
        let oldest = if open.len() > OPEN_FILES_MAX { open.pop_front() } else { None };
        drop(open);
        if let Some(oldest) = oldest {
            self.with(oldest, |segment| segment.file = None);
        }
    }

    /// The segments that can go now; they are the caller's to delete.
    pub(super) fn take_dead(&self) -> Vec<SegmentId> {
        if reactor::mutated("dead-segment-kept") {
            return Vec::new();
        }
        let mut all = self.all.borrow_mut();
        let ids: Vec<SegmentId> =
            all.iter().filter(|(_, segment)| segment.is_free()).map(|(id, _)| *id).collect();
        let mut dead = Vec::new();
        for id in ids {
            let segment = &all[&id];
            let needed = segment.needs.keys().any(|need| all.contains_key(need));
            if needed || !ended(&all, id, segment) {
                continue;
            }
            let segment = all.get_mut(&id).expect("just seen");
            segment.doomed = true;
            segment.file = None;
            dead.push(id);
        }
        dead
    }

    /// These have durably gone; others may be free now.
    pub(super) fn gone(&self, ids: &[SegmentId]) {
        let mut all = self.all.borrow_mut();
        for id in ids {
            all.remove(id);
        }
        for segment in all.values_mut() {
            segment.needs.retain(|need, _| !ids.contains(need));
            segment.ends.retain(|end| !ids.contains(end));
        }
        self.copies.borrow_mut().retain(|_, Copies { segments, last, astray }| {
            segments.retain(|copy| !ids.contains(copy));
            // When the last copy is the only one, and all outcomes behind it name it, there is
            // nothing left to remember.
            let plain = !*astray && *segments == [*last];
            !segments.is_empty() && !plain
        });
    }

    /// Bytes of all their files.
    pub(super) fn file_bytes(&self) -> u64 {
        self.all.borrow().values().map(|segment| segment.file_bytes).sum()
    }
}

/// Whether the segments that the header of `id` ends have gone, or are ended by a newer one that
/// stays.
fn ended(all: &BTreeMap<SegmentId, Segment>, id: SegmentId, segment: &Segment) -> bool {
    segment.ends.iter().filter(|end| all.contains_key(end)).all(|end| {
        let mut newer = all.range(id..).filter(|(newer, _)| **newer != id);
        newer.any(|(_, newer)| !newer.doomed && newer.ends.contains(end))
    })
}
