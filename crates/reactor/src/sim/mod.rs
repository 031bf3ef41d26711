//! The simulated kernel: a world from one seed, with a virtual clock, network, disks and entropy.
//!
//! The same reactor, the same tasks; below the seam nothing is real. The same seed gives the same
//! events in the same order, and so the same [`World::hash`]. What goes wrong is one table, in
//! [`Faults`].
//! Start reading at [`World::step`], then `state.rs`, the agenda. What may be done to a machine is
//! in `host.rs`, what may be asked of a process in `probe.rs`.
//!
//! # How it works
//! Everything that will happen stands on one agenda, ordered by time. The world turns each reactor
//! that has something to do, in a fixed order, until none has; then it moves the clock to the next
//! event or timer. No time passes while tasks run.

mod ailment;
mod chance;
mod content;
mod disk;
mod faults;
mod host;
mod kernel;
mod links;
mod names;
mod network;
mod probe;
mod process;
mod rot;
mod state;
mod storage;
#[cfg(test)]
mod tests;
mod trace;
mod transfer;
mod writes;

pub use ailment::{Ailment, Call};
pub use chance::Chance;
pub use faults::Faults;
pub use probe::{Descriptors, Pending};
pub use rot::{Misdirected, Rot};

use crate::reactor::Reactor;
use crate::time::Instant;
use kernel::BIRTH;
use process::Death;
use state::{HostId, KernelId, ProcessId, State};
use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

/// Turns without the clock moving after which tasks are taken to spin.
const TURNS_AT_ONCE: u32 = 200_000;

/// A simulated world; cloning gives another handle to the same one.
///
/// - *in*: [`host`](Self::host), [`set_faults`](Self::set_faults), [`cut`](Self::cut),
///   [`partition`](Self::partition), [`note`](Self::note)
/// - *time*: [`step`](Self::step), [`run`](Self::run), [`now`](Self::now)
/// - *out*: [`hash`](Self::hash), [`watch`](Self::watch), [`violations`](Self::violations)
#[derive(Clone)]
pub struct World {
    engine: Rc<Engine>,
}

struct Engine {
    state: Rc<RefCell<State>>,
    /// In the order in which they are turned: that of their making.
    reactors: RefCell<Vec<Seat>>,
    turns_at_once: Cell<u32>,
}

struct Seat {
    process: ProcessId,
    kernel: KernelId,
    reactor: Reactor,
}

/// A machine: an address and a disk, which outlives processes.
#[derive(Clone)]
pub struct Host {
    world: World,
    id: HostId,
}

/// A process on a host: some reactors with one table of descriptors.
#[derive(Clone)]
pub struct Process {
    world: World,
    id: ProcessId,
}

impl World {
    /// The world of `seed`, in which things go wrong as `faults` say.
    pub fn new(seed: u64, faults: Faults) -> Self {
        let engine = Engine {
            state: Rc::new(RefCell::new(State::new(seed, faults))),
            reactors: RefCell::default(),
            turns_at_once: Cell::new(0),
        };
        Self { engine: Rc::new(engine) }
    }

    /// The host at `address`, which is made when it is first asked for.
    pub fn host(&self, address: IpAddr) -> Host {
        let id = self.engine.state.borrow_mut().host(address);
        Host { world: self.clone(), id }
    }

    /// Changes what goes wrong, from now on. Receive buffers stay as they are.
    pub fn set_faults(&self, faults: Faults) {
        self.engine.state.borrow_mut().faults = faults;
    }

    /// Lets nothing pass from one host to another for `time`; the other way stays open. What is
    /// sent meanwhile is sent again and arrives late, resets are lost, and a sender gives up after
    /// 15 minutes, a connection attempt after two.
    pub fn cut(&self, from: &Host, to: &Host, time: Duration) {
        let state = &mut *self.engine.state.borrow_mut();
        let until = state.now + time;
        state.network.links.cut(from.id, to.id, until);
    }

    /// Cuts both ways between two hosts for `time`.
    pub fn partition(&self, one: &Host, other: &Host, time: Duration) {
        self.cut(one, other, time);
        self.cut(other, one, time);
    }

    /// Opens all ways that were cut, by call or by chance. What was sent into them still comes when
    /// it would have come.
    pub fn mend_links(&self) {
        self.engine.state.borrow_mut().network.links.mend();
    }

    /// Does the next thing: turns the reactors that can run, else moves the clock to the next event
    /// or timer. `false` when nothing will ever happen.
    pub fn step(&self) -> bool {
        self.step_by(Instant::NEVER)
    }

    /// Steps until `until` says so; `false` when `limit` has passed first, or nothing will ever
    /// happen.
    pub fn run(&self, mut until: impl FnMut() -> bool, limit: Duration) -> bool {
        let end = self.now() + limit;
        loop {
            if until() {
                return true;
            }
            if !self.step_by(end) {
                self.move_clock(end);
                // Whoever goes on from here may ask any of them for the time.
                self.turn_all(|_| true);
                return until();
            }
        }
    }

    /// Monotonic time: that since the world's birth.
    pub fn now(&self) -> Instant {
        self.engine.state.borrow().now
    }

    /// Wall-clock time since 1970, where no host's clock has stepped.
    pub fn wall_clock(&self) -> Duration {
        BIRTH + self.now().since(Instant(0))
    }

    /// A hash over all events so far.
    pub fn hash(&self) -> u64 {
        self.engine.state.borrow().trace.hash()
    }

    /// Lets `watcher` hear the text of events from now on. It must not call the world.
    pub fn watch(&self, watcher: impl FnMut(&str) + 'static) {
        self.engine.state.borrow_mut().trace.watch(Box::new(watcher));
    }

    /// Adds a sentence to the events.
    pub fn note(&self, sentence: &str) {
        let state = &mut *self.engine.state.borrow_mut();
        state.trace.sentence(state.now, sentence);
    }

    /// Kills everything. Tasks may hold the world: without this it would live for ever.
    pub fn end(&self) {
        let processes = self.engine.state.borrow().processes.len();
        for id in (0..processes).map(ProcessId) {
            Process { world: self.clone(), id }.kill();
        }
    }

    fn step_by(&self, limit: Instant) -> bool {
        if self.turn_all(|seat| seat.reactor.can_run() || self.has_completions(seat.kernel)) {
            let turns = self.engine.turns_at_once.get() + 1;
            self.engine.turns_at_once.set(turns);
            assert!(turns < TURNS_AT_ONCE, "tasks run for ever and no time passes");
            return true;
        }
        let timers = self.engine.reactors.borrow();
        let timer = timers.iter().filter_map(|seat| seat.reactor.next_timer()).min();
        drop(timers);
        let event = self.engine.state.borrow().next_event();
        let next = [timer, event].into_iter().flatten().min();
        let Some(next) = next.filter(|next| *next <= limit) else { return false };
        self.move_clock(next);
        true
    }

    /// Moves the clock, and turns the reactors that this concerns. The others see the new time when
    /// they turn, as a thread does that sleeps.
    fn move_clock(&self, to: Instant) {
        self.engine.turns_at_once.set(0);
        self.engine.state.borrow_mut().advance(to);
        self.turn_all(|seat| {
            seat.reactor.next_timer().is_some_and(|timer| timer <= to)
                || self.has_completions(seat.kernel)
        });
    }

    fn turn_all(&self, wanted: impl Fn(&Seat) -> bool) -> bool {
        let mut turned = false;
        let mut index = 0;
        loop {
            // Nothing is borrowed while a reactor turns: its tasks may start or kill others.
            let next = self.engine.reactors.borrow().get(index).map(|seat| {
                let wanted = wanted(seat);
                wanted.then(|| seat.reactor.clone())
            });
            let Some(next) = next else { return turned };
            if let Some(reactor) = next {
                reactor.turn(false);
                turned = true;
            }
            index += 1;
        }
    }

    fn has_completions(&self, kernel: KernelId) -> bool {
        !self.engine.state.borrow().kernels[kernel.0].ready.is_empty()
    }

    fn end_process(&self, process: ProcessId, death: Death) {
        self.engine.state.borrow_mut().kill(process, death);
        let mut dead = Vec::new();
        self.engine.reactors.borrow_mut().retain(|seat| {
            let stays = seat.process != process;
            if !stays {
                dead.push(seat.reactor.clone());
            }
            stays
        });
        for reactor in dead {
            reactor.shut_down();
        }
    }
}
