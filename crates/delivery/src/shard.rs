//! What the sessions of a shard share. Every method is synchronous: nothing is borrowed across an
//! await.

use crate::counters::Counters;
use crate::destination::Change;
use crate::encrypt::Encryptor;
use crate::home::{self, Content, Effects, HomeMessage, Homes, Notice, Say};
use crate::idle::Idle;
use crate::place::Place;
use crate::post::Post;
use crate::{Options, Routes, attempt};
use lookup::Resolver;
use mail::{Event, EventKind, Field, Journal, NextHop, UnixTime};
use queue::{Queue, Term, Ticket};
use reactor::{Instant, Interrupter, Reactor, Signal};
use std::cell::{Cell, RefCell, RefMut};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

/// The delivering side of one shard.
pub(crate) struct Shard {
    pub(crate) reactor: Reactor,
    pub(crate) queue: Queue,
    pub(crate) resolver: Resolver,
    pub(crate) journal: Journal,
    number: usize,
    shards: usize,
    options: RefCell<Rc<Options>>,
    routes: RefCell<Rc<Routes>>,
    homes: RefCell<Homes>,
    post: Post,
    pub(crate) places: RefCell<BTreeMap<NextHop, Rc<Place>>>,
    pub(crate) idle: Idle,
    /// What sessions encrypt with; `None`: nothing.
    encryptor: RefCell<Option<Rc<Encryptor>>>,
    /// Connections by number: what a drain interrupts.
    open: RefCell<BTreeMap<u64, Interrupter>>,
    next_connection: Cell<u64>,
    /// Sessions that exist or are being made.
    sessions: Cell<usize>,
    counters: RefCell<Counters>,
    draining: Cell<bool>,
    /// Mail waits because the total of sessions is reached.
    blocked: Cell<bool>,
    /// A connection has ended.
    pub(crate) parted: Signal,
    /// The home's alarms or the post want to be looked at.
    alarm: Signal,
}

/// What a shard begins with.
pub(crate) struct Parts {
    pub(crate) options: Rc<Options>,
    pub(crate) queue: Queue,
    pub(crate) resolver: Resolver,
    pub(crate) journal: Journal,
    pub(crate) number: usize,
    pub(crate) shards: usize,
    pub(crate) post: Post,
}

impl Shard {
    pub(crate) fn new(reactor: &Reactor, parts: Parts) -> Self {
        Self {
            reactor: reactor.clone(),
            queue: parts.queue,
            resolver: parts.resolver,
            journal: parts.journal,
            number: parts.number,
            shards: parts.shards,
            routes: RefCell::new(Rc::new(Routes::new(&parts.options))),
            options: RefCell::new(parts.options),
            homes: RefCell::default(),
            post: parts.post,
            places: RefCell::default(),
            idle: Idle::default(),
            encryptor: RefCell::default(),
            open: RefCell::default(),
            next_connection: Cell::new(0),
            sessions: Cell::new(0),
            counters: RefCell::default(),
            draining: Cell::new(false),
            blocked: Cell::new(false),
            parted: Signal::new(reactor),
            alarm: Signal::new(reactor),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.reactor.now()
    }

    pub(crate) fn unix_time(&self) -> UnixTime {
        UnixTime::from_epoch(self.reactor.wall_clock())
    }

    pub(crate) fn options(&self) -> Rc<Options> {
        Rc::clone(&self.options.borrow())
    }

    pub(crate) fn encryptor(&self) -> Option<Rc<Encryptor>> {
        self.encryptor.borrow().clone()
    }

    pub(crate) fn set_encryptor(&self, encryptor: Rc<Encryptor>) {
        *self.encryptor.borrow_mut() = Some(encryptor);
    }

    pub(crate) fn counters(&self) -> RefMut<'_, Counters> {
        self.counters.borrow_mut()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Takes nothing new from now on, and makes every connection look up.
    pub(crate) fn begin_drain(&self) {
        self.draining.set(true);
        for connection in self.open.borrow().values() {
            connection.interrupt();
        }
    }

    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked.get()
    }

    pub(crate) fn unblock(&self) {
        self.blocked.set(false);
    }

    /// Takes over a new configuration; sessions keep theirs to their end.
    pub(crate) fn reload(&self, options: Rc<Options>) {
        let routes = Rc::new(Routes::new(&options));
        for place in self.places.borrow().values() {
            place.set_route(Rc::new(routes.resolve(&place.hop)));
        }
        *self.routes.borrow_mut() = routes;
        *self.options.borrow_mut() = options;
    }

    /// The place of `hop`, made when there is none.
    pub(crate) fn place(&self, hop: &NextHop) -> Rc<Place> {
        if let Some(place) = self.places.borrow().get(hop) {
            return Rc::clone(place);
        }
        let route = Rc::new(self.routes.borrow().resolve(hop));
        let place = Rc::new(Place::new(hop.clone(), route));
        self.places.borrow_mut().insert(hop.clone(), Rc::clone(&place));
        place
    }

    /// The message at `place` that is longest due.
    pub(crate) fn take(&self, place: &Place) -> Option<Ticket> {
        if self.is_draining() {
            return None;
        }
        let ticket = self.queue.take(&place.hop, self.unix_time());
        match ticket {
            Some(_) => place.took(),
            None => place.set_due(0),
        }
        ticket
    }

    /// Until when an attempt may wait for what may take until `by`: not beyond its end.
    pub(crate) fn by(&self, by: Instant, term: Option<Term>) -> Instant {
        // The two clocks do not go quite alike.
        const LATER: Duration = Duration::from_millis(1);
        let left = term.and_then(|term| self.queue.gives_up_in(term));
        left.map_or(by, |left| by.min(self.now() + left + LATER))
    }

    /// Whether an attempt must end before its end of data: its message's time is over.
    pub(crate) fn is_over(&self, term: Option<Term>) -> bool {
        term.and_then(|term| self.queue.gives_up_in(term)) == Some(Duration::ZERO)
    }

    /// Tells the home how many sessions we have use for, when that is news.
    pub(crate) fn tell_wanted(self: &Rc<Self>, place: &Place) {
        if let Some(sessions) = place.news() {
            let limit = place.route().sessions;
            self.say(&place.hop, Say::Want { sessions, limit });
        }
    }

    /// A session has ended: its permit goes back.
    pub(crate) fn release(self: &Rc<Self>, place: &Rc<Place>) {
        self.sessions.set(self.sessions.get() - 1);
        self.counters().sessions_open = self.sessions.get() as u64;
        self.give_back(place);
    }

    fn give_back(self: &Rc<Self>, place: &Rc<Place>) {
        let sessions = place.give_back();
        let limit = place.route().sessions;
        self.say(&place.hop, Say::Return { permits: 1, sessions, limit });
        if place.is_unused() {
            self.places.borrow_mut().remove(&place.hop);
        }
    }

    /// Permits have come: a session begins with each, if there is mail and room for it.
    fn granted(self: &Rc<Self>, place: &Rc<Place>, permits: usize) {
        if reactor::mutated("permit-forgotten") {
            return;
        }
        for _ in 0..permits {
            place.gain();
            let full = self.sessions.get() >= self.sessions_max();
            if full && place.needs_session() {
                // The next look at the queue asks again; an idle session elsewhere makes room.
                self.blocked.set(true);
                place.set_due(0);
                self.idle.dismiss_longest();
            }
            if self.is_draining() {
                // Nothing is wanted any more: a permit given back while mail is due would come back
                // at once, for ever.
                place.set_due(0);
            }
            if full || !place.needs_session() || self.is_draining() {
                self.give_back(place);
            } else {
                place.expect();
                self.sessions.set(self.sessions.get() + 1);
                self.counters().sessions_open = self.sessions.get() as u64;
                self.reactor.spawn(attempt::serve(Rc::clone(self), Rc::clone(place)));
            }
        }
    }

    /// This shard's share of all sessions.
    fn sessions_max(&self) -> usize {
        self.options.borrow().sessions.div_ceil(self.shards.max(1)).max(1)
    }

    /// Says something to the home of `hop`.
    pub(crate) fn say(self: &Rc<Self>, hop: &NextHop, say: Say) {
        let home = home::home(hop, self.shards);
        if home == self.number {
            self.hear(hop, self.number, say);
        } else {
            let content = Content::Say(self.number, say);
            self.send(home, HomeMessage { hop: hop.clone(), content });
        }
    }

    /// Ends the rest of a destination, or of all that are known here.
    pub(crate) fn flush(self: &Rc<Self>, hop: &NextHop) {
        self.say(hop, Say::Flush);
    }

    /// Next hops that have a place on this shard, or their home here.
    pub(crate) fn known_hops(&self) -> Vec<NextHop> {
        let mut hops: BTreeSet<_> = self.places.borrow().keys().cloned().collect();
        hops.extend(self.homes.borrow().names().cloned());
        hops.into_iter().collect()
    }

    /// Takes in a message of another shard.
    pub(crate) fn receive(self: &Rc<Self>, message: HomeMessage) {
        match message.content {
            Content::Say(shard, say) => self.hear(&message.hop, shard, say),
            Content::Tell(change) => self.told(&message.hop, change),
        }
    }

    /// The home's ear.
    fn hear(self: &Rc<Self>, hop: &NextHop, shard: usize, say: Say) {
        let chance = match say {
            Say::Down(_) => (self.reactor.entropy() >> 11) as f64 / (1u64 << 53) as f64,
            _ => 0.5,
        };
        let effects = self.homes.borrow_mut().hear(hop, shard, say, self.now(), chance);
        self.obey(effects);
    }

    fn obey(self: &Rc<Self>, effects: Effects) {
        if !effects.notices.is_empty() {
            self.alarm.notify_all();
        }
        for (hop, notice) in effects.notices {
            self.record(&hop, notice);
        }
        for (shard, hop, change) in effects.tell {
            if shard == self.number {
                self.told(&hop, change);
            } else {
                self.send(shard, HomeMessage { hop, content: Content::Tell(change) });
            }
        }
    }

    /// A shard's ear.
    fn told(self: &Rc<Self>, hop: &NextHop, change: Change) {
        if let Change::Grant(permits) = change {
            return self.granted(&self.place(hop), permits);
        }
        // What is said about a place that is gone meanwhile concerns nobody.
        let Some(place) = self.places.borrow().get(hop).cloned() else { return };
        match change {
            Change::Grant(_) => unreachable!("seen above"),
            Change::Keep(sessions) => {
                if place.set_keep(sessions, self.now()) {
                    self.idle.nudge(&place);
                }
            }
            Change::Standing { window, resting_until, trouble } => {
                place.set_standing(window, resting_until);
                self.queue.note_trouble(hop, trouble);
            }
        }
    }

    fn send(&self, shard: usize, message: HomeMessage) {
        self.post.send(shard, message);
        if self.post.is_waiting() {
            self.alarm.notify_all();
        }
    }

    fn record(&self, hop: &NextHop, notice: Notice) {
        let event = match notice {
            Notice::Throttled { until, reason } => {
                let next = self.unix_time().plus(until.since(self.now()));
                Event::new(EventKind::DestinationThrottled)
                    .text(Field::Destination, hop.as_str())
                    .text(Field::Reason, reason)
                    .time(Field::Next, next)
            }
            Notice::Recovered => {
                let event = Event::new(EventKind::DestinationRecovered);
                event.text(Field::Destination, hop.as_str())
            }
        };
        self.journal.record(event);
    }

    /// Ends rests when their time has come, and keeps the post moving.
    pub(crate) async fn keep_home(self: Rc<Self>) {
        // A full channel is empty again within a turn or two of the other shard.
        const POST_RETRY: Duration = Duration::from_millis(2);
        loop {
            let mut by = self.homes.borrow().next_alarm().unwrap_or(Instant::NEVER);
            if self.post.retry() {
                by = by.min(self.now() + POST_RETRY);
            }
            self.alarm.wait(by).await;
            let effects = self.homes.borrow_mut().wake(self.now());
            self.obey(effects);
        }
    }

    /// Notes a connection; its number is for [`parted`](Self::close_connection).
    pub(crate) fn open_connection(&self, interrupter: Interrupter) -> u64 {
        let number = self.next_connection.replace(self.next_connection.get() + 1);
        self.open.borrow_mut().insert(number, interrupter);
        number
    }

    /// A connection has ended.
    pub(crate) fn close_connection(&self, number: u64) {
        self.open.borrow_mut().remove(&number);
        self.parted.notify_all();
    }

    /// Connections open.
    pub(crate) fn connections(&self) -> usize {
        self.open.borrow().len()
    }
}
