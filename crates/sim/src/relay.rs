//! The relay's process: started, killed, drained, started again with another number of shards.

use crate::shard::{self, Life, LockWay, Parts, Seed};
use crate::yard::{RELAY, Yard};
use queue::Filter;
use reactor::sim::{Host, Process};
use reactor::{Receiver, Sender, channel};
use server::Totals;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// Places in a channel between shards.
const CHANNEL: usize = 1024;

/// `runtime.drain`.
const DRAIN: Duration = Duration::from_secs(30);

/// Descriptors of a relay with this workload: a few sessions each way, a few files a log.
const DESCRIPTORS: usize = 300;

/// Tasks of a relay with this workload, over all shards: likewise.
const TASKS: usize = 300;

/// The relay and its machine.
pub(crate) struct Relay {
    yard: Rc<Yard>,
    /// The machine.
    pub(crate) host: Host,
    process: Option<Process>,
    shards: Vec<Rc<RefCell<Life>>>,
}

/// One channel to each of `count` shards: all the senders, and each one's receiver.
fn channels<T>(count: usize) -> (Vec<Sender<T>>, Vec<Receiver<T>>) {
    (0..count).map(|_| channel(CHANNEL)).unzip()
}

impl Relay {
    /// A relay that does not run yet, on a fresh disk.
    pub(crate) fn new(yard: &Rc<Yard>) -> Self {
        let host = yard.world.host(RELAY);
        host.format(yard.plan.disk_kind, yard.plan.disk_bytes, 512);
        Self { yard: Rc::clone(yard), host, process: None, shards: Vec::new() }
    }

    /// Starts it with one to three shards.
    pub(crate) fn start(&mut self) {
        assert!(self.process.is_none(), "one relay at a time");
        let shards = 1 + self.yard.below(3) as usize;
        self.yard.world.note(&format!("the relay starts with {shards} shards"));
        let process = self.host.start();
        let totals = Totals::new(shards);
        let (census, census_inboxes) = channels(shards);
        let (homes, home_inboxes) = channels(shards);
        let (tellers, told): (Vec<_>, Vec<_>) = (1..shards).map(|_| channel(1)).unzip();
        let take = LockWay::Take(tellers);
        let locks = std::iter::once(take).chain(told.into_iter().map(LockWay::Await));
        let inboxes = census_inboxes.into_iter().zip(home_inboxes);
        for (shard, (lock, (census_inbox, home_inbox))) in locks.zip(inboxes).enumerate() {
            let seed = Seed {
                shard,
                shards,
                lock,
                totals: totals.clone(),
                census: (census.clone(), census_inbox),
                homes: (homes.clone(), home_inbox),
            };
            let reactor = process.reactor();
            let life = Rc::new(RefCell::new(Life::Starting));
            let yard = Rc::clone(&self.yard);
            reactor.spawn(shard::live(yard, reactor.clone(), seed, Rc::clone(&life)));
            self.shards.push(life);
        }
        self.process = Some(process);
    }

    /// Whether its process lives.
    pub(crate) fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// The parts of the shards that are ready.
    pub(crate) fn parts(&self) -> Vec<Parts> {
        let ready = |life: &Rc<RefCell<Life>>| match &*life.borrow() {
            Life::Ready(parts, _) => Some(parts.clone()),
            Life::Starting | Life::Failed(_) => None,
        };
        self.shards.iter().filter_map(ready).collect()
    }

    /// Whether all shards are ready.
    pub(crate) fn is_ready(&self) -> bool {
        !self.shards.is_empty() && self.parts().len() == self.shards.len()
    }

    /// Kills it. What it knew and had not written down is gone.
    pub(crate) fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            self.shards.clear();
            process.kill();
            self.yard.ledger.borrow_mut().crash(self.yard.world.now());
        }
    }

    /// Cuts its machine's power.
    pub(crate) fn lose_power(&mut self) {
        self.process = None;
        self.shards.clear();
        self.host.lose_power();
        self.yard.ledger.borrow_mut().crash(self.yard.world.now());
    }

    /// Asks it to end, and waits until it has, as long as a service supervisor would.
    pub(crate) fn drain(&mut self) {
        let Some(process) = self.process.clone() else { return };
        self.yard.world.note("the relay drains");
        let parts = self.parts();
        let clean = Rc::new(Cell::new(0));
        for part in &parts {
            part.reactor.spawn(drain_shard(part.clone(), Rc::clone(&clean)));
        }
        let all = self.shards.len();
        drop(parts);
        let world = self.yard.world.clone();
        let drained = world.run(|| clean.get() == all, 2 * DRAIN);
        self.shards.clear();
        self.process = None;
        process.kill();
        if !drained {
            self.yard.ledger.borrow_mut().crash(world.now());
        }
    }

    /// What a supervisor does: ends a process that could not start or whose disk has failed.
    /// Returns whether it did.
    pub(crate) fn reap(&mut self) -> bool {
        self.check_bounds();
        let could_not_start = self.shards.iter().find_map(|life| match &*life.borrow() {
            Life::Failed(why) => Some(why.clone()),
            Life::Starting | Life::Ready(..) => None,
        });
        let disk_failed = self.parts().iter().any(|parts| parts.queue.failed());
        let why = could_not_start.or_else(|| disk_failed.then(|| "its disk failed".to_owned()));
        let Some(why) = why else { return false };
        self.yard.world.note(&format!("the relay exits: {why}"));
        self.kill();
        true
    }

    fn check_bounds(&self) {
        let open = self.process.as_ref().map_or(0, Process::descriptors);
        if open > DESCRIPTORS {
            self.yard.wrong(format!("the relay has {open} descriptors"));
        }
        let tasks: usize = self.parts().iter().map(|parts| parts.reactor.tasks()).sum();
        if tasks > TASKS {
            self.yard.wrong(format!("the relay has {tasks} tasks"));
        }
    }

    /// Makes all mail due, and ends all back-offs.
    pub(crate) fn flush(&self) {
        for parts in self.parts() {
            parts.queue.flush(&Filter::everything());
            parts.delivery.flush_all();
        }
    }

    /// Messages in the queues of all shards.
    pub(crate) fn queued(&self) -> u64 {
        let messages = |parts: &Parts| parts.queue.counters().messages.iter().sum::<u64>();
        self.parts().iter().map(messages).sum()
    }

    /// What is still queued and when it is due, for a failure's text.
    pub(crate) fn describe(&self) -> String {
        let mut text = String::new();
        for parts in self.parts() {
            for listed in parts.queue.list(&Filter::everything(), 5) {
                text.push_str(&format!("\n  {listed:?}"));
            }
            for view in parts.delivery.destinations() {
                text.push_str(&format!("\n  {view:?}"));
            }
        }
        text
    }

    /// At rest: nothing open that belongs to a session.
    pub(crate) fn check_rest(&self) {
        let Some(process) = &self.process else { return };
        let shards = self.shards.len();
        let sessions: usize = self.parts().iter().map(|parts| parts.server.open_sessions()).sum();
        let open = process.descriptors();
        if sessions > 0 || open > REST_PER_SHARD * shards.max(3) {
            self.yard.wrong(format!("at rest {open} descriptors and {sessions} sessions are open"));
        }
    }
}

/// Descriptors of a shard at rest: its listener, the lock, and the open segments of its logs.
const REST_PER_SHARD: usize = 16;

async fn drain_shard(parts: Parts, clean: Rc<Cell<usize>>) {
    let by = parts.reactor.now() + DRAIN;
    let sessions = parts.server.drain(by).await;
    let connections = parts.delivery.drain(by).await;
    parts.queue.drain().await;
    if sessions + connections == 0 {
        clean.set(clean.get() + 1);
    }
}
