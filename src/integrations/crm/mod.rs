//! Memberships in CRMs: Commerce7's clubs and Shopify's tags follow `crm_sync_queue`.
//!
//! **What `claim.sql` supplies.** Operations: `add_membership`, `cancel_membership`, `upgrade_membership`; `club` is the tier to
//! join or to leave, `previous_club` the one that an upgrade leaves. The payload, null where nothing is known:
//!
//! ```json
//! {"crm_type": "commerce7 | shopify", "client_id": 4, "tenant": "north", "shop": "one-shop",
//!  "customer": {"email": "", "crm_customer_id": "", "first_name": "", "last_name": "", "country_code": ""},
//!  "club": {"crm_club_id": "", "tag": "", "name": "", "pickup_inventory_location_id": ""}, "previous_club": null,
//!  "reason": "", "enrollment_id": 9, "membership_id": "", "unwanted": null, "steps": {"new_membership_id": "", "cancelled_old_at": ""},
//!  "credentials": {"app_id": "", "key": "", "access_token": ""}}
//! ```
//!
//! `membership_id` is what was made when the customer joined the club that is to be left: Commerce7's membership, Shopify's tag.
//! What is `unwanted`, for the reason that stands there, is done without a call.
//!
//! A fourth operation, `fetch_order`, asks Commerce7 again for the order of a webhook: `{"crm_type", "tenant", "order_id",
//! "webhook_id", "event", "credentials"}`. `credentials` come from a table that only the worker's role reads, and count where
//! `CRM_CREDENTIALS` says so; without them those of the environment are used. They are secrets from the moment they are parsed, and a job shows no payload.
//!
//! **What `settle.sql` gets**, with every verdict as far as the attempt came: `{"crm_type", "target", "operation",
//! "crm_customer_id", "crm_membership_id", "steps", "changed", "calls"}`; Shopify's membership is the tag. `steps` belong back into the payload of the next
//! attempt of the same request. `fetch_order` gives `{"crm_type", "target", "notice"}`, and the notice names people: history
//! must not keep it.
//!
//! **Repeats.** Everything looks before it changes anything, or may be done twice, so no outcome is `unknown` and an
//! uncertain job is simply run. A lost answer is looked up at once; what that cannot decide waits, uncertain, and the next
//! attempt looks again. Throttles, outages and refused logins spend no attempt, and their breaker is the tenant's own:
//! `Outcome::target` is `commerce7:<tenant>` or `shopify:<shop>`.

pub mod commerce7;
pub mod shopify;
mod attempt;
mod provider;
mod payload;
mod line;
mod pace;

use futures_util::future::BoxFuture;

use self::attempt::{Attempt, Ended};
use self::pace::Pace;
use self::payload::{OrderPayload, Payload, Wrong};
use self::provider::Change;
use self::shopify::Versions;
use super::http::Http;
use super::{Integration, Limits};
use crate::failure::{Failure, Fault};
use crate::job::Job;
use crate::outcome::Outcome;

/// Which of an upgrade's two steps is first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpgradeOrder {
    /// The new membership, then the old one's end: between them the customer has both.
    AddFirst,
    /// The old one's end first: between them the customer has none.
    CancelFirst,
}

/// Where the credentials of clients are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialsFrom {
    /// In the environment, one pair for every tenant; those with clients are not used.
    Environment,
    /// With each client, in the database; the environment's for those who have none.
    Clients,
}

/// What the integration needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `CRM_CREDENTIALS`
    pub credentials: CredentialsFrom,
    /// `CRM_UPGRADE_ORDER`
    pub upgrade_order: UpgradeOrder,
    /// `COMMERCE7_…`
    pub commerce7: commerce7::Settings,
    /// `SHOPIFY_…`
    pub shopify: shopify::Settings,
}

/// Runs the operations of the queue `crm_sync_queue`.
#[derive(Debug)]
pub struct Crm {
    settings: Settings,
    http: Result<Http, String>,
    pace: Pace,
    versions: Versions,
}

impl Crm {
    /// The integration with these settings.
    pub fn new(settings: Settings) -> Self {
        let http = Http::new().map_err(|_| {
            "TLS could not be set up, for lack of root certificates as a rule; memberships wait until it can."
                .to_owned()
        });
        Self { settings, http, pace: Pace::default(), versions: Versions::default() }
    }

    async fn run(&self, job: &Job, limits: &Limits) -> Result<Ended, Failure> {
        let http = self.http.as_ref().map_err(|missing| Failure::new(Fault::Configuration, missing))?;
        if job.operation == "fetch_order" {
            let mut payload = OrderPayload::of(job)?;
            payload.account.choose(self.settings.credentials);
            return Ok(Attempt::new(self, http, &payload.account, limits)?.fetch(&payload).await);
        }
        let unknown = || Wrong::Operation(job.operation.chars().take(40).collect());
        let change = Change::of(&job.operation).ok_or_else(unknown)?;
        let mut payload = Payload::of(job)?;
        payload.account.choose(self.settings.credentials);
        Ok(Attempt::new(self, http, &payload.account, limits)?.change(change, &payload).await)
    }
}

impl Integration for Crm {
    fn ready(&self) -> Result<(), String> {
        if let Err(missing) = &self.http {
            return Err(missing.clone());
        }
        let Settings { credentials, commerce7, shopify, .. } = &self.settings;
        let is_either = commerce7.missing().is_empty() || shopify.access_token.is_some();
        if is_either || *credentials == CredentialsFrom::Clients {
            return Ok(());
        }
        Err("No CRM is configured: memberships wait until COMMERCE7_APP_ID and COMMERCE7_KEY are set, or \
             SHOPIFY_ACCESS_TOKEN, or CRM_CREDENTIALS=clients."
            .to_owned())
    }

    fn execute<'a>(&'a self, job: &'a Job, limits: &'a Limits) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            match self.run(job, limits).await {
                Ok(ended) => ended.outcome(job.uncertain),
                Err(failure) => Outcome { uncertain: job.uncertain, ..failure.into() },
            }
        })
    }
}

impl From<Wrong> for Failure {
    fn from(wrong: Wrong) -> Self {
        line::failure(Fault::Item, wrong.to_string()).unasked()
    }
}
