//! Quotes a provider's words on the row without what is private in them.
//!
//! A provider may repeat whatever it was sent. Tokens, phone numbers and e-mail addresses are cut out; words that repeat
//! a piece of what was written, or a person's name, are not quoted at all.

use super::redact::Redactor;

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
    /// Secrets to cut out, texts of which no piece may be repeated, and names of people, in whole.
    pub(super) fn new<'a>(
        secrets: impl IntoIterator<Item = &'a str>,
        texts: impl IntoIterator<Item = &'a str>,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let names = names.into_iter().flat_map(str::split_whitespace);
        Self {
            redactor: Redactor::new(secrets),
            texts: texts.into_iter().map(plain).collect(),
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
    use super::*;

    #[test]
    fn nothing_private_is_quoted() {
        let texts = ["Ask at the till", "Hello, your refund of GHS 20 was denied."];
        let private = Private::new(["hunter2", "16505551234"], texts, ["Ama Serwaa"]);
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
