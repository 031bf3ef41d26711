//! The receiving side of one shard.

use crate::accept;
use crate::census::{Census, CensusMessage, Totals};
use crate::counters::Counters;
use crate::door::{Door, ListenerOptions};
use lookup::Authenticator;
use mail::{Event, EventKind, Field, Journal};
use policy::{Admission, Policy};
use queue::Queue;
use reactor::{Instant, Interrupter, Listener, Reactor, Receiver, Sender, Signal};
use smtp::{ListenerKind, Notes, ServerOptions, Verb};
use std::cell::{Cell, Ref, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use wire::ServerTls;

/// What an operator may set about receiving, beyond sessions' and policy's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Sessions open at a time, over all shards, at least 1; the next gets 421 4.7.0. Default:
    /// 20,000, or what the descriptors allow.
    pub sessions: u64,
    /// `[smtp]`.
    pub smtp: ServerOptions,
}

impl Default for Options {
    fn default() -> Self {
        Self { sessions: 20_000, smtp: ServerOptions::default() }
    }
}

/// What a shard's receiving side is started with.
pub struct Start {
    /// What the operator has set.
    pub options: Options,
    /// Who may send what.
    pub policy: Policy,
    /// Where messages go.
    pub queue: Queue,
    /// Where events go.
    pub journal: Journal,
    /// This shard's number.
    pub shard: usize,
    /// Sessions of all shards.
    pub totals: Totals,
    /// The shards' ends of the census, this one's own included; empty with a single shard.
    pub peers: Vec<Sender<CensusMessage>>,
    /// This shard's end.
    pub inbox: Receiver<CensusMessage>,
    /// A secret of the process, the same for all shards.
    pub seed: u64,
}

/// The receiving side of one shard; cloning gives another handle.
#[derive(Clone)]
pub struct Server {
    shard: Rc<Shard>,
}

/// What the sessions of a shard share. Every method is synchronous: nothing is borrowed across an
/// await.
pub(crate) struct Shard {
    pub(crate) reactor: Reactor,
    number: usize,
    queue: Queue,
    journal: Journal,
    policy: RefCell<Rc<Policy>>,
    smtp: RefCell<Rc<ServerOptions>>,
    sessions_max: Cell<u64>,
    pub(crate) census: Rc<Census>,
    totals: Totals,
    counters: RefCell<Counters>,
    /// Open sessions by number: what a drain interrupts.
    open: RefCell<BTreeMap<u64, Interrupter>>,
    listeners: RefCell<Vec<Interrupter>>,
    /// What new sessions encrypt with, if a certificate is set.
    tls: RefCell<Option<ServerTls>>,
    /// Who keeps accounts, if anybody does.
    authenticator: RefCell<Option<Authenticator>>,
    next_session: Cell<u64>,
    draining: Cell<bool>,
    /// A session has ended: descriptors are free, or the drain is over.
    pub(crate) ended: Signal,
}

impl Server {
    /// Starts the receiving side; it serves nobody until [`listen`](Self::listen).
    pub fn start(reactor: &Reactor, start: Start) -> Self {
        let policy_options = start.policy.options().clone();
        let census = Census::new(reactor, start.shard, start.peers, start.seed, &policy_options);
        let census = Rc::new(census);
        reactor.spawn(Rc::clone(&census).answer(reactor.clone(), start.inbox));
        let shard = Shard {
            reactor: reactor.clone(),
            number: start.shard,
            queue: start.queue,
            journal: start.journal,
            policy: RefCell::new(Rc::new(start.policy)),
            smtp: RefCell::new(Rc::new(start.options.smtp)),
            sessions_max: Cell::new(start.options.sessions),
            census,
            totals: start.totals,
            counters: RefCell::default(),
            open: RefCell::default(),
            listeners: RefCell::default(),
            tls: RefCell::default(),
            authenticator: RefCell::default(),
            next_session: Cell::new(0),
            draining: Cell::new(false),
            ended: Signal::new(reactor),
        };
        Self { shard: Rc::new(shard) }
    }

    /// Accepts connections from `listener` until the drain. A name alone is a listener for relays.
    pub fn listen(&self, listener: Listener, options: impl Into<ListenerOptions>) {
        let door = Door::new(options.into());
        let mut counters = self.shard.counters.borrow_mut();
        counters.sessions.entry(door.options.name.clone()).or_default();
        drop(counters);
        self.shard.listeners.borrow_mut().push(listener.interrupter());
        self.shard.reactor.spawn(accept::accept(Rc::clone(&self.shard), listener, door));
    }

    /// What new sessions encrypt with from now on; `None`: there is no certificate.
    pub fn set_tls(&self, tls: Option<ServerTls>) {
        *self.shard.tls.borrow_mut() = tls;
    }

    /// Who is asked from now on who a client is.
    pub fn set_authenticator(&self, authenticator: Option<Authenticator>) {
        *self.shard.authenticator.borrow_mut() = authenticator;
    }

    /// Takes a new configuration over: sessions that are open keep their own.
    pub fn reload(&self, options: Options, policy: Policy) {
        self.shard.census.reload(policy.options());
        *self.shard.policy.borrow_mut() = Rc::new(policy);
        *self.shard.smtp.borrow_mut() = Rc::new(options.smtp);
        self.shard.sessions_max.set(options.sessions);
    }

    /// Stops accepting, tells idle sessions 421, waits for bodies under way until `by`. Returns
    /// how many sessions were left.
    pub async fn drain(&self, by: Instant) -> usize {
        self.shard.draining.set(true);
        for listener in self.shard.listeners.borrow_mut().drain(..) {
            listener.interrupt();
        }
        for session in self.shard.open.borrow().values() {
            session.interrupt();
        }
        while self.open_sessions() > 0 {
            if !self.shard.ended.wait(by).await {
                break;
            }
        }
        self.open_sessions()
    }

    /// Sessions open now.
    pub fn open_sessions(&self) -> usize {
        self.shard.open.borrow().len()
    }

    /// The numbers since the start; the samples are taken away.
    pub fn counters(&self) -> Counters {
        let mut counters = self.shard.counters.borrow_mut();
        let taken = counters.clone();
        counters.accept_seconds.clear();
        taken
    }
}

impl Shard {
    pub(crate) fn now(&self) -> Instant {
        self.reactor.now()
    }

    pub(crate) fn wall_clock(&self) -> Duration {
        self.reactor.wall_clock()
    }

    pub(crate) fn queue(&self) -> &Queue {
        &self.queue
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    pub(crate) fn smtp(&self) -> Rc<ServerOptions> {
        Rc::clone(&self.smtp.borrow())
    }

    /// The options of a new session at `door`. What can be offered to users changes with their
    /// table.
    pub(crate) fn options_for(&self, door: &Door) -> Rc<ServerOptions> {
        if door.options.kind == ListenerKind::Submission {
            let authenticator = self.authenticator.borrow();
            let offered = authenticator.iter().flat_map(|keeper| keeper.offered().list());
            let mechanisms: Vec<Box<str>> = offered.map(|one| one.name().into()).collect();
            let mut smtp = self.smtp.borrow_mut();
            if smtp.mechanisms != mechanisms {
                *smtp = Rc::new(ServerOptions { mechanisms, ..(**smtp).clone() });
            }
        }
        self.smtp()
    }

    pub(crate) fn tls(&self) -> Option<ServerTls> {
        self.tls.borrow().clone()
    }

    pub(crate) fn authenticator(&self) -> Option<Authenticator> {
        self.authenticator.borrow().clone()
    }

    pub(crate) fn policy(&self) -> Ref<'_, Rc<Policy>> {
        self.policy.borrow()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Whether all shards together have as many sessions as they may.
    pub(crate) fn is_full(&self) -> bool {
        self.totals.sum() >= self.sessions_max.get() && !reactor::mutated("sessions-not-counted")
    }

    /// Over 80% of that: strangers are given less time.
    pub(crate) fn is_stressed(&self) -> bool {
        self.totals.sum() * 5 > self.sessions_max.get() * 4
    }

    /// Whether new messages are taken.
    pub(crate) fn admission(&self) -> Admission {
        if self.is_draining() {
            return Admission::Draining;
        }
        match self.queue.admission() {
            queue::Admission::Open => Admission::Open,
            queue::Admission::QueueFull => Admission::QueueFull,
            queue::Admission::DiskFull => Admission::DiskFull,
            queue::Admission::Failed => Admission::Stopped,
        }
    }

    /// Notes a new session and gives it a number.
    pub(crate) fn open(&self, listener: &Rc<str>, interrupter: Interrupter) -> u64 {
        let number = self.next_session.replace(self.next_session.get() + 1);
        self.open.borrow_mut().insert(number, interrupter);
        let mut counters = self.counters.borrow_mut();
        let count = counters.listener(listener);
        count.open += 1;
        count.total += 1;
        self.publish();
        number
    }

    /// Notes the end of a session that was encrypted by this version of TLS, if it was.
    pub(crate) fn close(&self, listener: &Rc<str>, number: u64, tls: Option<&str>) {
        self.open.borrow_mut().remove(&number);
        let mut counters = self.counters.borrow_mut();
        let count = counters.listener(listener);
        count.open -= 1;
        count.ended[tls.map_or(0, |version| if version == "1.2" { 1 } else { 2 })] += 1;
        drop(counters);
        self.publish();
        self.ended.notify_all();
    }

    fn publish(&self) {
        self.totals.publish(self.number, self.open.borrow().len() as u64);
    }

    pub(crate) fn count_turned_away(&self, listener: &Rc<str>, reason: &'static str) {
        let mut counters = self.counters.borrow_mut();
        *counters.sessions_refused.entry(((&**listener).into(), reason)).or_insert(0) += 1;
    }

    pub(crate) fn count_refusal(&self, stage: &'static str, rule: &str) {
        let mut counters = self.counters.borrow_mut();
        *counters.refused.entry((stage, rule.into())).or_insert(0) += 1;
    }

    /// Counts a handshake: its version, or `failed`.
    pub(crate) fn count_tls(&self, version: &str) {
        *self.counters.borrow_mut().tls.entry(version.into()).or_insert(0) += 1;
    }

    pub(crate) fn count_auth(&self, mechanism: &'static str, result: &'static str) {
        *self.counters.borrow_mut().auth.entry((mechanism, result)).or_insert(0) += 1;
    }

    pub(crate) fn count_notes(&self, notes: &Notes) {
        let mut counters = self.counters.borrow_mut();
        counters.bare_newlines_normalised += notes.bare_newlines;
        counters.bare_newlines_refused += u64::from(notes.bare_newlines_refused);
    }

    pub(crate) fn count_replies(&self, replies: &[(Verb, u16, u32)]) {
        let mut counters = self.counters.borrow_mut();
        for &(verb, code, times) in replies {
            *counters.replies.entry((verb, code)).or_insert(0) += u64::from(times);
        }
    }

    pub(crate) fn count_message(
        &self,
        listener: &Rc<str>,
        bytes: u64,
        recipients: u64,
        took: Duration,
    ) {
        let mut counters = self.counters.borrow_mut();
        counters.listener(listener).messages += 1;
        counters.bytes += bytes;
        counters.recipients += recipients;
        counters.sample_accept(took);
    }

    /// Records an event about a listener.
    pub(crate) fn note(&self, kind: EventKind, listener: &Rc<str>, reason: String) {
        let event = Event::new(kind).text(Field::Listener, &**listener);
        self.journal.record(event.text(Field::Reason, reason));
    }
}
