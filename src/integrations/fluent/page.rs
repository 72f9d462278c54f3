//! A page of tickets: both paginators of the plugin, numbers as numbers or as text.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::moment::Clock;
use super::plan::PER_PAGE;

/// The plugin sorts by the time of day that it stores, which a change of clocks sets back.
const SORTED_WITHIN: jiff::SignedDuration = jiff::SignedDuration::from_hours(2);

/// One page.
#[derive(Debug)]
pub(super) struct Page {
    number: u64,
    last: Option<u64>,
    /// Tickets on a full page.
    full: u64,
    total: Option<u64>,
    tickets: Vec<Ticket>,
}

/// One ticket, with its members as they came.
pub(super) struct Ticket {
    pub(super) id: i64,
    members: Map<String, Value>,
}

/// What a page tells about the list that it is of.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// Its number.
    pub(super) page: u64,
    /// Whether no page follows.
    pub(super) is_last: bool,
    /// The number of pages, where it is told.
    pub(super) pages: Option<u64>,
    /// Tickets on a full page.
    pub(super) per_page: u64,
    /// Tickets of the whole list, where it is told.
    pub(super) total: Option<u64>,
    /// The newest change on the page.
    pub(super) newest: Option<Timestamp>,
    /// The oldest change on the page, where the page is sorted by changes.
    pub(super) oldest: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Envelope {
    tickets: Map<String, Value>,
}

impl Page {
    /// Reads an answer's body; nothing when it is not a page of tickets.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let Envelope { tickets: mut paginator } = serde_json::from_slice(body).ok()?;
        let data = match paginator.remove("data")? {
            Value::Array(data) => data,
            // PHP writes a list with a hole as an object.
            Value::Object(data) => data.into_iter().map(|(_, ticket)| ticket).collect(),
            _ => return None,
        };
        let number = |name: &str| paginator.get(name).and_then(number).and_then(|number| u64::try_from(number).ok());
        Some(Self {
            number: number("current_page")?,
            last: number("last_page"),
            full: number("per_page").filter(|per_page| *per_page > 0).unwrap_or(PER_PAGE),
            total: number("total"),
            tickets: data.into_iter().map(Ticket::read).collect::<Option<_>>()?,
        })
    }

    pub(super) fn tickets(&self) -> &[Ticket] {
        &self.tickets
    }

    pub(super) fn seen(&self, clock: &Clock) -> Seen {
        let length = self.tickets.len() as u64;
        let changes: Vec<Timestamp> = self.tickets.iter().filter_map(|ticket| ticket.changed_at(clock)).collect();
        let is_sorted = changes.windows(2).all(|pair| pair[1].duration_since(pair[0]) <= SORTED_WITHIN);
        Seen {
            page: self.number,
            is_last: length == 0 || self.last.map_or(length < self.full, |last| self.number >= last),
            pages: self.last,
            per_page: self.full,
            total: self.total,
            newest: changes.iter().max().copied(),
            oldest: changes.last().copied().filter(|_| is_sorted),
        }
    }
}

impl Ticket {
    fn read(value: Value) -> Option<Self> {
        let Value::Object(members) = value else { return None };
        let id = members.get("id").and_then(number).filter(|id| *id > 0)?;
        Some(Self { id, members })
    }

    /// A member as text; nothing where there is none, or it is something else.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        text(self.members.get(name)?)
    }

    /// A member as a number.
    pub(super) fn number(&self, name: &str) -> Option<i64> {
        self.members.get(name).and_then(number)
    }

    /// A member of a related thing, such as the product's title.
    pub(super) fn of(&self, relation: &str, name: &str) -> Option<String> {
        // PHP writes an empty relation as null, or as a list.
        text(self.members.get(relation)?.get(name)?)
    }

    fn changed_at(&self, clock: &Clock) -> Option<Timestamp> {
        clock.read(&self.text("updated_at")?).map(|moment| moment.at)
    }
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ticket").field("id", &self.id).finish_non_exhaustive()
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use serde_json::json;

    use super::*;

    fn seen(body: &Value) -> Option<Seen> {
        Page::read(body.to_string().as_bytes()).map(|page| page.seen(&Clock::new(TimeZone::UTC)))
    }

    fn ticket(id: &Value, updated_at: &str) -> Value {
        json!({"id": id, "updated_at": updated_at})
    }

    #[test]
    fn both_paginators_are_read() {
        let data =
            json!([ticket(&json!("7"), "2025-10-17 10:00:00"), ticket(&json!(5), "2025-10-17T09:00:00.000000Z")]);
        let old = json!({"tickets": {"total": "102", "per_page": "100", "current_page": "1", "last_page": "2",
            "next_page_url": "/?page=2", "prev_page_url": null, "from": "1", "to": "100", "data": data}});
        let new = json!({"tickets": {"current_page": 1, "data": {"0": data[0], "2": data[1]}, "first_page_url": "x",
            "from": 1, "last_page": 2, "links": [], "path": "x", "per_page": 100, "to": 100, "total": 102}});
        for body in [old, new] {
            let seen = seen(&body).unwrap();
            assert_eq!((seen.page, seen.is_last, seen.total, seen.per_page), (1, false, Some(102), 100));
            let times = [seen.newest, seen.oldest].map(|at| at.unwrap().to_string());
            assert_eq!(times, ["2025-10-17T10:00:00Z", "2025-10-17T09:00:00Z"]);
        }
    }

    #[test]
    fn without_a_last_page_a_short_page_is_the_last() {
        let page = |per_page: u64| {
            json!({"tickets": {"current_page": 3, "per_page": per_page,
            "data": [ticket(&json!(1), "0000-00-00 00:00:00")]}})
        };
        assert!(seen(&page(100)).unwrap().is_last && !seen(&page(1)).unwrap().is_last);
        assert_eq!(seen(&page(100)).unwrap().newest, None);
    }

    #[test]
    fn a_page_that_is_not_sorted_has_no_oldest_change() {
        let data = json!([ticket(&json!(1), "2025-01-01 00:00:00"), ticket(&json!(2), "2025-10-17 00:00:00")]);
        let seen = seen(&json!({"tickets": {"current_page": 1, "data": data}})).unwrap();
        assert_eq!((seen.oldest, seen.newest.is_some()), (None, true));
    }

    #[test]
    fn what_is_no_page_of_tickets_is_none() {
        for body in [
            json!([]),
            json!({"tickets": []}),
            json!({"tickets": {"data": []}}),
            json!({"tickets": {"current_page": 1, "data": [{"title": "no number"}]}}),
            json!({"tickets": {"current_page": 1, "data": [{"id": "seven"}]}}),
            json!({"tickets": {"current_page": 1, "data": "none"}}),
        ] {
            assert!(seen(&body).is_none(), "{body}");
        }
    }
}
