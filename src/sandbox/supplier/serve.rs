//! The addresses of the fakes, and what happens to each request before a supplier sees it.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Extension;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State as Shared};
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::{any, get, post};

use super::api::{self, Asked, Incoming, Reply};
use super::fault::Left;
use super::state::State;
use super::{control, shop};
use crate::sandbox::server::{HangUp, answer};

/// Every address.
pub(super) fn router(state: &Arc<State>) -> Router {
    Router::new()
        .route("/{supplier}/{*path}", any(receive))
        .route("/_control/book", get(control::book))
        .route("/_control/orders", get(control::orders))
        .route("/_control/requests", get(control::requests))
        .route("/_control/faults", post(control::fault).delete(control::forget_faults))
        .route("/_control/delivery", post(control::delivery))
        .route("/_control/callbacks", post(control::callbacks))
        .route("/_control/wallet", get(control::wallet).post(control::top_up))
        .route("/_control/deliver", post(control::deliver))
        .route("/_control/reverse", post(control::reverse))
        .with_state(Arc::clone(state))
}

async fn receive(
    Shared(state): Shared<Arc<State>>,
    Extension(hang_up): Extension<HangUp>,
    Path((supplier, path)): Path<(String, String)>,
    Query(query): Query<HashMap<String, String>>,
    method: axum::http::Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let Some(api) = api::named(&supplier) else { return missing() };
    let incoming = Incoming { method: method.as_str(), path: &path, query: &query, headers: &headers, body: &body };
    let Some(at) = api.purpose(&incoming) else { return missing() };
    state.note_request(api.name(), at, &incoming.content());
    let asked = api.read(&state.args, &incoming);
    let phone = match &asked {
        Ok(Asked::Purchase(wish)) => Some(wish.phone.clone()),
        _ => None,
    };
    let left = match state.take_fault(at, phone.as_deref()) {
        Some(fault) => fault.misbehave().await,
        None => Left::Usual(String::new()),
    };
    let (then, before) = match left {
        Left::Nothing(after) => return after.happen(&hang_up).await,
        Left::EffectThen(after) => (Some(after), String::new()),
        Left::Usual(before) => (None, before),
    };
    let reply = match asked {
        Ok(Asked::Purchase(wish)) => match shop::buy(&state, api.name(), api.repeat(), wish) {
            Ok((order, is_repeat)) => api.bought(&order, is_repeat, state.wallet()),
            Err(refusal) => api.refused(refusal),
        },
        Ok(Asked::LookUp(key)) => api.stands(shop::find(&state, api.name(), &key).as_ref()),
        Err(reply) => reply,
    };
    match then {
        Some(after) => after.happen(&hang_up).await,
        None => written(&reply, before),
    }
}

fn written(reply: &Reply, before: String) -> Response<Body> {
    let mut answer = Response::new(Body::from(before + &reply.json));
    *answer.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::IM_A_TEAPOT);
    let kind = axum::http::HeaderValue::from_static("application/json");
    answer.headers_mut().insert(axum::http::header::CONTENT_TYPE, kind);
    answer
}

fn missing() -> Response<Body> {
    answer(404, &serde_json::json!("<html>Not Found</html>"), None)
}
