//! Webhooks: what proves itself is told to the database, once a call and in order; nothing else is.

use std::time::Duration;

use reqwest::RequestBuilder;
use ring::hmac;
use rowcall::http::webhooks::Secrets;
use rowcall::http::{Limits, Settings};
use serde_json::{Value, json};

use crate::scratch::Scratch;
use crate::web::{APP_SECRET, INFOBIP_SECRET, STAND_INS, VERIFY_TOKEN, Web, heard, locked, raw, refused};

async fn ready() -> (Scratch, Web) {
    let scratch = Scratch::migrated().await;
    scratch.sql(STAND_INS).await;
    let web = Web::start(&scratch, locked()).await;
    (scratch, web)
}

pub(crate) fn signature(body: &[u8], secret: &str) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), body);
    tag.as_ref().iter().fold("sha256=".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

fn meta(web: &Web, body: impl Into<String>, signature: &str) -> RequestBuilder {
    web.post("/webhooks/whatsapp").header("x-hub-signature-256", signature).body(body.into())
}

fn signed(web: &Web, body: &Value) -> RequestBuilder {
    meta(web, body.to_string(), &signature(body.to_string().as_bytes(), APP_SECRET))
}

async fn status(request: RequestBuilder) -> u16 {
    request.send().await.unwrap().status().as_u16()
}

fn envelope(value: &Value) -> Value {
    json!({ "object": "whatsapp_business_account", "entry": [{ "id": "1", "changes": [{ "field": "messages", "value": value }] }] })
}

fn sent(id: &str) -> Value {
    json!({ "id": id, "status": "sent", "timestamp": "1750263773", "biz_opaque_callback_data": "actions:7:1" })
}

#[tokio::test]
async fn meta_hears_its_challenge_back_when_it_knows_the_token() {
    let (_scratch, web) = ready().await;
    let ask = |mode: &str, token: &str| {
        web.get(&format!("/webhooks/whatsapp?hub.mode={mode}&hub.challenge=1158201444&hub.verify_token={token}"))
    };
    let answer = ask("subscribe", VERIFY_TOKEN).send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (200, &"text/plain; charset=utf-8".parse().unwrap())
    );
    assert_eq!(answer.text().await.unwrap(), "1158201444");
    assert_eq!(refused(ask("subscribe", "wrong")).await, (403, "wrong_verify_token".to_owned()));
    assert_eq!(refused(ask("subscribe", "")).await.0, 403);
    assert_eq!(refused(ask("unsubscribe", VERIFY_TOKEN)).await.0, 403);
    assert_eq!(refused(web.get("/webhooks/whatsapp")).await.0, 403);
}

#[tokio::test]
async fn what_is_told_of_another_number_of_the_account_is_not_ours() {
    let (scratch, web) = ready().await;
    for (number, count) in [("another", 0), ("106540352242922", 1)] {
        let value = json!({ "metadata": { "phone_number_id": number }, "statuses": [sent("wamid.A")] });
        assert_eq!(status(signed(&web, &envelope(&value))).await, 200);
        let heard = scratch.client().await.query_one("select count(*) from public.heard", &[]).await.unwrap();
        assert_eq!(heard.get::<_, i64>(0), count, "{number}");
    }
}

#[tokio::test]
async fn statuses_and_messages_are_told_in_their_order() {
    let (scratch, web) = ready().await;
    let body = envelope(&json!({
        "contacts": [{ "profile": { "name": "Dana" }, "wa_id": "16505551234" }],
        "messages": [{ "from": "16505551234", "id": "wamid.IN", "timestamp": "1750263700", "type": "text", "text": { "body": "hello" } }],
        "statuses": [sent("wamid.A"), { "id": "wamid.B", "status": "failed", "timestamp": "1750263774", "errors": [{ "code": 131_047 }] }]
    }));
    assert_eq!(status(signed(&web, &body)).await, 200);
    let told = [
        "meta 16505551234 wamid.IN 1750263700 text hello Dana",
        "meta actions:7:1 wamid.A sent 1750263773",
        "meta wamid.B failed 131047 1750263774",
    ];
    assert_eq!(heard(&scratch).await, told);
    assert_eq!(status(signed(&web, &body)).await, 200, "a replay is answered, and told again: the function knows it");
    assert_eq!(heard(&scratch).await, [told, told].concat());
}

#[tokio::test]
async fn a_wrong_signature_changes_nothing() {
    let (scratch, web) = ready().await;
    let body = envelope(&json!({ "statuses": [sent("wamid.A")] })).to_string();
    let right = signature(body.as_bytes(), APP_SECRET);
    let mut other = right.clone();
    let last = if other.pop() == Some('0') { '1' } else { '0' };
    other.push(last);
    for wrong in [
        "",
        "sha256=",
        &right[7..],
        &other,
        &signature(body.as_bytes(), "another secret"),
        &right.replace("sha256", "sha1"),
    ] {
        let answer = meta(&web, &*body, wrong).send().await.unwrap();
        assert!(answer.headers().contains_key("www-authenticate"));
        assert_eq!(answer.status().as_u16(), 401, "{wrong}");
    }
    let unsigned = web.post("/webhooks/whatsapp").body(body.clone());
    assert_eq!(refused(unsigned).await, (401, "unauthenticated".to_owned()));
    assert_eq!(refused(meta(&web, "no JSON", "")).await.0, 401, "nothing is read before it proves itself");
    assert!(heard(&scratch).await.is_empty());
    assert_eq!(status(meta(&web, body, &right)).await, 200);
}

#[tokio::test]
async fn the_signature_is_over_the_bytes_as_they_came() {
    let (scratch, web) = ready().await;
    // As Meta writes it: spaces, an order of its own, escapes for what is not ASCII.
    let raw = "{ \"entry\": [{\"changes\": [{\"value\": {\"messages\": [{\"type\": \"text\", \"text\": {\"body\": \"\\u05e9\\u05dc\\u05d5\\u05dd\"}, \
               \"id\": \"wamid.IN\", \"from\": \"16505551234\", \"timestamp\": \"1\"}]}, \"field\": \"messages\"}]}] }";
    let signature = signature(raw.as_bytes(), APP_SECRET);
    let written_again = serde_json::from_str::<Value>(raw).unwrap().to_string();
    assert_eq!(status(meta(&web, written_again, &signature)).await, 401);
    assert!(heard(&scratch).await.is_empty());
    assert_eq!(status(meta(&web, raw, &signature)).await, 200);
    assert_eq!(heard(&scratch).await, ["meta 16505551234 wamid.IN 1 text שלום"]);
}

#[tokio::test]
async fn one_event_that_cannot_be_taken_holds_up_none_of_a_batch() {
    let (scratch, web) = ready().await;
    let mut statuses: Vec<Value> = (0..250).map(|n| sent(&format!("wamid.{n}"))).collect();
    statuses.insert(120, sent("poison"));
    assert_eq!(status(signed(&web, &envelope(&json!({ "statuses": statuses })))).await, 200);
    let told: Vec<String> = (0..250).map(|n| format!("meta actions:7:1 wamid.{n} sent 1750263773")).collect();
    assert_eq!(heard(&scratch).await, told);
}

#[tokio::test]
async fn an_event_that_the_database_may_take_later_is_not_left_out() {
    let (_scratch, web) = ready().await;
    let body = envelope(&json!({ "statuses": [sent("wamid.A"), sent("forbidden")] }));
    assert_eq!(
        refused(signed(&web, &body)).await,
        (500, "internal".to_owned()),
        "a grant is missing, which somebody mends"
    );
}

#[tokio::test]
async fn what_is_not_known_is_answered_and_ignored() {
    let (scratch, web) = ready().await;
    for body in
        [json!({}), json!([]), envelope(&json!({ "statuses": [{ "id": "x", "status": "warmed" }], "errors": [1] }))]
    {
        assert_eq!(status(signed(&web, &body)).await, 200, "{body}");
    }
    let broken = meta(&web, "{", &signature(b"{", APP_SECRET));
    assert_eq!(refused(broken).await, (400, "invalid_json".to_owned()));
    assert!(heard(&scratch).await.is_empty());
}

#[tokio::test]
async fn while_the_database_cannot_take_it_the_provider_is_asked_to_repeat() {
    let (scratch, web) = ready().await;
    let body = envelope(&json!({ "statuses": [sent("wamid.A")] }));
    scratch.sql("alter function rowcall.whatsapp_status rename to elsewhere").await;
    assert_eq!(refused(signed(&web, &body)).await, (503, "not_migrated".to_owned()));
    scratch.sql("alter function rowcall.elsewhere rename to whatsapp_status").await;
    scratch.shut().await;
    let answer = signed(&web, &body).send().await.unwrap();
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(answer.status().as_u16(), 503);
    scratch.reopen().await;
    assert!(heard(&scratch).await.is_empty());
    assert_eq!(status(signed(&web, &body)).await, 200);
    assert_eq!(heard(&scratch).await.len(), 1);
}

#[tokio::test]
async fn without_its_secret_a_webhook_takes_nothing() {
    let scratch = Scratch::migrated().await;
    scratch.sql(STAND_INS).await;
    let web = Web::start(&scratch, Settings { webhooks: Secrets::default(), ..locked() }).await;
    let body = envelope(&json!({ "statuses": [sent("wamid.A")] })).to_string();
    let not_configured = (503, "not_configured".to_owned());
    assert_eq!(refused(meta(&web, &*body, &signature(body.as_bytes(), ""))).await, not_configured);
    assert_eq!(refused(web.get("/webhooks/whatsapp?hub.mode=subscribe&hub.verify_token=")).await, not_configured);
    let infobip = web.post("/webhooks/infobip").basic_auth("", Some("")).body(body);
    assert_eq!(refused(infobip).await, not_configured);
    assert!(heard(&scratch).await.is_empty());
}

/// A signed envelope of one status, of about so many bytes.
fn padded(web: &Web, bytes: usize) -> RequestBuilder {
    signed(web, &envelope(&json!({ "statuses": [sent("wamid.A")], "padding": "x".repeat(bytes) })))
}

#[tokio::test]
async fn a_body_may_be_as_large_as_meta_sends_it() {
    let (scratch, web) = ready().await;
    assert_eq!(status(padded(&web, 3_000_000)).await, 200);
    assert_eq!(heard(&scratch).await.len(), 1);
    assert_eq!(refused(padded(&web, 4 << 20)).await, (413, "large_body".to_owned()));
    let infobip = web.post("/webhooks/infobip").bearer_auth(INFOBIP_SECRET);
    assert_eq!(status(infobip.body(format!("{{}}{}", " ".repeat(3_000_000)))).await, 200);
}

#[tokio::test]
async fn few_bodies_that_are_not_small_are_read_at_a_time() {
    let scratch = Scratch::migrated().await;
    scratch.sql(STAND_INS).await;
    let with = async |large_webhooks_max: usize| {
        let limits = Limits { large_webhooks_max, body: Duration::from_secs(3), ..Limits::default() };
        Web::start(&scratch, Settings { limits, ..locked() }).await
    };
    let web = with(1).await;
    for _ in 0..3 {
        assert_eq!(status(padded(&web, 1_000_000)).await, 200, "a place is given back");
    }
    // As if all places were taken.
    let web = with(0).await;
    let answer = padded(&web, 1_000_000).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (503, "5"));
    let unknown = format!(
        "POST /webhooks/whatsapp HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-hub-signature-256: {}\r\n\
         transfer-encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n",
        signature(b"{}", APP_SECRET)
    );
    let answer = raw(web.address, unknown.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\"busy\""), "{answer}");
    assert_eq!(status(padded(&web, 60_000)).await, 200, "the small ones of every day are in nobody's way");
    assert_eq!(heard(&scratch).await.len(), 4);
}

#[tokio::test]
async fn no_body_is_waited_for_whose_sender_shows_nothing() {
    let (_scratch, web) = ready().await;
    let malformed = format!("x-hub-signature-256: sha256={}\r\n", "0".repeat(62));
    for (path, shown) in [
        ("infobip", ""),
        ("infobip", "authorization: Bearer wrong\r\n"),
        ("whatsapp", ""),
        ("whatsapp", malformed.as_str()),
    ] {
        let head = format!(
            "POST /webhooks/{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{shown}content-length: 1000\r\n\r\n"
        );
        let answer = raw(web.address, head.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{path} {shown} {answer}");
    }
}

#[tokio::test]
async fn infobip_is_known_by_its_secret() {
    let (scratch, web) = ready().await;
    let report = json!({ "results": [{ "messageId": "m1", "doneAt": "2026-11-20T12:00:00.000+0000", "callbackData": "actions:7:1",
        "status": { "groupName": "DELIVERED" } }] });
    let inbound = json!({ "results": [{ "messageId": "m2", "from": "385919998888", "receivedAt": "2026-11-20T12:00:00Z",
        "message": { "type": "TEXT", "text": "hello" }, "contact": { "name": "Frank" } }] });
    let post = |body: &Value| web.post("/webhooks/infobip").body(body.to_string());
    for wrong in [
        post(&report),
        post(&report).basic_auth("infobip", Some("wrong")),
        post(&report).bearer_auth(""),
        post(&report).header("x-rowcall-token", "wrong"),
        post(&report).header("x-hub-signature-256", signature(report.to_string().as_bytes(), APP_SECRET)),
    ] {
        assert_eq!(refused(wrong).await, (401, "unauthenticated".to_owned()));
    }
    assert!(heard(&scratch).await.is_empty());
    assert_eq!(status(post(&report).basic_auth("infobip", Some(INFOBIP_SECRET))).await, 200);
    assert_eq!(status(post(&inbound).header("x-rowcall-token", INFOBIP_SECRET)).await, 200);
    assert_eq!(status(post(&report).bearer_auth(INFOBIP_SECRET)).await, 200);
    let told = [
        "infobip actions:7:1 m1 delivered 1795176000",
        "infobip 385919998888 m2 1795176000 text hello Frank",
        "infobip actions:7:1 m1 delivered 1795176000",
    ];
    assert_eq!(heard(&scratch).await, told);
}
