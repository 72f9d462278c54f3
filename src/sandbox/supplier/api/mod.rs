//! The suppliers' own words: what each checks and answers, and how each calls back.

mod at_ishare;
mod codecraft;
mod spfastit;
mod hubnet;
mod xpress;

use std::collections::HashMap;

use axum::http::HeaderMap;
use serde_json::Value;

use super::SupplierArgs;
use super::fault::At;
use super::shop::{Order, Refusal, Repeat, Wish};

/// One supplier.
pub(super) trait Api: Sync {
    /// The first part of its paths.
    fn name(&self) -> &'static str;

    /// What a request is for; nothing where there is nothing at its path.
    fn purpose(&self, incoming: &Incoming<'_>) -> Option<At>;

    /// Checks a request as the real one does, and reads it; or the refusal.
    fn read(&self, args: &SupplierArgs, incoming: &Incoming<'_>) -> Result<Asked, Reply>;

    /// What it makes of a reference that it has seen.
    fn repeat(&self) -> Repeat;

    /// The answer to a purchase that was taken.
    fn bought(&self, order: &Order, is_repeat: bool, wallet: u64) -> Reply;

    /// The answer to one that was not.
    fn refused(&self, refusal: Refusal) -> Reply;

    /// The answer to a look-up.
    fn stands(&self, order: Option<&Order>) -> Reply;

    /// What it calls back with, under this secret; nothing where it does not call back.
    fn callback(&self, order: &Order, url: &str, secret: Option<&str>) -> Option<Told>;
}

/// A request as it came.
pub(super) struct Incoming<'a> {
    pub(super) method: &'a str,
    /// Without the supplier's name.
    pub(super) path: &'a str,
    pub(super) query: &'a HashMap<String, String>,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
}

/// What a request asks.
pub(super) enum Asked {
    Purchase(Wish),
    /// By the supplier's number or our reference.
    LookUp(String),
}

/// An answer.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) json: String,
}

/// A callback.
pub(super) struct Told {
    pub(super) url: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
}

/// The supplier of that name.
pub(super) fn named(name: &str) -> Option<&'static dyn Api> {
    let all: [&'static dyn Api; 5] =
        [&at_ishare::AtIshare, &codecraft::CodeCraft, &spfastit::SpFastIt, &hubnet::Hubnet, &xpress::Xpress];
    all.into_iter().find(|api| api.name() == name)
}

impl Reply {
    fn new(status: u16, body: &Value) -> Self {
        Self { status, json: body.to_string() }
    }
}

impl Incoming<'_> {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(self.body).unwrap_or_default()
    }

    fn form(&self) -> HashMap<String, String> {
        url::form_urlencoded::parse(self.body).into_owned().collect()
    }

    /// Whatever it brings, for the log of requests.
    pub(super) fn content(&self) -> Value {
        let is_form = self.header("content-type").starts_with("application/x-www-form-urlencoded");
        let body = if is_form { serde_json::json!(self.form()) } else { self.json() };
        serde_json::json!({"method": self.method, "path": self.path, "query": self.query, "body": body})
    }
}

/// The digits after the country code of a number that is written like this.
fn national<'a>(number: &'a str, prefix: &str) -> Option<&'a str> {
    let rest = number.strip_prefix(prefix)?;
    (rest.len() == 9 && rest.bytes().all(|byte| byte.is_ascii_digit())).then_some(rest)
}

/// Megabytes of so many gigabytes, with at most three decimals.
fn megabytes(gigabytes: &str) -> Option<u64> {
    let (whole, decimals) = gigabytes.split_once('.').unwrap_or((gigabytes, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 4 || !is_digits(whole) || !is_digits(decimals) || decimals.len() > 3 {
        return None;
    }
    format!("{whole}{decimals:0<3}").parse().ok().filter(|mb| *mb > 0)
}
