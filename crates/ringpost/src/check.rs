//! `ringpost check`: the configuration and everything that it names.

use crate::cli::{Arguments, config_path};
use crate::exit::{Failure, code};
use crate::{operate, proofs, serve, startup};
use config::Config;
use policy::Policy;
use reactor::{FileSystemKind, Reactor};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What was found, beyond what the configuration itself says.
#[derive(Default)]
struct Findings {
    errors: Vec<String>,
    warnings: Vec<String>,
}

/// Checks, prints what is wrong, and with `print` the effective configuration.
///
/// # Errors
/// When the configuration, or something that it names, is wrong.
pub fn check(arguments: &Arguments, print: bool) -> Result<ExitCode, Failure> {
    let path = config_path(arguments);
    if print {
        print!("{}", config::print(&path));
    }
    let machine = startup::machine_name();
    let mut config =
        config::load(&path, machine.as_deref()).map_err(|problems| serve::refused(&problems))?;
    let mut findings = Findings::default();
    if let Err(failure) = startup::fit_descriptors(&mut config) {
        findings.errors.push(failure.text);
    }
    if let Some(text) = Policy::new(config.policy.clone()).relays_for_stranger() {
        findings.errors.push(format!("this would be an open relay: {text}"));
    }
    let running = operate::listening(arguments, &config.control_socket);
    ports(&config, &running, &mut findings);
    log_target(&config, &mut findings);
    findings.errors.extend(proofs::tls(&config).err());
    findings.errors.extend(proofs::users(&config).err());
    spool(&config.queue.directory, &mut findings);
    for warning in &findings.warnings {
        eprintln!("warning: {warning}");
    }
    for error in &findings.errors {
        eprintln!("error: {error}");
    }
    if !findings.errors.is_empty() {
        let count = findings.errors.len();
        let s = if count == 1 { "" } else { "s" };
        return Err(Failure::new(code::CONFIGURATION, format!("{count} error{s}")));
    }
    println!("{}: good", path.display());
    Ok(ExitCode::SUCCESS)
}

/// Each port can be had, or is held by the running relay.
fn ports(config: &Config, running: &BTreeSet<SocketAddr>, findings: &mut Findings) {
    let listeners = config.listeners.iter().flat_map(|listener| {
        listener.addresses.iter().map(|address| (*address, listener.place.as_str()))
    });
    for (address, place) in listeners.chain(config.metrics.map(|address| (address, "[metrics]"))) {
        if running.contains(&address) {
            continue;
        }
        if let Err(error) = reactor::bind(address, 1) {
            findings.errors.push(format!("{place}: listen at {address}: {error}"));
        }
    }
}

fn log_target(config: &Config, findings: &mut Findings) {
    let config::LogTarget::File(path) = &config.log_target else { return };
    let directory = path.parent().unwrap_or(Path::new("/"));
    if !directory.is_dir() {
        let text = format!("log.target: {} is no directory: make it", directory.display());
        findings.errors.push(text);
    }
}

/// The spool can be made and written, on a file system where a 250 is durable.
fn spool(directory: &Path, findings: &mut Findings) {
    let Some(existing) = nearest(directory) else {
        findings.errors.push(format!("spool: {} cannot be made", directory.display()));
        return;
    };
    if rustix::fs::access(&existing, rustix::fs::Access::WRITE_OK).is_err() {
        let text = format!("spool: {} cannot be written by this user", existing.display());
        findings.errors.push(text);
    }
    let options =
        reactor::Options { backend: reactor::Backend::Poll, ..reactor::Options::default() };
    let Ok((reactor, _)) = Reactor::new(&options) else { return };
    let inside = reactor.clone();
    let found = reactor.run(async move { inside.file_system(&existing).await });
    reactor.shut_down();
    let Ok(file_system) = found else { return };
    if file_system.read_only {
        findings.errors.push("spool: its file system is read-only".into());
    }
    let what = match file_system.kind {
        FileSystemKind::Memory => "memory",
        FileSystemKind::Foreign => "a network, FUSE or overlay file system",
        FileSystemKind::Ext
        | FileSystemKind::Xfs
        | FileSystemKind::Btrfs
        | FileSystemKind::Other(_) => return,
    };
    let text = format!("spool: {} lies in {what}: a 250 is not durable there", directory.display());
    findings.warnings.push(text);
}

/// The directory itself, or the nearest one above it that exists.
fn nearest(directory: &Path) -> Option<PathBuf> {
    directory.ancestors().find(|path| path.is_dir()).map(Path::to_path_buf)
}
