//! Meta's Cloud API: `POST /{version}/{phone number id}/messages`.

use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, Response};
use serde_json::{Value, json};

use super::report;
use super::state::{Accepted, Empty, State};
use crate::sandbox::server::{HangUp, Left, answer};

/// What a refusal is: HTTP status, code, details.
type Refusal = (u16, i64, &'static str);

pub(super) async fn send(
    Shared(state): Shared<Arc<State>>,
    Extension(hang_up): Extension<HangUp>,
    Path((_version, phone_number_id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    state.note_request("meta", &body);
    let phone: String = body["to"].as_str().unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
    let left = match state.take_fault("meta", &phone) {
        Some(fault) => fault.misbehave().await,
        None => Left::Usual,
    };
    let then = match left {
        Left::Nothing(after) => return after.happen(&hang_up).await,
        Left::EffectThen(after) => Some(after),
        Left::Usual => None,
    };
    let checked = authorize(&state, &headers, &phone_number_id).and_then(|()| read(&body, phone));
    let accepted = match checked.and_then(|accepted| admit(&state, accepted)) {
        Ok(accepted) => accepted,
        Err(refusal) => return refused(refusal),
    };
    if state.accept(&accepted).is_err() {
        return answer(500, &json!("The sandbox cannot write its log"), None);
    }
    report::meta(&state, &accepted);
    match then {
        Some(after) => after.happen(&hang_up).await,
        None => answer(
            200,
            &json!({
                "messaging_product": "whatsapp",
                "contacts": [{"input": body["to"], "wa_id": accepted.phone}],
                "messages": [{"id": accepted.message_id}],
            }),
            None,
        ),
    }
}

fn authorize(state: &State, headers: &HeaderMap, phone_number_id: &str) -> Result<(), Refusal> {
    let token = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if token != format!("Bearer {}", state.args.access_token) {
        return Err((401, 190, "Error validating access token"));
    }
    if phone_number_id != state.args.phone_number_id {
        return Err((400, 100, "Unsupported post request. Object with this ID does not exist"));
    }
    Ok(())
}

/// Checks what the real one checks.
fn read(body: &Value, phone: String) -> Result<Accepted, Refusal> {
    let text = |value: &Value| value.as_str().map(str::to_owned).unwrap_or_default();
    if body["messaging_product"] != "whatsapp" {
        return Err((400, 100, "The parameter messaging_product is required."));
    }
    if !(7..=15).contains(&phone.len()) || body["to"].as_str().is_some_and(|to| to.starts_with('0')) {
        return Err((400, 131_009, "Parameter value is not valid: to"));
    }
    let reference = body["biz_opaque_callback_data"].as_str().map(str::to_owned);
    if reference.as_ref().is_some_and(|reference| reference.chars().count() > 512) {
        return Err((400, 131_009, "Parameter value is not valid: biz_opaque_callback_data"));
    }
    let content = match body["type"].as_str() {
        Some("text") => {
            let text = text(&body["text"]["body"]);
            if !(1..=4096).contains(&text.chars().count()) {
                return Err((400, 100, "Param text['body'] must be between 1 and 4096 characters long."));
            }
            ("text", json!(text))
        }
        Some("template") => ("template", template(&body["template"])?),
        _ => return Err((400, 131_008, "Required parameter is missing: type")),
    };
    Ok(Accepted {
        provider: "meta",
        message_id: format!("wamid.{}", uuid::Uuid::now_v7().simple()),
        phone,
        reference,
        content,
    })
}

fn template(template: &Value) -> Result<Value, Refusal> {
    let (Some(name), Some(language)) = (template["name"].as_str(), template["language"]["code"].as_str()) else {
        return Err((400, 131_008, "Required parameter is missing: template"));
    };
    if name.starts_with("absent") {
        return Err((404, 132_001, "Template name does not exist in the translation"));
    }
    let components = template["components"].as_array().cloned().unwrap_or_default();
    let parameters = components.iter().filter(|component| component["type"] == "body");
    let parameters = parameters.flat_map(|component| component["parameters"].as_array().cloned().unwrap_or_default());
    let parameters: Vec<Value> = parameters.map(|parameter| parameter["text"].clone()).collect();
    let is_bad =
        |value: &Value| value.as_str().is_none_or(|text| text.contains(['\n', '\t']) || text.contains("     "));
    if parameters.iter().any(is_bad) {
        return Err((400, 131_009, "Param text cannot have new-line/tab characters or more than 4 consecutive spaces"));
    }
    Ok(json!({"name": name, "language": language, "parameters": parameters}))
}

fn admit(state: &State, accepted: Accepted) -> Result<Accepted, Refusal> {
    match state.take_token("meta", &accepted.phone) {
        Ok(()) => Ok(accepted),
        Err(Empty::Pair) => {
            Err((400, 131_056, "Too many messages sent from this phone number to the same phone number"))
        }
        Err(Empty::Sender) => Err((429, 130_429, "Message failed to send because there were too many messages")),
    }
}

fn refused((status, code, details): Refusal) -> Response<Body> {
    let mut error = json!({
        "message": format!("(#{code}) {details}"), "type": "OAuthException", "code": code,
        "error_data": {"messaging_product": "whatsapp", "details": details}, "fbtrace_id": "Az8or2yhqkZfEZ-_4Qn_Bam",
    });
    if details.starts_with("Unsupported post request") {
        error["error_subcode"] = json!(33);
    }
    answer(status, &json!({"error": error}), None)
}
