//! What a job asks for: one bundle for one number, checked before anybody outside hears of it.
//!
//! The shape is the claim's; `mod.rs` has it. Whatever is wrong here is wrong with the order, and a repeat would not mend it.

use std::borrow::Cow;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::bundle::{Bundle, tidy_package};
use super::number::Number;
use super::profile::{Idempotent, Literal, Profile};
use super::template::Place;
use crate::job::Job;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Purchase,
    LookUp,
}

/// The payload, as the claim built it.
#[derive(Deserialize)]
struct Payload {
    reference: String,
    #[serde(default)]
    phone_number: Option<String>,
    #[serde(default)]
    package: Option<String>,
    /// As it stands, for a number of JSON would become a float.
    #[serde(default)]
    amount: Option<Box<RawValue>>,
    #[serde(default)]
    network: Option<String>,
    #[serde(default)]
    supplier: Option<String>,
    #[serde(default)]
    provider_reference: Option<String>,
    #[serde(default)]
    accepted_at: Option<Timestamp>,
    #[serde(default)]
    created_at: Option<Timestamp>,
    #[serde(default)]
    doubted_at: Option<Timestamp>,
    #[serde(default)]
    now: Option<Timestamp>,
}

/// One order. Without debug output: it holds a number.
pub(super) struct Order {
    pub(super) operation: Operation,
    payload: Payload,
    now: Timestamp,
}

/// What a purchase says of its order.
pub(super) struct Purchase {
    number: String,
    volume: Option<String>,
    package: Value,
    network: Option<Value>,
    amount: Option<Amount>,
    /// The number does not begin as this network's do.
    pub(super) is_ported: bool,
}

/// Money as it is written, and in the smallest unit.
struct Amount {
    decimal: String,
    minor: i64,
}

/// What is wrong with the order, in words for the person who looks at it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Wrong {
    #[error(
        "The queue operation {0:?} is not known here; this is a bug, or the database's schema is newer than the worker."
    )]
    Operation(String),
    #[error("The order cannot be read: its payload lacks something or has it in another form; run rowcall migrate.")]
    Payload,
    #[error("The order has no phone number; enter one, then use rowcall.retry.")]
    NoNumber,
    #[error(
        "The order's phone number is not a mobile number of Ghana, like 024 123 4567 or +233 24 123 4567; correct it, then \
         use rowcall.retry."
    )]
    Number,
    #[error("The order has no package; enter one such as 1GB, then use rowcall.retry.")]
    NoPackage,
    #[error("The order's package is not a size such as 1GB or 500MB; correct it, then use rowcall.retry.")]
    Package,
    #[error("The supplier's unit has no exact number for the order's package; correct it, or the profile's volume.")]
    Inexact,
    #[error("The profile's packages do not have the order's package; enter it there, or correct the order.")]
    UnknownPackage,
    #[error("The order's network is not among the profile's networks; enter it there, or correct the order.")]
    Network,
    #[error("The order's amount is not a sum of money with at most two decimals, like 4.50; correct it.")]
    Amount,
    #[error(
        "The order's reference cannot be written as this supplier takes it, see reference in its profile: derive it as \
         ${{sha256:20}} where orders have no UUID."
    )]
    Reference,
}

impl Order {
    /// The order of a job.
    pub(super) fn of(job: &Job) -> Result<Self, Wrong> {
        let operation = match job.operation.as_str() {
            "purchase" => Operation::Purchase,
            "look_up" => Operation::LookUp,
            other => return Err(Wrong::Operation(other.chars().take(40).collect())),
        };
        // The parser's own words would quote the payload.
        let payload: Payload = job.payload().map_err(|_| Wrong::Payload)?;
        let now = payload.now.unwrap_or_else(Timestamp::now);
        Ok(Self { operation, payload, now })
    }

    pub(super) fn is_purchase(&self) -> bool {
        self.operation == Operation::Purchase
    }

    /// Our reference as this supplier takes it.
    pub(super) fn reference(&self, profile: &Profile) -> Result<String, Wrong> {
        let rule = &profile.reference;
        let reference = rule.derive.derive(self.payload.reference.trim()).ok_or(Wrong::Reference)?;
        let is_plain = rule.charset.as_ref().map_or_else(
            || reference.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte)),
            |charset| charset.takes(&reference),
        );
        let fits = (rule.min_len..=rule.max_len).contains(&reference.chars().count());
        if is_plain && fits { Ok(reference) } else { Err(Wrong::Reference) }
    }

    /// The supplier's number of the order, as far as it is known.
    pub(super) fn provider_reference(&self) -> Option<String> {
        self.payload.provider_reference.as_deref().and_then(plain_reference)
    }

    /// The supplier that the last purchase went to, as far as that is known.
    pub(super) fn supplier(&self) -> Option<&str> {
        self.payload.supplier.as_deref()
    }

    /// How long ago the supplier took the order.
    pub(super) fn accepted_for(&self) -> Option<Duration> {
        self.payload.accepted_at.map(|at| self.since(at))
    }

    /// How long nobody has known whether it was bought: from now, where that is new.
    pub(super) fn doubted_for(&self) -> Duration {
        self.payload.doubted_at.map(|at| self.since(at)).unwrap_or_default()
    }

    /// Whether a second purchase under the same reference is the first one, still; `is_uncertain`: there may be a first one.
    pub(super) fn repeats_safely(&self, profile: &Profile, is_uncertain: bool) -> bool {
        let Idempotent { by_reference, window_h } = profile.idempotent;
        // Where it is not known since when, the order's own age is at least as long.
        let began_at = self.payload.doubted_at.or(self.payload.created_at);
        let is_within = |hours| began_at.is_some_and(|at| self.since(at) < Duration::from_hours(hours));
        by_reference && (!is_uncertain || window_h.is_none_or(is_within))
    }

    fn since(&self, at: Timestamp) -> Duration {
        Duration::try_from(self.now.duration_since(at)).unwrap_or_default()
    }

    /// The package as a log may tell it.
    pub(super) fn package(&self) -> &str {
        self.payload.package.as_deref().map(str::trim).unwrap_or_default()
    }

    /// The recipient's number in every form, so that it can be cut out of what a supplier says.
    pub(super) fn digits(&self) -> Vec<String> {
        use super::number::NumberFormat::{International, Local};
        let written = self.payload.phone_number.as_deref().unwrap_or_default();
        let forms = Number::parse(written).map(|number| [Local, International].map(|form| number.written(form)));
        forms.into_iter().flatten().chain([written.to_owned()]).collect()
    }

    /// What the purchase says, in the supplier's words.
    pub(super) fn purchase(&self, profile: &Profile) -> Result<Purchase, Wrong> {
        let written = self.payload.phone_number.as_deref().map(str::trim).filter(|number| !number.is_empty());
        let number = Number::parse(written.ok_or(Wrong::NoNumber)?).ok_or(Wrong::Number)?;
        if self.package().is_empty() {
            return Err(Wrong::NoPackage);
        }
        let places = profile.places_bought();
        let volume = if places.contains(&Place::Volume) {
            let bundle = Bundle::parse(self.package()).ok_or(Wrong::Package)?;
            Some(bundle.written(&profile.volume).ok_or(Wrong::Inexact)?)
        } else {
            None
        };
        let package = match profile.packages.get(&tidy_package(self.package())) {
            Some(known) => known.value().clone(),
            None if profile.packages.is_empty() => self.package().into(),
            None => return Err(Wrong::UnknownPackage),
        };
        let network = match (self.payload.network.as_deref().map(str::trim), profile.networks.is_empty()) {
            (Some(network), true) => Some(network.into()),
            (Some(network), false) => {
                Some(profile.networks.get(network).map(Literal::value).cloned().ok_or(Wrong::Network)?)
            }
            (None, true) => None,
            (None, false) => return Err(Wrong::Network),
        };
        let is_ported = !number.begins_like(&profile.msisdn_prefixes);
        let number = number.written(profile.msisdn_format);
        // What nobody is told is nobody's fault.
        let is_told = places.contains(&Place::Amount) || places.contains(&Place::AmountMinor);
        let amount = self.payload.amount.as_deref().map(RawValue::get).filter(|text| is_told && *text != "null");
        let amount = amount.map(|text| Amount::parse(text).ok_or(Wrong::Amount)).transpose()?;
        Ok(Purchase { number, volume, package, network, amount, is_ported })
    }
}

impl Purchase {
    /// What fills a place, where the order has it.
    pub(super) fn value(&self, place: Place) -> Option<Value> {
        match place {
            Place::Msisdn => Some(self.number.as_str().into()),
            Place::Volume => self.volume.as_deref().map(Into::into),
            Place::Package => Some(self.package.clone()),
            Place::Network => self.network.clone(),
            Place::Amount => self.amount.as_ref().map(|amount| amount.decimal.as_str().into()),
            Place::AmountMinor => self.amount.as_ref().map(|amount| amount.minor.into()),
            _ => None,
        }
    }
}

impl Amount {
    /// Reads `4.50`, in quotation marks or without.
    fn parse(json: &str) -> Option<Self> {
        let text: Cow<'_, str> =
            if json.starts_with('"') { serde_json::from_str::<String>(json).ok()?.into() } else { json.into() };
        let decimal = text.trim().to_owned();
        let (whole, decimals) = decimal.split_once('.').unwrap_or((&decimal, ""));
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let cents = decimals.trim_end_matches('0');
        let is_money = (1..=12).contains(&whole.len()) && is_digits(whole) && is_digits(decimals) && cents.len() <= 2;
        if !is_money || decimal.ends_with('.') {
            return None;
        }
        let minor = format!("{whole}{cents:0<2}").parse().ok()?;
        Some(Self { decimal, minor })
    }
}

/// A supplier's number of an order, if it is one that can be told back: printed signs, and not only dots.
pub(super) fn plain_reference(text: &str) -> Option<String> {
    let is_plain = (1..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && text.bytes().any(|byte| byte.is_ascii_alphanumeric());
    is_plain.then(|| text.to_owned())
}

#[cfg(test)]
mod tests;
