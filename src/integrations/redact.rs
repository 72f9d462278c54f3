//! Keeps secrets and people out of text that goes on a row or in a log.
//!
//! What a provider or its program says may quote anything: the password it was given, the e-mail address it logged in
//! with, a customer's number. Known secrets are removed in the forms in which they are usually printed; e-mail addresses
//! and runs of digits that could be a phone number are removed wherever they stand. It errs on the side of removing: a
//! long number that is no phone number goes too. It does not find names.

use std::fmt::Write as _;
use std::ops::Range;

use secrecy::{ExposeSecret, SecretString};

/// Stands where something was removed. Without letters and digits, so that it is never itself part of a finding.
const REMOVED: &str = "•••";

/// So many digits in a row, separators aside, could be a phone number.
const PHONE_DIGITS: usize = 9;

/// So many are enough after a plus sign.
const PHONE_DIGITS_AFTER_PLUS: usize = 7;

/// Removes known secrets, e-mail addresses and phone numbers from text.
#[derive(Debug, Default)]
pub struct Redactor {
    /// Every printed form of every secret, longest first, so that none is broken up by a shorter one.
    secrets: Vec<SecretString>,
}

impl Redactor {
    /// A redactor that knows these secrets; empty ones are left out.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut forms: Vec<String> = secrets.into_iter().flat_map(printed_forms).filter(|s| !s.is_empty()).collect();
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        forms.dedup();
        Self { secrets: forms.into_iter().map(SecretString::from).collect() }
    }

    /// The text without the known secrets, e-mail addresses and phone numbers.
    pub fn redact(&self, text: &str) -> String {
        personal(&self.without_secrets(text))
    }

    /// The text as one tidy line of at most `chars_max` characters: without colours, line breaks and all that
    /// [`Redactor::redact`] removes.
    pub fn line(&self, text: &str, chars_max: usize) -> String {
        // Once as printed, and once more after tidying, which may have put a secret together.
        let tidy = tidy(&self.without_secrets(text));
        cut(&self.redact(&tidy), chars_max)
    }

    fn without_secrets(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret.expose_secret(), REMOVED))
    }
}

/// The text without e-mail addresses and phone numbers.
///
/// Both are looked for in the text as it came: what one of them takes away must not hide a part of the other.
pub fn personal(text: &str) -> String {
    let mut found = emails(text);
    found.extend(phones(text));
    found.sort_by_key(|range| range.start);
    let (mut kept, mut end) = (String::with_capacity(text.len()), 0);
    for range in found {
        if range.start >= end {
            kept.push_str(&text[end..range.start]);
            kept.push_str(REMOVED);
        }
        end = end.max(range.end);
    }
    kept + &text[end..]
}

/// At most `chars_max` characters of the text; the last one is an ellipsis where something is missing.
pub fn cut(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    text.chars().take(chars_max.saturating_sub(1)).chain(['…']).collect()
}

/// As it is, as it stands inside a JSON string, and percent-encoded.
fn printed_forms(secret: &str) -> [String; 4] {
    let json = serde_json::Value::from(secret).to_string();
    let form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let percent = secret.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
        text
    });
    [secret.to_owned(), json[1..json.len() - 1].to_owned(), form, percent]
}

/// Without terminal colours; every run of white space and control characters becomes one space.
fn tidy(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' && chars.peek() == Some(&'[') {
            // A control sequence: "[", parameters, one letter.
            chars.by_ref().find(char::is_ascii_alphabetic);
        } else {
            plain.push(if c.is_control() { ' ' } else { c });
        }
    }
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Where addresses stand.
fn emails(text: &str) -> Vec<Range<usize>> {
    let is_local = |c: char| c.is_alphanumeric() || "._+-".contains(c);
    let is_domain = |c: char| c.is_alphanumeric() || ".-".contains(c);
    let (mut found, mut from) = (Vec::new(), 0);
    while let Some((at, sign)) = next_at_sign(&text[from..]) {
        let (before, after) = (&text[from..from + at], &text[from + at + sign.len()..]);
        let local = before.len() - before.trim_end_matches(is_local).len();
        let domain = after.len() - after.trim_start_matches(is_domain).len();
        let sign_end = from + at + sign.len();
        if local > 0 && domain > 0 {
            found.push(from + at - local..sign_end + domain);
            from = sign_end + domain;
        } else {
            from = sign_end;
        }
    }
    found
}

/// The next `@`, also percent-encoded.
fn next_at_sign(text: &str) -> Option<(usize, &'static str)> {
    ["@", "%40"].into_iter().filter_map(|sign| Some((text.find(sign)?, sign))).min()
}

/// Where telephone numbers stand.
fn phones(text: &str) -> Vec<Range<usize>> {
    let (mut found, mut from) = (Vec::new(), 0);
    while let Some(start) = text[from..].find(|c: char| c == '+' || c.is_numeric()) {
        let rest = &text[from + start..];
        let (run, digits) = number_run(rest);
        let enough = if rest.starts_with('+') { PHONE_DIGITS_AFTER_PLUS } else { PHONE_DIGITS };
        if digits >= enough {
            found.push(from + start..from + start + run);
        }
        from += start + run;
    }
    found
}

/// Length in bytes and number of digits of the run that the text begins with, up to its last digit.
fn number_run(text: &str) -> (usize, usize) {
    let (mut end, mut digits) = (1, 0);
    for (at, c) in text.char_indices() {
        if c.is_numeric() {
            end = at + c.len_utf8();
            digits += 1;
        } else if !(c == '+' && at == 0 || " -./()\u{a0}".contains(c)) {
            break;
        }
    }
    (end, digits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn secrets_go_in_every_printed_form() {
        let redactor = Redactor::new(["p\"a ss/1", ""]);
        for text in ["p\"a ss/1", r#"{"password":"p\"a ss/1"}"#, "?p=p%22a+ss%2F1", "?p=p%22a%20ss%2F1"] {
            let redacted = redactor.redact(text);
            assert!(redacted.contains(REMOVED) && !redacted.contains('1'), "{redacted}");
        }
    }

    #[test]
    fn people_go_and_plain_words_stay() {
        assert_eq!(personal("for ama.k+x@example.com: failed"), "for •••: failed");
        assert_eq!(personal("u=ama%40example.com"), "u=•••");
        assert_eq!(personal("call +233 24 123 45 67 or 0241-234-567!"), "call ••• or •••!");
        let plain = "cli.ts:120:15 on 2026-01-31: HTTP 503, id 200100, 3 + 4 @ noon";
        assert_eq!(personal(plain), plain);
    }

    #[test]
    fn a_line_has_no_colours_and_no_breaks() {
        assert_eq!(Redactor::default().line("\u{1b}[31mno\u{1b}[0m\n\tway", 20), "no way");
        assert_eq!(Redactor::default().line("abcdef", 4), "abc…");
    }

    #[test]
    fn a_number_that_touches_an_address_goes_whole() {
        for text in ["@x0 00000000", "00000 0000@x", "a@b.c 024 123 4567", "+233 24 123 4567@example.com"] {
            assert!(!personal(text).contains(char::is_numeric), "{text}: {}", personal(text));
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        assert!(!format!("{:?}", Redactor::new(["hunter2"])).contains("hunter2"));
    }

    proptest! {
        #[test]
        fn no_secret_survives(secret in "[ -~]{1,20}", other in "[ -~]{1,20}", a in ".{0,30}", b in ".{0,30}") {
            let redactor = Redactor::new([secret.as_str(), other.as_str()]);
            let text = redactor.redact(&format!("{a}{secret}{b}{other}{a}"));
            prop_assert!(!text.contains(&secret) && !text.contains(&other), "{text}");
        }

        #[test]
        fn no_address_survives(local in "[a-z0-9._+-]{1,12}", domain in "[a-z]{1,8}\\.[a-z]{2,3}", a in ".{0,20}") {
            let text = personal(&format!("{a} {local}@{domain} {a}"));
            prop_assert!(!text.contains(&format!("{local}@{domain}")), "{text}");
        }

        #[test]
        fn no_number_survives(number in "\\+?[0-9]([ -]?[0-9]){8,14}", a in "\\PN{0,20}") {
            // The two know different versions of Unicode.
            prop_assume!(!a.chars().any(char::is_numeric));
            let text = personal(&format!("{a}{number}{a}"));
            prop_assert!(!text.chars().any(char::is_numeric), "{text}");
        }

        #[test]
        fn twice_is_once(text in ".{0,60}") {
            let once = personal(&text);
            prop_assert_eq!(personal(&once), once);
        }
    }
}
