//! What the webhooks of both CRMs have in common: a notice that proved itself is told to the database, and answered in time.

use std::time::Duration;

use axum::Json;

use crate::http::App;
use crate::http::api::Answer;
use crate::http::errors::Refusal;
use crate::notice::{Notice, Unreadable};

/// Shopify waits for five seconds in all.
const ANSWER_MAX: Duration = Duration::from_secs(4);

/// Tells a notice; what was made of it is the answer. One that is about something else is answered and left alone. One that
/// could not be written in time is a 503, and so is one whose account no client has yet: it comes again, and counts once.
pub(super) async fn hear(app: &App, notice: Option<Notice>) -> Result<Json<Answer>, Refusal> {
    let Some(notice) = notice else { return Ok(Answer::json("ignored: of a kind that asks for nothing")) };
    let answer = tokio::time::timeout(ANSWER_MAX, app.store.hear_crm(&notice)).await;
    let answer = answer.map_err(|_| Refusal::unavailable("busy", "the database takes too long now", 5))?;
    let answer = answer?.ok_or_else(|| {
        Refusal::unavailable("unknown_account", "no client has this account", 300)
            .hint("insert it into clients, and this comes again by itself; or end the webhook in the CRM")
    })?;
    Ok(Answer::json(answer))
}

pub(super) fn unreadable(unreadable: Unreadable) -> Refusal {
    Refusal::bad_request("unreadable", unreadable.to_string())
}
