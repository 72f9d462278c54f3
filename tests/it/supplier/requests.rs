//! What a profile can say of a request beside what the shipped ones do: every way to show a key, to sign, to write a body.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, Uri};
use hmac::{Hmac, KeyInit as _, Mac as _};
use rowcall::failure::Fault;
use rowcall::integrations::Integration as _;
use rowcall::integrations::supplier::profile::Profile;
use rowcall::integrations::supplier::{Settings, Supplier};
use rowcall::outcome::{Outcome, Verdict};
use serde_json::{Value, json};
use sha2::Sha512;

use super::{LONG, ORDER, ago, assert_fault, job, limits, purchase, settings};

/// A request as it came over the wire.
#[derive(Debug, Clone)]
struct Came {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Came {
    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    fn form(&self) -> HashMap<String, String> {
        url::form_urlencoded::parse(&self.body).into_owned().collect()
    }
}

/// A supplier that takes everything, and what came to it.
async fn taking() -> (String, Arc<Mutex<Vec<Came>>>) {
    let came = Arc::<Mutex<Vec<Came>>>::default();
    let kept = Arc::clone(&came);
    let take = move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| async move {
        kept.lock().unwrap().push(Came { method, uri, headers, body });
        json!({"ok": true, "id": "TX 1/../2?x", "state": "delivered"}).to_string()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/api/v1/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(take)).await.unwrap() });
    (address, came)
}

async fn bought(profile: &str, change: impl FnOnce(&mut Settings)) -> (Outcome, Came) {
    let (address, came) = taking().await;
    let mut settings = settings(Profile::parse(profile).unwrap(), "http://127.0.0.1:1");
    settings.base_url = Some(address.try_into().unwrap());
    change(&mut settings);
    let outcome = Supplier::new(settings).execute(&purchase(), &limits(LONG)).await;
    let came = came.lock().unwrap()[0].clone();
    (outcome, came)
}

const REST: &str = r#"
    name = "mine"
    msisdn_format = "233XXXXXXXXX"
    networks = { AT-iShare = 3 }
    packages = { 1GB = 17 }
    response = { success = [{ pointer = "/ok" }], success_means = "delivered", provider_reference = ["/id"] }
"#;

#[tokio::test]
async fn keys_are_shown_in_every_way() {
    let profile = format!(
        r#"{REST}
        auth = [
            {{ in = "query", name = "key", value = "${{secret.api_key}}" }},
            {{ in = "body", name = "agent_api", value = "${{secret.api_secret}}" }},
            {{ in = "basic", username = "shop", password = "${{secret.api_key}}:${{secret.api_secret}}" }},
            {{ in = "header", name = "X-Both", value = "k=${{secret.api_key}}, s=${{secret.api_secret}}" }},
        ]
        purchase = {{ path = "buy?mode=live", encoding = "form", idempotency_header = "Idempotency-Key", fields = {{ to = "${{msisdn}}", plan = "${{package}}", n = "${{network}}", price = "${{amount}}", live = true }} }}
        "#
    );
    let (outcome, came) = bought(&profile, |_| {}).await;
    assert_eq!(outcome.verdict, Verdict::Done, "{outcome:?}");
    assert_eq!((came.method.as_str(), came.uri.path()), ("POST", "/api/v1/buy"));
    assert_eq!(came.uri.query(), Some("mode=live&key=sandbox-supplier-key"));
    // echo -n shop:sandbox-supplier-key:sandbox-supplier-secret | base64
    let basic = "Basic c2hvcDpzYW5kYm94LXN1cHBsaWVyLWtleTpzYW5kYm94LXN1cHBsaWVyLXNlY3JldA==";
    assert_eq!(came.header("authorization"), basic);
    assert_eq!(came.header("x-both"), "k=sandbox-supplier-key, s=sandbox-supplier-secret");
    assert_eq!((came.header("idempotency-key"), came.header("accept")), (ORDER, "application/json"));
    assert_eq!(came.header("content-type"), "application/x-www-form-urlencoded");
    let form = came.form();
    for (name, value) in [("to", "233261234567"), ("plan", "17"), ("n", "3"), ("price", "4.50"), ("live", "true")] {
        assert_eq!(form[name], value, "{name}");
    }
    assert_eq!((form["agent_api"].as_str(), form.len()), ("sandbox-supplier-secret", 6));
}

#[tokio::test]
async fn numbers_stand_in_json_as_the_profile_says() {
    let profile = format!(
        r#"{REST}
        volume = {{ unit = "MB", mb_per_gb = 1024, as = "number" }}
        [purchase]
        path = "/buy"
        [purchase.fields]
        plan = "${{package}}"
        network = "${{network}}"
        pesewas = "${{amount_minor}}"
        text = "${{volume}} MB for ${{amount}}"
        list = [{{ mb = "${{volume}}", to = "${{msisdn}}" }}, 7, false]
        hook = "${{callback_url}}"
        "#
    );
    let expected = |hook: Value| {
        let mut body = json!({
            "plan": 17, "network": 3, "pesewas": 450, "text": "1024 MB for 4.50",
            "list": [{"mb": 1024, "to": "233261234567"}, 7, false],
        });
        if !hook.is_null() {
            body["hook"] = hook;
        }
        body
    };
    let (_, came) = bought(&profile, |_| {}).await;
    assert_eq!(serde_json::from_slice::<Value>(&came.body).unwrap(), expected(Value::Null), "no address is set");
    let hook = "https://app.example.com/webhooks/supplier/mine";
    let (_, came) = bought(&profile, |s| s.callback_url = Some(hook.to_owned().try_into().unwrap())).await;
    assert_eq!(serde_json::from_slice::<Value>(&came.body).unwrap(), expected(json!(hook)));
}

fn sha512(parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha512>::new_from_slice(b"sandbox-supplier-secret").unwrap();
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

#[tokio::test]
async fn requests_are_signed_over_the_body_or_over_fields() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let rest =
        format!(r#"{REST} purchase = {{ path = "/buy", fields = {{ to = "${{msisdn}}", plan = "${{package}}" }} }}"#);
    let over_body =
        r#"signing = { over = "body", alg = "sha512", encode = "base64", prefix = "v1=", header = "X-Sig" }"#;
    let (_, came) = bought(&format!("{rest}\n{over_body}"), |_| {}).await;
    assert_eq!(came.header("x-sig"), format!("v1={}", STANDARD.encode(sha512(&[&came.body]))));
    assert!(!came.headers.contains_key("x-time"));

    let fields = r#"["${msisdn}", "${package}", "end"]"#;
    let over_fields = format!(
        r#"signing = {{ over = "fields", fields = {fields}, separator = "|", alg = "sha512", encode = "base64", header = "X-Sig", ts_header = "X-Time" }}"#
    );
    let (_, came) = bought(&format!("{rest}\n{over_fields}"), |_| {}).await;
    assert_eq!(came.header("x-sig"), STANDARD.encode(sha512(&[b"233261234567|17|end"])));
    assert!(came.header("x-time").parse::<i64>().is_ok());
}

#[tokio::test]
async fn a_suppliers_number_cannot_lead_a_look_up_astray() {
    let profile = format!(
        r#"{REST}
        purchase = {{ path = "/buy", fields = {{ to = "${{msisdn}}", plan = "${{package}}" }} }}
        [look_up]
        state = ["/state"]
        request = {{ method = "GET", path = "/orders/${{provider_reference}}/state?by=${{provider_reference}}" }}
        "#
    );
    let (address, came) = taking().await;
    let mut settings = settings(Profile::parse(&profile).unwrap(), "http://127.0.0.1:1");
    settings.base_url = Some(address.try_into().unwrap());
    let supplier = Supplier::new(settings);
    let look_up = |number: &str| {
        job("look_up", |payload| {
            payload["accepted_at"] = ago(5);
            payload["provider_reference"] = json!(number);
        })
    };
    assert_eq!(supplier.execute(&look_up("TX/../../2?a=b&c#d+%2e"), &limits(LONG)).await.verdict, Verdict::Done);
    let uri = came.lock().unwrap()[0].uri.to_string();
    let number = "TX%2F..%2F..%2F2%3Fa%3Db%26c%23d%2B%252e";
    assert_eq!(uri, format!("/api/v1/orders/{number}/state?by={number}"));
    // What is no number is not asked for.
    for number in ["..", "a b", "", "\u{e9}"] {
        assert_eq!(supplier.execute(&look_up(number), &limits(LONG)).await.verdict, Verdict::Wait, "{number}");
    }
    assert_eq!(came.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_place_that_the_order_cannot_fill_is_named() {
    let profile = format!(
        r#"{REST} purchase = {{ path = "/buy", fields = {{ to = "${{msisdn}}", plan = "${{package}}", price = "${{amount}}" }} }}"#
    );
    let (address, came) = taking().await;
    let mut settings = settings(Profile::parse(&profile).unwrap(), "http://127.0.0.1:1");
    settings.base_url = Some(address.try_into().unwrap());
    let outcome = Supplier::new(settings).execute(&job("purchase", |p| p["amount"] = json!(null)), &limits(LONG)).await;
    assert_fault(&outcome, Fault::Item, "no amount");
    assert!(outcome.error.unwrap().contains("${amount}") && came.lock().unwrap().is_empty());
}
