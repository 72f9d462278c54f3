//! The default supplier: `POST /data/purchase`, `GET /data/status?reference=`, both with a key and a signature.

use jiff::Timestamp;
use serde_json::json;

use super::{Api, Asked, Incoming, Reply, Told, megabytes, national};
use crate::sandbox::server::hmac_hex;
use crate::sandbox::supplier::SupplierArgs;
use crate::sandbox::supplier::fault::At;
use crate::sandbox::supplier::shop::{Order, Refusal, Repeat, Standing, Wish};

/// How old a signature may be, in seconds.
const AGE_MAX: u64 = 300;

pub(super) struct AtIshare;

impl Api for AtIshare {
    fn name(&self) -> &'static str {
        "at-ishare"
    }

    fn purpose(&self, incoming: &Incoming<'_>) -> Option<At> {
        match (incoming.method, incoming.path) {
            ("POST", "data/purchase") => Some(At::Purchase),
            ("GET", "data/status") => Some(At::LookUp),
            _ => None,
        }
    }

    fn read(&self, args: &SupplierArgs, incoming: &Incoming<'_>) -> Result<Asked, Reply> {
        if incoming.header("x-api-key") != args.api_key {
            return Err(error(401, "invalid_key", "Invalid API key"));
        }
        let time = incoming.header("x-timestamp");
        let age = time.parse().ok().map(|time: i64| Timestamp::now().as_second().abs_diff(time));
        let signed = [time.as_bytes(), b".", incoming.body].concat();
        let signature = format!("sha256={}", hmac_hex(&args.api_secret, &signed));
        if age.is_none_or(|age| age > AGE_MAX) || incoming.header("x-signature") != signature {
            return Err(error(401, "invalid_signature", "Invalid signature"));
        }
        if incoming.method == "GET" {
            return Ok(Asked::LookUp(incoming.query.get("reference").cloned().unwrap_or_default()));
        }
        let body = incoming.json();
        let text = |name: &str| body[name].as_str().unwrap_or_default();
        if text("network").is_empty() || text("reference").is_empty() {
            return Err(error(422, "invalid_request", "network and reference are required"));
        }
        let phone = national(text("phone_number"), "+233");
        let phone = phone.ok_or_else(|| error(422, "invalid_number", "Invalid phone number"))?;
        let mb = text("package").strip_suffix("GB").and_then(megabytes);
        let mb = mb.ok_or_else(|| error(422, "invalid_package", "No such package"))?;
        let reference = Some(text("reference").to_owned());
        Ok(Asked::Purchase(Wish { reference, phone: format!("233{phone}"), mb, callback: None }))
    }

    fn repeat(&self) -> Repeat {
        Repeat::Refused
    }

    fn bought(&self, order: &Order, _: bool, _: u64) -> Reply {
        stands(order)
    }

    fn refused(&self, refusal: Refusal) -> Reply {
        match refusal {
            Refusal::Wallet => error(402, "insufficient_balance", "Insufficient balance"),
            Refusal::Duplicate | Refusal::Conflict => error(409, "duplicate_reference", "Reference already used"),
        }
    }

    fn stands(&self, order: Option<&Order>) -> Reply {
        order.map_or_else(|| error(404, "not_found", "No such order"), stands)
    }

    fn callback(&self, order: &Order, url: &str, secret: Option<&str>) -> Option<Told> {
        let body = stands(order).json;
        let signature = secret.map(|secret| format!("sha256={}", hmac_hex(secret, body.as_bytes())));
        let headers = signature.map(|signature| ("x-signature", signature)).into_iter().collect();
        Some(Told { url: url.to_owned(), headers, body })
    }
}

fn stands(order: &Order) -> Reply {
    let status = match order.standing {
        Standing::Processing => "processing",
        Standing::Delivered => "delivered",
        Standing::Failed => "failed",
        Standing::Reversed => "reversed",
    };
    Reply::new(
        200,
        &json!({
            "success": true, "status": status, "transaction_id": order.id, "reference": order.wish.reference,
            "message": format!("The order is {status}"),
        }),
    )
}

fn error(status: u16, code: &str, words: &str) -> Reply {
    Reply::new(status, &json!({"success": false, "status": "failed", "code": code, "error": words}))
}
