//! The database: the only place that knows SQL.
//!
//! Every statement is a whole text in `sql/`, named here and prepared once a connection. A `Store` holds everything of one
//! database; the words that go in and come out are `Job` and `Outcome`, and nobody above sees a row.

pub mod connect;
pub mod reconnect;
pub mod tls;
pub mod queues;
pub mod migrate;
pub mod policies;
pub mod claims;
pub mod settles;
pub mod targets;
pub mod workers;
pub mod operator;
pub mod actions;
pub mod whatsapp;
pub mod doctor;

use std::fmt::Write as _;

use deadpool_postgres::{Object, Pool, PoolError};
use tokio_postgres::Row;
use tokio_postgres::error::{DbError, SqlState};
use tokio_postgres::types::ToSql;

/// One database.
#[derive(Clone)]
pub struct Store {
    pool: Pool,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("pool", &self.pool.status()).finish()
    }
}

/// A statement that did not come through.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct StoreError {
    /// What was being done, and for which input.
    pub what: String,
    /// What the connection or the database said.
    #[source]
    pub source: Cause,
}

/// What the connection or the database said.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// No connection was to be had.
    #[error("no connection to the database")]
    Pool(#[from] PoolError),
    /// The statement failed, or its connection did.
    #[error("the database refused or the connection broke")]
    Postgres(#[from] tokio_postgres::Error),
}

impl StoreError {
    /// What the database itself answered, when it is an answer and not a broken connection.
    pub fn answer(&self) -> Option<&DbError> {
        match &self.source {
            Cause::Postgres(error) | Cause::Pool(PoolError::Backend(error)) => error.as_db_error(),
            Cause::Pool(_) => None,
        }
    }

    fn is_of_class(&self, classes: &[&str]) -> bool {
        self.answer().is_some_and(|e| classes.iter().any(|class| e.code().code().starts_with(class)))
    }

    /// Whether the same statement with the same values would fail again: the fault is in the data.
    pub fn is_about_data(&self) -> bool {
        // 21 cardinality, 22 data, 23 constraint, 42 syntax or access rule, 44 check option, P0 raised by a function.
        self.is_of_class(&["21", "22", "23", "42", "44", "P0"])
    }

    /// Whether somebody's lock was in the way: serialization, deadlock, lock timeout, statement timeout.
    pub fn is_contention(&self) -> bool {
        self.is_of_class(&["40", "55P03", "57014"])
    }

    /// The whole chain in one line, for a log or a terminal.
    pub fn chain(&self) -> String {
        chain(self)
    }
}

/// The whole chain of an error in one line: `tokio_postgres::Error` alone prints only "db error".
///
/// Of what the database answers, only the part that can hold no row's data is told: an error about data quotes it.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        match inner.downcast_ref::<DbError>() {
            Some(answer) => text.push_str(&discreet(answer)),
            None => text.push_str(&inner.to_string()),
        }
        cause = inner.source();
    }
    text
}

/// An answer of the database without the values that it may quote.
fn discreet(answer: &DbError) -> String {
    let code = answer.code().code();
    let quotes = ["22", "23", "44", "P0"].iter().any(|class| code.starts_with(class));
    let mut text = if quotes { format!("SQLSTATE {code}") } else { format!("{} (SQLSTATE {code})", answer.message()) };
    let places = [("table", answer.table()), ("column", answer.column()), ("constraint", answer.constraint())];
    for (what, name) in places {
        if let Some(name) = name {
            let _ = write!(text, ", {what} {name}");
        }
    }
    text
}

impl Store {
    /// A store over a pool made by [`connect::Database::pool`].
    pub fn new(pool: Pool) -> Self {
        Self { pool }
    }

    /// A connection of the pool, for a statement sequence that must share one.
    pub(crate) async fn connection(&self, what: impl FnOnce() -> String) -> Result<Object, StoreError> {
        self.pool.get().await.map_err(|e| StoreError { what: what(), source: e.into() })
    }

    /// Runs one named statement and returns its rows.
    pub(crate) async fn rows(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
        what: impl Fn() -> String,
    ) -> Result<Vec<Row>, StoreError> {
        let connection = self.connection(&what).await?;
        rows_on(&connection, sql, parameters).await.map_err(|e| StoreError { what: what(), source: e.into() })
    }
}

/// Runs one named statement on a connection, prepared once for it.
pub(crate) async fn rows_on(
    connection: &Object,
    sql: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, tokio_postgres::Error> {
    let statement = connection.prepare_cached(sql).await?;
    let rows = connection.query(&statement, parameters).await;
    rows.inspect_err(|error| forget_plans(connection, error))
}

/// A table that changed under a prepared statement makes its plan useless; the next try prepares it anew.
pub(crate) fn forget_plans(connection: &Object, error: &tokio_postgres::Error) {
    if error.code() == Some(&SqlState::FEATURE_NOT_SUPPORTED) {
        connection.statement_cache.clear();
    }
}
