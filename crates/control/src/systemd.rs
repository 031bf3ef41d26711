//! What systemd is told (sd_notify(3)). Without NOTIFY_SOCKET nothing is.

use sd_notify::NotifyState;

/// Every listener accepts, or a reload has ended.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// A reload has begun. The time is required with it (Type=notify-reload).
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// A drain has begun.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// The shards turn.
pub(crate) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// Whether systemd wants to hear [`alive`]: we tell each second, its limit is some seconds.
pub(crate) fn wants_watchdog() -> bool {
    sd_notify::watchdog_enabled().is_some()
}

fn tell(states: &[NotifyState<'_>]) {
    // A supervisor that does not listen changes nothing here.
    drop(sd_notify::notify(states));
}
