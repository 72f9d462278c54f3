//! The terms of a code: what may be set when it is created or updated, and what `list` shows of it.
//!
//! Amounts never pass through a float: they are kept as the text that was given, and compared in hundredths. A value
//! that `list` does not show, or shows in a form that cannot be read, contradicts nothing.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;

/// What may be set on a code.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) discount_percent: Option<Decimal>,
    pub(super) discount_amount: Option<Decimal>,
    pub(super) max_uses: Option<Decimal>,
    pub(super) expires_at: Option<Expiry>,
    pub(super) description: Option<String>,
}

/// What a comparison with the terms that `list` shows has come to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    /// At least one asked value is shown, and none is shown otherwise.
    Same,
    /// This one is shown otherwise.
    Differs(&'static str),
    /// None of the asked values is shown.
    Unshown,
}

impl Terms {
    /// The flags that set these terms; `prefix` is empty or `new-`.
    pub(super) fn flags(&self, prefix: &str) -> Vec<String> {
        let values = [
            ("discount-percent", self.discount_percent.as_ref().map(Decimal::shortest)),
            ("discount-amount", self.discount_amount.as_ref().map(|amount| amount.text.clone())),
            ("max-uses", self.max_uses.as_ref().map(Decimal::shortest)),
            ("expires-at", self.expires_at.as_ref().map(|expiry| expiry.text.clone())),
            ("description", self.description.clone()),
        ];
        values.into_iter().filter_map(|(name, value)| Some(format!("--{prefix}{name}={}", value?))).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Every one of these that is shown otherwise.
    pub(super) fn differences(&self, shown: &Self) -> Vec<&'static str> {
        let Self { discount_percent, discount_amount, max_uses, expires_at, description } = self.clone();
        let alone = [
            Self { discount_percent, ..Self::default() },
            Self { discount_amount, ..Self::default() },
            Self { max_uses, ..Self::default() },
            Self { expires_at, ..Self::default() },
            Self { description, ..Self::default() },
        ];
        let differs = alone.iter().filter_map(|one| match one.compare(shown) {
            Comparison::Differs(key) => Some(key),
            Comparison::Same | Comparison::Unshown => None,
        });
        differs.collect()
    }

    /// One of them as text, by its key.
    pub(super) fn value(&self, key: &str) -> Option<String> {
        match key {
            "discount_percent" => self.discount_percent.as_ref().map(Decimal::shortest),
            "discount_amount" => self.discount_amount.as_ref().map(Decimal::shortest),
            "max_uses" => self.max_uses.as_ref().map(Decimal::shortest),
            "expires_at" => self.expires_at.as_ref().map(|expiry| expiry.text.clone()),
            _ => self.description.clone(),
        }
    }

    /// Those that are given, by their names in the metadata.
    pub(super) fn values(&self) -> BTreeMap<&'static str, String> {
        let keys = ["discount_percent", "discount_amount", "max_uses", "expires_at", "description"];
        keys.into_iter().filter_map(|key| Some((key, self.value(key)?))).collect()
    }

    /// Compares what was asked with what is shown.
    pub(super) fn compare(&self, shown: &Self) -> Comparison {
        let kind_differs = |asked: &Option<Decimal>, shown: &Option<Decimal>, other: &Option<Decimal>| {
            asked.is_some() && shown.is_none() && other.as_ref().is_some_and(|other| other.hundredths > 0)
        };
        if kind_differs(&self.discount_percent, &shown.discount_percent, &shown.discount_amount) {
            return Comparison::Differs("discount_percent");
        }
        if kind_differs(&self.discount_amount, &shown.discount_amount, &shown.discount_percent) {
            return Comparison::Differs("discount_amount");
        }
        let pairs = [
            (
                "discount_percent",
                both(self.discount_percent.as_ref(), shown.discount_percent.as_ref(), Decimal::equals),
            ),
            ("discount_amount", both(self.discount_amount.as_ref(), shown.discount_amount.as_ref(), Decimal::equals)),
            ("max_uses", both(self.max_uses.as_ref(), shown.max_uses.as_ref(), Decimal::equals)),
            ("expires_at", both(self.expires_at.as_ref(), shown.expires_at.as_ref(), Expiry::equals)),
            ("description", both(self.description.as_ref(), shown.description.as_ref(), |a, b| a.trim() == b.trim())),
        ];
        match pairs.iter().find(|(_, same)| *same == Some(false)) {
            Some((name, _)) => Comparison::Differs(name),
            None if pairs.iter().any(|(_, same)| *same == Some(true)) => Comparison::Same,
            None => Comparison::Unshown,
        }
    }
}

fn both<T>(asked: Option<&T>, shown: Option<&T>, same: impl Fn(&T, &T) -> bool) -> Option<bool> {
    Some(same(asked?, shown?))
}

/// A number without a sign, with at most two decimals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decimal {
    /// As given, without a trailing `.0`.
    text: String,
    pub(super) hundredths: u64,
}

impl Decimal {
    /// Reads digits with at most nine before and two after the point; further zeros are harmless.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let is_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        if !is_digits(whole) || !is_digits(fraction) || whole.len() > 9 || fraction.len() > 20 {
            return None;
        }
        let (cents, beyond) = fraction.split_at(fraction.len().min(2));
        if beyond.bytes().any(|b| b != b'0') {
            return None;
        }
        let hundredths = whole.parse::<u64>().ok()? * 100 + format!("{cents:0<2}").parse::<u64>().ok()?;
        let whole = whole.trim_start_matches('0');
        let whole = if whole.is_empty() { "0" } else { whole };
        let text = if fraction == "0" { whole.to_owned() } else { format!("{whole}.{cents}") };
        Some(Self { text, hundredths })
    }

    pub(super) fn is_whole(&self) -> bool {
        self.hundredths.is_multiple_of(100)
    }

    /// As short as it can be written: `20`, `12.5`.
    fn shortest(&self) -> String {
        let (whole, cents) = (self.hundredths / 100, self.hundredths % 100);
        match (cents, cents % 10) {
            (0, _) => whole.to_string(),
            (_, 0) => format!("{whole}.{}", cents / 10),
            _ => format!("{whole}.{cents:02}"),
        }
    }

    fn equals(&self, other: &Self) -> bool {
        self.hundredths == other.hundredths
    }
}

/// When a code ends: a day, or a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expiry {
    text: String,
    day: Date,
    moment: Option<Timestamp>,
}

impl Expiry {
    /// Reads `2026-12-31`, or RFC 3339 with its offset.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let is_plain = text.len() <= 40 && text.bytes().all(|b| b.is_ascii_digit() || b"-+:.TZ".contains(&b));
        let day: Date = text.get(..10).filter(|_| is_plain)?.parse().ok()?;
        let moment = if text.len() == 10 { None } else { Some(text.parse().ok()?) };
        Some(Self { text: text.to_owned(), day, moment })
    }

    /// Reads what `list` shows, which may also be the site's local time.
    pub(super) fn parse_shown(text: &str) -> Option<Self> {
        Self::parse(text).or_else(|| Self::parse(text.get(..10)?))
    }

    /// Two moments are the same, two days are the same, and a day is the same as a moment within a day of it: the site
    /// shows its own time zone.
    fn equals(&self, other: &Self) -> bool {
        match (self.moment, other.moment) {
            (Some(a), Some(b)) => a.as_second() == b.as_second(),
            (None, None) if self.text.len() == other.text.len() => self.day == other.day,
            _ => self.day.until(other.day).is_ok_and(|span| span.get_days().abs() <= 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).expect(text)
    }

    #[test]
    fn numbers_are_printed_plainly() {
        for (text, as_given, shortest) in [
            ("20", "20", "20"),
            ("20.0", "20", "20"),
            ("5.00", "5.00", "5"),
            ("5.10", "5.10", "5.1"),
            ("5.105000", "", ""),
            ("12.5000", "12.50", "12.5"),
            ("007.05", "7.05", "7.05"),
            ("0.1", "0.1", "0.1"),
            ("1e2", "", ""),
            ("-1", "", ""),
            (".5", "", ""),
            ("5.", "", ""),
            ("1234567890", "", ""),
            ("٣", "", ""),
        ] {
            let read = Decimal::parse(text).map(|d| (d.text.clone(), d.shortest()));
            assert_eq!(read.unwrap_or_default(), (as_given.to_owned(), shortest.to_owned()), "{text}");
        }
    }

    #[test]
    fn days_and_moments_are_compared_as_what_they_are() {
        let same = |a: &str, b: &str| Expiry::parse(a).unwrap().equals(&Expiry::parse_shown(b).unwrap());
        assert!(same("2026-12-31T22:00:00Z", "2027-01-01T00:00:00+02:00"));
        assert!(!same("2026-12-31T22:00:00Z", "2026-12-31T22:00:01Z"));
        assert!(same("2026-12-31", "2026-12-31"));
        assert!(!same("2026-12-31", "2026-12-30"));
        assert!(same("2026-12-31T23:00:00Z", "2027-01-01 01:00:00"));
        assert!(!same("2026-12-31T23:00:00Z", "2027-01-03"));
        for text in ["", "2026-13-01", "20261231", "2026-12-31T10:00:00", "2026-12-31 10:00", "tomorrow", "2026-12-3é"]
        {
            assert_eq!(Expiry::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_not_shown_contradicts_nothing_and_proves_nothing() {
        let asked = Terms { max_uses: Some(decimal("5")), description: Some("x".into()), ..Terms::default() };
        let shown = |uses: Option<&str>| Terms { max_uses: uses.map(decimal), ..Terms::default() };
        assert_eq!(asked.compare(&shown(None)), Comparison::Unshown);
        assert_eq!(asked.compare(&shown(Some("5.00"))), Comparison::Same);
        assert_eq!(asked.compare(&shown(Some("6"))), Comparison::Differs("max_uses"));
    }

    #[test]
    fn a_percentage_is_no_amount() {
        let asked = Terms { discount_percent: Some(decimal("5")), ..Terms::default() };
        let shown = Terms { discount_amount: Some(decimal("5")), ..Terms::default() };
        assert_eq!(asked.compare(&shown), Comparison::Differs("discount_percent"));
        let both =
            Terms { discount_percent: Some(decimal("5")), discount_amount: Some(decimal("0")), ..Terms::default() };
        assert_eq!(asked.compare(&both), Comparison::Same);
    }
}
