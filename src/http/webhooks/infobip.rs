//! `/webhooks/infobip`: delivery reports, read reports and inbound messages, each as `{"results": […]}`.
//!
//! Infobip signs nothing; it shows a secret, by HTTP Basic (any user), as a bearer token, or in `X-Rowcall-Token`. Nothing
//! of a body is read from whoever does not.

use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use jiff::Timestamp;
use serde_json::Value;

use super::{digits, each, not_configured, text};
use crate::http::App;
use crate::http::auth::Shown;
use crate::http::body::{Told, json};
use crate::http::errors::{Refusal, Refused};
use crate::store::whatsapp::{Event, Inbound, Status};

const PROVIDER: &str = "infobip";

/// The secret was shown.
pub(super) struct Known;

impl FromRequestParts<App> for Known {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        let secret = app.webhooks.infobip.as_ref().ok_or_else(|| not_configured("INFOBIP_WEBHOOK_SECRET"))?;
        let shown = parts.headers.get("x-rowcall-token").map(|token| token.as_bytes().to_vec());
        let shown = shown.or_else(|| Shown::read(&parts.headers).map(|shown| shown.secret().to_vec()));
        if !shown.is_some_and(|shown| secret.is(&shown)) {
            return Err(Refusal::unauthenticated("the secret is missing or not right")
                .hint("show INFOBIP_WEBHOOK_SECRET as the password of HTTP Basic, or in X-Rowcall-Token"));
        }
        Ok(Self)
    }
}

/// Take in reports and messages of Infobip
#[utoipa::path(
    post,
    path = "/webhooks/infobip",
    operation_id = "hearInfobip",
    tag = "webhooks",
    security(("infobipSecret" = []), ("infobipBearer" = []), ("infobipBasic" = [])),
    request_body(description = "`{\"results\": […]}`, as Infobip writes it; what is not known is ignored", content = Value),
    responses(
        (status = 200, description = "All of it is written, or will never be"),
        (status = 401, description = "The secret is missing or not right", body = Refused)
    )
)]
pub(super) async fn receive(State(app): State<App>, _: Known, told: Told) -> Result<StatusCode, Refusal> {
    let body = json(&told.bytes)?;
    let events: Vec<Event> = each(&body["results"]).filter_map(event).collect();
    app.store.record_whatsapp(&events).await?;
    Ok(StatusCode::OK)
}

fn event(result: &Value) -> Option<Event> {
    if result["message"].is_object() { inbound(result).map(Event::Inbound) } else { status(result).map(Event::Status) }
}

/// A report, in Meta's words.
fn status(report: &Value) -> Option<Status> {
    let status = match (&report["seenAt"], report["status"]["groupName"].as_str()) {
        (Value::String(_), _) => "read",
        (_, Some("DELIVERED")) => "delivered",
        (_, Some("PENDING" | "ACCEPTED")) => "sent",
        (_, Some("UNDELIVERABLE" | "EXPIRED" | "REJECTED")) => "failed",
        _ => return None,
    };
    let error = [&report["error"]["name"], &report["status"]["name"]].into_iter().find_map(text);
    Some(Status {
        provider: PROVIDER,
        reference: text(&report["callbackData"]),
        message_id: text(&report["messageId"])?,
        status: status.to_owned(),
        error_code: error.filter(|_| status == "failed"),
        at: [&report["seenAt"], &report["doneAt"], &report["sentAt"]].into_iter().find_map(time),
    })
}

fn inbound(result: &Value) -> Option<Inbound> {
    let message = &result["message"];
    let words = [&message["text"], &message["caption"], &message["title"]];
    Some(Inbound {
        provider: PROVIDER,
        phone: digits(&result["from"])?,
        message_id: text(&result["messageId"])?,
        at: time(&result["receivedAt"]),
        message_type: text(&message["type"]).unwrap_or_else(|| "unknown".to_owned()).to_lowercase(),
        body: words.into_iter().find_map(text),
        profile_name: text(&result["contact"]["name"]),
    })
}

/// ISO 8601; Infobip writes offsets without a colon, `2026-11-20T12:00:00.000+0000`.
fn time(value: &Value) -> Option<Timestamp> {
    let text = value.as_str()?;
    text.parse().ok().or_else(|| Timestamp::strptime("%Y-%m-%dT%H:%M:%S%.f%z", text).ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reports_are_told_in_metas_words() {
        for (report, status, error) in [
            (json!({ "status": { "groupName": "DELIVERED" } }), "delivered", None),
            (json!({ "status": { "groupName": "PENDING", "name": "PENDING_ENROUTE" } }), "sent", None),
            (json!({ "seenAt": "2026-11-20T12:00:00.000+0000" }), "read", None),
            (json!({ "status": { "groupName": "EXPIRED" }, "error": { "name": "EC_X" } }), "failed", Some("EC_X")),
        ] {
            let mut report = report;
            report["messageId"] = json!("m1");
            report["callbackData"] = json!("actions:7:1");
            report["doneAt"] = json!("2026-11-20T12:00:00.000+0000");
            let Some(Event::Status(read)) = event(&report) else { panic!("{report}") };
            assert_eq!((read.status.as_str(), read.error_code.as_deref()), (status, error));
            assert_eq!(read.reference.as_deref(), Some("actions:7:1"));
            assert_eq!(read.at, Some("2026-11-20T12:00:00Z".parse().unwrap()));
        }
        assert_eq!(event(&json!({ "messageId": "m1", "deletedAt": "x" })), None);
    }

    #[test]
    fn an_inbound_message_is_read() {
        let result = json!({ "from": "385919998888", "to": "1", "messageId": "m2", "receivedAt": "2026-11-20T12:00:00Z",
            "message": { "type": "TEXT", "text": "hello" }, "contact": { "name": "Frank" } });
        let Some(Event::Inbound(read)) = event(&result) else { panic!() };
        assert_eq!((read.message_type.as_str(), read.body.as_deref()), ("text", Some("hello")));
        assert_eq!((read.phone.as_str(), read.profile_name.as_deref()), ("385919998888", Some("Frank")));
    }
}
