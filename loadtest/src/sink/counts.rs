//! What a sink has received.

use super::ledger::Ledger;
use crate::latency::Latency;
use crate::report;
use serde_json::{Value, json};
use std::fmt;
use std::time::Duration;

/// Counts of a sink.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Sessions that are open.
    pub sessions_now: u64,
    /// The most that were open at a time.
    pub sessions_most: u64,
    /// All that there were.
    pub sessions: u64,
    /// Messages that got their 250.
    pub messages: u64,
    /// Their bytes, terminators apart.
    pub bytes: u64,
}

/// What a sink has received in the end.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The counts.
    pub counts: Counts,
    /// What was verified, if it was.
    pub ledger: Option<Ledger>,
    /// From the source's end of data to the sink's 250, of verified messages.
    pub through: Latency,
    /// From the first message to the last.
    pub elapsed: Duration,
    /// CPU time of the sink's threads.
    pub cpu: Duration,
}

impl Summary {
    /// All of it, times in seconds.
    pub fn json(&self) -> Value {
        let counts = &self.counts;
        json!({
            "messages": counts.messages, "bytes": counts.bytes, "sessions": counts.sessions,
            "sessions_most": counts.sessions_most, "elapsed": self.elapsed.as_secs_f64(),
            "rate": report::rate(counts.messages, self.elapsed), "cpu": self.cpu.as_secs_f64(),
            "through": self.through.json(),
            "verified": self.ledger.as_ref().map(Ledger::json),
        })
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = &self.counts;
        let rate = report::rate(counts.messages, self.elapsed) as u64;
        let megabytes = counts.bytes as f64 / 1e6;
        let per_message = self.cpu.as_secs_f64() * 1e6 / counts.messages.max(1) as f64;
        writeln!(f, "messages      {}, {megabytes:.1} MB", report::count(counts.messages))?;
        writeln!(
            f,
            "sessions      {}, at most {} at a time",
            counts.sessions, counts.sessions_most
        )?;
        writeln!(
            f,
            "rate          {} messages/s in {}",
            report::count(rate),
            report::time(self.elapsed)
        )?;
        let cpu = report::time(self.cpu);
        writeln!(f, "cpu           {cpu}, {per_message:.1} us a message")?;
        if let Some(ledger) = &self.ledger {
            writeln!(f, "through       {}", self.through)?;
            write!(f, "{ledger}")?;
        }
        Ok(())
    }
}
