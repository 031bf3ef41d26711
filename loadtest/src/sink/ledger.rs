//! Which messages of which run have come, and how.

use crate::stamp::{NUMBER_MAX, Stamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;

/// Runs that are kept apart; messages of further ones count as strangers.
const RUNS_MAX: usize = 1024;

/// The longest header that is kept to look for a stamp, in bytes.
const HEADER_MAX: usize = 64 * 1024;

/// One run of a source, as it arrived.
#[derive(Clone, Debug, Default)]
pub struct Arrivals {
    /// A bit for each message that has come, whole or not.
    seen: Vec<u64>,
    /// Different messages that have come whole.
    pub whole: u64,
    /// Copies beyond the first.
    pub twice: u64,
    /// Messages whose body is not what was sent; they count as come, not as whole.
    pub damaged: u64,
    /// One more than the highest number that has come.
    pub up_to: u64,
}

impl Arrivals {
    /// Of the messages below `expected`, how many have not come.
    pub fn missing(&self, expected: u64) -> u64 {
        expected - (self.whole + self.damaged).min(expected)
    }

    /// Marks `number`; whether it was marked before.
    fn mark(&mut self, number: u64) -> bool {
        let word = (number / 64) as usize;
        if word >= self.seen.len() {
            self.seen.resize((word + 1).next_power_of_two(), 0);
        }
        self.up_to = self.up_to.max(number + 1);
        let bit = 1 << (number % 64);
        let before = self.seen[word] & bit != 0;
        self.seen[word] |= bit;
        before
    }
}

/// What has arrived of all runs.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    runs: BTreeMap<u64, Arrivals>,
    /// Messages without a stamp.
    pub strangers: u64,
}

impl Ledger {
    /// Enters a message whose body has the checksum `found`.
    pub(super) fn enter(&mut self, stamp: Option<&Stamp>, found: u32) {
        let known = stamp.filter(|stamp| {
            stamp.number <= NUMBER_MAX
                && (self.runs.len() < RUNS_MAX || self.runs.contains_key(&stamp.run))
        });
        let Some(stamp) = known else {
            self.strangers += 1;
            return;
        };
        let arrivals = self.runs.entry(stamp.run).or_default();
        match (arrivals.mark(stamp.number), stamp.checksum == found) {
            (true, _) => arrivals.twice += 1,
            (false, true) => arrivals.whole += 1,
            (false, false) => arrivals.damaged += 1,
        }
    }

    /// What has come of one run.
    pub fn run(&self, run: u64) -> Arrivals {
        self.runs.get(&run).cloned().unwrap_or_default()
    }

    /// All of it; missing are those below the highest number that has come.
    pub fn json(&self) -> Value {
        let runs: Vec<Value> = self
            .runs
            .iter()
            .map(|(run, arrivals)| {
                json!({
                    "run": format!("{run:016x}"), "whole": arrivals.whole,
                    "twice": arrivals.twice, "damaged": arrivals.damaged,
                    "missing": arrivals.missing(arrivals.up_to),
                })
            })
            .collect();
        json!({ "runs": runs, "strangers": self.strangers })
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (run, arrivals) in &self.runs {
            let Arrivals { whole, twice, damaged, up_to, .. } = arrivals;
            let missing = arrivals.missing(*up_to);
            writeln!(
                f,
                "run {run:016x}: {whole} whole, {twice} twice, {damaged} damaged, {missing} \
                 missing below the highest that came"
            )?;
        }
        writeln!(f, "without a stamp: {}", self.strangers)
    }
}

/// Reads one message as it comes: its stamp and the checksum of its body.
#[derive(Default)]
pub(super) struct Inspection {
    header: Vec<u8>,
    stamp: Option<Stamp>,
    in_body: bool,
    checksum: u32,
}

impl Inspection {
    /// Takes the next bytes of the message.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        if self.in_body {
            self.checksum = crc32c::crc32c_append(self.checksum, bytes);
            return;
        }
        // The empty line may lie on the seam.
        let from = self.header.len().saturating_sub(3);
        self.header.extend_from_slice(bytes);
        match memchr::memmem::find(&self.header[from..], b"\r\n\r\n") {
            Some(at) => {
                let end = from + at;
                self.stamp = Stamp::read(&self.header[..end + 2]);
                self.checksum = crc32c::crc32c(&self.header[end + 4..]);
                self.in_body = true;
            }
            // Not from our source: it is read on as a body that nobody asks for.
            None if self.header.len() > HEADER_MAX => self.in_body = true,
            None => {}
        }
    }

    /// The message is over; ready for the next one.
    pub(super) fn finish(&mut self) -> (Option<Stamp>, u32) {
        let found = (self.stamp.take(), self.checksum);
        self.header.clear();
        self.in_body = false;
        self.checksum = 0;
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reactor::Instant;

    fn stamp(number: u64, checksum: u32) -> Stamp {
        Stamp { run: 1, number, sent: Instant(0), checksum }
    }

    #[test]
    fn lost_twice_and_damaged_are_told_apart() {
        let mut ledger = Ledger::default();
        ledger.enter(Some(&stamp(0, 5)), 5);
        ledger.enter(Some(&stamp(0, 5)), 5);
        ledger.enter(Some(&stamp(2, 5)), 6);
        ledger.enter(None, 0);
        let run = ledger.run(1);
        assert_eq!((run.whole, run.twice, run.damaged, run.up_to), (1, 1, 1, 3));
        assert_eq!((run.missing(3), run.missing(10), ledger.strangers), (1, 8, 1));
    }

    #[test]
    fn an_inspection_reads_the_stamp_however_the_message_is_cut() {
        let body = b"line\r\n\r\nmore\r\n";
        let stamp = stamp(7, crc32c::crc32c(body));
        let mut wire = b"Received: x\r\n".to_vec();
        stamp.write_to(&mut wire);
        wire.extend_from_slice(b"\r\n");
        wire.extend_from_slice(body);
        for step in 1..=wire.len() {
            let mut inspection = Inspection::default();
            wire.chunks(step).for_each(|piece| inspection.feed(piece));
            assert_eq!(inspection.finish(), (Some(stamp), stamp.checksum), "by {step}");
        }
    }
}
