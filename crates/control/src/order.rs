//! What the control plane asks of a shard, and how the shard obeys.

use crate::transfer::{ImportPiece, carry_in, carry_out};
use delivery::{Delivery, DestinationView};
use mail::{MessageId, NextHop, UnixTime};
use queue::{ExportStep, Filter, ImportError, Listed, Portable, Queue, Shown, Summary};
use reactor::{Reactor, Receiver};
use server::Server;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How an answer goes back to the control plane.
pub type Answer<T> = Box<dyn FnOnce(T) + Send>;

/// What an operator does to messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Due now, and their destinations' back-off ends.
    Flush,
    /// Not tried until released.
    Hold,
    /// Tried again.
    Release,
    /// Forgotten, without a report.
    Remove,
}

/// One request to a shard.
pub enum Order {
    /// Messages that match, the oldest first.
    List {
        /// Which.
        filter: Filter,
        /// At most so many.
        limit: usize,
        /// Where they go.
        answer: Answer<Vec<Listed>>,
    },
    /// One message, if this shard has it.
    Show {
        /// Which.
        id: MessageId,
        /// Where it goes.
        answer: Answer<Option<Shown>>,
    },
    /// Ages by destination.
    Summary {
        /// Where it goes.
        answer: Answer<Summary>,
    },
    /// Something done to messages that match.
    Act {
        /// What.
        action: Action,
        /// To which.
        filter: Filter,
        /// How many there were.
        answer: Answer<usize>,
    },
    /// All messages, step by step, for as long as somebody asks for another one.
    Export {
        /// Whoever asks, and waits.
        wanted: Receiver<Answer<ExportStep>>,
    },
    /// A message that comes from elsewhere.
    Import {
        /// Its envelope.
        message: Box<Portable>,
        /// Its bytes.
        pieces: Receiver<ImportPiece>,
        /// Its new id.
        answer: Answer<Result<MessageId, ImportError>>,
    },
    /// Next hops and how they fare.
    Destinations {
        /// Where they go.
        answer: Answer<Vec<DestinationView>>,
    },
    /// New options; the closure is `ringpost`'s, which knows all crates' options.
    Reload(Box<dyn FnOnce(&Parts) + Send>),
    /// Stop accepting, finish what is under way, make everything durable.
    Drain {
        /// Transfers are waited for this long.
        within: Duration,
        /// Sessions that were left.
        answer: Answer<usize>,
    },
}

/// The working parts of one shard.
#[derive(Clone)]
pub struct Parts {
    /// The shard's reactor.
    pub reactor: Reactor,
    /// Receiving.
    pub server: Server,
    /// Keeping.
    pub queue: Queue,
    /// Sending.
    pub delivery: Delivery,
}

/// What a shard publishes once a second for the metrics.
#[derive(Debug)]
pub struct Snapshot {
    /// Of the receiving side.
    pub server: server::Counters,
    /// Of the queue.
    pub queue: queue::Counters,
    /// Of the sending side.
    pub delivery: delivery::Counters,
    /// Of the reactor.
    pub reactor: reactor::Counters,
    /// The spool has failed for good: the process shall drain and end.
    pub failed: bool,
}

/// Where a shard leaves its snapshots: the control plane takes the latest.
pub type Window = Arc<Mutex<Vec<Snapshot>>>;

/// Snapshots that wait when nobody collects them.
const SNAPSHOTS_MAX: usize = 60;

/// Publishes a snapshot a second, for ever.
pub async fn publish(parts: Parts, window: Window) {
    loop {
        parts.reactor.sleep(parts.reactor.now() + Duration::from_secs(1)).await;
        let snapshot = Snapshot {
            server: parts.server.counters(),
            queue: parts.queue.counters(),
            delivery: parts.delivery.counters(),
            reactor: parts.reactor.counters(),
            failed: parts.queue.admission() == queue::Admission::Failed,
        };
        let mut waiting = window.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < SNAPSHOTS_MAX {
            waiting.push(snapshot);
        }
    }
}

/// Carries orders out until a drain has ended or the control plane is gone.
pub async fn obey(parts: Parts, mut orders: Receiver<Order>) {
    while let Some(order) = orders.recv(&parts.reactor).await {
        match order {
            Order::List { filter, limit, answer } => answer(parts.queue.list(&filter, limit)),
            Order::Show { id, answer } => answer(parts.queue.show(id).await),
            Order::Summary { answer } => answer(parts.queue.summary(now(&parts))),
            Order::Act { action, filter, answer } => answer(act(&parts, action, &filter)),
            Order::Export { wanted } => {
                let carried = carry_out(parts.queue.export(), wanted, parts.reactor.clone());
                parts.reactor.spawn(carried);
            }
            Order::Import { message, pieces, answer } => {
                let carried = carry_in(parts.queue.clone(), message, pieces, parts.reactor.clone());
                parts.reactor.spawn(async move { answer(carried.await) });
            }
            Order::Destinations { answer } => answer(parts.delivery.destinations()),
            Order::Reload(apply) => apply(&parts),
            Order::Drain { within, answer } => {
                answer(drain(&parts, within).await);
                return;
            }
        }
    }
}

fn now(parts: &Parts) -> UnixTime {
    UnixTime::from_epoch(parts.reactor.wall_clock())
}

fn act(parts: &Parts, action: Action, filter: &Filter) -> usize {
    match action {
        Action::Flush => flush(parts, filter),
        Action::Hold => parts.queue.hold(filter),
        Action::Release => parts.queue.release(filter),
        Action::Remove => parts.queue.remove(filter),
    }
}

/// Makes messages due and ends the back-off of the destinations that they go to, and of no other.
fn flush(parts: &Parts, filter: &Filter) -> usize {
    if *filter == (Filter { all: true, ..Filter::default() }) {
        let flushed = parts.queue.flush(filter);
        parts.delivery.flush_all();
        return flushed;
    }
    let listed = parts.queue.list(filter, usize::MAX);
    let names: BTreeSet<_> =
        listed.iter().flat_map(|message| &message.recipients).map(|to| &to.hop).collect();
    let hops: Vec<_> = names.into_iter().map(|name| NextHop::new(name)).collect();
    let flushed = parts.queue.flush(filter);
    parts.delivery.flush(&hops);
    flushed
}

async fn drain(parts: &Parts, within: Duration) -> usize {
    let by = parts.reactor.now() + within;
    let left = parts.server.drain(by).await;
    parts.delivery.drain(by).await;
    parts.queue.drain().await;
    left
}
