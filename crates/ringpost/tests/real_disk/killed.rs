//! `kill -9` under load, a start at once on the same spool, and the lock between the two.

use crate::block::Kind;
use crate::chance::{Chance, rounds};
use crate::ground;
use crate::load::{Load, defer, refuse};
use crate::relay::{Relay, reactors, with_each_reactor};
use crate::stage::{Stage, USUAL_BYTES};
use crate::verify::{Cut, taken, wait_for};
use crate::wait::until;
use rustix::process::Signal;
use std::time::Duration;

/// Kills on each file system with each reactor.
const ROUNDS: u64 = 2;

#[test]
fn what_got_its_250_before_a_kill_arrives_after_it_on_ext4() {
    kill_again_and_again(Kind::Ext4);
}

#[test]
fn what_got_its_250_before_a_kill_arrives_after_it_on_xfs() {
    kill_again_and_again(Kind::Xfs);
}

fn kill_again_and_again(kind: Kind) {
    if !ground::ready() {
        return;
    }
    let mut chance = Chance::of(&format!("kill on {kind:?}"));
    for reactor in reactors() {
        let mut stage = Stage::new(reactor, kind, USUAL_BYTES, "");
        for round in 0..rounds(ROUNDS) {
            println!("with reactor = \"{reactor}\" on {kind:?}, round {round}");
            one_kill(&mut stage, &mut chance, round);
        }
    }
}

/// The clients send on while the relay dies, and to its successor.
pub(crate) fn one_kill(stage: &mut Stage, chance: &mut Chance, round: u64) {
    let load = Load::new(format!("kill{round}"));
    let enough = chance.within(50, 250);
    let deferring = stage.next_hop(defer);
    let mut first = stage.start();
    let (cut, hop, relay) = load.during(stage.site.smtp(), || {
        load.until_count(enough);
        let settled = taken(&deferring.sink);
        load.until_all_promised_again();
        chance.moment(Duration::from_millis(30));
        first.kill();
        let taken = taken(&deferring.sink);
        let hop = stage.next_hop(refuse);
        let relay = stage.start();
        load.until_count(load.count() + enough);
        (Cut { settled, taken, ..Cut::default() }, hop, relay)
    });
    assert_eq!(load.refusals(), [""; 0], "nothing was wrong with the disk");
    let cut = Cut { promised: load.keys(), ..cut };
    cut.verify(&stage.site, &hop.sink);
    relay.stop();
}

/// Here the writes of a dead process hang for as long as the test likes: its device does.
#[test]
fn a_starting_relay_waits_until_the_last_write_of_a_dead_one_has_landed() {
    if !ground::ready() {
        return;
    }
    with_each_reactor(|reactor| {
        let mut stage = Stage::new(reactor, Kind::Ext4, USUAL_BYTES, "");
        let hop = stage.next_hop(refuse);
        let first = stage.start();
        let load = Load::new("lock");
        // A process whose writes hang keeps its ports, too.
        let other = stage.site_beside();
        let mut second = None;
        load.during(stage.site.smtp(), || {
            load.until_count(20);
            let frozen = stage.cellar.mount().freeze();
            until("writes hang", || stage.mount().writes_in_flight() > 0);
            first.signal(Signal::KILL);
            load.end();
            let waiting = second.insert(Relay::spawn(&mut other.serve()));
            until("the second relay says that it waits", || {
                waiting.said().contains("the last writes of a dead process land")
            });
            assert!(!waiting.said().contains("ringpost ready"), "it has not waited");
            drop(frozen);
            until("ringpost ready", || waiting.said().contains("ringpost ready"));
        });
        other.told(&["queue", "flush", "--all"]);
        wait_for(&load.keys(), &hop.sink);
        let lost: Vec<_> = load.keys().difference(&taken(&hop.sink)).cloned().collect();
        assert!(lost.is_empty(), "{} lost: {lost:?}", lost.len());
        second.take().expect("started above").stop();
    });
}
