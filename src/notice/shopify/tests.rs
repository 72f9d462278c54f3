//! What is believed of Shopify's webhooks, and what is read of them.

use serde_json::json;

use super::*;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

fn of(topic: &str) -> HeaderMap {
    headers(&[
        ("X-Shopify-Topic", topic),
        ("X-Shopify-Shop-Domain", "One-Shop.myshopify.com"),
        ("X-Shopify-Webhook-Id", "b54557e4"),
        ("X-Shopify-Triggered-At", "2026-03-01T09:00:00.5Z"),
    ])
}

fn order() -> Value {
    json!({
        "id": 5_678_901_234_567_i64, "name": "#1001", "email": "guest@example.com", "total_price": "199.00",
        "currency": "EUR", "financial_status": "partially_refunded", "updated_at": "2026-03-01T10:00:00+01:00",
        "customer": {"id": 544_365_967, "email": "ama@example.com", "first_name": "Ama", "last_name": "Serwaa"},
    })
}

#[test]
fn a_signature_is_over_the_bytes_and_nothing_else() {
    // The well-known vector of HMAC-SHA256.
    let (bytes, right) =
        (&b"The quick brown fox jumps over the lazy dog"[..], "97yD9DBThCSxMpjmqm+xQ+9NWaFJRhdZl0edvC0aPNg=");
    let (key, other) = (SecretString::from("key"), SecretString::from("other"));
    let is_signed = |secrets: &[SecretString], shown: &[&str]| {
        let shown: Vec<_> = shown.iter().map(|shown| ("x-shopify-hmac-sha256", *shown)).collect();
        Secrets(secrets.to_vec()).have_signed(&headers(&shown), bytes)
    };
    assert!(is_signed(std::slice::from_ref(&key), &[right]));
    assert!(is_signed(&[other.clone(), key.clone()], &[right]), "a secret that is being changed");
    assert!(!is_signed(&[other], &[right]) && !is_signed(&[], &[right]));
    for wrong in ["", "!", &right[1..], &right.to_lowercase(), "AAAA"] {
        assert!(!is_signed(std::slice::from_ref(&key), &[wrong]), "{wrong}");
    }
    assert!(!is_signed(std::slice::from_ref(&key), &[]) && !is_signed(std::slice::from_ref(&key), &[right, right]));
    let secrets = Secrets(vec![key]);
    assert!(!secrets.have_signed(&headers(&[("x-shopify-hmac-sha256", right)]), &bytes[1..]));
    assert!(!format!("{secrets:?}").contains("key"));
}

#[test]
fn an_order_is_read() {
    for topic in ["orders/paid", "orders/updated", "orders/cancelled"] {
        let notice = read(&of(topic), order().to_string().as_bytes()).unwrap().unwrap();
        assert_eq!((notice.event.as_str(), notice.tenant_or_shop.as_str()), (topic, "one-shop"));
        assert_eq!((notice.webhook_id.as_str(), notice.order_id.as_deref()), ("b54557e4", Some("5678901234567")));
        assert_eq!((notice.total.as_deref(), notice.currency.as_deref()), (Some("199.00"), Some("EUR")));
        assert_eq!(notice.financial_state.as_deref(), Some("partially_refunded"));
        assert_eq!(notice.at, Some("2026-03-01T09:00:00Z".parse().unwrap()));
        let customer = notice.customer.unwrap();
        assert_eq!((customer.id.as_deref(), customer.email.as_deref()), (Some("544365967"), Some("ama@example.com")));
    }
}

#[test]
fn a_refund_has_an_id_of_its_own() {
    let refund = json!({"id": 509_562_969, "order_id": 450_789_469, "transactions": []});
    let notice = read(&of("refunds/create"), refund.to_string().as_bytes()).unwrap().unwrap();
    assert_eq!((notice.refund_id.as_deref(), notice.order_id.as_deref()), (Some("509562969"), Some("450789469")));
    assert_eq!(read(&of("orders/paid"), order().to_string().as_bytes()).unwrap().unwrap().refund_id, None);
}

#[test]
fn an_order_of_nobody_has_an_address_at_most() {
    let mut order = order();
    order["customer"] = json!(null);
    order["updated_at"] = json!(null);
    order["total_price"] = json!(199.0);
    let notice = read(&of("orders/paid"), order.to_string().as_bytes()).unwrap().unwrap();
    assert_eq!(notice.at, Some("2026-03-01T09:00:00.5Z".parse().unwrap()), "when it was triggered");
    assert_eq!(notice.total, None, "a float is no money");
    let customer = notice.customer.unwrap();
    assert_eq!((customer.id, customer.email.as_deref()), (None, Some("guest@example.com")));
    order["email"] = json!("");
    assert_eq!(read(&of("orders/paid"), order.to_string().as_bytes()).unwrap().unwrap().customer, None);
}

#[test]
fn a_refund_is_what_was_paid_back() {
    let one = |amount: &str, kind: &str, status: &str| json!({"amount": amount, "kind": kind, "status": status, "currency": "EUR"});
    let total = |transactions: &[Value]| {
        let refund = json!({"id": 1, "order_id": 450_789_469, "created_at": "2026-03-02T10:00:00Z", "transactions": transactions});
        let notice = read(&of("refunds/create"), refund.to_string().as_bytes()).unwrap().unwrap();
        assert_eq!((notice.order_id.as_deref(), notice.customer), (Some("450789469"), None));
        notice.total
    };
    let paid = |amount: &str| one(amount, "refund", "success");
    assert_eq!(total(&[paid("0.10"), paid("0.20")]).as_deref(), Some("0.30"));
    assert_eq!(
        total(&[paid("12.5"), paid("1"), one("9", "refund", "failure"), one("9", "void", "success")]).as_deref(),
        Some("13.50")
    );
    assert_eq!(total(&[paid("1.2345")]).as_deref(), Some("1.2345"));
    assert_eq!(total(&[]), None);
    assert_eq!(total(&[paid("1"), paid("a lot")]), None, "not less than was paid back");
}

#[test]
fn a_decimal_is_exact() {
    for (text, exact) in [
        ("0", Some(0)),
        ("12.3", Some(123_000)),
        ("-0.05", Some(-500)),
        ("199.00", Some(1_990_000)),
        ("", None),
        ("-", None),
        ("1.", Some(10_000)),
        (".5", None),
        ("1e3", None),
        ("1.23456", None),
        ("1234567890123", None),
        ("1,000.00", None),
    ] {
        assert_eq!(hundredths_of_cents(text), exact, "{text:?}");
    }
    assert_eq!((decimal(-500).as_str(), decimal(123_456).as_str(), decimal(0).as_str()), ("-0.05", "12.3456", "0.00"));
}

#[test]
fn a_shop_is_named_by_its_name_or_its_address() {
    for (text, name) in [
        ("one-shop", Some("one-shop")),
        (" One-Shop.MyShopify.com ", Some("one-shop")),
        ("one-shop.example.com", None),
        ("evil.example.com/#", None),
        ("one/../two", None),
        ("-one", None),
        (".myshopify.com", None),
        ("", None),
    ] {
        assert_eq!(shop(text).as_deref(), name, "{text:?}");
    }
}

#[test]
fn what_cannot_be_read_says_what_is_missing_and_other_topics_are_nothing() {
    let body = order().to_string();
    assert_eq!(read(&of("customers/update"), body.as_bytes()), Ok(None));
    for missing in ["x-shopify-topic", "x-shopify-shop-domain", "x-shopify-webhook-id"] {
        let mut headers = of("orders/paid");
        headers.remove(missing);
        assert_eq!(read(&headers, body.as_bytes()), Err(Unreadable::Missing(missing)));
    }
    assert_eq!(read(&of("orders/paid"), b"<html>"), Err(Unreadable::Body));
    assert_eq!(read(&of("orders/paid"), b"{}"), Err(Unreadable::Missing("id")));
    assert_eq!(read(&of("refunds/create"), b"{}"), Err(Unreadable::Missing("order_id")));
}
