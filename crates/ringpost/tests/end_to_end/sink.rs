//! The next hop: takes messages, and keeps each as it came.

use crate::relay::Port;
use crate::wait::until;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

/// A message as it came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    /// In wire form: dot-stuffed, without the final dot.
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// What follows the header that the relay has put on top: `Received:` and its continuation, and
    /// for a trusted client the `Date:` and `Message-ID:` that its message lacks.
    pub(crate) fn original(&self) -> &[u8] {
        assert!(self.body.starts_with(b"Received: "), "no trace header: {}", self.text());
        let mut rest = &self.body[..];
        loop {
            let end = rest.windows(2).position(|pair| pair == b"\r\n").expect("a line's end");
            rest = &rest[end + 2..];
            let ours: [&[u8]; 4] = [b" ", b"\t", b"Date: ", b"Message-ID: <"];
            if !ours.iter().any(|begin| rest.starts_with(begin)) {
                return rest;
            }
        }
    }
}

/// Whether a recipient is refused, and how.
pub(crate) type Refuse = fn(&str) -> Option<&'static str>;

struct Shared {
    refuse: Refuse,
    received: Mutex<Vec<Received>>,
    open: AtomicUsize,
    open_max: AtomicUsize,
    sessions: AtomicUsize,
    closing: AtomicBool,
    streams: Mutex<Vec<TcpStream>>,
}

/// A next hop that runs until it is dropped.
pub(crate) struct Sink {
    port: u16,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl Sink {
    /// Takes everything.
    pub(crate) fn start(port: &Port) -> Self {
        Self::refusing(port, |_| None)
    }

    /// Takes what `refuse` leaves.
    pub(crate) fn refusing(port: &Port, refuse: Refuse) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.number())).expect("our port");
        let shared = Arc::new(Shared {
            refuse,
            received: Mutex::default(),
            open: AtomicUsize::new(0),
            open_max: AtomicUsize::new(0),
            sessions: AtomicUsize::new(0),
            closing: AtomicBool::new(false),
            streams: Mutex::default(),
        });
        let inside = Arc::clone(&shared);
        let acceptor = std::thread::Builder::new().spawn(move || accept(&listener, &inside));
        Self { port: port.number(), shared, acceptor: Some(acceptor.expect("a thread")) }
    }

    /// What has come.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.received().clone()
    }

    /// How many have come.
    pub(crate) fn count(&self) -> usize {
        self.shared.received().len()
    }

    /// Waits for as many messages.
    pub(crate) fn until_count(&self, count: usize) -> Vec<Received> {
        until(&format!("{count} messages at the next hop"), || self.count() >= count);
        self.received()
    }

    /// Sessions so far.
    pub(crate) fn sessions(&self) -> usize {
        self.shared.sessions.load(Ordering::Relaxed)
    }

    /// The most sessions that were open at a time.
    pub(crate) fn open_max(&self) -> usize {
        self.shared.open_max.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn received(&self) -> MutexGuard<'_, Vec<Received>> {
        self.received.lock().expect("sessions do not panic")
    }

    fn streams(&self) -> MutexGuard<'_, Vec<TcpStream>> {
        self.streams.lock().expect("sessions do not panic")
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Relaxed);
        // Wakes the acceptor, which then drops the listener.
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
        if let Some(acceptor) = self.acceptor.take() {
            drop(acceptor.join());
        }
        for stream in self.shared.streams().drain(..) {
            // One that is closed already is as it should be.
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept() {
        if shared.closing.load(Ordering::Relaxed) {
            return;
        }
        shared.sessions.fetch_add(1, Ordering::Relaxed);
        let open = shared.open.fetch_add(1, Ordering::Relaxed) + 1;
        shared.open_max.fetch_max(open, Ordering::Relaxed);
        shared.streams().push(stream.try_clone().expect("another handle"));
        let inside = Arc::clone(shared);
        let session = std::thread::Builder::new().spawn(move || {
            // A peer that leaves in the middle is what some tests are about.
            drop(serve(&stream, &inside));
            inside.open.fetch_sub(1, Ordering::Relaxed);
        });
        session.expect("a thread");
    }
}

/// One session. Replies wait while more commands have come (RFC 2920 3.2).
fn serve(stream: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut reader = BufReader::with_capacity(64 << 10, stream);
    let mut replies = b"220 sink.example ESMTP\r\n".to_vec();
    let mut message = Received { from: String::new(), to: Vec::new(), body: Vec::new() };
    let mut output = stream;
    loop {
        if reader.buffer().is_empty() {
            output.write_all(&replies)?;
            replies.clear();
        }
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        let verb = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
        let reply = match verb.as_str() {
            "EHLO" => "250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 0",
            "MAIL" => {
                message = Received { from: path(&line), to: Vec::new(), body: Vec::new() };
                "250 2.1.0 Ok"
            }
            "RCPT" => recipient(&line, shared, &mut message),
            "DATA" if message.to.is_empty() => "554 5.5.1 No valid recipients",
            "DATA" => {
                replies.extend_from_slice(b"354 Go on\r\n");
                output.write_all(&replies)?;
                replies.clear();
                message.body = body(&mut reader)?;
                shared.received().push(message.clone());
                "250 2.0.0 Taken"
            }
            "QUIT" => {
                replies.extend_from_slice(b"221 2.0.0 Bye\r\n");
                return output.write_all(&replies);
            }
            _ => "250 2.0.0 Ok",
        };
        replies.extend_from_slice(reply.as_bytes());
        replies.extend_from_slice(b"\r\n");
    }
}

fn recipient(line: &str, shared: &Shared, message: &mut Received) -> &'static str {
    let to = path(line);
    if let Some(refusal) = (shared.refuse)(&to) {
        return refusal;
    }
    message.to.push(to);
    "250 2.1.5 Ok"
}

/// What stands between angle brackets.
fn path(line: &str) -> String {
    let inside = line.split_once('<').and_then(|(_, rest)| rest.rsplit_once('>'));
    inside.map_or_else(String::new, |(path, _)| path.to_owned())
}

/// Up to the line that is a dot.
fn body(reader: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let start = body.len();
        if reader.read_until(b'\n', &mut body)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if &body[start..] == b".\r\n" {
            body.truncate(start);
            return Ok(body);
        }
    }
}
