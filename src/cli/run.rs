//! `rowcall run`: the worker.

use std::process::ExitCode;
use std::sync::Arc;

use crate::config::{Config, ProcessEnvironment};
use crate::integrations::Integration;
use crate::integrations::fienta::Fienta;
use crate::store::{migrate, queues};
use crate::worker::shutdown::Shutdown;
use crate::worker::{self, Service, Settings};

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
    };
    worker::run(settings, services, shutdown).await?;
    Ok(ExitCode::SUCCESS)
}

/// The queues that this worker serves, each with what runs its operations.
fn services(config: &Config) -> Vec<Service> {
    let integration = |queue: &str| -> Arc<dyn Integration> {
        match queue {
            "codes" => Arc::new(Fienta::new(config.fienta.clone())),
            other => unreachable!("config knows no queue {other}"),
        }
    };
    let served = queues::ALL.into_iter().filter(|s| config.queues.contains(&s.queue));
    served.map(|statements| Service { statements, integration: integration(statements.queue) }).collect()
}
