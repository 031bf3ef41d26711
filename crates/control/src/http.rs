//! The two small web servers: the admin API on its unix socket, the metrics on their port.

use crate::digest::Digest;
use crate::fan::{Answers, Shards};
use crate::filter::{FilterWords, ListWords};
use crate::health::Health;
use crate::meters::Meters;
use crate::order::{Action, Order};
use crate::{transfer, view};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::sync::{mpsc, oneshot};

/// Messages of a list when nobody says how many.
const LIST_DEFAULT: usize = 1000;

/// What an operator asks of the process itself.
pub(crate) enum Request {
    /// A new configuration; how it went is told.
    Reload(oneshot::Sender<Result<(), String>>),
    /// The end.
    Drain,
}

/// What the routes share.
pub(crate) struct Desk {
    /// The shards.
    pub(crate) shards: Shards,
    /// How the process is.
    pub(crate) health: Health,
    /// The metrics.
    pub(crate) meters: Arc<Meters>,
    /// The latest numbers, for `status`.
    pub(crate) digest: Mutex<Digest>,
    /// To the main loop.
    pub(crate) requests: mpsc::Sender<Request>,
    /// When the control plane began.
    pub(crate) began: mail::UnixTime,
    /// What `status` says and never changes.
    pub(crate) about: Value,
}

type Shared = State<Arc<Desk>>;

/// The routes of the admin API.
pub(crate) fn admin(desk: Arc<Desk>) -> Router {
    Router::new()
        .route("/status", get(crate::status::status))
        .route("/queue", get(list))
        .route("/queue/summary", get(summary))
        .route("/queue/{id}", get(show))
        .route("/queue/flush", post(flush))
        .route("/queue/hold", post(hold))
        .route("/queue/release", post(release))
        .route("/queue/remove", post(remove))
        .route("/queue/export", get(transfer::serve_export))
        .route("/queue/import", post(transfer::serve_import))
        .route("/destinations", get(crate::status::destinations))
        .route("/reload", post(reload))
        .route("/drain", post(drain))
        .fallback(|| async { no(StatusCode::NOT_FOUND, "no such path") })
        .with_state(desk)
}

/// The routes of the metrics' port.
pub(crate) fn metrics(desk: Arc<Desk>) -> Router {
    Router::new()
        .route("/metrics", get(scrape))
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .with_state(desk)
}

async fn scrape(State(desk): Shared) -> Response {
    let kind = (header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
    ([kind], desk.meters.render()).into_response()
}

async fn ready(State(desk): Shared) -> Response {
    match desk.health.unready() {
        None => "ready\n".into_response(),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

async fn list(State(desk): Shared, Query(words): Query<ListWords>) -> Response {
    let limit = words.limit.unwrap_or(LIST_DEFAULT);
    let filter = match words.read() {
        Ok(filter) => filter,
        Err(why) => return no(StatusCode::BAD_REQUEST, &why),
    };
    let order = |answer| Order::List { filter: filter.clone(), limit, answer };
    let Answers { given, silent } = desk.shards.ask(order).await;
    let mut messages: Vec<_> = given.into_iter().flatten().collect();
    messages.sort_by_key(|message| (message.accepted, message.id));
    messages.truncate(limit);
    let messages: Vec<Value> = messages.iter().map(view::listed).collect();
    Json(json!({ "messages": messages, "silent_shards": silent })).into_response()
}

async fn show(State(desk): Shared, Path(id): Path<String>) -> Response {
    let id: mail::MessageId = match id.parse() {
        Ok(id) => id,
        Err(error) => return no(StatusCode::BAD_REQUEST, &format!("\"{id}\": {error}")),
    };
    // An envelope does not leave its shard: it is shown there.
    let order = |answer: crate::order::Answer<Option<Value>>| Order::Show {
        id,
        answer: Box::new(move |message| answer(message.as_ref().map(view::shown))),
    };
    let Answers { given, silent } = desk.shards.ask(order).await;
    match given.into_iter().flatten().next() {
        Some(message) => Json(message).into_response(),
        None if silent.is_empty() => no(
            StatusCode::NOT_FOUND,
            "no such message in the queue: it has been delivered, \
                bounced or removed, or never was",
        ),
        None => no(StatusCode::GATEWAY_TIMEOUT, &silence(&silent)),
    }
}

async fn summary(State(desk): Shared) -> Response {
    let Answers { given, silent } = desk.shards.ask(|answer| Order::Summary { answer }).await;
    let mut sum = view::summary(&given);
    sum["silent_shards"] = silent.into();
    Json(sum).into_response()
}

async fn flush(desk: Shared, words: Json<FilterWords>) -> Response {
    act(desk, Action::Flush, words).await
}

async fn hold(desk: Shared, words: Json<FilterWords>) -> Response {
    act(desk, Action::Hold, words).await
}

async fn release(desk: Shared, words: Json<FilterWords>) -> Response {
    act(desk, Action::Release, words).await
}

async fn remove(desk: Shared, words: Json<FilterWords>) -> Response {
    act(desk, Action::Remove, words).await
}

async fn act(State(desk): Shared, action: Action, Json(words): Json<FilterWords>) -> Response {
    if words.is_empty() {
        return no(StatusCode::BAD_REQUEST, "which messages? give ids, a filter, or all");
    }
    let filter = match words.read() {
        Ok(filter) => filter,
        Err(why) => return no(StatusCode::BAD_REQUEST, &why),
    };
    let order = |answer| Order::Act { action, filter: filter.clone(), answer };
    let Answers { given, silent } = desk.shards.ask(order).await;
    let messages: usize = given.iter().sum();
    Json(json!({ "messages": messages, "silent_shards": silent })).into_response()
}

async fn reload(State(desk): Shared) -> Response {
    let (done, result) = oneshot::channel();
    // The main loop takes requests until the process ends; then nobody needs an answer.
    drop(desk.requests.send(Request::Reload(done)).await);
    match result.await {
        Ok(Ok(())) => Json(json!({ "reloaded": true })).into_response(),
        Ok(Err(why)) => no(StatusCode::UNPROCESSABLE_ENTITY, &why),
        Err(_) => no(StatusCode::SERVICE_UNAVAILABLE, "the relay is draining"),
    }
}

async fn drain(State(desk): Shared) -> Response {
    drop(desk.requests.send(Request::Drain).await);
    (StatusCode::ACCEPTED, Json(json!({ "draining": true }))).into_response()
}

/// A refusal with its reason.
pub(crate) fn no(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({ "error": why }))).into_response()
}

fn silence(shards: &[usize]) -> String {
    let numbers: Vec<String> = shards.iter().map(ToString::to_string).collect();
    format!("no answer from shard {}", numbers.join(", "))
}
