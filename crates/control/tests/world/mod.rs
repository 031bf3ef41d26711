//! A control plane with one made-up shard, as the tests of the whole plane use it.
#![allow(dead_code, reason = "each test program uses a part of this")]

use control::client::{ClientError, Method, call};
use control::{
    About, Answer, Format, Log, Options, Order, Plane, Reload, ShardLink, Target, Window,
};
use mail::{Level, MessageId, UnixTime};
use queue::{Listed, State};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often a condition is looked at before a test fails: half a minute or more.
const PATIENCE: u32 = 50_000;

/// A running plane with one made-up shard.
pub(crate) struct World {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) socket: PathBuf,
    metrics: SocketAddr,
    /// The shards' end of the questions.
    pub(crate) questions: control::Questions,
    log: Log,
    writer: JoinHandle<()>,
    pub(crate) window: Window,
    /// The drain order, once it has come: answering it ends the shard.
    drained: Receiver<Answer<usize>>,
    pub(crate) plane: JoinHandle<control::Ended>,
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
            // What is dropped unanswered is a shard that has nothing to say.
            Some(Order::Reload(_) | Order::Export { .. } | Order::Import { .. }) => {}
            Some(Order::Drain { answer, .. }) => {
                drop(drained.send(answer));
                return;
            }
        }
    }
}

pub(crate) fn start(
    reload: impl FnMut() -> Result<Vec<control::Apply>, String> + Send + 'static,
) -> World {
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
    let (log, writer) = Log::start(Target::File(log), Format::Text, Level::Info).expect("a log");
    let (orders, inbox) = reactor::channel(16);
    let window = Window::default();
    let links = vec![ShardLink { orders, window: Arc::clone(&window) }];
    let (drain, drained) = channel();
    std::thread::Builder::new().spawn(move || shard(inbox, &drain)).expect("a thread");
    let (questions, lookups) = control::lookups();
    let plane_log = log.clone();
    let plane = std::thread::Builder::new().spawn(move || {
        let reload: Reload = Box::new(reload);
        let about = About { hostname: "relay.example".into(), shards: 1, ..About::default() };
        let log = plane_log;
        let (_, doorman) = control::exchanges(control::Source::Nobody, 1);
        let watches = Vec::new();
        Plane { options, sockets, log, shards: links, lookups, doorman, watches, reload, about }
            .run()
    });
    let plane = plane.expect("a thread");
    World { directory, socket, metrics, questions, log, writer, window, drained, plane }
}

pub(crate) fn started() -> World {
    start(|| Ok(vec![Box::new(|_| ())]))
}

impl World {
    pub(crate) fn get(&self, path: &str) -> Result<Value, ClientError> {
        call(&self.socket, Method::GET, path, None)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value, ClientError> {
        call(&self.socket, Method::POST, path, Some(body))
    }

    /// The whole reply of the metrics' port.
    pub(crate) fn scrape(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.metrics).expect("it listens");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut reply = String::new();
        stream.read_to_string(&mut reply).expect("it answers");
        reply
    }

    /// Drains, and gives what the plane came to.
    pub(crate) fn end(self) -> control::Ended {
        self.post("/drain", &json!({})).expect("it drains");
        self.await_drain()(3);
        self.join().0
    }

    /// Waits for the end of the plane and of the log, which ends with its last handle. The
    /// directory has what they left.
    pub(crate) fn join(self) -> (control::Ended, tempfile::TempDir) {
        let Self { plane, log, writer, directory, .. } = self;
        let ended = plane.join().expect("the plane ends");
        drop(log);
        writer.join().expect("the plane has left no handle of the log behind");
        (ended, directory)
    }

    /// Asks for the status until it is as `wanted`.
    pub(crate) fn await_status(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        (0..PATIENCE)
            .map(|_| self.get("/status").expect("a status"))
            .find(|status| wanted(status))
            .expect("the status becomes as it should")
    }

    /// The drain order's answer, once the order has come.
    pub(crate) fn await_drain(&self) -> Answer<usize> {
        self.drained.recv_timeout(Duration::from_secs(60)).expect("the order comes")
    }
}
