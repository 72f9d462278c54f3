//! What becomes of an accepted message, told by webhook: in time, late, twice, out of order or never.
//!
//! Meta's are signed over the raw bytes, in which everything that is not ASCII is escaped, as Meta does. Infobip's carry
//! no signature. Each is sent once a report, whatever is answered.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::state::{Accepted, State};
use crate::sandbox::server::hmac_hex;

/// One webhook that follows an accepted message.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// `sent`, `delivered`, `read` or `failed`.
    pub status: String,
    /// How long after the message, in milliseconds.
    #[serde(default)]
    pub after_ms: u64,
    /// How often it is sent.
    #[serde(default = "one")]
    pub times: u32,
    /// Why it failed: Meta's code.
    #[serde(default)]
    pub code: Option<i64>,
}

fn one() -> u32 {
    1
}

impl Report {
    /// What usually follows.
    pub(super) fn usual() -> Vec<Self> {
        let report = |status: &str| Self { status: status.to_owned(), after_ms: 0, times: 1, code: None };
        ["sent", "delivered", "read"].map(report).to_vec()
    }
}

/// Sends Meta's reports of a message.
pub(super) fn meta(state: &Arc<State>, accepted: &Accepted) {
    let Some(url) = state.args.webhook.clone() else { return };
    let mut reports = state.reports();
    // Meta accepts a text after the window has closed, and says only later that it failed.
    if accepted.content.0 == "text" && state.is_window_closed(&accepted.phone) && !reports.is_empty() {
        reports = vec![Report { status: "failed".to_owned(), after_ms: 0, times: 1, code: Some(131_047) }];
    }
    let (state, accepted) = (Arc::clone(state), accepted.clone());
    follow(reports, move |report| {
        let body = envelope(&state, &json!({"statuses": [meta_status(&accepted, report)]}));
        (Arc::clone(&state), url.clone(), body, true)
    });
}

/// Sends Infobip's reports of a message.
pub(super) fn infobip(state: &Arc<State>, accepted: &Accepted, notify_url: Option<String>) {
    let Some(url) = notify_url.or_else(|| state.args.infobip_webhook.clone()) else { return };
    let (state, accepted) = (Arc::clone(state), accepted.clone());
    follow(state.reports(), move |report| {
        let body = json!({"results": [infobip_result(&accepted, report)]});
        (Arc::clone(&state), url.clone(), body, false)
    });
}

/// Tells by Meta's webhook that a customer has written.
pub(super) async fn inbound(state: &Arc<State>, phone: &str, text: &str, at: Timestamp) {
    let Some(url) = &state.args.webhook else { return };
    let message = json!({
        "from": phone, "id": format!("wamid.{}", uuid::Uuid::now_v7().simple()),
        "timestamp": at.as_second().to_string(), "type": "text", "text": {"body": text},
    });
    let contacts = json!([{"profile": {"name": "Customer"}, "wa_id": phone}]);
    let body = envelope(state, &json!({"contacts": contacts, "messages": [message]}));
    post(state, url, &body, true).await;
}

/// Sends one webhook after another, each in its time; those of the same time keep their order.
fn follow<F>(mut reports: Vec<Report>, made: F)
where
    F: Fn(&Report) -> (Arc<State>, String, Value, bool) + Send + Sync + 'static,
{
    reports.sort_by_key(|report| report.after_ms);
    tokio::spawn(async move {
        let mut waited = 0;
        for report in reports {
            tokio::time::sleep(Duration::from_millis(report.after_ms - waited)).await;
            waited = report.after_ms;
            let (state, url, body, is_signed) = made(&report);
            for _ in 0..report.times {
                post(&state, &url, &body, is_signed).await;
            }
        }
    });
}

async fn post(state: &State, url: &str, body: &Value, is_signed: bool) {
    let body = ascii(&body.to_string());
    let mut request = state.webhooks.post(url).header("content-type", "application/json");
    if is_signed {
        request = request
            .header("x-hub-signature-256", format!("sha256={}", hmac_hex(&state.args.app_secret, body.as_bytes())));
    }
    // Whether it arrives is for the receiver's tests to see.
    let _ = request.timeout(Duration::from_secs(10)).body(body).send().await;
}

/// JSON in ASCII: everything else as `\uXXXX`.
fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            text.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
    }
    text
}

fn envelope(state: &State, part: &Value) -> Value {
    let mut value = json!({
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550783881", "phone_number_id": state.args.phone_number_id},
    });
    if let (Some(value), Some(part)) = (value.as_object_mut(), part.as_object()) {
        value.extend(part.clone());
    }
    let changes = json!([{"field": "messages", "value": value}]);
    json!({"object": "whatsapp_business_account", "entry": [{"id": "102290129340398", "changes": changes}]})
}

fn meta_status(accepted: &Accepted, report: &Report) -> Value {
    let mut status = json!({
        "id": accepted.message_id, "status": report.status, "timestamp": Timestamp::now().as_second().to_string(),
        "recipient_id": accepted.phone,
    });
    if let Some(reference) = &accepted.reference {
        status["biz_opaque_callback_data"] = json!(reference);
    }
    if report.status == "failed" {
        let code = report.code.unwrap_or(131_026);
        status["errors"] = json!([{
            "code": code, "title": "Message failed", "message": "Message failed",
            "error_data": {"details": "Scripted by the sandbox"},
        }]);
    }
    status
}

fn infobip_result(accepted: &Accepted, report: &Report) -> Value {
    let now = Timestamp::now().to_string();
    let mut result = json!({
        "messageId": accepted.message_id, "to": accepted.phone, "sentAt": now, "callbackData": accepted.reference,
    });
    let (group, name, error) = match report.status.as_str() {
        "failed" => ("UNDELIVERABLE", "UNDELIVERABLE_NOT_DELIVERED", "EC_DELIVERY_FAILED"),
        "sent" => ("PENDING", "PENDING_ENROUTE", "NO_ERROR"),
        _ => ("DELIVERED", "DELIVERED_TO_HANDSET", "NO_ERROR"),
    };
    if report.status == "read" {
        result["seenAt"] = json!(now);
        return result;
    }
    result["doneAt"] = json!(now);
    result["status"] = json!({"groupName": group, "name": name});
    result["error"] = json!({"name": error, "permanent": group == "UNDELIVERABLE"});
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_ascii() {
        let body = json!({"text": "é🙂"});
        let text = ascii(&body.to_string());
        assert_eq!(text, r#"{"text":"\u00e9\ud83d\ude42"}"#);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), body);
    }
}
