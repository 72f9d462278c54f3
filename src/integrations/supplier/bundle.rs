//! A bundle's size: `1GB`, `500MB`, `1.5 GB`. Whole thousandths throughout, never a float.

use serde::Deserialize;

/// More is a slip of the pen: a terabyte, in thousandths of a megabyte.
const SIZE_MAX: u64 = 1_000_000_000;

/// A unit of size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Unit {
    /// Megabytes.
    #[serde(rename = "MB")]
    Megabytes,
    /// Gigabytes.
    #[serde(rename = "GB")]
    Gigabytes,
}

/// How a supplier writes sizes: `[volume]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Volume {
    /// `MB` or `GB`.
    pub unit: Unit,
    /// How many megabytes its gigabyte has: 1000 with most, 1024 with some.
    pub mb_per_gb: u64,
    /// Whether it stands in JSON as a text or as a number.
    #[serde(rename = "as")]
    pub kind: Kind,
    /// What follows the number, such as `GB`.
    pub suffix: String,
}

/// How a value stands in JSON.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// In quotation marks.
    #[default]
    String,
    /// Without.
    Number,
}

/// A size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bundle {
    thousandths: u64,
    unit: Unit,
}

impl Default for Volume {
    fn default() -> Self {
        Self { unit: Unit::Gigabytes, mb_per_gb: 1000, kind: Kind::String, suffix: String::new() }
    }
}

/// A package as it is compared: `1 gb` is `1GB`.
pub(super) fn tidy_package(package: &str) -> String {
    package.split_whitespace().collect::<String>().to_uppercase()
}

impl Bundle {
    /// Reads a package; nothing unless it is a size above nothing, with at most three decimals.
    pub(super) fn parse(package: &str) -> Option<Self> {
        let text = tidy_package(package);
        let (number, unit) = match (text.strip_suffix("GB"), text.strip_suffix("MB")) {
            (Some(number), _) => (number, Unit::Gigabytes),
            (_, Some(number)) => (number, Unit::Megabytes),
            _ => return None,
        };
        let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let is_number = (1..=9).contains(&whole.len()) && is_digits(whole) && is_digits(decimals);
        if !is_number || decimals.len() > 3 || number.ends_with('.') {
            return None;
        }
        let thousandths = format!("{whole}{decimals:0<3}").parse().ok()?;
        let of_a_megabyte = if unit == Unit::Gigabytes { 1000 } else { 1 };
        (1..=SIZE_MAX / of_a_megabyte).contains(&thousandths).then_some(Self { thousandths, unit })
    }

    /// The number as the supplier wants it, without suffix; nothing where its unit has no exact number for it.
    pub(super) fn written(self, volume: &Volume) -> Option<String> {
        let thousandths = match (self.unit, volume.unit) {
            (Unit::Gigabytes, Unit::Megabytes) => self.thousandths * volume.mb_per_gb,
            (Unit::Megabytes, Unit::Gigabytes) if self.thousandths.is_multiple_of(volume.mb_per_gb) => {
                self.thousandths / volume.mb_per_gb
            }
            (Unit::Megabytes, Unit::Gigabytes) => return None,
            _ => self.thousandths,
        };
        let (whole, rest) = (thousandths / 1000, thousandths % 1000);
        match (rest, volume.unit) {
            (0, _) => Some(whole.to_string()),
            // Nobody sells half a megabyte.
            (_, Unit::Megabytes) => None,
            (rest, Unit::Gigabytes) => Some(format!("{whole}.{rest:03}").trim_end_matches('0').to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn volume(unit: Unit, mb_per_gb: u64) -> Volume {
        Volume { unit, mb_per_gb, ..Volume::default() }
    }

    fn written(package: &str, unit: Unit, mb_per_gb: u64) -> Option<String> {
        Bundle::parse(package)?.written(&volume(unit, mb_per_gb))
    }

    #[test]
    fn sizes_are_exact_in_either_unit() {
        for (package, gigabytes, megabytes) in [
            ("1GB", Some("1"), Some("1000")),
            ("1 gb", Some("1"), Some("1000")),
            ("500MB", Some("0.5"), Some("500")),
            ("1.5GB", Some("1.5"), Some("1500")),
            ("0.001GB", Some("0.001"), Some("1")),
            ("2.50 GB", Some("2.5"), Some("2500")),
            ("1000GB", Some("1000"), Some("1000000")),
            ("0.5MB", None, None),
            ("1001GB", None, None),
            ("0GB", None, None),
            ("1.GB", None, None),
            (".5GB", None, None),
            ("1.2345GB", None, None),
            ("-1GB", None, None),
            ("1e3MB", None, None),
            ("GB", None, None),
            ("1", None, None),
            ("1GB daily", None, None),
        ] {
            assert_eq!(written(package, Unit::Gigabytes, 1000).as_deref(), gigabytes, "{package}");
            assert_eq!(written(package, Unit::Megabytes, 1000).as_deref(), megabytes, "{package}");
        }
    }

    #[test]
    fn some_suppliers_have_a_larger_gigabyte() {
        assert_eq!(written("1.5GB", Unit::Megabytes, 1024).as_deref(), Some("1536"));
        assert_eq!(written("512MB", Unit::Gigabytes, 1024).as_deref(), Some("0.5"));
        assert_eq!(written("500MB", Unit::Gigabytes, 1024), None, "not to be rounded");
    }

    proptest! {
        #[test]
        fn what_is_written_is_the_same_size(gigabytes in 0_u64..1000, thousandths in 0_u64..1000) {
            prop_assume!(gigabytes + thousandths > 0);
            let package = format!("{gigabytes}.{thousandths:03}GB");
            let megabytes = written(&package, Unit::Megabytes, 1000).unwrap();
            prop_assert_eq!(megabytes.parse::<u64>().unwrap(), gigabytes * 1000 + thousandths);
            let again = written(&format!("{megabytes}MB"), Unit::Gigabytes, 1000).unwrap();
            prop_assert_eq!(Bundle::parse(&format!("{again}GB")), Bundle::parse(&package));
        }
    }
}
