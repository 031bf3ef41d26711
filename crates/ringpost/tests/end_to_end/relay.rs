//! A relay of a test's own: its directory, ports and configuration, its process, its commands.

use crate::wait::{until, until_some, until_some_within};
use reactor::{Backend, Options, Reactor};
use rustix::net::{AddressFamily, SocketType};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

const RINGPOST: &str = env!("CARGO_BIN_EXE_ringpost");

/// Runs `test` with each kernel interface that this machine allows.
pub(crate) fn with_each_reactor(test: impl Fn(&'static str)) {
    for reactor in reactors() {
        println!("with reactor = \"{reactor}\"");
        test(reactor);
    }
}

/// `ring`, unless the kernel refuses it, and `poll`.
pub(crate) fn reactors() -> Vec<&'static str> {
    let options = Options { backend: Backend::Ring, ..Options::default() };
    match Reactor::new(&options) {
        Ok((reactor, _)) => {
            reactor.shut_down();
            vec!["ring", "poll"]
        }
        Err(error) => {
            println!("skipped with reactor = \"ring\": {error}");
            vec!["poll"]
        }
    }
}

/// A loopback port that nobody else is given while this lives, though anybody may listen there
/// who allows the reuse of addresses: the kernel hands out no port that is bound.
pub(crate) struct Port {
    number: u16,
    _bound: OwnedFd,
}

impl Port {
    pub(crate) fn free() -> Self {
        let socket =
            rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        rustix::net::sockopt::set_socket_reuseaddr(&socket, true).expect("an option of sockets");
        rustix::net::bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
            .expect("a free port");
        let address = rustix::net::getsockname(&socket).expect("its address");
        let address = SocketAddr::try_from(address).expect("an internet address");
        Self { number: address.port(), _bound: socket }
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }
}

/// What differs between the configurations of the tests.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) reactor: &'static str,
    pub(crate) hostname: &'static str,
    /// `relay.networks`, as TOML.
    pub(crate) networks: &'static str,
    /// `relay.domains`, as TOML.
    pub(crate) domains: &'static str,
    /// The next hop of everything.
    pub(crate) next: u16,
    /// More sections.
    pub(crate) more: String,
}

impl Setup {
    /// Loopback is trusted, and everything goes to port `next`.
    pub(crate) fn new(reactor: &'static str, next: &Port) -> Self {
        Self {
            reactor,
            hostname: "relay.example",
            networks: "[\"127.0.0.0/8\"]",
            domains: "[]",
            next: next.number(),
            more: String::new(),
        }
    }

    /// Loopback is a stranger that may send to `domains`.
    pub(crate) fn for_strangers(reactor: &'static str, next: &Port, domains: &'static str) -> Self {
        Self { networks: "[\"192.0.2.0/24\"]", domains, ..Self::new(reactor, next) }
    }
}

/// Where a relay lives: it may start there more than once.
pub(crate) struct Site {
    directory: TempDir,
    smtp: Port,
    metrics: Port,
    spool: PathBuf,
}

impl Site {
    pub(crate) fn new(setup: &Setup) -> Self {
        let directory = TempDir::with_prefix_in("e", env!("CARGO_TARGET_TMPDIR"))
            .expect("a directory under target");
        let spool = directory.path().join("spool");
        Self::with_spool(setup, directory, spool)
    }

    /// A site whose spool is that of `other`.
    pub(crate) fn beside(other: &Self, setup: &Setup) -> Self {
        let directory = TempDir::with_prefix_in("e", env!("CARGO_TARGET_TMPDIR"))
            .expect("a directory under target");
        Self::with_spool(setup, directory, other.spool.clone())
    }

    fn with_spool(setup: &Setup, directory: TempDir, spool: PathBuf) -> Self {
        let site = Self { directory, smtp: Port::free(), metrics: Port::free(), spool };
        site.configure(setup);
        site
    }

    /// Writes the configuration.
    pub(crate) fn configure(&self, setup: &Setup) {
        let Setup { reactor, hostname, networks, domains, next, more } = setup;
        self.write(&format!(
            "hostname = \"{hostname}\"\nspool = \"{spool}\"\n\
             [runtime]\nthreads = 2\nreactor = \"{reactor}\"\ndrain = \"10s\"\n\
             [[listener]]\nname = \"mx\"\naddress = \"127.0.0.1:{smtp}\"\n\
             [relay]\nnetworks = {networks}\ndomains = {domains}\n\
             [[route]]\nto = [\"*\"]\nvia = \"smtp://127.0.0.1:{next}\"\n\
             [metrics]\nlisten = \"127.0.0.1:{metrics}\"\n\
             [control]\nsocket = \"{socket}\"\ngroup = \"off\"\n{more}",
            spool = self.spool.display(),
            smtp = self.smtp.number,
            metrics = self.metrics.number,
            socket = self.path("control.sock").display(),
        ));
    }

    /// Writes `text` as the configuration, whatever it says.
    pub(crate) fn write(&self, text: &str) {
        std::fs::write(self.config(), text).expect("a configuration can be written");
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("ringpost.toml")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn spool(&self) -> &Path {
        &self.spool
    }

    pub(crate) fn smtp(&self) -> u16 {
        self.smtp.number
    }

    pub(crate) fn metrics(&self) -> u16 {
        self.metrics.number
    }

    /// Starts the relay; when this returns, every listener accepts.
    pub(crate) fn start(&self) -> Relay {
        Relay::start(&mut self.serve())
    }

    /// The command line of the relay.
    pub(crate) fn serve(&self) -> Command {
        let mut command = Command::new(RINGPOST);
        command.arg("--config").arg(self.config()).arg("serve");
        command
    }

    /// The command line of the relay behind `script`, which ends with `exec "$@"`, run by
    /// `wrapper` and a shell.
    pub(crate) fn serve_behind(&self, wrapper: &[&str], script: &str) -> Command {
        let words = wrapper.iter().copied().chain(["sh", "-c", script, "sh"]);
        let words: Vec<&str> = words.collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg(RINGPOST).arg("--config").arg(self.config()).arg("serve");
        command
    }

    /// Runs a command of an operator to its end.
    pub(crate) fn operate(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(RINGPOST);
        command.arg("--config").arg(self.config()).args(arguments);
        command.stdin(Stdio::null()).output().expect("ringpost runs")
    }

    /// The same; it must succeed. Returns what it prints.
    pub(crate) fn told(&self, arguments: &[&str]) -> String {
        let output = self.operate(arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {}\n{text}{errors}", output.status);
        text
    }

    /// The same with `--json`: the objects, one a line.
    pub(crate) fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
        let text = self.told(&arguments);
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        text.lines().map(parse).collect()
    }

    /// Waits until the queue has as many messages.
    pub(crate) fn until_queued(&self, messages: u64) {
        until(&format!("{messages} messages in the queue"), || {
            self.json(&["queue", "summary"])[0]["messages"] == messages
        });
    }
}

/// A process of `ringpost serve`, killed when dropped; what it said is shown when a test fails.
pub(crate) struct Relay {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Relay {
    /// Starts it and waits until it says that it is ready.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut relay = Self::spawn(command);
        until("ringpost ready", || {
            if let Some(status) = relay.child.try_wait().expect("our child") {
                panic!("the relay ended at its start: {status}");
            }
            relay.said().lines().any(|line| line == "ringpost ready")
        });
        relay
    }

    /// Starts it.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("ringpost runs");
        let said = Arc::new(Mutex::new(String::new()));
        collect(child.stdout.take().expect("asked for above"), &said);
        collect(child.stderr.take().expect("asked for above"), &said);
        Self { child, said }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has said on both outputs.
    pub(crate) fn said(&self) -> String {
        self.said.lock().expect("readers do not panic").clone()
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("our child");
    }

    /// `kill -9`: nothing of it runs when this returns.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("our child");
        self.child.wait().expect("our child");
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        until_some("the end of the relay", || self.child.try_wait().expect("our child"))
    }

    /// SIGTERM, and a clean end.
    pub(crate) fn stop(mut self) {
        self.terminate();
        let status = self.ended();
        assert!(status.success(), "after SIGTERM: {status}");
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // A child that has ended already needs neither.
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            println!("--- what the relay said\n{}---", self.said());
        }
    }
}

/// Runs a relay that must refuse to start: its exit code and what it said.
pub(crate) fn refusal(command: &mut Command) -> (i32, String) {
    refusal_within(Duration::from_secs(20), command)
}

/// The same, with more patience.
pub(crate) fn refusal_within(limit: Duration, command: &mut Command) -> (i32, String) {
    let mut relay = Relay::spawn(command);
    let status = until_some_within(limit, "a refusal to start", || {
        relay.child.try_wait().expect("our child")
    });
    let code = status.code().expect("an exit, no signal");
    let end = relay.said.clone();
    until("the readers of its output end", || Arc::strong_count(&end) == 2);
    (code, relay.said())
}

/// Appends all of `output` to `said`, from a thread that ends with the output.
fn collect(mut output: impl Read + Send + 'static, said: &Arc<Mutex<String>>) {
    let said = Arc::clone(said);
    // The relay's sockets and pipes end with it; so does this thread.
    let thread = std::thread::Builder::new().spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = output.read(&mut bytes) {
            let text = String::from_utf8_lossy(&bytes[..count]);
            said.lock().expect("nobody panics with it").push_str(&text);
        }
    });
    thread.expect("a thread");
}
