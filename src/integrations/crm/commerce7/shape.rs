//! Commerce7's customers and memberships, as far as they matter here.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Customer {
    pub(super) id: String,
    #[serde(default)]
    emails: Option<Vec<Email>>,
}

#[derive(Deserialize)]
struct Email {
    #[serde(default)]
    email: Option<String>,
}

impl Customer {
    /// Whether this is one of the customer's own addresses. The search finds whatever resembles it.
    pub(super) fn has_email(&self, email: &str) -> bool {
        let own = self.emails.iter().flatten().filter_map(|own| own.email.as_deref());
        own.into_iter().any(|own| own.trim().to_lowercase() == email.to_lowercase())
    }
}

/// A membership, with what a new one of the same customer needs.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Membership {
    pub(super) id: String,
    pub(super) customer_id: String,
    pub(super) club_id: String,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    cancel_date: Option<String>,
    #[serde(default)]
    pub(super) signup_date: Option<String>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// What says where and how a membership's orders go and who pays.
const DELIVERY: [&str; 5] = [
    "billToCustomerAddressId",
    "shipToCustomerAddressId",
    "customerCreditCardId",
    "orderDeliveryMethod",
    "pickupInventoryLocationId",
];

/// How a membership stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Active, with no end in sight.
    Stays,
    /// Active until a time that is set.
    Ends,
    OnHold,
    Over,
}

impl Membership {
    /// How it stands at this time.
    pub(super) fn state(&self, now: Timestamp) -> State {
        let is = |word| self.status.as_deref().is_some_and(|status| status.trim().eq_ignore_ascii_case(word));
        let ends = self.cancel_date.as_deref().and_then(|date| date.trim().parse::<Timestamp>().ok());
        match ends {
            _ if is("cancelled") => State::Over,
            Some(date) if date <= now => State::Over,
            _ if is("on hold") => State::OnHold,
            Some(_) => State::Ends,
            None => State::Stays,
        }
    }

    /// Whether it still counts; one that ends later does until then, and one on hold does too.
    pub(super) fn is_live(&self, now: Timestamp) -> bool {
        self.state(now) != State::Over
    }

    /// How its orders are delivered; nothing where no address is known.
    pub(super) fn delivery(&self) -> Option<Map<String, Value>> {
        let told = |name: &&str| self.rest.get(*name).is_some_and(|value| !value.is_null());
        let delivery: Map<_, _> = DELIVERY
            .iter()
            .filter(|name| told(name))
            .map(|name| ((*name).to_owned(), self.rest[*name].clone()))
            .collect();
        delivery.contains_key(DELIVERY[0]).then_some(delivery)
    }
}

/// The id of the default one, or else of the first, in a list that stands alone or within an object.
pub(super) fn default_id(list: &Value) -> Option<String> {
    let within = || list.as_object()?.values().find_map(Value::as_array);
    let all = list.as_array().or_else(within)?;
    let chosen = all.iter().find(|one| one["isDefault"] == true).or(all.first())?;
    chosen["id"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_still_counts_as_a_membership() {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        for (status, cancel_date, state) in [
            (json!("Active"), json!(null), State::Stays),
            (json!("On Hold"), json!(null), State::OnHold),
            (json!("On Hold"), json!("2026-03-02T12:00:00Z"), State::OnHold),
            (json!("Active"), json!("2026-03-01T12:00:00.001Z"), State::Ends),
            (json!("Active"), json!("2026-03-01T12:00:00.000Z"), State::Over),
            (json!("Cancelled"), json!(null), State::Over),
            (json!("Cancelled"), json!("2027-01-01T00:00:00Z"), State::Over),
            (json!(null), json!(null), State::Stays),
        ] {
            let shown =
                json!({"id": "m", "customerId": "c", "clubId": "g", "status": status, "cancelDate": cancel_date});
            let membership: Membership = serde_json::from_value(shown).unwrap();
            assert_eq!(membership.state(now), state, "{status} {cancel_date}");
        }
    }

    #[test]
    fn addresses_are_compared_and_not_searched() {
        let customer: Customer = serde_json::from_value(
            json!({"id": "c", "emails": [{"email": "other@example.com"}, {"email": " AMA@Example.com"}]}),
        )
        .unwrap();
        assert!(customer.has_email("ama@example.com"));
        for neighbour in ["ama@example.co", "ama@example.com.gh", "xama@example.com", "ama+x@example.com", ""] {
            assert!(!customer.has_email(neighbour), "{neighbour}");
        }
        assert!(!serde_json::from_value::<Customer>(json!({"id": "c"})).unwrap().has_email(""));
    }

    #[test]
    fn the_default_of_either_list_is_taken() {
        let list = json!([{"id": "a", "isDefault": false}, {"id": "b", "isDefault": true}]);
        assert_eq!(default_id(&list).as_deref(), Some("b"));
        assert_eq!(default_id(&json!({"total": 2, "customerAddresses": list})).as_deref(), Some("b"));
        assert_eq!(default_id(&json!([{"id": "a"}])).as_deref(), Some("a"));
        assert_eq!(default_id(&json!({"total": 0})), None);
        assert_eq!(default_id(&json!([])), None);
    }
}
