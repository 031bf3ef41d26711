//! How long a body may take.

use super::options::ServerOptions;
use std::time::Duration;

/// The rate of a body is not judged before this much waiting.
const RATE_GRACE: Duration = Duration::from_secs(30);

/// The waiting for one body so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    waited: Duration,
}

impl Pace {
    /// We have waited once more.
    pub(super) fn waited(&mut self, elapsed: Duration) {
        self.waited = self.waited.saturating_add(elapsed);
    }

    /// Whether `bytes` so far came too slowly. Judged when bytes have come, since silence has a
    /// limit of its own.
    pub(super) fn is_too_slow(&self, bytes: u64, options: &ServerOptions) -> bool {
        let due = u128::from(options.data_rate) * self.waited.as_millis() / 1000;
        self.waited > RATE_GRACE && u128::from(bytes) < due
    }

    /// How long to wait for the next bytes, if silence may last for `silence`.
    pub(super) fn patience(&self, silence: Duration, options: &ServerOptions) -> Duration {
        silence.min(options.data_total.saturating_sub(self.waited))
    }
}
