//! The wall clock of the control plane, which has no reactor.

use mail::UnixTime;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Now.
#[allow(
    clippy::disallowed_methods,
    reason = "the control plane is on no shard and never in the simulation"
)]
pub(crate) fn wall() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    UnixTime::from_epoch(since.unwrap_or(Duration::ZERO))
}

/// Now, on the clock of the shards' timers (CLOCK_MONOTONIC).
pub(crate) fn monotonic() -> reactor::Instant {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0));
    let nanos = Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or(0));
    reactor::Instant(0) + seconds + nanos
}
