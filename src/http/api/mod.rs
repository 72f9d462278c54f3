//! The API: one file a document. Every handler calls the SQL function of the same meaning and answers what that said.

mod actions;
mod fulfillment;
mod fluent;
mod operate;

use axum::Router;
use axum::routing::{get, post};

use super::App;

/// For the index.
pub(super) const PATHS: [&str; 14] = [
    "GET /api/status",
    "GET /api/history?queue=&key=&limit=",
    "POST /api/queues/{queue}/pause",
    "POST /api/queues/{queue}/resume",
    "POST /api/queues/{queue}/rows/{key}/{retry|cancel|resolve}",
    "POST /action-feedback",
    "GET /api/actions/{id}",
    "GET /api/orders/fulfillment?orderId=",
    "POST /api/orders/fulfillment",
    "GET /api/orders/fulfillment/export.csv?status=&phone=&from=&to=",
    "POST /api/fluent/sync",
    "GET /api/fluent/status",
    "GET /api/fluent/tickets?page=&per_page=&status=&category=&urgency=&search=",
    "POST /api/auth/login",
];

/// What anybody may ask.
pub(super) fn opens() -> Router<App> {
    Router::new().route("/api/fluent/status", get(fluent::status))
}

/// What a reader may ask.
pub(super) fn reads() -> Router<App> {
    Router::new()
        .route("/api/status", get(operate::status))
        .route("/api/history", get(operate::history))
        .route("/api/actions/{id}", get(actions::details))
        .route("/api/orders/fulfillment", get(fulfillment::status))
        .route("/api/orders/fulfillment/export.csv", get(fulfillment::export))
        .route("/api/fluent/tickets", get(fluent::tickets))
}

/// What changes something.
pub(super) fn writes() -> Router<App> {
    Router::new()
        .route("/api/queues/{queue}/pause", post(operate::pause))
        .route("/api/queues/{queue}/resume", post(operate::resume))
        .route("/api/queues/{queue}/rows/{key}/retry", post(operate::retry))
        .route("/api/queues/{queue}/rows/{key}/resolve", post(operate::resolve))
        .route("/api/queues/{queue}/rows/{key}/cancel", post(operate::cancel))
        .route("/action-feedback", post(actions::feedback))
        .route("/api/orders/fulfillment", post(fulfillment::act))
        .route("/api/fluent/sync", post(fluent::sync))
}
