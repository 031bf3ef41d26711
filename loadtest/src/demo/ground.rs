//! Where the demonstration happens: a fresh directory, free ports, a configuration.

use std::cell::RefCell;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The longest path of a unix socket, in bytes (unix(7): 108 with its NUL).
const SOCKET_PATH_MAX: usize = 107;

/// The relay's surroundings.
pub(super) struct Ground {
    directory: RefCell<Option<TempDir>>,
    path: PathBuf,
    /// Where the relay listens.
    pub(super) listen: SocketAddr,
    /// Where its metrics are.
    pub(super) metrics: SocketAddr,
    /// Its control socket.
    pub(super) control: PathBuf,
    /// Its configuration.
    pub(super) text: String,
}

impl Ground {
    /// Makes all of it; `sink` is the relay's next hop.
    pub(super) fn prepare(sink: SocketAddr) -> io::Result<Self> {
        let directory = fresh_directory()?;
        let path = directory.path().to_owned();
        let control = path.join("control.sock");
        let [listen, metrics] = free_ports()?;
        let text = configuration(&path, &control, listen, metrics, sink);
        let directory = RefCell::new(Some(directory));
        Ok(Self { directory, path, listen, metrics, control, text })
    }

    /// The directory.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the directory where it is.
    pub(super) fn keep(&self) {
        if let Some(directory) = self.directory.take() {
            drop(directory.keep());
        }
    }
}

/// Under `target`, where there is one: it is on a disk, which the system's temporary directory
/// often is not. A path that is too long for a socket has to be there all the same.
fn fresh_directory() -> io::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix("ringpost-demo-");
    let target = std::env::current_dir()?.join("target");
    if target.is_dir() {
        let directory = builder.tempdir_in(&target)?;
        let control = directory.path().join("control.sock");
        if control.as_os_str().len() <= SOCKET_PATH_MAX {
            return Ok(directory);
        }
    }
    builder.tempdir()
}

/// Two ports that are free now. The relay binds its own, so another process could come first; then
/// it says so and the demonstration ends.
fn free_ports() -> io::Result<[SocketAddr; 2]> {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let both = [TcpListener::bind(any)?, TcpListener::bind(any)?];
    Ok([both[0].local_addr()?, both[1].local_addr()?])
}

fn configuration(
    path: &Path,
    control: &Path,
    listen: SocketAddr,
    metrics: SocketAddr,
    sink: SocketAddr,
) -> String {
    // Debug escapes as TOML's basic strings do.
    let quote = |path: &Path| format!("{:?}", path.to_string_lossy());
    let log = format!("file:{}", path.join("log").display());
    format!(
        "hostname = \"relay.ringpost.test\"\n\
         spool = {spool}\n\
         [[listener]]\nname = \"demo\"\naddress = \"{listen}\"\n\
         [relay]\nnetworks = [\"127.0.0.0/8\"]\n\
         [[route]]\nto = [\"*\"]\nvia = \"smtp://{sink}\"\n\
         [metrics]\nlisten = \"{metrics}\"\n\
         [control]\nsocket = {control}\ngroup = \"off\"\n\
         [log]\ntarget = {log:?}\n",
        spool = quote(&path.join("spool")),
        control = quote(control),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_one() {
        let sink = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let ground = Ground::prepare(sink).unwrap();
        let config = config::load_text(Path::new("demo"), &ground.text, None);
        let config = config.unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(config.metrics, Some(ground.metrics));
        assert_eq!(config.control_socket, ground.control);
    }
}
