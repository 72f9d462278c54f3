//! A notice: what a CRM tells of an order or of a customer, by webhook or when it is asked again.
//!
//! Reading one is pure: bytes and headers in, a notice out. Who told it is proven first, by the means of its CRM, over the
//! bytes as they came. Money is a decimal text from end to end. What is done about a notice is SQL's to say.

pub mod commerce7;
pub mod shopify;

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Which CRM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CrmType {
    /// Commerce7, whose customers of ours are tenants.
    Commerce7,
    /// Shopify, whose customers of ours are shops.
    Shopify,
}

impl CrmType {
    /// The word that stands in SQL, logs and targets.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Commerce7 => "commerce7",
            Self::Shopify => "shopify",
        }
    }
}

/// What a CRM tells. Its debug output shows nobody.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// Whose words these are.
    pub crm_type: CrmType,
    /// Commerce7's tenant, or Shopify's shop without `.myshopify.com`.
    pub tenant_or_shop: String,
    /// The same however often it is delivered.
    pub webhook_id: String,
    /// `orders/paid`, `orders/updated`, `orders/cancelled` and `refunds/create` of Shopify; `order/create`, `order/update`,
    /// `customer/update` and their like of Commerce7.
    pub event: String,
    /// The order; nothing in a notice about a customer.
    pub order_id: Option<String>,
    /// Which refund; nothing in a notice about anything else.
    pub refund_id: Option<String>,
    /// Who ordered, where that is told.
    pub customer: Option<Customer>,
    /// What the order comes to as a decimal, such as `199.00`; of `refunds/create`, what this refund pays back.
    pub total: Option<String>,
    /// In ISO 4217's letters, where that is told.
    pub currency: Option<String>,
    /// `paid`, `partially_refunded`, `refunded`, `voided`, …: in the CRM's words, as lower case with underscores.
    pub financial_state: Option<String>,
    /// When what is told came to be; a notice with an earlier one than the last is old news.
    pub at: Option<Timestamp>,
}

/// Who ordered.
#[derive(Clone, PartialEq, Eq, Default, Serialize)]
pub struct Customer {
    /// In the CRM: a UUID of Commerce7's, a number of Shopify's.
    pub id: Option<String>,
    /// The first, where there are several.
    pub email: Option<String>,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
}

/// Why a webhook that proved itself cannot be read; a repeat would bring the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Not JSON, or not an object.
    #[error("the body is not a JSON object")]
    Body,
    /// Something that every webhook of the CRM has is missing.
    #[error("{0} is missing, or is not what it should be")]
    Missing(&'static str),
}

impl fmt::Debug for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notice")
            .field("crm_type", &self.crm_type)
            .field("tenant_or_shop", &self.tenant_or_shop)
            .field("webhook_id", &self.webhook_id)
            .field("event", &self.event)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Customer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Customer").finish_non_exhaustive()
    }
}

/// A text that says something, without the one character that Postgres has no room for.
fn text(value: &Value) -> Option<String> {
    let text = value.as_str()?.trim().replace('\0', "\u{fffd}");
    (!text.is_empty()).then_some(text)
}

/// An id, which may be written as a number.
fn id(value: &Value) -> Option<String> {
    value.as_i64().map(|number| number.to_string()).or_else(|| text(value))
}

/// A word as SQL compares it.
fn word(value: &Value) -> Option<String> {
    text(value).map(|text| text.to_lowercase().replace([' ', '-'], "_"))
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nobody() {
        let customer = Customer {
            email: Some("ama@example.com".to_owned()),
            first_name: Some("Ama".to_owned()),
            ..Customer::default()
        };
        let notice = Notice {
            crm_type: CrmType::Shopify,
            tenant_or_shop: "one-shop".to_owned(),
            webhook_id: "1".to_owned(),
            event: "orders/paid".to_owned(),
            order_id: None,
            refund_id: None,
            customer: Some(customer.clone()),
            total: None,
            currency: None,
            financial_state: None,
            at: None,
        };
        let shown = format!("{notice:?} {customer:?}");
        assert!(shown.contains("orders/paid") && !shown.to_lowercase().contains("ama"), "{shown}");
    }
}
