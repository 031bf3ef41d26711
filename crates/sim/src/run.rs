//! The run of one seed: trouble, then healing, then the reckoning.

use crate::checkers::{Checker, Wrong, lost, twice};
use crate::client::Clients;
use crate::next_hop::NextHop;
use crate::plan::{Mood, NameMood, Plan};
use crate::relay::Relay;
use crate::yard::{AWAY, MX, SMART, Yard};
use reactor::Instant;
use reactor::sim::Faults;
use std::rc::Rc;
use std::time::Duration;

/// How often the relay's health is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// The checkers look once in so many of these.
const LOOKS: u32 = 20;

/// By then all mail must have left, once everything is healed: retries come at most 72 minutes
/// apart, back-offs likewise, and a stalled peer may keep a session for half an hour.
const HEALING: Duration = Duration::from_secs(6 * 3600);

/// Messages that are sent when all is over: each must be taken, and arrive.
const PROBES: u32 = 3;

/// By then each of them must have been taken.
const PROBING: Duration = Duration::from_secs(3600);

/// An outcome is durable so long after the slowest write; see `checkers/twice.rs`.
const GRACE: Duration = Duration::from_secs(60);

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
    /// How often the relay ended without having written everything down.
    pub crashes: usize,
    /// Everything that is wrong: nothing.
    pub wrongs: Vec<Wrong>,
}

/// Runs `seed`; `watcher` hears the events.
pub fn run(seed: u64, watcher: Option<fn(&str)>) -> Report {
    let yard = Yard::new(Plan::new(seed));
    if let Some(watcher) = watcher {
        watcher(&format!("{:?}", yard.plan));
        yard.world.watch(watcher);
    }
    let mut hops = [SMART, MX[0], MX[1]].map(|address| NextHop::new(&yard, address));
    hops.iter_mut().for_each(NextHop::start);
    let mut relay = Relay::new(&yard);
    relay.start();
    let mut run = Run {
        relay,
        hops,
        away: NextHop::new(&yard, AWAY),
        clients: Clients::start(&yard),
        looks: 0,
        yard,
    };
    run.trouble();
    run.heal();
    run.probe();
    run.finish()
}

/// A run under way.
pub(crate) struct Run {
    pub(crate) yard: Rc<Yard>,
    pub(crate) relay: Relay,
    pub(crate) hops: [NextHop; 3],
    away: NextHop,
    clients: Clients,
    looks: u32,
}

impl Run {
    fn trouble(&mut self) {
        for (at, blow) in self.yard.plan.blows.clone() {
            self.pass(at);
            self.suffer(blow);
        }
        self.pass(self.yard.plan.trouble);
    }

    /// Lets time pass until `at`; a relay that exits is started again, as systemd would.
    fn pass(&mut self, at: Duration) {
        let end = Instant(0) + at;
        while self.yard.world.now() < end {
            let step = end.since(self.yard.world.now()).min(LOOK);
            self.yard.world.run(|| false, step);
            if self.relay.reap() || !self.relay.is_running() {
                self.restart();
            }
            self.look();
        }
    }

    /// Lets so much time pass.
    pub(crate) fn pass_for(&mut self, time: Duration) {
        self.pass(self.yard.world.now().since(Instant(0)) + time);
    }

    fn look(&mut self) {
        self.looks += 1;
        if self.looks.is_multiple_of(LOOKS) {
            self.relay.look();
        }
    }

    fn restart(&mut self) {
        let pause = self.yard.time(&(Duration::ZERO..Duration::from_secs(5)));
        self.yard.world.run(|| false, pause);
        self.relay.start();
    }

    /// Everything works again: all mail must leave.
    fn heal(&mut self) {
        let yard = Rc::clone(&self.yard);
        yard.world.note("everything is healed");
        yard.world.set_faults(Faults::none());
        yard.world.mend_links();
        self.relay.host.cure();
        yard.mood.set(Mood::default());
        yard.names.set(NameMood::default());
        yard.messages.set(yard.next_number.get());
        self.hops.iter_mut().for_each(NextHop::start);
        self.away.start();
        let end = yard.world.now() + HEALING;
        while yard.world.now() < end {
            if self.relay.reap() || !self.relay.is_running() {
                self.relay.start();
            }
            if !yard.healthy.get() && self.relay.is_ready() {
                self.relay.release();
                self.relay.flush();
                yard.healthy.set(true);
            }
            yard.world.run(|| false, LOOK);
            self.look();
            if self.is_quiet() {
                return;
            }
        }
        let text = self.relay.describe();
        let clients = yard.clients.get();
        yard.wrong(
            Checker::Progress,
            format!(
                "after {HEALING:?} of health {} messages are queued, {clients} clients wait:{text}",
                self.relay.queued()
            ),
        );
    }

    fn is_quiet(&self) -> bool {
        let calm = self.yard.healthy.get() && self.yard.clients.get() == 0;
        calm && self.relay.is_ready() && self.relay.has_only_hurt()
    }

    /// New mail is taken again, and arrives.
    fn probe(&mut self) {
        let yard = Rc::clone(&self.yard);
        yard.world.note("new mail is sent");
        let promises = || yard.ledger.borrow().promised().count();
        let before = promises();
        let end = yard.world.now() + PROBING;
        while promises() < before + PROBES as usize && yard.world.now() < end {
            if yard.clients.get() == 0 {
                yard.messages.set(yard.next_number.get() + 1);
                self.clients.begin(&yard);
            }
            yard.world.run(|| false, LOOK);
        }
        let taken = promises() - before;
        if taken < PROBES as usize {
            let what = format!("in {PROBING:?} of health {taken} of {PROBES} recipients are taken");
            yard.wrong(Checker::Progress, what);
        }
        let end = yard.world.now() + PROBING;
        yard.world.run(|| self.is_quiet(), end.since(yard.world.now()));
    }

    fn finish(mut self) -> Report {
        // Sessions of the next hops end, reports of outcomes land.
        self.yard.world.run(|| false, Duration::from_secs(600));
        self.relay.look();
        self.relay.check_rest();
        let yard = &self.yard;
        let mut ledger = yard.ledger.take();
        let crashes = ledger.crashes();
        self.relay.kill();
        yard.world.end();
        let now = yard.world.now();
        let faults = &yard.plan.faults;
        let hang = if faults.hang > 0.0 { faults.hang_time.end } else { Duration::ZERO };
        let grace = GRACE + 2 * faults.slow_time.end + hang;
        for what in lost::judge(&ledger) {
            ledger.wrong(Checker::Lost, now, what);
        }
        for what in twice::judge(&ledger, grace) {
            ledger.wrong(Checker::Twice, now, what);
        }
        Report {
            seed: yard.plan.seed,
            hash: yard.world.hash(),
            promises: ledger.promised().count(),
            arrivals: ledger.arrivals(),
            crashes,
            wrongs: ledger.wrongs().to_vec(),
        }
    }
}
