//! What everybody in a run shares: the world, the plan, the ledger, the checkers, chance.

use crate::checkers::{Bounds, Checker, Finding, Watch};
use crate::ledger::Ledger;
use crate::message::{read_recipient, read_sender};
use crate::plan::{Mood, NameMood, Plan, Settings};
use reactor::sim::{Chance, World};
use reactor::{Instant, Slab};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

/// The relay.
pub(crate) const RELAY: IpAddr = address(1);
/// The clients.
pub(crate) const CLIENTS: IpAddr = address(2);
/// The host that the routes of smart.example and of the senders name.
pub(crate) const SMART: IpAddr = address(10);
/// The hosts of mx.example.
pub(crate) const MX: [IpAddr; 2] = [address(11), address(12)];
/// The host of away.example.
pub(crate) const AWAY: IpAddr = address(13);
/// Where everybody listens.
pub(crate) const PORT: u16 = 25;

const fn address(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, last))
}

/// What everybody in a run shares.
pub(crate) struct Yard {
    /// Where it all happens.
    pub(crate) world: World,
    /// What was planned.
    pub(crate) plan: Plan,
    /// What was promised and what came.
    pub(crate) ledger: RefCell<Ledger>,
    /// Who looks.
    pub(crate) watch: RefCell<Watch>,
    /// How the next hops behave.
    pub(crate) mood: Cell<Mood>,
    /// How names are answered.
    pub(crate) names: Cell<NameMood>,
    /// When a next hop first saw a recipient.
    pub(crate) first_seen: RefCell<BTreeMap<String, Instant>>,
    /// What the operator has set.
    pub(crate) settings: RefCell<Settings>,
    /// What that allows, the widest of this process's life.
    pub(crate) bounds: RefCell<Bounds>,
    /// Everything is healed.
    pub(crate) healthy: Cell<bool>,
    /// The next message's number.
    pub(crate) next_number: Cell<u32>,
    /// How many there are to be.
    pub(crate) messages: Cell<u32>,
    /// Client tasks that have not ended.
    pub(crate) clients: Cell<u32>,
    /// Bytes of slabs that were there before the world.
    pub(crate) slabs_before: usize,
    chance: RefCell<Chance>,
}

impl Yard {
    /// The yard of `plan`.
    pub(crate) fn new(plan: Plan) -> Rc<Self> {
        let watch = Watch::default();
        let yard = Self {
            world: World::new(plan.seed, plan.faults.clone()),
            ledger: RefCell::default(),
            watch: RefCell::new(watch),
            mood: Cell::new(plan.mood),
            names: Cell::new(plan.names),
            first_seen: RefCell::default(),
            settings: RefCell::new(plan.settings.clone()),
            bounds: RefCell::default(),
            healthy: Cell::new(false),
            next_number: Cell::new(0),
            messages: Cell::new(plan.messages),
            clients: Cell::new(0),
            slabs_before: Slab::bytes_alive(),
            chance: RefCell::new(Chance::new(plan.seed ^ 0xca5e)),
            plan,
        };
        let faults = &yard.plan.faults;
        yard.watch.borrow_mut().damage.unread = faults.read_fails > 0.0;
        yard.watch.borrow_mut().damage.lied = faults.sync_fails + faults.directory_sync_fails > 0.0;
        Rc::new(yard)
    }

    /// Whether something of this probability happens.
    pub(crate) fn hits(&self, probability: f64) -> bool {
        self.chance.borrow_mut().hits(probability)
    }

    /// A number below `end`.
    pub(crate) fn below(&self, end: u64) -> u64 {
        if reactor::mutated("chance-from-outside") {
            // A fresh thing lies where nothing of the seed says.
            return std::ptr::from_ref(&*Box::new(end)).addr() as u64 % end.max(1);
        }
        self.chance.borrow_mut().below(end)
    }

    /// A time in `range`.
    pub(crate) fn time(&self, range: &Range<Duration>) -> Duration {
        self.chance.borrow_mut().time(range)
    }

    /// Draws something else.
    pub(crate) fn draw<T>(&self, draw: impl FnOnce(&mut Chance) -> T) -> T {
        draw(&mut self.chance.borrow_mut())
    }

    /// The recipient at this address need not get anything any more; of a report, those that it is
    /// about.
    pub(crate) fn excuse(&self, address: &str) {
        let mut ledger = self.ledger.borrow_mut();
        if let Some(pair) = read_recipient(address) {
            ledger.excuse(pair);
        } else if let Some(number) = read_sender(address) {
            ledger.excuse_all(number);
        }
    }

    /// Whether the recipient at this address need not get anything any more.
    pub(crate) fn is_excused(&self, address: &str) -> bool {
        let ledger = self.ledger.borrow();
        if let Some(number) = read_sender(address) {
            return ledger.is_excused((number, 0));
        }
        read_recipient(address).is_some_and(|pair| ledger.is_excused(pair))
    }

    /// Byte `at` of a segment has rotten: whoever has something to do with it need not arrive.
    pub(crate) fn hurt(&self, segment: &[u8], at: usize, batch_bytes: usize) {
        let now = self.world.now();
        let hurt = self.ledger.borrow_mut().rot(segment, at, batch_bytes, now);
        self.world.note(&format!("rot hurts {hurt:?}"));
    }

    /// Whether clients have something left to send.
    pub(crate) fn has_more_to_send(&self) -> bool {
        self.next_number.get() < self.messages.get()
    }

    /// Something that must not happen has happened.
    pub(crate) fn wrong(&self, checker: Checker, what: String) {
        self.world.note(&format!("WRONG [{}] {what}", checker.name()));
        self.ledger.borrow_mut().wrong(checker, self.world.now(), what);
    }

    /// Likewise, for all that a checker found.
    pub(crate) fn wrongs(&self, findings: Vec<Finding>) {
        for (checker, what) in findings {
            self.wrong(checker, what);
        }
    }

    /// The options of the moment are in force: they widen what this process may do.
    pub(crate) fn widen_bounds(&self) {
        let settings = self.settings.borrow();
        let mut bounds = self.bounds.borrow_mut();
        bounds.sessions = bounds.sessions.max(settings.sessions);
        bounds.outbound = bounds.outbound.max(settings.outbound);
        bounds.per_destination = bounds.per_destination.max(settings.per_destination);
        bounds.queue_messages = bounds.queue_messages.max(settings.queue_messages);
        bounds.hot_bytes = bounds.hot_bytes.max(settings.hot_bytes);
        bounds.give_up = [settings.retry.give_up, settings.retry.give_up_bounces];
        bounds.logs = self.plan.settings.shards;
    }
}
