//! The two queues of a ring: what is submitted, what has completed, and the call between them.

use crate::kernel::{Descriptor, Token, Wait};
use crate::system;
use crate::time::Instant;
use io_uring::{EnterFlags, IoUring, Submitter, cqueue, opcode, squeue, types};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

/// User data of the read of our eventfd.
pub(super) const ALARM: u64 = OURS;
/// Of a message from another ring.
pub(super) const MESSAGE: u64 = OURS | 1;
/// Of a message of ours that could not be sent; the high half is the target's descriptor.
pub(super) const UNSENT: u64 = OURS | 2;
/// A token's low half is the index of a slot and stays below 2³⁰: this bit tells the ring's own
/// operations apart.
const OURS: u64 = 1 << 31;
/// Marks operations that must not be cancelled, not even at the end.
pub(super) const LANDS: u64 = 1 << 30;

/// How long to let completions come when the kernel takes no submissions, in nanoseconds.
const BREATH_NANOSECONDS: u32 = 1_000_000;

/// A ring with a line of entries behind its submission queue.
///
/// Dropping it waits for writes, cancels all else, and waits for the last completion.
pub(crate) struct Queue {
    ring: IoUring,
    /// Entries that found the submission queue full, in order.
    line: VecDeque<squeue::Entry>,
    /// Addresses of connects that the kernel has not read yet.
    #[expect(clippy::vec_box, reason = "the kernel is told their addresses")]
    addresses: Vec<Box<SocketAddress>>,
    /// Operations whose last completion has not been taken.
    in_flight: usize,
    /// Those of them that must not be cancelled.
    landing: usize,
}

/// A socket address as connect(2) wants it.
#[repr(C)]
union SocketAddress {
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

impl Queue {
    pub(crate) fn new(ring: IoUring) -> Self {
        Self { ring, line: VecDeque::new(), addresses: Vec::new(), in_flight: 0, landing: 0 }
    }

    pub(crate) fn descriptor(&self) -> Descriptor {
        self.ring.as_raw_fd()
    }

    pub(crate) fn submitter(&self) -> Submitter<'_> {
        self.ring.submitter()
    }

    /// Queues an operation. What its entry points to is valid until its last completion.
    pub(crate) fn push(&mut self, entry: squeue::Entry) {
        self.in_flight += 1;
        self.landing += usize::from(entry.get_user_data() & (LANDS | OURS) == LANDS);
        self.push_silent(entry);
    }

    /// Queues an operation that completes only when it fails.
    pub(crate) fn push_silent(&mut self, entry: squeue::Entry) {
        if !self.line.is_empty() || !self.try_push(&entry) {
            self.line.push_back(entry);
        }
    }

    /// Queues a connect.
    pub(crate) fn push_connect(&mut self, token: Token, socket: Descriptor, to: &SocketAddr) {
        let (address, length) = socket_address(to);
        let address = Box::new(address);
        let start = (&raw const *address).cast();
        self.addresses.push(address);
        let connect = opcode::Connect::new(types::Fd(socket), start, length).build();
        self.push(connect.user_data(token.0));
    }

    fn try_push(&mut self, entry: &squeue::Entry) -> bool {
        // SAFETY: the reactor keeps what an operation points to in its slot until the last
        // completion; the addresses of connects are kept in `addresses`.
        unsafe { self.ring.submission().push(entry) }.is_ok()
    }

    /// Hands everything queued to the kernel and waits as told: one system call, unless more is
    /// queued than the submission queue takes.
    pub(crate) fn enter(&mut self, wait: Wait) {
        while self.fill() {
            if !self.call(0, None) {
                return;
            }
        }
        let submitted = match wait {
            Wait::No => self.call(0, None),
            Wait::Until(Instant::NEVER) => self.call(1, None),
            Wait::Until(at) => {
                let within = at.since(system::now());
                self.call(u32::from(!within.is_zero()), Some(within.into()))
            }
        };
        if submitted {
            // Addresses are read when an operation is submitted.
            self.addresses.clear();
        }
    }

    /// Fills the submission queue from the line; whether some are left.
    fn fill(&mut self) -> bool {
        while let Some(entry) = self.line.pop_front() {
            if !self.try_push(&entry) {
                self.line.push_front(entry);
                return true;
            }
        }
        false
    }

    /// io_uring_enter(2); `false` when the kernel has not taken all of the submission queue. Those
    /// entries stay queued, and whatever they point to stays where it is.
    fn call(&mut self, wanted: u32, within: Option<types::Timespec>) -> bool {
        let queued = self.ring.submission().len();
        let taken = self.system_call(queued as u32, wanted, within.as_ref());
        match taken {
            Ok(taken) => taken >= queued,
            Err(error) => match error.raw_os_error() {
                // The time is over, or a signal came: nothing was queued then, else the number of
                // entries taken would have been the answer.
                Some(libc::ETIME | libc::EINTR) => queued == 0,
                Some(libc::EAGAIN | libc::EBUSY) => {
                    self.breathe();
                    false
                }
                _ => panic!("io_uring_enter failed: {error}"),
            },
        }
    }

    /// The kernel is short of memory, or our completion queue overflowed: let operations end.
    fn breathe(&self) {
        let within = types::Timespec::new().nsec(BREATH_NANOSECONDS);
        // Whatever it says, the next turn tries again.
        drop(self.system_call(0, 1, Some(&within)));
    }

    fn system_call(
        &self,
        queued: u32,
        wanted: u32,
        within: Option<&types::Timespec>,
    ) -> io::Result<usize> {
        // Always GETEVENTS: deferred completions, and those that overflowed, are made by it alone.
        let flags = (EnterFlags::GETEVENTS | EnterFlags::EXT_ARG).bits();
        let mut arguments = types::SubmitArgs::new();
        if let Some(within) = within {
            arguments = arguments.timespec(within);
        }
        // SAFETY: `SubmitArgs` is the layout that EXT_ARG announces, and what it points to
        // outlives the call.
        unsafe { self.ring.submitter().enter(queued, wanted, flags, Some(&arguments)) }
    }

    /// Takes the next completion.
    pub(crate) fn next(&mut self) -> Option<cqueue::Entry> {
        let entry = self.ring.completion().next()?;
        let counts = entry.user_data() & OURS == 0 || entry.user_data() == ALARM;
        if counts && !cqueue::more(entry.flags()) {
            self.in_flight -= 1;
            self.landing -= usize::from(entry.user_data() & (LANDS | OURS) == LANDS);
        }
        Some(entry)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // Closes and messages may still be queued.
        loop {
            let left = self.fill();
            if self.call(0, None) && !left {
                break;
            }
            while self.next().is_some() {}
        }
        while self.landing > 0 {
            self.call(1, None);
            while self.next().is_some() {}
        }
        let within = types::Timespec::new().nsec(100 * BREATH_NANOSECONDS);
        while self.in_flight > 0 {
            // What cannot be cancelled any more ends by itself.
            drop(self.submitter().register_sync_cancel(None, types::CancelBuilder::any()));
            while self.next().is_some() {}
            if self.in_flight > 0 {
                self.call(1, Some(within));
            }
        }
    }
}

/// `to` as connect(2) wants it, and its length.
fn socket_address(to: &SocketAddr) -> (SocketAddress, libc::socklen_t) {
    match to {
        SocketAddr::V4(to) => {
            let v4 = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: to.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(to.ip().octets()) },
                sin_zero: [0; 8],
            };
            (SocketAddress { v4 }, size_of_val(&v4) as libc::socklen_t)
        }
        SocketAddr::V6(to) => {
            let v6 = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: to.port().to_be(),
                sin6_flowinfo: to.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: to.ip().octets() },
                sin6_scope_id: to.scope_id(),
            };
            (SocketAddress { v6 }, size_of_val(&v6) as libc::socklen_t)
        }
    }
}
