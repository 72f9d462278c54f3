//! The document: what can be asked here and what is answered, in OpenAPI 3.1. `GET /openapi.json` and `rowcall openapi` show it.
//!
//! It is made of the routes: a handler is served by the description that stands on it, so nothing is served undescribed and
//! nothing is described that is not served. What stands before the handlers asks and answers too: who calls, whose page it is, how
//! large a body may be. That is told here, once for every route behind it. Everybody may read it, as the index: the number of the
//! version, which such a document must have, is all that it tells of this server, and its paths would tell as much.

mod head;

use std::sync::LazyLock;

use axum::Json;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde_json::{Map, Value, json};
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{Content, Ref, RefOr};
use utoipa_axum::router::OpenApiRouter;

use self::head::{REFUSALS, head};
use super::{App, api, described};

/// What stands before a handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// Nothing but the guard of `origin`: anybody may ask.
    Guard,
    /// A reader's token too.
    Reader,
    /// An admin's, and what belongs to a change: who asks for it, and by which `Idempotency-Key`.
    Admin,
    /// Nothing: providers bring a proof of their own, and links are for everybody.
    Nothing,
}

static TEXT: LazyLock<String> = LazyLock::new(|| serde_json::to_string_pretty(&document()).unwrap_or_default());

/// The document, as it is served.
pub fn text() -> &'static str {
    &TEXT
}

/// This document
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "getDocument",
    tag = "health",
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value))
)]
pub(super) async fn show() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], text())
}

/// What there is
#[utoipa::path(
    get,
    path = "/",
    operation_id = "getIndex",
    tag = "health",
    responses((status = 200, description = "The paths of this document", body = Index))
)]
pub(super) async fn index() -> Json<Index> {
    static INDEX: LazyLock<Index> = LazyLock::new(|| Index::of(&document()));
    Json(INDEX.clone())
}

/// The paths of the document, each with its method and the names of its query.
#[derive(Debug, Clone, Default, serde::Serialize, utoipa::ToSchema)]
pub(super) struct Index {
    name: &'static str,
    document: &'static str,
    health: Vec<String>,
    api: Vec<String>,
    webhooks: Vec<String>,
    links: Vec<String>,
}

impl Index {
    fn of(document: &Value) -> Self {
        let mut index = Self { name: "rowcall", document: "/openapi.json", ..Self::default() };
        for (path, item) in document["paths"].as_object().into_iter().flatten() {
            for (method, operation) in item.as_object().into_iter().flatten() {
                let line = format!("{} {path}{}", method.to_uppercase(), query(operation));
                match path.as_str() {
                    "/" | "/openapi.json" => {}
                    "/livez" | "/readyz" => index.health.push(path.clone()),
                    _ if path.starts_with("/webhooks/") => index.webhooks.push(line),
                    _ if path.starts_with("/l/") => index.links.push(line),
                    _ => index.api.push(line),
                }
            }
        }
        index
    }
}

/// `?one=&other=`; nothing where nothing is asked in the query.
fn query(operation: &Value) -> String {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let names = parameters.filter(|it| it["in"] == "query").filter_map(|it| it["name"].as_str());
    let names: Vec<_> = names.map(|name| format!("{name}=")).collect();
    if names.is_empty() { String::new() } else { format!("?{}", names.join("&")) }
}

/// Tells of every route what stands before it.
pub(super) fn behind(before: Before, mut routes: OpenApiRouter<App>) -> OpenApiRouter<App> {
    for item in routes.get_openapi_mut().paths.paths.values_mut() {
        for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
            describe(before, operation);
        }
    }
    routes
}

fn describe(before: Before, operation: &mut Operation) {
    let mut statuses = vec![500, 503];
    let security = match before {
        Before::Guard | Before::Nothing => Vec::new(),
        Before::Reader => tokens("reader"),
        Before::Admin => tokens("admin"),
    };
    statuses.extend(match before {
        Before::Guard => &[403][..],
        Before::Reader => &[401, 403],
        Before::Admin => &[400, 401, 403, 408, 409, 413, 422],
        Before::Nothing => &[],
    });
    if operation.parameters.is_some() {
        statuses.push(400);
    }
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        body.content.values_mut().for_each(left_out);
        statuses.extend([400, 408, 413]);
        if before != Before::Nothing {
            statuses.push(415);
        }
    }
    for (status, name, _) in REFUSALS.iter().filter(|(status, ..)| statuses.contains(status)) {
        let told = operation.responses.responses.entry(status.to_string());
        told.or_insert_with(|| Ref::from_response_name(*name).into());
    }
    operation.security.get_or_insert(security);
    if before == Before::Admin {
        operation.parameters.get_or_insert_default().push(idempotency_key().into());
    }
}

/// A body that may be left out is none, and not null.
fn left_out(content: &mut RefOr<Content>) {
    if let RefOr::T(Content { schema: Some(schema), .. }) = content
        && let RefOr::T(Schema::OneOf(either)) = schema
        && let [given, RefOr::T(_)] = either.items.as_slice()
    {
        *schema = given.clone();
    }
}

/// Any one of these will do.
fn tokens(role: &str) -> Vec<SecurityRequirement> {
    ["token", "basic", "jwt"].map(|scheme| SecurityRequirement::new(scheme, [role])).into()
}

fn idempotency_key() -> Parameter {
    let word = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(255));
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .description(Some(
            "By what the caller knows the request, such as a UUID. For a day, the same key with the same body on the same path \
             gets the first answer, and nothing is done again.",
        ))
        .schema(Some(word.pattern(Some("^[!-~]+$"))))
        .build()
}

/// All of it, as JSON.
fn document() -> Value {
    let mut document = serde_json::to_value(described(head())).unwrap_or_default();
    first_that_fits(&mut document);
    for (name, rule) in api::rules() {
        if let (Some(schema), Value::Object(rule)) = (document["components"]["schemas"][name].as_object_mut(), rule) {
            schema.extend(rule);
        }
    }
    document
}

/// What may be one thing or another is read as the first that fits: nobody promises that no other would.
fn first_that_fits(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(kinds) = map.remove("oneOf") {
                map.insert("anyOf".to_owned(), kinds);
            }
            map.values_mut().for_each(first_that_fits);
        }
        Value::Array(list) => list.iter_mut().for_each(first_that_fits),
        _ => {}
    }
}

/// That a field is there and says something, for rules that a type cannot tell.
pub(super) fn given(name: &str) -> Value {
    let not_null: Map<_, _> = [(name.to_owned(), json!({ "not": { "type": "null" } }))].into_iter().collect();
    json!({ "required": [name], "properties": not_null })
}
