//! The metrics: one table of names, and the recorder that renders them.
//!
//! Only this crate touches `metrics`; the rooms on the mail path count in plain numbers.

use metrics::{Key, KeyName, Label, Level, Metadata, Recorder, SharedString};
use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

/// What every name of ours begins with.
const PREFIX: &str = "ringpost_";

/// What the names of the destinations' gauges begin with.
const DESTINATION: &str = "destination_";

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// A distribution, with its buckets' upper bounds.
    Histogram(&'static [f64]),
}

impl Kind {
    /// The word of the text format.
    fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// One metric: name without prefix, kind, and what it means.
pub(crate) type Meter = (&'static str, Kind, &'static str);

/// From 50 µs, a write to a good disk, to 30 s, where a write counts as failed.
const SECONDS: &[f64] = &[
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
    2.5, 5.0, 10.0, 30.0,
];

/// From 1 ms, a next hop in the same rack, to 5 days, where a message is given up.
const LONG_SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    300.0, 1800.0, 7200.0, 43_200.0, 432_000.0,
];

/// Messages in one go.
const COUNTS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1000.0];

/// Every metric but those of the process itself. docs/metrics.md has a row for each, and a test
/// that says so.
pub(crate) const METERS: &[Meter] = &[
    ("build_info", Kind::Gauge, "Always 1; the labels say which version runs"),
    ("sessions_open", Kind::Gauge, "Sessions of clients that are open"),
    ("sessions_total", Kind::Counter, "Sessions of clients that have ended"),
    ("sessions_refused_total", Kind::Counter, "Clients that were turned away at the door"),
    ("replies_total", Kind::Counter, "Replies to clients"),
    ("messages_received_total", Kind::Counter, "Messages that got their 250"),
    ("received_bytes_total", Kind::Counter, "Bytes of messages that got their 250"),
    ("recipients_received_total", Kind::Counter, "Recipients of messages that got their 250"),
    ("messages_refused_total", Kind::Counter, "Refusals of clients, senders and recipients"),
    ("bare_newlines_total", Kind::Counter, "Bare CR and LF replaced, messages refused for them"),
    ("tls_sessions_total", Kind::Counter, "Handshakes, by version or failed"),
    ("auth_attempts_total", Kind::Counter, "Authentications of clients"),
    ("tls_certificate_ok", Kind::Gauge, "1: the files are in force; 0: they were refused"),
    ("tls_certificate_expiry_timestamp_seconds", Kind::Gauge, "When a certificate ends"),
    ("table_ok", Kind::Gauge, "1: the table is in force; 0: it was refused"),
    ("accept_seconds", Kind::Histogram(SECONDS), "From end of data to 250"),
    ("spool_commit_seconds", Kind::Histogram(SECONDS), "Durable write of one batch"),
    ("spool_commit_messages", Kind::Histogram(COUNTS), "Records in one batch"),
    ("spool_bytes", Kind::Gauge, "Bytes of the spool: live, dead, free"),
    ("spool_failures_total", Kind::Counter, "Writes and syncs that failed"),
    ("spool_quarantined_total", Kind::Counter, "Damaged batches and records found"),
    ("queue_messages", Kind::Gauge, "Messages that await delivery"),
    ("queue_recipients", Kind::Gauge, "Recipients that await delivery"),
    ("queue_oldest_seconds", Kind::Gauge, "Age of the oldest message"),
    ("deliveries_total", Kind::Counter, "Outcomes of attempts, by recipient"),
    ("deliveries_uncertain_total", Kind::Counter, "Messages sent whole without a final reply"),
    ("delivery_seconds", Kind::Histogram(LONG_SECONDS), "Time of delivered messages, by stage"),
    ("attempt_seconds", Kind::Histogram(LONG_SECONDS), "One attempt to deliver a message"),
    ("outbound_sessions_open", Kind::Gauge, "Sessions with next hops that are open"),
    ("outbound_sessions_total", Kind::Counter, "Sessions with next hops that were tried"),
    ("outbound_session_messages", Kind::Histogram(COUNTS), "Messages over one session"),
    ("destination_queued", Kind::Gauge, "Messages due for a destination"),
    ("destination_sessions_open", Kind::Gauge, "Open sessions with a destination"),
    ("destination_window", Kind::Gauge, "Sessions that a destination is given at most"),
    ("dsn_total", Kind::Counter, "Reports of failure"),
    ("dns_lookups_total", Kind::Counter, "Questions to name servers"),
    ("dns_seconds", Kind::Histogram(SECONDS), "Time of one question to name servers"),
    ("config_reload_ok", Kind::Gauge, "1: the last reload was taken; 0: it was refused"),
    ("reactor_completions_total", Kind::Counter, "Completions that a shard has seen"),
    ("shard_busy_seconds_total", Kind::Counter, "Time that a shard did not wait"),
    ("uring_fallback", Kind::Gauge, "1: epoll is used, because of the reason"),
];

/// The recorder and what it renders.
pub(crate) struct Meters {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    process: metrics_process::Collector,
    destinations: Mutex<Vec<Destination>>,
}

/// The gauges of one destination. They come and go, so they are rendered here: the recorder would
/// keep the last value of each for ever.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Destination {
    /// Its name.
    pub(crate) name: String,
    /// Messages due.
    pub(crate) queued: u64,
    /// Open sessions.
    pub(crate) sessions: u64,
    /// Sessions at most.
    pub(crate) window: u64,
}

impl Meters {
    pub(crate) fn new() -> Self {
        let mut builder = PrometheusBuilder::new();
        for (name, kind, _) in METERS {
            if let Kind::Histogram(buckets) = kind {
                let matcher = Matcher::Full(format!("{PREFIX}{name}"));
                builder = builder
                    .set_buckets_for_metric(matcher, buckets)
                    .expect("the table has buckets");
            }
        }
        let recorder = builder.build_recorder();
        for (name, kind, text) in METERS {
            if name.starts_with(DESTINATION) {
                continue;
            }
            let name = KeyName::from(format!("{PREFIX}{name}"));
            let text = SharedString::const_str(text);
            match kind {
                Kind::Counter => recorder.describe_counter(name, None, text),
                Kind::Gauge => recorder.describe_gauge(name, None, text),
                Kind::Histogram(_) => recorder.describe_histogram(name, None, text),
            }
        }
        let process = metrics_process::Collector::default();
        metrics::with_local_recorder(&recorder, || process.describe());
        let handle = recorder.handle();
        Self { recorder, handle, process, destinations: Mutex::default() }
    }

    /// Sets a counter to what was counted elsewhere; it never goes back.
    pub(crate) fn counter(&self, name: &str, labels: &[(&'static str, &str)], value: u64) {
        self.recorder.register_counter(&key(name, "counter", labels), &METADATA).absolute(value);
    }

    /// Counts one.
    pub(crate) fn increment(&self, name: &str, labels: &[(&'static str, &str)]) {
        self.recorder.register_counter(&key(name, "counter", labels), &METADATA).increment(1);
    }

    /// Sets a gauge.
    pub(crate) fn gauge(&self, name: &str, labels: &[(&'static str, &str)], value: f64) {
        self.recorder.register_gauge(&key(name, "gauge", labels), &METADATA).set(value);
    }

    /// Adds samples to a distribution.
    pub(crate) fn samples(
        &self,
        name: &str,
        labels: &[(&'static str, &str)],
        samples: impl IntoIterator<Item = f64>,
    ) {
        let histogram =
            self.recorder.register_histogram(&key(name, "histogram", labels), &METADATA);
        for sample in samples {
            histogram.record(sample);
        }
    }

    /// Takes samples in and forgets what is idle: otherwise they pile up until somebody scrapes.
    pub(crate) fn keep_up(&self) {
        self.handle.run_upkeep();
    }

    /// All of it in Prometheus' text format 0.0.4.
    pub(crate) fn render(&self) -> String {
        metrics::with_local_recorder(&self.recorder, || self.process.collect());
        let mut text = self.handle.render();
        self.render_destinations(&mut text);
        text
    }

    /// Replaces what is said about destinations.
    pub(crate) fn set_destinations(&self, destinations: Vec<Destination>) {
        *self.destinations.lock().unwrap_or_else(PoisonError::into_inner) = destinations;
    }

    fn render_destinations(&self, text: &mut String) {
        let destinations = self.destinations.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, _, meaning) in METERS.iter().filter(|meter| meter.0.starts_with(DESTINATION)) {
            let name = format!("{PREFIX}{name}");
            let _ = write!(text, "# HELP {name} {meaning}\n# TYPE {name} gauge\n");
            for destination in destinations.iter() {
                let value = match name.as_str() {
                    "ringpost_destination_queued" => destination.queued,
                    "ringpost_destination_sessions_open" => destination.sessions,
                    _ => destination.window,
                };
                let label = escape(&destination.name);
                let _ = writeln!(text, "{name}{{destination=\"{label}\"}} {value}");
            }
            text.push('\n');
        }
    }
}

/// A label's value as the text format wants it.
fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

const METADATA: Metadata<'static> = Metadata::new("control", Level::INFO, None);

/// The key of a metric, which must stand in the table as what it is used as.
fn key(name: &str, used_as: &str, labels: &[(&'static str, &str)]) -> Key {
    debug_assert!(
        METERS.iter().any(|(known, kind, _)| *known == name && kind.word() == used_as),
        "the table has no {used_as} {name}"
    );
    let labels: Vec<Label> =
        labels.iter().map(|(name, value)| Label::new(*name, (*value).to_owned())).collect();
    Key::from_parts(format!("{PREFIX}{name}"), labels)
}
