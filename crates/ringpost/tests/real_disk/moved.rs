//! A spool that moves to other file systems, and shards whose number changes both ways.

use crate::block::{Kind, run, word};
use crate::ground;
use crate::load::{Key, Load, defer, refuse};
use crate::relay::with_each_reactor;
use crate::stage::{Stage, USUAL_BYTES};
use crate::verify::{Cut, taken};
use std::collections::BTreeSet;

/// Messages that each stop adds.
const MESSAGES: u64 = 60;

#[test]
fn a_spool_moves_between_file_systems_and_numbers_of_threads_with_all_its_mail() {
    if !ground::ready() {
        return;
    }
    with_each_reactor(|reactor| {
        let (mut promised, mut gone) = (BTreeSet::new(), BTreeSet::new());
        let mut stage = Stage::new(reactor, Kind::Ext4, USUAL_BYTES, "");
        for (stop, (kind, threads)) in
            [(Kind::Xfs, 4), (Kind::Btrfs, 1), (Kind::Ext4, 3)].into_iter().enumerate()
        {
            add_mail(&mut stage, stop, &mut promised, &mut gone);
            let mut next = Stage::new(reactor, kind, USUAL_BYTES, "");
            next.set_threads(threads);
            let everything = format!("{}/.", stage.site.spool().display());
            run("cp", &["--archive", &everything, word(next.site.spool())]);
            stage = next;
        }
        let hop = stage.next_hop(refuse);
        let relay = stage.start();
        let cut = Cut { promised, settled: gone.clone(), taken: gone };
        cut.verify(&stage.site, &hop.sink);
        relay.stop();
    });
}

/// Starts a relay, which finds what is there, adds some, and stops it: by a drain, the last time
/// with a kill.
fn add_mail(
    stage: &mut Stage,
    stop: usize,
    promised: &mut BTreeSet<Key>,
    gone: &mut BTreeSet<Key>,
) {
    let hop = stage.next_hop(defer);
    let mut relay = stage.start();
    let load = Load::new(format!("stop{stop}"));
    load.during(stage.site.smtp(), || load.until_count(MESSAGES));
    assert_eq!(load.refusals(), [""; 0]);
    promised.extend(load.keys());
    if stop == 2 {
        relay.kill();
        // What was taken just before is in doubt, so that nothing is said about it.
        let doubtful = taken(&hop.sink);
        promised.retain(|key| !doubtful.contains(key));
    } else {
        relay.stop();
        gone.extend(taken(&hop.sink));
    }
}
