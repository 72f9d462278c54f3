//! The API: one file a document. Every handler calls the SQL function of the same meaning and answers what that said.

mod actions;
mod cron;
mod fulfillment;
mod fluent;
mod operate;
mod requests;
mod schedules;

use axum::Router;
use axum::routing::{get, post};

use super::App;

/// For the index.
pub(super) const PATHS: [&str; 29] = [
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
    "GET /api/schedules",
    "GET /api/schedules/{name}/runs?limit=",
    "POST /api/schedules/{name}/{run|pause|resume}",
    "POST /action-feedback",
    "GET /api/actions/{id}",
    "GET /api/cron",
    "POST /api/cron",
    "POST /api/cron/sync",
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
        .route("/api/actions/status", get(requests::status))
        .route("/api/actions/history", get(requests::history))
        .route("/api/monitoring/status", get(requests::monitoring))
        .route("/api/schedules", get(schedules::list))
        .route("/api/schedules/{name}/runs", get(schedules::runs))
        .route("/api/actions/{id}", get(actions::details))
        .route("/api/cron", get(cron::status))
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
        .route("/api/actions/codes/create", post(requests::create_code))
        .route("/api/actions/codes/{code}/update", post(requests::update_code))
        .route("/api/actions/codes/{code}/delete", post(requests::delete_code))
        .route("/api/actions/codes/{code}/rename", post(requests::rename_code))
        .route("/api/actions/orders/{id}/update", post(requests::update_order))
        .route("/api/actions/links/create", post(requests::create_link))
        .route("/api/actions/organizations/{id}/sync", post(requests::sync_organization))
        .route("/api/monitoring/check-now", post(requests::check_now))
        .route("/api/actions/process-now", post(requests::process_now))
        .route("/api/schedules/{name}/run", post(schedules::run))
        .route("/api/schedules/{name}/pause", post(schedules::pause))
        .route("/api/schedules/{name}/resume", post(schedules::resume))
        .route("/action-feedback", post(actions::feedback))
        .route("/api/cron", post(cron::run))
        .route("/api/cron/sync", post(cron::sync))
        .route("/api/orders/fulfillment", post(fulfillment::act))
        .route("/api/fluent/sync", post(fluent::sync))
}
