//! What a sync reads, page by page. Pure: it is told what a page showed, and says which page is next.
//!
//! The list shifts while it is read, for tickets are opened, changed and deleted meanwhile. It is read newest first, by
//! number or by change, so what is new or changed moves in at the front: what follows comes later, never earlier, and is
//! read twice at worst. Only a deletion moves it the other way, and a deletion that is not made up for shows in the total:
//! then as many pages are read again as could have slipped by. At the end, what changed since the beginning is read once
//! more, from the front.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::moment::Clock;
use super::page::Seen;
use super::refusal::{AGAIN, failure};
use crate::failure::{Failure, Fault};

/// Tickets that are asked for at a time.
pub(super) const PER_PAGE: u64 = 100;

/// How far before the last sync's newest change the next one goes back. The site stores the time of day, so when clocks
/// are set back an hour's changes come before those of the hour before; the rest is for clocks that are not the same.
const OVERLAP: SignedDuration = SignedDuration::from_hours(2);

/// More is no support desk, but a list that never ends.
const PAGES_MAX: u32 = 50_000;

/// What is asked for, as `claim.sql` tells it.
#[derive(Debug, Deserialize)]
pub(super) struct Payload {
    date_filter: Option<Date>,
    is_full: bool,
    /// Where a sync that has begun goes on.
    cursor: Option<Value>,
    pub(super) pages_read: u32,
    covered: Option<Covered>,
}

/// What the syncs so far have read: everything since this day, up to this change.
#[derive(Debug, Deserialize)]
struct Covered {
    watermark: Timestamp,
    from: Option<Date>,
}

/// How far a sync has got; kept on the row between its pages.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Plan {
    pass: Pass,
    /// The page that is next.
    page: u64,
    /// How many tickets the list had when its last page was read.
    total: Option<u64>,
    /// Pages that were read before this pass began.
    before: u32,
    filter: Option<Date>,
    /// Changes from before are not looked for; nothing: all tickets are read.
    since: Option<Timestamp>,
    /// Open tickets are read too, however old.
    with_open: bool,
    /// The newest change that the first page showed.
    newest: Option<Timestamp>,
    watermark: Option<Timestamp>,
    covered_from: Option<Date>,
}

/// One way through the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Pass {
    /// What has changed, newest first.
    Changes,
    /// All, by number.
    All,
    /// What is open, by number.
    Open,
    /// What has changed since the first page was read.
    Again,
}

/// The page that is next, in the words of the plugin.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) page: u64,
    pub(super) order_by: &'static str,
    pub(super) status_type: &'static str,
}

/// What follows a page.
#[derive(Debug)]
pub(super) enum Next {
    /// Another one.
    Page(Plan),
    /// Nothing: all of it is read.
    End {
        /// The newest change that was read.
        watermark: Option<Timestamp>,
        /// Since when everything is read; nothing is everything at all.
        covered_from: Option<Date>,
    },
}

/// How far it is, for who watches the row.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) pages_read: u32,
    pub(super) pages_total: Option<u64>,
    pub(super) tickets_total: Option<u64>,
    pub(super) since: Option<Timestamp>,
}

impl Payload {
    /// The plan of a sync that goes on, or of one that begins.
    pub(super) fn plan(self, default_filter: Option<Date>, clock: &Clock) -> Plan {
        // A cursor that another version wrote in other words is none: it begins anew.
        let begun = self.cursor.as_ref().and_then(|cursor| Plan::deserialize(cursor).ok());
        begun.unwrap_or_else(|| self.begin(default_filter, clock))
    }

    fn begin(&self, default_filter: Option<Date>, clock: &Clock) -> Plan {
        let filter = self.date_filter.or(default_filter);
        let goes_on = self.covered.as_ref().filter(|covered| {
            let reaches = covered.from.is_none_or(|from| filter.is_some_and(|filter| from <= filter));
            self.date_filter.is_none() && !self.is_full && reaches
        });
        let (since, with_open) = match (goes_on, filter) {
            _ if self.is_full => (None, false),
            (Some(covered), _) => (Some(covered.watermark - OVERLAP), false),
            (None, Some(filter)) => (Some(clock.start_of(filter)), true),
            (None, None) => (None, false),
        };
        // Where this one reaches back to what is covered already, both together are covered.
        let meets = |covered: &&Covered| since.is_none_or(|since| since <= covered.watermark);
        let covered_from = match self.covered.as_ref().filter(meets) {
            Some(covered) => filter.zip(covered.from).map(|(filter, from)| filter.min(from)),
            None => filter,
        };
        let pass = Pass::Changes;
        Plan {
            pass,
            page: 1,
            total: None,
            before: 0,
            filter,
            since,
            with_open,
            newest: None,
            watermark: None,
            covered_from,
        }
    }
}

impl Plan {
    /// Tickets that were closed before this day are not added.
    pub(super) fn filter(&self) -> Option<Date> {
        self.filter
    }

    pub(super) fn query(&self) -> Query {
        let (order_by, status_type) = match self.pass {
            Pass::Changes | Pass::Again => ("updated_at", "all"),
            Pass::All => ("id", "all"),
            Pass::Open => ("id", "open"),
        };
        Query { page: self.page, order_by, status_type }
    }

    /// What follows the page that showed this, the `pages_read`-th after those before.
    pub(super) fn after(mut self, seen: &Seen, pages_before: u32, now: Timestamp) -> Result<(Next, Progress), Failure> {
        if seen.page != self.page {
            return Err(failure(
                Fault::Transient,
                format!(
                    "The site was asked for page {} and answered with page {}, as a cache in front of it would; {AGAIN}",
                    self.page, seen.page
                ),
            ));
        }
        let pages_read = pages_before.saturating_add(1);
        if pages_read > PAGES_MAX {
            return Err(failure(
                Fault::Item,
                format!(
                    "The site's list of tickets does not end after {PAGES_MAX} pages. Look at it, then use rowcall.retry."
                ),
            ));
        }
        if matches!(self.pass, Pass::Changes | Pass::Again) && self.page == 1 {
            // A ticket from the future must not keep the next syncs from all that changes until then.
            self.watermark = self.watermark.max(seen.newest.map(|newest| newest.min(now)));
            self.newest = self.newest.or(seen.newest);
        }
        let slipped = self.total.zip(seen.total).map_or(0, |(before, now)| before.saturating_sub(now));
        self.total = seen.total.or(self.total);
        let progress = self.progress(seen, pages_read);
        if slipped > 0 && self.page > 1 {
            self.page = self.page.saturating_sub(slipped.div_ceil(seen.per_page)).max(1);
            return Ok((Next::Page(self), progress));
        }
        if !self.is_read(seen) {
            self.page += 1;
            return Ok((Next::Page(self), progress));
        }
        let Some(pass) = self.follows(seen, pages_read) else {
            return Ok((Next::End { watermark: self.watermark, covered_from: self.covered_from }, progress));
        };
        Ok((Next::Page(Self { pass, page: 1, total: None, before: pages_read, ..self }), progress))
    }

    /// Whether the pass has read what it is for.
    fn is_read(&self, seen: &Seen) -> bool {
        let is_past = |until: Option<Timestamp>| seen.oldest.zip(until).is_some_and(|(oldest, until)| oldest < until);
        seen.is_last
            || match self.pass {
                Pass::Changes => self.since.is_none() || is_past(self.since),
                Pass::All | Pass::Open => false,
                Pass::Again => is_past(self.newest),
            }
    }

    fn follows(&self, seen: &Seen, pages_read: u32) -> Option<Pass> {
        match self.pass {
            // All tickets are read, the open ones too.
            Pass::Changes if seen.is_last && self.page == 1 => None,
            Pass::Changes if self.since.is_none() => Some(Pass::All),
            Pass::Changes if self.with_open && !seen.is_last => Some(Pass::Open),
            Pass::Changes if pages_read == 1 => None,
            Pass::Changes | Pass::All | Pass::Open => Some(Pass::Again),
            Pass::Again => None,
        }
    }

    fn progress(&self, seen: &Seen, pages_read: u32) -> Progress {
        let (read, before) = (u64::from(pages_read), u64::from(self.before));
        let pages_total = match self.pass {
            // The first page, all of them by number, and the first one again.
            Pass::Changes if self.since.is_none() => seen.pages.map(|pages| if pages > 1 { pages + 2 } else { 1 }),
            Pass::Changes => None,
            Pass::All | Pass::Open => seen.pages.map(|pages| (before + pages + 1).max(read)),
            Pass::Again => Some(read + 1),
        };
        let tickets_total = if self.since.is_none() { seen.total } else { None };
        Progress { pages_read, pages_total, tickets_total, since: self.since }
    }
}
