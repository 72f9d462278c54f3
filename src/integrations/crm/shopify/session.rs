//! One customer of one shop: found, tagged, untagged.

use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::Access;
use super::answer::{strange, user_errors};
use crate::failure::{Failure, Fault};
use crate::integrations::crm::line::{Line, Purpose, failure};
use crate::integrations::crm::payload::{Club, Payload};
use crate::integrations::crm::provider::{Found, Provider};

const ADD: &str = "mutation addTags($id: ID!, $tags: [String!]!) { \
    tagsAdd(id: $id, tags: $tags) { node { id } userErrors { field message } } }";

const REMOVE: &str = "mutation removeTags($id: ID!, $tags: [String!]!) { \
    tagsRemove(id: $id, tags: $tags) { node { id } userErrors { field message } } }";

const FIND: &str = "query find($query: String!) { customers(first: 10, query: $query) { nodes { id email } } }";

const LOOK: &str = "query look($id: ID!) { customer(id: $id) { id tags } }";

/// What Shopify writes before the number of a customer.
const CUSTOMER: &str = "gid://shopify/Customer/";

/// One customer of one shop.
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

    /// The customer's number: as the row knows it, or by the one customer who has the e-mail address.
    async fn customer(&mut self) -> Result<String, Failure> {
        let id = match self.found.customer_id.clone() {
            Some(id) => id,
            None => match self.payload.customer.id()? {
                Some(id) => id.to_owned(),
                None => self.search().await?,
            },
        };
        self.found.customer_id = Some(id.clone());
        Ok(id)
    }

    async fn search(&mut self) -> Result<String, Failure> {
        let email = self.payload.customer.email()?;
        let variables = json!({"query": format!("email:'{}'", quoted(email))});
        let data = self.access.ask(&mut self.line, FIND, &variables, Purpose::Look).await?;
        let nodes = data["customers"]["nodes"].as_array().ok_or_else(|| strange(Purpose::Look))?;
        let is_same =
            |node: &&Value| node["email"].as_str().is_some_and(|own| own.trim().to_lowercase() == email.to_lowercase());
        let mut same = nodes.iter().filter(is_same).filter_map(|node| node["id"].as_str()?.strip_prefix(CUSTOMER));
        match (same.next(), same.next()) {
            (Some(id), None) => Ok(id.to_owned()),
            (None, _) => Err(failure(
                Fault::Item,
                "Shopify has no customer with this e-mail address; enter the customer's id in the CRM, or correct the \
                 address, then use rowcall.retry.",
            )),
            _ => Err(failure(
                Fault::Item,
                "Shopify has several customers with this e-mail address; enter the right one's id as the customer's id \
                 in the CRM, then use rowcall.retry.",
            )),
        }
    }

    /// Puts tags on the customer or takes them away; the others stay as they are.
    async fn tag(&mut self, tags: &[&str], is_wanted: bool) -> Result<(), Failure> {
        let id = self.customer().await?;
        let (document, field) = if is_wanted { (ADD, "tagsAdd") } else { (REMOVE, "tagsRemove") };
        let variables = json!({"id": format!("{CUSTOMER}{id}"), "tags": tags});
        let data = self.access.ask(&mut self.line, document, &variables, Purpose::Change).await;
        let made = data.and_then(|data| match user_errors(&data[field]["userErrors"], &self.line.private) {
            Some(refused) => Err(refused),
            None if data[field]["node"]["id"].is_string() => Ok(()),
            None => Err(strange(Purpose::Change)),
        });
        match made {
            // Should the look fail too, the same change can be made again.
            Err(failure) if failure.uncertain && self.look(&id, tags).await != Ok(Some(is_wanted)) => {
                return Err(failure);
            }
            Err(failure) if !failure.uncertain => return Err(failure),
            _ => {}
        }
        self.found.has_looked = true;
        self.found.has_changed = true;
        Ok(())
    }

    /// Whether the customer has these tags; nothing where there is no such customer, or where they have some only.
    async fn look(&mut self, id: &str, wanted: &[&str]) -> Result<Option<bool>, ()> {
        let variables = json!({"id": format!("{CUSTOMER}{id}")});
        let data = self.access.ask(&mut self.line, LOOK, &variables, Purpose::Look).await.map_err(drop)?;
        let Some(own) = data["customer"]["tags"].as_array() else { return Ok(None) };
        let own: Vec<String> = own.iter().filter_map(|own| own.as_str().map(str::to_lowercase)).collect();
        let there = wanted.iter().filter(|tag| own.contains(&tag.to_lowercase())).count();
        Ok(if there == 0 { Some(false) } else { (there == wanted.len()).then_some(true) })
    }
}

impl Provider for Session<'_> {
    fn add<'a>(&'a mut self, club: &'a Club) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move {
            let tag = club.tag()?;
            self.tag(&[tag], true).await?;
            self.found.membership_id = Some(tag.to_owned());
            Ok(tag.to_owned())
        })
    }

    fn cancel<'a>(&'a mut self, club: &'a Club) -> BoxFuture<'a, Result<Option<String>, Failure>> {
        Box::pin(async move {
            let tag = club.tag()?;
            // The tier may have another tag than when the customer joined.
            let payload = self.payload;
            let other = payload.made_tag().filter(|made| made.to_lowercase() != tag.to_lowercase());
            let tags: Vec<&str> = other.into_iter().chain([tag]).collect();
            self.tag(&tags, false).await?;
            Ok(Some(tags[0].to_owned()))
        })
    }

    fn is_same(&self, one: &Club, other: &Club) -> bool {
        one.tag().map(str::to_lowercase) == other.tag().map(str::to_lowercase)
    }

    fn found(&mut self) -> &mut Found {
        &mut self.found
    }

    fn calls(&self) -> u32 {
        self.line.calls
    }
}

/// A text within the quotes of Shopify's search.
fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'")
}
