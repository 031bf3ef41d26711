//! What a source has done.

use super::replies::Reply;
use crate::latency::Latency;
use crate::report;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Counts of one thread, or of all of them together.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Messages whose end of data was sent.
    pub sent: u64,
    /// Messages that got their 2yz.
    pub accepted: u64,
    /// Recipients of messages that went on without them.
    pub recipients_refused: u64,
    /// Messages refused, by the code of the first refusal.
    pub refused: BTreeMap<u16, u64>,
    /// Messages whose end of data got no reply: nobody knows.
    pub unanswered: u64,
    /// Sessions that were greeted.
    pub sessions: u64,
    /// Sessions that did not come about or broke.
    pub sessions_lost: u64,
    /// The first refusal or loss, in words.
    pub first_trouble: Option<String>,
    /// End of data to its reply.
    pub end_of_data: Latency,
    /// MAIL (or the connection, or the scheduled time) to the reply to end of data.
    pub transaction: Latency,
}

impl Counts {
    /// Adds all of `other`.
    pub fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.accepted += other.accepted;
        self.recipients_refused += other.recipients_refused;
        for (code, count) in &other.refused {
            *self.refused.entry(*code).or_default() += count;
        }
        self.unanswered += other.unanswered;
        self.sessions += other.sessions;
        self.sessions_lost += other.sessions_lost;
        if self.first_trouble.is_none() {
            self.first_trouble.clone_from(&other.first_trouble);
        }
        self.end_of_data.add(&other.end_of_data);
        self.transaction.add(&other.transaction);
    }

    /// Messages refused with any code.
    pub fn refused_in_all(&self) -> u64 {
        self.refused.values().sum()
    }

    pub(super) fn refuse(&mut self, reply: &Reply) {
        *self.refused.entry(reply.code).or_default() += 1;
        self.trouble(&reply.text);
    }

    pub(super) fn trouble(&mut self, text: &str) {
        self.first_trouble.get_or_insert_with(|| text.to_owned());
    }
}

/// What a source has done in the end, and what it took.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The counts of all threads.
    pub counts: Counts,
    /// Messages that were to be sent.
    pub wanted: u64,
    /// From the first connection to the last reply.
    pub elapsed: Duration,
    /// CPU time of the source's threads.
    pub cpu: Duration,
}

impl Summary {
    /// Whether every message was accepted.
    pub fn is_complete(&self) -> bool {
        self.counts.accepted == self.wanted
    }

    /// Accepted messages a second.
    pub fn rate(&self) -> f64 {
        report::rate(self.counts.accepted, self.elapsed)
    }

    /// All of it, times in seconds.
    pub fn json(&self) -> Value {
        let counts = &self.counts;
        let refused: BTreeMap<String, u64> =
            counts.refused.iter().map(|(code, count)| (code.to_string(), *count)).collect();
        json!({
            "wanted": self.wanted, "sent": counts.sent, "accepted": counts.accepted,
            "refused": refused, "recipients_refused": counts.recipients_refused,
            "unanswered": counts.unanswered, "sessions": counts.sessions,
            "sessions_lost": counts.sessions_lost, "first_trouble": counts.first_trouble,
            "elapsed": self.elapsed.as_secs_f64(), "rate": self.rate(),
            "cpu": self.cpu.as_secs_f64(), "end_of_data": counts.end_of_data.json(),
            "transaction": counts.transaction.json(),
        })
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = &self.counts;
        let per_message = self.cpu.as_secs_f64() * 1e6 / counts.sent.max(1) as f64;
        let refused: Vec<String> =
            counts.refused.iter().map(|(code, count)| format!("{count} x {code}")).collect();
        writeln!(f, "sent          {}", report::count(counts.sent))?;
        writeln!(f, "accepted      {} of {}", report::count(counts.accepted), self.wanted)?;
        if !refused.is_empty() {
            writeln!(f, "refused       {}", refused.join(", "))?;
        }
        if counts.recipients_refused > 0 {
            writeln!(f, "recipients    {} refused", report::count(counts.recipients_refused))?;
        }
        if counts.unanswered > 0 {
            writeln!(f, "unanswered    {}", report::count(counts.unanswered))?;
        }
        writeln!(f, "sessions      {}, {} lost", counts.sessions, counts.sessions_lost)?;
        if let Some(trouble) = &counts.first_trouble {
            writeln!(f, "first trouble {trouble}")?;
        }
        let rate = report::count(self.rate() as u64);
        writeln!(f, "rate          {rate} messages/s in {}", report::time(self.elapsed))?;
        writeln!(f, "end of data   {}", counts.end_of_data)?;
        writeln!(f, "transaction   {}", counts.transaction)?;
        let cpu = report::time(self.cpu);
        writeln!(f, "cpu           {cpu}, {per_message:.1} us a message")
    }
}
