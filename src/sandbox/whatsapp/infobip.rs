//! Infobip's API: `POST /whatsapp/1/message/text` and `…/template`.

use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, Response};
use serde_json::{Value, json};

use super::report;
use super::state::{Accepted, State};
use crate::sandbox::server::{HangUp, Left, answer};

pub(super) async fn send(
    Shared(state): Shared<Arc<State>>,
    Extension(hang_up): Extension<HangUp>,
    Path(kind): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    state.note_request("infobip", &body);
    let message = if kind == "template" { &body["messages"][0] } else { &body };
    let phone: String = message["to"].as_str().unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
    let left = match state.take_fault("infobip", &phone) {
        Some(fault) => fault.misbehave().await,
        None => Left::Usual,
    };
    let then = match left {
        Left::Nothing(after) => return after.happen(&hang_up).await,
        Left::EffectThen(after) => Some(after),
        Left::Usual => None,
    };
    let key = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if key != format!("App {}", state.args.api_key) {
        return refused(401, "UNAUTHORIZED", "Invalid login details", None);
    }
    let Some(content) = content(&kind, message).filter(|_| (7..=15).contains(&phone.len())) else {
        return refused(400, "BAD_REQUEST", "Bad Request", None);
    };
    if state.take_token("infobip", &phone).is_err() {
        return refused(429, "TOO_MANY_REQUESTS", "Too many requests", Some("1"));
    }
    let text = |name: &str| message[name].as_str().map(str::to_owned);
    let accepted = Accepted {
        provider: "infobip",
        message_id: text("messageId").unwrap_or_else(|| uuid::Uuid::now_v7().to_string()),
        phone,
        reference: text("callbackData"),
        content,
    };
    if state.accept(&accepted).is_err() {
        return answer(500, &json!("The sandbox cannot write its log"), None);
    }
    report::infobip(&state, &accepted, text("notifyUrl"));
    if let Some(after) = then {
        return after.happen(&hang_up).await;
    }
    let taken = json!({
        "to": accepted.phone, "messageCount": 1, "messageId": accepted.message_id,
        "status": {
            "groupId": 1, "groupName": "PENDING", "id": 7, "name": "PENDING_ENROUTE",
            "description": "Message sent to next instance",
        },
    });
    let is_bulk = kind == "template";
    answer(200, &if is_bulk { json!({"messages": [taken], "bulkId": "2034072219640523072"}) } else { taken }, None)
}

fn content(kind: &str, message: &Value) -> Option<(&'static str, Value)> {
    let content = &message["content"];
    message["from"].as_str().filter(|from| !from.is_empty())?;
    match kind {
        "text" => {
            let text = content["text"].as_str().filter(|text| (1..=4096).contains(&text.chars().count()))?;
            Some(("text", json!(text)))
        }
        "template" => {
            let (name, language) = (content["templateName"].as_str()?, content["language"].as_str()?);
            let parameters = content["templateData"]["body"]["placeholders"].as_array()?;
            Some(("template", json!({"name": name, "language": language, "parameters": parameters})))
        }
        _ => None,
    }
}

fn refused(status: u16, name: &str, text: &str, retry_after: Option<&str>) -> Response<Body> {
    let body = json!({"requestError": {"serviceException": {"messageId": name, "text": text}}});
    answer(status, &body, retry_after)
}
