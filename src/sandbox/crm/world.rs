//! Who is there: tenants with clubs and customers, shops with customers and tags; and how a test brings them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::sandbox::bucket::Bucket;

/// What a test brings.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Seed {
    /// Of Commerce7.
    pub commerce7: Vec<TenantSeed>,
    /// Of Shopify.
    pub shopify: Vec<ShopSeed>,
}

/// A tenant of Commerce7; one that is there already gets more customers.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct TenantSeed {
    /// The word in the header `tenant`.
    pub tenant: String,
    /// The app's id; `sandbox-app` if it is empty.
    pub app_id: String,
    /// The app's key; `sandbox-key` if it is empty.
    pub key: String,
    /// The ids of its clubs.
    pub clubs: Vec<String>,
    /// Who is there.
    pub customers: Vec<Person>,
}

/// A shop of Shopify.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ShopSeed {
    /// Its name, before `.myshopify.com`.
    pub shop: String,
    /// Its token; `sandbox-access-token` if it is empty.
    pub access_token: String,
    /// Who is there.
    pub customers: Vec<Person>,
}

/// A customer.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Person {
    /// Commerce7: its id; a new one if it is empty.
    pub id: String,
    /// Where mail reaches them.
    pub email: String,
    /// Given name.
    pub first_name: String,
    /// Family name.
    pub last_name: String,
    /// Commerce7: without an address and a card, as walk-in customers are.
    pub is_bare: bool,
    /// Shopify: tags that others have put.
    pub tags: Vec<String>,
}

/// A tenant of Commerce7.
#[derive(Debug)]
pub(super) struct Tenant {
    pub(super) app_id: String,
    pub(super) key: String,
    pub(super) is_open: bool,
    pub(super) bucket: Bucket,
    pub(super) clubs: Vec<String>,
    pub(super) customers: Vec<Value>,
    pub(super) addresses: BTreeMap<String, Value>,
    pub(super) cards: BTreeMap<String, Value>,
    pub(super) memberships: Vec<Value>,
    pub(super) orders: BTreeMap<String, Value>,
}

/// A shop of Shopify.
#[derive(Debug)]
pub(super) struct Shop {
    pub(super) access_token: String,
    pub(super) is_open: bool,
    pub(super) bucket: Bucket,
    pub(super) customers: BTreeMap<u64, Value>,
}

impl TenantSeed {
    pub(super) fn tenant(&self, bucket: Bucket) -> Tenant {
        let or = |text: &str, usual: &str| if text.is_empty() { usual.to_owned() } else { text.to_owned() };
        Tenant {
            app_id: or(&self.app_id, "sandbox-app"),
            key: or(&self.key, "sandbox-key"),
            is_open: true,
            bucket,
            clubs: Vec::new(),
            customers: Vec::new(),
            addresses: BTreeMap::new(),
            cards: BTreeMap::new(),
            memberships: Vec::new(),
            orders: BTreeMap::new(),
        }
    }
}

impl ShopSeed {
    pub(super) fn shop(&self, bucket: Bucket) -> Shop {
        let usual = || "sandbox-access-token".to_owned();
        let access_token = if self.access_token.is_empty() { usual() } else { self.access_token.clone() };
        Shop { access_token, is_open: true, bucket, customers: BTreeMap::new() }
    }
}

impl Tenant {
    pub(super) fn admit(&mut self, person: &Person) {
        let id = if person.id.is_empty() { Uuid::new_v4().to_string() } else { person.id.clone() };
        if !person.is_bare {
            let one = || json!([{"id": Uuid::new_v4(), "isDefault": true}]);
            self.addresses.insert(id.clone(), one());
            self.cards.insert(id.clone(), one());
        }
        let Person { email, first_name, last_name, .. } = person;
        self.customers.push(json!({
            "id": id, "firstName": first_name, "lastName": last_name, "emails": [{"id": Uuid::new_v4(), "email": email}],
        }));
    }

    /// The customers with the clubs of their live memberships.
    pub(super) fn shown(&self) -> Value {
        let clubs = |id: &Value| -> Vec<&Value> {
            let live = self.memberships.iter().filter(|m| m["customerId"] == *id && m["status"] == "Active");
            live.map(|membership| &membership["clubId"]).collect()
        };
        let shown = self.customers.iter().map(|customer| {
            json!({"id": customer["id"], "email": customer["emails"][0]["email"], "clubs": clubs(&customer["id"])})
        });
        shown.collect()
    }
}

impl Shop {
    /// Under a number that no other shop's customer has.
    pub(super) fn admit(&mut self, person: &Person, number: u64) {
        let Person { email, first_name, last_name, tags, .. } = person;
        self.customers.insert(
            number,
            json!({
                "id": format!("gid://shopify/Customer/{number}"), "legacyResourceId": number.to_string(), "email": email,
                "firstName": first_name, "lastName": last_name, "tags": tags,
            }),
        );
    }

    pub(super) fn shown(&self) -> Value {
        let shown = self.customers.iter().map(|(number, customer)| {
            json!({"id": number.to_string(), "email": customer["email"], "tags": customer["tags"]})
        });
        shown.collect()
    }
}

/// Whether a search for this finds that address: whatever has it within, and whatever has the same name at another place.
pub(super) fn resembles(email: &str, searched: &str) -> bool {
    let (email, searched) = (email.to_lowercase(), searched.to_lowercase());
    let local = |text: &str| text.split('@').next().map(str::to_owned);
    !searched.is_empty() && (email.contains(&searched) || local(&email) == local(&searched))
}
