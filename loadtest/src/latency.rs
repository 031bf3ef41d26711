//! Distributions of time.

use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::fmt;
use std::time::Duration;

/// The shortest time that is told apart, in nanoseconds.
const LOWEST: u64 = 1_000;

/// The longest, in nanoseconds: ten minutes, as long as an end of data may take (RFC 5321
/// §4.5.3.2.6).
const HIGHEST: u64 = 600_000_000_000;

/// A distribution of times, each kept to three digits.
#[derive(Clone, Debug)]
pub struct Latency {
    histogram: Histogram<u64>,
}

impl Default for Latency {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(LOWEST, HIGHEST, 3);
        Self { histogram: histogram.expect("the bounds are in order") }
    }
}

impl Latency {
    /// Adds one time; what is out of bounds counts as the bound.
    pub fn record(&mut self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(HIGHEST);
        self.histogram.saturating_record(nanoseconds.max(LOWEST));
    }

    /// Adds all of `other`.
    pub fn add(&mut self, other: &Self) {
        self.histogram.add(&other.histogram).expect("all have the same bounds");
    }

    /// The time that the share `quantile` of all did not exceed; zero when there are none.
    pub fn at(&self, quantile: f64) -> Duration {
        Duration::from_nanos(self.histogram.value_at_quantile(quantile))
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The percentiles in seconds.
    pub fn json(&self) -> Value {
        let at = |quantile| self.at(quantile).as_secs_f64();
        json!({
            "count": self.count(), "p50": at(0.5), "p90": at(0.9), "p99": at(0.99),
            "p99.9": at(0.999), "max": at(1.0),
        })
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.count() == 0 {
            return f.write_str("none");
        }
        let names = [(0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9"), (1.0, "max")];
        for (number, (quantile, name)) in names.into_iter().enumerate() {
            let gap = if number == 0 { "" } else { "  " };
            write!(f, "{gap}{name} {}", crate::report::time(self.at(quantile)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_come_in_order_and_to_three_digits() {
        let mut latency = Latency::default();
        (1..=1000).for_each(|number| latency.record(Duration::from_micros(number)));
        let median = latency.at(0.5).as_micros();
        assert!((499..=501).contains(&median), "{median}");
        assert!(latency.at(0.5) < latency.at(0.99) && latency.at(0.99) <= latency.at(1.0));
        assert_eq!(latency.count(), 1000);
    }
}
