//! `rowcall schedule`: what runs when, how it went, and the verbs. The database's functions do the work and say what they did.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use comfy_table::Cell;
use serde::Serialize;

use super::operate::say;
use super::print::{in_words, lines, local, plain, plain_or_none, print, state_cell, table};
use super::store;
use crate::store::schedules::operator::{PastRun, Schedule};

/// What to do with schedules.
#[derive(Debug, Subcommand)]
#[command(after_help = "A schedule is a row of rowcall.schedules; make and edit it with SQL:
  insert into rowcall.schedules (name, cron, time_zone, statement)
  values ('nightly', '0 2 * * *', 'Europe/Berlin', 'select my_function()');")]
pub enum ScheduleCommand {
    /// Show every schedule, when it comes next and how its last run went
    List(ListArgs),
    /// Show the runs, newest last
    #[command(after_help = "Example:\n  rowcall schedule history nightly --limit 100")]
    History(RunsArgs),
    /// Run one now, also while it is paused
    Run(NameArgs),
    /// Let one rest: its times pass by and are not made up for
    #[command(after_help = "Example:\n  rowcall schedule pause nightly --reason \"the books are closed\"")]
    Pause(PauseArgs),
    /// Go on with a paused one, with the next of its times
    Resume(NameArgs),
}

/// How to show them.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Print an array of objects
    #[arg(long)]
    json: bool,
}

/// Which runs to show.
#[derive(Debug, Args)]
pub struct RunsArgs {
    /// Of this schedule only
    name: Option<String>,
    /// The newest so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=100_000))]
    limit: i64,
    /// Print an array of objects
    #[arg(long)]
    json: bool,
}

/// One schedule.
#[derive(Debug, Args)]
pub struct NameArgs {
    /// The schedule's name
    name: String,
}

/// A schedule and why it rests.
#[derive(Debug, Args)]
pub struct PauseArgs {
    /// The schedule's name
    name: String,
    /// Why; everybody who wonders reads it
    #[arg(long)]
    reason: String,
}

pub(super) async fn run(command: ScheduleCommand) -> anyhow::Result<ExitCode> {
    match command {
        ScheduleCommand::List(args) => {
            let schedules = store()?.schedules().await?;
            show(
                &schedules,
                args.json,
                render,
                "there are no schedules; `rowcall schedule --help` shows how to make one",
            )
        }
        ScheduleCommand::History(args) => {
            let runs = store()?.schedule_runs(args.name.as_deref(), args.limit).await?;
            show(&runs, args.json, render_runs, "no run has begun yet; `rowcall schedule list` shows when one does")
        }
        ScheduleCommand::Run(args) => say(&store()?.run_schedule(&args.name).await?),
        ScheduleCommand::Pause(args) => say(&store()?.pause_schedule(&args.name, &args.reason).await?),
        ScheduleCommand::Resume(args) => say(&store()?.resume_schedule(&args.name).await?),
    }
}

fn show<T: Serialize>(rows: &[T], json: bool, render: fn(&[T]) -> String, none: &str) -> anyhow::Result<ExitCode> {
    if json {
        print(&format!("{}\n", serde_json::to_string(rows)?))?;
    } else if rows.is_empty() {
        print(&format!("{none}\n"))?;
    } else {
        print(&render(rows))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn render(schedules: &[Schedule]) -> String {
    let mut table =
        table(&["schedule", "state", "cron", "zone", "next run", "last run", "last", "took", "24 h", "why"]);
    for schedule in schedules {
        let moment = |moment: &Option<String>| moment.as_deref().map(local).unwrap_or_default();
        let runs = match (schedule.runs_24h, schedule.not_done_24h) {
            (runs, 0) => runs.to_string(),
            (runs, not_done) => format!("{runs}, {not_done} not done"),
        };
        table.add_row([
            Cell::new(plain(&schedule.name)),
            state_cell(&schedule.state),
            Cell::new(plain(&schedule.cron)),
            Cell::new(plain(&schedule.time_zone)),
            Cell::new(moment(&schedule.next_run_at)),
            Cell::new(moment(&schedule.last_began_at)),
            state_cell(schedule.last_status.as_deref().unwrap_or_default()),
            Cell::new(schedule.last_duration_seconds.map(in_words).unwrap_or_default()),
            Cell::new(runs),
            Cell::new(plain_or_none(schedule.reason.as_deref())),
        ]);
    }
    lines(&table)
}

fn render_runs(runs: &[PastRun]) -> String {
    let mut table = table(&["run", "schedule", "began", "status", "took", "rows", "asked by", "told"]);
    for run in runs {
        table.add_row([
            Cell::new(run.id),
            Cell::new(plain(&run.schedule)),
            Cell::new(local(&run.began_at)),
            state_cell(&run.status),
            Cell::new(run.duration_seconds.map(in_words).unwrap_or_default()),
            Cell::new(run.rows.map(|rows| rows.to_string()).unwrap_or_default()),
            Cell::new(plain_or_none(run.asked_by.as_deref())),
            Cell::new(plain_or_none(run.error.as_deref().or(run.result.as_deref()))),
        ]);
    }
    lines(&table)
}
