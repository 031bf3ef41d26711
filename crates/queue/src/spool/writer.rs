//! Group commit: which batch is written when, and what its end means.
//!
//! One task looks at the batches whenever something has happened, and starts writes; each write is
//! a task of its own, which hands its result to [`Shared::landed`]. Nothing here waits but these.
//!
//! A segment that is full is left at once. Its seal is written when every batch in it is durable:
//! it is no part of the sequence, and no reply waits for it.

use super::SegmentId;
use super::batch::{BATCH_BYTES_MAX, Batch, Tombstone};
use super::fate::{Fate, Place};
use super::layout::{Directory, End, Generation};
use super::log::{Log, Sample, Shared};
use super::plan::{QUIET_WAIT, RIPE_BYTES};
use super::prepare::{Fresh, is_full};
use super::stored::Pin;
use crate::CommitError;
use mail::{Event, EventKind, Field};
use reactor::{File, Instant, Part, Slab, SlabSlice};
use std::cell::RefMut;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::Duration;

/// Samples kept until somebody takes them.
const SAMPLES_MAX: usize = 4096;

/// The segment that is being written, or was until it was full.
pub(super) struct Current {
    pub(super) id: SegmentId,
    pub(super) generation: Generation,
    file: Rc<File>,
    /// Where the next batch goes.
    at: u32,
    end: u32,
    /// What is in it.
    directory: Directory,
    /// Its last batch; zero: none yet.
    sequence: u64,
    /// Its seal is being written.
    sealing: bool,
}

/// One write that has not been answered.
struct Flight {
    sequence: u64,
    segment: SegmentId,
    generation: Generation,
    offset: u32,
    bytes: u32,
    began: Instant,
    landed: bool,
    batch: Batch,
    /// Keeps the segment.
    _pin: Pin,
}

/// Batches on their way, in order: open, closed, in flight.
pub(super) struct Writer {
    open: Batch,
    /// Closed batches that wait for their turn.
    closed: VecDeque<Batch>,
    flights: VecDeque<Flight>,
    current: Option<Current>,
    /// Full, and without a seal on the disk so far.
    leaving: Vec<Current>,
    /// Prepared ahead.
    pub(super) ready: Option<Fresh>,
    next_sequence: u64,
    durable_through: u64,
    /// How long the last write took.
    last_write: Duration,
    /// A slab for small bodies.
    spare: Option<Slab>,
    /// A write found no room: nothing is started until all have landed.
    retreating: bool,
    /// Where segments end that were left without a seal; the next header says so.
    pub(super) ends: Vec<End>,
    /// The segment that was left so, to be closed when there is another.
    pub(super) left: Option<SegmentId>,
    /// How many wait for everything to be durable.
    pub(super) draining: u32,
    pub(super) failed: bool,
    /// There was no room for another segment.
    pub(super) full: bool,
}

/// What can be done now.
enum Next {
    Nothing,
    Refuse,
    Leave,
    Roll,
    Write,
}

impl Writer {
    pub(super) fn new(fate: Rc<Fate>, first: Fresh) -> Self {
        let mut writer = Self {
            open: Batch::new(fate),
            closed: VecDeque::new(),
            flights: VecDeque::new(),
            current: None,
            leaving: Vec::new(),
            ready: None,
            next_sequence: 1,
            durable_through: 0,
            // Of the order of a good disk; the first write tells better.
            last_write: Duration::from_millis(1),
            spare: None,
            retreating: false,
            ends: Vec::new(),
            left: None,
            draining: 0,
            failed: false,
            full: false,
        };
        writer.enter(first);
        writer
    }

    fn enter(&mut self, fresh: Fresh) {
        let Fresh { id, generation, file, begin, end } = fresh;
        self.current = Some(Current {
            id,
            generation,
            file,
            at: begin,
            end,
            directory: Directory::default(),
            sequence: 0,
            sealing: false,
        });
    }

    /// Whether nothing is left to write.
    pub(super) fn is_idle(&self) -> bool {
        let batches = !self.open.is_empty() || !self.closed.is_empty() || !self.flights.is_empty();
        self.failed || !batches && self.leaving.is_empty()
    }

    /// Since when the oldest write is in flight.
    pub(super) fn oldest_flight(&self) -> Option<Instant> {
        self.flights.front().map(|flight| flight.began)
    }

    /// Bytes that can still be written without another segment.
    pub(super) fn free_bytes(&self) -> u64 {
        let current = self.current.as_ref().map_or(0, |current| current.end - current.at);
        let ready = self.ready.as_ref().map_or(0, |fresh| fresh.end - fresh.begin);
        u64::from(current) + u64::from(ready)
    }

    /// When the open batch will be due, if nothing else happens.
    fn open_due(&self) -> Instant {
        let waiter = self.open.waiting_since.map(|since| match self.flights.is_empty() {
            true => since,
            false => since + self.last_write / 2,
        });
        let quiet = self.open.quiet_since.map(|since| since + QUIET_WAIT);
        waiter.into_iter().chain(quiet).min().unwrap_or(Instant::NEVER)
    }

    fn open_is_ripe(&self, now: Instant) -> bool {
        let wanted = self.draining > 0 || self.open.len() >= RIPE_BYTES || now >= self.open_due();
        !self.open.is_empty() && wanted
    }

    fn next(&self, now: Instant, in_flight_max: usize) -> Next {
        if self.failed || self.retreating || self.flights.len() >= in_flight_max {
            return Next::Nothing;
        }
        if self.closed.is_empty() && !self.open_is_ripe(now) {
            return Next::Nothing;
        }
        let batch = self.closed.front().unwrap_or(&self.open);
        if self.current.as_ref().is_some_and(|current| current.has_room(batch)) {
            return Next::Write;
        }
        // The reserve is not for messages, nor for those that were appended before it was touched.
        if self.full && self.pending().any(Batch::may_be_refused) {
            return Next::Refuse;
        }
        // Without a segment to go to, this one is not left: there may be room for smaller batches.
        if self.current.is_some() && self.ready.is_some() { Next::Leave } else { Next::Roll }
    }

    /// The batches that are not in flight.
    fn pending(&self) -> impl Iterator<Item = &Batch> {
        self.closed.iter().chain([&self.open])
    }

    /// Bytes that have been appended and are not durable.
    pub(super) fn backlog(&self) -> u64 {
        let flights = self.flights.iter().map(|flight| &flight.batch);
        flights.chain(self.pending()).map(|batch| batch.len() as u64).sum()
    }

    /// What shows when all that has been appended so far is durable; `None`: now.
    pub(super) fn last_fate(&self) -> Option<Rc<Fate>> {
        let flights = self.flights.iter().map(|flight| &flight.batch);
        let batches = flights.chain(self.pending()).filter(|batch| !batch.is_empty());
        batches.last().map(|batch| Rc::clone(&batch.fate))
    }

    /// Goes on elsewhere; the seal comes when all that was written here is durable.
    fn leave(&mut self) {
        self.leaving.extend(self.current.take());
    }

    fn close_open(&mut self, fate: Rc<Fate>) -> Batch {
        let mut fresh = Batch::new(fate);
        fresh.reuse(&mut self.spare);
        std::mem::replace(&mut self.open, fresh)
    }
}

impl Log {
    /// Waits until everything is durable, and seals the segment that is written to, so that the
    /// next start need not look into it. The log can still be used: it goes on in another one.
    pub(crate) async fn close(&self) {
        self.drain().await;
        self.shared.leave_written();
        self.drain().await;
    }
}

impl Current {
    /// Whether the batch fits, and the seal behind it that lists its records too.
    fn has_room(&self, batch: &Batch) -> bool {
        let seal = self.directory.seal_bytes(batch.listed_bytes_max());
        (self.end - self.at) as usize >= batch.bytes_max() + seal
    }

    /// Where it ends, if there is no seal to say so.
    fn end(&self) -> End {
        End {
            segment: self.id,
            generation: self.generation,
            offset: u64::from(self.at),
            sequence: self.sequence,
        }
    }
}

impl Shared {
    /// The batch that a record of about `bytes` goes into.
    pub(super) fn open_batch(&self, bytes: usize) -> RefMut<'_, Batch> {
        // A batch whose records are all listed again by the seal must fit a small segment too.
        let bytes_max = BATCH_BYTES_MAX.min(self.plan.segment_bytes as usize / 8 * 3);
        let mut writer = self.writer.borrow_mut();
        if !writer.open.is_empty() && writer.open.len() + bytes > bytes_max {
            let closed = writer.close_open(Fate::new(&self.reactor));
            writer.closed.push_back(closed);
        }
        RefMut::map(writer, |writer| &mut writer.open)
    }

    /// Tells the writer that somebody waits for the open batch.
    pub(super) fn appended(&self, waits: bool) {
        let now = self.reactor.now();
        let mut writer = self.writer.borrow_mut();
        let writer = &mut *writer;
        let since =
            if waits { &mut writer.open.waiting_since } else { &mut writer.open.quiet_since };
        let first = since.is_none();
        since.get_or_insert(now);
        if first || !writer.closed.is_empty() || writer.open.len() >= RIPE_BYTES {
            self.write.notify_one();
        }
    }

    /// The writer's task.
    pub(super) async fn write_on(self: Rc<Self>) {
        loop {
            let by = self.pump();
            self.write.wait(by).await;
        }
    }

    /// Starts all writes that can be started; gives the time when to look again.
    fn pump(self: &Rc<Self>) -> Instant {
        loop {
            let now = self.reactor.now();
            let next = self.writer.borrow().next(now, self.plan.in_flight_max);
            match next {
                Next::Write => self.start(),
                Next::Refuse => self.refuse_messages(),
                Next::Leave => self.leave(),
                Next::Roll if self.roll() => {}
                Next::Roll | Next::Nothing => return self.look_again(),
            }
        }
    }

    fn look_again(&self) -> Instant {
        let writer = self.writer.borrow();
        let can_start = writer.flights.len() < self.plan.in_flight_max && !writer.retreating;
        let overdue = writer.open_due() <= self.reactor.now();
        // What is overdue waits for a write to land or a segment to come, and these wake us.
        if can_start && !overdue { writer.open_due() } else { Instant::NEVER }
    }

    /// Goes to the prepared segment. Whether there was one.
    fn roll(self: &Rc<Self>) -> bool {
        let mut writer = self.writer.borrow_mut();
        if writer.current.is_some() {
            return false;
        }
        let Some(fresh) = writer.ready.take() else { return false };
        writer.enter(fresh);
        self.prepare.notify_one();
        true
    }

    /// Refuses what may be refused. What is left is smaller, and may fit where the messages did
    /// not.
    fn refuse_messages(self: &Rc<Self>) {
        let mut writer = self.writer.borrow_mut();
        // The open batch is closed with the others: what comes after is judged anew.
        let open = writer.close_open(Fate::new(&self.reactor));
        let mut left = std::mem::take(&mut writer.closed);
        left.push_back(open);
        for mut batch in left {
            batch.refuse_messages();
            if batch.is_empty() {
                batch.fate.decide(Err(CommitError::Full));
            } else {
                writer.closed.push_back(batch);
            }
        }
    }

    fn start(self: &Rc<Self>) {
        let mut writer = self.writer.borrow_mut();
        let writer = &mut *writer;
        let closed = writer.closed.pop_front();
        let mut batch = closed.unwrap_or_else(|| writer.close_open(Fate::new(&self.reactor)));
        let sequence = writer.next_sequence;
        writer.next_sequence += 1;
        let current = writer.current.as_mut().expect("a batch is started with a segment");
        let pin = Pin::new(&self.segments, current.id);
        let place = Place {
            segment: current.id,
            generation: current.generation,
            offset: current.at,
            sequence,
            durable_through: writer.durable_through,
            pin: pin.clone(),
        };
        let built = batch.build(place, &self.hot, &mut writer.spare);
        batch.list(current.at, &mut current.directory);
        current.sequence = sequence;
        let flight = Flight {
            sequence,
            segment: current.id,
            generation: current.generation,
            offset: current.at,
            bytes: built.bytes,
            began: self.reactor.now(),
            landed: false,
            batch,
            _pin: pin,
        };
        let (file, offset) = (Rc::clone(&current.file), u64::from(current.at));
        current.at += built.bytes;
        if reactor::mutated("block-written-twice") && built.bytes > 4096 {
            current.at -= 4096;
        }
        writer.flights.push_back(flight);
        self.write_parts(file, built.parts, offset, sequence);
    }

    fn leave(self: &Rc<Self>) {
        self.writer.borrow_mut().leave();
        self.seal();
    }

    /// Leaves the segment that is written to, if there is something in it and another to go to.
    fn leave_written(self: &Rc<Self>) {
        let writer = self.writer.borrow();
        let written = writer.current.as_ref().is_some_and(|one| one.sequence > 0);
        let leaves = written && writer.ready.is_some() && !writer.failed;
        drop(writer);
        if leaves {
            self.leave();
        }
    }

    /// Starts to write the seals of all segments whose last batch is durable.
    fn seal(self: &Rc<Self>) {
        let mut writer = self.writer.borrow_mut();
        let writer = &mut *writer;
        if writer.failed {
            return;
        }
        let durable_through = writer.durable_through;
        let ripe = |one: &&mut Current| !one.sealing && one.sequence <= durable_through;
        for leaving in writer.leaving.iter_mut().filter(ripe) {
            leaving.sealing = true;
            self.write_seal(leaving, durable_through);
        }
    }

    fn write_seal(self: &Rc<Self>, leaving: &Current, durable_through: u64) {
        // On ground that is there already the seal lies at its end, where a start looks for it.
        let bytes = leaving.directory.seal_bytes(0);
        let in_place = self.plan.durable_writes;
        let offset = if in_place { leaving.end - bytes as u32 } else { leaving.at };
        let sequence = leaving.sequence;
        let slab = leaving.directory.seal(leaving.generation, offset, sequence, durable_through);
        let parts = vec![Part::Slice(SlabSlice::new(Rc::new(slab), 0..bytes))];
        let (shared, file, id) = (Rc::clone(self), Rc::clone(&leaving.file), leaving.id);
        self.reactor.spawn(async move {
            let result = shared.write_durably(&file, parts, u64::from(offset)).await;
            drop(file);
            shared.sealed(id, result);
        });
    }

    /// Takes in the end of the write of a seal.
    fn sealed(&self, id: SegmentId, result: io::Result<()>) {
        match result {
            Err(error) if !is_full(&error) => self.poison(EventKind::SpoolFailed, &error),
            // Where there is no room for a seal, a header to come says where the segment ends.
            Ok(()) | Err(_) => {
                let mut writer = self.writer.borrow_mut();
                let at = writer.leaving.iter().position(|one| one.id == id);
                let left = at.map(|at| writer.leaving.remove(at));
                if result.is_err() {
                    writer.ends.extend(left.map(|left| left.end()));
                }
            }
        }
        self.segments.close(id);
        self.settle_idle();
    }

    fn write_parts(self: &Rc<Self>, file: Rc<File>, parts: Vec<Part>, offset: u64, sequence: u64) {
        let shared = Rc::clone(self);
        self.reactor.spawn(async move {
            let result = shared.write_durably(&file, parts, offset).await;
            drop(file);
            shared.landed(sequence, result);
        });
    }

    async fn write_durably(&self, file: &File, parts: Vec<Part>, offset: u64) -> io::Result<()> {
        let durable = self.plan.durable_writes;
        file.write(parts, offset, durable).await?;
        if durable { Ok(()) } else { file.sync().await }
    }

    /// Takes in the end of a write.
    fn landed(self: &Rc<Self>, sequence: u64, result: io::Result<()>) {
        match result {
            Ok(()) => self.confirm(sequence),
            Err(error) if self.writer.borrow().failed => drop(error),
            Err(error) => self.refused(sequence, &error),
        }
        let mut writer = self.writer.borrow_mut();
        if writer.retreating && writer.flights.iter().all(|flight| flight.landed) {
            self.retreat(&mut writer);
        }
        drop(writer);
        self.seal();
        self.write.notify_one();
        self.settle_idle();
    }

    pub(super) fn settle_idle(&self) {
        if self.writer.borrow().is_idle() {
            self.idle.notify_all();
        }
    }

    /// A write is on stable storage; answers all batches before the first that is not.
    fn confirm(&self, sequence: u64) {
        let now = self.reactor.now();
        let mut writer = self.writer.borrow_mut();
        if let Some(flight) = writer.flights.iter_mut().find(|flight| flight.sequence == sequence) {
            flight.landed = true;
            let took = now.since(flight.began);
            writer.last_write = took;
        }
        // What lies behind a failed write is written again, with it.
        if writer.retreating {
            return;
        }
        let mut durable = Vec::new();
        let hasty = reactor::mutated("250-before-earlier-write");
        let is_done = |flight: &Flight| flight.landed || (hasty && flight.sequence < sequence);
        while writer.flights.front().is_some_and(is_done) {
            durable.extend(writer.flights.pop_front());
        }
        if let Some(last) = durable.last() {
            writer.durable_through = last.sequence;
        }
        drop(writer);
        for flight in durable {
            self.completed(flight, now);
        }
    }

    fn completed(&self, flight: Flight, now: Instant) {
        let Flight { segment, batch, .. } = flight;
        let mut totals = self.totals.get();
        batch.fate.each_record(|record| {
            totals.live_bytes += record.size;
            if record.is_message() {
                self.segments.add_live((segment, record.bytes()));
            }
        });
        self.totals.set(totals);
        batch.chunk_parts().for_each(|part| self.segments.add_live(part));
        self.segments.wrote(segment, flight.offset + flight.bytes);
        // Before the outcomes, which must live as long as every copy.
        for (message, before) in &batch.copies {
            self.segments.copied(*message, *before);
            self.segments.copied(*message, segment);
        }
        for tombstone in &batch.tombstones {
            let Tombstone { message, of, bytes } = *tombstone;
            self.segments.entomb(segment, message, of, bytes);
        }
        for stored in batch.finished {
            self.release(&stored);
        }
        let mut samples = self.samples.borrow_mut();
        if samples.len() < SAMPLES_MAX {
            samples.push(Sample { took: now.since(flight.began), messages: batch.messages });
        }
        batch.fate.decide(Ok(()));
    }

    /// A write did not make it.
    fn refused(self: &Rc<Self>, sequence: u64, error: &io::Error) {
        let mut totals = self.totals.get();
        totals.failures += 1;
        self.totals.set(totals);
        if !is_full(error) {
            self.poison(EventKind::SpoolFailed, error);
            return;
        }
        let mut writer = self.writer.borrow_mut();
        writer.retreating = true;
        if let Some(flight) = writer.flights.iter_mut().find(|flight| flight.sequence == sequence) {
            flight.landed = true;
        }
    }

    /// All writes have landed, one of them without room: closes the segment at the acknowledged
    /// prefix. Messages behind it are refused, outcomes are written again in a new segment.
    fn retreat(&self, writer: &mut Writer) {
        let flights = std::mem::take(&mut writer.flights);
        writer.next_sequence = writer.durable_through + 1;
        let mut again = VecDeque::with_capacity(flights.len());
        for flight in flights {
            let known = writer.ends.iter().any(|end| end.segment == flight.segment);
            if !known {
                writer.ends.push(End {
                    segment: flight.segment,
                    generation: flight.generation,
                    offset: u64::from(flight.offset),
                    sequence: flight.sequence - 1,
                });
            }
            again.push_back(flight.batch);
        }
        again.append(&mut writer.closed);
        writer.closed = again;
        // Segments that were left with such a flight in them end so, without a seal.
        let (leaving, cut): (Vec<Current>, Vec<Current>) = std::mem::take(&mut writer.leaving)
            .into_iter()
            .partition(|one| one.sequence <= writer.durable_through);
        writer.leaving = leaving;
        cut.iter().for_each(|one| self.segments.close(one.id));
        // It stays until another one has this start's count in its header: ids depend on it.
        let left = writer.current.take().map(|current| current.id).or(writer.left);
        // The segment that was prepared does not know these ends; without it there is more room.
        let unused = writer.ready.take().map(|fresh| fresh.id);
        writer.left = left.or(unused);
        if let (Some(_), Some(unused)) = (left, unused) {
            self.segments.close(unused);
        }
        writer.retreating = false;
        writer.full = true;
        self.prepare.notify_one();
        self.say_full();
    }

    pub(super) fn say_full(&self) {
        let path = self.directory.display().to_string();
        let event = Event::new(EventKind::SpoolFull).text(Field::File, path);
        self.journal.record(event.fixed(Field::Remedy, "messages get 452 until there is room"));
    }

    /// A write or sync has failed: what the disk holds is not known any more, so nothing that was
    /// not answered is answered well, and nothing more is written.
    pub(super) fn poison(&self, kind: EventKind, error: &io::Error) {
        let mut writer = self.writer.borrow_mut();
        if std::mem::replace(&mut writer.failed, true) {
            return;
        }
        let open = writer.close_open(Fate::new(&self.reactor));
        let flights = std::mem::take(&mut writer.flights);
        let closed = std::mem::take(&mut writer.closed);
        drop(writer);
        self.journal.record(
            Event::new(kind)
                .text(Field::File, self.directory.display().to_string())
                .text(Field::Reason, error.to_string())
                .fixed(Field::Remedy, "look at the kernel's log, replace the disk, start again"),
        );
        let in_flight = flights.into_iter().map(|flight| flight.batch);
        for batch in in_flight.chain(closed).chain([open]) {
            batch.fate.decide(Err(CommitError::Failed));
        }
        self.write.notify_one();
        self.prepare.notify_one();
        self.idle.notify_all();
    }
}
