//! One shard of the relay: server, queue and delivery, unchanged, put together as `ringpost` does.

use crate::names;
use crate::plan::Settings;
use crate::yard::{PORT, RELAY, Yard};
use delivery::{Delivery, HomeMessage};
use mail::Journal;
use policy::Policy;
use queue::{Lock, OpenError, Queue, Tenure};
use reactor::{Reactor, Receiver, Sender};
use server::{CensusMessage, Server, Totals};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// How long a starting relay waits for the spool of a dying one.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);

/// The parts of a shard that is ready.
#[derive(Clone)]
pub(crate) struct Parts {
    /// Its reactor.
    pub(crate) reactor: Reactor,
    /// Receiving.
    pub(crate) server: Server,
    /// The messages.
    pub(crate) queue: Queue,
    /// Delivering.
    pub(crate) delivery: Delivery,
}

impl Parts {
    /// Takes other settings over, as a reload of `ringpost` does.
    pub(crate) fn reload(&self, settings: &Settings) {
        self.server.reload(settings.server(), Policy::new(settings.policy()));
        let options = Rc::new(settings.delivery());
        self.delivery.reload(Rc::clone(&options));
        self.queue.reroute(Delivery::router(&options));
    }
}

/// Where a shard stands.
pub(crate) enum Life {
    /// It opens its parts.
    Starting,
    /// It works. The first shard keeps the spool's lock.
    Ready(Parts, #[allow(dead_code, reason = "it is kept, not looked at")] Option<Lock>),
    /// It could not: the process must end.
    Failed(String),
}

/// Everything that a shard is given.
pub(crate) struct Seed {
    /// This shard's number.
    pub(crate) shard: usize,
    /// How many there are.
    pub(crate) shards: usize,
    /// The first takes the lock and tells the others.
    pub(crate) lock: LockWay,
    /// What the operator has set.
    pub(crate) settings: Settings,
    /// Where events go.
    pub(crate) journal: Journal,
    /// Sessions of all shards.
    pub(crate) totals: Totals,
    /// The ways to all shards, and our own inbox.
    pub(crate) census: (Vec<Sender<CensusMessage>>, Receiver<CensusMessage>),
    /// Likewise for delivery.
    pub(crate) homes: (Vec<Sender<HomeMessage>>, Receiver<HomeMessage>),
}

/// How a shard comes by the spool's lock.
pub(crate) enum LockWay {
    /// It takes it, and tells these.
    Take(Vec<Sender<Tenure>>),
    /// It is told.
    Await(Receiver<Tenure>),
}

/// The body of a shard: says in `life` how it goes.
pub(crate) async fn live(yard: Rc<Yard>, reactor: Reactor, seed: Seed, life: Rc<RefCell<Life>>) {
    let outcome = match open(&yard, &reactor, seed).await {
        Ok((parts, lock)) => Life::Ready(parts, lock),
        Err(why) => Life::Failed(why),
    };
    *life.borrow_mut() = outcome;
}

async fn open(
    yard: &Rc<Yard>,
    reactor: &Reactor,
    seed: Seed,
) -> Result<(Parts, Option<Lock>), String> {
    let Seed { shard, shards, settings, journal, .. } = seed;
    let options = settings.queue();
    let failed = |error: OpenError| error.to_string();
    let (lock, shared) = match seed.lock {
        LockWay::Take(others) => {
            let taken = Lock::take(reactor, &options.directory, &journal, LOCK_PATIENCE).await;
            let lock = taken.map_err(failed)?;
            let shared = lock.shared();
            for other in others {
                // A shard that has failed has said so.
                let _ = other.try_send(shared);
            }
            (Some(lock), shared)
        }
        LockWay::Await(mut taken) => {
            (None, taken.recv(reactor).await.ok_or("the spool was not locked")?)
        }
    };
    let delivery_options = Rc::new(settings.delivery());
    let start = queue::Start {
        options: Rc::new(options),
        tenure: shared,
        shard,
        shards,
        router: Delivery::router(&delivery_options),
        journal: journal.clone(),
    };
    let queue = Queue::open(reactor, start).await.map_err(failed)?;
    let delivery = Delivery::start(
        reactor,
        delivery::Start {
            options: delivery_options,
            queue: queue.clone(),
            resolver: names::resolver(yard, reactor),
            journal: journal.clone(),
            shard,
            shards,
            peers: seed.homes.0,
            inbox: seed.homes.1,
        },
    );
    let start = server::Start {
        options: settings.server(),
        policy: Policy::new(settings.policy()),
        queue: queue.clone(),
        journal,
        shard,
        totals: seed.totals,
        peers: seed.census.0,
        inbox: seed.census.1,
        seed: yard.plan.seed,
    };
    let server = Server::start(reactor, start);
    let address = SocketAddr::new(RELAY, PORT);
    let listener = reactor.listen(address, true).map_err(|error| error.to_string())?;
    server.listen(listener, "mx");
    Ok((Parts { reactor: reactor.clone(), server, queue, delivery }, lock))
}
