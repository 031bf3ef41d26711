//! What counts as one client, and which networks it is in.

use ipnet::{IpNet, Ipv4Net};
use std::net::{IpAddr, Ipv4Addr};

/// What per-client limits count by: an IPv4 address, or an IPv6 /64.
///
/// A /64 is the smallest network that one subscriber gets, so that counting single IPv6 addresses
/// would count nothing. An IPv4-mapped IPv6 address is its IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClientKey {
    /// One IPv4 address.
    V4(Ipv4Addr),
    /// The first 64 bits of an IPv6 address.
    V6(u64),
}

impl ClientKey {
    /// The key under which `client` is counted.
    pub fn of(client: IpAddr) -> Self {
        match client.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 64) as u64),
        }
    }
}

/// A list of networks. IPv4-mapped addresses and networks count as IPv4.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks {
    networks: Vec<IpNet>,
}

impl Networks {
    /// These.
    pub fn new(networks: impl IntoIterator<Item = IpNet>) -> Self {
        Self { networks: networks.into_iter().map(canonical).collect() }
    }

    /// Whether `client` is in one of them.
    pub fn contains(&self, client: IpAddr) -> bool {
        is_in(&self.networks, client)
    }
}

/// Whether `client` is in one of `networks`, which [`canonical`] has passed.
pub(crate) fn is_in(networks: &[IpNet], client: IpAddr) -> bool {
    let client = client.to_canonical();
    networks.iter().any(|network| network.contains(&client))
}

/// Writes a network of IPv4-mapped addresses (`::ffff:a.b.c.d/96+n`) as the IPv4 network it is.
///
/// Clients are compared in their canonical form, so that such a network would never match.
pub(crate) fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else { return network };
    let length = v6.prefix_len().checked_sub(96);
    match (v6.network().to_ipv4_mapped(), length) {
        (Some(address), Some(length)) => {
            Ipv4Net::new(address, length).map_or(network, |v4| IpNet::V4(v4.trunc()))
        }
        _ => network,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect(text)
    }

    #[test]
    fn clients_are_counted_by_ipv4_address_or_ipv6_64() {
        let same = [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1", "::ffff:192.0.2.1"),
            ("2001:db8::1", "2001:db8::ffff:1"),
        ];
        for (one, other) in same {
            assert_eq!(ClientKey::of(address(one)), ClientKey::of(address(other)), "{one} {other}");
        }
        let different = [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8:0:1::1")];
        for (one, other) in different {
            assert_ne!(ClientKey::of(address(one)), ClientKey::of(address(other)), "{one} {other}");
        }
    }

    #[test]
    fn a_mapped_address_and_a_mapped_network_count_as_ipv4() {
        let cases = [
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("::ffff:10.0.0.0/104", "10.1.2.3", true),
            ("::ffff:10.0.0.0/104", "::ffff:11.1.2.3", false),
            ("::/0", "10.1.2.3", false),
            ("::1/128", "::1", true),
        ];
        for (network, client, within) in cases {
            let networks = [canonical(network.parse().expect(network))];
            assert_eq!(is_in(&networks, address(client)), within, "{client} in {network}");
        }
    }
}
