//! What document 1's requests may say, as `sql/functions/faults.sql` and `requests.sql` check it.
#![expect(dead_code, reason = "the database reads them, and names every field that is wrong; these describe them")]

use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::http::document::given;
use crate::order::RESERVED;

/// A code, and what it gives.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewCode {
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", example = "SUMMER")]
    code: String,
    /// Not beside `discount_amount`.
    #[schema(exclusive_minimum = 0, maximum = 100, multiple_of = 0.01, example = 20)]
    discount_percent: Option<f64>,
    /// In the event's currency; not beside `discount_percent`.
    #[schema(exclusive_minimum = 0, maximum = 999_999_999, multiple_of = 0.01)]
    discount_amount: Option<f64>,
    #[schema(minimum = 1, maximum = 1_000_000)]
    max_uses: Option<i64>,
    expires_at: Option<Moment>,
    /// In one line.
    #[schema(max_length = 500, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$")]
    description: Option<String>,
    request_method: Option<RequestMethod>,
}

/// What a code gives from now on; at least one of them.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTerms {
    /// Not beside `new_discount_amount`.
    #[schema(exclusive_minimum = 0, maximum = 100, multiple_of = 0.01, example = 25)]
    new_discount_percent: Option<f64>,
    /// In the event's currency; not beside `new_discount_percent`.
    #[schema(exclusive_minimum = 0, maximum = 999_999_999, multiple_of = 0.01)]
    new_discount_amount: Option<f64>,
    #[schema(minimum = 1, maximum = 1_000_000)]
    new_max_uses: Option<i64>,
    new_expires_at: Option<Moment>,
    /// In one line.
    #[schema(max_length = 500, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$")]
    new_description: Option<String>,
    request_method: Option<RequestMethod>,
}

/// A code's new name.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewName {
    /// Another than the present one.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", example = "AUTUMN")]
    new_code: String,
    request_method: Option<RequestMethod>,
}

/// What an order becomes: a status, metadata, or both.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OrderChange {
    /// A word, and neither `updating` nor `unknown`, in capitals or not.
    #[schema(pattern = "^[A-Za-z][A-Za-z0-9_-]{0,39}$", example = "completed")]
    new_status: Option<String>,
    /// Without keys of the request itself, such as `action`.
    #[schema(value_type = Option<Object>)]
    new_metadata: Option<Value>,
    request_method: Option<RequestMethod>,
}

/// Where a short link leads, and until when.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewLink {
    /// At most 2048 bytes.
    #[schema(
        format = "uri",
        pattern = "^[Hh][Tt][Tt][Pp][Ss]?://[^/\\s]",
        max_length = 2048,
        example = "https://example.com/summer"
    )]
    target_url: String,
    expires_at: Option<Moment>,
    request_method: Option<RequestMethod>,
}

/// Nothing needs to be said.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Plain {
    request_method: Option<RequestMethod>,
}

/// A day, or a time with its offset.
#[derive(ToSchema)]
#[serde(untagged)]
enum Moment {
    #[schema(format = Date)]
    Day(String),
    #[schema(format = DateTime)]
    Time(String),
}

/// How it is asked, where it is another system or a frontend's server that asks; `api` where nothing is said.
#[derive(ToSchema)]
#[serde(rename_all = "lowercase")]
enum RequestMethod {
    Api,
    Frontend,
    Webhook,
}

/// What holds between the fields.
pub(in crate::http::api) fn rules() -> Vec<(&'static str, Value)> {
    let both = |one, other| json!({ "allOf": [given(one), given(other)] });
    let new_terms =
        ["new_discount_percent", "new_discount_amount", "new_max_uses", "new_expires_at", "new_description"];
    vec![
        ("NewCode", json!({ "not": both("discount_percent", "discount_amount") })),
        (
            "NewTerms",
            json!({ "not": both("new_discount_percent", "new_discount_amount"), "anyOf": new_terms.map(given) }),
        ),
        (
            "OrderChange",
            json!({
                "anyOf": [given("new_status"), given("new_metadata")],
                "allOf": [{ "properties": {
                    "new_status": { "not": { "enum": ["updating", "unknown"] } },
                    "new_metadata": { "propertyNames": { "not": { "enum": RESERVED } } },
                } }],
            }),
        ),
    ]
}
