//! Document 2: an action is answered, and looked at.

mod schemas;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;

pub(super) use self::schemas::Ended;
use self::schemas::{Details, Feedback, Taken};
use crate::http::App;
use crate::http::asking::Asking;
use crate::http::body::{Object, Part};
use crate::http::errors::{Refusal, Refused};

/// Which action.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct Named {
    /// The action's number.
    id: i64,
}

/// Answer an action
///
/// The reply to the customer goes out on its own.
#[utoipa::path(
    post,
    path = "/action-feedback",
    operation_id = "answerAction",
    tag = "actions",
    request_body = Feedback,
    responses(
        (status = 202, description = "It is taken", body = Taken),
        (status = 400, description = "A field is wrong, or `contact_id` is not the action's", body = Refused),
        (status = 404, description = "There is no such action", body = Refused),
        (
            status = 409,
            description = "It is answered already; or a request with this `Idempotency-Key` is being answered",
            body = Refused
        )
    )
)]
pub(super) async fn feedback(
    Asking(store): Asking,
    Object(payload): Object,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let answer = store.submit_action_feedback(Value::Object(payload)).await?;
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// An action, its reply, and every attempt
#[utoipa::path(
    get,
    path = "/api/actions/{id}",
    operation_id = "getAction",
    tag = "actions",
    params(Named),
    responses(
        (status = 200, description = "The action", body = Details),
        (status = 404, description = "There is no such action", body = Refused)
    )
)]
pub(super) async fn details(State(app): State<App>, Part(Named { id }): Part<Named>) -> Result<Json<Value>, Refusal> {
    let details = app.store.action_details(id).await?;
    details.map(Json).ok_or_else(|| Refusal::not_found(format!("there is no action {id}")))
}
