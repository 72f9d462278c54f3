//! The operator's functions: status, history, pause, resume, retry, cancel, resolve. Verbs answer in words, as on the command line.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::Answer;
use crate::http::App;
use crate::http::asking::Asking;
use crate::http::body::{Asked, Object, Part};
use crate::http::errors::{Refusal, Refused};
use crate::store::operator::{Attempt, HistoryFilter, Status};

/// The most attempts in one answer.
const HISTORY_MAX: i64 = 1000;

/// The attempts in an answer when nobody says how many.
const HISTORY: i64 = 20;

/// Which attempts to show.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct HistoryQuery {
    /// Of this queue only.
    #[param(example = "codes")]
    queue: Option<String>,
    /// Of this row only.
    key: Option<String>,
    /// The newest so many.
    #[param(minimum = 1, maximum = 1000, default = 20)]
    limit: Option<i64>,
}

/// Why something is paused.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the database reads it; this describes it")]
pub(super) struct Pause {
    /// It is shown to everybody who waits.
    #[schema(pattern = "[^ ]")]
    reason: String,
}

/// What a person found out of a row that is parked as unknown.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the database reads it; this describes it")]
struct Resolution {
    verdict: Verdict,
    /// How they know. It is kept on the row and in history.
    #[schema(pattern = "[^ ]")]
    note: String,
}

/// `done`: it took effect; `failed`: it did not.
#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "the database reads it; this describes it")]
enum Verdict {
    Done,
    Failed,
}

/// The queues, the workers, and every row that is asked for and not done
///
/// As `rowcall status --json`.
#[utoipa::path(
    get,
    path = "/api/status",
    operation_id = "getStatus",
    tag = "operator",
    responses((status = 200, description = "How everything stands", body = Status))
)]
pub(super) async fn status(State(app): State<App>) -> Result<Json<Status>, Refusal> {
    Ok(Json(app.store.status().await?))
}

/// What became of every attempt, newest last
///
/// As `rowcall history --json`.
#[utoipa::path(
    get,
    path = "/api/history",
    operation_id = "getHistory",
    tag = "operator",
    params(HistoryQuery),
    responses((status = 200, description = "Attempts", body = Vec<Attempt>))
)]
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

/// Stop claiming from a queue
///
/// What runs, ends, and the rows wait.
#[utoipa::path(
    post,
    path = "/api/queues/{queue}/pause",
    operation_id = "pauseQueue",
    tag = "operator",
    params(("queue" = String, Path, description = "A queue, which is the name of its table", example = "codes")),
    request_body = Pause,
    responses(
        (status = 200, description = "It is paused", body = Answer),
        (status = 404, description = "There is no such queue", body = Refused)
    )
)]
pub(super) async fn pause(
    Asking(store): Asking,
    Part(queue): Part<String>,
    Object(body): Object,
) -> Result<Json<Answer>, Refusal> {
    said(&store.pause(&queue, reason(&body)).await?)
}

/// Go on with a paused queue
///
/// Its provider is probed at once if its breaker is open.
#[utoipa::path(
    post,
    path = "/api/queues/{queue}/resume",
    operation_id = "resumeQueue",
    tag = "operator",
    params(("queue" = String, Path, description = "A queue, which is the name of its table", example = "codes")),
    responses(
        (status = 200, description = "It goes on", body = Answer),
        (status = 404, description = "There is no such queue", body = Refused)
    )
)]
pub(super) async fn resume(Asking(store): Asking, Part(queue): Part<String>) -> Result<Json<Answer>, Refusal> {
    said(&store.resume(&queue).await?)
}

/// Try a row again
///
/// A stopped one anew, a waiting one now.
#[utoipa::path(
    post,
    path = "/api/queues/{queue}/rows/{key}/retry",
    operation_id = "retryRow",
    tag = "operator",
    params(
        ("queue" = String, Path, description = "A queue, which is the name of its table", example = "codes"),
        ("key" = String, Path, description = "The row's key, which `GET /api/status` shows", example = "42")
    ),
    responses(
        (status = 200, description = "It is tried", body = Answer),
        (status = 400, description = "The row is not as this needs it: `message` says how it stands", body = Refused),
        (status = 404, description = "There is no such queue or row", body = Refused)
    )
)]
pub(super) async fn retry(
    Asking(store): Asking,
    Part((queue, key)): Part<(String, String)>,
) -> Result<Json<Answer>, Refusal> {
    said(&store.retry(&queue, &key).await?)
}

/// Take a request back that is not done
#[utoipa::path(
    post,
    path = "/api/queues/{queue}/rows/{key}/cancel",
    operation_id = "cancelRow",
    tag = "operator",
    params(
        ("queue" = String, Path, description = "A queue, which is the name of its table", example = "codes"),
        ("key" = String, Path, description = "The row's key, which `GET /api/status` shows", example = "42")
    ),
    responses(
        (status = 200, description = "It is taken back", body = Answer),
        (status = 400, description = "The row is not as this needs it: `message` says how it stands", body = Refused),
        (status = 404, description = "There is no such queue or row", body = Refused)
    )
)]
pub(super) async fn cancel(
    Asking(store): Asking,
    Part((queue, key)): Part<(String, String)>,
) -> Result<Json<Answer>, Refusal> {
    said(&store.cancel(&queue, &key).await?)
}

/// Why something is paused; the function refuses a body that does not say.
pub(super) fn reason(body: &Map<String, Value>) -> &str {
    body.get("reason").and_then(Value::as_str).unwrap_or_default()
}

/// Settle a row of which nobody knows whether it took effect
#[utoipa::path(
    post,
    path = "/api/queues/{queue}/rows/{key}/resolve",
    operation_id = "resolveRow",
    tag = "operator",
    params(
        ("queue" = String, Path, description = "A queue, which is the name of its table", example = "codes"),
        ("key" = String, Path, description = "The row's key, which `GET /api/status` shows", example = "42")
    ),
    request_body = Resolution,
    responses(
        (status = 200, description = "It is settled", body = Answer),
        (status = 400, description = "The row is not as this needs it: `message` says how it stands", body = Refused),
        (status = 404, description = "There is no such queue or row", body = Refused)
    )
)]
pub(super) async fn resolve(
    Asking(store): Asking,
    Part((queue, key)): Part<(String, String)>,
    Object(body): Object,
) -> Result<Json<Answer>, Refusal> {
    let given = |name| body.get(name).and_then(Value::as_str).unwrap_or_default();
    said(&store.resolve(&queue, &key, given("verdict"), given("note")).await?)
}

#[expect(clippy::unnecessary_wraps, reason = "every verb ends with it")]
pub(super) fn said(answer: &str) -> Result<Json<Answer>, Refusal> {
    Ok(Answer::json(answer))
}
