//! Document 5: a sync with FluentSupport is started and looked at, and its tickets are listed.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep};

use crate::http::App;
use crate::http::asking::Asking;
use crate::http::auth::{Role, role_of};
use crate::http::body::{Asked, Object};
use crate::http::errors::Refusal;

/// How often a request that waits for its sync looks at it.
const LOOK_EVERY: Duration = Duration::from_millis(150);

const EXAMPLE: &str = "such as {\"dateFilter\": \"2025-10-17\"} or {\"full\": true}";

/// What only those who may look are told of a sync: it has the words of the site and of ours.
const INSIDE: [&str; 3] = ["error", "note", "waitsFor"];

/// What to sync.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SyncAsked {
    #[serde(rename = "dateFilter")]
    date_filter: Option<String>,
    full: Option<bool>,
}

/// `POST /api/fluent/sync` with `{"dateFilter": "2025-10-17"}` or `{"full": true}`: document 5's answer once the sync has
/// ended; 202 with the sync when that takes longer than a request may wait; 500 with what keeps it, if something does.
pub(super) async fn sync(
    State(app): State<App>,
    Asking(store): Asking,
    Object(asked): Object,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let asked: SyncAsked = serde_json::from_value(Value::Object(asked))
        .map_err(|error| Refusal::bad_request("invalid", format!("this asks for no sync: {error}")).hint(EXAMPLE))?;
    let key = store.start_fluent_sync(day(asked.date_filter.as_deref())?, asked.full == Some(true)).await?;
    let until = Instant::now() + app.limits.wait;
    loop {
        let Some(sync) = app.store.fluent_sync(&key).await? else {
            return Err(Refusal::not_found(format!("sync {key} was deleted")));
        };
        let (status, is_kept) = (sync["status"].as_str().unwrap_or_default(), sync["error"].is_string());
        match status {
            "success" => return Ok((StatusCode::OK, Json(done(&sync)))),
            _ if is_kept => return Ok((StatusCode::INTERNAL_SERVER_ERROR, Json(kept(&sync)))),
            _ if Instant::now() >= until => return Ok((StatusCode::ACCEPTED, Json(under_way(&sync)))),
            _ => sleep(LOOK_EVERY).await,
        }
    }
}

/// `GET /api/fluent/status`: open to everybody, as document 5 has it; why something does not work is for those who may look.
pub(super) async fn status(State(app): State<App>, headers: HeaderMap) -> Result<Json<Value>, Refusal> {
    let mut status = app.store.fluent_status().await?;
    if role_of(&app.keys, &headers).is_none_or(|role| role < Role::Reader)
        && let Some(sync) = status["lastSync"].as_object_mut()
    {
        sync.retain(|name, _| !INSIDE.contains(&name.as_str()));
    }
    Ok(Json(status))
}

/// Which tickets to list.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TicketsQuery {
    page: Option<i32>,
    #[serde(alias = "perPage")]
    per_page: Option<i32>,
    status: Option<String>,
    category: Option<String>,
    urgency: Option<String>,
    search: Option<String>,
}

/// `GET /api/fluent/tickets`: newest change first, each with its request.
pub(super) async fn tickets(State(app): State<App>, Asked(asked): Asked<TicketsQuery>) -> Result<Json<Value>, Refusal> {
    let mut asked = json!(asked);
    if let Some(asked) = asked.as_object_mut() {
        // An empty field of a form is none.
        asked.retain(|_, value| !value.is_null() && value != "");
    }
    Ok(Json(app.store.fluent_ticket_list(asked).await?))
}

/// A day; an empty field of a form is none.
fn day(text: Option<&str>) -> Result<Option<Date>, Refusal> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    let day = text.parse().map(Some);
    day.map_err(|_| Refusal::bad_request("invalid", "dateFilter must be a day").hint(EXAMPLE))
}

/// The answer of document 5.
fn done(sync: &Value) -> Value {
    let mut answer = json!({ "success": true, "id": sync["id"], "note": sync["note"] });
    for name in ["ticketsFetched", "ticketsAdded", "ticketsUpdated", "ticketsSkipped", "syncDuration", "dateFilter"] {
        answer[name] = sync[name].clone();
    }
    answer
}

fn under_way(sync: &Value) -> Value {
    json!({ "success": false, "message": "the sync is under way; GET /api/fluent/status tells how far it is", "sync": sync })
}

fn kept(sync: &Value) -> Value {
    let is_over = sync["status"] == "failed" || sync["status"] == "cancelled";
    let hint =
        if is_over { "ask again once that is mended" } else { "it goes on by itself; GET /api/fluent/status tells" };
    let error = json!({ "code": "sync_failed", "message": sync["error"], "hint": hint });
    json!({ "success": false, "error": error, "sync": sync })
}
