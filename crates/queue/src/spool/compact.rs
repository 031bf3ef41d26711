//! Compaction, as far as it is about bytes: which segment, what of it is still of use, and how that
//! is written once more. When, and to whom it matters, is the façade's (`compaction.rs`).
//!
//! A *victim* is a segment with many dead bytes. Its living messages are written again by the
//! ordinary writer, with the same ids and with their standings folded in (a *copy*); the outcomes
//! in it that are still of use are carried along; then nothing keeps it, and it goes as any dead
//! segment goes. Chunks in it are copied as chunks, and the record that lists them with them.
//!
//! # Why a crash at any step loses nothing and doubles nothing
//! A start folds what exists in the order of writing. So it must hold, whenever a copy of a message
//! exists: *(1) all that was recorded of the message behind that copy exists too*, in itself, or in
//! a later record that says at least which recipients are done; for the last copy of a message that
//! lives, in one that says all. Then the fold of what exists is the fold of what was ever written,
//! and no recipient that was done is due again, whichever copies have gone already.
//!
//! - *Between copy and switch.* A copy says where the recipients stand when it is appended, and
//!   what is appended later stands behind it, for the order of appending is that of the log. So the
//!   copy may count, or not count, from the moment that it is durable. The books go on to name the
//!   old place until then; the old place is released after.
//! - *Two copies.* While several copies exist, every outcome behind them must outlive all of them:
//!   the victim may go after the new segment, or stay for good when it is damaged. Whoever appends
//!   names one copy; [`Segments::entomb`](super::segments::Segments::entomb) binds the outcome to
//!   the others, which are known when its batch is durable, since a copy's batch is so no later.
//!   That is true also of an outcome that was appended between the copy and the switch and names
//!   the old place, and of the last one of a message that ended meanwhile. A start finds the copies
//!   again, and binds again (`fold.rs`).
//! - *Carrying.* Outcomes in the victim whose message has no copy but in the victim, and the one
//!   that has just been made of it, go with the victim. Of others is carried, bound as above: what
//!   is done, if the message has ended; where each recipient stands, absolutely, if it lives. The
//!   carried record stands behind what it replaces, and done stays done. The victim loses its own
//!   bonds only when everything appended so far, and so all that was carried, is durable.
//! - *Ids* stay, so that a message that is found twice is one message.
//!
//! A message whose report is being written is waited for: the report is not on its way to the disk,
//! and where its recipients stand cannot be told by what is.

use super::SegmentId;
use super::fate::{Commit, Purpose};
use super::layout::{BLOCK, HeaderFound, Seal, SegmentHeader, find_seal};
use super::log::{Log, Raw, Shared};
use super::plan::RESERVE;
use super::record::{Change, MessageRecord, OutcomesRecord, Record, Standing};
use super::scan::{Scan, scan};
use super::segments::Weights;
use super::stored::{Chunk, Pin, Position, Stored};
use super::{Extent, NewMessage};
use crate::{CommitError, LoadError};
use mail::{Event, EventKind, Field, MessageId};
use reactor::SlabSlice;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// A log may take half as much again as what lives in it, and so many segments: the one that is
/// written to and the one that is ready.
const SLACK_SEGMENTS: u64 = 2;

/// A victim must win an eighth of itself at least: less is not worth the writing.
const WORTH: u64 = 8;

/// How long a segment is left alone that could not be emptied.
const REST: Duration = Duration::from_secs(10);

/// A segment without a directory is read in pieces of this size.
const PIECE_BYTES: u32 = 1 << 20;

/// What the outcomes of a victim say of one message.
#[derive(Debug)]
pub(crate) struct Tomb {
    /// A segment that holds another copy of the message.
    pub of: SegmentId,
    /// The recipients that are done.
    pub done: Vec<u32>,
}

/// A message that has been read to be written once more. While it lives, so do its chunks.
#[derive(Debug)]
pub(crate) struct Lifted {
    position: Position,
    record: MessageRecord,
    raw: Raw,
    chunks: Vec<Chunk>,
    body: Option<SlabSlice>,
}

/// What is to be compacted, if anything. `room` is what can be written when the log is full.
fn choose(weights: &Weights, segment_bytes: u64, room: Option<u64>) -> Option<SegmentId> {
    let total = weights.total;
    let enough = total.live_bytes + total.live_bytes / 2 + SLACK_SEGMENTS * segment_bytes;
    if room.is_none() && total.bytes <= enough {
        return None;
    }
    let fits = |live_bytes: u64| {
        // Half a segment, or half of what there is, is left for outcomes, and some room is lost at
        // the ends of batches.
        let room = room.map(|room| room - (segment_bytes / 2).min(room / 2));
        room.is_none_or(|room| live_bytes + live_bytes / 8 <= room)
    };
    let candidates = weights.candidates.iter().filter(|(_, weight)| {
        weight.dead_bytes() >= (weight.bytes / WORTH).max(1) && fits(weight.live_bytes)
    });
    let most = candidates.max_by_key(|(id, weight)| (weight.dead_bytes(), Reverse(*id)));
    most.map(|(id, _)| *id)
}

impl Log {
    /// The segment that should be compacted now, if any. In a full log nearly any is worth it.
    pub(crate) fn victim(&self) -> Option<SegmentId> {
        let shared = &self.shared;
        let (failed, full) = {
            let writer = shared.writer.borrow();
            (writer.failed, writer.full)
        };
        if failed {
            return None;
        }
        let weights = shared.segments.weights(shared.plan.durable_writes, shared.reactor.now());
        let room = full.then(|| shared.room_bytes());
        choose(&weights, u64::from(shared.plan.segment_bytes), room)
    }

    /// What the outcomes in `victim` say that is of use to anybody.
    ///
    /// # Errors
    /// As [`LoadError`] says.
    pub(crate) async fn tombs(
        &self,
        victim: SegmentId,
    ) -> Result<BTreeMap<MessageId, Tomb>, LoadError> {
        let _pin = Pin::new(&self.shared.segments, victim);
        let mut tombs = BTreeMap::new();
        let bury = |outcomes: OutcomesRecord| self.bury(victim, outcomes, &mut tombs);
        if !self.read_directory(victim, bury).await? {
            let bury = |outcomes: OutcomesRecord| self.bury(victim, outcomes, &mut tombs);
            self.read_whole(victim, bury).await?;
        }
        Ok(tombs)
    }

    fn bury(
        &self,
        victim: SegmentId,
        outcomes: OutcomesRecord,
        tombs: &mut BTreeMap<MessageId, Tomb>,
    ) {
        let OutcomesRecord { id, segment, changes } = outcomes;
        let copies = self.shared.segments.copies_of(id, segment);
        let Some(of) = copies.into_iter().find(|copy| *copy != victim) else { return };
        let done = changes.iter().filter(|(_, change)| change.is_end());
        let tomb = tombs.entry(id).or_insert_with(|| Tomb { of, done: Vec::new() });
        tomb.done.extend(done.map(|(recipient, _)| *recipient));
        tomb.done.shrink_to_fit();
    }

    /// Reads the outcomes that the directory of a segment lists; whether there is one.
    async fn read_directory(
        &self,
        segment: SegmentId,
        mut each: impl FnMut(OutcomesRecord),
    ) -> Result<bool, LoadError> {
        let length = self.shared.length_of(segment).await?;
        let last = length.saturating_sub(BLOCK as u32);
        let raw = self.shared.read(segment, last, length - last).await?;
        let generation = raw.generation;
        let found = find_seal(generation, raw.bytes()).filter(|offset| *offset < length);
        let Some(offset) = found else { return Ok(false) };
        let raw = self.shared.read(segment, offset, length - offset).await?;
        let Some(seal) = Seal::read(generation, offset, raw.bytes()) else { return Ok(false) };
        for listed in &seal.records {
            let record = Record::decode_payload(listed.frame.kind, listed.payload);
            let record = record.map_err(|_| self.shared.damaged(segment, listed.offset))?;
            if let Record::Outcomes(outcomes, _) = record {
                each(outcomes);
            }
        }
        Ok(true)
    }

    /// Reads the outcomes of a segment without a directory.
    async fn read_whole(
        &self,
        segment: SegmentId,
        mut each: impl FnMut(OutcomesRecord),
    ) -> Result<(), LoadError> {
        let length = self.shared.length_of(segment).await?;
        let mut bytes = Vec::with_capacity(length as usize);
        while (bytes.len() as u32) < length {
            let at = bytes.len() as u32;
            let piece = self.shared.read(segment, at, PIECE_BYTES.min(length - at)).await?;
            bytes.extend_from_slice(piece.bytes());
        }
        let HeaderFound::Whole(header, begin) = SegmentHeader::find(&bytes) else {
            return Err(self.shared.damaged(segment, 0));
        };
        let limit = self.shared.segments.written(segment).map_or(bytes.len(), |at| at as usize);
        let Scan { batches, .. } = scan(&bytes, header.generation, begin, limit);
        let mut at = begin as u32;
        for batch in &batches {
            if batch.offset != at || !batch.is_whole() {
                return Err(self.shared.damaged(segment, at));
            }
            at = batch.end();
            for (offset, frame) in &batch.records {
                let record = Record::decode(frame, &bytes[*offset as usize..]);
                let record = record.map_err(|_| self.shared.damaged(segment, *offset))?;
                if let Record::Outcomes(outcomes, _) = record {
                    each(outcomes);
                }
            }
        }
        Ok(())
    }

    /// Reads and verifies the message at `position`, and writes its chunks in `victim` once more.
    /// The caller has pinned it.
    ///
    /// # Errors
    /// [`Immovable`].
    pub(crate) async fn lift(
        &self,
        position: Position,
        victim: SegmentId,
    ) -> Result<Lifted, Immovable> {
        let (raw, record, tail) = self.load_record(position).await?;
        let body = match tail {
            Some(extent) => Some(self.read(extent).await?),
            None => None,
        };
        let mut chunks = Vec::with_capacity(record.chunks.len());
        for extent in &record.chunks {
            chunks.push(self.lift_chunk(record.id, *extent, victim).await?);
        }
        Ok(Lifted { position, record, raw, chunks, body })
    }

    async fn lift_chunk(
        &self,
        id: MessageId,
        extent: Extent,
        victim: SegmentId,
    ) -> Result<Chunk, Immovable> {
        if extent.segment != victim {
            let pin = Pin::new(&self.shared.segments, extent.segment);
            return Ok(Chunk { extent, pin });
        }
        let bytes = self.read(extent).await?;
        let commit = self.append_chunk_for(id, bytes.as_slice(), Purpose::Settle);
        Ok(commit.chunk().await?)
    }

    /// Appends a message once more, its recipients standing as `standings` says. It is never
    /// refused for want of room, but waits as outcomes do.
    pub(crate) fn append_copy(&self, lifted: &Lifted, standings: &[Standing]) -> Commit {
        let shared = &self.shared;
        if shared.writer.borrow().failed {
            return Commit::refused(CommitError::Failed);
        }
        let bare;
        let mut message = lifted.message(standings);
        if message.record_bytes_max() > self.record_bytes_max() {
            // What each of very many recipients was deferred for can be done without.
            bare = without_reasons(standings);
            message.standings = &bare;
        }
        if message.record_bytes_max() > self.record_bytes_max() {
            return Commit::refused(CommitError::Full);
        }
        let mut batch = shared.open_batch(message.record_bytes_max() + message.body.len());
        let index = batch.add_copy(&message);
        batch.copies.push((message.id, lifted.position.segment));
        let fate = Rc::clone(&batch.fate);
        drop(batch);
        shared.appended(false);
        Commit::riding(&fate, index, Purpose::Settle, message.chunk_parts())
    }

    /// Gives up a place: the message has another, or is over.
    pub(crate) fn release(&self, stored: &Stored) {
        self.shared.release(stored);
    }

    /// Whether a copy of `message` exists elsewhere than in `victim` and `besides`, when an outcome
    /// names `of`.
    pub(crate) fn is_elsewhere(
        &self,
        message: MessageId,
        of: SegmentId,
        victim: SegmentId,
        besides: Option<SegmentId>,
    ) -> bool {
        let copies = self.shared.segments.copies_of(message, of);
        copies.into_iter().any(|copy| copy != victim && Some(copy) != besides)
    }

    /// Bytes that have been appended and are not durable.
    pub(crate) fn backlog(&self) -> u64 {
        self.shared.writer.borrow().backlog()
    }

    /// Waits until all that has been appended so far is durable.
    ///
    /// # Errors
    /// [`CommitError::Failed`].
    pub(crate) async fn settled(&self) -> Result<(), CommitError> {
        loop {
            let Some(fate) = self.shared.writer.borrow().last_fate() else { return Ok(()) };
            match fate.decided().await {
                // There was nothing but refused messages in it: what came before tells.
                Err(CommitError::Full) => {}
                decided => return decided,
            }
        }
    }

    /// All that is of use in `victim` has been written elsewhere, durably.
    pub(crate) fn emptied(&self, victim: SegmentId) {
        let segments = &self.shared.segments;
        segments.emptied(victim);
        if segments.lives(victim) {
            self.leave_alone(victim);
        }
    }

    /// Leaves a segment alone for a while that could not be emptied.
    pub(crate) fn leave_alone(&self, victim: SegmentId) {
        self.shared.segments.rest(victim, self.shared.reactor.now() + REST);
    }

    /// Something in `victim` cannot be read. What is damaged is kept for ever.
    pub(crate) fn set_aside(&self, victim: SegmentId, error: &LoadError) {
        let LoadError::Damaged { place } = error else { return self.leave_alone(victim) };
        self.shared.segments.keep(victim);
        let mut totals = self.shared.totals.get();
        totals.quarantined += 1;
        self.shared.totals.set(totals);
        self.shared.journal.record(
            Event::new(EventKind::SpoolQuarantined)
                .text(Field::File, place.clone())
                .fixed(Field::Reason, "found when it was to be moved; the segment is kept")
                .fixed(Field::Remedy, "look at the kernel's log and at the disk's health"),
        );
    }
}

/// Why a message stays where it is.
#[derive(Debug)]
pub(crate) enum Immovable {
    /// It cannot be read.
    Unread(LoadError),
    /// It cannot be written.
    Unwritten,
}

impl From<LoadError> for Immovable {
    fn from(error: LoadError) -> Self {
        Self::Unread(error)
    }
}

impl From<CommitError> for Immovable {
    fn from(_: CommitError) -> Self {
        Self::Unwritten
    }
}

impl Lifted {
    /// Bytes that are written for it.
    pub(crate) fn bytes(&self) -> u64 {
        u64::from(self.position.bytes) + u64::from(self.position.body_bytes)
    }

    fn message<'a>(&'a self, standings: &'a [Standing]) -> NewMessage<'a> {
        NewMessage {
            id: self.record.id,
            envelope: &self.record.envelope,
            header: &self.raw.bytes()[self.record.header.clone()],
            chunks: &self.chunks,
            body: self.body.as_ref().map_or(&[], |body| body.as_slice()),
            stuffed_lines: self.record.stuffed_lines,
            accepted: self.record.accepted,
            standings,
        }
    }
}

fn without_reasons(standings: &[Standing]) -> Vec<Standing> {
    standings.iter().map(|standing| Standing { reason: None, ..standing.clone() }).collect()
}

impl Stored {
    /// Takes over what is in memory of the message at its old place. With chunks it is let go: the
    /// record in memory says where they were.
    pub(crate) fn keep_hot(&mut self, old: &mut Self) {
        self.hot = if self.chunks.is_none() { old.hot.take() } else { None };
    }

    /// Whether some of it lies in `segment`.
    pub(crate) fn touches(&self, segment: SegmentId) -> bool {
        self.parts().any(|(part, _)| part == segment)
    }
}

impl Change {
    /// Whether nothing follows for the recipient.
    pub(crate) fn is_end(&self) -> bool {
        match self {
            Self::Delivered | Self::Bounced | Self::Removed => true,
            Self::Standing(standing) => standing.done,
            Self::Deferred { .. } | Self::Held | Self::Released { .. } => false,
        }
    }
}

impl Shared {
    /// Bytes that can be written without making another segment, the reserve included.
    pub(super) fn room_bytes(&self) -> u64 {
        let spares = self.segments.spares.borrow().len() as u64;
        let reserve = if self.plan.durable_writes { spares } else { RESERVE as u64 };
        self.writer.borrow().free_bytes() + reserve * u64::from(self.plan.segment_bytes)
    }

    /// Bytes of a segment's file.
    async fn length_of(&self, segment: SegmentId) -> Result<u32, LoadError> {
        let failed = |error: std::io::Error| LoadError::Failed {
            reason: format!("{}: {error}", self.path_of(segment).display()).into(),
        };
        let file = self.file(segment).await.map_err(failed)?;
        let length = file.length().await.map_err(failed)?;
        Ok(u32::try_from(length).expect("a segment fits 32 bits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::segments::Weight;

    const SEGMENT: u64 = 1000;

    fn weights(live: &[u64]) -> Weights {
        let mut weights = Weights::default();
        for (id, live_bytes) in (1..).zip(live) {
            let weight = Weight { bytes: SEGMENT, live_bytes: *live_bytes };
            weights.total.bytes += weight.bytes;
            weights.total.live_bytes += weight.live_bytes;
            weights.candidates.push((SegmentId(id), weight));
        }
        weights
    }

    #[test]
    fn nothing_is_compacted_within_half_of_what_lives_and_two_segments() {
        assert_eq!(choose(&weights(&[1000, 0]), SEGMENT, None), None);
        assert_eq!(choose(&weights(&[1000, 1000, 0, 500]), SEGMENT, None), None);
        assert_eq!(choose(&weights(&[]), SEGMENT, None), None);
    }

    #[test]
    fn the_segment_with_the_most_dead_bytes_is_the_victim_and_of_equals_the_oldest() {
        let many = weights(&[500, 100, 300, 100, 400]);
        assert_eq!(choose(&many, SEGMENT, None), Some(SegmentId(2)));
    }

    #[test]
    fn a_full_log_compacts_only_what_fits_into_its_reserve() {
        let many = weights(&[950, 700, 600, 990]);
        assert_eq!(choose(&many, SEGMENT, None), None);
        assert_eq!(choose(&many, SEGMENT, Some(2000)), Some(SegmentId(3)));
        assert_eq!(choose(&many, SEGMENT, Some(1100)), None);
    }

    #[test]
    fn where_there_is_nothing_to_win_nothing_is_moved() {
        assert_eq!(choose(&weights(&[950, 960]), SEGMENT, Some(5000)), None);
    }

    #[test]
    fn whatever_is_chosen_the_bound_is_reached_in_the_end() {
        let mut live = vec![300; 40];
        for _ in 0..100 {
            let Some(victim) = choose(&weights(&live), SEGMENT, None) else { break };
            let moved = live.remove(victim.0 as usize - 1);
            match live.iter_mut().rev().find(|one| **one + moved <= SEGMENT) {
                Some(target) => *target += moved,
                None => live.push(moved),
            }
        }
        let total: u64 = live.iter().sum();
        assert!(live.len() as u64 * SEGMENT <= total + total / 2 + 2 * SEGMENT, "{live:?}");
        assert_eq!(total, 40 * 300);
    }
}
