//! `rowcall webhook-secret`: what a row's own endpoint must know to verify what it is told.

use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use clap::Args;
use secrecy::ExposeSecret as _;

use super::print::print;
use crate::config::{self, ProcessEnvironment};
use crate::integrations::webhook::{Endpoint, Place};

/// Whose secret.
#[derive(Debug, Args)]
pub struct WebhookSecretArgs {
    /// The address as it stands in `organizations.sync_url`
    url: String,
}

pub(super) fn run(args: &WebhookSecretArgs) -> anyhow::Result<ExitCode> {
    let settings = config::organizations(&ProcessEnvironment)?;
    ensure!(!settings.secrets.is_empty(), "ORGANIZATION_SYNC_SECRET is not set: an endpoint's secret is made of it");
    let endpoint = Endpoint::parse(&args.url, Place::Column("sync_url"), settings.reach.has_loopback())
        .context("this address is not told of organizations")?;
    for secret in &settings.secrets {
        print(&format!("{}\n", secret.of(&endpoint).text().expose_secret()))?;
    }
    Ok(ExitCode::SUCCESS)
}
