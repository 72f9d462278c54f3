//! The site's times: its own time of day without a zone, or ISO 8601 with one, by version and add-on.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Unit, Zoned};

/// No ticket is from before, and no later year has four digits.
const YEARS: std::ops::RangeInclusive<i16> = 1970..=9999;

/// The site's clock.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    zone: TimeZone,
}

/// One moment, as the site shows it and as everybody counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) local: DateTime,
    pub(super) at: Timestamp,
}

impl Clock {
    pub(super) fn new(zone: TimeZone) -> Self {
        Self { zone }
    }

    /// Reads a time; nothing for what WordPress writes in place of none, and for what is no time.
    ///
    /// An hour that a change of clocks repeats is taken for the first one: its time of day is kept as it is told.
    pub(super) fn read(&self, text: &str) -> Option<Moment> {
        let text = text.trim();
        let moment = if let Ok(at) = text.parse::<Timestamp>() {
            self.show(at)
        } else {
            let local = text.parse::<DateTime>().ok()?;
            Moment { local, at: self.zone.to_ambiguous_timestamp(local).compatible().ok()? }
        };
        YEARS.contains(&moment.local.year()).then_some(moment)
    }

    /// A moment as the site shows it.
    pub(super) fn show(&self, at: Timestamp) -> Moment {
        Moment { local: Zoned::new(at, self.zone.clone()).datetime(), at }
    }

    /// When a day begins there.
    pub(super) fn start_of(&self, day: Date) -> Timestamp {
        // A day at the end of all time begins nowhere; nothing is from then.
        day.to_zoned(self.zone.clone()).map_or(Timestamp::MAX, |midnight| midnight.timestamp())
    }
}

impl Moment {
    /// `2025-10-17 09:30:00`
    pub(super) fn time_of_day(&self) -> String {
        let whole = self.local.round(Unit::Second).unwrap_or(self.local);
        whole.strftime("%Y-%m-%d %H:%M:%S").to_string()
    }
}

/// A time zone as WordPress' settings show it: a city, such as Europe/Tallinn, or UTC with hours, such as UTC+5:30.
pub fn time_zone(name: &str) -> Option<TimeZone> {
    let name = name.trim();
    let hours = name.strip_prefix("UTC").unwrap_or(name);
    let Some(sign) = hours.chars().next().filter(|sign| "+-".contains(*sign)) else {
        return TimeZone::get(name).ok();
    };
    let (hours, minutes) = hours[1..].split_once(':').unwrap_or((&hours[1..], "00"));
    if hours.is_empty() {
        return None;
    }
    let offset = format!("1970-01-01T00:00:00{sign}{hours:0>2}:{minutes}[{sign}{hours:0>2}:{minutes}]");
    offset.parse::<Zoned>().ok().map(|zoned| zoned.time_zone().clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(zone: &str, text: &str) -> Option<(String, String)> {
        let moment = Clock::new(time_zone(zone).unwrap()).read(text)?;
        Some((moment.time_of_day(), moment.at.to_string()))
    }

    #[test]
    fn both_forms_of_a_time_are_read_around_midnight_and_clock_changes() {
        for (zone, text, local, at) in [
            ("Europe/Tallinn", "2025-10-17 23:30:00", "2025-10-17 23:30:00", "2025-10-17T20:30:00Z"),
            ("Europe/Tallinn", "2025-10-17T22:30:00.000000Z", "2025-10-18 01:30:00", "2025-10-17T22:30:00Z"),
            ("Europe/Tallinn", "2025-10-18T00:30:00+02:00", "2025-10-18 01:30:00", "2025-10-17T22:30:00Z"),
            ("America/New_York", "2025-10-18T02:30:00Z", "2025-10-17 22:30:00", "2025-10-18T02:30:00Z"),
            ("UTC+5:30", "2025-10-17T20:00:00Z", "2025-10-18 01:30:00", "2025-10-17T20:00:00Z"),
            // Clocks go back: 03:30 is twice, and is told as it stands.
            ("Europe/Tallinn", "2025-10-26 03:30:00", "2025-10-26 03:30:00", "2025-10-26T00:30:00Z"),
            ("Europe/Tallinn", "2025-10-26T01:30:00Z", "2025-10-26 03:30:00", "2025-10-26T01:30:00Z"),
            // Clocks go forward: there is no 03:30.
            ("Europe/Tallinn", "2026-03-29 03:30:00", "2026-03-29 03:30:00", "2026-03-29T01:30:00Z"),
            ("UTC", "2025-10-17T09:30:00.999Z", "2025-10-17 09:30:01", "2025-10-17T09:30:00.999Z"),
        ] {
            assert_eq!(read(zone, text), Some((local.to_owned(), at.to_owned())), "{zone} {text}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in ["", "0000-00-00 00:00:00", "2025-13-01 00:00:00", "soon", "-009999-01-01T00:00:00Z", "0001-01-01"]
        {
            assert_eq!(read("UTC", text), None, "{text}");
        }
    }

    #[test]
    fn a_day_begins_at_the_sites_midnight() {
        let start =
            |zone: &str, day: &str| Clock::new(time_zone(zone).unwrap()).start_of(day.parse().unwrap()).to_string();
        assert_eq!(start("Europe/Tallinn", "2025-10-17"), "2025-10-16T21:00:00Z");
        assert_eq!(start("America/New_York", "2025-11-02"), "2025-11-02T04:00:00Z");
        // There, clocks went forward at midnight.
        assert_eq!(start("America/Asuncion", "2023-10-01"), "2023-10-01T04:00:00Z");
    }

    #[test]
    fn zones_are_named_as_wordpress_names_them() {
        for (name, same) in [("UTC+2", "+02:00"), ("UTC-3", "-03:00"), ("UTC+5:30", "+05:30"), ("+02:00", "+02:00")] {
            let at = Timestamp::UNIX_EPOCH;
            let shown = time_zone(name).unwrap().to_offset(at).to_string();
            assert!(same.starts_with(&shown), "{name} is {shown}");
        }
        for name in ["", "Mars/Olympus", "UTC+99", "UTC+x", "+"] {
            assert!(time_zone(name).is_none(), "{name}");
        }
    }
}
