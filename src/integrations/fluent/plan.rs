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

/// A list of open tickets that is left for so long is read from its beginning, for too much may have come and gone.
const OPEN_WITHIN: SignedDuration = SignedDuration::from_mins(5);

/// So often the open tickets are read at most, where they come and go meanwhile.
const OPEN_TIMES_MAX: u8 = 3;

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

/// What the syncs so far have read: everything since this day, up to this change, of the site and as the user that this is
/// the fingerprint of.
#[derive(Debug, Deserialize)]
struct Covered {
    watermark: Timestamp,
    from: Option<Date>,
    fingerprint: Option<String>,
}

/// Tickets that cannot be read.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Odd {
    /// In this pass.
    here: usize,
    /// In the pass that had most.
    most: usize,
    /// Page and place of the first one.
    first: Option<(u64, usize)>,
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
    /// Of which site, as whom and by which clock.
    fingerprint: String,
    /// Whether the syncs so far read something else, so that this one goes on from nowhere.
    is_anew: bool,
    odd: Odd,
    open: Open,
}

/// What is known of the open tickets, which come and go while they are read.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Open {
    /// How many tickets there are at all, how many of them are open, and how many are closed.
    listed: Option<u64>,
    total: Option<u64>,
    closed: Option<u64>,
    /// The highest number that was open; a higher one is new.
    top: Option<i64>,
    /// When its last page was read.
    read_at: Option<Timestamp>,
    /// Whether tickets have left the list since it was begun, and whether old ones have come to it.
    left: bool,
    came: bool,
    /// The newest change after the list was read.
    newest: Option<Timestamp>,
    /// How often it was read.
    times: u8,
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
    /// The first page of what is closed, which tells how many there are.
    Closed,
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
    Page(Box<Plan>),
    /// Nothing: all of it is read.
    End {
        /// The newest change that was read.
        watermark: Option<Timestamp>,
        /// Since when everything is read; nothing is everything at all.
        covered_from: Option<Date>,
        /// What a person should know of it.
        note: Option<String>,
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
    pub(super) fn plan(self, default_filter: Option<Date>, clock: &Clock, fingerprint: &str, now: Timestamp) -> Plan {
        // A cursor that another version wrote in other words is none: it begins anew. So it does on another site.
        let begun = self.cursor.as_ref().and_then(|cursor| Plan::deserialize(cursor).ok());
        let begun = begun.filter(|plan| plan.fingerprint == fingerprint);
        begun.map_or_else(|| self.begin(default_filter, clock, fingerprint), |plan| plan.resumed(now))
    }

    fn begin(&self, default_filter: Option<Date>, clock: &Clock, fingerprint: &str) -> Plan {
        let filter = self.date_filter.or(default_filter);
        // Another site, another user's tickets or another clock: what was read then says nothing about them.
        let same = self.covered.as_ref().filter(|covered| covered.fingerprint.as_deref() == Some(fingerprint));
        let is_anew = self.covered.is_some() && same.is_none() && self.date_filter.is_none() && !self.is_full;
        let goes_on = same.filter(|covered| {
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
        let covered_from = match same.filter(meets) {
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
            fingerprint: fingerprint.to_owned(),
            is_anew,
            odd: Odd::default(),
            open: Open::default(),
        }
    }
}

impl Plan {
    fn resumed(mut self, now: Timestamp) -> Self {
        let is_old = self.open.read_at.is_some_and(|read_at| now.duration_since(read_at) > OPEN_WITHIN);
        if self.pass == Pass::Open && is_old {
            (self.page, self.total) = (1, None);
        }
        self
    }

    /// Tickets that were closed before this day are not added.
    pub(super) fn filter(&self) -> Option<Date> {
        self.filter
    }

    pub(super) fn query(&self) -> Query {
        let (order_by, status_type) = match self.pass {
            Pass::Changes | Pass::Again => ("updated_at", "all"),
            Pass::All => ("id", "all"),
            Pass::Open => ("id", "open"),
            Pass::Closed => ("id", "closed"),
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
        self.odd.count(self.page, &seen.odd);
        self.watch(seen, now);
        let slipped = self.total.zip(seen.total).map_or(0, |(before, now)| before.saturating_sub(now));
        self.total = seen.total.or(self.total);
        let progress = self.progress(seen, pages_read);
        if slipped > 0 && self.page > 1 {
            self.page = self.page.saturating_sub(slipped.div_ceil(seen.per_page)).max(1);
            return Ok((Next::Page(Box::new(self)), progress));
        }
        if !self.is_read(seen) {
            self.page += 1;
            return Ok((Next::Page(Box::new(self)), progress));
        }
        let Some(pass) = self.follows(seen, pages_read) else {
            let note = self.note();
            return Ok((Next::End { watermark: self.watermark, covered_from: self.covered_from, note }, progress));
        };
        if pass == Pass::Open {
            self.newest = self.open.newest.or(self.newest);
            self.open =
                Open { times: self.open.times + 1, top: None, left: false, came: false, newest: None, ..self.open };
        }
        Ok((Next::Page(Box::new(Self { pass, page: 1, total: None, before: pages_read, ..self })), progress))
    }

    /// Whether the pass has read what it is for.
    fn is_read(&self, seen: &Seen) -> bool {
        let is_past = |until: Option<Timestamp>| seen.oldest.zip(until).is_some_and(|(oldest, until)| oldest < until);
        seen.is_last
            || match self.pass {
                Pass::Changes => self.since.is_none() || is_past(self.since),
                Pass::All | Pass::Open => false,
                Pass::Closed => true,
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
            Pass::Open if self.open.times == 1 => Some(Pass::Closed),
            // Statuses of the site's own are open too, and no list is of them alone.
            Pass::Closed if self.open.has_others() => Some(Pass::All),
            Pass::Changes | Pass::All | Pass::Open | Pass::Closed => Some(Pass::Again),
            // Where one leaves the list and another comes to it, one slips by that neither is, and the total stays.
            Pass::Again if self.open.left && self.open.came && self.open.times < OPEN_TIMES_MAX => Some(Pass::Open),
            Pass::Again => None,
        }
    }

    /// Takes down what tells whether the list of open tickets was read whole.
    fn watch(&mut self, seen: &Seen, now: Timestamp) {
        match self.pass {
            Pass::Changes => self.open.listed = seen.total,
            Pass::Open => {
                // Its first page has it.
                self.open.top = self.open.top.max(seen.top);
                (self.open.read_at, self.open.total) = (Some(now), seen.total);
            }
            Pass::Closed => self.open.closed = seen.total,
            Pass::Again if self.open.times > 0 => {
                self.open.newest = self.open.newest.or(seen.newest);
                for change in seen.changes.iter().filter(|change| Some(change.at) >= self.newest) {
                    self.open.left |= !change.is_open;
                    self.open.came |= change.is_open && Some(change.id) <= self.open.top;
                }
            }
            Pass::All | Pass::Again => self.open = Open::default(),
        }
    }

    fn progress(&self, seen: &Seen, pages_read: u32) -> Progress {
        let (read, before) = (u64::from(pages_read), u64::from(self.before));
        let pages_total = match self.pass {
            // The first page, all of them by number, and the first one again.
            Pass::Changes if self.since.is_none() => seen.pages.map(|pages| if pages > 1 { pages + 2 } else { 1 }),
            // No more than there are.
            Pass::Changes => seen.pages.map(|pages| (before + pages).max(read)),
            Pass::All | Pass::Open => seen.pages.map(|pages| (before + pages + 1).max(read)),
            Pass::Closed | Pass::Again => Some(read + 1),
        };
        let tickets_total = if matches!(self.pass, Pass::Closed | Pass::Again) { None } else { seen.total };
        Progress { pages_read, pages_total, tickets_total, since: self.since }
    }
    fn note(&self) -> Option<String> {
        let is_anew = "FLUENT_API_URL, FLUENT_API_USERNAME or FLUENT_SITE_TIMEZONE is not what it was at the last sync, so this \
            one began from the beginning";
        let notes = [self.is_anew.then(|| is_anew.to_owned()), self.odd.note()];
        let notes: Vec<String> = notes.into_iter().flatten().collect();
        (!notes.is_empty()).then(|| notes.join("; "))
    }
}

impl Open {
    /// Whether there are tickets that are neither open nor closed, by these words. Where it is not told, there may be.
    fn has_others(&self) -> bool {
        let Self { listed: Some(listed), total: Some(open), closed: Some(closed), .. } = self else { return true };
        *listed > open + closed
    }
}

impl Odd {
    fn count(&mut self, page: u64, places: &[usize]) {
        if page == 1 {
            self.here = 0;
        }
        self.here += places.len();
        self.most = self.most.max(self.here);
        self.first = self.first.or_else(|| Some((page, places.first()? + 1)));
    }

    fn note(&self) -> Option<String> {
        let (page, place) = self.first?;
        Some(format!(
            "tickets without a number were left out: {}, the first of them at place {place} of page {page}",
            self.most
        ))
    }
}
