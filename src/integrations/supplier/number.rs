//! A number in Ghana's mobile networks, checked before anybody outside hears of it, and written as a supplier wants it.

use serde::Deserialize;

/// How a supplier writes numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum NumberFormat {
    /// As it is dialled in the country.
    #[serde(rename = "0XXXXXXXXX")]
    Local,
    /// With the country code.
    #[serde(rename = "233XXXXXXXXX")]
    International,
    /// With the country code and a plus sign.
    #[serde(rename = "+233XXXXXXXXX")]
    E164,
}

/// A mobile number: the nine digits after the country code. Without debug output, so that none shows it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Number(String);

impl Number {
    /// Reads a number as people write it, with or without its country code; nothing unless it is a mobile one of Ghana.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits: String = text.trim().chars().filter(|c| !" -.()\u{a0}".contains(*c)).collect();
        let national = ["+233", "233", "0"].into_iter().find_map(|prefix| {
            let rest = digits.strip_prefix(prefix)?;
            (rest.len() == 9).then_some(rest)
        })?;
        let is_mobile = national.starts_with(['2', '5']) && national.bytes().all(|byte| byte.is_ascii_digit());
        is_mobile.then(|| Self(national.to_owned()))
    }

    pub(super) fn written(&self, format: NumberFormat) -> String {
        let prefix = match format {
            NumberFormat::Local => "0",
            NumberFormat::International => "233",
            NumberFormat::E164 => "+233",
        };
        format!("{prefix}{}", self.0)
    }

    /// Whether it begins like one of these, such as `26`. No proof either way: numbers are ported between networks.
    pub(super) fn begins_like(&self, prefixes: &[String]) -> bool {
        prefixes.is_empty() || prefixes.iter().any(|prefix| self.0.starts_with(prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_people_write_them() {
        for (text, local) in [
            ("+233261234567", Some("0261234567")),
            ("233261234567", Some("0261234567")),
            ("0261234567", Some("0261234567")),
            (" 026 123-45.67 ", Some("0261234567")),
            ("+233 (56) 1234567", Some("0561234567")),
            ("0301234567", None),
            ("026123456", None),
            ("02612345678", None),
            ("00233261234567", None),
            ("+2330261234567", None),
            ("+16505551234", None),
            ("026123456x", None),
            ("٠٢٦١٢٣٤٥٦٧", None),
            ("", None),
        ] {
            let number = Number::parse(text).map(|number| number.written(NumberFormat::Local));
            assert_eq!(number.as_deref(), local, "{text:?}");
        }
    }

    #[test]
    fn a_supplier_gets_its_own_way_of_writing() {
        let number = Number::parse("0261234567").unwrap();
        assert_eq!(number.written(NumberFormat::International), "233261234567");
        assert_eq!(number.written(NumberFormat::E164), "+233261234567");
    }

    #[test]
    fn a_prefix_is_a_hint() {
        let number = Number::parse("0241234567").unwrap();
        assert!(number.begins_like(&[]) && number.begins_like(&["24".to_owned()]));
        assert!(!number.begins_like(&["26".to_owned(), "56".to_owned()]));
    }
}
