//! `/webhooks/commerce7`: it signs nothing, so HTTP Basic is its proof, and of an order only the number is believed: the row is
//! written, and the queue `crm_orders` asks Commerce7 itself.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;

use super::crm::{hear, unreadable};
use super::not_configured;
use crate::http::App;
use crate::http::api::Answer;
use crate::http::body::Told;
use crate::http::errors::{Refusal, Refused};
use crate::notice::commerce7::read;

/// Take in orders, customers and memberships of Commerce7
#[utoipa::path(
    post,
    path = "/webhooks/commerce7",
    operation_id = "hearCommerce7",
    tag = "webhooks",
    security(("commerce7Login" = [])),
    request_body(description = "As Commerce7 writes it", content = Value),
    responses(
        (status = 200, description = "What was made of it", body = Answer),
        (status = 400, description = "It is not as Commerce7 writes it", body = Refused),
        (status = 401, description = "The login is missing or not right", body = Refused),
        (
            status = 503,
            description = "No client has this account yet; or the webhook has no secret, or the database takes too long",
            body = Refused,
            headers(("Retry-After" = u32, description = "Seconds until it may do"))
        )
    )
)]
pub(super) async fn receive(State(app): State<App>, headers: HeaderMap, told: Told) -> Result<Json<Answer>, Refusal> {
    let login = app.webhooks.commerce7.as_ref().ok_or_else(|| not_configured("COMMERCE7_WEBHOOK_USER"))?;
    if !login.is_shown(&headers) {
        return Err(Refusal::unauthenticated("the login is missing or not right")
            .hint("show COMMERCE7_WEBHOOK_USER and COMMERCE7_WEBHOOK_PASSWORD by HTTP Basic"));
    }
    let own_app = app.webhooks.commerce7_app.as_deref();
    hear(&app, read(&told.bytes, own_app).map_err(unreadable)?).await
}
