//! SPFastIT: `POST /send.php`, `POST /check_order_status.php`, both as forms. An order is one for each `client_reference`.

use serde_json::json;

use super::{Api, Asked, Incoming, Reply, Told, national};
use crate::sandbox::supplier::SupplierArgs;
use crate::sandbox::supplier::fault::At;
use crate::sandbox::supplier::shop::{Order, Refusal, Repeat, Standing, Wish};

pub(super) struct SpFastIt;

impl Api for SpFastIt {
    fn name(&self) -> &'static str {
        "spfastit"
    }

    fn purpose(&self, incoming: &Incoming<'_>) -> Option<At> {
        match (incoming.method, incoming.path) {
            ("POST", "send.php") => Some(At::Purchase),
            ("POST", "check_order_status.php") => Some(At::LookUp),
            _ => None,
        }
    }

    fn read(&self, args: &SupplierArgs, incoming: &Incoming<'_>) -> Result<Asked, Reply> {
        let form = incoming.form();
        let text = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        if text("api_key") != args.api_key {
            return Err(error("Invalid API key"));
        }
        let reference = text("client_reference");
        if reference.is_empty() {
            return Err(error("client_reference is required"));
        }
        if incoming.path == "check_order_status.php" {
            return Ok(Asked::LookUp(reference.to_owned()));
        }
        let phone = national(text("phone"), "0").ok_or_else(|| error("Invalid phone number"))?;
        let mb = text("bundle_mb").parse().ok().filter(|mb| (1..1_000_000).contains(mb));
        let mb = mb.ok_or_else(|| error("Invalid bundle size"))?;
        let reference = Some(reference.to_owned());
        Ok(Asked::Purchase(Wish { reference, phone: format!("233{phone}"), mb, callback: None }))
    }

    fn repeat(&self) -> Repeat {
        Repeat::Same
    }

    fn bought(&self, order: &Order, is_repeat: bool, _: u64) -> Reply {
        let mut body = json!({"status": "success", "transaction_id": order.id, "message": "Order received"});
        if is_repeat {
            body["duplicate"] = json!(true);
        }
        Reply::new(200, &body)
    }

    fn refused(&self, refusal: Refusal) -> Reply {
        match refusal {
            Refusal::Wallet => error("Insufficient wallet balance"),
            Refusal::Duplicate | Refusal::Conflict => {
                error("This client_reference has already been used for a different phone number or bundle size")
            }
        }
    }

    fn stands(&self, order: Option<&Order>) -> Reply {
        let Some(order) = order else { return error("Order not found") };
        let status = match order.standing {
            Standing::Processing => "processing",
            Standing::Delivered => "completed",
            Standing::Failed => "failed_blocked",
            Standing::Reversed => "refunded",
        };
        Reply::new(200, &json!({"status": "success", "order_status": status, "transaction_id": order.id}))
    }

    fn callback(&self, _: &Order, _: &str, _: Option<&str>) -> Option<Told> {
        None
    }
}

fn error(words: &str) -> Reply {
    Reply::new(200, &json!({"status": "error", "message": words}))
}
