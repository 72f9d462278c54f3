//! Health: `/livez` says that the process answers, `/readyz` whether it can do its work, naming each check that fails.
//!
//! Nobody needs to say who they are to ask, so names and counts are all that is told, and the database is asked once a second
//! at most. Schedules that need a look are counted, and make nobody unready: it is their SQL, or their cron text, that is wrong.

use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::App;
use crate::store::StoreError;
use crate::store::schedules::operator::Trouble;

/// The database is not asked more often than this.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// For the database to answer.
const LOOK_MAX: Duration = Duration::from_secs(3);

/// Without a heartbeat for this long a worker starts nothing.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// What the last look at the database told.
#[derive(Debug, Default)]
pub(super) struct Health(Mutex<Option<(Instant, Look)>>);

/// One look at the database.
#[derive(Debug, Clone, Copy)]
struct Look {
    /// What fails.
    failing: Option<&'static str>,
    /// The schedules that need a look, when nothing fails.
    schedules: Option<Trouble>,
}

/// `GET /livez`
pub(super) async fn livez() -> Json<Value> {
    Json(json!({ "alive": true }))
}

/// `GET /readyz`
pub(super) async fn readyz(State(app): State<App>) -> Response {
    let Look { failing, schedules } = look(&app).await;
    let failing: Vec<_> = failing.into_iter().chain(failing_here(&app)).collect();
    if failing.is_empty() {
        let body = json!({ "ready": true, "failing": [], "bell": bell(&app), "schedules": schedules });
        return Json(body).into_response();
    }
    let error = json!({
        "code": "not_ready",
        "message": format!("not ready: {}", failing.join(", ")),
        "hint": "`rowcall doctor`, run where the worker runs, tells what mends it",
    });
    let body =
        json!({ "ready": false, "failing": failing, "bell": bell(&app), "schedules": schedules, "error": error });
    (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
}

/// `polls` where a pooler carries no notifications and rows are looked for once a second: slower, and no failure.
fn bell(app: &App) -> &'static str {
    match (app.readiness.bell_works(), app.readiness.polls()) {
        (true, _) => "works",
        (false, true) => "polls",
        (false, false) => "silent",
    }
}

/// The names of the checks of this process that fail.
fn failing_here(app: &App) -> Vec<&'static str> {
    let mut failing = Vec::new();
    if bell(app) == "silent" {
        failing.push("bell");
    }
    if app.readiness.silence().is_none_or(|silence| silence > SILENCE_MAX) {
        failing.push("heartbeat");
    }
    failing
}

/// `database` fails when it does not answer, `schema` when it is not this version's. Whoever asks meanwhile waits for one look.
async fn look(app: &App) -> Look {
    let mut last = app.health.0.lock().await;
    if let Some((at, look)) = *last
        && at.elapsed() < LOOK_EVERY
    {
        return look;
    }
    let failing = |failing| Look { failing: Some(failing), schedules: None };
    let asked = async {
        if !app.store.is_current().await? {
            return Ok(failing("schema"));
        }
        Ok::<_, StoreError>(Look { failing: None, schedules: Some(app.store.schedule_trouble().await?) })
    };
    let look = match tokio::time::timeout(LOOK_MAX, asked).await {
        Ok(Ok(look)) => look,
        Ok(Err(_)) | Err(_) => failing("database"),
    };
    *last = Some((Instant::now(), look));
    look
}
