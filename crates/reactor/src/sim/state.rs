//! What a world is made of, and its agenda: everything that will happen, in order.

use super::chance::Chance;
use super::disk::{Disk, Errno};
use super::faults::Faults;
use super::kernel::BIRTH;
use super::names::FileId;
use super::network::{ListenerId, Network, Segment, SocketId};
use super::process::{KernelState, ProcessState};
use super::trace::Trace;
use super::writes::WriteInFlight;
use crate::file::{FileAnswer, OpenHow};
use crate::kernel::{Completion, Group, Token};
use crate::time::Instant;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Numbers a host of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct HostId(pub(super) usize);

/// Numbers a process of a world, living or dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ProcessId(pub(super) usize);

/// Numbers the kernel side of one reactor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct KernelId(pub(super) usize);

/// Names an open file description: what descriptors, writes and rings refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OpenId(pub(super) u64);

/// Names a write until it has landed and completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WriteId(pub(super) u64);

/// A machine with an address and a disk.
pub(super) struct HostState {
    pub(super) address: IpAddr,
    pub(super) disk: Disk,
    /// How far its wall clock is ahead of the world's, in nanoseconds.
    pub(super) clock_ahead: i128,
    /// What opening a descriptor fails with, and until when.
    pub(super) shortage: Option<(Errno, Instant)>,
    next_port: u16,
}

impl HostState {
    /// What its wall clock says; it cannot be set to a time before 1970.
    pub(super) fn wall_clock(&self, now: Instant) -> Duration {
        let world = (BIRTH + now.since(Instant(0))).as_nanos() as i128;
        let nanos = u64::try_from((world + self.clock_ahead).max(0)).unwrap_or(u64::MAX);
        Duration::from_nanos(nanos)
    }

    /// The next ephemeral port (the range of Linux); the caller looks whether it is free.
    pub(super) fn take_port(&mut self) -> u16 {
        let port = self.next_port;
        self.next_port = if port == 60_999 { 32_768 } else { port + 1 };
        port
    }
}

/// An open file description.
pub(super) struct OpenFile {
    pub(super) host: HostId,
    pub(super) file: FileId,
    pub(super) how: OpenHow,
    /// Its file system has gone away.
    pub(super) stale: bool,
    /// Descriptors, writes in flight and rings that keep it open.
    pub(super) holders: u32,
}

/// What will happen.
pub(super) enum Event {
    /// An operation completes with this result.
    Complete { kernel: KernelId, token: Token, result: i32, answer: Option<Box<FileAnswer>> },
    /// A cancellation takes effect.
    Cancel { kernel: KernelId, target: Token, token: Token },
    /// A connection attempt reaches its host.
    Knock { socket: SocketId, host: HostId, to: SocketAddr },
    /// The answer to it comes back: 0 or an errno.
    Answer { socket: SocketId, error: i32, server: Option<SocketId> },
    /// Something comes from `from` to `to`.
    Arrive { from: SocketId, to: SocketId, segment: Segment },
    /// A socket looks whether its receive can complete.
    PumpReceive { socket: SocketId },
    /// A socket looks whether its send can complete.
    PumpSend { socket: SocketId },
    /// A listener looks whether its accept can complete.
    PumpAccept { listener: ListenerId },
    /// Bytes of a socket were taken at the other end.
    Acknowledged { socket: SocketId, count: usize },
    /// Nobody acknowledges what a socket sends.
    GiveUp { socket: SocketId },
    /// A read, sync or file call is carried out and completes.
    Disk { kernel: KernelId, token: Token },
    /// A write reaches the device.
    WriteLands { write: WriteId },
    /// A write is as durable as it was asked to be, and completes.
    WriteEnds { write: WriteId },
}

/// What a completion brings for the memory of its operation.
pub(super) enum Cargo {
    Nothing,
    /// For the receive buffer that the completion names.
    Received {
        group: Group,
        bytes: Vec<u8>,
    },
}

/// A completion that waits for its kernel's next visit.
pub(super) struct Ready {
    pub(super) completion: Completion,
    pub(super) cargo: Cargo,
}

/// The whole world below the seam.
pub(super) struct State {
    pub(super) now: Instant,
    pub(super) chance: Chance,
    pub(super) faults: Faults,
    pub(super) trace: Trace,
    pub(super) hosts: Vec<HostState>,
    pub(super) processes: Vec<ProcessState>,
    pub(super) kernels: Vec<KernelState>,
    pub(super) network: Network,
    pub(super) open_files: BTreeMap<OpenId, OpenFile>,
    pub(super) writes: BTreeMap<WriteId, WriteInFlight>,
    /// What no kernel should have been asked for.
    pub(super) violations: Vec<String>,
    agenda: BTreeMap<(Instant, u64), Event>,
    next_number: u64,
}

impl State {
    pub(super) fn new(seed: u64, faults: Faults) -> Self {
        Self {
            now: Instant(0),
            chance: Chance::new(seed),
            faults,
            trace: Trace::default(),
            hosts: Vec::new(),
            processes: Vec::new(),
            kernels: Vec::new(),
            network: Network::default(),
            open_files: BTreeMap::new(),
            writes: BTreeMap::new(),
            violations: Vec::new(),
            agenda: BTreeMap::new(),
            next_number: 0,
        }
    }

    /// The host at `address`, new if need be.
    pub(super) fn host(&mut self, address: IpAddr) -> HostId {
        if let Some(host) = self.find_host(address) {
            return host;
        }
        self.hosts.push(HostState {
            address,
            disk: Disk::new(),
            clock_ahead: 0,
            shortage: None,
            next_port: 32_768,
        });
        HostId(self.hosts.len() - 1)
    }

    pub(super) fn find_host(&self, address: IpAddr) -> Option<HostId> {
        self.hosts.iter().position(|host| host.address == address).map(HostId)
    }

    /// A number never given before.
    pub(super) fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    /// Puts an event on the agenda.
    pub(super) fn after(&mut self, delay: Duration, event: Event) {
        self.at(self.now + delay, event);
    }

    /// Puts an event on the agenda; those of one instant happen in the order of this call.
    pub(super) fn at(&mut self, at: Instant, event: Event) {
        let number = self.number();
        self.agenda.insert((at, number), event);
    }

    /// When the next event is due.
    pub(super) fn next_event(&self) -> Option<Instant> {
        self.agenda.first_key_value().map(|((at, _), _)| *at)
    }

    /// Moves the clock to `now`, and lets everything happen that is due by then.
    pub(super) fn advance(&mut self, now: Instant) {
        while let Some(first) = self.agenda.first_entry() {
            if first.key().0 > now {
                break;
            }
            let ((at, _), event) = first.remove_entry();
            self.now = self.now.max(at);
            self.happen(event);
        }
        self.now = self.now.max(now);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Complete { kernel, token, result, answer } => {
                self.complete(kernel, token, result, answer);
            }
            Event::Cancel { kernel, target, token } => self.cancel(kernel, target, token),
            Event::Knock { socket, host, to } => self.knock(socket, host, to),
            Event::Answer { socket, error, server } => self.answer(socket, error, server),
            Event::Arrive { from, to, segment } => self.arrive(from, to, segment),
            Event::PumpReceive { socket } => self.pump_receive(socket),
            Event::PumpSend { socket } => self.pump_send(socket),
            Event::PumpAccept { listener } => self.pump_accept(listener),
            Event::Acknowledged { socket, count } => self.acknowledged(socket, count),
            Event::GiveUp { socket } => self.give_up(socket),
            Event::Disk { kernel, token } => self.carry_out(kernel, token),
            Event::WriteLands { write } => self.write_lands(write),
            Event::WriteEnds { write } => self.write_ends(write),
        }
    }

    /// The wall clock that a kernel sees.
    pub(super) fn wall_clock(&self, kernel: KernelId) -> Duration {
        let host = self.processes[self.kernels[kernel.0].process.0].host;
        self.hosts[host.0].wall_clock(self.now)
    }

    /// How long a completion takes from its cause.
    pub(super) fn completion_delay(&mut self) -> Duration {
        self.chance.time(&self.faults.completion_delay)
    }

    /// Completes an operation for good, after the time that this takes.
    pub(super) fn complete_later(&mut self, kernel: KernelId, token: Token, result: i32) {
        let delay = self.completion_delay();
        self.after(delay, Event::Complete { kernel, token, result, answer: None });
    }

    /// Completes an operation for good.
    pub(super) fn complete(
        &mut self,
        kernel: KernelId,
        token: Token,
        result: i32,
        answer: Option<Box<FileAnswer>>,
    ) {
        let completion = Completion { token, result, more: false, buffer: None, answer };
        self.push(kernel, Ready { completion, cargo: Cargo::Nothing });
    }

    /// Hands a completion to its kernel; a dead one takes none.
    pub(super) fn push(&mut self, kernel: KernelId, ready: Ready) {
        let state = &mut self.kernels[kernel.0];
        if !state.alive {
            return;
        }
        let Completion { token, result, more, .. } = ready.completion;
        if !more {
            state.operations.remove(&token);
        }
        let numbers = [kernel.0 as i64, token.0 as i64, result.into(), more.into()];
        self.trace.event(self.now, "complete", &numbers);
        self.kernels[kernel.0].ready.push_back(ready);
    }

    /// One holder less of an open file.
    pub(super) fn release_open(&mut self, id: OpenId) {
        let open = self.open_files.get_mut(&id).expect("held");
        open.holders -= 1;
        if open.holders == 0 {
            let open = self.open_files.remove(&id).expect("held");
            self.hosts[open.host.0].disk.close(open.file, id);
        }
    }
}
