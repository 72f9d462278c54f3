//! What a supplier answered: JSON, perhaps behind something else, read by a profile's pointers.

use serde_json::Value;

use super::order::plain_reference;
use super::profile::{Class, Means, Pointer, Profile, State};
use crate::integrations::redact::{Redactor, cut};

/// How much of an answer is kept on the row, in characters.
const KEPT_CHARS_MAX: usize = 2000;

/// How much of one text in it.
const TEXT_CHARS_MAX: usize = 200;

/// So many places are tried for the beginning of JSON.
const BEGINNINGS_MAX: usize = 1000;

/// Longer numbers may not fit into an integer.
const WHOLE_DIGITS_MAX: usize = 18;

/// An answer's JSON.
#[derive(Clone)]
pub(super) struct Said(Value);

impl Said {
    /// Reads an answer; nothing where there is no object in it.
    pub(super) fn read(body: &[u8], is_tolerant: bool) -> Option<Self> {
        let text = String::from_utf8_lossy(body);
        let text = text.trim_start_matches('\u{feff}');
        let object = |text: &str| {
            let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
            values.next()?.ok().filter(Value::is_object)?;
            let (json, rest) = text.split_at_checked(values.byte_offset())?;
            let value = serde_json::from_str(&decimals_as_text(json)).ok()?;
            (is_tolerant || rest.trim().is_empty()).then_some(Self(value))
        };
        if !is_tolerant {
            return object(text);
        }
        text.match_indices('{').take(BEGINNINGS_MAX).find_map(|(at, _)| object(&text[at..]))
    }

    /// Whether every condition for a success holds.
    pub(super) fn is_success(&self, profile: &Profile) -> bool {
        profile.response.success.iter().all(|condition| condition.holds(&self.0))
    }

    /// The first text that stands at one of these.
    pub(super) fn text(&self, pointers: &[Pointer]) -> Option<String> {
        pointers.iter().find_map(|pointer| pointer.text(&self.0))
    }

    /// The supplier's number of the order.
    pub(super) fn provider_reference(&self, pointers: &[Pointer]) -> Option<String> {
        pointers.iter().find_map(|pointer| plain_reference(&pointer.text(&self.0)?))
    }

    /// How the order stands: the first word that the profile knows.
    pub(super) fn state(&self, profile: &Profile, pointers: &[Pointer]) -> Option<State> {
        pointers.iter().find_map(|pointer| profile.states.of(&pointer.text(&self.0)?))
    }

    /// Whether it says of itself that it is no success: a condition fails whose place says `false`, or the like.
    pub(super) fn is_failure(&self, profile: &Profile) -> bool {
        profile.response.success.iter().any(|condition| condition.is_denied(&self.0))
    }

    /// The same in the answer to a purchase that was taken.
    pub(super) fn state_bought(&self, profile: &Profile) -> State {
        let response = &profile.response;
        if response.success_means == Means::Delivered {
            return self.state(profile, &response.state).unwrap_or(State::Delivered);
        }
        let mut words = response.state.iter().filter_map(|pointer| pointer.text(&self.0));
        words.find_map(|word| profile.states.of_purchase(&word)).unwrap_or(State::Pending)
    }

    /// What the profile makes of its code, or else of its words.
    pub(super) fn class(&self, profile: &Profile) -> Option<Class> {
        self.class_of_code(profile).or_else(|| self.class_of_words(profile))
    }

    /// What the profile makes of its code.
    pub(super) fn class_of_code(&self, profile: &Profile) -> Option<Class> {
        let response = &profile.response;
        response.code.iter().find_map(|pointer| response.code_map.get(&pointer.text(&self.0)?).copied())
    }

    /// What the profile makes of its words.
    pub(super) fn class_of_words(&self, profile: &Profile) -> Option<Class> {
        let response = &profile.response;
        let texts: Vec<String> = response.message.iter().filter_map(|pointer| pointer.text(&self.0)).collect();
        let mut words = response.text_map.iter();
        words.find(|words| texts.iter().any(|text| words.pattern.is_in(text))).map(|words| words.class)
    }

    /// What is kept of it on the row: as it is, without secrets and numbers of people, and not too long.
    pub(super) fn kept(&self, redactor: &Redactor) -> Value {
        let kept = clean(&self.0, redactor);
        let text = kept.to_string();
        if text.chars().count() <= KEPT_CHARS_MAX { kept } else { Value::String(cut(&text, KEPT_CHARS_MAX)) }
    }
}

fn clean(value: &Value, redactor: &Redactor) -> Value {
    match value {
        Value::String(text) => redactor.line(text, TEXT_CHARS_MAX).into(),
        Value::Number(number) => {
            let text = number.to_string();
            let clean = redactor.redact(&text);
            if clean == text { value.clone() } else { clean.into() }
        }
        Value::Array(values) => values.iter().map(|value| clean(value, redactor)).collect(),
        Value::Object(object) => {
            let parts = object.iter();
            parts.map(|(key, value)| (redactor.line(key, TEXT_CHARS_MAX), clean(value, redactor))).collect()
        }
        other => other.clone(),
    }
}

/// The JSON with every number in quotation marks that would become a float: a balance of 12.10 must not, nor an order's
/// number of twenty digits.
fn decimals_as_text(json: &str) -> String {
    let mut text = String::with_capacity(json.len() + 16);
    let (mut is_string, mut is_escaped, mut rest) = (false, false, json);
    while let Some(c) = rest.chars().next() {
        let starts_number = !is_string && (c.is_ascii_digit() || c == '-');
        if starts_number {
            let end = rest.find(|c: char| !(c.is_ascii_digit() || "+-.eE".contains(c))).unwrap_or(rest.len());
            let (number, after) = rest.split_at(end);
            let is_whole = !number.contains(['.', 'e', 'E']) && number.len() <= WHOLE_DIGITS_MAX;
            let quote = if is_whole { "" } else { "\"" };
            text.extend([quote, number, quote]);
            rest = after;
            continue;
        }
        match c {
            '"' if !is_escaped => is_string = !is_string,
            '\\' if is_string && !is_escaped => {
                is_escaped = true;
                text.push(c);
                rest = &rest[1..];
                continue;
            }
            _ => {}
        }
        is_escaped = false;
        text.push(c);
        rest = &rest[c.len_utf8()..];
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(text: &str, is_tolerant: bool) -> Option<Value> {
        Said::read(text.as_bytes(), is_tolerant).map(|said| said.0)
    }

    #[test]
    fn json_is_found_behind_what_is_not_json() {
        let php = "<br />\n<b title=\">Warning</b>: x {y} in <b>/a.php</b> on line 3<br />\n{\"status\":200,\"a\":{\"b\":1}}\n";
        assert_eq!(read(php, true), Some(json!({"status": 200, "a": {"b": 1}})));
        assert_eq!(read(php, false), None);
        assert_eq!(read("\u{feff} {\"a\":1} ", false), Some(json!({"a": 1})));
        for nothing in ["", "<html>{}", "[1]", "null", "{\"a\":", "{{{{{{"] {
            assert_eq!(read(nothing, false), None, "{nothing}");
        }
        assert_eq!(read("<style>p{a:b}</style>", true), None);
        assert_eq!(read(&"{\"a".repeat(100_000), true), None);
    }

    #[test]
    fn decimals_stay_as_they_are_written() {
        let json = r#"{"balance":12.10,"n":-3,"e":1e3,"text":"1.5 \" 2.5 \\","list":[0.5,7],"big":90071992547409931234,"id":-17}"#;
        let expected = json!({
            "balance": "12.10", "n": -3, "e": "1e3", "text": "1.5 \" 2.5 \\", "list": ["0.5", 7],
            "big": "90071992547409931234", "id": -17,
        });
        assert_eq!(read(json, false), Some(expected));
    }

    #[test]
    fn what_is_kept_is_clean_and_bounded() {
        let redactor = Redactor::new(["hunter2"]);
        let said = read(r#"{"key":"hunter2","to":"0261234567","phone":233261234567,"id":17,"ok":true}"#, false);
        let kept = Said(said.unwrap()).kept(&redactor);
        assert_eq!(kept, json!({"key": "•••", "to": "•••", "phone": "•••", "id": 17, "ok": true}));
        let long = Said(json!({"a": vec!["word"; 2000]})).kept(&redactor);
        assert_eq!(long.as_str().unwrap().chars().count(), KEPT_CHARS_MAX);
    }

    proptest! {
        #[test]
        fn any_answer_is_read_or_not_but_never_a_panic(text in "[{}\"\\\\a-c0-9.e:,\\[\\] é-]{0,60}") {
            let _ = Said::read(text.as_bytes(), true);
            let _ = Said::read(text.as_bytes(), false);
        }

        #[test]
        fn json_without_decimals_is_read_as_it_is(text in "[ -~é\"\\\\]{0,40}", number in any::<i32>()) {
            let json = json!({"text": text, "number": number});
            prop_assert_eq!(read(&json.to_string(), false), Some(json));
        }
    }
}
