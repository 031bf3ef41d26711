//! Whether file systems can be mounted here, and what an earlier run has left mounted.

use crate::block;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Where everything lies: images, mount points, configurations.
pub(crate) const ROOM: &str = env!("CARGO_TARGET_TMPDIR");

/// What the tests run, each with its Debian package.
const PROGRAMS: [(&str, &str); 7] = [
    ("losetup", "mount"),
    ("mount", "mount"),
    ("fsfreeze", "util-linux"),
    ("mkfs.ext4", "e2fsprogs"),
    ("mkfs.xfs", "xfsprogs"),
    ("xfs_io", "xfsprogs"),
    ("mkfs.btrfs", "btrfs-progs"),
];

/// Whether a test can run. If not it says why in one line, and with `CI` in the environment it
/// fails: there it must run.
pub(crate) fn ready() -> bool {
    static READY: OnceLock<Result<File, String>> = OnceLock::new();
    match READY.get_or_init(prepare) {
        Ok(_) => true,
        Err(why) => {
            assert!(std::env::var_os("CI").is_none(), "CI must mount file systems: {why}");
            // Not by println!, which shows only when a test fails. Nobody may be there to read it.
            drop(writeln!(std::io::stderr(), "skipped: no file system can be mounted: {why}"));
            false
        }
    }
}

/// The lock of this room, held until the process ends: what is mounted here now is left behind.
fn prepare() -> Result<File, String> {
    if !rustix::process::geteuid().is_root() {
        return Err("only root mounts: run it as root".into());
    }
    if !Path::new("/dev/loop-control").exists() {
        return Err("this kernel has no loop devices".into());
    }
    for (program, package) in PROGRAMS {
        let there = |directory: &str| Path::new(directory).join(program).is_file();
        if !block::search_path().split(':').any(there) {
            return Err(format!("no {program}: `cargo xtask packages` installs {package}"));
        }
    }
    let lock = File::create(Path::new(ROOM).join("real_disk.lock"));
    let lock = lock.expect("a file under target");
    // Another run of these tests at the same time ends first.
    lock.lock().expect("a lock");
    sweep();
    Ok(lock)
}

/// Takes away what a run that was killed has left. Loop devices go with their mounts.
fn sweep() {
    let mut left = mounts_below(Path::new(ROOM));
    let mut homes = Vec::new();
    // A mount in another one goes before it.
    left.reverse();
    for place in left {
        if place.ends_with("spool") {
            let home = place.parent().expect("it lies in the room").to_owned();
            end_relay_of(&home);
            homes.push(home);
        }
        let place = place.display().to_string();
        // Most of them are not frozen.
        drop(block::attempt("fsfreeze", &["--unfreeze", &place]));
        block::run("umount", &["--lazy", &place]);
    }
    for home in homes {
        std::fs::remove_dir_all(home).expect("nothing is mounted there any more");
    }
    for entry in std::fs::read_dir(ROOM).expect("the room").flatten() {
        if entry.file_name().to_string_lossy().starts_with(block::CELLAR_PREFIX) {
            std::fs::remove_dir_all(entry.path()).expect("nothing is mounted there any more");
        }
    }
}

/// Kills the relay that was started with the configuration in `home`: its test is no more.
fn end_relay_of(home: &Path) {
    let config = home.join("ringpost.toml");
    for entry in std::fs::read_dir("/proc").expect("processes").flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let Some(pid) = pid.and_then(Pid::from_raw) else { continue };
        // A process may have ended since it was listed.
        let Ok(line) = std::fs::read(entry.path().join("cmdline")) else { continue };
        if line.split(|byte| *byte == 0).any(|word| word == config.as_os_str().as_bytes()) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Mount points below `room`, as they were mounted.
fn mounts_below(room: &Path) -> Vec<PathBuf> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").expect("a table of mounts");
    let places = table.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    places.filter(|place| place.starts_with(room)).collect()
}
