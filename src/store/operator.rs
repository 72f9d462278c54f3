//! What an operator sees and does: views read, functions called, nothing else.

use postgres_types::Json;
use serde::Serialize;

use super::parameter::Given;
use super::schedules::operator::Schedule;
use super::{Store, StoreError};

/// One row of `rowcall.queue_health`.
#[derive(Debug, Serialize)]
pub struct Health {
    /// The queue.
    pub queue: String,
    /// Its provider.
    pub target: String,
    /// `open`, `paused` or `breaker open`.
    pub state: String,
    /// Why it is not open.
    pub reason: Option<String>,
    /// Rows that are due now.
    pub asked: i64,
    /// Rows that run.
    pub running: i64,
    /// Rows that wait: for their time, a breaker, a pause.
    pub waiting: i64,
    /// Rows that failed for good.
    pub failed: i64,
    /// Rows that are parked for a person.
    pub unknown: i64,
    /// Seconds since the oldest unfinished request.
    pub oldest_seconds: Option<f64>,
    /// Attempts of the last 24 hours.
    pub attempts_24h: i64,
    /// Share of the last 24 hours' ended requests that got done.
    pub success_percent_24h: Option<f64>,
    /// Median duration of an attempt in the last 24 hours.
    pub duration_p50_seconds: Option<f64>,
    /// 95th percentile of the same.
    pub duration_p95_seconds: Option<f64>,
}

/// One row of `rowcall.work`.
#[derive(Debug, Serialize)]
pub struct Work {
    /// The queue.
    pub queue: String,
    /// The row's key.
    pub key: String,
    /// What people call the row.
    pub label: String,
    /// `asked`, `running`, `waiting`, `failed` or `unknown`.
    pub state: String,
    /// The domain's own status.
    pub status: String,
    /// Attempts spent.
    pub attempts: i32,
    /// Attempts allowed.
    pub max_attempts: i32,
    /// Why it is not done.
    pub reason: Option<String>,
    /// Seconds until the next attempt; negative when due.
    pub next_retry_in_seconds: Option<f64>,
    /// Who asked.
    pub requested_by: Option<String>,
    /// Whether it goes on only when a person decides: it failed, or nobody has told its end for `rowcall.queues.look_after`.
    pub needs_person: bool,
}

/// One worker.
#[derive(Debug, Serialize)]
pub struct WorkerInfo {
    /// The machine.
    pub host: String,
    /// The process.
    pub pid: i32,
    /// The version.
    pub version: String,
    /// What it serves.
    pub queues: Vec<String>,
    /// `alive`, `draining` or `dead`.
    pub state: String,
    /// Seconds since it started.
    pub up_seconds: f64,
}

/// Everything that `rowcall status` shows.
#[derive(Debug, Serialize)]
pub struct Status {
    /// One entry a queue.
    pub queues: Vec<Health>,
    /// One entry a worker.
    pub workers: Vec<WorkerInfo>,
    /// What is asked for and not done, oldest first, at most 50.
    pub work: Vec<Work>,
    /// Every schedule.
    pub schedules: Vec<Schedule>,
}

/// One row of `rowcall.history`.
#[derive(Debug, Serialize)]
pub struct Attempt {
    /// Counts up.
    pub id: i64,
    /// When it was settled, RFC 3339.
    pub settled_at: String,
    /// The queue.
    pub queue: String,
    /// The row's key.
    pub key: String,
    /// Which request of the row.
    pub generation: i32,
    /// Which attempt of the request.
    pub attempt: i32,
    /// A verdict, `superseded`, `lost` or `cancelled`.
    pub settled_as: String,
    /// What that means.
    pub meaning: String,
    /// Why it was not done.
    pub error: Option<String>,
    /// What the provider answered, an excerpt.
    pub response: Option<serde_json::Value>,
    /// How long it took.
    pub duration_seconds: Option<f64>,
    /// Who asked.
    pub requested_by: Option<String>,
}

/// Which attempts to show.
#[derive(Debug, Default)]
pub struct HistoryFilter {
    /// Of this queue only.
    pub queue: Option<String>,
    /// Of this row only.
    pub key: Option<String>,
    /// The newest so many.
    pub limit: i64,
}

impl Store {
    /// The state of all queues and workers, and the work.
    pub async fn status(&self) -> Result<Status, StoreError> {
        let what = || "read the status".to_owned();
        let queues = self.rows(include_str!("../../sql/statements/status_queues.sql"), &[], what).await?;
        let workers = self.rows(include_str!("../../sql/statements/status_workers.sql"), &[], what).await?;
        let work = self.rows(include_str!("../../sql/statements/status_work.sql"), &[], what).await?;
        Ok(Status {
            queues: queues.iter().map(health).collect(),
            workers: workers.iter().map(worker).collect(),
            work: work.iter().map(work_row).collect(),
            schedules: self.schedules().await?,
        })
    }

    /// The newest attempts that match, oldest first.
    pub async fn history(&self, filter: &HistoryFilter) -> Result<Vec<Attempt>, StoreError> {
        let rows = self
            .rows(
                include_str!("../../sql/statements/history.sql"),
                &[&filter.queue, &filter.key, &filter.limit],
                || "read the history".to_owned(),
            )
            .await?;
        Ok(rows.iter().map(attempt).collect())
    }

    /// `rowcall.retry(queue, key)`; the answer in words.
    pub async fn retry(&self, queue: &str, key: &str) -> Result<String, StoreError> {
        self.said("select to_jsonb(rowcall.retry($1, $2))", &[&queue, &key], "retry a row").await
    }

    /// `rowcall.cancel(queue, key)`; the answer in words.
    pub async fn cancel(&self, queue: &str, key: &str) -> Result<String, StoreError> {
        self.said("select to_jsonb(rowcall.cancel($1, $2))", &[&queue, &key], "cancel a row").await
    }

    /// `rowcall.resolve(queue, key, verdict, note)`; the answer in words.
    pub async fn resolve(&self, queue: &str, key: &str, verdict: &str, note: &str) -> Result<String, StoreError> {
        self.said("select to_jsonb(rowcall.resolve($1, $2, $3, $4))", &[&queue, &key, &verdict, &note], "resolve a row")
            .await
    }

    /// `rowcall.pause(queue, reason)`; the answer in words.
    pub async fn pause(&self, queue: &str, reason: &str) -> Result<String, StoreError> {
        self.said("select to_jsonb(rowcall.pause($1, $2))", &[&queue, &reason], "pause a queue").await
    }

    /// `rowcall.resume(queue)`; the answer in words.
    pub async fn resume(&self, queue: &str) -> Result<String, StoreError> {
        self.said("select to_jsonb(rowcall.resume($1))", &[&queue], "resume a queue").await
    }

    /// What a function of the operator's answers, in words.
    pub(super) async fn said(&self, sql: &str, given: Given<'_>, what: &'static str) -> Result<String, StoreError> {
        let answer = self.change(sql, given, what).await?;
        Ok(answer.as_str().unwrap_or_default().to_owned())
    }
}

fn health(row: &tokio_postgres::Row) -> Health {
    Health {
        queue: row.get("queue"),
        target: row.get("target"),
        state: row.get("state"),
        reason: row.get("reason"),
        asked: row.get("asked"),
        running: row.get("running"),
        waiting: row.get("waiting"),
        failed: row.get("failed"),
        unknown: row.get("unknown"),
        oldest_seconds: row.get("oldest_seconds"),
        attempts_24h: row.get("attempts_24h"),
        success_percent_24h: row.get("success_percent_24h"),
        duration_p50_seconds: row.get("duration_p50_seconds"),
        duration_p95_seconds: row.get("duration_p95_seconds"),
    }
}

fn worker(row: &tokio_postgres::Row) -> WorkerInfo {
    WorkerInfo {
        host: row.get("host"),
        pid: row.get("pid"),
        version: row.get("version"),
        queues: row.get("queues"),
        state: row.get("state"),
        up_seconds: row.get("up_seconds"),
    }
}

fn work_row(row: &tokio_postgres::Row) -> Work {
    Work {
        queue: row.get("queue"),
        key: row.get("key"),
        label: row.get("label"),
        state: row.get("state"),
        status: row.get("status"),
        attempts: row.get("attempts"),
        max_attempts: row.get("max_attempts"),
        reason: row.get("reason"),
        next_retry_in_seconds: row.get("next_retry_in_seconds"),
        needs_person: row.get("needs_person"),
        requested_by: row.get("requested_by"),
    }
}

fn attempt(row: &tokio_postgres::Row) -> Attempt {
    Attempt {
        id: row.get("id"),
        settled_at: row.get("settled_at"),
        queue: row.get("queue"),
        key: row.get("key"),
        generation: row.get("generation"),
        attempt: row.get("attempt"),
        settled_as: row.get("settled_as"),
        meaning: row.get("meaning"),
        error: row.get("error"),
        response: row.get::<_, Option<Json<serde_json::Value>>>("response").map(|Json(value)| value),
        duration_seconds: row.get("duration_seconds"),
        requested_by: row.get("requested_by"),
    }
}
