//! One shard of the relay: server, queue and delivery, unchanged, put together as `ringpost` does.

use crate::message::{DOMAINS, SENDERS};
use crate::yard::{AWAY, MX, PORT, RELAY, SMART, Yard};
use delivery::{Delivery, HomeMessage, Pattern, Route, Via};
use lookup::Script;
use mail::{Journal, Level};
use policy::{DomainPattern, Policy};
use queue::{Lock, OpenError, Queue, Tenure};
use reactor::{Reactor, Receiver, Sender};
use server::{CensusMessage, Server, Totals};
use smtp::ServerOptions;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

const HOSTNAME: &str = "relay.example";

/// How long a starting relay waits for the spool of a dying one.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);

/// The largest message: the workload's all fit.
const MESSAGE_BYTES: u64 = 1 << 20;

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
    /// This shard's number, and how many there are.
    pub(crate) shard: usize,
    /// How many there are.
    pub(crate) shards: usize,
    /// The first takes the lock and tells the others.
    pub(crate) lock: LockWay,
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
    let journal = journal(yard);
    let options = queue_options(yard);
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
    let delivery_options = Rc::new(delivery_options());
    let start = queue::Start {
        options: Rc::new(options),
        tenure: shared,
        shard: seed.shard,
        shards: seed.shards,
        router: Delivery::router(&delivery_options),
        journal: journal.clone(),
    };
    let queue = Queue::open(reactor, start).await.map_err(failed)?;
    let delivery = Delivery::start(
        reactor,
        delivery::Start {
            options: delivery_options,
            queue: queue.clone(),
            resolver: names().resolver(reactor),
            journal: journal.clone(),
            shard: seed.shard,
            shards: seed.shards,
            peers: seed.homes.0,
            inbox: seed.homes.1,
        },
    );
    let start = server::Start {
        options: server_options(),
        policy: Policy::new(policy_options()),
        queue: queue.clone(),
        journal,
        shard: seed.shard,
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

/// Events become sentences of the world, and with them part of its hash.
fn journal(yard: &Rc<Yard>) -> Journal {
    let yard = Rc::clone(yard);
    let sink = move |event: mail::Event| {
        // After a failed sync the page cache shows what the disk never got (Linux drops the dirty
        // marks): the spool cannot tell, and rightly calls it damage after the next loss of power.
        let disk_lies = yard.plan.faults.sync_fails > 0.0;
        if event.kind == mail::EventKind::SpoolQuarantined && !disk_lies {
            yard.wrong(format!("durable bytes are found damaged: {event:?}"));
        }
        yard.world.note(&format!("relay: {} {:?}", event.kind, event.fields));
    };
    Journal::new(Level::Debug, Rc::new(sink))
}

fn queue_options(yard: &Yard) -> queue::Options {
    queue::Options {
        directory: PathBuf::from("/var/spool/ringpost"),
        hostname: HOSTNAME.into(),
        message_bytes: MESSAGE_BYTES,
        hot_bytes: yard.plan.hot_bytes,
        ..queue::Options::default()
    }
}

fn server_options() -> server::Options {
    let smtp = ServerOptions {
        hostname: HOSTNAME.into(),
        message_bytes: MESSAGE_BYTES,
        ..ServerOptions::default()
    };
    server::Options { smtp, ..server::Options::default() }
}

fn policy_options() -> policy::Options {
    let parse = |domain: &&str| DomainPattern::parse(domain).expect("good domains");
    policy::Options { domains: DOMAINS.iter().map(parse).collect(), ..policy::Options::default() }
}

fn delivery_options() -> delivery::Options {
    let domains = [DOMAINS[0], SENDERS];
    let to = domains.map(|domain| domain.parse::<Pattern>().expect("a good pattern")).to_vec();
    let via = Via::Smtp { host: SMART.to_string().into(), port: PORT };
    delivery::Options {
        hello: HOSTNAME.into(),
        routes: vec![Route::new(to, via)],
        ..delivery::Options::default()
    }
}

fn names() -> Script {
    Script::new()
        .mx(DOMAINS[1], &[(10, "a.mx.example"), (20, "b.mx.example")])
        .host("a.mx.example", &[MX[0]])
        .host("b.mx.example", &[MX[1]])
        .mx(DOMAINS[2], &[(10, "host.away.example")])
        .host("host.away.example", &[AWAY])
}
