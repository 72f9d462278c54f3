//! Claiming: due rows become jobs.

use std::time::Duration;

use postgres_types::Json;
use tokio_postgres::Row;
use uuid::Uuid;

use super::policies::seconds;
use super::pool::Link;
use super::queues::Statements;
use super::{Store, StoreError};
use crate::job::Job;

/// What a claim asks for.
#[derive(Debug, Clone, Copy)]
pub struct Claim {
    /// Rows at most.
    pub limit: usize,
    /// The worker that will hold them.
    pub worker: Uuid,
    /// The fence, chosen before the statement is sent: a claim whose answer is lost is repeated under the same token and
    /// gets the same rows.
    pub token: Uuid,
    /// How long the claim holds.
    pub lease: Duration,
    /// Count what runs over all workers first, under the lock on the queue's policy.
    pub bounded: bool,
    /// Due rows to pass over, because they refuse the claim's own write.
    pub skip: i64,
}

const BOUND: &str = include_str!("../../sql/statements/bound.sql");
const TAKEN: &str = include_str!("../../sql/statements/taken.sql");
const TAKE: &str = include_str!("../../sql/statements/take.sql");

impl Store {
    /// Takes due rows of a queue.
    pub async fn claim(&self, statements: &Statements, claim: Claim) -> Result<Vec<Job>, StoreError> {
        let what = || format!("claim up to {} rows of {}", claim.limit, statements.queue);
        self.on_connection(what, async |connection| {
            let rows = if claim.bounded {
                claim_bounded(connection, statements, claim).await?
            } else {
                let limit = i64::try_from(claim.limit).unwrap_or(i64::MAX);
                let lease = claim.lease.as_secs_f64();
                connection.rows(statements.claim, &[&limit, &claim.worker, &claim.token, &lease, &claim.skip]).await?
            };
            rows.iter().map(|row| job(statements.queue, row)).collect()
        })
        .await
    }

    /// Whether a row still asks for what it asked for in this generation, and this claim holds it.
    pub async fn stands(
        &self,
        statements: &Statements,
        key: &str,
        generation: i32,
        token: Uuid,
    ) -> Result<bool, StoreError> {
        let rows = self
            .rows(statements.stands, &[&key, &generation, &token], || {
                format!("look whether a request of {} still stands", statements.queue)
            })
            .await?;
        Ok(rows.first().is_some_and(|row| row.get(0)))
    }

    /// How long until a row of the queue comes due that is not due now, where the queue's claims put rows off.
    pub async fn next_due(&self, statements: &Statements) -> Result<Option<Duration>, StoreError> {
        let Some(next) = statements.next else { return Ok(None) };
        let rows = self.rows(next, &[], || format!("look when {} has the next row due", statements.queue)).await?;
        Ok(rows.first().and_then(|row| row.get::<_, Option<f64>>(0)).map(seconds))
    }
}

/// Claims no more than the slots that all workers together have left, and takes them in the same transaction.
async fn claim_bounded(
    connection: &mut Link,
    statements: &Statements,
    claim: Claim,
) -> Result<Vec<Row>, tokio_postgres::Error> {
    let Claim { worker, token, .. } = claim;
    let queue = statements.queue;
    let lease = claim.lease.as_secs_f64();
    let transaction = connection.transaction().await?;
    let bound = transaction.rows(BOUND, &[&queue]).await?;
    let bound: Option<i32> = bound.first().and_then(|row| row.get(0));
    // A statement of its own, with a snapshot from after the lock.
    let taken = transaction.rows(TAKEN, &[&queue, &token]).await?;
    let taken: i64 = taken.first().map(|row| row.get(0)).unwrap_or_default();
    let limit = i64::try_from(claim.limit).unwrap_or(i64::MAX);
    let limit = bound.map_or(limit, |bound| limit.min(i64::from(bound) - taken));
    if limit <= 0 {
        return Ok(Vec::new());
    }
    let rows = transaction.rows(statements.claim, &[&limit, &worker, &token, &lease, &claim.skip]).await?;
    let keys: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
    let tokens: Vec<Uuid> = rows.iter().map(|row| row.get(7)).collect();
    transaction.rows(TAKE, &[&queue, &keys, &tokens, &worker, &lease]).await?;
    transaction.commit().await?;
    Ok(rows)
}

fn job(queue: &'static str, row: &Row) -> Result<Job, tokio_postgres::Error> {
    let Json(payload) = row.try_get(6)?;
    Ok(Job {
        queue,
        key: row.try_get(0)?,
        generation: row.try_get(1)?,
        token: row.try_get(7)?,
        attempt: row.try_get(2)?,
        max_attempts: row.try_get(3)?,
        uncertain: row.try_get::<_, Option<bool>>(4)?.unwrap_or_default(),
        operation: row.try_get(5)?,
        payload,
    })
}
