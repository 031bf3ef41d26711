//! Feeds the metrics, once a second, from what the shards publish.

use crate::digest::Digest;
use crate::health::Stage;
use crate::http::Desk;
use crate::meters::{Destination, Meters};
use crate::order::{Order, Snapshot, Window};
use crate::{About, Options, systemd};
use delivery::DestinationView;
use server::SessionCount;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

/// How often snapshots are taken.
const PERIOD: Duration = Duration::from_secs(1);

/// Every so many periods samples are folded in and destinations are asked for.
const SLOWLY: u64 = 5;

/// Destinations that have gauges of their own: the busiest.
const DESTINATIONS_MAX: usize = 100;

/// States of messages, in the order of the queue's counters.
const STATES: [&str; 3] = ["active", "deferred", "held"];

/// A sum by label.
type Sums<K> = BTreeMap<K, u64>;

/// What does not change while the process runs.
pub(crate) fn constants(meters: &Meters, options: &Options, about: &About) {
    let revision = option_env!("RINGPOST_REVISION").unwrap_or("unknown");
    let labels = [("version", options.version), ("revision", revision)];
    meters.gauge("build_info", &labels, 1.0);
    meters.gauge("config_reload_ok", &[], 1.0);
    let reason = about.fallback.as_ref().map_or("none", |fallback| fallback.reason);
    let value = if about.fallback.is_some() { 1.0 } else { 0.0 };
    meters.gauge("uring_fallback", &[("reason", reason)], value);
}

/// Feeds for ever. The first shard that says that its spool has failed is told to `failed`.
pub(crate) async fn feed(desk: Arc<Desk>, windows: Vec<Window>, failed: mpsc::Sender<String>) {
    let mut latest: Vec<Option<Snapshot>> = windows.iter().map(|_| None).collect();
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let watched = systemd::wants_watchdog();
    for tick in 0u64.. {
        ticks.tick().await;
        for (shard, window) in windows.iter().enumerate() {
            let fresh = std::mem::take(&mut *window.lock().unwrap_or_else(PoisonError::into_inner));
            for snapshot in fresh {
                samples(&desk.meters, &snapshot);
                desk.health.hear(shard);
                latest[shard] = Some(snapshot);
            }
        }
        if latest.iter().flatten().any(|snapshot| snapshot.failed) {
            // One is enough, and the main loop hears only the first.
            drop(failed.try_send("the spool's disk has failed".into()));
        }
        numbers(&desk.meters, &latest);
        let digest = Digest::of(latest.iter().flatten());
        *desk.digest.lock().unwrap_or_else(PoisonError::into_inner) = digest;
        if watched && (desk.health.all_turn() || desk.health.stage() != Stage::Running) {
            systemd::alive();
        }
        if tick % SLOWLY == 0 {
            desk.meters.keep_up();
            // On its own: a shard that does not answer holds up nothing else.
            tokio::task::spawn_local(destinations(Arc::clone(&desk)));
        }
    }
}

async fn destinations(desk: Arc<Desk>) {
    let views = desk.shards.ask(|answer| Order::Destinations { answer }).await;
    // While draining nobody answers: the last gauges stay.
    if !views.given.is_empty() {
        desk.meters.set_destinations(busiest(views.given.into_iter().flatten()));
    }
}

/// The busiest destinations, over all shards: by open sessions, then by what is due.
fn busiest(views: impl Iterator<Item = DestinationView>) -> Vec<Destination> {
    let mut all = BTreeMap::new();
    for view in views {
        let sum = all.entry(view.name.clone()).or_insert_with(|| Destination {
            name: view.name,
            queued: 0,
            sessions: 0,
            window: 0,
        });
        sum.queued += view.queued as u64;
        sum.sessions += view.sessions as u64;
        // Only the home shard knows it.
        sum.window = sum.window.max(view.window as u64);
    }
    let mut all: Vec<_> = all.into_values().collect();
    all.sort_by_key(|one| std::cmp::Reverse((one.sessions, one.queued)));
    all.truncate(DESTINATIONS_MAX);
    all
}

/// What was sampled since the last snapshot.
fn samples(meters: &Meters, snapshot: &Snapshot) {
    let Snapshot { server, queue, delivery, .. } = snapshot;
    meters.samples("accept_seconds", &[], server.accept_seconds.iter().map(|s| f64::from(*s)));
    meters.samples("spool_commit_seconds", &[], queue.commit_seconds.iter().copied());
    meters.samples("spool_commit_messages", &[], queue.commit_messages.iter().copied());
    meters.samples("attempt_seconds", &[], delivery.attempt_seconds.iter().copied());
    meters.samples("outbound_session_messages", &[], delivery.session_messages.iter().copied());
    for (stage, seconds) in delivery::STAGES.iter().zip(&delivery.stage_seconds) {
        meters.samples("delivery_seconds", &[("stage", stage)], seconds.iter().copied());
    }
}

/// What was counted since the start, and what is now, summed over the shards.
fn numbers(meters: &Meters, latest: &[Option<Snapshot>]) {
    let all: Vec<&Snapshot> = latest.iter().flatten().collect();
    receiving(meters, &all);
    refusals(meters, &all);
    proofs(meters, &all);
    keeping(meters, &all);
    sending(meters, &all);
    for (shard, snapshot) in latest.iter().enumerate() {
        let Some(snapshot) = snapshot else { continue };
        let shard = shard.to_string();
        let labels = [("shard", shard.as_str())];
        meters.counter("reactor_completions_total", &labels, snapshot.reactor.completions);
        meters.counter("shard_busy_seconds_total", &labels, snapshot.reactor.busy.as_secs());
    }
}

fn receiving(meters: &Meters, all: &[&Snapshot]) {
    let mut sessions: BTreeMap<&str, SessionCount> = BTreeMap::new();
    for (name, count) in all.iter().flat_map(|snapshot| &snapshot.server.sessions) {
        let sum = sessions.entry(name).or_default();
        sum.open += count.open;
        for (sum, count) in sum.ended.iter_mut().zip(count.ended) {
            *sum += count;
        }
        sum.messages += count.messages;
    }
    for (name, count) in sessions {
        let listener = ("listener", name);
        meters.gauge("sessions_open", &[listener], count.open as f64);
        for (tls, total) in ["none", "1.2", "1.3"].into_iter().zip(count.ended) {
            meters.counter("sessions_total", &[listener, ("tls", tls)], total);
        }
        meters.counter("messages_received_total", &[listener], count.messages);
    }
    let sum = |of: fn(&server::Counters) -> u64| all.iter().map(|s| of(&s.server)).sum();
    meters.counter("received_bytes_total", &[], sum(|server| server.bytes));
    meters.counter("recipients_received_total", &[], sum(|server| server.recipients));
    let normalised = sum(|server| server.bare_newlines_normalised);
    meters.counter("bare_newlines_total", &[("action", "normalised")], normalised);
    let refused = sum(|server| server.bare_newlines_refused);
    meters.counter("bare_newlines_total", &[("action", "refused")], refused);
}

fn proofs(meters: &Meters, all: &[&Snapshot]) {
    for (version, count) in add_up(all.iter().flat_map(|snapshot| &snapshot.server.tls)) {
        let labels = [("side", "server"), ("version", &**version)];
        meters.counter("tls_sessions_total", &labels, count);
    }
    let attempts = add_up(all.iter().flat_map(|snapshot| &snapshot.server.auth));
    for ((mechanism, result), count) in attempts {
        let labels = [("mechanism", *mechanism), ("result", *result)];
        meters.counter("auth_attempts_total", &labels, count);
    }
}

fn refusals(meters: &Meters, all: &[&Snapshot]) {
    let turned_away = add_up(all.iter().flat_map(|snapshot| &snapshot.server.sessions_refused));
    for ((listener, reason), count) in turned_away {
        let labels = [("listener", &**listener), ("reason", *reason)];
        meters.counter("sessions_refused_total", &labels, count);
    }
    for ((verb, code), count) in add_up(all.iter().flat_map(|snapshot| &snapshot.server.replies)) {
        let code = code.to_string();
        let labels = [("verb", verb.as_str()), ("code", code.as_str())];
        meters.counter("replies_total", &labels, count);
    }
    for ((stage, reason), count) in add_up(all.iter().flat_map(|snapshot| &snapshot.server.refused))
    {
        let labels = [("stage", *stage), ("reason", &**reason)];
        meters.counter("messages_refused_total", &labels, count);
    }
}

fn keeping(meters: &Meters, all: &[&Snapshot]) {
    let sum = |of: &dyn Fn(&queue::Counters) -> u64| -> u64 {
        all.iter().map(|snapshot| of(&snapshot.queue)).sum()
    };
    for (number, state) in STATES.iter().enumerate() {
        let labels = [("state", *state)];
        meters.gauge("queue_messages", &labels, sum(&|queue| queue.messages[number]) as f64);
        meters.gauge("queue_recipients", &labels, sum(&|queue| queue.recipients[number]) as f64);
    }
    let oldest = all.iter().map(|snapshot| snapshot.queue.oldest_seconds).fold(0.0, f64::max);
    meters.gauge("queue_oldest_seconds", &[], oldest);
    // All shards see the same file system.
    let free = all.iter().map(|snapshot| snapshot.queue.free_bytes).max().unwrap_or(0);
    let live = sum(&|queue| queue.live_bytes);
    let dead = sum(&|queue| queue.dead_bytes);
    for (kind, bytes) in [("live", live), ("dead", dead), ("free", free)] {
        meters.gauge("spool_bytes", &[("kind", kind)], bytes as f64);
    }
    meters.counter("spool_failures_total", &[], sum(&|queue| queue.failures));
    meters.counter("spool_quarantined_total", &[], sum(&|queue| queue.quarantined));
    meters.counter("dsn_total", &[("outcome", "sent")], sum(&|queue| queue.dsn_sent));
    meters.counter("dsn_total", &[("outcome", "dropped")], sum(&|queue| queue.dsn_dropped));
}

fn sending(meters: &Meters, all: &[&Snapshot]) {
    let sum = |of: fn(&delivery::Counters) -> u64| all.iter().map(|s| of(&s.delivery)).sum();
    let outcomes: [(&str, u64); 3] = [
        ("delivered", sum(|delivery| delivery.delivered)),
        ("deferred", sum(|delivery| delivery.deferred)),
        ("bounced", sum(|delivery| delivery.bounced)),
    ];
    for (outcome, count) in outcomes {
        // Next hops of no [[provider]].
        let labels = [("outcome", outcome), ("provider", "other")];
        meters.counter("deliveries_total", &labels, count);
    }
    meters.counter("deliveries_uncertain_total", &[], sum(|delivery| delivery.uncertain));
    let open: u64 = sum(|delivery| delivery.sessions_open);
    meters.gauge("outbound_sessions_open", &[], open as f64);
    for (version, count) in add_up(all.iter().flat_map(|snapshot| &snapshot.delivery.tls)) {
        let labels = [("side", "client"), ("version", *version)];
        meters.counter("tls_sessions_total", &labels, count);
    }
    for (result, count) in add_up(all.iter().flat_map(|snapshot| &snapshot.delivery.sessions)) {
        meters.counter("outbound_sessions_total", &[("result", result)], count);
    }
}

/// The sums by key.
fn add_up<'a, K: Ord + 'a>(counts: impl Iterator<Item = (&'a K, &'a u64)>) -> Sums<&'a K> {
    let mut sums = Sums::new();
    for (key, count) in counts {
        *sums.entry(key).or_insert(0) += count;
    }
    sums
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;
