//! What an attempt came to.

use super::{DONE, LegKey, MessageKey, Place, Schedule, few};
use mail::UnixTime;

/// What became of a recipient, as far as the schedule cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Delivered or bounced.
    Done,
    /// Again, not before this time.
    Retry {
        /// The back-off may make it later.
        not_before: UnixTime,
    },
}

/// What the schedule made of the recipients that were to be tried again.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Settled {
    /// These are tried again at `due`.
    pub(crate) retried: Vec<u32>,
    /// When.
    pub(crate) due: UnixTime,
    /// Attempts so far.
    pub(crate) attempts: u32,
    /// These are given up, and done.
    pub(crate) expired: Vec<u32>,
    /// These had been removed by an operator, and are done.
    pub(crate) removed: Vec<u32>,
}

impl Schedule {
    /// Ends an attempt. `verdicts` are by recipient; who is not mentioned was not attempted and
    /// is due as before. `chance` in 0..1 spreads the next attempt.
    pub(crate) fn settle(
        &mut self,
        leg: LegKey,
        verdicts: impl IntoIterator<Item = (u32, Verdict)>,
        now: UnixTime,
        chance: f64,
    ) -> Settled {
        let LegKey(leg) = leg;
        let one = &self.legs[leg as usize];
        assert!(one.place == Place::InFlight, "a leg was settled that was not in flight");
        let (key, attempts) = (one.message, u32::from(one.attempts) + 1);
        self.count_out(key);
        let message = &self.messages[key as usize];
        let expires = self.expires_at(message);
        // What an operator has held meanwhile stays.
        let (removed, over) = (message.removed, !message.held && self.is_over(expires, now));
        let due = now.plus(self.retry.delay(attempts, chance));
        let mut settled = Settled { due, attempts, ..Settled::default() };
        for (recipient, verdict) in verdicts {
            if self.messages[key as usize].recipients.get(recipient as usize) != Some(&leg) {
                continue;
            }
            match verdict {
                Verdict::Done => {}
                Verdict::Retry { .. } if removed => settled.removed.push(recipient),
                Verdict::Retry { .. } if over => settled.expired.push(recipient),
                Verdict::Retry { not_before } => {
                    settled.due = settled.due.max(not_before);
                    settled.retried.push(recipient);
                    continue;
                }
            }
            self.finish(key, recipient);
        }
        // The last attempt is made when the time to give up comes, not after it.
        if expires > now {
            settled.due = settled.due.min(expires);
        }
        self.requeue(leg, &mut settled, now);
        self.count_in(key);
        if reactor::mutated("settle-twice") {
            self.count_in(key);
        }
        settled
    }

    /// Puts what is left of a leg in flight back: the retried with their new due time, the rest as
    /// it was.
    fn requeue(&mut self, leg: u32, settled: &mut Settled, now: UnixTime) {
        let Some(one) = self.legs.get(leg as usize) else { return };
        let (key, hop, retried) = (one.message, one.hop, index_count(&settled.retried));
        if retried == one.recipients {
            let one = &mut self.legs[leg as usize];
            (one.due, one.attempts, one.tried) = (settled.due, few(settled.attempts), true);
        } else if retried > 0 {
            let split = self.add_leg(key, hop, settled.due, few(settled.attempts));
            for recipient in &settled.retried {
                self.messages[key as usize].recipients[*recipient as usize] = split;
            }
            self.legs[leg as usize].recipients -= retried;
            let new = &mut self.legs[split as usize];
            (new.recipients, new.tried) = (retried, true);
            self.place(split, now);
        }
        self.return_leg(leg, &mut settled.removed, now);
    }

    /// Puts a leg in flight back as it is; of a removed message nothing waits any more.
    fn return_leg(&mut self, leg: u32, removed: &mut Vec<u32>, now: UnixTime) {
        let key = self.legs[leg as usize].message;
        if !self.messages[key as usize].removed {
            self.place(leg, now);
            return;
        }
        for recipient in self.recipients_of(key, leg) {
            self.finish(key, recipient);
            removed.push(recipient);
        }
    }

    /// Takes a leg back that was not attempted: it is due as before. Returns those of its
    /// recipients that had been removed meanwhile, and are done.
    pub(crate) fn give_back(&mut self, leg: LegKey, now: UnixTime) -> Vec<u32> {
        let LegKey(leg) = leg;
        let one = &self.legs[leg as usize];
        assert!(one.place == Place::InFlight, "a leg was given back that was not in flight");
        let key = one.message;
        let mut removed = Vec::new();
        self.count_out(key);
        self.return_leg(leg, &mut removed, now);
        self.count_in(key);
        removed
    }

    /// Marks a recipient as done, and drops its leg with its last recipient.
    pub(super) fn finish(&mut self, key: u32, recipient: u32) {
        let place = &mut self.messages[key as usize].recipients[recipient as usize];
        let leg = std::mem::replace(place, DONE);
        let one = &mut self.legs[leg as usize];
        one.recipients -= 1;
        if one.recipients == 0 {
            self.lift(leg);
            self.drop_leg(leg);
        }
    }

    /// Forgets a message whose recipients are all done.
    pub(crate) fn forget(&mut self, message: MessageKey) {
        let gone = self.messages.remove(message.0 as usize);
        assert!(gone.recipients.iter().all(|leg| *leg == DONE), "an unfinished message was forgot");
        self.ages.remove(gone.is_bounce, gone.accepted, message.0);
        self.overdue.remove(&message.0);
    }
}

fn index_count(recipients: &[u32]) -> u32 {
    super::index(recipients.len())
}
