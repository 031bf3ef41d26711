//! What a message costs on disk: bytes written for each, and the space that the spool takes.
//!
//! `cargo run --release -p benches --bin spool_space -- DIRECTORY` works in DIRECTORY (which must
//! not exist, and should be on the file system that is meant). Every message has 4 KiB, is
//! accepted, handed out, and delivered: its outcome is in the figures. Bytes are those that the
//! kernel counts for this process (`write_bytes` of `/proc/self/io`), zeros of new segments
//! included; the spool is warmed up first, so that segments are recycled. At last one message in
//! fifty stays.

use mail::{EnhancedStatus, Envelope, ForwardPath, Journal, NextHop, Origin, Outcome};
use mail::{Reason, Reply, ReversePath, UnixTime};
use queue::{Lock, Options, Queue, SpoolFree, Start, Ticket};
use reactor::{Instant, Reactor};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

const MESSAGE_BYTES: usize = 4096;

/// One message in so many stays, in the last part.
const STAYS: u64 = 50;

fn main() {
    let directory = std::env::args().nth(1).expect("a directory");
    let path = PathBuf::from(&directory);
    assert!(!path.exists(), "{directory} exists: nothing is written over what may be mail");
    let kernel = reactor::Options { backend: reactor::Backend::Auto, ..Default::default() };
    let (reactor, _) = Reactor::new(&kernel).expect("some kernel is there");
    reactor.run(measure(reactor.clone(), path));
    reactor.shut_down();
}

async fn measure(reactor: Reactor, directory: PathBuf) {
    let (_lock, queue) = open(&reactor, &directory).await;
    let stays = Rc::new(Cell::new(false));
    reactor.spawn(deliver(reactor.clone(), queue.clone(), Rc::clone(&stays)));
    round(&reactor, &queue, 50, 150_000).await;
    for (committers, messages) in [(50, 100_000), (1, 5_000)] {
        let before = written_bytes();
        let began = reactor.now();
        round(&reactor, &queue, committers, messages).await;
        let took = reactor.now().since(began).as_secs_f64();
        let each = (written_bytes() - before) as f64 / messages as f64;
        let rate = messages as f64 / took;
        println!("{committers:>2} committers: {each:.0} bytes written a message, {rate:.0}/s");
    }
    stays.set(true);
    for _ in 0..8 {
        round(&reactor, &queue, 50, 50_000).await;
        reactor.sleep(reactor.now() + Duration::from_secs(2)).await;
        let counters = queue.counters();
        let spool = directory_bytes(&directory);
        println!(
            "one in {STAYS} stays: {} messages, {} MiB live, {} MiB on disk",
            counters.messages.iter().sum::<u64>(),
            counters.live_bytes >> 20,
            spool >> 20
        );
    }
}

/// Commits `messages` messages, and waits until all are delivered or deferred.
async fn round(reactor: &Reactor, queue: &Queue, committers: u64, messages: u64) {
    let left = Rc::new(Cell::new(messages));
    for _ in 0..committers {
        reactor.spawn(send(queue.clone(), Rc::clone(&left)));
    }
    while left.get() > 0 || queue.counters().messages[0] > 0 {
        reactor.sleep(reactor.now() + Duration::from_millis(5)).await;
    }
    queue.drain().await;
}

async fn send(queue: Queue, left: Rc<Cell<u64>>) {
    let line = b"This line is repeated until the message is as long as it was asked for.\r\n";
    let body: Vec<u8> = line.iter().copied().cycle().take(MESSAGE_BYTES).collect();
    while left.get() > 0 {
        left.set(left.get() - 1);
        let mut draft = queue.draft();
        assert!(!draft.append(&body).is_full());
        let header = format!(
            "Received: from client.example.net (client.example.net [192.0.2.7])\r\n\tby \
             relay.example.org (Ringpost) with ESMTP id {}\r\n\tfor <someone@example.net>; Tue, \
             24 Nov 2026 20:00:00 +0000\r\n",
            draft.id()
        );
        let committed = queue.commit(draft, envelope(), header.into_bytes(), 0).await;
        committed.expect("the disk is well");
    }
}

/// Delivers whatever is due; in the last part defers one in [`STAYS`].
async fn deliver(reactor: Reactor, queue: Queue, stays: Rc<Cell<bool>>) {
    let hop = NextHop::new("mx://example.net");
    for number in 0_u64.. {
        let ticket: Ticket = loop {
            let now = UnixTime::from_epoch(reactor.wall_clock());
            drop(queue.due(now));
            match queue.take(&hop, now) {
                Some(ticket) => break ticket,
                None => queue.wait(Instant::NEVER).await,
            }
        };
        let outcome = if stays.get() && number.is_multiple_of(STAYS) {
            let reason = Reason::Network("no route to host".to_owned());
            Outcome::Deferred { reason, not_before: UnixTime(0) }
        } else {
            let reply = Reply::fixed(250, EnhancedStatus(2, 0, 0), "Ok");
            Outcome::Delivered { reply }
        };
        queue.settle(ticket, vec![(0, outcome)], None);
    }
}

async fn open(reactor: &Reactor, directory: &Path) -> (Lock, Queue) {
    let journal = Journal::silent();
    let lock = Lock::take(reactor, directory, &journal, Duration::from_secs(30)).await;
    let lock = lock.unwrap_or_else(|error| panic!("{error}"));
    let options = Options {
        directory: directory.into(),
        spool_free: SpoolFree::Bytes(0),
        ..Options::default()
    };
    let hop = NextHop::new("mx://example.net");
    let start = Start {
        options: Rc::new(options),
        tenure: lock.shared(),
        shard: 0,
        shards: 1,
        router: Rc::new(move |_, _| hop.clone()),
        journal,
    };
    let queue = Queue::open(reactor, start).await.unwrap_or_else(|error| panic!("{error}"));
    (lock, queue)
}

fn envelope() -> Envelope {
    let recipient = ForwardPath::parse("someone@example.net").expect("a good path");
    let sender = ReversePath::parse("sender@example.org").expect("a good path");
    let origin = Origin {
        client: Some("192.0.2.7:4000".parse().expect("an address")),
        hello: "client.example.net".into(),
        listener: "mx".into(),
        rule: "relay.domains".into(),
        ..Origin::default()
    };
    Envelope::new(sender, vec![recipient], origin)
}

/// What this process has had written, in bytes.
fn written_bytes() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|number| number.trim().parse().ok()).expect("the kernel counts")
}

/// The lengths of all files of a spool.
fn directory_bytes(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).expect("the spool is there");
    let length = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.expect("the spool is there").path();
        let metadata = std::fs::metadata(&path);
        // Segments come and go while we look.
        metadata.map_or(0, |one| if one.is_dir() { directory_bytes(&path) } else { one.len() })
    };
    entries.map(length).sum()
}
