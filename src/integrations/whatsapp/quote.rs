//! Quotes a provider's words on the row without what is private in them.
//!
//! A provider may repeat whatever it was sent. Tokens, phone numbers and e-mail addresses are cut out; words that repeat
//! a piece of the message, or the contact's name, are not quoted at all.

use super::request::{Payload, Phone};
use crate::integrations::redact::Redactor;

/// How much of a provider's words is quoted, in characters.
const QUOTE_CHARS_MAX: usize = 160;

/// So many characters in a row that stand in the message too are a piece of it.
const PIECE_CHARS: usize = 12;

/// What must not be quoted.
pub(super) struct Private {
    redactor: Redactor,
    texts: Vec<String>,
    names: Vec<String>,
}

impl Private {
    /// What is private to this job, with the secrets of the provider.
    pub(super) fn of<'a>(
        secrets: impl IntoIterator<Item = &'a str>,
        payload: &Payload,
        phone: &'a Phone,
        text: &str,
    ) -> Self {
        let parameters = payload.approved_template.iter().flat_map(|template| &template.parameters).map(String::as_str);
        let texts = parameters.chain([text]).chain(payload.user_response.as_deref());
        let names = payload.contact.name.iter().flat_map(|name| name.split_whitespace());
        Self {
            redactor: Redactor::new(secrets.into_iter().chain([phone.digits()])),
            texts: texts.map(plain).collect(),
            names: names.map(plain).filter(|name| name.chars().count() >= 3).collect(),
        }
    }

    /// The words in parentheses, with a space before; nothing where there are none, or none that may be quoted.
    pub(super) fn quote(&self, words: &str) -> String {
        let line = self.redactor.line(words, QUOTE_CHARS_MAX);
        if line.is_empty() || self.repeats(&plain(words)) { String::new() } else { format!(" ({line})") }
    }

    fn repeats(&self, words: &str) -> bool {
        let chars: Vec<char> = words.chars().collect();
        let is_piece = |piece: &[char]| {
            let piece: String = piece.iter().collect();
            self.texts.iter().any(|text| text.contains(&piece))
        };
        // A short text is private as a whole.
        let is_short = |text: &String| (3..PIECE_CHARS).contains(&text.chars().count());
        chars.windows(PIECE_CHARS).any(is_piece)
            || self.texts.iter().filter(|text| is_short(text)).any(|text| words.contains(text.as_str()))
            || self.names.iter().any(|name| words.contains(name.as_str()))
    }
}

/// Lower case, with one space for every run of white space.
fn plain(text: &str) -> String {
    text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_private_is_quoted() {
        let payload: Payload = serde_json::from_value(json!({
            "action_type": "x", "outcome": "denied", "user_response": "Ask at the till",
            "contact": {"phone": "+16505551234", "name": "Ama Serwaa"},
        }))
        .unwrap();
        let phone = payload.phone().unwrap();
        let private = Private::of(["hunter2"], &payload, &phone, "Hello, your refund of GHS 20 was denied.");
        for (words, quote) in [
            ("Invalid parameter", " (Invalid parameter)"),
            ("Bad token hunter2 for 16505551234, a@example.com", " (Bad token ••• for •••, •••)"),
            ("cannot send 'YOUR  refund of ghs 20…'", ""),
            ("ask at the till: refused", ""),
            ("dear serwaa", ""),
            ("", ""),
        ] {
            assert_eq!(private.quote(words), quote, "{words}");
        }
    }
}
