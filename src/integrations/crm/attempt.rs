//! One attempt at one job: find the way into its tenant, wait for its turn there, make the change, tell what came of it.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::line::{Line, failure};
use super::payload::{Account, Customer, OrderPayload, Payload, Steps, Wrong};
use super::provider::{Change, Found, Provider};
use super::{Crm, commerce7, shopify};
use crate::failure::{Failure, Fault};
use crate::integrations::Limits;
use crate::integrations::http::{Http, with_jitter};
use crate::integrations::quote::Private;
use crate::notice::CrmType;
use crate::notice::commerce7::Told;
use crate::outcome::Outcome;

/// What a webhook's order may cost: itself, and its customer.
const ORDER_CALLS: f64 = 2.0;

/// An attempt whose tenant is known.
pub(super) struct Attempt<'a> {
    crm: &'a Crm,
    http: &'a Http,
    account: &'a Account,
    name: String,
    target: String,
    limits: &'a Limits,
}

/// What an attempt came to.
pub(super) struct Ended {
    target: String,
    result: Value,
    /// The CRM was asked something, so the outcome says how it is.
    has_called: bool,
    /// It has shown how things stand, so no earlier attempt leaves a doubt.
    has_looked: bool,
    done: Result<(), Failure>,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(crm: &'a Crm, http: &'a Http, account: &'a Account, limits: &'a Limits) -> Result<Self, Wrong> {
        let name = account.name()?;
        let target = format!("{}:{name}", account.crm_type.as_str());
        Ok(Self { crm, http, account, name, target, limits })
    }

    /// Makes the change.
    pub(super) async fn change(self, change: Change, payload: &Payload) -> Ended {
        let remembered = || Found { steps: payload.steps.clone().unwrap_or_default(), ..Found::default() };
        let (found, has_called, done) = match self.open(payload, remembered()) {
            Ok(mut provider) => {
                let done = self.make(change, payload, &mut *provider).await;
                (std::mem::take(provider.found()), provider.calls() > 0, done)
            }
            Err(failure) => (remembered(), false, Err(failure)),
        };
        let Found { customer_id, membership_id, steps, has_changed, has_looked } = found;
        let mut result = json!({
            "crm_type": self.account.crm_type, "target": self.target,
            "crm_customer_id": customer_id, "crm_membership_id": membership_id, "changed": has_changed,
        });
        if steps != Steps::default() {
            result["steps"] = json!(steps);
        }
        Ended { target: self.target, result, has_called, has_looked, done }
    }

    /// Asks again for the order that a webhook told of.
    pub(super) async fn fetch(self, payload: &OrderPayload) -> Ended {
        let mut result = json!({"crm_type": self.account.crm_type, "target": self.target});
        let mut line = self.line(None);
        let done = self.order(payload, &mut line).await.map(|notice| result["notice"] = notice);
        let has_called = line.calls > 0;
        Ended { target: self.target, result, has_called, has_looked: true, done }
    }

    fn open<'s>(&'s self, payload: &'s Payload, found: Found) -> Result<Box<dyn Provider + 's>, Failure> {
        let line = self.line(Some(&payload.customer));
        Ok(match self.account.crm_type {
            CrmType::Commerce7 => Box::new(commerce7::Session::new(self.commerce7()?, line, payload, found)),
            CrmType::Shopify => {
                let Crm { settings, pace, versions, .. } = self.crm;
                let names = (self.name.as_str(), self.target.as_str());
                let access = shopify::Access::new(&settings.shopify, self.account, names, pace, versions)?;
                Box::new(shopify::Session::new(access, line, payload, found))
            }
        })
    }

    fn commerce7(&self) -> Result<commerce7::Access<'_>, Failure> {
        commerce7::Access::new(&self.crm.settings.commerce7, self.account, &self.name)
    }

    fn line(&self, customer: Option<&Customer>) -> Line<'a> {
        let settings = &self.crm.settings;
        let (name, setting, secrets): (_, _, Vec<SecretString>) = match self.account.crm_type {
            CrmType::Commerce7 => {
                ("Commerce7", "COMMERCE7_API_URL", commerce7::Access::secrets(&settings.commerce7, self.account))
            }
            CrmType::Shopify => {
                ("Shopify", "SHOPIFY_API_URL", shopify::Access::secrets(&settings.shopify, self.account))
            }
        };
        let emails = customer.into_iter().filter_map(Customer::written_email);
        let secrets = secrets.iter().map(SecretString::expose_secret).chain(emails);
        let private = Private::new(secrets, [], customer.into_iter().flat_map(Customer::names));
        Line::new(self.http, self.limits, private, name, setting)
    }

    async fn make(&self, change: Change, payload: &Payload, provider: &mut dyn Provider) -> Result<(), Failure> {
        let (cost, usual) = provider.cost(change);
        self.wait(self.crm.pace.take(&self.target, cost, usual)).await?;
        let done = match change {
            Change::Add => provider.add(&payload.club).await.map(drop),
            Change::Cancel => provider.cancel(&payload.club).await.map(|id| provider.found().membership_id = id),
            Change::Upgrade => {
                let (from, order) = (payload.previous_club.as_ref(), self.crm.settings.upgrade_order);
                provider.upgrade(from, &payload.club, order).await
            }
        };
        // Shopify tells itself what is left.
        if self.account.crm_type == CrmType::Commerce7 {
            self.crm.pace.give_back(&self.target, cost - f64::from(provider.calls()));
        }
        done
    }

    async fn order(&self, payload: &OrderPayload, line: &mut Line<'_>) -> Result<Value, Failure> {
        if self.account.crm_type != CrmType::Commerce7 {
            return Err(Wrong::Operation("fetch_order of Shopify, whose webhooks are signed".to_owned()).into());
        }
        let order_id = payload.order_id()?;
        let access = self.commerce7()?;
        self.wait(self.crm.pace.take(&self.target, ORDER_CALLS, self.crm.settings.commerce7.limit())).await?;
        let told =
            Told { tenant: self.name.clone(), webhook_id: payload.webhook_id.clone(), event: payload.event.clone() };
        let notice = access.order(line, order_id, told).await;
        self.crm.pace.give_back(&self.target, ORDER_CALLS - f64::from(line.calls));
        Ok(json!(notice?))
    }

    /// Waits for this job's turn with its tenant, if that is soon.
    async fn wait(&self, turn: Result<Duration, Duration>) -> Result<(), Failure> {
        match turn {
            Ok(wait) => tokio::select! {
                () = tokio::time::sleep(wait) => Ok(()),
                () = self.limits.stop.cancelled() => Err(failure(
                    Fault::Interrupted,
                    "The worker was stopped before this began; it is done by itself when a worker runs again.",
                )),
            },
            Err(later) => Err(failure(
                Fault::Throttled,
                "Many memberships of this tenant are on their way; this one has its turn by itself.",
            )
            .after(with_jitter(later))),
        }
    }
}

impl Ended {
    /// As the row is to have it. An earlier attempt's doubt stays until the CRM has shown how things stand.
    pub(super) fn outcome(self, was_uncertain: bool) -> Outcome {
        let outcome = match self.done {
            Ok(()) => Outcome::done(None),
            Err(failure) => Outcome::from(failure),
        };
        let is_done = outcome.fault.is_none();
        let tells_of_target = self.has_called || outcome.fault.is_some_and(Fault::opens_breaker);
        Outcome {
            uncertain: outcome.uncertain || (was_uncertain && !self.has_looked && !is_done),
            result: Some(self.result),
            target: tells_of_target.then_some(self.target),
            ..outcome
        }
    }
}
