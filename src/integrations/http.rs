//! The HTTP client of every provider that has an HTTP API.
//!
//! It answers the one question on which no blind repeat depends: did the request leave this process? The body is handed
//! to the connection through a gate (`letter.rs`), so that *no* means no, also when time ran out or the worker must stop
//! in the middle; everything after it is *perhaps*. Answers are read up to a bound, redirects are not followed, nothing
//! is repeated here, and nothing of a request or an answer is logged.

mod letter;
mod patience;
mod reach;

use std::error::Error;
use std::fmt;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue};
use reqwest::{Body, Client, ClientBuilder, Method, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::letter::{Gate, Letter};
use super::redact::{Redactor, cut};

pub use self::patience::with_jitter;
pub use self::reach::{Closed, Reach};

/// How long a connection, with its TLS, may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Servers close connections that idle, and a request that crosses with the close is perhaps sent. Few servers close
/// sooner than after five seconds, so one that has idled for three is not used again.
const IDLE_MAX: Duration = Duration::from_secs(3);

/// How long an answer is still waited for once the worker must stop; its shutdown leaves an operation eight seconds.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// What is kept of an answer, in bytes, unless the request says otherwise.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// How much of a reason is told, in characters.
const REASON_CHARS_MAX: usize = 120;

/// The set-up that all clients share: rustls with ring, the system's roots, no redirects, no repetition.
pub fn builder() -> ClientBuilder {
    // One provider for the whole process; a second installation is refused and harmless.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_MAX)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .user_agent(concat!("rowcall/", env!("CARGO_PKG_VERSION")))
}

/// A client; a clone shares its connections.
#[derive(Debug, Clone)]
pub struct Http {
    client: Client,
    /// Set where others write the addresses.
    reach: Option<Reach>,
}

/// One request about to be made. Its debug output shows neither address nor headers nor body.
#[derive(Clone)]
pub struct Request {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Option<Bytes>,
    answer_bytes_max: usize,
}

/// What bounds one exchange.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// When to give up.
    pub deadline: Instant,
    /// Cancelled when the worker must stop: a request that has not left is taken back, an answer is awaited for 5 s more.
    pub stop: CancellationToken,
}

/// What the other side answered. Its debug output shows no body.
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// How long it asks for patience, at most an hour.
    pub retry_after: Option<Duration>,
    /// The body came to its end within its bound.
    pub is_whole: bool,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// Whether a request without an answer left this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// Certainly not: repeating it repeats nothing.
    No,
    /// It may have arrived, and may have taken effect.
    Perhaps,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// No connection was made: name, network, TLS.
    Unreachable,
    /// It leads where this client does not go.
    Closed,
    /// Time ran out.
    TimedOut,
    /// The connection ended first.
    Broken,
    /// The worker must stop.
    Stopped,
}

/// No answer came.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct Lost {
    /// Whether the request left.
    pub sent: Sent,
    /// Why there is no answer.
    pub cause: Cause,
    /// The same in words, for a row: without address, and redacted.
    pub reason: String,
}

impl Http {
    /// A client with the shared set-up.
    pub fn new() -> Result<Self, reqwest::Error> {
        builder().build().map(|client| Self { client, reach: None })
    }

    /// A client for addresses that others write, which goes no farther than this.
    pub fn within(reach: Reach) -> Result<Self, reqwest::Error> {
        let client = builder().dns_resolver(reach.clone()).no_proxy().build()?;
        Ok(Self { client, reach: Some(reach) })
    }

    /// Makes one request, once.
    pub async fn call(&self, request: Request, bounds: &Bounds) -> Result<Answer, Lost> {
        let bytes_max = request.answer_bytes_max;
        let gate = Gate::default();
        if let Some(Err(Closed)) = self.reach.as_ref().map(|reach| reach.look_at(&request.url)) {
            return Err(Lost::new(&gate, Cause::Closed, None));
        }
        let giving_up = give_up(bounds, &gate);
        tokio::pin!(giving_up);
        let exchange = self.client.execute(request.into_outgoing(&gate));
        let response = tokio::select! {
            biased;
            cause = &mut giving_up => return Err(Lost::new(&gate, cause, None)),
            response = exchange => response,
        };
        let response = response.map_err(|error| {
            let cause = match &error {
                error if is_closed(error) => Cause::Closed,
                error if error.is_connect() => Cause::Unreachable,
                error if error.is_timeout() => Cause::TimedOut,
                _ => Cause::Broken,
            };
            Lost::new(&gate, cause, Some(&error))
        })?;
        let (status, headers) = (response.status(), response.headers().clone());
        let retry_after = patience::retry_after(&headers, SystemTime::now());
        // From here on the status is known, whatever becomes of the body.
        let mut body = Vec::new();
        let is_whole = tokio::select! {
            biased;
            _ = &mut giving_up => false,
            is_whole = read(response, &mut body, bytes_max) => is_whole,
        };
        Ok(Answer { status, retry_after, is_whole, headers, body })
    }
}

impl Request {
    /// A GET.
    pub fn get(url: Url) -> Self {
        Self::new(Method::GET, url)
    }

    /// A request without a body, for an answer in JSON. Without a body nothing tells when it leaves, so only what may be
    /// repeated should be asked like this.
    pub fn new(method: Method, url: Url) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(reqwest::header::ACCEPT, HeaderValue::from_static("application/json"));
        Self { method, url, headers, body: None, answer_bytes_max: ANSWER_BYTES_MAX }
    }

    /// A POST of JSON.
    pub fn post_json(url: Url, body: &serde_json::Value) -> Self {
        Self::new(Method::POST, url).with_body("application/json", body.to_string())
    }

    /// A PUT of JSON.
    pub fn put_json(url: Url, body: &serde_json::Value) -> Self {
        Self::new(Method::PUT, url).with_body("application/json", body.to_string())
    }

    /// The same with this body.
    #[must_use]
    pub fn with_body(mut self, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        self.headers.insert(reqwest::header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        self.body = Some(body.into());
        self
    }

    /// The same with this header, which may be a secret; an error when no header can carry it.
    pub fn with_header(mut self, name: HeaderName, text: &str) -> Result<Self, InvalidHeaderValue> {
        let mut value = HeaderValue::from_str(text)?;
        value.set_sensitive(true);
        self.headers.insert(name, value);
        Ok(self)
    }

    /// The same with this authorization; an error when no header can carry it.
    pub fn authorized(self, scheme: &str, secret: &str) -> Result<Self, InvalidHeaderValue> {
        self.with_header(reqwest::header::AUTHORIZATION, &format!("{scheme} {secret}"))
    }

    /// The same, of whose answer so many bytes are kept.
    #[must_use]
    pub fn keeping(self, answer_bytes_max: usize) -> Self {
        Self { answer_bytes_max, ..self }
    }

    fn into_outgoing(self, gate: &Gate) -> reqwest::Request {
        let mut outgoing = reqwest::Request::new(self.method, self.url);
        *outgoing.headers_mut() = self.headers;
        match self.body {
            Some(bytes) => *outgoing.body_mut() = Some(Body::wrap(Letter::new(bytes, gate.clone()))),
            // Without a body nothing tells when it leaves.
            None => drop(gate.pass()),
        }
        outgoing
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("method", &self.method).finish_non_exhaustive()
    }
}

impl Answer {
    /// The body as it came; nothing when it is not whole.
    pub fn bytes(&self) -> Option<&[u8]> {
        self.is_whole.then_some(&self.body)
    }

    /// The body as far as it was kept.
    pub fn kept(&self) -> &[u8] {
        &self.body
    }

    /// The body in this shape; nothing when it is not whole, or is not that.
    pub fn json<T: DeserializeOwned>(&self) -> Option<T> {
        if self.is_whole { serde_json::from_slice(&self.body).ok() } else { None }
    }

    /// A header, if it is there once or more and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).field("is_whole", &self.is_whole).finish_non_exhaustive()
    }
}

impl Lost {
    fn new(gate: &Gate, cause: Cause, error: Option<&reqwest::Error>) -> Self {
        let sent = match cause {
            Cause::Unreachable | Cause::Closed => Sent::No,
            _ if gate.revoke() => Sent::No,
            _ => Sent::Perhaps,
        };
        let reason = match (cause, error) {
            (Cause::TimedOut, _) => "no answer in time".to_owned(),
            (Cause::Stopped, _) => "the worker was stopped".to_owned(),
            (Cause::Closed, _) => Closed.to_string(),
            (_, Some(error)) => Redactor::default().line(&innermost(error), REASON_CHARS_MAX),
            (_, None) => "no answer".to_owned(),
        };
        Self { sent, cause, reason: cut(&reason, REASON_CHARS_MAX) }
    }
}

/// The address with these parts after its path; nothing when it cannot have any.
pub fn join(base: &Url, parts: &[&str]) -> Option<Url> {
    let mut url = base.clone();
    url.path_segments_mut().ok()?.pop_if_empty().extend(parts);
    Some(url)
}

/// Ends when the exchange must; with the cause.
async fn give_up(bounds: &Bounds, gate: &Gate) -> Cause {
    tokio::select! {
        () = tokio::time::sleep_until(bounds.deadline) => Cause::TimedOut,
        () = bounds.stop.cancelled() => {
            if !gate.revoke() {
                let stop_at = Instant::now() + STOP_GRACE;
                tokio::time::sleep_until(stop_at.min(bounds.deadline)).await;
            }
            Cause::Stopped
        }
    }
}

/// Reads a body up to its bound; whether that was all of it.
async fn read(mut response: Response, body: &mut Vec<u8>, bytes_max: usize) -> bool {
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                let room = bytes_max - body.len();
                body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                if chunk.len() > room {
                    return false;
                }
            }
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

fn is_closed(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if inner.is::<Closed>() {
            return true;
        }
        cause = inner.source();
    }
    false
}

/// The first cause, which has the words that help; the outer ones repeat the address.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    // Without a source it is reqwest's own, which would print the address.
    if std::ptr::addr_eq(cause, std::ptr::from_ref(error)) { "no answer".to_owned() } else { cause.to_string() }
}

#[cfg(test)]
mod tests;
