//! Status as tables for a person. What is empty says what to do.

use std::fmt::Write as _;

use comfy_table::{Cell, CellAlignment, Table};

use crate::cli::print::{in_words, lines, plain, plain_or_none, state_cell, table};
use crate::store::operator::{Health, Status, Work, WorkerInfo};
use crate::store::schedules::operator::Schedule;

/// As many rows as the statement hands out.
const WORK_MAX: usize = 50;

/// Everything.
pub(super) fn status(status: &Status) -> String {
    let mut text = queues(&status.queues);
    text.push('\n');
    text.push_str(&workers(&status.workers));
    text.push('\n');
    text.push_str(&work(status));
    if !status.schedules.is_empty() {
        text.push('\n');
        text.push_str(&schedules(&status.schedules));
    }
    text
}

/// A line for all schedules, and a row for each that needs a look.
fn schedules(schedules: &[Schedule]) -> String {
    let (well, ill): (Vec<_>, Vec<_>) =
        schedules.iter().partition(|schedule| matches!(schedule.state.as_str(), "ok" | "running" | "paused"));
    let running = well.iter().filter(|schedule| schedule.state == "running").count();
    let mut text = format!("schedules: {}, {running} running, {} to look at", schedules.len(), ill.len());
    if ill.is_empty() {
        return text + "\n";
    }
    text.push_str(" (rowcall schedule list)\n");
    let mut table = table(&["schedule", "state", "why"]);
    for schedule in ill {
        table.add_row([
            Cell::new(plain(&schedule.name)),
            state_cell(&schedule.state),
            Cell::new(plain_or_none(schedule.reason.as_deref())),
        ]);
    }
    text + &lines(&table)
}

fn queues(queues: &[Health]) -> String {
    if queues.is_empty() {
        return "there are no queues: run `rowcall migrate`\n".to_owned();
    }
    let mut table = table(&[
        "queue",
        "state",
        "asked",
        "running",
        "waiting",
        "failed",
        "unknown",
        "oldest",
        "done 24 h",
        "p50",
        "p95",
        "why",
    ]);
    for queue in queues {
        table.add_row([
            Cell::new(&queue.queue),
            state_cell(&queue.state),
            number(queue.asked),
            number(queue.running),
            number(queue.waiting),
            number(queue.failed),
            number(queue.unknown),
            seconds(queue.oldest_seconds),
            right(queue.success_percent_24h.map_or_else(dash, |percent| format!("{percent} %"))),
            seconds(queue.duration_p50_seconds),
            seconds(queue.duration_p95_seconds),
            Cell::new(plain_or_none(why(queue).as_deref())),
        ]);
    }
    right_headings(&mut table, 2..=10);
    lines(&table)
}

/// A breaker's reason says whose it is.
fn why(queue: &Health) -> Option<String> {
    let reason = queue.reason.as_ref()?;
    Some(if queue.state == "breaker open" { format!("{}: {reason}", queue.target) } else { reason.clone() })
}

fn workers(workers: &[WorkerInfo]) -> String {
    let mut text = String::new();
    if !workers.iter().any(|worker| worker.state == "alive") {
        text.push_str("no worker is alive: start one with `rowcall run`\n");
    }
    if !workers.is_empty() {
        let mut table = table(&["worker", "state", "version", "queues", "up"]);
        for worker in workers {
            table.add_row([
                Cell::new(format!("{}/{}", plain(&worker.host), worker.pid)),
                state_cell(&worker.state),
                Cell::new(plain(&worker.version)),
                Cell::new(if worker.queues.is_empty() {
                    "none has its settings; see `rowcall doctor`".to_owned()
                } else {
                    worker.queues.join(", ")
                }),
                Cell::new(in_words(worker.up_seconds)),
            ]);
        }
        text.push_str(&lines(&table));
    }
    text
}

fn work(status: &Status) -> String {
    if status.work.is_empty() {
        return "nothing is asked for\n".to_owned();
    }
    let mut table = table(&["queue", "key", "label", "status", "state", "attempts", "next try", "asked by", "why"]);
    for row in &status.work {
        table.add_row([
            Cell::new(&row.queue),
            Cell::new(plain(&row.key)),
            Cell::new(plain(&row.label)),
            Cell::new(plain(&row.status)),
            state_cell(&row.state),
            Cell::new(format!("{}/{}", row.attempts, row.max_attempts)),
            Cell::new(next_try(row)),
            Cell::new(plain_or_none(row.requested_by.as_deref())),
            Cell::new(plain_or_none(row.reason.as_deref())),
        ]);
    }
    let mut text = lines(&table);
    let all: i64 = status.queues.iter().map(|q| q.asked + q.running + q.waiting + q.failed + q.unknown).sum();
    if status.work.len() >= WORK_MAX && usize::try_from(all).is_ok_and(|all| all > WORK_MAX) {
        let _ = writeln!(text, "… of {all} rows; all of them: select * from rowcall.work");
    }
    text
}

/// When the row goes on, and who must do something where it does not by itself.
fn next_try(row: &Work) -> String {
    match (row.state.as_str(), row.next_retry_in_seconds) {
        ("running", _) => "running now".to_owned(),
        ("unknown", _) if !row.needs_person => "when the provider tells".to_owned(),
        ("unknown", _) => format!("rowcall resolve {} {}", row.queue, plain(&row.key)),
        ("failed", _) => format!("rowcall retry {} {}", row.queue, plain(&row.key)),
        (_, Some(seconds)) if seconds > 0.0 => format!("in {}", in_words(seconds)),
        ("waiting", _) => "when the queue goes on".to_owned(),
        _ => "due now".to_owned(),
    }
}

fn number(number: i64) -> Cell {
    right(if number == 0 { dash() } else { number.to_string() })
}

fn seconds(seconds: Option<f64>) -> Cell {
    right(seconds.map_or_else(dash, in_words))
}

fn dash() -> String {
    "-".to_owned()
}

fn right(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

fn right_headings(table: &mut Table, columns: std::ops::RangeInclusive<usize>) {
    for index in columns {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}
