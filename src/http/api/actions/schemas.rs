//! What document 2's functions take and tell (`sql/functions/feedback.sql`).
#![expect(dead_code, clippy::struct_field_names, reason = "the database reads and makes them; these describe them")]

use jiff::Timestamp;
use serde_json::Value;
use utoipa::ToSchema;

use crate::http::api::Key;

/// The answer to an action.
#[derive(ToSchema)]
pub(super) struct Feedback {
    #[schema(minimum = 1, maximum = 999_999_999_999_999_999_i64)]
    action_id: i64,
    status: Decision,
    /// What the customer is told besides.
    user_response: Option<String>,
    /// That of the action.
    contact_id: Key,
    #[schema(minimum = 0, maximum = 999_999_999)]
    chatbot_id: Option<i64>,
    #[schema(pattern = "[^ ]")]
    request_type: String,
    request_details: Option<RequestDetails>,
}

/// What is decided.
#[derive(ToSchema)]
#[serde(rename_all = "lowercase")]
enum Decision {
    Approved,
    Denied,
    Edited,
}

/// As the caller has them.
#[derive(ToSchema)]
#[serde(untagged)]
enum RequestDetails {
    #[schema(value_type = Object)]
    Fields(Value),
    Words(String),
}

/// How the action stands.
#[derive(ToSchema)]
pub(super) struct Taken {
    action_id: i64,
    status: String,
    #[schema(required = true)]
    reply_status: Option<String>,
    generation: i32,
}

/// An action and everything of it.
#[derive(ToSchema)]
pub(super) struct Details {
    action: Action,
    /// The newest reply: a row of `action_responses`.
    #[schema(value_type = Option<Object>, required = true)]
    reply: Option<Value>,
    /// Rows of `action_responses`.
    #[schema(value_type = Vec<Object>)]
    replies: Vec<Value>,
    attempts: Vec<Ended>,
}

/// An action.
#[derive(ToSchema)]
struct Action {
    id: i64,
    #[schema(required = true)]
    contact_id: Option<Key>,
    #[schema(required = true)]
    chatbot_id: Option<Key>,
    #[schema(required = true)]
    action_type: Option<String>,
    /// As the row has them.
    details: Value,
    status: String,
    #[schema(required = true)]
    user_response: Option<String>,
    #[schema(required = true)]
    reply_status: Option<String>,
    /// How the reply stands, in one word.
    #[schema(required = true)]
    state: Option<String>,
    generation: i32,
    attempts: i32,
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    next_retry_at: Option<Timestamp>,
    #[schema(required = true)]
    error_message: Option<String>,
    #[schema(required = true)]
    requested_by: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    requested_at: Option<Timestamp>,
    #[schema(required = true)]
    resolved_by: Option<String>,
    #[schema(required = true)]
    resolved_note: Option<String>,
    #[schema(value_type = Option<String>, required = true)]
    created_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, required = true)]
    updated_at: Option<Timestamp>,
}

/// An attempt, as `rowcall.history` has it.
#[derive(ToSchema)]
pub(in crate::http::api) struct Ended {
    id: i64,
    #[schema(value_type = String, format = DateTime)]
    settled_at: Timestamp,
    generation: i32,
    attempt: i32,
    settled_as: String,
    meaning: String,
    #[schema(required = true)]
    error: Option<String>,
    /// What the provider answered, an excerpt.
    response: Value,
    /// As Postgres writes an interval.
    #[schema(required = true)]
    duration: Option<String>,
    #[schema(required = true)]
    requested_by: Option<String>,
}
