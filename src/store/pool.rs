//! The pool: connections to lend, and how statements go over them.
//!
//! Where a session is ours, settings are made once a connection and every statement is prepared once. Through a pooler in
//! transaction mode nothing outlives a transaction: each statement goes unnamed, in a transaction of its own that begins with
//! the settings, in one round trip. Nothing is left behind on a server process that somebody else gets next.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use deadpool_postgres::{Object, PoolError};
use futures_util::TryStreamExt;
use futures_util::future::join3;
use tokio_postgres::types::Type;
use tokio_postgres::{Error, Row, Statement};
use tracing::warn;

use super::connect::Session;
use super::is_of_class;
use super::parameter::{Given, typed};

/// Connections to lend.
#[derive(Debug, Clone)]
pub struct Pool {
    pub(super) connections: deadpool_postgres::Pool,
    pub(super) terms: Arc<Terms>,
}

/// How the connections of a pool may be used.
#[derive(Debug)]
pub(super) struct Terms {
    /// Whether sessions are ours: what was set and prepared stays.
    is_kept: AtomicBool,
    /// What a transaction begins with where they are not.
    settings: String,
}

impl Terms {
    pub(super) fn new(is_kept: bool, session: Session) -> Self {
        Self { is_kept: AtomicBool::new(is_kept), settings: session.setup("set local") }
    }

    pub(super) fn is_kept(&self) -> bool {
        self.is_kept.load(Ordering::Relaxed)
    }

    /// A statement that we prepared is gone, or one that we did not prepare has its name: sessions are not ours.
    fn learn(&self) {
        if self.is_kept.swap(false, Ordering::Relaxed) {
            warn!(
                "A prepared statement was lost: a pooler in transaction mode is in the way. From now on nothing is kept in a \
                 session; add pgbouncer=true to DATABASE_URL, so that this is known at the start"
            );
        }
    }
}

impl Pool {
    pub(super) async fn get(&self) -> Result<Link, PoolError> {
        Ok(Link { connection: self.connections.get().await?, terms: Arc::clone(&self.terms) })
    }
}

/// A connection that was lent.
#[derive(Debug)]
pub(crate) struct Link {
    connection: Object,
    terms: Arc<Terms>,
}

impl std::ops::Deref for Link {
    type Target = tokio_postgres::Client;

    fn deref(&self) -> &Self::Target {
        &self.connection
    }
}

impl Link {
    /// Prepares a statement where that is kept, so that many of it are sent in their order without waiting.
    pub(crate) async fn ready(&self, sql: &str) -> Result<(), Error> {
        if self.terms.is_kept() {
            self.connection.prepare_cached(sql).await?;
        }
        Ok(())
    }

    /// Runs one statement and returns its rows.
    pub(crate) async fn rows(&self, sql: &str, given: Given<'_>) -> Result<Vec<Row>, Error> {
        if self.terms.is_kept() {
            let statement = self.connection.prepare_cached(sql).await?;
            return query(&self.connection, &statement, given).await;
        }
        self.in_transaction(self.connection.query_typed(sql, &typed(given))).await
    }

    /// Runs one statement and returns how many rows it changed.
    pub(crate) async fn execute(&self, sql: &str) -> Result<u64, Error> {
        if self.terms.is_kept() {
            let statement = self.connection.prepare_cached(sql).await?;
            return self.connection.execute(&statement, &[]).await;
        }
        self.in_transaction(self.connection.execute_typed(sql, &[])).await
    }

    /// Begins a transaction of several statements.
    pub(crate) async fn transaction(&mut self) -> Result<Transaction<'_>, Error> {
        let is_kept = self.terms.is_kept();
        let transaction = self.connection.transaction().await?;
        if !is_kept {
            transaction.batch_execute(&self.terms.settings).await?;
        }
        Ok(Transaction { transaction, is_kept })
    }

    /// Gives the connection up: whoever got it next would wait behind what it does.
    pub(crate) fn give_up(self) {
        drop(Object::take(self.connection));
    }

    /// A table that changed under a prepared statement, or a pooler that lost it, makes its plan useless; the next try
    /// prepares it anew.
    pub(crate) fn learn(&self, error: &Error) {
        let Some(answer) = error.as_db_error() else { return };
        if is_of_class(answer, &["0A000", "26", "42P05"]) {
            self.connection.statement_cache.clear();
        }
        if is_of_class(answer, &["26", "42P05"]) {
            self.terms.learn();
        }
    }

    /// All three are sent before the first is answered. After a failure the rest is refused, and the end is a rollback.
    async fn in_transaction<T>(&self, statement: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let begin = format!("begin; {}", self.terms.settings);
        let all = join3(self.connection.batch_execute(&begin), statement, self.connection.batch_execute("commit"));
        let (set, answer, committed) = all.await;
        set?;
        let answer = answer?;
        committed?;
        Ok(answer)
    }
}

/// A transaction; it is rolled back when it is dropped.
pub(crate) struct Transaction<'a> {
    transaction: deadpool_postgres::Transaction<'a>,
    is_kept: bool,
}

impl Transaction<'_> {
    /// Runs one statement and returns its rows.
    pub(crate) async fn rows(&self, sql: &str, given: Given<'_>) -> Result<Vec<Row>, Error> {
        if self.is_kept {
            let statement = self.transaction.prepare_cached(sql).await?;
            return query(self.transaction.client(), &statement, given).await;
        }
        self.transaction.query_typed(sql, &typed(given)).await
    }

    pub(crate) async fn commit(self) -> Result<(), Error> {
        self.transaction.commit().await
    }
}

/// Runs a prepared statement.
async fn query(client: &tokio_postgres::Client, statement: &Statement, given: Given<'_>) -> Result<Vec<Row>, Error> {
    debug_assert!(
        is_told(statement, given),
        "{:?} are given other types, or it answers a type of ours",
        statement.params()
    );
    client.query_raw(statement, given.iter().map(|parameter| parameter.value())).await?.try_collect().await
}

/// Whether the statement could be sent without being prepared: its parameters have the types that they would be given, and
/// its columns are of types that need no looking up.
fn is_told(statement: &Statement, given: Given<'_>) -> bool {
    let kinds = given.iter().map(|parameter| parameter.kind());
    statement.params().iter().cloned().eq(kinds)
        && statement.columns().iter().all(|column| Type::from_oid(column.type_().oid()).is_some())
}
