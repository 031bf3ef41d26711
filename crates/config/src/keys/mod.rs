//! The table of keys: every section, every key, its kind, bounds, default, meaning, example.
//!
//! Reading, the refusal of unknown keys and the documentation all come from here, so they agree.

mod process;
mod receiving;
mod sections;
mod sending;

pub(crate) use sections::SECTIONS;

/// The form of a value, with its bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// A text.
    Text,
    /// A duration between so many seconds.
    Duration(u64, u64),
    /// A size between so many bytes.
    Size(u64, u64),
    /// A size, or a share in percent.
    SizeOrPercent,
    /// Bytes a second.
    ByteRate,
    /// So many in so much time.
    Rate,
    /// A whole number between these.
    Count(u64, u64),
    /// A number between these.
    Number(f64, f64),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// True or false.
    Flag,
    /// A user and a password.
    Login,
    /// A path, or off.
    Path,
    /// SHA-256 fingerprints.
    Fingerprints,
    /// A list of names of hosts.
    Names,
    /// `ADDRESS:PORT`.
    Address,
    /// A list of `ADDRESS:PORT`.
    Addresses,
    /// A list of addresses without a port.
    LocalAddresses,
    /// A list of networks.
    Networks,
    /// A list of domain patterns.
    Domains,
    /// A list of recipient patterns.
    Recipients,
    /// A list of words out of these.
    Words(&'static [&'static str]),
    /// A list of file patterns.
    Files,
}

impl Kind {
    /// What a value is, for a message: `a duration between 1s and 7d`.
    pub(crate) fn what(self) -> String {
        use crate::value::{show_duration, show_size};
        use std::time::Duration;
        match self {
            Self::Text => "a text in quotes".into(),
            Self::Duration(low, high) => format!(
                "a duration from {} to {}: \"500ms\", \"30s\", \"5m\", \"4h\", \"5d\"",
                show_duration(Duration::from_secs(low)),
                show_duration(Duration::from_secs(high))
            ),
            Self::Size(low, high) => format!(
                "a size from {} to {}: \"64KiB\", \"35MiB\", \"2GiB\"",
                show_size(low),
                show_size(high)
            ),
            Self::SizeOrPercent => {
                "a size (\"2GiB\") or a share of the file system (\"5%\")".into()
            }
            Self::ByteRate => "a size a second: \"1KiB/s\"".into(),
            Self::Rate => "a rate: \"600/1m\"".into(),
            Self::Count(low, high) => format!("a whole number from {low} to {high}"),
            Self::Number(low, high) => format!("a number from {low} to {high}"),
            Self::Choice(words) => format!("one of \"{}\"", words.join("\", \"")),
            Self::Login => "a user and a password: { user = \"u\", password = \"p\" }".into(),
            Self::Flag => "true or false, without quotes".into(),
            Self::Path => "the path of a file: \"/etc/ringpost/tls/key.pem\"".into(),
            Self::Fingerprints => "a list of SHA-256 fingerprints, 64 hexadecimal digits".into(),
            Self::Names => "a list of names: \"mx2.example.org\", \"*.example.org\"".into(),
            Self::Address => "an address with a port: \"127.0.0.1:25\", \"[::1]:25\"".into(),
            Self::Addresses => "one address with a port, or a list of them".into(),
            Self::LocalAddresses => "a list of addresses: \"192.0.2.10\", \"2001:db8::10\"".into(),
            Self::Networks => "a list of networks: \"192.0.2.0/24\", \"2001:db8::/32\"".into(),
            Self::Domains => "a list of domains: \"example.org\", \"*.example.org\"".into(),
            Self::Recipients => {
                "a list of \"example.org\", \"*.example.org\", \"user@example.org\", \"*\"".into()
            }
            Self::Words(words) => format!("a list out of \"{}\"", words.join("\", \"")),
            Self::Files => "a list of files, by name".into(),
        }
    }

    /// What one element of a list is.
    pub(crate) fn element(self) -> &'static str {
        match self {
            Self::Addresses => "an address with a port",
            Self::LocalAddresses => "an address",
            Self::Networks => "a network",
            Self::Domains => "a domain or \"*.\" and a domain",
            Self::Recipients => "a domain, \"*.\" and a domain, an address or \"*\"",
            Self::Words(_) => "one of the words of this key",
            Self::Fingerprints => "a SHA-256 fingerprint: 64 hexadecimal digits",
            Self::Names => "a name of a host",
            Self::Text | Self::Files => "a text",
            Self::Duration(..)
            | Self::Size(..)
            | Self::SizeOrPercent
            | Self::ByteRate
            | Self::Rate
            | Self::Count(..)
            | Self::Number(..)
            | Self::Choice(_)
            | Self::Flag
            | Self::Login
            | Self::Path
            | Self::Address => "a value of this key",
        }
    }
}

/// One key.
#[derive(Debug)]
pub(crate) struct Key {
    /// The section; empty at the top of the file.
    pub(crate) section: &'static str,
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// As it would be written.
    pub(crate) default: &'static str,
    pub(crate) meaning: &'static str,
    /// A whole line.
    pub(crate) example: &'static str,
}

/// A section, with what it is about.
pub(crate) struct SectionNote {
    pub(crate) name: &'static str,
    /// Whether it is written `[[name]]`, as often as wanted.
    pub(crate) repeated: bool,
    pub(crate) meaning: &'static str,
}

const fn key(
    section: &'static str,
    name: &'static str,
    kind: Kind,
    default: &'static str,
    meaning: &'static str,
    example: &'static str,
) -> Key {
    Key { section, name, kind, default, meaning, example }
}

const DAY: u64 = 86_400;

/// All keys; those of a section follow one another in the order of the documentation.
pub(crate) fn keys() -> impl Iterator<Item = &'static Key> {
    [process::KEYS, receiving::KEYS, sending::KEYS].into_iter().flatten()
}

/// The key called `name` in `section`.
pub(crate) fn find(section: &str, name: &str) -> Option<&'static Key> {
    keys().find(|key| key.section == section && key.name == name)
}

/// The names of the keys of `section`.
pub(crate) fn names(section: &str) -> impl Iterator<Item = &'static str> {
    keys().filter(move |key| key.section == section).map(|key| key.name)
}

/// The names of the sections.
pub(crate) fn sections() -> impl Iterator<Item = &'static str> {
    SECTIONS.iter().map(|section| section.name)
}

/// Whether `name` is a section.
pub(crate) fn is_section(name: &str) -> bool {
    sections().any(|section| section == name)
}
