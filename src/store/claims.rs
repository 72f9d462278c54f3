//! Claiming: due rows become jobs.

use std::time::Duration;

use deadpool_postgres::Object;
use tokio_postgres::types::Json;
use uuid::Uuid;

use super::queues::Statements;
use super::{Store, StoreError, rows_on};
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
}

const BOUND: &str = include_str!("../../sql/statements/bound.sql");

impl Store {
    /// Takes due rows of a queue.
    pub async fn claim(&self, statements: &Statements, claim: Claim) -> Result<Vec<Job>, StoreError> {
        let what = || format!("claim up to {} rows of {}", claim.limit, statements.queue);
        let mut connection = self.connection(what).await?;
        let rows = if claim.bounded {
            claim_bounded(&mut connection, statements, claim).await
        } else {
            claim_on(&connection, statements, claim).await
        };
        rows.map_err(|e| StoreError { what: what(), source: e.into() })
    }
}

async fn claim_bounded(
    connection: &mut Object,
    statements: &Statements,
    claim: Claim,
) -> Result<Vec<Job>, tokio_postgres::Error> {
    let transaction = connection.transaction().await?;
    let bound = transaction.prepare_cached(BOUND).await?;
    transaction.query(&bound, &[&statements.queue]).await?;
    let statement = transaction.prepare_cached(statements.claim).await?;
    let lease = claim.lease.as_secs_f64();
    let limit = i64::try_from(claim.limit).unwrap_or(i64::MAX);
    let rows = transaction.query(&statement, &[&limit, &claim.worker, &claim.token, &lease]).await?;
    transaction.commit().await?;
    rows.iter().map(|row| job(statements.queue, row)).collect()
}

async fn claim_on(
    connection: &Object,
    statements: &Statements,
    claim: Claim,
) -> Result<Vec<Job>, tokio_postgres::Error> {
    let lease = claim.lease.as_secs_f64();
    let limit = i64::try_from(claim.limit).unwrap_or(i64::MAX);
    let rows = rows_on(connection, statements.claim, &[&limit, &claim.worker, &claim.token, &lease]).await?;
    rows.iter().map(|row| job(statements.queue, row)).collect()
}

fn job(queue: &'static str, row: &tokio_postgres::Row) -> Result<Job, tokio_postgres::Error> {
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
