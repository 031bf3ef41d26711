//! What got its 250 is there after any crash, whole, and once; what was settled stays settled.

mod harness;

use harness::*;
use mail::MessageId;
use reactor::sim::{Chance, Faults};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// Seeds that are run; each is one world with one crash.
const SEEDS: u64 = 60;

/// What the world knows of the messages, outside of any process.
#[derive(Default)]
struct Ledger {
    /// Messages that got their 250, by id, with the seed of their body.
    accepted: BTreeMap<MessageId, u64>,
    /// Messages that were delivered, and whose outcome is durable.
    settled: Vec<MessageId>,
}

/// Messages of all sizes: inside the record, behind it, and in chunks.
fn size(number: u64) -> usize {
    [50, 3_000, 30_000, 90_000, 250_000][(number % 5) as usize]
}

async fn send(life: Life, ledger: Rc<RefCell<Ledger>>, sender: u64) {
    for round in 0.. {
        let number = sender * 1_000 + round;
        let mail = body(number, size(number));
        let id = life.accept("a@example.org", &["b@example.net"], &mail).await;
        ledger.borrow_mut().accepted.insert(id, number);
    }
}

async fn deliver(life: Life, ledger: Rc<RefCell<Ledger>>) {
    loop {
        let ticket = life.next().await;
        let id = ticket.id;
        let bytes = life.read(&ticket).await;
        // The message may be due before its sender has heard of it.
        if let Some(number) = ledger.borrow().accepted.get(&id) {
            assert_eq!(bytes, whole(&body(*number, size(*number))));
        }
        life.settle(ticket, &delivered());
        life.queue.drain().await;
        ledger.borrow_mut().settled.push(id);
    }
}

fn crash(seed: u64) {
    let mut chance = Chance::new(seed);
    let machine = Machine::new(seed, Faults::mild());
    let ledger = Rc::new(RefCell::new(Ledger::default()));
    let process = machine.host.start();
    let book = Rc::clone(&ledger);
    let never = machine.begin(&process, options(Path::new("/spool")), move |life| async move {
        for sender in 0..4 {
            life.reactor.spawn(send(life.clone(), Rc::clone(&book), sender));
        }
        deliver(life, book).await;
    });
    let enough = 1 + chance.below(40) as usize;
    machine.world.run(|| ledger.borrow().accepted.len() >= enough, Duration::from_secs(3600));
    assert!(never.borrow().is_none());
    if chance.hits(0.5) {
        machine.host.lose_power();
    } else {
        process.kill();
    }
    let ledger = ledger.take();
    machine.live(move |life| async move {
        let listed: Vec<MessageId> = life.list().into_iter().map(|one| one.id).collect();
        for id in &ledger.settled {
            assert!(!listed.contains(id), "{id} was settled and has come back");
        }
        let lost = ledger
            .accepted
            .keys()
            .filter(|id| !listed.contains(id) && !ledger.settled.contains(id));
        // One delivery at a time: one outcome may be durable and unheard of.
        assert!(lost.count() <= 1);
        for _ in &listed {
            let ticket = life.next().await;
            let bytes = life.read(&ticket).await;
            if let Some(number) = ledger.accepted.get(&ticket.id) {
                assert_eq!(bytes, whole(&body(*number, size(*number))));
            }
            life.settle(ticket, &delivered());
        }
        assert_eq!(life.list(), []);
    });
}

#[test]
fn what_got_its_250_survives_a_crash_whole_and_once() {
    for seed in 0..SEEDS {
        let result = std::panic::catch_unwind(|| crash(seed));
        assert!(result.is_ok(), "seed {seed}");
    }
}

/// Bounces everything; tickets of reports are kept, so that these stay where they are.
async fn bounce(life: Life) {
    let mut reports = Vec::new();
    loop {
        let ticket = life.next().await;
        if ticket.hop.as_str() == "mx://example.org" {
            reports.push(ticket);
        } else {
            life.settle(ticket, &bounced());
        }
    }
}

fn crash_while_bouncing(seed: u64) {
    let mut chance = Chance::new(seed);
    let machine = Machine::new(seed, Faults::mild());
    let ledger = Rc::new(RefCell::new(Ledger::default()));
    let process = machine.host.start();
    let book = Rc::clone(&ledger);
    let never = machine.begin(&process, options(Path::new("/spool")), move |life| async move {
        for sender in 0..4 {
            life.reactor.spawn(send(life.clone(), Rc::clone(&book), sender));
        }
        bounce(life).await;
    });
    let enough = 1 + chance.below(40) as usize;
    machine.world.run(|| ledger.borrow().accepted.len() >= enough, Duration::from_secs(3600));
    assert!(never.borrow().is_none());
    if chance.hits(0.5) {
        machine.host.lose_power();
    } else {
        process.kill();
    }
    let accepted = ledger.take().accepted;
    machine.live(move |life| async move {
        let mut found: BTreeMap<MessageId, usize> = BTreeMap::new();
        for _ in life.list() {
            let ticket = life.next().await;
            let bytes = String::from_utf8(life.read(&ticket).await).expect("ASCII");
            let failed =
                bytes.split("X-Queue-ID: ").nth(1).map(|rest| rest[..16].parse().expect("an id"));
            *found.entry(failed.unwrap_or(ticket.id)).or_default() += 1;
        }
        for id in accepted.keys() {
            assert_eq!(found.get(id), Some(&1), "{id} is queued or reported, and not both");
        }
    });
}

#[test]
fn a_crash_leaves_either_the_message_or_its_report() {
    for seed in 0..SEEDS {
        let result = std::panic::catch_unwind(|| crash_while_bouncing(seed));
        assert!(result.is_ok(), "seed {seed}");
    }
}
