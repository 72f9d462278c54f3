//! Bodies: bounded in size and time, as raw bytes, as a JSON object or as a form.
//!
//! A webhook's body may be large, and is read before it can prove itself. So what is not small takes one of a few places.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use http_body_util::LengthLimitError;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::App;
use super::errors::Refusal;

/// Of this size and smaller, bodies of webhooks on all connections at once do no harm.
const SMALL_WEBHOOK_BYTES_MAX: usize = 64 * 1024;

/// The bytes of a webhook as they came, which is what a signature is over. They keep their place until they are dropped.
pub(super) struct Told {
    pub(super) bytes: Bytes,
    _place: Option<OwnedSemaphorePermit>,
}

/// A JSON object, said to be one.
pub(super) struct Object(pub(super) Map<String, Value>);

/// The same, where there may be nothing to say: no body is an empty object.
pub(super) struct Given(pub(super) Map<String, Value>);

/// Named values, as a JSON object or as a form.
pub(super) struct Fields(pub(super) Map<String, Value>);

/// The path's parts, refused as JSON.
#[derive(FromRequestParts)]
#[from_request(via(Path), rejection(Refusal))]
pub(super) struct Part<T>(pub(super) T);

/// The query's parts, refused as JSON.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<App> for Asked<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        let mut pairs = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        if let Some((name, _)) = pairs.find(|(name, value)| name.contains('\0') || value.contains('\0')) {
            return Err(has_nul("invalid_query", &name));
        }
        let Query(asked) = Query::from_request_parts(parts, app).await?;
        Ok(Self(asked))
    }
}

impl FromRequest<App> for Told {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &App) -> Result<Self, Refusal> {
        let bytes_max = app.limits.webhook_bytes_max;
        let place = match announced(&request, bytes_max)? {
            Some(length) if length <= SMALL_WEBHOOK_BYTES_MAX => None,
            _ => {
                let place = timeout(app.limits.body, Arc::clone(&app.large_webhooks).acquire_owned()).await;
                Some(place.ok().and_then(Result::ok).ok_or_else(Refusal::busy)?)
            }
        };
        Ok(Self { bytes: read(request.into_body(), bytes_max, app.limits.body).await?, _place: place })
    }
}

impl FromRequest<App> for Object {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &App) -> Result<Self, Refusal> {
        if !is_json(request.headers()) {
            return Err(Refusal::not_json());
        }
        let (_, bytes) = whole(request, app).await?;
        object(&bytes).map(Self)
    }
}

impl FromRequest<App> for Given {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &App) -> Result<Self, Refusal> {
        match whole(request, app).await? {
            (_, bytes) if bytes.is_empty() => Ok(Self(Map::new())),
            (parts, _) if !is_json(&parts.headers) => Err(Refusal::not_json()),
            (_, bytes) => object(&bytes).map(Self),
        }
    }
}

impl FromRequest<App> for Fields {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &App) -> Result<Self, Refusal> {
        if media_type(request.headers()) != "application/x-www-form-urlencoded" {
            return Object::from_request(request, app).await.map(|Object(map)| Self(map));
        }
        let (_, bytes) = whole(request, app).await?;
        let pairs = url::form_urlencoded::parse(&bytes);
        kept(pairs.map(|(name, value)| (name.into_owned(), Value::String(value.into_owned()))).collect()).map(Self)
    }
}

/// A request of a caller with its body, bounded.
pub(super) async fn whole(request: Request, app: &App) -> Result<(Parts, Bytes), Refusal> {
    let bytes_max = app.limits.body_bytes_max;
    announced(&request, bytes_max)?;
    let (parts, body) = request.into_parts();
    Ok((parts, read(body, bytes_max, app.limits.body).await?))
}

fn object(bytes: &[u8]) -> Result<Map<String, Value>, Refusal> {
    match json(bytes)? {
        Value::Object(map) => kept(map),
        _ => Err(Refusal::bad_request("invalid_json", "the body must be a JSON object")),
    }
}

/// Named values without the one character that Postgres has no room for.
fn kept(map: Map<String, Value>) -> Result<Map<String, Value>, Refusal> {
    match map.iter().find(|(name, value)| name.contains('\0') || is_with_nul(value)) {
        Some((name, _)) => Err(has_nul("invalid", name)),
        None => Ok(map),
    }
}

fn has_nul(code: &'static str, name: &str) -> Refusal {
    let name = name.replace('\0', "\u{fffd}");
    Refusal::bad_request(code, format!("{name} has the character U+0000, which no text here may have"))
}

/// Not deeper than JSON was read.
fn is_with_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(list) => list.iter().any(is_with_nul),
        Value::Object(map) => map.iter().any(|(name, value)| name.contains('\0') || is_with_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// How large the body will be, where it is told. One that will be too large is not waited for.
fn announced(request: &Request, bytes_max: usize) -> Result<Option<usize>, Refusal> {
    let length = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    match length.map(|length: u64| usize::try_from(length).unwrap_or(usize::MAX)) {
        Some(length) if length > bytes_max => Err(Refusal::large_body(bytes_max)),
        length => Ok(length),
    }
}

async fn read(body: Body, bytes_max: usize, patience: Duration) -> Result<Bytes, Refusal> {
    let body = timeout(patience, to_bytes(body, bytes_max)).await;
    body.map_err(|_| Refusal::slow_body())?.map_err(|error| {
        let is_large = std::error::Error::source(&error).is_some_and(<dyn std::error::Error>::is::<LengthLimitError>);
        if is_large {
            Refusal::large_body(bytes_max)
        } else {
            Refusal::bad_request("broken_body", "the body did not arrive whole")
        }
    })
}

/// The bytes as JSON. The message says where they are none, and quotes nothing.
pub(super) fn json(bytes: &[u8]) -> Result<Value, Refusal> {
    serde_json::from_slice(bytes)
        .map_err(|error| Refusal::bad_request("invalid_json", format!("the body is no JSON: {error}")))
}

/// A field's text; none where it is not given, null or empty. Anything else is refused.
pub(super) fn text<'a>(body: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, Refusal> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(_) => Err(Refusal::bad_request("invalid", format!("{name} must be text"))),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = media_type(headers);
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

fn media_type(headers: &HeaderMap) -> String {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
