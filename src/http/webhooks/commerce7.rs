//! `/webhooks/commerce7`: it signs nothing, so HTTP Basic is its proof, and of an order only the number is believed: the row is
//! written, and the queue `crm_orders` asks Commerce7 itself.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde_json::Value;

use super::crm::{hear, unreadable};
use super::not_configured;
use crate::http::App;
use crate::http::body::Told;
use crate::http::errors::Refusal;
use crate::notice::commerce7::read;

/// `POST /webhooks/commerce7`
pub(super) async fn receive(State(app): State<App>, headers: HeaderMap, told: Told) -> Result<Json<Value>, Refusal> {
    let login = app.webhooks.commerce7.as_ref().ok_or_else(|| not_configured("COMMERCE7_WEBHOOK_USER"))?;
    if !login.is_shown(&headers) {
        return Err(Refusal::unauthenticated("the login is missing or not right")
            .hint("show COMMERCE7_WEBHOOK_USER and COMMERCE7_WEBHOOK_PASSWORD by HTTP Basic"));
    }
    let own_app = app.webhooks.commerce7_app.as_deref();
    hear(&app, read(&told.bytes, own_app).map_err(unreadable)?).await
}
