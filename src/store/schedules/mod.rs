//! Schedules: what the scheduler asks of the database, from the time that comes next to how a run ended.
//!
//! A run is taken, and that is committed, before its statement begins; so a time is run at most once.

pub mod operator;
pub mod run;

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::policies::seconds;
use super::{Store, StoreError};

/// A schedule whose next time is to be worked out.
#[derive(Debug, Clone)]
pub struct Unplanned {
    id: i64,
    plan: String,
    /// The cron text, as its author wrote it.
    pub cron: String,
    /// The name of the time zone, as its author wrote it.
    pub zone: String,
    /// It rests: that it can be read is all that counts.
    pub paused: bool,
    /// The time is to be later than this.
    pub after: Timestamp,
}

/// What was worked out of one: the next time, none for one that rests, or why it cannot be read.
pub type Planned = Result<Option<Timestamp>, String>;

/// A run that this worker took.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its number.
    pub id: i64,
    /// The schedule's name.
    pub schedule: String,
    /// What to run.
    pub statement: String,
    /// Whether the statement and the record of its end commit together.
    pub atomic: bool,
    /// How long it may take.
    pub timeout: Duration,
    /// The fence: its end is written down only while it is held under this.
    pub token: Uuid,
}

/// What a claim came to.
#[derive(Debug, Default)]
pub struct Taken {
    /// To be run.
    pub runs: Vec<Run>,
    /// Names of schedules whose time came and is not run, and why: `refused` or `missed`.
    pub passed: Vec<(String, String)>,
}

/// A run that somebody else's death cut off.
#[derive(Debug)]
pub struct LostRun {
    /// Its number.
    pub id: i64,
    /// The schedule's name.
    pub schedule: String,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It did what it should.
    Done(Answer),
    /// It did not; why, in words for the person who looks at the run.
    Failed(String),
    /// The worker had to stop it, or did not begin it.
    Interrupted {
        /// Why.
        reason: String,
        /// Whether nothing of it took effect, so that it can be run again.
        is_undone: bool,
    },
}

/// What a statement answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Rows that its last part returned or changed.
    pub rows: Option<i64>,
    /// The first row that its last part returned, an excerpt.
    pub result: Option<String>,
}

const SETTLE: &str = include_str!("../../../sql/statements/settle_run.sql");

impl Store {
    /// Schedules whose next time is to be worked out; with `unreadable` also those that could not be read before.
    pub async fn unplanned(&self, unreadable: bool) -> Result<Vec<Unplanned>, StoreError> {
        const SQL: &str = include_str!("../../../sql/statements/unplanned.sql");
        let rows = self.rows(SQL, &[&unreadable], || "look for schedules to plan".to_owned()).await?;
        let read = |row: &tokio_postgres::Row| Unplanned {
            id: row.get("id"),
            plan: row.get("plan"),
            cron: row.get("cron"),
            zone: row.get("time_zone"),
            paused: row.get("paused"),
            after: row.get("after"),
        };
        Ok(rows.iter().map(read).collect())
    }

    /// Writes down what was worked out. Returns whether all of them are planned: a row that somebody holds locked is not.
    pub async fn plan(&self, planned: &[(Unplanned, Planned)]) -> Result<bool, StoreError> {
        const SQL: &str = include_str!("../../../sql/statements/plan.sql");
        let ids: Vec<i64> = planned.iter().map(|(schedule, _)| schedule.id).collect();
        let plans: Vec<&str> = planned.iter().map(|(schedule, _)| schedule.plan.as_str()).collect();
        let times: Vec<Option<Timestamp>> = planned.iter().map(|(_, planned)| planned.clone().ok().flatten()).collect();
        let problems: Vec<Option<&str>> =
            planned.iter().map(|(_, planned)| planned.as_ref().err().map(String::as_str)).collect();
        let rows =
            self.rows(SQL, &[&ids, &plans, &times, &problems], || format!("plan {} schedules", ids.len())).await?;
        let settled: i64 = rows.first().map(|row| row.get(0)).unwrap_or_default();
        Ok(usize::try_from(settled).is_ok_and(|settled| settled == planned.len()))
    }

    /// Ends runs that nobody runs any more, and the sessions that they left behind.
    pub async fn lose_runs(&self) -> Result<Vec<LostRun>, StoreError> {
        const SQL: &str = include_str!("../../../sql/statements/lose_runs.sql");
        let rows = self.rows(SQL, &[], || "look for runs that were cut off".to_owned()).await?;
        Ok(rows.iter().map(|row| LostRun { id: row.get("id"), schedule: row.get("schedule") }).collect())
    }

    /// Takes up to `limit` schedules that are due. The same token gives the same runs again.
    pub async fn claim_runs(&self, limit: usize, worker: Uuid, token: Uuid) -> Result<Taken, StoreError> {
        const SQL: &str = include_str!("../../../sql/statements/claim_runs.sql");
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self.rows(SQL, &[&limit, &worker, &token], || "take due schedules".to_owned()).await?;
        let mut answer = Taken::default();
        for row in rows {
            let (schedule, status): (String, String) = (row.get("schedule"), row.get("status"));
            if status != "running" {
                answer.passed.push((schedule, status));
                continue;
            }
            answer.runs.push(Run {
                id: row.get("id"),
                schedule,
                statement: row.get("statement"),
                atomic: row.get("atomic"),
                timeout: seconds(row.get("timeout")),
                token,
            });
        }
        Ok(answer)
    }

    /// Writes down how a run ended. `false` when it was not this worker's to write down any more.
    pub async fn settle_run(&self, run: &Run, end: &End) -> Result<bool, StoreError> {
        const GIVE_BACK: &str = include_str!("../../../sql/statements/give_back_run.sql");
        let what = || format!("write down the end of run {} of {}", run.id, run.schedule);
        let (status, answer, error) = match end {
            End::Done(answer) => ("done", answer.clone(), None),
            End::Failed(error) => ("failed", Answer::default(), Some(error)),
            End::Interrupted { reason, is_undone } => {
                let rows = self.rows(GIVE_BACK, &[&run.id, &run.token, reason, is_undone], what).await?;
                return Ok(!rows.is_empty());
            }
        };
        let Answer { rows, result } = answer;
        let rows = self.rows(SETTLE, &[&run.id, &run.token, &status, &rows, &result, &error, &false], what).await?;
        Ok(!rows.is_empty())
    }

    /// How long until the next schedule is due; negative is now.
    pub async fn next_run_in(&self) -> Result<Option<Duration>, StoreError> {
        const SQL: &str = include_str!("../../../sql/statements/next_run.sql");
        let rows = self.rows(SQL, &[], || "look when the next schedule is due".to_owned()).await?;
        Ok(rows.first().and_then(|row| row.get::<_, Option<f64>>(0)).map(seconds))
    }

    /// Removes runs past their time, a batch at a time. Returns how many went.
    pub async fn prune_runs(&self) -> Result<u64, StoreError> {
        const SQL: &str = include_str!("../../../sql/statements/prune_runs.sql");
        self.on_connection(
            || "prune the runs of schedules".to_owned(),
            async |connection| connection.execute(SQL).await,
        )
        .await
    }
}
