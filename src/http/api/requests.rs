//! Document 1: codes, orders, links and organizations are asked for; what is pending, what was done, and who works.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::operate::bounded;
use crate::http::App;
use crate::http::asking::Asking;
use crate::http::body::{Asked, Given, Object, Part};
use crate::http::errors::Refusal;
use crate::link;
use crate::store::Store;
use crate::store::requests::Request;

/// What is asked for is done by a worker, soon.
type Accepted = Result<(StatusCode, Json<Value>), Refusal>;

/// How many attempts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HistoryQuery {
    limit: Option<i64>,
}

/// `POST /api/actions/codes/create`
pub(super) async fn create_code(Asking(store): Asking, Object(body): Object) -> Accepted {
    accepted(store, Request::CodeCreate, body).await
}

/// `POST /api/actions/codes/{code}/update`
pub(super) async fn update_code(Asking(store): Asking, Part(code): Part<String>, Object(body): Object) -> Accepted {
    accepted(store, Request::CodeUpdate(&code), body).await
}

/// `POST /api/actions/codes/{code}/delete`
pub(super) async fn delete_code(Asking(store): Asking, Part(code): Part<String>, Given(body): Given) -> Accepted {
    accepted(store, Request::CodeDelete(&code), body).await
}

/// `POST /api/actions/codes/{code}/rename`
pub(super) async fn rename_code(Asking(store): Asking, Part(code): Part<String>, Object(body): Object) -> Accepted {
    accepted(store, Request::CodeRename(&code), body).await
}

/// `POST /api/actions/orders/{id}/update`
pub(super) async fn update_order(Asking(store): Asking, Part(key): Part<String>, Object(body): Object) -> Accepted {
    accepted(store, Request::OrderUpdate(&key), body).await
}

/// `POST /api/actions/links/create`
pub(super) async fn create_link(State(app): State<App>, Asking(store): Asking, Object(mut body): Object) -> Accepted {
    if let Some(target) = body.get_mut("target_url")
        && target.as_str().is_some_and(|text| link::target(text, app.links.prefix.as_ref()).is_err())
    {
        // It would fail on the row. The database names it now, beside whatever else is wrong.
        *target = Value::from("");
    }
    accepted(store, Request::LinkCreate, body).await
}

/// `POST /api/actions/organizations/{id}/sync`
pub(super) async fn sync_organization(Asking(store): Asking, Part(key): Part<String>, Given(body): Given) -> Accepted {
    accepted(store, Request::OrganizationSync(&key), body).await
}

/// `POST /api/actions/process-now`
pub(super) async fn process_now(Asking(store): Asking) -> Accepted {
    Ok((StatusCode::ACCEPTED, Json(store.process_now().await?)))
}

/// `POST /api/monitoring/check-now`
pub(super) async fn check_now(Asking(store): Asking) -> Accepted {
    Ok((StatusCode::ACCEPTED, Json(store.request_check().await?)))
}

/// `GET /api/actions/status`
pub(super) async fn status(State(app): State<App>) -> Result<Json<Value>, Refusal> {
    Ok(Json(app.store.actions_status().await?))
}

/// `GET /api/actions/history?limit=`
pub(super) async fn history(
    State(app): State<App>,
    Asked(HistoryQuery { limit: wanted }): Asked<HistoryQuery>,
) -> Result<Json<Value>, Refusal> {
    Ok(Json(app.store.actions_history(bounded(wanted)?).await?))
}

/// `GET /api/monitoring/status`
pub(super) async fn monitoring(State(app): State<App>) -> Result<Json<Value>, Refusal> {
    Ok(Json(app.store.monitoring_status().await?))
}

async fn accepted(store: Store, request: Request<'_>, body: Map<String, Value>) -> Accepted {
    Ok((StatusCode::ACCEPTED, Json(store.request(request, body).await?)))
}
