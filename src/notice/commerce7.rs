//! Commerce7's webhooks: known by HTTP Basic, since it signs nothing and numbers no delivery.
//!
//! Whoever knows the login may say anything, and what is told may be old: the order is asked for again
//! (`fetch_order` of `src/integrations/crm/`) before anything is done about it.

use std::fmt;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{CrmType, Customer, Notice, Unreadable, id, text, time, word};

/// What Commerce7 shows: `COMMERCE7_WEBHOOK_USER` and `COMMERCE7_WEBHOOK_PASSWORD`. Kept as a digest.
#[derive(Clone, PartialEq, Eq)]
pub struct Login([u8; 32]);

impl Login {
    /// Keeps the digest of both.
    pub fn new(user: &str, password: &SecretString) -> Self {
        Self(digest(format!("{user}:{}", password.expose_secret()).as_bytes()))
    }

    /// Whether the one `Authorization` header shows it, in a time that tells nothing about it.
    pub fn is_shown(&self, headers: &HeaderMap) -> bool {
        let mut all = headers.get_all(AUTHORIZATION).iter();
        let (Some(header), None) = (all.next(), all.next()) else { return false };
        let Some((scheme, shown)) = header.to_str().ok().and_then(|text| text.split_once(' ')) else { return false };
        let Ok(pair) = BASE64_STANDARD.decode(shown.trim()) else { return false };
        scheme.eq_ignore_ascii_case("basic") && bool::from(digest(&pair).as_slice().ct_eq(&self.0))
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login([redacted])")
    }
}

/// The notice in a webhook's bytes; nothing where it is about something else, or was caused by our own app, whose id
/// Commerce7 gives as its user. A bulk update is nothing too: it holds a page of many and no order.
pub fn read(bytes: &[u8], own_app: Option<&str>) -> Result<Option<Notice>, Unreadable> {
    let body: Value = serde_json::from_slice(bytes).map_err(|_| Unreadable::Body)?;
    let (object, action) = (word(&body["object"]), word(&body["action"]));
    let object = object.ok_or(Unreadable::Missing("object"))?;
    let action = action.ok_or(Unreadable::Missing("action"))?;
    let tenant = text(&body["tenantId"]).ok_or(Unreadable::Missing("tenantId"))?;
    let is_own = own_app.is_some_and(|app| body["user"].as_str() == Some(app));
    if is_own || !matches!(object.as_str(), "order" | "customer") || !matches!(action.as_str(), "create" | "update") {
        return Ok(None);
    }
    let payload = &body["payload"];
    let subject = id(&payload["id"]).ok_or(Unreadable::Missing("payload.id"))?;
    let webhook_id = match text(&payload["updatedAt"]) {
        Some(at) => format!("{tenant}:{object}:{action}:{subject}:{at}"),
        None => BASE64_STANDARD.encode(digest(bytes)),
    };
    let told = Told { tenant, webhook_id, event: format!("{object}/{action}") };
    Ok(Some(if object == "order" {
        told.of_order(payload, customer(&payload["customer"]))
    } else {
        Notice { customer: customer(payload), at: time(&payload["updatedAt"]), ..told.of_nothing() }
    }))
}

/// Where and how a notice was told.
#[derive(Debug, Clone)]
pub struct Told {
    /// By which tenant.
    pub tenant: String,
    /// The same however often it is told.
    pub webhook_id: String,
    /// Of what, and what became of it.
    pub event: String,
}

impl Told {
    /// The notice of an order as Commerce7 shows it.
    pub fn of_order(self, order: &Value, customer: Option<Customer>) -> Notice {
        let by_id = || id(&order["customerId"]).map(|id| Customer { id: Some(id), ..Customer::default() });
        let is_paid = order["orderPaidDate"].is_string();
        Notice {
            order_id: id(&order["id"]),
            customer: customer.or_else(by_id),
            total: order["total"].as_i64().map(decimal),
            currency: text(&order["currency"]),
            financial_state: word(&order["paymentStatus"]).or_else(|| is_paid.then(|| "paid".to_owned())),
            at: time(&order["updatedAt"]).or_else(|| time(&order["orderPaidDate"])),
            ..self.of_nothing()
        }
    }

    fn of_nothing(self) -> Notice {
        Notice {
            crm_type: CrmType::Commerce7,
            tenant_or_shop: self.tenant,
            webhook_id: self.webhook_id,
            event: self.event,
            order_id: None,
            refund_id: None,
            customer: None,
            total: None,
            currency: None,
            financial_state: None,
            at: None,
        }
    }
}

/// The customer as Commerce7 shows it; nothing where there is none.
pub fn customer(shown: &Value) -> Option<Customer> {
    shown.as_object()?;
    let mut emails = shown["emails"].as_array().into_iter().flatten();
    Some(Customer {
        id: id(&shown["id"]),
        email: emails.find_map(|email| text(&email["email"])),
        first_name: text(&shown["firstName"]),
        last_name: text(&shown["lastName"]),
    })
}

/// Cents as a decimal.
fn decimal(cents: i64) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    let cents = cents.unsigned_abs();
    format!("{sign}{}.{:02}", cents / 100, cents % 100)
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shows(authorization: &[&str]) -> bool {
        let login = Login::new("hooks", &SecretString::from("pass:word"));
        let mut headers = HeaderMap::new();
        for value in authorization {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        login.is_shown(&headers)
    }

    #[test]
    fn only_the_right_login_is_believed() {
        let basic = |pair: &str| format!("Basic {}", BASE64_STANDARD.encode(pair));
        let right = basic("hooks:pass:word");
        assert!(shows(&[&right]) && shows(&[&right.replace("Basic", "basic")]));
        for wrong in [basic("hooks:pass"), basic("hook:spass:word"), basic("hooks:"), basic(""), "Basic".to_owned()] {
            assert!(!shows(&[&wrong]), "{wrong}");
        }
        for wrong in [right.replace("Basic", "Bearer"), "Basic !!!".to_owned(), String::new()] {
            assert!(!shows(&[&wrong]), "{wrong}");
        }
        assert!(!shows(&[]) && !shows(&[&right, &right]));
        assert!(!format!("{:?}", Login::new("hooks", &SecretString::from("pass:word"))).contains("pass:word"));
    }

    fn webhook(object: &str, action: &str, payload: &Value) -> Vec<u8> {
        let body = json!({
            "object": object, "action": action, "payload": payload, "tenantId": "north", "user": "staff@example.com",
        });
        body.to_string().into_bytes()
    }

    fn order() -> Value {
        json!({
            "id": "7d3c", "orderNumber": 1004, "customerId": "c-1", "total": 19905, "paymentStatus": "Partially Paid",
            "updatedAt": "2026-03-01T10:00:00.123Z",
            "customer": {"id": "c-1", "firstName": "Ama", "lastName": null, "emails": [{"email": "ama@example.com"}]},
        })
    }

    #[test]
    fn an_order_is_read_with_its_money_as_a_decimal() {
        let notice = read(&webhook("Order", "Update", &order()), None).unwrap().unwrap();
        assert_eq!((notice.event.as_str(), notice.tenant_or_shop.as_str()), ("order/update", "north"));
        assert_eq!(notice.webhook_id, "north:order:update:7d3c:2026-03-01T10:00:00.123Z");
        assert_eq!((notice.order_id.as_deref(), notice.total.as_deref()), (Some("7d3c"), Some("199.05")));
        assert_eq!(notice.financial_state.as_deref(), Some("partially_paid"));
        let customer = notice.customer.unwrap();
        assert_eq!((customer.id.as_deref(), customer.email.as_deref()), (Some("c-1"), Some("ama@example.com")));
        assert_eq!((customer.first_name.as_deref(), customer.last_name), (Some("Ama"), None));
        for (cents, text) in [(0, "0.00"), (5, "0.05"), (-1250, "-12.50"), (i64::MIN, "-92233720368547758.08")] {
            assert_eq!(decimal(cents), text);
        }
    }

    #[test]
    fn an_order_without_its_customer_has_the_customers_id_and_one_without_a_time_has_a_digest() {
        let mut order = order();
        order["customer"].take();
        order["updatedAt"].take();
        order["paymentStatus"].take();
        order["orderPaidDate"] = json!("2026-03-01T10:00:00Z");
        order["total"] = json!(12.5);
        let bytes = webhook("Order", "Create", &order);
        let notice = read(&bytes, None).unwrap().unwrap();
        assert_eq!(notice.customer.unwrap().id.as_deref(), Some("c-1"));
        assert_eq!((notice.financial_state.as_deref(), notice.total), (Some("paid"), None));
        assert_eq!(notice.webhook_id.len(), 44);
        assert_eq!(read(&bytes, None).unwrap().unwrap().webhook_id, notice.webhook_id);
    }

    #[test]
    fn what_is_not_ours_or_is_our_own_doing_is_nothing() {
        for (object, action) in [("Club Membership", "Create"), ("Order", "Bulk Update"), ("Order", "Delete")] {
            assert_eq!(read(&webhook(object, action, &order()), None), Ok(None), "{object} {action}");
        }
        let own = webhook("Customer", "Update", &json!({"id": "c-1"}));
        assert_eq!(read(&own, Some("staff@example.com")), Ok(None));
        assert_eq!(read(&own, Some("app")).unwrap().unwrap().event, "customer/update");
    }

    #[test]
    fn what_cannot_be_read_says_what_is_missing() {
        for (bytes, error) in [
            (&b"<html>"[..], Unreadable::Body),
            (b"[]", Unreadable::Missing("object")),
            (br#"{"object":"Order"}"#, Unreadable::Missing("action")),
            (br#"{"object":"Order","action":"Create"}"#, Unreadable::Missing("tenantId")),
            (br#"{"object":"Order","action":"Create","tenantId":"north"}"#, Unreadable::Missing("payload.id")),
        ] {
            assert_eq!(read(bytes, None), Err(error));
        }
    }
}
