//! What changes in Commerce7: customers are made, memberships are made and ended, with the checks of the real one.

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::commerce7::{Reply, not_found, refuse};
use super::world::Tenant;

/// The only words that a cancellation may give as its reason.
const REASONS: [&str; 3] = ["Other", "Moving", "Switching to another club"];

/// An answer, and what was changed.
type Changed = (Reply, Option<Value>);

pub(super) fn create_customer(tenant: &mut Tenant, body: &Value) -> Changed {
    let Some(email) = body["emails"][0]["email"].as_str().filter(|email| email.contains('@')) else {
        return (invalid(&[("emails", "is required")]), None);
    };
    let is_taken =
        |customer: &Value| customer["emails"][0]["email"].as_str().is_some_and(|own| own.eq_ignore_ascii_case(email));
    if tenant.customers.iter().any(is_taken) {
        let mut reply = refuse(422, "validationError", "Database unique constraint error", &[]);
        reply.1.as_object_mut().map(|body| body.remove("errors"));
        return (reply, None);
    }
    let customer = json!({
        "id": Uuid::new_v4(), "firstName": body["firstName"], "lastName": body["lastName"],
        "emails": [{"id": Uuid::new_v4(), "email": email}],
    });
    tenant.customers.push(customer.clone());
    let effect = json!({"effect": "customer-created", "customer_id": customer["id"], "email": email});
    ((200, customer), Some(effect))
}

pub(super) fn create(tenant: &mut Tenant, body: &Value) -> Changed {
    let (customer_id, club_id) = (body["customerId"].as_str().unwrap_or_default(), &body["clubId"]);
    if !tenant.customers.iter().any(|customer| customer["id"] == customer_id) {
        return (not_found(), None);
    }
    let has = |list: Option<&Value>, id: &Value| {
        list.and_then(Value::as_array).is_some_and(|list| list.iter().any(|one| one["id"] == *id))
    };
    let address = |name: &str| has(tenant.addresses.get(customer_id), &body[name]);
    let is_pickup = body["orderDeliveryMethod"] == "Pickup";
    let is_ship = body["orderDeliveryMethod"] == "Ship";
    let mut wrong = Vec::new();
    for (is_wrong, field, message) in [
        (!tenant.clubs.iter().any(|club| club_id == club), "clubId", "does not exist"),
        (parsed(&body["signupDate"]).is_none(), "signupDate", "must be an ISO 8601 date"),
        (!is_pickup && !is_ship, "orderDeliveryMethod", "is required"),
        (is_ship && !address("shipToCustomerAddressId"), "shipToCustomerAddressId", "is required"),
        (is_pickup && body["pickupInventoryLocationId"].is_null(), "pickupInventoryLocationId", "is required"),
        (!is_pickup && !address("billToCustomerAddressId"), "billToCustomerAddressId", "is required"),
        (
            !is_pickup && !has(tenant.cards.get(customer_id), &body["customerCreditCardId"]),
            "customerCreditCardId",
            "is required",
        ),
    ] {
        if is_wrong {
            wrong.push((field, message));
        }
    }
    if !wrong.is_empty() {
        return (invalid(&wrong), None);
    }
    let id = Uuid::new_v4();
    let mut membership = body.clone();
    membership["id"] = json!(id);
    membership["status"] = json!("Active");
    tenant.memberships.push(membership.clone());
    let effect = json!({
        "effect": "membership-created", "customer_id": customer_id, "club_id": club_id, "membership_id": id,
    });
    ((200, membership), Some(effect))
}

pub(super) fn change(tenant: &mut Tenant, id: &str, body: &Value) -> Changed {
    let Some(membership) = tenant.memberships.iter_mut().find(|membership| membership["id"] == id) else {
        return (not_found(), None);
    };
    if body.get("cancelDate").is_some_and(Value::is_null) && membership["status"] != "Cancelled" {
        membership["cancelDate"] = Value::Null;
        let effect = json!({"effect": "membership-kept", "customer_id": membership["customerId"], "membership_id": id});
        return ((200, membership.clone()), Some(effect));
    }
    let Some(at) = parsed(&body["cancelDate"]) else {
        return (invalid(&[("cancelDate", "must be an ISO 8601 date")]), None);
    };
    let reason = body["cancellationReason"].as_str();
    if !reason.is_some_and(|reason| REASONS.contains(&reason)) {
        return (invalid(&[("cancellationReason", "is required when cancelDate is set")]), None);
    }
    let was_live = membership["status"] == "Active";
    membership["cancelDate"] = body["cancelDate"].clone();
    membership["cancellationReason"] = json!(reason);
    // A little grace for clocks that differ.
    if at.duration_since(Timestamp::now()).as_secs() < 60 {
        membership["status"] = json!("Cancelled");
    }
    let effect = json!({
        "effect": "membership-cancelled", "customer_id": membership["customerId"], "club_id": membership["clubId"],
        "membership_id": id, "reason": reason, "was_live": was_live,
    });
    ((200, membership.clone()), Some(effect))
}

fn parsed(date: &Value) -> Option<Timestamp> {
    date.as_str()?.parse().ok()
}

fn invalid(wrong: &[(&str, &str)]) -> Reply {
    refuse(422, "validationError", "Validation error", wrong)
}
