//! The settings of what is told of organizations.

use super::{ConfigError, Environment, switch, value};
use crate::integrations::http::Reach;
use crate::integrations::organization::Settings;
use crate::integrations::webhook::{Endpoint, NoEndpoint, Place, Secret};

/// What is told unless the settings say otherwise.
const COLUMNS: &str = "id,name,metadata";

/// What the worker writes between two attempts of one request, whose body must stay the same.
const WORKERS: [&str; 2] = ["updated_at", "synced_at"];

pub(super) fn settings(environment: &impl Environment) -> Result<Settings, ConfigError> {
    let loopback = switch(environment, "ROWCALL_WEBHOOK_LOOPBACK", false)?;
    Ok(Settings {
        endpoint: endpoint(environment, loopback)?,
        secrets: secrets(environment)?,
        columns: columns(environment)?,
        reach: Reach::new(loopback),
    })
}

fn endpoint(environment: &impl Environment, loopback: bool) -> Result<Option<Endpoint>, ConfigError> {
    let variable = "ORGANIZATION_SYNC_URL";
    let Some(text) = environment.get(variable) else { return Ok(None) };
    // It may hold a secret, so it is not shown.
    Endpoint::parse(&text, Place::Setting(variable), loopback).map(Some).map_err(|wrong| ConfigError::Secret {
        variable,
        expected: match wrong {
            NoEndpoint::Address => "an https address, such as https://example.com/hook",
            NoEndpoint::Scheme => {
                "it must begin with https:// (for tests on this machine see ROWCALL_WEBHOOK_LOOPBACK)"
            }
            NoEndpoint::Login => "an address without a user and a password; the signature proves who calls",
        },
    })
}

fn secrets(environment: &impl Environment) -> Result<Vec<Secret>, ConfigError> {
    let variable = "ORGANIZATION_SYNC_SECRET";
    let Some(text) = environment.get(variable) else { return Ok(Vec::new()) };
    Secret::parse_all(&text).map_err(|_| ConfigError::Secret {
        variable,
        expected: "one or more secrets, separated by spaces, each whsec_ and 24 to 64 random bytes in base64; \
                   `echo whsec_$(openssl rand -base64 32)` makes one",
    })
}

fn columns(environment: &impl Environment) -> Result<Vec<String>, ConfigError> {
    let variable = "ORGANIZATION_SYNC_COLUMNS";
    let text = environment.get(variable).unwrap_or_else(|| COLUMNS.to_owned());
    let columns: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
    if columns.iter().any(String::is_empty) {
        return Err(value(variable, &text, "the names of columns, separated by commas, such as id,name,metadata"));
    }
    if columns.iter().any(|name| WORKERS.contains(&name.as_str())) {
        return Err(value(
            variable,
            &text,
            "columns of yours: what the worker writes itself would differ in each attempt",
        ));
    }
    Ok(columns)
}
