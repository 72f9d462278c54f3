//! What an endpoint's answer means: only 2xx is done, 410 is the end of the endpoint, and patience is kept as long as asked.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;

use super::{AGAIN, Endpoint, Event, excerpt, failure, gone_mend, missed};
use crate::failure::{Failure, Fault};
use crate::integrations::http::{Answer, with_jitter};
use crate::integrations::redact::Redactor;
use crate::outcome::Outcome;

/// How much of what the endpoint says is told, in characters.
const WORDS_CHARS_MAX: usize = 160;

/// Who asks for no patience at all gets so much.
const PATIENCE_MIN: Duration = Duration::from_secs(1);

/// `setting` has the secrets.
pub(super) fn read(
    answer: &Answer,
    endpoint: &Endpoint,
    event: &Event<'_>,
    setting: &str,
    redactor: &Redactor,
) -> Outcome {
    let status = answer.status.as_u16();
    let words = redactor.line(&String::from_utf8_lossy(answer.kept()), WORDS_CHARS_MAX);
    let mut result = excerpt(status, &words);
    if answer.status.is_success() {
        return Outcome::done(Some(result));
    }
    if answer.status == StatusCode::GONE {
        result["gone"] = json!(endpoint.digest());
        result["host"] = json!(endpoint.host());
    }
    let mut outcome = Outcome::from(refused(answer, endpoint, event, setting, &words));
    outcome.result = Some(result);
    outcome
}

fn refused(answer: &Answer, endpoint: &Endpoint, event: &Event<'_>, setting: &str, words: &str) -> Failure {
    let (status, host, name) = (answer.status.as_u16(), endpoint.host(), endpoint.name());
    let said = format!("The endpoint at {host} answered with HTTP {status}");
    let redirect = if answer.status.is_redirection() { ", a redirect, and those are not followed" } else { "" };
    // A breaker's reason is everybody's and is logged: it quotes nobody.
    match status {
        410 => failure(Fault::Item, format!("{said} Gone: {}", gone_mend(endpoint))),
        429 => throttled(&said, answer),
        503 if answer.retry_after.is_some() => throttled(&said, answer),
        401 | 403 if endpoint.is_shared() => failure(
            Fault::Credentials,
            format!("{said}: it does not take the signature; rows wait until {setting} has the secret that it knows."),
        ),
        300..=399 | 404 | 405 if endpoint.is_shared() => {
            failure(Fault::Configuration, format!("{said}{redirect}; rows wait until {name} is right."))
        }
        502..=504 if endpoint.is_shared() => {
            failure(Fault::Outage, format!("{said}; rows wait and go on by themselves."))
        }
        _ => {
            let words = if words.is_empty() { String::new() } else { format!(" ({words})") };
            let failure = missed(&format!("{said}{redirect}{words}"), endpoint, event);
            // The engine takes it where it is longer than the schedule's own delay.
            match answer.retry_after {
                Some(delay) => failure.after(with_jitter(delay)),
                None => failure,
            }
        }
    }
}

/// It asks for patience, and gets it without a count.
fn throttled(said: &str, answer: &Answer) -> Failure {
    let failure = failure(Fault::Throttled, format!("{said} and asks for patience; {AGAIN}."));
    match answer.retry_after {
        Some(delay) => failure.after(with_jitter(delay.max(PATIENCE_MIN))),
        None => failure,
    }
}
