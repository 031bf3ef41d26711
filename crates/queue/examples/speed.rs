//! How fast messages go through the queue alone: accept, hand out, read, settle.
//!
//! `cargo run --release -p queue --example speed -- DIRECTORY [SENDERS] [MESSAGES] [BYTES]`

use mail::{BodyKind, Envelope, ForwardPath, Journal, NextHop, Origin, Outcome, Protocol};
use mail::{EnhancedStatus, Reply, ReversePath, UnixTime};
use queue::{Lock, Options, Queue, SpoolFree, Start};
use reactor::{Instant, Reactor};
use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

#[derive(Clone)]
struct Run {
    queue: Queue,
    body: Rc<Vec<u8>>,
    left: Rc<Cell<u64>>,
}

async fn send(run: Run) {
    while run.left.get() > 0 {
        run.left.set(run.left.get() - 1);
        let mut draft = run.queue.draft();
        for piece in run.body.chunks(16 << 10) {
            if draft.append(piece).is_full() {
                draft.room().await.expect("the disk is well");
            }
        }
        let header = b"Received: by relay.example\r\n".to_vec();
        run.queue.commit(draft, envelope(), header, 0).await.expect("the disk is well");
    }
}

fn envelope() -> Envelope {
    Envelope {
        reverse_path: ReversePath::parse("sender@example.org").expect("a good path"),
        recipients: vec![ForwardPath::parse("someone@example.net").expect("a good path")],
        body: BodyKind::SevenBit,
        utf8: false,
        request: None,
        origin: Origin {
            client: Some("192.0.2.7:4000".parse().expect("an address")),
            hello: "client.example".into(),
            listener: "mx".into(),
            rule: "relay.networks".into(),
            protocol: Protocol::Esmtp,
            arrived: UnixTime(0),
            ..Origin::default()
        },
    }
}

async fn deliver(reactor: &Reactor, queue: &Queue, messages: u64) {
    let reply = Reply::fixed(250, EnhancedStatus(2, 0, 0), "Ok");
    let mut done = 0;
    while done < messages {
        let now = UnixTime::from_epoch(reactor.wall_clock());
        let due = queue.due(now);
        for (hop, _) in &due {
            while let Some(ticket) = queue.take(hop, now) {
                let mut loaded = queue.load(&ticket).await.expect("the message is whole");
                while let Some(parts) = loaded.body.next().await.expect("the message is whole") {
                    std::hint::black_box(parts);
                }
                let outcome = Outcome::Delivered { reply: reply.clone() };
                queue.settle(ticket, vec![(0, outcome)], None);
                done += 1;
            }
        }
        if done < messages {
            queue.wait(Instant::NEVER).await;
        }
    }
    queue.drain().await;
}

async fn run(reactor: Reactor, directory: PathBuf, senders: u64, messages: u64, bytes: usize) {
    let journal = Journal::silent();
    let patience = Duration::from_secs(30);
    let lock = Lock::take(&reactor, &directory, &journal, patience).await;
    let lock = lock.unwrap_or_else(|error| panic!("{error}"));
    let options = Options { directory, spool_free: SpoolFree::Bytes(0), ..Options::default() };
    let router: queue::Router = {
        let hop = NextHop::new("mx://example.net");
        Rc::new(move |_, _| hop.clone())
    };
    let (options, tenure) = (Rc::new(options), lock.shared());
    let start = Start { options, tenure, shard: 0, shards: 1, router, journal };
    let queue = Queue::open(&reactor, start).await.unwrap_or_else(|error| panic!("{error}"));
    let line = b"This line is repeated until the message is as long as it was asked for.\r\n";
    let body: Vec<u8> = line.iter().copied().cycle().take(bytes).collect();
    let body = Rc::new(body);
    let run = Run { queue: queue.clone(), body, left: Rc::new(Cell::new(messages)) };
    let (began, busy) = (reactor.now(), reactor.counters().busy);
    for _ in 0..senders {
        reactor.spawn(send(run.clone()));
    }
    deliver(&reactor, &queue, messages).await;
    let took = reactor.now().since(began);
    let busy = reactor.counters().busy - busy;
    println!(
        "{}: {messages} messages of {bytes} bytes from {senders} senders: {:.0}/s, {:.2} µs of \
         tasks each, {} batches",
        reactor.kernel_name(),
        messages as f64 / took.as_secs_f64(),
        busy.as_secs_f64() * 1e6 / messages as f64,
        queue.counters().commit_seconds.len(),
    );
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().expect("DIRECTORY [SENDERS MESSAGES BYTES]"));
    let mut number =
        |default: u64| arguments.next().map_or(default, |text| text.parse().expect("a number"));
    let (senders, messages, bytes) = (number(50), number(100_000), number(4096));
    let (reactor, _) = Reactor::new(&reactor::Options::default()).expect("a kernel");
    let bytes = usize::try_from(bytes).expect("a size in memory");
    let main = run(reactor.clone(), directory, senders, messages, bytes);
    reactor.run(main);
    reactor.shut_down();
}
