//! `GET …/tickets`: the login, the list's order and page, and the paginator of either version.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Query, State as Shared};
use axum::http::{HeaderMap, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Version;
use super::fault::{self, Left};
use super::site::Site;
use super::ticket::Ticket;
use crate::sandbox::server::{HangUp, answer};

type Parameters = HashMap<String, String>;

/// Everything that is at no other address: the API of a site with plain permalinks, and WordPress' answer to the rest.
pub(super) async fn elsewhere(
    shared: Shared<Arc<Site>>,
    hang_up: Extension<HangUp>,
    headers: HeaderMap,
    Query(parameters): Query<Parameters>,
) -> Response<Body> {
    match parameters.get("rest_route").map(String::as_str) {
        Some("/fluent-support/v2/tickets") => tickets(shared, hang_up, headers, Query(parameters)).await,
        Some(_) => fault::no_route(),
        None => answer(404, &json!("<html><body>Page not found</body></html>"), None),
    }
}

pub(super) async fn tickets(
    Shared(site): Shared<Arc<Site>>,
    Extension(hang_up): Extension<HangUp>,
    headers: HeaderMap,
    Query(parameters): Query<Parameters>,
) -> Response<Body> {
    let number =
        |name: &str, default: u64| parameters.get(name).and_then(|text| text.parse().ok()).unwrap_or(default).max(1);
    let (mut page, per_page) = (number("page", 1), number("per_page", 15));
    let asked = json!({
        "at": Timestamp::now(), "page": page, "per_page": per_page, "order_by": parameters.get("order_by"),
        "status_type": parameters.get("filters[status_type]"), "is_plain": parameters.contains_key("rest_route"),
    });
    let left = match site.take_fault(page) {
        Some(fault) => fault.misbehave().await,
        None => Left::Usual,
    };
    let mut prefix = "";
    match left {
        Left::Usual => {}
        Left::Nothing(after) => {
            site.note(asked);
            return after.happen(&hang_up).await;
        }
        Left::FirstPage => page = 1,
        Left::Edited(edits) => site.edit(&edits),
        Left::After(words) => prefix = words,
    }
    if let Some(refused) = refusal(&site, &headers, &parameters) {
        site.note(asked);
        return refused;
    }
    let body = json!({ "tickets": paginator(&site, &parameters, page, per_page) });
    site.note(asked);
    let mut response = answer(200, &body, None);
    if !prefix.is_empty() {
        *response.body_mut() = Body::from(format!("{prefix}{body}"));
    }
    response
}

/// Why whoever asks gets nothing.
fn refusal(site: &Site, headers: &HeaderMap, parameters: &Parameters) -> Option<Response<Body>> {
    let shown = headers.get("authorization").and_then(|value| value.to_str().ok()?.strip_prefix("Basic "));
    let Some(shown) = shown.and_then(|pair| String::from_utf8(BASE64_STANDARD.decode(pair).ok()?).ok()) else {
        return Some(fault::refused(401, "rest_forbidden", "Sorry, you are not allowed to do that."));
    };
    let (username, password) = shown.split_once(':').unwrap_or_default();
    if username != site.args.username {
        return Some(fault::refused(
            401,
            "invalid_username",
            "<strong>Error</strong>: The username is not registered.",
        ));
    }
    // As WordPress does: only letters and digits count.
    let plain = |password: &str| password.chars().filter(char::is_ascii_alphanumeric).collect::<String>();
    if plain(password) != plain(&site.args.password) {
        let message = format!("<strong>Error</strong>: The password you entered for {username} is incorrect.");
        return Some(fault::refused(401, "incorrect_password", &message));
    }
    if parameters.contains_key("nonce") {
        return Some(fault::refused(403, "rest_cookie_invalid_nonce", "Cookie check failed"));
    }
    None
}

fn paginator(site: &Site, parameters: &Parameters, page: u64, per_page: u64) -> Value {
    let wanted = parameters.get("filters[status_type]").map(String::as_str);
    let is_wanted = |ticket: &Ticket| match wanted {
        Some("open") => ["new", "active"].contains(&ticket.status.as_str()),
        None | Some("all") => true,
        Some(status) => ticket.status == status,
    };
    let mut listed: Vec<Ticket> = site.visible().into_iter().filter(is_wanted).collect();
    let by_change = parameters.get("order_by").is_some_and(|column| column == "updated_at");
    listed.sort_by(|a, b| if by_change { a.updated_at.cmp(&b.updated_at) } else { a.id.cmp(&b.id) });
    // Anything but these four letters is the other way round.
    if parameters.get("order_type").is_some_and(|order| order == "DESC") {
        listed.reverse();
    }
    let total = listed.len() as u64;
    let last = total.div_ceil(per_page).max(1);
    let skipped = (page - 1).saturating_mul(per_page);
    let shown = listed.iter().skip(usize::try_from(skipped).unwrap_or(usize::MAX));
    let shown = shown.take(usize::try_from(per_page).unwrap_or(usize::MAX));
    let data: Vec<Value> = shown.map(|ticket| ticket.told(site.args.plugin, &site.zone)).collect();
    let path = "https://www.example.com/wp-json/fluent-support/v2/tickets";
    let link = |page: u64| format!("{path}?page={page}");
    match site.args.plugin {
        Version::One => json!({
            "total": total.to_string(), "per_page": per_page.to_string(), "current_page": page, "last_page": last.to_string(),
            "next_page_url": (page < last).then(|| link(page + 1)), "prev_page_url": (page > 1).then(|| link(page - 1)),
            "from": skipped + 1, "to": skipped + data.len() as u64, "data": data,
        }),
        Version::Two => json!({
            "current_page": page, "data": data, "first_page_url": link(1), "from": skipped + 1, "last_page": last,
            "last_page_url": link(last), "links": [], "next_page_url": (page < last).then(|| link(page + 1)), "path": path,
            "per_page": per_page, "prev_page_url": (page > 1).then(|| link(page - 1)),
            "to": skipped + data.len() as u64, "total": total,
        }),
    }
}
