//! `/webhooks/whatsapp`: Meta's Cloud API. Statuses and inbound messages come in one envelope, many at a time, in any
//! order, twice, and up to seven days late.
//!
//! The signature is over the bytes as they came (Meta escapes what other writers do not), so it is checked before they are
//! parsed; a call that has none is refused before they are read. What is not known is ignored.

use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::response::IntoResponse;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use utoipa::IntoParams;

use super::{digits, each, not_configured, seconds, text};
use crate::http::App;
use crate::http::body::{Asked, Told, json};
use crate::http::errors::{Refusal, Refused};
use crate::store::whatsapp::{Event, Inbound, Status};

const PROVIDER: &str = "meta";

/// What Meta asks with when the webhook is set up.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Subscribe {
    /// `subscribe`.
    #[serde(rename = "hub.mode", default)]
    mode: String,
    /// `WHATSAPP_VERIFY_TOKEN`.
    #[serde(rename = "hub.verify_token", default)]
    verify_token: String,
    /// What is said back.
    #[serde(rename = "hub.challenge", default)]
    challenge: String,
}

/// Prove to Meta that the webhook is yours
///
/// Who knows the token hears the challenge back.
#[utoipa::path(
    get,
    path = "/webhooks/whatsapp",
    operation_id = "verifyMetaWebhook",
    tag = "webhooks",
    params(Subscribe),
    responses(
        (status = 200, description = "The challenge", body = String, content_type = "text/plain"),
        (status = 403, description = "`hub.verify_token` or `hub.mode` is not right", body = Refused)
    )
)]
pub(super) async fn verify(
    State(app): State<App>,
    Asked(asked): Asked<Subscribe>,
) -> Result<impl IntoResponse, Refusal> {
    let token = app.webhooks.verify_token.as_ref().ok_or_else(|| not_configured("WHATSAPP_VERIFY_TOKEN"))?;
    if !token.is(asked.verify_token.as_bytes()) || asked.mode != "subscribe" {
        return Err(Refusal::forbidden("wrong_verify_token", "hub.verify_token or hub.mode is not right")
            .hint("hub.verify_token must be WHATSAPP_VERIFY_TOKEN"));
    }
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], asked.challenge))
}

/// What a call claims to be signed with.
pub(super) struct Signature(Vec<u8>);

impl FromRequestParts<App> for Signature {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        secret(app)?;
        let header = parts.headers.get("x-hub-signature-256").and_then(|value| value.to_str().ok());
        header.and_then(Self::read).ok_or_else(unsigned)
    }
}

impl Signature {
    fn read(header: &str) -> Option<Self> {
        let signature = header.strip_prefix("sha256=").and_then(hex)?;
        (signature.len() == Sha256::output_size()).then_some(Self(signature))
    }

    fn is_of(&self, secret: &SecretString, bytes: &[u8]) -> bool {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()) else { return false };
        mac.update(bytes);
        mac.verify_slice(&self.0).is_ok()
    }
}

fn secret(app: &App) -> Result<&SecretString, Refusal> {
    app.webhooks.app_secret.as_ref().ok_or_else(|| not_configured("WHATSAPP_APP_SECRET"))
}

fn unsigned() -> Refusal {
    Refusal::unauthenticated("X-Hub-Signature-256 is missing or not right")
        .hint("it must be sha256= and the hex HMAC-SHA256 of the body under WHATSAPP_APP_SECRET")
}

/// Take in statuses and messages of Meta's Cloud API
#[utoipa::path(
    post,
    path = "/webhooks/whatsapp",
    operation_id = "hearMeta",
    tag = "webhooks",
    security(("metaSignature" = [])),
    request_body(description = "As Meta writes it; what is not known is ignored", content = Value),
    responses(
        (status = 200, description = "All of it is written, or will never be"),
        (status = 401, description = "The signature is missing or not right", body = Refused)
    )
)]
pub(super) async fn receive(State(app): State<App>, signature: Signature, told: Told) -> Result<StatusCode, Refusal> {
    if !signature.is_of(secret(&app)?, &told.bytes) {
        return Err(unsigned());
    }
    let ours = app.webhooks.phone_number_id.as_deref();
    app.store.record_whatsapp(&events(&json(&told.bytes)?, ours)).await?;
    Ok(StatusCode::OK)
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let is_hex = text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let byte = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    is_hex.then(|| (0..text.len()).step_by(2).map(byte).collect())?
}

/// Everything known that the envelope holds about our number, in its order. An account may have more of them, each with
/// conversations of its own.
fn events(envelope: &Value, ours: Option<&str>) -> Vec<Event> {
    let changes = each(&envelope["entry"]).flat_map(|entry| each(&entry["changes"]));
    let is_ours = |value: &&Value| match (value["metadata"]["phone_number_id"].as_str(), ours) {
        (Some(told), Some(ours)) => told == ours,
        _ => true,
    };
    let values = changes.filter(|change| change["field"] == "messages").map(|change| &change["value"]).filter(is_ours);
    values
        .flat_map(|value| {
            let inbound = each(&value["messages"]).filter_map(|message| inbound(message, &value["contacts"]));
            inbound.map(Event::Inbound).chain(each(&value["statuses"]).filter_map(status).map(Event::Status))
        })
        .collect()
}

fn status(status: &Value) -> Option<Status> {
    let word = text(&status["status"])?;
    if !matches!(word.as_str(), "sent" | "delivered" | "read" | "played" | "failed") {
        return None;
    }
    let code = &status["errors"][0]["code"];
    Some(Status {
        provider: PROVIDER,
        reference: text(&status["biz_opaque_callback_data"]),
        message_id: text(&status["id"])?,
        status: word,
        error_code: code.as_i64().map(|code| code.to_string()).or_else(|| text(code)),
        at: seconds(&status["timestamp"]),
    })
}

fn inbound(message: &Value, contacts: &Value) -> Option<Inbound> {
    let kind = text(&message["type"])?;
    // What Meta itself says in a chat, such as that a number changed, is not the customer's word.
    if kind == "system" {
        return None;
    }
    let phone = digits(&message["from"])?;
    let contact = each(contacts).find(|contact| digits(&contact["wa_id"]).as_ref() == Some(&phone));
    let interactive = &message["interactive"];
    let words = [
        &message["text"]["body"],
        &message["button"]["text"],
        &interactive["button_reply"]["title"],
        &interactive["list_reply"]["title"],
        &message["reaction"]["emoji"],
        &message[&kind]["caption"],
    ];
    Some(Inbound {
        provider: PROVIDER,
        phone,
        message_id: text(&message["id"])?,
        at: seconds(&message["timestamp"]),
        body: words.into_iter().find_map(text),
        profile_name: contact.and_then(|contact| text(&contact["profile"]["name"])),
        message_type: kind,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn envelope(value: &Value) -> Value {
        json!({ "object": "whatsapp_business_account", "entry": [{ "id": "1", "changes": [{ "field": "messages", "value": value }] }] })
    }

    #[test]
    fn a_failed_status_is_read_with_its_reference_and_code() {
        let value = json!({ "statuses": [{ "id": "wamid.A", "status": "failed", "timestamp": "1750263773",
            "recipient_id": "16505551234", "biz_opaque_callback_data": "actions:7:1",
            "errors": [{ "code": 131_047, "title": "Re-engagement message" }] }] });
        let [Event::Status(status)] = &events(&envelope(&value), None)[..] else { panic!() };
        assert_eq!((status.reference.as_deref(), status.error_code.as_deref()), (Some("actions:7:1"), Some("131047")));
        assert_eq!((status.message_id.as_str(), status.at.unwrap().as_second()), ("wamid.A", 1_750_263_773));
    }

    #[test]
    fn every_kind_of_message_is_inbound_and_only_words_are_a_body() {
        let contacts = json!([{ "profile": { "name": "Dana\u{0}" }, "wa_id": "16505551234" }]);
        for (message, body) in [
            (json!({ "type": "text", "text": { "body": "hello" } }), Some("hello")),
            (json!({ "type": "image", "image": { "id": "1", "caption": "look" } }), Some("look")),
            (json!({ "type": "audio", "audio": { "id": "1" } }), None),
            (json!({ "type": "interactive", "interactive": { "button_reply": { "title": "Yes" } } }), Some("Yes")),
            (json!({ "type": "something new" }), None),
        ] {
            let mut message = message;
            message["from"] = json!("+16505551234");
            message["id"] = json!("wamid.B");
            message["timestamp"] = json!("soon");
            let value = json!({ "contacts": contacts, "messages": [message] });
            let [Event::Inbound(inbound)] = &events(&envelope(&value), None)[..] else { panic!() };
            assert_eq!((inbound.body.as_deref(), inbound.phone.as_str()), (body, "16505551234"));
            assert_eq!((inbound.at, inbound.profile_name.as_deref()), (None, Some("Dana\u{fffd}")));
        }
    }

    #[test]
    fn what_is_not_known_is_ignored_and_holds_up_nothing() {
        let known = json!({ "id": "wamid.C", "status": "sent", "timestamp": 1 });
        let mut all =
            envelope(&json!({ "statuses": [7, { "status": "sent" }, { "id": "x", "status": "warmed" }, known],
            "messages": [null, { "type": "system", "from": "1", "id": "x" }, { "type": "text", "id": "x" }] }));
        let entries = all["entry"].as_array_mut().unwrap();
        entries.push(json!({ "changes": [{ "field": "account_update", "value": { "statuses": [known] } }, 3] }));
        assert_eq!(events(&all, None).len(), 1);
        for odd in [json!(null), json!([]), json!({ "entry": 7 }), json!("entry")] {
            assert!(events(&odd, None).is_empty());
        }
    }

    #[test]
    fn a_signature_is_over_the_bytes_and_nothing_else() {
        let secret = SecretString::from("key");
        // The well-known vector of HMAC-SHA256.
        let (bytes, right) = (
            &b"The quick brown fox jumps over the lazy dog"[..],
            "sha256=f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8",
        );
        let is_signed = |bytes, header: &str| Signature::read(header).is_some_and(|it| it.is_of(&secret, bytes));
        assert!(is_signed(bytes, right));
        assert!(is_signed(bytes, &right.to_uppercase().replace("SHA256", "sha256")));
        assert!(!is_signed(b"the quick brown fox jumps over the lazy dog", right));
        for wrong in ["", "sha256=", &right[7..], &right[..right.len() - 2], "sha256=zz", "sha1=f7bc", "sha256=é"] {
            assert!(!is_signed(bytes, wrong), "{wrong}");
        }
    }
}
