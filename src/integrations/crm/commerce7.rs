//! Commerce7: clubs and memberships, by REST. `{COMMERCE7_API_URL}/customer`, `/club-membership`, `/order`.
//!
//! It has no idempotency key, so the memberships are listed before one is made, and again after one that got no answer;
//! the search for customers finds whatever resembles an e-mail address, so addresses are compared here; and every request
//! names its tenant. A membership needs an address and a card: those of an earlier membership, or else the customer's
//! default ones; where there are none, Commerce7 says so, and the row does too.

mod answer;
mod order;
mod session;
mod shape;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::Url;
use reqwest::header::HeaderName;
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::line::{Line, Purpose, failure};
use super::pace::{Cost, Limit};
use super::payload::Account;
use super::provider::Change;
use crate::failure::{Failure, Fault};
use crate::integrations::http::{Request, join};
use crate::notice::commerce7::Login;

pub(super) use self::session::Session;

/// Commerce7 counts a hundred calls a minute: with so many at once, ninety a minute never come to more.
const CALLS_BURST: f64 = 10.0;

/// The longest page that it gives.
const PAGE: usize = 50;

/// So many pages are looked through.
const PAGES_MAX: usize = 5;

/// What rowcall needs to know to change memberships in Commerce7, and to believe its webhooks.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `COMMERCE7_API_URL`: with the version.
    pub api_url: Url,
    /// `COMMERCE7_APP_ID`
    pub app_id: Option<String>,
    /// `COMMERCE7_KEY`: the app's secret.
    pub key: Option<SecretString>,
    /// `COMMERCE7_CALLS_PER_MINUTE`: of one tenant.
    pub calls_per_minute: u32,
    /// `COMMERCE7_CANCELLATION_REASON`: one of those that Commerce7 has.
    pub cancellation_reason: String,
    /// `COMMERCE7_WEBHOOK_USER`, `COMMERCE7_WEBHOOK_PASSWORD`. Not needed to change memberships.
    pub webhook: Option<Login>,
}

impl Settings {
    /// What must be set beside, where the environment has the credentials.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        let needed = [("COMMERCE7_APP_ID", self.app_id.is_none()), ("COMMERCE7_KEY", self.key.is_none())];
        needed.iter().filter(|(_, is_missing)| *is_missing).map(|(name, _)| *name).collect()
    }

    /// What one call costs, how many an operation may make, and how a tenant's bucket is filled.
    pub(super) fn cost(&self, change: Option<Change>) -> Cost {
        let calls = match change {
            // Search, create the customer, list, look up address and card, create.
            Some(Change::Add) => 6.0,
            // Search, list, look for what was made, cancel, look again.
            Some(Change::Cancel) => 5.0,
            Some(Change::Upgrade) => 9.0,
            // The order, and its customer.
            None => 2.0,
        };
        Cost { call: 1.0, calls, usual: self.limit() }
    }

    /// In calls.
    pub(super) fn limit(&self) -> Limit {
        Limit { per_second: f64::from(self.calls_per_minute) / 60.0, burst: CALLS_BURST }
    }
}

/// The way into one tenant.
pub(super) struct Access<'a> {
    settings: &'a Settings,
    tenant: &'a str,
    authorization: SecretString,
}

impl<'a> Access<'a> {
    /// By the client's own credentials where it has any, else by the environment's.
    pub(super) fn new(settings: &'a Settings, account: &Account, tenant: &'a str) -> Result<Self, Failure> {
        let own = account.credentials.as_ref().filter(|own| own.key.is_some());
        let app_id = own.and_then(|own| own.app_id.as_ref()).or(settings.app_id.as_ref());
        let key = own.map_or(settings.key.as_ref(), |own| own.key.as_ref());
        let (Some(app_id), Some(key)) = (app_id, key) else {
            let what = "Commerce7 is not configured: memberships wait until COMMERCE7_APP_ID and COMMERCE7_KEY are set, \
                        or the client has credentials of its own.";
            return Err(failure(Fault::Configuration, what));
        };
        let pair = SecretString::from(format!("{app_id}:{}", key.expose_secret()));
        let authorization = SecretString::from(BASE64_STANDARD.encode(pair.expose_secret()));
        Ok(Self { settings, tenant, authorization })
    }

    fn url(&self, parts: &[&str], query: &[(&str, &str)]) -> Result<Url, Failure> {
        let mut url = join(&self.settings.api_url, parts).ok_or_else(|| unusable("COMMERCE7_API_URL"))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    /// What Commerce7 answers; nothing where it says that it is not there.
    async fn ask<T: DeserializeOwned>(
        &self,
        line: &mut Line<'_>,
        request: Request,
        purpose: Purpose,
    ) -> Result<Option<T>, Failure> {
        let request = request
            .authorized("Basic", self.authorization.expose_secret())
            .and_then(|request| request.with_header(HeaderName::from_static("tenant"), self.tenant))
            .map_err(|_| unusable("COMMERCE7_KEY"))?;
        let answer = line.call(request, purpose).await?;
        let value = answer::judge(&answer, purpose, &line.private)?;
        value.map(|value| serde_json::from_value(value).map_err(|_| answer::strange(purpose))).transpose()
    }

    async fn get<T: DeserializeOwned>(&self, line: &mut Line<'_>, parts: &[&str]) -> Result<Option<T>, Failure> {
        self.ask(line, Request::get(self.url(parts, &[])?), Purpose::Look).await
    }

    /// Everything on a list, page by page.
    async fn list<T: DeserializeOwned>(
        &self,
        line: &mut Line<'_>,
        path: &str,
        name: &str,
        filter: (&str, &str),
    ) -> Result<Vec<T>, Failure> {
        let (limit, mut all) = (PAGE.to_string(), Vec::new());
        for page in 1..=PAGES_MAX {
            let url = self.url(&[path], &[filter, ("limit", &limit), ("page", &page.to_string())])?;
            let answer: Option<Value> = self.ask(line, Request::get(url), Purpose::Look).await?;
            let mut answer = answer.ok_or_else(|| unusable("COMMERCE7_API_URL"))?;
            let total = answer["total"].as_u64().and_then(|total| usize::try_from(total).ok());
            let items: Vec<T> =
                serde_json::from_value(answer[name].take()).map_err(|_| answer::strange(Purpose::Look))?;
            let is_full = items.len() >= PAGE;
            all.extend(items);
            if !is_full || total.is_some_and(|total| all.len() >= total) {
                return Ok(all);
            }
        }
        let what = format!(
            "Commerce7 finds more than {} {name} for this customer, and not all of them can be looked through. Enter the \
             customer's id in the CRM, then use rowcall.retry.",
            PAGE * PAGES_MAX
        );
        Err(failure(Fault::Item, what))
    }
}

fn unusable(setting: &str) -> Failure {
    let what = format!("{setting} cannot be used as it is; memberships wait until it is right.");
    failure(Fault::Configuration, what)
}
