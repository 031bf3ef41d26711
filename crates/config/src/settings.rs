//! Sections into options.

use crate::problem::Problem;
use crate::receiving;
use crate::routes;
use crate::section::Section;
use crate::source::Document;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The effective configuration, sorted by who obeys it.
#[derive(Clone, Debug)]
pub struct Config {
    /// `hostname`, or the machine's name.
    pub hostname: String,
    /// `user`.
    pub user: Option<String>,
    /// `runtime.threads`; 0 is one per core.
    pub threads: usize,
    /// `runtime.workers`.
    pub workers: usize,
    /// `runtime.reactor`.
    pub reactor: Reactor,
    /// `runtime.drain`.
    pub drain: Duration,
    /// `[[listener]]`, at least one.
    pub listeners: Vec<ListenerSettings>,
    /// `[tls]`, if a certificate is set.
    pub tls: Option<TlsSettings>,
    /// `auth.users`, if somebody may authenticate.
    pub users: Option<Users>,
    /// `[smtp]` and `limits.sessions`.
    pub server: server::Options,
    /// Whether `limits.sessions` was set, so that it must fit.
    pub sessions_are_explicit: bool,
    /// `[relay]` and the per-client part of `[limits]`.
    pub policy: policy::Options,
    /// `spool`, `[retry]`, `[dsn]` and the rest of `[limits]`.
    pub queue: queue::Options,
    /// `[delivery]` and `[[route]]`.
    pub delivery: delivery::Options,
    /// `dns.servers`; empty: the system's.
    pub dns_servers: Vec<SocketAddr>,
    /// `dns.timeout`.
    pub dns_timeout: Duration,
    /// `metrics.listen`.
    pub metrics: Option<SocketAddr>,
    /// `control.socket`.
    pub control_socket: PathBuf,
    /// `control.group`.
    pub control_group: Option<String>,
    /// `log.target`.
    pub log_target: LogTarget,
    /// `log.format`.
    pub log_format: LogFormat,
    /// `log.level`.
    pub log_level: mail::Level,
}

/// `runtime.reactor`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reactor {
    /// The ring where it works.
    Auto,
    /// io_uring.
    Ring,
    /// epoll.
    Poll,
}

/// One `[[listener]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerSettings {
    /// What its sessions obey, its name among it.
    pub options: server::ListenerOptions,
    /// Where it listens.
    pub addresses: Vec<SocketAddr>,
    /// `file:line`.
    pub place: String,
}

/// `[tls]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// What everybody is shown who asks for no other name.
    pub standard: PairSettings,
    /// `[[tls.name]]`.
    pub named: Vec<PairSettings>,
    /// `tls.minimum` is `1.3`.
    pub only_tls13: bool,
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairSettings {
    /// The names that it is for; none for the standard one.
    pub names: Vec<Box<str>>,
    /// The chain, in PEM form.
    pub certificate: PathBuf,
    /// The key, in PEM form.
    pub key: PathBuf,
    /// `file:line`.
    pub place: String,
}

/// `auth.users`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Users {
    /// A table.
    Table(PathBuf),
    /// Dovecot's auth socket.
    Dovecot(PathBuf),
}

/// `log.target`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// The standard error.
    Stderr,
    /// A file, reopened on SIGUSR1.
    File(PathBuf),
}

/// `log.format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Reads all sections; problems are collected on the way.
pub(crate) fn build(
    documents: &[Document<'_>],
    machine: Option<&str>,
    found: &mut Vec<Problem>,
) -> Config {
    let problems = RefCell::new(Vec::new());
    let table = |name| Section::table(documents, name, &problems);
    let top = Section::top(documents, &problems);
    let runtime = table("runtime");
    let hostname = hostname(&top, machine);
    let server = receiving::server_options(&table("smtp"), &table("limits"), &top, &hostname);
    let message_bytes = server.smtp.message_bytes;
    let routes = Section::elements(documents, "route", &problems);
    let control = table("control");
    let (log_target, log_format, log_level) = log(&table("log"));
    let config = Config {
        user: top.optional_text("user"),
        threads: runtime.count("threads") as usize,
        workers: runtime.count("workers") as usize,
        reactor: [Reactor::Auto, Reactor::Ring, Reactor::Poll][runtime.choice("reactor")],
        drain: runtime.duration("drain"),
        listeners: receiving::listeners(&Section::elements(documents, "listener", &problems), &top),
        tls: receiving::tls(&table("tls"), &Section::elements(documents, "tls.name", &problems)),
        users: receiving::users(&table("auth")),
        sessions_are_explicit: table("limits").has("sessions"),
        policy: receiving::policy_options(&table("relay"), &table("limits"), &table("auth")),
        queue: queue_options(documents, &problems, &top, &hostname, message_bytes),
        delivery: routes::delivery_options(
            &table("delivery"),
            &routes,
            &hostname,
            table("smtp").choice("eightbit") == 1,
        ),
        dns_servers: table("dns").list_of("servers", |text| text.parse().ok()),
        dns_timeout: table("dns").duration("timeout"),
        metrics: table("metrics").optional_address("listen"),
        control_socket: control.text("socket").into(),
        control_group: control.optional_text("group"),
        log_target,
        log_format,
        log_level,
        hostname,
        server,
    };
    found.append(&mut problems.borrow_mut());
    config
}

fn hostname(top: &Section<'_>, machine: Option<&str>) -> String {
    let written = top.text("hostname");
    let name = if written.is_empty() { machine.unwrap_or_default() } else { &written };
    let place = top.place_of("hostname");
    match mail::Domain::parse(name) {
        Ok(domain) if name.contains('.') && !name.starts_with('[') => domain.as_str().to_owned(),
        Ok(_) | Err(_) => {
            let message = format!("`{name}` is not the full name of a host");
            top.report(&place, message, "write hostname = \"relay.example.org\"");
            name.to_owned()
        }
    }
}

fn queue_options<'a>(
    documents: &'a [Document<'a>],
    problems: &'a RefCell<Vec<Problem>>,
    top: &Section<'_>,
    hostname: &str,
    message_bytes: u64,
) -> queue::Options {
    let limits = Section::table(documents, "limits", problems);
    let retry = Section::table(documents, "retry", problems);
    queue::Options {
        directory: top.text("spool").into(),
        hostname: hostname.into(),
        message_bytes,
        spool_free: match limits.size_or_percent("spool_free") {
            Ok(bytes) => queue::SpoolFree::Bytes(bytes),
            Err(percent) => queue::SpoolFree::Percent(percent),
        },
        queue_messages: limits.count("queue_messages"),
        hot_bytes: queue::Options::default().hot_bytes,
        retry: queue::Retry {
            first: retry.duration("first"),
            factor: retry.number("factor"),
            max: retry.duration("max"),
            give_up: retry.duration("give_up"),
            give_up_bounces: retry.duration("give_up_bounces"),
        },
        return_bytes: Section::table(documents, "dsn", problems).size("return_bytes"),
    }
}

fn log(log: &Section<'_>) -> (LogTarget, LogFormat, mail::Level) {
    use mail::Level::{Debug, Error, Info, Warn};
    let text = log.text("target");
    let target = match text.strip_prefix("file:") {
        Some(path) if path.starts_with('/') => LogTarget::File(path.into()),
        None if text == "stderr" => LogTarget::Stderr,
        Some(_) | None => {
            let message = format!("`{text}` is no log target");
            let help = "write target = \"stderr\" or target = \"file:/var/log/ringpost.log\"";
            log.report(&log.place_of("target"), message, help);
            LogTarget::Stderr
        }
    };
    let format = [LogFormat::Text, LogFormat::Json][log.choice("format")];
    (target, format, [Error, Warn, Info, Debug][log.choice("level")])
}
