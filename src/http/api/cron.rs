//! Document 4: its jobs by hand, and one row of the queue to the CRMs run now.

mod schemas;

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::time::Instant;

pub(super) use self::schemas::rules;
use self::schemas::{Cron, Job, Outcome, OutcomeOrRefusal, Ran, Row};
use crate::http::App;
use crate::http::asking::Asking;
use crate::http::body::{Fields, Object, text};
use crate::http::errors::{Refusal, Refused};
use crate::store::crm::Standing;

/// How often to look whether a row has ended.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The jobs, their last runs, and how the queue to the CRMs stands
#[utoipa::path(
    get,
    path = "/api/cron",
    operation_id = "getCron",
    tag = "memberships",
    responses((status = 200, description = "How they stand", body = Cron))
)]
pub(super) async fn status(State(app): State<App>) -> Result<Json<Value>, Refusal> {
    Ok(Json(app.store.cron_status().await?))
}

/// Run a job by hand
#[utoipa::path(
    post,
    path = "/api/cron",
    operation_id = "runJob",
    tag = "memberships",
    request_body(content((Job = "application/json"), (Job = "application/x-www-form-urlencoded"))),
    responses((status = 200, description = "It has run", body = Ran))
)]
pub(super) async fn run(Asking(store): Asking, Fields(fields): Fields) -> Result<Json<Value>, Refusal> {
    Ok(Json(store.run_cron(text(&fields, "action")?, text(&fields, "job")?).await?))
}

/// Run one row of the queue to the CRMs now
///
/// The answer is what became of it. What is said of the row beside its key must be true.
#[utoipa::path(
    post,
    path = "/api/cron/sync",
    operation_id = "syncMembership",
    tag = "memberships",
    request_body = Row,
    responses(
        (status = 200, description = "It is completed", body = Outcome),
        (status = 202, description = "It has not ended within two thirds of the server's time: watch the row", body = Outcome),
        (status = 400, description = "A field is wrong, or says otherwise than the row", body = Refused),
        (status = 404, description = "There is no such row", body = Refused),
        (
            status = 422,
            description = "It failed for good; or this `Idempotency-Key` came with another body before",
            body = OutcomeOrRefusal
        ),
        (
            status = 503,
            description = "It is not done, and is tried again by itself; or the database is away, busy or not migrated",
            body = OutcomeOrRefusal,
            headers(("Retry-After" = u32, description = "Seconds until it may be done"))
        )
    )
)]
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
