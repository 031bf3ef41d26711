//! Who counts what across shards.
//!
//! A stranger's key (address or network) has a home shard, which counts its sessions and
//! connections; the others ask it once at accept and tell it when a session ends. How many sessions
//! there are in all is published by each shard in a cell of its own, which the others read: an
//! overshoot of a moment is allowed.

use mail::UnixTime;
use policy::{ClientKey, Options, Rate, RateLimiter};
use reactor::{Instant, Reactor, Receiver, Sender, Signal};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Clients whose connection rate is remembered, per shard.
const CLIENTS_MAX: usize = 65_536;

/// How long an answer of another shard is waited for: it counts as *no limit reached* then, so
/// that a busy neighbour refuses nobody.
const PATIENCE: Duration = Duration::from_millis(500);

/// Sessions by shard; every shard of a process holds a clone.
#[derive(Clone, Debug)]
pub struct Totals {
    cells: Arc<[AtomicU64]>,
}

impl Totals {
    /// One cell for each of `shards`.
    pub fn new(shards: usize) -> Self {
        Self { cells: (0..shards).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Publishes this shard's number.
    pub(crate) fn publish(&self, shard: usize, sessions: u64) {
        self.cells[shard].store(sessions, Ordering::Relaxed);
    }

    /// The sum over all shards, as last published.
    pub fn sum(&self) -> u64 {
        self.cells.iter().map(|cell| cell.load(Ordering::Relaxed)).sum()
    }
}

/// What shards say to each other about clients.
#[derive(Debug)]
pub enum CensusMessage {
    /// A stranger has connected to shard `from`; `number` names the question.
    Opened {
        /// Whose session it is.
        client: IpAddr,
        /// The asking shard.
        from: usize,
        /// Its number for the question.
        number: u64,
    },
    /// A client has failed to authenticate at shard `from`.
    AuthFailed {
        /// Which.
        client: IpAddr,
        /// The asking shard.
        from: usize,
        /// Its number for the question.
        number: u64,
    },
    /// The answer to [`CensusMessage::Opened`] and [`CensusMessage::AuthFailed`].
    Counted {
        /// The question's number.
        number: u64,
        /// Sessions that the client has open, this one included.
        sessions: u32,
        /// Whether it connects too often.
        too_often: bool,
    },
    /// A stranger's session has ended.
    Closed {
        /// Whose session it was.
        client: IpAddr,
    },
}

/// One shard's share of the counting.
pub(crate) struct Census {
    shard: usize,
    peers: Vec<Sender<CensusMessage>>,
    /// Chosen for the process, so that a stranger cannot choose the shard to burden.
    seed: u64,
    open: RefCell<HashMap<ClientKey, u32>>,
    limiter: RefCell<Option<RateLimiter>>,
    auth_limiter: RefCell<Option<RateLimiter>>,
    /// Questions asked of other shards, and their answers once they have come.
    asked: RefCell<HashMap<u64, Option<(u32, bool)>>>,
    answered: Signal,
    next: Cell<u64>,
}

impl Census {
    pub(crate) fn new(
        reactor: &Reactor,
        shard: usize,
        peers: Vec<Sender<CensusMessage>>,
        seed: u64,
        options: &Options,
    ) -> Self {
        let limiter =
            |rate: Option<Rate>| RefCell::new(rate.map(|rate| RateLimiter::new(rate, CLIENTS_MAX)));
        Self {
            shard,
            peers,
            seed,
            open: RefCell::default(),
            limiter: limiter(options.connections_per_client),
            auth_limiter: limiter(options.auth_failures),
            asked: RefCell::default(),
            answered: Signal::new(reactor),
            next: Cell::new(0),
        }
    }

    /// Takes over changed limits; what was counted stays, but rates begin anew.
    pub(crate) fn reload(&self, options: &Options) {
        let limiter = |rate: Option<Rate>| rate.map(|rate| RateLimiter::new(rate, CLIENTS_MAX));
        *self.limiter.borrow_mut() = limiter(options.connections_per_client);
        *self.auth_limiter.borrow_mut() = limiter(options.auth_failures);
    }

    /// The shard that counts `client`.
    fn home(&self, client: IpAddr) -> usize {
        let mut hasher = DefaultHasher::new();
        (self.seed, ClientKey::of(client)).hash(&mut hasher);
        (hasher.finish() % self.peers.len().max(1) as u64) as usize
    }

    /// Counts a stranger's new session: how many it has now, and whether it connects too often.
    pub(crate) async fn opened(&self, client: IpAddr, reactor: &Reactor) -> (u32, bool) {
        let home = self.home(client);
        if home == self.shard || self.peers.is_empty() {
            return self.count(client, UnixTime::from_epoch(reactor.wall_clock()));
        }
        let from = self.shard;
        let question = |number| CensusMessage::Opened { client, from, number };
        self.ask(home, question, reactor).await.unwrap_or((1, false))
    }

    /// Counts a failed authentication: whether that was one too many.
    pub(crate) async fn auth_failed(&self, client: IpAddr, reactor: &Reactor) -> bool {
        let home = self.home(client);
        if home == self.shard || self.peers.is_empty() {
            return self.count_failure(client, UnixTime::from_epoch(reactor.wall_clock()));
        }
        let from = self.shard;
        let question = |number| CensusMessage::AuthFailed { client, from, number };
        self.ask(home, question, reactor).await.is_some_and(|(_, too_often)| too_often)
    }

    /// Asks another shard; `None` when it does not answer in time.
    async fn ask(
        &self,
        home: usize,
        question: impl FnOnce(u64) -> CensusMessage,
        reactor: &Reactor,
    ) -> Option<(u32, bool)> {
        let number = self.next.replace(self.next.get() + 1);
        self.peers[home].try_send(question(number)).ok()?;
        self.asked.borrow_mut().insert(number, None);
        self.await_answer(number, reactor.now() + PATIENCE).await;
        self.asked.borrow_mut().remove(&number).flatten()
    }

    async fn await_answer(&self, number: u64, by: Instant) {
        while self.asked.borrow().get(&number).is_some_and(Option::is_none) {
            if !self.answered.wait(by).await {
                return;
            }
        }
    }

    /// Counts the end of a stranger's session.
    pub(crate) fn closed(&self, client: IpAddr) {
        let home = self.home(client);
        if home == self.shard || self.peers.is_empty() {
            self.uncount(client);
        } else {
            // Should the neighbour's line be full, its count stays too high by one, which refuses
            // a client too early rather than too late.
            drop(self.peers[home].try_send(CensusMessage::Closed { client }));
        }
    }

    fn count(&self, client: IpAddr, now: UnixTime) -> (u32, bool) {
        let mut open = self.open.borrow_mut();
        let sessions = open.entry(ClientKey::of(client)).or_insert(0);
        *sessions += 1;
        let mut limiter = self.limiter.borrow_mut();
        let too_often = limiter.as_mut().is_some_and(|limiter| !limiter.admit(client, now));
        (*sessions, too_often)
    }

    fn count_failure(&self, client: IpAddr, now: UnixTime) -> bool {
        let mut limiter = self.auth_limiter.borrow_mut();
        limiter.as_mut().is_some_and(|limiter| !limiter.admit(client, now))
    }

    fn uncount(&self, client: IpAddr) {
        let mut open = self.open.borrow_mut();
        let key = ClientKey::of(client);
        if let Some(sessions) = open.get_mut(&key) {
            *sessions -= 1;
            if *sessions == 0 {
                open.remove(&key);
            }
        }
    }

    /// Answers the other shards until they are gone.
    pub(crate) async fn answer(
        self: Rc<Self>,
        reactor: Reactor,
        mut inbox: Receiver<CensusMessage>,
    ) {
        while let Some(message) = inbox.recv(&reactor).await {
            match message {
                CensusMessage::Opened { client, from, number } => {
                    let now = UnixTime::from_epoch(reactor.wall_clock());
                    let (sessions, too_often) = self.count(client, now);
                    let answer = CensusMessage::Counted { number, sessions, too_often };
                    // Nobody waits for long: a full line counts as no answer.
                    drop(self.peers[from].try_send(answer));
                }
                CensusMessage::AuthFailed { client, from, number } => {
                    let now = UnixTime::from_epoch(reactor.wall_clock());
                    let too_often = self.count_failure(client, now);
                    let answer = CensusMessage::Counted { number, sessions: 0, too_often };
                    drop(self.peers[from].try_send(answer));
                }
                CensusMessage::Counted { number, sessions, too_often } => {
                    // One that nobody waits for any more is forgotten.
                    if let Some(answer) = self.asked.borrow_mut().get_mut(&number) {
                        *answer = Some((sessions, too_often));
                    }
                    self.answered.notify_all();
                }
                CensusMessage::Closed { client } => self.uncount(client),
            }
        }
    }
}
