//! `rowcall fluent sync`: asks for a sync with FluentSupport and shows how far it is. The sync itself is a row, which a
//! worker does; ending this command does not end it.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::civil::Date;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::print::{in_words, plain, print};
use super::store;

/// How often to look.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What to do with FluentSupport.
#[derive(Debug, Subcommand)]
pub enum FluentCommand {
    /// Pull tickets now: those that changed since the last sync, unless told otherwise
    Sync(SyncArgs),
}

/// Which tickets, and how long to wait.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit code 0: it is done; 1: it failed, or was not done in time (it goes on, `rowcall status` shows it).

Examples:
  rowcall fluent sync
  rowcall fluent sync --since 2025-10-17"
)]
pub struct SyncArgs {
    /// Open tickets, and those that were closed on this day or later
    #[arg(long, value_name = "DATE")]
    since: Option<Date>,
    /// Read every ticket, not only those that changed
    #[arg(long)]
    full: bool,
    /// How long to wait for its end, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    timeout: u64,
}

pub(super) async fn run(command: FluentCommand) -> anyhow::Result<ExitCode> {
    match command {
        FluentCommand::Sync(args) => sync(args).await,
    }
}

async fn sync(args: SyncArgs) -> anyhow::Result<ExitCode> {
    let store = store()?;
    let key = store.start_fluent_sync(args.since, args.full).await?;
    let until = Instant::now() + Duration::from_secs(args.timeout);
    let bar = bar();
    loop {
        let Some(sync) = store.fluent_sync(&key).await? else { bail!("sync {key} was deleted") };
        let error = sync["error"].as_str().map(plain);
        match sync["status"].as_str().unwrap_or_default() {
            "success" => {
                bar.finish_and_clear();
                print(&format!("{}\n", done(&sync)))?;
                return Ok(ExitCode::SUCCESS);
            }
            over @ ("failed" | "cancelled") => {
                bar.finish_and_clear();
                bail!("sync {key} is {over}: {}", error.unwrap_or_default());
            }
            _ if Instant::now() >= until => {
                bar.finish_and_clear();
                let why = error.or_else(|| sync["waitsFor"].as_str().map(plain));
                let why = why.unwrap_or_else(|| format!("{} pages are read", sync["pagesRead"]));
                bail!("sync {key} is not done yet: {why}; it goes on by itself, `rowcall status` shows it");
            }
            _ => show(&bar, &sync, error),
        }
        sleep(LOOK_EVERY).await;
    }
}

/// On a terminal only; elsewhere it shows nothing.
fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {pos}/{len} pages [{bar:30}] {msg}");
    let bar = ProgressBar::no_length();
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
    bar.enable_steady_tick(LOOK_EVERY);
    bar
}

fn show(bar: &ProgressBar, sync: &Value, error: Option<String>) {
    if let Some(pages) = sync["pagesTotal"].as_u64() {
        bar.set_length(pages);
    }
    bar.set_position(sync["pagesRead"].as_u64().unwrap_or_default());
    let waits = sync["waitsFor"].as_str().map(plain);
    bar.set_message(error.or(waits).unwrap_or_else(|| format!("{} tickets", sync["ticketsFetched"])));
}

fn done(sync: &Value) -> String {
    let seconds = sync["syncDuration"].as_f64().unwrap_or_default() / 1000.0;
    let counts = format!(
        "{} tickets read in {}: {} added, {} updated, {} left as they were",
        sync["ticketsFetched"],
        in_words(seconds),
        sync["ticketsAdded"],
        sync["ticketsUpdated"],
        sync["ticketsSkipped"]
    );
    match sync["note"].as_str() {
        Some(note) => format!("{counts}\n{}", plain(note)),
        None => counts,
    }
}
