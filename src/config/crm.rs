//! The settings of the two CRMs. What is missing is no error: its rows wait and say so.

use super::providers::{address, secret};
use super::{ConfigError, Environment, value, whole};
use crate::integrations::crm::shopify::Template;
use crate::integrations::crm::{CredentialsFrom, Settings, UpgradeOrder, commerce7, shopify};
use crate::notice::commerce7::Login;
use crate::notice::shopify::Secrets;

const COMMERCE7_URL: &str = "https://api.commerce7.com/v1";

/// The version is of January 2026; Shopify keeps one for a year.
const SHOPIFY_URL: &str = "https://{shop}.myshopify.com/admin/api/2026-01/graphql.json";

pub(super) fn crm(environment: &impl Environment) -> Result<Settings, ConfigError> {
    let word = |variable| environment.get(variable).map(|text| text.trim().to_lowercase());
    let credentials = match word("CRM_CREDENTIALS").as_deref() {
        None | Some("environment") => CredentialsFrom::Environment,
        Some("clients") => CredentialsFrom::Clients,
        Some(other) => return Err(value("CRM_CREDENTIALS", other, "environment or clients")),
    };
    let upgrade_order = match word("CRM_UPGRADE_ORDER").as_deref() {
        None | Some("add_first") => UpgradeOrder::AddFirst,
        Some("cancel_first") => UpgradeOrder::CancelFirst,
        Some(other) => return Err(value("CRM_UPGRADE_ORDER", other, "add_first or cancel_first")),
    };
    Ok(Settings { credentials, upgrade_order, commerce7: commerce7(environment)?, shopify: shopify(environment)? })
}

fn commerce7(environment: &impl Environment) -> Result<commerce7::Settings, ConfigError> {
    let api_url = environment.get("COMMERCE7_API_URL").unwrap_or_else(|| COMMERCE7_URL.to_owned());
    let reason = environment.get("COMMERCE7_CANCELLATION_REASON").unwrap_or_else(|| "Other".to_owned());
    Ok(commerce7::Settings {
        api_url: address("COMMERCE7_API_URL", &api_url)?,
        app_id: app_id(environment)?,
        key: secret(environment, "COMMERCE7_KEY")?,
        calls_per_minute: whole(environment, "COMMERCE7_CALLS_PER_MINUTE", 90, 1..=6000)?,
        cancellation_reason: reason.trim().to_owned(),
        webhook: login(environment)?,
    })
}

/// It is the user of HTTP Basic, which ends at a colon.
fn app_id(environment: &impl Environment) -> Result<Option<String>, ConfigError> {
    let Some(id) = environment.get("COMMERCE7_APP_ID").map(|id| id.trim().to_owned()) else { return Ok(None) };
    if !id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':') {
        return Err(value("COMMERCE7_APP_ID", &id, "the app's id, without white space and colons"));
    }
    Ok(Some(id))
}

fn login(environment: &impl Environment) -> Result<Option<Login>, ConfigError> {
    let user = environment.get("COMMERCE7_WEBHOOK_USER").map(|user| user.trim().to_owned());
    let password = secret(environment, "COMMERCE7_WEBHOOK_PASSWORD")?;
    let incomplete = |variable, expected| Err(ConfigError::Secret { variable, expected });
    match (user, password) {
        (Some(user), _) if user.contains(':') => {
            incomplete("COMMERCE7_WEBHOOK_USER", "a name without a colon, at which HTTP Basic would end it")
        }
        (Some(user), Some(password)) => Ok(Some(Login::new(&user, &password))),
        (None, None) => Ok(None),
        (Some(_), None) => incomplete("COMMERCE7_WEBHOOK_PASSWORD", "it must be set where COMMERCE7_WEBHOOK_USER is"),
        (None, Some(_)) => incomplete("COMMERCE7_WEBHOOK_USER", "it must be set where COMMERCE7_WEBHOOK_PASSWORD is"),
    }
}

fn shopify(environment: &impl Environment) -> Result<shopify::Settings, ConfigError> {
    let variable = "SHOPIFY_API_URL";
    let api_url = environment.get(variable).unwrap_or_else(|| SHOPIFY_URL.to_owned());
    let expected = "an http or https address with {shop} where the shop's name belongs, and with the version";
    Ok(shopify::Settings {
        // It may hold a password, so it is not shown.
        api_url: Template::new(&api_url).ok_or(ConfigError::Secret { variable, expected })?,
        access_token: secret(environment, "SHOPIFY_ACCESS_TOKEN")?,
        webhook: environment.get("SHOPIFY_WEBHOOK_SECRET").as_deref().and_then(Secrets::read),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        let pairs: Vec<(String, String)> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        crm(&move |variable: &str| pairs.iter().find(|(k, _)| k == variable).map(|(_, v)| v.clone()))
    }

    #[test]
    fn an_error_names_the_variable_and_no_secret() {
        for (pairs, variable, expected) in [
            (&[("CRM_CREDENTIALS", "vault")][..], "CRM_CREDENTIALS", "environment or clients"),
            (&[("CRM_UPGRADE_ORDER", "both")], "CRM_UPGRADE_ORDER", "add_first or cancel_first"),
            (&[("COMMERCE7_API_URL", "ftp://example.com")], "COMMERCE7_API_URL", "http or https"),
            (&[("COMMERCE7_APP_ID", "a:b")], "COMMERCE7_APP_ID", "colons"),
            (&[("COMMERCE7_KEY", "hidden secret")], "COMMERCE7_KEY", "white space"),
            (&[("COMMERCE7_CALLS_PER_MINUTE", "0")], "COMMERCE7_CALLS_PER_MINUTE", "1 to 6000"),
            (&[("COMMERCE7_WEBHOOK_USER", "hooks")], "COMMERCE7_WEBHOOK_PASSWORD", "must be set"),
            (&[("COMMERCE7_WEBHOOK_PASSWORD", "hidden")], "COMMERCE7_WEBHOOK_USER", "must be set"),
            (
                &[("COMMERCE7_WEBHOOK_USER", "a:b"), ("COMMERCE7_WEBHOOK_PASSWORD", "hidden")],
                "COMMERCE7_WEBHOOK_USER",
                "colon",
            ),
            (&[("SHOPIFY_API_URL", "https://one.myshopify.com")], "SHOPIFY_API_URL", "{shop}"),
            (&[("SHOPIFY_ACCESS_TOKEN", "hidden secret")], "SHOPIFY_ACCESS_TOKEN", "white space"),
        ] {
            let text = read(pairs).unwrap_err().to_string();
            assert!(text.contains(variable) && text.contains(expected) && !text.contains("hidden"), "{text}");
        }
    }

    #[test]
    fn secrets_are_not_in_debug_output_and_two_may_sign() {
        let settings = read(&[
            ("COMMERCE7_APP_ID", "app"),
            ("COMMERCE7_KEY", "hidden"),
            ("COMMERCE7_WEBHOOK_USER", "hooks"),
            ("COMMERCE7_WEBHOOK_PASSWORD", "hidden"),
            ("SHOPIFY_ACCESS_TOKEN", "hidden"),
            ("SHOPIFY_WEBHOOK_SECRET", "hidden-old, hidden-new"),
        ])
        .unwrap();
        assert_eq!(settings.shopify.webhook.as_ref().unwrap().0.len(), 2);
        assert!(!format!("{settings:?}").contains("hidden"));
        assert_eq!(
            (settings.upgrade_order, settings.credentials),
            (UpgradeOrder::AddFirst, CredentialsFrom::Environment)
        );
    }
}
