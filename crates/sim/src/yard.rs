//! What everybody in a run shares: the world, the plan, the ledger, chance.

use crate::ledger::Ledger;
use crate::plan::{Mood, Plan};
use reactor::sim::{Chance, World};
use std::cell::{Cell, RefCell};
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

/// The relay.
pub(crate) const RELAY: IpAddr = address(1);
/// The clients.
pub(crate) const CLIENTS: IpAddr = address(2);
/// The host that the route of smart.example and of the senders names.
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
    /// How the next hops behave now.
    pub(crate) mood: Cell<Mood>,
    /// The trouble is over: clients begin nothing new.
    pub(crate) over: Cell<bool>,
    /// The next message's number.
    pub(crate) next_number: Cell<u32>,
    /// Client tasks that have not ended.
    pub(crate) clients: Cell<u32>,
    chance: RefCell<Chance>,
}

impl Yard {
    /// The yard of `plan`.
    pub(crate) fn new(plan: Plan) -> Rc<Self> {
        Rc::new(Self {
            world: World::new(plan.seed, plan.faults.clone()),
            ledger: RefCell::default(),
            mood: Cell::new(plan.mood),
            over: Cell::new(false),
            next_number: Cell::new(0),
            clients: Cell::new(0),
            chance: RefCell::new(Chance::new(plan.seed ^ 0xca5e)),
            plan,
        })
    }

    /// Whether something of this probability happens.
    pub(crate) fn hits(&self, probability: f64) -> bool {
        self.chance.borrow_mut().hits(probability)
    }

    /// A number below `end`.
    pub(crate) fn below(&self, end: u64) -> u64 {
        self.chance.borrow_mut().below(end)
    }

    /// A time in `range`.
    pub(crate) fn time(&self, range: &Range<Duration>) -> Duration {
        self.chance.borrow_mut().time(range)
    }

    /// Something that must not happen has happened.
    pub(crate) fn wrong(&self, what: String) {
        self.world.note(&format!("WRONG {what}"));
        self.ledger.borrow_mut().wrong(self.world.now(), what);
    }
}
