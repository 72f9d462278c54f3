//! The API: one file a document. Every handler calls the SQL function of the same meaning and answers what that said.
//!
//! On each stands its description, of which the document is made. What SQL functions take and tell is described beside the
//! handlers, in `schemas` where it is much: no type here makes it, so `tests/it/openapi.rs` holds both to each other.

mod actions;
mod cron;
mod fulfillment;
mod fluent;
mod operate;
mod requests;
mod schedules;

use axum::Json;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;

/// What anybody may ask.
pub(super) fn opens() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(fluent::status))
}

/// What a reader may ask.
pub(super) fn reads() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(operate::status))
        .routes(routes!(operate::history))
        .routes(routes!(requests::status))
        .routes(routes!(requests::history))
        .routes(routes!(requests::monitoring))
        .routes(routes!(schedules::list))
        .routes(routes!(schedules::runs))
        .routes(routes!(actions::details))
        .routes(routes!(cron::status))
        .routes(routes!(fulfillment::status))
        .routes(routes!(fulfillment::export))
        .routes(routes!(fluent::tickets))
}

/// What changes something.
pub(super) fn writes() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(operate::pause))
        .routes(routes!(operate::resume))
        .routes(routes!(operate::retry))
        .routes(routes!(operate::resolve))
        .routes(routes!(operate::cancel))
        .routes(routes!(requests::create_code))
        .routes(routes!(requests::update_code))
        .routes(routes!(requests::delete_code))
        .routes(routes!(requests::rename_code))
        .routes(routes!(requests::update_order))
        .routes(routes!(requests::create_link))
        .routes(routes!(requests::sync_organization))
        .routes(routes!(requests::check_now))
        .routes(routes!(requests::process_now))
        .routes(routes!(schedules::run))
        .routes(routes!(schedules::pause))
        .routes(routes!(schedules::resume))
        .routes(routes!(actions::feedback))
        .routes(routes!(cron::run))
        .routes(routes!(cron::sync))
        .routes(routes!(fulfillment::act))
        .routes(routes!(fluent::sync))
}

/// What holds between the fields of a schema, by its name: a type cannot tell it.
pub(super) fn rules() -> Vec<(&'static str, Value)> {
    [requests::rules(), cron::rules(), fulfillment::rules()].concat()
}

/// What was done, in words.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Answer {
    answer: String,
}

impl Answer {
    pub(super) fn json(answer: impl Into<String>) -> Json<Self> {
        Json(Self { answer: answer.into() })
    }
}

/// A row's key: as a number, or as text where the table's own is text or a UUID.
#[derive(ToSchema)]
#[schema(as = Key)]
#[serde(untagged)]
#[expect(dead_code, reason = "the database makes it; this describes it")]
enum Key {
    Number(i64),
    Text(String),
}

/// What a form sends of a field that is left empty.
#[derive(ToSchema)]
#[schema(pattern = "^\\s*$")]
#[expect(dead_code, reason = "a caller sends it; this describes it")]
struct Blank(String);
