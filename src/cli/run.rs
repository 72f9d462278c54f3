//! `rowcall run`: the worker, and the HTTP server beside it.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use tokio::net::TcpListener;

use super::callbacks::SupplierCalls;
use super::services::services;
use crate::config::{Config, ProcessEnvironment};
use crate::http;
use crate::http::server::Server;
use crate::readiness::Readiness;
use crate::store::migrate;
use crate::worker::shutdown::Shutdown;
use crate::worker::{self, Settings};

pub(super) async fn run() -> anyhow::Result<ExitCode> {
    let config = Config::read(&ProcessEnvironment)?;
    migrate::require(&config.database).await?;
    let shutdown = Shutdown::default();
    shutdown.on_signals()?;
    work(config, None, shutdown).await?;
    Ok(ExitCode::SUCCESS)
}

/// Runs the worker of these settings and its server until the shutdown. `listener` is the server's port, where it is taken
/// already.
pub(super) async fn work(config: Config, listener: Option<TcpListener>, shutdown: Shutdown) -> anyhow::Result<()> {
    let services = services(&config);
    let database = Box::pin(config.database.looked_at()).await;
    let listen = match config.listen.pooling() {
        None if config.listen.is_same(&database) => database.clone(),
        _ => Box::pin(config.listen.looked_at()).await,
    };
    let readiness = Readiness::default();
    let server = match config.http {
        Some(mut settings) => {
            settings.webhooks.supplier = Some(Arc::new(SupplierCalls(config.supplier.callbacks())));
            let store = http::store(&database, config.connections.requests);
            let (readiness, closing) = (readiness.clone(), shutdown.closing.clone());
            Some(match listener {
                Some(listener) => Server::on(listener, settings, store, readiness, closing)?,
                None => Server::bind(settings, store, readiness, closing).await?,
            })
        }
        None => None,
    };
    let settings = Settings {
        database,
        listen,
        connections: config.connections,
        sweep: config.sweep,
        grace: config.grace,
        monitor: config.monitor,
        readiness,
    };
    let closing = shutdown.closing.clone();
    let serving = server.map(|server| tokio::spawn(server.run(settings.grace)));
    let ended = worker::run(settings, services, shutdown).await;
    // A worker that could not start ends the server too.
    closing.cancel();
    if let Some(serving) = serving {
        serving.await.context("the HTTP server broke off")?;
    }
    Ok(ended?)
}
