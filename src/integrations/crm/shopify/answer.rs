//! What Shopify's answers mean: errors that come with HTTP 200, errors that are a text, and what is left in its bucket.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::failure::{Failure, Fault};
use crate::integrations::crm::line::{Purpose, doubtful, failure};
use crate::integrations::crm::pace::Limit;
use crate::integrations::http::{Answer, with_jitter};
use crate::integrations::quote::Private;

/// How long to wait where Shopify does not say.
const PATIENCE: Duration = Duration::from_secs(2);

/// The part of an answer that is about our asking.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Said {
    pub(super) data: Value,
    errors: Value,
    extensions: Option<Extensions>,
}

#[derive(Deserialize)]
struct Extensions {
    #[serde(default)]
    cost: Option<Cost>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cost {
    #[serde(default)]
    requested_query_cost: Option<f64>,
    #[serde(default)]
    throttle_status: Option<ThrottleStatus>,
}

/// How Shopify's own bucket stands.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ThrottleStatus {
    maximum_available: f64,
    currently_available: f64,
    restore_rate: f64,
}

impl ThrottleStatus {
    pub(super) fn limit(self) -> Limit {
        Limit { per_second: self.restore_rate, burst: self.maximum_available }
    }

    pub(super) fn level(self) -> f64 {
        self.currently_available
    }
}

impl Said {
    pub(super) fn of(answer: &Answer) -> Self {
        answer.json().unwrap_or_default()
    }

    fn cost(&self) -> Option<&Cost> {
        self.extensions.as_ref()?.cost.as_ref()
    }

    pub(super) fn throttle_status(&self) -> Option<ThrottleStatus> {
        self.cost()?.throttle_status
    }

    /// Until there is enough for the same again.
    fn patience(&self) -> Duration {
        let known = self.cost().and_then(|cost| Some((cost.requested_query_cost?, cost.throttle_status?)));
        let seconds = known.map(|(asked, status)| (asked - status.currently_available) / status.restore_rate);
        seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).ok()).unwrap_or(PATIENCE)
    }

    /// What was asked for.
    pub(super) fn judge(mut self, answer: &Answer, purpose: Purpose, private: &Private) -> Result<Value, Failure> {
        if !answer.status.is_success() {
            return Err(by_status(answer, purpose));
        }
        let errors = self.errors.as_array().map(Vec::as_slice).unwrap_or_default();
        if let Some(failure) = errors.iter().map(|error| self.by_code(error, purpose, private)).next() {
            return Err(failure);
        }
        if self.errors.is_null() && self.data.is_object() { Ok(self.data.take()) } else { Err(strange(purpose)) }
    }

    fn by_code(&self, error: &Value, purpose: Purpose, private: &Private) -> Failure {
        let code = error["extensions"]["code"].as_str().filter(|code| is_code(code)).unwrap_or_default();
        let again = |fault, what: &str| {
            failure(fault, format!("Shopify {what} ({code}); memberships wait and go on by themselves."))
        };
        match code {
            "THROTTLED" => again(Fault::Throttled, "asks for patience").after(with_jitter(self.patience())),
            "INTERNAL_SERVER_ERROR" | "TIMEOUT" => doubtful(again(Fault::Outage, "is not available just now"), purpose),
            "ACCESS_DENIED" => credentials(code),
            "SHOP_INACTIVE" => paused("is not active", code),
            "MAX_COST_EXCEEDED" | "BAD_USER_INPUT" | "INVALID" => refusal(code, error, private),
            // GraphQL's own words for a question that does not fit the schema begin in lower case.
            _ if code.starts_with(|first: char| first.is_ascii_lowercase()) => failure(
                Fault::Configuration,
                format!(
                    "Shopify does not take a question as rowcall asks it ({code}); memberships wait until the version in \
                     SHOPIFY_API_URL is one that does."
                ),
            ),
            _ => {
                let words = quote(error, private);
                doubtful(failure(Fault::Transient, format!("Shopify could not do it just now{words}.")), purpose)
            }
        }
    }
}

fn by_status(answer: &Answer, purpose: Purpose) -> Failure {
    let status = answer.status.as_u16();
    let said = format!("HTTP {status}");
    let again = |fault, what: &str| {
        failure(fault, format!("Shopify {what} ({said}); memberships wait and go on by themselves."))
    };
    match status {
        401 | 403 => credentials(&said),
        402 => paused("is frozen for want of payment", &said),
        423 => paused("is locked", &said),
        430 => paused("is protected against requests like ours", &said),
        429 => again(Fault::Throttled, "asks for patience").after(with_jitter(answer.retry_after.unwrap_or(PATIENCE))),
        408 | 409 | 425 => {
            doubtful(failure(Fault::Transient, format!("Shopify could not do it just now ({said}).")), purpose)
        }
        300..=399 | 404 | 405 | 407 | 410 | 421 => failure(
            Fault::Configuration,
            format!(
                "Shopify knows no such shop or version ({said}); the shop's memberships wait until clients.shop and \
                 SHOPIFY_API_URL are right."
            ),
        ),
        400..=499 => refusal(&said, &Value::Null, &Private::new([], [], [])),
        _ => doubtful(again(Fault::Outage, "is not available just now"), purpose),
    }
}

/// What a change was refused for, in Shopify's words about the change itself.
pub(super) fn user_errors(errors: &Value, private: &Private) -> Option<Failure> {
    let first = errors.as_array()?.first()?;
    Some(refusal("userErrors", first, private))
}

/// An answer that is none.
pub(super) fn strange(purpose: Purpose) -> Failure {
    let what = "Shopify answered with something else than its API does; memberships wait and go on by themselves.";
    doubtful(failure(Fault::Outage, what), purpose)
}

fn credentials(said: &str) -> Failure {
    let what = format!(
        "Shopify refused the access to this shop ({said}); its memberships wait until SHOPIFY_ACCESS_TOKEN, or the client's \
         own, is valid and may read and write customers."
    );
    failure(Fault::Credentials, what)
}

fn paused(how: &str, said: &str) -> Failure {
    failure(
        Fault::Outage,
        format!("The shop {how} ({said}), says Shopify; its memberships wait until that is mended there."),
    )
}

fn refusal(said: &str, error: &Value, private: &Private) -> Failure {
    let words = quote(error, private);
    failure(
        Fault::Item,
        format!("Shopify refused it ({said}){words}. Look at the customer there, then use rowcall.retry."),
    )
}

fn quote(error: &Value, private: &Private) -> String {
    private.quote(error["message"].as_str().unwrap_or_default())
}

/// Whether it is one of Shopify's names and not something that it quotes.
fn is_code(code: &str) -> bool {
    (1..=60).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_')
}
