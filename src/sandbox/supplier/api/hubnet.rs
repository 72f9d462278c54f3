//! Hubnet: `POST /at-new-transaction`, and an unsigned callback to the address that the purchase named.

use serde_json::json;

use super::{Api, Asked, Incoming, Reply, Told, national};
use crate::sandbox::supplier::SupplierArgs;
use crate::sandbox::supplier::callback::FORGED;
use crate::sandbox::supplier::fault::At;
use crate::sandbox::supplier::shop::{Order, Refusal, Repeat, Standing, Wish};

pub(super) struct Hubnet;

impl Api for Hubnet {
    fn name(&self) -> &'static str {
        "hubnet"
    }

    fn purpose(&self, incoming: &Incoming<'_>) -> Option<At> {
        matches!((incoming.method, incoming.path), ("POST", "at-new-transaction")).then_some(At::Purchase)
    }

    fn read(&self, args: &SupplierArgs, incoming: &Incoming<'_>) -> Result<Asked, Reply> {
        if incoming.header("token") != format!("Bearer {}", args.api_key) {
            return Err(error("1001", "Invalid token"));
        }
        let body = incoming.json();
        let text = |name: &str| body[name].as_str().unwrap_or_default();
        let reference = text("reference");
        let is_plain = reference.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !(6..=25).contains(&reference.len()) || !is_plain {
            return Err(error("1002", "The reference must have 6 to 25 letters, digits or hyphens"));
        }
        let phone = national(text("phone"), "0").ok_or_else(|| error("1003", "Invalid phone"))?;
        let mb = text("volume").parse().ok().filter(|mb| (1..1_000_000).contains(mb));
        let mb = mb.ok_or_else(|| error("1004", "Invalid volume"))?;
        let (reference, callback) = (Some(reference.to_owned()), body["webhook"].as_str().map(str::to_owned));
        Ok(Asked::Purchase(Wish { reference, phone: format!("233{phone}"), mb, callback }))
    }

    fn repeat(&self) -> Repeat {
        Repeat::Refused
    }

    fn bought(&self, order: &Order, _: bool, _: u64) -> Reply {
        Reply::new(
            200,
            &json!({
                "status": true, "reason": "Successful", "message": "0000", "code": "transaction initialized successfully",
                "transaction_id": order.id, "payment_id": order.id, "reference": order.wish.reference,
                "data": {"reference": order.wish.reference},
            }),
        )
    }

    fn refused(&self, refusal: Refusal) -> Reply {
        match refusal {
            Refusal::Wallet => error("1005", "Insufficient balance"),
            Refusal::Duplicate | Refusal::Conflict => error("1006", "Duplicate reference"),
        }
    }

    fn stands(&self, _: Option<&Order>) -> Reply {
        error("1007", "There is no such service")
    }

    fn callback(&self, order: &Order, url: &str, secret: Option<&str>) -> Option<Told> {
        let status = match order.standing {
            Standing::Processing => "processing",
            Standing::Delivered => "delivered",
            Standing::Failed => "failed",
            Standing::Reversed => "refunded",
        };
        let body = json!({
            "event": format!("transfer.{status}"), "reference": order.wish.reference,
            "data": {"status": status, "reference": order.wish.reference, "transaction_id": order.id},
        });
        // The proof is the token of the address that was registered, which a forger does not know.
        let mut url = url::Url::parse(url).ok()?;
        let registered = url.query_pairs().find(|(name, _)| name == "token").map(|(_, token)| token.into_owned());
        url.set_query(None);
        if let (Some(secret), Some(registered)) = (secret, registered) {
            let token = if secret == FORGED { secret } else { &registered };
            url.query_pairs_mut().append_pair("token", token);
        }
        Some(Told { url: url.into(), headers: Vec::new(), body: body.to_string() })
    }
}

fn error(code: &str, words: &str) -> Reply {
    Reply::new(200, &json!({"status": false, "reason": words, "message": code}))
}
