//! Our reference as a supplier takes it: the same for every attempt of an order, and where possible to be turned back.
//!
//! A supplier's callback tells the reference that it was given. `${reference}` is the order's own, `${base36}` is a UUID in
//! 25 letters and digits; both lead back to the order. `${sha256:20}` does not: there the row is found by what was sent.

use serde::Deserialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::template::cut;

/// What a UUID takes in base 36.
const BASE36_CHARS: usize = 25;
const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// What a UUID takes as it is written.
const UUID_CHARS: usize = 36;

/// `reference.derive`
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Derive {
    before: String,
    form: Form,
    after: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As it is.
    Plain,
    /// A UUID in base 36.
    Base36,
    /// So many hexadecimal digits of its digest.
    Digest(usize),
}

impl TryFrom<String> for Derive {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let pieces = cut(&text)?;
        let [(before, Some(inside)), (after, None)] = pieces.as_slice() else {
            return Err(
                "one of ${reference}, ${base36} and ${sha256:20}, once, with text around it as needed".to_owned()
            );
        };
        let digits = inside.strip_prefix("sha256:").and_then(|digits| digits.parse().ok());
        let form = match (*inside, digits) {
            ("reference", _) => Form::Plain,
            ("base36", _) => Form::Base36,
            (_, Some(digits @ 16..=64)) => Form::Digest(digits),
            (_, Some(_)) => return Err("of a digest, 16 to 64 digits, such as ${sha256:20}".to_owned()),
            _ => return Err(format!("${{{inside}}} is not known, only reference, base36 and sha256:20")),
        };
        Ok(Self { before: (*before).to_owned(), form, after: (*after).to_owned() })
    }
}

impl Derive {
    /// As it is.
    pub(super) fn plain() -> Self {
        Self { before: String::new(), form: Form::Plain, after: String::new() }
    }

    /// How long it makes the reference of an order with a UUID.
    pub(super) fn length(&self) -> usize {
        let inside = match self.form {
            Form::Plain => UUID_CHARS,
            Form::Base36 => BASE36_CHARS,
            Form::Digest(digits) => digits,
        };
        self.before.chars().count() + inside + self.after.chars().count()
    }

    /// Every character that it may put into the reference of an order with a UUID.
    pub(super) fn characters(&self) -> String {
        let inside =
            if self.form == Form::Base36 { "0123456789abcdefghijklmnopqrstuvwxyz" } else { "0123456789abcdef" };
        let hyphen = if self.form == Form::Plain { "-" } else { "" };
        format!("{}{inside}{hyphen}{}", self.before, self.after)
    }

    /// The supplier's reference of an order; nothing where it needs a UUID and the order's is none.
    pub(super) fn derive(&self, reference: &str) -> Option<String> {
        let inside = match self.form {
            Form::Plain => reference.to_owned(),
            Form::Base36 => base36(Uuid::try_parse(reference).ok()?),
            Form::Digest(digits) => {
                let digest = Sha256::digest(reference.as_bytes());
                super::sign::hex(&digest).chars().take(digits).collect()
            }
        };
        Some(format!("{}{inside}{}", self.before, self.after))
    }

    /// The order's reference, where the supplier's leads back to it.
    pub(super) fn restore(&self, told: &str) -> Option<String> {
        let inside = told.strip_prefix(&self.before)?.strip_suffix(&self.after)?;
        match self.form {
            Form::Plain => (!inside.is_empty()).then(|| inside.to_owned()),
            Form::Base36 => Some(from_base36(inside)?.to_string()),
            Form::Digest(_) => None,
        }
    }
}

fn base36(id: Uuid) -> String {
    let mut number = id.as_u128();
    let mut digits = [b'0'; BASE36_CHARS];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[usize::try_from(number % 36).unwrap_or_default()];
        number /= 36;
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}

/// In either case: some suppliers tell it back in capitals.
fn from_base36(text: &str) -> Option<Uuid> {
    if text.len() != BASE36_CHARS {
        return None;
    }
    text.chars()
        .try_fold(0_u128, |number, c| number.checked_mul(36)?.checked_add(u128::from(c.to_digit(36)?)))
        .map(Uuid::from_u128)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn derive(text: &str) -> Result<Derive, String> {
        Derive::try_from(text.to_owned())
    }

    const ORDER: &str = "0190c2a4-7b1e-7c3d-8f00-00000000002a";

    #[test]
    fn the_reference_is_the_same_each_time_and_leads_back_where_it_can() {
        for (text, length, is_restored) in
            [("${reference}", 36, true), ("HN-${base36}", 28, true), ("rc${sha256:20}", 22, false)]
        {
            let derive = derive(text).unwrap();
            let told = derive.derive(ORDER).unwrap();
            assert_eq!((derive.length(), told.len()), (length, length), "{text}");
            assert_eq!(derive.derive(ORDER), Some(told.clone()));
            assert_eq!(derive.restore(&told).as_deref(), is_restored.then_some(ORDER), "{text}");
        }
        let base36 = derive("${base36}").unwrap();
        assert_eq!(base36.derive("order 17"), None);
        assert_eq!(base36.restore("zzzzzzzzzzzzzzzzzzzzzzzzz"), None, "no UUID is so large");
        assert_eq!(derive("A-${reference}").unwrap().restore("B-17"), None);
    }

    #[test]
    fn what_cannot_be_derived_is_refused() {
        for text in ["", "plain", "${reference}${reference}", "${msisdn}", "${sha256:8}", "${sha256:x}", "${base36"] {
            assert!(derive(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn base36_leads_back(bits in any::<u128>()) {
            let id = Uuid::from_u128(bits);
            prop_assert_eq!(from_base36(&base36(id)), Some(id));
            prop_assert_eq!(from_base36(&base36(id).to_uppercase()), Some(id));
        }
    }
}
