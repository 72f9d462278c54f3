//! The addresses of the fakes.

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use super::state::State;
use super::{agent, control, infobip, meta};

/// Every address.
pub(super) fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/{version}/{phone_number_id}/messages", post(meta::send))
        .route("/whatsapp/1/message/{kind}", post(infobip::send))
        .route("/agent/v1/chat/completions", post(agent::complete))
        .route("/_control/log", get(control::log))
        .route("/_control/requests", get(control::requests))
        .route("/_control/faults", post(control::fault).delete(control::forget_faults))
        .route("/_control/reports", post(control::reports))
        .route("/_control/inbound", post(control::inbound))
        .route("/_control/limits", post(control::limits))
        .with_state(state)
}
