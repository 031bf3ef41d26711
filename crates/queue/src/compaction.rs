//! Keeping the spool small while traffic goes on: what lives in segments that are mostly dead is
//! written again elsewhere.
//!
//! One task looks once a second, and empties one segment at a time, with a bounded number of bytes
//! on their way. The books know what lives and where it stands; why nothing is lost or doubled is
//! told in `spool/compact.rs`.

use crate::Queue;
use crate::schedule::{MessageKey, State};
use crate::spool::{
    Change, Commit, Finished, Immovable, Lifted, Log, Outcomes, SegmentId, Standing, Stored, Tomb,
};
use mail::{MessageId, UnixTime};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

/// How often it is looked whether there is something to win.
const EVERY: Duration = Duration::from_secs(1);

/// The same while a log is full: outcomes are eating up its reserve.
const EVERY_IN_NEED: Duration = Duration::from_millis(20);

/// Bytes of messages that are on their way at most, but for one message.
const IN_FLIGHT_BYTES: u64 = 1 << 20;

/// Messages of the books that are looked at between two looks at other work.
const LOOKED_AT_ONCE: usize = 10_000;

/// Changes of one record. With the longest reasons they fit into the smallest segment.
const CHANGES_PER_RECORD: usize = 64;

/// How often a message is waited for whose report is being written.
const PATIENCE: u32 = 20;

/// How long each time.
const REPORT_WAIT: Duration = Duration::from_millis(50);

/// What the books know of a victim.
#[derive(Default)]
struct Census {
    /// Messages that live in it.
    living: Vec<(MessageKey, MessageId)>,
    /// Messages elsewhere that its outcomes name.
    named: BTreeMap<MessageId, MessageKey>,
}

/// A copy on its way to the disk.
struct Moving {
    key: MessageKey,
    id: MessageId,
    bytes: u64,
    commit: Commit,
    /// Keeps the chunks of the copy until the message has its new place.
    _lifted: Lifted,
}

/// Where messages have gone from a victim.
#[derive(Default)]
struct Moved {
    /// The segments of those that went.
    to: BTreeMap<MessageId, SegmentId>,
    /// Some stayed.
    incomplete: bool,
}

impl Queue {
    /// Starts the task that compacts for as long as some handle to the queue lives.
    pub(crate) fn keep_small(&self) {
        let reactor = self.shared.reactor.clone();
        let shared = Rc::downgrade(&self.shared);
        let mut every = EVERY;
        self.shared.reactor.spawn(async move {
            loop {
                reactor.sleep(reactor.now() + every).await;
                let Some(shared) = shared.upgrade() else { return };
                let queue = Self { shared };
                let logs = queue.shared.logs.clone();
                for log in &logs {
                    queue.compact(log).await;
                }
                every = if logs.iter().any(Log::full) { EVERY_IN_NEED } else { EVERY };
            }
        });
    }

    /// Empties segments of a log for as long as there is something to win. Each one that is emptied
    /// is no victim again, and one that is not rests.
    async fn compact(&self, log: &Log) {
        while let Some(victim) = log.victim() {
            self.empty(log, victim).await;
        }
    }

    /// Writes what is of use in a segment elsewhere, and lets it go.
    async fn empty(&self, log: &Log, victim: SegmentId) {
        let tombs = match log.tombs(victim).await {
            Ok(tombs) => tombs,
            Err(error) => return log.set_aside(victim, &error),
        };
        let census = self.census(log, victim, &tombs).await;
        let moved = self.move_all(log, victim, &census.living).await;
        let carried = self.carry_all(log, victim, tombs, &census, &moved).await;
        // What ended a message must be durable before the outcomes that came earlier go.
        if !carried || log.settled().await.is_err() {
            return log.leave_alone(victim);
        }
        log.emptied(victim);
        if moved.incomplete {
            log.leave_alone(victim);
        }
    }

    /// Goes over the books, a part at a time.
    async fn census(
        &self,
        log: &Log,
        victim: SegmentId,
        tombs: &BTreeMap<MessageId, Tomb>,
    ) -> Census {
        let mut census = Census::default();
        let mut from = Some(0);
        while let Some(place) = from {
            from = self.census_from(place, (log, victim), tombs, &mut census);
            self.shared.reactor.yield_now().await;
        }
        census
    }

    /// Looks at some messages, from place `from` on; the place to go on from.
    fn census_from(
        &self,
        mut from: usize,
        (log, victim): (&Log, SegmentId),
        tombs: &BTreeMap<MessageId, Tomb>,
        census: &mut Census,
    ) -> Option<usize> {
        let books = self.shared.books.borrow();
        for _ in 0..LOOKED_AT_ONCE {
            let key = books.schedule.message_from(from)?;
            from = key.index() + 1;
            let kept = books.kept(key);
            if kept.id.log() != log.number() {
                continue;
            }
            if kept.stored.touches(victim) {
                census.living.push((key, kept.id));
            }
            if tombs.contains_key(&kept.id) {
                census.named.insert(kept.id, key);
            }
        }
        Some(from)
    }

    async fn move_all(
        &self,
        log: &Log,
        victim: SegmentId,
        living: &[(MessageKey, MessageId)],
    ) -> Moved {
        let mut moved = Moved::default();
        let mut on_the_way: VecDeque<Moving> = VecDeque::new();
        let mut bytes = 0;
        for (key, id) in living {
            match self.lift(log, victim, *key, *id).await {
                Ok(Some(moving)) => {
                    bytes += moving.bytes;
                    on_the_way.push_back(moving);
                }
                // It has ended meanwhile.
                Ok(None) => {}
                Err(error) => {
                    moved.incomplete = true;
                    match error {
                        Immovable::Unread(error) => log.set_aside(victim, &error),
                        Immovable::Unwritten => {}
                    }
                }
            }
            while bytes > IN_FLIGHT_BYTES
                && let Some(moving) = on_the_way.pop_front()
            {
                bytes -= moving.bytes;
                self.switch(log, moving, &mut moved).await;
            }
        }
        for moving in on_the_way {
            self.switch(log, moving, &mut moved).await;
        }
        moved
    }

    /// Reads a message and sends a copy on its way; `None` when it has ended.
    async fn lift(
        &self,
        log: &Log,
        victim: SegmentId,
        key: MessageKey,
        id: MessageId,
    ) -> Result<Option<Moving>, Immovable> {
        let (position, _pins) = {
            let books = self.shared.books.borrow();
            let Some(kept) = books.kept_if(key, id) else { return Ok(None) };
            (kept.stored.position, log.pin(&kept.stored))
        };
        let lifted = log.lift(position, victim).await?;
        let Some(standings) = self.standings(key, id).await? else { return Ok(None) };
        // No wait between the look at where it stands and the copy: what comes later stands behind.
        let commit = log.append_copy(&lifted, &standings);
        Ok(Some(Moving { key, id, bytes: lifted.bytes(), commit, _lifted: lifted }))
    }

    /// Where the recipients of a message stand, as far as that is on its way to the disk; `None`
    /// when it has ended. It holds until the next wait.
    async fn standings(
        &self,
        key: MessageKey,
        id: MessageId,
    ) -> Result<Option<Vec<Standing>>, Immovable> {
        for _ in 0..PATIENCE {
            if self.shared.books.borrow().kept_if(key, id).is_none() {
                return Ok(None);
            }
            if let Some(standings) = self.recorded(key) {
                return Ok(Some(standings));
            }
            let now = self.shared.reactor.now();
            self.shared.reported.wait(now + REPORT_WAIT).await;
        }
        Err(Immovable::Unwritten)
    }

    /// Where the recipients of a message stand; `None` while a report about some of them is being
    /// written, since they are neither done nor to be tried again.
    fn recorded(&self, key: MessageKey) -> Option<Vec<Standing>> {
        let books = self.shared.books.borrow();
        let kept = books.kept(key);
        let mut standings = vec![done(); kept.recipients.len()];
        let held = books.schedule.state(key) == Some(State::Held);
        let mut left = 0;
        for view in books.schedule.views(key) {
            left += 1;
            standings[view.recipient as usize] = Standing {
                done: false,
                held,
                attempts: view.attempts,
                next: view.next.unwrap_or(UnixTime(0)),
                reason: kept.recipients[view.recipient as usize].reason.clone(),
            };
        }
        (left == kept.unrecorded).then_some(standings)
    }

    /// Waits for a copy to be durable, and makes it the place of the message if that still lives.
    async fn switch(&self, log: &Log, moving: Moving, moved: &mut Moved) {
        let Moving { key, id, commit, _lifted, .. } = moving;
        let Ok(mut place) = commit.stored().await else {
            moved.incomplete = true;
            return;
        };
        moved.to.insert(id, place.position.segment);
        let mut books = self.shared.books.borrow_mut();
        let given_up: Stored = match books.kept_mut_if(key, id) {
            Some(kept) => {
                place.keep_hot(&mut kept.stored);
                std::mem::replace(&mut kept.stored, place)
            }
            // What ended it stands behind both copies.
            None => place,
        };
        drop(books);
        log.release(&given_up);
    }

    /// Carries the outcomes of a victim along, as far as they are of use. Whether all are durable.
    async fn carry_all(
        &self,
        log: &Log,
        victim: SegmentId,
        tombs: BTreeMap<MessageId, Tomb>,
        census: &Census,
        moved: &Moved,
    ) -> bool {
        if reactor::mutated("outcome-dropped-with-its-segment") {
            return true;
        }
        for (id, tomb) in tombs {
            if !log.is_elsewhere(id, tomb.of, victim, moved.to.get(&id).copied()) {
                continue;
            }
            let standings = match census.named.get(&id) {
                None => None,
                Some(key) => match self.standings(*key, id).await {
                    Ok(standings) => standings,
                    Err(_) => return false,
                },
            };
            let changes: Vec<(u32, Change)> = match standings {
                Some(all) => (0..).zip(all.into_iter().map(Change::Standing)).collect(),
                None => tomb.done.into_iter().map(|one| (one, Change::Standing(done()))).collect(),
            };
            for changes in changes.chunks(CHANGES_PER_RECORD) {
                let outcomes = Outcomes { id, segment: tomb.of, changes };
                drop(log.append_outcomes(&outcomes, None, Finished::No));
            }
            if log.backlog() > IN_FLIGHT_BYTES && log.settled().await.is_err() {
                return false;
            }
        }
        true
    }
}

/// Where a recipient stands that is done.
fn done() -> Standing {
    Standing { done: true, ..Standing::default() }
}
