//! A short link: what it may lead to, and what its slug may be made of.
//!
//! Who mints a link and who serves it ask here, so that a target which somebody changed since is judged by the same rule.

use url::Url;

/// The longest target, in bytes: what every browser and proxy takes.
pub const TARGET_BYTES_MAX: usize = 2048;

/// The longest slug, in letters.
pub const SLUG_CHARS_MAX: usize = 64;

/// What is wrong with a target, in words for the person who looks at the row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// There is none.
    #[error("target_url is empty: give the link an address to lead to")]
    Empty,
    /// More than browsers take.
    #[error("target_url is {0} bytes long, and at most {TARGET_BYTES_MAX} are taken")]
    TooLong(usize),
    /// Not an address at all.
    #[error("target_url is no address: write it whole, such as https://example.com/page")]
    NoAddress,
    /// An address of another kind.
    #[error("target_url begins with {0} and a link leads to http and https only")]
    Scheme(String),
    /// A short link of this very place.
    #[error("target_url is a short link of this very place, and would lead nowhere")]
    Circle,
    /// A login in it, which is how one site is passed off as another.
    #[error("target_url has a user or a password in it, before the @: write it without")]
    Login,
}

/// The target as it is sent to browsers: ASCII, escaped, an http or https address that is no link under `prefix`.
pub fn target(text: &str, prefix: Option<&Prefix>) -> Result<Url, Wrong> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Wrong::Empty);
    }
    if text.len() > TARGET_BYTES_MAX {
        return Err(Wrong::TooLong(text.len()));
    }
    // A browser reads on over a line break, and over what it hides.
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(Wrong::NoAddress);
    }
    let url = Url::parse(text).map_err(|_| Wrong::NoAddress)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Wrong::Scheme(url.scheme().chars().take(20).chain([':']).collect()));
    }
    if !url.has_host() {
        return Err(Wrong::NoAddress);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Wrong::Login);
    }
    if prefix.is_some_and(|prefix| prefix.is_before(&url)) {
        return Err(Wrong::Circle);
    }
    Ok(url)
}

/// What stands before every slug: the address under which links are served, and `/l/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(Url);

impl Prefix {
    /// The prefix of links under this address.
    pub fn new(base: &Url) -> Option<Self> {
        let mut url = base.clone();
        url.path_segments_mut().ok()?.pop_if_empty().extend(["l", ""]);
        Some(Self(url))
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether a target is a link of this very place, which would lead in circles.
    pub fn is_before(&self, target: &Url) -> bool {
        target.origin() == self.0.origin() && target.path().starts_with(self.0.path())
    }
}

/// Whether a text may be a slug: letters, digits, `-` and `_`.
pub fn is_slug(text: &str) -> bool {
    (1..=SLUG_CHARS_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http_and_https_addresses_are_targets() {
        for (text, wrong) in [
            ("", Wrong::Empty),
            (" \n ", Wrong::Empty),
            ("example.com", Wrong::NoAddress),
            ("//example.com", Wrong::NoAddress),
            ("https://", Wrong::NoAddress),
            ("https://exa mple.com", Wrong::NoAddress),
            ("https://example.com/\r\nSet-Cookie: a=b", Wrong::NoAddress),
            ("java\nscript:alert(1)", Wrong::NoAddress),
            ("javascript:alert(1)", Wrong::Scheme("javascript:".to_owned())),
            ("JaVaScRiPt:alert(1)", Wrong::Scheme("javascript:".to_owned())),
            ("data:text/html,<script>", Wrong::Scheme("data:".to_owned())),
            ("vbscript:x", Wrong::Scheme("vbscript:".to_owned())),
            ("file:///etc/passwd", Wrong::Scheme("file:".to_owned())),
            ("ftp://example.com", Wrong::Scheme("ftp:".to_owned())),
            ("https://bank.example@evil.example/", Wrong::Login),
            ("https://:x@evil.example/", Wrong::Login),
        ] {
            assert_eq!(target(text, None), Err(wrong), "{text}");
        }
        let long = format!("https://example.com/{}", "x".repeat(TARGET_BYTES_MAX));
        assert_eq!(target(&long, None), Err(Wrong::TooLong(long.len())));
    }

    #[test]
    fn a_link_leads_to_no_link_of_its_own_place() {
        for (base, text, is_before) in [
            ("https://go.example.com", "https://go.example.com/l/abc", true),
            ("https://go.example.com/", "HTTPS://GO.example.com:443/x/../l/abc", true),
            ("https://example.com/to/", "https://example.com/to/l/abc", true),
            ("https://example.com/to", "https://example.com/l/abc", false),
            ("https://go.example.com", "https://go.example.com/lists", false),
            ("https://go.example.com", "http://go.example.com/l/abc", false),
        ] {
            let prefix = Prefix::new(&Url::parse(base).unwrap());
            assert_eq!(target(text, prefix.as_ref()) == Err(Wrong::Circle), is_before, "{base} {text}");
        }
    }

    #[test]
    fn a_target_is_sent_in_ascii() {
        for (text, sent) in [
            (" https://example.com ", "https://example.com/"),
            ("HTTP://Example.COM/A?b=ü#ç", "http://example.com/A?b=%C3%BC#%C3%A7"),
            ("https://müller.example/ß", "https://xn--mller-kva.example/%C3%9F"),
            ("https:\\\\example.com\\a", "https://example.com/a"),
            ("https://example.com/\"><script>", "https://example.com/%22%3E%3Cscript%3E"),
        ] {
            assert_eq!(target(text, None).unwrap().as_str(), sent);
        }
    }

    #[test]
    fn a_slug_is_short_and_plain() {
        assert!(is_slug("a") && is_slug("A-b_9") && is_slug(&"x".repeat(SLUG_CHARS_MAX)));
        for no in ["", "a/b", "a.b", "ä", "a b", "%41", &"x".repeat(SLUG_CHARS_MAX + 1)] {
            assert!(!is_slug(no), "{no}");
        }
    }
}
