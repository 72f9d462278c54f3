//! Shopify's webhooks: signed over the raw bytes, numbered, and in no order.

use std::fmt;

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use sha2::Sha256;

use super::{CrmType, Customer, Notice, Unreadable, id, text, time, word};

/// Whose webhook it is, by the shop's address.
const SHOP: &str = "x-shopify-shop-domain";

/// What every shop's own address ends with.
const DOMAIN: &str = ".myshopify.com";

/// What signs: `SHOPIFY_WEBHOOK_SECRET`, or the client's own. While it is being changed there are two.
#[derive(Clone)]
pub struct Secrets(pub Vec<SecretString>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({} [redacted])", self.0.len())
    }
}

impl Secrets {
    /// One, or while it is being changed two, with white space or a comma between them; nothing where there is none.
    pub fn read(text: &str) -> Option<Self> {
        let all = text.split([',', ' ', '\t', '\n']).filter(|secret| !secret.is_empty());
        let all: Vec<_> = all.map(SecretString::from).collect();
        (!all.is_empty()).then_some(Self(all))
    }

    /// Whether the one `X-Shopify-Hmac-Sha256` is the signature of these bytes, in a time that tells nothing about it.
    pub fn have_signed(&self, headers: &HeaderMap, bytes: &[u8]) -> bool {
        let mut all = headers.get_all("x-shopify-hmac-sha256").iter();
        let (Some(header), None) = (all.next(), all.next()) else { return false };
        let Ok(shown) = BASE64_STANDARD.decode(header.as_bytes()) else { return false };
        self.0.iter().any(|secret| {
            let Ok(mac) = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()) else { return false };
            mac.chain_update(bytes).verify_slice(&shown).is_ok()
        })
    }
}

/// A shop's name, of its name or its address; nothing where it is neither, so that it can stand in an address of ours.
pub fn shop(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    let name = text.strip_suffix(DOMAIN).unwrap_or(&text);
    let is_name = (1..=60).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !name.starts_with('-');
    is_name.then(|| name.to_owned())
}

/// The shop that a webhook says it is of. That is not signed: only a secret that is this shop's own proves it.
pub fn named(headers: &HeaderMap) -> Option<String> {
    headers.get(SHOP)?.to_str().ok().and_then(shop)
}

/// The notice in a webhook's headers and bytes; nothing where its topic is another than these four.
pub fn read(headers: &HeaderMap, bytes: &[u8]) -> Result<Option<Notice>, Unreadable> {
    let header = |name: &'static str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
        value.filter(|value| !value.is_empty()).ok_or(Unreadable::Missing(name))
    };
    let event = header("x-shopify-topic")?.to_ascii_lowercase();
    if !matches!(event.as_str(), "orders/paid" | "orders/updated" | "orders/cancelled" | "refunds/create") {
        return Ok(None);
    }
    let shop = header(SHOP).map(shop)?;
    let webhook_id = header("x-shopify-webhook-id")?.to_owned();
    let body: Value = serde_json::from_slice(bytes).map_err(|_| Unreadable::Body)?;
    let triggered_at = header("x-shopify-triggered-at").ok().and_then(|at| at.parse().ok());
    let notice = Notice {
        crm_type: CrmType::Shopify,
        tenant_or_shop: shop.ok_or(Unreadable::Missing(SHOP))?,
        webhook_id,
        event,
        order_id: None,
        refund_id: None,
        customer: None,
        total: None,
        currency: text(&body["currency"]),
        financial_state: word(&body["financial_status"]),
        at: None,
    };
    let times = [&body["updated_at"], &body["processed_at"], &body["created_at"]];
    let at = times.into_iter().find_map(time).or(triggered_at);
    Ok(Some(if notice.event == "refunds/create" {
        let order_id = id(&body["order_id"]).ok_or(Unreadable::Missing("order_id"))?;
        let (total, currency) = refunded(&body["transactions"]);
        Notice { order_id: Some(order_id), refund_id: id(&body["id"]), total, currency, at, ..notice }
    } else {
        let order_id = id(&body["id"]).ok_or(Unreadable::Missing("id"))?;
        let total = text(&body["total_price"]).filter(|price| hundredths_of_cents(price).is_some());
        Notice { order_id: Some(order_id), customer: customer(&body), total, at, ..notice }
    }))
}

/// Who ordered; the order has an e-mail address of its own, also where nobody is known.
fn customer(order: &Value) -> Option<Customer> {
    let shown = &order["customer"];
    let customer = Customer {
        id: id(&shown["id"]),
        email: text(&shown["email"]).or_else(|| text(&order["email"])),
        first_name: text(&shown["first_name"]),
        last_name: text(&shown["last_name"]),
    };
    (customer != Customer::default()).then_some(customer)
}

/// What the transactions of a refund have paid back, and in which currency; nothing while none has.
fn refunded(transactions: &Value) -> (Option<String>, Option<String>) {
    let all = transactions.as_array().into_iter().flatten();
    let paid = all.filter(|one| one["kind"] == "refund" && one["status"] == "success");
    let (mut total, mut currency) = (None, None);
    for one in paid {
        let Some(amount) = one["amount"].as_str().and_then(hundredths_of_cents) else { return (None, None) };
        total = Some(total.unwrap_or_default() + amount);
        currency = text(&one["currency"]).or(currency);
    }
    (total.map(decimal), currency)
}

/// A decimal of at most four places, exactly.
fn hundredths_of_cents(text: &str) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !(1..=12).contains(&digits.len()) || part.len() > 4 || !are_digits(digits) || !are_digits(part) {
        return None;
    }
    format!("{whole}{part:0<4}").parse().ok()
}

fn decimal(hundredths_of_cents: i64) -> String {
    let sign = if hundredths_of_cents < 0 { "-" } else { "" };
    let amount = hundredths_of_cents.unsigned_abs();
    let part = format!("{:04}", amount % 10_000);
    let cents = part.strip_suffix("00").unwrap_or(&part);
    format!("{sign}{}.{cents}", amount / 10_000)
}

#[cfg(test)]
mod tests;
