//! How long a start takes that finds many messages, and the memory that it leaves them.
//!
//! `cargo run --release -p benches --bin spool_recovery -- DIRECTORY [MESSAGES] [BYTES]` fills a
//! spool of two logs in DIRECTORY (which must not exist), then starts in a process of its own on
//! what is there. Both logs are recovered by one thread, one after the other; a relay has a thread
//! for each. Where segments are written in place they are read past the page cache as well.

use mail::{BodyKind, Envelope, ForwardPath, Journal, Level, MessageId, NextHop, Origin, Protocol};
use mail::{ReversePath, UnixTime};
use queue::{Lock, Options, Queue, SpoolFree, Start};
use reactor::Reactor;
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

const LOGS: usize = 2;

/// Commits that wait at a time, in each log: their batches are full.
const SENDERS: u64 = 256;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().expect("a directory");
    if directory == "--start" {
        let directory = PathBuf::from(arguments.next().expect("a directory"));
        with_reactor(|reactor| start(reactor, directory));
        return;
    }
    let number = |text: Option<String>, usual: u64| {
        text.map_or(usual, |text| text.parse().expect("a number"))
    };
    let messages = number(arguments.next(), 1_000_000);
    let bytes = number(arguments.next(), 4096);
    let path = PathBuf::from(&directory);
    assert!(!path.exists(), "{directory} exists: nothing is written over what may be mail");
    with_reactor(|reactor| build(reactor, path, messages, bytes as usize));
    let own = std::env::current_exe().expect("a program has a path");
    let ended = std::process::Command::new(own).args(["--start", &directory]).status();
    assert!(ended.expect("a program runs twice").success());
}

fn with_reactor<F: Future<Output = ()> + 'static>(script: impl FnOnce(Reactor) -> F) {
    let kernel = reactor::Options { backend: reactor::Backend::Auto, ..Default::default() };
    let (reactor, _) = Reactor::new(&kernel).expect("some kernel is there");
    reactor.run(script(reactor.clone()));
    reactor.shut_down();
}

/// Opens the queues of all logs, one after the other, and tells how long that takes from when the
/// lock is held: the last writes of the process before may land for a while.
async fn open(reactor: &Reactor, directory: &Path) -> (Lock, Vec<Queue>, Duration) {
    let journal = Journal::new(Level::Info, Rc::new(|event: mail::Event| println!("{event:?}")));
    let lock = Lock::take(reactor, directory, &journal, Duration::from_secs(30)).await;
    let lock = lock.unwrap_or_else(|error| panic!("{error}"));
    let began = reactor.now();
    let mut queues = Vec::new();
    for shard in 0..LOGS {
        let options = Options {
            directory: directory.into(),
            spool_free: SpoolFree::Bytes(0),
            ..Options::default()
        };
        let hop = NextHop::new("mx://example.net");
        let start = Start {
            options: Rc::new(options),
            tenure: lock.shared(),
            shard,
            shards: LOGS,
            router: Rc::new(move |_, _| hop.clone()),
            journal: journal.clone(),
        };
        queues.push(Queue::open(reactor, start).await.unwrap_or_else(|error| panic!("{error}")));
    }
    (lock, queues, reactor.now().since(began))
}

async fn build(reactor: Reactor, directory: PathBuf, messages: u64, bytes: usize) {
    let (lock, queues, _) = open(&reactor, &directory).await;
    let line = b"This line is repeated until the message is as long as it was asked for.\r\n";
    let body: Rc<Vec<u8>> = Rc::new(line.iter().copied().cycle().take(bytes).collect());
    let began = reactor.now();
    for queue in &queues {
        let left = Rc::new(Cell::new(messages / LOGS as u64));
        for _ in 0..SENDERS {
            reactor.spawn(send(queue.clone(), Rc::clone(&body), Rc::clone(&left)));
        }
    }
    while queues.iter().map(queued).sum::<u64>() < messages / LOGS as u64 * LOGS as u64 {
        reactor.sleep(reactor.now() + Duration::from_millis(100)).await;
    }
    let took = reactor.now().since(began);
    println!("built: {messages} messages of {bytes} bytes in {:.1} s", took.as_secs_f64());
    // As a process that is killed leaves it: what is written to is not sealed.
    drop((lock, queues));
}

fn queued(queue: &Queue) -> u64 {
    queue.counters().messages.iter().sum()
}

async fn send(queue: Queue, body: Rc<Vec<u8>>, left: Rc<Cell<u64>>) {
    while left.get() > 0 {
        left.set(left.get() - 1);
        let mut draft = queue.draft();
        if draft.append(&body).is_full() {
            draft.room().await.expect("the disk is well");
        }
        let header = header(draft.id());
        queue.commit(draft, envelope(left.get()), header, 0).await.expect("the disk is well");
    }
}

fn header(id: MessageId) -> Vec<u8> {
    let by = "by relay.example.org (Ringpost) with ESMTP";
    format!(
        "Received: from client.example.net (client.example.net [192.0.2.7])\r\n\t{by} id {id}\r\n\
         \tfor <someone@example.net>; Tue, 24 Nov 2026 20:00:00 +0000\r\n"
    )
    .into_bytes()
}

fn envelope(number: u64) -> Envelope {
    let recipient = format!("recipient{number}@example.net");
    Envelope {
        reverse_path: ReversePath::parse("sender@example.org").expect("a good path"),
        recipients: vec![ForwardPath::parse(&recipient).expect("a good path")],
        body: BodyKind::SevenBit,
        utf8: false,
        request: None,
        origin: Origin {
            client: Some("192.0.2.7:4000".parse().expect("an address")),
            hello: "client.example.net".into(),
            listener: "mx".into(),
            rule: "relay.domains".into(),
            protocol: Protocol::Esmtp,
            arrived: UnixTime(0),
            ..Origin::default()
        },
    }
}

async fn start(reactor: Reactor, directory: PathBuf) {
    let before = resident_bytes("VmRSS:");
    let (_lock, queues, took) = open(&reactor, &directory).await;
    let took = took.as_secs_f64();
    let messages: u64 = queues.iter().map(queued).sum();
    let each = |bytes: u64| bytes.saturating_sub(before) / messages.max(1);
    println!(
        "{}: {messages} messages in {took:.2} s, {:.0} messages/s, {} bytes resident each \
         ({} at the highest)",
        reactor.kernel_name(),
        messages as f64 / took,
        each(resident_bytes("VmRSS:")),
        each(resident_bytes("VmHWM:")),
    );
}

/// A line of `/proc/self/status`, which counts in KiB.
fn resident_bytes(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    number.unwrap_or(0) * 1024
}
