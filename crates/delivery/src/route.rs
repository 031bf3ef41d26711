//! A route: which recipients it is for, and where it takes them.

use mail::{AddressError, Domain, ForwardPath, Mailbox, NextHop};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Messages that one session carries unless a route says otherwise (`messages_per_session`).
const MESSAGES_PER_SESSION: u32 = 1000;

/// A `[[route]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Recipients; one that matches is enough (`to`).
    pub to: Vec<Pattern>,
    /// Where they go (`via`).
    pub via: Via,
    /// Sessions to this next hop at a time, at least 1; `None`: as `[delivery]` says (`sessions`).
    pub sessions: Option<usize>,
    /// Messages in one session, at least 1 (`messages_per_session`).
    pub messages_per_session: u32,
    /// Local addresses to send from, one of each family at most is used (`source`).
    pub source: Vec<IpAddr>,
    /// Our name in EHLO; `None`: as `[delivery]` says (`hello`).
    pub hello: Option<Box<str>>,
    /// Which addresses of a host are tried (`ip`).
    pub ip: IpVersion,
    /// How sessions are encrypted; `None`: as `[delivery]` says (`tls`).
    pub tls: Option<TlsWord>,
    /// Who we are at this next hop, if it wants to know (`auth`).
    pub login: Option<Login>,
    /// Extensions that are not used (`without`).
    pub without: Vec<Extension>,
    /// File and line in the configuration, for `explain`.
    pub place: Option<(Box<str>, usize)>,
}

impl Route {
    /// A route of `to` via `via`, with defaults for the rest.
    pub fn new(to: Vec<Pattern>, via: Via) -> Self {
        Self {
            to,
            via,
            sessions: None,
            messages_per_session: MESSAGES_PER_SESSION,
            source: Vec::new(),
            hello: None,
            ip: IpVersion::Any,
            tls: None,
            login: None,
            without: Vec::new(),
            place: None,
        }
    }
}

/// How sessions with a next hop are encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsWord {
    /// Never.
    Off,
    /// When the peer offers it, whoever it is (RFC 7435); in the clear when that fails.
    #[default]
    Opportunistic,
    /// Always, whoever the peer is.
    Required,
    /// Always, and the certificate must be for the host of the route, or by MX for the domain.
    Verify,
}

/// Who we are at a smarthost.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The name.
    pub user: Box<str>,
    /// The password.
    pub password: Box<str>,
}

impl fmt::Debug for Login {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Which recipients a route is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// `*`: all.
    Any,
    /// `example.org`: this domain.
    Domain(Domain),
    /// `*.example.org`: its subdomains, at any depth, not itself.
    Subdomains(Domain),
    /// `user@example.org`: this mailbox. Local-parts are compared with case (RFC 5321 §2.4).
    Mailbox(Mailbox),
}

/// Where a route takes its recipients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Via {
    /// `mx`: the MX hosts of the recipient's domain.
    Mx,
    /// `mx://DOMAIN`: the MX hosts of this domain.
    MxOf(Domain),
    /// `smtp://HOST[:PORT]`: this host, by its addresses, without MX.
    Smtp {
        /// A name or an IP address without brackets.
        host: Box<str>,
        /// 25 unless given.
        port: u16,
    },
    /// `discard`: nowhere; delivered at once.
    Discard,
    /// `hold`: nowhere; deferred until an operator acts, as `serve --trial` does without `--next`.
    Hold,
}

/// Which addresses of a host are tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IpVersion {
    /// All.
    #[default]
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

/// Extensions that a route may do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// RFC 3030.
    Chunking,
    /// RFC 2920.
    Pipelining,
    /// RFC 3207.
    StartTls,
    /// RFC 3461.
    Dsn,
    /// RFC 6531.
    Smtputf8,
}

/// A text that is no part of a route; says what would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteError(String);

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RouteError {}

impl Pattern {
    /// Whether the route is for `recipient`; `own` is the domain of a bare postmaster.
    pub fn matches(&self, recipient: &ForwardPath, own: Option<&Domain>) -> bool {
        let Some(domain) = recipient.domain().or(own) else { return matches!(self, Self::Any) };
        match (self, recipient) {
            (Self::Mailbox(wanted), ForwardPath::Mailbox(mailbox)) => wanted == mailbox,
            (Self::Mailbox(wanted), ForwardPath::Postmaster) => {
                wanted.local_part().eq_ignore_ascii_case("postmaster") && wanted.domain() == domain
            }
            (Self::Any | Self::Domain(_) | Self::Subdomains(_), _) => self.covers(domain),
        }
    }

    /// Whether some recipient at `domain` may match.
    pub(crate) fn covers(&self, domain: &Domain) -> bool {
        match self {
            Self::Any => true,
            Self::Domain(wanted) => wanted == domain,
            Self::Subdomains(parent) => is_below(domain.as_str(), parent.as_str()),
            Self::Mailbox(wanted) => wanted.domain() == domain,
        }
    }
}

/// `a.b.example` is below `b.example`; `ab.example` is not.
fn is_below(name: &str, parent: &str) -> bool {
    name.strip_suffix(parent).is_some_and(|front| front.len() > 1 && front.ends_with('.'))
}

impl FromStr for Pattern {
    type Err = RouteError;

    fn from_str(text: &str) -> Result<Self, RouteError> {
        let bad = |_: AddressError| {
            RouteError(format!(
                "`{text}` is no recipient pattern: write \"example.org\", \"*.example.org\", \
                 \"user@example.org\" or \"*\""
            ))
        };
        if text == "*" {
            Ok(Self::Any)
        } else if let Some(parent) = text.strip_prefix("*.") {
            Domain::parse(parent).map(Self::Subdomains).map_err(bad)
        } else if text.contains('@') {
            Mailbox::parse(text).map(Self::Mailbox).map_err(bad)
        } else {
            Domain::parse(text).map(Self::Domain).map_err(bad)
        }
    }
}

impl Via {
    /// The name of the next hop for recipients at `domain`; see [`NextHop`].
    pub(crate) fn next_hop(&self, domain: &Domain) -> NextHop {
        match self {
            Self::Mx => NextHop::new(&format!("mx://{domain}")),
            Self::MxOf(_) | Self::Smtp { .. } | Self::Discard | Self::Hold => {
                NextHop::new(&self.to_string())
            }
        }
    }
}

/// As the configuration has it, and, but for `mx`, as next hops are named.
impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mx => f.write_str("mx"),
            Self::MxOf(domain) => write!(f, "mx://{domain}"),
            Self::Smtp { host, port } if host.contains(':') => write!(f, "smtp://[{host}]:{port}"),
            Self::Smtp { host, port } => write!(f, "smtp://{host}:{port}"),
            Self::Discard => f.write_str("discard"),
            Self::Hold => f.write_str("hold"),
        }
    }
}

impl FromStr for Via {
    type Err = RouteError;

    fn from_str(text: &str) -> Result<Self, RouteError> {
        let bad = || {
            RouteError(format!(
                "`{text}` is no way out: write \"mx\", \"mx://DOMAIN\", \"smtp://HOST:PORT\" or \
                 \"discard\""
            ))
        };
        match text {
            "mx" => Ok(Self::Mx),
            "discard" => Ok(Self::Discard),
            "hold" => Ok(Self::Hold),
            _ => {
                if let Some(domain) = text.strip_prefix("mx://") {
                    return Domain::parse(domain).map(Self::MxOf).map_err(|_| bad());
                }
                text.strip_prefix("smtp://").and_then(host_and_port).ok_or_else(bad)
            }
        }
    }
}

/// `HOST`, `HOST:PORT`, `[v6]`, `[v6]:PORT`.
fn host_and_port(text: &str) -> Option<Via> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            address.parse::<std::net::Ipv6Addr>().ok()?;
            (address, port)
        }
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let port = match port {
        "" => 25,
        port => port.strip_prefix(':')?.parse().ok().filter(|port| *port != 0)?,
    };
    if host.parse::<IpAddr>().is_ok() {
        return Some(Via::Smtp { host: host.into(), port });
    }
    let name = Domain::parse(host).ok().filter(|name| !name.as_str().starts_with('['))?;
    Some(Via::Smtp { host: name.as_str().into(), port })
}

impl FromStr for IpVersion {
    type Err = RouteError;

    fn from_str(text: &str) -> Result<Self, RouteError> {
        match text {
            "any" => Ok(Self::Any),
            "v4" => Ok(Self::V4),
            "v6" => Ok(Self::V6),
            _ => Err(RouteError(format!("`{text}`: write \"any\", \"v4\" or \"v6\""))),
        }
    }
}

impl IpVersion {
    /// Whether `address` may be tried.
    pub(crate) fn admits(self, address: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::V4 => address.is_ipv4(),
            Self::V6 => address.is_ipv6(),
        }
    }
}

impl FromStr for Extension {
    type Err = RouteError;

    fn from_str(text: &str) -> Result<Self, RouteError> {
        const NAMES: [(&str, Extension); 5] = [
            ("CHUNKING", Extension::Chunking),
            ("PIPELINING", Extension::Pipelining),
            ("STARTTLS", Extension::StartTls),
            ("DSN", Extension::Dsn),
            ("SMTPUTF8", Extension::Smtputf8),
        ];
        let found = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        found.map(|(_, extension)| *extension).ok_or_else(|| {
            let names = NAMES.map(|(name, _)| name).join(", ");
            RouteError(format!(
                "`{text}` is no extension that can be left out: write one of {names}"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, recipient: &str) -> bool {
        let own = Domain::parse("relay.example").expect("a domain");
        let recipient = ForwardPath::parse(recipient).expect("a path");
        pattern.parse::<Pattern>().expect("a pattern").matches(&recipient, Some(&own))
    }

    #[test]
    fn a_pattern_means_a_domain_its_subdomains_a_mailbox_or_all() {
        assert!(matches("example.org", "a@Example.ORG"));
        assert!(!matches("example.org", "a@sub.example.org"));
        assert!(matches("*.example.org", "a@x.sub.example.org"));
        assert!(!matches("*.example.org", "a@example.org"));
        assert!(!matches("*.example.org", "a@badexample.org"));
        assert!(matches("user@example.com", "user@EXAMPLE.com"));
        assert!(!matches("user@example.com", "USER@example.com"));
        assert!(matches("*", "a@[192.0.2.1]"));
        assert!(matches("*", "postmaster"));
        assert!(matches("relay.example", "postmaster"));
        assert!(matches("postmaster@relay.example", "Postmaster"));
    }

    #[test]
    fn a_via_is_written_as_it_is_read() {
        for (text, written) in [
            ("mx", "mx"),
            ("mx://Example.org", "mx://example.org"),
            ("smtp://192.0.2.25", "smtp://192.0.2.25:25"),
            ("smtp://192.0.2.25:2600", "smtp://192.0.2.25:2600"),
            ("smtp://[::1]:2600", "smtp://[::1]:2600"),
            ("smtp://[::1]", "smtp://[::1]:25"),
            ("smtp://Relay.example:26", "smtp://relay.example:26"),
            ("discard", "discard"),
            ("hold", "hold"),
        ] {
            assert_eq!(text.parse::<Via>().expect(text).to_string(), written);
        }
        for text in
            ["", "smtp://", "smtp://a:0", "smtp://a:x", "smtp://a:70000", "smtp://[1.2.3.4]"]
        {
            assert!(text.parse::<Via>().is_err(), "{text}");
        }
        assert!("lmtp://a".parse::<Via>().expect_err("not known").to_string().contains("smtp://"));
    }

    #[test]
    fn an_extension_is_named_in_any_case() {
        assert_eq!("pipelining".parse(), Ok(Extension::Pipelining));
        let error = "PIPELINE".parse::<Extension>().expect_err("no such extension");
        assert!(error.to_string().contains("PIPELINING"));
    }
}
