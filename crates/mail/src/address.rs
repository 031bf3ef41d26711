//! Mailboxes and paths (RFC 5321 §4.1.2), with what RFC 6531 §3.3 adds to them.

use idna::AsciiDenyList;
use std::borrow::Cow;
use std::fmt;

/// RFC 5321 §4.5.3.1.1 has everybody take 64 bytes; what is in use as reverse-paths (addresses that
/// carry another address within them) is longer.
const LOCAL_PART_BYTES_MAX: usize = 255;

/// RFC 5321 §4.5.3.1.2.
const DOMAIN_BYTES_MAX: usize = 255;

/// A domain or an address literal, lower-case, without a trailing dot.
///
/// At most 255 bytes (RFC 5321 §4.5.3.1.2). A literal keeps its brackets: `[192.0.2.1]`. A name
/// with other than ASCII letters is kept as its A-labels (`xn--…`): what DNS, rules and next hops
/// are asked by, so that both ways to write a name are one name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(Box<str>);

/// A local-part at a domain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mailbox {
    local_part: Box<str>,
    domain: Domain,
}

/// The path of MAIL: where failures are reported to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ReversePath {
    /// `<>`: nobody; the message is itself a report.
    Null,
    /// A mailbox.
    Mailbox(Mailbox),
}

/// The path of RCPT.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ForwardPath {
    /// `<postmaster>` without a domain (RFC 5321 §4.5.1).
    Postmaster,
    /// A mailbox.
    Mailbox(Mailbox),
}

/// Why a text is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressError {
    /// The grammar of RFC 5321 §4.1.2 has no such thing.
    Syntax,
    /// A local-part or a domain over 255 bytes (RFC 5321 §4.5.3.1).
    TooLong,
    /// No domain where one is needed.
    NoDomain,
}

impl Domain {
    /// Reads a domain, in either form of an internationalised one, or an address literal.
    ///
    /// # Errors
    /// As [`AddressError`] says.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        // A name has at most four bytes for each character of its A-labels.
        if text.len() > 4 * DOMAIN_BYTES_MAX {
            return Err(AddressError::TooLong);
        }
        let ascii = ascii_form(text)?;
        let text = ascii.as_ref();
        if text.len() > DOMAIN_BYTES_MAX {
            return Err(AddressError::TooLong);
        }
        let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let good = match inner {
            Some(literal) => is_address_literal(literal),
            None => !text.is_empty() && text.split('.').all(is_label),
        };
        if good { Ok(Self(text.to_ascii_lowercase().into())) } else { Err(AddressError::Syntax) }
    }

    /// The domain as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The A-labels of a name (RFC 5890 §2.3.2.1); ASCII stays as it is, whatever it is.
fn ascii_form(text: &str) -> Result<Cow<'_, str>, AddressError> {
    if text.is_ascii() {
        return Ok(Cow::Borrowed(text));
    }
    idna::domain_to_ascii_cow(text.as_bytes(), AsciiDenyList::EMPTY)
        .map_err(|_| AddressError::Syntax)
}

/// Letters, digits, hyphens inside, and underscores, which names in use have; 63 bytes at most.
fn is_label(label: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !label.is_empty()
        && label.len() <= 63
        && label.bytes().all(inside)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// RFC 5321 §4.1.3: an IPv4 address, or `IPv6:` and an IPv6 address.
fn is_address_literal(literal: &str) -> bool {
    match literal.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("ipv6:") => {
            literal[5..].parse::<std::net::Ipv6Addr>().is_ok()
        }
        _ => literal.parse::<std::net::Ipv4Addr>().is_ok(),
    }
}

impl Mailbox {
    /// Reads `local-part@domain`; the local-part may be quoted, and have any letters (RFC 6531
    /// §3.3).
    ///
    /// # Errors
    /// As [`AddressError`] says.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let at = local_part_end(text)?;
        let (local_part, rest) = text.split_at(at);
        if local_part.len() > LOCAL_PART_BYTES_MAX {
            return Err(AddressError::TooLong);
        }
        let domain = rest.strip_prefix('@').ok_or(AddressError::NoDomain)?;
        Ok(Self { local_part: local_part.into(), domain: Domain::parse(domain)? })
    }

    /// The local-part as received, quotes and all.
    pub fn local_part(&self) -> &str {
        &self.local_part
    }

    /// The domain.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Whether it can be said without SMTPUTF8 (RFC 6531 §3.3): its domain always can.
    pub fn is_ascii(&self) -> bool {
        self.local_part.is_ascii()
    }
}

/// Where the local-part ends: a dot-string or a quoted-string (RFC 5321 §4.1.2).
fn local_part_end(text: &str) -> Result<usize, AddressError> {
    let bytes = text.as_bytes();
    if bytes.first() == Some(&b'"') {
        let mut at = 1;
        while let Some(&byte) = bytes.get(at) {
            match byte {
                b'"' => return Ok(at + 1),
                b'\\' if matches!(bytes.get(at + 1), Some(32..=126)) => at += 2,
                32..=91 | 93..=126 | 128.. => at += 1,
                _ => return Err(AddressError::Syntax),
            }
        }
        return Err(AddressError::Syntax);
    }
    let end = bytes.iter().position(|&byte| byte == b'@').unwrap_or(bytes.len());
    let atom = |part: &str| !part.is_empty() && part.bytes().all(is_atext);
    if text[..end].split('.').all(atom) { Ok(end) } else { Err(AddressError::Syntax) }
}

/// RFC 5322 §3.2.3; RFC 6531 §3.3 adds everything beyond ASCII.
fn is_atext(byte: u8) -> bool {
    !byte.is_ascii() || byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local_part, self.domain)
    }
}

/// Without angle brackets; empty for the null path.
impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Mailbox(mailbox) => mailbox.fmt(f),
        }
    }
}

/// Without angle brackets.
impl fmt::Display for ForwardPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postmaster => f.write_str("postmaster"),
            Self::Mailbox(mailbox) => mailbox.fmt(f),
        }
    }
}

impl ReversePath {
    /// Reads the text between the angle brackets; a source route is dropped (RFC 5321 app. C).
    ///
    /// # Errors
    /// As [`AddressError`] says.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() {
            return Ok(Self::Null);
        }
        Mailbox::parse(without_source_route(text)?).map(Self::Mailbox)
    }

    /// Whether it can be said without SMTPUTF8.
    pub fn is_ascii(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Mailbox(mailbox) => mailbox.is_ascii(),
        }
    }
}

impl ForwardPath {
    /// Reads the text between the angle brackets; a source route is dropped (RFC 5321 app. C).
    ///
    /// # Errors
    /// As [`AddressError`] says.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.eq_ignore_ascii_case("postmaster") {
            return Ok(Self::Postmaster);
        }
        Mailbox::parse(without_source_route(text)?).map(Self::Mailbox)
    }

    /// The domain; `None` for a bare postmaster.
    pub fn domain(&self) -> Option<&Domain> {
        match self {
            Self::Postmaster => None,
            Self::Mailbox(mailbox) => Some(mailbox.domain()),
        }
    }

    /// Whether it can be said without SMTPUTF8.
    pub fn is_ascii(&self) -> bool {
        match self {
            Self::Postmaster => true,
            Self::Mailbox(mailbox) => mailbox.is_ascii(),
        }
    }
}

/// `@a.example,@b.example:user@c.example` becomes `user@c.example`.
fn without_source_route(text: &str) -> Result<&str, AddressError> {
    if !text.starts_with('@') {
        return Ok(text);
    }
    let (route, mailbox) = text.split_once(':').ok_or(AddressError::Syntax)?;
    for hop in route.split(',') {
        Domain::parse(hop.strip_prefix('@').ok_or(AddressError::Syntax)?)?;
    }
    Ok(mailbox)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_grammar_are_read_and_others_refused() {
        for good in [
            "a@b",
            "a.b+c@example.org",
            "\"a b\\\"@c\"@example.org",
            "x@[192.0.2.1]",
            "x@[IPv6:2001:db8::1]",
            "jürgen@example.org",
            "\"jürgen schmidt\"@example.org",
        ] {
            assert_eq!(
                Mailbox::parse(good).expect(good).to_string().to_lowercase(),
                good.to_lowercase()
            );
        }
        for bad in [
            "",
            "@b",
            "a@",
            "a..b@c",
            ".a@c",
            "a b@c",
            "a@b..c",
            "a@-b",
            "a@[1.2.3]",
            "\"a@b",
            "a\r@b",
            "a@b\n",
            "a@[IPv6:2001:db8::1%lo]",
            "a@[2001:db8::1]",
            "\"a\u{7f}\"@b",
            "a@b_\u{ad}..c",
            "a@\u{0}ü",
            "a@ü b",
            "a@ü@b",
        ] {
            assert!(Mailbox::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn paths_know_null_postmaster_and_source_routes() {
        assert_eq!(ReversePath::parse(""), Ok(ReversePath::Null));
        assert_eq!(ForwardPath::parse("PostMaster"), Ok(ForwardPath::Postmaster));
        let routed = ForwardPath::parse("@a.example,@b.example:user@c.example").expect("a route");
        assert_eq!(routed.to_string(), "user@c.example");
        assert_eq!(ForwardPath::parse("@a.example:"), Err(AddressError::Syntax));
    }

    #[test]
    fn an_internationalised_domain_is_the_same_name_in_both_forms() {
        let name = Domain::parse("Bücher.Example").expect("a name");
        assert_eq!(name.as_str(), "xn--bcher-kva.example");
        assert_eq!(Domain::parse("XN--bcher-kva.example."), Ok(name));
        let mailbox = Mailbox::parse("a@bücher.example").expect("a mailbox");
        assert!(mailbox.is_ascii(), "such a domain needs no SMTPUTF8");
        assert!(!Mailbox::parse("ü@example.org").expect("a mailbox").is_ascii());
    }

    #[test]
    fn the_longest_names_are_read_and_longer_ones_refused() {
        let local = "x".repeat(LOCAL_PART_BYTES_MAX);
        let label = "y".repeat(63);
        let domain = format!("{label}.{label}.{label}.{}", "y".repeat(63));
        assert_eq!(domain.len(), DOMAIN_BYTES_MAX);
        assert!(Mailbox::parse(&format!("{local}@{domain}")).is_ok());
        assert_eq!(Mailbox::parse(&format!("{local}x@b")), Err(AddressError::TooLong));
        assert_eq!(Domain::parse(&format!("{domain}.y")), Err(AddressError::TooLong));
        assert_eq!(Domain::parse(&"ü".repeat(20_000)), Err(AddressError::TooLong));
        assert_eq!(Domain::parse(&"y".repeat(64)), Err(AddressError::Syntax));
    }

    #[test]
    fn a_domain_is_lower_case_without_a_trailing_dot() {
        assert_eq!(Domain::parse("Example.ORG.").expect("good").as_str(), "example.org");
    }
}
