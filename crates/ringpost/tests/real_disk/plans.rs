//! Other file systems are written another way, and where a 250 is not durable it is said.

use crate::block::{Kind, Mount};
use crate::chance::Chance;
use crate::ground;
use crate::killed::one_kill;
use crate::load::refuse;
use crate::relay::{Relay, Site, with_each_reactor};
use crate::stage::{Stage, USUAL_BYTES};
use crate::wait::until;
use rustix::fs::OFlags;
use std::path::{Path, PathBuf};

#[test]
fn ext4_and_xfs_are_written_directly_on_ground_prepared_ahead() {
    if !ground::ready() {
        return;
    }
    with_each_reactor(|reactor| {
        for kind in [Kind::Ext4, Kind::Xfs] {
            let mut stage = Stage::new(reactor, kind, USUAL_BYTES, "");
            let _hop = stage.next_hop(refuse);
            let relay = stage.start();
            until("each log has a segment ahead, of its full length", || {
                let segments = segments_of(&relay, stage.site.spool());
                assert!(segments.iter().all(|segment| segment.direct), "{segments:?}");
                segments.iter().filter(|segment| segment.bytes >= 1 << 20).count() >= 4
            });
            relay.stop();
        }
    });
}

#[test]
fn btrfs_is_appended_to_and_survives_kills() {
    if !ground::ready() {
        return;
    }
    with_each_reactor(|reactor| {
        let mut stage = Stage::new(reactor, Kind::Btrfs, USUAL_BYTES, "");
        let relay = stage.start();
        appends(&relay, &stage.site);
        assert!(!relay.said().contains("not durable"), "{}", relay.said());
        relay.stop();
        let mut chance = Chance::of("kill on btrfs");
        one_kill(&mut stage, &mut chance, 0);
        one_kill(&mut stage, &mut chance, 1);
    });
}

#[test]
fn a_spool_in_memory_is_warned_of_appended_to_and_survives_kills() {
    if !ground::ready() {
        return;
    }
    with_each_reactor(|reactor| {
        let mut stage = Stage::new(reactor, Kind::Ext4, USUAL_BYTES, "");
        stage.unmount();
        stage.mount_instead(Mount::memory(stage.site.spool()));
        let relay = stage.start();
        appends(&relay, &stage.site);
        let warning = "a 250 is not durable on this file system";
        until(warning, || relay.said().contains(warning));
        relay.stop();
        let checked = stage.site.operate(&["check"]);
        let checked = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert!(checked.contains("a 250 is not durable there"), "{checked}");
        one_kill(&mut stage, &mut Chance::of("kill on tmpfs"), 0);
    });
}

/// The plan for file systems that do not write in place.
fn appends(relay: &Relay, site: &Site) {
    let segments = segments_of(relay, site.spool());
    assert!(segments.iter().all(|segment| !segment.direct), "{segments:?}");
    let small = |segment: &Segment| segment.bytes <= 64 << 10;
    assert!(segments.iter().all(small), "nothing is prepared, files grow: {segments:?}");
}

/// A segment that the relay has open.
#[derive(Debug)]
#[expect(dead_code, reason = "a failed test shows its path")]
struct Segment {
    path: PathBuf,
    direct: bool,
    bytes: u64,
}

fn segments_of(relay: &Relay, spool: &Path) -> Vec<Segment> {
    let process = PathBuf::from(format!("/proc/{}", relay.pid()));
    let open = std::fs::read_dir(process.join("fd")).expect("our child").flatten();
    let segments = open.filter_map(|entry| {
        let path = std::fs::read_link(entry.path()).ok()?;
        let name = path.file_name()?.to_str()?;
        if !path.starts_with(spool) || !name.starts_with("segment-") {
            return None;
        }
        let described = std::fs::read_to_string(process.join("fdinfo").join(entry.file_name()));
        let direct = flags(&described.ok()?).contains(OFlags::DIRECT);
        let bytes = std::fs::metadata(&path).ok()?.len();
        Some(Segment { path, direct, bytes })
    });
    let segments: Vec<Segment> = segments.collect();
    assert!(segments.len() >= 2, "each log has one open: {segments:?}");
    segments
}

/// What a file was opened with (proc(5), fdinfo).
fn flags(described: &str) -> OFlags {
    let line = described.lines().find_map(|line| line.strip_prefix("flags:"));
    let octal = line.expect("flags").trim();
    OFlags::from_bits_retain(u32::from_str_radix(octal, 8).expect("an octal number"))
}
