//! The spool stays small, and a crash in the midst of compaction loses nothing and doubles nothing.

mod harness;

use harness::*;
use mail::{MessageId, Outcome};
use queue::{Admission, Options};
use reactor::sim::{Chance, Faults, Host};
use reactor::{FileSystemKind, Instant};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// Seeds that are run; each is one disk with several lives.
const SEEDS: u64 = 10;

/// Lives of a disk that end with a crash.
const LIVES: usize = 4;

const KINDS: [FileSystemKind; 2] = [FileSystemKind::Ext, FileSystemKind::Btrfs];

/// Room for all the messages of these tests, and segments of 1 or 2 MiB.
fn large() -> Options {
    Options { queue_messages: 1_000_000, ..options(Path::new("/spool")) }
}

fn segments(host: &Host) -> usize {
    let files = host.files().into_iter();
    files.filter(|path| path.to_string_lossy().contains("segment-")).count()
}

/// A life that ends when its script does.
fn live<F: Future<Output = ()> + 'static>(
    machine: &Machine,
    script: impl FnOnce(Life) -> F + 'static,
) {
    let process = machine.host.start();
    let result = machine.begin(&process, large(), script);
    assert!(machine.world.run(|| result.borrow().is_some(), LIMIT), "the script waits for ever");
    process.kill();
}

fn machine(seed: u64, faults: Faults, kind: FileSystemKind, bytes: u64) -> Machine {
    let machine = Machine::new(seed, faults);
    machine.host.format(kind, bytes, 4096);
    machine
}

/// What is known from outside.
#[derive(Default)]
struct Ledger {
    /// Messages that got their 250, and the number that their body follows from.
    accepted: BTreeMap<MessageId, u64>,
    /// Attempts whose deferral is durable.
    deferred: BTreeMap<MessageId, u32>,
    /// What was appended last and may be durable or not: whether it ended the message.
    open: BTreeMap<MessageId, bool>,
    /// Over, durably.
    over: Vec<MessageId>,
    numbers: u64,
}

type Shared = Rc<RefCell<Ledger>>;

fn length(number: u64) -> usize {
    [300, 3_000, 9_000, 30_000, 150_000][(number % 5) as usize]
}

/// Sends messages, as fast as there is room.
async fn send(life: Life, ledger: Shared) {
    loop {
        let now = life.reactor.now();
        life.reactor.sleep(now + Duration::from_millis(5)).await;
        if life.queue.admission() != Admission::Open {
            continue;
        }
        let number = {
            let mut ledger = ledger.borrow_mut();
            ledger.numbers += 1;
            ledger.numbers
        };
        let mut draft = life.queue.draft();
        let mut streamed = Ok(());
        for piece in body(number, length(number)).chunks(16 << 10) {
            if streamed.is_ok() && draft.append(piece).is_full() {
                streamed = draft.room().await;
            }
        }
        let envelope = envelope("a@example.org", &["b@example.net", "c@example.net"]);
        let committed = life.queue.commit(draft, envelope, HEADER.to_vec(), 0).await;
        if let (Ok(()), Ok(id)) = (streamed, committed) {
            ledger.borrow_mut().accepted.insert(id, number);
        }
    }
}

/// Delivers most, defers some, and delivers of others one recipient.
async fn deliver(life: Life, ledger: Shared, chance: Rc<RefCell<Chance>>) {
    loop {
        let ticket = life.next().await;
        let id = ticket.id;
        let bytes = life.read(&ticket).await;
        if let Some(number) = ledger.borrow().accepted.get(&id) {
            assert_eq!(bytes, whole(&body(*number, length(*number))), "{id}");
        }
        let dice = chance.borrow_mut().below(20);
        let outcomes: Vec<(u32, Outcome)> = match dice {
            0 => ticket.recipients.iter().map(|one| (*one, deferred())).collect(),
            1 => ticket.recipients.iter().map(|one| (*one, half(*one))).collect(),
            2.. => ticket.recipients.iter().map(|one| (*one, delivered())).collect(),
        };
        let ends = outcomes.iter().all(|(_, one)| matches!(one, Outcome::Delivered { .. }));
        let attempt = ticket.attempt;
        ledger.borrow_mut().open.insert(id, ends);
        life.queue.settle(ticket, outcomes, None);
        life.queue.drain().await;
        if life.queue.failed() {
            return;
        }
        let mut ledger = ledger.borrow_mut();
        ledger.open.remove(&id);
        if ends {
            ledger.over.push(id);
            ledger.accepted.remove(&id);
            ledger.deferred.remove(&id);
        } else {
            ledger.deferred.insert(id, attempt);
        }
    }
}

fn half(recipient: u32) -> Outcome {
    if recipient == 0 { delivered() } else { deferred() }
}

/// Compares what a start has found with what was promised.
fn compare(life: &Life, ledger: &mut Ledger) {
    let listed = life.list();
    let attempts: BTreeMap<MessageId, u32> = listed
        .iter()
        .map(|one| (one.id, one.recipients.iter().map(|to| to.attempts).max().unwrap_or(0)))
        .collect();
    for id in &ledger.over {
        assert!(!attempts.contains_key(id), "{id} was over and has come back");
    }
    for id in ledger.accepted.keys() {
        let ends = ledger.open.get(id) == Some(&true);
        let there = attempts.get(id);
        assert!(there.is_some() || ends, "{id} was promised and is lost");
        let least = ledger.deferred.get(id).copied().unwrap_or(0);
        assert!(there.is_none_or(|there| *there >= least), "outcomes of {id} are lost");
    }
    let gone = |id: &MessageId| !attempts.contains_key(id);
    let over: Vec<MessageId> = ledger.accepted.keys().filter(|id| gone(id)).copied().collect();
    ledger.accepted.retain(|id, _| !gone(id));
    ledger.over.extend(over);
    ledger.open.clear();
}

fn lives(seed: u64, kind: FileSystemKind) -> usize {
    let mut chance = Chance::new(seed);
    let machine = machine(seed, Faults::mild(), kind, 16 << 20);
    let ledger = Shared::default();
    let odds = Rc::new(RefCell::new(Chance::new(!seed)));
    let files = Rc::new(Cell::new(0));
    for _ in 0..LIVES {
        let process = machine.host.start();
        let (book, dice) = (Rc::clone(&ledger), Rc::clone(&odds));
        let begun = Rc::new(Cell::new(None::<Instant>));
        let start = Rc::clone(&begun);
        let never = machine.begin(&process, large(), move |life| async move {
            compare(&life, &mut book.borrow_mut());
            start.set(Some(life.reactor.now()));
            for _ in 0..3 {
                life.reactor.spawn(send(life.clone(), Rc::clone(&book)));
                life.reactor.spawn(deliver(life.clone(), Rc::clone(&book), Rc::clone(&dice)));
            }
            life.reactor.sleep(Instant::NEVER).await;
        });
        assert!(machine.world.run(|| begun.get().is_some(), LIMIT), "it does not start");
        // Looks for something to compact come at whole seconds: that is when most crashes come.
        let seconds = 1 + chance.below(6);
        let spread = if chance.hits(0.7) { 60_000 } else { 1_000_000 };
        let life = Duration::from_secs(seconds) + Duration::from_micros(chance.below(spread));
        machine.world.run(|| false, life);
        files.set(files.get().max(segments(&machine.host)));
        assert!(never.borrow().is_none());
        if chance.hits(0.5) { machine.host.lose_power() } else { process.kill() }
    }
    let count = ledger.borrow().numbers as usize;
    live(&machine, move |life| async move {
        compare(&life, &mut ledger.borrow_mut());
        for _ in 0..life.list().len() {
            let ticket = life.next().await;
            let bytes = life.read(&ticket).await;
            if let Some(number) = ledger.borrow().accepted.get(&ticket.id) {
                assert_eq!(bytes, whole(&body(*number, length(*number))));
            }
            life.settle(ticket, &delivered());
        }
        assert_eq!(life.list(), []);
    });
    count
}

#[test]
fn compaction_loses_nothing_and_doubles_nothing_whenever_it_is_cut_short() {
    let mut begun = 0;
    for seed in 0..SEEDS {
        for kind in KINDS {
            let result = std::panic::catch_unwind(|| lives(seed, kind));
            let Ok(count) = result else { panic!("seed {seed}, {kind:?}") };
            begun += count;
        }
    }
    assert!(begun > 2_000, "the load has done nothing: {begun}");
}

#[test]
fn space_stays_within_half_more_than_what_lives_and_a_few_segments() {
    for kind in KINDS {
        let machine = machine(7, Faults::none(), kind, 16 << 20);
        let host = machine.host.clone();
        live(&machine, move |life| async move {
            let mut most = 0;
            for number in 0..4_000 {
                life.accept("a@example.org", &["b@example.net"], &body(number, 9_000)).await;
                let ticket = life.next().await;
                let outcome = if number % 50 == 0 { deferred() } else { delivered() };
                life.settle(ticket, &outcome);
                if number % 100 == 0 {
                    let now = life.reactor.now();
                    life.reactor.sleep(now + Duration::from_millis(500)).await;
                    most = most.max(segments(&host));
                }
            }
            let now = life.reactor.now();
            life.reactor.sleep(now + Duration::from_secs(5)).await;
            // 80 messages of 9,000 bytes live, which is not one segment of 1 MiB; without
            // compaction each of the 38 segments has one of them.
            assert!(segments(&host) <= 4, "{kind:?}: {} segments", segments(&host));
            assert!(most <= 8, "{kind:?}: {most} segments");
            assert_eq!(life.list().len(), 80);
            let found: Vec<u64> = life.list().iter().map(|one| one.bytes).collect();
            assert!(found.iter().all(|bytes| *bytes > 9_000));
        });
    }
}

#[test]
fn a_small_disk_that_fills_up_takes_mail_again_once_it_has_delivered() {
    for kind in KINDS {
        let machine = machine(9, Faults::none(), kind, 32 << 20);
        live(&machine, move |life| async move {
            let mut number = 0;
            for round in 0..4 {
                let mut waits = 0;
                while waits < 40 {
                    let now = life.reactor.now();
                    if life.queue.admission() != Admission::Open {
                        // It says so for good, not just for a moment.
                        waits += 1;
                        life.reactor.sleep(now + Duration::from_millis(100)).await;
                        continue;
                    }
                    waits = 0;
                    let mut draft = life.queue.draft();
                    assert!(!draft.append(&body(number, 9_000)).is_full());
                    let envelope = envelope("a@example.org", &["b@example.net"]);
                    // Without room it is refused, which is the point.
                    let _ = life.queue.commit(draft, envelope, HEADER.to_vec(), 0).await;
                    number += 1;
                }
                assert_eq!(life.queue.admission(), Admission::DiskFull, "round {round}");
                // All but each fiftieth, each by itself and in no order: outcomes everywhere.
                let mut chance = Chance::new(round);
                let mut kept = Vec::new();
                while let Some(ticket) = life.take() {
                    if chance.hits(0.02) {
                        kept.push(ticket);
                        continue;
                    }
                    life.read(&ticket).await;
                    life.settle(ticket, &delivered());
                    life.queue.drain().await;
                }
                kept.into_iter().for_each(|ticket| life.settle(ticket, &deferred()));
                let patience = life.reactor.now() + Duration::from_secs(30);
                while life.queue.admission() != Admission::Open {
                    assert!(life.reactor.now() < patience, "round {round}: full for ever");
                    let now = life.reactor.now();
                    life.reactor.sleep(now + Duration::from_millis(100)).await;
                }
            }
            assert!(number > 3_000, "{number} messages");
        });
    }
}
