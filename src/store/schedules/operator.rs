//! What an operator sees of schedules and does with them: a view read, functions called, nothing else.

use serde::Serialize;
use tokio_postgres::Row;
use utoipa::ToSchema;

use crate::store::{Store, StoreError};

/// One schedule, as `rowcall.schedule_health` has it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Schedule {
    /// What it is called.
    pub name: String,
    /// What it is for.
    #[schema(required = true)]
    pub description: Option<String>,
    /// Its times.
    pub cron: String,
    /// In which its times are read.
    pub time_zone: String,
    /// `ok`, `running`, `paused`, `unread`, `failing`, `overdue` or `broken`.
    pub state: String,
    /// Why it is not `ok`.
    #[schema(required = true)]
    pub reason: Option<String>,
    /// RFC 3339; none while it rests.
    #[schema(required = true)]
    pub next_run_at: Option<String>,
    /// How its last run ended.
    #[schema(required = true)]
    pub last_status: Option<String>,
    /// When its last run began, RFC 3339.
    #[schema(required = true)]
    pub last_began_at: Option<String>,
    /// How long its last run took.
    #[schema(required = true)]
    pub last_duration_seconds: Option<f64>,
    /// How many rows its last run returned or changed.
    #[schema(required = true)]
    pub last_rows: Option<i64>,
    /// The first row that its last run returned, an excerpt.
    #[schema(required = true)]
    pub last_result: Option<String>,
    /// Why its last run was not done.
    #[schema(required = true)]
    pub last_error: Option<String>,
    /// Runs of the last 24 hours.
    pub runs_24h: i64,
    /// Those of them that were not done.
    pub not_done_24h: i64,
}

/// One run of a schedule.
#[derive(Debug, Serialize, ToSchema)]
pub struct PastRun {
    /// Counts up.
    pub id: i64,
    /// The schedule's name.
    pub schedule: String,
    /// `running`, `done`, `failed`, `lost`, `interrupted`, `refused` or `missed`.
    pub status: String,
    /// The time that it ran for, RFC 3339; none when somebody asked for it.
    #[schema(required = true)]
    pub scheduled_for: Option<String>,
    /// Who asked for it.
    #[schema(required = true)]
    pub asked_by: Option<String>,
    /// When it began, RFC 3339.
    pub began_at: String,
    /// How long it took.
    #[schema(required = true)]
    pub duration_seconds: Option<f64>,
    /// How many rows it returned or changed.
    #[schema(required = true)]
    pub rows: Option<i64>,
    /// The first row that it returned, an excerpt.
    #[schema(required = true)]
    pub result: Option<String>,
    /// Why it was not done.
    #[schema(required = true)]
    pub error: Option<String>,
}

/// How many schedules need a look, for who watches from outside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Trouble {
    /// Due for more than a minute.
    pub overdue: i64,
    /// Their last run was not done.
    pub failing: i64,
    /// Their cron text or time zone cannot be read.
    pub broken: i64,
}

impl Store {
    /// Every schedule.
    pub async fn schedules(&self) -> Result<Vec<Schedule>, StoreError> {
        const SQL: &str = include_str!("../../../sql/statements/schedules.sql");
        let rows = self.rows(SQL, &[], || "read the schedules".to_owned()).await?;
        Ok(rows.iter().map(schedule).collect())
    }

    /// The newest runs, of one schedule where that is named, oldest first. A name that nothing has is refused.
    pub async fn schedule_runs(&self, name: Option<&str>, limit: i64) -> Result<Vec<PastRun>, StoreError> {
        const SQL: &str = include_str!("../../../sql/statements/schedule_runs.sql");
        let rows = self.rows(SQL, &[&name, &limit], || "read the runs of schedules".to_owned()).await?;
        if let (Some(name), true) = (name, rows.is_empty()) {
            self.rows("select rowcall.known_schedule($1)", &[&name], || format!("look for the schedule {name}"))
                .await?;
        }
        Ok(rows.iter().map(past_run).collect())
    }

    /// How many schedules need a look.
    pub async fn schedule_trouble(&self) -> Result<Trouble, StoreError> {
        const SQL: &str = include_str!("../../../sql/statements/schedule_trouble.sql");
        let rows = self.rows(SQL, &[], || "count the schedules that need a look".to_owned()).await?;
        let count =
            |row: &Row| Trouble { overdue: row.get("overdue"), failing: row.get("failing"), broken: row.get("broken") };
        Ok(rows.first().map(count).unwrap_or_default())
    }

    /// `rowcall.run_schedule(name)`; the answer in words.
    pub async fn run_schedule(&self, name: &str) -> Result<String, StoreError> {
        self.said("select to_jsonb(rowcall.run_schedule($1))", &[&name], "run a schedule").await
    }

    /// `rowcall.pause_schedule(name, reason)`; the answer in words.
    pub async fn pause_schedule(&self, name: &str, reason: &str) -> Result<String, StoreError> {
        self.said("select to_jsonb(rowcall.pause_schedule($1, $2))", &[&name, &reason], "pause a schedule").await
    }

    /// `rowcall.resume_schedule(name)`; the answer in words.
    pub async fn resume_schedule(&self, name: &str) -> Result<String, StoreError> {
        self.said("select to_jsonb(rowcall.resume_schedule($1))", &[&name], "resume a schedule").await
    }
}

fn schedule(row: &Row) -> Schedule {
    Schedule {
        name: row.get("name"),
        description: row.get("description"),
        cron: row.get("cron"),
        time_zone: row.get("time_zone"),
        state: row.get("state"),
        reason: row.get("reason"),
        next_run_at: row.get("next_run_at"),
        last_status: row.get("last_status"),
        last_began_at: row.get("last_began_at"),
        last_duration_seconds: row.get("last_duration_seconds"),
        last_rows: row.get("last_rows"),
        last_result: row.get("last_result"),
        last_error: row.get("last_error"),
        runs_24h: row.get("runs_24h"),
        not_done_24h: row.get("not_done_24h"),
    }
}

fn past_run(row: &Row) -> PastRun {
    PastRun {
        id: row.get("id"),
        schedule: row.get("schedule"),
        status: row.get("status"),
        scheduled_for: row.get("scheduled_for"),
        asked_by: row.get("asked_by"),
        began_at: row.get("began_at"),
        duration_seconds: row.get("duration_seconds"),
        rows: row.get("rows"),
        result: row.get("result"),
        error: row.get("error"),
    }
}
