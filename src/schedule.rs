//! A schedule's times: a cron text, read in a time zone.
//!
//! Where the hours are named (`30 2 * * *`, `0 8-18/2 * * 1-5`), every named time of the wall clock comes once: an hour that
//! the clock repeats counts the first time, and what lies in an hour that it leaves out comes at the end of that gap. Where
//! they are not (`*/15 * * * *`, `0 */2 * * *`), every minute that passes counts for what the clock shows in it.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

/// What a cron text takes, for whoever wrote one that cannot be read.
const CRON_TAKES: &str = "five fields (minute hour day month weekday), or @hourly, @daily, @weekly, @monthly, @yearly";

/// When a schedule comes.
#[derive(Debug, Clone)]
pub struct Timing {
    cron: Cron,
    zone: TimeZone,
}

/// A timing that cannot be read, in words for the person who wrote it.
#[derive(Debug, thiserror::Error)]
pub enum TimingError {
    /// It is no cron text.
    #[error("the cron text {text:?} cannot be read ({reason}): it takes {CRON_TAKES}")]
    Cron {
        /// As it was written.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No such zone.
    #[error("there is no time zone {0:?}: it takes UTC, or a name such as Europe/Berlin")]
    Zone(String),
    /// A cron text without any time, such as one of 30 February.
    #[error("the cron text {0:?} never comes: no day of any year has it")]
    Never(String),
}

impl Timing {
    /// Reads a cron text and the name of a time zone.
    pub fn parse(cron: &str, zone: &str) -> Result<Self, TimingError> {
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let zone = TimeZone::get(zone).map_err(|_| TimingError::Zone(zone.to_owned()))?;
        let unreadable =
            |reason: &str| TimingError::Cron { text: cron.to_owned(), reason: reason.trim_end_matches('.').to_owned() };
        let cron = parser.parse(cron).map_err(|error| unreadable(&error.to_string()))?;
        let pattern = &cron.pattern;
        // Nothing but commas: the search for what does not come would take minutes.
        let fields = [&pattern.minutes, &pattern.hours, &pattern.days, &pattern.months, &pattern.days_of_week];
        if fields.iter().any(|field| field.values().is_empty() && !field.has_modifiers()) {
            return Err(unreadable("a field names nothing"));
        }
        Ok(Self { cron, zone })
    }

    /// When it comes next after a moment.
    pub fn next_after(&self, moment: Timestamp) -> Result<Timestamp, TimingError> {
        let next = if self.cron.pattern.hours.from_wildcard {
            let moment = moment.to_zoned(self.zone.clone());
            self.cron.find_next_occurrence(&moment, false).map(|next| next.timestamp()).ok()
        } else {
            self.next_on_wall_clock(moment)
        };
        next.ok_or_else(|| TimingError::Never(self.cron.pattern.as_str().to_owned()))
    }

    fn next_on_wall_clock(&self, moment: Timestamp) -> Option<Timestamp> {
        let mut shown = moment.to_zoned(self.zone.clone()).datetime();
        loop {
            shown = self.cron.find_next_occurrence(&shown, false).ok()?;
            let comes = self.first_showing(shown)?;
            // The clock may show again what it has shown before: that has come already.
            if comes > moment {
                return Some(comes);
            }
        }
    }

    /// When the clock first shows this; the end of the gap, where it leaves it out.
    fn first_showing(&self, shown: DateTime) -> Option<Timestamp> {
        let ambiguous = self.zone.to_ambiguous_timestamp(shown);
        let is_left_out = matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. });
        let earlier = ambiguous.earlier().ok()?;
        if is_left_out { self.zone.following(earlier).next().map(|change| change.timestamp()) } else { Some(earlier) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn timing(cron: &str, zone: &str) -> Timing {
        Timing::parse(cron, zone).unwrap_or_else(|error| panic!("{error}"))
    }

    /// So many times after a moment, in UTC without the seconds.
    fn times(cron: &str, zone: &str, after: &str, number: usize) -> Vec<String> {
        let timing = timing(cron, zone);
        let mut moment: Timestamp = after.parse().unwrap();
        let mut times = Vec::new();
        for _ in 0..number {
            moment = timing.next_after(moment).unwrap();
            times.push(moment.to_string().replace(":00Z", ""));
        }
        times
    }

    const BERLIN: &str = "Europe/Berlin";

    // Berlin leaves out 02:00 to 03:00 on 28 March 2027 (01:00 UTC), and repeats it on 31 October (01:00 UTC).

    #[test]
    fn a_time_that_the_clock_leaves_out_comes_once_at_the_end_of_the_gap() {
        let expected = ["2027-03-27T01:30", "2027-03-28T01:00", "2027-03-29T00:30"];
        assert_eq!(times("30 2 * * *", BERLIN, "2027-03-26T12:00:00Z", 3), expected);
    }

    #[test]
    fn a_time_that_the_clock_repeats_comes_once() {
        let expected = ["2027-10-30T00:30", "2027-10-31T00:30", "2027-11-01T01:30"];
        assert_eq!(times("30 2 * * *", BERLIN, "2027-10-29T12:00:00Z", 3), expected);
        // Nor does it come again to somebody who looks between the two.
        assert_eq!(times("30 2 * * *", BERLIN, "2027-10-31T00:30:00.5Z", 1), ["2027-11-01T01:30"]);
        assert_eq!(times("30 2 * * *", BERLIN, "2027-10-31T01:10:00Z", 1), ["2027-11-01T01:30"]);
    }

    #[test]
    fn lists_of_hours_and_minutes_keep_the_same_rule() {
        let gap = ["2027-03-28T00:30", "2027-03-28T01:00", "2027-03-28T12:00"];
        assert_eq!(
            times("0,30 1,2,14 * * *", BERLIN, "2027-03-28T00:00:00Z", 3),
            gap,
            "one for both that were left out"
        );
        let fold = ["2027-10-31T00:00", "2027-10-31T00:30", "2027-10-31T13:00"];
        assert_eq!(times("0,30 2,14 * * *", BERLIN, "2027-10-30T12:30:00Z", 3), fold);
    }

    #[test]
    fn without_named_hours_every_minute_that_passes_counts() {
        let gap = ["2027-03-28T00:30", "2027-03-28T01:00", "2027-03-28T01:30"];
        assert_eq!(times("*/30 * * * *", BERLIN, "2027-03-28T00:00:00Z", 3), gap);
        let fold = ["2027-10-31T00:00", "2027-10-31T00:30", "2027-10-31T01:00", "2027-10-31T01:30", "2027-10-31T02:00"];
        assert_eq!(times("*/30 * * * *", BERLIN, "2027-10-30T23:59:59Z", 5), fold);
    }

    #[test]
    fn other_zones_change_their_clocks_otherwise() {
        // New York leaves out 02:00 to 03:00 on 14 March 2027, and repeats 01:00 to 02:00 on 7 November.
        let new_york = "America/New_York";
        assert_eq!(times("30 2 * * *", new_york, "2027-03-14T00:00:00Z", 2), ["2027-03-14T07:00", "2027-03-15T06:30"]);
        assert_eq!(times("30 1 * * *", new_york, "2027-11-07T00:00:00Z", 2), ["2027-11-07T05:30", "2027-11-08T06:30"]);
        // Lord Howe changes by half an hour: 02:00 to 02:30 is left out on 3 October 2027.
        assert_eq!(times("15 2 * * *", "Australia/Lord_Howe", "2027-10-02T12:00:00Z", 1), ["2027-10-02T15:30"]);
    }

    #[test]
    fn names_and_ranges_are_read() {
        for (cron, next) in [
            ("@yearly", "2028-01-01T00:00"),
            ("@monthly", "2027-07-01T00:00"),
            ("@Weekly", "2027-06-20T00:00"),
            ("@daily", "2027-06-17T00:00"),
            ("@hourly", "2027-06-16T11:00"),
            ("0 9-17/4 * * mon-fri", "2027-06-16T13:00"),
            ("30 2 29 feb *", "2028-02-29T02:30"),
            ("0 0 l * *", "2027-06-30T00:00"),
            ("0 0 13 * fri", "2027-06-18T00:00"),
        ] {
            assert_eq!(times(cron, "UTC", "2027-06-16T10:30:00Z", 1), [next], "{cron}");
        }
    }

    #[test]
    fn what_cannot_be_read_says_why_and_what_is_taken() {
        for (cron, zone, words) in [
            ("61 * * * *", "UTC", "61"),
            ("* * * *", "UTC", "five fields"),
            ("0 0 * * * *", "UTC", "five fields"),
            ("", "UTC", "five fields"),
            ("every day", "UTC", "@daily"),
            ("@reboot", "UTC", "@hourly"),
            ("*/0 * * * *", "UTC", "zero"),
            (", * * * *", "UTC", "names nothing"),
            ("0 , * * *", "UTC", "names nothing"),
            ("0 0 * * ,", "UTC", "names nothing"),
            ("0 2 * * *", "Berlin", "Europe/Berlin"),
            ("0 2 * * *", "", "UTC"),
            ("0 2 * * *", "../../etc/passwd", "no time zone"),
        ] {
            let error = Timing::parse(cron, zone).unwrap_err().to_string();
            assert!(error.contains(words), "{cron} {zone}: {error}");
        }
    }

    #[test]
    fn a_day_that_never_comes_is_told_soon() {
        for cron in ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "* * 30 2 *"] {
            let error = timing(cron, BERLIN).next_after(Timestamp::UNIX_EPOCH).unwrap_err().to_string();
            assert!(error.contains("never comes"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(cron in "[0-9*/,LW#?+@ a-z-]{0,24}", zone in "[A-Za-z/_+-]{0,20}") {
            if let Ok(timing) = Timing::parse(&cron, &zone) {
                let _ = timing.next_after(Timestamp::UNIX_EPOCH);
            }
        }

        #[test]
        fn named_hours_come_as_often_as_their_days(hour in 0_i8..24, minute in 0_i8..60, day in 0_i64..20_000) {
            let timing = timing(&format!("{minute} {hour} * * *"), BERLIN);
            let zone = TimeZone::get(BERLIN).unwrap();
            let start = Timestamp::from_second(day * 86_400).unwrap();
            let next = timing.next_after(start).unwrap();
            let after = timing.next_after(next).unwrap();
            let date = |moment: Timestamp| moment.to_zoned(zone.clone()).date();
            prop_assert_eq!(date(next).tomorrow().unwrap(), date(after));
        }
    }
}
