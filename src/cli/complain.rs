//! Errors as a person reads them: what failed, what the database said, and what to do about it.
//!
//! What a function of ours raised is the whole message. Everything else is told with its causes. A hint follows, the
//! database's own or, for the usual faults, ours.

use std::fmt::Write as _;

use deadpool_postgres::PoolError;
use tokio_postgres::error::{DbError, SqlState};

use crate::store::{Cause, is_raised, tls};

/// The lines for standard error.
pub(super) fn complaint(error: &anyhow::Error) -> String {
    let answer = error.chain().find_map(|cause| cause.downcast_ref::<DbError>());
    let mut text = match answer.filter(|answer| is_raised(answer)) {
        Some(answer) => format!("rowcall: {}\n", answer.message()),
        None => format!("rowcall: {}\n", chain(error)),
    };
    if let Some(detail) = answer.and_then(DbError::detail) {
        let _ = writeln!(text, "  detail: {detail}");
    }
    if let Some(hint) = answer.and_then(DbError::hint).or_else(|| usual(error, answer)) {
        let _ = writeln!(text, "  hint: {hint}");
    }
    text
}

/// The causes, without those that only announce the next one.
fn chain(error: &anyhow::Error) -> String {
    let causes = error.chain().filter_map(|cause| {
        if matches!(cause.downcast_ref(), Some(PoolError::Backend(_)))
            || matches!(cause.downcast_ref(), Some(Cause::Postgres(_)))
        {
            return None;
        }
        if cause.downcast_ref::<tokio_postgres::Error>().is_some_and(|error| error.as_db_error().is_some()) {
            return None;
        }
        Some(cause.downcast_ref().map_or_else(|| cause.to_string(), |answer: &DbError| answer.message().to_owned()))
    });
    causes.collect::<Vec<_>>().join(": ")
}

/// What usually mends it.
fn usual(error: &anyhow::Error, answer: Option<&DbError>) -> Option<&'static str> {
    if let Some(advice) = tls::advice(error.as_ref()) {
        return Some(advice);
    }
    let Some(answer) = answer else {
        let is_unreachable = error
            .chain()
            .any(|cause| cause.downcast_ref::<tokio_postgres::Error>().is_some() || cause.is::<PoolError>());
        return is_unreachable.then_some("DATABASE_URL says where the database is; `rowcall doctor` looks closer");
    };
    let code = answer.code();
    if [
        SqlState::UNDEFINED_TABLE,
        SqlState::INVALID_SCHEMA_NAME,
        SqlState::UNDEFINED_FUNCTION,
        SqlState::UNDEFINED_COLUMN,
    ]
    .contains(code)
    {
        return Some("run `rowcall migrate`; `rowcall doctor` tells what is missing");
    }
    if *code == SqlState::INSUFFICIENT_PRIVILEGE {
        return Some("`rowcall doctor` tells which grants the role lacks");
    }
    if [SqlState::INVALID_PASSWORD, SqlState::INVALID_AUTHORIZATION_SPECIFICATION].contains(code) {
        return Some("DATABASE_URL needs the right user and password");
    }
    if *code == SqlState::INVALID_CATALOG_NAME {
        return Some("create the database, or name another in DATABASE_URL");
    }
    None
}
