//! Listening sockets, made before there is a reactor: ports are bound before privileges go.

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

/// Connections that may wait to be accepted; the kernel caps it at net.core.somaxconn.
const BACKLOG: i32 = 4096;

/// As many sockets as there are shards, all listening at `address`: non-blocking, close-on-exec,
/// v6 only for v6. Port 0 picks one port for all of them.
///
/// With more than one they share the port (SO_REUSEPORT), which would also join another process's
/// listener; so the port is first tried without.
///
/// # Errors
/// As socket, bind and listen; `AddrInUse` when another process listens there.
pub fn bind(address: SocketAddr, shards: usize) -> io::Result<Vec<OwnedFd>> {
    let alone = bind_one(address, false)?;
    if shards <= 1 {
        return Ok(vec![alone]);
    }
    drop(alone);
    let first = bind_one(address, true)?;
    let address = SocketAddr::try_from(rustix::net::getsockname(&first)?)
        .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut sockets = vec![first];
    while sockets.len() < shards {
        sockets.push(bind_one(address, true)?);
    }
    Ok(sockets)
}

/// Makes a listening socket that somebody else has made as ours are.
pub(crate) fn prepare(socket: &OwnedFd) {
    // Neither fails on an open descriptor, but a unix socket has no such option, nor needs it.
    let _ = rustix::io::fcntl_setfd(socket, rustix::io::FdFlags::CLOEXEC);
    let _ = rustix::io::ioctl_fionbio(socket, true);
    let _ = sockopt::set_tcp_nodelay(socket, true);
}

/// One listening socket.
pub(crate) fn bind_one(address: SocketAddr, shared: bool) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    if shared {
        sockopt::set_socket_reuseport(&socket, true)?;
    }
    // What it accepts inherits this.
    sockopt::set_tcp_nodelay(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}
