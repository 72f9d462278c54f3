//! The binary: parse, dispatch, nothing else.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use rowcall::integrations::guard::guard;
use rowcall::sandbox::fienta::{self, FientaArgs};

#[derive(Debug, Parser)]
#[command(name = "rowcall", version, about)]
enum Cli {
    /// Lead a program's process group for the worker.
    #[command(hide = true)]
    Guard {
        /// The program and its arguments.
        #[arg(last = true, required = true)]
        argv: Vec<OsString>,
    },
    /// Play a provider, for the demo and the tests.
    #[command(subcommand)]
    Sandbox(Sandbox),
}

#[derive(Debug, Subcommand)]
enum Sandbox {
    /// The Fienta CLI.
    Fienta(FientaArgs),
}

fn main() -> ExitCode {
    match Cli::parse() {
        Cli::Guard { argv } => guard(argv),
        Cli::Sandbox(Sandbox::Fienta(args)) => fienta::run(args),
    }
}
