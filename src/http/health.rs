//! Health: `/livez` says that the process answers, `/readyz` whether it can do its work, naming each check that fails.
//!
//! Nobody needs to say who they are to ask, so names are all that is told, and the database is asked once a second at most.

use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::App;

/// The database is not asked more often than this.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// For the database to answer.
const LOOK_MAX: Duration = Duration::from_secs(3);

/// Without a heartbeat for this long a worker starts nothing.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// What the last look at the database told.
#[derive(Debug, Default)]
pub(super) struct Health(Mutex<Option<(Instant, Option<&'static str>)>>);

/// `GET /livez`
pub(super) async fn livez() -> Json<Value> {
    Json(json!({ "alive": true }))
}

/// `GET /readyz`
pub(super) async fn readyz(State(app): State<App>) -> Response {
    let failing = failing(&app).await;
    if failing.is_empty() {
        return Json(json!({ "ready": true, "failing": [] })).into_response();
    }
    let error = json!({
        "code": "not_ready",
        "message": format!("not ready: {}", failing.join(", ")),
        "hint": "`rowcall doctor`, run where the worker runs, tells what mends it",
    });
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "ready": false, "failing": failing, "error": error })))
        .into_response()
}

/// The names of the checks that fail.
async fn failing(app: &App) -> Vec<&'static str> {
    let mut failing = Vec::new();
    failing.extend(database(app).await);
    if !app.readiness.bell_works() {
        failing.push("bell");
    }
    if app.readiness.silence().is_none_or(|silence| silence > SILENCE_MAX) {
        failing.push("heartbeat");
    }
    failing
}

/// `database` when it does not answer, `schema` when it is not this version's. Whoever asks meanwhile waits for one look.
async fn database(app: &App) -> Option<&'static str> {
    let mut last = app.health.0.lock().await;
    if let Some((at, failing)) = *last
        && at.elapsed() < LOOK_EVERY
    {
        return failing;
    }
    let failing = match tokio::time::timeout(LOOK_MAX, app.store.is_current()).await {
        Ok(Ok(true)) => None,
        Ok(Ok(false)) => Some("schema"),
        Ok(Err(_)) | Err(_) => Some("database"),
    };
    *last = Some((Instant::now(), failing));
    failing
}
