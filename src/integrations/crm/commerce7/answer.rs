//! What Commerce7's answers mean, by status and by its own words: `{"statusCode", "type", "message", "errors"}`.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::failure::{Failure, Fault};
use crate::integrations::crm::line::{Purpose, doubtful, failure};
use crate::integrations::http::{Answer, with_jitter};
use crate::integrations::quote::Private;

/// Its limit is counted by the minute.
const PATIENCE: Duration = Duration::from_mins(1);

/// Whoever refuses for now does not mean at once.
const PATIENCE_MIN: Duration = Duration::from_secs(1);

/// Commerce7's words about what it did not do.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Said {
    #[serde(rename = "type")]
    kind: Option<String>,
    message: Option<String>,
    errors: Vec<Wrong>,
}

/// Mostly `{"field", "message"}`; one client has seen plain texts.
#[derive(Deserialize)]
#[serde(untagged)]
enum Wrong {
    Field {
        #[serde(default)]
        field: Option<String>,
        #[serde(default)]
        message: Option<String>,
    },
    Other(Value),
}

/// What was asked for; nothing where Commerce7 says that it is not there.
pub(super) fn judge(answer: &Answer, purpose: Purpose, private: &Private) -> Result<Option<Value>, Failure> {
    let status = answer.status.as_u16();
    let value = answer.json::<Value>();
    let said = value.as_ref().and_then(|value| Said::deserialize(value).ok()).unwrap_or_default();
    if answer.status.is_success() {
        return match value {
            None => Err(strange(purpose)),
            // A success that carries errors is none, and what became of it must be looked up.
            Some(value) if has_errors(&value) => Err(doubtful(refusal(status, &said, private), purpose)),
            Some(value) => Ok(Some(value)),
        };
    }
    let again = |fault, what: &str| {
        failure(fault, format!("Commerce7 {what} (HTTP {status}); memberships wait and go on by themselves."))
    };
    Err(match status {
        404 if said.kind.is_some() || said.message.is_some() => return Ok(None),
        401 | 403 => failure(
            Fault::Credentials,
            format!(
                "Commerce7 refused this tenant's access (HTTP {status}); its memberships wait until COMMERCE7_APP_ID and \
                 COMMERCE7_KEY, or the client's own credentials, are right and the app is installed with its permissions."
            ),
        ),
        429 => {
            let asked = answer.retry_after.unwrap_or(PATIENCE).max(PATIENCE_MIN);
            again(Fault::Throttled, "asks for patience").after(with_jitter(asked))
        }
        408 | 409 | 425 => {
            doubtful(failure(Fault::Transient, format!("Commerce7 could not do it just now (HTTP {status}).")), purpose)
        }
        300..=399 | 404 | 405 | 407 | 410 | 421 => failure(
            Fault::Configuration,
            format!(
                "Commerce7 answered with HTTP {status}, as if it were another address; memberships wait until \
                 COMMERCE7_API_URL is right."
            ),
        ),
        422 if said.is_about_the_question() => failure(
            Fault::Configuration,
            format!(
                "Commerce7 does not take a question as rowcall asks it{}; memberships wait until rowcall is upgraded.",
                said.quote(private)
            ),
        ),
        // It is there already, or was a moment ago: whoever looks will find it.
        422 if said.is_about_uniqueness() => doubtful(
            failure(Fault::Transient, "Commerce7 has it already, it says (HTTP 422), and does not show it yet."),
            purpose,
        ),
        400..=499 => refusal(status, &said, private),
        _ => doubtful(again(Fault::Outage, "is not available just now"), purpose),
    })
}

/// An answer that is none.
pub(super) fn strange(purpose: Purpose) -> Failure {
    let what = "Commerce7 answered with something else than its API does; memberships wait and go on by themselves.";
    doubtful(failure(Fault::Outage, what), purpose)
}

fn refusal(status: u16, said: &Said, private: &Private) -> Failure {
    let words = said.quote(private);
    failure(
        Fault::Item,
        format!("Commerce7 refused it with HTTP {status}{words}. Look at the customer there, then use rowcall.retry."),
    )
}

fn has_errors(value: &Value) -> bool {
    match &value["errors"] {
        Value::Array(list) => !list.is_empty(),
        Value::Object(object) => !object.is_empty(),
        Value::String(text) => !text.is_empty(),
        _ => false,
    }
}

impl Said {
    fn begins(&self, beginnings: &[&str]) -> bool {
        self.message.as_deref().is_some_and(|message| beginnings.iter().any(|begin| message.starts_with(begin)))
    }

    fn is_about_the_question(&self) -> bool {
        self.begins(&["Invalid query param", "Invalid operator"])
    }

    fn is_about_uniqueness(&self) -> bool {
        self.begins(&["Database unique constraint"])
    }

    fn quote(&self, private: &Private) -> String {
        let wrong = self.errors.iter().take(2).map(|wrong| match wrong {
            Wrong::Field { field, message } => {
                let parts = [field.as_deref(), message.as_deref()].into_iter().flatten();
                parts.collect::<Vec<_>>().join(": ")
            }
            Wrong::Other(value) => value.as_str().unwrap_or_default().to_owned(),
        });
        let wrong: Vec<String> = wrong.filter(|words| !words.is_empty()).collect();
        let words = if wrong.is_empty() { self.message.clone().unwrap_or_default() } else { wrong.join("; ") };
        private.quote(&words)
    }
}
