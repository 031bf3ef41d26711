//! The seam: what the reactor asks of a kernel.
//!
//! Everything above it (slots, leases, deadlines, cancellation, closing) is shared by the three
//! kernels, so that the simulation exercises it. Below it is only `submit(operation)` and
//! `complete(result, flags)`.
//!
//! Rules for every kernel:
//! - Each submitted operation completes at least once; the last completion of a token has
//!   `more == false`. Only [`Operation::Accept`] and [`Operation::Receive`] complete more often.
//! - Pointers in an operation stay valid until that last completion.
//! - `submit` never blocks and never completes anything inline: completions come from `enter`.
//! - Results are the kernel's: not negative is success, negative is `-errno`.

use crate::file::{FileAnswer, FileCall};
use crate::memory::Gather;
use crate::time::Instant;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// A descriptor as the kernel numbers them.
pub(crate) type Descriptor = i32;

/// Names an operation: slot in the low 32 bits, generation in the high ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Token(pub(crate) u64);

/// A group of receive buffers. The two directions have separate ones, so that neither starves the
/// other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// Accepted sockets.
    Inbound = 0,
    /// Connected sockets.
    Outbound = 1,
}

/// What the kernel can be asked to do.
pub(crate) enum Operation {
    /// Accept connections until cancelled; each completion's result is a new descriptor
    /// (close-on-exec). On an error it has ended.
    Accept { listener: Descriptor },
    /// Receive until cancelled, each time into a buffer of `group` that the kernel picks. Result 0
    /// is the end of the stream. Out of buffers it ends with `-ENOBUFS`, but only when there is
    /// something to receive (bytes, the end, an error): while there is not, it waits.
    Receive { socket: Descriptor, group: Group },
    /// Send what `parts` describes; may be short.
    Send { socket: Descriptor, parts: *const Gather },
    /// Connect to `address`.
    Connect { socket: Descriptor, address: *const SocketAddr },
    /// Shut down the writing half.
    Shutdown { socket: Descriptor },
    /// Close. No operation on the descriptor is queued or in flight.
    Close { descriptor: Descriptor },
    /// Read up to `length` bytes at `offset` into `target`; may be short at the end of the file.
    Read { file: Descriptor, offset: u64, target: *mut u8, length: usize },
    /// Write all of `parts` at `offset`; `durable` asks for RWF_DSYNC.
    Write { file: Descriptor, offset: u64, parts: *const Gather, durable: bool },
    /// fdatasync.
    Sync { file: Descriptor },
    /// A file call that may block for long: it runs on another thread. Result 0 comes with an
    /// answer.
    Call(Box<FileCall>),
    /// Cancel the operation `target`, which completes by itself (`-ECANCELED` if this came in
    /// time). The result of the cancellation says nothing that anybody needs.
    Cancel { target: Token },
}

/// What came of an operation.
pub(crate) struct Completion {
    /// Which.
    pub(crate) token: Token,
    /// Not negative, or `-errno`.
    pub(crate) result: i32,
    /// Whether more completions of this token follow.
    pub(crate) more: bool,
    /// The buffer of a receive.
    pub(crate) buffer: Option<u16>,
    /// The answer of a call.
    pub(crate) answer: Option<Box<FileAnswer>>,
}

/// How long `enter` may wait for the first completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Not at all.
    No,
    /// Until this time, or for ever with [`Instant::NEVER`].
    Until(Instant),
}

/// How another thread wakes a kernel that waits in `enter`.
#[derive(Clone)]
pub(crate) enum WakeTarget {
    /// A ring: by a message from another ring, else by its eventfd.
    Ring {
        /// The ring's descriptor.
        ring: i32,
        /// Read by that ring.
        event: Arc<std::os::fd::OwnedFd>,
    },
    /// mio's waker.
    Poll(Arc<mio::Waker>),
    /// A simulated kernel never sleeps: the world looks at its reactors in turn.
    Sim,
}

impl WakeTarget {
    /// Ends the wait of the kernel behind it, by a system call.
    pub(crate) fn sound(&self) {
        match self {
            Self::Ring { event, .. } => crate::system::ring_bell(event),
            // A waker that fails is one whose counter is full: it sounds already.
            Self::Poll(waker) => drop(waker.wake()),
            Self::Sim => {}
        }
    }
}

/// One of the three kernels.
pub(crate) trait Kernel {
    /// Queues `operation`.
    fn submit(&mut self, token: Token, operation: Operation);

    /// Hands queued operations over, waits as told, and appends what has completed. Waking by a
    /// [`WakeTarget`] ends the wait and appends nothing.
    fn enter(&mut self, wait: Wait, completions: &mut Vec<Completion>);

    /// How many receive buffers `group` has in all.
    fn buffer_count(&self, group: Group) -> u32;

    /// The memory of a receive buffer: valid until it is released.
    fn buffer(&self, group: Group, buffer: u16) -> *const u8;

    /// Gives a receive buffer back.
    fn release(&mut self, group: Group, buffer: u16);

    /// Monotonic time.
    fn now(&self) -> Instant;

    /// CPU time that this thread has used; none passes in a simulation.
    fn thread_time(&self) -> Duration {
        Duration::ZERO
    }

    /// Wall-clock time since 1970.
    fn wall_clock(&self) -> Duration;

    /// Fills `bytes` from the kernel's entropy, or the world's seed.
    fn entropy(&mut self, bytes: &mut [u8]);

    /// Makes a listening socket. `shared` asks for SO_REUSEPORT (one socket a shard).
    ///
    /// # Errors
    /// As socket, bind and listen.
    fn listen(&mut self, address: SocketAddr, shared: bool) -> io::Result<Descriptor>;

    /// Makes a socket to connect to `to`, bound to `source` if given.
    ///
    /// # Errors
    /// As socket and bind.
    fn socket(&mut self, to: SocketAddr, source: Option<IpAddr>) -> io::Result<Descriptor>;

    /// The address at the other end (getpeername).
    ///
    /// # Errors
    /// ENOTCONN when the peer has gone already.
    fn peer_address(&self, socket: Descriptor) -> io::Result<SocketAddr>;

    /// The address at our end (getsockname).
    ///
    /// # Errors
    /// As getsockname.
    fn local_address(&self, socket: Descriptor) -> io::Result<SocketAddr>;

    /// Makes closing `socket` send a reset (SO_LINGER 0).
    fn abort_on_close(&mut self, socket: Descriptor);

    /// Keeps `file` open until the last write of this kernel has landed, even if the process dies.
    ///
    /// # Errors
    /// As registering a file with the ring.
    fn hold(&mut self, file: Descriptor) -> io::Result<()>;

    /// How others wake this kernel.
    fn wake_target(&self) -> WakeTarget;

    /// Wakes `target`, which another thread's kernel waits behind; a ring sends a ring message at
    /// its next `enter`. `false` when this kernel has no way of its own to do it.
    fn wake(&mut self, target: &WakeTarget) -> bool;

    /// `ring`, `poll` or `sim`.
    fn name(&self) -> &'static str;

    /// Whether the (simulated) process has been killed: nothing completes any more, and nobody
    /// waits for it.
    fn is_dead(&self) -> bool {
        false
    }
}
