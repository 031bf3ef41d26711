//! How the process ends: the codes of sysexits.h.

use std::fmt;
use std::process::ExitCode;

/// A reason to end, with its code.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub code: u8,
    /// One line or more for the operator.
    pub text: String,
}

/// The codes in use.
pub mod code {
    /// Wrong use of the command line.
    pub const USAGE: u8 = 64;
    /// Bad data, such as an id that is none.
    pub const DATA: u8 = 65;
    /// The relay does not run.
    pub const UNAVAILABLE: u8 = 69;
    /// Descriptors, memory or threads cannot be had.
    pub const OS: u8 = 71;
    /// The disk: errors, read-only.
    pub const IO: u8 = 74;
    /// Try again: a port or the spool is in use.
    pub const TRY_AGAIN: u8 = 75;
    /// Not permitted.
    pub const NOT_PERMITTED: u8 = 77;
    /// The configuration, or the version of the spool.
    pub const CONFIGURATION: u8 = 78;
}

impl Failure {
    /// A failure with `code`, told by `text`.
    pub fn new(code: u8, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    /// The code of an error of the operating system, for what was done by `doing`.
    pub fn of_io(doing: &str, error: &std::io::Error) -> Self {
        use std::io::ErrorKind::{AddrInUse, PermissionDenied};
        let code = match error.kind() {
            AddrInUse => code::TRY_AGAIN,
            PermissionDenied => code::NOT_PERMITTED,
            _ => code::OS,
        };
        Self::new(code, format!("{doing}: {error}"))
    }

    /// The exit code for `main`.
    pub fn exit(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
