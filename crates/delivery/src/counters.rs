//! Plain numbers for the metrics.

use reactor::Instant;
use std::collections::BTreeMap;
use std::time::Duration;

/// Samples of one kind that are kept until somebody looks: a second at 50,000 messages.
const SAMPLES_MAX: usize = 65_536;

/// What delivery has done on a shard. Samples are those since the last look.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counters {
    /// Recipients delivered (`deliveries_total{outcome="delivered"}`).
    pub delivered: u64,
    /// Recipients deferred, once for each attempt.
    pub deferred: u64,
    /// Recipients bounced.
    pub bounced: u64,
    /// Messages sent to their end without a final reply (`deliveries_uncertain_total`).
    pub uncertain: u64,
    /// Sessions that exist or are being made (`outbound_sessions_open`).
    pub sessions_open: u64,
    /// Connections by what came of them: `established`, `unreachable`, `refused`
    /// (`outbound_sessions_total{result}`).
    pub sessions: BTreeMap<&'static str, u64>,
    /// Handshakes, by version or `failed` (`tls_sessions_total{side="client"}`).
    pub tls: BTreeMap<&'static str, u64>,
    /// Messages in each session that has ended (`outbound_session_messages`).
    pub session_messages: Vec<f64>,
    /// Seconds from beginning a transaction to knowing what became of it (`attempt_seconds`).
    pub attempt_seconds: Vec<f64>,
    /// Seconds of delivered messages before the queue, in it, connecting, transmitting
    /// (`delivery_seconds{stage}`).
    pub stage_seconds: [Vec<f64>; 4],
}

/// How the stages of [`Counters::stage_seconds`] are called.
pub const STAGES: [&str; 4] = ["before_queue", "in_queue", "connecting", "transmitting"];

impl Counters {
    pub(crate) fn count_session(&mut self, result: &'static str) {
        *self.sessions.entry(result).or_insert(0) += 1;
    }

    pub(crate) fn count_tls(&mut self, result: &'static str) {
        *self.tls.entry(result).or_insert(0) += 1;
    }

    pub(crate) fn sample_session(&mut self, messages: u32) {
        push(&mut self.session_messages, f64::from(messages));
    }

    pub(crate) fn sample_attempt(&mut self, took: Duration) {
        push(&mut self.attempt_seconds, took.as_secs_f64());
    }

    pub(crate) fn sample_stages(&mut self, stages: &[Duration; 4]) {
        for (samples, stage) in self.stage_seconds.iter_mut().zip(stages) {
            push(samples, stage.as_secs_f64());
        }
    }

    /// The numbers; the samples are taken away.
    pub(crate) fn take(&mut self) -> Self {
        let fresh = Self {
            session_messages: Vec::new(),
            attempt_seconds: Vec::new(),
            stage_seconds: Default::default(),
            sessions: self.sessions.clone(),
            tls: self.tls.clone(),
            ..*self
        };
        std::mem::replace(self, fresh)
    }
}

fn push(samples: &mut Vec<f64>, sample: f64) {
    if samples.len() < SAMPLES_MAX {
        samples.push(sample);
    }
}

/// A next hop as operators see it.
#[derive(Clone, Debug, PartialEq)]
pub struct DestinationView {
    /// The name of the next hop.
    pub name: String,
    /// Sessions that there may be, over all shards.
    pub window: usize,
    /// Sessions of this shard.
    pub sessions: usize,
    /// Until when it is left alone.
    pub resting_until: Option<Instant>,
    /// The last reply or network error, on one line.
    pub last_reply: Option<String>,
    /// Messages of this shard that are due there, as last seen.
    pub queued: usize,
}
