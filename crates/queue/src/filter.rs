//! Which messages an operator means.

use crate::State;
use mail::MessageId;
use std::time::Duration;

/// Which messages an operator means: all conditions that are given must hold.
///
/// A filter without any condition matches nothing unless `all` is set, so that a forgotten
/// argument does not empty the queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// One of these.
    pub ids: Vec<MessageId>,
    /// A recipient waits for the next hop of this name, or with this behind `://` in it.
    pub hop: Option<String>,
    /// A recipient's domain, or a whole address.
    pub to: Option<String>,
    /// The sender's domain, or a whole address; empty for the null reverse-path.
    pub from: Option<String>,
    /// The message's state.
    pub state: Option<State>,
    /// Accepted longer ago than this.
    pub older: Option<Duration>,
    /// Everything, when nothing else is asked for.
    pub all: bool,
}

impl Filter {
    /// Everything.
    pub fn everything() -> Self {
        Self { all: true, ..Self::default() }
    }

    /// Whether no condition is given.
    pub(crate) fn is_empty(&self) -> bool {
        let Self { ids, hop, to, from, state, older, all } = self;
        let texts = hop.is_some() || to.is_some() || from.is_some();
        !(texts || *all || state.is_some() || older.is_some() || !ids.is_empty())
    }
}

/// Whether `wanted` names the next hop called `name`.
pub(crate) fn names(wanted: &str, name: &str) -> bool {
    let short = name.split_once("://").map(|(_, rest)| rest);
    wanted == name || short.is_some_and(|short| short.eq_ignore_ascii_case(wanted))
}

/// Whether `wanted`, a domain or an address, means `address`. Domains are compared without case,
/// local-parts with (RFC 5321 §2.4).
pub(crate) fn means(wanted: &str, address: &str) -> bool {
    let Some((wanted_local, wanted_domain)) = wanted.rsplit_once('@') else {
        let domain = address.rsplit_once('@').map_or(address, |(_, domain)| domain);
        return wanted.eq_ignore_ascii_case(domain);
    };
    let Some((local, domain)) = address.rsplit_once('@') else { return false };
    (wanted_local.is_empty() || wanted_local == local) && wanted_domain.eq_ignore_ascii_case(domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_next_hop_is_named_whole_or_without_its_scheme() {
        assert!(names("mx://example.org", "mx://example.org"));
        assert!(names("Example.org", "mx://example.org"));
        assert!(!names("example.org", "mx://sub.example.org"));
        assert!(!names("mx", "mx://example.org"));
    }

    #[test]
    fn a_domain_means_all_its_addresses_and_an_address_itself() {
        assert!(means("example.org", "a@example.org"));
        assert!(means("Example.org", "a@example.org"));
        assert!(means("@example.org", "a@example.org"));
        assert!(means("a@example.org", "a@example.org"));
        assert!(!means("b@example.org", "a@example.org"));
        assert!(!means("ample.org", "a@example.org"));
        assert!(means("", ""));
    }
}
