//! What `status` and `destination list` show.

use crate::fan::Answers;
use crate::health::Stage;
use crate::http::Desk;
use crate::order::Order;
use crate::{About, Options, clock};
use axum::Json;
use axum::extract::State;
use delivery::DestinationView;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

/// The part of `status` that never changes.
pub(crate) fn about(options: &Options, about: &About, began: mail::UnixTime) -> Value {
    let listener =
        |(name, addresses): &(String, Vec<String>)| json!({ "name": name, "addresses": addresses });
    json!({
        "version": options.version,
        "pid": std::process::id(),
        "hostname": about.hostname,
        "started": began.rfc3339(),
        "reactor": about.reactor,
        "fallback": about.fallback.as_ref().map(|fallback| &fallback.text),
        "shards": about.shards,
        "listeners": about.listeners.iter().map(listener).collect::<Vec<_>>(),
        "spool": about.spool.display().to_string(),
        "metrics": options.metrics.map(|address| address.to_string()),
    })
}

/// `GET /status`.
pub(crate) async fn status(State(desk): State<Arc<Desk>>) -> Json<Value> {
    let mut status = desk.about.clone();
    let digest = desk.digest.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let stage = match desk.health.stage() {
        Stage::Running => "running",
        Stage::Draining => "draining",
        Stage::Failed(_) => "failed",
    };
    status["up_seconds"] = clock::wall().since(desk.began).as_secs().into();
    status["state"] = stage.into();
    status["unready"] = desk.health.unready().into();
    status["numbers"] = json!(digest);
    status["problems"] = json!(desk.health.problems());
    Json(status)
}

/// `GET /destinations`.
pub(crate) async fn destinations(State(desk): State<Arc<Desk>>) -> Json<Value> {
    let order = |answer| Order::Destinations { answer };
    let Answers { given, silent } = desk.shards.ask(order).await;
    let merged = merge(given.into_iter().flatten(), clock::monotonic());
    Json(json!({ "destinations": merged, "silent_shards": silent }))
}

/// What the shards say of each destination, by name. `now` is on the shards' monotonic clock.
fn merge(views: impl Iterator<Item = DestinationView>, now: reactor::Instant) -> Vec<Value> {
    let mut all: BTreeMap<String, DestinationView> = BTreeMap::new();
    for view in views {
        match all.get_mut(&view.name) {
            None => drop(all.insert(view.name.clone(), view)),
            Some(sum) => {
                sum.sessions += view.sessions;
                sum.queued += view.queued;
                sum.window = sum.window.max(view.window);
                sum.resting_until = sum.resting_until.max(view.resting_until);
                sum.last_reply = view.last_reply.or(sum.last_reply.take());
            }
        }
    }
    let show = |view: &DestinationView| {
        json!({
            "name": view.name,
            "window": view.window,
            "sessions": view.sessions,
            "queued": view.queued,
            "resting_seconds": view.resting_until.map(|until| until.since(now).as_secs()),
            "last_reply": view.last_reply,
        })
    };
    all.values().map(show).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use reactor::Instant;
    use std::time::Duration;

    #[test]
    fn a_destination_of_several_shards_is_shown_once() {
        let view = |sessions, window, resting_until| DestinationView {
            name: "mx://example.org".into(),
            window,
            sessions,
            resting_until,
            last_reply: None,
            queued: 3,
        };
        let until = Instant(0) + Duration::from_secs(70);
        let views = [view(1, 0, None), view(2, 20, Some(until))];
        let merged = merge(views.into_iter(), Instant(0) + Duration::from_secs(10));
        assert_eq!(merged.len(), 1);
        assert_eq!(merged[0]["sessions"], 3);
        assert_eq!(merged[0]["window"], 20);
        assert_eq!(merged[0]["queued"], 6);
        assert_eq!(merged[0]["resting_seconds"], 60);
    }
}
