//! The tail: one line for each change of a row, as it happens.
//!
//! It listens to the same bell as the worker and looks by itself now and then, because a bell rings for requests and not
//! for outcomes. It only reads.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures_util::StreamExt;
use futures_util::stream::poll_fn;
use jiff::Timestamp;
use postgres_types::Json;
use serde::Deserialize;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_postgres::{AsyncMessage, Client};

use super::style::{WIDTH, dim, say, status, wrap};
use crate::store::connect::Database;

/// Between two looks without a bell.
const LOOK: Duration = Duration::from_millis(250);

/// Where an error begins, in the line below.
const ERROR: usize = 28;

/// What stands above the lines.
pub(super) const HEADER: &str = "time      code             status                attempts";

/// Attempts are written by more than one hand, so their numbers may come to light in another order.
const LOOK_BACK: i64 = 100;

/// What is known of the rows.
pub(super) struct Tail {
    client: Client,
    bell: Arc<Notify>,
    known: HashMap<String, Change>,
    looked_at: Option<Timestamp>,
    newest: i64,
}

/// A row as it is now.
#[derive(Debug)]
struct Change {
    code: String,
    status: String,
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
    seconds: Option<f64>,
}

impl Tail {
    /// A tail that knows how everything stands now, and shows what comes from now on.
    pub(super) async fn start(database: &Database) -> anyhow::Result<Self> {
        let (client, mut connection) = database.connect().await.context("connect to the demo's database")?;
        let bell = Arc::new(Notify::new());
        let ring = Arc::clone(&bell);
        tokio::spawn(async move {
            let mut messages = poll_fn(move |context| connection.poll_message(context));
            while let Some(Ok(message)) = messages.next().await {
                if matches!(message, AsyncMessage::Notification(_)) {
                    ring.notify_one();
                }
            }
        });
        client.batch_execute("listen rowcall").await.context("listen to the bell")?;
        let mut tail = Self { client, bell, known: HashMap::new(), looked_at: None, newest: 0 };
        tail.look(|_| Ok(())).await?;
        Ok(tail)
    }

    /// Shows changes for ever.
    pub(super) async fn follow(&mut self) -> anyhow::Result<()> {
        loop {
            let _ = timeout(LOOK, self.bell.notified()).await;
            self.look(|line| Ok(say(line)?)).await?;
        }
    }

    /// Shows changes until no row has a request that is not settled.
    pub(super) async fn until_settled(&mut self) -> anyhow::Result<()> {
        while self.known.is_empty() || self.known.values().any(Change::is_due) {
            let _ = timeout(LOOK, self.bell.notified()).await;
            self.look(|line| Ok(say(line)?)).await?;
        }
        Ok(())
    }

    async fn look(&mut self, mut show: impl FnMut(&str) -> anyhow::Result<()>) -> anyhow::Result<()> {
        const SQL: &str = include_str!("../../../sql/demo/changes.sql");
        let after = self.newest - LOOK_BACK;
        let rows = self.client.query(SQL, &[&self.looked_at, &after]).await.context("look at the codes")?;
        let mut newest = self.newest;
        for row in &rows {
            self.looked_at = Some(row.get("looked_at"));
            let key: String = row.get("key");
            let mut change = Change::of(row)?;
            newest = change.ended.iter().map(|ended| ended.id).fold(newest, i64::max);
            let before = self.known.get(&key);
            for line in change.lines(before) {
                show(&line)?;
            }
            // What this row has shown is not shown again.
            if change.ended.is_empty() {
                change.ended = self.known.remove(&key).map(|before| before.ended).unwrap_or_default();
            }
            self.known.insert(key, change);
        }
        self.newest = newest;
        Ok(())
    }
}

impl Change {
    fn of(row: &tokio_postgres::Row) -> anyhow::Result<Self> {
        let ended: Vec<Json<serde_json::Value>> = row.get("ended");
        let ended = ended.into_iter().map(|Json(ended)| serde_json::from_value(ended));
        let (attempts, max): (i32, i32) = (row.get("attempts"), row.get("max_attempts"));
        Ok(Self {
            code: row.get("code"),
            status: row.get("status"),
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

    fn is_due(&self) -> bool {
        ["creating", "updating", "deleting", "renaming"].contains(&self.status.as_str())
    }

    /// What has happened since `before`, oldest first.
    fn lines(&self, before: Option<&Self>) -> Vec<String> {
        let was = before.map_or("—", |before| before.status.as_str());
        let seen = before.and_then(|before| before.ended.last()).map_or(0, |ended| ended.id);
        let fresh: Vec<&Ended> = self.ended.iter().filter(|ended| ended.id > seen).collect();
        let is_asked = self.is_due() && before.is_none_or(|before| before.generation < self.generation);
        let mut lines = Vec::new();
        for (nth, ended) in fresh.iter().enumerate() {
            let is_last = nth + 1 == fresh.len() && !is_asked;
            let now = if is_last { self.status.as_str() } else { was };
            let error = ended.error.as_deref().filter(|_| ended.settled_as != "superseded");
            lines.push(self.line(was, now, &self.note(ended), error));
        }
        if is_asked {
            lines.push(self.line(was, &self.status, &format!("asked for by {}", self.requested_by), None));
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
        let took = ended.seconds.map(|seconds| format!(" after {seconds:.1} s")).unwrap_or_default();
        match ended.settled_as.as_str() {
            "retry" if self.due_in > 0.0 => format!("did not work{took}, again in {:.0} s", self.due_in),
            "superseded" => format!("superseded{took}: the request had changed"),
            _ => format!("{}{took}", ended.meaning),
        }
    }

    fn line(&self, was: &str, now: &str, note: &str, error: Option<&str>) -> String {
        let change = if was == now { status(now) } else { format!("{} → {}", status(was), status(now)) };
        let width = if was == now { now.chars().count() } else { (was.chars().count() + now.chars().count()) + 3 };
        let gap = " ".repeat(21_usize.saturating_sub(width));
        let mut line = format!("{}  {:<16} {change}{gap} {:>6}  {note}", dim(&self.time), self.code, self.attempts);
        for part in error.into_iter().flat_map(|error| wrap(error, usize::from(WIDTH) - ERROR)) {
            let _ = write!(line, "\n{:ERROR$}{}", "", dim(&part));
        }
        line
    }
}
