//! Around every request: its id, its line in the log, and the headers that keep browsers from being clever.
//!
//! The line has the method, the route's pattern, the status, the time and the id; never the path as it was sent, a query,
//! a header or a body, which can hold keys, phone numbers and tokens.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use tracing::{Instrument, debug, info, info_span};
use uuid::Uuid;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// An id that a caller may choose; a longer one is replaced.
const REQUEST_ID_CHARS_MAX: usize = 64;

/// What an answer says unless its handler said otherwise.
const HEADERS: [(HeaderName, HeaderValue); 6] = [
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

pub(super) async fn observe(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = chosen(request.headers()).unwrap_or_else(|| Uuid::now_v7().to_string());
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let method = known(request.method());

    let mut response = next.run(request).instrument(info_span!("request", request_id = id)).await;

    let (status, ms) = (response.status().as_u16(), began.elapsed().as_millis());
    // Probes come every few seconds for ever, and visitors as they like.
    if matches!(route.as_str(), "/livez" | "/readyz" | "/l/{slug}") {
        debug!(method, route, status, ms, request_id = id, "Answered");
    } else {
        info!(method, route, status, ms, request_id = id, "Answered");
    }
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::try_from(id) {
        headers.insert(REQUEST_ID, id);
    }
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(value);
    }
    response
}

/// The caller's own id, if it is one that may stand in a log.
fn chosen(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    let is_plain = id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    // Digits alone could be a phone number.
    let has_letter = id.bytes().any(|b| b.is_ascii_alphabetic());
    (is_plain && has_letter && id.len() <= REQUEST_ID_CHARS_MAX).then(|| id.to_owned())
}

/// The method; one that somebody made up could hold anything.
fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "another",
    }
}
