//! The kernel that a reactor of the world sits on.

use super::disk::Errno;
use super::network::Phase;
use super::process::{Death, InFlight, Open};
use super::state::{Cargo, KernelId, Ready, State};
use crate::kernel::{Completion, Descriptor, Group, Kernel, Operation, Token, Wait, WakeTarget};
use crate::memory::Gather;
use crate::time::Instant;
use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

/// Bytes of a receive buffer, by group: as the real kernels have them by default.
pub(super) const BUFFER_BYTES: [usize; 2] = [16 * 1024, 4 * 1024];

/// The world's birth by the wall clock: 2026-01-01T00:00:00Z.
pub(super) const BIRTH: Duration = Duration::from_secs(1_767_225_600);

/// One kernel of the world.
pub(super) struct SimKernel {
    state: Rc<RefCell<State>>,
    id: KernelId,
    /// Receive buffers by group and number, made when first filled.
    memory: [Vec<Option<Box<[u8]>>>; 2],
    /// Empty between visits; kept for its capacity.
    taken: Vec<Ready>,
}

fn error(errno: Errno) -> io::Error {
    io::Error::from_raw_os_error(errno)
}

impl SimKernel {
    pub(super) fn new(state: Rc<RefCell<State>>, id: KernelId) -> Self {
        let count = state.borrow().kernels[id.0].free_buffers[0].len();
        let none = || Vec::from_iter((0..count).map(|_| None));
        Self { state, id, memory: [none(), none()], taken: Vec::new() }
    }

    /// Brings what a completion carries to where it belongs.
    fn unload(&mut self, ready: Ready, completions: &mut Vec<Completion>) {
        match ready.cargo {
            Cargo::Nothing => {}
            Cargo::Received { group, bytes } => {
                let number = ready.completion.buffer.expect("received bytes have a buffer");
                let place = &mut self.memory[group as usize][usize::from(number)];
                let size = BUFFER_BYTES[group as usize];
                let buffer = place.get_or_insert_with(|| vec![0; size].into());
                buffer[..bytes.len()].copy_from_slice(&bytes);
            }
        }
        completions.push(ready.completion);
    }
}

/// The bytes of a gather, and of them at most `most`.
fn gathered(gather: &Gather, most: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(gather.len().min(most));
    for slice in gather.slices() {
        let room = most - bytes.len();
        bytes.extend_from_slice(&slice[..slice.len().min(room)]);
    }
    bytes
}

impl State {
    fn submit(&mut self, kernel: KernelId, token: Token, operation: Operation) {
        match operation {
            Operation::Accept { listener } => self.submit_accept(kernel, token, listener),
            Operation::Receive { socket, group } => {
                self.submit_receive(kernel, token, socket, group);
            }
            Operation::Send { socket, parts } => {
                // SAFETY: the seam keeps an operation's memory valid until its last completion.
                let gather = unsafe { &*parts };
                let bytes = gathered(gather, self.faults.window_bytes);
                self.submit_send(kernel, token, socket, bytes);
            }
            Operation::Connect { socket, address } => {
                // SAFETY: as above.
                let address = unsafe { *address };
                self.connect(kernel, token, socket, address);
            }
            Operation::Shutdown { socket } => {
                let result = match self.lookup(kernel, socket) {
                    Ok(Open::Socket(id)) => self.shut_down(id),
                    Ok(Open::File(_) | Open::Listener(_)) => Err(libc::ENOTSOCK),
                    Err(errno) => Err(errno),
                };
                self.bind(kernel, token, result);
            }
            Operation::Close { descriptor } => {
                let result = self.close(kernel, descriptor);
                self.bind(kernel, token, result);
            }
            Operation::Read { file, offset, target, length } => {
                self.submit_call(kernel, token, |state| {
                    state.read_call(kernel, file, offset, (target, length))
                });
            }
            Operation::Write { file, offset, parts, durable } => {
                // SAFETY: as above.
                let slices: Vec<&[u8]> = unsafe { &*parts }.slices().collect();
                self.submit_write(kernel, token, file, (offset, durable), &slices);
            }
            Operation::Sync { file } => {
                self.submit_call(kernel, token, |state| state.sync_call(kernel, file));
            }
            Operation::Call(call) => {
                self.submit_call(kernel, token, |_| Ok(super::storage::DiskCall::Call(call)));
            }
            Operation::Cancel { target } => self.cancel_later(kernel, token, target),
        }
    }

    /// Completes what has taken effect already.
    fn bind(&mut self, kernel: KernelId, token: Token, result: Result<(), Errno>) {
        self.note(kernel, token, InFlight::Bound);
        self.complete_later(kernel, token, result.err().map_or(0, |errno| -errno));
    }

    /// Lets time pass until `kernel` has a completion, at most until `limit`.
    fn wait_for(&mut self, kernel: KernelId, limit: Instant) {
        while self.kernels[kernel.0].ready.is_empty() && self.kernels[kernel.0].alive {
            match self.next_event() {
                Some(at) if at <= limit => self.advance(at),
                _ if limit == Instant::NEVER => {
                    panic!("a simulated reactor waits for what will never happen")
                }
                _ => return self.advance(limit),
            }
        }
    }

    /// Appends the completions of one visit.
    fn take_ready(&mut self, kernel: KernelId, taken: &mut Vec<Ready>) {
        let all = self.kernels[kernel.0].ready.len().min(self.faults.queue_entries);
        let few = all > 1 && self.chance.hits(self.faults.partial_enter);
        let count = if few { 1 + self.chance.below(all as u64) as usize } else { all };
        taken.extend(self.kernels[kernel.0].ready.drain(..count));
    }
}

impl Kernel for SimKernel {
    fn submit(&mut self, token: Token, operation: Operation) {
        let mut state = self.state.borrow_mut();
        if state.kernels[self.id.0].alive {
            state.submit(self.id, token, operation);
        }
    }

    fn enter(&mut self, wait: Wait, completions: &mut Vec<Completion>) {
        if let Wait::Until(limit) = wait {
            self.state.borrow_mut().wait_for(self.id, limit);
        }
        let mut taken = std::mem::take(&mut self.taken);
        self.state.borrow_mut().take_ready(self.id, &mut taken);
        for ready in taken.drain(..) {
            self.unload(ready, completions);
        }
        self.taken = taken;
    }

    fn buffer_count(&self, group: Group) -> u32 {
        self.memory[group as usize].len() as u32
    }

    fn buffer(&self, group: Group, buffer: u16) -> *const u8 {
        let memory = &self.memory[group as usize][usize::from(buffer)];
        memory.as_ref().expect("a lent buffer was filled").as_ptr()
    }

    fn release(&mut self, group: Group, buffer: u16) {
        self.state.borrow_mut().give_buffer(self.id, group, buffer);
    }

    fn now(&self) -> Instant {
        self.state.borrow().now
    }

    fn wall_clock(&self) -> Duration {
        self.state.borrow().wall_clock(self.id)
    }

    fn entropy(&mut self, bytes: &mut [u8]) {
        let mut state = self.state.borrow_mut();
        for chunk in bytes.chunks_mut(8) {
            let bits = state.chance.bits().to_le_bytes();
            chunk.copy_from_slice(&bits[..chunk.len()]);
        }
    }

    fn listen(&mut self, address: SocketAddr, shared: bool) -> io::Result<Descriptor> {
        self.state.borrow_mut().listen(self.id, address, shared).map_err(error)
    }

    fn socket(&mut self, to: SocketAddr, source: Option<IpAddr>) -> io::Result<Descriptor> {
        self.state.borrow_mut().make_socket(self.id, to, source).map_err(error)
    }

    fn peer_address(&self, socket: Descriptor) -> io::Result<SocketAddr> {
        let state = self.state.borrow();
        match state.lookup(self.id, socket).map_err(error)? {
            Open::Socket(id) => match &state.network.sockets[&id] {
                socket if socket.phase == Phase::Connected => Ok(socket.remote),
                _ => Err(error(libc::ENOTCONN)),
            },
            Open::File(_) | Open::Listener(_) => Err(error(libc::ENOTSOCK)),
        }
    }

    fn local_address(&self, socket: Descriptor) -> io::Result<SocketAddr> {
        let state = self.state.borrow();
        match state.lookup(self.id, socket).map_err(error)? {
            Open::Socket(id) => Ok(state.network.sockets[&id].local),
            Open::Listener(id) => Ok(state.network.listeners[&id].local),
            Open::File(_) => Err(error(libc::ENOTSOCK)),
        }
    }

    fn abort_on_close(&mut self, socket: Descriptor) {
        let mut state = self.state.borrow_mut();
        if let Ok(Open::Socket(id)) = state.lookup(self.id, socket)
            && let Some(socket) = state.network.socket(id)
        {
            socket.abort = true;
        }
    }

    fn hold(&mut self, file: Descriptor) -> io::Result<()> {
        self.state.borrow_mut().hold(self.id, file).map_err(error)
    }

    fn wake_target(&self) -> WakeTarget {
        WakeTarget::Sim
    }

    fn wake(&mut self, _: &WakeTarget) -> bool {
        // The world looks at all of its reactors in turn.
        true
    }

    fn name(&self) -> &'static str {
        "sim"
    }

    fn is_dead(&self) -> bool {
        !self.state.borrow().kernels[self.id.0].alive
    }
}

impl Drop for SimKernel {
    fn drop(&mut self) {
        // As closing a ring: what is in flight goes on alone.
        let mut state = self.state.borrow_mut();
        if state.kernels[self.id.0].alive {
            state.end_kernel(self.id, Death::Killed);
        }
    }
}
