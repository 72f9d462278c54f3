//! Document 5: a sync with FluentSupport is started and looked at, and its tickets are listed.

mod schemas;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep};
use utoipa::{IntoParams, ToSchema};

use self::schemas::{DayOrNone, Done, KeptOrRefusal, Syncs, Tickets, UnderWay};
use crate::http::App;
use crate::http::asking::Asking;
use crate::http::auth::{Role, role_of};
use crate::http::body::{Asked, Object};
use crate::http::errors::{Refusal, Refused};

/// How often a request that waits for its sync looks at it.
const LOOK_EVERY: Duration = Duration::from_millis(150);

const EXAMPLE: &str = "such as {\"dateFilter\": \"2025-10-17\"} or {\"full\": true}";

/// What only those who may look are told of a sync: it has the words of the site and of ours.
const INSIDE: [&str; 3] = ["error", "note", "waitsFor"];

/// What to sync: what has changed since the last one, where nothing is said.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SyncAsked {
    /// Tickets since this day, from 1970 to tomorrow.
    #[serde(rename = "dateFilter")]
    #[schema(value_type = Option<DayOrNone>)]
    date_filter: Option<String>,
    /// Every ticket.
    full: Option<bool>,
}

/// Pull the tickets of FluentSupport
///
/// The answer comes once the sync has ended, or when that takes longer than a request may wait.
#[utoipa::path(
    post,
    path = "/api/fluent/sync",
    operation_id = "syncTickets",
    tag = "tickets",
    request_body = SyncAsked,
    responses(
        (status = 200, description = "It has ended", body = Done),
        (status = 202, description = "It is under way", body = UnderWay),
        (status = 404, description = "The sync was deleted meanwhile", body = Refused),
        (status = 500, description = "Something keeps it, and what; or a fault of this server", body = KeptOrRefusal)
    )
)]
pub(super) async fn sync(
    State(app): State<App>,
    Asking(store): Asking,
    Object(asked): Object,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let asked: SyncAsked = serde_path_to_error::deserialize(Value::Object(asked))
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

/// How the last sync stands
///
/// Everybody may ask; why something does not work is for those who may look.
#[utoipa::path(
    get,
    path = "/api/fluent/status",
    operation_id = "getTicketsStatus",
    tag = "tickets",
    security((), ("token" = ["reader"]), ("basic" = ["reader"]), ("jwt" = ["reader"])),
    responses((status = 200, description = "How it stands", body = Syncs))
)]
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
#[derive(Debug, Deserialize, Serialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct TicketsQuery {
    /// Which page.
    #[param(minimum = 1, maximum = 2_147_483_647, default = 1)]
    page: Option<i32>,
    /// Tickets of a page; `perPage` is taken too.
    #[serde(alias = "perPage")]
    #[param(minimum = 1, maximum = 200, default = 50)]
    per_page: Option<i32>,
    /// With this status only.
    status: Option<String>,
    /// Whose request is of this category.
    category: Option<String>,
    /// Whose request is this urgent.
    urgency: Option<String>,
    /// What stands in the title or the description.
    search: Option<String>,
}

/// A page of tickets, newest change first, each with its request
#[utoipa::path(
    get,
    path = "/api/fluent/tickets",
    operation_id = "listTickets",
    tag = "tickets",
    params(TicketsQuery),
    responses((status = 200, description = "A page", body = Tickets))
)]
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
