//! The agent: chat completions that repeat the template with a greeting, or whatever a fault makes of them.

use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State as Shared;
use axum::http::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::state::State;
use crate::sandbox::server::{HangUp, Left, answer};

/// What a model would read of the rest, no matter what it is.
#[derive(Deserialize)]
struct Facts {
    template: String,
}

pub(super) async fn complete(
    Shared(state): Shared<Arc<State>>,
    Extension(hang_up): Extension<HangUp>,
    body: Bytes,
) -> Response<Body> {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    state.note_request("agent", &body);
    if let Some(fault) = state.take_fault("agent", "") {
        match fault.misbehave().await {
            Left::Nothing(after) | Left::EffectThen(after) => return after.happen(&hang_up).await,
            Left::Usual => {}
        }
    }
    let asked = body["messages"].as_array().and_then(|messages| messages.last()).map(|message| &message["content"]);
    let facts = asked.and_then(Value::as_str).and_then(|text| serde_json::from_str(text).ok());
    let Some(Facts { template }) = facts else {
        return answer(400, &json!({"error": {"message": "messages: the sandbox needs a template"}}), None);
    };
    let message = json!({"role": "assistant", "content": format!("Hello! {template}")});
    let choices = json!([{"index": 0, "message": message, "finish_reason": "stop"}]);
    answer(200, &json!({"id": "chatcmpl-1", "object": "chat.completion", "choices": choices}), None)
}
