//! The run of one seed: trouble, then healing, then the reckoning.

use crate::client;
use crate::next_hop::NextHop;
use crate::plan::{Blow, Mood, Plan};
use crate::relay::Relay;
use crate::yard::{AWAY, MX, SMART, Yard};
use reactor::sim::Faults;
use std::rc::Rc;
use std::time::Duration;

/// How often the relay's health is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How long a blow waits for its moment.
const AIM: Duration = Duration::from_secs(30);

/// By then all mail must have left, once everything is healed: retries come at most 72 minutes
/// apart, back-offs likewise, and a stalled peer may keep a session for half an hour.
const HEALING: Duration = Duration::from_secs(6 * 3600);

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The hash of all events.
    pub hash: u64,
    /// Recipients that got a 250.
    pub promises: usize,
    /// What next hops have taken.
    pub arrivals: usize,
    /// Everything that is wrong: nothing.
    pub wrongs: Vec<String>,
}

/// Runs `seed`; `watcher` hears the events.
pub fn run(seed: u64, watcher: Option<fn(&str)>) -> Report {
    let yard = Yard::new(Plan::new(seed));
    if let Some(watcher) = watcher {
        watcher(&format!("{:?}", yard.plan));
        yard.world.watch(watcher);
    }
    let mut run = Run {
        relay: Relay::new(&yard),
        hops: [SMART, MX[0], MX[1]].map(|address| NextHop::new(&yard, address)),
        away: NextHop::new(&yard, AWAY),
        yard,
    };
    run.trouble();
    run.heal();
    run.finish()
}

struct Run {
    yard: Rc<Yard>,
    relay: Relay,
    hops: [NextHop; 3],
    away: NextHop,
}

impl Run {
    fn trouble(&mut self) {
        self.hops.iter_mut().for_each(NextHop::start);
        self.relay.start();
        client::start(&self.yard);
        for (at, blow) in self.yard.plan.blows.clone() {
            self.pass(at);
            self.suffer(blow);
        }
        self.pass(self.yard.plan.trouble);
    }

    /// Lets time pass until `at`; a relay that exits is started again, as systemd would.
    fn pass(&mut self, at: Duration) {
        let end = reactor::Instant(0) + at;
        while self.yard.world.now() < end {
            let step = end.since(self.yard.world.now()).min(LOOK);
            self.yard.world.run(|| false, step);
            if self.relay.reap() || !self.relay.is_running() {
                self.restart();
            }
        }
    }

    fn pass_for(&mut self, time: Duration) {
        self.pass(self.yard.world.now().since(reactor::Instant(0)) + time);
    }

    /// Mostly waits until a body has just been sent to the relay or by it: then a crash meets
    /// commits and outcomes on their way to the disk.
    fn aim(&self) {
        if self.yard.hits(0.25) {
            return;
        }
        let moves = || self.yard.ledger.borrow().moves();
        let before = moves();
        self.yard.world.run(|| moves() != before, AIM);
        let most = self.yard.plan.faults.write_time.end * 4;
        self.yard.world.run(|| false, self.yard.time(&(Duration::ZERO..most)));
    }

    fn restart(&mut self) {
        let pause = self.yard.time(&(Duration::ZERO..Duration::from_secs(5)));
        self.yard.world.run(|| false, pause);
        self.relay.start();
    }

    fn suffer(&mut self, blow: Blow) {
        self.yard.world.note(&format!("blow: {blow:?}"));
        match blow {
            Blow::Kill => {
                self.aim();
                self.relay.kill();
            }
            Blow::Power => {
                self.aim();
                self.relay.lose_power();
            }
            Blow::Drain => self.relay.drain(),
            Blow::Clock(by) => self.relay.host.step_clock(by),
            Blow::NextHop => {
                let index = self.yard.below(3) as usize;
                self.hops[index].kill();
                let pause = self.yard.time(&(Duration::ZERO..Duration::from_secs(60)));
                self.pass_for(pause);
                self.hops[index].start();
            }
            Blow::Full(time) => {
                self.relay.host.fill_disk(self.yard.plan.disk_bytes);
                self.pass_for(time);
                self.relay.host.fill_disk(0);
            }
            Blow::Broken(time) => {
                self.relay.host.break_disk(true);
                self.pass_for(time);
                self.relay.host.break_disk(false);
            }
            Blow::Flush => self.relay.flush(),
        }
    }

    /// Everything works again: all mail must leave.
    fn heal(&mut self) {
        let yard = Rc::clone(&self.yard);
        yard.world.note("everything is healed");
        yard.world.set_faults(Faults::none());
        yard.mood.set(Mood::default());
        yard.over.set(true);
        self.hops.iter_mut().for_each(NextHop::start);
        self.away.start();
        let end = yard.world.now() + HEALING;
        let mut flushed = false;
        while yard.world.now() < end {
            if self.relay.reap() || !self.relay.is_running() {
                self.relay.start();
            }
            if !flushed && self.relay.is_ready() {
                self.relay.flush();
                flushed = true;
            }
            yard.world.run(|| false, LOOK);
            let done = yard.clients.get() == 0 && self.relay.queued() == 0;
            if flushed && self.relay.is_ready() && done {
                return;
            }
        }
        let text = self.relay.describe();
        let clients = yard.clients.get();
        yard.wrong(format!(
            "after {HEALING:?} of health {} messages are queued, {clients} clients wait:{text}",
            self.relay.queued()
        ));
    }

    fn finish(mut self) -> Report {
        // Sessions of the next hops end, reports of outcomes land.
        self.yard.world.run(|| false, Duration::from_secs(600));
        self.relay.check_rest();
        self.relay.kill();
        self.yard.world.end();
        let ledger = self.yard.ledger.take();
        Report {
            seed: self.yard.plan.seed,
            hash: self.yard.world.hash(),
            promises: ledger.promises(),
            arrivals: ledger.arrivals(),
            wrongs: ledger.settle(),
        }
    }
}
