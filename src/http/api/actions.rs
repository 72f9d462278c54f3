//! Document 2: an action is answered, and looked at.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::Value;

use crate::http::App;
use crate::http::asking::Asking;
use crate::http::body::{Object, Part};
use crate::http::errors::Refusal;

/// `POST /action-feedback`: taken, and the reply goes out on its own; the answer is what the function told of it.
pub(super) async fn feedback(
    Asking(store): Asking,
    Object(payload): Object,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let answer = store.submit_action_feedback(Value::Object(payload)).await?;
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// `GET /api/actions/{id}`: the action, its reply, every attempt.
pub(super) async fn details(State(app): State<App>, Part(id): Part<i64>) -> Result<Json<Value>, Refusal> {
    let details = app.store.action_details(id).await?;
    details.map(Json).ok_or_else(|| Refusal::not_found(format!("there is no action {id}")))
}
