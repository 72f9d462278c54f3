//! The export of fulfilments: everything that a filter matches, a page at a time.
//!
//! Each page is a short statement that goes on where the last one ended, so that a slow reader of a long sheet holds no
//! connection, no snapshot and no memory but that of one page. A row is in it once; what is created meanwhile is not.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::parameter::Given;
use super::{Store, StoreError};

/// Rows in a page.
const PAGE: i64 = 2000;

/// The cells of a row, in order.
pub const HEADINGS: [&str; 16] = [
    "order_id",
    "network",
    "phone_number",
    "package",
    "amount",
    "status",
    "attempt_number",
    "max_attempts",
    "error_message",
    "retry_after",
    "fulfilled_at",
    "supplier",
    "provider_reference",
    "duplicate_of",
    "created_at",
    "updated_at",
];

/// What is asked for.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Filter {
    status: Option<String>,
    number: Option<String>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

/// Not the number: it is somebody's.
impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { status, number, from, to } = self;
        let number = number.as_ref().map(|_| "[redacted]");
        f.debug_struct("Filter")
            .field("status", status)
            .field("number", &number)
            .field("from", from)
            .field("to", to)
            .finish()
    }
}

/// A part of a filter that means nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// A status that no row has.
    #[error("status must be one of pending, processing, success, failed and unknown")]
    Status,
    /// Too few digits.
    #[error("phone must be a telephone number of at least nine digits")]
    Phone,
    /// No time.
    #[error("{0} must be a day such as 2026-11-20, or a time such as 2026-11-20T08:00:00Z")]
    Time(&'static str),
}

impl Filter {
    /// Reads a filter as people write it. A day is one of UTC, and `to` ends with it; a time is exact, and `to` ends before it.
    pub fn read(
        status: Option<&str>,
        phone: Option<&str>,
        from: Option<&str>,
        to: Option<&str>,
    ) -> Result<Self, FilterError> {
        let given = |text: Option<&str>| text.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        let status = given(status);
        if status.as_deref().is_some_and(|s| !["pending", "processing", "success", "failed", "unknown"].contains(&s)) {
            return Err(FilterError::Status);
        }
        let number = given(phone).map(|phone| last_nine_digits(&phone).ok_or(FilterError::Phone)).transpose()?;
        let from = given(from).map(|text| moment(&text, 0).ok_or(FilterError::Time("from"))).transpose()?;
        let to = given(to).map(|text| moment(&text, 1).ok_or(FilterError::Time("to"))).transpose()?;
        Ok(Self { status, number, from, to })
    }
}

/// A number however it is written: with a country code or without.
fn last_nine_digits(phone: &str) -> Option<String> {
    let digits: String = phone.chars().filter(char::is_ascii_digit).collect();
    let start = digits.len().checked_sub(9)?;
    digits.get(start..).map(str::to_owned)
}

/// A time, or the begin of the day that comes so many days after the one that is written.
fn moment(text: &str, days: i64) -> Option<Timestamp> {
    if let Ok(time) = text.parse() {
        return Some(time);
    }
    let day: Date = text.parse().ok()?;
    let begin = day.checked_add(days.days()).ok()?.to_datetime(Time::midnight());
    begin.to_zoned(TimeZone::UTC).ok().map(|begin| begin.timestamp())
}

/// A row of the sheet.
pub type Cells = Vec<Option<String>>;

/// An export under way.
#[derive(Debug)]
pub struct Export {
    store: Store,
    filter: Filter,
    began: Option<Timestamp>,
    after: Option<(Timestamp, String)>,
    is_over: bool,
}

impl Store {
    /// Begins an export; nothing is read yet.
    pub fn export_fulfillment(&self, filter: Filter) -> Export {
        Export { store: self.clone(), filter, began: None, after: None, is_over: false }
    }
}

impl Export {
    /// The next rows, oldest first; nothing when all are told.
    pub async fn next_page(&mut self) -> Result<Option<Vec<Cells>>, StoreError> {
        const SQL: &str = include_str!("../../sql/statements/export_fulfillment.sql");
        if self.is_over {
            return Ok(None);
        }
        let began = self.began().await?;
        let Filter { status, number, from, to } = &self.filter;
        let (after_at, after_key) = match &self.after {
            Some((at, key)) => (*at, Some(key.as_str())),
            None => (Timestamp::UNIX_EPOCH, None),
        };
        let given: Given<'_> = &[status, number, from, to, &began, &after_at, &after_key, &PAGE];
        let what = || "read a page of fulfilments".to_owned();
        let rows = self.store.rows(SQL, given, what).await?;
        self.is_over = rows.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
        self.after = rows.last().map(|row| (row.get("page_at"), row.get("page_key")));
        let cells: Vec<Cells> = rows.iter().map(|row| row.get("cells")).collect();
        Ok((!cells.is_empty()).then_some(cells))
    }

    /// When it began, by the database's clock.
    async fn began(&mut self) -> Result<Timestamp, StoreError> {
        if let Some(began) = self.began {
            return Ok(began);
        }
        let rows = self.store.rows("select clock_timestamp()", &[], || "begin an export".to_owned()).await?;
        let began = rows.first().map(|row| row.get(0)).unwrap_or_default();
        self.began = Some(began);
        Ok(began)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: &str, phone: &str, from: &str, to: &str) -> Result<Filter, FilterError> {
        Filter::read(Some(status), Some(phone), Some(from), Some(to))
    }

    #[test]
    fn a_filter_is_read_as_people_write_it() {
        assert_eq!(read("", " ", "", ""), Ok(Filter::default()));
        let filter = read("failed", "+233 26 123-4567", "2026-11-20", "2026-11-20").unwrap();
        assert_eq!(filter.number.as_deref(), Some("261234567"));
        let day = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(filter.from, Some(day("2026-11-20T00:00:00Z")));
        assert_eq!(filter.to, Some(day("2026-11-21T00:00:00Z")), "the day that is named is in it");
        let exact = read("", "0261234567", "2026-11-20T08:00:00+01:00", "2026-11-20T08:00:00Z").unwrap();
        assert_eq!(exact.number, filter.number);
        assert_eq!((exact.from, exact.to), (Some(day("2026-11-20T07:00:00Z")), Some(day("2026-11-20T08:00:00Z"))));
        assert!(!format!("{filter:?}").contains("2612"), "{filter:?}");
    }

    #[test]
    fn what_means_nothing_is_refused_by_its_name() {
        for (filter, error) in [
            (read("done", "", "", ""), FilterError::Status),
            (read("", "12345678", "", ""), FilterError::Phone),
            (read("", "", "yesterday", ""), FilterError::Time("from")),
            (read("", "", "", "2026-13-01"), FilterError::Time("to")),
        ] {
            assert_eq!(filter, Err(error));
        }
    }
}
