//! What tests, the demo and a curious person ask of the fakes: what is to happen, and what has.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::callback::Callback;
use super::fault::Fault;
use super::shop::{self, Delivery};
use super::state::State;

pub(super) async fn book(Shared(state): Shared<Arc<State>>) -> Json<Vec<Value>> {
    Json(state.book())
}

pub(super) async fn orders(Shared(state): Shared<Arc<State>>) -> Json<Vec<Value>> {
    Json(state.orders())
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

pub(super) async fn delivery(Shared(state): Shared<Arc<State>>, Json(delivery): Json<Delivery>) -> StatusCode {
    state.set_delivery(delivery);
    StatusCode::NO_CONTENT
}

pub(super) async fn callbacks(Shared(state): Shared<Arc<State>>, Json(callbacks): Json<Vec<Callback>>) -> StatusCode {
    state.set_callbacks(callbacks);
    StatusCode::NO_CONTENT
}

/// What is in the wallet, or is put into it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Wallet {
    pesewas: u64,
}

pub(super) async fn wallet(Shared(state): Shared<Arc<State>>) -> Json<Wallet> {
    Json(Wallet { pesewas: state.wallet() })
}

pub(super) async fn top_up(Shared(state): Shared<Arc<State>>, Json(wallet): Json<Wallet>) -> Json<Wallet> {
    state.top_up(wallet.pesewas);
    Json(Wallet { pesewas: state.wallet() })
}

/// Which order, by the supplier's number or by our reference.
#[derive(Debug, Deserialize)]
pub(super) struct Which {
    order: String,
}

pub(super) async fn deliver(Shared(state): Shared<Arc<State>>, Json(which): Json<Which>) -> StatusCode {
    if shop::deliver(&state, &which.order) { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}

pub(super) async fn reverse(Shared(state): Shared<Arc<State>>, Json(which): Json<Which>) -> StatusCode {
    if shop::reverse(&state, &which.order) { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}
