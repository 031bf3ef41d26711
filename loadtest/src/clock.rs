//! Clocks for the threads that have no reactor, and what a thread has cost.

use reactor::Instant;
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// The clock of every reactor on this machine, so that two processes can compare.
pub(crate) fn now() -> Instant {
    let since_boot = read(ClockId::Monotonic);
    Instant(u64::try_from(since_boot.as_nanos()).expect("584 years of uptime"))
}

/// CPU time of this thread.
pub(crate) fn thread_cpu() -> Duration {
    read(ClockId::ThreadCPUTime)
}

/// CPU time of this process.
pub(crate) fn process_cpu() -> Duration {
    read(ClockId::ProcessCPUTime)
}

fn read(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}
