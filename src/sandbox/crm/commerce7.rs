//! Commerce7's API: who may ask, what a question may hold, and pages; what is done about clubs stands in `clubs.rs`.

use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State as Shared};
use axum::http::{HeaderMap, Method, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::clubs;
use super::state::{Inside, State};
use super::world::{Tenant, resembles};
use crate::sandbox::server::{HangUp, Left, answer};

/// The longest page.
const PAGE_MAX: usize = 50;

/// A status and a body.
pub(super) type Reply = (u16, Value);

/// One question.
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) path: Vec<String>,
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Value,
}

pub(super) async fn answer_to(
    Shared(state): Shared<Arc<State>>,
    Extension(hang_up): Extension<HangUp>,
    method: Method,
    Path(path): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let query = query.unwrap_or_default();
    let asked = Asked {
        method,
        path: path.split('/').map(str::to_owned).collect(),
        query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    let tenant = headers.get("tenant").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let call = format!("{} /{}", asked.method, asked.path[0]);
    state.note_request(&tenant, &call, &query, &asked.body);
    let left = match state.take_fault(&tenant, &call) {
        Some(fault) => fault.misbehave().await,
        None => Left::Usual,
    };
    let after = match left {
        Left::Nothing(after) => return after.happen(&hang_up).await,
        Left::EffectThen(after) => Some(after),
        Left::Usual => None,
    };
    let (reply, retry_after) = {
        let inside = &mut *state.inside();
        let reply = authorize(inside, &tenant, &headers).unwrap_or_else(|| respond(inside, &tenant, &asked));
        let retry_after = inside.retry_after.clone().filter(|_| reply.0 == 429);
        (reply, retry_after)
    };
    match after {
        Some(after) => after.happen(&hang_up).await,
        None => answer(reply.0, &reply.1, retry_after.as_deref()),
    }
}

/// A refusal, unless it may ask and has calls left.
fn authorize(inside: &mut Inside, name: &str, headers: &HeaderMap) -> Option<Reply> {
    let shown = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let calls = inside.calls;
    let Some(tenant) = inside.tenants.get_mut(name) else { return Some(unauthorized()) };
    let right = format!("Basic {}", BASE64_STANDARD.encode(format!("{}:{}", tenant.app_id, tenant.key)));
    if !tenant.is_open || shown != right {
        return Some(unauthorized());
    }
    (!tenant.bucket.take(calls, 1.0)).then(|| refuse(429, "processingError", "Too many requests", &[]))
}

fn respond(inside: &mut Inside, name: &str, asked: &Asked) -> Reply {
    let path: Vec<&str> = asked.path.iter().map(String::as_str).collect();
    let known: &[&str] = match (asked.method.as_str(), &path[..]) {
        ("GET", ["customer"]) => &["q", "tagId"],
        ("GET", ["club-membership"]) => &["customerId", "clubId", "status"],
        _ => &[],
    };
    if let Some(refusal) = asked.refuse_query(known) {
        return refusal;
    }
    let Some(tenant) = inside.tenants.get_mut(name) else { return unauthorized() };
    let (reply, effect) = match (asked.method.as_str(), &path[..]) {
        ("GET", ["customer"]) => (customers(tenant, asked), None),
        ("POST", ["customer"]) => clubs::create_customer(tenant, &asked.body),
        ("GET", ["customer", id]) => (found(&tenant.customers, id), None),
        ("GET", ["customer", id, "address"]) => (owned(tenant, id, |tenant| &tenant.addresses), None),
        ("GET", ["customer", id, "credit-card"]) => (owned(tenant, id, |tenant| &tenant.cards), None),
        ("GET", ["club-membership"]) => (memberships(tenant, asked), None),
        ("POST", ["club-membership"]) => clubs::create(tenant, &asked.body),
        ("GET", ["club-membership", id]) => (found(&tenant.memberships, id), None),
        ("PUT", ["club-membership", id]) => clubs::change(tenant, id, &asked.body),
        ("GET", ["order", id]) => (tenant.orders.get(*id).map_or_else(not_found, |order| (200, order.clone())), None),
        _ => (not_found(), None),
    };
    if let Some(effect) = effect {
        inside.effect(name, effect);
    }
    reply
}

impl Asked {
    fn value(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn number(&self, name: &str, usual: usize) -> usize {
        self.value(name).and_then(|text| text.parse().ok()).unwrap_or(usual)
    }

    fn refuse_query(&self, known: &[&str]) -> Option<Reply> {
        let paging: &[&str] = if known.is_empty() { &[] } else { &["page", "limit", "cursor"] };
        let is_known = |name: &str| known.contains(&name) || paging.contains(&name);
        if let Some((name, _)) = self.query.iter().find(|(name, _)| !is_known(name)) {
            return Some(refuse(422, "validationError", &format!("Invalid query param: {name}"), &[]));
        }
        let is_wrong = self.number("limit", 1) > PAGE_MAX || self.number("page", 1) == 0;
        let is_both = self.value("page").is_some() && self.value("cursor").is_some();
        (is_wrong || is_both).then(|| refuse(422, "validationError", "Invalid paging", &[("limit", "is not valid")]))
    }

    /// One page of these, with their number.
    fn page(&self, name: &str, all: &[&Value]) -> Reply {
        let limit = self.number("limit", PAGE_MAX);
        let page: Vec<_> = all.iter().skip(limit * (self.number("page", 1) - 1)).take(limit).collect();
        (200, json!({name: page, "total": all.len()}))
    }
}

/// Free text: whatever resembles it.
fn customers(tenant: &Tenant, asked: &Asked) -> Reply {
    let searched = asked.value("q").unwrap_or_default().to_lowercase();
    let is_like = |customer: &&Value| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_lowercase();
        let name = format!("{} {}", text(&customer["firstName"]), text(&customer["lastName"]));
        let mut emails = customer["emails"].as_array().into_iter().flatten();
        searched.is_empty() || name.contains(&searched) || emails.any(|own| resembles(&text(&own["email"]), &searched))
    };
    let all: Vec<&Value> = tenant.customers.iter().filter(is_like).collect();
    asked.page("customers", &all)
}

fn memberships(tenant: &Tenant, asked: &Asked) -> Reply {
    let is = |membership: &Value, name: &str| asked.value(name).is_none_or(|value| membership[name] == value);
    let is_asked = |membership: &&Value| ["customerId", "clubId", "status"].iter().all(|name| is(membership, name));
    let all: Vec<&Value> = tenant.memberships.iter().filter(is_asked).collect();
    asked.page("clubMemberships", &all)
}

fn found(all: &[Value], id: &str) -> Reply {
    all.iter().find(|one| one["id"] == id).map_or_else(not_found, |one| (200, one.clone()))
}

fn owned(tenant: &Tenant, id: &str, of: fn(&Tenant) -> &std::collections::BTreeMap<String, Value>) -> Reply {
    if found(&tenant.customers, id).0 == 404 {
        return not_found();
    }
    (200, of(tenant).get(id).cloned().unwrap_or_else(|| json!([])))
}

fn unauthorized() -> Reply {
    refuse(401, "unauthorized", "Unauthorized", &[])
}

pub(super) fn not_found() -> Reply {
    refuse(404, "notFound", "Not found", &[])
}

pub(super) fn refuse(status: u16, kind: &str, message: &str, errors: &[(&str, &str)]) -> Reply {
    let errors: Vec<Value> =
        errors.iter().map(|(field, message)| json!({"field": field, "message": message})).collect();
    (status, json!({"statusCode": status, "type": kind, "message": message, "errors": errors}))
}
