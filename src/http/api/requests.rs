//! Document 1: codes, orders, links and organizations are asked for; what is pending, what was done, and who works.

mod asked;
mod told;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::IntoParams;

pub(super) use self::asked::rules;
use self::asked::{NewCode, NewLink, NewName, NewTerms, OrderChange, Plain};
use self::told::{History, Looked, Monitoring, Pending, Stands, Told};
use super::operate::bounded;
use crate::http::App;
use crate::http::asking::Asking;
use crate::http::body::{Asked, Given, Object, Part};
use crate::http::errors::{Refusal, Refused};
use crate::link;
use crate::store::Store;
use crate::store::requests::Request;

/// What is asked for is done by a worker, soon.
type Accepted = Result<(StatusCode, Json<Value>), Refusal>;

/// How many attempts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct HistoryQuery {
    /// So many.
    #[param(minimum = 1, maximum = 1000, default = 20)]
    limit: Option<i64>,
}

/// Ask for a new code
///
/// One of that name that was deleted, or never came to be, is made anew.
#[utoipa::path(
    post,
    path = "/api/actions/codes/create",
    operation_id = "createCode",
    tag = "requests",
    request_body = NewCode,
    responses(
        (status = 202, description = "It is asked for: the row as it stands", body = Stands),
        (status = 409, description = "It is there already; or a request with this `Idempotency-Key` is being answered", body = Refused)
    )
)]
pub(super) async fn create_code(Asking(store): Asking, Object(body): Object) -> Accepted {
    accepted(store, Request::CodeCreate, body).await
}

/// Ask for other terms of a code
///
/// The terms are taken without `new_` too.
#[utoipa::path(
    post,
    path = "/api/actions/codes/{code}/update",
    operation_id = "updateCode",
    tag = "requests",
    params(("code" = String, Path, description = "The code's present name", example = "SUMMER")),
    request_body = NewTerms,
    responses(
        (status = 202, description = "It is asked for: the row as it stands", body = Stands),
        (status = 404, description = "There is no such code", body = Refused),
        (status = 409, description = "It is deleted or never came to be; or a request with this `Idempotency-Key` is being answered", body = Refused)
    )
)]
pub(super) async fn update_code(Asking(store): Asking, Part(code): Part<String>, Object(body): Object) -> Accepted {
    accepted(store, Request::CodeUpdate(&code), body).await
}

/// Ask that a code is deleted
///
/// Asked twice, it is deleted once.
#[utoipa::path(
    post,
    path = "/api/actions/codes/{code}/delete",
    operation_id = "deleteCode",
    tag = "requests",
    params(("code" = String, Path, description = "The code's present name", example = "SUMMER")),
    request_body = Option<Plain>,
    responses(
        (status = 202, description = "It is asked for: the row as it stands", body = Stands),
        (status = 404, description = "There is no such code", body = Refused),
        (status = 409, description = "It is deleted or never came to be; or a request with this `Idempotency-Key` is being answered", body = Refused)
    )
)]
pub(super) async fn delete_code(Asking(store): Asking, Part(code): Part<String>, Given(body): Given) -> Accepted {
    accepted(store, Request::CodeDelete(&code), body).await
}

/// Ask for another name of a code
///
/// Asked twice for the same, it is renamed once.
#[utoipa::path(
    post,
    path = "/api/actions/codes/{code}/rename",
    operation_id = "renameCode",
    tag = "requests",
    params(("code" = String, Path, description = "The code's present name", example = "SUMMER")),
    request_body = NewName,
    responses(
        (status = 202, description = "It is asked for: the row as it stands", body = Stands),
        (status = 404, description = "There is no such code", body = Refused),
        (status = 409, description = "The name is taken; the code is deleted or never came to be; or a request with this `Idempotency-Key` is being answered", body = Refused)
    )
)]
pub(super) async fn rename_code(Asking(store): Asking, Part(code): Part<String>, Object(body): Object) -> Accepted {
    accepted(store, Request::CodeRename(&code), body).await
}

/// Ask for another status or other metadata of an order
#[utoipa::path(
    post,
    path = "/api/actions/orders/{id}/update",
    operation_id = "updateOrder",
    tag = "requests",
    params(("id" = String, Path, description = "The row's key", example = "42")),
    request_body = OrderChange,
    responses(
        (status = 202, description = "It is asked for: the row as it stands", body = Stands),
        (status = 404, description = "There is no such order", body = Refused)
    )
)]
pub(super) async fn update_order(Asking(store): Asking, Part(key): Part<String>, Object(body): Object) -> Accepted {
    accepted(store, Request::OrderUpdate(&key), body).await
}

/// Ask for a short link
#[utoipa::path(
    post,
    path = "/api/actions/links/create",
    operation_id = "createLink",
    tag = "requests",
    request_body = NewLink,
    responses((status = 202, description = "It is asked for: the row as it stands", body = Stands))
)]
pub(super) async fn create_link(State(app): State<App>, Asking(store): Asking, Object(mut body): Object) -> Accepted {
    if let Some(target) = body.get_mut("target_url")
        && target.as_str().is_some_and(|text| link::target(text, app.links.prefix.as_ref()).is_err())
    {
        // It would fail on the row. The database names it now, beside whatever else is wrong.
        *target = Value::from("");
    }
    accepted(store, Request::LinkCreate, body).await
}

/// Ask that an outside system is told of an organization
///
/// Asked twice before it is told, it is told once.
#[utoipa::path(
    post,
    path = "/api/actions/organizations/{id}/sync",
    operation_id = "syncOrganization",
    tag = "requests",
    params(("id" = String, Path, description = "The row's key", example = "42")),
    request_body = Option<Plain>,
    responses(
        (status = 202, description = "It is asked for: the row as it stands", body = Stands),
        (status = 404, description = "There is no such organization", body = Refused)
    )
)]
pub(super) async fn sync_organization(Asking(store): Asking, Part(key): Part<String>, Given(body): Given) -> Accepted {
    accepted(store, Request::OrganizationSync(&key), body).await
}

/// Have every worker look now
///
/// What waits for its time still does.
#[utoipa::path(
    post,
    path = "/api/actions/process-now",
    operation_id = "processNow",
    tag = "requests",
    responses((status = 202, description = "They do, and how much there is", body = Looked))
)]
pub(super) async fn process_now(Asking(store): Asking) -> Accepted {
    Ok((StatusCode::ACCEPTED, Json(store.process_now().await?)))
}

/// Compare the codes with those in Fienta
#[utoipa::path(
    post,
    path = "/api/monitoring/check-now",
    operation_id = "checkNow",
    tag = "monitoring",
    responses((status = 202, description = "It is asked for", body = Told))
)]
pub(super) async fn check_now(Asking(store): Asking) -> Accepted {
    Ok((StatusCode::ACCEPTED, Json(store.request_check().await?)))
}

/// How many requests are not done
#[utoipa::path(
    get,
    path = "/api/actions/status",
    operation_id = "getRequestsStatus",
    tag = "monitoring",
    responses((status = 200, description = "In all and by queue", body = Pending))
)]
pub(super) async fn status(State(app): State<App>) -> Result<Json<Value>, Refusal> {
    Ok(Json(app.store.actions_status().await?))
}

/// The last attempts at codes, orders, links and organizations, newest first
#[utoipa::path(
    get,
    path = "/api/actions/history",
    operation_id = "getRequestsHistory",
    tag = "monitoring",
    params(HistoryQuery),
    responses((status = 200, description = "Attempts", body = History))
)]
pub(super) async fn history(
    State(app): State<App>,
    Asked(HistoryQuery { limit: wanted }): Asked<HistoryQuery>,
) -> Result<Json<Value>, Refusal> {
    Ok(Json(app.store.actions_history(bounded(wanted)?).await?))
}

/// Who works, what holds a queue up, and what the last check of the codes has shown
#[utoipa::path(
    get,
    path = "/api/monitoring/status",
    operation_id = "getMonitoringStatus",
    tag = "monitoring",
    responses((status = 200, description = "How everything stands", body = Monitoring))
)]
pub(super) async fn monitoring(State(app): State<App>) -> Result<Json<Value>, Refusal> {
    Ok(Json(app.store.monitoring_status().await?))
}

async fn accepted(store: Store, request: Request<'_>, body: Map<String, Value>) -> Accepted {
    Ok((StatusCode::ACCEPTED, Json(store.request(request, body).await?)))
}
