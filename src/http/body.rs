//! Bodies: bounded in size and time, as raw bytes or as a JSON object.

use axum::body::{Bytes, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::LengthLimitError;
use serde_json::{Map, Value};

use super::App;
use super::errors::Refusal;

/// The bytes as they came, which is what a signature is over.
pub(super) struct Raw(pub(super) Bytes);

/// A JSON object, said to be one.
pub(super) struct Object(pub(super) Map<String, Value>);

/// Named values, as a JSON object or as a form.
pub(super) struct Fields(pub(super) Map<String, Value>);

/// The path's parts, refused as JSON.
#[derive(FromRequestParts)]
#[from_request(via(Path), rejection(Refusal))]
pub(super) struct Part<T>(pub(super) T);

/// The query's parts, refused as JSON.
#[derive(FromRequestParts)]
#[from_request(via(Query), rejection(Refusal))]
pub(super) struct Asked<T>(pub(super) T);

impl FromRequest<App> for Raw {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &App) -> Result<Self, Refusal> {
        let bytes_max = app.limits.body_bytes_max;
        // A body that announces to be too large is not waited for.
        let announced = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if announced.is_some_and(|length: u64| usize::try_from(length).map_or(true, |length| length > bytes_max)) {
            return Err(Refusal::large_body(bytes_max));
        }
        let body = tokio::time::timeout(app.limits.body, to_bytes(request.into_body(), bytes_max)).await;
        match body.map_err(|_| Refusal::slow_body())? {
            Ok(bytes) => Ok(Self(bytes)),
            Err(error) => {
                let cause = std::error::Error::source(&error);
                let is_large = cause.is_some_and(<dyn std::error::Error>::is::<LengthLimitError>);
                Err(if is_large {
                    Refusal::large_body(bytes_max)
                } else {
                    Refusal::bad_request("broken_body", "the body did not arrive whole")
                })
            }
        }
    }
}

impl FromRequest<App> for Object {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &App) -> Result<Self, Refusal> {
        if !is_json(request.headers()) {
            return Err(Refusal::not_json());
        }
        let Raw(bytes) = Raw::from_request(request, app).await?;
        match json(&bytes)? {
            Value::Object(map) => Ok(Self(map)),
            _ => Err(Refusal::bad_request("invalid_json", "the body must be a JSON object")),
        }
    }
}

impl FromRequest<App> for Fields {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &App) -> Result<Self, Refusal> {
        if media_type(request.headers()) != "application/x-www-form-urlencoded" {
            return Object::from_request(request, app).await.map(|Object(map)| Self(map));
        }
        let Raw(bytes) = Raw::from_request(request, app).await?;
        let pairs = url::form_urlencoded::parse(&bytes);
        Ok(Self(pairs.map(|(name, value)| (name.into_owned(), Value::String(value.into_owned()))).collect()))
    }
}

/// The bytes as JSON. The message says where they are none, and quotes nothing.
pub(super) fn json(bytes: &[u8]) -> Result<Value, Refusal> {
    serde_json::from_slice(bytes)
        .map_err(|error| Refusal::bad_request("invalid_json", format!("the body is no JSON: {error}")))
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = media_type(headers);
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

fn media_type(headers: &HeaderMap) -> String {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
