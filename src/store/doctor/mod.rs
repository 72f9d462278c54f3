//! Doctor: what is wrong with a database, each finding with what mends it.
//!
//! A check is a statement of `sql/statements/doctor_*.sql` whose rows are findings; none of them changes anything. A check
//! that cannot be made is a finding too, so that one broken thing never hides the others.

pub mod bell;

use std::time::{Duration, SystemTime};

use serde::Serialize;
use tokio_postgres::{Client, Row, Transaction};

use super::chain;
use super::migrate::{self, Drifted, MigrateError};
use super::parameter::{Given, typed};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Note,
    /// Rows wait or go wrong because of it.
    Problem,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: String,
    /// How bad it is.
    pub state: State,
    /// What was found, in words.
    pub found: String,
    /// The SQL, the setting or the command that mends it.
    pub mend: Option<String>,
}

impl Finding {
    /// All is well.
    pub fn ok(check: impl Into<String>, found: impl Into<String>) -> Self {
        Self { check: check.into(), state: State::Ok, found: found.into(), mend: None }
    }

    /// Worth knowing.
    pub fn note(check: impl Into<String>, found: impl Into<String>, mend: Option<String>) -> Self {
        Self { check: check.into(), state: State::Note, found: found.into(), mend }
    }

    /// To be mended.
    pub fn problem(check: impl Into<String>, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { check: check.into(), state: State::Problem, found: found.into(), mend: Some(mend.into()) }
    }

    fn read(row: &Row) -> Self {
        let state = match row.get("state") {
            "ok" => State::Ok,
            "note" => State::Note,
            _ => State::Problem,
        };
        Self { check: row.get("subject"), state, found: row.get("found"), mend: row.get("mend") }
    }
}

/// A check by statement: its name, its text, and what to say when it finds nothing.
struct Check {
    name: &'static str,
    sql: &'static str,
    clean: &'static str,
}

const SERVER: Check =
    Check { name: "server", sql: include_str!("../../../sql/statements/doctor_server.sql"), clean: "answers" };

const OBJECTS: Check = Check {
    name: "triggers",
    sql: include_str!("../../../sql/statements/doctor_objects.sql"),
    clean: "all are enabled, and all indexes are valid",
};

const ACCESS: Check = Check {
    name: "access",
    sql: include_str!("../../../sql/statements/doctor_access.sql"),
    clean: "the role sees every row, and may do what a worker does",
};

const ROW_SECURITY: Check = Check {
    name: "row security",
    sql: include_str!("../../../sql/statements/doctor_row_security.sql"),
    clean: "it is on for every table of a queue",
};

const BROWSERS: Check = Check {
    name: "browsers",
    sql: include_str!("../../../sql/statements/doctor_browsers.sql"),
    clean: "none may more than is meant",
};

const COLUMNS: Check = Check {
    name: "columns",
    sql: include_str!("../../../sql/statements/doctor_columns.sql"),
    clean: "nothing stands in the way of a rename",
};

const FULFILLMENT: Check = Check {
    name: "fulfilment",
    sql: include_str!("../../../sql/statements/doctor_fulfillment.sql"),
    clean: "every order shows how its bundle stands",
};

const TRANSACTIONS: Check = Check {
    name: "transactions",
    sql: include_str!("../../../sql/statements/doctor_transactions.sql"),
    clean: "none holds back vacuum",
};

const WORKERS: Check =
    Check { name: "workers", sql: include_str!("../../../sql/statements/doctor_workers.sql"), clean: "none is needed" };

const QUEUES: Check = Check {
    name: "queues",
    sql: include_str!("../../../sql/statements/doctor_queues.sql"),
    clean: "none is paused, no breaker is open, no row is parked",
};

const CRM: Check = Check {
    name: "memberships",
    sql: include_str!("../../../sql/statements/doctor_crm.sql"),
    clean: "every tier is one that its CRM knows, every webhook that of a client",
};

const SCHEDULES: Check = Check {
    name: "schedules",
    sql: include_str!("../../../sql/statements/doctor_schedules.sql"),
    clean: "all can be read and are on time, and their last runs were done",
};

/// What the server is.
pub async fn server(client: &mut Client) -> Vec<Finding> {
    run(client, &SERVER, &[]).await
}

/// Whether the schema is this binary's. `false`: it is another's, so that nothing else of it can be judged.
pub async fn schema(client: &mut Client, queues: &[&str]) -> (Vec<Finding>, bool) {
    match migrate::pending_on(client).await {
        Ok(pending) if pending.is_empty() => {
            let version = migrate::known_version();
            (vec![Finding::ok("schema", format!("version {version}, as this rowcall has it"))], true)
        }
        Ok(pending) => {
            let can_go_on = pending.migrations.is_empty();
            (vec![Finding::problem("schema", format!("it lacks: {}", pending.words()), "rowcall migrate")], can_go_on)
        }
        Err(error @ MigrateError::Newer { .. }) => {
            (vec![Finding::problem("schema", error.to_string(), "install the newer rowcall")], false)
        }
        Err(error) => {
            // Most likely the role may not read it; then the grants come first.
            let mut findings = run(client, &ACCESS, &[&queues]).await;
            findings.push(unchecked("schema", &error));
            (findings, false)
        }
    }
}

/// Everything of the schema, the role and the rows, for the queues of these names.
pub async fn database(client: &mut Client, queues: &[&str]) -> Vec<Finding> {
    let mut findings = objects(client).await;
    findings.extend(run(client, &OBJECTS, &[]).await);
    findings.extend(run(client, &ACCESS, &[&queues]).await);
    findings.extend(run(client, &ROW_SECURITY, &[&queues]).await);
    findings.extend(run(client, &BROWSERS, &[]).await);
    findings.extend(run(client, &COLUMNS, &[]).await);
    findings.extend(run(client, &FULFILLMENT, &[&queues]).await);
    findings.extend(run(client, &TRANSACTIONS, &[]).await);
    findings.extend(run(client, &WORKERS, &[&queues]).await);
    findings.extend(run(client, &QUEUES, &[&queues]).await);
    findings.extend(run(client, &CRM, &[]).await);
    findings.extend(run(client, &SCHEDULES, &[]).await);
    findings
}

/// Whether the database's clock and this machine's agree.
pub async fn clock(client: &Client) -> Finding {
    const SQL: &str = include_str!("../../../sql/statements/clock.sql");
    let before = SystemTime::now();
    let row = match client.query_typed_one(SQL, &[]).await {
        Ok(row) => row,
        Err(error) => return unchecked("clock", &error),
    };
    let asked_for = before.elapsed().unwrap_or_default();
    let middle = before + asked_for / 2;
    let here = middle.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let ahead = here - row.get::<_, f64>("seconds");
    let apart = Duration::try_from_secs_f64(ahead.abs()).unwrap_or_default();
    if apart <= CLOCKS_APART_MAX + asked_for / 2 {
        return Finding::ok("clock", "this machine's and the database's agree");
    }
    Finding::note(
        "clock",
        format!(
            "this machine's is {} s {} the database's; rowcall goes by the database's alone, but logs differ",
            apart.as_secs(),
            if ahead > 0.0 { "ahead of" } else { "behind" },
        ),
        Some("set both clocks by NTP".to_owned()),
    )
}

/// More than a second hand and a slow network explain.
const CLOCKS_APART_MAX: Duration = Duration::from_secs(5);

/// Whether a live worker, anywhere, has the settings for the queue.
pub async fn is_served(client: &Client, queue: &str) -> bool {
    const SQL: &str = include_str!("../../../sql/statements/served.sql");
    let served = client.query_typed_one(SQL, &typed(&[&queue, &uuid::Uuid::nil()])).await;
    served.is_ok_and(|row| row.get("served"))
}

/// Compares what stands in the database with what the last migrate installed.
async fn objects(client: &mut Client) -> Vec<Finding> {
    match migrate::drift(client).await {
        Ok(drifted) if drifted.is_empty() => {
            vec![Finding::ok("objects", "functions, views, triggers and indexes are as rowcall migrate left them")]
        }
        Ok(drifted) => drifted.iter().map(drifted_object).collect(),
        Err(error) => vec![unchecked("objects", &error)],
    }
}

/// A migrate re-creates all but indexes, which it leaves alone when one of that name stands.
fn drifted_object(object: &Drifted) -> Finding {
    let name = &object.name;
    if object.is_missing {
        return Finding::problem("objects", format!("{name} is missing"), "rowcall migrate");
    }
    let found = format!("{name} is not as rowcall migrate left it: somebody changed it");
    match name.strip_prefix("index ") {
        Some(index) => Finding::problem("objects", found, format!("drop index {index}; and then: rowcall migrate")),
        None => Finding::problem("objects", found, "rowcall migrate"),
    }
}

async fn run(client: &mut Client, check: &Check, given: Given<'_>) -> Vec<Finding> {
    match rows(client, check.sql, given).await {
        Ok(rows) if rows.is_empty() => vec![Finding::ok(check.name, check.clean)],
        Ok(rows) => rows.iter().map(Finding::read).collect(),
        Err(error) => vec![unchecked(check.name, &error)],
    }
}

async fn rows(client: &mut Client, sql: &str, given: Given<'_>) -> Result<Vec<Row>, tokio_postgres::Error> {
    begin(client).await?.query_typed(sql, &typed(given)).await
}

/// Names are printed whole, and nothing can be changed. It ends by being dropped.
async fn begin(client: &mut Client) -> Result<Transaction<'_>, tokio_postgres::Error> {
    let transaction = client.build_transaction().read_only(true).start().await?;
    transaction.batch_execute("set local search_path = pg_catalog; set local statement_timeout = '30s'").await?;
    Ok(transaction)
}

/// A check that could not be made.
pub fn unchecked(check: &str, error: &(dyn std::error::Error + 'static)) -> Finding {
    let mend = "mend the problems above it first, then ask again";
    Finding::problem(check, format!("it could not be looked at: {}", chain(error)), mend)
}
