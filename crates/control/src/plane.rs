//! The control plane: one thread that runs until the relay has ended.

use crate::fan::Shards;
use crate::feed;
use crate::health::{Health, Stage};
use crate::http::{self, Desk, Request};
use crate::lookups::{self, Current, Lookups};
use crate::meters::Meters;
use crate::order::{Order, Parts, Window};
use crate::resolver::Dns;
use crate::{
    About, Doorman, Log, Options, Sockets, Watch, clock, status, systemd, warnings, watch,
};
use mail::{Event, EventKind, Field};
use reactor::Sender;
use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// What a drain may take beyond `runtime.drain`: outcomes and the last records become durable.
const DRAIN_GRACE: Duration = Duration::from_secs(10);

/// How a shard takes a new configuration over.
pub type Apply = Box<dyn FnOnce(&Parts) + Send>;

/// Reads the configuration again and gives one closure a shard, or says why it is refused.
pub type Reload = Box<dyn FnMut() -> Result<Vec<Apply>, String>>;

/// How the control plane reaches a shard.
pub struct ShardLink {
    /// Orders for it.
    pub orders: Sender<Order>,
    /// Where it leaves its snapshots.
    pub window: Window,
}

/// Everything that the control plane needs; [`run`](Self::run) is its life.
pub struct Plane {
    /// What the operator has set.
    pub options: Options,
    /// What it listens on.
    pub sockets: Sockets,
    /// Where its events go.
    pub log: Log,
    /// The shards, in order.
    pub shards: Vec<ShardLink>,
    /// Their questions to the resolver.
    pub lookups: Lookups,
    /// Who keeps accounts.
    pub doorman: Doorman,
    /// Files that are read again when they change.
    pub watches: Vec<Watch>,
    /// What a reload does.
    pub reload: Reload,
    /// What `status` says about the process.
    pub about: About,
}

/// How the relay ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Why it had to, if it had to: the spool has failed (exit code 74).
    pub failure: Option<String>,
    /// Sessions that a drain did not wait for.
    pub sessions_left: usize,
}

/// Why the main loop stopped waiting.
enum Cause {
    Signal(&'static str),
    Asked,
    Failed(String),
}

impl Plane {
    /// Serves on this thread until SIGTERM, SIGINT, `drain` or a failed spool has been carried out
    /// on all shards.
    ///
    /// # Panics
    /// When the kernel gives no epoll descriptor, no timer or no signal: the relay could not be
    /// stopped, so it must not run.
    pub fn run(self) -> Ended {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("the kernel has descriptors left for the control plane");
        let _warnings = warnings::listen(self.log.clone());
        let tasks = tokio::task::LocalSet::new();
        tasks.block_on(&runtime, self.live())
    }

    async fn live(self) -> Ended {
        let Self { options, sockets, log, shards, lookups, doorman, watches, reload, about } = self;
        let mut signals = Signals::new().expect("signals can be heard");
        let (orders, windows): (Vec<_>, Vec<_>) =
            shards.into_iter().map(|link| (link.orders, link.window)).unzip();
        let (requests, asked) = mpsc::channel(16);
        let meters = Arc::new(Meters::new());
        let began = clock::wall();
        let desk = Arc::new(Desk {
            health: Health::new(orders.len()),
            shards: Shards::new(orders),
            meters: Arc::clone(&meters),
            digest: Mutex::default(),
            requests,
            began,
            about: status::about(&options, &about, began),
        });
        let dns: Current =
            Rc::new(RefCell::new(Rc::new(Dns::new(&options.dns_servers, options.dns_timeout))));
        let (failed, failures) = mpsc::channel(1);
        feed::constants(&meters, &options, &about);
        tokio::task::spawn_local(lookups::answer(lookups, Rc::clone(&dns), meters));
        tokio::task::spawn_local(doorman.serve());
        tokio::task::spawn_local(watch::follow(watches, Arc::clone(&desk), log.clone()));
        tokio::task::spawn_local(feed::feed(Arc::clone(&desk), windows, failed));
        serve(sockets, &desk).expect("the sockets were listening before");
        let mut main = Main { options, log, desk, reload, dns, asked, failures };
        main.note_dns();
        systemd::ready();
        let cause = main.wait(&mut signals).await;
        main.drain(cause).await
    }
}

/// Starts both servers.
fn serve(sockets: Sockets, desk: &Arc<Desk>) -> io::Result<()> {
    let control = tokio::net::UnixListener::from_std(sockets.control)?;
    let routes = http::admin(Arc::clone(desk));
    // A server ends only with the runtime: accept errors are waited out inside.
    tokio::spawn(async move { drop(axum::serve(control, routes).await) });
    if let Some(listener) = sockets.metrics {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let routes = http::metrics(Arc::clone(desk));
        tokio::spawn(async move { drop(axum::serve(listener, routes).await) });
    }
    Ok(())
}

/// The signals that mean something. SIGPIPE is ignored by the language's start-up.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    rotate: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            rotate: signal(SignalKind::user_defined1())?,
        })
    }
}

/// The main loop.
struct Main {
    options: Options,
    log: Log,
    desk: Arc<Desk>,
    reload: Reload,
    dns: Current,
    asked: mpsc::Receiver<Request>,
    failures: mpsc::Receiver<String>,
}

impl Main {
    /// Serves signals and requests until one of them means the end.
    async fn wait(&mut self, signals: &mut Signals) -> Cause {
        loop {
            tokio::select! {
                biased;
                Some(why) = self.failures.recv() => return Cause::Failed(why),
                Some(()) = signals.terminate.recv() => return Cause::Signal("SIGTERM"),
                Some(()) = signals.interrupt.recv() => return Cause::Signal("SIGINT"),
                Some(()) = signals.rotate.recv() => self.log.reopen(),
                Some(()) = signals.hang_up.recv() => drop(self.reload()),
                Some(request) = self.asked.recv() => match request {
                    Request::Drain => return Cause::Asked,
                    // Who asked may have gone; the log has the result too.
                    Request::Reload(done) => drop(done.send(self.reload())),
                },
            }
        }
    }

    /// Takes the configuration over, all or nothing.
    fn reload(&mut self) -> Result<(), String> {
        systemd::reloading();
        let result = self.try_reload();
        let event = match &result {
            Ok(()) => Event::new(EventKind::ConfigReloaded),
            Err(why) => {
                self.desk.health.note(
                    format!("the new configuration is refused: {why}"),
                    "correct it, ask ringpost check, then reload; the old one is in force",
                );
                Event::new(EventKind::ConfigRefused).text(Field::Reason, why.clone())
            }
        };
        self.log.record(clock::wall(), event);
        let ok = if result.is_ok() { 1.0 } else { 0.0 };
        self.desk.meters.gauge("config_reload_ok", &[], ok);
        systemd::ready();
        result
    }

    fn try_reload(&mut self) -> Result<(), String> {
        let applies = (self.reload)()?;
        assert_eq!(applies.len(), self.desk.shards.len(), "one closure a shard");
        let unreached = self.desk.shards.tell(applies.into_iter().map(Order::Reload));
        if !unreached.is_empty() {
            return Err(format!("shards {unreached:?} are too busy to take it; reload again"));
        }
        // /etc/resolv.conf is read only when a resolver is made.
        let dns = Dns::new(&self.options.dns_servers, self.options.dns_timeout);
        *self.dns.borrow_mut() = Rc::new(dns);
        self.note_dns();
        Ok(())
    }

    /// Tells when no name can be looked up.
    fn note_dns(&self) {
        let dns = Rc::clone(&self.dns.borrow());
        if let Some(problem) = dns.problem() {
            let remedy = "set dns.servers; until then what needs an MX is deferred";
            self.desk.health.note(problem.to_owned(), remedy);
            let event = Event::new(EventKind::LibraryWarned).text(Field::Reason, problem);
            self.log.record(clock::wall(), event.fixed(Field::Remedy, remedy));
        }
    }

    /// Drains every shard, and tells how that ended. Metrics and `status` go on meanwhile.
    async fn drain(self, cause: Cause) -> Ended {
        let why = match &cause {
            Cause::Signal(name) => format!("draining: {name}"),
            Cause::Asked => "draining: an operator asked for it".to_owned(),
            Cause::Failed(why) => format!("draining: {why}"),
        };
        match &cause {
            Cause::Failed(why) => self.desk.health.fail(why),
            Cause::Signal(_) | Cause::Asked => self.desk.health.drain(),
        }
        systemd::stopping();
        self.note(why);
        let within = self.options.drain;
        let order = |answer| Order::Drain { within, answer };
        let answers = self.desk.shards.ask_within(within + DRAIN_GRACE, order).await;
        let sessions_left = answers.given.iter().sum();
        if !answers.silent.is_empty() {
            self.note(format!("shards {:?} did not end in time", answers.silent));
        }
        // The failure may have come to light only during the drain.
        let failure = match (cause, self.desk.health.stage()) {
            (Cause::Failed(why), _) | (_, Stage::Failed(why)) => Some(why),
            (Cause::Signal(_) | Cause::Asked, Stage::Running | Stage::Draining) => None,
        };
        drop(std::fs::remove_file(&self.options.socket));
        self.note(format!("ended; sessions left: {sessions_left}"));
        Ended { failure, sessions_left }
    }

    fn note(&self, reason: String) {
        let event = Event::new(EventKind::ProcessNoted).text(Field::Reason, reason);
        self.log.record(clock::wall(), event);
    }
}
