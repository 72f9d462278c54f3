//! An order asked for again: whoever knows the webhook's login may say anything, and what it says may be old.

use serde_json::Value;

use super::Access;
use crate::failure::{Failure, Fault};
use crate::integrations::crm::line::{Line, failure};
use crate::notice::commerce7::{Told, customer};
use crate::notice::{Customer, Notice};

impl Access<'_> {
    /// The order as it is now, with its customer.
    pub(in crate::integrations::crm) async fn order(
        &self,
        line: &mut Line<'_>,
        order_id: &str,
        told: Told,
    ) -> Result<Notice, Failure> {
        let order: Option<Value> = self.get(line, &["order", order_id]).await?;
        let Some(order) = order else {
            // It may be that it does not show yet what it has just told of.
            let what =
                "Commerce7 shows no such order, so what the webhook told of it is not believed and nothing is done.";
            return Err(failure(Fault::Transient, what));
        };
        if order["id"] != order_id {
            let what =
                "Commerce7 shows another order than was asked for, so nothing is done about what the webhook told.";
            return Err(failure(Fault::Item, what));
        }
        let shown = match customer(&order["customer"]).filter(|customer| customer.email.is_some()) {
            Some(shown) => Some(shown),
            None => self.orderer(line, &order).await?,
        };
        Ok(told.of_order(&order, shown))
    }

    async fn orderer(&self, line: &mut Line<'_>, order: &Value) -> Result<Option<Customer>, Failure> {
        let id = order["customerId"]
            .as_str()
            .filter(|id| id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'));
        let Some(id) = id.filter(|id| !id.is_empty()) else { return Ok(None) };
        Ok(self.get::<Value>(line, &["customer", id]).await?.as_ref().and_then(customer))
    }
}
