//! Xpress: `POST /orders`, `GET /orders/{id}`, and a signed callback. An order is one for each reference.

use serde_json::json;

use super::{Api, Asked, Incoming, Reply, Told, megabytes, national};
use crate::sandbox::server::hmac_hex;
use crate::sandbox::supplier::SupplierArgs;
use crate::sandbox::supplier::fault::At;
use crate::sandbox::supplier::shop::{Order, Refusal, Repeat, Standing, Wish, cedis};

pub(super) struct Xpress;

impl Api for Xpress {
    fn name(&self) -> &'static str {
        "xpress"
    }

    fn purpose(&self, incoming: &Incoming<'_>) -> Option<At> {
        match (incoming.method, incoming.path.strip_prefix("orders")) {
            ("POST", Some("")) => Some(At::Purchase),
            ("GET", Some(id)) if id.len() > 1 => Some(At::LookUp),
            _ => None,
        }
    }

    fn read(&self, args: &SupplierArgs, incoming: &Incoming<'_>) -> Result<Asked, Reply> {
        if incoming.header("x-api-key") != args.api_key {
            return Err(error(401, "Unauthorized"));
        }
        if incoming.method == "GET" {
            return Ok(Asked::LookUp(incoming.path.trim_start_matches("orders/").to_owned()));
        }
        let body = incoming.json();
        let item = &body["items"][0];
        let reference = item["reference"].as_str().unwrap_or_default();
        if body["service"] != "airteltigo" || reference.is_empty() {
            return Err(error(400, "service and reference are required"));
        }
        let phone = national(item["msisdn"].as_str().unwrap_or_default(), "0");
        let phone = phone.ok_or_else(|| error(400, "Invalid msisdn"))?;
        let mb = if item["data_gb"].is_number() { megabytes(&item["data_gb"].to_string()) } else { None };
        let mb = mb.ok_or_else(|| error(400, "Invalid data_gb"))?;
        let reference = Some(reference.to_owned());
        Ok(Asked::Purchase(Wish { reference, phone: format!("233{phone}"), mb, callback: None }))
    }

    fn repeat(&self) -> Repeat {
        Repeat::Same
    }

    fn bought(&self, order: &Order, _: bool, wallet: u64) -> Reply {
        // Money as this supplier writes it: a number with two decimals, which no float keeps.
        let (charged, balance) = (cedis(order.pesewas), cedis(wallet));
        let items = json!([{"msisdn": format!("0{}", &order.wish.phone[3..]), "reference": order.wish.reference}]);
        let id = json!(order.id);
        Reply {
            status: 201,
            json: format!("{{\"order_id\":{id},\"items\":{items},\"charged\":{charged},\"balance\":{balance}}}"),
        }
    }

    fn refused(&self, refusal: Refusal) -> Reply {
        match refusal {
            Refusal::Wallet => error(402, "insufficient wallet balance"),
            Refusal::Duplicate | Refusal::Conflict => error(409, "reference was used for another item"),
        }
    }

    fn stands(&self, order: Option<&Order>) -> Reply {
        let Some(order) = order else { return error(404, "Order not found") };
        let item = json!({"reference": order.wish.reference, "status": word(order)});
        Reply::new(200, &json!({"order_id": order.id, "status": "updated", "items": [item]}))
    }

    fn callback(&self, order: &Order, url: &str, secret: Option<&str>) -> Option<Told> {
        let item = json!({"reference": order.wish.reference, "status": word(order)});
        let body = json!({"order_id": order.id, "items": [item]}).to_string();
        let mut headers = vec![("x-xpress-event", format!("item.{}", word(order)))];
        headers.extend(secret.map(|secret| ("x-xpress-signature", hmac_hex(secret, body.as_bytes()))));
        Some(Told { url: url.to_owned(), headers, body })
    }
}

fn word(order: &Order) -> &'static str {
    match order.standing {
        Standing::Processing => "processing",
        Standing::Delivered => "completed",
        Standing::Failed => "failed",
        Standing::Reversed => "refunded",
    }
}

fn error(status: u16, words: &str) -> Reply {
    Reply::new(status, &json!({"error": words}))
}
