//! Patterns of domain names, and a set of them that is quick to ask.

use mail::{AddressError, Domain};
use std::collections::BTreeSet;
use std::fmt;

/// A pattern of recipient domains.
///
/// There is no pattern for "every domain": in `relay.domains` it would be an open relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DomainPattern {
    /// `example.org`: that name and nothing else.
    Exact(Domain),
    /// `*.example.org`: every name below it, however deep, but not itself.
    Subdomains(Domain),
}

impl DomainPattern {
    /// Reads `example.org` or `*.example.org`; letter case and a trailing dot do not matter.
    ///
    /// # Errors
    /// As [`AddressError`] says; `*` alone and `*` elsewhere than as the first label are syntax.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        match text.strip_prefix("*.") {
            Some(parent) if parent.starts_with('[') => Err(AddressError::Syntax),
            Some(parent) => Domain::parse(parent).map(Self::Subdomains),
            None => Domain::parse(text).map(Self::Exact),
        }
    }

    /// Whether `domain` is one of these.
    pub fn matches(&self, domain: &Domain) -> bool {
        match self {
            Self::Exact(name) => name == domain,
            Self::Subdomains(parent) => domain
                .as_str()
                .strip_suffix(parent.as_str())
                .is_some_and(|rest| rest.ends_with('.') && rest.len() > 1),
        }
    }
}

impl fmt::Display for DomainPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => name.fmt(f),
            Self::Subdomains(parent) => write!(f, "*.{parent}"),
        }
    }
}

/// Many patterns, asked in time that grows with the labels of the name, not with their number.
#[derive(Clone, Debug, Default)]
pub(crate) struct DomainSet {
    exact: BTreeSet<Box<str>>,
    parents: BTreeSet<Box<str>>,
}

impl DomainSet {
    pub(crate) fn new(patterns: &[DomainPattern]) -> Self {
        let mut set = Self::default();
        for pattern in patterns {
            match pattern {
                DomainPattern::Exact(name) => set.exact.insert(name.as_str().into()),
                DomainPattern::Subdomains(parent) => set.parents.insert(parent.as_str().into()),
            };
        }
        set
    }

    /// Whether one of the patterns matches `domain`.
    pub(crate) fn contains(&self, domain: &Domain) -> bool {
        let mut name = domain.as_str();
        if self.exact.contains(name) {
            return true;
        }
        while let Some((_, parent)) = name.split_once('.') {
            if self.parents.contains(parent) {
                return true;
            }
            name = parent;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_pattern_matches_its_name_or_the_names_below_and_nothing_else() {
        let cases = [
            ("example.org", "example.org", true),
            ("Example.ORG.", "example.org", true),
            ("example.org", "a.example.org", false),
            ("*.example.org", "a.example.org", true),
            ("*.example.org", "a.b.example.org", true),
            ("*.example.org", "example.org", false),
            ("*.example.org", "badexample.org", false),
            ("[192.0.2.1]", "[192.0.2.1]", true),
            ("*.0.2.1", "[192.0.2.1]", false),
        ];
        for (pattern, name, matches) in cases {
            let pattern = DomainPattern::parse(pattern).expect(pattern);
            let name = Domain::parse(name).expect(name);
            assert_eq!(pattern.matches(&name), matches, "{name} by {pattern}");
            assert_eq!(DomainSet::new(std::slice::from_ref(&pattern)).contains(&name), matches);
        }
    }

    #[test]
    fn a_star_is_read_as_the_first_label_only() {
        for bad in ["*", "", "*.", "a.*.example", "*example.org", "*.[192.0.2.1]", "**.example"] {
            assert!(DomainPattern::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn the_set_agrees_with_its_patterns_asked_one_by_one(
            patterns in prop::collection::vec("(\\*\\.)?[ab](\\.[ab]){0,3}", 0..6),
            name in "[ab](\\.[ab]){0,4}",
        ) {
            let patterns: Vec<_> =
                patterns.iter().map(|p| DomainPattern::parse(p).expect("a pattern")).collect();
            let name = Domain::parse(&name).expect("a name");
            let naive = patterns.iter().any(|pattern| pattern.matches(&name));
            prop_assert_eq!(DomainSet::new(&patterns).contains(&name), naive);
        }
    }
}
