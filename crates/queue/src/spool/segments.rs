//! The segments of a log: who needs them, and which can go.
//!
//! A segment is deleted when nothing is written to it, no message lives in it, nobody has pinned
//! it, and every segment whose messages its outcomes name has durably gone: an outcome that
//! vanished before the message it is about would bring the message back.

use super::SegmentId;
use super::layout::Generation;
use super::pool::Spares;
use reactor::{File, Reactor, Signal};
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
    /// Messages whose record or chunks lie here.
    live: u64,
    pins: u64,
    /// Segments that must have gone before this one.
    needs: BTreeSet<SegmentId>,
    /// Being written, or prepared for it.
    writing: bool,
    /// Damaged as a whole, and kept for whoever wants to look.
    quarantined: bool,
    /// Being deleted.
    doomed: bool,
}

/// All segments of a log.
pub(super) struct Segments {
    all: RefCell<BTreeMap<SegmentId, Segment>>,
    open: RefCell<VecDeque<SegmentId>>,
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
            pins: 0,
            needs: BTreeSet::new(),
            writing: false,
            quarantined: false,
            doomed: false,
        }
    }

    /// A segment to write to; it stays at least as long as those that its header ends.
    pub(super) fn writing(mut self, file: Rc<File>, needs: BTreeSet<SegmentId>) -> Self {
        self.writing = true;
        self.file = Some(file);
        self.needs = needs;
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
}

impl Segments {
    pub(super) fn new(reactor: &Reactor) -> Rc<Self> {
        Rc::new(Self {
            all: RefCell::new(BTreeMap::new()),
            open: RefCell::new(VecDeque::new()),
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

    /// A message has come to lie here.
    pub(super) fn add_live(&self, id: SegmentId) {
        self.change(id, |segment| segment.live += 1);
    }

    /// A message that lay here is over.
    pub(super) fn drop_live(&self, id: SegmentId) {
        self.change(id, |segment| segment.live -= 1);
    }

    /// `id` holds outcomes of messages in `of`: it stays as long as that is there.
    pub(super) fn need(&self, id: SegmentId, of: SegmentId) {
        if id != of && self.all.borrow().contains_key(&of) {
            self.with(id, |segment| segment.needs.insert(of));
        }
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
        let mut all = self.all.borrow_mut();
        let free = |segment: &Segment| {
            let used = segment.writing || segment.quarantined || segment.doomed;
            !used && segment.live == 0 && segment.pins == 0
        };
        let dead: Vec<SegmentId> = all
            .iter()
            .filter(|(_, segment)| free(segment))
            .filter(|(_, segment)| segment.needs.iter().all(|need| !all.contains_key(need)))
            .map(|(id, _)| *id)
            .collect();
        for id in &dead {
            let segment = all.get_mut(id).expect("just seen");
            segment.doomed = true;
            segment.file = None;
        }
        dead
    }

    /// These have durably gone; others may be free now.
    pub(super) fn gone(&self, ids: &[SegmentId]) {
        let mut all = self.all.borrow_mut();
        for id in ids {
            all.remove(id);
        }
    }

    /// Bytes of all their files.
    pub(super) fn file_bytes(&self) -> u64 {
        self.all.borrow().values().map(|segment| segment.file_bytes).sum()
    }
}
