//! `/webhooks/shopify`: signed over the bytes as they came, numbered, in no order, and repeated until it is answered within
//! five seconds. Nothing is done here but to write rows.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde_json::Value;

use super::crm::{hear, unreadable};
use super::not_configured;
use crate::http::App;
use crate::http::body::Told;
use crate::http::errors::Refusal;
use crate::notice::shopify::{named, read};

/// `POST /webhooks/shopify`
pub(super) async fn receive(State(app): State<App>, headers: HeaderMap, told: Told) -> Result<Json<Value>, Refusal> {
    let own = match named(&headers) {
        Some(shop) => app.store.shopify_secrets(&shop).await?,
        None => None,
    };
    let secrets = own.as_ref().or(app.webhooks.shopify.as_ref());
    let secrets = secrets.ok_or_else(|| not_configured("SHOPIFY_WEBHOOK_SECRET"))?;
    if !secrets.have_signed(&headers, &told.bytes) {
        return Err(Refusal::unauthenticated("X-Shopify-Hmac-Sha256 is not right").hint(
            "it must be the base64 HMAC-SHA256 of the body under the shop's own secret, else SHOPIFY_WEBHOOK_SECRET",
        ));
    }
    hear(&app, read(&headers, &told.bytes).map_err(unreadable)?).await
}
