//! What a person runs: one file a subcommand.

pub mod run;
pub mod migrate;
pub mod sandbox;
pub mod bench;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::config::{self, LogFormat, ProcessEnvironment};
use crate::integrations::guard::guard;
use crate::sandbox::fienta;
use crate::sandbox::postgres::run_with_cluster;

/// The row is the job: change a row in your own Postgres table, and Rowcall makes the call and writes the answer back.
#[derive(Debug, Parser)]
#[command(name = "rowcall", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the worker beside the database of `DATABASE_URL`
    Run,
    /// Bring the database to this version's schema: tables, functions, triggers, grants
    Migrate(migrate::MigrateArgs),
    /// Measure the engine on a scratch database of its own
    #[command(subcommand)]
    Bench(bench::BenchCommand),
    /// Run what the demo and the tests use in place of the real world
    #[command(subcommand)]
    Sandbox(sandbox::SandboxCommand),
    /// Lead a program's process group, so that it ends with its worker
    #[command(hide = true)]
    Guard {
        /// The program and its arguments
        #[arg(last = true, required = true)]
        argv: Vec<OsString>,
    },
}

/// Runs a command line and tells how it went.
pub fn main(cli: Cli) -> ExitCode {
    // These two are started for every operation: no runtime and no log for them.
    let command = match cli.command {
        Command::Guard { argv } => return guard(argv),
        Command::Sandbox(sandbox::SandboxCommand::Fienta(args)) => return fienta::run(args),
        other => other,
    };
    let log_format = match config::log_format(&ProcessEnvironment, std::io::stderr().is_terminal()) {
        Ok(format) => format,
        Err(error) => return fail(&error.into()),
    };
    start_log(log_format);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    match runtime.block_on(dispatch(command)) {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

async fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run => run::run().await,
        Command::Migrate(args) => migrate::run(args).await,
        Command::Bench(command) => bench::run(command).await,
        Command::Sandbox(sandbox::SandboxCommand::Postgres(args)) => run_with_cluster(args).await,
        Command::Guard { .. } | Command::Sandbox(sandbox::SandboxCommand::Fienta(_)) => {
            unreachable!("dispatched before the runtime started")
        }
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("rowcall: {error:#}");
    ExitCode::FAILURE
}

/// Libraries that log what they carry, parameters of statements or headers, below `info`: never, whatever `RUST_LOG` says.
const TALKATIVE: [&str; 5] = ["tokio_postgres", "h2", "hyper", "hyper_util", "reqwest"];

/// Logs go to standard error, so that standard output stays what was asked for.
fn start_log(format: LogFormat) {
    let mut filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("rowcall=info,warn"));
    for library in TALKATIVE {
        filter = filter.add_directive(format!("{library}=info").parse().expect("a directive"));
    }
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Human => log.with_target(false).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}
