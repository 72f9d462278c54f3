//! One customer of one tenant: found, listed, added, cancelled.

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::Access;
use super::shape::{Customer, Membership, State, default_id};
use crate::failure::{Failure, Fault};
use crate::integrations::crm::line::{Line, Purpose, failure};
use crate::integrations::crm::payload::{Club, Payload};
use crate::integrations::crm::provider::{Found, Provider};
use crate::integrations::http::Request;

/// One customer of one tenant.
pub(in crate::integrations::crm) struct Session<'a> {
    access: Access<'a>,
    line: Line<'a>,
    payload: &'a Payload,
    found: Found,
}

impl<'a> Session<'a> {
    pub(in crate::integrations::crm) fn new(
        access: Access<'a>,
        line: Line<'a>,
        payload: &'a Payload,
        found: Found,
    ) -> Self {
        Self { access, line, payload, found }
    }

    /// The customer's id: as the row knows it, or by the one customer who has the e-mail address; nothing if nobody has.
    async fn customer(&mut self) -> Result<Option<String>, Failure> {
        if self.found.customer_id.is_none() {
            let known = self.payload.customer.id()?.map(str::to_owned);
            self.found.customer_id = match known {
                Some(id) => Some(id),
                None => self.search().await?,
            };
        }
        Ok(self.found.customer_id.clone())
    }

    async fn search(&mut self) -> Result<Option<String>, Failure> {
        let email = self.payload.customer.email()?;
        let similar: Vec<Customer> = self.access.list(&mut self.line, "customer", "customers", ("q", email)).await?;
        let mut same: Vec<String> =
            similar.into_iter().filter(|customer| customer.has_email(email)).map(|customer| customer.id).collect();
        same.sort();
        same.dedup();
        if same.len() > 1 {
            return Err(failure(
                Fault::Item,
                "Commerce7 has several customers with this e-mail address; merge them there, or enter the right one's id \
                 as the customer's id in the CRM, then use rowcall.retry.",
            ));
        }
        Ok(same.pop())
    }

    /// Makes the customer, whom the search has not found.
    async fn create_customer(&mut self) -> Result<String, Failure> {
        let customer = &self.payload.customer;
        let mut body = json!({"emails": [{"email": customer.email()?}]});
        for (name, value) in [
            ("firstName", &customer.first_name),
            ("lastName", &customer.last_name),
            ("countryCode", &customer.country_code),
        ] {
            if let Some(value) = value {
                body[name] = json!(value);
            }
        }
        let request = Request::post_json(self.access.url(&["customer"], &[])?, &body);
        let made = self.access.ask::<Customer>(&mut self.line, request, Purpose::Change).await;
        let id = match made {
            Ok(made) => made.map(|made| made.id).ok_or_else(|| super::unusable("COMMERCE7_API_URL"))?,
            // The failure stands unless the look shows that it was one only of the answer.
            Err(failure) if failure.uncertain => match self.search().await {
                Ok(Some(id)) => id,
                Ok(None) if failure.fault == Fault::Item => return Err(Failure { uncertain: false, ..failure }),
                _ => return Err(failure),
            },
            Err(failure) => return Err(failure),
        };
        self.found.has_changed = true;
        self.found.customer_id = Some(id.clone());
        Ok(id)
    }

    /// All of this customer's memberships, ended ones too.
    async fn memberships(&mut self, customer_id: &str) -> Result<Vec<Membership>, Failure> {
        let filter = ("customerId", customer_id);
        let mut all: Vec<Membership> =
            self.access.list(&mut self.line, "club-membership", "clubMemberships", filter).await?;
        // Should the filter ever be passed over, nobody else's may be touched.
        all.retain(|membership| membership.customer_id == customer_id);
        self.found.has_looked = true;
        Ok(all)
    }

    async fn live(&mut self, customer_id: &str, club_id: &str) -> Result<Option<String>, Failure> {
        let all = self.memberships(customer_id).await?;
        Ok(live_in(&all, club_id).next().map(|membership| membership.id.clone()))
    }

    async fn create(&mut self, customer_id: &str, club: &Club, all: &[Membership]) -> Result<String, Failure> {
        let club_id = club.id()?;
        let mut body = self.delivery(customer_id, club, all).await?;
        body.insert("customerId".to_owned(), json!(customer_id));
        body.insert("clubId".to_owned(), json!(club_id));
        body.insert("signupDate".to_owned(), json!(now()));
        body.insert("cancelDate".to_owned(), Value::Null);
        let request = Request::post_json(self.access.url(&["club-membership"], &[])?, &Value::Object(body));
        let id = match self.access.ask::<Membership>(&mut self.line, request, Purpose::Change).await {
            Ok(Some(made)) => made.id,
            Ok(None) => {
                return Err(failure(
                    Fault::Item,
                    "Commerce7 does not know the customer or the club (HTTP 404); check the stage's crm_club_id and the \
                     customer's id in the CRM, then use rowcall.retry.",
                ));
            }
            Err(failure) if failure.uncertain => match self.live(customer_id, club_id).await {
                Ok(Some(id)) => id,
                Ok(None) if failure.fault == Fault::Item => return Err(Failure { uncertain: false, ..failure }),
                _ => return Err(failure),
            },
            Err(failure) => return Err(failure),
        };
        self.found.has_changed = true;
        Ok(id)
    }

    /// Where the orders go and who pays: as the newest membership says, or by the customer's default address and card.
    async fn delivery(
        &mut self,
        customer_id: &str,
        club: &Club,
        all: &[Membership],
    ) -> Result<Map<String, Value>, Failure> {
        let known = all.iter().filter(|membership| membership.delivery().is_some());
        let newest = known.max_by(|one, other| one.signup_date.cmp(&other.signup_date));
        let mut delivery = match newest.and_then(Membership::delivery) {
            Some(delivery) => delivery,
            None => self.defaults(customer_id).await?,
        };
        if let Some(location) = &club.pickup_inventory_location_id {
            delivery.remove("shipToCustomerAddressId");
            delivery.insert("orderDeliveryMethod".to_owned(), json!("Pickup"));
            delivery.insert("pickupInventoryLocationId".to_owned(), json!(location));
        }
        Ok(delivery)
    }

    async fn defaults(&mut self, customer_id: &str) -> Result<Map<String, Value>, Failure> {
        let mut delivery = Map::new();
        let addresses = self.access.get::<Value>(&mut self.line, &["customer", customer_id, "address"]).await?;
        if let Some(address) = addresses.as_ref().and_then(default_id) {
            delivery.insert("billToCustomerAddressId".to_owned(), json!(address));
            delivery.insert("shipToCustomerAddressId".to_owned(), json!(address));
            delivery.insert("orderDeliveryMethod".to_owned(), json!("Ship"));
        }
        let cards = self.access.get::<Value>(&mut self.line, &["customer", customer_id, "credit-card"]).await?;
        if let Some(card) = cards.as_ref().and_then(default_id) {
            delivery.insert("customerCreditCardId".to_owned(), json!(card));
        }
        Ok(delivery)
    }

    /// Ends one membership.
    async fn end(&mut self, id: &str) -> Result<(), Failure> {
        let reason = &self.access.settings.cancellation_reason;
        let body = json!({"cancelDate": now(), "cancellationReason": reason});
        let is_over = |shown: Option<&Membership>| shown.is_none_or(|shown| !shown.is_live(Timestamp::now()));
        self.set(id, &body, is_over, "Commerce7 took the cancellation, and still shows the membership as active.").await
    }

    /// Takes back that a membership ends at a later time.
    async fn keep(&mut self, id: &str) -> Result<(), Failure> {
        let stays =
            |shown: Option<&Membership>| shown.is_some_and(|shown| shown.state(Timestamp::now()) == State::Stays);
        let words = "Commerce7 was told to keep the membership, and still shows a time at which it ends.";
        self.set(id, &json!({"cancelDate": null}), stays, words).await
    }

    /// Changes one membership, and looks whether it is so.
    async fn set(
        &mut self,
        id: &str,
        body: &Value,
        is_so: fn(Option<&Membership>) -> bool,
        is_not_so: &str,
    ) -> Result<(), Failure> {
        let request = Request::put_json(self.access.url(&["club-membership", id], &[])?, body);
        let changed = self.access.ask::<Membership>(&mut self.line, request, Purpose::Change).await;
        let doubt = match changed {
            Ok(Some(membership)) if is_so(Some(&membership)) => None,
            Ok(_) => Some(failure(Fault::Transient, is_not_so)),
            Err(failure) if failure.uncertain => Some(failure),
            Err(failure) => return Err(failure),
        };
        if let Some(doubt) = doubt {
            let shown = self.access.get::<Membership>(&mut self.line, &["club-membership", id]).await;
            match shown {
                Ok(shown) if is_so(shown.as_ref()) => {}
                Ok(_) if doubt.fault == Fault::Item => return Err(Failure { uncertain: false, ..doubt }),
                _ => return Err(doubt),
            }
        }
        self.found.has_changed = true;
        Ok(())
    }

    /// What the customer has of the club already, made to stay; nothing where they have nothing.
    async fn standing(&mut self, all: &[Membership], club_id: &str) -> Result<Option<String>, Failure> {
        let now = Timestamp::now();
        let of = |state| live_in(all, club_id).find(|membership| membership.state(now) == state);
        if let Some(membership) = of(State::Stays) {
            return Ok(Some(membership.id.clone()));
        }
        if let Some(membership) = of(State::Ends) {
            self.keep(&membership.id).await?;
            return Ok(Some(membership.id.clone()));
        }
        if of(State::OnHold).is_some() {
            return Err(failure(
                Fault::Item,
                "The customer's membership of this club is on hold in Commerce7; resume it or end it there, then use \
                 rowcall.retry.",
            ));
        }
        Ok(None)
    }

    /// The membership that was made for what is to end, as it is now; nothing where Commerce7 does not show it as this
    /// customer's.
    async fn made(&mut self, customer_id: &str, all: &[Membership]) -> Result<Option<Membership>, Failure> {
        let Some(id) = self.payload.membership_id() else { return Ok(None) };
        if let Some(membership) = all.iter().find(|membership| membership.id == id) {
            return Ok(Some(membership.clone()));
        }
        let shown: Option<Membership> = self.access.get(&mut self.line, &["club-membership", id]).await?;
        Ok(shown.filter(|membership| membership.customer_id == customer_id))
    }
}

impl Provider for Session<'_> {
    fn add<'a>(&'a mut self, club: &'a Club) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move {
            let club_id = club.id()?;
            let customer_id = match self.customer().await? {
                Some(id) => id,
                None => self.create_customer().await?,
            };
            let all = self.memberships(&customer_id).await?;
            let id = match self.standing(&all, club_id).await? {
                Some(id) => id,
                None => self.create(&customer_id, club, &all).await?,
            };
            self.found.membership_id = Some(id.clone());
            Ok(id)
        })
    }

    fn cancel<'a>(&'a mut self, club: &'a Club) -> BoxFuture<'a, Result<Option<String>, Failure>> {
        Box::pin(async move {
            let club_id = club.id()?;
            let Some(customer_id) = self.customer().await? else {
                return Err(failure(
                    Fault::Item,
                    "Commerce7 has no customer with this e-mail address, so there is nothing that could be cancelled. \
                     Enter the customer's id in the CRM, or correct the address, then use rowcall.retry.",
                ));
            };
            let all = self.memberships(&customer_id).await?;
            let mut live: Vec<String> = live_in(&all, club_id).map(|membership| membership.id.clone()).collect();
            // The tier may be of another club than when the customer joined.
            match self.made(&customer_id, &all).await? {
                Some(made) if made.is_live(Timestamp::now()) && !live.contains(&made.id) => live.insert(0, made.id),
                None if live.is_empty() && self.payload.membership_id().is_some() => {
                    return Err(failure(
                        Fault::Item,
                        "Commerce7 shows neither the membership that was made for this customer nor another of this club. Look \
                         there, then use rowcall.resolve, or rowcall.retry.",
                    ));
                }
                _ => {}
            }
            for id in &live {
                self.end(id).await?;
            }
            Ok(live.into_iter().next_back())
        })
    }

    fn is_same(&self, one: &Club, other: &Club) -> bool {
        one.id() == other.id()
    }

    fn found(&mut self) -> &mut Found {
        &mut self.found
    }

    fn calls(&self) -> u32 {
        self.line.calls
    }
}

fn live_in<'a>(all: &'a [Membership], club_id: &'a str) -> impl Iterator<Item = &'a Membership> {
    let now = Timestamp::now();
    all.iter().filter(move |membership| membership.club_id == club_id && membership.is_live(now))
}

/// Now, with milliseconds and in UTC, as Commerce7 writes it.
fn now() -> String {
    format!("{:.3}", Timestamp::now())
}
