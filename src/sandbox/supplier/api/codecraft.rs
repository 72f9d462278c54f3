//! CodeCraft: `POST /initiate.php`, `GET /status_regular.php?reference_id=`. No reference of ours; the HTTP status is 200
//! and the real one stands in the body.

use serde_json::json;

use super::{Api, Asked, Incoming, Reply, Told, megabytes, national};
use crate::sandbox::supplier::SupplierArgs;
use crate::sandbox::supplier::fault::At;
use crate::sandbox::supplier::shop::{Order, Refusal, Repeat, Standing, Wish};

pub(super) struct CodeCraft;

impl Api for CodeCraft {
    fn name(&self) -> &'static str {
        "codecraft"
    }

    fn purpose(&self, incoming: &Incoming<'_>) -> Option<At> {
        match (incoming.method, incoming.path) {
            ("POST", "initiate.php") => Some(At::Purchase),
            ("GET", "status_regular.php") => Some(At::LookUp),
            _ => None,
        }
    }

    fn read(&self, args: &SupplierArgs, incoming: &Incoming<'_>) -> Result<Asked, Reply> {
        if incoming.header("x-api-key") != args.api_key {
            return Err(error(102, "Agent not found"));
        }
        if incoming.method == "GET" {
            return Ok(Asked::LookUp(incoming.query.get("reference_id").cloned().unwrap_or_default()));
        }
        let body = incoming.json();
        let text = |name: &str| body[name].as_str().unwrap_or_default();
        match text("network") {
            "" => return Err(Reply::new(422, &json!({"status": 422, "message": "Network is required"}))),
            "AT" => {}
            _ => return Err(error(555, "Network not found")),
        }
        let phone = national(text("recipient_number"), "0").ok_or_else(|| error(500, "Recipient not understood"))?;
        let mb = megabytes(text("gig")).ok_or_else(|| error(103, "Price not found"))?;
        Ok(Asked::Purchase(Wish { reference: None, phone: format!("233{phone}"), mb, callback: None }))
    }

    fn repeat(&self) -> Repeat {
        Repeat::Again
    }

    fn bought(&self, order: &Order, _: bool, _: u64) -> Reply {
        Reply::new(200, &json!({"status": 200, "message": "Order placed successfully", "reference_id": order.id}))
    }

    fn refused(&self, _: Refusal) -> Reply {
        error(100, "Low wallet balance")
    }

    fn stands(&self, order: Option<&Order>) -> Reply {
        let Some(order) = order else { return error(404, "No order found") };
        let status = match order.standing {
            Standing::Processing => "Pending",
            Standing::Delivered => "Successful",
            Standing::Failed => "Failed",
            Standing::Reversed => "Refunded",
        };
        Reply::new(200, &json!({"status": 200, "success": true, "data": {"order_status": status}}))
    }

    fn callback(&self, _: &Order, _: &str, _: Option<&str>) -> Option<Told> {
        None
    }
}

fn error(status: u16, words: &str) -> Reply {
    Reply::new(200, &json!({"status": status, "message": words}))
}
