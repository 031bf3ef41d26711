//! What is rendered, against what docs/metrics.md says.

use super::*;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// A shard that has seen a little of everything. Replies are missing: their key is a word of
/// `smtp`, which the control plane does not know.
fn snapshot() -> Snapshot {
    let mut server = server::Counters { bytes: 7, accept_seconds: vec![0.5], ..Default::default() };
    let count = SessionCount { open: 1, total: 5, ended: [5, 0, 1], messages: 4 };
    server.sessions.insert("mx".into(), count);
    server.sessions_refused.insert(("mx".into(), "sessions"), 2);
    server.tls.insert("1.3".into(), 1);
    server.auth.insert(("PLAIN", "failed"), 1);
    server.refused.insert(("recipient", "relay".into()), 3);
    let queue = queue::Counters {
        messages: [10, 20, 30],
        oldest_seconds: 9.0,
        commit_seconds: vec![0.001],
        commit_messages: vec![3.0],
        live_bytes: 100,
        free_bytes: 1000,
        ..Default::default()
    };
    let delivery = delivery::Counters {
        delivered: 6,
        sessions: [("established", 2)].into(),
        session_messages: vec![2.0],
        attempt_seconds: vec![0.2],
        stage_seconds: std::array::from_fn(|_| vec![0.1]),
        ..Default::default()
    };
    let busy = Duration::from_millis(2_500);
    let reactor = reactor::Counters { turns: 1, completions: 8, busy };
    Snapshot { server, queue, delivery, reactor, failed: false }
}

/// Two such shards, rendered.
fn rendered() -> String {
    let meters = Meters::new();
    let options = crate::options::tests::options_in(std::path::Path::new("/"));
    constants(&meters, &options, &About::default());
    let latest = [Some(snapshot()), None, Some(snapshot())];
    for snapshot in latest.iter().flatten() {
        samples(&meters, snapshot);
    }
    numbers(&meters, &latest);
    meters.counter("replies_total", &[("verb", "MAIL"), ("code", "250")], 1);
    meters.gauge("tls_certificate_ok", &[("name", "mx")], 1.0);
    meters.gauge("tls_certificate_expiry_timestamp_seconds", &[("name", "mx")], 1.0);
    meters.gauge("table_ok", &[("table", "users")], 1.0);
    meters.increment("dns_lookups_total", &[("kind", "mx"), ("result", "found")]);
    meters.samples("dns_seconds", &[("kind", "mx")], [0.01]);
    meters.set_destinations(busiest([view("mx://a\"b", 1, 0)].into_iter()));
    meters.keep_up();
    meters.render()
}

fn view(name: &str, sessions: usize, queued: usize) -> DestinationView {
    DestinationView {
        name: name.into(),
        window: 5,
        sessions,
        resting_until: None,
        last_reply: None,
        queued,
    }
}

/// `name{labels} type` of each row of the page.
fn documented() -> BTreeSet<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    let page = std::fs::read_to_string(path).expect("the page");
    page.lines()
        .filter_map(|line| {
            let (name, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
            Some(format!("{name} {}", rest.split_once(" |")?.0))
        })
        .collect()
}

/// The same of what is rendered.
fn said(text: &str) -> BTreeSet<String> {
    let kinds = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    kinds.map(|(name, kind)| format!("{name}{} {kind}", labels(text, name))).collect()
}

/// The labels of the first sample of `name`, but for the buckets' own.
fn labels(text: &str, name: &str) -> String {
    let sample = text.lines().find_map(|line| {
        let rest = line.strip_prefix(name)?;
        let rest = rest.strip_prefix("_bucket").unwrap_or(rest);
        rest.starts_with(['{', ' ']).then_some(rest)
    });
    let sample = sample.unwrap_or_else(|| panic!("{name} has no sample"));
    let Some(inside) = sample.strip_prefix('{') else { return String::new() };
    let names: Vec<&str> = inside
        .split("\",")
        .filter_map(|pair| Some(pair.split_once("=\"")?.0))
        .filter(|name| *name != "le")
        .collect();
    if names.is_empty() { String::new() } else { format!("{{{}}}", names.join(",")) }
}

#[test]
fn every_metric_is_documented_with_its_labels_and_its_type() {
    let (page, text) = (documented(), rendered());
    let said = said(&text);
    let missing: Vec<_> = said.difference(&page).collect();
    let extra: Vec<_> = page.difference(&said).collect();
    assert!(missing.is_empty(), "docs/metrics.md lacks rows for {missing:?}");
    assert!(extra.is_empty(), "docs/metrics.md has rows for what is not rendered: {extra:?}");
}

#[test]
fn numbers_of_shards_add_up() {
    let text = rendered();
    for line in [
        "ringpost_sessions_open{listener=\"mx\"} 2",
        "ringpost_sessions_total{listener=\"mx\",tls=\"none\"} 10",
        "ringpost_received_bytes_total 14",
        "ringpost_queue_messages{state=\"held\"} 60",
        "ringpost_queue_oldest_seconds 9",
        "ringpost_spool_bytes{kind=\"live\"} 200",
        "ringpost_spool_bytes{kind=\"free\"} 1000",
        "ringpost_deliveries_total{outcome=\"delivered\",provider=\"other\"} 12",
        "ringpost_accept_seconds_count 2",
        "ringpost_accept_seconds_bucket{le=\"0.25\"} 0",
        "ringpost_accept_seconds_bucket{le=\"0.5\"} 2",
        "ringpost_reactor_completions_total{shard=\"2\"} 8",
        "ringpost_destination_sessions_open{destination=\"mx://a\\\"b\"} 1",
    ] {
        assert!(text.lines().any(|have| have == line), "{line} in\n{text}");
    }
}

#[test]
fn only_the_busiest_destinations_have_gauges() {
    let idle = (0..DESTINATIONS_MAX).map(|number| view(&format!("mx://{number}"), 0, 1));
    let busy = [view("mx://busy", 3, 0), view("mx://busy", 4, 0)];
    let kept = busiest(idle.chain(busy));
    assert_eq!(kept.len(), DESTINATIONS_MAX);
    assert_eq!((kept[0].name.as_str(), kept[0].sessions), ("mx://busy", 7));
}
