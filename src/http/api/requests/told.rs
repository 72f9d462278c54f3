//! What document 1's functions answer (`sql/functions/requests.sql`, `monitoring.sql`).
#![expect(dead_code, clippy::struct_field_names, reason = "the database makes them; these describe them")]

use std::collections::BTreeMap;

use jiff::Timestamp;
use utoipa::ToSchema;

use crate::http::api::Key;

/// How a row stands that something was asked of.
#[derive(ToSchema)]
pub(super) struct Stands {
    success: bool,
    /// In words, with what keeps it waiting.
    message: String,
    queue: String,
    id: Key,
    status: String,
    #[schema(required = true)]
    action: Option<String>,
    /// To which it goes back if it cannot be done.
    #[schema(required = true)]
    previous_status: Option<String>,
    /// `api`, `frontend` or `webhook`.
    #[schema(required = true)]
    request_method: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    requested_at: Option<Timestamp>,
    #[schema(required = true)]
    requested_by: Option<String>,
    /// Counts the row's requests.
    generation: i32,
    /// Of a code.
    #[schema(nullable = false)]
    code: Option<String>,
    /// Of a link.
    #[schema(nullable = false)]
    target_url: Option<String>,
    /// Of a link, once it is minted.
    slug: Option<String>,
    /// Of a link, once it is minted.
    short_url: Option<String>,
}

/// That it is asked for.
#[derive(ToSchema)]
pub(super) struct Told {
    success: bool,
    message: String,
}

/// That every worker looks now, and how much there is.
#[derive(ToSchema)]
pub(super) struct Looked {
    success: bool,
    message: String,
    #[serde(flatten)]
    pending: Pending,
}

/// How many requests are not done.
#[derive(ToSchema)]
pub(super) struct Pending {
    pending_actions: i64,
    due: i64,
    running: i64,
    waiting: i64,
    failed: i64,
    unknown: i64,
    /// How many of those that are pending, by the status of their rows.
    by_status: BTreeMap<String, i64>,
    queues: BTreeMap<String, PendingOfQueue>,
}

/// How many requests of a queue are not done.
#[derive(ToSchema)]
struct PendingOfQueue {
    pending: i64,
    due: i64,
    running: i64,
    waiting: i64,
    failed: i64,
    unknown: i64,
    #[schema(required = true)]
    oldest_seconds: Option<f64>,
    /// Why none of them runs.
    #[schema(required = true)]
    held_up: Option<String>,
}

/// The last attempts.
#[derive(ToSchema)]
pub(super) struct History {
    count: i64,
    history: Vec<Past>,
}

/// An attempt.
#[derive(ToSchema)]
struct Past {
    queue: String,
    id: String,
    /// Of a code that is still there.
    #[schema(required = true)]
    code: Option<String>,
    generation: i32,
    attempt: i32,
    /// A verdict, `superseded`, `lost` or `cancelled`.
    settled_as: String,
    meaning: String,
    #[schema(required = true)]
    error: Option<String>,
    #[schema(required = true)]
    requested_by: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    settled_at: Timestamp,
    #[schema(required = true)]
    duration_seconds: Option<f64>,
}

/// Who works, and how.
#[derive(ToSchema)]
pub(super) struct Monitoring {
    /// `running` where a worker lives, else `stopped`.
    scheduler: String,
    workers: Vec<Worker>,
    #[schema(required = true)]
    monitoring: Option<Check>,
    queues: BTreeMap<String, WorkedQueue>,
}

/// A worker that was seen within the last hour.
#[derive(ToSchema)]
struct Worker {
    host: String,
    pid: i32,
    version: String,
    queues: Vec<String>,
    /// `alive`, `draining` or `dead`.
    state: String,
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    heartbeat_at: Timestamp,
}

/// What the last check of the codes has shown.
#[derive(ToSchema)]
struct Check {
    status: String,
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    checked_at: Option<Timestamp>,
    #[schema(required = true)]
    error: Option<String>,
    #[schema(required = true)]
    codes_in_fienta: Option<i64>,
    #[schema(required = true)]
    codes_compared: Option<i64>,
    /// How often each code was used, where Fienta tells.
    #[schema(value_type = Object)]
    usage: BTreeMap<String, i64>,
    drift_count: i64,
    /// The codes that differ, and how.
    #[schema(value_type = Vec<Object>)]
    drift: Vec<BTreeMap<String, String>>,
}

/// How a queue is worked.
#[derive(ToSchema)]
struct WorkedQueue {
    /// `open`, `paused` or `breaker open`.
    state: String,
    #[schema(required = true)]
    reason: Option<String>,
    #[schema(required = true)]
    held_up: Option<String>,
    attempts_24h: i64,
    #[schema(required = true)]
    success_percent_24h: Option<f64>,
}
