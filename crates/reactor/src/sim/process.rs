//! Processes: their descriptors, the kernel side of their reactors, their death.

use super::disk::Errno;
use super::network::{ListenerId, SocketId};
use super::state::{Event, HostId, KernelId, OpenId, ProcessId, Ready, State};
use super::storage::DiskCall;
use crate::kernel::{Descriptor, Group, Token};
use std::collections::{BTreeMap, VecDeque};

/// Descriptors 0 to 2 are taken in any process.
const FIRST_DESCRIPTOR: usize = 3;

/// Descriptors that a process may have: generous, so that running out of them is a fault's work or
/// a leak.
const DESCRIPTORS: usize = 4096;

/// What a shortage is of: the process's descriptors, the machine's, memory.
const SHORTAGES: [Errno; 3] = [libc::EMFILE, libc::ENFILE, libc::ENOMEM];

/// What a descriptor stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Open {
    File(OpenId),
    Socket(SocketId),
    Listener(ListenerId),
}

/// A process.
pub(super) struct ProcessState {
    pub(super) host: HostId,
    pub(super) alive: bool,
    descriptors: Vec<Option<Open>>,
}

/// An operation that has not completed.
pub(super) enum InFlight {
    Accept(ListenerId),
    Receive(SocketId),
    Send(SocketId),
    Connect(SocketId),
    /// A read, sync or file call.
    Disk(DiskCall),
    /// It will complete by an event that is on the agenda; nothing stops it.
    Bound,
}

/// The kernel side of one reactor.
pub(super) struct KernelState {
    pub(super) process: ProcessId,
    pub(super) alive: bool,
    pub(super) ready: VecDeque<Ready>,
    pub(super) operations: BTreeMap<Token, InFlight>,
    /// Receive buffers that the kernel may fill, by group.
    pub(super) free_buffers: [VecDeque<u16>; 2],
    buffers: u16,
    /// Files that it keeps open.
    pub(super) held: Vec<OpenId>,
    pub(super) writes_in_flight: u32,
}

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Death {
    /// SIGKILL: the machine lives on, and so do its page cache and the writes in flight.
    Killed,
    /// The machine has lost its power: nothing is said to anybody, nothing lands later.
    PowerLost,
}

impl ProcessState {
    /// What `descriptor` stands for.
    pub(super) fn get(&self, descriptor: Descriptor) -> Option<Open> {
        let index = usize::try_from(descriptor).ok()?.checked_sub(FIRST_DESCRIPTOR)?;
        *self.descriptors.get(index)?
    }

    /// Open descriptors.
    pub(super) fn open(&self) -> usize {
        self.descriptors.iter().flatten().count()
    }

    /// What is open.
    pub(super) fn opens(&self) -> impl Iterator<Item = Open> {
        self.descriptors.iter().flatten().copied()
    }

    fn take(&mut self, descriptor: Descriptor) -> Option<Open> {
        let index = usize::try_from(descriptor).ok()?.checked_sub(FIRST_DESCRIPTOR)?;
        self.descriptors.get_mut(index)?.take()
    }
}

impl KernelState {
    /// Receive buffers of `group` that it may not fill.
    pub(super) fn lent_buffers(&self, group: Group) -> usize {
        usize::from(self.buffers) - self.free_buffers[group as usize].len()
    }
}

impl State {
    pub(super) fn start_process(&mut self, host: HostId) -> ProcessId {
        self.processes.push(ProcessState { host, alive: true, descriptors: Vec::new() });
        ProcessId(self.processes.len() - 1)
    }

    pub(super) fn start_kernel(&mut self, process: ProcessId) -> KernelId {
        let buffers = self.faults.buffers;
        self.kernels.push(KernelState {
            process,
            alive: true,
            ready: VecDeque::new(),
            operations: BTreeMap::new(),
            free_buffers: [(0..buffers).collect(), (0..buffers).collect()],
            buffers,
            held: Vec::new(),
            writes_in_flight: 0,
        });
        KernelId(self.kernels.len() - 1)
    }

    /// Why opening one more descriptor fails now, if it does.
    pub(super) fn lacks_descriptors(&mut self, process: ProcessId) -> Option<Errno> {
        let ProcessState { host, .. } = self.processes[process.0];
        if self.processes[process.0].open() >= DESCRIPTORS
            || self.chance.hits(self.faults.no_descriptors)
        {
            return Some(libc::EMFILE);
        }
        if self.chance.hits(self.faults.shortage) {
            let errno = SHORTAGES[self.chance.below(SHORTAGES.len() as u64) as usize];
            let until = self.now + self.chance.time(&self.faults.shortage_time);
            self.hosts[host.0].shortage = Some((errno, until));
            self.trace.event(self.now, "shortage", &[host.0 as i64, errno.into()]);
        }
        let shortage = self.hosts[host.0].shortage.filter(|(_, until)| *until > self.now);
        shortage.map(|(errno, _)| errno)
    }

    /// Gives `open` the lowest free descriptor, as POSIX has it: descriptors are soon reused.
    pub(super) fn install(&mut self, process: ProcessId, open: Open) -> Descriptor {
        let table = &mut self.processes[process.0].descriptors;
        let index = table.iter().position(Option::is_none).unwrap_or_else(|| {
            table.push(None);
            table.len() - 1
        });
        table[index] = Some(open);
        (index + FIRST_DESCRIPTOR) as Descriptor
    }

    /// What a descriptor of a kernel's process stands for.
    pub(super) fn lookup(&self, kernel: KernelId, descriptor: Descriptor) -> Result<Open, Errno> {
        let process = self.kernels[kernel.0].process;
        self.processes[process.0].get(descriptor).ok_or(libc::EBADF)
    }

    /// close(2).
    pub(super) fn close(&mut self, kernel: KernelId, descriptor: Descriptor) -> Result<(), Errno> {
        let process = self.kernels[kernel.0].process;
        if let Some(open) = self.processes[process.0].get(descriptor)
            && self.is_busy(process, open)
        {
            let text = format!("descriptor {descriptor} is closed with an operation in flight");
            self.violations.push(text);
        }
        let open = self.processes[process.0].take(descriptor).ok_or(libc::EBADF)?;
        match open {
            Open::File(open) => self.release_open(open),
            Open::Socket(socket) => self.close_socket(socket),
            Open::Listener(listener) => self.close_listener(listener),
        }
        Ok(())
    }

    /// Whether an operation of `process` that the descriptor of `open` was given for is in flight.
    fn is_busy(&self, process: ProcessId, open: Open) -> bool {
        let uses = |operation: &InFlight| match operation {
            InFlight::Accept(id) => open == Open::Listener(*id),
            InFlight::Receive(id) | InFlight::Send(id) | InFlight::Connect(id) => {
                open == Open::Socket(*id)
            }
            InFlight::Disk(DiskCall::Read { open: id, .. } | DiskCall::Sync { open: id }) => {
                open == Open::File(*id)
            }
            InFlight::Disk(DiskCall::Call(_)) | InFlight::Bound => false,
        };
        let mut kernels = self.kernels.iter().filter(|kernel| kernel.process == process);
        let writes = |(kernel, id): (KernelId, OpenId)| {
            open == Open::File(id) && self.kernels[kernel.0].process == process
        };
        kernels.any(|kernel| kernel.operations.values().any(uses))
            || self.writes.values().any(|write| writes(write.way()))
    }

    /// Keeps a file open until this kernel's last write has landed.
    pub(super) fn hold(&mut self, kernel: KernelId, descriptor: Descriptor) -> Result<(), Errno> {
        if crate::mutated("lock-not-held") {
            return Ok(());
        }
        let Open::File(open) = self.lookup(kernel, descriptor)? else { return Err(libc::EBADF) };
        self.open_files.get_mut(&open).expect("a descriptor holds it").holders += 1;
        self.kernels[kernel.0].held.push(open);
        Ok(())
    }

    /// Cancels an operation, if it can still be cancelled.
    pub(super) fn cancel(&mut self, kernel: KernelId, target: Token, token: Token) {
        if self.chance.hits(self.faults.cancel_races) {
            self.let_it_win(kernel, target);
        }
        let found = self.kernels[kernel.0].operations.remove(&target);
        let stopped = match found {
            None => false,
            Some(bound @ (InFlight::Disk(_) | InFlight::Bound)) => {
                self.kernels[kernel.0].operations.insert(target, bound);
                false
            }
            Some(InFlight::Accept(listener)) => self.stop_accept(listener),
            Some(InFlight::Receive(socket)) => self.stop_receive(socket),
            Some(InFlight::Send(socket)) => self.stop_send(socket),
            Some(InFlight::Connect(socket)) => self.stop_connect(socket),
        };
        let result = if stopped { 0 } else { -libc::ENOENT };
        let first = self.chance.hits(self.faults.cancel_races);
        if first {
            self.complete(kernel, token, result, None);
        }
        if stopped {
            self.complete(kernel, target, -libc::ECANCELED, None);
        }
        if !first {
            self.complete(kernel, token, result, None);
        }
    }

    /// What is to be cancelled does what it can at this moment.
    fn let_it_win(&mut self, kernel: KernelId, target: Token) {
        match self.kernels[kernel.0].operations.get(&target) {
            Some(InFlight::Accept(listener)) => self.pump_accept(*listener),
            Some(InFlight::Receive(socket)) => self.pump_receive(*socket),
            Some(InFlight::Send(socket)) => self.pump_send(*socket),
            Some(InFlight::Connect(_) | InFlight::Disk(_) | InFlight::Bound) | None => {}
        }
    }

    /// Ends a process. The caller then drops the tasks of its reactors.
    pub(super) fn kill(&mut self, process: ProcessId, death: Death) {
        if !std::mem::replace(&mut self.processes[process.0].alive, false) {
            return;
        }
        self.trace.event(self.now, "kill", &[process.0 as i64, (death == Death::Killed).into()]);
        for index in 0..self.kernels.len() {
            if self.kernels[index].process == process && self.kernels[index].alive {
                self.end_kernel(KernelId(index), death);
            }
        }
        let table = std::mem::take(&mut self.processes[process.0].descriptors);
        for open in table.into_iter().flatten() {
            match (open, death) {
                (Open::File(open), _) => self.release_open(open),
                (Open::Socket(socket), Death::Killed) => self.abandon_socket(socket),
                (Open::Socket(socket), Death::PowerLost) => self.forget_socket(socket),
                (Open::Listener(listener), Death::Killed) => self.close_listener(listener),
                (Open::Listener(listener), Death::PowerLost) => self.forget_listener(listener),
            }
        }
    }

    /// Ends one kernel: its operations vanish or go on without it.
    pub(super) fn end_kernel(&mut self, kernel: KernelId, death: Death) {
        let state = &mut self.kernels[kernel.0];
        state.alive = false;
        state.ready.clear();
        let operations = std::mem::take(&mut state.operations);
        for operation in operations.into_values() {
            if let InFlight::Disk(call) = operation {
                self.orphan_call(kernel, call);
            }
        }
        self.orphan_writes(kernel, death);
        self.release_held_if_landed(kernel);
    }

    /// The last write of a dead kernel has landed: what it held is let go.
    pub(super) fn release_held_if_landed(&mut self, kernel: KernelId) {
        let state = &mut self.kernels[kernel.0];
        if state.alive || state.writes_in_flight > 0 {
            return;
        }
        for open in std::mem::take(&mut state.held) {
            self.release_open(open);
        }
    }

    /// A receive buffer for `group`; `None` when the kernel has none, or pretends so.
    pub(super) fn take_buffer(&mut self, kernel: KernelId, group: Group) -> Option<u16> {
        let state = &mut self.kernels[kernel.0];
        let all = usize::from(state.buffers);
        let free = &mut state.free_buffers[group as usize];
        // It never pretends while all are free: nobody would be left to wake the line.
        if free.len() < all && self.chance.hits(self.faults.no_buffers) {
            return None;
        }
        free.pop_front()
    }

    /// A receive buffer comes back.
    pub(super) fn give_buffer(&mut self, kernel: KernelId, group: Group, buffer: u16) {
        let free = &mut self.kernels[kernel.0].free_buffers[group as usize];
        if free.contains(&buffer) {
            self.violations.push(format!("receive buffer {buffer} is given back twice"));
        } else {
            free.push_back(buffer);
        }
    }

    /// Whether a multishot operation goes on after one more completion.
    pub(super) fn goes_on(&mut self, kernel: KernelId) -> bool {
        // Linux ends a multishot whose completion finds no room in the queue.
        let room = self.kernels[kernel.0].ready.len() < self.faults.queue_entries;
        !self.chance.hits(self.faults.multishot_end) && room
    }

    /// Takes in an operation that will complete.
    pub(super) fn note(&mut self, kernel: KernelId, token: Token, operation: InFlight) {
        self.kernels[kernel.0].operations.insert(token, operation);
    }

    /// Cancels after the time that this takes.
    pub(super) fn cancel_later(&mut self, kernel: KernelId, token: Token, target: Token) {
        self.note(kernel, token, InFlight::Bound);
        let delay = self.completion_delay();
        self.after(delay, Event::Cancel { kernel, target, token });
    }
}
