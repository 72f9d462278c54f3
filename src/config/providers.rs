//! The settings of providers with an HTTP API. What is missing is no error: its queue waits and says so.

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

use super::{ConfigError, Environment, value};
use crate::integrations::supplier;
use crate::integrations::supplier::profile::{Address, Profile};
use crate::integrations::whatsapp::{self, ProviderName, agent, infobip, meta};

/// The version is the newest that several clients use; Meta keeps one for about two years.
const META_URL: &str = "https://graph.facebook.com/v25.0";

pub(super) fn whatsapp(environment: &impl Environment) -> Result<whatsapp::Settings, ConfigError> {
    let provider = match environment.get("WHATSAPP_PROVIDER").as_deref().map(str::trim) {
        None | Some("meta") => ProviderName::Meta,
        Some("infobip") => ProviderName::Infobip,
        Some(other) => return Err(value("WHATSAPP_PROVIDER", other, "meta or infobip")),
    };
    let api_url = environment.get("WHATSAPP_API_URL").unwrap_or_else(|| META_URL.to_owned());
    Ok(whatsapp::Settings {
        provider,
        meta: meta::Settings {
            api_url: address("WHATSAPP_API_URL", &api_url)?,
            phone_number_id: digits(
                environment,
                "WHATSAPP_PHONE_NUMBER_ID",
                "its number in Meta's console, in digits",
            )?,
            access_token: secret(environment, "WHATSAPP_ACCESS_TOKEN")?,
            app_secret: secret(environment, "WHATSAPP_APP_SECRET")?,
            verify_token: secret(environment, "WHATSAPP_VERIFY_TOKEN")?,
        },
        infobip: infobip::Settings {
            base_url: environment.get("INFOBIP_BASE_URL").map(|url| infobip_address(&url)).transpose()?,
            api_key: secret(environment, "INFOBIP_API_KEY")?,
            sender: sender(environment)?,
        },
        agent: agent_settings(environment)?,
    })
}

pub(super) fn supplier(environment: &impl Environment) -> Result<supplier::Settings, ConfigError> {
    let variable = "AT_ISHARE_PROFILE";
    let name = environment.get(variable).unwrap_or_else(|| "at-ishare".to_owned());
    let profile = Profile::load(name.trim()).map_err(|source| ConfigError::Profile { variable, source })?;
    let address = |variable| {
        let address = environment.get(variable).map(Address::try_from).transpose();
        address.map_err(|expected| ConfigError::Secret { variable, expected })
    };
    Ok(supplier::Settings {
        profile,
        base_url: address("AT_ISHARE_API_URL")?,
        api_key: secret(environment, "AT_ISHARE_API_KEY")?,
        api_secret: secret(environment, "AT_ISHARE_API_SECRET")?,
        callback_url: address("AT_ISHARE_CALLBACK_URL")?,
    })
}

fn agent_settings(environment: &impl Environment) -> Result<Option<agent::Settings>, ConfigError> {
    let Some(api_url) = environment.get("AGENT_API_URL") else { return Ok(None) };
    let model = environment.get("AGENT_MODEL").map(|model| model.trim().to_owned());
    Ok(Some(agent::Settings {
        api_url: address("AGENT_API_URL", &api_url)?,
        api_key: secret(environment, "AGENT_API_KEY")?,
        model: model.ok_or(ConfigError::Secret {
            variable: "AGENT_MODEL",
            expected: "it must be set where AGENT_API_URL is",
        })?,
    }))
}

/// Infobip shows its addresses without a scheme.
fn infobip_address(text: &str) -> Result<Url, ConfigError> {
    let text = text.trim();
    let scheme = if text.contains("://") { "" } else { "https://" };
    address("INFOBIP_BASE_URL", &format!("{scheme}{text}"))
}

pub(super) fn address(variable: &'static str, text: &str) -> Result<Url, ConfigError> {
    let url = Url::parse(text.trim()).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    // It may hold a password, so it is not shown.
    url.ok_or(ConfigError::Secret { variable, expected: "an http or https address" })
}

/// A secret that an HTTP header can carry.
pub(super) fn secret(
    environment: &impl Environment,
    variable: &'static str,
) -> Result<Option<SecretString>, ConfigError> {
    let Some(secret) = environment.get(variable).map(|text| SecretString::from(text.trim())) else { return Ok(None) };
    if !secret.expose_secret().bytes().all(|byte| byte.is_ascii_graphic()) {
        let expected = "a secret without white space and without letters that no header can carry";
        return Err(ConfigError::Secret { variable, expected });
    }
    Ok(Some(secret))
}

fn digits(
    environment: &impl Environment,
    variable: &'static str,
    expected: &str,
) -> Result<Option<String>, ConfigError> {
    let Some(text) = environment.get(variable).map(|text| text.trim().to_owned()) else { return Ok(None) };
    if text.len() > 30 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(value(variable, &text, expected));
    }
    Ok(Some(text))
}

fn sender(environment: &impl Environment) -> Result<Option<String>, ConfigError> {
    let Some(text) = environment.get("INFOBIP_SENDER") else { return Ok(None) };
    let digits = whatsapp::phone_digits(&text);
    digits.map(Some).ok_or_else(|| {
        value("INFOBIP_SENDER", text.trim(), "the number that sends, with its country code, such as 16505551234")
    })
}
