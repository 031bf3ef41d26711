//! A file system that mail fills up, and a quota that does.

use crate::block::{Kind, run, word};
use crate::ground;
use crate::load::{Load, SENDER, refuse};
use crate::peers::Client;
use crate::relay::with_each_reactor;
use crate::sink::Sink;
use crate::stage::{Stage, USUAL_BYTES};
use crate::verify::{Cut, taken, wait_for};
use crate::wait::until;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// The smallest disk that is promised to work.
const SMALL_BYTES: u64 = 32 << 20;

/// What the quota allows.
const QUOTA: &str = "24M";

/// Small messages: what is left free depends on the largest.
const MORE: &str = "[smtp]\nmessage_bytes = \"1MiB\"\n";

#[test]
fn a_small_ext4_fills_up_says_452_at_mail_still_delivers_and_recovers() {
    if !ground::ready() {
        return;
    }
    with_each_reactor(|reactor| {
        let stage = Stage::new(reactor, Kind::Ext4, SMALL_BYTES, MORE);
        fill_and_recover(stage, |spool| fill(&spool.join("ballast")));
    });
}

#[test]
fn a_quota_that_is_used_up_is_a_full_disk_until_it_is_raised() {
    if !ground::ready() {
        return;
    }
    with_each_reactor(|reactor| {
        let stage = Stage::new(reactor, Kind::Btrfs, USUAL_BYTES, MORE);
        let place = word(stage.mount().place());
        run("btrfs", &["quota", "enable", place]);
        run("btrfs", &["qgroup", "limit", QUOTA, place]);
        // Files grow here, and a quota keeps nothing back for outcomes: they wait in memory.
        fill_and_recover(stage, |spool| {
            run("btrfs", &["qgroup", "limit", "none", word(spool)]);
        });
    });
}

/// Fills the disk with mail, calls `then`, and lets the mail go.
fn fill_and_recover(mut stage: Stage, then: impl FnOnce(&Path)) {
    let port = stage.silent_hop();
    let mut relay = stage.start();
    let load = Load::new("fill");
    load.during(stage.site.smtp(), || load.until_refused());
    for refusal in load.refusals() {
        assert!(refusal.contains("452 4.3.1"), "not told that there is no room: {refusal}");
    }
    let reply = mail_from(&stage);
    assert!(reply.starts_with("452 4.3.1"), "at MAIL: {reply}");
    then(stage.site.spool());
    println!("{} messages taken", load.count());

    let sink = Sink::refusing(&port, refuse);
    stage.site.told(&["queue", "flush", "--all"]);
    wait_for(&load.keys(), &sink);
    let delivered = taken(&sink);
    let lost: Vec<_> = load.keys().difference(&delivered).cloned().collect();
    assert!(lost.is_empty(), "{} lost: {lost:?}", lost.len());

    let again = Load::new("again");
    again.during(stage.site.smtp(), || {
        until("mail is taken again", || again.count() > 0);
        again.until_all_promised_again();
    });
    relay.kill();
    let promised: BTreeSet<_> = load.keys().union(&again.keys()).cloned().collect();
    let cut = Cut { promised, settled: delivered, taken: taken(&sink) };
    let hop = stage.next_hop(refuse);
    let relay = stage.start();
    cut.verify(&stage.site, &hop.sink);
    relay.stop();
}

/// The reply to MAIL.
fn mail_from(stage: &Stage) -> String {
    let mut client = Client::greeted(stage.site.smtp()).expect("a greeting");
    client.command(&format!("MAIL FROM:<{SENDER}>")).expect("a reply")
}

/// Takes all the room that is left.
fn fill(path: &Path) {
    let mut file = File::create_new(path).expect("a file of our own");
    while file.write_all(&[0; 4096]).is_ok() {}
}
