//! What an operator may choose about the queue.

use std::path::PathBuf;
use std::time::Duration;

/// Options of the queue. Nothing reads configuration after start-up except through them.
#[derive(Clone, Debug)]
pub struct Options {
    /// The spool's directory (`spool`).
    pub directory: PathBuf,
    /// Our host name, for reports (`hostname`).
    pub hostname: Box<str>,
    /// The largest message in bytes (`smtp.message_bytes`).
    pub message_bytes: u64,
    /// Below this much free space nothing new is taken (`limits.spool_free`).
    pub spool_free: SpoolFree,
    /// Messages in the queue of this shard (`limits.queue_messages`, shared out).
    pub queue_messages: u64,
    /// Bytes of bodies kept in memory, per shard.
    pub hot_bytes: u64,
    /// When a recipient is tried again, and when no more (`retry`).
    pub retry: Retry,
    /// Above this size a report returns headers only (`dsn.return_bytes`), in bytes.
    pub return_bytes: u64,
}

/// How much of the file system is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpoolFree {
    /// Hundredths of the file system, 0 to 100.
    Percent(u8),
    /// Bytes.
    Bytes(u64),
}

/// The back-off of recipients.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retry {
    /// After the first attempt.
    pub first: Duration,
    /// Grows by this factor at each attempt; at least 1.
    pub factor: f64,
    /// Never longer than this, jitter aside.
    pub max: Duration,
    /// After this long a recipient is given up (RFC 5321 §4.5.4.1: at least 4 to 5 days).
    pub give_up: Duration,
    /// The same for messages with a null reverse-path.
    pub give_up_bounces: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("/var/lib/ringpost"),
            hostname: "localhost".into(),
            message_bytes: 35 << 20,
            spool_free: SpoolFree::Percent(5),
            queue_messages: 5_000_000,
            hot_bytes: 64 << 20,
            retry: Retry::default(),
            return_bytes: 64 << 10,
        }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(2 * 60),
            factor: 2.0,
            max: Duration::from_secs(60 * 60),
            give_up: Duration::from_secs(5 * 24 * 60 * 60),
            give_up_bounces: Duration::from_secs(2 * 24 * 60 * 60),
        }
    }
}

impl SpoolFree {
    /// The bytes to leave free on a file system of `total` bytes that takes messages of up to
    /// `message_bytes`.
    ///
    /// Never under one and a half messages, so that a body under way still fits, or a quarter of
    /// the file system, whichever is less.
    pub fn reserve(self, total: u64, message_bytes: u64) -> u64 {
        let wanted = match self {
            Self::Percent(hundredths) => total / 100 * u64::from(hundredths),
            Self::Bytes(bytes) => bytes,
        };
        wanted.max((message_bytes + message_bytes / 2).min(total / 4))
    }
}

impl Retry {
    /// How long to wait after attempt number `attempt` (from 1); `chance` in 0..1 spreads it by
    /// ±20%, so that what failed together does not come back together.
    pub fn delay(&self, attempt: u32, chance: f64) -> Duration {
        let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let grown = self.first.as_secs_f64() * self.factor.max(1.0).powi(exponent);
        // `min` also catches the infinity that many attempts grow to.
        let capped = grown.min(self.max.as_secs_f64());
        Duration::from_secs_f64(capped * (0.8 + 0.4 * chance.clamp(0.0, 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_grows_by_the_factor_up_to_the_maximum() {
        let retry = Retry::default();
        let minutes: Vec<u64> =
            (1..=7).map(|attempt| retry.delay(attempt, 0.5).as_secs() / 60).collect();
        assert_eq!(minutes, [2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(retry.delay(u32::MAX, 0.5), retry.max);
    }

    #[test]
    fn chance_spreads_the_delay_by_a_fifth_either_way() {
        let retry = Retry::default();
        assert_eq!(retry.delay(1, 0.0).as_secs(), 96);
        assert_eq!(retry.delay(1, 1.0).as_secs(), 144);
    }

    #[test]
    fn a_body_under_way_still_fits_below_the_limit() {
        assert_eq!(SpoolFree::Percent(5).reserve(1000, 10), 50);
        assert_eq!(SpoolFree::Percent(5).reserve(1000, 100), 150);
        assert_eq!(SpoolFree::Bytes(7).reserve(1000, 1000), 250);
    }
}
