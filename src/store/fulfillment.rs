//! Document 3's functions: an order's fulfilment is started, tried again and looked at; and what suppliers tell of orders.

use jiff::Timestamp;
use serde_json::Value;

use super::{Store, StoreError, json};

/// How an order stands, as a supplier tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The bundle is there.
    Delivered,
    /// It will not come.
    Failed,
    /// It was taken back, or the money was given back.
    Reversed,
    /// It is on its way.
    Pending,
    /// Whoever told it proved nothing: it may bring the next look-up forward, and settles nothing.
    Unproven,
}

impl State {
    /// The word that stands in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Reversed => "reversed",
            Self::Pending => "pending",
            Self::Unproven => "unproven",
        }
    }
}

/// What a supplier tells of one order. One of the two references must be there.
#[derive(Clone, PartialEq, Eq)]
pub struct Report {
    /// The supplier's profile.
    pub profile: String,
    /// The order's key, or what the supplier was told to know it by.
    pub reference: Option<String>,
    /// The supplier's own number of the order.
    pub provider_reference: Option<String>,
    /// How it stands.
    pub state: State,
    /// The supplier's code, where it gives one.
    pub code: Option<String>,
    /// The supplier's words, without secrets and phone numbers.
    pub text: Option<String>,
    /// When it happened, where the supplier says so. Never when it was told: a repetition must be known as one.
    pub at: Option<Timestamp>,
}

/// Neither the supplier's words nor its numbers: they could be anybody's.
impl std::fmt::Debug for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Report").field("profile", &self.profile).field("state", &self.state).finish_non_exhaustive()
    }
}

impl Store {
    /// `rowcall.trigger_fulfillment(order_id)`; what it answers.
    ///
    /// Its refusals: P0002 when there is no such order; 22023 when it is of another network; RC409 when its fulfilment is over,
    /// or it does not count as paid.
    pub async fn trigger_fulfillment(&self, order: &str) -> Result<Value, StoreError> {
        const SQL: &str = "select rowcall.trigger_fulfillment($1)";
        self.change(SQL, &[&order], "trigger an order's fulfilment").await
    }

    /// `rowcall.retry_fulfillment(order_id, force, note)`; what it answers.
    ///
    /// Its refusals: P0002 when there is no such order or it has no fulfilment; 22023 for force without a note, and for an order that
    /// cannot be bought as it is; RC409 when it is delivered, when its attempts are spent, or when it is not to be bought.
    pub async fn retry_fulfillment(&self, order: &str, force: bool, note: Option<&str>) -> Result<Value, StoreError> {
        const SQL: &str = "select rowcall.retry_fulfillment($1, $2, $3)";
        self.change(SQL, &[&order, &force, &note], "retry an order's fulfilment").await
    }

    /// `rowcall.fulfillment_status(order_id)`: the order, its fulfilment, every attempt and report; nothing when there is no such
    /// order.
    pub async fn fulfillment_status(&self, order: &str) -> Result<Option<Value>, StoreError> {
        const SQL: &str = "select rowcall.fulfillment_status($1)";
        let rows = self.rows(SQL, &[&order], || "read an order's fulfilment".to_owned()).await?;
        Ok(rows.first().and_then(json))
    }

    /// Tells the database what a supplier told, in order; what each did, in words. A repetition changes nothing, so a caller
    /// whose call failed may have all of it repeated.
    pub async fn record_reports(&self, reports: &[Report]) -> Result<Vec<String>, StoreError> {
        const SQL: &str = "select rowcall.supplier_report($1, $2, $3, $4, $5, $6, $7)";
        let mut answers = Vec::with_capacity(reports.len());
        for Report { profile, reference, provider_reference, state, code, text, at } in reports {
            let state = state.as_str();
            let rows = self
                .rows(SQL, &[profile, reference, provider_reference, &state, code, text, at], || {
                    format!("record a report of the supplier {profile}")
                })
                .await?;
            answers.push(rows.first().map(|row| row.get(0)).unwrap_or_default());
        }
        Ok(answers)
    }

    /// Applies what suppliers told of orders that were not known, or were held by somebody. Returns how many did something.
    pub async fn apply_reports(&self) -> Result<i32, StoreError> {
        const SQL: &str = "select rowcall.apply_reports()";
        let rows = self.rows(SQL, &[], || "apply what suppliers told".to_owned()).await?;
        Ok(rows.first().map(|row| row.get(0)).unwrap_or_default())
    }
}
