//! A process, and what a checker may ask of it.

use super::kernel::{BUFFER_BYTES, SimKernel};
use super::process::{Death, InFlight, KernelState, Open};
use super::state::Cargo;
use super::{Process, Seat, World};
use crate::kernel::Group;
use crate::reactor::Reactor;
use crate::time::Instant;
use std::rc::Rc;

/// Open descriptors by what they stand for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Descriptors {
    /// Files and directories.
    pub files: usize,
    /// Connections, and sockets on their way to one.
    pub sockets: usize,
    /// Listening sockets.
    pub listeners: usize,
}

/// What may still make something happen in a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// Some task can run now.
    pub can_run: bool,
    /// Completions that no task has seen.
    pub completions: usize,
    /// When the next timer is due.
    pub timer: Option<Instant>,
    /// Accepts that wait for a client.
    pub accepts: usize,
    /// Receives that wait for a peer.
    pub receives: usize,
    /// Sends, which wait for a peer to read.
    pub sends: usize,
    /// Connection attempts; each ends by itself.
    pub connects: usize,
    /// Operations on files, and others that complete by themselves.
    pub others: usize,
}

impl Pending {
    /// Operations that were submitted and have not completed for good.
    pub fn operations(&self) -> usize {
        self.accepts + self.receives + self.sends + self.connects + self.others
    }

    /// Nothing will ever happen here, unless a client comes or a peer says or reads something.
    pub fn is_stuck(&self) -> bool {
        !self.can_run
            && self.completions == 0
            && self.timer.is_none()
            && self.connects + self.others == 0
    }

    fn count(&mut self, kernel: &KernelState) {
        self.completions += kernel.ready.len();
        for operation in kernel.operations.values() {
            *match operation {
                InFlight::Accept(_) => &mut self.accepts,
                InFlight::Receive(_) => &mut self.receives,
                InFlight::Send(_) => &mut self.sends,
                InFlight::Connect(_) => &mut self.connects,
                InFlight::Disk(_) | InFlight::Bound => &mut self.others,
            } += 1;
        }
    }
}

impl World {
    /// What no kernel should have been asked for, since this was last asked: a descriptor closed
    /// with an operation in flight, a receive buffer given back twice.
    pub fn violations(&self) -> Vec<String> {
        std::mem::take(&mut self.engine.state.borrow_mut().violations)
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

    /// Its open descriptors, by what they stand for.
    pub fn descriptors_by_kind(&self) -> Descriptors {
        let mut kinds = Descriptors::default();
        for open in self.world.engine.state.borrow().processes[self.id.0].opens() {
            *match open {
                Open::File(_) => &mut kinds.files,
                Open::Socket(_) => &mut kinds.sockets,
                Open::Listener(_) => &mut kinds.listeners,
            } += 1;
        }
        kinds
    }

    /// Bytes of receive buffers that its tasks hold leases of, or that lie in a stream unread.
    pub fn leased_bytes(&self) -> usize {
        self.kernels(|kernel| {
            let on_the_way = kernel.ready.iter().map(|ready| match &ready.cargo {
                Cargo::Received { group, .. } => BUFFER_BYTES[*group as usize],
                Cargo::Nothing => 0,
            });
            let lent = [Group::Inbound, Group::Outbound]
                .map(|group| kernel.lent_buffers(group) * BUFFER_BYTES[group as usize]);
            lent.iter().sum::<usize>() - on_the_way.sum::<usize>()
        })
    }

    /// Writes of its reactors, living or dead, that have not landed.
    pub fn writes_in_flight(&self) -> u32 {
        let state = self.world.engine.state.borrow();
        let ours = state.kernels.iter().filter(|kernel| kernel.process == self.id);
        ours.map(|kernel| kernel.writes_in_flight).sum()
    }

    /// Operations that were submitted and have not completed for good.
    pub fn operations(&self) -> usize {
        self.kernels(|kernel| kernel.operations.len())
    }

    /// What may still make something happen here.
    pub fn pending(&self) -> Pending {
        let mut pending = Pending::default();
        for seat in self.world.engine.reactors.borrow().iter() {
            if seat.process != self.id {
                continue;
            }
            pending.can_run |= seat.reactor.can_run();
            pending.timer = [pending.timer, seat.reactor.next_timer()].into_iter().flatten().min();
            pending.count(&self.world.engine.state.borrow().kernels[seat.kernel.0]);
        }
        pending
    }

    fn kernels(&self, count: impl Fn(&KernelState) -> usize) -> usize {
        let state = self.world.engine.state.borrow();
        let ours = |kernel: &&KernelState| kernel.process == self.id && kernel.alive;
        state.kernels.iter().filter(ours).map(count).sum()
    }
}
