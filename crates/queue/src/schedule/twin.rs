//! The naive twin of the schedule, and a property test between them.

use super::*;
use proptest::prelude::*;
use std::time::Duration;

const SECOND: u64 = 1_000_000;

/// A list of legs; every question is answered by looking at all of them.
#[derive(Default)]
struct Twin {
    legs: Vec<TwinLeg>,
    messages: Vec<TwinMessage>,
}

struct TwinMessage {
    key: MessageKey,
    expires: u64,
    held: bool,
    removed: bool,
    forgotten: bool,
}

#[derive(Clone, Debug)]
struct TwinLeg {
    message: usize,
    hop: u32,
    due: u64,
    attempts: u32,
    recipients: Vec<u32>,
    tried: bool,
    flying: Option<LegKey>,
}

impl Twin {
    fn waits(&self, leg: &TwinLeg) -> bool {
        leg.flying.is_none() && !self.messages[leg.message].held
    }

    fn due(&self, now: u64) -> Vec<(u32, usize)> {
        let mut hops: Vec<(u64, u32, usize)> = Vec::new();
        for leg in self.legs.iter().filter(|leg| self.waits(leg) && leg.due <= now) {
            match hops.iter_mut().find(|(_, hop, _)| *hop == leg.hop) {
                Some((due, _, legs)) => (*due, *legs) = ((*due).min(leg.due), *legs + 1),
                None => hops.push((leg.due, leg.hop, 1)),
            }
        }
        let mut hops: Vec<(u32, usize)> = hops.into_iter().map(|(_, hop, n)| (hop, n)).collect();
        hops.sort_unstable();
        hops
    }

    fn state(&self, leg: &TwinLeg, now: u64) -> State {
        match (leg.flying.is_some(), self.messages[leg.message].held) {
            (true, _) => State::Active,
            (false, true) => State::Held,
            (false, false) if leg.due <= now || leg.attempts == 0 => State::Active,
            (false, false) => State::Deferred,
        }
    }

    fn tallies(&self, now: u64) -> (Tally, Tally) {
        let (mut messages, mut recipients) = (Tally::default(), Tally::default());
        for (index, message) in self.messages.iter().enumerate() {
            let mut least = None;
            for leg in self.legs.iter().filter(|leg| leg.message == index) {
                let state = self.state(leg, now);
                recipients[state as usize] += leg.recipients.len() as u64;
                least = Some(least.map_or(state, |least: State| least.min(state)));
            }
            if let Some(state) = least {
                let state = if message.held { State::Held } else { state };
                messages[state as usize] += 1;
            }
        }
        (messages, recipients)
    }
}

struct Pair {
    twin: Twin,
    schedule: Schedule,
    now: u64,
}

fn hop(number: u32) -> NextHop {
    NextHop::new(&format!("mx://{number}.example"))
}

fn retry() -> Retry {
    Retry {
        first: Duration::from_secs(10),
        factor: 2.0,
        max: Duration::from_secs(60),
        give_up: Duration::from_secs(300),
        give_up_bounces: Duration::from_secs(100),
    }
}

impl Pair {
    fn new() -> Self {
        Self { twin: Twin::default(), schedule: Schedule::new(retry()), now: 1000 * SECOND }
    }

    fn time(&self) -> UnixTime {
        UnixTime(self.now)
    }

    fn insert(&mut self, a: u32, b: u32) {
        let (bounce, count) = (a.is_multiple_of(3), 1 + a % 4);
        let message = self.twin.messages.len();
        let mut entries = Vec::new();
        let mut legs: Vec<TwinLeg> = Vec::new();
        for recipient in 0..count {
            let hop_number = b.wrapping_add(recipient * b) % 3;
            let due = self.now + u64::from(b % 2) * 5 * SECOND;
            entries.push(Some(Entry { hop: hop(hop_number), due: UnixTime(due), attempts: b % 2 }));
            match legs.iter_mut().find(|leg| leg.hop == hop_number) {
                Some(leg) => leg.recipients.push(recipient),
                None => legs.push(TwinLeg {
                    message,
                    hop: hop_number,
                    due,
                    attempts: b % 2,
                    recipients: vec![recipient],
                    tried: false,
                    flying: None,
                }),
            }
        }
        let key = self.schedule.insert(self.time(), bounce, false, entries, self.time());
        let limit = if bounce { 100 } else { 300 };
        let expires = self.now + limit * SECOND;
        let (held, removed, forgotten) = (false, false, false);
        self.twin.messages.push(TwinMessage { key, expires, held, removed, forgotten });
        self.twin.legs.extend(legs);
    }

    fn take(&mut self, a: u32) {
        let handed = self.schedule.take(&hop(a % 3), self.time());
        let twin = &self.twin;
        let ready = twin
            .legs
            .iter()
            .filter(|leg| twin.waits(leg) && leg.hop == a % 3 && leg.due <= self.now);
        let oldest = ready.map(|leg| leg.due).min();
        assert_eq!(handed.is_some(), oldest.is_some());
        let Some(handed) = handed else { return };
        let place = self.twin.legs.iter().position(|leg| {
            let message = &self.twin.messages[leg.message];
            !message.forgotten
                && message.key == handed.message
                && leg.recipients == handed.recipients
        });
        let leg = &mut self.twin.legs[place.expect("a leg that the twin knows")];
        assert_eq!((Some(leg.due), leg.attempts + 1), (oldest, handed.attempt));
        assert_eq!(leg.flying.replace(handed.leg), None);
    }

    /// One of the legs in flight.
    fn flying(&self, a: u32) -> Option<usize> {
        let flying = (0..self.twin.legs.len()).filter(|at| self.twin.legs[*at].flying.is_some());
        let flying: Vec<usize> = flying.collect();
        (!flying.is_empty()).then(|| flying[a as usize % flying.len()])
    }

    fn give_back(&mut self, a: u32) {
        let Some(at) = self.flying(a) else { return };
        let leg = self.twin.legs[at].flying.take().expect("just looked for");
        let mut removed = self.schedule.give_back(leg, self.time());
        removed.sort_unstable();
        if self.twin.messages[self.twin.legs[at].message].removed {
            assert_eq!(removed, self.twin.legs.remove(at).recipients);
        } else {
            assert!(removed.is_empty());
        }
    }

    /// Recipient n of the leg is done, retried or not mentioned, as the digits of `b` in base 3.
    fn settle(&mut self, a: u32, mut b: u32) {
        let Some(at) = self.flying(a) else { return };
        let mut leg = self.twin.legs.remove(at);
        let flying = leg.flying.take().expect("just looked for");
        let (mut verdicts, mut retried, mut rest) = (Vec::new(), Vec::new(), Vec::new());
        for recipient in leg.recipients.clone() {
            match b % 3 {
                0 => verdicts.push((recipient, Verdict::Done)),
                1 => {
                    let not_before = UnixTime(self.now + u64::from(b % 5) * SECOND);
                    verdicts.push((recipient, Verdict::Retry { not_before }));
                    retried.push(recipient);
                }
                _ => rest.push(recipient),
            }
            b = b / 3 + 7;
        }
        let settled = self.schedule.settle(flying, verdicts, self.time(), 0.5);
        let message = &self.twin.messages[leg.message];
        if message.removed {
            let mut all = [retried, rest].concat();
            all.sort_unstable();
            let mut removed = settled.removed;
            removed.sort_unstable();
            assert_eq!(removed, all);
            return;
        }
        if !rest.is_empty() {
            self.twin.legs.push(TwinLeg { recipients: rest, ..leg.clone() });
        }
        if self.now >= message.expires && !message.held {
            assert_eq!((settled.expired, settled.retried), (retried, vec![]));
            return;
        }
        assert_eq!(settled.retried, retried);
        if retried.is_empty() {
            return;
        }
        let delay = retry().delay(leg.attempts + 1, 0.5).as_micros() as u64;
        let latest = self.now + delay.max(4 * SECOND);
        // The last attempt is made when the time is over; what was held beyond goes on as before.
        let last = if self.now < message.expires { message.expires } else { u64::MAX };
        assert!(settled.due.0 >= (self.now + delay).min(last));
        assert!(settled.due.0 <= latest.min(last));
        let (due, attempts, tried) = (settled.due.0, leg.attempts + 1, true);
        self.twin.legs.push(TwinLeg { recipients: retried, due, attempts, tried, ..leg });
    }

    fn operate(&mut self, a: u32, b: u32) {
        if self.twin.messages.is_empty() {
            return;
        }
        let index = a as usize % self.twin.messages.len();
        let now = self.time();
        let message = &mut self.twin.messages[index];
        if message.forgotten {
            return;
        }
        let key = message.key;
        let mine = |leg: &&mut TwinLeg| leg.message == index && leg.flying.is_none();
        match b % 4 {
            0 => message.held |= self.schedule.hold(key),
            1 => {
                let released = self.schedule.release(key, now);
                assert_eq!(released, std::mem::take(&mut message.held));
                for leg in self.twin.legs.iter_mut().filter(mine).filter(|_| released) {
                    leg.due = now.0;
                }
            }
            2 => {
                let flushed = self.schedule.flush(key, now);
                for leg in self.twin.legs.iter_mut().filter(mine).filter(|_| flushed) {
                    leg.due = leg.due.min(now.0);
                }
            }
            _ => {
                message.removed = true;
                let mut removed = Vec::new();
                self.twin.legs.retain(|leg| {
                    let gone = leg.message == index && leg.flying.is_none();
                    if gone {
                        removed.extend(&leg.recipients);
                    }
                    !gone
                });
                removed.sort_unstable();
                assert_eq!(self.schedule.remove(key), removed);
            }
        }
    }

    fn expire(&mut self) {
        while let Some(Expired { message: key, recipients }) = self.schedule.expire(self.time()) {
            let recipients: Vec<u32> = recipients.iter().map(|gone| gone.recipient).collect();
            let index = self
                .twin
                .messages
                .iter()
                .position(|message| message.key == key && !message.forgotten);
            let index = index.expect("a message that the twin knows");
            assert!(self.twin.messages[index].expires <= self.now);
            let held = self.twin.messages[index].held;
            let (over, rest): (Vec<_>, Vec<_>) = self.twin.legs.drain(..).partition(|leg| {
                leg.message == index && leg.flying.is_none() && leg.tried && !held
            });
            self.twin.legs = rest;
            let mut expected: Vec<u32> = over.into_iter().flat_map(|leg| leg.recipients).collect();
            expected.sort_unstable();
            assert_eq!(recipients, expected);
        }
        let late = self.twin.legs.iter().find(|leg| {
            self.twin.waits(leg) && leg.tried && self.twin.messages[leg.message].expires <= self.now
        });
        assert!(late.is_none(), "given up too late: {late:?}");
    }

    fn reroute(&mut self, a: u32, b: u32) {
        let Some(message) = self.twin.messages.get(a as usize % self.twin.messages.len().max(1))
        else {
            return;
        };
        if message.forgotten {
            return;
        }
        let index = self.twin.messages.iter().position(|one| std::ptr::eq(one, message));
        let route = |recipient: u32| (b + recipient) % 3;
        self.schedule.reroute(message.key, UnixTime(self.now), |one| hop(route(one)));
        let (moved, mut legs): (Vec<_>, Vec<_>) = self
            .twin
            .legs
            .drain(..)
            .partition(|leg| Some(leg.message) == index && leg.flying.is_none());
        for leg in moved {
            for to in 0..3 {
                let theirs = leg.recipients.iter().copied().filter(|one| route(*one) == to);
                let recipients: Vec<u32> = theirs.collect();
                if !recipients.is_empty() {
                    legs.push(TwinLeg { hop: to, recipients, ..leg.clone() });
                }
            }
        }
        self.twin.legs = legs;
    }

    fn forget_finished(&mut self) {
        for (index, message) in self.twin.messages.iter_mut().enumerate() {
            let over = self.twin.legs.iter().all(|leg| leg.message != index);
            if over && !message.forgotten {
                assert!(self.schedule.is_finished(message.key));
                self.schedule.forget(message.key);
                message.forgotten = true;
            }
        }
    }

    fn compare(&mut self) {
        let mut due: Vec<(u32, usize)> = Vec::new();
        for (name, legs) in self.schedule.due(self.time()) {
            let number = (0..3).find(|number| hop(*number) == name).expect("one of ours");
            due.push((number, legs));
        }
        due.sort_unstable();
        assert_eq!(due, self.twin.due(self.now));
        let later = self.twin.legs.iter().filter(|leg| self.twin.waits(leg) && leg.due > self.now);
        assert_eq!(self.schedule.next_due().map(|due| due.0), later.map(|leg| leg.due).min());
        assert_eq!(self.schedule.tallies(), self.twin.tallies(self.now));
        assert_eq!(self.schedule.legs.len(), self.twin.legs.len());
        self.schedule.check();
    }

    fn step(&mut self, op: u8, a: u32, b: u32) {
        match op {
            0 | 1 => self.insert(a, b),
            2..=4 => self.take(a),
            5 => self.give_back(a),
            6 | 7 => self.settle(a, b),
            8 => self.operate(a, b),
            9 => self.reroute(a, b),
            10 => self.now += u64::from(a % 20) * SECOND,
            _ => self.now += u64::from(a % 200) * SECOND,
        }
        self.expire();
        self.forget_finished();
        self.compare();
    }
}

impl Schedule {
    /// The invariants of the module's page.
    fn check(&self) {
        let mut waiting = 0;
        let mut held = std::collections::HashMap::<u32, u32>::new();
        for (_, message) in &self.messages {
            for leg in message.recipients.iter().filter(|leg| **leg != DONE) {
                *held.entry(*leg).or_default() += 1;
            }
        }
        let mut hops = BTreeSet::new();
        for (key, leg) in &self.legs {
            assert!(leg.recipients > 0, "a leg without recipients");
            assert_eq!(held.get(&index(key)), Some(&leg.recipients));
            waiting += usize::from(matches!(leg.place, Place::Waiting(_)));
            assert!(leg.place != Place::Held || self.messages[leg.message as usize].held);
            hops.insert(leg.hop);
        }
        assert_eq!(held.len(), self.legs.len());
        assert_eq!(waiting, self.lanes.waiting());
        assert_eq!(hops.len(), self.lanes.len(), "a hop without legs");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn the_schedule_does_what_its_naive_twin_does(
        steps in proptest::collection::vec((0u8..12, 0u32..1000, 0u32..1000), 1..120),
    ) {
        let mut pair = Pair::new();
        for (op, a, b) in steps {
            pair.step(op, a, b);
        }
    }
}

// Found by a seed in which the clock was wrong at one start and right at the next.
#[test]
fn what_was_overdue_by_a_wrong_clock_only_is_not_given_up() {
    let mut schedule = Schedule::new(retry());
    let now = UnixTime(9000 * SECOND);
    let entry = Entry { hop: hop(0), due: UnixTime(0), attempts: 5 };
    let message = schedule.insert(UnixTime(0), false, false, [Some(entry)], now);
    schedule.redate(message, now);
    let handed = schedule.take(&hop(0), now).expect("due");
    schedule.settle(handed.leg, [(0, Verdict::Retry { not_before: now })], now, 0.5);
    assert!(schedule.expire(now).is_none(), "its time has hardly begun");
    assert!(schedule.expire(now.plus(retry().give_up)).is_some());
}

#[test]
fn a_queued_message_takes_at_most_100_bytes_of_the_schedule() {
    // Sets that grow at their end fill their nodes to six elevenths, and add one in six above.
    let in_sets = (lanes::KEY_BYTES + age::KEY_BYTES) * 11 / 6 * 7 / 6;
    let message = size_of::<Message>() + size_of::<Leg>() + in_sets;
    assert!(message <= 100, "{message}");
}

#[test]
fn a_deferred_recipient_is_not_due_before_its_retry_time() {
    let mut schedule = Schedule::new(retry());
    let start = UnixTime(1000 * SECOND);
    let entry = Entry { hop: hop(0), due: start, attempts: 0 };
    schedule.insert(start, false, false, [Some(entry)], start);
    let handed = schedule.take(&hop(0), start).expect("due at once");
    let later = UnixTime(1007 * SECOND);
    let verdict = Verdict::Retry { not_before: later };
    let settled = schedule.settle(handed.leg, [(0, verdict)], start, 0.0);
    assert_eq!(settled.due, UnixTime(1008 * SECOND), "10 s less a fifth");
    assert_eq!(schedule.next_due(), Some(settled.due));
    assert!(schedule.take(&hop(0), UnixTime(1008 * SECOND - 1)).is_none());
    assert!(schedule.take(&hop(0), UnixTime(1008 * SECOND)).is_some());
}

#[test]
fn a_next_hop_may_ask_for_more_time_than_the_back_off_gives() {
    let mut schedule = Schedule::new(retry());
    let start = UnixTime(1000 * SECOND);
    let entry = Entry { hop: hop(0), due: start, attempts: 0 };
    schedule.insert(start, false, false, [Some(entry)], start);
    let handed = schedule.take(&hop(0), start).expect("due at once");
    let verdict = Verdict::Retry { not_before: UnixTime(1100 * SECOND) };
    let settled = schedule.settle(handed.leg, [(0, verdict)], start, 0.5);
    assert_eq!(settled.due, UnixTime(1100 * SECOND));
    assert_eq!(schedule.next_due(), Some(settled.due));
}

#[test]
fn what_this_process_has_not_tried_is_tried_once_before_it_is_given_up() {
    let mut schedule = Schedule::new(retry());
    let now = UnixTime(9000 * SECOND);
    let entry = Entry { hop: hop(0), due: UnixTime(0), attempts: 5 };
    schedule.insert(UnixTime(0), false, false, [Some(entry)], now);
    assert!(schedule.expire(now).is_none());
    let handed = schedule.take(&hop(0), now).expect("due");
    let verdict = Verdict::Retry { not_before: now };
    let settled = schedule.settle(handed.leg, [(0, verdict)], now, 0.5);
    assert_eq!(settled.expired, [0]);
}

#[test]
fn a_clock_that_jumps_gives_nothing_up_for_a_while() {
    let mut schedule = Schedule::new(retry());
    let start = UnixTime(1000 * SECOND);
    let entry = Entry { hop: hop(0), due: start, attempts: 0 };
    schedule.insert(start, false, false, [Some(entry)], start);
    let handed = schedule.take(&hop(0), start).expect("due at once");
    let verdict = Verdict::Retry { not_before: start };
    schedule.settle(handed.leg, [(0, verdict)], start, 0.5);
    let jumped = UnixTime(9000 * SECOND);
    schedule.suspend_expiry(UnixTime(9100 * SECOND));
    assert!(schedule.expire(jumped).is_none());
    assert!(schedule.expire(UnixTime(9100 * SECOND)).is_some());
}
