//! The settings of HTTP: where it listens, who may call, and by what webhooks are known.

use std::net::SocketAddr;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

use super::{ConfigError, Environment, links, switch, value};
use crate::http::auth::{Keys, Token};
use crate::http::jwt::{Jwt, KeySetError};
use crate::http::login::Login;
use crate::http::webhooks::Secrets;
use crate::http::{Limits, Settings};
use crate::integrations::whatsapp::meta;
use crate::integrations::{crm, supplier};
use crate::link::Prefix;

/// A token that somebody may guess protects nothing.
const TOKEN_CHARS_MIN: usize = 16;

/// Whoever reads a JWT can try secrets against it at leisure.
const JWT_SECRET_CHARS_MIN: usize = 32;

/// The server's settings; nothing where `ENABLE_MONITORING` is off. What the webhooks of Meta, of the CRMs and of the
/// supplier are known by stands with theirs.
pub(super) fn settings(
    environment: &impl Environment,
    meta: &meta::Settings,
    crm: &crm::Settings,
    supplier: &supplier::Settings,
) -> Result<Option<Settings>, ConfigError> {
    let is_on = switch(environment, "ENABLE_MONITORING", true)?;
    // What is wrong is told whether or not it is needed now.
    let keys = keys(environment)?;
    let address = address(environment, &keys)?;
    let webhooks = Secrets {
        app_secret: meta.app_secret.clone(),
        phone_number_id: meta.phone_number_id.clone(),
        verify_token: meta.verify_token.as_ref().map(Token::new),
        infobip: token(environment, "INFOBIP_WEBHOOK_SECRET")?.map(|secret| Token::new(&secret)),
        commerce7: crm.commerce7.webhook.clone(),
        commerce7_app: crm.commerce7.app_id.clone(),
        shopify: crm.shopify.webhook.clone(),
        // The integration of suppliers reads its calls.
        supplier: None,
    };
    if is_on && keys.is_open() && (webhooks.is_any() || supplier.is_called()) {
        let expected = "it must be set where a webhook has a secret (WHATSAPP_APP_SECRET, WHATSAPP_VERIFY_TOKEN, \
                        INFOBIP_WEBHOOK_SECRET, COMMERCE7_WEBHOOK_PASSWORD, SHOPIFY_WEBHOOK_SECRET, AT_ISHARE_API_SECRET where the \
                        profile has callbacks): providers come through a proxy, and without a token whoever else comes \
                        through it could do everything; `openssl rand -hex 32` makes one";
        return Err(secret("ROWCALL_API_TOKEN", expected));
    }
    let base = links::base_url(environment)?;
    if is_on && keys.is_open() && base.as_ref().is_some_and(|base| !is_here(base)) {
        let expected = "it must be set where LINKS_BASE_URL is public: visitors come through a proxy, and without a token \
                        whoever else comes through it could do everything; `openssl rand -hex 32` makes one";
        return Err(secret("ROWCALL_API_TOKEN", expected));
    }
    let links = base.as_ref().and_then(Prefix::new);
    Ok(is_on.then(|| Settings { address, keys, webhooks, links, limits: Limits::default() }))
}

/// Whether an address is this machine's own.
fn is_here(address: &Url) -> bool {
    match address.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn address(environment: &impl Environment, keys: &Keys) -> Result<SocketAddr, ConfigError> {
    let variable = "ROWCALL_HTTP_ADDR";
    let text = environment.get(variable).unwrap_or_else(|| "127.0.0.1:8000".to_owned());
    let address: SocketAddr = text
        .trim()
        .parse()
        .map_err(|_| value(variable, &text, "an address and a port, such as 127.0.0.1:8000 or [::1]:8000"))?;
    if !address.ip().is_loopback() && keys.admin.is_none() {
        let expected = "other machines reach this address, so it needs ROWCALL_API_TOKEN; without one, 127.0.0.1 only";
        return Err(value(variable, &text, expected));
    }
    Ok(address)
}

fn keys(environment: &impl Environment) -> Result<Keys, ConfigError> {
    let admin = token(environment, "ROWCALL_API_TOKEN")?;
    let reader = token(environment, "ROWCALL_READ_TOKEN")?;
    if let (Some(admin), Some(reader)) = (&admin, &reader)
        && admin.expose_secret() == reader.expose_secret()
    {
        return Err(secret("ROWCALL_READ_TOKEN", "another than ROWCALL_API_TOKEN, or it may change everything too"));
    }
    Ok(Keys {
        admin: admin.as_ref().map(Token::new),
        reader: reader.as_ref().map(Token::new),
        jwt: jwt(environment)?,
        login: login(environment)?,
    })
}

fn jwt(environment: &impl Environment) -> Result<Option<Jwt>, ConfigError> {
    let signing = environment.get("SUPABASE_JWT_SECRET");
    if signing.as_ref().is_some_and(|text| text.chars().count() < JWT_SECRET_CHARS_MIN) {
        return Err(secret("SUPABASE_JWT_SECRET", "the project's JWT secret, which has at least 32 characters"));
    }
    let variable = "SUPABASE_JWKS_FILE";
    let file = environment.get(variable).map(PathBuf::from);
    if signing.is_none() && file.is_none() {
        return Ok(None);
    }
    let read = |path: &PathBuf| {
        std::fs::read_to_string(path).map_err(|source| ConfigError::File { variable, path: path.clone(), source })
    };
    let set = file.as_ref().map(read).transpose()?;
    let wrong = |source: KeySetError| ConfigError::KeySet { variable, source };
    Jwt::new(signing.map(SecretString::from).as_ref(), set.as_deref()).map(Some).map_err(wrong)
}

fn login(environment: &impl Environment) -> Result<Option<Login>, ConfigError> {
    let (email, hash) = ("ROWCALL_ADMIN_EMAIL", "ROWCALL_ADMIN_PASSWORD_HASH");
    let text = |variable| environment.get(variable).map(|text: String| SecretString::from(text.trim()));
    match (text(email), text(hash)) {
        (None, None) => Ok(None),
        (Some(address), Some(hashed)) => {
            let expected = "an argon2 hash ($argon2id$…), as `rowcall hash-password` makes it";
            let admin = token(environment, "ROWCALL_API_TOKEN")?;
            Login::new(&address, hashed, admin.as_ref()).map(Some).map_err(|_| secret(hash, expected))
        }
        (None, _) => Err(secret(email, "it must be set where ROWCALL_ADMIN_PASSWORD_HASH is")),
        (_, None) => Err(secret(hash, "it must be set where ROWCALL_ADMIN_EMAIL is")),
    }
}

fn token(environment: &impl Environment, variable: &'static str) -> Result<Option<SecretString>, ConfigError> {
    let Some(text) = environment.get(variable) else { return Ok(None) };
    // It travels in a header.
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_plain || text.len() < TOKEN_CHARS_MIN {
        let expected = "at least 16 letters, digits and signs without spaces; `openssl rand -hex 32` makes one";
        return Err(secret(variable, expected));
    }
    Ok(Some(text.into()))
}

/// An error about a value that must not be shown.
fn secret(variable: &'static str, expected: &'static str) -> ConfigError {
    ConfigError::Secret { variable, expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef-admin";

    fn read(pairs: &[(&str, &str)]) -> Result<Option<Settings>, ConfigError> {
        let pairs: Vec<(String, String)> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let environment = move |variable: &str| pairs.iter().find(|(k, _)| k == variable).map(|(_, v)| v.clone());
        let crm = super::super::crm::crm(&environment)?;
        let supplier = super::super::providers::supplier(&environment)?;
        settings(&environment, &super::super::providers::whatsapp(&environment)?.meta, &crm, &supplier)
    }

    #[test]
    fn an_error_names_the_variable_and_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_string_lossy().into_owned()
        };
        let shared = r#"{"keys":[{"kty":"oct","alg":"HS256","k":"c2VjcmV0"}]}"#;
        for (variable, value, expected) in [
            ("ROWCALL_HTTP_ADDR", "here", "an address and a port"),
            ("ROWCALL_HTTP_ADDR", "0.0.0.0:8000", "needs ROWCALL_API_TOKEN"),
            ("ROWCALL_HTTP_ADDR", "[::]:8000", "needs ROWCALL_API_TOKEN"),
            ("ENABLE_MONITORING", "perhaps", "true or false"),
            ("ROWCALL_API_TOKEN", "hidden", "at least 16"),
            ("ROWCALL_READ_TOKEN", "hidden hidden hidden", "without spaces"),
            ("INFOBIP_WEBHOOK_SECRET", "hidden", "at least 16"),
            ("SUPABASE_JWT_SECRET", "hidden", "at least 32"),
            ("ROWCALL_ADMIN_PASSWORD_HASH", "hidden", "where ROWCALL_ADMIN_PASSWORD_HASH is"),
            ("ROWCALL_ADMIN_EMAIL", "hidden@example.com", "where ROWCALL_ADMIN_EMAIL is"),
            ("SUPABASE_JWKS_FILE", "/does/not/exist", "read /does/not/exist"),
            ("SUPABASE_JWKS_FILE", &file("none", "hidden"), "not a JSON Web Key Set"),
            ("SUPABASE_JWKS_FILE", &file("empty", r#"{"keys":[]}"#), "must be public ones"),
            ("SUPABASE_JWKS_FILE", &file("shared", shared), "must be public ones"),
        ] {
            let text = crate::store::chain(&read(&[(variable, value)]).unwrap_err());
            assert!(text.contains(variable) && text.contains(expected), "{text}");
            assert!(!text.contains("hidden"), "{text}");
        }
        let same = read(&[("ROWCALL_API_TOKEN", TOKEN), ("ROWCALL_READ_TOKEN", TOKEN)]).unwrap_err();
        assert!(same.to_string().contains("ROWCALL_READ_TOKEN") && !same.to_string().contains(TOKEN), "{same}");
    }

    #[test]
    fn it_listens_to_this_machine_unless_told_otherwise() {
        let settings = read(&[]).unwrap().unwrap();
        assert_eq!(settings.address.to_string(), "127.0.0.1:8000");
        assert!(settings.keys.is_open());
        let open = [("ROWCALL_HTTP_ADDR", "0.0.0.0:80"), ("ROWCALL_API_TOKEN", TOKEN)];
        assert_eq!(read(&open).unwrap().unwrap().address.to_string(), "0.0.0.0:80");
        assert!(read(&[("ENABLE_MONITORING", "False")]).unwrap().is_none());
    }

    #[test]
    fn a_webhook_comes_through_a_proxy_and_needs_a_token_beside() {
        let webhooks =
            ["WHATSAPP_APP_SECRET", "WHATSAPP_VERIFY_TOKEN", "INFOBIP_WEBHOOK_SECRET", "AT_ISHARE_API_SECRET"];
        let secret = "hidden-hidden-hidden-hidden-hidden";
        for webhook in webhooks {
            let text = read(&[(webhook, secret)]).unwrap_err().to_string();
            assert!(text.starts_with("ROWCALL_API_TOKEN: ") && text.contains(webhook), "{text}");
            for token in ["ROWCALL_API_TOKEN", "ROWCALL_READ_TOKEN", "SUPABASE_JWT_SECRET"] {
                assert!(!read(&[(webhook, secret), (token, secret)]).unwrap().unwrap().keys.is_open());
            }
            assert!(read(&[(webhook, secret), ("ENABLE_MONITORING", "false")]).unwrap().is_none());
        }
    }

    #[test]
    fn visitors_of_links_come_through_a_proxy_and_need_a_token_beside() {
        let public = ("LINKS_BASE_URL", "https://go.example.com");
        let text = read(&[public]).unwrap_err().to_string();
        assert!(text.starts_with("ROWCALL_API_TOKEN: ") && text.contains("LINKS_BASE_URL"), "{text}");
        assert!(read(&[public, ("ROWCALL_API_TOKEN", TOKEN)]).unwrap().is_some());
        assert!(read(&[public, ("ENABLE_MONITORING", "false")]).unwrap().is_none());
        for here in ["http://localhost:8000", "http://127.0.0.1:8000", "http://[::1]"] {
            assert!(read(&[("LINKS_BASE_URL", here)]).unwrap().is_some(), "{here}");
        }
    }

    #[test]
    fn a_supplier_that_does_not_call_back_needs_no_token() {
        let secret = ("AT_ISHARE_API_SECRET", "hidden");
        for (profile, is_refused) in [("at-ishare", true), ("hubnet", true), ("codecraft", false), ("spfastit", false)]
        {
            assert_eq!(read(&[("AT_ISHARE_PROFILE", profile), secret]).is_err(), is_refused, "{profile}");
            assert!(read(&[("AT_ISHARE_PROFILE", profile)]).is_ok(), "{profile}");
        }
    }

    #[test]
    fn secrets_are_not_in_debug_output() {
        let secret = "hidden-hidden-hidden-hidden-hidden";
        let variables = [
            "ROWCALL_API_TOKEN",
            "SUPABASE_JWT_SECRET",
            "WHATSAPP_APP_SECRET",
            "WHATSAPP_VERIFY_TOKEN",
            "INFOBIP_WEBHOOK_SECRET",
            "SHOPIFY_WEBHOOK_SECRET",
            "COMMERCE7_WEBHOOK_USER",
            "COMMERCE7_WEBHOOK_PASSWORD",
        ];
        let settings = read(&variables.map(|variable| (variable, secret))).unwrap();
        assert!(!format!("{settings:?}").contains("hidden"), "{settings:?}");
    }
}
