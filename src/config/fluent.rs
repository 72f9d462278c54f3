//! The settings of FluentSupport. What is missing is no error: its queue waits and says so.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use reqwest::Url;
use secrecy::SecretString;
use url::Host;

use super::providers::address;
use super::{ConfigError, Environment, value};
use crate::integrations::fluent::{Settings, time_zone};

/// How names end that only a private network knows.
const PRIVATE: [&str; 6] = [".localhost", ".local", ".internal", ".test", ".lan", ".home.arpa"];

pub(super) fn settings(environment: &impl Environment) -> Result<Settings, ConfigError> {
    let secret = |variable| environment.get(variable).map(|text| SecretString::from(text.trim()));
    Ok(Settings {
        api_url: environment.get("FLUENT_API_URL").map(|url| site(&url)).transpose()?,
        username: secret("FLUENT_API_USERNAME"),
        password: secret("FLUENT_API_PASSWORD"),
        date_filter: date_filter(environment)?,
        site_timezone: site_timezone(environment)?,
    })
}

/// The site's address; whoever gives that of its API means the same.
fn site(text: &str) -> Result<Url, ConfigError> {
    let variable = "FLUENT_API_URL";
    let mut url = address(variable, text)?;
    // With every page goes the password.
    if url.scheme() == "http" && !url.host().is_some_and(|host| is_near(&host)) {
        let expected =
            "an https address; http is for this machine and private networks, for it shows the password to all between";
        return Err(ConfigError::Secret { variable, expected });
    }
    if let Some((before, _)) = url.path().split_once("/wp-json") {
        let before = format!("{before}/");
        url.set_path(&before);
    }
    url.set_fragment(None);
    Ok(url)
}

/// Whether it is this machine, or one that only a private network knows.
fn is_near(host: &Host<&str>) -> bool {
    match host {
        Host::Ipv4(address) => address.is_loopback() || address.is_private() || address.is_link_local(),
        Host::Ipv6(address) => address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local(),
        Host::Domain(name) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            !name.contains('.') || PRIVATE.iter().any(|ending| name.ends_with(ending))
        }
    }
}

fn date_filter(environment: &impl Environment) -> Result<Option<Date>, ConfigError> {
    let variable = "FLUENT_DATE_FILTER";
    let Some(text) = environment.get(variable) else { return Ok(None) };
    let day = text.trim().parse().map_err(|_| value(variable, &text, "a day, such as 2025-10-17"))?;
    Ok(Some(day))
}

fn site_timezone(environment: &impl Environment) -> Result<TimeZone, ConfigError> {
    let variable = "FLUENT_SITE_TIMEZONE";
    let Some(text) = environment.get(variable) else { return Ok(TimeZone::UTC) };
    let expected = "the time zone of the site's settings, such as Europe/Tallinn or UTC+2";
    time_zone(&text).ok_or_else(|| value(variable, &text, expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_tls_only_what_is_near_is_asked() {
        for near in
            ["127.0.0.1:8080", "[::1]", "localhost", "wordpress", "10.0.0.7", "192.168.1.2", "[fd00::1]", "site.test"]
        {
            assert!(site(&format!("http://{near}/")).is_ok(), "{near}");
        }
        for far in ["example.com", "203.0.113.7", "[2001:db8::1]", "test.example.com", "mylocalhost.example.com"] {
            assert!(site(&format!("http://{far}/")).is_err(), "{far}");
            assert!(site(&format!("https://{far}/")).is_ok(), "{far}");
        }
    }
}
