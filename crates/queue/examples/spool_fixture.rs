//! Writes the spool that `tests/format.rs` opens, and the list of what is in it.
//!
//! Run it when the format has got a new version, after the directory in `tests/fixtures/spool.rs`
//! was renamed to that version: never over the files of a version that has been released.
//! `cargo run -p queue --example spool_fixture`

#[path = "../tests/harness/mod.rs"]
mod harness;
#[path = "../tests/fixtures/spool.rs"]
mod spool;

use harness::*;
use mail::{Notify, RecipientRequest, Returned, StatusRequest};
use queue::Filter;
use reactor::sim::Faults;
use reactor::{FileSystemKind, OpenHow, Reactor, Slab};
use std::path::Path;

/// The lock's file has two blocks, of which one may be zeros.
const LOCK_BYTES: usize = 8192;

fn main() {
    let machine = Machine::new(1, Faults::none());
    machine.host.format(FileSystemKind::Ext, 12 << 20, 4096);
    machine.live(first_life);
    machine.live(second_life);
    machine.live(third_life);
    spool::apart(&machine, tear);
    let names =
        machine.host.files().into_iter().filter(|path| !path.to_string_lossy().contains("spare-"));
    let names: Vec<_> = names.collect();
    let files = spool::apart(&machine, |reactor| async move {
        let mut files = Vec::new();
        for path in names {
            let bytes = read(&reactor, &path).await;
            // What was prepared and not used is a header and zeros.
            if bytes.len() == LOCK_BYTES || bytes[4096..].iter().any(|byte| *byte != 0) {
                files.push((path, bytes));
            }
        }
        files
    });
    for directory in spool::FILES_AT {
        std::fs::create_dir_all(spool::home().join(directory)).expect("a directory");
    }
    for (path, bytes) in files {
        let within = path.strip_prefix(spool::SPOOL).expect("all lies in the spool");
        std::fs::write(spool::home().join(within), bytes).expect("a file");
    }
    let list = machine.live(spool::listing).join("\n") + "\n";
    print!("{list}");
    std::fs::write(spool::home().join("list"), list).expect("a file");
}

/// What fills and seals a segment: chunks, a report, a deferral, an end, and much that is over.
async fn first_life(life: Life) {
    life.accept("plain@example.org", &["one@example.net"], &body(1, 700)).await;
    life.accept("long@example.org", &["two@example.net"], &body(2, 220_000)).await;
    let failed = life.accept("failed@example.org", &["nobody@fails.example"], &body(3, 900)).await;
    let to = ["done@fails.example", "later@later.example", "untried@example.net"];
    life.accept("several@example.org", &to, &body(4, 1200)).await;
    while let Some(ticket) = life.take_at("mx://fails.example") {
        let outcome = if ticket.id == failed { bounced() } else { delivered() };
        life.settle(ticket, &outcome);
    }
    let ticket = life.take_at("mx://later.example").expect("due");
    life.settle(ticket, &deferred());
    for number in 0..5 {
        life.accept("filler@example.org", &["over@over.example"], &body(100 + number, 95_000))
            .await;
        let ticket = life.take_at("mx://over.example").expect("due");
        life.settle(ticket, &delivered());
    }
    life.queue.drain().await;
}

/// What is killed: its segment has no seal, and a later header says where it ends.
async fn second_life(life: Life) {
    let mut envelope = envelope("asks@example.org", &["told@example.net", "silent@example.net"]);
    envelope.body = mail::BodyKind::EightBitMime;
    envelope.utf8 = true;
    envelope.origin.client = Some("[2001:db8::25]:2500".parse().expect("an address"));
    envelope.origin.user = Some("asks@example.org".into());
    envelope.origin.secured = true;
    envelope.origin.trusted = true;
    let notify = Notify { success: true, failure: true, delay: false };
    let original = Some("rfc822;told+2Bhere@example.net".into());
    envelope.request = Some(Box::new(StatusRequest {
        returned: Some(Returned::Headers),
        envelope_id: Some("QQ314159".into()),
        recipients: vec![
            RecipientRequest { notify: Some(notify), original },
            RecipientRequest { notify: Some(Notify::default()), original: None },
        ],
    }));
    let mut draft = life.queue.draft();
    fill(&mut draft, &body(5, 3000)).await;
    let committed = life.queue.commit(draft, envelope, HEADER.to_vec(), 0).await;
    committed.expect("the disk is well");
    life.queue.hold(&Filter { from: Some("plain@example.org".to_owned()), ..Filter::default() });
    life.accept("after@example.org", &["hold@example.net"], &body(6, 300)).await;
}

/// What is killed in a write.
async fn third_life(life: Life) {
    life.accept("last@example.org", &["whole@example.net"], &body(7, 500)).await;
    life.accept("torn@example.org", &["torn@example.net"], TORN).await;
}

const TORN: &[u8] = b"Subject: this write was torn\r\n\r\nno 250 was given for it\r\n";

/// Tears the last batch.
async fn tear(reactor: Reactor) {
    let log = Path::new(spool::SPOOL).join("log-00");
    for name in reactor.read_directory(&log).await.expect("a directory") {
        let path = log.join(name);
        let mut bytes = read(&reactor, &path).await;
        if let Some(place) = bytes.windows(TORN.len()).position(|window| window == TORN) {
            bytes[place + 10] ^= 1;
            spool::write(&reactor, &path, bytes).await;
        }
    }
}

/// Reads a file of the world.
async fn read(reactor: &Reactor, path: &Path) -> Vec<u8> {
    let file = reactor.open(path, OpenHow::default()).await.expect("a file");
    let length = file.length().await.expect("a length") as usize;
    let slab = file.read(Slab::new(length.max(1)), 0, length.next_multiple_of(4096)).await;
    slab.expect("the disk is well").as_slice().to_vec()
}
