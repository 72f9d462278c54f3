//! `rowcall migrate`: bring the database to this version's schema.

use std::process::ExitCode;

use clap::Args;

use crate::config::{self, ProcessEnvironment};
use crate::store::migrate;

/// What to do instead of migrating.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// Print the SQL for a DBA and connect to nothing
    #[arg(long, conflicts_with = "check")]
    print: bool,
    /// Change nothing; exit 1 when something is pending
    #[arg(long)]
    check: bool,
}

#[expect(clippy::print_stdout, reason = "this is what was asked for")]
pub(super) async fn run(args: MigrateArgs) -> anyhow::Result<ExitCode> {
    if args.print {
        print!("{}", migrate::script());
        return Ok(ExitCode::SUCCESS);
    }
    let database = config::database(&ProcessEnvironment)?;
    if args.check {
        let pending = migrate::pending(&database).await?;
        if pending.is_empty() {
            println!("{} has everything of this version", database.name());
            return Ok(ExitCode::SUCCESS);
        }
        println!("{} lacks: {}", database.name(), pending.words());
        return Ok(ExitCode::FAILURE);
    }
    let done = migrate::apply(&database).await?;
    if done.is_empty() {
        println!("{} had everything of this version", database.name());
    } else {
        println!("{} now has: {}", database.name(), done.join(", "));
    }
    Ok(ExitCode::SUCCESS)
}
