//! `/webhooks/shopify`: signed over the bytes as they came, numbered, in no order, and repeated until it is answered within
//! five seconds. Nothing is done here but to write rows.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;

use super::crm::{hear, unreadable};
use super::not_configured;
use crate::http::App;
use crate::http::api::Answer;
use crate::http::body::Told;
use crate::http::errors::{Refusal, Refused};
use crate::notice::shopify::{named, read};

/// Take in orders and customers of Shopify
#[utoipa::path(
    post,
    path = "/webhooks/shopify",
    operation_id = "hearShopify",
    tag = "webhooks",
    security(("shopifySignature" = [])),
    request_body(description = "As Shopify writes it", content = Value),
    responses(
        (status = 200, description = "What was made of it", body = Answer),
        (status = 400, description = "It is not as Shopify writes it", body = Refused),
        (status = 401, description = "The signature is missing or not right", body = Refused),
        (
            status = 503,
            description = "No client has this account yet; or the webhook has no secret, or the database takes too long",
            body = Refused,
            headers(("Retry-After" = u32, description = "Seconds until it may do"))
        )
    )
)]
pub(super) async fn receive(State(app): State<App>, headers: HeaderMap, told: Told) -> Result<Json<Answer>, Refusal> {
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
