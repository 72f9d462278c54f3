//! What tests, the demo and a curious person ask of the fakes: who is there, faults to come, webhooks, what has happened.

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::routing::{any, get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::Value;

use super::fault::Fault;
use super::state::State;
use super::webhook::{self, Webhook};
use super::world::Seed;
use super::{commerce7, shopify};
use crate::sandbox::bucket::Limit;

type Fakes = Shared<Arc<State>>;

pub(super) fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/v1/{*path}", any(commerce7::answer_to))
        .route("/{shop}/admin/api/{version}/graphql.json", post(shopify::answer_to))
        .route("/_control/log", get(async |Shared(state): Fakes| Json(state.log())))
        .route("/_control/requests", get(async |Shared(state): Fakes| Json(state.requests())))
        .route("/_control/world", get(async |Shared(state): Fakes| Json(state.world())))
        .route("/_control/seed", post(seed))
        .route("/_control/faults", post(fault).delete(forget_faults))
        .route("/_control/access", post(access))
        .route("/_control/limits", post(limits))
        .route("/_control/webhooks", post(webhooks))
        .with_state(state)
}

async fn seed(Shared(state): Fakes, Json(seed): Json<Seed>) -> StatusCode {
    state.seed(seed);
    StatusCode::NO_CONTENT
}

async fn fault(Shared(state): Fakes, Json(fault): Json<Fault>) -> StatusCode {
    state.queue(fault);
    StatusCode::NO_CONTENT
}

async fn forget_faults(Shared(state): Fakes) -> StatusCode {
    state.forget_faults();
    StatusCode::NO_CONTENT
}

/// A tenant's or a shop's credentials, taken away or given back.
#[derive(Debug, Deserialize)]
struct Access {
    tenant: String,
    is_open: bool,
}

async fn access(Shared(state): Fakes, Json(access): Json<Access>) -> StatusCode {
    state.set_access(&access.tenant, access.is_open);
    StatusCode::NO_CONTENT
}

/// New, full buckets.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Calls of a tenant.
    pub commerce7: Option<Limit>,
    /// Points of a shop.
    pub shopify: Option<Limit>,
    /// The `Retry-After` of Commerce7's refusals.
    pub retry_after: Option<String>,
}

async fn limits(Shared(state): Fakes, Json(limits): Json<Limits>) -> StatusCode {
    state.set_limits(&limits);
    StatusCode::NO_CONTENT
}

/// Answers once the last was told.
async fn webhooks(Shared(state): Fakes, Json(webhooks): Json<Vec<Webhook>>) -> Json<Vec<Value>> {
    Json(webhook::tell(&state, webhooks).await)
}
