//! Who promised what, what arrived, and whether that agrees.
//!
//! A pure structure: times arrive as arguments. Start reading at [`Ledger::settle`].

use crate::message::Message;
use reactor::Instant;
use std::collections::BTreeMap;

/// Names an arrival.
pub(crate) type ArrivalId = usize;

/// A message and one of its recipients.
type Pair = (u32, usize);

/// When something arrived, and when the session that brought it was accepted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct When {
    pub(crate) at: Instant,
    pub(crate) began: Instant,
}

/// What a client knows of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Submission {
    /// The end of data was sent: it may arrive.
    ended: bool,
}

/// A message or a report that a next hop has taken.
#[derive(Clone, Debug)]
struct Arrival {
    at: Instant,
    /// When its session was accepted.
    began: Instant,
    /// The relay went on in that session after our final reply: it has heard it.
    heard: bool,
    /// The report that says that it failed, by its id; else the message itself.
    report: Option<String>,
}

/// What was submitted, promised and brought.
#[derive(Default)]
pub(crate) struct Ledger {
    messages: BTreeMap<u32, Message>,
    submissions: BTreeMap<u32, Submission>,
    /// 250 was said to the end of data.
    promised: BTreeMap<Pair, Instant>,
    arrivals: Vec<Arrival>,
    by_pair: BTreeMap<Pair, Vec<ArrivalId>>,
    /// When the relay ended without having written everything down.
    crashes: Vec<Instant>,
    /// Ends of data and arrivals so far.
    moves: u64,
    wrongs: Vec<String>,
}

impl Ledger {
    /// A client is about to submit `message`.
    pub(crate) fn submit(&mut self, message: Message) {
        self.submissions.insert(message.number, Submission::default());
        self.messages.insert(message.number, message);
    }

    /// The end of its data is about to be sent.
    pub(crate) fn end_of_data(&mut self, number: u32) {
        self.submissions.entry(number).or_default().ended = true;
        self.moves += 1;
    }

    /// The relay said 250 to it, for one recipient.
    pub(crate) fn promise(&mut self, number: u32, recipient: usize, at: Instant) {
        self.promised.insert((number, recipient), at);
    }

    /// The relay ended without having written everything down.
    pub(crate) fn crash(&mut self, at: Instant) {
        self.crashes.push(at);
    }

    /// A next hop has taken `body`, the trace field taken off, for a recipient.
    pub(crate) fn arrive(&mut self, pair: Pair, body: &[u8], when: When) -> ArrivalId {
        let When { at, began } = when;
        let (number, recipient) = pair;
        let ended = self.submissions.get(&number).is_some_and(|submission| submission.ended);
        match self.messages.get(&number) {
            Some(message) if ended && recipient < message.domains.len() => {
                if message.body != body {
                    let lengths = (message.body.len(), body.len());
                    self.wrong(at, format!("message {number} arrives damaged: {lengths:?} bytes"));
                }
            }
            _ => self.wrong(at, format!("message {number} arrives and was never sent")),
        }
        self.enter(pair, Arrival { at, began, heard: false, report: None })
    }

    /// A next hop has taken report `id`, which says that a recipient failed.
    pub(crate) fn report(&mut self, pair: Pair, id: &str, when: When) -> ArrivalId {
        let When { at, began } = when;
        if !self.messages.contains_key(&pair.0) {
            self.wrong(at, format!("a report on message {} that was never sent", pair.0));
        }
        let report = Some(id.to_owned());
        self.enter(pair, Arrival { at, began, heard: false, report })
    }

    fn enter(&mut self, pair: Pair, arrival: Arrival) -> ArrivalId {
        self.moves += 1;
        self.arrivals.push(arrival);
        let id = self.arrivals.len() - 1;
        self.by_pair.entry(pair).or_default().push(id);
        id
    }

    /// The relay has heard the final reply to an arrival.
    pub(crate) fn heard(&mut self, id: ArrivalId) {
        self.arrivals[id].heard = true;
    }

    /// Something that must not happen has happened.
    pub(crate) fn wrong(&mut self, at: Instant, what: String) {
        self.wrongs.push(format!("at {:.6} s: {what}", at.0 as f64 / 1e9));
    }

    /// Ends of data and arrivals so far: what a crash may be aimed at.
    pub(crate) fn moves(&self) -> u64 {
        self.moves
    }

    /// How many recipients were promised.
    pub(crate) fn promises(&self) -> usize {
        self.promised.len()
    }

    /// How many arrivals there were.
    pub(crate) fn arrivals(&self) -> usize {
        self.arrivals.len()
    }

    /// At the end, when all mail must have left: everything that is wrong.
    pub(crate) fn settle(mut self) -> Vec<String> {
        let promised = std::mem::take(&mut self.promised);
        for ((number, recipient), at) in promised {
            if !self.by_pair.contains_key(&(number, recipient)) {
                self.wrong(at, format!("message {number} for {recipient} got its 250 and is lost"));
            }
        }
        for (pair, ids) in std::mem::take(&mut self.by_pair) {
            self.judge(pair, &ids);
        }
        self.wrongs
    }

    /// An arrival after one of which the relay has heard needs a cause: a crash that ate what it
    /// had heard, or that it was under way already, in a session that the relay has given up (it
    /// hears nothing of it). After a report nothing may come but the same report again.
    fn judge(&mut self, (number, recipient): Pair, ids: &[ArrivalId]) {
        for pair in ids.windows(2) {
            let (one, next) = (&self.arrivals[pair[0]], &self.arrivals[pair[1]]);
            let at = next.at;
            let crashed = self.crashes.iter().any(|crash| *crash >= one.at && *crash <= at);
            let given_up = !next.heard && next.began <= one.at;
            let what = if one.report.is_some() && one.report != next.report && !given_up {
                "comes once more after a report of its failure"
            } else if one.heard && !crashed && !given_up {
                "arrives twice without a cause"
            } else {
                continue;
            };
            self.wrong(at, format!("message {number} for {recipient} {what}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ledger with message 1, promised to its first recipient.
    fn promised() -> (Ledger, Vec<u8>) {
        let mut ledger = Ledger::default();
        let message = Message::new(0, 1);
        let body = message.body.clone();
        ledger.submit(message);
        ledger.end_of_data(1);
        ledger.promise(1, 0, Instant(5));
        (ledger, body)
    }

    /// In a session that began just before.
    fn when(at: u64) -> When {
        When { at: Instant(at), began: Instant(at - 1) }
    }

    fn only(wrongs: &[String], word: &str) {
        assert!(wrongs.len() == 1 && wrongs[0].contains(word), "{wrongs:?}");
    }

    #[test]
    fn what_was_promised_must_arrive_or_be_reported() {
        only(&promised().0.settle(), "lost");
        let (mut ledger, body) = promised();
        ledger.arrive((1, 0), &body, when(9));
        assert!(ledger.settle().is_empty());
        let (mut ledger, _) = promised();
        ledger.report((1, 0), "x", when(9));
        assert!(ledger.settle().is_empty());
    }

    #[test]
    fn what_arrives_must_have_been_sent_and_be_whole() {
        let (mut ledger, mut body) = promised();
        body.pop();
        ledger.arrive((1, 0), &body, when(9));
        only(&ledger.settle(), "damaged");
        let (mut ledger, body) = promised();
        ledger.arrive((1, 0), &body, when(9));
        ledger.arrive((2, 0), &body, when(9));
        only(&ledger.settle(), "never sent");
    }

    #[test]
    fn a_message_whose_end_was_not_sent_must_not_arrive() {
        let mut ledger = Ledger::default();
        let message = Message::new(0, 1);
        let body = message.body.clone();
        ledger.submit(message);
        ledger.arrive((1, 0), &body, when(9));
        only(&ledger.settle(), "never sent");
    }

    #[test]
    fn a_second_arrival_needs_an_eaten_reply_or_a_crash() {
        let twice = |heard: bool, crash: Option<u64>| {
            let (mut ledger, body) = promised();
            let first = ledger.arrive((1, 0), &body, when(10));
            if heard {
                ledger.heard(first);
            }
            ledger.arrive((1, 0), &body, when(20));
            crash.into_iter().for_each(|at| ledger.crash(Instant(at)));
            ledger.settle()
        };
        only(&twice(true, None), "twice");
        only(&twice(true, Some(9)), "twice");
        only(&twice(true, Some(21)), "twice");
        assert!(twice(true, Some(15)).is_empty());
        assert!(twice(false, None).is_empty());
    }

    #[test]
    fn what_comes_late_in_a_session_that_the_relay_gave_up_is_no_fault_of_its() {
        let late = |second_is_heard: bool| {
            let (mut ledger, body) = promised();
            let first = ledger.arrive((1, 0), &body, when(10));
            ledger.heard(first);
            let began = Instant(5);
            let second = ledger.arrive((1, 0), &body, When { at: Instant(20), began });
            if second_is_heard {
                ledger.heard(second);
            }
            ledger.settle()
        };
        assert!(late(false).is_empty());
        only(&late(true), "twice");
    }

    #[test]
    fn after_a_report_nothing_comes_but_the_same_report() {
        let (mut ledger, body) = promised();
        ledger.report((1, 0), "x", when(10));
        ledger.report((1, 0), "x", when(11));
        ledger.arrive((1, 0), &body, when(15));
        only(&ledger.settle(), "after a report");
    }
}
