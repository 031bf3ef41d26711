//! The sockets of the control plane, bound before privileges go.

use crate::Options;
use std::fmt;
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

/// What the control plane listens on. All of them are non-blocking.
#[derive(Debug)]
pub struct Sockets {
    /// The admin API.
    pub control: UnixListener,
    /// Metrics, `/healthz` and `/readyz`.
    pub metrics: Option<TcpListener>,
}

/// Why a socket cannot be had. The text says what to do about it.
#[derive(Debug)]
pub enum BindError {
    /// Another process listens there.
    InUse {
        /// The key and its value.
        what: String,
    },
    /// This user may not.
    NotPermitted {
        /// The key and its value.
        what: String,
    },
    /// Something else; the kernel's word for it.
    Io {
        /// The key and its value.
        what: String,
        /// What.
        error: io::Error,
    },
}

impl BindError {
    fn of(what: String, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { what },
            io::ErrorKind::PermissionDenied => Self::NotPermitted { what },
            _ => Self::Io { what, error },
        }
    }

    /// The exit code of the process (sysexits.h).
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::InUse { .. } => 75,
            Self::NotPermitted { .. } => 77,
            Self::Io { .. } => 71,
        }
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { what } => {
                write!(f, "{what} is in use: another process listens there; stop it or set another")
            }
            Self::NotPermitted { what } => {
                write!(f, "{what}: no permission; let this user write its directory or set another")
            }
            Self::Io { what, error } => write!(f, "{what}: {error}"),
        }
    }
}

impl std::error::Error for BindError {}

/// Binds what `options` ask for. The control socket of a dead process is replaced, one that
/// answers is not.
///
/// # Errors
/// As [`BindError`] says.
pub fn bind(options: &Options) -> Result<Sockets, BindError> {
    let what = format!("control.socket = {}", options.socket.display());
    let control = bind_control(&options.socket, options.group.as_deref())
        .map_err(|error| BindError::of(what, error))?;
    let metrics = match options.metrics {
        None => None,
        Some(address) => {
            let what = format!("metrics.listen = {address}");
            let bound = TcpListener::bind(address).and_then(|listener| {
                listener.set_nonblocking(true)?;
                Ok(listener)
            });
            Some(bound.map_err(|error| BindError::of(what, error))?)
        }
    };
    Ok(Sockets { control, metrics })
}

fn bind_control(path: &Path, group: Option<&str>) -> io::Result<UnixListener> {
    if let Some(parent) = path.parent()
        && !parent.as_os_str().is_empty()
        && !parent.exists()
    {
        std::fs::create_dir(parent)?;
    }
    clear_stale(path)?;
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    // Until here the umask kept others out, since connecting needs the right to write.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    let known = std::fs::read_to_string("/etc/group").unwrap_or_default();
    if let Some(id) = group.and_then(|name| find_group(&known, name)) {
        // Who may not give it to the group keeps it for its own user.
        drop(std::os::unix::fs::chown(path, None, Some(id)));
    }
    Ok(listener)
}

/// Removes the socket of a process that is gone; leaves everything else where it is.
fn clear_stale(path: &Path) -> io::Result<()> {
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::other(
            "this is a file, not a socket; remove it or set another path",
        ));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)
        }
        Err(error) => Err(error),
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
    }
}

/// The number of a group, from the text of /etc/group.
fn find_group(known: &str, name: &str) -> Option<u32> {
    known.lines().find_map(|line| {
        let mut fields = line.split(':');
        let found = fields.next()? == name;
        let id = fields.nth(1)?.parse().ok()?;
        found.then_some(id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::tests::options_in;

    #[test]
    fn a_socket_that_answers_is_in_use_and_one_of_a_dead_process_is_replaced() {
        let directory = tempfile::tempdir().expect("a directory");
        let options = options_in(directory.path());
        let first = bind(&options).expect("a free path");
        let error = bind(&options).expect_err("the first one listens");
        assert_eq!(error.exit_code(), 75, "{error}");
        drop(first);
        bind(&options).expect("nobody listens any more");
    }

    #[test]
    fn the_socket_is_for_its_user_and_group_only() {
        let directory = tempfile::tempdir().expect("a directory");
        let options = options_in(directory.path());
        let _sockets = bind(&options).expect("a free path");
        let mode = std::fs::metadata(&options.socket).expect("a socket").permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
    }

    #[test]
    fn a_file_in_the_way_is_not_removed() {
        let directory = tempfile::tempdir().expect("a directory");
        let options = options_in(directory.path());
        std::fs::write(&options.socket, "precious").expect("a file");
        let error = bind(&options).expect_err("a file is in the way");
        assert_eq!(error.exit_code(), 71, "{error}");
        assert_eq!(std::fs::read_to_string(&options.socket).expect("a file"), "precious");
    }

    #[test]
    fn a_group_is_found_by_its_name() {
        let known = "root:x:0:\nringpost:x:991:alice,bob\n";
        assert_eq!(find_group(known, "ringpost"), Some(991));
        assert_eq!(find_group(known, "other"), None);
    }
}
