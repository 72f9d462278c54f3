//! `rowcall demo`: everything on this machine, nothing to configure.
//!
//! A private Postgres, fake providers and the real worker with its HTTP server. Without `--once` a person changes rows and watches; with it the
//! demo plays a scenario by itself and judges every row. It never touches the database of `DATABASE_URL`.

mod place;
mod fake;
mod world;
mod style;
mod live;
mod tail;
mod change;
mod once;
mod scenario;
mod case;
mod row;
mod summary;
mod system;
mod scene;
mod table;
mod whatsapp;
mod supplier;
mod crm;
mod fluent;
mod links;
mod organizations;
mod orders;
mod checks;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::sandbox::postgres::default_data;
use crate::worker::shutdown::Shutdown;
use place::Place;

/// How the demo is played.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Play a whole scenario, print each row before and after, and exit 0 only if every row ended as it must
    #[arg(long)]
    once: bool,
    /// Folder of the demo's data, made on first use and kept [default: rowcall/demo in your data folder]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

pub(super) async fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let data = args.data.clone().map_or_else(|| default_data("demo"), Ok)?;
    let place = if args.once { Place::fresh(&data)? } else { Place::kept(&data)? };
    let shutdown = Shutdown::default();
    shutdown.on_signals().context("listen for signals")?;
    end_with_terminal(&shutdown)?;
    if args.once { once::run(&place, shutdown).await } else { live::run(&place, args.data.as_deref(), shutdown).await }
}

/// A terminal that closes ends the demo as Ctrl-C does, so that it takes its Postgres along.
fn end_with_terminal(shutdown: &Shutdown) -> anyhow::Result<()> {
    let mut hangup = signal(SignalKind::hangup()).context("listen for signals")?;
    let closing = shutdown.closing.clone();
    tokio::spawn(async move {
        hangup.recv().await;
        closing.cancel();
    });
    Ok(())
}
