//! Schedules: the list, the runs of one, run now, pause, resume.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Answer;
use super::operate::{Pause, bounded, reason, said};
use crate::http::App;
use crate::http::asking::Asking;
use crate::http::body::{Asked, Object, Part};
use crate::http::errors::{Refusal, Refused};
use crate::store::schedules::operator::{PastRun, Schedule};

/// How many runs to show.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RunsQuery {
    /// The newest so many.
    #[param(minimum = 1, maximum = 1000, default = 20)]
    limit: Option<i64>,
}

/// Every schedule
///
/// As `rowcall schedule list --json`.
#[utoipa::path(
    get,
    path = "/api/schedules",
    operation_id = "listSchedules",
    tag = "schedules",
    responses((status = 200, description = "Schedules", body = Vec<Schedule>))
)]
pub(super) async fn list(State(app): State<App>) -> Result<Json<Vec<Schedule>>, Refusal> {
    Ok(Json(app.store.schedules().await?))
}

/// The runs of a schedule, newest last
///
/// As `rowcall schedule history <name> --json`.
#[utoipa::path(
    get,
    path = "/api/schedules/{name}/runs",
    operation_id = "listRuns",
    tag = "schedules",
    params(("name" = String, Path, description = "What the schedule is called"), RunsQuery),
    responses(
        (status = 200, description = "Runs", body = Vec<PastRun>),
        (status = 404, description = "There is no such schedule", body = Refused)
    )
)]
pub(super) async fn runs(
    State(app): State<App>,
    Part(name): Part<String>,
    Asked(RunsQuery { limit }): Asked<RunsQuery>,
) -> Result<Json<Vec<PastRun>>, Refusal> {
    Ok(Json(app.store.schedule_runs(Some(&name), bounded(limit)?).await?))
}

/// Run a schedule now
///
/// A worker takes it within a moment, also while it is paused.
#[utoipa::path(
    post,
    path = "/api/schedules/{name}/run",
    operation_id = "runSchedule",
    tag = "schedules",
    params(("name" = String, Path, description = "What the schedule is called")),
    responses(
        (status = 200, description = "It is asked to run", body = Answer),
        (status = 409, description = "It is running already", body = Refused),
        (status = 404, description = "There is no such schedule", body = Refused)
    )
)]
pub(super) async fn run(Asking(store): Asking, Part(name): Part<String>) -> Result<Json<Answer>, Refusal> {
    said(&store.run_schedule(&name).await?)
}

/// Let a schedule rest
///
/// Its times pass by and are not made up for. A run that goes on ends.
#[utoipa::path(
    post,
    path = "/api/schedules/{name}/pause",
    operation_id = "pauseSchedule",
    tag = "schedules",
    params(("name" = String, Path, description = "What the schedule is called")),
    request_body = Pause,
    responses(
        (status = 200, description = "It rests", body = Answer),
        (status = 404, description = "There is no such schedule", body = Refused)
    )
)]
pub(super) async fn pause(
    Asking(store): Asking,
    Part(name): Part<String>,
    Object(body): Object,
) -> Result<Json<Answer>, Refusal> {
    said(&store.pause_schedule(&name, reason(&body)).await?)
}

/// Go on with a paused schedule
#[utoipa::path(
    post,
    path = "/api/schedules/{name}/resume",
    operation_id = "resumeSchedule",
    tag = "schedules",
    params(("name" = String, Path, description = "What the schedule is called")),
    responses(
        (status = 200, description = "It goes on", body = Answer),
        (status = 404, description = "There is no such schedule", body = Refused)
    )
)]
pub(super) async fn resume(Asking(store): Asking, Part(name): Part<String>) -> Result<Json<Answer>, Refusal> {
    said(&store.resume_schedule(&name).await?)
}
