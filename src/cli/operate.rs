//! `rowcall retry`, `cancel`, `resolve`, `pause` and `resume`: the operator's verbs. The database's functions do the work and say
//! what they did.

use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::print::{plain, print};
use super::store;

/// One row.
#[derive(Debug, Args)]
pub struct RowArgs {
    /// The queue, such as codes
    queue: String,
    /// The row's key, which `rowcall status` shows
    key: String,
}

/// A row of which nobody knows, and what became of it.
#[derive(Debug, Args)]
pub struct ResolveArgs {
    #[command(flatten)]
    row: RowArgs,
    /// What became of it
    verdict: Verdict,
    /// How you know; kept on the row and in history
    #[arg(long)]
    note: String,
}

/// What a person found out.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Verdict {
    /// It took effect
    Done,
    /// It did not
    Failed,
}

/// A queue and why it stops.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  rowcall pause codes --reason \"Fienta moves to a new site until 14:00\"")]
pub struct PauseArgs {
    /// The queue, such as codes
    queue: String,
    /// Why; everybody who waits reads it
    #[arg(long)]
    reason: String,
}

/// One queue.
#[derive(Debug, Args)]
pub struct QueueArgs {
    /// The queue, such as codes
    queue: String,
}

pub(super) async fn retry(args: RowArgs) -> anyhow::Result<ExitCode> {
    say(&store()?.retry(&args.queue, &args.key).await?)
}

pub(super) async fn cancel(args: RowArgs) -> anyhow::Result<ExitCode> {
    say(&store()?.cancel(&args.queue, &args.key).await?)
}

pub(super) async fn resolve(args: ResolveArgs) -> anyhow::Result<ExitCode> {
    let verdict = match args.verdict {
        Verdict::Done => "done",
        Verdict::Failed => "failed",
    };
    say(&store()?.resolve(&args.row.queue, &args.row.key, verdict, &args.note).await?)
}

pub(super) async fn pause(args: PauseArgs) -> anyhow::Result<ExitCode> {
    say(&store()?.pause(&args.queue, &args.reason).await?)
}

pub(super) async fn resume(args: QueueArgs) -> anyhow::Result<ExitCode> {
    say(&store()?.resume(&args.queue).await?)
}

/// Prints what a function answered.
pub(super) fn say(answer: &str) -> anyhow::Result<ExitCode> {
    print(&format!("{}\n", plain(answer)))?;
    Ok(ExitCode::SUCCESS)
}
