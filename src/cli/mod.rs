//! What a person runs: one file a subcommand.

pub mod run;
pub mod demo;
pub mod migrate;
pub mod status;
pub mod history;
pub mod operate;
pub mod schedule;
pub mod export;
pub mod doctor;
pub mod fluent;
pub mod hash_password;
pub mod webhook_secret;
pub mod sandbox;
pub mod bench;
pub mod completions;
mod services;
mod callbacks;
mod print;
mod complain;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{self, LogFormat, ProcessEnvironment};
use crate::integrations::guard::guard;
use crate::sandbox::postgres::run_with_cluster;
use crate::sandbox::{crm, fienta, fluent as fluent_site, supplier, webhook, whatsapp};
use crate::store::Store;
use crate::store::connect::Session;

/// The row is the job: change a row in your own Postgres table, and Rowcall makes the call and writes the answer back.
#[derive(Debug, Parser)]
#[command(
    name = "rowcall",
    version,
    max_term_width = 100,
    after_help = "DATABASE_URL says which database, such as postgres://user:password@localhost:5432/app.\nSomething wrong? rowcall doctor"
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the worker beside the database of `DATABASE_URL`
    Run,
    /// Try everything on this machine: a private Postgres, fake providers and the worker, with nothing to configure
    Demo(demo::DemoArgs),
    /// Bring the database to this version's schema: tables, functions, triggers, grants
    Migrate(migrate::MigrateArgs),
    /// Show the queues, the workers, and every row that is asked for and not done
    Status(status::StatusArgs),
    /// Show what became of every attempt, newest last
    History(history::HistoryArgs),
    /// Try a row again: a stopped one anew, a waiting one now
    #[command(after_help = "Example:\n  rowcall retry codes 42")]
    Retry(operate::RowArgs),
    /// Take a request back that is not done
    #[command(after_help = "Example:\n  rowcall cancel codes 42")]
    Cancel(operate::RowArgs),
    /// Settle a row of which nobody knows whether it took effect, by what you found out
    #[command(after_help = "Example:\n  rowcall resolve actions 42 done --note \"Ama confirmed it by phone\"")]
    Resolve(operate::ResolveArgs),
    /// Stop claiming from a queue; what runs, ends, and the rows wait
    Pause(operate::PauseArgs),
    /// Go on with a paused queue, and probe its provider at once if its breaker is open
    #[command(after_help = "Example:\n  rowcall resume codes")]
    Resume(operate::QueueArgs),
    /// Show the schedules and their runs; run one now, or let it rest
    #[command(subcommand)]
    Schedule(schedule::ScheduleCommand),
    /// Write rows as a sheet onto standard output
    #[command(subcommand)]
    Export(export::ExportCommand),
    /// Pull the tickets of FluentSupport
    #[command(subcommand)]
    Fluent(fluent::FluentCommand),
    /// Make the hash of a password, which it reads from standard input, for `ROWCALL_ADMIN_PASSWORD_HASH`
    HashPassword,
    /// Print the secret by which an organization's own endpoint (`sync_url`) verifies what it is told
    WebhookSecret(webhook_secret::WebhookSecretArgs),
    /// Find what is wrong here, each problem with what mends it
    Doctor(doctor::DoctorArgs),
    /// Measure the engine on a scratch database of its own
    #[command(subcommand)]
    Bench(bench::BenchCommand),
    /// Run what the demo and the tests use in place of the real world
    #[command(subcommand)]
    Sandbox(sandbox::SandboxCommand),
    /// Print what makes your shell complete rowcall's commands
    Completions(completions::CompletionsArgs),
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
    // The demo logs into a file of its own.
    let is_demo = matches!(command, Command::Demo(_));
    let log_format = match config::log_format(&ProcessEnvironment, std::io::stderr().is_terminal()) {
        Ok(format) => format,
        Err(error) => return fail(&error.into()),
    };
    if !is_demo {
        start_log(log_format);
    }
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
        Command::Run => Box::pin(run::run()).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Migrate(args) => migrate::run(args).await,
        Command::Status(args) => status::run(args).await,
        Command::History(args) => history::run(args).await,
        Command::Retry(args) => operate::retry(args).await,
        Command::Cancel(args) => operate::cancel(args).await,
        Command::Resolve(args) => operate::resolve(args).await,
        Command::Pause(args) => operate::pause(args).await,
        Command::Resume(args) => operate::resume(args).await,
        Command::Schedule(command) => schedule::run(command).await,
        Command::Export(command) => export::run(command).await,
        Command::Fluent(command) => fluent::run(command).await,
        Command::HashPassword => hash_password::run(),
        Command::WebhookSecret(args) => webhook_secret::run(&args),
        Command::Doctor(args) => doctor::run(args).await,
        Command::Completions(args) => completions::run(&args),
        Command::Bench(command) => bench::run(command).await,
        Command::Sandbox(sandbox::SandboxCommand::Postgres(args)) => run_with_cluster(args).await,
        Command::Sandbox(sandbox::SandboxCommand::WhatsApp(args)) => whatsapp::run(args).await,
        Command::Sandbox(sandbox::SandboxCommand::Crm(args)) => crm::run(args).await,
        Command::Sandbox(sandbox::SandboxCommand::Supplier(args)) => supplier::run(args).await,
        Command::Sandbox(sandbox::SandboxCommand::Fluent(args)) => fluent_site::run(args).await,
        Command::Sandbox(sandbox::SandboxCommand::Webhook(args)) => webhook::run(args).await,
        Command::Guard { .. } | Command::Sandbox(sandbox::SandboxCommand::Fienta(_)) => {
            unreachable!("dispatched before the runtime started")
        }
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprint!("{}", complain::complaint(error));
    ExitCode::FAILURE
}

/// The database of `DATABASE_URL`, for a command that asks it a few things.
fn store() -> anyhow::Result<Store> {
    Ok(Store::new(config::database(&ProcessEnvironment)?.pool(1, Session::Operator)))
}

/// Libraries that are quiet whatever `RUST_LOG` says: they log parameters, headers and addresses, which hold rows and
/// secrets. What the pool says of a lost connection, its caller says better, and it would be written across
/// `status --watch`.
const DISCREET: [(&str, LevelFilter); 10] = [
    ("tokio_postgres", LevelFilter::WARN),
    ("deadpool", LevelFilter::ERROR),
    ("reqwest", LevelFilter::WARN),
    ("rustls", LevelFilter::WARN),
    ("axum", LevelFilter::WARN),
    ("h2", LevelFilter::WARN),
    ("hyper", LevelFilter::WARN),
    ("hyper_util", LevelFilter::WARN),
    ("tower", LevelFilter::WARN),
    ("tower_http", LevelFilter::WARN),
];

/// A filter of its own: within one, `RUST_LOG` would win by naming a module of theirs.
fn discreet() -> Targets {
    Targets::new().with_default(LevelFilter::TRACE).with_targets(DISCREET)
}

/// Logs go to standard error, so that standard output stays what was asked for.
fn start_log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("rowcall=info,warn"));
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    match format {
        LogFormat::Human => log.with_target(false).finish().with(discreet()).init(),
        LogFormat::Json => log.json().flatten_event(true).finish().with(discreet()).init(),
    }
    // A directive for one of their modules would win over those above; this cannot be won over.
    log::set_max_level(log::LevelFilter::Warn);
}
