//! The fakes' webhooks, which the receiver's tests rely on: signed, late, twice, out of order or never.

use std::sync::{Arc, Mutex};

use hmac::{Hmac, KeyInit as _, Mac as _};
use rowcall::sandbox::whatsapp::{Fake, Report, WhatsAppArgs};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{Infobip, Meta, plain, settings};
use crate::process::eventually;
use rowcall::integrations::Integration as _;
use rowcall::integrations::whatsapp::{ProviderName, WhatsApp};

/// What came in: the signature, and the raw body.
type Inbox = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

async fn receiver() -> (String, Inbox) {
    let inbox = Inbox::default();
    let kept = Arc::clone(&inbox);
    let take = move |headers: axum::http::HeaderMap, body: axum::body::Bytes| async move {
        let signature = headers.get("x-hub-signature-256").map(|value| value.to_str().unwrap().to_owned());
        kept.lock().unwrap().push((signature.unwrap_or_default(), body.to_vec()));
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let router = axum::Router::new().route("/hook", axum::routing::post(take));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (url, inbox)
}

/// Sends one reply, and waits for so many webhooks.
async fn hear(provider: ProviderName, reports: Vec<Report>, count: usize) -> (Fake, Vec<(String, Value)>) {
    let (url, inbox) = receiver().await;
    let dir = tempfile::tempdir().unwrap();
    let mut args = WhatsAppArgs::new(dir.path().to_owned());
    args.webhook = Some(url.clone());
    args.infobip_webhook = Some(url);
    let fake = Fake::start(args).await.unwrap();
    fake.reports(reports);
    WhatsApp::new(settings(provider, &fake.address()))
        .execute(&plain(), &super::limits(std::time::Duration::from_secs(20)))
        .await;
    let heard = eventually("webhooks", || {
        let inbox = inbox.lock().unwrap();
        (inbox.len() >= count).then(|| inbox.clone())
    })
    .await;
    for (signature, body) in heard.iter().filter(|(signature, _)| !signature.is_empty()) {
        let mut mac = Hmac::<Sha256>::new_from_slice(b"sandbox-app-secret").unwrap();
        mac.update(body);
        let hex = signature.strip_prefix("sha256=").unwrap();
        let bytes: Vec<u8> =
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
        mac.verify_slice(&bytes).unwrap();
    }
    let heard =
        heard.into_iter().map(|(signature, body)| (signature, serde_json::from_slice(&body).unwrap())).collect();
    (fake, heard)
}

fn report(status: &str, after_ms: u64, times: u32) -> Report {
    Report { status: status.to_owned(), after_ms, times, code: None }
}

#[tokio::test]
async fn metas_statuses_are_signed_and_come_as_scripted() {
    let script = vec![report("sent", 60, 1), report("read", 0, 2)];
    let (fake, heard) = hear(Meta, script, 3).await;
    let status = |body: &Value| body["entry"][0]["changes"][0]["value"]["statuses"][0].clone();
    let statuses: Vec<Value> = heard.iter().map(|(_, body)| status(body)["status"].clone()).collect();
    assert_eq!(statuses, [json!("read"), json!("read"), json!("sent")]);
    assert!(heard.iter().all(|(signature, _)| signature.starts_with("sha256=")));
    let first = status(&heard[0].1);
    assert_eq!(first["biz_opaque_callback_data"], "actions:17:2");
    assert_eq!(first["id"], fake.log()[0]["message_id"]);
}

#[tokio::test]
async fn infobips_reports_carry_the_reference() {
    let (fake, heard) = hear(Infobip, vec![report("delivered", 0, 1), report("failed", 0, 1)], 2).await;
    let results: Vec<&Value> = heard.iter().map(|(_, body)| &body["results"][0]).collect();
    assert_eq!(results[0]["callbackData"], "actions:17:2");
    assert_eq!(results[0]["messageId"], fake.log()[0]["message_id"]);
    let groups: Vec<&Value> = results.iter().map(|result| &result["status"]["groupName"]).collect();
    assert_eq!(groups, [&json!("DELIVERED"), &json!("UNDELIVERABLE")]);
}
