//! Whether a pooler in transaction mode is in between, which lends a server process for one transaction only.
//!
//! The address can say it. Else it is found out: that two statements of one connection met different processes, or that
//! another connection has ours, proves it. That neither was seen proves nothing, so the bell tests itself, and a prepared
//! statement that is gone is understood.

use std::pin::pin;
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::{Client, Error};
use tracing::debug;

use super::chain;
use super::connect::Database;

/// How long a server process is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// As long as the connection: it goes to the server, or through a pooler in session mode.
    Session,
    /// For one transaction.
    Transaction,
}

/// The port of Supabase's pooler in transaction mode, and the usual one of PgBouncer's beside a server on 5432.
pub(super) const POOLER_PORT: u16 = 6543;

/// Looks that must all see nothing: somebody else may have taken our process just when we looked for another to have it.
const LOOKS: usize = 3;

/// A pooler with a single process left has none for a second transaction.
const LOOK_MAX: Duration = Duration::from_secs(2);

/// Who waited for a process has it this soon after it is free.
const FREED_MAX: Duration = Duration::from_millis(500);

/// Nobody's start waits longer for a look.
const ALL_MAX: Duration = Duration::from_secs(15);

impl Database {
    /// Whether sessions are ours: as the address says, else by looking.
    pub async fn look_for_pooler(&self) -> Result<Pooling, Error> {
        match self.pooling() {
            Some(pooling) => Ok(pooling),
            None => look(self).await,
        }
    }

    /// The same database, with what is known of it now. Where it does not answer, its sessions count as ours.
    #[must_use]
    pub async fn looked_at(self) -> Self {
        let found = timeout(ALL_MAX, self.look_for_pooler()).await;
        match &found {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => debug!(error = chain(error), "Nobody answered who looked for a pooler"),
            Err(_) => debug!("The look for a pooler took too long"),
        }
        self.with_pooling(found.ok().and_then(Result::ok))
    }
}

/// A pooler gives the process that was used last to whoever comes next, or each in turn: another client takes one and holds it
/// in a transaction, and the first, if it is pooled, gets another.
async fn look(database: &Database) -> Result<Pooling, Error> {
    let (client, mut other) = (database.client().await?, database.client().await?);
    let ours = process(&client).await?;
    for _ in 0..LOOKS {
        if process(&client).await? != ours {
            return Ok(Pooling::Transaction);
        }
        let held = other.transaction().await?;
        if process(held.client()).await? == ours {
            return Ok(Pooling::Transaction);
        }
        let mut asked = pin!(process(&client));
        match timeout(LOOK_MAX, &mut asked).await {
            Ok(Ok(found)) if found != ours => return Ok(Pooling::Transaction),
            Ok(found) => {
                found?;
                held.rollback().await?;
            }
            Err(_) => {
                // The server is slow for everybody, or this waits for the one process, which we hold.
                let is_quick = timeout(LOOK_MAX, process(held.client())).await.is_ok_and(|answer| answer.is_ok());
                let waits = is_quick && timeout(FREED_MAX, &mut asked).await.is_err();
                held.rollback().await?;
                let is_freed = waits && timeout(FREED_MAX, asked).await.is_ok_and(|answer| answer.is_ok());
                return Ok(if is_freed { Pooling::Transaction } else { Pooling::Session });
            }
        }
    }
    Ok(Pooling::Session)
}

async fn process(client: &Client) -> Result<i32, Error> {
    Ok(client.query_typed_one("select pg_backend_pid()", &[]).await?.get(0))
}
