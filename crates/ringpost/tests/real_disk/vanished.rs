//! A disk that is gone in the middle: the relay ends with 74, and whatever it had promised is there
//! once the disk is back.

use crate::block::Kind;
use crate::chance::Chance;
use crate::ground;
use crate::load::{Load, defer, refuse};
use crate::relay::reactors;
use crate::stage::Stage;
use crate::verify::{Cut, taken};
use std::time::Duration;

/// Small, so that segments are small and a new one is soon needed.
const EXT4_BYTES: u64 = 64 << 20;

/// The least that mkfs.xfs takes.
const XFS_BYTES: u64 = 300 << 20;

/// Small messages: what is left free depends on the largest.
const MORE: &str = "[smtp]\nmessage_bytes = \"1MiB\"\n";

/// How a disk goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// `umount --lazy`: open files work on, nothing new is found under the spool's path.
    Unmounted,
    /// The device answers EIO, and has lost what it was not told to make durable.
    Device,
    /// The file system answers EIO.
    FileSystem,
}

#[test]
fn a_spool_that_is_unmounted_ends_the_relay_with_74_and_no_250_was_false() {
    vanish(Way::Unmounted);
}

#[test]
fn a_device_that_is_gone_ends_the_relay_with_74_and_no_250_was_false() {
    vanish(Way::Device);
}

#[test]
fn a_file_system_that_is_shut_down_ends_the_relay_with_74_and_no_250_was_false() {
    vanish(Way::FileSystem);
}

fn vanish(way: Way) {
    if !ground::ready() {
        return;
    }
    let mut chance = Chance::of(&format!("{way:?}"));
    for reactor in reactors() {
        for (kind, bytes) in [(Kind::Ext4, EXT4_BYTES), (Kind::Xfs, XFS_BYTES)] {
            println!("with reactor = \"{reactor}\": {way:?} on {kind:?}");
            let stage = Stage::new(reactor, kind, bytes, MORE);
            vanish_under_load(stage, way, &mut chance);
        }
    }
}

fn vanish_under_load(mut stage: Stage, way: Way, chance: &mut Chance) {
    if way == Way::Device {
        stage.put_behind_cache();
    }
    let hop = stage.next_hop(defer);
    let mut relay = stage.start();
    let load = Load::new("gone");
    let enough = chance.within(30, 100);
    let status = load.during(stage.site.smtp(), || {
        load.until_count(enough);
        chance.moment(Duration::from_millis(30));
        match way {
            Way::Unmounted => stage.detach(),
            Way::Device => stage.cellar.mount().shut_down(),
            Way::FileSystem => stage.mount().shut_down(),
        }
        relay.ended()
    });
    assert_eq!(status.code(), Some(74), "{}", relay.said());
    for refusal in load.refusals() {
        let told = ["451 4.3.0", "421 4.3.2"].iter().any(|reply| refusal.contains(reply));
        assert!(told, "neither a failed disk nor a shutdown: {refusal}");
    }
    println!("{} promised; {:?}", load.count(), load.refusals());
    match way {
        Way::Unmounted => {}
        Way::Device => {
            stage.unmount();
            stage.cellar.power_cycle();
        }
        Way::FileSystem => stage.unmount(),
    }
    stage.mount_again();
    let cut = Cut { promised: load.keys(), taken: taken(&hop.sink), ..Cut::default() };
    let hop = stage.next_hop(refuse);
    let relay = stage.start();
    cut.verify(&stage.site, &hop.sink);
    relay.stop();
}
