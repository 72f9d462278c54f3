//! `rowcall status`: the queues, the workers, and every row that is asked for and not done; once, or again and again.

mod show;
mod watch;

use std::process::ExitCode;

use clap::Args;

use super::print::print;
use super::store;

/// How to show it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  rowcall status --watch
  rowcall status --json | jq '.queues[] | {queue, state, waiting, failed}'")]
pub struct StatusArgs {
    /// Print one JSON object; with --watch one a line
    #[arg(long)]
    json: bool,
    /// Show it again and again until Ctrl-C
    #[arg(long)]
    watch: bool,
    /// Seconds between two looks of --watch
    #[arg(long, value_name = "SECS", default_value_t = 1, requires = "watch", value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,
}

pub(super) async fn run(args: StatusArgs) -> anyhow::Result<ExitCode> {
    let store = store()?;
    if args.watch {
        return watch::run(&store, std::time::Duration::from_secs(args.interval), args.json).await;
    }
    let status = store.status().await?;
    print(&if args.json { format!("{}\n", serde_json::to_string(&status)?) } else { show::status(&status) })?;
    Ok(ExitCode::SUCCESS)
}
