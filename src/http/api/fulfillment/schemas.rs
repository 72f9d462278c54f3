//! What document 3's functions take and tell (`sql/functions/fulfillment_api.sql`).
#![expect(
    dead_code,
    clippy::struct_field_names,
    reason = "the handlers and the database read and make them; these describe them"
)]

use jiff::Timestamp;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::http::api::actions::Ended;
use crate::http::api::{Blank, Key};

/// What to do about which order.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Act {
    action: ActKind,
    /// The order's key, as text.
    #[schema(min_length = 1)]
    order_id: String,
    /// With `retry`: buy again although no attempt is left, or nobody can tell whether it was bought.
    force: Option<bool>,
    /// Why it is forced. It is kept.
    note: Option<String>,
}

/// `trigger` buys what the trigger did not; `retry` tries again.
#[derive(ToSchema)]
#[serde(rename_all = "lowercase")]
enum ActKind {
    Trigger,
    Retry,
}

/// An order and its fulfilment.
#[derive(ToSchema)]
pub(super) struct Fulfillment {
    order: Order,
    /// The row of `fulfillment_logs`, and `attempts_left`; null where there is none.
    #[schema(value_type = Option<Object>, required = true)]
    fulfillment: Option<Value>,
    attempts: Vec<Ended>,
    reports: Vec<Report>,
}

/// What was done, and how the order stands.
#[derive(ToSchema)]
pub(super) struct Acted {
    answer: String,
    #[serde(flatten)]
    fulfillment: Fulfillment,
}

/// An order.
#[derive(ToSchema)]
struct Order {
    id: Key,
    #[schema(required = true)]
    network: Option<String>,
    #[schema(required = true)]
    phone_number: Option<String>,
    #[schema(required = true)]
    package: Option<String>,
    /// As a decimal text.
    #[schema(required = true)]
    amount: Option<String>,
    #[schema(required = true)]
    status: Option<String>,
    #[schema(required = true)]
    fulfillment_status: Option<String>,
}

/// What a supplier told.
#[derive(ToSchema)]
struct Report {
    profile: String,
    #[schema(required = true)]
    reference: Option<String>,
    #[schema(required = true)]
    provider_reference: Option<String>,
    /// `delivered`, `failed`, `reversed` or `pending`.
    state: String,
    #[schema(required = true)]
    code: Option<String>,
    #[schema(required = true)]
    text: Option<String>,
    /// By the supplier's clock.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    told_at: Timestamp,
    /// What it did.
    #[schema(required = true)]
    applied_as: Option<String>,
}

/// The status of a fulfilment; empty is any.
#[derive(ToSchema)]
#[serde(untagged)]
pub(super) enum ExportedStatus {
    One(#[schema(inline)] Standing),
    Any(#[schema(inline)] Blank),
}

#[derive(ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Standing {
    Pending,
    Processing,
    Success,
    Failed,
    Unknown,
}

/// A day, or a time with its offset; empty is none.
#[derive(ToSchema)]
#[serde(untagged)]
pub(super) enum Since {
    #[schema(format = Date)]
    Day(String),
    #[schema(format = DateTime)]
    Time(String),
    Nothing(#[schema(inline)] Blank),
}

/// What holds between the fields.
pub(in crate::http::api) fn rules() -> Vec<(&'static str, Value)> {
    let forced = json!({
        "properties": { "action": { "const": "retry" }, "force": { "const": true } }, "required": ["action", "force"],
    });
    let noted = json!({ "properties": { "note": { "type": "string", "pattern": "[^ ]" } }, "required": ["note"] });
    vec![("Act", json!({ "if": forced, "then": noted }))]
}
