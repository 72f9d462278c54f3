//! Plain text out of a ticket's HTML: what a reader would see, and nothing that a browser would run.
//!
//! Tags, comments, scripts and styles go; blocks become lines; entities become the characters that they mean. The result
//! is text: whoever shows it must not take it for HTML again.

use html5gum::emitters::default::DefaultEmitter;
use html5gum::{Token, Tokenizer};

use crate::integrations::redact::cut;

/// More of one ticket is not kept, in characters.
const CHARS_MAX: usize = 100_000;

/// What these hold is not for reading.
const HIDDEN: [&[u8]; 5] = [b"script", b"style", b"title", b"template", b"noscript"];

/// These stand in the middle of a line; any other tag begins a new one.
const INLINE: [&[u8]; 22] = [
    b"a", b"abbr", b"b", b"bdi", b"bdo", b"big", b"cite", b"code", b"del", b"em", b"font", b"i", b"img", b"ins",
    b"mark", b"q", b"s", b"small", b"span", b"strong", b"sub", b"u",
];

/// The text of a piece of HTML.
pub(super) fn text(html: &str) -> String {
    let mut emitter = DefaultEmitter::default();
    emitter.naively_switch_states(true);
    let mut text = String::with_capacity(html.len());
    let mut hidden: Option<Vec<u8>> = None;
    // Line breaks of HTML are spaces to a reader; those of an e-mail in plain text are not.
    let is_plain = !html.contains('<');
    for Ok(token) in Tokenizer::new_with_emitter(html, emitter) {
        match token {
            Token::StartTag(tag) if hidden.is_none() => {
                if HIDDEN.contains(&tag.name.as_slice()) && !tag.self_closing {
                    hidden = Some(tag.name.to_vec());
                } else if !INLINE.contains(&tag.name.as_slice()) {
                    text.push('\n');
                }
            }
            Token::EndTag(tag) => {
                if hidden.as_deref() == Some(tag.name.as_slice()) {
                    hidden = None;
                } else if hidden.is_none() && !INLINE.contains(&tag.name.as_slice()) {
                    text.push('\n');
                }
            }
            Token::String(part) if hidden.is_none() => {
                let part = String::from_utf8_lossy(&part).into_owned();
                text.push_str(&if is_plain { part } else { part.replace('\n', " ") });
            }
            _ => {}
        }
    }
    tidy(&text)
}

/// The text without what Postgres or a terminal would stumble over, blanks and blank lines in moderation.
pub(super) fn tidy(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let words = line.split_whitespace().map(|word| word.chars().filter(|c| !is_odd(*c)).collect::<String>());
        words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
    });
    let mut tidy = String::with_capacity(text.len());
    for line in lines.filter(|line| !line.is_empty()) {
        if !tidy.is_empty() {
            tidy.push('\n');
        }
        tidy.push_str(&line);
    }
    cut(&tidy, CHARS_MAX)
}

/// Control characters, and those that turn the direction of what follows.
fn is_odd(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_reader_sees_the_words_and_nothing_runs() {
        for (html, seen) in [
            (
                "<p>Dear <b>team</b>,</p><p>it&nbsp;is &lt;broken&gt; &amp; slow&#33;</p>",
                "Dear team,\nit is <broken> & slow!",
            ),
            ("one<br>two<br/>three<div>four</div>five", "one\ntwo\nthree\nfour\nfive"),
            ("<p>a\n  b\tc</p>", "a b c"),
            ("plain,\nin two lines", "plain,\nin two lines"),
            ("<ul><li>x</li><li>y</li></ul>", "x\ny"),
            ("<script>alert(1)</script>ok<style>p{}</style>", "ok"),
            ("<SCRIPT\n>a</script x>ok", "ok"),
            ("x<script>never closed", "x"),
            ("<img src=x onerror=alert(1)>seen", "seen"),
            ("<a href=\"javascript:alert(1)\">link</a>", "link"),
            ("<!-- <p>no</p> -->yes<!--[if mso]>no<![endif]-->", "yes"),
            ("&lt;script&gt;alert(1)&lt;/script&gt;", "<script>alert(1)</script>"),
            ("<textarea><script>a</script></textarea>b", "<script>a</script>\nb"),
            ("<svg><script>a</script></svg>b", "b"),
            ("no html at all, 1 < 2", "no html at all, 1 < 2"),
            ("nul\u{0}bell\u{7}\u{202e}turned", "nulbellturned"),
            ("<p>", ""),
        ] {
            assert_eq!(text(html), seen, "{html}");
        }
    }

    #[test]
    fn nothing_nested_is_too_deep_and_nothing_is_too_long() {
        let deep = format!("{}x{}", "<div>".repeat(100_000), "</div>".repeat(100_000));
        assert_eq!(text(&deep), "x");
        assert_eq!(text(&"y".repeat(200_000)).chars().count(), CHARS_MAX);
    }

    proptest! {
        #[test]
        fn any_bytes_become_text_that_the_database_takes(html in ".{0,200}") {
            let text = text(&html);
            prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
        }
    }
}
