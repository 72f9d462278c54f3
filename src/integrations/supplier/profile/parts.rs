//! The values of a profile, each checked as it is read, so that an error names its key.

use std::collections::BTreeMap;
use std::fmt;

use regex::Regex;
use reqwest::Url;
use reqwest::header::HeaderName;
use serde::Deserialize;
use serde_json::Value;

use crate::integrations::supplier::template::{Place, Template};

/// An address of an API. Its debug output shows its scheme and host, for a path may hold a key.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Address(Url);

impl TryFrom<String> for Address {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let url = Url::parse(text.trim()).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let url = url.ok_or("an http or https address")?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("an address without a password: what is secret stands in AT_ISHARE_API_KEY and …_SECRET");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("an address without ? and #; what every request adds to it stands in auth");
        }
        Ok(Self(url))
    }
}

impl Address {
    /// The address.
    pub(in crate::integrations::supplier) fn url(&self) -> &Url {
        &self.0
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.0.scheme(), self.0.host_str().unwrap_or_default())
    }
}

/// The name of a header.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Header(pub HeaderName);

impl TryFrom<String> for Header {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let name = HeaderName::try_from(text).map_err(|_| "the name of an HTTP header, such as X-API-Key")?;
        // These are the connection's, and another value would break it.
        match name.as_str() {
            "host" | "content-length" | "content-type" | "transfer-encoding" | "connection" => {
                Err("another header: this one is set by the connection itself")
            }
            _ => Ok(Self(name)),
        }
    }
}

/// Where a value stands in JSON, as RFC 6901 writes it: `/data/0/status`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Pointer(String);

impl TryFrom<String> for Pointer {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.starts_with('/') && text.len() > 1 {
            Ok(Self(text))
        } else {
            Err("a JSON pointer, such as /data/status")
        }
    }
}

impl Pointer {
    /// What stands there; null is nothing.
    pub(in crate::integrations::supplier) fn find<'j>(&self, json: &'j Value) -> Option<&'j Value> {
        json.pointer(&self.0).filter(|value| !value.is_null())
    }

    /// The same as a text: a text, a number or a truth value, nothing else.
    pub(in crate::integrations::supplier) fn text(&self, json: &Value) -> Option<String> {
        match self.find(json)? {
            Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            other @ (Value::Number(_) | Value::Bool(_)) => Some(other.to_string()),
            _ => None,
        }
    }
}

/// A regular expression. It is searched for; `^` and `$` bind it.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Pattern(Regex);

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Regex::new(&text).map(Self).map_err(|error| one_line(&error.to_string()))
    }
}

impl Pattern {
    pub(in crate::integrations::supplier) fn is_in(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

/// Which characters a text may have: `[A-Za-z0-9-]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Charset(Regex);

impl TryFrom<String> for Charset {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_class = text.starts_with('[') && text.ends_with(']');
        let class = is_class.then(|| Regex::new(&format!("^{text}*$")).ok()).flatten();
        class.map(Self).ok_or("a class of characters, such as [A-Za-z0-9-]")
    }
}

impl Charset {
    pub(in crate::integrations::supplier) fn takes(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

/// What an answer must say.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// Where; one of several places will do.
    pub pointer: Several<Pointer>,
    /// What; one of several values will do. Without it, that anything stands there.
    #[serde(default)]
    pub equals: Option<Several<Literal>>,
}

impl Condition {
    pub(in crate::integrations::supplier) fn holds(&self, json: &Value) -> bool {
        self.pointer
            .0
            .iter()
            .filter_map(|pointer| pointer.find(json))
            .any(|found| self.equals.as_ref().is_none_or(|equals| equals.0.iter().any(|literal| literal.0 == *found)))
    }

    /// Whether it does not hold because the supplier says `false` there, or `error`. What is merely another value, such as
    /// `"true"` for `true`, denies nothing.
    pub(in crate::integrations::supplier) fn is_denied(&self, json: &Value) -> bool {
        let is_no = |found: &Value| match found {
            Value::Bool(truth) => !truth,
            Value::Number(number) => number.as_i64() == Some(0),
            Value::String(text) => DENIALS.contains(&text.trim().to_lowercase().as_str()),
            _ => false,
        };
        !self.holds(json) && self.pointer.0.iter().filter_map(|pointer| pointer.find(json)).any(is_no)
    }
}

/// What stands in the place of a success where there is none.
const DENIALS: [&str; 9] = ["false", "0", "no", "error", "fail", "failed", "failure", "rejected", "declined"];

/// One, or a list of them.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "toml::Value", bound = "T: serde::de::DeserializeOwned")]
pub struct Several<T>(pub Vec<T>);

impl<T: serde::de::DeserializeOwned> TryFrom<toml::Value> for Several<T> {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<Self, String> {
        let values = match value {
            toml::Value::Array(values) if values.is_empty() => return Err("at least one".to_owned()),
            toml::Value::Array(values) => values,
            one => vec![one],
        };
        let read = |value: toml::Value| value.try_into().map_err(|error: toml::de::Error| one_line(error.message()));
        values.into_iter().map(read).collect::<Result<_, _>>().map(Self)
    }
}

/// A text, a whole number or a truth value. The comparison with an answer is strict: `200` is not `"200"`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "toml::Value")]
pub struct Literal(Value);

impl TryFrom<toml::Value> for Literal {
    type Error = &'static str;

    fn try_from(value: toml::Value) -> Result<Self, Self::Error> {
        match value {
            toml::Value::String(text) => Ok(Self(text.into())),
            toml::Value::Integer(number) => Ok(Self(number.into())),
            toml::Value::Boolean(truth) => Ok(Self(truth.into())),
            _ => Err("a text, a whole number, true or false"),
        }
    }
}

impl Literal {
    pub(in crate::integrations::supplier) fn value(&self) -> &Value {
        &self.0
    }
}

/// A field of a body.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "toml::Value")]
pub enum Field {
    /// Text with places to fill.
    Text(Template),
    /// As it stands.
    Literal(Value),
    /// A list.
    List(Vec<Field>),
    /// An object.
    Object(BTreeMap<String, Field>),
}

impl TryFrom<toml::Value> for Field {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<Self, String> {
        Ok(match value {
            toml::Value::String(text) => Self::Text(Template::try_from(text)?),
            toml::Value::Array(values) => Self::List(values.into_iter().map(Self::try_from).collect::<Result<_, _>>()?),
            toml::Value::Table(table) => {
                let read = |(key, value)| Ok::<_, String>((key, Self::try_from(value)?));
                Self::Object(table.into_iter().map(read).collect::<Result<_, _>>()?)
            }
            other => {
                let literal = Literal::try_from(other);
                Self::Literal(literal.map_err(|_| "a text, a whole number, true, false, a list or a table")?.0)
            }
        })
    }
}

impl Field {
    /// The places anywhere in it.
    pub(super) fn places(&self) -> Vec<Place> {
        match self {
            Self::Text(text) => text.places().collect(),
            Self::Literal(_) => Vec::new(),
            Self::List(fields) => fields.iter().flat_map(Self::places).collect(),
            Self::Object(fields) => fields.values().flat_map(Self::places).collect(),
        }
    }

    pub(super) fn is_flat(&self) -> bool {
        matches!(self, Self::Text(_) | Self::Literal(_))
    }
}

/// What a refusal means, and so what becomes of the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Our account is empty: all orders wait.
    Wallet,
    /// It does not let us in: all orders wait.
    Credentials,
    /// It cannot sell to anybody just now: all orders wait.
    Outage,
    /// It asks for patience.
    Throttled,
    /// This one did not work, and the next attempt may.
    Retry,
    /// This one never will.
    Failed,
    /// It knows this order already.
    Verify,
    /// Nobody can tell.
    Unknown,
}

impl Class {
    /// Whether it leaves open if the order was taken, and so never has it bought again.
    pub(in crate::integrations::supplier) fn is_doubt(self) -> bool {
        matches!(self, Self::Verify | Self::Unknown)
    }
}

/// `[states]`: a supplier's words for how an order stands. A word counts without its case, with `_` for spaces and
/// hyphens, and from the last full stop on: `transfer.Delivered` is `delivered`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct States {
    /// The bundle is there.
    pub delivered: Vec<String>,
    /// On its way.
    pub pending: Vec<String>,
    /// It will not come.
    pub failed: Vec<String>,
    /// It was taken back, or the money was given back.
    pub reversed: Vec<String>,
}

impl Default for States {
    fn default() -> Self {
        let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Self {
            delivered: list(&["delivered", "completed", "successful", "success", "done", "sent"]),
            pending: list(&["pending", "processing", "queued", "submitted", "accepted", "pending_retry", "initiated"]),
            failed: list(&["failed", "cancelled", "rejected", "failed_blocked"]),
            reversed: list(&["refunded", "reversed"]),
        }
    }
}

/// How an order stands with its supplier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The bundle is there.
    Delivered,
    /// On its way.
    Pending,
    /// It will not come.
    Failed,
    /// It was taken back, or the money was given back.
    Reversed,
}

impl State {
    /// The word that stands in a result and in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Pending => "pending",
            Self::Failed => "failed",
            Self::Reversed => "reversed",
        }
    }
}

impl States {
    /// A word as it counts.
    pub(super) fn tidy(word: &str) -> String {
        let end = word.trim().rsplit('.').next().unwrap_or_default();
        end.trim().to_lowercase().replace([' ', '-'], "_")
    }

    /// What a word of the supplier's means; nothing where it is not known.
    pub(in crate::integrations::supplier) fn of(&self, word: &str) -> Option<State> {
        let word = Self::tidy(word);
        let lists = [
            (&self.delivered, State::Delivered),
            (&self.pending, State::Pending),
            (&self.failed, State::Failed),
            (&self.reversed, State::Reversed),
        ];
        lists.into_iter().find(|(words, _)| words.contains(&word)).map(|(_, state)| state)
    }

    /// The same in the answer to a purchase, where `success` may be said of the request: only what can mean nothing else is a
    /// delivery.
    pub(in crate::integrations::supplier) fn of_purchase(&self, word: &str) -> Option<State> {
        let is_sure = ["delivered", "completed"].contains(&Self::tidy(word).as_str());
        self.of(word).map(|state| if state == State::Delivered && !is_sure { State::Pending } else { state })
    }
}

/// The text without line breaks and runs of space.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
