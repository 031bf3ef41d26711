//! The source: an SMTP client that outruns what it measures.
//!
//! Each thread has a reactor, each session is a task of one of them. The envelope goes in one
//! write, behind the message before it where the target offers PIPELINING, so that a message costs
//! one round trip. Start reading at [`Source::start`], then `lane.rs`.

mod body;
mod counts;
mod lane;
mod letters;
mod line;
mod replies;

pub use counts::{Counts, Summary};

use crate::clock;
use crate::target;
use clap::{Args, ValueEnum};
use lane::Lane;
use letters::Letters;
use mail::UnixTime;
use reactor::{Instant, Reactor};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

/// How many messages a session carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Connection {
    /// As many as there are.
    Kept,
    /// One.
    Each,
}

/// How the commands go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Dialogue {
    /// One at a time, each after the reply to the one before it.
    Classic,
    /// In groups (RFC 2920), if the target offers it.
    Pipelined,
}

/// What is sent, how and where to.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Where to send: HOST:PORT, on this machine
    #[arg(value_name = "TARGET", value_parser = target::resolve)]
    pub target: SocketAddr,
    /// Sessions at a time
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = at_least_one)]
    pub sessions: usize,
    /// Messages in all
    #[arg(long, value_name = "M", default_value_t = 10_000,
          value_parser = clap::value_parser!(u64).range(..=crate::stamp::NUMBER_MAX))]
    pub messages: u64,
    /// Bytes of a body, its header apart
    #[arg(long, value_name = "BYTES", default_value_t = 4096)]
    pub size: usize,
    /// Sessions carry many messages, or one each
    #[arg(long, value_enum, default_value_t = Connection::Kept)]
    pub connection: Connection,
    /// Commands in groups, or each after the reply to the last
    #[arg(long, value_enum, default_value_t = Dialogue::Pipelined)]
    pub dialogue: Dialogue,
    /// Recipients of each message
    #[arg(long, value_name = "R", default_value_t = 1, value_parser = at_least_one)]
    pub recipients: usize,
    /// Messages a second, by a schedule that waits for nobody (open loop): latencies then count
    /// from the scheduled time. Without it each session sends as fast as it is answered
    #[arg(long, value_name = "PER_SECOND", value_parser = positive)]
    pub rate: Option<f64>,
    /// The reverse-path
    #[arg(long, value_name = "A", default_value = FROM, value_parser = address)]
    pub from: String,
    /// The forward-path; %d is the message number
    #[arg(long, value_name = "A", default_value = TO, value_parser = address)]
    pub to: String,
    /// Threads, each with its share of the sessions
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    pub threads: usize,
}

const FROM: &str = "source@load.ringpost.test";
const TO: &str = "sink@load.ringpost.test";

impl Options {
    /// The defaults, for one target.
    pub fn to(target: SocketAddr) -> Self {
        Self {
            target,
            sessions: 50,
            messages: 10_000,
            size: 4096,
            connection: Connection::Kept,
            dialogue: Dialogue::Pipelined,
            recipients: 1,
            rate: None,
            from: FROM.into(),
            to: TO.into(),
            threads: 1,
        }
    }
}

pub(crate) fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "a number from 1 on".into())
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| "a number above 0".into())
}

/// What may stand between angle brackets without ending the command.
fn address(text: &str) -> Result<String, String> {
    let fits = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>".contains(&byte));
    if fits { Ok(text.to_owned()) } else { Err("an address, without < and >".into()) }
}

/// Which messages are still to be sent, for all threads.
struct Plan {
    options: Options,
    began: Instant,
    next: AtomicU64,
    /// Lanes that have not ended.
    lanes: AtomicUsize,
}

impl Plan {
    /// The next message, and when it is due in an open loop.
    fn claim(&self) -> Option<(u64, Option<Instant>)> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if number >= self.options.messages {
            return None;
        }
        let due = |rate: f64| self.began + Duration::from_secs_f64(number as f64 / rate);
        Some((number, self.options.rate.map(due)))
    }
}

/// What a thread tells at its end: when, and what it cost.
type Told = std::io::Result<(Instant, Duration)>;

/// A source at work.
pub struct Source {
    run: u64,
    plan: Arc<Plan>,
    counts: Vec<Arc<Mutex<Counts>>>,
    threads: Vec<JoinHandle<Told>>,
}

impl Source {
    /// Starts sending. `ended` is told when the last session has.
    ///
    /// # Errors
    /// When threads cannot be had.
    pub fn start(options: Options, ended: Option<mpsc::Sender<()>>) -> std::io::Result<Self> {
        reactor::raise_descriptor_limit();
        let run = reactor::random();
        let threads = options.threads.min(options.sessions);
        let plan = Arc::new(Plan {
            began: clock::now(),
            next: AtomicU64::new(0),
            lanes: AtomicUsize::new(options.sessions),
            options,
        });
        let mut source = Self { run, plan, counts: Vec::new(), threads: Vec::new() };
        for number in 0..threads {
            let counts = Arc::<Mutex<Counts>>::default();
            source.counts.push(Arc::clone(&counts));
            let plan = Arc::clone(&source.plan);
            let ended = ended.clone();
            let lanes = plan.options.sessions / threads
                + usize::from(number < plan.options.sessions % threads);
            let body = move || send(&plan, &counts, run, lanes, ended.as_ref());
            source.threads.push(reactor::start_thread("source", None, body)?);
        }
        Ok(source)
    }

    /// What `X-Ringpost-Run` says.
    pub fn run(&self) -> u64 {
        self.run
    }

    /// How far it is.
    pub fn counts(&self) -> Counts {
        let mut sum = Counts::default();
        for counts in &self.counts {
            sum.add(&counts.lock().unwrap_or_else(PoisonError::into_inner));
        }
        sum
    }

    /// Waits for the last session.
    ///
    /// # Errors
    /// When a reactor cannot be had.
    ///
    /// # Panics
    /// When a thread has.
    pub fn finish(mut self) -> std::io::Result<Summary> {
        let mut ended = self.plan.began;
        let mut cpu = Duration::ZERO;
        for thread in std::mem::take(&mut self.threads) {
            let (at, cost) = thread.join().expect("a source thread has panicked")?;
            ended = ended.max(at);
            cpu += cost;
        }
        let elapsed = ended.since(self.plan.began);
        Ok(Summary { counts: self.counts(), wanted: self.plan.options.messages, elapsed, cpu })
    }
}

/// The body of a thread: its sessions, until all have ended.
fn send(
    plan: &Arc<Plan>,
    counts: &Arc<Mutex<Counts>>,
    run: u64,
    lanes: usize,
    ended: Option<&mpsc::Sender<()>>,
) -> Told {
    let (reactor, _) = Reactor::new(&reactor::Options::default())?;
    let date = UnixTime::from_epoch(reactor.wall_clock()).rfc5322();
    let letters = Rc::new(Letters::new(&plan.options, run, &date));
    let all_done = reactor::Signal::new(&reactor);
    let left = Rc::new(std::cell::Cell::new(lanes));
    for _ in 0..lanes {
        let (plan, counts) = (Arc::clone(plan), Arc::clone(counts));
        let lane = Lane::new(reactor.clone(), plan, Rc::clone(&letters), counts);
        let (left, all_done) = (Rc::clone(&left), all_done.clone());
        reactor.spawn(async move {
            lane.run().await;
            left.set(left.get() - 1);
            all_done.notify_one();
        });
    }
    let waiting = Rc::clone(&left);
    reactor.run(async move {
        while waiting.get() > 0 {
            all_done.wait(Instant::NEVER).await;
        }
    });
    let at = reactor.now();
    reactor.shut_down();
    if plan.lanes.fetch_sub(lanes, Ordering::AcqRel) == lanes
        && let Some(ended) = ended
    {
        // Nobody may be waiting any more.
        let _ = ended.send(());
    }
    Ok((at, clock::thread_cpu()))
}
