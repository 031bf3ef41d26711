//! Which kernel is used, and why not the ring.

use crate::reactor::{Options, Reactor};
use std::io;

/// Why `auto` uses epoll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// One word for the metrics' label: `seccomp`, `sysctl`, `memlock`, `kernel`.
    pub reason: &'static str,
    /// One line: what was tried, what came back, what to change.
    pub text: String,
}

impl Reactor {
    /// A reactor on this thread, with the kernel that `options` ask for; in `auto` also why it is
    /// not the ring.
    ///
    /// # Errors
    /// When the kernel that was asked for cannot be had; the text says what to change.
    pub fn new(_options: &Options) -> io::Result<(Self, Option<Fallback>)> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
