//! What tests, the demo and a curious person ask of the fakes: faults to come, webhooks, limits, and what has happened.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::fault::Fault;
use super::report::{self, Report};
use super::state::State;
use crate::sandbox::bucket::Limit;

pub(super) async fn log(Shared(state): Shared<Arc<State>>) -> Json<Vec<Value>> {
    Json(state.log())
}

pub(super) async fn requests(Shared(state): Shared<Arc<State>>) -> Json<Vec<Value>> {
    Json(state.requests())
}

pub(super) async fn fault(Shared(state): Shared<Arc<State>>, Json(fault): Json<Fault>) -> StatusCode {
    state.queue(fault);
    StatusCode::NO_CONTENT
}

pub(super) async fn forget_faults(Shared(state): Shared<Arc<State>>) -> StatusCode {
    state.forget_faults();
    StatusCode::NO_CONTENT
}

pub(super) async fn reports(Shared(state): Shared<Arc<State>>, Json(reports): Json<Vec<Report>>) -> StatusCode {
    state.set_reports(reports);
    StatusCode::NO_CONTENT
}

/// A customer who writes, now or at another time.
#[derive(Debug, Deserialize)]
pub(super) struct Inbound {
    phone: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    at: Option<Timestamp>,
}

pub(super) async fn inbound(Shared(state): Shared<Arc<State>>, Json(inbound): Json<Inbound>) -> StatusCode {
    let phone: String = inbound.phone.chars().filter(char::is_ascii_digit).collect();
    let at = inbound.at.unwrap_or_else(Timestamp::now);
    state.note_inbound(&phone, at);
    report::inbound(&state, &phone, &inbound.text, at).await;
    StatusCode::NO_CONTENT
}

/// New, full buckets.
#[derive(Debug, Deserialize)]
pub(super) struct Limits {
    sender: Option<Limit>,
    pair: Option<Limit>,
}

pub(super) async fn limits(Shared(state): Shared<Arc<State>>, Json(limits): Json<Limits>) -> StatusCode {
    if let Some(limit) = limits.sender {
        state.set_sender_limit(limit);
    }
    if let Some(limit) = limits.pair {
        state.set_pair_limit(limit.per_second, limit.burst);
    }
    StatusCode::NO_CONTENT
}
