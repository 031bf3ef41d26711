//! The relay's process: started, killed, drained, started again with another number of shards.

use crate::checkers::{Checker, ShardSight, Sight, descriptors, memory, space};
use crate::journal::journal;
use crate::plan::{Operator, Settings};
use crate::shard::{self, Life, LockWay, Parts, Seed};
use crate::yard::{RELAY, Yard};
use mail::UnixTime;
use queue::Filter;
use reactor::sim::{Host, Process};
use reactor::{Receiver, Sender, Slab, channel};
use server::Totals;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// Places in a channel between shards.
const CHANNEL: usize = 1024;

/// `runtime.drain`.
const DRAIN: Duration = Duration::from_secs(30);

/// Bytes of a segment on the disks of these worlds at most.
const SEGMENT_BYTES: u64 = 16 << 20;

/// The relay and its machine.
pub(crate) struct Relay {
    yard: Rc<Yard>,
    /// The machine.
    pub(crate) host: Host,
    process: Option<Process>,
    shards: Vec<Rc<RefCell<Life>>>,
    /// Most shards that there ever were: each has its log.
    most_shards: usize,
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
        Self { yard: Rc::clone(yard), host, process: None, shards: Vec::new(), most_shards: 0 }
    }

    /// Starts it with some number of shards.
    pub(crate) fn start(&mut self) {
        assert!(self.process.is_none(), "one relay at a time");
        let settings = self.yard.settings.borrow().clone();
        let shards = 1 + self.yard.below(settings.shards) as usize;
        self.most_shards = self.most_shards.max(shards);
        self.yard.world.note(&format!("the relay starts with {shards} shards"));
        *self.yard.bounds.borrow_mut() = Default::default();
        self.yard.widen_bounds();
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
                settings: settings.clone(),
                journal: journal(&self.yard),
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
        let ready = |life: &Rc<RefCell<Life>>| matches!(&*life.borrow(), Life::Ready(..));
        !self.shards.is_empty() && self.shards.iter().all(ready)
    }

    /// Kills it. What it knew and had not written down is gone.
    pub(crate) fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            self.shards.clear();
            process.kill();
            self.ended(false);
        }
    }

    /// Cuts its machine's power. What is on a file system in memory would be gone, and nobody has
    /// promised otherwise: there the process is killed.
    pub(crate) fn lose_power(&mut self) {
        if self.yard.plan.disk_kind == reactor::FileSystemKind::Memory {
            return self.kill();
        }
        self.process = None;
        self.shards.clear();
        self.host.lose_power();
        self.ended(false);
    }

    fn ended(&self, clean: bool) {
        self.yard.watch.borrow_mut().restarted(clean);
        if !clean {
            self.yard.ledger.borrow_mut().crash(self.yard.world.now());
        }
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
        let failed = parts.iter().any(|part| part.queue.failed());
        let world = self.yard.world.clone();
        let drained = world.run(|| clean.get() == all, 2 * DRAIN);
        let failed = failed || parts.iter().any(|part| part.queue.failed());
        drop(parts);
        self.shards.clear();
        self.process = None;
        process.kill();
        self.ended(drained && !failed);
    }

    /// What a supervisor does: ends a process that could not start or whose disk has failed.
    /// Returns whether it did.
    pub(crate) fn reap(&mut self) -> bool {
        let could_not_start = self.shards.iter().find_map(|life| match &*life.borrow() {
            Life::Failed(why) => Some(why.clone()),
            Life::Starting | Life::Ready(..) => None,
        });
        let failed = |life: &Rc<RefCell<Life>>| match &*life.borrow() {
            Life::Ready(parts, _) => parts.queue.failed(),
            Life::Starting | Life::Failed(_) => false,
        };
        let disk_failed = self.shards.iter().any(failed);
        let why = could_not_start.or_else(|| disk_failed.then(|| "its disk failed".to_owned()));
        let Some(why) = why else { return false };
        self.yard.world.note(&format!("the relay exits: {why}"));
        self.kill();
        true
    }

    /// Does what an operator does.
    pub(crate) fn operate(&self, operator: Operator) {
        match operator {
            Operator::Flush => self.flush(),
            Operator::Hold => self.hold(),
            Operator::Release => self.release(),
            Operator::Remove => self.remove(),
            Operator::Reload => self.reload(),
        }
    }

    /// Makes all mail due, and ends all back-offs.
    pub(crate) fn flush(&self) {
        for parts in self.parts() {
            parts.queue.flush(&Filter::everything());
            parts.delivery.flush_all();
        }
    }

    fn hold(&self) {
        for parts in self.parts() {
            for listed in parts.queue.list(&Filter::everything(), 5) {
                let filter = Filter { ids: vec![listed.id], ..Filter::default() };
                if self.yard.hits(0.5) && parts.queue.hold(&filter) > 0 {
                    self.yard.watch.borrow_mut().hold(listed.id, true);
                }
            }
        }
    }

    /// Lets all held messages go.
    pub(crate) fn release(&self) {
        for parts in self.parts() {
            for listed in parts.queue.list(&Filter::everything(), usize::MAX) {
                self.yard.watch.borrow_mut().hold(listed.id, false);
            }
            parts.queue.release(&Filter::everything());
        }
    }

    fn remove(&self) {
        let parts = self.parts();
        let Some(parts) = parts.first() else { return };
        for listed in parts.queue.list(&Filter::everything(), 1) {
            for recipient in &listed.recipients {
                self.yard.excuse(&recipient.to);
            }
            self.yard.watch.borrow_mut().remove(listed.id);
            parts.queue.remove(&Filter { ids: vec![listed.id], ..Filter::default() });
        }
    }

    fn reload(&self) {
        let settings = self.yard.settings.borrow().clone();
        self.take_over(self.yard.draw(|chance| settings.reloaded(chance)));
    }

    /// Gives all shards these settings.
    pub(crate) fn take_over(&self, settings: Settings) {
        self.parts().iter().for_each(|parts| parts.reload(&settings));
        *self.yard.settings.borrow_mut() = settings;
        self.yard.widen_bounds();
    }

    /// Messages in the queues of all shards.
    pub(crate) fn queued(&self) -> u64 {
        let messages = |parts: &Parts| parts.queue.counters().messages.iter().sum::<u64>();
        self.parts().iter().map(messages).sum()
    }

    /// Whether nothing is queued but what the disk has hurt, which nobody can send.
    pub(crate) fn has_only_hurt(&self) -> bool {
        if self.queued() == 0 {
            return true;
        }
        let parts = self.parts();
        let mut listed =
            parts.iter().flat_map(|parts| parts.queue.list(&Filter::everything(), usize::MAX));
        listed.all(|listed| listed.recipients.iter().all(|one| self.yard.is_excused(&one.to)))
    }

    /// Lets the checkers look, while all shards are ready.
    pub(crate) fn look(&self) {
        if self.is_ready() {
            let findings = self.yard.watch.borrow_mut().look(&self.sight());
            self.yard.wrongs(findings);
        }
    }

    fn sight(&self) -> Sight {
        let shards: Vec<ShardSight> = self.parts().iter().map(shard_sight).collect();
        let wall = self
            .parts()
            .first()
            .map_or(UnixTime(0), |parts| UnixTime::from_epoch(parts.reactor.wall_clock()));
        let kinds = self.process.as_ref().map(Process::descriptors_by_kind).unwrap_or_default();
        Sight {
            now: self.yard.world.now(),
            wall,
            healthy: self.yard.healthy.get(),
            bounds: self.yard.bounds.borrow().clone(),
            descriptors: self.process.as_ref().map_or(0, Process::descriptors),
            connections: kinds.sockets,
            files: self.host.files().len(),
            leased_bytes: self.process.as_ref().map_or(0, Process::leased_bytes) as u64,
            slab_bytes: (Slab::bytes_alive() - self.yard.slabs_before) as u64,
            violations: self.yard.world.violations(),
            shards,
        }
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

    /// At rest: nothing open that belongs to a session, nothing on disk that nobody needs.
    pub(crate) fn check_rest(&self) {
        if !self.is_ready() {
            return;
        }
        let sight = self.sight();
        for what in descriptors::look_at_rest(&sight) {
            self.yard.wrong(Checker::Descriptors, what);
        }
        for what in memory::look_at_rest(&sight) {
            self.yard.wrong(Checker::Memory, what);
        }
        let counters = self.parts().iter().map(|parts| parts.queue.counters()).collect::<Vec<_>>();
        let live = counters.iter().map(|counters| counters.live_bytes).sum();
        if self.queued() == 0 && live > 0 {
            let what = format!("nothing is queued, and {live} bytes are said to live");
            self.yard.wrong(Checker::Accounting, what);
        }
        let files = counters
            .iter()
            .map(|counters| counters.live_bytes + counters.dead_bytes + counters.free_bytes);
        let logs = self.most_shards as u64;
        let segment = (self.yard.plan.disk_bytes / (logs * 16)).clamp(1 << 20, SEGMENT_BYTES);
        if let Some(what) = space::look(files.sum(), live, logs, segment) {
            self.yard.wrong(Checker::Space, what);
        }
    }
}

fn shard_sight(parts: &Parts) -> ShardSight {
    let counters = parts.queue.counters();
    ShardSight {
        listed: parts.queue.list(&Filter::everything(), usize::MAX),
        counted: (counters.messages, counters.recipients),
        destinations: parts.delivery.destinations(),
        sessions: parts.server.open_sessions() as u64,
        outbound: parts.delivery.counters().sessions_open,
        tasks: parts.reactor.tasks(),
    }
}

async fn drain_shard(parts: Parts, clean: Rc<Cell<usize>>) {
    let by = parts.reactor.now() + DRAIN;
    let sessions = parts.server.drain(by).await;
    let connections = parts.delivery.drain(by).await;
    parts.queue.drain().await;
    if sessions + connections == 0 {
        clean.set(clean.get() + 1);
    }
}
