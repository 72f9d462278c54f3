//! A ticket as the database takes it: the columns of `rowcall.fluent_mapped`, with plain text and times that are certain.

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Value, json};

use super::moment::{Clock, Moment};
use super::page::Ticket;
use super::plain;

/// The ticket in the words of `sql/views/fluent_mapped.sql`.
pub(super) fn told(ticket: &Ticket, filter: Option<Date>, clock: &Clock, now: Timestamp) -> Value {
    let time = |name: &str| ticket.text(name).and_then(|text| clock.read(&text));
    let (created, updated, resolved) = (time("created_at"), time("updated_at"), time("resolved_at"));
    let word = |name: &str| ticket.text(name).map(|text| plain::tidy(&text));
    let of = |relation: &str, name: &str| ticket.of(relation, name).map(|text| plain::tidy(&text));
    let at = |moment: Option<Moment>| moment.map(|moment| moment.at);
    // A request has a day; a ticket without one is from the last time that is known of it.
    let begun = created.or(updated).unwrap_or_else(|| clock.show(now));
    json!({
        "id": ticket.id,
        "is_wanted": is_wanted(word("status").as_deref(), at(resolved.or(updated)), filter, clock),
        // Titles are shown by WordPress with their entities.
        "title": ticket.text("title").map(|title| plain::text(&title).replace('\n', " ")),
        "content": ticket.text("content").map(|content| plain::text(&content)),
        "status": word("status"),
        "priority": word("priority"),
        "client_priority": word("client_priority"),
        "product": of("product", "title"),
        "agent": name(ticket, "agent"),
        "customer": name(ticket, "customer"),
        "email": of("customer", "email"),
        "responses": ticket.number("response_count").and_then(|number| i32::try_from(number).ok()),
        "created_local": begun.time_of_day(),
        "created_at": at(created),
        "updated_at": at(updated),
        "resolved_at": at(resolved),
    })
}

/// Open tickets always; closed ones if they were closed on that day or later.
fn is_wanted(status: Option<&str>, closed_at: Option<Timestamp>, filter: Option<Date>, clock: &Clock) -> bool {
    let Some(filter) = filter else { return true };
    status != Some("closed") || closed_at.is_none_or(|closed_at| closed_at >= clock.start_of(filter))
}

/// The name of a customer or an agent, in one piece or in two.
fn name(ticket: &Ticket, relation: &str) -> Option<String> {
    let of = |name: &str| ticket.of(relation, name).map(|text| plain::tidy(&text)).filter(|text| !text.is_empty());
    let parts: Vec<String> = [of("first_name"), of("last_name")].into_iter().flatten().collect();
    of("full_name").or_else(|| (!parts.is_empty()).then(|| parts.join(" ")))
}
