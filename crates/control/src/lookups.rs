//! Questions on their way from the shards to the resolver.

use crate::meters::Meters;
use crate::resolver::Dns;
use lookup::{Answered, Ask, LookupError, Request};
use reactor::Reactor;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc};

/// Questions that wait for the resolver; further ones are answered as failed at once.
const WAITING_MAX: usize = 4096;

/// Questions that are asked of the network at a time: each may hold a socket.
const ASKED_MAX: usize = 256;

/// The shards' end: clone it, send it to any thread.
#[derive(Clone, Debug)]
pub struct Questions {
    sender: mpsc::Sender<Request>,
}

/// The control plane's end.
#[derive(Debug)]
pub struct Lookups {
    receiver: mpsc::Receiver<Request>,
}

/// Both ends.
pub fn lookups() -> (Questions, Lookups) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    (Questions { sender }, Lookups { receiver })
}

impl Questions {
    /// Asks; never blocks. A question that finds no room is answered as failed.
    pub fn ask(&self, request: Request) {
        let refused = match self.sender.try_send(request) {
            Ok(()) => return,
            Err(
                mpsc::error::TrySendError::Full(request)
                | mpsc::error::TrySendError::Closed(request),
            ) => request,
        };
        let why = "too many questions wait for the resolver";
        refused.reply.send(Err(LookupError::Temporary(why.into())));
    }

    /// A channel of the shard's reactor whose questions are carried here: what a
    /// [`lookup::Resolver`] is given.
    pub fn carry(&self, reactor: &Reactor) -> reactor::Sender<Request> {
        let (sender, mut receiver) = reactor::channel(WAITING_MAX);
        let (here, questions) = (reactor.clone(), self.clone());
        reactor.spawn(async move {
            while let Some(request) = receiver.recv(&here).await {
                questions.ask(request);
            }
        });
        sender
    }
}

/// The resolver in use: a reload replaces it.
pub(crate) type Current = Rc<RefCell<Rc<Dns>>>;

/// Answers questions until all shards are gone. To be run within a `LocalSet`.
pub(crate) async fn answer(mut lookups: Lookups, dns: Current, meters: Arc<Meters>) {
    let room = Arc::new(Semaphore::new(ASKED_MAX));
    while let Some(Request { question, reply }) = lookups.receiver.recv().await {
        let permit = Arc::clone(&room).acquire_owned().await.expect("never closed");
        let dns = Rc::clone(&dns.borrow());
        let meters = Arc::clone(&meters);
        tokio::task::spawn_local(async move {
            let began = tokio::time::Instant::now();
            let answered = dns.answer(&question).await;
            count(&meters, &question, &answered, began.elapsed().as_secs_f64());
            reply.send(answered);
            drop(permit);
        });
    }
}

fn count(meters: &Meters, question: &Ask, answered: &Answered, seconds: f64) {
    let kind = match question {
        Ask::Mx(_) => "mx",
        Ask::Addresses(_) => "address",
    };
    let result = match answered {
        Ok((answer, _)) if crate::resolver::is_positive(answer) => "found",
        Ok(_) => "nothing",
        Err(_) => "failed",
    };
    meters.increment("dns_lookups_total", &[("kind", kind), ("result", result)]);
    meters.samples("dns_seconds", &[("kind", kind)], [seconds]);
}
