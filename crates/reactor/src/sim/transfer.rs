//! How bytes and connections move: sends, receives, accepts, and their cancellation.

use super::disk::Errno;
use super::kernel::BUFFER_BYTES;
use super::network::{ListenerId, Phase, Segment, SocketId};
use super::process::{InFlight, Open};
use super::state::{Cargo, Event, KernelId, ProcessId, Ready, State};
use crate::kernel::{Completion, Descriptor, Group, Token};
use std::collections::VecDeque;

/// What an accept may fail with though all is well, as accept(2) has it.
const INTERRUPTIONS: [Errno; 3] = [libc::EINTR, libc::EAGAIN, libc::ECONNABORTED];

impl State {
    /// Takes a multishot accept in.
    pub(super) fn submit_accept(&mut self, kernel: KernelId, token: Token, listener: Descriptor) {
        let Ok(Open::Listener(id)) = self.lookup(kernel, listener) else {
            return self.reject(kernel, token, libc::EINVAL);
        };
        self.note(kernel, token, InFlight::Accept(id));
        self.network.listeners.get_mut(&id).expect("open").accept = Some((kernel, token));
        self.wake_acceptor(id);
    }

    /// Takes a multishot receive in.
    pub(super) fn submit_receive(
        &mut self,
        kernel: KernelId,
        token: Token,
        socket: Descriptor,
        group: Group,
    ) {
        let Ok(Open::Socket(id)) = self.lookup(kernel, socket) else {
            return self.reject(kernel, token, libc::ENOTSOCK);
        };
        self.note(kernel, token, InFlight::Receive(id));
        self.network.socket(id).expect("open").receive = Some((kernel, token, group));
        self.wake_receiver(id);
    }

    /// Takes a send in; what the window will not hold need not be in `bytes`.
    pub(super) fn submit_send(
        &mut self,
        kernel: KernelId,
        token: Token,
        socket: Descriptor,
        bytes: Vec<u8>,
    ) {
        let Ok(Open::Socket(id)) = self.lookup(kernel, socket) else {
            return self.reject(kernel, token, libc::ENOTSOCK);
        };
        self.note(kernel, token, InFlight::Send(id));
        self.network.socket(id).expect("open").send = Some((kernel, token, bytes));
        self.wake_sender(id);
    }

    /// Lets a listener look again, after the time that a completion takes.
    pub(super) fn wake_acceptor(&mut self, id: ListenerId) {
        let delay = self.completion_delay();
        let Some(listener) = self.network.listeners.get_mut(&id) else { return };
        if !std::mem::replace(&mut listener.pumping, true) {
            self.after(delay, Event::PumpAccept { listener: id });
        }
    }

    /// Lets a socket's receive look again.
    pub(super) fn wake_receiver(&mut self, id: SocketId) {
        let delay = self.completion_delay();
        let Some(socket) = self.network.socket(id) else { return };
        if !std::mem::replace(&mut socket.receive_pumping, true) {
            self.after(delay, Event::PumpReceive { socket: id });
        }
    }

    /// Lets a socket's send look again.
    pub(super) fn wake_sender(&mut self, id: SocketId) {
        let delay = self.completion_delay();
        self.after(delay, Event::PumpSend { socket: id });
    }

    /// Accepts one connection, and comes back for the next.
    pub(super) fn pump_accept(&mut self, id: ListenerId) {
        let Some(listener) = self.network.listeners.get_mut(&id) else { return };
        listener.pumping = false;
        let (Some((kernel, token)), false) = (listener.accept, listener.backlog.is_empty()) else {
            return;
        };
        let process = listener.process;
        if let Some(errno) = self.refuses_accept(process) {
            self.stop_accept(id);
            return self.complete(kernel, token, -errno, None);
        }
        let listener = self.network.listeners.get_mut(&id).expect("just seen");
        let socket = listener.backlog.pop_front().expect("just seen");
        let result = self.install(process, Open::Socket(socket));
        let more = self.goes_on(kernel);
        let completion = Completion { token, result, more, buffer: None, answer: None };
        self.push(kernel, Ready { completion, cargo: Cargo::Nothing });
        if more {
            self.wake_acceptor(id);
        } else {
            self.stop_accept(id);
        }
    }

    /// Why an accept fails now, if it does.
    fn refuses_accept(&mut self, process: ProcessId) -> Option<Errno> {
        if self.chance.hits(self.faults.interrupted) {
            return Some(INTERRUPTIONS[self.chance.below(INTERRUPTIONS.len() as u64) as usize]);
        }
        self.lacks_descriptors(process)
    }

    /// Receives once, and comes back for the rest.
    pub(super) fn pump_receive(&mut self, id: SocketId) {
        let Some(socket) = self.network.socket(id) else { return };
        socket.receive_pumping = false;
        let Some((kernel, token, group)) = socket.receive else { return };
        if socket.arrived.is_empty() {
            let end = match socket.phase {
                Phase::Broken(errno) => -errno,
                Phase::Fresh | Phase::Connecting => -libc::ENOTCONN,
                Phase::Connected if socket.ended => 0,
                Phase::Connected => return,
            };
            self.stop_receive(id);
            return self.complete(kernel, token, end, None);
        }
        let Some(buffer) = self.take_buffer(kernel, group) else {
            self.stop_receive(id);
            return self.complete(kernel, token, -libc::ENOBUFS, None);
        };
        let bytes = self.take_arrived(id, group);
        let more = self.goes_on(kernel);
        let result = bytes.len() as i32;
        let completion = Completion { token, result, more, buffer: Some(buffer), answer: None };
        self.push(kernel, Ready { completion, cargo: Cargo::Received { group, bytes } });
        if more {
            self.wake_receiver(id);
        } else {
            self.stop_receive(id);
        }
    }

    /// Takes what one buffer holds out of what has arrived; the peer may send as much again.
    fn take_arrived(&mut self, id: SocketId, group: Group) -> Vec<u8> {
        let room = BUFFER_BYTES[group as usize];
        let short = self.chance.hits(self.faults.short_receive);
        let socket = self.network.sockets.get_mut(&id).expect("the caller has it");
        let most = socket.arrived.len().min(room);
        let count = if short { 1 + self.chance.below(most as u64) as usize } else { most };
        let bytes = take_front(&mut socket.arrived, count);
        if let Some(peer) = socket.peer {
            self.acknowledge(id, peer, count);
        }
        bytes
    }

    /// Sends what the window takes, if anything.
    pub(super) fn pump_send(&mut self, id: SocketId) {
        let window = self.faults.window_bytes;
        let Some(socket) = self.network.socket(id) else { return };
        if socket.send.is_none() {
            return;
        }
        let failure = match socket.phase {
            Phase::Broken(errno) => Some(errno),
            Phase::Fresh | Phase::Connecting => Some(libc::ENOTCONN),
            Phase::Connected if socket.shut => Some(libc::EPIPE),
            Phase::Connected => None,
        };
        let room = window.saturating_sub(socket.outstanding);
        if failure.is_none() && room == 0 {
            return;
        }
        let (kernel, token, mut bytes) = socket.send.take().expect("just seen");
        if let Some(errno) = failure {
            // Only the first send hears why.
            if socket.phase == Phase::Broken(libc::ECONNRESET) {
                socket.phase = Phase::Broken(libc::EPIPE);
            }
            return self.complete(kernel, token, -errno, None);
        }
        let peer = socket.peer.expect("connected");
        let most = bytes.len().min(room);
        let short = most > 0 && self.chance.hits(self.faults.short_send);
        let count = if short { 1 + self.chance.below(most as u64) as usize } else { most };
        let reset = self.chance.hits(self.faults.reset);
        // A reset may come after any of the bytes; the sender has got rid of all of them.
        let arrives = if reset { self.chance.below(count as u64 + 1) as usize } else { count };
        bytes.truncate(arrives);
        self.network.socket(id).expect("just seen").outstanding += count;
        if !bytes.is_empty() {
            self.send_segment(id, peer, Segment::Bytes(bytes));
        }
        self.complete(kernel, token, count as i32, None);
        if reset {
            // Something between the two sends resets to both.
            self.send_segment(id, peer, Segment::Reset);
            self.send_segment(peer, id, Segment::Reset);
        }
    }

    /// Ends a multishot accept.
    pub(super) fn stop_accept(&mut self, id: ListenerId) -> bool {
        self.network.listeners.get_mut(&id).is_some_and(|listener| listener.accept.take().is_some())
    }

    /// Ends a multishot receive.
    pub(super) fn stop_receive(&mut self, id: SocketId) -> bool {
        self.network.socket(id).is_some_and(|socket| socket.receive.take().is_some())
    }

    /// Ends a send of which nothing has gone.
    pub(super) fn stop_send(&mut self, id: SocketId) -> bool {
        self.network.socket(id).is_some_and(|socket| socket.send.take().is_some())
    }

    /// Ends a connection attempt.
    pub(super) fn stop_connect(&mut self, id: SocketId) -> bool {
        self.network.socket(id).is_some_and(|socket| {
            socket.phase = Phase::Broken(libc::ECONNABORTED);
            socket.connect.take().is_some()
        })
    }
}

/// Takes the first `count` bytes out of a queue: by whole slices, as a byte at a time is slow.
fn take_front(queue: &mut VecDeque<u8>, count: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(count);
    let (first, second) = queue.as_slices();
    let of_first = first.len().min(count);
    bytes.extend_from_slice(&first[..of_first]);
    bytes.extend_from_slice(&second[..count - of_first]);
    queue.drain(..count);
    bytes
}
