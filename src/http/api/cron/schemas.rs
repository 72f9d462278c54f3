//! What document 4's functions take and tell (`sql/functions/crm_api.sql`).
#![expect(dead_code, reason = "the database reads and makes them; these describe them")]

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::http::api::Key;
use crate::http::errors::{Fault, Refused};

/// Which job.
#[derive(ToSchema)]
pub(super) struct Job {
    action: JobAction,
    /// With `trigger`: `process-expired-enrollments`, which it is where nothing is said, or `process-crm-sync-queue`.
    job: Option<String>,
}

/// `trigger` runs a job; `test` tells what `process-expired-enrollments` would do; `sync` runs `process-crm-sync-queue`.
#[derive(ToSchema)]
#[serde(rename_all = "lowercase")]
enum JobAction {
    Trigger,
    Test,
    Sync,
}

/// What a job did.
#[derive(ToSchema)]
pub(super) struct Ran {
    success: bool,
    job: String,
    /// Its counts.
    #[schema(value_type = Object)]
    result: Value,
}

/// The jobs and their queue.
#[derive(ToSchema)]
pub(super) struct Cron {
    jobs: Vec<CronJob>,
    runs: Vec<CronRun>,
    /// How many rows have which status; null where there is no row.
    #[schema(required = true)]
    queue: Option<BTreeMap<String, i64>>,
}

/// A job, in `pg_cron`'s words.
#[derive(ToSchema)]
struct CronJob {
    jobid: i64,
    schedule: String,
    command: String,
    nodename: String,
    nodeport: i32,
    database: String,
    #[schema(required = true)]
    username: Option<String>,
    active: bool,
    jobname: String,
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    next_run_at: Option<Timestamp>,
    time_zone: String,
}

/// A run of a job, in `pg_cron`'s words.
#[derive(ToSchema)]
struct CronRun {
    jobid: i64,
    runid: i64,
    status: String,
    #[schema(required = true)]
    return_message: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    start_time: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    end_time: Option<Timestamp>,
}

/// Which row of `crm_sync_queue`, and what is true of it.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    queue_id: Key,
    client_id: Option<Key>,
    /// `add_membership`, `cancel_membership` or `upgrade_membership`.
    action_type: Option<String>,
    /// `commerce7` or `shopify`.
    crm_type: Option<String>,
    stage_id: Option<Key>,
    old_stage_id: Option<Key>,
}

/// How the row stands.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Outcome {
    success: bool,
    queue_id: Key,
    status: String,
    action_type: String,
    attempts: i32,
    max_attempts: i32,
    #[schema(required = true)]
    error_message: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    next_retry_at: Option<Timestamp>,
    #[schema(required = true)]
    customer_crm_id: Option<String>,
    #[schema(required = true)]
    membership_id: Option<String>,
    /// Why it is not done.
    #[schema(nullable = false)]
    error: Option<Fault>,
}

/// How the row stands, or why it was not asked for.
#[derive(ToSchema)]
#[serde(untagged)]
pub(super) enum OutcomeOrRefusal {
    Outcome(Outcome),
    Refusal(Refused),
}

/// What holds between the fields.
pub(in crate::http::api) fn rules() -> Vec<(&'static str, Value)> {
    let jobs = json!({ "enum": ["process-expired-enrollments", "process-crm-sync-queue", "", null] });
    let triggered = json!({ "properties": { "action": { "const": "trigger" } }, "required": ["action"] });
    vec![("Job", json!({ "if": triggered, "then": { "properties": { "job": jobs } } }))]
}
