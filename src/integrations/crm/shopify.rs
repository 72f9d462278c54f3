//! Shopify: a tier is a tag of the customer's, by the Admin API's GraphQL.
//!
//! `tagsAdd` and `tagsRemove` add to a set and take from it, so that making either twice changes nothing, and other
//! people's tags stay; `customerUpdate` would overwrite them and is never used. Shopify counts in points, says with every
//! answer how many are left, and refuses with HTTP 200 when there are none.

mod answer;
mod session;

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use reqwest::Url;
use reqwest::header::HeaderName;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tracing::warn;

use self::answer::Said;
use super::line::{Line, Purpose, failure};
use super::pace::{Cost, Limit, Pace};
use super::payload::Account;
use super::provider::Change;
use crate::failure::{Failure, Fault};
use crate::integrations::http::Request;
use crate::notice::shopify::Secrets;

pub(super) use self::session::Session;

/// What stands for the shop in `SHOPIFY_API_URL`.
const SHOP: &str = "{shop}";

/// What one call costs: a change ten points, and the search for a customer about as many.
const CALL: f64 = 12.0;

/// A shop's bucket until Shopify has told of it: that of the least plan.
const LEAST: Limit = Limit { per_second: 100.0, burst: 1000.0 };

/// What rowcall needs to know to change tags in Shopify, and to believe its webhooks.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `SHOPIFY_API_URL`
    pub api_url: Template,
    /// `SHOPIFY_ACCESS_TOKEN`
    pub access_token: Option<SecretString>,
    /// `SHOPIFY_WEBHOOK_SECRET`. Not needed to change tags.
    pub webhook: Option<Secrets>,
}

impl Settings {
    /// What one call costs, how many an operation may make, and how a shop's bucket is filled.
    pub(super) fn cost(change: Option<Change>) -> Cost {
        let calls = if change == Some(Change::Upgrade) { 3.0 } else { 2.0 };
        Cost { call: CALL, calls, usual: LEAST }
    }
}

/// The address of the Admin API, with `{shop}` for the shop's name and with the version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(String);

impl Template {
    /// Nothing unless the shop stands in it and makes it an http or https address.
    pub fn new(text: &str) -> Option<Self> {
        let template = Self(text.trim().to_owned());
        (template.0.contains(SHOP) && template.url("shop").is_some()).then_some(template)
    }

    fn url(&self, shop: &str) -> Option<Url> {
        let url = Url::parse(&self.0.replace(SHOP, shop)).ok()?;
        (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
    }

    /// The version that is asked for.
    fn version(&self) -> Option<&str> {
        self.0.split("/api/").nth(1)?.split('/').next()
    }
}

/// Shops that answered with another version than was asked for, and were told of.
#[derive(Debug, Default)]
pub(super) struct Versions(Mutex<HashSet<String>>);

/// The way into one shop.
pub(super) struct Access<'a> {
    settings: &'a Settings,
    shop: &'a str,
    target: &'a str,
    token: SecretString,
    pace: &'a Pace,
    versions: &'a Versions,
}

impl<'a> Access<'a> {
    /// By the client's own token where it has one, else by the environment's.
    pub(super) fn new(
        settings: &'a Settings,
        account: &Account,
        (shop, target): (&'a str, &'a str),
        pace: &'a Pace,
        versions: &'a Versions,
    ) -> Result<Self, Failure> {
        let own = account.credentials.as_ref().and_then(|own| own.access_token.clone());
        let Some(token) = own.or_else(|| settings.access_token.clone()) else {
            let what = "Shopify is not configured: memberships wait until SHOPIFY_ACCESS_TOKEN is set, or the client has \
                        credentials of its own.";
            return Err(failure(Fault::Configuration, what));
        };
        Ok(Self { settings, shop, target, token, pace, versions })
    }

    /// The `data` of what Shopify answers.
    async fn ask(
        &self,
        line: &mut Line<'_>,
        document: &str,
        variables: &Value,
        purpose: Purpose,
    ) -> Result<Value, Failure> {
        let url = self.settings.api_url.url(self.shop).ok_or_else(|| unusable("SHOPIFY_API_URL"))?;
        let request = Request::post_json(url, &json!({"query": document, "variables": variables}))
            .with_header(HeaderName::from_static("x-shopify-access-token"), self.token.expose_secret())
            .map_err(|_| unusable("SHOPIFY_ACCESS_TOKEN"))?;
        let answer = line.call(request, purpose).await?;
        self.versions.compare(self.shop, self.settings.api_url.version(), answer.header("x-shopify-api-version"));
        let said = Said::of(&answer);
        if let Some(status) = said.throttle_status() {
            self.pace.told(self.target, status.limit(), status.level());
        }
        said.judge(&answer, purpose, &line.private)
    }
}

impl Versions {
    /// An expired version falls forward without a word, to one whose answers may be others.
    fn compare(&self, shop: &str, asked: Option<&str>, answered: Option<&str>) {
        let (Some(asked), Some(answered)) = (asked, answered) else { return };
        if asked != answered && self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(shop.to_owned()) {
            warn!(
                shop,
                asked, answered, "Shopify answers with another API version; set SHOPIFY_API_URL to one that it has"
            );
        }
    }
}

fn unusable(setting: &str) -> Failure {
    let what = format!("{setting} cannot be used as it is; memberships wait until it is right.");
    failure(Fault::Configuration, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_needs_a_place_for_the_shop() {
        let usual = Template::new("https://{shop}.myshopify.com/admin/api/2026-01/graphql.json").unwrap();
        let url = "https://one-shop.myshopify.com/admin/api/2026-01/graphql.json";
        assert_eq!(usual.url("one-shop").unwrap().as_str(), url);
        assert_eq!(usual.version(), Some("2026-01"));
        for wrong in ["https://one.myshopify.com/graphql.json", "ftp://{shop}.example.com", "{shop}", ""] {
            assert_eq!(Template::new(wrong), None, "{wrong}");
        }
    }
}
