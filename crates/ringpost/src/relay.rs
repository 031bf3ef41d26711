//! A running relay: its threads, and the control plane on the thread that started it.

use crate::exit::{Failure, code};
use crate::proofs::{self, InForce};
use crate::shard::{self, Opening, Ready, Seed, SpoolLock};
use crate::startup;
use config::{Config, Problems};
use control::client::{Method, call};
use control::{About, Log, Plane, ShardLink};
use mail::{Event, EventKind, Field};
use policy::Policy;
use server::{ListenerOptions, Totals};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often a port in use is tried again, and after which pause.
const PORT_TRIES: u32 = 20;
const PORT_PAUSE: Duration = Duration::from_millis(50);

/// Messages that may wait on a channel between shards.
const CHANNEL: usize = 4096;

/// Where the configuration came from, for a reload.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A file.
    File {
        /// Its path.
        path: PathBuf,
        /// This machine's name.
        machine: Option<String>,
    },
    /// A text that does not change.
    Text {
        /// What to call it.
        name: PathBuf,
        /// The text.
        text: String,
        /// This machine's name.
        machine: Option<String>,
    },
}

/// A relay whose shards run and whose listeners accept.
pub struct Relay {
    plane: Plane,
    shards: Vec<JoinHandle<()>>,
    writer: JoinHandle<()>,
}

impl Origin {
    /// Reads the configuration.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn load(&self) -> Result<Config, Problems> {
        match self {
            Self::File { path, machine } => config::load(path, machine.as_deref()),
            Self::Text { name, text, machine } => config::load_text(name, text, machine.as_deref()),
        }
    }
}

impl Relay {
    /// Starts everything, in this order: limits, the test of the rules, ports, privileges, log,
    /// threads. When it returns, every listener accepts.
    ///
    /// # Errors
    /// The first thing that keeps the relay from running, with its exit code.
    pub fn start(mut config: Config, origin: Origin) -> Result<Self, Failure> {
        startup::fit_descriptors(&mut config)?;
        refuse_open_relay(&config)?;
        let shards = threads(&config);
        let listeners = bind_listeners(&config, shards)?;
        let control = control_options(&config);
        let sockets = control::bind(&control)
            .map_err(|error| Failure::new(error.exit_code(), error.to_string()))?;
        if let Some(user) = &config.user {
            startup::become_user(user)?;
        }
        let (log, writer) = start_log(&config)?;
        let config = Arc::new(config);
        let wrong = |text: String| Failure::new(code::CONFIGURATION, text);
        let tls = proofs::tls(&config).map_err(wrong)?;
        let users = proofs::users(&config).map_err(wrong)?;
        let (questions, lookups) = control::lookups();
        let (exchanges, doorman) = control::exchanges(users, config.workers);
        let (client_tls, problems) = wire::ClientTls::system();
        problems.into_iter().for_each(|problem| note_authorities(&log, problem));
        let offices = Offices { questions, exchanges, tls: tls.clone(), client_tls };
        let started = start_shards(&config, shards, listeners, &log, &offices)?;
        drop(offices);
        note_start(&log, &started);
        let about = about(&config, shards, &started);
        let shared = Rc::new(RefCell::new(InForce { config, tls }));
        let plane = Plane {
            options: control,
            sockets,
            log,
            shards: started.links,
            lookups,
            watches: proofs::watches(&shared, shards, doorman.replacer()),
            reload: reloader(origin, shared, shards, doorman.replacer()),
            doorman,
            about,
        };
        Ok(Self { plane, shards: started.threads, writer })
    }

    /// Runs the control plane on this thread until the relay has drained. Calls `ready` on another
    /// one when signals are heard and commands answered: whoever is told may stop the relay at
    /// once, and gets a drain.
    ///
    /// # Errors
    /// When it had to end: the disk failed, a thread died.
    pub fn run(self, ready: impl FnOnce() + Send) -> Result<ExitCode, Failure> {
        let plane = self.plane;
        let socket = plane.options.socket.clone();
        let ended = std::thread::scope(|scope| {
            scope.spawn(move || {
                // The plane takes signals over before it answers anybody. Without an answer the
                // listeners accept all the same.
                drop(call(&socket, Method::GET, "/status", None));
                ready();
            });
            plane.run()
        });
        let mut failed = None;
        for thread in self.shards {
            if thread.join().is_err() {
                failed = Some(Failure::new(code::OS, "a shard has panicked"));
            }
        }
        drop(self.writer.join());
        match (failed, ended.failure) {
            (Some(failure), _) => Err(failure),
            (None, Some(text)) => Err(Failure::new(code::IO, text)),
            (None, None) => Ok(ExitCode::SUCCESS),
        }
    }
}

/// The relay tries itself as a stranger, with the effective rules.
fn refuse_open_relay(config: &Config) -> Result<(), Failure> {
    match Policy::new(config.policy.clone()).relays_for_stranger() {
        None => Ok(()),
        Some(text) => Err(Failure::new(
            code::CONFIGURATION,
            format!("this would be an open relay: {text}; narrow [relay]"),
        )),
    }
}

fn threads(config: &Config) -> usize {
    match config.threads {
        0 => reactor::allowed_cpus().len().max(1),
        threads => threads,
    }
}

/// A listening socket, and what its sessions obey.
pub(crate) type Door = (OwnedFd, ListenerOptions);

/// What shards ask off-shard, and what they encrypt with.
#[derive(Clone)]
pub(crate) struct Offices {
    pub(crate) questions: control::Questions,
    pub(crate) exchanges: control::Exchanges,
    pub(crate) tls: Option<wire::ServerTls>,
    pub(crate) client_tls: wire::ClientTls,
}

/// The sockets of all listeners, by shard.
fn bind_listeners(config: &Config, shards: usize) -> Result<Vec<Vec<Door>>, Failure> {
    let mut by_shard: Vec<Vec<Door>> = (0..shards).map(|_| Vec::new()).collect();
    for listener in &config.listeners {
        for address in &listener.addresses {
            let sockets = bind_patiently(*address, shards).map_err(|error| {
                Failure::of_io(&format!("listen at {address} ({})", listener.place), &error)
            })?;
            for (shard, socket) in by_shard.iter_mut().zip(sockets) {
                shard.push((socket, listener.options.clone()));
            }
        }
    }
    Ok(by_shard)
}

/// Tries for a second where the port is in use: the kernel lets go of a killed process's listeners
/// only with its ring, a moment after the process has ended.
fn bind_patiently(address: SocketAddr, shards: usize) -> std::io::Result<Vec<OwnedFd>> {
    for _ in 0..PORT_TRIES {
        match reactor::bind(address, shards) {
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                std::thread::park_timeout(PORT_PAUSE);
            }
            bound => return bound,
        }
    }
    reactor::bind(address, shards)
}

fn control_options(config: &Config) -> control::Options {
    control::Options {
        socket: config.control_socket.clone(),
        group: config.control_group.clone(),
        metrics: config.metrics,
        dns_servers: config.dns_servers.clone(),
        dns_timeout: config.dns_timeout,
        drain: config.drain,
        version: env!("CARGO_PKG_VERSION"),
    }
}

fn start_log(config: &Config) -> Result<(Log, JoinHandle<()>), Failure> {
    let target = match &config.log_target {
        config::LogTarget::Stderr => control::Target::Stderr,
        config::LogTarget::File(path) => control::Target::File(path.clone()),
    };
    let format = match config.log_format {
        config::LogFormat::Text => control::Format::Text,
        config::LogFormat::Json => control::Format::Json,
    };
    Log::start(target, format, config.log_level)
        .map_err(|error| Failure::of_io("log.target", &error))
}

/// The shards, once all of them are ready.
struct Started {
    threads: Vec<JoinHandle<()>>,
    links: Vec<ShardLink>,
    kernel: &'static str,
    fallback: Option<reactor::Fallback>,
}

fn start_shards(
    config: &Arc<Config>,
    shards: usize,
    listeners: Vec<Vec<Door>>,
    log: &Log,
    offices: &Offices,
) -> Result<Started, Failure> {
    let (ready, told) = mpsc::channel();
    let totals = Totals::new(shards);
    let (census, census_inboxes) = channels(shards);
    let (homes, home_inboxes) = channels(shards);
    let (locks, mut lock_inboxes) = channels(shards);
    let cpus = reactor::allowed_cpus();
    let secret = reactor::random();
    let mut started =
        Started { threads: Vec::new(), links: Vec::new(), kernel: "", fallback: None };
    let mut locks = Some(locks);
    let inboxes = census_inboxes.into_iter().zip(home_inboxes);
    for (number, (listeners, inboxes)) in listeners.into_iter().zip(inboxes).enumerate() {
        let (orders, orders_inbox) = reactor::channel(CHANNEL);
        let window: control::Window = Arc::new(Mutex::new(Vec::new()));
        started.links.push(ShardLink { orders, window: Arc::clone(&window) });
        let awaited = lock_inboxes.remove(0);
        let spool_lock = match locks.take() {
            Some(all) => SpoolLock::Take(all.into_iter().skip(1).collect()),
            None => SpoolLock::Await(awaited),
        };
        let seed = Seed {
            listeners,
            log: log.clone(),
            orders: orders_inbox,
            window,
            spool_lock,
            ready: ready.clone(),
            opening: Opening {
                number,
                shards,
                config: Arc::clone(config),
                offices: offices.clone(),
                census: census.clone(),
                census_inbox: inboxes.0,
                homes: homes.clone(),
                home_inbox: inboxes.1,
                totals: totals.clone(),
                secret,
            },
        };
        // One thread a core, unless there are more threads than cores.
        let cpu = (shards <= cpus.len()).then(|| cpus[number]);
        let thread = reactor::start_thread(&format!("shard-{number}"), cpu, move || {
            shard::run(seed);
        });
        started.threads.push(thread.map_err(|error| Failure::of_io("start a thread", &error))?);
    }
    drop(ready);
    await_ready(started, shards, &told)
}

/// Waits until every shard is ready; the first failure is the one that is told.
fn await_ready(
    mut started: Started,
    shards: usize,
    told: &mpsc::Receiver<Result<Ready, Failure>>,
) -> Result<Started, Failure> {
    for _ in 0..shards {
        match told.recv() {
            Ok(Ok(ready)) => {
                started.kernel = ready.kernel;
                started.fallback = ready.fallback.or(started.fallback);
            }
            Ok(Err(failure)) => return Err(failure),
            Err(_) => return Err(Failure::new(code::OS, "a shard has died at its start")),
        }
    }
    Ok(started)
}

/// One channel for each shard.
fn channels<T>(shards: usize) -> (Vec<reactor::Sender<T>>, Vec<reactor::Receiver<T>>) {
    (0..shards).map(|_| reactor::channel(CHANNEL)).unzip()
}

fn note_start(log: &Log, started: &Started) {
    let Some(fallback) = &started.fallback else { return };
    let event = Event::new(EventKind::ProcessNoted)
        .fixed(Field::Reason, "epoll is used instead of io_uring")
        .text(Field::Remedy, fallback.text.clone());
    log.note(event);
}

/// Opportunistic encryption needs no authority: what is missing is worth a line.
fn note_authorities(log: &Log, problem: String) {
    let event = Event::new(EventKind::LibraryWarned).text(Field::Reason, problem);
    log.note(event.fixed(Field::Remedy, "install ca-certificates; `tls = verify` needs them"));
}

fn about(config: &Config, shards: usize, started: &Started) -> About {
    let addresses = |listener: &config::ListenerSettings| {
        let all: Vec<String> = listener.addresses.iter().map(ToString::to_string).collect();
        (listener.options.name.to_string(), all)
    };
    About {
        hostname: config.hostname.clone(),
        reactor: started.kernel,
        fallback: started.fallback.clone(),
        shards,
        listeners: config.listeners.iter().map(addresses).collect(),
        spool: config.queue.directory.clone(),
    }
}

/// What a reload does: read again, refuse what cannot change, and hand each shard its closure.
fn reloader(
    origin: Origin,
    shared: proofs::Shared,
    shards: usize,
    replace: impl Fn(control::Source) + 'static,
) -> control::Reload {
    let running = Arc::clone(&shared.borrow().config);
    Box::new(move || {
        let mut config = origin.load().map_err(|problems| problems.to_string())?;
        startup::fit_descriptors(&mut config).map_err(|failure| failure.to_string())?;
        refuse_open_relay(&config).map_err(|failure| failure.to_string())?;
        refuse_changes(&running, &config)?;
        // All or nothing: what is read from files is read before anything is taken over.
        let tls = proofs::tls(&config)?;
        replace(proofs::users(&config)?);
        let config = Arc::new(config);
        *shared.borrow_mut() = InForce { config: Arc::clone(&config), tls: tls.clone() };
        Ok((0..shards).map(|_| shard::reload(Arc::clone(&config), tls.clone())).collect())
    })
}

/// Names what only a restart can change.
fn refuse_changes(running: &Config, new: &Config) -> Result<(), String> {
    let changed = [
        ("hostname", running.hostname != new.hostname),
        ("spool", running.queue.directory != new.queue.directory),
        ("user", running.user != new.user),
        ("runtime.threads", running.threads != new.threads),
        ("runtime.reactor", running.reactor != new.reactor),
        ("runtime.workers", running.workers != new.workers),
        ("[[listener]]", running.listeners != new.listeners),
        ("[metrics]", running.metrics != new.metrics),
        ("[dns]", running.dns_servers != new.dns_servers || running.dns_timeout != new.dns_timeout),
        ("[control]", running.control_socket != new.control_socket),
        ("[log]", running.log_target != new.log_target || running.log_format != new.log_format),
    ];
    let names: Vec<&str> = changed.iter().filter(|(_, is)| *is).map(|(name, _)| *name).collect();
    if names.is_empty() {
        return Ok(());
    }
    Err(format!("only a restart changes {}", names.join(", ")))
}
