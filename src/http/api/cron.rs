//! Document 4: its jobs by hand, and one row of the queue to the CRMs run now.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::http::App;
use crate::http::asking::Asking;
use crate::http::body::{Fields, Object};
use crate::http::errors::Refusal;
use crate::store::crm::Standing;

/// How often to look whether a row has ended.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// `GET /api/cron`: the jobs, their last runs, and how the queue stands.
pub(super) async fn status(State(app): State<App>) -> Result<Json<Value>, Refusal> {
    Ok(Json(app.store.cron_status().await?))
}

/// `POST /api/cron` with `action=trigger&job=…`, `action=test` or `action=sync`, as a form or as JSON.
pub(super) async fn run(Asking(store): Asking, Fields(fields): Fields) -> Result<Json<Value>, Refusal> {
    let field = |name: &str| fields.get(name).and_then(Value::as_str);
    Ok(Json(store.run_cron(field("action"), field("job")).await?))
}

/// `POST /api/cron/sync` with `{"queueId": …}`: runs this row now, and answers what became of it. 200 completed; 422 failed for
/// good; 503 not done, tried again by itself; 202 not ended within two thirds of the server's time, watch the row.
pub(super) async fn sync(
    State(app): State<App>,
    Asking(store): Asking,
    Object(payload): Object,
) -> Result<Response, Refusal> {
    let gone = || Refusal::not_found("the row is gone");
    let until = Instant::now() + app.limits.answer * 2 / 3;
    let started = store.start_crm_sync(Value::Object(payload)).await?.ok_or_else(gone)?;
    loop {
        let (mut standing, told) = app.store.crm_sync_outcome(&started).await?.ok_or_else(gone)?;
        if !standing.has_ended && started.held_up.is_some() {
            standing.error_message = started.held_up;
            return Ok(answer(StatusCode::SERVICE_UNAVAILABLE, &standing, told));
        }
        let status = match standing.status.as_str() {
            _ if !standing.has_ended && Instant::now() < until => {
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
            _ if !standing.has_ended => StatusCode::ACCEPTED,
            "completed" => StatusCode::OK,
            "failed" => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        return Ok(answer(status, &standing, told));
    }
}

/// The row as it stands, with `success`, and with an `error` as every refusal has it where it is not done.
fn answer(status: StatusCode, standing: &Standing, mut told: Value) -> Response {
    told["success"] = json!(status == StatusCode::OK);
    if let Some(told) = told.as_object_mut() {
        told.remove("hasEnded");
        told.remove("retryInSeconds");
    }
    let watch = format!("/api/history?queue=crm_sync_queue&key={}", told["queueId"].to_string().trim_matches('"'));
    let message = standing.error_message.as_deref();
    let (code, message, hint) = match status {
        StatusCode::OK => return (status, Json(told)).into_response(),
        StatusCode::ACCEPTED => {
            ("not_ended", message.unwrap_or("the row is due and has not ended yet"), format!("watch it: GET {watch}"))
        }
        StatusCode::UNPROCESSABLE_ENTITY => (
            "failed",
            message.unwrap_or("the row failed for good"),
            "mend what it says, then ask again: that tries it anew".to_owned(),
        ),
        _ => (
            "not_done",
            message.unwrap_or("the row is not done"),
            format!("it is tried again by itself; watch it: GET {watch}"),
        ),
    };
    told["error"] = json!({ "code": code, "message": message, "hint": hint });
    let mut response = (status, Json(told)).into_response();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, standing.retry_in_seconds.unwrap_or(60).into());
    }
    response
}
