//! Refusals: every failure as a status and `{"error": {"code", "message", "hint", "fields"?}}`.
//!
//! The caller reads what a function of ours said on purpose, or a sentence without inner workings; the whole chain goes to
//! the log, once, here. A fault of the caller is logged by its status alone.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};
use tracing::{error, warn};
use utoipa::ToSchema;

use crate::store::{Cause, StoreError, is_raised};

/// Why a request is not done.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
    hint: Option<String>,
    /// What is wrong with which field, as the database told it.
    fields: Option<Box<Value>>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// What every refusal is told in.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Refusal)]
pub(super) struct Refused {
    error: Fault,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Fault {
    /// One word for the kind of refusal, for programs.
    #[schema(value_type = String, example = "invalid")]
    code: &'static str,
    /// What is wrong, for people.
    message: String,
    /// What to do about it.
    #[schema(required = true)]
    hint: Option<String>,
    /// Which fields are wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Fields>, nullable = false)]
    fields: Option<Box<Value>>,
}

impl Fault {
    /// A failure beside other things that an answer tells.
    pub(super) fn new(code: &'static str, message: String, hint: &str) -> Self {
        Self { code, message, hint: Some(hint.to_owned()), fields: None }
    }
}

/// A sentence for each field that is wrong, or their names.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "the database tells them; this only describes how")]
enum Fields {
    Each(BTreeMap<String, String>),
    Names(Vec<String>),
    Words(String),
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), hint: None, fields: None, headers: Vec::new() }
    }

    /// What to do about it.
    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The request itself is wrong.
    pub(super) fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// Nobody says who calls, or not truly.
    pub(super) fn unauthenticated(message: &str) -> Self {
        let mut refusal = Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", message);
        for scheme in ["Bearer realm=\"rowcall\"", "Basic realm=\"rowcall\", charset=\"UTF-8\""] {
            refusal.headers.push((WWW_AUTHENTICATE, HeaderValue::from_static(scheme)));
        }
        refusal
    }

    /// It is known who calls, and they may not.
    pub(super) fn forbidden(code: &'static str, message: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    /// There is no such thing.
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// There was one, and it is over.
    pub(super) fn gone(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, "gone", message)
    }

    /// There are too many others just now; the same request may do later.
    pub(super) fn busy() -> Self {
        Self::unavailable("busy", "too many others ask for the same just now", 5)
    }

    /// The path is right, the method is not; `Allow` says which are.
    pub(super) fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this path does not take this method")
            .hint("the header Allow says which it takes")
    }

    /// The body did not come in time.
    pub(super) fn slow_body() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "slow_body", "the body did not arrive in time")
    }

    /// The body is too large.
    pub(super) fn large_body(bytes_max: usize) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "large_body", format!("a body may have at most {bytes_max} bytes"))
    }

    /// The body is no JSON by its own word.
    pub(super) fn not_json() -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", "the body must be JSON")
            .hint("send Content-Type: application/json")
    }

    /// Not now; the caller may try again after so many seconds.
    pub(super) fn unavailable(code: &'static str, message: &str, retry_after_seconds: u32) -> Self {
        let mut refusal = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message);
        refusal.headers.push((RETRY_AFTER, HeaderValue::from(retry_after_seconds)));
        refusal
    }

    /// More than may be tried; the caller may try again after this.
    pub(super) fn too_many(message: &str, wait: Duration) -> Self {
        let mut refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many", message);
        refusal.headers.push((RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1)));
        refusal.hint("wait as long as the header Retry-After says")
    }

    /// The same for a person who looks at it in a browser.
    pub(super) fn page(self) -> Response {
        let words = self.message.replace('&', "&amp;").replace('<', "&lt;");
        let mut letters = words.chars();
        let first = letters.next().into_iter().flat_map(char::to_uppercase);
        let words: String = first.chain(letters).chain(['.']).collect();
        let title = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">";
        let page = Html(format!("{title}<title>{words}</title><h1>{words}</h1>\n"));
        let mut response = (self.status, page).into_response();
        response.headers_mut().extend(self.headers);
        response
    }

    pub(super) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "something went wrong here, and is in the log")
            .hint("look for this answer's x-request-id in the log")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self { status, code, message, hint, fields, headers } = self;
        let mut response = (status, Json(Refused { error: Fault { code, message, hint, fields } })).into_response();
        for (name, value) in headers {
            response.headers_mut().append(name, value);
        }
        response
    }
}

/// A panic is a bug; the panic hook has printed where.
pub(super) fn panicked(_: Box<dyn Any + Send>) -> Response {
    error!("A handler panicked");
    Refusal::internal().into_response()
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let refusal = read(&error);
        match refusal.status.as_u16() {
            503 => warn!(error = error.chain(), "The database did not do what a request asked for"),
            500.. => error!(error = error.chain(), "A request failed"),
            _ => {}
        }
        refusal
    }
}

/// What a failed statement means to the caller.
fn read(error: &StoreError) -> Refusal {
    let unavailable = || {
        Refusal::unavailable("database_unavailable", "the database does not answer now", 5)
            .hint("try again; GET /readyz tells what is wrong")
    };
    if matches!(error.source, Cause::Pool(_) | Cause::Silent) {
        return unavailable();
    }
    let Some(answer) = error.answer() else { return unavailable() };
    // What a function said by `raise exception` is meant for the caller; what Postgres says may quote a row.
    let said = is_raised(answer).then(|| answer.message().to_owned());
    let said_or = |otherwise: &str| said.clone().unwrap_or_else(|| otherwise.to_owned());
    let mut refusal = match answer.code().code() {
        "P0002" => Refusal::not_found(said_or("there is no such row")),
        "RC422" => Refusal::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency_key_reused",
            said_or("another request had that key"),
        ),
        "RC409" => Refusal::new(StatusCode::CONFLICT, "conflict", said_or("that is already done")),
        "22023" | "P0001" => Refusal::bad_request("invalid", said_or("a value is not one of those that are taken")),
        "42P01" | "42883" | "42703" | "3F000" => {
            return Refusal::unavailable("not_migrated", "the database lacks what this needs", 60)
                .hint("run `rowcall migrate`");
        }
        "22021" | "22P05" => {
            Refusal::bad_request("invalid", "a text has a character that the database has no room for: U+0000")
        }
        code => match code.get(..2).unwrap_or_default() {
            "22" | "23" | "44" => Refusal::bad_request("invalid", said_or("the database does not take these values")),
            "40" | "55" => return Refusal::unavailable("busy", "another transaction is in the way", 1),
            "08" | "25" | "53" | "57" | "58" => return unavailable(),
            _ => return Refusal::internal(),
        },
    };
    if said.is_some() {
        refusal.hint = answer.hint().map(str::to_owned);
        refusal.fields =
            answer.detail().map(|detail| Box::new(serde_json::from_str(detail).unwrap_or_else(|_| json!(detail))));
    }
    refusal
}

impl From<PathRejection> for Refusal {
    fn from(rejection: PathRejection) -> Self {
        unreadable("invalid_path", &rejection)
    }
}

impl From<QueryRejection> for Refusal {
    fn from(rejection: QueryRejection) -> Self {
        unreadable("invalid_query", &rejection)
    }
}

fn unreadable(code: &'static str, rejection: &dyn Display) -> Refusal {
    Refusal::bad_request(code, rejection.to_string())
}
