//! One webhook as a receiver takes it: checked first, heard once, and answered as the next fault says.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State as Shared;
use axum::http::{HeaderMap, HeaderValue, Method, Response, Uri, header};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use sha2::Sha256;

use super::fault::{Fault, Kind};
use super::state::State;
use crate::sandbox::server::{After, HangUp, answer};

/// How far a webhook's time may be from ours, in seconds.
const TOLERANCE: i64 = 300;

/// What every event has. What stands in `data` is the application's, however deep.
#[derive(Deserialize)]
#[expect(dead_code, reason = "it is only looked at whether they are there")]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    timestamp: String,
    data: BTreeMap<String, Box<RawValue>>,
}

pub(super) async fn receive(
    Shared(state): Shared<Arc<State>>,
    Extension(hang_up): Extension<HangUp>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let checked = if method == Method::POST { check(&state, &headers, &body) } else { Err("it is no POST") };
    state.note_request(&json!({
        "at": Timestamp::now(), "path": uri.path(), "id": text(&headers, "webhook-id"),
        "timestamp": text(&headers, "webhook-timestamp"), "signature": text(&headers, "webhook-signature"),
        "host": text(&headers, "host"), "refused": checked.as_ref().err(), "bytes": body.len(),
    }));
    let fault = state.take_fault(uri.path());
    if fault.as_ref().is_none_or(|fault| fault.kind.is_heard()) {
        let id = match checked {
            Ok(id) => id,
            Err(why) => return answer(401, &json!(why), None),
        };
        if state.hear(uri.path(), &id, &body).is_err() {
            return answer(500, &json!("The sandbox cannot write its log"), None);
        }
    }
    match fault {
        Some(fault) => misbehave(fault, uri.path()).happen(&hang_up).await,
        None => answer(200, &json!({"ok": true}), None),
    }
}

/// The id of a webhook that proves itself; else why it does not.
fn check(state: &State, headers: &HeaderMap, body: &[u8]) -> Result<String, &'static str> {
    let id = text(headers, "webhook-id").filter(|id| !id.is_empty() && !id.contains('.')).ok_or("no webhook-id")?;
    let timestamp = text(headers, "webhook-timestamp").ok_or("no webhook-timestamp")?;
    let seconds: i64 = timestamp.parse().map_err(|_| "webhook-timestamp is no number")?;
    if (Timestamp::now().as_second() - seconds).abs() > TOLERANCE {
        return Err("webhook-timestamp is too far from now");
    }
    let signatures = text(headers, "webhook-signature").ok_or("no webhook-signature")?;
    let signatures = signatures.split(' ').filter_map(|signature| signature.strip_prefix("v1,"));
    let signatures: Vec<Vec<u8>> = signatures.filter_map(|encoded| BASE64_STANDARD.decode(encoded).ok()).collect();
    let is_ours = state.secrets().iter().any(|secret| {
        let key = BASE64_STANDARD.decode(secret.trim_start_matches("whsec_")).unwrap_or_default();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("a key of any length is taken");
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        signatures.iter().any(|signature| mac.clone().verify_slice(signature).is_ok())
    });
    if !is_ours {
        return Err("no signature is by a secret that is known here");
    }
    serde_json::from_slice::<Event>(body).map(|_| id).map_err(|_| "the body is no event with type, timestamp and data")
}

fn misbehave(fault: Fault, path: &str) -> After {
    let retry_after = fault.retry_after.as_deref();
    match fault.kind {
        Kind::Answer { status, body } | Kind::AcceptThenAnswer { status, body } => {
            After::Answer(answer(status, &json!(body), retry_after))
        }
        Kind::Redirect { status, location } => {
            let location = if location.is_empty() { path.to_owned() } else { location };
            let mut answer = answer(status, &json!(""), retry_after);
            if let Ok(location) = HeaderValue::from_str(&location) {
                answer.headers_mut().insert(header::LOCATION, location);
            }
            After::Answer(answer)
        }
        Kind::Hang | Kind::AcceptThenHang => After::Hang,
        Kind::Close | Kind::AcceptThenClose => After::Close,
        Kind::Endless => {
            let words = std::iter::repeat_with(|| Ok::<_, Infallible>(Bytes::from_static(b"and so on ")));
            After::Answer(Response::new(Body::from_stream(futures_util::stream::iter(words))))
        }
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}
