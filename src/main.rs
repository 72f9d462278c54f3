//! The binary: parse, dispatch, nothing else.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use rowcall::integrations::guard::guard;

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
}

fn main() -> ExitCode {
    match Cli::parse() {
        Cli::Guard { argv } => guard(argv),
    }
}
