//! The control plane as a whole, with a shard that says what the test wants.

use control::client::{ClientError, Method, call};
use control::{
    About, Answer, Format, Log, Options, Order, Plane, Reload, ShardLink, Snapshot, Target, Window,
};
use mail::{Level, MessageId, UnixTime};
use queue::{Listed, State};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// A running plane with one made-up shard.
struct World {
    /// Kept, for what is in it.
    _directory: tempfile::TempDir,
    socket: PathBuf,
    metrics: SocketAddr,
    window: Window,
    /// The drain order, once it has come: answering it ends the shard.
    drained: Receiver<Answer<usize>>,
    plane: JoinHandle<control::Ended>,
}

fn listed(sequence: u64) -> Listed {
    Listed {
        id: MessageId::new(0, 1, sequence),
        accepted: UnixTime(sequence),
        bytes: 12,
        from: "a@example.org".into(),
        state: State::Deferred,
        recipients: Vec::new(),
    }
}

/// Two messages; whatever is done is done to both.
fn shard(mut orders: reactor::Receiver<Order>, drained: &Sender<Answer<usize>>) {
    loop {
        match orders.try_recv() {
            None => std::thread::yield_now(),
            Some(Order::List { answer, .. }) => answer(vec![listed(2), listed(1)]),
            Some(Order::Show { answer, .. }) => answer(None),
            Some(Order::Summary { answer }) => answer(queue::Summary::default()),
            Some(Order::Act { filter, answer, .. }) => answer(if filter.all { 2 } else { 1 }),
            Some(Order::Destinations { answer }) => answer(Vec::new()),
            Some(Order::Reload(_)) => {}
            Some(Order::Drain { answer, .. }) => {
                drop(drained.send(answer));
                return;
            }
        }
    }
}

fn start(reload: impl FnMut() -> Result<Vec<control::Apply>, String> + Send + 'static) -> World {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("control.sock");
    let options = Options {
        socket: socket.clone(),
        group: None,
        metrics: Some("127.0.0.1:0".parse().expect("an address")),
        dns_servers: vec!["127.0.0.1:1".parse().expect("an address")],
        dns_timeout: Duration::from_secs(1),
        drain: Duration::from_secs(20),
        version: "9.9.9",
    };
    let sockets = control::bind(&options).expect("free sockets");
    let listener = sockets.metrics.as_ref().expect("a listener");
    let metrics = listener.local_addr().expect("an address");
    let log = directory.path().join("log");
    let (log, _) = Log::start(Target::File(log), Format::Text, Level::Info).expect("a log");
    let (orders, inbox) = reactor::channel(16);
    let window = Window::default();
    let links = vec![ShardLink { orders, window: Arc::clone(&window) }];
    let (drain, drained) = channel();
    std::thread::Builder::new().spawn(move || shard(inbox, &drain)).expect("a thread");
    let (_, lookups) = control::lookups();
    let plane = std::thread::Builder::new().spawn(move || {
        let reload: Reload = Box::new(reload);
        let about = About { hostname: "relay.example".into(), shards: 1, ..About::default() };
        Plane { options, sockets, log, shards: links, lookups, reload, about }.run()
    });
    let plane = plane.expect("a thread");
    World { _directory: directory, socket, metrics, window, drained, plane }
}

fn started() -> World {
    start(|| Ok(vec![Box::new(|_| ())]))
}

impl World {
    fn get(&self, path: &str) -> Result<Value, ClientError> {
        call(&self.socket, Method::GET, path, None)
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, ClientError> {
        call(&self.socket, Method::POST, path, Some(body))
    }

    /// The whole reply of the metrics' port.
    fn scrape(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.metrics).expect("it listens");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut reply = String::new();
        stream.read_to_string(&mut reply).expect("it answers");
        reply
    }

    /// Drains, and gives what the plane came to.
    fn end(self) -> control::Ended {
        self.post("/drain", &json!({})).expect("it drains");
        self.drained.recv().expect("the order comes")(3);
        self.plane.join().expect("it ends")
    }
}

fn snapshot(failed: bool) -> Snapshot {
    Snapshot {
        server: server::Counters::default(),
        queue: queue::Counters { messages: [1, 2, 3], ..queue::Counters::default() },
        delivery: delivery::Counters::default(),
        reactor: reactor::Counters::default(),
        failed,
    }
}

#[test]
fn messages_are_listed_the_oldest_first_and_acted_upon() {
    let world = started();
    let list = world.get("/queue?to=example.org&limit=10").expect("a list");
    let ids: Vec<_> = list["messages"].as_array().expect("messages").iter().collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0]["id"], MessageId::new(0, 1, 1).to_string());
    assert_eq!(ids[0]["state"], "deferred");
    assert_eq!(list["silent_shards"], json!([]));
    let limited = world.get("/queue?limit=1").expect("a list");
    assert_eq!(limited["messages"].as_array().map(Vec::len), Some(1));
    let done = world.post("/queue/hold", &json!({ "all": true })).expect("it is done");
    assert_eq!(done["messages"], 2);
    world.end();
}

#[test]
fn what_makes_no_sense_is_refused_with_a_reason() {
    let world = started();
    let error = world.post("/queue/remove", &json!({})).expect_err("which?");
    assert!(error.to_string().contains("which messages"), "{error}");
    let error = world.get("/queue?state=asleep").expect_err("no such state");
    assert!(error.to_string().contains("asleep"), "{error}");
    let error = world.get("/queue/0000000000000000").expect_err("no such message");
    assert!(matches!(error, ClientError::Refused { status: 404, .. }), "{error}");
    let error = world.get("/nothing").expect_err("no such path");
    assert!(matches!(error, ClientError::Refused { status: 404, .. }), "{error}");
    world.end();
}

#[test]
fn status_tells_the_version_the_state_and_the_numbers() {
    let world = started();
    world.window.lock().expect("a window").push(snapshot(false));
    let status = loop {
        let status = world.get("/status").expect("a status");
        if status["numbers"]["held"] == 3 {
            break status;
        }
    };
    assert_eq!(status["version"], "9.9.9");
    assert_eq!(status["hostname"], "relay.example");
    assert_eq!(status["state"], "running");
    assert_eq!(status["numbers"]["deferred"], 2);
    world.end();
}

#[test]
fn a_relay_that_drains_is_alive_but_not_ready() {
    let world = started();
    assert!(world.scrape("/healthz").starts_with("HTTP/1.1 200"));
    assert!(world.scrape("/readyz").starts_with("HTTP/1.1 200"));
    world.post("/drain", &json!({})).expect("it drains");
    let answer = world.drained.recv().expect("the order comes");
    assert!(world.scrape("/healthz").starts_with("HTTP/1.1 200"));
    let ready = world.scrape("/readyz");
    assert!(ready.starts_with("HTTP/1.1 503") && ready.ends_with("draining\n"), "{ready}");
    answer(3);
    let ended = world.plane.join().expect("it ends");
    assert_eq!(ended, control::Ended { failure: None, sessions_left: 3 });
    assert!(!world.socket.exists(), "the socket goes with its relay");
}

#[test]
fn a_refused_reload_is_told_and_shows_in_the_metrics() {
    let verdicts = Mutex::new(vec![Ok(()), Err("line 7: no such key")]);
    let world = start(move || {
        let verdict = verdicts.lock().expect("verdicts").pop().expect("two reloads");
        verdict.map(|()| vec![Box::new(|_: &_| ()) as control::Apply]).map_err(str::to_owned)
    });
    let error = world.post("/reload", &json!({})).expect_err("a bad configuration");
    assert!(error.to_string().contains("line 7"), "{error}");
    assert!(world.scrape("/metrics").contains("ringpost_config_reload_ok 0"));
    let status = world.get("/status").expect("a status");
    assert!(status["problems"][0]["text"].as_str().expect("a text").contains("line 7"));
    world.post("/reload", &json!({})).expect("a good configuration");
    assert!(world.scrape("/metrics").contains("ringpost_config_reload_ok 1"));
    world.end();
}

#[test]
fn a_failed_spool_drains_the_process_and_is_its_end() {
    let world = started();
    world.window.lock().expect("a window").push(snapshot(true));
    let answer = world.drained.recv().expect("nobody had to ask");
    assert!(world.scrape("/readyz").contains("503"));
    answer(0);
    let ended = world.plane.join().expect("it ends");
    assert!(ended.failure.expect("a reason").contains("disk"));
}

#[test]
fn metrics_are_in_the_text_format_of_prometheus() {
    let world = started();
    let reply = world.scrape("/metrics");
    assert!(reply.contains("content-type: text/plain; version=0.0.4"), "{reply}");
    assert!(reply.contains("ringpost_build_info{version=\"9.9.9\""), "{reply}");
    assert!(reply.contains("process_resident_memory_bytes"), "{reply}");
    world.end();
}
