//! Opens a log: what is there is read, judged and folded, and a segment of our own begun.

use super::SegmentId;
use super::fate::Fate;
use super::log::{Log, Shared, Totals};
use super::plan::{Options, Plan};
use super::prepare::{self, Fresh, Wanted};
use super::record::Standing;
use super::segments::{Segment, Segments};
use super::stored::Stored;
use super::survey::{self, Survey};
use super::writer::Writer;
use crate::{OpenError, Tenure};
use mail::{Envelope, Event, EventKind, Field, Journal, MessageId, UnixTime};
use reactor::{Reactor, Signal};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

mod reader;

use reader::Reader;

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
    /// Segments that were read whole, since they have no seal, or none that verifies.
    pub scanned: u64,
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

    /// The highest start count in the headers of a spool, as far as they can be read; zero: none.
    ///
    /// # Errors
    /// What the disk said.
    pub(crate) async fn last_start(reactor: &Reactor, spool: &Path) -> Result<u32, OpenError> {
        let mut last = 0;
        for number in Self::numbers(reactor, spool).await? {
            let directory = spool.join(directory_name(number));
            let found = survey::last_start(reactor, &directory).await;
            last = last.max(found.map_err(|error| OpenError::from_io(&directory, error))?);
        }
        Ok(last)
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
        tenure: Tenure,
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
            start: survey.next_start().max(tenure.start),
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
            damage: RefCell::new(BTreeSet::new()),
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
        for end in &reader.ends {
            let at = u32::try_from(end.offset).expect("a segment fits 32 bits");
            shared.segments.wrote(end.segment, at);
        }
        for (id, needs) in &reader.fold.needs {
            needs.iter().for_each(|(of, bytes)| shared.segments.need(*id, *of, *bytes));
        }
        for (id, copies) in &reader.fold.copies {
            copies.iter().for_each(|segment| shared.segments.copied(*id, *segment));
            shared.segments.astray(*id);
        }
        let mut totals = Totals { quarantined: reader.damaged, ..Totals::default() };
        let Reader { damaged, torn, scanned, .. } = reader;
        let messages = reader.fold.into_messages();
        for message in &messages {
            totals.live_bytes += message.stored.size;
            message.stored.parts().for_each(|part| shared.segments.add_live(part));
        }
        shared.totals.set(totals);
        let segments = (survey.segments.len() + survey.headless.len()) as u64;
        let durable = shared.plan.durable;
        let recovery = Recovery { messages, segments, scanned, damaged, torn, durable };
        shared.tell(&recovery);
        shared.reactor.spawn(Rc::clone(shared).write_on());
        shared.reactor.spawn(Rc::clone(shared).prepare_on());
        shared.reactor.spawn(Rc::clone(shared).sweep_on());
        recovery
    }
}

/// Says that something durable does not verify.
pub(super) fn quarantined(path: &Path, offset: u32, reason: &'static str) -> Event {
    Event::new(EventKind::SpoolQuarantined)
        .text(Field::File, path.display().to_string())
        .number(Field::Offset, u64::from(offset))
        .fixed(Field::Reason, reason)
        .fixed(Field::Remedy, "look at the kernel's log and at the disk's health")
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
                            "{} segments, {} of them read whole, {} places damaged, {} \
                             unanswered batches dropped",
                            recovery.segments, recovery.scanned, recovery.damaged, recovery.torn
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
