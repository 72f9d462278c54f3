//! The operator's functions: status, history, pause, resume, retry, cancel, resolve. Verbs answer in words, as on the command line.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::http::App;
use crate::http::asking::Asking;
use crate::http::body::{Asked, Object, Part};
use crate::http::errors::Refusal;
use crate::store::operator::{Attempt, HistoryFilter, Status};

/// The most attempts in one answer.
const HISTORY_MAX: i64 = 1000;

/// The attempts in an answer when nobody says how many.
const HISTORY: i64 = 20;

/// Which attempts to show.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HistoryQuery {
    queue: Option<String>,
    key: Option<String>,
    limit: Option<i64>,
}

/// `GET /api/status`: as `rowcall status --json`.
pub(super) async fn status(State(app): State<App>) -> Result<Json<Status>, Refusal> {
    Ok(Json(app.store.status().await?))
}

/// `GET /api/history`: as `rowcall history --json`, newest last.
pub(super) async fn history(
    State(app): State<App>,
    Asked(HistoryQuery { queue, key, limit }): Asked<HistoryQuery>,
) -> Result<Json<Vec<Attempt>>, Refusal> {
    let limit = bounded(limit)?;
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    Ok(Json(app.store.history(&HistoryFilter { queue: given(queue), key: given(key), limit }).await?))
}

/// How many rows of history an answer shows.
pub(super) fn bounded(limit: Option<i64>) -> Result<i64, Refusal> {
    let limit = limit.unwrap_or(HISTORY);
    if !(1..=HISTORY_MAX).contains(&limit) {
        return Err(Refusal::bad_request("invalid_query", format!("limit must be from 1 to {HISTORY_MAX}")));
    }
    Ok(limit)
}

/// `POST /api/queues/{queue}/pause` with `{"reason": "…"}`.
pub(super) async fn pause(
    Asking(store): Asking,
    Part(queue): Part<String>,
    Object(body): Object,
) -> Result<Json<Value>, Refusal> {
    said(&store.pause(&queue, reason(&body)).await?)
}

/// `POST /api/queues/{queue}/resume`
pub(super) async fn resume(Asking(store): Asking, Part(queue): Part<String>) -> Result<Json<Value>, Refusal> {
    said(&store.resume(&queue).await?)
}

/// `POST /api/queues/{queue}/rows/{key}/retry`
pub(super) async fn retry(
    Asking(store): Asking,
    Part((queue, key)): Part<(String, String)>,
) -> Result<Json<Value>, Refusal> {
    said(&store.retry(&queue, &key).await?)
}

/// `POST /api/queues/{queue}/rows/{key}/cancel`
pub(super) async fn cancel(
    Asking(store): Asking,
    Part((queue, key)): Part<(String, String)>,
) -> Result<Json<Value>, Refusal> {
    said(&store.cancel(&queue, &key).await?)
}

/// Why something is paused; the function refuses a body that does not say.
pub(super) fn reason(body: &Map<String, Value>) -> &str {
    body.get("reason").and_then(Value::as_str).unwrap_or_default()
}

/// `POST /api/queues/{queue}/rows/{key}/resolve` with `{"verdict": "done" | "failed", "note": "…"}`.
pub(super) async fn resolve(
    Asking(store): Asking,
    Part((queue, key)): Part<(String, String)>,
    Object(body): Object,
) -> Result<Json<Value>, Refusal> {
    let given = |name| body.get(name).and_then(Value::as_str).unwrap_or_default();
    said(&store.resolve(&queue, &key, given("verdict"), given("note")).await?)
}

#[expect(clippy::unnecessary_wraps, reason = "every verb ends with it")]
pub(super) fn said(answer: &str) -> Result<Json<Value>, Refusal> {
    Ok(Json(json!({ "answer": answer })))
}
