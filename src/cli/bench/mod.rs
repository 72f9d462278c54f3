//! `rowcall bench`: measure the engine, on a scratch database of its own on the server of `DATABASE_URL`.
//!
//! The queue is `codes` as shipped, with its triggers, its jsonb merge and its history; only its bounds are lifted and its
//! operation does nothing. What is measured is the real worker.

pub mod drain;
pub mod latency;
pub mod links;
pub mod replies;
pub mod ring;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Subcommand;
use tokio_postgres::Client;

use crate::config::{self, ProcessEnvironment};
use crate::connections::Connections;
use crate::readiness::Readiness;
use crate::store::connect::Database;
use crate::store::migrate;
use crate::worker::Settings;

/// What to measure.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Rows a second from due to settled
    Drain(drain::DrainArgs),
    /// Time from just before a user's committed update to the start of the operation
    Latency(latency::LatencyArgs),
    /// Visitors of short links over HTTP, with every click counted
    Links(links::LinksArgs),
    /// Replies over WhatsApp at the rates that ship, against the sandbox's WhatsApp
    Replies(replies::RepliesArgs),
    /// Cost of the triggers to the users' updates
    Ring(ring::RingArgs),
}

pub(super) async fn run(command: BenchCommand) -> anyhow::Result<ExitCode> {
    let scratch = Scratch::create().await?;
    let measured = match command {
        BenchCommand::Drain(args) => drain::run(&scratch, args).await,
        BenchCommand::Latency(args) => latency::run(&scratch, args).await,
        BenchCommand::Links(args) => links::run(&scratch, args).await,
        BenchCommand::Replies(args) => replies::run(&scratch, args).await,
        BenchCommand::Ring(args) => ring::run(&scratch, args).await,
    };
    scratch.drop().await?;
    measured?;
    Ok(ExitCode::SUCCESS)
}

/// A migrated database that is there for one measurement.
pub(super) struct Scratch {
    pub(super) database: Database,
    pub(super) client: Client,
    server: Client,
}

impl Scratch {
    async fn create() -> anyhow::Result<Self> {
        let home = config::database(&ProcessEnvironment)?;
        let server = home.client().await.context("connect to DATABASE_URL")?;
        let name = format!("rowcall_bench_{}", std::process::id());
        server
            .batch_execute(&format!("create database {name}"))
            .await
            .context("create a scratch database (the role needs CREATEDB)")?;
        let database = home.with_name(&name);
        migrate::apply(&database).await?;
        let client = database.client().await?;
        Ok(Self { database, client, server })
    }

    /// The settings of a worker on it.
    fn settings(&self) -> Settings {
        Settings {
            database: self.database.clone(),
            listen: self.database.clone(),
            connections: Connections::default(),
            sweep: Duration::from_secs(30),
            grace: Duration::from_secs(10),
            monitor: None,
            readiness: Readiness::default(),
        }
    }

    async fn drop(self) -> anyhow::Result<()> {
        drop(self.client);
        let drop = format!("drop database {} with (force)", self.database.name());
        self.server.batch_execute(&drop).await.context("drop the scratch database")
    }
}
