//! The database: the only place that knows SQL.
//!
//! Every statement is a whole text in `sql/`, named here and prepared once a connection. A `Store` holds everything of one
//! database; the words that go in and come out are `Job` and `Outcome`, and nobody above sees a row.

pub mod address;
pub mod connect;
pub mod tls;
pub mod reconnect;
pub mod pooling;
pub mod parameter;
pub mod pool;
pub mod queues;
pub mod migrate;
pub mod policies;
pub mod claims;
pub mod settles;
pub mod targets;
pub mod workers;
pub mod schedules;
pub mod operator;
pub mod asked;
pub mod requests;
pub mod actions;
pub mod whatsapp;
pub mod fulfillment;
pub mod export;
pub mod crm;
pub mod fluent;
pub mod links;
pub mod doctor;

use std::fmt::Write as _;
use std::time::Duration;

use deadpool_postgres::PoolError;
use postgres_types::Json;
use scopeguard::ScopeGuard;
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::error::DbError;

use parameter::Given;
use pool::{Link, Pool};

/// How long to wait for an answer: a little longer than the server lets a statement run. Keepalives notice a peer whose
/// machine is gone; only this notices one that is there and says nothing.
const ANSWER_MAX: Duration = Duration::from_secs(35);

/// One database.
#[derive(Clone)]
pub struct Store {
    pool: Pool,
    answer_max: Duration,
    /// Who asks for the changes that are made by it.
    asked: Option<asked::Asked>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { pool, answer_max, asked } = self;
        let pool = pool.connections.status();
        f.debug_struct("Store")
            .field("pool", &pool)
            .field("answer_max", answer_max)
            .field("asked", &asked.is_some())
            .finish()
    }
}

/// A statement that did not come through.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct StoreError {
    /// What was being done, without anything that a caller gave: it goes to the log.
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
    /// No answer came; the connection is given up.
    #[error("the database did not answer in time")]
    Silent,
}

impl StoreError {
    /// What the database itself answered, when it is an answer and not a broken connection.
    pub fn answer(&self) -> Option<&DbError> {
        match &self.source {
            Cause::Postgres(error) | Cause::Pool(PoolError::Backend(error)) => error.as_db_error(),
            Cause::Pool(_) | Cause::Silent => None,
        }
    }

    /// Whether the same statement with the same values would fail again: the fault is in the data, or in what a function
    /// of the users' makes of it, under whatever SQLSTATE it raises that.
    pub fn is_about_data(&self) -> bool {
        self.answer().is_some_and(|e| !is_of_class(e, &PASSING) && !is_of_class(e, &SCHEMA))
    }

    /// Whether a table, a column or a right is not there: a migration under way, or a schema that was changed by hand.
    pub fn is_about_schema(&self) -> bool {
        self.answer().is_some_and(|e| is_of_class(e, &SCHEMA))
    }

    /// Whether the database answered, and only this statement is refused, for now: a lock, a time-out, a schema that is
    /// being changed. Other statements may come through.
    pub fn is_contention(&self) -> bool {
        self.answer().is_some_and(|e| is_of_class(e, &CONTENTION) || is_of_class(e, &SCHEMA))
    }

    /// Whether the server stopped the statement, for it took too long as a rule.
    pub fn is_cut_off(&self) -> bool {
        self.answer().is_some_and(|e| is_of_class(e, &CUT_OFF))
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

/// SQLSTATEs of the server itself that pass: connections, resources, shutdown, system, locks, stale plans, bugs.
const PASSING: [&str; 13] = ["08", "25", "26", "28", "3D", "40", "42P05", "53", "55", "57", "58", "0A000", "XX"];

/// Those of them that concern one statement only.
const CONTENTION: [&str; 3] = ["40", "55", CUT_OFF[0]];

/// What the statement timeout says, and whoever cancels a statement by hand.
const CUT_OFF: [&str; 1] = ["57014"];

/// What a migration that is under way looks like: tables, columns and rights that are not there. Not a fault of the row.
const SCHEMA: [&str; 1] = ["42"];

fn is_of_class(answer: &DbError, classes: &[&str]) -> bool {
    classes.iter().any(|class| answer.code().code().starts_with(class))
}

/// Whether a function said this on purpose, by `raise exception`, in its own words.
pub fn is_raised(answer: &DbError) -> bool {
    answer.routine() == Some("exec_stmt_raise")
}

/// An answer of the database without the values that it may quote: only the server's own words about itself are told.
fn discreet(answer: &DbError) -> String {
    let code = answer.code().code();
    let is_harmless = (is_of_class(answer, &PASSING) || is_of_class(answer, &SCHEMA)) && !is_raised(answer);
    let mut text =
        if is_harmless { format!("{} (SQLSTATE {code})", answer.message()) } else { format!("SQLSTATE {code}") };
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
        Self { pool, answer_max: ANSWER_MAX, asked: None }
    }

    /// The same, that waits no longer than this for an answer.
    #[must_use]
    pub fn with_answer_max(mut self, answer_max: Duration) -> Self {
        self.answer_max = answer_max;
        self
    }

    /// Runs one statement and returns its rows.
    pub(crate) async fn rows(
        &self,
        sql: &str,
        given: Given<'_>,
        what: impl Fn() -> String,
    ) -> Result<Vec<Row>, StoreError> {
        self.on_connection(what, async |connection| connection.rows(sql, given).await).await
    }

    /// Does something on a connection of the pool. A connection that does not answer in time, or whose answer nobody waits
    /// for any more, is given up, not returned: whoever got it next would wait behind the same statement.
    pub(crate) async fn on_connection<T>(
        &self,
        what: impl Fn() -> String,
        does: impl AsyncFnOnce(&mut Link) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, StoreError> {
        let failed = |source: Cause| StoreError { what: what(), source };
        let Ok(connection) = timeout(self.answer_max, self.pool.get()).await else {
            return Err(failed(Cause::Silent));
        };
        let connection = connection.map_err(|e| failed(e.into()))?;
        let mut busy = scopeguard::guard(connection, Link::give_up);
        let Ok(answer) = timeout(self.answer_max, does(&mut busy)).await else { return Err(failed(Cause::Silent)) };
        let connection = ScopeGuard::into_inner(busy);
        answer.map_err(|error| {
            connection.learn(&error);
            failed(error.into())
        })
    }
}

/// The JSON that a function answered; nothing where it answered null.
pub(crate) fn json(row: &Row) -> Option<serde_json::Value> {
    row.get::<_, Option<Json<serde_json::Value>>>(0).map(|Json(value)| value)
}
