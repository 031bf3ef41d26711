//! Reads the segments of a log one after the other, as little of each as will do.
//!
//! A sealed segment gives its header, its last block and its seal; bodies are not read. What has no
//! seal, or none that verifies, is read whole and judged batch by batch.

use super::super::SegmentId;
use super::super::fold::Fold;
use super::super::layout::{BLOCK, End, Seal, find_seal};
use super::super::plan::Plan;
use super::super::prepare::path_of;
use super::super::scan::{Scan, scan};
use super::super::survey::{
    Contents, Found, Survey, gives_first_block, open, read_contents, read_range,
};
use super::super::tail::{Horizon, Tail};
use super::quarantined;
use mail::Journal;
use reactor::{File, Reactor};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// The segment is read whole instead, so that this costs no message.
const BAD_SEAL: &str = "its seal does not verify";

/// The disk fails (errno.h), as `read` would have said it.
const EIO: i32 = 5;

/// Reads the segments one after the other.
pub(super) struct Reader<'a> {
    reactor: &'a Reactor,
    directory: PathBuf,
    plan: Plan,
    journal: Journal,
    /// What the records come to.
    pub(super) fold: Fold,
    /// Where the segments end that have no seal: all of them, so that the header of the new segment
    /// holds by itself.
    pub(super) ends: Vec<End>,
    /// Places that were durable and no longer verify.
    pub(super) damaged: u64,
    /// The segments that have damage.
    pub(super) spoiled: BTreeSet<SegmentId>,
    /// The segments in which nothing lies that belongs to the log.
    hulls: BTreeSet<SegmentId>,
    /// Batches that nobody was promised.
    pub(super) torn: u64,
    /// Segments that were read whole.
    pub(super) scanned: u64,
}

/// What the end of a segment gives.
enum SealFound {
    /// The seal, from here on.
    Whole(u32, Vec<u8>),
    /// A trailer, and no seal that verifies where it says.
    Broken(u32),
    /// No trailer.
    None,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        reactor: &'a Reactor,
        directory: &Path,
        plan: Plan,
        journal: Journal,
    ) -> Self {
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
            scanned: 0,
        }
    }

    /// Reads all segments, and folds what is in them.
    pub(super) async fn read_all(&mut self, survey: &Survey) -> io::Result<()> {
        for (id, _) in &survey.headless {
            self.note_damage(*id, 0, "its header does not verify");
        }
        let last_start = survey.last_start();
        let mut tail = Tail::new(self.find_horizon(survey, last_start).await?);
        for found in &survey.segments {
            self.read_one(found, last_start, &mut tail).await?;
        }
        Ok(())
    }

    async fn read_one(
        &mut self,
        found: &Found,
        last_start: u32,
        tail: &mut Tail,
    ) -> io::Result<()> {
        let is_last = found.header.start == last_start;
        let file = self.open(found, last_start).await?;
        match find_sealed(&file, found).await {
            SealFound::Whole(offset, bytes) => {
                let seal = Seal::read(found.header.generation, offset, &bytes);
                let seal = seal.expect("it has just been found whole");
                self.take_sealed(found, &seal);
                if is_last {
                    tail.pass(seal.header.sequence);
                }
                return Ok(());
            }
            // One of the last start may have been on its way to the disk.
            SealFound::Broken(_) | SealFound::None if is_last || found.end.is_some() => {}
            SealFound::Broken(offset) => self.note_damage(found.id, offset, BAD_SEAL),
            SealFound::None => {
                let offset = found.file_bytes.saturating_sub(BLOCK as u64);
                self.note_damage(found.id, offset as u32, BAD_SEAL);
            }
        }
        self.scanned += 1;
        let Contents { bytes, unreadable } = read_whole(&file, found).await?;
        for offset in unreadable {
            self.note_damage(found.id, offset, "the disk does not give this block");
        }
        let limit = found.end.map_or(bytes.len(), |end| end.offset as usize);
        let scanned = scan(&bytes, found.header.generation, found.begin, limit);
        let tail = if found.end.is_none() && is_last { Some(tail) } else { None };
        self.walk(found, &bytes, &scanned, tail);
        Ok(())
    }

    /// Takes in the records that a seal lists.
    fn take_sealed(&mut self, found: &Found, seal: &Seal<'_>) {
        for listed in &seal.records {
            if self.fold.take_in_listed(found.id, listed).is_none() {
                self.note_damage(found.id, listed.offset, "a record is not understood");
            }
        }
    }

    /// Removes what earlier starts have left without ever writing to it: a relay that fails again
    /// and again at its start must not fill the disk. The last start's segments stay: its first one
    /// says by itself where all before it end.
    pub(super) async fn remove_hulls(&mut self, survey: &mut Survey) -> io::Result<()> {
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

    /// Opens a segment. One that may end in the middle is flushed first: what is acted upon must
    /// not vanish in a crash to come. Those of earlier starts were flushed by the last one.
    async fn open(&self, found: &Found, last_start: u32) -> io::Result<File> {
        let file = open(self.reactor, &path_of(&self.directory, found.id), &self.plan).await?;
        if found.end.is_none() && found.header.start == last_start {
            file.sync().await?;
        }
        Ok(file)
    }

    /// Every batch of the last start up to this sequence was durable.
    async fn find_horizon(&self, survey: &Survey, last_start: u32) -> io::Result<u64> {
        let mut horizon = Horizon::default();
        let open_ended = survey.segments.iter().rev();
        let open_ended =
            open_ended.filter(|found| found.end.is_none() && found.header.start == last_start);
        for found in open_ended {
            let file = self.open(found, last_start).await?;
            let generation = found.header.generation;
            if let SealFound::Whole(offset, bytes) = find_sealed(&file, found).await {
                let seal = Seal::read(generation, offset, &bytes);
                horizon.pass(seal.expect("it has just been found whole").header);
                break;
            }
            let bytes = read_whole(&file, found).await?.bytes;
            let scanned = scan(&bytes, generation, found.begin, bytes.len());
            if horizon.take_in(&scanned) {
                break;
            }
        }
        Ok(horizon.durable_through())
    }

    /// Takes in the batches of one segment, as far as they belong to the log.
    fn walk(&mut self, found: &Found, bytes: &[u8], scanned: &Scan, mut tail: Option<&mut Tail>) {
        let mut at = found.begin as u32;
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
        let said = found.end.map(|end| end.offset);
        let sealed_after = scanned.seal.map_or(0, |seal| seal.header.sequence);
        if said.is_some_and(|said| said > u64::from(at)) || sealed_after > sequence {
            self.note_damage(found.id, at, "the last batches are missing");
        }
        let end = End {
            segment: found.id,
            generation: found.header.generation,
            offset: u64::from(at),
            sequence,
        };
        // Also where there is a seal that is of no use: the next start asks for none then.
        self.ends.push(found.end.unwrap_or(end));
    }

    fn note_damage(&mut self, segment: SegmentId, offset: u32, reason: &'static str) {
        self.damaged += 1;
        self.spoiled.insert(segment);
        let path = path_of(&self.directory, segment);
        self.journal.record(quarantined(&path, offset, reason));
    }
}

/// Looks for the seal of a segment whose end no header gives.
async fn find_sealed(file: &File, found: &Found) -> SealFound {
    let file_bytes = found.file_bytes;
    let last = file_bytes.checked_sub(BLOCK as u64);
    let Some(last) = last.filter(|last| found.end.is_none() && *last >= found.begin as u64) else {
        return SealFound::None;
    };
    let generation = found.header.generation;
    let block = read_range(file, last, file_bytes).await;
    let Some(offset) = block.as_deref().and_then(|block| find_seal(generation, block)) else {
        return SealFound::None;
    };
    let within = offset as usize >= found.begin && u64::from(offset) < file_bytes;
    let bytes = if within { read_range(file, u64::from(offset), file_bytes).await } else { None };
    match bytes.filter(|bytes| Seal::read(generation, offset, bytes).is_some()) {
        Some(bytes) => SealFound::Whole(offset, bytes),
        None => SealFound::Broken(offset),
    }
}

/// Reads all of a segment. A bad sector costs what lies on it. A disk that no longer gives even the
/// header, which it gave a moment ago, has failed: where the mail ends must not be settled by such
/// a reading.
async fn read_whole(file: &File, found: &Found) -> io::Result<Contents> {
    let contents = read_contents(file, found.file_bytes).await;
    if !contents.unreadable.is_empty() && !gives_first_block(file).await {
        return Err(io::Error::from_raw_os_error(EIO));
    }
    Ok(contents)
}
