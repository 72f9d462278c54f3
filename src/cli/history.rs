//! `rowcall history`: what became of every attempt.

use std::process::ExitCode;

use clap::Args;
use comfy_table::Cell;

use super::print::{in_words, lines, local, plain, plain_or_none, print, state_cell, table};
use super::store;
use crate::store::operator::{Attempt, HistoryFilter};

/// Which attempts to show.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  rowcall history --queue codes --key 42
  rowcall history --limit 1000 --json | jq '.[] | select(.settled_as == \"failed\")'")]
pub struct HistoryArgs {
    /// Of this queue only
    #[arg(long)]
    queue: Option<String>,
    /// Of the row with this key only
    #[arg(long)]
    key: Option<String>,
    /// The newest so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=100_000))]
    limit: i64,
    /// Print an array of objects
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: HistoryArgs) -> anyhow::Result<ExitCode> {
    let filter = HistoryFilter { queue: args.queue, key: args.key, limit: args.limit };
    let attempts = store()?.history(&filter).await?;
    if args.json {
        print(&format!("{}\n", serde_json::to_string(&attempts)?))?;
    } else if attempts.is_empty() {
        print("no attempt was made yet; `rowcall status` shows what is asked for\n")?;
    } else {
        print(&render(&attempts))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn render(attempts: &[Attempt]) -> String {
    let mut table =
        table(&["settled at", "queue", "key", "request", "attempt", "settled as", "took", "asked by", "why"]);
    for attempt in attempts {
        let why = attempt.error.as_ref().map_or_else(|| plain(&attempt.meaning), |error| plain(error));
        table.add_row([
            Cell::new(local(&attempt.settled_at)),
            Cell::new(&attempt.queue),
            Cell::new(plain(&attempt.key)),
            Cell::new(attempt.generation),
            Cell::new(attempt.attempt),
            state_cell(&attempt.settled_as),
            Cell::new(attempt.duration_seconds.map(in_words).unwrap_or_default()),
            Cell::new(plain_or_none(attempt.requested_by.as_deref())),
            Cell::new(why),
        ]);
    }
    lines(&table)
}
