//! Where a source may send: a load generator pointed at somebody else's relay is an attack.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

/// The address of `HOST:PORT`; of several the first one that [`may_be_loaded`] allows, if any.
///
/// # Errors
/// When there is none; the text says why.
pub fn resolve(text: &str) -> Result<SocketAddr, String> {
    let addresses = text.to_socket_addrs();
    let addresses: Vec<SocketAddr> =
        addresses.map_err(|error| format!("{error}; write HOST:PORT"))?.collect();
    let allowed = addresses.iter().find(|address| may_be_loaded(**address));
    allowed.or(addresses.first()).copied().ok_or_else(|| "no address".to_owned())
}

/// Whether the target is on this machine, or in a network namespace made for tests.
pub fn may_be_loaded(target: SocketAddr) -> bool {
    match target.ip() {
        ip if ip.is_loopback() => true,
        IpAddr::V4(ip) => (ip.is_private() || ip.is_link_local()) && in_own_namespace(),
        IpAddr::V6(ip) => {
            (ip.is_unique_local() || ip.is_unicast_link_local()) && in_own_namespace()
        }
    }
}

/// Whether this process has another network than the machine's first process.
fn in_own_namespace() -> bool {
    let namespace = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/net"));
    match (namespace("self"), namespace("1")) {
        (Ok(ours), Ok(first)) => ours != first,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_may_be_loaded() {
        for (address, allowed) in [
            ("127.0.0.1:25", true),
            ("[::1]:25", true),
            ("192.0.2.1:25", false),
            ("[2001:db8::1]:25", false),
        ] {
            assert_eq!(may_be_loaded(address.parse().unwrap()), allowed, "{address}");
        }
    }

    #[test]
    fn a_target_needs_a_port() {
        assert!(resolve("127.0.0.1").is_err());
        assert_eq!(resolve("127.0.0.1:2525"), Ok("127.0.0.1:2525".parse().unwrap()));
    }
}
