//! What the fakes tell of orders, on request: signed or forged, once or more often, in time or late.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use reqwest::RequestBuilder;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Sha256;
use uuid::Uuid;

use super::state::State;

/// One webhook.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Webhook {
    /// `commerce7` or `shopify`.
    pub crm_type: String,
    /// The tenant or the shop that it is about.
    pub tenant: String,
    /// Shopify's topic, such as `orders/paid`; Commerce7's object and action, such as `Order/Update`.
    pub event: String,
    /// The order as the CRM has it, in the CRM's own shape. Commerce7's is kept, so that it can be asked for again.
    pub order: Value,
    /// Members of the order that are told otherwise than they are.
    pub lie: Value,
    /// With the secret of somebody else.
    pub is_forged: bool,
    /// Shopify's number of the delivery; a new one if it is empty.
    pub webhook_id: String,
    /// How often it is sent besides the first time.
    pub repeats: u32,
    /// How long after the request, in milliseconds.
    pub after_ms: u64,
}

/// Sends each in its time, those of the same time in their order; what each was answered.
pub(super) async fn tell(state: &Arc<State>, mut webhooks: Vec<Webhook>) -> Vec<Value> {
    webhooks.sort_by_key(|webhook| webhook.after_ms);
    let (mut waited, mut answers) = (0, Vec::new());
    for webhook in webhooks {
        tokio::time::sleep(Duration::from_millis(webhook.after_ms - waited)).await;
        waited = webhook.after_ms;
        let request = match webhook.crm_type.as_str() {
            "commerce7" => commerce7(state, &webhook),
            _ => shopify(state, &webhook),
        };
        let Some(request) = request else {
            answers.push(json!({"event": webhook.event, "status": null}));
            continue;
        };
        for _ in 0..=webhook.repeats {
            let Some(request) = request.try_clone() else { continue };
            let sent = request.timeout(Duration::from_secs(10)).send().await;
            let status = sent.ok().map(|answer| answer.status().as_u16());
            answers.push(json!({"event": webhook.event, "status": status}));
        }
    }
    answers
}

/// Keeps an order of Commerce7's as it is, unless a stranger tells of it.
fn keep(state: &State, webhook: &Webhook) {
    let inside = &mut *state.inside();
    let Some(tenant) = inside.tenants.get_mut(&webhook.tenant) else { return };
    if let (Some(id), false) = (webhook.order["id"].as_str(), webhook.is_forged) {
        tenant.orders.insert(id.to_owned(), webhook.order.clone());
    }
}

/// The order as it is told.
fn told(webhook: &Webhook) -> Value {
    let mut order = webhook.order.clone();
    if let (Some(order), Some(lie)) = (order.as_object_mut(), webhook.lie.as_object()) {
        order.extend(lie.clone());
    }
    order
}

fn commerce7(state: &State, webhook: &Webhook) -> Option<RequestBuilder> {
    keep(state, webhook);
    let args = &state.args;
    let (object, action) = webhook.event.split_once('/')?;
    let body = json!({
        "object": object, "action": action, "payload": told(webhook), "tenantId": webhook.tenant,
        "user": "staff@example.com",
    });
    let password = if webhook.is_forged { "guessed" } else { &args.webhook_password };
    let request = state.webhooks.post(args.commerce7_webhook.as_ref()?);
    Some(
        request
            .basic_auth(&args.webhook_user, Some(password))
            .header("content-type", "application/json")
            .body(body.to_string()),
    )
}

fn shopify(state: &State, webhook: &Webhook) -> Option<RequestBuilder> {
    let args = &state.args;
    let body = told(webhook).to_string();
    let secret = if webhook.is_forged { "guessed" } else { &args.webhook_secret };
    let new = Uuid::new_v4().to_string();
    let webhook_id = if webhook.webhook_id.is_empty() { &new } else { &webhook.webhook_id };
    let request = state.webhooks.post(args.shopify_webhook.as_ref()?).header("content-type", "application/json");
    Some(
        request
            .header("x-shopify-topic", &webhook.event)
            .header("x-shopify-shop-domain", format!("{}.myshopify.com", webhook.tenant))
            .header("x-shopify-webhook-id", webhook_id)
            .header("x-shopify-event-id", Uuid::new_v4().to_string())
            .header("x-shopify-triggered-at", Timestamp::now().to_string())
            .header("x-shopify-api-version", "2026-01")
            .header("x-shopify-hmac-sha256", sign(secret, body.as_bytes()))
            .body(body),
    )
}

fn sign(secret: &str, body: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length is taken");
    BASE64_STANDARD.encode(mac.chain_update(body).finalize().into_bytes())
}
