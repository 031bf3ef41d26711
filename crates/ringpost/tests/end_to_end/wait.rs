//! The one place where tests wait: for a condition, never for a while.

use std::time::{Duration, Instant};

/// How long anything may take. Far more than it does, so that a busy machine fails no test.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// How often a condition is looked at: short against a process start, long against a look.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Waits until `look` finds something; panics with `what` when it does not within [`LIMIT`].
pub(crate) fn until_some<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    until_some_within(LIMIT, what, look)
}

/// The same with a limit of its own.
pub(crate) fn until_some_within<T>(
    limit: Duration,
    what: &str,
    mut look: impl FnMut() -> Option<T>,
) -> T {
    let deadline = now() + limit;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(now() < deadline, "not within {limit:?}: {what}");
        std::thread::park_timeout(LOOK_EVERY);
    }
}

/// Waits until `holds`.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    until_some(what, || holds().then_some(()));
}

#[expect(clippy::disallowed_methods, reason = "processes of the real world run on its clock")]
fn now() -> Instant {
    Instant::now()
}
