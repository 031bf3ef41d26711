//! Connections: how they come about and end. How bytes move is in `transfer.rs`.
//!
//! As in TCP: bytes arrive in order, a half may be shut, a close with unread bytes resets, bytes
//! for a socket that is gone are answered by a reset.

use super::disk::Errno;
use super::links::Links;
use super::process::{InFlight, Open};
use super::state::{Event, HostId, KernelId, ProcessId, State};
use crate::kernel::{Descriptor, Group, Token};
use crate::time::Instant;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// As net.core.somaxconn.
const BACKLOG: usize = 4096;
/// When Linux gives a connection attempt up (tcp_syn_retries 6).
const CONNECT_GIVES_UP: Duration = Duration::from_secs(127);
/// How often a delay doubles at most.
const TAIL_DOUBLINGS: u32 = 9;
/// When an attempt that found a full backlog is repeated.
const CONNECT_AGAIN: Duration = Duration::from_secs(1);

/// Names a socket; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SocketId(pub(super) u64);

/// Names a listener; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ListenerId(pub(super) u64);

/// What goes over the network.
pub(super) enum Segment {
    Bytes(Vec<u8>),
    /// The end of a half.
    End,
    Reset,
}

/// Where a socket stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Fresh,
    Connecting,
    Connected,
    /// Gone, for this errno; the first send hears of it, later ones of EPIPE.
    Broken(Errno),
}

/// One end of a connection.
pub(super) struct Socket {
    pub(super) host: HostId,
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) peer: Option<SocketId>,
    pub(super) phase: Phase,
    /// Bytes that have come and were not received.
    pub(super) arrived: VecDeque<u8>,
    /// The peer's end has come, after them.
    pub(super) ended: bool,
    /// Our half is shut.
    pub(super) shut: bool,
    pub(super) abort: bool,
    /// When the last segment to the peer arrives: nothing overtakes.
    pub(super) last_arrival: Instant,
    /// Bytes sent that the peer has not received.
    pub(super) outstanding: usize,
    pub(super) receive: Option<(KernelId, Token, Group)>,
    pub(super) receive_pumping: bool,
    pub(super) send: Option<(KernelId, Token, Vec<u8>)>,
    pub(super) connect: Option<(KernelId, Token)>,
}

/// A listening socket.
pub(super) struct Listener {
    pub(super) host: HostId,
    pub(super) local: SocketAddr,
    shared: bool,
    pub(super) backlog: VecDeque<SocketId>,
    pub(super) accept: Option<(KernelId, Token)>,
    pub(super) pumping: bool,
    /// Who accepts: it gets the descriptors.
    pub(super) process: ProcessId,
}

/// All sockets of a world.
#[derive(Default)]
pub(super) struct Network {
    pub(super) sockets: BTreeMap<SocketId, Socket>,
    pub(super) listeners: BTreeMap<ListenerId, Listener>,
    pub(super) links: Links,
}

impl Network {
    pub(super) fn socket(&mut self, id: SocketId) -> Option<&mut Socket> {
        self.sockets.get_mut(&id)
    }
}

fn unspecified(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

impl State {
    fn is_at(&self, host: HostId, address: IpAddr) -> bool {
        address.is_loopback() || self.hosts[host.0].address == address
    }

    /// A port of `host` that no listener has.
    fn free_port(&mut self, host: HostId) -> u16 {
        loop {
            let port = self.hosts[host.0].take_port();
            let mut listeners = self.network.listeners.values();
            if !listeners.any(|other| other.host == host && other.local.port() == port) {
                return port;
            }
        }
    }

    /// socket, bind and listen.
    pub(super) fn listen(
        &mut self,
        kernel: KernelId,
        address: SocketAddr,
        shared: bool,
    ) -> Result<Descriptor, Errno> {
        let process = self.kernels[kernel.0].process;
        let host = self.processes[process.0].host;
        if !address.ip().is_unspecified() && !self.is_at(host, address.ip()) {
            return Err(libc::EADDRNOTAVAIL);
        }
        let mut local = address;
        if local.port() == 0 {
            local.set_port(self.free_port(host));
        }
        let clashes = |other: &Listener| {
            other.host == host
                && other.local.port() == local.port()
                && other.local.is_ipv4() == local.is_ipv4()
                && (other.local.ip() == local.ip()
                    || other.local.ip().is_unspecified()
                    || local.ip().is_unspecified())
                && !(other.shared && shared)
        };
        if self.network.listeners.values().any(clashes) {
            return Err(libc::EADDRINUSE);
        }
        let id = ListenerId(self.number());
        let backlog = VecDeque::new();
        let listener =
            Listener { host, local, shared, backlog, accept: None, pumping: false, process };
        self.network.listeners.insert(id, listener);
        Ok(self.install(process, Open::Listener(id)))
    }

    /// socket and bind, to connect later.
    pub(super) fn make_socket(
        &mut self,
        kernel: KernelId,
        to: SocketAddr,
        source: Option<IpAddr>,
    ) -> Result<Descriptor, Errno> {
        let process = self.kernels[kernel.0].process;
        let host = self.processes[process.0].host;
        if let Some(errno) = self.lacks_descriptors(process) {
            return Err(errno);
        }
        let own = if to.ip().is_loopback() { to.ip() } else { self.hosts[host.0].address };
        let from = source.unwrap_or(own);
        if !self.is_at(host, from) {
            return Err(libc::EADDRNOTAVAIL);
        }
        let local = SocketAddr::new(from, self.free_port(host));
        let id = self.insert_socket(host, local, to);
        Ok(self.install(process, Open::Socket(id)))
    }

    fn insert_socket(&mut self, host: HostId, local: SocketAddr, remote: SocketAddr) -> SocketId {
        let id = SocketId(self.number());
        let socket = Socket {
            host,
            local,
            remote,
            peer: None,
            phase: Phase::Fresh,
            arrived: VecDeque::new(),
            ended: false,
            shut: false,
            abort: false,
            last_arrival: self.now,
            outstanding: 0,
            receive: None,
            receive_pumping: false,
            send: None,
            connect: None,
        };
        self.network.sockets.insert(id, socket);
        id
    }

    fn latency(&mut self) -> Duration {
        let time = self.chance.time(&self.faults.latency);
        if !self.chance.hits(self.faults.latency_tail) {
            return time;
        }
        // Lost, sent again after twice the time, and so on: each further loss is half as likely.
        time * (2 << self.chance.bits().trailing_zeros().min(TAIL_DOUBLINGS))
    }

    /// connect(2).
    pub(super) fn connect(
        &mut self,
        kernel: KernelId,
        token: Token,
        descriptor: Descriptor,
        to: SocketAddr,
    ) {
        let Ok(Open::Socket(id)) = self.lookup(kernel, descriptor) else {
            return self.reject(kernel, token, libc::ENOTSOCK);
        };
        let process = self.kernels[kernel.0].process;
        let own = self.processes[process.0].host;
        let target = if to.ip().is_loopback() { Some(own) } else { self.find_host(to.ip()) };
        self.note(kernel, token, InFlight::Connect(id));
        let socket = self.network.socket(id).expect("a descriptor keeps it");
        socket.phase = Phase::Connecting;
        socket.connect = Some((kernel, token));
        let latency = self.latency();
        let fail = |error| Event::Answer { socket: id, error, server: None };
        if self.chance.hits(self.faults.connect_black_hole) {
            self.after(CONNECT_GIVES_UP, fail(libc::ETIMEDOUT));
        } else if self.chance.hits(self.faults.connect_refused) {
            self.after(2 * latency, fail(libc::ECONNREFUSED));
        } else if let Some(host) = target {
            if self.chance.hits(self.faults.hole) {
                self.dig_hole(own, host);
            }
            // Without both ways there is no connection: the attempt is repeated until there are.
            let wait = self.reach(own, host).map_or(Duration::ZERO, |open| open.since(self.now));
            if wait >= CONNECT_GIVES_UP {
                self.after(CONNECT_GIVES_UP, fail(libc::ETIMEDOUT));
            } else {
                self.after(wait + latency, Event::Knock { socket: id, host, to });
            }
        } else {
            self.after(latency, fail(libc::EHOSTUNREACH));
        }
    }

    /// Completes an operation that has no chance.
    pub(super) fn reject(&mut self, kernel: KernelId, token: Token, errno: Errno) {
        self.note(kernel, token, InFlight::Bound);
        self.complete_later(kernel, token, -errno);
    }

    /// A connection attempt reaches a host: the connection begins here, before it is accepted.
    pub(super) fn knock(&mut self, client: SocketId, host: HostId, to: SocketAddr) {
        let Some(socket) = self.network.socket(client) else { return };
        let from = socket.local;
        let latency = self.latency();
        let doors = self.listeners_for(host, to);
        if doors.is_empty() {
            let error = libc::ECONNREFUSED;
            return self.after(latency, Event::Answer { socket: client, error, server: None });
        }
        let door = doors[self.chance.below(doors.len() as u64) as usize];
        if self.network.listeners[&door].backlog.len() >= BACKLOG {
            return self.after(CONNECT_AGAIN, Event::Knock { socket: client, host, to });
        }
        let server = self.insert_socket(host, to, from);
        let socket = self.network.socket(server).expect("just made");
        socket.phase = Phase::Connected;
        socket.peer = Some(client);
        let answer = self.now + latency;
        self.network.socket(server).expect("just made").last_arrival = answer;
        self.at(answer, Event::Answer { socket: client, error: 0, server: Some(server) });
        let listener = self.network.listeners.get_mut(&door).expect("just seen");
        listener.backlog.push_back(server);
        self.wake_acceptor(door);
    }

    fn listeners_for(&self, host: HostId, to: SocketAddr) -> Vec<ListenerId> {
        let fits = |listener: &Listener| {
            listener.host == host
                && listener.local.port() == to.port()
                && (listener.local.ip() == to.ip() || listener.local.ip() == unspecified(to.ip()))
        };
        let all = self.network.listeners.iter();
        all.filter(|(_, listener)| fits(listener)).map(|(id, _)| *id).collect()
    }

    /// The answer to a connection attempt comes back.
    pub(super) fn answer(&mut self, id: SocketId, error: Errno, server: Option<SocketId>) {
        let Some(socket) = self.network.socket(id) else {
            // It gave up in the meantime: the other end must hear of it.
            if let Some(server) = server {
                self.send_segment(id, server, Segment::Reset);
            }
            return;
        };
        if socket.phase != Phase::Connecting {
            if let Some(server) = server {
                self.send_segment(id, server, Segment::Reset);
            }
            return;
        }
        socket.peer = server;
        socket.phase = if error == 0 { Phase::Connected } else { Phase::Broken(error) };
        if let Some((kernel, token)) = socket.connect.take() {
            self.complete(kernel, token, -error, None);
        }
        self.trace.event(self.now, "connected", &[id.0 as i64, error.into()]);
    }

    /// Sends a segment behind all earlier ones.
    pub(super) fn send_segment(&mut self, from: SocketId, to: SocketId, segment: Segment) {
        let Some(wait) = self.swallow(from, to, &segment) else { return };
        let mut delay = wait + self.latency();
        if self.chance.hits(self.faults.stall) {
            delay += self.chance.time(&self.faults.stall_time);
        }
        let mut at = self.now + delay;
        if let Some(socket) = self.network.socket(from) {
            at = at.max(socket.last_arrival);
            socket.last_arrival = at;
        }
        self.at(at, Event::Arrive { from, to, segment });
    }

    /// Something arrives.
    pub(super) fn arrive(&mut self, from: SocketId, to: SocketId, segment: Segment) {
        let Some(socket) = self.network.socket(to) else {
            if let Segment::Bytes(_) = segment {
                self.send_segment(to, from, Segment::Reset);
            }
            return;
        };
        match segment {
            Segment::Bytes(bytes) => {
                if let Phase::Broken(_) = socket.phase {
                    return;
                }
                socket.arrived.extend(&bytes);
                self.trace.event(self.now, "arrives", &[to.0 as i64, bytes.len() as i64]);
                self.trace.mix_bytes(&bytes);
            }
            Segment::End => {
                socket.ended = true;
                self.trace.event(self.now, "ends", &[to.0 as i64]);
            }
            Segment::Reset => {
                self.trace.event(self.now, "reset", &[to.0 as i64]);
                self.break_socket(to);
            }
        }
        self.wake_receiver(to);
    }

    /// A reset has come.
    fn break_socket(&mut self, id: SocketId) {
        let discards = self.chance.hits(self.faults.reset_discards);
        let Some(socket) = self.network.socket(id) else { return };
        if let Phase::Broken(_) = socket.phase {
            return;
        }
        socket.phase = Phase::Broken(libc::ECONNRESET);
        if discards {
            socket.arrived.clear();
        }
        self.wake_sender(id);
    }

    /// shutdown(SHUT_WR).
    pub(super) fn shut_down(&mut self, id: SocketId) -> Result<(), Errno> {
        let socket = self.network.socket(id).ok_or(libc::EBADF)?;
        if socket.phase != Phase::Connected {
            return Err(libc::ENOTCONN);
        }
        let peer = socket.peer;
        if !std::mem::replace(&mut socket.shut, true)
            && let Some(peer) = peer
        {
            self.send_segment(id, peer, Segment::End);
        }
        Ok(())
    }

    /// The last descriptor of a socket is closed: in order, unless bytes were left unread.
    pub(super) fn close_socket(&mut self, id: SocketId) {
        let Some(socket) = self.network.socket(id) else { return };
        let reset = socket.abort || !socket.arrived.is_empty();
        let peer = socket.peer.filter(|_| socket.phase == Phase::Connected);
        let shut = socket.shut;
        if let Some(peer) = peer {
            if reset {
                self.send_segment(id, peer, Segment::Reset);
            } else if !shut {
                self.send_segment(id, peer, Segment::End);
            }
        }
        self.network.sockets.remove(&id);
    }

    /// The process of a socket was killed: its kernel ends the connection, one way or the other.
    pub(super) fn abandon_socket(&mut self, id: SocketId) {
        let abort = self.chance.hits(0.5);
        if let Some(socket) = self.network.socket(id) {
            socket.abort |= abort;
        }
        self.close_socket(id);
    }

    /// The machine of a socket has lost its power: the peer hears nothing until it sends.
    pub(super) fn forget_socket(&mut self, id: SocketId) {
        self.network.sockets.remove(&id);
    }

    /// A listener is closed: whoever was not accepted is reset.
    pub(super) fn close_listener(&mut self, id: ListenerId) {
        let Some(listener) = self.network.listeners.remove(&id) else { return };
        for socket in listener.backlog {
            if let Some(waiting) = self.network.socket(socket) {
                waiting.abort = true;
            }
            self.close_socket(socket);
        }
    }

    /// As [`close_listener`](Self::close_listener), without a word.
    pub(super) fn forget_listener(&mut self, id: ListenerId) {
        let Some(listener) = self.network.listeners.remove(&id) else { return };
        for socket in listener.backlog {
            self.forget_socket(socket);
        }
    }
}
