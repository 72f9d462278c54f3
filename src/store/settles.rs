//! Settling: outcomes become rows, many in one fenced statement.

use std::collections::HashMap;
use std::time::Duration;

use postgres_types::Json;
use tokio_postgres::Row;
use uuid::Uuid;

use super::parameter::Given;
use super::pool::Link;
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

const RELEASE: &str = include_str!("../../sql/statements/release.sql");

impl Store {
    /// Writes outcomes back. A settlement whose key is not in the answer met a locked row: try it again.
    ///
    /// `bounded` gives back the slots that the claims took over all workers, in the same transaction.
    pub async fn settle(
        &self,
        statements: &Statements,
        batch: &[Settlement],
        bounded: bool,
    ) -> Result<Vec<Settled>, StoreError> {
        let what = || format!("settle {} rows of {}", batch.len(), statements.queue);
        self.on_connection(what, async |connection| settle_on(connection, statements, batch, bounded).await).await
    }

    /// Gives back the slot of a row whose outcome cannot be written at all.
    pub async fn release(&self, queue: &str, key: &str, token: Uuid) -> Result<(), StoreError> {
        let (keys, tokens) = (vec![key], vec![token]);
        self.rows(RELEASE, &[&queue, &keys, &tokens], || format!("release a slot of {queue}")).await?;
        Ok(())
    }
}

async fn settle_on(
    connection: &mut Link,
    statements: &Statements,
    batch: &[Settlement],
    bounded: bool,
) -> Result<Vec<Settled>, tokio_postgres::Error> {
    let keys: Vec<&str> = batch.iter().map(|s| s.job.key.as_str()).collect();
    let generations: Vec<i32> = batch.iter().map(|s| s.job.generation).collect();
    let tokens: Vec<Uuid> = batch.iter().map(|s| s.job.token).collect();
    let verdicts: Vec<&str> = batch.iter().map(|s| s.outcome.verdict.as_str()).collect();
    let delays: Vec<f64> = batch.iter().map(|s| s.delay.as_secs_f64()).collect();
    let results: Vec<Option<Json<&serde_json::Value>>> =
        batch.iter().map(|s| s.outcome.result.as_ref().map(Json)).collect();
    let errors: Vec<Option<&str>> = batch.iter().map(|s| s.outcome.error.as_deref()).collect();
    let durations: Vec<Option<f64>> = batch.iter().map(|s| s.duration.map(|d| d.as_secs_f64())).collect();
    let uncertains: Vec<bool> = batch.iter().map(|s| s.outcome.uncertain).collect();
    let attempts: Vec<i32> = batch.iter().map(|s| s.job.attempt).collect();
    let given: Given<'_> =
        &[&keys, &generations, &tokens, &verdicts, &delays, &results, &errors, &durations, &uncertains, &attempts];
    if !bounded {
        return Ok(settled(&connection.rows(statements.settle, given).await?));
    }
    let transaction = connection.transaction().await?;
    let settled = settled(&transaction.rows(statements.settle, given).await?);
    let token_of: HashMap<&str, Uuid> = batch.iter().map(|s| (s.job.key.as_str(), s.job.token)).collect();
    let keys: Vec<&str> = settled.iter().map(|s| s.key.as_str()).collect();
    let tokens: Vec<Uuid> = keys.iter().filter_map(|key| token_of.get(key).copied()).collect();
    transaction.rows(RELEASE, &[&statements.queue, &keys, &tokens]).await?;
    transaction.commit().await?;
    Ok(settled)
}

fn settled(rows: &[Row]) -> Vec<Settled> {
    rows.iter().map(|row| Settled { key: row.get(0), settled_as: row.get(1) }).collect()
}
