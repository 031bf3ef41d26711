//! Opens a log: what is there is read, judged and folded, and a segment of our own begun.

use super::SegmentId;
use super::fate::Fate;
use super::fold::Fold;
use super::layout::End;
use super::log::{Log, Shared, Totals};
use super::plan::{Options, Plan};
use super::prepare::{self, Fresh, Wanted, path_of};
use super::record::Standing;
use super::scan::{Scan, scan};
use super::segments::{Segment, Segments};
use super::stored::Stored;
use super::survey::{Contents, Found, Survey, gives_first_block, open, read_contents};
use super::tail::{Horizon, Tail};
use super::writer::Writer;
use crate::OpenError;
use mail::{Envelope, Event, EventKind, Field, Journal, MessageId, UnixTime};
use reactor::{Reactor, Signal};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A message found at start that is not over.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// Its id.
    pub id: MessageId,
    /// When it was accepted.
    pub accepted: UnixTime,
    /// Its envelope.
    pub envelope: Envelope,
    /// Where each of its recipients stands; as long as the envelope's list.
    pub standings: Vec<Standing>,
    /// Where it is stored.
    pub stored: Stored,
}

/// What was found at start.
#[derive(Debug, Default)]
pub(crate) struct Recovery {
    /// Messages that are not over, in the order of their ids.
    pub messages: Vec<Recovered>,
    /// Segments found.
    pub segments: u64,
    /// Records, batches and segments that were durable and no longer verify; each is journalled.
    pub damaged: u64,
    /// Batches that nobody was promised, dropped.
    pub torn: u64,
    /// Whether a 250 survives a crash of the machine on this file system.
    pub durable: bool,
}

impl Log {
    /// The numbers of the logs in a spool, in order; other names are no business of ours.
    ///
    /// # Errors
    /// What the disk said.
    pub(crate) async fn numbers(reactor: &Reactor, spool: &Path) -> Result<Vec<u16>, OpenError> {
        let names = reactor.read_directory(spool).await;
        let names = names.map_err(|error| OpenError::from_io(spool, error))?;
        let number = |name: &String| {
            let number = name.strip_prefix("log-")?.parse().ok()?;
            (number < MessageId::LOGS && *name == directory_name(number)).then_some(number)
        };
        let mut numbers: Vec<u16> = names.iter().filter_map(number).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Opens log `number` of `spool`, which this process has [locked](crate::Lock): reads what is
    /// there, opens a segment of its own that says where the earlier ones end, and starts the
    /// writer's tasks. What it recovers may be acted upon.
    ///
    /// # Errors
    /// As [`OpenError`] says.
    pub(crate) async fn recover(
        reactor: &Reactor,
        spool: &Path,
        number: u16,
        options: Options,
        journal: Journal,
    ) -> Result<(Self, Recovery), OpenError> {
        let directory = spool.join(directory_name(number));
        let failed = |error| OpenError::from_io(&directory, error);
        reactor.make_directory(&directory).await.map_err(failed)?;
        reactor.sync_directory(spool).await.map_err(failed)?;
        let file_system = reactor.file_system(&directory).await.map_err(failed)?;
        if file_system.read_only {
            return Err(OpenError::ReadOnly { path: directory });
        }
        let plan = Plan::of(&file_system, &options);
        let plan = settle_plan(reactor, &directory, plan).await.map_err(failed)?;
        let mut survey = Survey::of(reactor, &directory, number, &plan).await?;
        let mut reader = Reader::new(reactor, &directory, plan, journal.clone());
        reader.read_all(&survey).await.map_err(failed)?;
        reader.remove_hulls(&mut survey).await.map_err(failed)?;
        let wanted = Wanted {
            log: number,
            start: survey.next_start(),
            segment: SegmentId(survey.highest + 1),
            ends: reader.ends.clone(),
        };
        let first = prepare::make(reactor, &directory, &plan, &wanted).await.map_err(failed)?;
        let log = Self::begin(reactor, directory, plan, &options, journal, wanted, first);
        let recovery = log.adopt(reader, &survey);
        Ok((log, recovery))
    }
}

/// `log-07`; numbers of three and four digits keep them.
fn directory_name(number: u16) -> String {
    format!("log-{number:02}")
}

/// Tries whether direct writes work at all here: some ext4 mounts refuse them (`data=journal`).
async fn settle_plan(reactor: &Reactor, directory: &Path, plan: Plan) -> io::Result<Plan> {
    if !plan.direct {
        return Ok(plan);
    }
    let path = directory.join("probe");
    let how = reactor::OpenHow { write: true, create: true, direct: true, exclusive: false };
    let opened = reactor.open(&path, how).await;
    drop(reactor.remove(&path).await);
    match opened {
        Ok(_) => Ok(plan),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(plan.appending()),
        Err(error) => Err(error),
    }
}

/// The disk fails (errno.h), as `read` would have said it.
const EIO: i32 = 5;

/// Reads the segments one after the other.
struct Reader<'a> {
    reactor: &'a Reactor,
    directory: PathBuf,
    plan: Plan,
    journal: Journal,
    fold: Fold,
    /// Where the segments end that have no seal: all of them, so that the header of the new segment
    /// holds by itself.
    ends: Vec<End>,
    damaged: u64,
    /// The segments that have damage.
    spoiled: BTreeSet<SegmentId>,
    /// The segments in which nothing lies that belongs to the log.
    hulls: BTreeSet<SegmentId>,
    torn: u64,
}

impl<'a> Reader<'a> {
    fn new(reactor: &'a Reactor, directory: &Path, plan: Plan, journal: Journal) -> Self {
        Self {
            reactor,
            directory: directory.into(),
            plan,
            journal,
            fold: Fold::default(),
            ends: Vec::new(),
            damaged: 0,
            spoiled: BTreeSet::new(),
            hulls: BTreeSet::new(),
            torn: 0,
        }
    }

    async fn read_all(&mut self, survey: &Survey) -> io::Result<()> {
        for (id, _) in &survey.headless {
            self.note_damage(*id, 0, "its header does not verify");
        }
        let last_start = survey.last_start();
        let mut tail = Tail::new(self.find_horizon(survey, last_start).await?);
        for found in &survey.segments {
            let Contents { bytes, unreadable } = self.read(found).await?;
            for offset in unreadable {
                self.note_damage(found.id, offset, "the disk does not give this block");
            }
            let limit = found.end.map_or(bytes.len(), |end| end.offset as usize);
            let scanned = scan(&bytes, found.header.generation, found.begin, limit);
            let settled = found.end.is_some() || found.header.start != last_start;
            let tail = if settled { None } else { Some(&mut tail) };
            self.walk(found, &bytes, &scanned, tail);
        }
        Ok(())
    }

    /// Removes what earlier starts have left without ever writing to it: a relay that fails again
    /// and again at its start must not fill the disk. The last start's segments stay: its first one
    /// says by itself where all before it end.
    async fn remove_hulls(&mut self, survey: &mut Survey) -> io::Result<()> {
        let last_start = survey.last_start();
        let mut removed = BTreeSet::new();
        for found in &survey.segments {
            let hull = self.hulls.contains(&found.id) && !self.spoiled.contains(&found.id);
            if hull && found.header.start != last_start {
                self.reactor.remove(&path_of(&self.directory, found.id)).await?;
                removed.insert(found.id);
            }
        }
        survey.segments.retain(|found| !removed.contains(&found.id));
        self.ends.retain(|end| !removed.contains(&end.segment));
        Ok(())
    }

    /// Reads a segment. One that may end in the middle is flushed first: what is acted upon must
    /// not vanish in a crash to come.
    async fn read(&self, found: &Found) -> io::Result<Contents> {
        let path = path_of(&self.directory, found.id);
        let file = open(self.reactor, &path, &self.plan).await?;
        if found.end.is_none() {
            file.sync().await?;
        }
        let contents = read_contents(&file, found.file_bytes).await;
        // A bad sector costs what lies on it. A disk that no longer gives even the header, which it
        // gave a moment ago, has failed: where the mail ends must not be settled by such a reading.
        if !contents.unreadable.is_empty() && !gives_first_block(&file).await {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        Ok(contents)
    }

    /// Every batch of the last start up to this sequence was durable.
    async fn find_horizon(&self, survey: &Survey, last_start: u32) -> io::Result<u64> {
        let mut horizon = Horizon::default();
        let open_ended = survey.segments.iter().rev();
        let open_ended =
            open_ended.filter(|found| found.end.is_none() && found.header.start == last_start);
        for found in open_ended {
            let bytes = self.read(found).await?.bytes;
            let scanned = scan(&bytes, found.header.generation, found.begin, bytes.len());
            if horizon.take_in(&scanned) {
                break;
            }
        }
        Ok(horizon.durable_through())
    }

    /// Takes in the batches of one segment, as far as they belong to the log.
    fn walk(
        &mut self,
        found: &Found,
        bytes: &[u8],
        scanned: &Scan,
        mut tail: Option<&mut Tail>,
    ) {
        let mut at = found.begin as u32;
        let sealed = scanned.seal.is_some_and(|seal| seal.whole);
        let mut sequence = 0;
        self.hulls.insert(found.id);
        for batch in &scanned.batches {
            if let Some(tail) = &mut tail
                && !tail.keeps(batch)
            {
                self.torn += 1;
                continue;
            }
            self.hulls.remove(&found.id);
            if batch.offset > at {
                self.note_damage(found.id, at, "a batch is missing");
            }
            for offset in &batch.damage {
                self.note_damage(found.id, *offset, "a record or body does not verify");
            }
            for offset in self.fold.take_in(found.id, bytes, batch) {
                self.note_damage(found.id, offset, "a record is not understood");
            }
            at = batch.end();
            sequence = batch.header.sequence;
        }
        if let Some(end) = found.end.filter(|end| end.offset > u64::from(at)) {
            self.note_damage(found.id, at, "the last batches are missing");
            self.ends.push(end);
        } else if !sealed {
            let end = End {
                segment: found.id,
                generation: found.header.generation,
                offset: u64::from(at),
                sequence,
            };
            self.ends.push(found.end.unwrap_or(end));
        }
    }

    fn note_damage(&mut self, segment: SegmentId, offset: u32, reason: &'static str) {
        self.damaged += 1;
        self.spoiled.insert(segment);
        self.journal.record(
            Event::new(EventKind::SpoolQuarantined)
                .text(Field::File, path_of(&self.directory, segment).display().to_string())
                .number(Field::Offset, u64::from(offset))
                .fixed(Field::Reason, reason)
                .fixed(Field::Remedy, "look at the kernel's log and at the disk's health"),
        );
    }
}

impl Log {
    /// A log that writes to `first`, with its tasks running.
    fn begin(
        reactor: &Reactor,
        directory: PathBuf,
        plan: Plan,
        options: &Options,
        journal: Journal,
        wanted: Wanted,
        first: Fresh,
    ) -> Self {
        let segments = Segments::new(reactor);
        let needs: BTreeSet<SegmentId> = wanted.ends.iter().map(|end| end.segment).collect();
        let segment = Segment::new(first.generation, u64::from(first.end));
        segments.insert(first.id, segment.writing(Rc::clone(&first.file), needs));
        let shared = Rc::new(Shared {
            reactor: reactor.clone(),
            journal,
            directory,
            number: wanted.log,
            start: wanted.start,
            plan,
            hot: options.hot.clone(),
            next_id: Cell::new(0),
            next_segment: Cell::new(wanted.segment.0 + 1),
            segments,
            writer: RefCell::new(Writer::new(Fate::new(reactor), first)),
            write: Signal::new(reactor),
            prepare: Signal::new(reactor),
            idle: Signal::new(reactor),
            totals: Cell::new(Totals::default()),
            samples: RefCell::new(Vec::new()),
        });
        Self { shared }
    }

    /// Makes what was found the log's own, and starts its tasks.
    fn adopt(&self, reader: Reader<'_>, survey: &Survey) -> Recovery {
        let shared = &self.shared;
        for (id, file_bytes) in &survey.headless {
            shared.segments.insert(*id, Segment::quarantined(*file_bytes));
        }
        for found in &survey.segments {
            let segment = Segment::new(found.header.generation, found.file_bytes);
            let spoiled = reader.spoiled.contains(&found.id);
            shared.segments.insert(found.id, if spoiled { segment.kept() } else { segment });
        }
        for found in &survey.segments {
            let ends = found.header.ends.iter().map(|end| end.segment);
            shared.segments.ends(found.id, ends);
        }
        for (id, needs) in &reader.fold.needs {
            needs.iter().for_each(|(of, bytes)| shared.segments.need(*id, *of, *bytes));
        }
        for (id, copies) in &reader.fold.copies {
            copies.iter().for_each(|segment| shared.segments.copied(*id, *segment));
        }
        let mut totals = Totals { quarantined: reader.damaged, ..Totals::default() };
        let (damaged, torn) = (reader.damaged, reader.torn);
        let messages = reader.fold.into_messages();
        for message in &messages {
            totals.live_bytes += message.stored.size;
            message.stored.parts().for_each(|part| shared.segments.add_live(part));
        }
        shared.totals.set(totals);
        let segments = (survey.segments.len() + survey.headless.len()) as u64;
        let recovery = Recovery { messages, segments, damaged, torn, durable: shared.plan.durable };
        shared.tell(&recovery);
        shared.reactor.spawn(Rc::clone(shared).write_on());
        shared.reactor.spawn(Rc::clone(shared).prepare_on());
        shared.reactor.spawn(Rc::clone(shared).sweep_on());
        recovery
    }
}

impl Shared {
    fn tell(&self, recovery: &Recovery) {
        let path = || self.directory.display().to_string();
        if recovery.segments > 0 {
            self.journal.record(
                Event::new(EventKind::SpoolRecovered)
                    .text(Field::File, path())
                    .number(Field::Count, recovery.messages.len() as u64)
                    .text(
                        Field::Reason,
                        format!(
                            "{} segments read, {} places damaged, {} unanswered batches dropped",
                            recovery.segments, recovery.damaged, recovery.torn
                        ),
                    ),
            );
        }
        // Once for the spool, not once for each log.
        if !recovery.durable && self.number == 0 {
            self.journal.record(
                Event::new(EventKind::SpoolWarned)
                    .text(Field::File, path())
                    .fixed(Field::Reason, "a 250 is not durable on this file system")
                    .fixed(Field::Remedy, "set `spool` to a directory on a local disk"),
            );
        }
    }
}
