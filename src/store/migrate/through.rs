//! How migrations reach a database through which no session is ours: each transaction brings what a session would have kept.

use refinery::{AsyncMigrate, Migration};
use refinery_core::traits::r#async::{AsyncQuery, AsyncTransaction};
use tokio_postgres::{Client, Transaction};

use super::LOCK_TIMEOUT;
use crate::store::parameter::typed;

/// One migrate at a time on a database ("rowcall" in ASCII).
const LOCK: i64 = 0x0072_6f77_6361_6c6c;

/// Takes the lock of migrations, for as long as the transaction lives. It rests meanwhile.
pub(super) async fn lock(keeper: &mut Client) -> Result<Transaction<'_>, tokio_postgres::Error> {
    let held = keeper.transaction().await?;
    held.batch_execute("set local idle_in_transaction_session_timeout = 0; set local statement_timeout = 0").await?;
    held.execute_typed("select pg_advisory_xact_lock($1)", &typed(&[&LOCK])).await?;
    Ok(held)
}

/// A connection by which migrations are applied, each transaction with the lock timeout: a session's own would be somebody
/// else's by the next transaction.
pub(super) struct Through<'a>(pub(super) &'a mut Client);

impl AsyncTransaction for Through<'_> {
    type Error = tokio_postgres::Error;

    async fn execute<'a, T: Iterator<Item = &'a str> + Send + 'a>(
        &'a mut self,
        queries: T,
    ) -> Result<usize, Self::Error> {
        AsyncTransaction::execute(self.0, std::iter::once(LOCK_TIMEOUT).chain(queries)).await
    }
}

impl AsyncQuery<Vec<Migration>> for Through<'_> {
    async fn query<'a>(&'a mut self, query: &'a str) -> Result<Vec<Migration>, Self::Error> {
        AsyncQuery::query(self.0, query).await
    }
}

impl AsyncMigrate for Through<'_> {}
