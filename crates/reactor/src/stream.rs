//! Listeners, streams and leases.

use crate::descriptor::{Chunk, DescriptorKey, Door, Inbox, Kind};
use crate::executor::TaskId;
use crate::kernel::{Completion, Descriptor, Group, Operation, Token};
use crate::memory::Part;
use crate::reactor::{Core, Expiry, Reactor};
use crate::slot::{Owner, Payload};
use crate::time::Instant;
use crate::timer::TimerKey;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// Leases that one connection may hold: then its receive is cancelled, as multishot has no
/// back-pressure of its own.
const LEASES_PER_CONNECTION: usize = 4;

/// Why a stream gave no bytes, or took none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hangup {
    /// The peer has ended its half in order.
    Closed,
    /// The connection is gone; the kind says how.
    Broken(io::ErrorKind),
    /// The deadline has passed.
    TimedOut,
    /// An [`Interrupter`] was used.
    Interrupted,
}

impl fmt::Display for Hangup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the peer closed the connection"),
            Self::Broken(kind) => write!(f, "{kind}"),
            Self::TimedOut => f.write_str("timed out"),
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl From<io::Error> for Hangup {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => Self::TimedOut,
            kind => Self::Broken(kind),
        }
    }
}

/// A listening socket.
pub struct Listener {
    core: Rc<Core>,
    key: DescriptorKey,
    descriptor: Descriptor,
}

/// A connected socket. Dropping it closes it, after its last operation.
pub struct Stream {
    core: Rc<Core>,
    key: DescriptorKey,
    descriptor: Descriptor,
    peer: SocketAddr,
}

/// Received bytes, in a buffer that the reactor owns; dropping the lease gives it back. Do not
/// hold one across an await.
pub struct Lease {
    bytes: Bytes,
}

enum Bytes {
    Lent { core: Rc<Core>, group: Group, buffer: u16, start: *const u8, length: usize },
    Copied(Vec<u8>),
}

/// Makes the task that waits in `recv` or `accept` look up.
#[derive(Clone)]
pub struct Interrupter {
    core: Rc<Core>,
    key: DescriptorKey,
}

impl Reactor {
    /// Listens at `address`; `shared` lets the other shards listen there too (SO_REUSEPORT).
    ///
    /// # Errors
    /// As socket, bind and listen.
    pub fn listen(&self, address: SocketAddr, shared: bool) -> io::Result<Listener> {
        let descriptor = self.core().with_kernel(|kernel| kernel.listen(address, shared))?;
        Ok(self.adopt_listener(descriptor))
    }

    /// A listener over a socket that [`bind`](crate::bind) made, perhaps on another thread, or that
    /// the process was started with. Not for a simulated kernel.
    pub fn adopt(&self, socket: std::os::fd::OwnedFd) -> Listener {
        crate::bind::prepare(&socket);
        self.adopt_listener(std::os::fd::IntoRawFd::into_raw_fd(socket))
    }

    fn adopt_listener(&self, descriptor: Descriptor) -> Listener {
        let core = self.core();
        let door = Kind::Listener(Box::default());
        let key = core.with_descriptors(|all| all.insert(descriptor, door));
        Listener { core, key, descriptor }
    }

    /// Connects to `address` from `source`, if given, within the time.
    ///
    /// # Errors
    /// As socket, bind and connect; `TimedOut` at the deadline.
    pub async fn connect(
        &self,
        address: SocketAddr,
        source: Option<IpAddr>,
        by: Instant,
    ) -> io::Result<Stream> {
        let core = self.core();
        let descriptor = core.with_kernel(|kernel| kernel.socket(address, source))?;
        let inbox = Kind::Socket(Box::new(Inbox::new(Group::Outbound)));
        let key = core.with_descriptors(|all| all.insert(descriptor, inbox));
        let stream = Stream { core, key, descriptor, peer: address };
        let payload = Payload::Address(Box::new(address));
        let pending = stream.core.ask(Some(key), by, payload, |payload| {
            let Payload::Address(address) = payload else { unreachable!("given above") };
            Operation::Connect { socket: descriptor, address: &raw const **address }
        });
        pending.await.result?;
        Ok(stream)
    }
}

impl Listener {
    /// The next connection.
    ///
    /// # Errors
    /// As accept (EMFILE, ENFILE, ENOBUFS among them): call again when there is reason to hope.
    /// `Interrupted` by an [`Interrupter`].
    pub async fn accept(&self) -> io::Result<Stream> {
        loop {
            let descriptor = std::future::poll_fn(|_| self.poll_accept()).await?;
            match self.core.with_kernel(|kernel| kernel.peer_address(descriptor)) {
                Ok(peer) => return Ok(self.adopt(descriptor, peer)),
                // It went away before we looked.
                Err(_) => self.core.close_raw(descriptor),
            }
        }
    }

    fn adopt(&self, descriptor: Descriptor, peer: SocketAddr) -> Stream {
        let inbox = Kind::Socket(Box::new(Inbox::new(Group::Inbound)));
        let core = Rc::clone(&self.core);
        let key = core.with_descriptors(|all| all.insert(descriptor, inbox));
        Stream { core, key, descriptor, peer }
    }

    fn poll_accept(&self) -> Poll<io::Result<Descriptor>> {
        let task = self.core.current_task();
        let arm = self.core.with_descriptors(|all| {
            let door = all.door(self.key).expect("open while owned");
            if let Some(descriptor) = door.arrived.pop_front() {
                return Err(Ok(descriptor));
            }
            if let Some(error) = door.failed.take() {
                return Err(Err(io::Error::from_raw_os_error(error)));
            }
            if std::mem::take(&mut door.interrupted) {
                return Err(Err(io::ErrorKind::Interrupted.into()));
            }
            door.waiter = Some(task);
            Ok(door.armed.is_none())
        });
        match arm {
            Err(result) => return Poll::Ready(result),
            Ok(false) => {}
            Ok(true) => {
                let listener = self.descriptor;
                let accept = |_: &mut Payload| Operation::Accept { listener };
                let token =
                    self.core.start(Owner::Acceptor, Some(self.key), Payload::Nothing, accept);
                self.core.with_descriptors(|all| {
                    all.door(self.key).expect("open while owned").armed = Some(token);
                });
            }
        }
        Poll::Pending
    }

    /// The address that it listens at.
    ///
    /// # Errors
    /// As getsockname.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.core.with_kernel(|kernel| kernel.local_address(self.descriptor))
    }

    /// What makes `accept` look up.
    pub fn interrupter(&self) -> Interrupter {
        Interrupter { core: Rc::clone(&self.core), key: self.key }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.core.close(self.key);
    }
}

impl Stream {
    /// The address at the other end.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The address at our end.
    ///
    /// # Errors
    /// As getsockname.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.core.with_kernel(|kernel| kernel.local_address(self.descriptor))
    }

    /// The next bytes, at least one.
    ///
    /// # Errors
    /// As [`Hangup`] says. After `TimedOut` and `Interrupted` the stream is as it was.
    pub fn recv(&self, by: Instant) -> impl Future<Output = Result<Lease, Hangup>> + '_ {
        Receive { stream: self, by, timer: None, began: false }
    }

    /// Sends all of `parts` and gives them back for reuse.
    ///
    /// # Errors
    /// As [`Hangup`] says; how much was sent is unknown then, and the connection good for nothing.
    pub async fn send(&self, mut parts: Vec<Part>, by: Instant) -> Result<Vec<Part>, Hangup> {
        let total: usize = parts.iter().map(|part| part.as_slice().len()).sum();
        let mut sent = 0;
        while sent < total {
            let payload = Payload::Parts(self.core.gather(parts, sent));
            let socket = self.descriptor;
            let pending = self.core.ask(Some(self.key), by, payload, |payload| {
                let Payload::Parts(gather) = payload else { unreachable!("given above") };
                Operation::Send { socket, parts: &raw const **gather }
            });
            let landed = pending.await;
            sent += landed.result? as usize;
            let Payload::Parts(gather) = landed.payload else { unreachable!("given above") };
            parts = self.core.ungather(gather);
        }
        Ok(parts)
    }

    /// Ends our half in order.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn shut_down(&self) -> Result<(), Hangup> {
        let socket = self.descriptor;
        let shutdown = |_: &mut Payload| Operation::Shutdown { socket };
        let pending = self.core.ask(Some(self.key), Instant::NEVER, Payload::Nothing, shutdown);
        pending.await.result?;
        Ok(())
    }

    /// Closes the connection with a reset.
    pub fn abort(self) {
        self.core.with_kernel(|kernel| kernel.abort_on_close(self.descriptor));
    }

    /// Whether the peer has ended its half or the connection is gone, as far as we have noticed,
    /// and no bytes are left to take.
    pub fn is_ended(&self) -> bool {
        self.core.with_descriptors(|all| {
            all.inbox(self.key).is_none_or(|inbox| inbox.chunks.is_empty() && inbox.ended.is_some())
        })
    }

    /// What makes `recv` look up.
    pub fn interrupter(&self) -> Interrupter {
        Interrupter { core: Rc::clone(&self.core), key: self.key }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.core.close(self.key);
    }
}

impl Interrupter {
    /// The task that waits in `recv` or `accept`, or else the next one to wait, gets `Interrupted`
    /// once there is nothing to take. One that is gone is no error.
    pub fn interrupt(&self) {
        let waiter = self.core.with_descriptors(|all| {
            if let Some(inbox) = all.inbox(self.key) {
                inbox.interrupted = true;
                return inbox.waiter.take();
            }
            let door = all.door(self.key)?;
            door.interrupted = true;
            door.waiter.take()
        });
        if let Some(task) = waiter {
            self.core.wake(task);
        }
    }
}

impl Deref for Lease {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.bytes {
            // SAFETY: the kernel has filled `length` bytes of this buffer and does not touch it
            // until it is released, which `drop` does.
            Bytes::Lent { start, length, .. } => unsafe {
                std::slice::from_raw_parts(*start, *length)
            },
            Bytes::Copied(bytes) => bytes,
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if crate::mutated("lease-held") {
            return;
        }
        if let Bytes::Lent { core, group, buffer, .. } = &self.bytes {
            core.release_buffer(*group, *buffer);
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lease({} bytes)", self.len())
    }
}

struct Receive<'a> {
    stream: &'a Stream,
    by: Instant,
    timer: Option<TimerKey>,
    began: bool,
}

/// What the inbox says when somebody wants bytes.
enum Found {
    Chunk(Group, Chunk),
    End(Hangup),
    Wait { arm: bool },
}

fn look(inbox: &mut Inbox, now: Instant, by: Instant, task: TaskId) -> Found {
    if let Some(chunk) = inbox.chunks.pop_front() {
        return Found::Chunk(inbox.group, chunk);
    }
    if let Some(error) = inbox.ended {
        return Found::End(match error {
            0 => Hangup::Closed,
            error => Hangup::Broken(io::Error::from_raw_os_error(error).kind()),
        });
    }
    if std::mem::take(&mut inbox.interrupted) {
        return Found::End(Hangup::Interrupted);
    }
    if now >= by {
        return Found::End(Hangup::TimedOut);
    }
    inbox.waiter = Some(task);
    Found::Wait { arm: inbox.armed.is_none() && !inbox.starved }
}

impl Future for Receive<'_> {
    type Output = Result<Lease, Hangup>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        let core = &self.stream.core;
        let task = core.current_task();
        let found = core.with_descriptors(|all| {
            let inbox = all.inbox(self.stream.key).expect("open while owned");
            look(inbox, core.now(), self.by, task)
        });
        match found {
            Found::End(hangup) => Poll::Ready(Err(hangup)),
            Found::Chunk(_, Chunk::Copied(bytes)) => {
                Poll::Ready(Ok(Lease { bytes: Bytes::Copied(bytes) }))
            }
            Found::Chunk(group, Chunk::Lent { buffer, length }) => {
                let start = core.with_kernel(|kernel| kernel.buffer(group, buffer));
                let (core, length) = (Rc::clone(core), length as usize);
                Poll::Ready(Ok(Lease { bytes: Bytes::Lent { core, group, buffer, start, length } }))
            }
            Found::Wait { arm } => {
                if arm {
                    arm_receive(core, self.stream.key);
                }
                if !std::mem::replace(&mut self.began, true) && self.by != Instant::NEVER {
                    self.timer = Some(self.stream.core.set_timer(self.by, Expiry::Task(task)));
                }
                Poll::Pending
            }
        }
    }
}

impl Drop for Receive<'_> {
    fn drop(&mut self) {
        if let Some(timer) = self.timer.take() {
            self.stream.core.cancel_timer(timer);
        }
        self.stream.core.with_descriptors(|all| {
            if let Some(inbox) = all.inbox(self.stream.key) {
                inbox.waiter = None;
            }
        });
    }
}

/// Starts the multishot receive of a socket.
fn arm_receive(core: &Core, key: DescriptorKey) {
    let (socket, group) = core.with_descriptors(|all| {
        let entry = all.get(key).expect("armed while open");
        let socket = entry.descriptor;
        let inbox = all.inbox(key).expect("a socket");
        inbox.stopping = false;
        (socket, inbox.group)
    });
    let receive = |_: &mut Payload| Operation::Receive { socket, group };
    let token = core.start(Owner::Receiver, Some(key), Payload::Nothing, receive);
    core.with_descriptors(|all| all.inbox(key).expect("a socket").armed = Some(token));
}

/// The receive of a socket at the head of the line tries again; `false` when none is wanted.
pub(crate) fn feed(core: &Core, key: DescriptorKey) -> bool {
    let arm = core.with_descriptors(|all| {
        let open = all.get(key).is_some_and(|entry| !entry.closing);
        all.inbox(key).is_some_and(|inbox| {
            inbox.starved = false;
            open && inbox.armed.is_none() && inbox.ended.is_none()
        })
    });
    if arm {
        arm_receive(core, key);
    }
    arm
}

/// Takes in a completion of a multishot receive.
pub(crate) fn received(core: &Core, key: DescriptorKey, completion: &Completion) {
    let (group, took) = core.with_descriptors(|all| {
        let closing = all.get(key).is_none_or(|entry| entry.closing);
        let inbox = all.inbox(key).expect("an entry outlives its operations");
        if !completion.more {
            inbox.armed = None;
        }
        let took = take_in(inbox, closing, completion);
        if took.keeps && inbox.chunks.len() > LEASES_PER_CONNECTION {
            // The kernel fills many buffers at once for a sender that is far ahead, before it can
            // be stopped. Nobody else could receive if one socket kept them all.
            copy_last(core, inbox);
            return (inbox.group, Took { keeps: false, ..took });
        }
        (inbox.group, took)
    });
    if completion.buffer.is_some() {
        core.borrow_buffer(group);
    }
    match (took.keeps, completion.buffer) {
        (true, _) => {}
        (false, Some(buffer)) => core.release_buffer(group, buffer),
        (false, None) if took.starves => core.line_up(group, key),
        // It may have been its turn to take a buffer, and it took none.
        (false, None) => core.feed_next(group),
    }
    if let Some(token) = took.stop {
        core.cancel(token);
    }
    if let Some(task) = took.waiter {
        core.wake(task);
    }
}

/// Moves the last chunk out of its buffer, which can be released then.
fn copy_last(core: &Core, inbox: &mut Inbox) {
    let Some(Chunk::Lent { buffer, length }) = inbox.chunks.pop_back() else {
        unreachable!("just received")
    };
    let start = core.with_kernel(|kernel| kernel.buffer(inbox.group, buffer));
    // SAFETY: the kernel has filled `length` bytes of this buffer and leaves it alone until it is
    // released.
    let bytes = unsafe { std::slice::from_raw_parts(start, length as usize) };
    inbox.chunks.push_back(Chunk::Copied(bytes.to_vec()));
}

/// What a completion of a receive leads to.
#[derive(Default)]
struct Took {
    /// The inbox keeps the buffer.
    keeps: bool,
    /// The socket joins the line for buffers.
    starves: bool,
    /// The receive has brought enough.
    stop: Option<Token>,
    waiter: Option<TaskId>,
}

fn take_in(inbox: &mut Inbox, closing: bool, completion: &Completion) -> Took {
    let mut took = Took::default();
    if closing {
        return took;
    }
    match completion.result {
        bytes if bytes > 0 => {
            let buffer = completion.buffer.expect("received bytes lie in a buffer");
            took.keeps = true;
            inbox.chunks.push_back(Chunk::Lent { buffer, length: bytes as u32 });
            if inbox.chunks.len() >= LEASES_PER_CONNECTION && !inbox.stopping {
                inbox.stopping = inbox.armed.is_some();
                took.stop = inbox.armed;
            }
        }
        0 => inbox.ended = Some(0),
        // With chunks at hand it does not wait: the `recv` that finds none left arms it again.
        error if error == -libc::ENOBUFS => {
            inbox.starved = inbox.chunks.is_empty();
            took.starves = inbox.starved;
            return took;
        }
        // We stopped it ourselves, or the kernel did: the next `recv` arms it again.
        error if error == -libc::ECANCELED => {}
        error => inbox.ended = Some(-error),
    }
    took.waiter = inbox.waiter.take();
    took
}

/// Takes in a completion of a multishot accept.
pub(crate) fn accepted(core: &Core, key: DescriptorKey, completion: &Completion) {
    let mut unwanted = None;
    let waiter = core.with_descriptors(|all| {
        let closing = all.get(key).is_none_or(|entry| entry.closing);
        let door: &mut Door = all.door(key).expect("an entry outlives its operations");
        if !completion.more {
            door.armed = None;
        }
        match completion.result {
            descriptor if descriptor >= 0 && closing => unwanted = Some(descriptor),
            descriptor if descriptor >= 0 => door.arrived.push_back(descriptor),
            error if error == -libc::ECANCELED => {}
            error => door.failed = Some(-error),
        }
        door.waiter.take()
    });
    if let Some(descriptor) = unwanted {
        core.close_raw(descriptor);
    }
    if let Some(task) = waiter {
        core.wake(task);
    }
}
