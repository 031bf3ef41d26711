//! One try of a socket operation, which never waits.

use super::buffers::Buffers;
use crate::kernel::{Descriptor, Group};
use crate::memory::Gather;
use rustix::fd::{BorrowedFd, IntoRawFd};
use rustix::io::Errno;
use rustix::net::SocketFlags;
use rustix::net::sockopt;
use std::net::SocketAddr;

/// What a socket is wanted for.
#[derive(Clone, Copy)]
pub(super) enum Wish {
    /// As [`Operation::Accept`](crate::kernel::Operation::Accept).
    Accept,
    /// As [`Operation::Receive`](crate::kernel::Operation::Receive).
    Receive(Group),
    /// As [`Operation::Send`](crate::kernel::Operation::Send).
    Send(*const Gather),
    /// As [`Operation::Connect`](crate::kernel::Operation::Connect), to be begun.
    Connect(*const SocketAddr),
    /// A connect that has begun.
    Connected,
}

impl Wish {
    /// Whether it waits for something to read.
    pub(super) fn reads(self) -> bool {
        match self {
            Self::Accept | Self::Receive(_) => true,
            Self::Send(_) | Self::Connect(_) | Self::Connected => false,
        }
    }
}

/// What came of a try.
pub(super) enum Attempt {
    /// Try again when the socket is ready.
    Blocked,
    /// Not negative, or `-errno`; the wish is over.
    Done(i32),
    /// A new descriptor; the wish lives on.
    Accepted(Descriptor),
    /// Bytes in a buffer; the wish lives on. `is_drained` says that there was room for more.
    Received { bytes: i32, buffer: u16, is_drained: bool },
}

/// Tries `wish` on `socket`.
pub(super) fn attempt(socket: Descriptor, wish: Wish, buffers: &mut [Buffers; 2]) -> Attempt {
    match wish {
        Wish::Accept => accept(socket),
        Wish::Receive(group) => receive(socket, &mut buffers[group as usize]),
        Wish::Send(parts) => send(socket, parts),
        Wish::Connect(address) => connect(socket, address),
        Wish::Connected => connected(socket),
    }
}

fn borrow<'a>(socket: Descriptor) -> BorrowedFd<'a> {
    // SAFETY: a descriptor is closed only when no operation on it is queued or in flight.
    unsafe { BorrowedFd::borrow_raw(socket) }
}

fn failed(error: Errno) -> Attempt {
    Attempt::Done(-error.raw_os_error())
}

/// Makes sure that accepting never waits.
pub(super) fn set_nonblocking(listener: Descriptor) {
    // On something that is no socket it fails, and then accept says so.
    let _ = rustix::io::ioctl_fionbio(borrow(listener), true);
}

fn accept(listener: Descriptor) -> Attempt {
    loop {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        match rustix::net::accept_with(borrow(listener), flags) {
            Ok(socket) => {
                // A listener that was passed to us may lack it. A unix socket cannot have it.
                let _ = sockopt::set_tcp_nodelay(&socket, true);
                return Attempt::Accepted(socket.into_raw_fd());
            }
            // This one has gone again; there may be others.
            Err(Errno::INTR | Errno::CONNABORTED) => {}
            Err(Errno::AGAIN) => return Attempt::Blocked,
            Err(error) => return failed(error),
        }
    }
}

fn receive(socket: Descriptor, buffers: &mut Buffers) -> Attempt {
    let Some(buffer) = buffers.next() else { return receive_nothing(socket) };
    let room = buffers.bytes();
    // SAFETY: the buffer is free: nobody else looks at its `room` bytes.
    match unsafe { receive_into(socket, buffers.start(buffer), room, 0) } {
        Ok(0) => Attempt::Done(0),
        Ok(bytes) => {
            buffers.take();
            Attempt::Received { bytes: bytes as i32, buffer, is_drained: bytes < room }
        }
        Err(Errno::AGAIN) => Attempt::Blocked,
        Err(error) => failed(error),
    }
}

/// There is no buffer: only bytes need one, and the end of the stream does not.
fn receive_nothing(socket: Descriptor) -> Attempt {
    let mut byte = 0;
    // SAFETY: the byte is our own.
    match unsafe { receive_into(socket, &raw mut byte, 1, libc::MSG_PEEK) } {
        Ok(0) => Attempt::Done(0),
        Ok(_) => failed(Errno::NOBUFS),
        Err(Errno::AGAIN) => Attempt::Blocked,
        Err(error) => failed(error),
    }
}

/// recv(2).
///
/// # Safety
/// `room` bytes at `target` are the caller's to write.
unsafe fn receive_into(
    socket: Descriptor,
    target: *mut u8,
    room: usize,
    flags: i32,
) -> Result<usize, Errno> {
    loop {
        // SAFETY: as the caller promises.
        let bytes = unsafe { libc::recv(socket, target.cast(), room, flags | libc::MSG_DONTWAIT) };
        match last_result(bytes) {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}

fn send(socket: Descriptor, parts: *const Gather) -> Attempt {
    loop {
        // SAFETY: an operation's memory is valid until its last completion, which is still to
        // come; the header describes vectors that lie in it.
        let bytes = unsafe {
            libc::sendmsg(socket, (*parts).header(), libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT)
        };
        match last_result(bytes) {
            Ok(bytes) => return Attempt::Done(i32::try_from(bytes).unwrap_or(i32::MAX)),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Attempt::Blocked,
            Err(error) => return failed(error),
        }
    }
}

fn last_result(count: isize) -> Result<usize, Errno> {
    usize::try_from(count).map_err(|_| {
        let error = std::io::Error::last_os_error();
        Errno::from_io_error(&error).unwrap_or(Errno::IO)
    })
}

fn connect(socket: Descriptor, address: *const SocketAddr) -> Attempt {
    // SAFETY: an operation's memory is valid until its last completion, which is still to come.
    let address = unsafe { *address };
    match rustix::net::connect(borrow(socket), &address) {
        Ok(()) => Attempt::Done(0),
        // connect(2): interrupted, it goes on by itself.
        Err(Errno::INPROGRESS | Errno::INTR) => Attempt::Blocked,
        Err(error) => failed(error),
    }
}

fn connected(socket: Descriptor) -> Attempt {
    match sockopt::socket_error(borrow(socket)) {
        Ok(Ok(())) => {}
        Ok(Err(error)) | Err(error) => return failed(error),
    }
    // No error is not yet success: only a connected socket has a peer.
    match rustix::net::getpeername(borrow(socket)) {
        Ok(_) => Attempt::Done(0),
        Err(Errno::NOTCONN) => Attempt::Blocked,
        Err(error) => failed(error),
    }
}
