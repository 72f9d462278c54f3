//! Schedules: the list, the runs of one, run now, pause, resume.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::Value;

use super::operate::{bounded, reason, said};
use crate::http::App;
use crate::http::asking::Asking;
use crate::http::body::{Asked, Object, Part};
use crate::http::errors::Refusal;
use crate::store::schedules::operator::{PastRun, Schedule};

/// How many runs to show.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RunsQuery {
    limit: Option<i64>,
}

/// `GET /api/schedules`: as `rowcall schedule list --json`.
pub(super) async fn list(State(app): State<App>) -> Result<Json<Vec<Schedule>>, Refusal> {
    Ok(Json(app.store.schedules().await?))
}

/// `GET /api/schedules/{name}/runs`: as `rowcall schedule history <name> --json`, newest last.
pub(super) async fn runs(
    State(app): State<App>,
    Part(name): Part<String>,
    Asked(RunsQuery { limit }): Asked<RunsQuery>,
) -> Result<Json<Vec<PastRun>>, Refusal> {
    Ok(Json(app.store.schedule_runs(Some(&name), bounded(limit)?).await?))
}

/// `POST /api/schedules/{name}/run`
pub(super) async fn run(Asking(store): Asking, Part(name): Part<String>) -> Result<Json<Value>, Refusal> {
    said(&store.run_schedule(&name).await?)
}

/// `POST /api/schedules/{name}/pause` with `{"reason": "…"}`.
pub(super) async fn pause(
    Asking(store): Asking,
    Part(name): Part<String>,
    Object(body): Object,
) -> Result<Json<Value>, Refusal> {
    said(&store.pause_schedule(&name, reason(&body)).await?)
}

/// `POST /api/schedules/{name}/resume`
pub(super) async fn resume(Asking(store): Asking, Part(name): Part<String>) -> Result<Json<Value>, Refusal> {
    said(&store.resume_schedule(&name).await?)
}
