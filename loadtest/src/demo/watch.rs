//! The live line.

use super::relay::RunningRelay;
use crate::clock;
use crate::report;
use crate::sink::Sink;
use crate::source::Source;
use anyhow::bail;
use reactor::Instant;
use std::io::{IsTerminal, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// How often the line is written where it can be overwritten.
const TERMINAL_TICK: Duration = Duration::from_millis(200);

/// How often elsewhere.
const PLAIN_TICK: Duration = Duration::from_secs(1);

/// What is watched.
pub(super) struct Watch<'a> {
    pub(super) source: &'a Source,
    pub(super) sink: &'a Sink,
    pub(super) relay: &'a RunningRelay,
    pub(super) wanted: u64,
}

impl Watch<'_> {
    /// Shows how far it is until everything has arrived, or nothing more can; whether everything
    /// has. `ticks` brings the ends of source and sink.
    pub(super) fn until_done(&self, ticks: &Receiver<()>, by: Instant) -> anyhow::Result<bool> {
        let terminal = std::io::stdout().is_terminal();
        let tick = if terminal { TERMINAL_TICK } else { PLAIN_TICK };
        let began = clock::now();
        let (mut before, mut then) = (0, began);
        loop {
            let arrivals = self.sink.arrivals(self.source.run());
            let arrived = arrivals.whole + arrivals.damaged;
            let now = clock::now();
            let done = arrived >= self.wanted;
            if self.relay.has_ended() {
                bail!("the relay has ended by itself; its log says why");
            }
            if done || now >= then + tick {
                let rate = report::rate(arrived - before, now.since(then));
                self.show(arrived, rate as u64, now.since(began), terminal)?;
                (before, then) = (arrived, now);
            }
            if done || now >= by {
                if terminal {
                    writeln!(std::io::stdout())?;
                }
                return Ok(done);
            }
            let wait = (then + tick).since(now).min(by.since(now));
            match ticks.recv_timeout(wait) {
                Ok(()) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => bail!("source and sink have gone"),
            }
        }
    }

    fn show(
        &self,
        arrived: u64,
        rate: u64,
        elapsed: Duration,
        terminal: bool,
    ) -> std::io::Result<()> {
        let counts = self.source.counts();
        let through = self.sink.through();
        let (accept, time) = (&counts.end_of_data, report::time);
        let line = format!(
            "{:5.1} s  sent {}  accepted {}  delivered {}  {}/s  accept p50 {} p99 {}  \
             end to end p50 {} p99 {}",
            elapsed.as_secs_f64(),
            report::count(counts.sent),
            report::count(counts.accepted),
            report::count(arrived),
            report::count(rate),
            time(accept.at(0.5)),
            time(accept.at(0.99)),
            time(through.at(0.5)),
            time(through.at(0.99)),
        );
        let mut say = std::io::stdout();
        if terminal {
            // To the beginning of the line, clear it, and cut what does not fit: a line that wraps
            // could not be overwritten.
            write!(say, "\r\x1b[K\x1b[?7l{line}\x1b[?7h")?;
        } else {
            writeln!(say, "{line}")?;
        }
        say.flush()
    }
}
