//! What can go wrong, and whose fault it is.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a spool cannot be opened. The text says what to do; the exit code is of sysexits.h.
#[derive(Debug)]
pub enum OpenError {
    /// Another process holds the lock, or its last writes have not landed.
    InUse {
        /// The spool's directory.
        directory: PathBuf,
    },
    /// A newer version has written here.
    TooNew {
        /// The file that says so.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version that this program reads.
        known: u32,
    },
    /// The file system is mounted read-only.
    ReadOnly {
        /// What could not be written.
        path: PathBuf,
    },
    /// This process may not.
    NotPermitted {
        /// What it may not touch.
        path: PathBuf,
    },
    /// No room for the first segment.
    Full {
        /// The log's directory.
        path: PathBuf,
    },
    /// Anything else that the disk said.
    Io {
        /// Where.
        path: PathBuf,
        /// What.
        error: io::Error,
    },
}

impl OpenError {
    /// The error of `path`, by its kind.
    pub fn at(path: &Path, error: io::Error) -> Self {
        let path = path.to_path_buf();
        match error.kind() {
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path },
            io::ErrorKind::PermissionDenied => Self::NotPermitted { path },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            _ => Self::Io { path, error },
        }
    }

    /// The exit code of sysexits.h: 75 try again, 78 configuration or version, 74 disk, 77 not
    /// permitted.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::InUse { .. } | Self::Full { .. } => 75,
            Self::TooNew { .. } => 78,
            Self::ReadOnly { .. } | Self::Io { .. } => 74,
            Self::NotPermitted { .. } => 77,
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { directory } => write!(
                f,
                "spool {} is in use by another process: stop it, or set another `spool`",
                directory.display()
            ),
            Self::TooNew { path, found, known } => write!(
                f,
                "{} has spool version {found}, this program reads up to {known}: run the newer \
                 program, or take the mail down with its `queue export`",
                path.display()
            ),
            Self::ReadOnly { path } => write!(
                f,
                "{} lies on a read-only file system: remount it, and look at the kernel's log",
                path.display()
            ),
            Self::NotPermitted { path } => write!(
                f,
                "{} may not be used by this user: give it to the user that the relay runs as",
                path.display()
            ),
            Self::Full { path } => write!(
                f,
                "no room in {}: free some, or move `spool` to a larger file system",
                path.display()
            ),
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for OpenError {}

/// Why a record did not become durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitError {
    /// No room on the disk: 452 4.3.1. Nothing of the message will arrive.
    Full,
    /// A write or sync has failed and the log is poisoned: 451 4.3.0. The message may still arrive.
    Failed,
    /// The envelope with its header block is longer than a segment takes
    /// ([`Log::record_bytes_max`](super::Log::record_bytes_max)): 452 4.3.1.
    TooLarge,
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "no room in the spool",
            Self::Failed => "writing to the spool has failed",
            Self::TooLarge => "a record does not fit into a segment",
        })
    }
}

impl std::error::Error for CommitError {}

/// Why a stored message cannot be read.
#[derive(Debug)]
pub enum LoadError {
    /// The bytes are not those that were written. Nothing of the message may be sent on.
    Damaged {
        /// The segment's file.
        path: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
    },
    /// The disk did not give them.
    Io {
        /// The segment's file.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged { path, offset } => {
                write!(f, "{} is damaged at byte {offset}", path.display())
            }
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for LoadError {}
