//! What tests, the demo and a curious person ask of the fake: faults to come, edits, and what has happened.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use serde_json::Value;

use super::fault::Fault;
use super::site::{Edit, Site};

pub(super) async fn requests(Shared(site): Shared<Arc<Site>>) -> Json<Vec<Value>> {
    Json(site.requests())
}

pub(super) async fn tickets(Shared(site): Shared<Arc<Site>>) -> Json<Vec<Value>> {
    Json(site.told())
}

pub(super) async fn edits(Shared(site): Shared<Arc<Site>>, Json(edits): Json<Vec<Edit>>) -> StatusCode {
    site.edit(&edits);
    StatusCode::NO_CONTENT
}

pub(super) async fn fault(Shared(site): Shared<Arc<Site>>, Json(fault): Json<Fault>) -> StatusCode {
    site.queue(fault);
    StatusCode::NO_CONTENT
}

pub(super) async fn forget_faults(Shared(site): Shared<Arc<Site>>) -> StatusCode {
    site.forget_faults();
    StatusCode::NO_CONTENT
}
