//! The simulated kernel: a world from one seed, with a virtual clock, network, disks and entropy.
//!
//! The same reactor, the same tasks; below the seam nothing is real. The same seed gives the same
//! events in the same order, and so the same [`World::hash`]. What goes wrong is one table, in
//! [`Faults`].
//! Start reading at [`World::step`], then `state.rs`, the agenda.
//!
//! # How it works
//! Everything that will happen stands on one agenda, ordered by time. The world turns each reactor
//! that has something to do, in a fixed order, until none has; then it moves the clock to the next
//! event or timer. No time passes while tasks run.

mod chance;
mod content;
mod disk;
mod faults;
mod kernel;
mod names;
mod network;
mod process;
mod state;
mod storage;
#[cfg(test)]
mod tests;
mod trace;
mod transfer;

pub use chance::Chance;
pub use faults::Faults;

use crate::file::FileSystemKind;
use crate::reactor::Reactor;
use crate::time::Instant;
use kernel::{BIRTH, SimKernel};
use process::Death;
use state::{HostId, KernelId, ProcessId, State};
use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

/// Turns without the clock moving after which tasks are taken to spin.
const TURNS_AT_ONCE: u32 = 200_000;

/// A simulated world; cloning gives another handle to the same one.
///
/// - *in*: [`host`](Self::host), [`set_faults`](Self::set_faults), [`note`](Self::note)
/// - *time*: [`step`](Self::step), [`run`](Self::run), [`now`](Self::now)
/// - *out*: [`hash`](Self::hash), [`watch`](Self::watch)
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

impl Host {
    /// Its address.
    pub fn address(&self) -> IpAddr {
        self.state(|state| state.hosts[self.id.0].address)
    }

    /// Starts a process.
    pub fn start(&self) -> Process {
        let id = self.world.engine.state.borrow_mut().start_process(self.id);
        Process { world: self.world.clone(), id }
    }

    /// Cuts the power: all its processes die, un-synced bytes and names are lost, kept or torn.
    /// Peers hear nothing until they send.
    pub fn lose_power(&self) {
        let here: Vec<ProcessId> = self.state(|state| {
            let all = state.processes.iter().enumerate();
            all.filter(|(_, process)| process.alive && process.host == self.id)
                .map(|(index, _)| ProcessId(index))
                .collect()
        });
        for process in here {
            self.world.end_process(process, Death::PowerLost);
        }
        self.world.engine.state.borrow_mut().lose_power(self.id);
    }

    /// Steps its wall clock forward.
    pub fn step_clock(&self, by: Duration) {
        self.world.engine.state.borrow_mut().hosts[self.id.0].clock_step += by;
    }

    /// Says what file system its disk has, of how many bytes, in blocks of how many.
    pub fn format(&self, kind: FileSystemKind, bytes: u64, block: u64) {
        let disk = &mut self.world.engine.state.borrow_mut().hosts[self.id.0].disk;
        disk.kind = kind;
        disk.capacity = bytes;
        disk.block = block;
    }

    /// Lets others use `bytes` of its disk; the call before is forgotten.
    pub fn fill_disk(&self, bytes: u64) {
        self.world.engine.state.borrow_mut().hosts[self.id.0].disk.foreign = bytes;
    }

    /// Breaks its disk, or mends it: a broken one answers EIO to everything.
    pub fn break_disk(&self, broken: bool) {
        self.world.engine.state.borrow_mut().hosts[self.id.0].disk.broken = broken;
    }

    /// All files on its disk, by path.
    pub fn files(&self) -> Vec<PathBuf> {
        self.state(|state| state.hosts[self.id.0].disk.paths())
    }

    /// The bytes of a file, as a process would read them now.
    pub fn read(&self, path: &Path) -> Option<Vec<u8>> {
        self.state(|state| state.hosts[self.id.0].disk.bytes(path))
    }

    fn state<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.world.engine.state.borrow())
    }
}

impl Process {
    /// A new reactor of this process; the world turns it.
    pub fn reactor(&self) -> Reactor {
        let kernel = self.world.engine.state.borrow_mut().start_kernel(self.id);
        let state = Rc::clone(&self.world.engine.state);
        let reactor = Reactor::over(Box::new(SimKernel::new(state, kernel)));
        let seat = Seat { process: self.id, kernel, reactor: reactor.clone() };
        self.world.engine.reactors.borrow_mut().push(seat);
        reactor
    }

    /// Kills it (SIGKILL): its tasks are dropped, its connections end, its writes in flight vanish
    /// or land later.
    pub fn kill(&self) {
        self.world.end_process(self.id, Death::Killed);
    }

    /// Whether it lives.
    pub fn is_alive(&self) -> bool {
        self.world.engine.state.borrow().processes[self.id.0].alive
    }

    /// Its open descriptors.
    pub fn descriptors(&self) -> usize {
        self.world.engine.state.borrow().processes[self.id.0].open()
    }
}
