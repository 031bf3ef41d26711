//! The kernel behind epoll: everywhere to be had, for where the ring is not.
//!
//! What the ring does by itself is done here step by step: operations are tried in the order of
//! their submission at the next [`Kernel::enter`]; a socket that blocks waits for an edge of
//! epoll; multishot operations are tried again after each success, a bounded number of times a
//! visit; files are the business of the [`Crew`]. Start reading at [`PollKernel::try_fresh`].
//!
//! Timers are as exact as epoll_wait: a wait may end up to a millisecond late.

mod attempt;
mod buffers;
mod sockets;
#[cfg(test)]
mod tests;

use crate::crew::{Crew, CrewJob};
use crate::kernel::{Completion, Descriptor, Group, Kernel, Operation, Token, Wait, WakeTarget};
use crate::reactor::Options;
use crate::system;
use crate::time::Instant;
use attempt::Wish;
use buffers::Buffers;
use rustix::net::SocketFlags;
use sockets::{Sockets, completion};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

/// Events taken from epoll at once; what is left comes at the next visit.
const EVENTS: usize = 1024;

/// The waker's token: no descriptor is that large.
const WAKER: mio::Token = mio::Token(usize::MAX);

/// The kernel behind epoll. Dropping it waits until the crew is done.
pub(crate) struct PollKernel {
    /// Dropped first: its threads use the memory and the files of others.
    crew: Crew,
    poll: mio::Poll,
    events: mio::Events,
    waker: Arc<mio::Waker>,
    /// Submitted and not yet tried.
    fresh: Vec<(Token, Operation)>,
    sockets: Sockets,
    buffers: [Buffers; 2],
    held: Vec<OwnedFd>,
}

impl PollKernel {
    /// A kernel of its own.
    ///
    /// # Errors
    /// As epoll_create and eventfd: descriptors have run out.
    pub(crate) fn new(options: &Options) -> io::Result<Self> {
        let poll = mio::Poll::new()?;
        let waker = Arc::new(mio::Waker::new(poll.registry(), WAKER)?);
        let alarm = Arc::clone(&waker);
        Ok(Self {
            // An alarm that cannot be sounded is one that sounds already.
            crew: Crew::new(options.file_threads, Arc::new(move || drop(alarm.wake()))),
            poll,
            events: mio::Events::with_capacity(EVENTS),
            waker,
            fresh: Vec::new(),
            sockets: Sockets::new(),
            buffers: [
                Buffers::new(options.inbound_buffers, options.inbound_buffer_bytes),
                Buffers::new(options.outbound_buffers, options.outbound_buffer_bytes),
            ],
            held: Vec::new(),
        })
    }

    /// Tries what was submitted, in that order.
    fn try_fresh(&mut self, completions: &mut Vec<Completion>) {
        let mut fresh = std::mem::take(&mut self.fresh);
        for (token, operation) in fresh.drain(..) {
            self.begin(token, operation, completions);
        }
        self.fresh = fresh;
    }

    fn begin(&mut self, token: Token, operation: Operation, completions: &mut Vec<Completion>) {
        let result = match operation {
            Operation::Accept { listener } => {
                // A listener that was passed to us may block, and accept has no flag against it.
                attempt::set_nonblocking(listener);
                return self.want(listener, token, Wish::Accept, completions);
            }
            Operation::Receive { socket, group } => {
                return self.want(socket, token, Wish::Receive(group), completions);
            }
            Operation::Send { socket, parts } => {
                return self.want(socket, token, Wish::Send(parts), completions);
            }
            Operation::Connect { socket, address } => {
                return self.want(socket, token, Wish::Connect(address), completions);
            }
            Operation::Shutdown { socket } => system::shut_down(socket),
            Operation::Close { descriptor } => {
                self.sockets.forget(descriptor, self.poll.registry());
                system::close(descriptor);
                0
            }
            // What the crew was given is never cancelled: its threads use the memory.
            Operation::Cancel { target } if self.sockets.cancel(target, completions) => 0,
            Operation::Cancel { .. } => -libc::ENOENT,
            Operation::Read { file, offset, target, length } => {
                return self.crew.give(token, CrewJob::Read { file, offset, target, length });
            }
            Operation::Write { file, offset, parts, durable } => {
                return self.crew.give(token, CrewJob::Write { file, offset, parts, durable });
            }
            Operation::Sync { file } => return self.crew.give(token, CrewJob::Sync { file }),
            Operation::Call(call) => return self.crew.give(token, CrewJob::Call(call)),
        };
        completions.push(completion(token, result, false, None));
    }

    fn want(
        &mut self,
        socket: Descriptor,
        token: Token,
        wish: Wish,
        completions: &mut Vec<Completion>,
    ) {
        self.sockets.want(socket, token, wish);
        self.sockets.visit(socket, self.poll.registry(), &mut self.buffers, completions);
    }

    /// Waits for edges and the alarm, and notes them.
    fn wait(&mut self, wait: Wait) {
        let timeout = match wait {
            Wait::No => Some(Duration::ZERO),
            Wait::Until(Instant::NEVER) => None,
            Wait::Until(at) => Some(at.since(system::now())),
        };
        match self.poll.poll(&mut self.events, timeout) {
            Ok(()) => {}
            // A signal ends the wait; the events are empty.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => panic!("epoll_wait cannot fail on our own descriptor: {error}"),
        }
        for event in &self.events {
            if event.token() != WAKER {
                self.sockets.note(event);
            }
        }
    }
}

impl Kernel for PollKernel {
    fn submit(&mut self, token: Token, operation: Operation) {
        self.fresh.push((token, operation));
    }

    fn enter(&mut self, wait: Wait, completions: &mut Vec<Completion>) {
        let before = completions.len();
        self.try_fresh(completions);
        if self.crew.is_busy() {
            self.crew.take(completions);
        }
        let has_more = completions.len() > before || self.sockets.any_in_line();
        self.wait(if has_more { Wait::No } else { wait });
        self.sockets.visit_line(self.poll.registry(), &mut self.buffers, completions);
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
        system::socket(to, source, SocketFlags::NONBLOCK)
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

    /// A descriptor of our own is enough here: the files of a dying process are closed when its
    /// last thread has ended, and a thread ends only after the write that it is in.
    fn hold(&mut self, file: Descriptor) -> io::Result<()> {
        self.held.push(system::duplicate(file)?);
        Ok(())
    }

    fn wake_target(&self) -> WakeTarget {
        WakeTarget::Poll(Arc::clone(&self.waker))
    }

    fn wake(&mut self, _target: &WakeTarget) -> bool {
        false
    }

    fn name(&self) -> &'static str {
        "poll"
    }
}

impl Drop for PollKernel {
    fn drop(&mut self) {
        // Closing is the one thing that must happen even though nobody enters any more.
        for (_, operation) in self.fresh.drain(..) {
            if let Operation::Close { descriptor } = operation {
                system::close(descriptor);
            }
        }
    }
}
