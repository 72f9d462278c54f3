//! The command `rowcall`: parses its arguments and hands them on.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use rowcall::sandbox::postgres::{PostgresArgs, run_with_cluster};

/// The row is the job.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a stand-in for something of the outside world.
    #[command(subcommand)]
    Sandbox(Sandbox),
}

#[derive(Debug, Subcommand)]
enum Sandbox {
    Postgres(PostgresArgs),
}

#[tokio::main]
async fn main() -> ExitCode {
    let Command::Sandbox(Sandbox::Postgres(args)) = Cli::parse().command;
    run_with_cluster(args).await.unwrap_or_else(|error| {
        eprintln!("rowcall: {error:#}");
        ExitCode::FAILURE
    })
}
