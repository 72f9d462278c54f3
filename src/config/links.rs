//! The settings of short links.

use reqwest::Url;

use super::{ConfigError, Environment, value};

/// The address under which links are served, as the world sees it.
pub(super) fn base_url(environment: &impl Environment) -> Result<Option<Url>, ConfigError> {
    let variable = "LINKS_BASE_URL";
    let Some(text) = environment.get(variable) else { return Ok(None) };
    let url = Url::parse(text.trim()).ok().filter(|url| {
        let is_plain = url.username().is_empty() && url.password().is_none();
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && is_plain
            && url.query().is_none()
            && url.fragment().is_none()
    });
    let expected = "an http or https address, such as https://go.example.com; /l/ and the slug follow it";
    url.map(Some).ok_or_else(|| value(variable, text.trim(), expected))
}
