//! What a log has in hand: the segment that is ready, the spares, and what is freed.
//!
//! Two tasks. The *preparer* keeps one segment ready and two spares in reserve, and knows when the
//! log is full; the *sweeper* takes dead segments away. When no segment is ready, batches wait:
//! that is the back-pressure.
//!
//! # The reserve
//! Messages never get the last two segments' worth ([`RESERVE`]): where segments are written in
//! place these are two spares, made ahead; where files grow, free space of the file system. When
//! there is nothing beside the reserve to make another segment of, the log is *full*: messages get
//! 452, while outcomes and compaction go on, out of the reserve if need be. When space comes back
//! the reserve is filled first; then the log is full no more.

use super::SegmentId;
use super::layout::End;
use super::log::Shared;
use super::plan::{RESERVE, SPARES_MAX};
use super::prepare::{
    self, Fresh, Lost, SpareId, Wanted, is_whole, make_anew, make_spare, passes, path_of,
    path_of_spare, renew,
};
use super::segments::Segment;
use mail::{Event, EventKind, Field};
use reactor::Instant;
use std::io;
use std::rc::Rc;
use std::time::Duration;

/// How long a full disk is left alone.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// The spares of a log.
#[derive(Debug, Default)]
pub(super) struct Spares {
    /// Of full size, durable, unused.
    ready: Vec<SpareId>,
    /// The number of the next one.
    next: u32,
    /// Whether those of earlier starts are among them: before that their names are not known.
    pub(super) listed: bool,
}

/// What the preparer does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Rest,
    /// Make a segment out of a spare.
    Renew,
    /// Make a segment from nothing.
    Make,
    /// Make a spare.
    Reserve,
    /// Nothing is missing any more.
    EndFull,
}

/// What the preparer looks at.
#[derive(Clone, Copy, Debug)]
struct InHand {
    failed: bool,
    full: bool,
    ready: bool,
    /// Segments are written in place: there are spares.
    in_place: bool,
    spares: usize,
}

impl InHand {
    fn step(self) -> Step {
        if self.failed {
            return Step::Rest;
        }
        if !self.ready {
            let free = self.spares > if self.full { 0 } else { RESERVE };
            return if free { Step::Renew } else { Step::Make };
        }
        if self.in_place && self.spares < RESERVE {
            return Step::Reserve;
        }
        if self.full { Step::EndFull } else { Step::Rest }
    }
}

impl Spares {
    fn name_next(&mut self) -> SpareId {
        let next = SpareId(self.next);
        self.next += 1;
        next
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.ready.len()
    }
}

impl Shared {
    /// The preparer's task.
    pub(super) async fn prepare_on(self: Rc<Self>) {
        while let Err(error) = self.list_spares().await {
            self.not_made(&error);
            if self.writer.borrow().failed {
                break;
            }
            self.pause().await;
        }
        self.segments.sweep.notify_one();
        loop {
            let step = self.in_hand().step();
            let made = match step {
                Step::Rest => {
                    self.prepare.wait(Instant::NEVER).await;
                    Ok(())
                }
                Step::Renew => self.renew_one().await,
                Step::Make => self.make_one().await,
                Step::Reserve => self.reserve_one().await,
                Step::EndFull => self.end_full().await,
            };
            if let Err(error) = made {
                self.not_made(&error);
                self.rest(step).await;
            }
        }
    }

    fn in_hand(&self) -> InHand {
        let writer = self.writer.borrow();
        InHand {
            failed: writer.failed,
            full: writer.full,
            ready: writer.ready.is_some(),
            in_place: self.plan.durable_writes,
            spares: self.segments.spares.borrow().len(),
        }
    }

    /// Waits a little after what went wrong, but not before the reserve is touched for outcomes.
    async fn rest(&self, step: Step) {
        let next = self.in_hand().step();
        if next == step || next != Step::Renew {
            self.pause().await;
        }
    }

    async fn pause(&self) {
        self.reactor.sleep(self.reactor.now() + TRY_AGAIN).await;
    }

    /// Finds the spares of earlier starts; those that are of no use are removed.
    async fn list_spares(&self) -> io::Result<()> {
        let mut found = Spares::default();
        for spare in prepare::spares(&self.reactor, &self.directory).await? {
            found.next = found.next.max(spare.0 + 1);
            let wanted = self.plan.durable_writes && found.len() < SPARES_MAX;
            if wanted && is_whole(&self.reactor, &self.directory, &self.plan, spare).await? {
                found.ready.push(spare);
            } else {
                self.reactor.remove(&path_of_spare(&self.directory, spare)).await?;
            }
        }
        found.listed = true;
        *self.segments.spares.borrow_mut() = found;
        Ok(())
    }

    fn wanted(&self) -> Wanted {
        Wanted {
            log: self.number,
            start: self.start,
            segment: SegmentId(self.next_segment.replace(self.next_segment.get() + 1)),
            ends: std::mem::take(&mut self.writer.borrow_mut().ends),
        }
    }

    async fn renew_one(&self) -> io::Result<()> {
        let Some(spare) = self.segments.spares.borrow_mut().ready.pop() else { return Ok(()) };
        let wanted = self.wanted();
        let made = renew(&self.reactor, &self.directory, &self.plan, spare, &wanted).await;
        let made = made.map_err(|lost| match lost {
            Lost::Not(error) => {
                self.segments.spares.borrow_mut().ready.push(spare);
                error
            }
            Lost::Gone(error) => error,
        });
        self.take(made, wanted)
    }

    async fn make_one(&self) -> io::Result<()> {
        let bytes = self.plan.segment_bytes;
        if self.plan.durable_writes {
            let leave = if self.writer.borrow().full { 0 } else { self.segments.leave_bytes.get() };
            self.look_for(leave + u64::from(bytes)).await?;
        } else if !self.has_room().await? {
            self.fill_up();
        }
        let wanted = self.wanted();
        let made = make_anew(&self.reactor, &self.directory, &self.plan, &wanted, bytes).await;
        self.take(made, wanted)
    }

    /// Looks whether so many bytes are free, so that a disk that is nearly full is not filled with
    /// zeros again and again.
    async fn look_for(&self, bytes: u64) -> io::Result<()> {
        let free = self.reactor.file_system(&self.directory).await?.free;
        if free < bytes { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    /// Where files grow: messages go to another segment only if it leaves the reserve alone.
    async fn has_room(&self) -> io::Result<bool> {
        let leave = self.plan.reserve_bytes.max(self.segments.leave_bytes.get());
        let free = self.reactor.file_system(&self.directory).await?.free;
        Ok(free >= leave + u64::from(self.plan.segment_bytes))
    }

    async fn reserve_one(&self) -> io::Result<()> {
        let bytes = u64::from(self.plan.segment_bytes);
        self.look_for(self.segments.leave_bytes.get() + bytes).await?;
        let spare = self.segments.spares.borrow_mut().name_next();
        make_spare(&self.reactor, &self.directory, &self.plan, spare).await?;
        self.segments.spares.borrow_mut().ready.push(spare);
        Ok(())
    }

    async fn end_full(&self) -> io::Result<()> {
        if !self.plan.durable_writes && !self.has_room().await? {
            self.pause().await;
            return Ok(());
        }
        self.writer.borrow_mut().full = false;
        self.write.notify_one();
        Ok(())
    }

    /// Takes over what was made.
    fn take(&self, made: io::Result<Fresh>, wanted: Wanted) -> io::Result<()> {
        let result = match made {
            Ok(fresh) => {
                self.adopt(fresh, wanted.ends);
                Ok(())
            }
            Err(error) => {
                self.writer.borrow_mut().ends.extend(wanted.ends);
                Err(error)
            }
        };
        self.write.notify_one();
        result
    }

    fn adopt(&self, fresh: Fresh, ends: Vec<End>) {
        let needs = ends.iter().map(|end| end.segment).collect();
        let segment = Segment::new(fresh.generation, u64::from(fresh.end));
        self.segments.insert(fresh.id, segment.writing(Rc::clone(&fresh.file), needs));
        let mut writer = self.writer.borrow_mut();
        // A retreat in the meantime has left ends that this header does not have.
        if writer.ends.is_empty() {
            writer.ready = Some(fresh);
            if let Some(left) = writer.left.take() {
                self.segments.close(left);
            }
        } else {
            writer.ends.extend(ends);
            self.segments.close(fresh.id);
        }
    }

    fn not_made(&self, error: &io::Error) {
        if passes(error) {
            self.fill_up();
        } else {
            self.poison(EventKind::SpoolFailed, error);
        }
    }

    /// There is nothing beside the reserve.
    fn fill_up(&self) {
        let before = std::mem::replace(&mut self.writer.borrow_mut().full, true);
        if !before {
            self.say_full();
            self.write.notify_one();
        }
    }

    /// The sweeper's task: takes dead segments away. That is durable before the segments that
    /// waited for it are looked at.
    pub(super) async fn sweep_on(self: Rc<Self>) {
        loop {
            let listed = self.segments.spares.borrow().listed;
            let dead = if listed { self.segments.take_dead() } else { Vec::new() };
            if dead.is_empty() {
                self.segments.sweep.wait(Instant::NEVER).await;
                continue;
            }
            match self.retire(&dead).await {
                Ok(()) => {
                    self.segments.gone(&dead);
                    self.prepare.notify_one();
                }
                Err(error) => self.journal.record(
                    Event::new(EventKind::SpoolWarned)
                        .text(Field::File, self.directory.display().to_string())
                        .text(Field::Reason, format!("a dead segment stays: {error}"))
                        .fixed(Field::Remedy, "it is removed at the next start"),
                ),
            }
        }
    }

    /// Makes spares of dead segments as long as there are few, and deletes the others. What passes
    /// is tried again, since others wait for it.
    async fn retire(&self, dead: &[SegmentId]) -> io::Result<()> {
        let spares: Vec<Option<SpareId>> = dead.iter().map(|id| self.spare_for(*id)).collect();
        loop {
            match self.take_away(dead, &spares).await {
                Err(error) if passes(&error) => self.pause().await,
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        self.segments.spares.borrow_mut().ready.extend(spares.into_iter().flatten());
        Ok(())
    }

    /// The name that a dead segment gets as a spare, if it is to be one.
    fn spare_for(&self, id: SegmentId) -> Option<SpareId> {
        let (_, file_bytes, _) = self.segments.find(id)?;
        let fits = self.plan.durable_writes && file_bytes == u64::from(self.plan.segment_bytes);
        let mut spares = self.segments.spares.borrow_mut();
        (fits && spares.len() < SPARES_MAX).then(|| spares.name_next())
    }

    async fn take_away(&self, dead: &[SegmentId], spares: &[Option<SpareId>]) -> io::Result<()> {
        for (id, spare) in dead.iter().zip(spares) {
            let path = path_of(&self.directory, *id);
            let done = match spare {
                None => self.reactor.remove(&path).await,
                Some(spare) => {
                    let to = path_of_spare(&self.directory, *spare);
                    self.reactor.rename(&path, &to).await
                }
            };
            match done {
                // It was done when this was tried before.
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        if reactor::mutated("spare-not-synced") {
            return Ok(());
        }
        self.reactor.sync_directory(&self.directory).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WELL: InHand =
        InHand { failed: false, full: false, ready: true, in_place: true, spares: RESERVE };

    #[test]
    fn the_reserve_is_touched_only_when_the_log_is_full() {
        assert_eq!(WELL.step(), Step::Rest);
        assert_eq!(InHand { ready: false, ..WELL }.step(), Step::Make);
        assert_eq!(InHand { ready: false, spares: RESERVE + 1, ..WELL }.step(), Step::Renew);
        assert_eq!(InHand { ready: false, full: true, ..WELL }.step(), Step::Renew);
        let empty = InHand { ready: false, full: true, spares: 0, ..WELL };
        assert_eq!(empty.step(), Step::Make);
    }

    #[test]
    fn a_full_log_fills_its_reserve_before_it_takes_messages() {
        let full = InHand { full: true, ..WELL };
        assert_eq!(InHand { spares: 1, ..full }.step(), Step::Reserve);
        assert_eq!(full.step(), Step::EndFull);
        let grows = InHand { in_place: false, spares: 0, ..full };
        assert_eq!(grows.step(), Step::EndFull);
    }

    #[test]
    fn a_failed_log_makes_nothing() {
        let failed = InHand { failed: true, ready: false, ..WELL };
        assert_eq!(failed.step(), Step::Rest);
    }
}
