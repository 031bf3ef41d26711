//! The sink: a next hop that takes everything, fast, or misbehaves as it is told.
//!
//! Start reading at [`Sink::start`], then `session.rs`.

mod body;
mod counts;
mod ledger;
mod rules;
mod serve;
mod session;

pub use counts::{Counts, Summary};
pub use ledger::{Arrivals, Ledger};
pub use rules::{Extension, Refusal};

use crate::latency::Latency;
use crate::source::at_least_one;
use clap::Args;
use reactor::{Instant, Sender};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

/// How a sink behaves.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Where to listen: IP:PORT; port 0 picks one
    #[arg(value_name = "ADDRESS")]
    pub address: SocketAddr,
    /// Threads, each with its share of the sessions
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    pub threads: usize,
    /// Wait this long before each reply, as in 20ms; commands that came together are answered
    /// together, after one wait, as over a long line
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub delay: Option<Duration>,
    /// Give this share of recipients this reply, as in 0.1:"550 5.1.1 no"
    #[arg(long, value_name = "SHARE:REPLY")]
    pub refuse: Vec<Refusal>,
    /// As --refuse; said apart, so that a scenario can have both
    #[arg(long, value_name = "SHARE:REPLY")]
    pub defer: Vec<Refusal>,
    /// Leave the end of data of this share of messages without a reply, and the session open
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = rules::share_of)]
    pub stall: f64,
    /// Do not offer this extension
    #[arg(long, value_name = "EXTENSION", ignore_case = true)]
    pub without: Vec<Extension>,
    /// Check number and checksum of each message of our source: lost, twice, damaged; and how long
    /// it was on its way
    #[arg(long)]
    pub verify: bool,
    /// End after so many messages
    #[arg(long, value_name = "N")]
    pub until_messages: Option<u64>,
    /// What chance begins with, for shares
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

impl Options {
    /// The defaults, for one address.
    pub fn at(address: SocketAddr) -> Self {
        Self {
            address,
            threads: 1,
            delay: None,
            refuse: Vec::new(),
            defer: Vec::new(),
            stall: 0.0,
            without: Vec::new(),
            verify: false,
            until_messages: None,
            seed: 1,
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    config::duration(text).ok_or_else(|| "a time, as in 20ms, 5s or 1m".into())
}

/// What the threads of a sink share.
struct Books {
    options: Options,
    counts: Mutex<Counts>,
    ledger: Mutex<(Ledger, Latency)>,
    /// When the first and the latest message came.
    span: Mutex<Option<(Instant, Instant)>>,
    /// Told once `until_messages` have come.
    enough: Mutex<Option<mpsc::Sender<()>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Books {
    fn opened(&self) {
        let mut counts = lock(&self.counts);
        counts.sessions += 1;
        counts.sessions_now += 1;
        counts.sessions_most = counts.sessions_most.max(counts.sessions_now);
    }

    fn closed(&self) {
        lock(&self.counts).sessions_now -= 1;
    }

    /// Messages whose 250 has gone out.
    fn received(&self, messages: u64, bytes: u64, now: Instant) {
        lock(&self.span).get_or_insert((now, now)).1 = now;
        let mut counts = lock(&self.counts);
        counts.messages += messages;
        counts.bytes += bytes;
        if self.options.until_messages.is_some_and(|enough| counts.messages >= enough)
            && let Some(enough) = lock(&self.enough).take()
        {
            // Nobody may be waiting any more.
            let _ = enough.send(());
        }
    }
}

/// A sink at work.
pub struct Sink {
    address: SocketAddr,
    books: Arc<Books>,
    stops: Vec<Sender<()>>,
    threads: Vec<JoinHandle<std::io::Result<Duration>>>,
}

impl Sink {
    /// Listens. `enough` is told once `until_messages` have come.
    ///
    /// # Errors
    /// When the port or threads cannot be had.
    pub fn start(options: Options, enough: Option<mpsc::Sender<()>>) -> std::io::Result<Self> {
        reactor::raise_descriptor_limit();
        let sockets = reactor::bind(options.address, options.threads)?;
        let address = SocketAddr::try_from(rustix::net::getsockname(&sockets[0])?)
            .map_err(|_| std::io::Error::from(std::io::ErrorKind::InvalidInput))?;
        let books = Arc::new(Books {
            options,
            counts: Mutex::default(),
            ledger: Mutex::default(),
            span: Mutex::default(),
            enough: Mutex::new(enough),
        });
        let mut sink = Self { address, books, stops: Vec::new(), threads: Vec::new() };
        for (number, socket) in sockets.into_iter().enumerate() {
            let (stop, stopped) = reactor::channel(1);
            sink.stops.push(stop);
            let books = Arc::clone(&sink.books);
            let body = move || serve::run(&books, socket, number as u64, stopped);
            sink.threads.push(reactor::start_thread("sink", None, body)?);
        }
        Ok(sink)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How far it is.
    pub fn counts(&self) -> Counts {
        lock(&self.books.counts).clone()
    }

    /// What has come whole of one run.
    pub fn arrivals(&self, run: u64) -> Arrivals {
        lock(&self.books.ledger).0.run(run)
    }

    /// From the source's end of data to the sink's 250, so far.
    pub fn through(&self) -> Latency {
        lock(&self.books.ledger).1.clone()
    }

    /// Stops accepting, gives open sessions a second, and ends.
    ///
    /// # Errors
    /// When a reactor could not be had.
    ///
    /// # Panics
    /// When a thread has.
    pub fn stop(self) -> std::io::Result<Summary> {
        drop(self.stops);
        let mut cpu = Duration::ZERO;
        for thread in self.threads {
            cpu += thread.join().expect("a sink thread has panicked")?;
        }
        let (ledger, through) = lock(&self.books.ledger).clone();
        let span = *lock(&self.books.span);
        Ok(Summary {
            counts: lock(&self.books.counts).clone(),
            ledger: self.books.options.verify.then_some(ledger),
            through,
            elapsed: span.map_or(Duration::ZERO, |(first, last)| last.since(first)),
            cpu,
        })
    }
}
