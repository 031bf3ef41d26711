//! What an operator may set about the control plane, and what the plane is told about its process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What an operator may set about the control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `control.socket`: where the admin API listens.
    pub socket: PathBuf,
    /// `control.group`: who, besides the relay's user, may use it; a group that does not exist is
    /// as good as none.
    pub group: Option<String>,
    /// `metrics.listen`.
    pub metrics: Option<SocketAddr>,
    /// `dns.servers`; empty: those of /etc/resolv.conf.
    pub dns_servers: Vec<SocketAddr>,
    /// `dns.timeout`, for one question in all.
    pub dns_timeout: Duration,
    /// `runtime.drain`: how long a drain waits for transfers.
    pub drain: Duration,
    /// The version of the program.
    pub version: &'static str,
}

/// What the control plane is told about its process, for `status`.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// The relay's name.
    pub hostname: String,
    /// `ring` or `poll`.
    pub reactor: &'static str,
    /// Why it is not the ring.
    pub fallback: Option<reactor::Fallback>,
    /// How many shards there are.
    pub shards: usize,
    /// Names and addresses.
    pub listeners: Vec<(String, Vec<String>)>,
    /// The spool's directory.
    pub spool: PathBuf,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::path::Path;

    /// Options whose sockets are in `directory`, with a port of the kernel's choice.
    pub(crate) fn options_in(directory: &Path) -> Options {
        Options {
            socket: directory.join("control.sock"),
            group: None,
            metrics: Some("127.0.0.1:0".parse().expect("an address")),
            dns_servers: Vec::new(),
            dns_timeout: Duration::from_secs(5),
            drain: Duration::from_secs(1),
            version: "0.0.0",
        }
    }
}
