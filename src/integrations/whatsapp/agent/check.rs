//! Whether an agent's answer may go out to a customer.
//!
//! It cannot be told by rules whether a text says the same as another. What can be told: that it brings in no number, no
//! link and no address of its own, and that it looks like a message and not like what models say by mistake.

use super::{ANSWER_CHARS_MAX, Unusable};

/// What stands in an answer that is not, or not only, the message.
const NOT_A_MESSAGE: [&str; 9] =
    ["```", "{{", "}}", "<|", "|>", "as an ai", "language model", "staff_response", "request_details"];

/// Accepts the answer, or says why not. `template` and `response` are what the staff have said.
pub(super) fn check(answer: &str, template: &str, response: &str) -> Result<(), Unusable> {
    if answer.is_empty() {
        return Err(Unusable::Empty);
    }
    if answer.chars().count() > ANSWER_CHARS_MAX {
        return Err(Unusable::TooLong);
    }
    let lower = answer.to_lowercase();
    let is_placeholder = answer.starts_with(['{', '[', '<']) || has_bracketed_word(answer);
    if is_placeholder || NOT_A_MESSAGE.iter().any(|words| lower.contains(words)) || answer.chars().any(is_invisible) {
        return Err(Unusable::NotPlain);
    }
    let given = format!("{template} {response}").to_lowercase();
    let given_links: Vec<&str> = links(&given).collect();
    if links(&lower).any(|link| !given_links.contains(&link)) {
        return Err(Unusable::Link);
    }
    let given_numbers = numbers(&given);
    if numbers(&lower).iter().any(|number| !given_numbers.contains(number)) {
        return Err(Unusable::Number);
    }
    Ok(())
}

/// `[Your Name]` and its like.
fn has_bracketed_word(text: &str) -> bool {
    text.split_once('[').and_then(|(_, rest)| rest.split_once(']')).is_some()
}

/// What turns text around or hides in it.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// Every word that is, or that a phone would make, a link or an address.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| c.is_whitespace() || "\"'()<>,;!?*_~".contains(c));
    words.map(|word| word.trim_matches(['.', ':'])).filter(|word| {
        let is_domain = word.split('/').next().is_some_and(|host| {
            let (_, end) = host.rsplit_once('.').unwrap_or_default();
            end.chars().count() >= 2 && end.chars().all(char::is_alphabetic)
        });
        is_domain || word.contains("://") || word.contains('@')
    })
}

/// Every number, digits only: `1,000.00` and `1 000.00` are written by different people.
fn numbers(text: &str) -> Vec<String> {
    let mut numbers = vec![String::new()];
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let is_inside = ".,".contains(c) && chars.peek().is_some_and(|next| next.is_numeric());
        match numbers.last_mut() {
            Some(number) if c.is_numeric() => number.push(c),
            Some(number) if is_inside && !number.is_empty() => {}
            Some(number) if number.is_empty() => {}
            _ => numbers.push(String::new()),
        }
    }
    numbers.retain(|number| !number.is_empty());
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str =
        "Hi Ama, your refund of GHS 1,250.50 for order 42 is approved. See shop.example.com/returns.";

    fn checked(answer: &str) -> Result<(), Unusable> {
        check(answer, TEMPLATE, "It takes 5 days; write to help@example.com.")
    }

    #[test]
    fn what_the_staff_said_may_be_said_again() {
        for answer in [
            "Good news, Ama! 🎉 Order 42: GHS 1250.50 comes back to you within 5 days.",
            "Merci beaucoup ! Voir shop.example.com/returns, ou help@example.com.",
            "Well... that is fine.\nThank you.",
        ] {
            assert_eq!(checked(answer), Ok(()), "{answer}");
        }
    }

    #[test]
    fn what_nobody_said_is_not_sent() {
        for (answer, why) in [
            ("", Unusable::Empty),
            ("Your refund of GHS 9000 is approved", Unusable::Number),
            ("You get GHS 1,250.5 back", Unusable::Number),
            ("It takes ٣ days", Unusable::Number),
            ("See https://evil.example.org", Unusable::Link),
            ("See shop.example.com.", Unusable::Link),
            ("Write to boss@example.com", Unusable::Link),
            ("See (*bit.ly/x*)", Unusable::Link),
            ("```\nHi\n```", Unusable::NotPlain),
            ("{\"text\":\"Hi\"}", Unusable::NotPlain),
            ("Hi {{name}}", Unusable::NotPlain),
            ("Best, [Your Name]", Unusable::NotPlain),
            ("As an AI language model, I cannot", Unusable::NotPlain),
            ("<|im_end|>", Unusable::NotPlain),
            ("Fine \u{202e}enif", Unusable::NotPlain),
        ] {
            assert_eq!(checked(answer), Err(why), "{answer}");
        }
        assert_eq!(checked(&"é".repeat(1000)), Ok(()));
        assert_eq!(checked(&"é".repeat(1001)), Err(Unusable::TooLong));
    }
}
