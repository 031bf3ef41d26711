//! What the two real kernels ask of the system in the same way: clocks, entropy, addresses.

use crate::kernel::Descriptor;
use crate::time::Instant;
use rustix::fd::{BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use rustix::time::{ClockId, Timespec};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// CLOCK_MONOTONIC.
pub(crate) fn now() -> Instant {
    let time = duration(rustix::time::clock_gettime(ClockId::Monotonic));
    Instant(u64::try_from(time.as_nanos()).expect("584 years of uptime"))
}

/// CPU time of this thread.
pub(crate) fn thread_time() -> Duration {
    duration(rustix::time::clock_gettime(ClockId::ThreadCPUTime))
}

/// CLOCK_REALTIME; a clock before 1970 reads 1970.
pub(crate) fn wall_clock() -> Duration {
    duration(rustix::time::clock_gettime(ClockId::Realtime))
}

fn duration(time: Timespec) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).expect("below a second"))
}

/// getrandom(2).
pub(crate) fn entropy(mut bytes: &mut [u8]) {
    while !bytes.is_empty() {
        let flags = rustix::rand::GetRandomFlags::empty();
        let filled = match rustix::rand::getrandom(&mut *bytes, flags) {
            Ok(filled) => filled,
            Err(rustix::io::Errno::INTR) => 0,
            Err(error) => panic!("the kernel has no entropy: {error}"),
        };
        bytes = &mut bytes[filled..];
    }
}

/// 64 bits of the system's entropy, for what is needed before there is a reactor.
pub fn random() -> u64 {
    let mut bytes = [0; 8];
    entropy(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// A listening socket; what it accepts inherits TCP_NODELAY.
pub(crate) fn listen(address: SocketAddr, shared: bool) -> io::Result<Descriptor> {
    Ok(crate::bind::bind_one(address, shared)?.into_raw_fd())
}

/// A socket to connect to `to`, bound to `source` if given.
pub(crate) fn socket(
    to: SocketAddr,
    source: Option<IpAddr>,
    flags: SocketFlags,
) -> io::Result<Descriptor> {
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = flags | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    // Dialogues are written whole: waiting for more to send only adds a round trip.
    sockopt::set_tcp_nodelay(&socket, true)?;
    if let Some(source) = source {
        bind_to(&socket, source)?;
    }
    Ok(socket.into_raw_fd())
}

fn bind_to(socket: &OwnedFd, source: IpAddr) -> io::Result<()> {
    let on: libc::c_int = 1;
    // The port is picked at connect: bind alone would run out of ports at 28,000 connections,
    // whatever their destinations.
    // SAFETY: the option's value is an int that outlives the call.
    let set = unsafe {
        libc::setsockopt(
            std::os::fd::AsRawFd::as_raw_fd(socket),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    if set != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(rustix::net::bind(socket, &SocketAddr::new(source, 0))?)
}

/// getpeername(2).
pub(crate) fn peer_address(socket: Descriptor) -> io::Result<SocketAddr> {
    // A peer without an address is one of a unix socket.
    let peer = rustix::net::getpeername(borrow(socket))?.ok_or(io::ErrorKind::InvalidInput)?;
    address(peer)
}

/// getsockname(2).
pub(crate) fn local_address(socket: Descriptor) -> io::Result<SocketAddr> {
    address(rustix::net::getsockname(borrow(socket))?)
}

fn address(any: impl TryInto<SocketAddr>) -> io::Result<SocketAddr> {
    any.try_into().map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// Makes closing `socket` send a reset.
pub(crate) fn abort_on_close(socket: Descriptor) {
    let lingers = sockopt::set_socket_linger(borrow(socket), Some(Duration::ZERO));
    lingers.expect("a stream's descriptor is a socket");
}

/// Ends the writing half; `-errno` or 0.
pub(crate) fn shut_down(socket: Descriptor) -> i32 {
    match rustix::net::shutdown(borrow(socket), rustix::net::Shutdown::Write) {
        Ok(()) => 0,
        Err(error) => -error.raw_os_error(),
    }
}

/// Another descriptor of the same file.
pub(crate) fn duplicate(file: Descriptor) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(borrow(file), 0)?)
}

/// Closes at once what no kernel knows.
pub(crate) fn close(descriptor: Descriptor) {
    // SAFETY: the caller owns it, and hands it over.
    drop(unsafe { OwnedFd::from_raw_fd(descriptor) });
}

/// Adds to an eventfd.
pub(crate) fn ring_bell(event: &OwnedFd) {
    // It fails when the counter is full: then it rings already.
    let _ = rustix::io::write(event, &1u64.to_ne_bytes());
}

fn borrow<'a>(descriptor: Descriptor) -> BorrowedFd<'a> {
    // SAFETY: the reactor's descriptors are open for as long as their entry exists, and the
    // borrow does not outlive the call it is made for.
    unsafe { BorrowedFd::borrow_raw(descriptor) }
}
