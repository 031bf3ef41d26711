//! What operators do to messages, and what they see.

use super::{DONE, MessageKey, Place, Schedule, State, Tally, state_of};
use mail::{NextHop, UnixTime};

/// A recipient that is not done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    /// Its index.
    pub(crate) recipient: u32,
    /// Its next hop.
    pub(crate) hop: &'a NextHop,
    /// Its state.
    pub(crate) state: State,
    /// Attempts so far.
    pub(crate) attempts: u32,
    /// When it is due; `None` in flight or held.
    pub(crate) next: Option<UnixTime>,
}

impl Schedule {
    /// Holds a message: nothing of it is handed out, and it is not given up. `false` when it was
    /// held already, or is over.
    pub(crate) fn hold(&mut self, message: MessageKey) -> bool {
        let MessageKey(key) = message;
        if self.messages[key as usize].held || self.is_finished(message) {
            return false;
        }
        self.count_out(key);
        self.messages[key as usize].held = true;
        for leg in self.waiting_legs(key) {
            self.lift(leg);
            self.legs[leg as usize].place = Place::Held;
        }
        self.count_in(key);
        true
    }

    /// Lets a held message go: it is due now. `false` when it was not held.
    pub(crate) fn release(&mut self, message: MessageKey, now: UnixTime) -> bool {
        let MessageKey(key) = message;
        if !self.messages[key as usize].held {
            return false;
        }
        self.count_out(key);
        let held: Vec<u32> = self.waiting_legs(key);
        self.messages[key as usize].held = false;
        for leg in held {
            self.legs[leg as usize].due = now;
            self.place(leg, now);
        }
        self.count_in(key);
        true
    }

    /// Makes what waits of a message due. `false` when nothing waits.
    pub(crate) fn flush(&mut self, message: MessageKey, now: UnixTime) -> bool {
        let MessageKey(key) = message;
        let waiting = self.waiting_legs(key);
        if waiting.is_empty() || self.messages[key as usize].held {
            return false;
        }
        self.count_out(key);
        for leg in waiting {
            self.lift(leg);
            let due = &mut self.legs[leg as usize].due;
            *due = (*due).min(now);
            self.place(leg, now);
        }
        self.count_in(key);
        true
    }

    /// Ends a message: returns the recipients that are done now. What is in flight is not tried
    /// again.
    pub(crate) fn remove(&mut self, message: MessageKey) -> Vec<u32> {
        let MessageKey(key) = message;
        self.count_out(key);
        let mut removed = Vec::new();
        for leg in self.waiting_legs(key) {
            for recipient in self.recipients_of(key, leg) {
                self.finish(key, recipient);
                removed.push(recipient);
            }
        }
        self.messages[key as usize].removed = true;
        self.count_in(key);
        removed.sort_unstable();
        removed
    }

    /// Whether an operator has removed a message of which something is or was in flight.
    pub(crate) fn is_removed(&self, message: MessageKey) -> bool {
        self.messages[message.0 as usize].removed
    }

    /// Routes what waits of a message anew; due times stay.
    pub(crate) fn reroute(
        &mut self,
        message: MessageKey,
        now: UnixTime,
        mut route: impl FnMut(u32) -> NextHop,
    ) {
        let MessageKey(key) = message;
        self.count_out(key);
        for leg in self.waiting_legs(key) {
            let recipients = self.recipients_of(key, leg);
            let hops: Vec<NextHop> = recipients.iter().map(|one| route(*one)).collect();
            let now_at = self.lanes.name(self.legs[leg as usize].hop);
            if hops.iter().any(|hop| hop != now_at) {
                self.move_leg(leg, &recipients, &hops, now);
            }
        }
        self.count_in(key);
    }

    /// Replaces a leg by one for each hop of its recipients.
    fn move_leg(&mut self, leg: u32, recipients: &[u32], hops: &[NextHop], now: UnixTime) {
        self.lift(leg);
        let old = &self.legs[leg as usize];
        let (key, due, attempts, tried) = (old.message, old.due, old.attempts, old.tried);
        let mut made = Vec::new();
        for (recipient, hop) in recipients.iter().zip(hops) {
            let entry = super::Entry { hop: hop.clone(), due, attempts: attempts.into() };
            let new = self.leg_for(key, entry, &mut made);
            self.messages[key as usize].recipients[*recipient as usize] = new;
        }
        for new in made {
            self.legs[new as usize].tried = tried;
            self.place(new, now);
        }
        self.drop_leg(leg);
    }

    /// The legs of a message that wait, held or not.
    fn waiting_legs(&self, key: u32) -> Vec<u32> {
        let mut legs = self.legs_of(key);
        legs.retain(|leg| self.legs[*leg as usize].place != Place::InFlight);
        legs
    }

    /// Whether all recipients of a message are done.
    pub(crate) fn is_finished(&self, message: MessageKey) -> bool {
        self.messages[message.0 as usize].recipients.iter().all(|leg| *leg == DONE)
    }

    /// The state of a message as a whole; `None` when it is over.
    pub(crate) fn state(&self, message: MessageKey) -> Option<State> {
        let one = &self.messages[message.0 as usize];
        let least = self.views(message).map(|view| view.state).min()?;
        Some(if one.held { State::Held } else { least })
    }

    /// When a message was accepted.
    pub(crate) fn accepted(&self, message: MessageKey) -> UnixTime {
        self.messages[message.0 as usize].accepted
    }

    /// When a message is given up.
    pub(crate) fn expires(&self, message: MessageKey) -> UnixTime {
        self.expires_at(&self.messages[message.0 as usize])
    }

    /// The recipients of a message that are not done.
    pub(crate) fn views(&self, message: MessageKey) -> impl Iterator<Item = View<'_>> {
        let recipients = self.messages[message.0 as usize].recipients.iter().zip(0..);
        recipients.filter(|(leg, _)| **leg != DONE).map(|(leg, recipient)| {
            let leg = &self.legs[*leg as usize];
            let waits = matches!(leg.place, Place::Waiting(_));
            View {
                recipient,
                hop: self.lanes.name(leg.hop),
                state: state_of(leg),
                attempts: leg.attempts.into(),
                next: waits.then_some(leg.due),
            }
        })
    }

    /// All messages, in no order that means anything.
    pub(crate) fn messages(&self) -> impl Iterator<Item = MessageKey> {
        self.messages.iter().map(|(key, _)| MessageKey(super::index(key)))
    }

    /// The message at or after place `from`, and the place after it: to go over all of them a few
    /// at a time.
    pub(crate) fn message_from(&self, from: usize) -> Option<MessageKey> {
        let places = from..self.messages.capacity().max(from);
        places
            .into_iter()
            .find(|key| self.messages.contains(*key))
            .map(|key| MessageKey(super::index(key)))
    }

    /// Messages by state, and unfinished recipients by state.
    pub(crate) fn tallies(&self) -> (Tally, Tally) {
        (self.messages_by_state, self.recipients_by_state)
    }

    /// Messages that are not over.
    pub(crate) fn len(&self) -> u64 {
        self.messages_by_state.iter().sum()
    }

    /// When the oldest message was accepted.
    pub(crate) fn oldest(&self) -> Option<UnixTime> {
        self.ages.oldest()
    }
}

impl MessageKey {
    /// The place of the message in tables beside the schedule.
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}
