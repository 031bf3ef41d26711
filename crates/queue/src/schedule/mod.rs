//! Decides when each queued recipient is tried again.
//!
//! A pure structure: no clock, no disk, no chance. Times and random numbers arrive as arguments,
//! so a test is a table of numbers.
//!
//! A *leg* is what is attempted at once: the recipients of one message at one next hop with one due
//! time. Each next hop has two rows of legs by due time: *ready* (due) and *later*; above them the
//! hops stand in a row themselves, by their first leg ([`lanes`]). So finding what is due costs
//! nothing for what is not.
//!
//! Invariants (see `Schedule::check`):
//! - a recipient is in exactly one of waiting, in flight, held, done;
//! - a leg is in its hop's rows exactly while it waits;
//! - a message stays until it is forgotten, even when all of its recipients are done.
//!
//! Start reading at [`Schedule::insert`], then [`Schedule::take`] and [`Schedule::settle`].

mod age;
mod clocks;
mod expire;
mod lanes;
mod legs;
mod operate;
mod settle;
mod suspended;
#[cfg(test)]
mod twin;

use crate::Retry;
use age::Ages;
use clocks::Clocks;
use lanes::{Lanes, Row};
use legs::Legs;
use mail::{NextHop, UnixTime};
use slab::Slab;
use std::collections::BTreeSet;

pub(crate) use expire::{Expired, GivenUp, Why};
pub(crate) use operate::View;
pub(crate) use settle::{Settled, Verdict};
pub(crate) use suspended::DecodeError;
pub use suspended::{Destinations, Suspended};

/// The state of a message or a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It is tried now, is due, or has not been tried yet.
    Active,
    /// It waits for its next attempt.
    Deferred,
    /// An operator holds it.
    Held,
}

/// A message of the schedule; keys are reused once their message is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct MessageKey(u32);

/// A leg in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LegKey(u32);

/// Where a recipient stands when its message is inserted.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Its next hop.
    pub(crate) hop: NextHop,
    /// When it is due.
    pub(crate) due: UnixTime,
    /// Attempts so far.
    pub(crate) attempts: u32,
}

/// What is handed out for an attempt.
#[derive(Debug)]
pub(crate) struct Handed {
    /// Gives it back.
    pub(crate) leg: LegKey,
    /// Its message.
    pub(crate) message: MessageKey,
    /// Its recipients, ascending.
    pub(crate) recipients: Vec<u32>,
    /// The number of the attempt, from 1.
    pub(crate) attempt: u32,
}

/// Messages, or recipients, by state.
pub(crate) type Tally = [u64; 3];

/// What stands for a recipient that is done, in place of its leg.
const DONE: u32 = u32::MAX;

struct Message {
    accepted: UnixTime,
    /// Whether its reverse-path is null: it is given up sooner.
    is_bounce: bool,
    /// Its waiting recipients wait for an operator.
    held: bool,
    /// An operator removed it while some of its recipients were in flight.
    removed: bool,
    /// It was accepted by this process, by the clock as it goes now.
    dated_here: bool,
    /// The leg of each recipient, or [`DONE`].
    recipients: Legs,
}

struct Leg {
    due: UnixTime,
    message: u32,
    hop: u32,
    recipients: u32,
    /// Stops counting at the top: by then years have passed.
    attempts: u16,
    place: Place,
    /// Whether this process has attempted it: before that it is not given up.
    tried: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Waiting(Row),
    InFlight,
    Held,
}

/// When each recipient is tried again.
pub(crate) struct Schedule {
    retry: Retry,
    messages: Slab<Message>,
    legs: Slab<Leg>,
    lanes: Lanes,
    ages: Ages,
    /// Messages that [`Ages`] has passed by and that may be given up now.
    overdue: BTreeSet<u32>,
    /// Nothing is given up before this time.
    expiry_from: UnixTime,
    clocks: Clocks,
    messages_by_state: Tally,
    recipients_by_state: Tally,
}

impl Schedule {
    pub(crate) fn new(retry: Retry) -> Self {
        Self {
            retry,
            messages: Slab::new(),
            legs: Slab::new(),
            lanes: Lanes::new(),
            ages: Ages::new(),
            overdue: BTreeSet::new(),
            expiry_from: UnixTime(0),
            clocks: Clocks::default(),
            messages_by_state: Tally::default(),
            recipients_by_state: Tally::default(),
        }
    }

    /// Adds a message. `entries` has one entry for each recipient, `None` for one that is done.
    pub(crate) fn insert(
        &mut self,
        accepted: UnixTime,
        is_bounce: bool,
        held: bool,
        entries: impl IntoIterator<Item = Option<Entry>>,
        now: UnixTime,
    ) -> MessageKey {
        let recipients = Legs::new(Vec::new());
        let dated_here = self.clocks.are_running();
        let message = Message { accepted, is_bounce, held, removed: false, dated_here, recipients };
        let key = index(self.messages.insert(message));
        let mut made = Vec::new();
        let mut recipients = Vec::new();
        // No back-off gives more: such a time was told by a clock that was wrong.
        let latest = now.plus(self.retry.max.saturating_mul(2));
        for mut entry in entries {
            if let Some(entry) = &mut entry {
                entry.due = entry.due.min(latest);
            }
            recipients.push(entry.map_or(DONE, |entry| self.leg_for(key, entry, &mut made)));
        }
        self.messages[key as usize].recipients = Legs::new(recipients);
        self.ages.insert(is_bounce, accepted, key);
        for leg in made {
            self.place(leg, now);
        }
        self.count_in(key);
        MessageKey(key)
    }

    /// The leg among `made` that `entry` belongs to, or a new one.
    fn leg_for(&mut self, message: u32, entry: Entry, made: &mut Vec<u32>) -> u32 {
        let hop = self.lanes.hop(&entry.hop);
        let fits = |leg: &&u32| {
            let leg = &self.legs[**leg as usize];
            (leg.hop, leg.due, leg.attempts) == (hop, entry.due, few(entry.attempts))
        };
        let leg = match made.iter().find(fits) {
            Some(leg) => *leg,
            None => {
                let leg = self.add_leg(message, hop, entry.due, few(entry.attempts));
                made.push(leg);
                leg
            }
        };
        self.legs[leg as usize].recipients += 1;
        leg
    }

    /// A new leg without recipients, not yet placed.
    fn add_leg(&mut self, message: u32, hop: u32, due: UnixTime, attempts: u16) -> u32 {
        self.lanes.attach(hop);
        let place = Place::InFlight;
        let leg = Leg { due, message, hop, recipients: 0, attempts, place, tried: false };
        index(self.legs.insert(leg))
    }

    fn drop_leg(&mut self, leg: u32) {
        let gone = self.legs.remove(leg as usize);
        self.lanes.detach(gone.hop);
    }

    /// Puts a leg where it waits.
    fn place(&mut self, leg: u32, now: UnixTime) {
        let one = &self.legs[leg as usize];
        let (key, hop, due) = (one.message, one.hop, one.due);
        let message = &self.messages[key as usize];
        let place = if message.held {
            Place::Held
        } else {
            let row = if due <= now { Row::Ready } else { Row::Later };
            self.lanes.insert(row, hop, due, leg);
            if self.expires_at(message) <= now {
                self.overdue.insert(key);
            }
            Place::Waiting(row)
        };
        self.legs[leg as usize].place = place;
    }

    /// Takes a leg out of its row; its place is for the caller to set.
    fn lift(&mut self, leg: u32) {
        let one = &self.legs[leg as usize];
        if let Place::Waiting(row) = one.place {
            self.lanes.remove(row, one.hop, one.due, leg);
        }
    }

    /// Moves what has become due into the ready rows.
    fn ripen(&mut self, now: UnixTime) {
        while let Some((hop, due, leg)) = self.lanes.pop_later(now) {
            let key = self.legs[leg as usize].message;
            self.count_out(key);
            self.lanes.insert(Row::Ready, hop, due, leg);
            self.legs[leg as usize].place = Place::Waiting(Row::Ready);
            self.count_in(key);
        }
    }

    /// Next hops with legs due, the longest due first, and how many each.
    pub(crate) fn due(&mut self, now: UnixTime) -> Vec<(NextHop, usize)> {
        self.ripen(now);
        self.lanes.ready_hops()
    }

    /// When the next leg becomes due that [`due`](Self::due) has not seen.
    pub(crate) fn next_due(&self) -> Option<UnixTime> {
        self.lanes.first_later()
    }

    /// Hands out the leg that is longest due at `hop`.
    pub(crate) fn take(&mut self, hop: &NextHop, now: UnixTime) -> Option<Handed> {
        self.ripen(now);
        let (due, leg) = self.lanes.first_ready(hop)?;
        let one = &self.legs[leg as usize];
        let (key, attempt, hop) = (one.message, u32::from(one.attempts) + 1, one.hop);
        self.count_out(key);
        self.lanes.remove(Row::Ready, hop, due, leg);
        self.legs[leg as usize].place = Place::InFlight;
        self.count_in(key);
        let recipients = self.recipients_of(key, leg);
        Some(Handed { leg: LegKey(leg), message: MessageKey(key), recipients, attempt })
    }

    /// The recipients of a leg, ascending.
    fn recipients_of(&self, key: u32, leg: u32) -> Vec<u32> {
        let all = self.messages[key as usize].recipients.iter().zip(0..);
        all.filter(|(theirs, _)| **theirs == leg).map(|(_, recipient)| recipient).collect()
    }

    /// The legs of a message, each once.
    fn legs_of(&self, key: u32) -> Vec<u32> {
        let recipients = self.messages[key as usize].recipients.iter();
        let mut legs: Vec<u32> = recipients.copied().filter(|leg| *leg != DONE).collect();
        legs.sort_unstable();
        legs.dedup();
        legs
    }

    fn expires_at(&self, message: &Message) -> UnixTime {
        let limit = if message.is_bounce { self.retry.give_up_bounces } else { self.retry.give_up };
        message.accepted.plus(limit)
    }

    fn count_in(&mut self, key: u32) {
        self.count(key, |count| *count += 1);
    }

    fn count_out(&mut self, key: u32) {
        self.count(key, |count| *count -= 1);
    }

    /// Counts a message and its unfinished recipients by state; called before and after a change.
    fn count(&mut self, key: u32, step: impl Fn(&mut u64)) {
        let message = &self.messages[key as usize];
        let mut state = None;
        for leg in message.recipients.iter().filter(|leg| **leg != DONE) {
            let theirs = state_of(&self.legs[*leg as usize]);
            step(&mut self.recipients_by_state[theirs as usize]);
            state = Some(state.map_or(theirs, |state: State| state.min(theirs)));
        }
        if let Some(state) = state.map(|state| if message.held { State::Held } else { state }) {
            step(&mut self.messages_by_state[state as usize]);
        }
    }
}

/// Slabs of the schedule stay below 2³² entries: `queue_messages` bounds messages, and each has at
/// most `recipients_per_message` legs.
fn index(key: usize) -> u32 {
    u32::try_from(key).ok().filter(|key| *key != DONE).expect("the queue is bounded")
}

/// Attempts as a leg keeps them.
fn few(attempts: u32) -> u16 {
    u16::try_from(attempts).unwrap_or(u16::MAX)
}

fn state_of(leg: &Leg) -> State {
    match leg.place {
        Place::Held => State::Held,
        Place::InFlight | Place::Waiting(Row::Ready) => State::Active,
        Place::Waiting(Row::Later) if leg.attempts == 0 => State::Active,
        Place::Waiting(Row::Later) => State::Deferred,
    }
}
