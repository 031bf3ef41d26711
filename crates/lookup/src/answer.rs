//! What is asked, and what is answered.

use mail::Domain;
use std::fmt;
use std::net::IpAddr;

/// A question. Names are absolute.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ask {
    /// Who takes mail for a domain.
    Mx(Domain),
    /// The A and AAAA records of a host, over any CNAME.
    Addresses(Domain),
}

/// What the name system says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To [`Ask::Mx`].
    Mx(MxAnswer),
    /// To [`Ask::Addresses`].
    Addresses(AddressAnswer),
}

/// Who takes mail for a domain (RFC 5321 §5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MxAnswer {
    /// These hosts, in any order; at least one.
    Hosts(Vec<MxHost>),
    /// The domain exists and has no MX records: it is its own host.
    Implicit,
    /// The domain says that it takes no mail (RFC 7505).
    NullMx,
    /// There is no such domain.
    NoSuchDomain,
}

/// An MX record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MxHost {
    /// Lower is tried first.
    pub preference: u16,
    /// The host.
    pub name: Domain,
}

/// The addresses of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressAnswer {
    /// These, in the order of the answer; at least one.
    Addresses(Vec<IpAddr>),
    /// There is no such host.
    NoSuchDomain,
    /// The name exists and has neither A nor AAAA records.
    NoData,
}

/// Why there is no answer. An answer that says *no* is no error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookupError {
    /// Servers failed, refused or were silent; the text says which and how. Ask again later.
    Temporary(String),
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Temporary(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for LookupError {}

impl Ask {
    /// The name that is asked about.
    pub fn name(&self) -> &Domain {
        match self {
            Self::Mx(name) | Self::Addresses(name) => name,
        }
    }
}

/// The question as people write it: `MX of example.org`.
impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mx(name) => write!(f, "MX of {name}"),
            Self::Addresses(name) => write!(f, "addresses of {name}"),
        }
    }
}
