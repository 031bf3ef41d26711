//! The relay tries itself as a stranger would.
//!
//! One address of each public /8 asks to send to a domain that is nobody's. A wide network of one's
//! own (a /8) is no open relay; half the Internet is. So a few addresses may get through, more may
//! not.

use crate::{Admission, Facts, Policy, Proof, Sender};
use mail::{ForwardPath, Question, ReversePath, Verdict};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Public blocks (an IPv4 /8, an IPv6 /8 of 2000::/3) of which a client may be trusted. No
/// organisation has more than a few; `0.0.0.0/4` are sixteen.
const TRUSTED_BLOCKS_MAX: usize = 8;

/// Recipients outside every domain that one relay can be responsible for. `invalid` is never
/// delegated (RFC 2606 §2); the others catch patterns such as `*.com`.
const FOREIGN: [&str; 4] = [
    "probe@open-relay-probe.invalid",
    "probe@open-relay-probe.com",
    "probe@open-relay-probe.net",
    "probe@open-relay-probe.org",
];

pub(crate) fn relays_for_stranger(policy: &Policy) -> Option<String> {
    let trusted: Vec<IpAddr> = probes().filter(|client| policy.is_trusted(*client)).collect();
    if let Some(client) = trusted.first().filter(|_| trusted.len() > TRUSTED_BLOCKS_MAX) {
        return Some(format!(
            "it would relay from {client} and from {} more of {} public address blocks to any \
             domain: narrow relay.networks to your own networks",
            trusted.len() - 1,
            probes().count(),
        ));
    }
    let stranger = probes().find(|client| !policy.is_trusted(*client))?;
    FOREIGN.iter().find(|to| accepts(policy, stranger, to)).map(|to| {
        format!(
            "it would relay from {stranger} to <{to}>: list only domains of your own in \
             relay.domains"
        )
    })
}

/// An address in every public IPv4 /8 and in every /8 of IPv6's global unicast 2000::/3.
///
/// 10.0.0.0/8 (private) and 127.0.0.0/8 are no strangers; of the other /8s the address chosen is
/// outside private and link-local ranges.
fn probes() -> impl Iterator<Item = IpAddr> {
    let v4 = (1..=223u8)
        .filter(|first| ![10, 127].contains(first))
        .map(|first| IpAddr::from(Ipv4Addr::new(first, 99, 113, 77)));
    let v6 = (0x20..=0x3fu16)
        .map(|first| IpAddr::from(Ipv6Addr::new(first << 8 | 0x99, 0x4242, 0, 0, 0, 0, 0, 0x77)));
    v4.chain(v6)
}

fn accepts(policy: &Policy, client: IpAddr, to: &str) -> bool {
    let question = Question::Recipient {
        reverse_path: ReversePath::Null,
        forward_path: ForwardPath::parse(to).expect("the addresses above are well formed"),
    };
    let facts = Facts {
        client,
        trusted: policy.is_trusted(client).then_some(Proof::Network),
        sender: Sender::Free,
        admission: Admission::Open,
        client_sessions: 1,
        client_connections_exceeded: false,
    };
    matches!(policy.decide(&question, &facts), Verdict::Accept { rule: _ })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DomainPattern, Options};

    fn complaint(networks: &[&str], domains: &[&str]) -> Option<String> {
        let networks = networks.iter().map(|n| n.parse().expect(n)).collect();
        let domains = domains.iter().map(|d| DomainPattern::parse(d).expect(d)).collect();
        Policy::new(Options { networks, domains, ..Options::default() }).relays_for_stranger()
    }

    #[test]
    fn ordinary_rules_pass_the_self_test() {
        assert_eq!(Policy::new(Options::default()).relays_for_stranger(), None);
        let private = ["127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"];
        assert_eq!(complaint(&private, &["example.org", "*.example.org"]), None);
        assert_eq!(complaint(&["44.0.0.0/8", "2001:db8::/32"], &[]), None);
    }

    #[test]
    fn rules_that_open_the_relay_are_named() {
        let open_networks: [&[&str]; 5] = [
            &["0.0.0.0/0"],
            &["::/0"],
            &["::ffff:0.0.0.0/96"],
            &["0.0.0.0/1", "128.0.0.0/1"],
            &["2000::/3"],
        ];
        for networks in open_networks {
            let text = complaint(networks, &[]).unwrap_or_default();
            assert!(text.contains("relay.networks"), "{networks:?}: {text:?}");
        }
        let text = complaint(&[], &["*.com"]).unwrap_or_default();
        assert!(text.contains("open-relay-probe.com") && text.contains("relay.domains"), "{text}");
    }
}
