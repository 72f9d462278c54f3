//! `rowcall run`: the worker.

use std::process::ExitCode;

use super::services::services;
use crate::config::{Config, ProcessEnvironment};
use crate::readiness::Readiness;
use crate::store::migrate;
use crate::worker::shutdown::Shutdown;
use crate::worker::{self, Settings};

pub(super) async fn run() -> anyhow::Result<ExitCode> {
    let config = Config::read(&ProcessEnvironment)?;
    migrate::require(&config.database).await?;
    let shutdown = Shutdown::default();
    shutdown.on_signals()?;
    let services = services(&config);
    let settings = Settings {
        database: config.database,
        listen: config.listen,
        sweep: config.sweep,
        grace: config.grace,
        monitor: config.monitor,
        readiness: Readiness::default(),
    };
    worker::run(settings, services, shutdown).await?;
    Ok(ExitCode::SUCCESS)
}
