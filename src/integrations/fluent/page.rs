//! A page of tickets: both paginators of the plugin, numbers as numbers or as text.

use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::moment::Clock;
use super::plan::PER_PAGE;
use super::said::{Members, Text};

/// The plugin sorts by the time of day that it stores, which a change of clocks sets back.
const SORTED_WITHIN: jiff::SignedDuration = jiff::SignedDuration::from_hours(2);

/// A site may have a page size of its own, but ten times what was asked for is its whole list at once.
pub(super) const TICKETS_MAX: usize = 1000;

/// One page.
#[derive(Debug)]
pub(super) struct Page {
    number: u64,
    last: Option<u64>,
    /// Tickets on a full page.
    full: u64,
    total: Option<u64>,
    tickets: Vec<Ticket>,
    /// Where on the page tickets stand that cannot be read, for they have no number.
    odd: Vec<usize>,
}

/// Why an answer is not taken for a page.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// It is no page of tickets.
    NoPage,
    /// It has more tickets than are taken at once.
    TooMany,
}

/// One ticket, with what is needed of it.
pub(super) struct Ticket {
    pub(super) id: i64,
    pub(super) said: Said,
}

/// The members of a ticket that are needed, as they came.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Said {
    id: Text,
    pub(super) title: Text,
    pub(super) content: Text,
    pub(super) status: Text,
    pub(super) priority: Text,
    pub(super) client_priority: Text,
    pub(super) response_count: Text,
    pub(super) created_at: Text,
    pub(super) updated_at: Text,
    pub(super) resolved_at: Text,
    pub(super) product: Members<Product>,
    pub(super) agent: Members<Person>,
    pub(super) customer: Members<Person>,
}

/// What a ticket is about.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Product {
    pub(super) title: Text,
}

/// A customer or an agent.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Person {
    pub(super) full_name: Text,
    pub(super) first_name: Text,
    pub(super) last_name: Text,
    pub(super) email: Text,
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
    /// Where on the page tickets stand that cannot be read; the first is 0.
    pub(super) odd: Vec<usize>,
    /// The highest number on the page.
    pub(super) top: Option<i64>,
    /// Its tickets, as far as it is known when they changed.
    pub(super) changes: Vec<Change>,
}

/// A ticket that changed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    pub(super) id: i64,
    pub(super) at: Timestamp,
    /// New or active, as the plugin's list of open tickets has it.
    pub(super) is_open: bool,
}

#[derive(Deserialize)]
struct Envelope {
    tickets: Paginator,
}

#[derive(Deserialize)]
struct Paginator {
    data: Rows,
    current_page: Text,
    #[serde(default)]
    last_page: Text,
    #[serde(default)]
    per_page: Text,
    #[serde(default)]
    total: Text,
}

/// The tickets of a page, up to the bound.
#[derive(Default)]
struct Rows {
    rows: Vec<Said>,
    is_longer: bool,
}

impl Page {
    /// Reads an answer's body.
    pub(super) fn read(body: &[u8]) -> Result<Self, Unread> {
        let Ok(Envelope { tickets: Paginator { data, current_page, last_page, per_page, total } }) =
            serde_json::from_slice(body)
        else {
            return Err(Unread::NoPage);
        };
        if data.is_longer {
            return Err(Unread::TooMany);
        }
        let number = |text: &Text| text.number().and_then(|number| u64::try_from(number).ok());
        let mut page = Self {
            number: number(&current_page).ok_or(Unread::NoPage)?,
            last: number(&last_page),
            full: number(&per_page).filter(|per_page| *per_page > 0).unwrap_or(PER_PAGE),
            total: number(&total),
            tickets: Vec::with_capacity(data.rows.len()),
            odd: Vec::new(),
        };
        for (place, said) in data.rows.into_iter().enumerate() {
            match said.id.number().filter(|id| *id > 0) {
                Some(id) => page.tickets.push(Ticket { id, said }),
                None => page.odd.push(place),
            }
        }
        // One that cannot be read keeps nobody from the others; a list that begins with nothing else is of other things.
        let is_of_tickets = page.odd.is_empty() || !page.tickets.is_empty() || page.number > 1;
        if is_of_tickets { Ok(page) } else { Err(Unread::NoPage) }
    }

    pub(super) fn tickets(&self) -> &[Ticket] {
        &self.tickets
    }

    pub(super) fn seen(&self, clock: &Clock) -> Seen {
        let length = (self.tickets.len() + self.odd.len()) as u64;
        let changes: Vec<Change> = self.tickets.iter().filter_map(|ticket| ticket.change(clock)).collect();
        let is_sorted = changes.windows(2).all(|pair| pair[1].at.duration_since(pair[0].at) <= SORTED_WITHIN);
        Seen {
            page: self.number,
            is_last: length == 0 || self.last.map_or(length < self.full, |last| self.number >= last),
            pages: self.last,
            per_page: self.full,
            total: self.total,
            newest: changes.iter().map(|change| change.at).max(),
            oldest: changes.last().map(|change| change.at).filter(|_| is_sorted),
            odd: self.odd.clone(),
            top: self.tickets.iter().map(|ticket| ticket.id).max(),
            changes,
        }
    }
}

impl Ticket {
    fn change(&self, clock: &Clock) -> Option<Change> {
        let at = clock.read(self.said.updated_at.get()?)?.at;
        let is_open = matches!(self.said.status.get(), Some("new" | "active"));
        Some(Change { id: self.id, at, is_open })
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Rows {
    /// Takes a row; nothing when no more are taken.
    fn take(&mut self, row: Option<Members<Said>>) -> Option<()> {
        self.rows.push(row?.0);
        (self.rows.len() < TICKETS_MAX).then_some(())
    }
}

impl<'de> Deserialize<'de> for Rows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RowsVisitor)
    }
}

struct RowsVisitor;

impl<'de> Visitor<'de> for RowsVisitor {
    type Value = Rows;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of tickets")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Rows, A::Error> {
        let mut rows = Rows::default();
        while rows.take(list.next_element()?).is_some() {}
        while list.next_element::<IgnoredAny>()?.is_some() {
            rows.is_longer = true;
        }
        Ok(rows)
    }

    // PHP writes a list with a hole as an object.
    fn visit_map<A: MapAccess<'de>>(self, mut list: A) -> Result<Rows, A::Error> {
        let mut rows = Rows::default();
        while rows.take(list.next_entry::<IgnoredAny, _>()?.map(|(_, row)| row)).is_some() {}
        while list.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            rows.is_longer = true;
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use serde_json::{Value, json};

    use super::*;

    fn seen(body: &Value) -> Option<Seen> {
        Page::read(body.to_string().as_bytes()).ok().map(|page| page.seen(&Clock::new(TimeZone::UTC)))
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
            json!({"tickets": {"current_page": 1, "data": [{"id": "seven"}, 7, null, []]}}),
            json!({"tickets": {"current_page": 1, "data": "none"}}),
        ] {
            assert!(seen(&body).is_none(), "{body}");
        }
    }
    #[test]
    fn a_ticket_that_cannot_be_read_keeps_nobody_from_the_others() {
        let data = json!([ticket(&json!(3), ""), ticket(&json!(0), ""), ["x"], ticket(&json!(1), "")]);
        let page = Page::read(json!({"tickets": {"current_page": 1, "data": data}}).to_string().as_bytes()).unwrap();
        assert_eq!(page.tickets().iter().map(|ticket| ticket.id).collect::<Vec<_>>(), [3, 1]);
        assert_eq!(page.seen(&Clock::new(TimeZone::UTC)).odd, [1, 2]);
        let last = json!({"tickets": {"current_page": 2, "last_page": 2, "data": [{"id": 0}]}});
        assert!(seen(&last).unwrap().is_last, "at the end of the list it may stand alone");
    }

    #[test]
    fn a_whole_list_at_once_is_not_taken() {
        let page = |length: usize| {
            let data: Vec<Value> = (1..=length).map(|id| json!({"id": id})).collect();
            Page::read(json!({"tickets": {"current_page": 1, "data": data}}).to_string().as_bytes())
        };
        assert_eq!(page(TICKETS_MAX).unwrap().tickets().len(), TICKETS_MAX);
        assert_eq!(page(TICKETS_MAX + 1).unwrap_err(), Unread::TooMany);
    }
}
