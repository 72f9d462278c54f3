//! What a job asks for: one reply to one contact, checked before anybody outside hears of it.
//!
//! The shape is `sql/queues/actions/claim.sql`'s. Whatever is wrong here is wrong with the row or with its template, and a
//! repeat would not mend it. What Postgres can hold and Rust cannot (a number beyond any float, a time before the calendar)
//! is none of it: a customer's JSON is passed on unread, and such a time is not known.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::job::Job;

/// The longest text that WhatsApp takes, in characters.
pub(super) const TEXT_CHARS_MAX: usize = 4096;

/// Free text is taken for so long after the contact's last message.
const WINDOW: SignedDuration = SignedDuration::from_hours(24);

/// One reply, as `claim.sql` built it.
#[derive(Deserialize)]
pub(super) struct Payload {
    pub(super) action_type: String,
    pub(super) outcome: String,
    #[serde(default)]
    pub(super) language: Option<String>,
    pub(super) contact: Contact,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    pub(super) user_response: Option<String>,
    #[serde(default)]
    pub(super) details: Option<Box<RawValue>>,
    #[serde(default)]
    pub(super) approved_template: Option<ApprovedTemplate>,
    #[serde(default)]
    missing: Option<String>,
}

/// Who is answered.
#[derive(Deserialize)]
pub(super) struct Contact {
    #[serde(default)]
    phone: Option<String>,
    #[serde(default)]
    pub(super) name: Option<String>,
    #[serde(default, deserialize_with = "known")]
    last_inbound_at: Option<Timestamp>,
}

/// A message template that WhatsApp has approved, with what fills its body.
#[derive(Clone, Deserialize)]
pub(super) struct ApprovedTemplate {
    pub(super) name: String,
    pub(super) language: String,
    #[serde(default)]
    pub(super) parameters: Vec<String>,
}

/// A phone number in E.164's digits, without the plus sign.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Phone(String);

/// What is wrong with the row, in words for the person who looks at it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Wrong {
    #[error(
        "The queue operation {0:?} is not known here; this is a bug, or the database's schema is newer than the worker."
    )]
    Operation(String),
    #[error("The reply cannot be read: its payload lacks something or has it in another form; run rowcall migrate.")]
    Payload,
    #[error("The contact has no phone number; enter one in contacts, then use rowcall.retry.")]
    NoPhone,
    #[error(
        "The contact's phone number is not an international one, like +1 650 555 1234 with its country code; correct it \
         in contacts, then use rowcall.retry."
    )]
    Phone,
    #[error("There is no text to send: {0}; then use rowcall.retry.")]
    NoText(String),
    #[error(
        "The reply is {0} characters long and WhatsApp takes {TEXT_CHARS_MAX}; shorten the response or its template, then \
         use rowcall.retry."
    )]
    TooLong(usize),
}

impl Phone {
    /// Reads a number as people write them; nothing unless it is international.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits: String = text.trim().chars().filter(|c| !" -.()\u{a0}".contains(*c)).collect();
        let digits = digits.strip_prefix('+').unwrap_or(&digits);
        let is_international = (7..=15).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0');
        is_international.then(|| Self(digits.to_owned()))
    }

    pub(super) fn digits(&self) -> &str {
        &self.0
    }
}

impl Payload {
    pub(super) fn of(job: &Job) -> Result<Self, Wrong> {
        if job.operation != "reply" {
            return Err(Wrong::Operation(job.operation.chars().take(40).collect()));
        }
        // The parser's own words would quote the payload.
        job.payload().map_err(|_| Wrong::Payload)
    }

    pub(super) fn phone(&self) -> Result<Phone, Wrong> {
        let written = self.contact.phone.as_deref().map(str::trim).filter(|phone| !phone.is_empty());
        Phone::parse(written.ok_or(Wrong::NoPhone)?).ok_or(Wrong::Phone)
    }

    /// What of it may be nobody's but the contact's, beside the text.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let parameters = self.approved_template.iter().flat_map(|template| &template.parameters);
        parameters.map(String::as_str).chain(self.user_response.as_deref())
    }

    /// The rendered template, as it can be sent.
    pub(super) fn text(&self) -> Result<String, Wrong> {
        let text = self.text.as_deref().map(sendable).filter(|text| !text.is_empty());
        let Some(text) = text else {
            let why = self.missing.as_deref().map(|why| why.trim().trim_end_matches('.')).filter(|why| !why.is_empty());
            let why = why.unwrap_or("write a template for it in response_templates");
            return Err(Wrong::NoText(why.to_owned()));
        };
        match text.chars().count() {
            length if length > TEXT_CHARS_MAX => Err(Wrong::TooLong(length)),
            _ => Ok(text),
        }
    }

    /// Whether the contact is known to have been silent for so long that free text is refused. When nothing is known of
    /// the contact's messages, the provider decides.
    pub(super) fn is_window_closed(&self, now: Timestamp) -> bool {
        self.contact.last_inbound_at.is_some_and(|at| now.duration_since(at) > WINDOW)
    }
}

impl ApprovedTemplate {
    /// The same with parameters as WhatsApp takes them: one line each, and no long runs of spaces.
    pub(super) fn sendable(&self) -> Self {
        let tidy = |text: &String| sendable(text).split_whitespace().collect::<Vec<_>>().join(" ");
        Self { parameters: self.parameters.iter().map(tidy).collect(), ..self.clone() }
    }

    /// What was sent, for the conversation: the template's own words are known to the provider alone.
    pub(super) fn shown(&self) -> String {
        let Self { name, language, parameters } = self;
        let filling = if parameters.is_empty() { String::new() } else { format!(": {}", parameters.join(" · ")) };
        format!("[{name} {language}]{filling}")
    }
}

/// A time; nothing where it is infinite or outside the years that are counted here.
fn known<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.and_then(|text| text.parse().ok()))
}

/// The text without control characters, line breaks and tabs apart, and without space around it.
pub(super) fn sendable(text: &str) -> String {
    let kept: String = text.replace("\r\n", "\n").chars().filter(|c| !c.is_control() || "\n\t".contains(*c)).collect();
    kept.trim().to_owned()
}

#[cfg(test)]
mod tests;
