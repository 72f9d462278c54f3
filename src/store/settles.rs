//! Settling: outcomes become rows, many in one fenced statement.

use std::time::Duration;

use tokio_postgres::types::Json;

use super::queues::Statements;
use super::{Store, StoreError};
use crate::job::Job;
use crate::outcome::Outcome;

/// An outcome on its way back to its row.
#[derive(Debug)]
pub struct Settlement {
    /// The job that it is the outcome of.
    pub job: Job,
    /// What it came to.
    pub outcome: Outcome,
    /// How long to wait before the next attempt, where there is one.
    pub delay: Duration,
    /// How long the operation took; `None` when it was not started, which history does not keep.
    pub duration: Option<Duration>,
}

/// How one row was settled.
#[derive(Debug, PartialEq, Eq)]
pub struct Settled {
    /// The row's key.
    pub key: String,
    /// A verdict, `superseded`, or `lost` when the claim was no longer ours.
    pub settled_as: String,
}

impl Store {
    /// Writes outcomes back. A settlement whose key is not in the answer met a locked row: try it again.
    pub async fn settle(&self, statements: &Statements, batch: &[Settlement]) -> Result<Vec<Settled>, StoreError> {
        let keys: Vec<&str> = batch.iter().map(|s| s.job.key.as_str()).collect();
        let generations: Vec<i32> = batch.iter().map(|s| s.job.generation).collect();
        let tokens: Vec<uuid::Uuid> = batch.iter().map(|s| s.job.token).collect();
        let verdicts: Vec<&str> = batch.iter().map(|s| s.outcome.verdict.as_str()).collect();
        let delays: Vec<f64> = batch.iter().map(|s| s.delay.as_secs_f64()).collect();
        let results: Vec<Option<Json<&serde_json::Value>>> =
            batch.iter().map(|s| s.outcome.result.as_ref().map(Json)).collect();
        let errors: Vec<Option<&str>> = batch.iter().map(|s| s.outcome.error.as_deref()).collect();
        let durations: Vec<Option<f64>> = batch.iter().map(|s| s.duration.map(|d| d.as_secs_f64())).collect();
        let uncertains: Vec<bool> = batch.iter().map(|s| s.outcome.uncertain).collect();
        let attempts: Vec<i32> = batch.iter().map(|s| s.job.attempt).collect();
        let rows = self
            .rows(
                statements.settle,
                &[
                    &keys,
                    &generations,
                    &tokens,
                    &verdicts,
                    &delays,
                    &results,
                    &errors,
                    &durations,
                    &uncertains,
                    &attempts,
                ],
                || format!("settle {} rows of {}", batch.len(), statements.queue),
            )
            .await?;
        Ok(rows.iter().map(|row| Settled { key: row.get(0), settled_as: row.get(1) }).collect())
    }
}
