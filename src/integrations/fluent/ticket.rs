//! A ticket as the database takes it: the columns of `rowcall.fluent_mapped`, with plain text and times that are certain.

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Value, json};

use super::moment::{Clock, Moment};
use super::page::{Person, Ticket};
use super::plain;
use super::said::Text;

/// The ticket in the words of `sql/views/fluent_mapped.sql`.
pub(super) fn told(Ticket { id, said }: &Ticket, filter: Option<Date>, clock: &Clock, now: Timestamp) -> Value {
    let time = |text: &Text| text.get().and_then(|text| clock.read(text));
    let (created, updated, resolved) = (time(&said.created_at), time(&said.updated_at), time(&said.resolved_at));
    let at = |moment: Option<Moment>| moment.map(|moment| moment.at);
    // A request has a day; a ticket without one is from the last time that is known of it.
    let begun = created.or(updated).unwrap_or_else(|| clock.show(now));
    json!({
        "id": id,
        "is_wanted": is_wanted(word(&said.status).as_deref(), at(resolved.or(updated)), filter, clock),
        // Titles are shown by WordPress with their entities.
        "title": said.title.get().map(|title| plain::text(title).replace('\n', " ")),
        "content": said.content.get().map(plain::text),
        "status": word(&said.status),
        "priority": word(&said.priority),
        "client_priority": word(&said.client_priority),
        "product": word(&said.product.0.title),
        "agent": name(&said.agent.0),
        "customer": name(&said.customer.0),
        "email": word(&said.customer.0.email),
        "responses": said.response_count.number().and_then(|number| i32::try_from(number).ok()),
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

fn word(text: &Text) -> Option<String> {
    text.get().map(plain::tidy)
}

/// A name, in one piece or in two.
fn name(person: &Person) -> Option<String> {
    let of = |text: &Text| word(text).filter(|text| !text.is_empty());
    let parts: Vec<String> = [of(&person.first_name), of(&person.last_name)].into_iter().flatten().collect();
    of(&person.full_name).or_else(|| (!parts.is_empty()).then(|| parts.join(" ")))
}
