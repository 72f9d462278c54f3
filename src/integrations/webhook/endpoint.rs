//! An endpoint: the address that is told, and who wrote it down.

use std::fmt;
use std::fmt::Write as _;

use reqwest::Url;
use sha2::{Digest as _, Sha256};
use url::{Position, form_urlencoded};

/// Longer is no address.
const CHARS_MAX: usize = 2048;

/// An address that may be told. Its debug output shows the host alone: the rest of it may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    url: Url,
    place: Place,
}

/// Where an endpoint stands, which is where it is corrected, and says who else would meet its faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In this setting: all rows share it.
    Setting(&'static str),
    /// In this column of its own row.
    Column(&'static str),
}

/// Not an address that may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoEndpoint {
    /// It cannot be read as one.
    #[error("it must be an https address, such as https://example.com/hook")]
    Address,
    /// Nothing but TLS keeps what is told between us and them.
    #[error("it must begin with https://")]
    Scheme,
    /// They would stand in every log.
    #[error("it must have no user and no password in it; the signature proves who calls")]
    Login,
}

impl Endpoint {
    /// Reads an address; `plain` lets http pass too, which is for tests and development.
    pub fn parse(text: &str, place: Place, plain: bool) -> Result<Self, NoEndpoint> {
        let text = text.trim();
        if text.len() > CHARS_MAX || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(NoEndpoint::Address);
        }
        let mut url = Url::parse(text).ok().filter(Url::has_host).ok_or(NoEndpoint::Address)?;
        if url.scheme() != "https" && !(plain && url.scheme() == "http") {
            return Err(NoEndpoint::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(NoEndpoint::Login);
        }
        url.set_fragment(None);
        Ok(Self { url, place })
    }

    /// The address.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// The host, for people.
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// What the address has behind its host, whole and in parts, as written and as read: any of it may be a secret.
    pub(super) fn hidden(&self) -> Vec<String> {
        let whole = [&self.url[Position::BeforePath..], self.url.path(), self.url.query().unwrap_or_default()];
        let written = self.url[Position::BeforePath..].split(['/', '?', '&', '=']);
        let read = written.clone().flat_map(|part| form_urlencoded::parse(part.as_bytes()));
        let read = read.map(|(name, _)| name.into_owned()).collect::<Vec<_>>();
        whole.into_iter().chain(written).map(str::to_owned).chain(read).collect()
    }

    /// What stands for the address where it must not be shown.
    pub fn digest(&self) -> String {
        Sha256::digest(self.url.as_str()).iter().take(16).fold(String::new(), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// Where it is corrected.
    pub(super) fn name(&self) -> &'static str {
        match self.place {
            Place::Setting(name) | Place::Column(name) => name,
        }
    }

    /// Whether every other row would meet what this one meets.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self.place, Place::Setting(_))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("host", &self.host()).field("place", &self.place).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_without_a_login_is_an_endpoint() {
        let parse = |text: &str, plain| Endpoint::parse(text, Place::Column("sync_url"), plain);
        for (text, wrong) in [
            ("", NoEndpoint::Address),
            ("example.com/hook", NoEndpoint::Address),
            ("https://", NoEndpoint::Address),
            ("https://exa\nmple.com/", NoEndpoint::Address),
            ("https://example.com/a b", NoEndpoint::Address),
            ("ftp://example.com/", NoEndpoint::Scheme),
            ("file:///etc/passwd", NoEndpoint::Address),
            ("javascript:alert(1)", NoEndpoint::Address),
            ("http://example.com/", NoEndpoint::Scheme),
            ("https://me:hunter2@example.com/", NoEndpoint::Login),
        ] {
            assert_eq!(parse(text, false), Err(wrong), "{text}");
        }
        assert_eq!(parse(&format!("https://example.com/{}", "x".repeat(2048)), false), Err(NoEndpoint::Address));
        assert!(parse("http://example.com/", true).is_ok());
        let endpoint = parse(" https://example.com/hook?key=hunter2#part ", false).unwrap();
        assert_eq!(endpoint.url().as_str(), "https://example.com/hook?key=hunter2");
        assert!(!format!("{endpoint:?}").contains("hunter2"), "{endpoint:?}");
        assert_eq!(endpoint.digest().len(), 32);
    }
}
