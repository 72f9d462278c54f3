//! A row as the tail knows it, and what there is to say when it is another than before.

use std::sync::LazyLock;

use anyhow::Context;
use postgres_types::Json;
use serde::Deserialize;

use super::style::{WIDTH, dim, status, wrap};
use crate::cli::print::{in_words, plain};
use crate::store::queues;

/// How wide the columns are. A label that is longer pushes the others aside.
const TIME: usize = 8;
static QUEUE: LazyLock<usize> = LazyLock::new(|| queues::ALL.iter().map(|s| s.queue.len()).max().unwrap_or_default());
const LABEL: usize = 19;
const STATUS: usize = 19;

/// A row as it is now.
#[derive(Debug)]
pub(super) struct Change {
    label: String,
    queue: String,
    status: String,
    is_due: bool,
    asked: String,
    attempts: String,
    generation: i32,
    error_message: Option<String>,
    requested_by: String,
    is_running: bool,
    due_in: f64,
    ended: Vec<Ended>,
    time: String,
}

/// An attempt that ended.
#[derive(Debug, Deserialize)]
struct Ended {
    id: i64,
    settled_as: String,
    meaning: String,
    error: Option<String>,
    /// Who told of it, where it was not its worker.
    told_by: Option<String>,
    seconds: Option<f64>,
}

/// What stands above the lines.
pub(super) fn header() -> String {
    let queue = *QUEUE;
    dim(&format!("{:<TIME$}  {:<queue$}  {:<LABEL$}  {:<STATUS$} attempts", "time", "queue", "row", "status"))
}

/// Lines that tell of something else than a row, and what belongs to the line above, which has no time.
pub(super) fn aside(time: &str, text: &str, paint: impl Fn(&str) -> String) -> String {
    let indent = *QUEUE + 2;
    let parts = wrap(&plain(text), usize::from(WIDTH) - TIME - 2 - indent).into_iter().enumerate();
    let line = |(nth, part): (usize, String)| {
        let time = format!("{:<TIME$}", if nth == 0 { time } else { "" });
        format!("{}  {:indent$}{}", dim(&time), "", paint(&part))
    };
    parts.map(line).collect::<Vec<_>>().join("\n")
}

impl Change {
    pub(super) fn of(row: &tokio_postgres::Row) -> anyhow::Result<Self> {
        let ended: Vec<Json<serde_json::Value>> = row.get("ended");
        let ended = ended.into_iter().map(|Json(ended)| serde_json::from_value(ended));
        let (attempts, max): (i32, i32) = (row.get("attempts"), row.get("max_attempts"));
        Ok(Self {
            label: row.get("label"),
            queue: row.get("queue"),
            status: row.get::<_, Option<String>>("status").unwrap_or_else(|| "—".to_owned()),
            is_due: row.get("is_due"),
            asked: row.get("asked"),
            attempts: format!("{attempts}/{max}"),
            generation: row.get("generation"),
            error_message: row.get("error_message"),
            requested_by: row.get::<_, Option<String>>("requested_by").unwrap_or_default(),
            is_running: row.get("is_running"),
            due_in: row.get("due_in"),
            ended: ended.collect::<Result<_, _>>().context("read the history")?,
            time: row.get("time"),
        })
    }

    /// A request stands that is not settled.
    pub(super) fn is_due(&self) -> bool {
        self.is_due
    }

    /// The newest attempt that is known.
    pub(super) fn newest(&self) -> Option<i64> {
        self.ended.iter().map(|ended| ended.id).max()
    }

    /// What this row has shown is not shown again.
    pub(super) fn remember(mut self, before: Option<Self>) -> Self {
        if self.ended.is_empty() {
            self.ended = before.map(|before| before.ended).unwrap_or_default();
        }
        self
    }

    /// What has happened since `before`, oldest first.
    pub(super) fn lines(&self, before: Option<&Self>) -> Vec<String> {
        let was = before.map_or("—", |before| before.status.as_str());
        let seen = before.and_then(|before| before.ended.last()).map_or(0, |ended| ended.id);
        let fresh: Vec<&Ended> = self.ended.iter().filter(|ended| ended.id > seen).collect();
        let is_another = before.is_none_or(|before| before.generation < self.generation);
        let is_asked = self.is_due && is_another;
        let asked = format!("{} by {}", self.asked, self.requested_by);
        let mut lines = Vec::new();
        // Asked for and done between two looks.
        if is_another && !self.is_due && fresh.last().is_some_and(|ended| ended.settled_as != "cancelled") {
            lines.push(self.line(was, was, &asked, None));
        }
        for (nth, ended) in fresh.iter().enumerate() {
            let is_last = nth + 1 == fresh.len() && !is_asked;
            let now = if is_last { self.status.as_str() } else { was };
            let error = ended.error.as_deref().filter(|_| ended.settled_as != "superseded");
            lines.push(self.line(was, now, &self.note(ended), error));
        }
        if is_asked {
            lines.push(self.line(was, &self.status, &asked, None));
        }
        if self.is_running && before.is_none_or(|before| !before.is_running || is_asked) {
            lines.push(self.line(&self.status, &self.status, "runs", None));
        }
        if lines.is_empty() && was != self.status {
            let note = if before.is_none() { "a new row" } else { "changed" };
            lines.push(self.line(was, &self.status, note, None));
        }
        let is_told = before.is_some_and(|before| before.error_message != self.error_message);
        if let (true, true, Some(error)) = (lines.is_empty(), is_told, &self.error_message) {
            lines.push(self.line(was, &self.status, "waits", Some(error)));
        }
        lines
    }

    fn note(&self, ended: &Ended) -> String {
        let took = ended.seconds.map(|seconds| format!(" after {}", in_words(seconds))).unwrap_or_default();
        match (ended.settled_as.as_str(), &ended.told_by) {
            ("retry", _) if self.due_in > 0.0 => format!("did not work{took}, again in {}", in_words(self.due_in)),
            ("superseded", _) => format!("superseded{took}: the request had changed"),
            ("done", Some(who)) => format!("done, told by a {who}"),
            ("done" | "failed", _) => format!("{}{took}", ended.meaning),
            _ => ended.meaning.clone(),
        }
    }

    fn line(&self, was: &str, now: &str, note: &str, error: Option<&str>) -> String {
        let change = if was == now { status(now) } else { format!("{} → {}", status(was), status(now)) };
        let width = if was == now { now.chars().count() } else { (was.chars().count() + now.chars().count()) + 3 };
        let (queue, gap) = (*QUEUE, STATUS.saturating_sub(width));
        let Self { time, label, attempts, .. } = self;
        let name = format!("{:<queue$}", self.queue);
        let line = format!("{}  {name}  {label:<LABEL$}  {change}{:gap$} {attempts:>8}  {note}", dim(time), "");
        error.map_or_else(|| line.clone(), |error| format!("{line}\n{}", aside("", error, dim)))
    }
}
