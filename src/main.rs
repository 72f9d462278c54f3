//! The binary: parse, configure, dispatch; nothing else.

use std::process::ExitCode;

use clap::Parser;
use rowcall::cli::Cli;

fn main() -> ExitCode {
    rowcall::cli::main(Cli::parse())
}
