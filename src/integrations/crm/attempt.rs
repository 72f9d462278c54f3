//! One attempt at one job: find the way into its tenant, wait for its turn there, make the change, tell what came of it.

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::line::{Line, failure};
use super::pace::{Cost, Ticket};
use super::payload::{Account, Customer, OrderPayload, Payload, Steps, Wrong};
use super::provider::{Change, Found, Provider};
use super::{Crm, Settings, commerce7, shopify};
use crate::failure::{Failure, Fault};
use crate::integrations::Limits;
use crate::integrations::http::{Http, with_jitter};
use crate::integrations::quote::Private;
use crate::notice::CrmType;
use crate::notice::commerce7::Told;
use crate::outcome::Outcome;

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
    calls: u32,
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

    /// Makes the change, if it is wanted still.
    pub(super) async fn change(self, change: Change, payload: &Payload) -> Ended {
        if let Some(why) = &payload.unwanted {
            let result =
                json!({"crm_type": self.account.crm_type, "target": self.target, "changed": false, "unwanted": why});
            return self.end(result, 0, false, Ok(()));
        }
        let remembered = || Found { steps: payload.steps.clone().unwrap_or_default(), ..Found::default() };
        let (found, calls, done) = match self.open(change, payload, remembered()).await {
            Ok(mut provider) => {
                let done = self.make(change, payload, &mut *provider).await;
                (std::mem::take(provider.found()), provider.calls(), done)
            }
            Err(failure) => (remembered(), 0, Err(failure)),
        };
        let Found { customer_id, membership_id, steps, has_changed, has_looked } = found;
        let membership_id = membership_id.or_else(|| steps.new_membership_id.clone());
        let mut result = json!({
            "crm_type": self.account.crm_type, "target": self.target, "operation": change.as_str(),
            "crm_customer_id": customer_id, "crm_membership_id": membership_id, "changed": has_changed,
        });
        if steps != Steps::default() {
            result["steps"] = json!(steps);
        }
        self.end(result, calls, has_looked, done)
    }

    /// Asks again for the order that a webhook told of.
    pub(super) async fn fetch(self, payload: &OrderPayload) -> Ended {
        let mut result = json!({"crm_type": self.account.crm_type, "target": self.target});
        let mut calls = 0;
        let done = self.order(payload, &mut calls).await.map(|notice| result["notice"] = notice);
        self.end(result, calls, true, done)
    }

    fn end(self, mut result: Value, calls: u32, has_looked: bool, done: Result<(), Failure>) -> Ended {
        if let Err(Failure { fault: Fault::Throttled, after: Some(asked), .. }) = &done
            && calls > 0
        {
            self.crm.pace.hold(&self.target, *asked);
        }
        // What was reserved for more is given back.
        result["calls"] = json!(calls);
        Ended { target: self.target, result, calls, has_looked, done }
    }

    async fn open<'s>(
        &'s self,
        change: Change,
        payload: &'s Payload,
        found: Found,
    ) -> Result<Box<dyn Provider + 's>, Failure> {
        let customer = Some(&payload.customer);
        Ok(match self.account.crm_type {
            CrmType::Commerce7 => {
                let access = self.commerce7()?;
                let line = self.line(customer, Some(change)).await?;
                Box::new(commerce7::Session::new(access, line, payload, found))
            }
            CrmType::Shopify => {
                let Crm { settings, pace, versions, .. } = self.crm;
                let names = (self.name.as_str(), self.target.as_str());
                let access = shopify::Access::new(&settings.shopify, self.account, names, pace, versions)?;
                let line = self.line(customer, Some(change)).await?;
                Box::new(shopify::Session::new(access, line, payload, found))
            }
        })
    }

    fn commerce7(&self) -> Result<commerce7::Access<'_>, Failure> {
        commerce7::Access::new(&self.crm.settings.commerce7, self.account, &self.name)
    }

    /// A line to the tenant, once it is this job's turn there.
    async fn line(&self, customer: Option<&Customer>, change: Option<Change>) -> Result<Line<'_>, Failure> {
        let Settings { commerce7, shopify, .. } = &self.crm.settings;
        let (name, setting, cost) = match self.account.crm_type {
            CrmType::Commerce7 => ("Commerce7", "COMMERCE7_API_URL", commerce7.cost(change)),
            CrmType::Shopify => ("Shopify", "SHOPIFY_API_URL", shopify::Settings::cost(change)),
        };
        // Whose they are makes no difference: none may stand on a row.
        let own = self.account.credentials.iter().flat_map(|own| [&own.key, &own.access_token]);
        let secrets = own.chain([&commerce7.key, &shopify.access_token]).flatten();
        let emails = customer.into_iter().filter_map(Customer::written_email);
        let secrets = secrets.map(SecretString::expose_secret).chain(emails);
        let private = Private::new(secrets, [], customer.into_iter().flat_map(Customer::names));
        let ticket = self.turn(cost).await?;
        Ok(Line::new(self.http, self.limits, private, (name, setting), (ticket, cost.call)))
    }

    /// Waits for this job's turn with its tenant, if that is soon.
    async fn turn(&self, cost: Cost) -> Result<Ticket<'_>, Failure> {
        match self.crm.pace.take(&self.target, cost.call * cost.calls, cost.usual) {
            Ok((ticket, wait)) => tokio::select! {
                () = tokio::time::sleep(wait) => Ok(ticket),
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

    async fn make(&self, change: Change, payload: &Payload, provider: &mut dyn Provider) -> Result<(), Failure> {
        match change {
            Change::Add => provider.add(&payload.club).await.map(drop),
            Change::Cancel => provider.cancel(&payload.club).await.map(|id| provider.found().membership_id = id),
            Change::Upgrade => {
                let (from, order) = (payload.previous_club.as_ref(), self.crm.settings.upgrade_order);
                provider.upgrade(from, &payload.club, order).await
            }
        }
    }

    async fn order(&self, payload: &OrderPayload, calls: &mut u32) -> Result<Value, Failure> {
        if self.account.crm_type != CrmType::Commerce7 {
            return Err(Wrong::Operation("fetch_order of Shopify, whose webhooks are signed".to_owned()).into());
        }
        let order_id = payload.order_id()?;
        let access = self.commerce7()?;
        let mut line = self.line(None, None).await?;
        let told =
            Told { tenant: self.name.clone(), webhook_id: payload.webhook_id.clone(), event: payload.event.clone() };
        let notice = access.order(&mut line, order_id, told).await;
        *calls = line.calls;
        Ok(json!(notice?))
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
        let opens_breaker = outcome.fault.is_some_and(Fault::opens_breaker);
        let tells_of_target = self.calls > 0 || opens_breaker;
        let mut result = self.result;
        if opens_breaker && self.calls > 0 {
            // Should it be this row only that meets it, the row bears it.
            result["opens_breaker"] = json!(true);
        }
        Outcome {
            uncertain: outcome.uncertain || (was_uncertain && !self.has_looked && !is_done),
            result: Some(result),
            unasked: self.calls == 0,
            target: tells_of_target.then_some(self.target),
            ..outcome
        }
    }
}
