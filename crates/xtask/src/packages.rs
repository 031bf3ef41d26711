//! Debian packages that tests need: real peers, where a user would have them, and what makes file
//! systems.

use crate::run;
use anyhow::{Context, Result, bail};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

/// A program that tests run, and the package that has it.
type Program = (&'static str, &'static str);

/// Those that everybody needs.
const PEERS: [Program; 3] =
    [("smtp-source", "postfix"), ("smtp-sink", "postfix"), ("swaks", "swaks")];

/// Those that root needs too: only root can mount what they make.
const FILE_SYSTEMS: [Program; 5] = [
    ("mkfs.ext4", "e2fsprogs"),
    ("mkfs.xfs", "xfsprogs"),
    ("xfs_io", "xfsprogs"),
    ("mkfs.btrfs", "btrfs-progs"),
    ("btrfs", "btrfs-progs"),
];

/// Asked by every package that would start something; 101 is "no".
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Sees to it that the programs are there: installs them as root, else names the one command.
///
/// # Errors
/// When they are missing and cannot be installed.
pub(crate) fn ensure() -> Result<()> {
    let missing = missing_packages(&programs(), &search_path());
    if missing.is_empty() {
        let names: Vec<&str> = programs().iter().map(|(program, _)| *program).collect();
        println!("all there: {}", names.join(", "));
        return Ok(());
    }
    if !is_root() {
        let ourselves = std::env::current_exe().context("cannot tell where this program is")?;
        bail!("{} missing: run `sudo {} packages`", missing.join(", "), ourselves.display());
    }
    install()
}

/// Installs what is missing, without starting any of it.
///
/// # Errors
/// When not root, or when apt-get fails.
pub(crate) fn install() -> Result<()> {
    let missing = missing_packages(&programs(), &search_path());
    if missing.is_empty() {
        println!("nothing to install");
        return Ok(());
    }
    if !is_root() {
        bail!("only root may install {}", missing.join(", "));
    }
    run::succeed(apt_get().arg("update"))?;
    if missing.contains(&"postfix") {
        preseed()?;
    }
    // A Postfix that started would take port 25 and the machine's mail.
    let policy = Policy::deny()?;
    let installed = run::succeed(
        apt_get().args(["install", "--yes", "--no-install-recommends"]).args(&missing),
    );
    policy.lift()?;
    installed
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// Postfix is wanted for its test programs: it gets no configuration, and asks for none.
fn preseed() -> Result<()> {
    let mut child = Command::new("debconf-set-selections")
        .stdin(Stdio::piped())
        .spawn()
        .context("cannot run debconf-set-selections: is this a Debian?")?;
    let mut input = child.stdin.take().expect("its input was asked for above");
    input.write_all(b"postfix postfix/main_mailer_type select No configuration\n")?;
    drop(input);
    if !child.wait()?.success() {
        bail!("debconf-set-selections failed");
    }
    Ok(())
}

/// Our answer to packages that would start something, unless the machine has its own.
struct Policy {
    ours: bool,
}

impl Policy {
    fn deny() -> Result<Self> {
        let mut how = fs::OpenOptions::new();
        let opened = how.write(true).create_new(true).mode(0o755).open(POLICY);
        match opened {
            Ok(mut file) => file.write_all(b"#!/bin/sh\nexit 101\n")?,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Ok(Self { ours: false });
            }
            Err(error) => return Err(error).context(POLICY),
        }
        Ok(Self { ours: true })
    }

    fn lift(self) -> Result<()> {
        if self.ours {
            fs::remove_file(POLICY).context(POLICY)?;
        }
        Ok(())
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// The user's directories of programs, and the administrator's, where Postfix puts its own.
fn search_path() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}

/// What this user's tests need.
fn programs() -> Vec<Program> {
    let more: &[Program] = if is_root() { &FILE_SYSTEMS } else { &[] };
    [&PEERS[..], more].concat()
}

fn missing_packages(programs: &[Program], path: &str) -> Vec<&'static str> {
    let there = |program: &str| path.split(':').any(|dir| Path::new(dir).join(program).is_file());
    let missing = programs.iter().filter(|(program, _)| !there(program));
    let mut packages: Vec<_> = missing.map(|(_, package)| *package).collect();
    packages.dedup();
    packages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_missing_package_is_named_once() {
        let nowhere = "/nowhere:/at-all";
        assert_eq!(missing_packages(&PEERS, nowhere), ["postfix", "swaks"]);
        let file_systems = missing_packages(&FILE_SYSTEMS, nowhere);
        assert_eq!(file_systems, ["e2fsprogs", "xfsprogs", "btrfs-progs"]);
    }
}
