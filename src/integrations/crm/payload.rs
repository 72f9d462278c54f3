//! What a job asks for, checked before a CRM hears of it. The shape is told in `mod.rs`.
//!
//! Whatever is wrong here is wrong with the row, and a repeat would not mend it. Nothing of it is ever in debug output.

use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::CredentialsFrom;
use crate::job::Job;
use crate::notice::{CrmType, shopify};

/// The longest e-mail address that mail takes, in bytes.
const EMAIL_BYTES_MAX: usize = 254;

/// The longest tag that Shopify takes, in characters.
const TAG_CHARS_MAX: usize = 255;

/// A change of one customer's membership, as `claim.sql` built it.
#[derive(Deserialize)]
pub(super) struct Payload {
    #[serde(flatten)]
    pub(super) account: Account,
    pub(super) customer: Customer,
    pub(super) club: Club,
    #[serde(default)]
    pub(super) previous_club: Option<Club>,
    #[serde(default)]
    pub(super) steps: Option<Steps>,
    /// Of what is to end, where it is known: Commerce7's membership, Shopify's tag.
    #[serde(default)]
    membership_id: Option<String>,
    /// Why there is nothing to do any more.
    #[serde(default)]
    pub(super) unwanted: Option<String>,
}

/// An order that is asked for again.
#[derive(Deserialize)]
pub(super) struct OrderPayload {
    #[serde(flatten)]
    pub(super) account: Account,
    pub(super) order_id: String,
    pub(super) webhook_id: String,
    pub(super) event: String,
}

/// Where: one tenant of Commerce7, or one shop of Shopify.
#[derive(Deserialize)]
pub(super) struct Account {
    pub(super) crm_type: CrmType,
    #[serde(default)]
    tenant: Option<String>,
    #[serde(default)]
    shop: Option<String>,
    #[serde(default)]
    pub(super) credentials: Option<Credentials>,
}

/// A client's own, where the environment's are not meant.
#[derive(Clone, Default, Deserialize)]
pub(super) struct Credentials {
    #[serde(default)]
    pub(super) app_id: Option<String>,
    #[serde(default)]
    pub(super) key: Option<SecretString>,
    #[serde(default)]
    pub(super) access_token: Option<SecretString>,
}

#[derive(Deserialize)]
pub(super) struct Customer {
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    crm_customer_id: Option<String>,
    #[serde(default)]
    pub(super) first_name: Option<String>,
    #[serde(default)]
    pub(super) last_name: Option<String>,
    #[serde(default)]
    pub(super) country_code: Option<String>,
}

/// A tier, as the CRM knows it: a club of Commerce7's, a tag of Shopify's.
#[derive(Deserialize)]
pub(super) struct Club {
    #[serde(default)]
    crm_club_id: Option<String>,
    #[serde(default)]
    tag: Option<String>,
    #[serde(default)]
    pub(super) pickup_inventory_location_id: Option<String>,
}

/// What of an upgrade is done, kept on the row between attempts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Steps {
    pub(super) new_membership_id: Option<String>,
    pub(super) cancelled_old_at: Option<Timestamp>,
}

/// What is wrong with the row, in words for the person who looks at it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Wrong {
    #[error(
        "The queue operation {0:?} is not known here; this is a bug, or the database's schema is newer than the worker."
    )]
    Operation(String),
    #[error("The request cannot be read: its payload lacks something or has it in another form; run rowcall migrate.")]
    Payload,
    #[error("The client's CRM is neither commerce7 nor shopify; set clients.crm_type, then use rowcall.retry.")]
    CrmType,
    #[error(
        "The client has no Commerce7 tenant, or none that Commerce7 could have; set clients.tenant, then use rowcall.retry."
    )]
    Tenant,
    #[error(
        "The client has no Shopify shop, or none that Shopify could have; set clients.shop to its name before .myshopify.com, then use rowcall.retry."
    )]
    Shop,
    #[error("The customer has no e-mail address and no id in the CRM; enter one of them, then use rowcall.retry.")]
    NoCustomer,
    #[error("The customer's e-mail address is not one; correct it, then use rowcall.retry.")]
    Email,
    #[error("The customer's id in the CRM is not one; correct or clear it, then use rowcall.retry.")]
    CustomerId,
    #[error("The club stage names no club of Commerce7; set its crm_club_id, then use rowcall.retry.")]
    ClubId,
    #[error(
        "The club stage names no tag of Shopify, or one that is too long or has a comma; set its tag, then use rowcall.retry."
    )]
    Tag,
    #[error("The order's id is not one; this webhook cannot be followed.")]
    OrderId,
}

impl Wrong {
    /// What is wrong with a payload that cannot be read. The parser's own words would quote it.
    fn of(job: &Job) -> Self {
        let Ok(fields) = job.payload::<Map<String, Value>>() else { return Self::Payload };
        let is_known = fields.get("crm_type").is_some_and(|crm_type| CrmType::deserialize(crm_type).is_ok());
        if is_known { Self::Payload } else { Self::CrmType }
    }
}

impl Payload {
    pub(super) fn of(job: &Job) -> Result<Self, Wrong> {
        job.payload().map_err(|_| Wrong::of(job))
    }

    /// Commerce7's membership that is to end, where it is known.
    pub(super) fn membership_id(&self) -> Option<&str> {
        identifier(self.membership_id.as_deref())
    }

    /// Shopify's tag that is to end, where it is known.
    pub(super) fn made_tag(&self) -> Option<&str> {
        tag(self.membership_id.as_deref())
    }
}

impl OrderPayload {
    pub(super) fn of(job: &Job) -> Result<Self, Wrong> {
        job.payload().map_err(|_| Wrong::of(job))
    }

    pub(super) fn order_id(&self) -> Result<&str, Wrong> {
        identifier(Some(&self.order_id)).ok_or(Wrong::OrderId)
    }
}

impl Account {
    /// Leaves out the client's own credentials where the environment's are meant.
    pub(super) fn choose(&mut self, from: CredentialsFrom) {
        if from == CredentialsFrom::Environment {
            self.credentials = None;
        }
    }

    /// Commerce7's tenant, or Shopify's shop by its name.
    pub(super) fn name(&self) -> Result<String, Wrong> {
        match self.crm_type {
            CrmType::Commerce7 => identifier(self.tenant.as_deref()).map(str::to_owned).ok_or(Wrong::Tenant),
            CrmType::Shopify => self.shop.as_deref().and_then(shopify::shop).ok_or(Wrong::Shop),
        }
    }
}

impl Customer {
    /// The id in the CRM, where the row knows it.
    pub(super) fn id(&self) -> Result<Option<&str>, Wrong> {
        let written = self.crm_customer_id.as_deref().map(str::trim).filter(|id| !id.is_empty());
        // Shopify writes its ids as gid://shopify/Customer/544365967 too.
        let id = written.map(|id| id.strip_prefix("gid://shopify/Customer/").unwrap_or(id));
        id.map(|id| identifier(Some(id)).ok_or(Wrong::CustomerId)).transpose()
    }

    pub(super) fn email(&self) -> Result<&str, Wrong> {
        let email = self.email.as_deref().map(str::trim).filter(|email| !email.is_empty()).ok_or(Wrong::NoCustomer)?;
        let has_sides = email.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
        let is_plain = !email.chars().any(|c| c.is_whitespace() || c.is_control());
        if has_sides && is_plain && email.len() <= EMAIL_BYTES_MAX { Ok(email) } else { Err(Wrong::Email) }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        [&self.first_name, &self.last_name].into_iter().filter_map(|name| name.as_deref())
    }

    /// The e-mail address as it stands in the row, right or wrong.
    pub(super) fn written_email(&self) -> Option<&str> {
        self.email.as_deref().map(str::trim)
    }
}

impl Club {
    pub(super) fn id(&self) -> Result<&str, Wrong> {
        identifier(self.crm_club_id.as_deref()).ok_or(Wrong::ClubId)
    }

    pub(super) fn tag(&self) -> Result<&str, Wrong> {
        tag(self.tag.as_deref()).ok_or(Wrong::Tag)
    }
}

/// Shopify would take a comma for the end of a tag.
fn tag(text: Option<&str>) -> Option<&str> {
    let tag = text.map(str::trim).filter(|tag| !tag.is_empty() && !tag.contains(','));
    tag.filter(|tag| tag.chars().count() <= TAG_CHARS_MAX && !tag.chars().any(char::is_control))
}

/// An id that can stand in an address or in a header without meaning anything else there.
fn identifier(text: Option<&str>) -> Option<&str> {
    let text = text.map(str::trim)?;
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    (is_plain && (1..=100).contains(&text.len())).then_some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn payload(change: impl FnOnce(&mut Value)) -> Payload {
        let mut payload = json!({
            "crm_type": "commerce7", "client_id": 4, "tenant": "north", "shop": null,
            "customer": {"email": " ama@example.com ", "crm_customer_id": null, "first_name": "Ama", "last_name": null},
            "club": {"crm_club_id": "c217e0e0-5de6", "tag": "Gold", "name": "Gold"}, "previous_club": null,
            "reason": null, "enrollment_id": 9, "steps": null, "credentials": {"app_id": "app", "key": "hidden"},
        });
        change(&mut payload);
        serde_json::from_value(payload).unwrap()
    }

    #[test]
    fn what_is_in_order_is_read() {
        let payload = payload(|_| {});
        assert_eq!(payload.account.name().as_deref(), Ok("north"));
        assert_eq!((payload.customer.email(), payload.customer.id()), (Ok("ama@example.com"), Ok(None)));
        assert_eq!((payload.club.id(), payload.club.tag()), (Ok("c217e0e0-5de6"), Ok("Gold")));
    }

    #[test]
    fn nothing_that_means_more_than_it_says_reaches_an_address() {
        for bad in ["..", "a/b", "a b", "", "x\r\ny", "é", "a?b=c"] {
            assert_eq!(payload(|p| p["tenant"] = json!(bad)).account.name(), Err(Wrong::Tenant), "{bad:?}");
            assert_eq!(payload(|p| p["club"]["crm_club_id"] = json!(bad)).club.id(), Err(Wrong::ClubId), "{bad:?}");
            let of_shop = payload(|p| {
                p["crm_type"] = json!("shopify");
                p["shop"] = json!(bad);
            });
            assert_eq!(of_shop.account.name(), Err(Wrong::Shop), "{bad:?}");
            let customer = payload(|p| p["customer"]["crm_customer_id"] = json!(bad)).customer;
            assert_eq!(customer.id(), if bad.is_empty() { Ok(None) } else { Err(Wrong::CustomerId) }, "{bad:?}");
        }
        for bad in ["", "Gold,VIP", "\u{7}x", &"x".repeat(256)] {
            assert_eq!(payload(|p| p["club"]["tag"] = json!(bad)).club.tag(), Err(Wrong::Tag), "{bad:?}");
        }
        for bad in ["ama", "@example.com", "ama@", "a b@example.com", &format!("{}@example.com", "x".repeat(250))] {
            assert_eq!(payload(|p| p["customer"]["email"] = json!(bad)).customer.email(), Err(Wrong::Email), "{bad:?}");
        }
    }

    #[test]
    fn shopifys_two_ways_of_writing_an_id_are_one() {
        for written in ["544365967", "gid://shopify/Customer/544365967", " 544365967 "] {
            let customer = payload(|p| p["customer"]["crm_customer_id"] = json!(written)).customer;
            assert_eq!(customer.id(), Ok(Some("544365967")));
        }
    }
}
