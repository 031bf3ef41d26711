//! One shard: a thread with its reactor, its logs, its sessions in both directions.

use crate::exit::{Failure, code};
use crate::relay::{Door, Offices};
use config::Config;
use control::{Order, Parts, Window, obey, publish};
use delivery::{Delivery, HomeMessage, Routes};
use lookup::Resolver;
use mail::{Journal, UnixTime};
use policy::Policy;
use queue::{Lock, Queue, Tenure};
use reactor::{Reactor, Receiver, Sender};
use server::{CensusMessage, Server, Totals};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;
use wire::ServerTls;

/// How long a starting relay waits for the spool of a process that is dying.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);

/// The resolver's own answer at its time-out says more than ours would: let it arrive.
const RESOLVER_SLACK: Duration = Duration::from_secs(1);

/// Everything that a shard is given on its way to its thread.
pub(crate) struct Seed {
    /// Its listening sockets, each with what its sessions obey.
    pub(crate) listeners: Vec<Door>,
    pub(crate) log: control::Log,
    pub(crate) orders: Receiver<Order>,
    pub(crate) window: Window,
    pub(crate) spool_lock: SpoolLock,
    /// Tells the main thread that the shard is ready, or why not.
    pub(crate) ready: mpsc::Sender<Result<Ready, Failure>>,
    /// What its parts need.
    pub(crate) opening: Opening,
}

/// What the parts of a shard need.
pub(crate) struct Opening {
    pub(crate) number: usize,
    pub(crate) shards: usize,
    pub(crate) config: Arc<Config>,
    pub(crate) offices: Offices,
    pub(crate) census: Vec<Sender<CensusMessage>>,
    pub(crate) census_inbox: Receiver<CensusMessage>,
    pub(crate) homes: Vec<Sender<HomeMessage>>,
    pub(crate) home_inbox: Receiver<HomeMessage>,
    pub(crate) totals: Totals,
    /// A secret of the process.
    pub(crate) secret: u64,
}

/// What a shard tells when it is ready.
pub(crate) struct Ready {
    /// `ring` or `poll`.
    pub(crate) kernel: &'static str,
    /// Why it is not the ring.
    pub(crate) fallback: Option<reactor::Fallback>,
}

/// The first shard takes the spool's lock; the others are told.
pub(crate) enum SpoolLock {
    Take(Vec<Sender<Tenure>>),
    Await(Receiver<Tenure>),
}

/// The body of a shard's thread.
pub(crate) fn run(seed: Seed) {
    let ready = seed.ready.clone();
    let options = reactor_options(&seed.opening.config);
    let (reactor, fallback) = match Reactor::new(&options) {
        Ok(made) => made,
        Err(error) => {
            drop(ready.send(Err(Failure::new(code::OS, format!("the reactor: {error}")))));
            return;
        }
    };
    let told = Ready { kernel: reactor.kernel_name(), fallback };
    let inside = reactor.clone();
    reactor.run(async move {
        if let Err(failure) = live(&inside, seed, told).await {
            // The main thread waits for every shard; it may have gone over another's failure.
            drop(ready.send(Err(failure)));
        }
    });
    reactor.shut_down();
}

fn reactor_options(config: &Config) -> reactor::Options {
    let backend = match config.reactor {
        config::Reactor::Auto => reactor::Backend::Auto,
        config::Reactor::Ring => reactor::Backend::Ring,
        config::Reactor::Poll => reactor::Backend::Poll,
    };
    reactor::Options { backend, ..reactor::Options::default() }
}

/// Opens the parts, says that they are ready, and obeys until the drain.
async fn live(reactor: &Reactor, seed: Seed, told: Ready) -> Result<(), Failure> {
    let clock = reactor.clone();
    let journal = seed.log.journal(move || UnixTime::from_epoch(clock.wall_clock()));
    let Seed { listeners, orders, window, spool_lock: lock, ready, opening, .. } = seed;
    let Some((lock, shared)) = spool_lock(reactor, lock, &opening.config, &journal).await? else {
        return Ok(());
    };
    let parts = open(reactor, opening, shared, &journal).await?;
    for (socket, options) in listeners {
        parts.server.listen(reactor.adopt(socket), options);
    }
    reactor.spawn(publish(parts.clone(), window));
    drop(ready.send(Ok(told)));
    drop(ready);
    obey(parts, orders).await;
    drop(lock);
    Ok(())
}

/// The lock file if this is the shard that takes the lock, and its name for the ring. `None` when
/// another shard could not take it: that one tells why, and nobody may be first with less.
async fn spool_lock(
    reactor: &Reactor,
    lock: SpoolLock,
    config: &Config,
    journal: &Journal,
) -> Result<Option<(Option<Lock>, Tenure)>, Failure> {
    match lock {
        SpoolLock::Take(others) => {
            let directory = &config.queue.directory;
            let lock = Lock::take(reactor, directory, journal, LOCK_PATIENCE)
                .await
                .map_err(|error| spool_failure(&error))?;
            let shared = lock.shared();
            for other in others {
                // A shard that is gone has told why.
                let _ = other.try_send(shared);
            }
            Ok(Some((Some(lock), shared)))
        }
        SpoolLock::Await(mut taken) => Ok(taken.recv(reactor).await.map(|shared| (None, shared))),
    }
}

fn spool_failure(error: &queue::OpenError) -> Failure {
    Failure::new(error.exit_code(), format!("spool: {error}"))
}

/// Puts a shard's parts together: the queue first, since both directions need it.
async fn open(
    reactor: &Reactor,
    seed: Opening,
    tenure: Tenure,
    journal: &Journal,
) -> Result<Parts, Failure> {
    let Opening { number, shards, config, offices, .. } = seed;
    let start = queue::Start {
        options: Rc::new(queue_options(&config, shards)),
        tenure,
        shard: number,
        shards,
        router: router(&config),
        journal: journal.clone(),
    };
    let queue = Queue::open(reactor, start).await.map_err(|error| spool_failure(&error))?;
    let delivery = Delivery::start(
        reactor,
        delivery::Start {
            options: Rc::new(config.delivery.clone()),
            queue: queue.clone(),
            resolver: Resolver::new(
                reactor,
                offices.questions.carry(reactor),
                config.dns_timeout + RESOLVER_SLACK,
            ),
            journal: journal.clone(),
            shard: number,
            shards,
            peers: seed.homes,
            inbox: seed.home_inbox,
        },
    );
    let server = Server::start(
        reactor,
        server::Start {
            options: config.server.clone(),
            policy: Policy::new(config.policy.clone()),
            queue: queue.clone(),
            journal: journal.clone(),
            shard: number,
            totals: seed.totals,
            peers: seed.census,
            inbox: seed.census_inbox,
            seed: seed.secret,
        },
    );
    delivery.encrypt_with(offices.client_tls);
    server.set_tls(offices.tls);
    server.set_authenticator(Some(offices.exchanges.authenticator(reactor)));
    Ok(Parts { reactor: reactor.clone(), server, queue, delivery })
}

/// The queue's options for one of `shards`: what is for all of them is shared out.
fn queue_options(config: &Config, shards: usize) -> queue::Options {
    let mut options = config.queue.clone();
    options.queue_messages = options.queue_messages.div_ceil(shards as u64);
    options
}

/// How the queue names next hops: by the routes of `config`.
fn router(config: &Config) -> queue::Router {
    let routes = Routes::new(&config.delivery);
    Rc::new(move |envelope, recipient| routes.next_hop(envelope, recipient))
}

/// What a reload does on each of `shards`.
pub(crate) fn reload(
    config: Arc<Config>,
    tls: Option<ServerTls>,
) -> Box<dyn FnOnce(&Parts) + Send> {
    Box::new(move |parts| {
        parts.server.set_tls(tls);
        parts.server.reload(config.server.clone(), Policy::new(config.policy.clone()));
        parts.delivery.reload(Rc::new(config.delivery.clone()));
        parts.queue.reroute(router(&config));
    })
}
