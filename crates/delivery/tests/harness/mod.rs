//! A relay's queue and delivery in a simulated world, with next hops that do as they are told.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub(crate) mod sink;

use delivery::{Delivery, HomeMessage, Options, Pattern, Route, Via};
use lookup::Script;
use mail::{
    BodyKind, Envelope, Event, EventKind, ForwardPath, Journal, Level, MessageId, Origin, Protocol,
    ReversePath, UnixTime,
};
use queue::{Lock, Queue, Retry, SpoolFree};
use reactor::sim::{Faults, Process, World};
use reactor::{Reactor, Receiver, Sender};
use sink::{Behaviour, Sink};
use std::cell::RefCell;
use std::net::IpAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

/// The port of every sink.
pub(crate) const PORT: u16 = 2525;

/// One world with one relay; sinks are added.
pub(crate) struct Net {
    pub(crate) world: World,
    pub(crate) script: Script,
    pub(crate) retry: Retry,
    relay: Process,
}

/// A shard of the relay.
#[derive(Clone)]
pub(crate) struct Life {
    pub(crate) reactor: Reactor,
    pub(crate) queue: Queue,
    pub(crate) delivery: Delivery,
    pub(crate) events: Rc<RefCell<Vec<Event>>>,
}

impl Net {
    pub(crate) fn new(seed: u64, faults: Faults) -> Self {
        let world = World::new(seed, faults);
        let relay = world.host(ip("192.0.2.1")).start();
        let retry = Retry { first: Duration::from_secs(60), ..Retry::default() };
        Self { world, script: Script::new(), retry, relay }
    }

    /// A host at `address` where a sink listens.
    pub(crate) fn sink(&self, address: &str, behaviour: Behaviour) -> Sink {
        let process = self.world.host(ip(address)).start();
        Sink::start(&process.reactor(), format!("{address}:{PORT}"), behaviour)
    }

    /// Starts the relay with `shards` shards.
    pub(crate) fn start(&self, options: &Options, shards: usize) -> Vec<Life> {
        let channels: Vec<(Sender<HomeMessage>, Receiver<HomeMessage>)> =
            (0..shards).map(|_| reactor::channel(256)).collect();
        let (peers, inboxes): (Vec<_>, Vec<_>) = channels.into_iter().unzip();
        let lives = Rc::new(RefCell::new(Vec::new()));
        let lock = Rc::new(RefCell::new(None));
        for (shard, inbox) in inboxes.into_iter().enumerate() {
            let reactor = self.relay.reactor();
            let made = Rc::clone(&lives);
            let lock = Rc::clone(&lock);
            let birth = Birth {
                reactor: reactor.clone(),
                options: options.clone(),
                script: self.script.clone(),
                retry: self.retry,
                shard,
                peers: peers.clone(),
                inbox,
            };
            reactor.spawn(async move {
                let life = birth.begin(&lock).await;
                made.borrow_mut().push(life);
            });
            let born = || lives.borrow().len() == shard + 1;
            assert!(self.world.run(born, Duration::from_secs(60)), "the relay does not start");
        }
        // The lock is held for as long as the process lives.
        std::mem::forget(lock);
        lives.take()
    }

    /// Accepts `count` messages to `to` on this shard.
    pub(crate) fn accept(&self, life: &Life, count: usize, to: &[&str]) {
        self.accept_bodies(life, (0..count).map(|n| body(n, 600)).collect(), to);
    }

    pub(crate) fn accept_bodies(&self, life: &Life, bodies: Vec<Vec<u8>>, to: &[&str]) {
        let accepted = Rc::new(RefCell::new(0));
        let count = bodies.len();
        for body in bodies {
            let (queue, envelope) = (life.queue.clone(), envelope(to));
            let accepted = Rc::clone(&accepted);
            life.reactor.spawn(async move {
                commit(&queue, envelope, &body).await;
                *accepted.borrow_mut() += 1;
            });
        }
        let done = || *accepted.borrow() == count;
        assert!(self.world.run(done, Duration::from_secs(600)), "the queue takes nothing");
    }

    /// Runs until `until` is true; fails after `seconds` of the world.
    #[track_caller]
    pub(crate) fn run(&self, seconds: u64, until: impl FnMut() -> bool) {
        let happened = self.world.run(until, Duration::from_secs(seconds));
        assert!(happened, "it has not happened within {seconds} s");
    }

    /// Lets `seconds` of the world pass.
    pub(crate) fn pass(&self, seconds: u64) {
        self.world.run(|| false, Duration::from_secs(seconds));
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        self.world.end();
    }
}

struct Birth {
    reactor: Reactor,
    options: Options,
    script: Script,
    retry: Retry,
    shard: usize,
    peers: Vec<Sender<HomeMessage>>,
    inbox: Receiver<HomeMessage>,
}

impl Birth {
    async fn begin(self, lock: &RefCell<Option<Lock>>) -> Life {
        let events = Rc::new(RefCell::new(Vec::new()));
        let heard = Rc::clone(&events);
        let journal =
            Journal::new(Level::Debug, Rc::new(move |event| heard.borrow_mut().push(event)));
        let spool = queue::Options { retry: self.retry, ..queue_options() };
        if lock.borrow().is_none() {
            let patience = Duration::from_secs(30);
            let taken = Lock::take(&self.reactor, &spool.directory, &journal, patience).await;
            *lock.borrow_mut() = Some(taken.expect("the spool is free"));
        }
        let start = queue::Start {
            options: Rc::new(spool),
            tenure: lock.borrow().as_ref().expect("just taken").shared(),
            shard: self.shard,
            shards: self.peers.len(),
            router: Delivery::router(&self.options),
            journal: journal.clone(),
        };
        let queue = Queue::open(&self.reactor, start).await.expect("the spool opens");
        let start = delivery::Start {
            options: Rc::new(self.options),
            queue: queue.clone(),
            resolver: self.script.resolver(&self.reactor),
            journal,
            shard: self.shard,
            shards: self.peers.len(),
            peers: self.peers,
            inbox: self.inbox,
        };
        let delivery = Delivery::start(&self.reactor, start);
        Life { reactor: self.reactor, queue, delivery, events }
    }
}

impl Life {
    /// How many events of a kind were heard.
    pub(crate) fn heard(&self, kind: EventKind) -> usize {
        self.events.borrow().iter().filter(|event| event.kind == kind).count()
    }

    /// Messages in the queue.
    pub(crate) fn queued(&self) -> u64 {
        self.queue.counters().messages.iter().sum()
    }
}

async fn commit(queue: &Queue, envelope: Envelope, body: &[u8]) -> MessageId {
    let mut draft = queue.draft();
    for piece in body.chunks(16 << 10) {
        if draft.append(piece).is_full() {
            draft.room().await.expect("the disk is well");
        }
    }
    let header = b"Received: by relay.example\r\n".to_vec();
    queue.commit(draft, envelope, header, 0).await.expect("the disk is well")
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// Options in which everything goes to one smarthost.
pub(crate) fn smarthost(address: &str) -> Options {
    let via: Via = format!("smtp://{address}:{PORT}").parse().expect("a via");
    routed(vec![Route::new(vec![Pattern::Any], via)])
}

/// Options with these routes.
pub(crate) fn routed(routes: Vec<Route>) -> Options {
    Options { port: PORT, hello: "relay.example".into(), routes, ..Options::default() }
}

/// About `bytes` of text that names `number`.
pub(crate) fn body(number: usize, bytes: usize) -> Vec<u8> {
    let mut text = format!("Subject: number {number}\r\n\r\n").into_bytes();
    while text.len() < bytes {
        text.extend_from_slice(b"All work and no play makes a dull relay.\r\n");
    }
    text
}

fn envelope(to: &[&str]) -> Envelope {
    Envelope {
        reverse_path: ReversePath::parse("sender@client.example").expect("a good path"),
        recipients: to.iter().map(|to| ForwardPath::parse(to).expect("a good path")).collect(),
        body: BodyKind::SevenBit,
        utf8: false,
        request: None,
        origin: Origin {
            client: Some("192.0.2.7:4000".parse().expect("an address")),
            hello: "client.example".into(),
            listener: "mx".into(),
            rule: "relay.networks".into(),
            protocol: Protocol::Esmtp,
            arrived: UnixTime(0),
            ..Origin::default()
        },
    }
}

fn queue_options() -> queue::Options {
    queue::Options {
        directory: PathBuf::from("/spool"),
        hostname: "relay.example".into(),
        message_bytes: 4 << 20,
        spool_free: SpoolFree::Bytes(0),
        queue_messages: 100_000,
        hot_bytes: 64 << 20,
        retry: Retry::default(),
        return_bytes: 64 << 10,
    }
}
