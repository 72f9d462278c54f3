//! The API: one file a document. Every handler calls the SQL function of the same meaning and answers what that said.

mod actions;
mod fulfillment;
mod operate;
mod requests;

use axum::Router;
use axum::routing::{get, post};

use super::App;

/// For the index.
pub(super) const PATHS: [&str; 19] = [
    "GET /api/status",
    "GET /api/history?queue=&key=&limit=",
    "POST /api/queues/{queue}/pause",
    "POST /api/queues/{queue}/resume",
    "POST /api/queues/{queue}/rows/{key}/{retry|cancel|resolve}",
    "POST /api/actions/codes/create",
    "POST /api/actions/codes/{code}/{update|delete|rename}",
    "POST /api/actions/orders/{id}/update",
    "POST /api/actions/links/create",
    "POST /api/actions/organizations/{id}/sync",
    "POST /api/actions/process-now",
    "GET /api/actions/{status|history}?limit=",
    "GET /api/monitoring/status",
    "POST /api/monitoring/check-now",
    "POST /action-feedback",
    "GET /api/actions/{id}",
    "GET /api/orders/fulfillment?orderId=",
    "POST /api/orders/fulfillment",
    "GET /api/orders/fulfillment/export.csv?status=&phone=&from=&to=",
];

/// What a reader may ask.
pub(super) fn reads() -> Router<App> {
    Router::new()
        .route("/api/status", get(operate::status))
        .route("/api/history", get(operate::history))
        .route("/api/actions/status", get(requests::status))
        .route("/api/actions/history", get(requests::history))
        .route("/api/monitoring/status", get(requests::monitoring))
        .route("/api/actions/{id}", get(actions::details))
        .route("/api/orders/fulfillment", get(fulfillment::status))
        .route("/api/orders/fulfillment/export.csv", get(fulfillment::export))
}

/// What changes something.
pub(super) fn writes() -> Router<App> {
    Router::new()
        .route("/api/queues/{queue}/pause", post(operate::pause))
        .route("/api/queues/{queue}/resume", post(operate::resume))
        .route("/api/queues/{queue}/rows/{key}/retry", post(operate::retry))
        .route("/api/queues/{queue}/rows/{key}/resolve", post(operate::resolve))
        .route("/api/queues/{queue}/rows/{key}/cancel", post(operate::cancel))
        .route("/api/actions/codes/create", post(requests::create_code))
        .route("/api/actions/codes/{code}/update", post(requests::update_code))
        .route("/api/actions/codes/{code}/delete", post(requests::delete_code))
        .route("/api/actions/codes/{code}/rename", post(requests::rename_code))
        .route("/api/actions/orders/{id}/update", post(requests::update_order))
        .route("/api/actions/links/create", post(requests::create_link))
        .route("/api/actions/organizations/{id}/sync", post(requests::sync_organization))
        .route("/api/monitoring/check-now", post(requests::check_now))
        .route("/api/actions/process-now", post(requests::process_now))
        .route("/action-feedback", post(actions::feedback))
        .route("/api/orders/fulfillment", post(fulfillment::act))
}
