//! Which hosts and addresses are tried, in which order (RFC 5321 §5.1). Pure: answers and chance
//! are arguments.

use lookup::{AddressAnswer, MxAnswer, MxHost};
use mail::{Domain, EnhancedStatus, Outcome, Reason, UnixTime};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Hosts that one attempt may try. A domain with more gains nothing by it, and an attempt ends.
pub(crate) const HOSTS_MAX: usize = 10;

/// The hosts for `domain`, in the order to be tried: by preference, equals in an order that
/// `chance` gives (RFC 5321 §5.1: "the sender-SMTP MUST randomize them"). Where we are listed
/// ourselves, by the name `own`, we and all behind us are left out, or mail would loop.
///
/// # Errors
/// With what becomes of the recipients when there is nobody to try.
pub(crate) fn hosts(
    domain: &Domain,
    answer: MxAnswer,
    own: &str,
    mut chance: impl FnMut() -> u64,
) -> Result<Vec<Domain>, Outcome> {
    let mut listed = match answer {
        MxAnswer::Hosts(listed) => listed,
        MxAnswer::Implicit => vec![MxHost { preference: 0, name: domain.clone() }],
        MxAnswer::NullMx => {
            // RFC 7505 §4.2: 556, 5.1.10.
            return Err(bounced(1, 10, format!("{domain} does not accept mail (null MX)")));
        }
        MxAnswer::NoSuchDomain => {
            return Err(bounced(1, 2, format!("{domain} does not exist")));
        }
    };
    let is_own = |host: &MxHost| host.name.as_str().eq_ignore_ascii_case(own);
    if let Some(limit) = listed.iter().filter(|host| is_own(host)).map(|h| h.preference).min() {
        listed.retain(|host| host.preference < limit);
        if listed.is_empty() {
            let text = format!("mail for {domain} loops back to this host, {own}");
            return Err(bounced(4, 6, text));
        }
    }
    let mut keyed: Vec<(u16, u64, Domain)> =
        listed.into_iter().map(|host| (host.preference, chance(), host.name)).collect();
    keyed.sort();
    keyed.truncate(HOSTS_MAX);
    Ok(keyed.into_iter().map(|(_, _, name)| name).collect())
}

/// The outcome when not one host of `domain` has an address.
pub(crate) fn all_absent(domain: &Domain) -> Outcome {
    bounced(4, 4, format!("no mail host of {domain} has an address"))
}

/// A lookup that failed: try again later.
pub(crate) fn unanswered(what: &str) -> Outcome {
    let reason = Reason::Lookup(EnhancedStatus(4, 4, 3), what.to_owned());
    Outcome::Deferred { reason, not_before: UnixTime(0) }
}

fn bounced(subject: u16, detail: u16, text: String) -> Outcome {
    Outcome::Bounced { reason: Reason::Lookup(EnhancedStatus(5, subject, detail), text) }
}

/// The address in an address literal (RFC 5321 §4.1.3); `None` for a name.
pub(crate) fn literal(domain: &Domain) -> Option<IpAddr> {
    let text = domain.as_str().strip_prefix('[')?.strip_suffix(']')?;
    match text.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("ipv6:") => {
            text[5..].parse::<Ipv6Addr>().ok().map(IpAddr::V6)
        }
        _ => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

/// The addresses of an answer, one IPv6, one IPv4 and so on, so that a broken IPv6 path costs one
/// time-out and no more (RFC 8305 §4 has the same order).
pub(crate) fn alternating(answer: AddressAnswer) -> Vec<IpAddr> {
    let AddressAnswer::Addresses(addresses) = answer else { return Vec::new() };
    let (six, four): (Vec<_>, Vec<_>) = addresses.into_iter().partition(IpAddr::is_ipv6);
    let (mut six, mut four) = (six.into_iter(), four.into_iter());
    let mut ordered = Vec::new();
    loop {
        let pair = [six.next(), four.next()];
        if pair == [None, None] {
            return ordered;
        }
        ordered.extend(pair.into_iter().flatten());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(name: &str) -> Domain {
        Domain::parse(name).expect("a domain")
    }

    fn listed(hosts: &[(u16, &str)]) -> MxAnswer {
        let host = |&(preference, name): &(u16, &str)| MxHost { preference, name: domain(name) };
        MxAnswer::Hosts(hosts.iter().map(host).collect())
    }

    fn order(answer: MxAnswer, mut chances: Vec<u64>) -> Result<Vec<String>, Outcome> {
        let chance = || if chances.is_empty() { 0 } else { chances.remove(0) };
        let found = hosts(&domain("example.org"), answer, "relay.example", chance)?;
        Ok(found.iter().map(ToString::to_string).collect())
    }

    fn status(result: Result<Vec<String>, Outcome>) -> String {
        match result.expect_err("nobody to try") {
            Outcome::Bounced { reason } => reason.status(true).to_string(),
            Outcome::Deferred { reason, .. } => reason.status(false).to_string(),
            Outcome::Delivered { .. } => panic!("not delivered"),
        }
    }

    #[test]
    fn hosts_are_tried_by_preference_and_equals_by_chance() {
        let answer = listed(&[(20, "c"), (10, "a"), (10, "b")]);
        assert_eq!(order(answer.clone(), vec![0, 1, 2]).expect("hosts"), ["a", "b", "c"]);
        assert_eq!(order(answer, vec![0, 2, 1]).expect("hosts"), ["b", "a", "c"]);
    }

    #[test]
    fn a_domain_without_mx_is_its_own_host() {
        assert_eq!(order(MxAnswer::Implicit, vec![]).expect("itself"), ["example.org"]);
    }

    #[test]
    fn we_and_all_behind_us_are_left_out() {
        let answer = listed(&[(10, "a"), (20, "Relay.Example"), (20, "b"), (30, "c")]);
        assert_eq!(order(answer, vec![]).expect("one is before us"), ["a"]);
        let best = listed(&[(10, "relay.example"), (10, "a"), (20, "b")]);
        assert_eq!(status(order(best, vec![])), "5.4.6");
    }

    #[test]
    fn a_domain_that_takes_no_mail_bounces_with_its_status() {
        assert_eq!(status(order(MxAnswer::NullMx, vec![])), "5.1.10");
        assert_eq!(status(order(MxAnswer::NoSuchDomain, vec![])), "5.1.2");
        assert_eq!(status(Err(all_absent(&domain("example.org")))), "5.4.4");
        assert_eq!(status(Err(unanswered("servers are silent"))), "4.4.3");
    }

    #[test]
    fn at_most_ten_hosts_are_tried_the_preferred_ones() {
        let names: Vec<String> = (0..30).map(|n| format!("h{n}")).collect();
        let all: Vec<(u16, &str)> =
            names.iter().enumerate().map(|(n, name)| (30 - n as u16, name.as_str())).collect();
        let found = order(listed(&all), vec![]).expect("hosts");
        assert_eq!(found.len(), HOSTS_MAX);
        assert_eq!(found[0], "h29");
    }

    #[test]
    fn families_alternate_from_six_on() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let answer = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "::1"].map(ip).to_vec();
        let expected = ["::1", "192.0.2.1", "192.0.2.2", "192.0.2.3"].map(ip).to_vec();
        assert_eq!(alternating(AddressAnswer::Addresses(answer)), expected);
        assert_eq!(alternating(AddressAnswer::NoData), Vec::<IpAddr>::new());
    }

    #[test]
    fn an_address_literal_is_read() {
        assert_eq!(literal(&domain("[192.0.2.1]")), "192.0.2.1".parse().ok());
        assert_eq!(literal(&domain("[IPv6:2001:db8::1]")), "2001:db8::1".parse().ok());
        assert_eq!(literal(&domain("example.org")), None);
    }
}
