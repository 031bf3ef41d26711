//! What a queued message costs in memory: `cargo run --release -p queue --example memory -- 200000
//! DIRECTORY`.
//!
//! Queues so many messages of one recipient for 10,000 next hops, each from a sender of its own,
//! and prints by how much the resident set grew. The addresses, about 20 bytes long, are in it; the
//! allocator gives 32 for each.

use mail::{
    BodyKind, Envelope, ForwardPath, Journal, NextHop, Origin, Protocol, ReversePath, UnixTime,
};
use queue::{Lock, Options, Queue, Start};
use reactor::Reactor;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

/// Commits that wait at a time.
const AT_ONCE: usize = 500;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let count: usize = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(200_000);
    let directory =
        arguments.next().map_or_else(|| PathBuf::from("/dev/shm/memory"), PathBuf::from);
    let (reactor, _) = Reactor::new(&reactor::Options::default()).expect("a kernel");
    let here = reactor.clone();
    reactor.run(async move { measure(&here, directory, count).await });
    reactor.shut_down();
}

async fn measure(reactor: &Reactor, directory: PathBuf, count: usize) {
    let options = Options { directory: directory.clone(), hot_bytes: 0, ..Options::default() };
    let journal = Journal::silent();
    let lock = Lock::take(reactor, &directory, &journal, Duration::from_secs(1)).await;
    let lock = lock.expect("the directory is free");
    let start = Start {
        options: Rc::new(options),
        tenure: lock.shared(),
        shard: 0,
        shards: 1,
        router: Rc::new(|_, to| {
            NextHop::new(&format!("mx://{}", to.domain().map_or("none", |domain| domain.as_str())))
        }),
        journal,
    };
    let queue = Queue::open(reactor, start).await.expect("the spool opens");
    // What grows once is there before it is measured.
    accept(reactor, &queue, 0..10_000).await;
    let before = resident_bytes();
    accept(reactor, &queue, 10_000..10_000 + count).await;
    let grown = resident_bytes().saturating_sub(before);
    println!("{} bytes a message: {count} messages, {} MiB", grown / count, grown >> 20);
}

async fn accept(reactor: &Reactor, queue: &Queue, numbers: std::ops::Range<usize>) {
    for from in numbers.clone().step_by(AT_ONCE) {
        let until = (from + AT_ONCE).min(numbers.end);
        let left = Rc::new(std::cell::Cell::new(until - from));
        let all = reactor::Signal::new(reactor);
        for number in from..until {
            let (queue, left, all) = (queue.clone(), Rc::clone(&left), all.clone());
            reactor.spawn(async move {
                let mut draft = queue.draft();
                let _ = draft.append(b"Subject: x\r\n\r\nx\r\n");
                let committed = queue.commit(draft, envelope(number), Vec::new(), 0).await;
                committed.expect("the disk is well");
                left.set(left.get() - 1);
                all.notify_all();
            });
        }
        while left.get() > 0 {
            all.wait(reactor::Instant::NEVER).await;
        }
    }
}

fn envelope(number: usize) -> Envelope {
    let from = format!("s{number:07}@client.ex");
    let to = format!("r{number:07}@d{}.example", number % 10_000);
    Envelope {
        reverse_path: ReversePath::parse(&from).expect("a good path"),
        recipients: vec![ForwardPath::parse(&to).expect("a good path")],
        body: BodyKind::SevenBit,
        utf8: false,
        request: None,
        origin: Origin {
            client: Some(([192, 0, 2, (number % 250) as u8], 4000).into()),
            hello: "client.example".into(),
            listener: "mx".into(),
            rule: "relay.networks".into(),
            protocol: Protocol::Esmtp,
            arrived: UnixTime(0),
            ..Origin::default()
        },
    }
}

/// The process's resident set, in bytes.
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("it is a number") * 4096
}
