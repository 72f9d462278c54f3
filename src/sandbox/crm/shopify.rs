//! Shopify's Admin API: who may ask, what a question costs, and what is done: tags, and customers looked up.

use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, HeaderValue, Response};
use serde_json::{Value, json};

use super::graphql::{Field, Question};
use super::schema::{ID, customer_number, email_searched};
use super::state::{Inside, State};
use super::world::{Shop, resembles};
use crate::sandbox::server::{HangUp, Left, answer};

/// The oldest version that is kept; one that has expired is answered by this one.
const OLDEST: &str = "2026-01";

/// The most tags that a customer can have, and the longest.
const TAGS_MAX: usize = 250;
const TAG_CHARS_MAX: usize = 255;

pub(super) async fn answer_to(
    Shared(state): Shared<Arc<State>>,
    Extension(hang_up): Extension<HangUp>,
    Path((shop, version)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let question = Question::read(&body);
    let call = question.as_ref().ok().and_then(|question| question.fields.first()).map(|field| field.name.clone());
    let call = call.unwrap_or_default();
    state.note_request(&shop, &call, "", &body);
    let left = match state.take_fault(&shop, &call) {
        Some(fault) => fault.misbehave().await,
        None => Left::Usual,
    };
    let after = match left {
        Left::Nothing(after) => return after.happen(&hang_up).await,
        Left::EffectThen(after) => Some(after),
        Left::Usual => None,
    };
    let (status, reply) = {
        let inside = &mut *state.inside();
        refuse(inside, &shop, &headers).unwrap_or_else(|| respond(inside, &shop, question))
    };
    if let Some(after) = after {
        return after.happen(&hang_up).await;
    }
    let mut response = answer(status, &reply, None);
    let answered = if version.as_str() < OLDEST { OLDEST } else { version.as_str() };
    if let Ok(value) = HeaderValue::from_str(answered) {
        response.headers_mut().insert("x-shopify-api-version", value);
    }
    response
}

fn refuse(inside: &Inside, name: &str, headers: &HeaderMap) -> Option<(u16, Value)> {
    let Some(shop) = inside.shops.get(name) else { return Some((404, json!({"errors": "Not Found"}))) };
    let token = headers.get("x-shopify-access-token").and_then(|value| value.to_str().ok());
    let unrecognized = "[API] Invalid API key or access token (unrecognized login or wrong password)";
    (!shop.is_open || token != Some(&shop.access_token)).then(|| (401, json!({"errors": unrecognized})))
}

fn respond(inside: &mut Inside, name: &str, question: Result<Question, Value>) -> (u16, Value) {
    let question = match question {
        Ok(question) => question,
        Err(error) => return (200, json!({"errors": [error]})),
    };
    let points = inside.points;
    let Some(shop) = inside.shops.get_mut(name) else { return (404, json!({"errors": "Not Found"})) };
    let cost = question.cost();
    let is_paid = shop.bucket.take(points, cost);
    let extensions = json!({"cost": {
        "requestedQueryCost": cost, "actualQueryCost": if is_paid { json!(cost) } else { Value::Null },
        "throttleStatus": {
            "maximumAvailable": points.burst, "currentlyAvailable": shop.bucket.level(points).floor(),
            "restoreRate": points.per_second,
        },
    }});
    if !is_paid {
        let code = json!({"code": "THROTTLED", "documentation": "https://shopify.dev/api/usage/rate-limits"});
        return (200, json!({"errors": [{"message": "Throttled", "extensions": code}], "extensions": extensions}));
    }
    let (mut data, mut effects) = (json!({}), Vec::new());
    for field in &question.fields {
        let made = match field.name.as_str() {
            "tagsAdd" => tag(shop, field, true, &mut effects),
            "tagsRemove" => tag(shop, field, false, &mut effects),
            "customer" => customer_number(&field.arguments["id"])
                .and_then(|number| shop.customers.get(&number))
                .cloned()
                .unwrap_or_default(),
            _ => json!({"nodes": search(shop, field)}),
        };
        data[&field.alias] = field.project(&made);
    }
    for effect in effects {
        inside.effect(name, effect);
    }
    (200, json!({"data": data, "extensions": extensions}))
}

/// Tags are compared without regard to case, and a comma ends one.
fn tag(shop: &mut Shop, field: &Field, is_wanted: bool, effects: &mut Vec<Value>) -> Value {
    let refused =
        |name: &str, message: &str| json!({"node": null, "userErrors": [{"field": [name], "message": message}]});
    let number = customer_number(&field.arguments["id"]);
    let Some((number, customer)) = number.and_then(|number| Some((number, shop.customers.get_mut(&number)?))) else {
        return refused("id", "Customer does not exist");
    };
    let asked: Vec<String> =
        field.texts("tags").iter().flat_map(|tag| tag.split(',')).map(|tag| tag.trim().to_owned()).collect();
    if asked.iter().any(|tag| tag.is_empty() || tag.chars().count() > TAG_CHARS_MAX) {
        return refused("tags", "Tags is invalid");
    }
    let own = customer["tags"].as_array_mut().map(std::mem::take).unwrap_or_default();
    let mut tags: Vec<String> = own.into_iter().filter_map(|tag| tag.as_str().map(str::to_owned)).collect();
    let before = tags.clone();
    for tag in &asked {
        let is_there = |own: &String| own.to_lowercase() == tag.to_lowercase();
        if !is_wanted {
            tags.retain(|own| !is_there(own));
        } else if !tags.iter().any(is_there) {
            tags.push(tag.clone());
        }
    }
    tags.truncate(TAGS_MAX);
    customer["tags"] = json!(tags);
    if tags != before {
        let effect = if is_wanted { "tags-added" } else { "tags-removed" };
        effects.push(json!({"effect": effect, "customer_id": number.to_string(), "tags": asked}));
    }
    json!({"node": {ID: customer[ID]}, "userErrors": []})
}

fn search(shop: &Shop, field: &Field) -> Vec<Value> {
    let searched = email_searched(field.arguments["query"].as_str().unwrap_or_default());
    let is_like = |customer: &&Value| {
        let email = customer["email"].as_str().unwrap_or_default();
        searched.as_ref().is_none_or(|searched| resembles(email, searched))
    };
    shop.customers.values().filter(is_like).take(field.first()).cloned().collect()
}
