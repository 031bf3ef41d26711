//! The corridor over a real queue and real sockets, with epoll.

use crate::{CensusMessage, Options, Server, Start, Totals};
use mail::{Journal, NextHop};
use policy::Policy;
use queue::{Lock, Queue};
use reactor::{Backend, Reactor};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);

fn reactor() -> Reactor {
    let options = reactor::Options { backend: Backend::Poll, ..reactor::Options::default() };
    Reactor::new(&options).expect("epoll").0
}

/// A server over a queue in `directory`, and where it listens.
async fn start(reactor: &Reactor, directory: &Path, sessions: u64) -> (Server, Queue, SocketAddr) {
    let journal = Journal::silent();
    let lock = Lock::take(reactor, directory, &journal, PATIENCE).await.expect("the lock");
    let queue_start = queue::Start {
        options: Rc::new(queue::Options {
            directory: directory.to_path_buf(),
            spool_free: queue::SpoolFree::Bytes(0),
            ..queue::Options::default()
        }),
        tenure: lock.shared(),
        shard: 0,
        shards: 1,
        router: Rc::new(|_, _| NextHop::new("mx://example.org")),
        journal: journal.clone(),
    };
    let queue = Queue::open(reactor, queue_start).await.expect("a queue");
    let (_, inbox) = reactor::channel::<CensusMessage>(1);
    let server = Server::start(
        reactor,
        Start {
            options: Options { sessions, ..Options::default() },
            policy: Policy::new(policy::Options::default()),
            queue: queue.clone(),
            journal,
            shard: 0,
            totals: Totals::new(1),
            peers: Vec::new(),
            inbox,
            seed: 1,
        },
    );
    let listener = reactor.listen("127.0.0.1:0".parse().expect("an address"), false);
    let listener = listener.expect("a listener");
    let address = listener.local_address().expect("an address");
    server.listen(listener, "test");
    (server, queue, address)
}

/// A client on a thread of its own: sends each line and reads one reply for it.
fn client(address: SocketAddr, lines: &'static [&'static str]) -> reactor::Receiver<Vec<String>> {
    let (done, replies) = reactor::channel(1);
    let talk = move || {
        let stream = TcpStream::connect(address).expect("connected");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        let mut reader = BufReader::new(stream.try_clone().expect("cloned"));
        let mut read = || {
            let mut line = String::new();
            loop {
                line.clear();
                let read = reader.read_line(&mut line).expect("read");
                if read == 0 || line.as_bytes().get(3) == Some(&b' ') {
                    return line.trim_end().to_owned();
                }
            }
        };
        let mut replies = vec![read()];
        for line in lines {
            (&stream).write_all(format!("{line}\r\n").as_bytes()).expect("written");
            replies.push(read());
        }
        // The session stays open until the receiver has taken the replies.
        let _ = done.try_send(replies);
        // What comes after, up to the end.
        let _ = done.try_send(vec![read()]);
    };
    drop(reactor::start_thread("client", None, talk).expect("a thread"));
    replies
}

#[test]
fn a_message_is_in_the_queue_once_it_has_its_250() {
    let directory = tempfile::tempdir().expect("a directory");
    let reactor = reactor();
    let (inside, path) = (reactor.clone(), directory.path().to_path_buf());
    reactor.run(async move {
        let (server, queue, address) = start(&inside, &path, 10).await;
        let mut replies = client(
            address,
            &[
                "EHLO c.example",
                "MAIL FROM:<a@example.org>",
                "RCPT TO:<b@example.org>",
                "DATA",
                "Subject: x\r\n\r\nhello\r\n.",
                "QUIT",
            ],
        );
        let replies = replies.recv(&inside).await.expect("replies");
        assert!(replies[5].starts_with("250 2.0.0 Ok: queued as "), "{replies:?}");
        let listed = queue.list(&queue::Filter { all: true, ..Default::default() }, 10);
        assert_eq!(listed.len(), 1);
        assert!(replies[5].ends_with(&listed[0].id.to_string()), "{replies:?}");
        let counters = server.counters();
        assert_eq!(counters.recipients, 1);
        assert_eq!(counters.accept_seconds.len(), 1);
        assert_eq!(counters.sessions["test"].messages, 1);
    });
    reactor.shut_down();
}

#[test]
fn a_session_over_the_limit_is_told_so() {
    let directory = tempfile::tempdir().expect("a directory");
    let reactor = reactor();
    let (inside, path) = (reactor.clone(), directory.path().to_path_buf());
    reactor.run(async move {
        let (server, _queue, address) = start(&inside, &path, 1).await;
        let mut first = client(address, &["EHLO c.example"]);
        assert!(first.recv(&inside).await.expect("replies")[0].starts_with("220 "));
        let mut second = client(address, &[]);
        let replies = second.recv(&inside).await.expect("replies");
        assert_eq!(replies, ["421 4.7.0 Too many sessions, try again later"]);
        assert_eq!(server.counters().sessions_refused[&("test".into(), "sessions")], 1);
    });
    reactor.shut_down();
}

#[test]
fn a_drain_says_421_to_idle_sessions_and_ends() {
    let directory = tempfile::tempdir().expect("a directory");
    let reactor = reactor();
    let (inside, path) = (reactor.clone(), directory.path().to_path_buf());
    reactor.run(async move {
        let (server, _queue, address) = start(&inside, &path, 10).await;
        let mut replies = client(address, &["EHLO c.example"]);
        replies.recv(&inside).await.expect("replies");
        let left = server.drain(inside.now() + PATIENCE).await;
        assert_eq!(left, 0);
        let last = replies.recv(&inside).await.expect("the last reply");
        assert!(last[0].starts_with("421 4.3.2 "), "{last:?}");
    });
    reactor.shut_down();
}

#[test]
fn what_is_held_for_a_session_stays_small() {
    // An idle session is its task: 3 KiB in all, of which this is the part that we choose.
    let size = crate::accept::session_bytes();
    assert!(size <= 2048, "the future of a session has {size} bytes");
}
