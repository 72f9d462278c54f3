//! What document 5's functions tell (`sql/functions/fluent_api.sql`), and what the handlers make of it.
#![expect(dead_code, clippy::struct_field_names, reason = "the database makes them; these describe them")]

use jiff::Timestamp;
use utoipa::ToSchema;

use crate::http::api::{Blank, Key};
use crate::http::errors::{Fault, Refused};

/// A day; empty is none.
#[derive(ToSchema)]
#[serde(untagged)]
pub(super) enum DayOrNone {
    #[schema(format = Date)]
    Day(String),
    Nothing(#[schema(inline)] Blank),
}

/// What an ended sync did.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Done {
    success: bool,
    id: Key,
    #[schema(required = true)]
    note: Option<String>,
    tickets_fetched: i64,
    tickets_added: i64,
    tickets_updated: i64,
    tickets_skipped: i64,
    /// Milliseconds.
    #[schema(required = true)]
    sync_duration: Option<i64>,
    #[schema(required = true)]
    date_filter: Option<String>,
}

/// A sync that has not ended.
#[derive(ToSchema)]
pub(super) struct UnderWay {
    success: bool,
    message: String,
    sync: Sync,
}

/// A sync that something keeps.
#[derive(ToSchema)]
pub(super) struct Kept {
    success: bool,
    error: Fault,
    sync: Sync,
}

/// A sync that something keeps, or why there is none.
#[derive(ToSchema)]
#[serde(untagged)]
pub(super) enum KeptOrRefusal {
    Kept(Box<Kept>),
    Refusal(Refused),
}

/// A sync, as it stands.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
struct Sync {
    id: Key,
    /// `pending`, `running`, `success`, `failed` or `cancelled`.
    status: String,
    #[schema(required = true)]
    date_filter: Option<String>,
    is_full: bool,
    pages_read: i64,
    #[schema(required = true)]
    pages_total: Option<i64>,
    tickets_fetched: i64,
    #[schema(required = true)]
    tickets_total: Option<i64>,
    tickets_added: i64,
    tickets_updated: i64,
    tickets_skipped: i64,
    /// Milliseconds.
    #[schema(required = true)]
    sync_duration: Option<i64>,
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    requested_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    started_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    completed_at: Option<Timestamp>,
    /// For those who may look.
    note: Option<String>,
    /// For those who may look.
    error: Option<String>,
    /// For those who may look.
    waits_for: Option<String>,
}

/// How syncs stand.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Syncs {
    /// The last one that was asked for.
    #[schema(required = true)]
    last_sync: Option<Sync>,
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    last_success_at: Option<Timestamp>,
    /// How many there are.
    tickets: i64,
}

/// A page of tickets.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tickets {
    tickets: Vec<Ticket>,
    page: i64,
    per_page: i64,
    last_page: i64,
    total: i64,
}

/// A ticket.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
struct Ticket {
    fluent_id: Key,
    #[schema(required = true)]
    request_id: Option<Key>,
    #[schema(required = true)]
    title: Option<String>,
    #[schema(required = true)]
    status: Option<String>,
    #[schema(required = true)]
    priority: Option<String>,
    #[schema(required = true)]
    product: Option<String>,
    #[schema(required = true)]
    agent_name: Option<String>,
    #[schema(required = true)]
    customer_name: Option<String>,
    #[schema(required = true)]
    customer_email: Option<String>,
    #[schema(required = true)]
    response_count: Option<i64>,
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    created_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    updated_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    resolved_at: Option<Timestamp>,
    #[schema(required = true)]
    request: Option<TicketRequest>,
}

/// What was made of a ticket: a row of `requests`.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
struct TicketRequest {
    id: Key,
    #[schema(required = true)]
    date: Option<String>,
    #[schema(required = true)]
    time: Option<String>,
    /// At most 2,000 characters of it.
    #[schema(required = true)]
    description: Option<String>,
    #[schema(required = true)]
    urgency: Option<String>,
    #[schema(required = true)]
    category: Option<String>,
    #[schema(required = true)]
    website_url: Option<String>,
    #[schema(required = true)]
    hours: Option<f64>,
    #[schema(required = true)]
    source: Option<String>,
    /// What a person changed, which no sync overwrites.
    #[schema(required = true)]
    edited_columns: Option<Vec<String>>,
}
