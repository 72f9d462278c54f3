//! A signed outgoing webhook, by Standard Webhooks 1.0, for any queue that tells somebody outside what a row says.
//!
//! `webhook-id` is the request's idempotency key, the same over all attempts, so a receiver that remembers it does nothing
//! twice, and an attempt of which nobody knows is simply repeated. Promises: no redirect is followed; nothing that is not
//! public is called; an endpoint of a row's own has a secret of its own; an endpoint that said 410 is not called again until it is another, or a person says so; nothing of an
//! address but its host, and nothing of a secret, is told.

mod endpoint;
mod reception;
mod signature;

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::HeaderName;
use serde_json::json;
use tokio::time::Instant;

use super::Limits;
use super::http::{Bounds, Cause, Http, Lost, Reach, Request, Sent};
use super::redact::{Redactor, cut};
use crate::failure::{Failure, Fault};
use crate::outcome::Outcome;

pub use self::endpoint::{Endpoint, NoEndpoint, Place};
pub use self::signature::{NoSecret, Secret};

/// A receiver that takes longer is not waited for, whatever the queue's own limit.
const TIME_MAX: Duration = Duration::from_secs(30);

/// What is kept of an answer.
const ANSWER_BYTES_MAX: usize = 2048;

/// How long what goes on the row may be, in characters.
const MESSAGE_CHARS_MAX: usize = 500;

/// A shorter part of an address is no secret, and a word that answers may have too.
const HIDDEN_BYTES_MIN: usize = 6;

/// What rowcall does about a failure that the next attempt may not meet.
const AGAIN: &str = "it is tried again by itself";

/// Tells endpoints.
#[derive(Debug)]
pub struct Webhook {
    http: Result<Http, String>,
    secrets: Vec<Secret>,
    /// Where the secrets are corrected.
    setting: &'static str,
}

/// What is told.
#[derive(Debug, Clone)]
pub struct Event<'a> {
    /// The request's idempotency key.
    pub id: &'a str,
    /// JSON.
    pub body: Bytes,
    /// Which attempt this is, of how many.
    pub attempt: (i32, i32),
}

impl Webhook {
    /// Signs with all of these secrets of a setting, and goes no farther than this.
    pub fn new(setting: &'static str, secrets: Vec<Secret>, reach: Reach) -> Self {
        let http = Http::within(reach).map_err(|_| {
            "TLS could not be set up, for lack of root certificates as a rule; webhooks wait until it can.".to_owned()
        });
        Self { http, secrets, setting }
    }

    /// What keeps it from telling anybody.
    pub fn ready(&self) -> Result<(), String> {
        self.http.as_ref().map(drop).map_err(Clone::clone)
    }

    /// Tells an endpoint once. `gone` are the digests of those that are not to be called any more.
    ///
    /// `Outcome::result` has the status, an excerpt of the answer, and for a 410 the endpoint's digest as `gone` and its
    /// `host`, for `settle.sql` to remember.
    pub async fn tell(&self, endpoint: &Endpoint, gone: &[String], event: &Event<'_>, limits: &Limits) -> Outcome {
        let told = self.try_to_tell(endpoint, gone, event, limits).await;
        let mut outcome = told.unwrap_or_else(|failure| failure.unasked().into());
        // The breaker is that of the endpoint which all share: what becomes of another one says nothing about it.
        outcome.unasked |= !endpoint.is_shared();
        outcome
    }

    /// An error when nobody was asked.
    async fn try_to_tell(
        &self,
        endpoint: &Endpoint,
        gone: &[String],
        event: &Event<'_>,
        limits: &Limits,
    ) -> Result<Outcome, Failure> {
        if gone.contains(&endpoint.digest()) {
            let what = format!("The endpoint at {} is gone (410); {}", endpoint.host(), gone_mend(endpoint));
            return Err(failure(Fault::Item, what));
        }
        let http = self.http.as_ref().map_err(|why| failure(Fault::Configuration, why))?;
        let own: Vec<Secret>;
        let secrets = if endpoint.is_shared() {
            &self.secrets
        } else {
            own = self.secrets.iter().map(|secret| secret.of(endpoint)).collect();
            &own
        };
        let request = request(endpoint, event, secrets);
        let request = request.ok_or_else(|| failure(Fault::Item, "The row's key cannot stand in a header."))?;
        let bounds = Bounds { deadline: Instant::now() + limits.timeout.min(TIME_MAX), stop: limits.stop.clone() };
        Ok(match http.call(request, &bounds).await {
            Ok(answer) => reception::read(&answer, endpoint, event, self.setting, &redactor(endpoint, secrets)),
            Err(lost) => not_answered(&lost, endpoint, event).into(),
        })
    }
}

/// Cuts out what an endpoint could quote of what we know: the secrets, and what its own address hides.
fn redactor(endpoint: &Endpoint, secrets: &[Secret]) -> Redactor {
    let hidden = endpoint.hidden();
    let hidden = hidden.iter().map(String::as_str).filter(|part| part.len() >= HIDDEN_BYTES_MIN);
    Redactor::new(secrets.iter().flat_map(Secret::texts).chain(hidden))
}

fn request(endpoint: &Endpoint, event: &Event<'_>, secrets: &[Secret]) -> Option<Request> {
    let id = header_safe(event.id);
    let timestamp = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs().to_string();
    let signature = signature::sign(secrets, &id, &timestamp, &event.body);
    let headers = [("webhook-id", id), ("webhook-timestamp", timestamp), ("webhook-signature", signature)];
    let request = Request::new(Method::POST, endpoint.url().clone());
    let mut request = request.with_body("application/json", event.body.clone()).keeping(ANSWER_BYTES_MAX);
    for (name, value) in headers {
        request = request.with_header(HeaderName::from_static(name), &value).ok()?;
    }
    Some(request)
}

/// The key of a request as an id: a full stop would end it early in what is signed, and a header carries ASCII alone.
fn header_safe(key: &str) -> String {
    key.bytes().fold(String::new(), |mut id, byte| {
        if byte.is_ascii_alphanumeric() || b":_-".contains(&byte) {
            id.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(id, "%{byte:02X}");
        }
        id
    })
}

/// What the lack of an answer comes to. Where the endpoint is everybody's, an outage is everybody's too.
fn not_answered(lost: &Lost, endpoint: &Endpoint, event: &Event<'_>) -> Failure {
    let host = endpoint.host();
    match (lost.cause, lost.sent) {
        (Cause::Stopped, sent) => {
            let failure = failure(Fault::Interrupted, "The worker was stopped; it is told when a worker runs again.");
            if sent == Sent::Perhaps { failure.uncertain() } else { failure }
        }
        (Cause::Closed, _) if endpoint.is_shared() => failure(
            Fault::Configuration,
            format!("{} leads to an address that is not public; rows wait until it is another.", endpoint.name()),
        ),
        (Cause::Closed, _) => failure(
            Fault::Item,
            format!("{} leads to an address that is not public. Correct it and ask again.", endpoint.name()),
        ),
        (_, Sent::No) if endpoint.is_shared() => failure(
            Fault::Outage,
            format!(
                "The endpoint at {host} could not be reached ({lost}); rows wait until it can, see {}.",
                endpoint.name()
            ),
        ),
        (_, Sent::No) => missed(&format!("The endpoint at {host} could not be reached ({lost})"), endpoint, event),
        // A receiver that remembers ids does nothing twice.
        (_, Sent::Perhaps) => {
            missed(&format!("The endpoint at {host} gave no answer ({lost})"), endpoint, event).uncertain()
        }
    }
}

/// This attempt did not work; the schedule has the next one, unless this was the last.
fn missed(what: &str, endpoint: &Endpoint, event: &Event<'_>) -> Failure {
    let (attempt, max) = event.attempt;
    if attempt < max {
        return failure(Fault::Transient, format!("{what}; {AGAIN}."));
    }
    let what =
        format!("{what}; that was the last of {max} attempts. Look at {}, then use rowcall.retry.", endpoint.name());
    failure(Fault::Transient, what)
}

/// How an endpoint that said that it is gone is called again.
fn gone_mend(endpoint: &Endpoint) -> String {
    let name = endpoint.name();
    format!(
        "it is not called again until {name} is another, or, when it is back, after rowcall.resume. Then ask again."
    )
}

/// A failure whose message fits on the row.
fn failure(fault: Fault, message: impl AsRef<str>) -> Failure {
    Failure::new(fault, cut(message.as_ref(), MESSAGE_CHARS_MAX))
}

/// What history keeps of an answer.
fn excerpt(status: u16, words: &str) -> serde_json::Value {
    if words.is_empty() { json!({ "status": status }) } else { json!({ "status": status, "answer": words }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_no_full_stop_and_fits_in_a_header() {
        assert_eq!(header_safe("organizations:7:1"), "organizations:7:1");
        assert_eq!(header_safe("organizations:a.b\né%:2"), "organizations:a%2Eb%0A%C3%A9%25:2");
    }
}
