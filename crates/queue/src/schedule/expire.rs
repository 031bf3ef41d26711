//! Giving up, and what becomes of times when the wall clock steps.
//!
//! A message is given up in every state but held. In flight that is for
//! [`settle`](Schedule::settle) to do, when the attempt comes back. Waiting it must have been tried
//! since the process started, unless nobody will: its hop is suspended, or cannot be reached.

use super::clocks::{MERCY, STEP, Step};
use super::lanes::Row;
use super::{Destinations, MessageKey, Place, Schedule, Suspended};
use mail::{NextHop, UnixTime};
use reactor::Instant;
use std::sync::Arc;

/// A message whose time is over.
#[derive(Debug)]
pub(crate) struct Expired {
    /// The message.
    pub(crate) message: MessageKey,
    /// Those of its recipients that are given up, and done.
    pub(crate) recipients: Vec<GivenUp>,
}

/// A recipient that is given up.
#[derive(Debug)]
pub(crate) struct GivenUp {
    /// Its index.
    pub(crate) recipient: u32,
    /// Where it waited to go.
    pub(crate) hop: NextHop,
    /// What can be said of its end.
    pub(crate) why: Why,
}

/// Why a recipient is given up without another attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// It was tried, in vain.
    Tried,
    /// Nothing is sent to its destination.
    Suspended,
    /// Its destination was tried, and is not reached.
    Unreached(Arc<str>),
}

impl Schedule {
    /// The next message whose time is over and of which something waits, which is given up; called
    /// until there is none.
    pub(crate) fn expire(&mut self, now: UnixTime) -> Option<Expired> {
        if now < self.expiry_from {
            return None;
        }
        while let Some(key) = self.next_overdue(now) {
            // It may have been noted by a clock that was wrong; the row of ages has it still.
            if self.expires_at(&self.messages[key as usize]) > now {
                continue;
            }
            let recipients = self.expirable(key);
            if recipients.is_empty() {
                continue;
            }
            self.count_out(key);
            for gone in &recipients {
                self.finish(key, gone.recipient);
            }
            self.count_in(key);
            return Some(Expired { message: MessageKey(key), recipients });
        }
        None
    }

    fn next_overdue(&mut self, now: UnixTime) -> Option<u32> {
        let (limit, bounce_limit) = (self.retry.give_up, self.retry.give_up_bounces);
        let again = self.overdue.pop_first();
        let again = again.or_else(|| self.ages.next_older(false, limit, now));
        again.or_else(|| self.ages.next_older(true, bounce_limit, now))
    }

    fn expirable(&self, key: u32) -> Vec<GivenUp> {
        let recipients = self.messages[key as usize].recipients.iter().zip(0..);
        let given_up = |(leg, recipient): (&u32, u32)| {
            let leg = self.legs.get(*leg as usize)?;
            let waits = match leg.place {
                Place::Waiting(_) => true,
                Place::Held => reactor::mutated("held-expires"),
                Place::InFlight => false,
            };
            let why = match self.lanes.trouble(leg.hop) {
                _ if !waits => return None,
                _ if leg.tried => Why::Tried,
                _ if self.lanes.is_suspended(leg.hop) => Why::Suspended,
                Some(reason) => Why::Unreached(Arc::clone(reason)),
                None => return None,
            };
            Some(GivenUp { recipient, hop: self.lanes.name(leg.hop).clone(), why })
        };
        recipients.filter_map(given_up).collect()
    }

    pub(super) fn is_over(&self, expires: UnixTime, now: UnixTime) -> bool {
        now >= expires && now >= self.expiry_from
    }

    /// When an attempt at a message is to be ended, as things are: never while it is held.
    pub(crate) fn gives_up_at(&self, message: MessageKey) -> Option<UnixTime> {
        let message = &self.messages[message.0 as usize];
        let at = self.expires_at(message).max(self.expiry_from);
        (!message.held).then_some(at)
    }

    /// Nothing is given up before `until`.
    pub(crate) fn suspend_expiry(&mut self, until: UnixTime) {
        self.expiry_from = until;
    }

    /// What was found in the spool is in, and the clocks run: messages to come are accepted by
    /// them. A clock that differs from what it was when the last message was accepted may be wrong,
    /// or the stop was long: nothing is given up for a while, as after any other step. Returns
    /// whether that is so.
    pub(crate) fn begin(&mut self, now: Instant, wall: UnixTime) -> bool {
        self.clocks.look(now, wall);
        let Some(youngest) = self.ages.youngest() else { return false };
        let doubtful = wall.since(youngest) > STEP || youngest.since(wall) > STEP;
        if doubtful {
            self.suspend_expiry(wall.plus(MERCY));
        }
        doubtful
    }

    /// Looks whether the wall clock has stepped. If so, times that it told before are carried over,
    /// and nothing is given up for a while; returns whether that is so.
    pub(crate) fn look_at_clocks(&mut self, now: Instant, wall: UnixTime) -> bool {
        let Some(step) = self.clocks.look(now, wall) else { return false };
        self.suspend_expiry(wall.plus(MERCY));
        let dated = self.messages.iter().filter(|(_, message)| message.dated_here);
        let dated: Vec<u32> = dated.map(|(key, _)| super::index(key)).collect();
        for key in dated {
            let accepted = step.carry(self.messages[key as usize].accepted);
            self.redate(MessageKey(key), accepted);
        }
        self.carry_due_times(step);
        true
    }

    /// A message was accepted at another time than its clock told.
    pub(crate) fn redate(&mut self, message: MessageKey, accepted: UnixTime) {
        let one = &mut self.messages[message.0 as usize];
        let before = std::mem::replace(&mut one.accepted, accepted);
        let is_bounce = one.is_bounce;
        self.ages.remove(is_bounce, before, message.0);
        self.ages.insert(is_bounce, accepted, message.0);
    }

    /// A clock that steps makes nothing due, and puts nothing off.
    fn carry_due_times(&mut self, step: Step) {
        let waits = |place| matches!(place, Place::Waiting(Row::Later) | Place::Held);
        let told = self.legs.iter().filter(|(_, leg)| leg.tried && waits(leg.place));
        let told: Vec<u32> = told.map(|(leg, _)| super::index(leg)).collect();
        for leg in told {
            let one = &self.legs[leg as usize];
            let (hop, due, place) = (one.hop, one.due, one.place);
            let carried = step.carry(due);
            self.lift(leg);
            self.legs[leg as usize].due = carried;
            if let Place::Waiting(row) = place {
                self.lanes.insert(row, hop, carried, leg);
            }
        }
    }

    /// Which destinations are suspended.
    pub(crate) fn suspended(&self) -> &Suspended {
        self.lanes.suspended()
    }

    /// Leaves these destinations alone from now on.
    pub(crate) fn suspend(&mut self, which: &Destinations, now: UnixTime) {
        let mut suspended = self.lanes.suspended().clone();
        suspended.suspend(which);
        self.set_suspended(suspended, now);
    }

    /// Hands out again what waits for these destinations.
    pub(crate) fn resume(&mut self, which: &Destinations, now: UnixTime) {
        let mut suspended = self.lanes.suspended().clone();
        suspended.resume(which);
        self.set_suspended(suspended, now);
    }

    /// Suspends these destinations and no others.
    pub(crate) fn set_suspended(&mut self, suspended: Suspended, now: UnixTime) {
        for hop in self.lanes.set_suspended(suspended) {
            self.note_overdue_at(hop, now);
        }
    }

    /// Notes why a destination is not reached, or that it is again.
    pub(crate) fn set_trouble(&mut self, hop: &NextHop, trouble: Option<Arc<str>>, now: UnixTime) {
        if let Some(hop) = self.lanes.set_trouble(hop, trouble) {
            self.note_overdue_at(hop, now);
        }
    }

    /// What waits there for an attempt need not be tried first any more.
    fn note_overdue_at(&mut self, hop: u32, now: UnixTime) {
        let messages = self.lanes.legs_at(hop).map(|leg| self.legs[leg as usize].message);
        let overdue = messages.filter(|key| self.expires_at(&self.messages[*key as usize]) <= now);
        let overdue: Vec<u32> = overdue.collect();
        self.overdue.extend(overdue);
    }
}
