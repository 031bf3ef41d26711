//! The façade.

use crate::counters::{Counters, DestinationView};
use crate::dispatch;
use crate::encrypt::Encryptor;
use crate::home::HomeMessage;
use crate::post::Post;
use crate::shard::{Parts, Shard};
use crate::{Options, Routes};
use lookup::Resolver;
use mail::{Journal, NextHop};
use queue::{Destinations, Queue, Router};
use reactor::{Instant, Reactor, Receiver, Sender};
use std::io;
use std::rc::Rc;
use wire::ClientTls;

/// What a shard's delivery begins with.
pub struct Start {
    /// The options.
    pub options: Rc<Options>,
    /// Where messages come from.
    pub queue: Queue,
    /// Who answers questions about names.
    pub resolver: Resolver,
    /// Where events go.
    pub journal: Journal,
    /// Which shard this is, from 0.
    pub shard: usize,
    /// How many there are, at least 1.
    pub shards: usize,
    /// The inboxes of all shards, by number, our own among them; may be empty with a single one.
    pub peers: Vec<Sender<HomeMessage>>,
    /// Our own inbox.
    pub inbox: Receiver<HomeMessage>,
}

/// The delivering side of one shard. Cloning gives another handle to the same one.
///
/// - *routes*: [`router`](Self::router) is what the queue names next hops with
/// - *operating*: [`reload`](Self::reload), [`flush`](Self::flush), [`suspend`](Self::suspend),
///   [`resume`](Self::resume), [`drain`](Self::drain)
/// - *watching*: [`destinations`](Self::destinations), [`counters`](Self::counters)
#[derive(Clone)]
pub struct Delivery {
    shard: Rc<Shard>,
}

impl Delivery {
    /// Starts to deliver what is due.
    pub fn start(reactor: &Reactor, start: Start) -> Self {
        assert!(start.shard < start.shards, "shards are numbered from 0");
        assert!(start.shards == 1 || start.peers.len() == start.shards, "a way to each shard");
        let parts = Parts {
            options: start.options,
            queue: start.queue,
            resolver: start.resolver,
            journal: start.journal,
            number: start.shard,
            shards: start.shards,
            post: Post::new(start.peers),
        };
        let shard = Rc::new(Shard::new(reactor, parts));
        reactor.spawn(Rc::clone(&shard).keep_home());
        reactor.spawn(take_messages(Rc::clone(&shard), start.inbox));
        reactor.spawn(dispatch::dispatch(Rc::clone(&shard)));
        Self { shard }
    }

    /// What names next hops by the routes of `options`: for the queue, at its start and whenever
    /// the options change.
    pub fn router(options: &Options) -> Router {
        let routes = Routes::new(options);
        Rc::new(move |envelope, recipient| routes.next_hop(envelope, recipient))
    }

    /// What new sessions encrypt with; before that they go in the clear, whatever routes say of
    /// opportunistic encryption, and where it is required they do not go at all.
    pub fn encrypt_with(&self, client: ClientTls) {
        self.shard.set_encryptor(Encryptor::new(client));
    }

    /// Takes over a new configuration. The queue is told its new router by the caller.
    pub fn reload(&self, options: Rc<Options>) {
        self.shard.reload(options);
    }

    /// Ends the back-off of these destinations, and looks at what is due. All shards need not be
    /// told of a destination: its home is.
    pub fn flush(&self, hops: &[NextHop]) {
        for hop in hops {
            self.shard.flush(hop);
        }
        // Whoever named the hops may have asked the queue what is due, and so have taken the news
        // from the loop that waits for it.
        dispatch::look(&self.shard);
    }

    /// Ends the back-off of every destination that this shard knows. Tell all shards.
    ///
    /// One that rests while nothing for it is due has no place on any shard, only an entry at home.
    pub fn flush_all(&self) {
        self.flush(&self.shard.known_hops());
    }

    /// Leaves these destinations alone from now on, over restarts; what is in flight comes to its
    /// end. Tell all shards; the first one answers once it is durable.
    ///
    /// # Errors
    /// As [`Queue::suspend`].
    pub async fn suspend(&self, which: &Destinations) -> io::Result<()> {
        self.shard.queue.suspend(which).await
    }

    /// Tries these destinations again. Tell all shards; the first one answers once it is durable.
    ///
    /// # Errors
    /// As [`Queue::resume`].
    pub async fn resume(&self, which: &Destinations) -> io::Result<()> {
        let resumed = self.shard.queue.resume(which).await;
        dispatch::look(&self.shard);
        resumed
    }

    /// Takes nothing new, waits for transfers whose end of data is out, at most until `by`, and
    /// ends all others. Returns how many connections were left.
    pub async fn drain(&self, by: Instant) -> usize {
        self.shard.begin_drain();
        while self.shard.connections() > 0 {
            if !self.shard.parted.wait(by).await {
                break;
            }
        }
        self.shard.connections()
    }

    /// The destinations that this shard has sessions or mail for, by name.
    pub fn destinations(&self) -> Vec<DestinationView> {
        self.shard.places.borrow().values().map(|place| place.view()).collect()
    }

    /// The numbers since the start; the samples are taken away.
    pub fn counters(&self) -> Counters {
        self.shard.counters().take()
    }
}

async fn take_messages(shard: Rc<Shard>, mut inbox: Receiver<HomeMessage>) {
    while let Some(message) = inbox.recv(&shard.reactor).await {
        shard.receive(message);
    }
}
