//! Where a recipient goes next, as a name.

use std::fmt;
use std::sync::Arc;

/// The name of a next hop: what the queue groups by and the log shows.
///
/// `mx://example.org` when the MX records of a domain decide, otherwise the route's own `via`
/// (`smtp://192.0.2.25:25`). Nothing is looked up to make one. Cloning is cheap.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NextHop(Arc<str>);

impl NextHop {
    /// The next hop called `name`.
    pub fn new(name: &str) -> Self {
        Self(Arc::from(name))
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
