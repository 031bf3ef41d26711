//! The kernel behind io_uring.
//!
//! One ring a reactor, owned by its thread (single issuer, deferred task run): completions are
//! made only inside [`Kernel::enter`], by one system call a turn. What blocks for long and has no
//! operation goes to the [`Crew`].

mod buffers;
mod queue;
mod setup;

pub(crate) use setup::Refusal;

use crate::crew::{Crew, CrewJob};
use crate::kernel::{Completion, Descriptor, Group, Kernel, Operation, Token, Wait, WakeTarget};
use crate::memory::Gather;
use crate::reactor::Options;
use crate::system;
use crate::time::Instant;
use buffers::Buffers;
use io_uring::{cqueue, opcode, squeue, types};
use queue::{ALARM, LANDS, MESSAGE, Queue, UNSENT};
use rustix::event::EventfdFlags;
use rustix::net::SocketFlags;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// Files that a ring can hold.
const HOLDS: u32 = 16;

/// A multishot receive that looks only when there is something, for the flags of `Recv`.
const RECEIVE_FLAGS: u16 = {
    const POLL_FIRST: u16 = 1;
    const MULTISHOT: u16 = 1 << 1;
    POLL_FIRST | MULTISHOT
};

/// The kernel behind a ring. Dropping it waits until nothing is in flight.
pub(crate) struct RingKernel {
    /// Dropped first: the kernel must be done with the memory below.
    queue: Queue,
    crew: Crew,
    buffers: [Buffers; 2],
    event: Arc<OwnedFd>,
    /// What the eventfd is read into.
    count: Box<u64>,
    is_alarm_set: bool,
    held: u32,
    /// Completions that took no operation.
    early: Vec<Completion>,
    /// Rings that messages were sent to, for those that cannot be delivered.
    neighbours: Vec<(Descriptor, Arc<OwnedFd>)>,
}

impl RingKernel {
    /// A ring on this thread.
    pub(crate) fn new(options: &Options) -> Result<Self, Refusal> {
        let (ring, buffers) = setup::build(options)?;
        let event = rustix::event::eventfd(0, EventfdFlags::CLOEXEC)
            .map_err(|error| Refusal::Call { name: "eventfd", error: error.into() })?;
        let event = Arc::new(event);
        let bell = Arc::clone(&event);
        let alarm = move || system::ring_bell(&bell);
        Ok(Self {
            queue: Queue::new(ring),
            crew: Crew::new(options.file_threads, Arc::new(alarm)),
            buffers,
            event,
            count: Box::new(0),
            is_alarm_set: false,
            held: 0,
            early: Vec::new(),
            neighbours: Vec::new(),
        })
    }

    /// Keeps a read of the eventfd in flight, which other threads complete by writing to it.
    fn set_alarm(&mut self) {
        if !std::mem::replace(&mut self.is_alarm_set, true) {
            let event = types::Fd(self.event.as_raw_fd());
            let target = (&raw mut *self.count).cast();
            self.queue.push(opcode::Read::new(event, target, 8).build().user_data(ALARM));
        }
    }

    fn take_in(&mut self, entry: &cqueue::Entry, completions: &mut Vec<Completion>) {
        match entry.user_data() {
            ALARM => self.is_alarm_set = false,
            MESSAGE => {}
            unsent if unsent as u32 == UNSENT as u32 => self.sound((unsent >> 32) as i32),
            token => completions.push(Completion {
                token: Token(token & !LANDS),
                result: entry.result(),
                more: cqueue::more(entry.flags()),
                buffer: cqueue::buffer_select(entry.flags()),
                answer: None,
            }),
        }
    }

    /// A message was not delivered (a full queue, a ring that is gone): by the other way, then.
    fn sound(&self, ring: Descriptor) {
        for (_, event) in self.neighbours.iter().filter(|(neighbour, _)| *neighbour == ring) {
            system::ring_bell(event);
        }
    }
}

impl Kernel for RingKernel {
    fn submit(&mut self, token: Token, operation: Operation) {
        match operation {
            Operation::Call(call) => self.crew.give(token, CrewJob::Call(call)),
            Operation::Shutdown { socket } => {
                // The ring would hand it to a worker thread; the call itself never blocks.
                let result = system::shut_down(socket);
                let (more, buffer, answer) = (false, None, None);
                self.early.push(Completion { token, result, more, buffer, answer });
            }
            Operation::Connect { socket, address } => {
                // SAFETY: operations' pointers are valid until the last completion.
                let address = unsafe { &*address };
                self.queue.push_connect(token, socket, address);
            }
            Operation::Write { .. } | Operation::Sync { .. } => {
                self.queue.push(encode(operation).user_data(token.0 | LANDS));
            }
            other => self.queue.push(encode(other).user_data(token.0)),
        }
    }

    fn enter(&mut self, wait: Wait, completions: &mut Vec<Completion>) {
        completions.append(&mut self.early);
        if self.crew.is_busy() {
            self.crew.take(completions);
        }
        self.set_alarm();
        let wait = if completions.is_empty() { wait } else { Wait::No };
        self.queue.enter(wait);
        while let Some(entry) = self.queue.next() {
            self.take_in(&entry, completions);
        }
        if self.crew.is_busy() {
            self.crew.take(completions);
        }
    }

    fn buffer_count(&self, group: Group) -> u32 {
        self.buffers[group as usize].count()
    }

    fn buffer(&self, group: Group, buffer: u16) -> *const u8 {
        self.buffers[group as usize].start(buffer)
    }

    fn release(&mut self, group: Group, buffer: u16) {
        self.buffers[group as usize].release(buffer);
    }

    fn now(&self) -> Instant {
        system::now()
    }

    fn thread_time(&self) -> Duration {
        system::thread_time()
    }

    fn wall_clock(&self) -> Duration {
        system::wall_clock()
    }

    fn entropy(&mut self, bytes: &mut [u8]) {
        system::entropy(bytes);
    }

    fn listen(&mut self, address: SocketAddr, shared: bool) -> io::Result<Descriptor> {
        system::listen(address, shared)
    }

    fn socket(&mut self, to: SocketAddr, source: Option<IpAddr>) -> io::Result<Descriptor> {
        system::socket(to, source, SocketFlags::empty())
    }

    fn peer_address(&self, socket: Descriptor) -> io::Result<SocketAddr> {
        system::peer_address(socket)
    }

    fn local_address(&self, socket: Descriptor) -> io::Result<SocketAddr> {
        system::local_address(socket)
    }

    fn abort_on_close(&mut self, socket: Descriptor) {
        system::abort_on_close(socket);
    }

    fn hold(&mut self, file: Descriptor) -> io::Result<()> {
        let submitter = self.queue.submitter();
        if self.held == 0 {
            submitter.register_files_sparse(HOLDS)?;
        }
        if self.held == HOLDS {
            return Err(io::Error::other("a ring holds at most 16 files"));
        }
        submitter.register_files_update(self.held, &[file])?;
        self.held += 1;
        Ok(())
    }

    fn wake_target(&self) -> WakeTarget {
        WakeTarget::Ring { ring: self.queue.descriptor(), event: Arc::clone(&self.event) }
    }

    fn wake(&mut self, target: &WakeTarget) -> bool {
        let WakeTarget::Ring { ring, event } = target else { return false };
        match self.neighbours.iter_mut().find(|(neighbour, _)| neighbour == ring) {
            Some((_, known)) if Arc::ptr_eq(known, event) => {}
            // The number belongs to another ring now.
            Some((_, known)) => *known = Arc::clone(event),
            None => self.neighbours.push((*ring, Arc::clone(event))),
        }
        let message = opcode::MsgRingData::new(types::Fd(*ring), 0, MESSAGE, None).build();
        let unsent = (*ring as u64) << 32 | UNSENT;
        let message = message.flags(squeue::Flags::SKIP_SUCCESS).user_data(unsent);
        self.queue.push_silent(message);
        true
    }

    fn name(&self) -> &'static str {
        "ring"
    }
}

/// The entry of an operation that carries its own pointers.
fn encode(operation: Operation) -> squeue::Entry {
    match operation {
        Operation::Accept { listener } => {
            opcode::AcceptMulti::new(types::Fd(listener)).flags(libc::SOCK_CLOEXEC).build()
        }
        Operation::Receive { socket, group } => {
            opcode::Recv::new(types::Fd(socket), std::ptr::null_mut(), 0)
                .buf_group(group as u16)
                .ioprio(RECEIVE_FLAGS)
                .build()
                .flags(squeue::Flags::BUFFER_SELECT)
        }
        Operation::Send { socket, parts } => encode_send(socket, parts),
        Operation::Close { descriptor } => opcode::Close::new(types::Fd(descriptor)).build(),
        Operation::Read { file, offset, target, length } => {
            let length = u32::try_from(length).expect("reads are below 4 GiB");
            opcode::Read::new(types::Fd(file), target, length).offset(offset).build()
        }
        Operation::Write { file, offset, parts, durable } => {
            encode_write(file, offset, parts, durable)
        }
        Operation::Sync { file } => {
            opcode::Fsync::new(types::Fd(file)).flags(types::FsyncFlags::DATASYNC).build()
        }
        Operation::Cancel { target } => opcode::AsyncCancel::new(target.0).build(),
        Operation::Call(_) | Operation::Shutdown { .. } | Operation::Connect { .. } => {
            unreachable!("submitted in other ways")
        }
    }
}

fn encode_send(socket: Descriptor, parts: *const Gather) -> squeue::Entry {
    // SAFETY: operations' pointers are valid until the last completion.
    let parts = unsafe { &*parts };
    let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;
    match parts.vectors() {
        [one] => {
            let length = u32::try_from(one.iov_len).expect("sends are below 4 GiB");
            let start = one.iov_base.cast_const().cast();
            opcode::Send::new(types::Fd(socket), start, length).flags(flags).build()
        }
        _ => {
            let header = parts.header();
            opcode::SendMsg::new(types::Fd(socket), header).flags(flags as u32).build()
        }
    }
}

fn encode_write(
    file: Descriptor,
    offset: u64,
    parts: *const Gather,
    durable: bool,
) -> squeue::Entry {
    // SAFETY: operations' pointers are valid until the last completion.
    let parts = unsafe { &*parts };
    let flags = if durable { libc::RWF_DSYNC } else { 0 };
    match parts.vectors() {
        [one] => {
            let length = u32::try_from(one.iov_len).expect("writes are below 4 GiB");
            let start = one.iov_base.cast_const().cast();
            opcode::Write::new(types::Fd(file), start, length)
                .offset(offset)
                .rw_flags(flags)
                .build()
        }
        many => {
            let count = u32::try_from(many.len()).expect("at most 1024 vectors");
            opcode::Writev::new(types::Fd(file), many.as_ptr(), count)
                .offset(offset)
                .rw_flags(flags)
                .build()
        }
    }
}
