//! What can go wrong, and whose fault it is.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why the spool cannot be opened. The text says what to do about it.
#[derive(Debug)]
pub enum OpenError {
    /// Another process has its lock, or the kernel still writes for a dead one.
    InUse {
        /// The lock's file.
        path: PathBuf,
    },
    /// It was written by a newer version.
    TooNew {
        /// The format found.
        found: u32,
        /// The format that this version knows.
        known: u32,
    },
    /// It was written by an older version, whose format is not read any more.
    TooOld {
        /// The format found.
        found: u32,
        /// The format that this version knows.
        known: u32,
    },
    /// Its file system is mounted read-only.
    ReadOnly {
        /// What could not be written.
        path: PathBuf,
    },
    /// This user may not read or write it.
    NotPermitted {
        /// What could not be opened.
        path: PathBuf,
    },
    /// Its file system is full, so that not even the logs can be made.
    Full {
        /// What could not be written.
        path: PathBuf,
    },
    /// Something else; the kernel's word for it.
    Io {
        /// Where.
        path: PathBuf,
        /// What.
        error: io::Error,
    },
}

impl OpenError {
    /// The error that `error` at `path` means.
    pub fn from_io(path: &Path, error: io::Error) -> Self {
        let path = path.to_path_buf();
        match error.kind() {
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path },
            io::ErrorKind::PermissionDenied => Self::NotPermitted { path },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            _ => Self::Io { path, error },
        }
    }

    /// The exit code of the process (sysexits.h).
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::InUse { .. } | Self::Full { .. } => 75,
            Self::TooNew { .. } | Self::TooOld { .. } => 78,
            Self::ReadOnly { .. } | Self::Io { .. } => 74,
            Self::NotPermitted { .. } => 77,
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { path } => write!(
                f,
                "the spool is in use: another process holds {}; stop it, or give this one a spool \
                 of its own",
                path.display()
            ),
            Self::TooNew { found, known } => write!(
                f,
                "the spool has format {found} and this version reads {known}; start the newer \
                 version again, or export the queue with it"
            ),
            Self::TooOld { found, known } => write!(
                f,
                "the spool has format {found} and this version reads {known}; deliver what is in \
                 it with the version that wrote it first, then start this one on an empty spool"
            ),
            Self::ReadOnly { path } => write!(
                f,
                "{} is on a read-only file system; mount it writable or set another spool",
                path.display()
            ),
            Self::NotPermitted { path } => write!(
                f,
                "no permission for {}; give the spool to the user that the relay runs as",
                path.display()
            ),
            Self::Full { path } => {
                write!(f, "no room on the file system of {}; make some", path.display())
            }
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for OpenError {}

/// Why a message was not made durable; the client still has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitError {
    /// No room: 452 4.3.1.
    Full,
    /// The disk failed: 451 4.3.0, and nothing more is accepted.
    Failed,
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "no room in the spool",
            Self::Failed => "the spool's disk has failed",
        })
    }
}

impl std::error::Error for CommitError {}

/// Why a message's bytes cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// What is on disk does not verify; it is never sent.
    Damaged {
        /// Where: file and offset.
        place: Box<str>,
    },
    /// The disk did not give it.
    Failed {
        /// The kernel's word for it.
        reason: Box<str>,
    },
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged { place } => write!(f, "the message is damaged on disk ({place})"),
            Self::Failed { reason } => write!(f, "the message cannot be read: {reason}"),
        }
    }
}

impl std::error::Error for LoadError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_the_exit_code_that_scripts_rely_on() {
        let path = Path::new("/spool");
        let code = |kind: io::ErrorKind| OpenError::from_io(path, kind.into()).exit_code();
        assert_eq!(code(io::ErrorKind::ReadOnlyFilesystem), 74);
        assert_eq!(code(io::ErrorKind::PermissionDenied), 77);
        assert_eq!(code(io::ErrorKind::StorageFull), 75);
        assert_eq!(code(io::ErrorKind::NotFound), 74);
        assert_eq!(OpenError::InUse { path: path.into() }.exit_code(), 75);
        assert_eq!(OpenError::TooNew { found: 9, known: 2 }.exit_code(), 78);
        assert_eq!(OpenError::TooOld { found: 1, known: 2 }.exit_code(), 78);
    }
}
