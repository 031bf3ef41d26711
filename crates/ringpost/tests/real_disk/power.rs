//! A power cut: the disk as it was in one moment under load, and a relay started on that.

use crate::block::{Image, Kind};
use crate::chance::{Chance, rounds};
use crate::ground;
use crate::load::{Load, defer, refuse};
use crate::relay::{Relay, reactors};
use crate::sink::Sink;
use crate::stage::{Stage, USUAL_BYTES};
use crate::verify::{Cut, taken};
use std::collections::BTreeSet;
use std::time::Duration;

/// Cuts on each file system with each reactor. Each leaves the disk for the next.
const ROUNDS: u64 = 3;

#[test]
fn what_got_its_250_before_a_power_cut_arrives_after_it_on_ext4() {
    cut_again_and_again(Kind::Ext4);
}

#[test]
fn what_got_its_250_before_a_power_cut_arrives_after_it_on_xfs() {
    cut_again_and_again(Kind::Xfs);
}

fn cut_again_and_again(kind: Kind) {
    if !ground::ready() {
        return;
    }
    let mut chance = Chance::of(&format!("power on {kind:?}"));
    for reactor in reactors() {
        let mut stage = Stage::new(reactor, kind, USUAL_BYTES, "");
        let (mut ids, mut given) = (BTreeSet::new(), 0);
        for round in 0..rounds(ROUNDS) {
            println!("with reactor = \"{reactor}\" on {kind:?}, round {round}");
            let load = one_cut(&mut stage, &mut chance, round);
            given += load.ids().len();
            ids.extend(load.ids());
        }
        assert_eq!(ids.len(), given, "an id was given out twice");
    }
}

/// Load, a cut under it, and everything that is owed.
fn one_cut(stage: &mut Stage, chance: &mut Chance, round: u64) -> Load {
    let load = Load::new(format!("power{round}"));
    let enough = chance.within(50, 250);
    let hop = stage.next_hop(defer);
    let mut relay = stage.start();
    let (cut, copy) = load.during(stage.site.smtp(), || {
        load.until_count(enough);
        let made = cut_under(&load, stage, &hop.sink, chance);
        load.end();
        relay.kill();
        made
    });
    assert_eq!(load.refusals(), [""; 0], "nothing was wrong with the disk");
    stage.go_on_with(copy);
    if chance.within(0, 2) == 1 {
        cut_the_recovery(stage, chance);
    }
    let hop = stage.next_hop(refuse);
    let relay = stage.start();
    cut.verify(&stage.site, &hop.sink);
    relay.stop();
    load
}

/// Copies the disk in one moment, and what counts as promised before it.
fn cut_under(load: &Load, stage: &mut Stage, sink: &Sink, chance: &mut Chance) -> (Cut, Image) {
    let settled = taken(sink);
    load.until_all_promised_again();
    chance.moment(Duration::from_millis(30));
    let promised = load.keys();
    let image = stage.snapshot();
    (Cut { promised, settled, taken: taken(sink) }, image)
}

/// Power fails again while the relay starts, or soon after. No next hop listens.
fn cut_the_recovery(stage: &mut Stage, chance: &mut Chance) {
    let mut relay = Relay::spawn(&mut stage.site.serve());
    chance.moment(Duration::from_millis(400));
    let copy = stage.snapshot();
    relay.kill();
    stage.go_on_with(copy);
}
