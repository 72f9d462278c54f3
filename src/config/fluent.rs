//! The settings of FluentSupport. What is missing is no error: its queue waits and says so.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use reqwest::Url;
use secrecy::SecretString;

use super::providers::address;
use super::{ConfigError, Environment, value};
use crate::integrations::fluent::{Settings, time_zone};

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
    let mut url = address("FLUENT_API_URL", text)?;
    if let Some((before, _)) = url.path().split_once("/wp-json") {
        let before = format!("{before}/");
        url.set_path(&before);
    }
    url.set_fragment(None);
    Ok(url)
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
