//! From the row to an argv: a validated request.
//!
//! The metadata is a user's, so it may be anything. What is wrong is said in terms of the row, with the key, the value,
//! what is allowed and what to do. Nothing but a validated value reaches the argv, and always as `--flag=value`, so that
//! no value can pass for a flag.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::terms::{Decimal, Expiry, Terms};
use crate::integrations::redact;
use crate::job::Job;

/// How much of a wrong value is shown back, in characters.
const SHOWN_CHARS_MAX: usize = 40;

const CODE_RULE: &str = "1 to 64 letters, digits, dots, dashes and underscores, beginning with a letter or a digit";

/// What is asked of Fienta.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    Create { code: String, terms: Terms },
    Update { code: String, terms: Terms },
    Rename { code: String, new_code: String },
    Delete { code: String, discount_id: Option<String> },
}

/// The request is wrong as it stands on the row.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Wrong(pub(super) String);

/// `claim.sql`'s payload. The values stay JSON text until their key says what they must be; a number keeps its digits.
#[derive(Deserialize)]
struct Payload {
    code: Option<Box<RawValue>>,
    status: Option<Box<RawValue>>,
    metadata: Option<Box<RawValue>>,
    #[serde(default)]
    new_code_taken: Option<bool>,
}

impl Request {
    /// Reads and validates the payload of a job.
    pub(super) fn of(job: &Job) -> Result<Self, Wrong> {
        let payload: Payload =
            job.payload().map_err(|_| Wrong("The payload of claim.sql is not readable; this is a bug.".to_owned()))?;
        let code = read_code("The code", payload.code.as_deref())?;
        let verb = verb_of_status(payload.status.as_deref())?;
        let metadata = Metadata::read(payload.metadata.as_deref())?;
        metadata.check_action(verb, payload.status.as_deref())?;
        match verb {
            "create" => Ok(Self::Create { code, terms: metadata.terms("")? }),
            "update" => {
                let terms = metadata.terms("new_")?;
                if terms.is_empty() {
                    return Err(Wrong(
                        "metadata has nothing to update: set at least one of new_discount_percent, \
                         new_discount_amount, new_max_uses, new_expires_at and new_description, and the status again."
                            .to_owned(),
                    ));
                }
                Ok(Self::Update { code, terms })
            }
            "rename" => {
                let new_code = metadata.new_code(&code, payload.new_code_taken.unwrap_or_default())?;
                Ok(Self::Rename { code, new_code })
            }
            _ => Ok(Self::Delete { code, discount_id: metadata.discount_id()? }),
        }
    }

    /// The verb of the CLI, which is the operation's name.
    pub(super) fn verb(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Update { .. } => "update",
            Self::Rename { .. } => "rename",
            Self::Delete { .. } => "delete",
        }
    }

    /// The code it is about.
    pub(super) fn code(&self) -> &str {
        match self {
            Self::Create { code, .. }
            | Self::Update { code, .. }
            | Self::Rename { code, .. }
            | Self::Delete { code, .. } => code,
        }
    }

    /// What is so in Fienta once it is done, as `settle.sql` reads it.
    pub(super) fn in_effect(&self) -> Value {
        let (action, code) = (self.verb(), self.code());
        match self {
            Self::Update { terms, .. } => json!({"action": action, "code": code, "terms": terms.values()}),
            Self::Rename { new_code, .. } => json!({"action": action, "code": code, "new_code": new_code}),
            Self::Create { .. } | Self::Delete { .. } => json!({"action": action, "code": code}),
        }
    }

    /// The verb and the flags, without the event and the form of the answer.
    pub(super) fn argv(&self) -> Vec<String> {
        let mut argv = vec![self.verb().to_owned(), format!("--code={}", self.code())];
        match self {
            Self::Create { terms, .. } => argv.extend(terms.flags("")),
            Self::Update { terms, .. } => argv.extend(terms.flags("new-")),
            Self::Rename { new_code, .. } => argv.push(format!("--new-code={new_code}")),
            Self::Delete { discount_id, .. } => argv.extend(discount_id.iter().map(|id| format!("--discount-id={id}"))),
        }
        argv
    }
}

/// Whether it is a code that we let near a command line.
pub(super) fn is_code(text: &str) -> bool {
    is_id(text) && text.starts_with(|c: char| c.is_ascii_alphanumeric())
}

/// Whether it is an identifier of Fienta's: 1 to 64 letters, digits, dashes, underscores and dots.
pub(super) fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

fn verb_of_status(status: Option<&RawValue>) -> Result<&'static str, Wrong> {
    match status.and_then(text).as_deref() {
        Some("creating") => Ok("create"),
        Some("updating") => Ok("update"),
        Some("renaming") => Ok("rename"),
        Some("deleting") => Ok("delete"),
        _ => Err(Wrong(format!(
            "The status is {}, which asks for nothing. Allowed are creating, updating, renaming and deleting.",
            Shown(status)
        ))),
    }
}

fn read_code(name: &str, value: Option<&RawValue>) -> Result<String, Wrong> {
    value.and_then(text).filter(|code| is_code(code)).ok_or_else(|| {
        Wrong(format!("{name} is {}. Allowed are {CODE_RULE}. Correct it and set the status again.", Shown(value)))
    })
}

/// The metadata of the row: a key with JSON null counts as absent.
pub(super) struct Metadata(BTreeMap<String, Box<RawValue>>);

impl Metadata {
    pub(super) fn read(value: Option<&RawValue>) -> Result<Self, Wrong> {
        let Some(value) = value else { return Ok(Self(BTreeMap::new())) };
        let mut keys: BTreeMap<String, Box<RawValue>> = serde_json::from_str(value.get()).map_err(|_| {
            Wrong(format!(
                "metadata is {}. Allowed is an object. Correct it and set the status again.",
                Shown(Some(value))
            ))
        })?;
        keys.retain(|_, value| value.get() != "null");
        Ok(Self(keys))
    }

    pub(super) fn get(&self, key: &str) -> Option<&RawValue> {
        self.0.get(key).map(AsRef::as_ref)
    }

    /// Reads a key; `read` says no by `None`.
    pub(super) fn read_key<T>(
        &self,
        key: &str,
        allowed: &str,
        read: impl Fn(&RawValue) -> Option<T>,
    ) -> Result<Option<T>, Wrong> {
        let Some(value) = self.get(key) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| {
            let shown = Shown(Some(value));
            Wrong(format!("metadata.{key} is {shown}. Allowed is {allowed}. Correct it and set the status again."))
        })
    }

    fn check_action(&self, verb: &str, status: Option<&RawValue>) -> Result<(), Wrong> {
        let Some(value) = self.get("action") else { return Ok(()) };
        let (action, shown) = (text(value), Shown(Some(value)));
        match action.as_deref() {
            Some(action) if action == verb => Ok(()),
            Some("create" | "update" | "rename" | "delete") => Err(Wrong(format!(
                "metadata.action is {shown}, but status {} asks for \"{verb}\". Make them agree, or leave the action out.",
                Shown(status)
            ))),
            _ => Err(Wrong(format!(
                "metadata.action is {shown}, which is unknown. Allowed are create, update, rename and delete; \
                 here \"{verb}\", or nothing."
            ))),
        }
    }

    pub(super) fn terms(&self, prefix: &str) -> Result<Terms, Wrong> {
        let key = |name: &str| format!("{prefix}{name}");
        let discount_percent =
            self.read_key(&key("discount_percent"), "a number above 0 and up to 100, like 20", |v| {
                number(v).filter(|n| (1..=10_000).contains(&n.hundredths))
            })?;
        let discount_amount =
            self.read_key(&key("discount_amount"), "an amount above 0 with at most two decimals, like 5.00", |v| {
                number(v).filter(|n| n.hundredths > 0)
            })?;
        if discount_percent.is_some() && discount_amount.is_some() {
            return Err(Wrong(format!(
                "metadata has both {} and {}. Allowed is one of them. Remove the other and set the status again.",
                key("discount_percent"),
                key("discount_amount")
            )));
        }
        Ok(Terms {
            discount_percent,
            discount_amount,
            max_uses: self.read_key(&key("max_uses"), "a whole number from 1 to 1000000", |v| {
                number(v).filter(|n| n.is_whole() && (100..=100_000_000).contains(&n.hundredths))
            })?,
            expires_at: self.read_key(
                &key("expires_at"),
                "a date like 2026-12-31, or a time with its offset like 2026-12-31T23:59:00Z",
                |v| Expiry::parse(&text(v)?),
            )?,
            description: self.read_key(&key("description"), "a text of at most 500 characters in one line", |v| {
                text(v).filter(|t| t.chars().count() <= 500 && !t.chars().any(char::is_control))
            })?,
        })
    }

    fn new_code(&self, code: &str, is_taken: bool) -> Result<String, Wrong> {
        let new_code = read_code("metadata.new_code", self.get("new_code"))?;
        if new_code == code {
            return Err(Wrong(format!(
                "metadata.new_code is \"{new_code}\", which is the code's present name. Choose another and set the status again."
            )));
        }
        if is_taken {
            return Err(Wrong(format!(
                "metadata.new_code is \"{new_code}\", which another row has already. Choose another and set the status again."
            )));
        }
        Ok(new_code)
    }

    fn discount_id(&self) -> Result<Option<String>, Wrong> {
        self.read_key("fienta_discount_id", "Fienta's number of the discount, like 123456, or nothing", |v| {
            text_or_number(v).filter(|id| is_id(id) && !id.contains('.'))
        })
    }
}

/// The content of a JSON string.
pub(super) fn text(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

/// The content of a JSON string, or the digits of a JSON number as they were written.
pub(super) fn text_or_number(value: &RawValue) -> Option<String> {
    let json = value.get();
    let is_number = json.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    if is_number { Some(json.to_owned()) } else { text(value) }
}

fn number(value: &RawValue) -> Option<Decimal> {
    Decimal::parse(text_or_number(value)?.trim())
}

/// A wrong value as it is shown back: the beginning of its JSON, without addresses and phone numbers.
pub(super) struct Shown<'a>(pub(super) Option<&'a RawValue>);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(value) => {
                // No more than it takes, before looking for addresses: the value may be megabytes.
                let beginning: String = value.get().chars().take(4 * SHOWN_CHARS_MAX).collect();
                f.write_str(&redact::cut(&redact::personal(&beginning), SHOWN_CHARS_MAX))
            }
            None => f.write_str("missing"),
        }
    }
}

#[cfg(test)]
mod tests;
