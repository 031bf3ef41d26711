//! A queue in a simulated world, or on a real disk, life after life.
#![allow(dead_code, reason = "each test file uses a part of it")]

use mail::{
    BodyKind, Envelope, Event, ForwardPath, Journal, Level, MessageId, NextHop, Origin, Outcome,
    Protocol, Reason, ReversePath, UnixTime,
};
use queue::{Draft, Filter, Listed, Loaded, Lock, Options, Queue, Retry, SpoolFree, Start, Ticket};
use reactor::Reactor;
use reactor::sim::{Faults, Host, Process, World};
use std::cell::RefCell;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

/// Long enough for anything that a test waits for, in the world's time.
pub(crate) const LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

/// A machine with a disk, on which one process after the other runs.
pub(crate) struct Machine {
    pub(crate) world: World,
    pub(crate) host: Host,
}

/// A process with its queue.
#[derive(Clone)]
pub(crate) struct Life {
    pub(crate) reactor: Reactor,
    pub(crate) queue: Queue,
    pub(crate) events: Rc<RefCell<Vec<Event>>>,
    /// Held for as long as the process lives.
    _lock: Rc<Lock>,
}

impl Machine {
    pub(crate) fn new(seed: u64, faults: Faults) -> Self {
        let world = World::new(seed, faults);
        let host = world.host("192.0.2.1".parse().expect("an address"));
        Self { world, host }
    }

    /// Runs `script` in a process of its own, which is killed at its end.
    pub(crate) fn live<T: 'static, F: Future<Output = T> + 'static>(
        &self,
        script: impl FnOnce(Life) -> F + 'static,
    ) -> T {
        let process = self.host.start();
        let result = self.begin(&process, options(Path::new("/spool")), script);
        let ended = self.world.run(|| result.borrow().is_some(), LIMIT);
        assert!(ended, "the script waits for ever");
        process.kill();
        result.take().expect("just seen")
    }

    /// Starts `script` in `process`; its result will be in the cell.
    pub(crate) fn begin<T: 'static, F: Future<Output = T> + 'static>(
        &self,
        process: &Process,
        options: Options,
        script: impl FnOnce(Life) -> F + 'static,
    ) -> Rc<RefCell<Option<T>>> {
        let result = Rc::new(RefCell::new(None));
        let place = Rc::clone(&result);
        let reactor = process.reactor();
        reactor.clone().spawn(async move {
            let life = Life::begin(&reactor, options, 0, 1).await;
            let value = script(life).await;
            *place.borrow_mut() = Some(value);
        });
        result
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.world.end();
    }
}

impl Life {
    pub(crate) async fn begin(
        reactor: &Reactor,
        options: Options,
        shard: usize,
        shards: usize,
    ) -> Self {
        let events = Rc::new(RefCell::new(Vec::new()));
        let heard = Rc::clone(&events);
        let sink = move |event| heard.borrow_mut().push(event);
        let journal = Journal::new(Level::Debug, Rc::new(sink));
        let directory = options.directory.clone();
        let lock = Lock::take(reactor, &directory, &journal, Duration::from_secs(30)).await;
        let lock = lock.expect("the spool is free");
        let start = Start {
            options: Rc::new(options),
            tenure: lock.shared(),
            shard,
            shards,
            router: Rc::new(route),
            journal,
        };
        let queue = Queue::open(reactor, start).await.expect("the spool opens");
        Self { reactor: reactor.clone(), queue, events, _lock: Rc::new(lock) }
    }

    pub(crate) fn unix_time(&self) -> UnixTime {
        UnixTime::from_epoch(self.reactor.wall_clock())
    }

    /// Commits a message with one header field in front of `body`, which is in wire form.
    pub(crate) async fn accept(&self, from: &str, to: &[&str], body: &[u8]) -> MessageId {
        let mut draft = self.queue.draft();
        fill(&mut draft, body).await;
        let stuffed_lines =
            body.split(|byte| *byte == b'\n').filter(|l| l.starts_with(b"..")).count();
        let header = HEADER.to_vec();
        let envelope = envelope(from, to);
        let committed = self.queue.commit(draft, envelope, header, stuffed_lines as u64).await;
        committed.expect("the disk is well")
    }

    /// What is due first, wherever it goes.
    pub(crate) fn take(&self) -> Option<Ticket> {
        let (hop, _) = self.queue.due(self.unix_time()).into_iter().next()?;
        self.queue.take(&hop, self.unix_time())
    }

    /// What is due first at `hop`.
    pub(crate) fn take_at(&self, hop: &str) -> Option<Ticket> {
        self.queue.take(&NextHop::new(hop), self.unix_time())
    }

    /// Waits for something to be due, and takes it.
    pub(crate) async fn next(&self) -> Ticket {
        loop {
            if let Some(ticket) = self.take() {
                return ticket;
            }
            self.queue.wait(reactor::Instant::NEVER).await;
        }
    }

    /// All bytes of a ticket's message.
    pub(crate) async fn read(&self, ticket: &Ticket) -> Vec<u8> {
        let mut loaded = self.queue.load(ticket).await.expect("the message is whole");
        let bytes = read_all(&mut loaded).await.expect("the message is whole");
        assert_eq!(bytes.len() as u64, loaded.bytes);
        bytes
    }

    /// Settles all recipients of a ticket alike.
    pub(crate) fn settle(&self, ticket: Ticket, outcome: &Outcome) {
        let outcomes = ticket.recipients.iter().map(|one| (*one, outcome.clone())).collect();
        self.queue.settle(ticket, outcomes, Some("mx.example[192.0.2.9]:25".into()));
    }

    pub(crate) fn list(&self) -> Vec<Listed> {
        self.queue.list(&Filter::everything(), usize::MAX)
    }

    /// How many events of a kind were heard.
    pub(crate) fn heard(&self, kind: mail::EventKind) -> usize {
        self.events.borrow().iter().filter(|event| event.kind == kind).count()
    }
}

/// Runs `script` in a life on the real disk, on the kernel with epoll.
pub(crate) fn live_on_disk<T: 'static, F: Future<Output = T> + 'static>(
    directory: &Path,
    script: impl FnOnce(Life) -> F + 'static,
) -> T {
    let kernel = reactor::Options { backend: reactor::Backend::Poll, ..Default::default() };
    let (reactor, _) = Reactor::new(&kernel).expect("epoll is everywhere");
    let (here, options) = (reactor.clone(), options(directory));
    let result = reactor.run(async move {
        let life = Life::begin(&here, options, 0, 1).await;
        script(life).await
    });
    reactor.shut_down();
    result
}

pub(crate) const HEADER: &[u8] = b"Received: by relay.example\r\n";

/// Appends `body` as a session would: 16 KiB at a time.
pub(crate) async fn fill(draft: &mut Draft, body: &[u8]) {
    for piece in body.chunks(16 << 10) {
        if draft.append(piece).is_full() {
            draft.room().await.expect("the disk is well");
        }
    }
    assert_eq!(draft.len(), body.len() as u64);
}

pub(crate) async fn read_all(loaded: &mut Loaded) -> Result<Vec<u8>, queue::LoadError> {
    let mut bytes = Vec::new();
    while let Some(parts) = loaded.body.next().await? {
        parts.iter().for_each(|part| bytes.extend_from_slice(part.as_slice()));
    }
    Ok(bytes)
}

pub(crate) fn options(directory: &Path) -> Options {
    Options {
        directory: PathBuf::from(directory),
        hostname: "relay.example".into(),
        message_bytes: 4 << 20,
        spool_free: SpoolFree::Bytes(0),
        queue_messages: 1000,
        hot_bytes: 8 << 20,
        retry: Retry {
            first: Duration::from_secs(60),
            give_up: Duration::from_secs(600),
            give_up_bounces: Duration::from_secs(300),
            ..Retry::default()
        },
        return_bytes: 64 << 10,
    }
}

fn route(_: &Envelope, to: &ForwardPath) -> NextHop {
    let domain = to.domain().map_or("relay.example", |domain| domain.as_str());
    NextHop::new(&format!("mx://{domain}"))
}

pub(crate) fn envelope(from: &str, to: &[&str]) -> Envelope {
    Envelope {
        reverse_path: ReversePath::parse(from).expect("a good path"),
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

pub(crate) fn delivered() -> Outcome {
    let reply = mail::Reply::fixed(250, mail::EnhancedStatus(2, 0, 0), "Ok");
    Outcome::Delivered { reply }
}

pub(crate) fn deferred() -> Outcome {
    let reason = Reason::Network("no route to host".to_owned());
    Outcome::Deferred { reason, not_before: UnixTime(0) }
}

pub(crate) fn bounced() -> Outcome {
    let reply = mail::Reply::fixed(550, mail::EnhancedStatus(5, 1, 1), "No such user");
    Outcome::Bounced { reason: Reason::Peer(reply) }
}

/// A body of about `bytes`, unlike any other of another `seed`; no line begins with a dot.
pub(crate) fn body(seed: u64, bytes: usize) -> Vec<u8> {
    let mut text = format!("Subject: number {seed}\r\n\r\n").into_bytes();
    let mut number = seed;
    while text.len() < bytes {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        text.extend_from_slice(format!("{number:016x}\r\n").as_bytes());
    }
    text
}

/// What a message with `body` looks like on the wire.
pub(crate) fn whole(body: &[u8]) -> Vec<u8> {
    [HEADER, body].concat()
}
