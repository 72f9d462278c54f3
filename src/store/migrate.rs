//! Migrations: forward-only history from `sql/migrations/`, then the current truth of indexes, policies, functions, views,
//! triggers and grants, re-applied by every migrate.
//!
//! Promises: twice without harm, as a non-superuser, on an empty database or on one that has its users' tables. What was
//! installed is recorded with a fingerprint, so that `doctor` can tell when somebody changed it by hand.

mod through;

use std::collections::HashMap;
use std::error::Error as _;
use std::fmt::Write as _;

use refinery::{Migration, Runner};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Row};

use super::connect::Database;
use super::{Store, StoreError};
use through::{Through, lock};

mod embedded {
    refinery::embed_migrations!("sql/migrations");
}

/// The table in which the applied migrations stand.
const HISTORY: &str = "rowcall.schema_migrations";

/// A user's long transaction must not be made to queue behind ours for longer than this.
const LOCK_TIMEOUT: &str = "set local lock_timeout = '5s'";

/// Indexes, policies, functions, views, triggers and grants, in the order in which they are applied.
static CURRENT: [(&str, &str); 69] = [
    ("sql/kept/core.sql", include_str!("../../sql/kept/core.sql")),
    ("sql/kept/codes.sql", include_str!("../../sql/kept/codes.sql")),
    ("sql/kept/actions.sql", include_str!("../../sql/kept/actions.sql")),
    ("sql/kept/fulfillment.sql", include_str!("../../sql/kept/fulfillment.sql")),
    ("sql/kept/schedules.sql", include_str!("../../sql/kept/schedules.sql")),
    ("sql/kept/crm.sql", include_str!("../../sql/kept/crm.sql")),
    ("sql/kept/fluent.sql", include_str!("../../sql/kept/fluent.sql")),
    ("sql/kept/orders.sql", include_str!("../../sql/kept/orders.sql")),
    ("sql/kept/fienta_checks.sql", include_str!("../../sql/kept/fienta_checks.sql")),
    ("sql/kept/links.sql", include_str!("../../sql/kept/links.sql")),
    ("sql/kept/organizations.sql", include_str!("../../sql/kept/organizations.sql")),
    ("sql/kept/browsers.sql", include_str!("../../sql/kept/browsers.sql")),
    ("sql/functions/grants.sql", include_str!("../../sql/functions/grants.sql")),
    ("sql/functions/changes.sql", include_str!("../../sql/functions/changes.sql")),
    ("sql/functions/operator.sql", include_str!("../../sql/functions/operator.sql")),
    ("sql/functions/schedules.sql", include_str!("../../sql/functions/schedules.sql")),
    ("sql/functions/codes.sql", include_str!("../../sql/functions/codes.sql")),
    ("sql/functions/crm_accounts.sql", include_str!("../../sql/functions/crm_accounts.sql")),
    ("sql/functions/crm_turns.sql", include_str!("../../sql/functions/crm_turns.sql")),
    ("sql/views/crm_accounts.sql", include_str!("../../sql/views/crm_accounts.sql")),
    ("sql/views/work.sql", include_str!("../../sql/views/work.sql")),
    ("sql/views/queue_health.sql", include_str!("../../sql/views/queue_health.sql")),
    ("sql/views/history.sql", include_str!("../../sql/views/history.sql")),
    ("sql/views/schedules.sql", include_str!("../../sql/views/schedules.sql")),
    ("sql/views/fluent_mapped.sql", include_str!("../../sql/views/fluent_mapped.sql")),
    ("sql/functions/replies.sql", include_str!("../../sql/functions/replies.sql")),
    ("sql/functions/actions.sql", include_str!("../../sql/functions/actions.sql")),
    ("sql/functions/feedback.sql", include_str!("../../sql/functions/feedback.sql")),
    ("sql/functions/whatsapp.sql", include_str!("../../sql/functions/whatsapp.sql")),
    ("sql/functions/fulfillment.sql", include_str!("../../sql/functions/fulfillment.sql")),
    ("sql/functions/supplier.sql", include_str!("../../sql/functions/supplier.sql")),
    ("sql/functions/fulfillment_api.sql", include_str!("../../sql/functions/fulfillment_api.sql")),
    ("sql/functions/crm_queue.sql", include_str!("../../sql/functions/crm_queue.sql")),
    ("sql/functions/crm_expiry.sql", include_str!("../../sql/functions/crm_expiry.sql")),
    ("sql/functions/crm_orders.sql", include_str!("../../sql/functions/crm_orders.sql")),
    ("sql/functions/crm_api.sql", include_str!("../../sql/functions/crm_api.sql")),
    ("sql/functions/fluent.sql", include_str!("../../sql/functions/fluent.sql")),
    ("sql/functions/fluent_tickets.sql", include_str!("../../sql/functions/fluent_tickets.sql")),
    ("sql/functions/fluent_api.sql", include_str!("../../sql/functions/fluent_api.sql")),
    ("sql/functions/faults.sql", include_str!("../../sql/functions/faults.sql")),
    ("sql/functions/browsers.sql", include_str!("../../sql/functions/browsers.sql")),
    ("sql/functions/browser_requests.sql", include_str!("../../sql/functions/browser_requests.sql")),
    ("sql/functions/browser_orders.sql", include_str!("../../sql/functions/browser_orders.sql")),
    ("sql/functions/rpc.sql", include_str!("../../sql/functions/rpc.sql")),
    ("sql/functions/orders.sql", include_str!("../../sql/functions/orders.sql")),
    ("sql/functions/fienta_checks.sql", include_str!("../../sql/functions/fienta_checks.sql")),
    ("sql/functions/links.sql", include_str!("../../sql/functions/links.sql")),
    ("sql/functions/organizations.sql", include_str!("../../sql/functions/organizations.sql")),
    ("sql/functions/requests.sql", include_str!("../../sql/functions/requests.sql")),
    ("sql/functions/monitoring.sql", include_str!("../../sql/functions/monitoring.sql")),
    ("triggers/stamp.sql", include_str!("../../triggers/stamp.sql")),
    ("triggers/ring.sql", include_str!("../../triggers/ring.sql")),
    ("triggers/complete.sql", include_str!("../../triggers/complete.sql")),
    ("triggers/schedules.sql", include_str!("../../triggers/schedules.sql")),
    ("triggers/codes.sql", include_str!("../../triggers/codes.sql")),
    ("triggers/actions.sql", include_str!("../../triggers/actions.sql")),
    ("triggers/fulfillment.sql", include_str!("../../triggers/fulfillment.sql")),
    ("triggers/orders.sql", include_str!("../../triggers/orders.sql")),
    ("triggers/fienta_checks.sql", include_str!("../../triggers/fienta_checks.sql")),
    ("triggers/links.sql", include_str!("../../triggers/links.sql")),
    ("triggers/organizations.sql", include_str!("../../triggers/organizations.sql")),
    ("triggers/crm.sql", include_str!("../../triggers/crm.sql")),
    ("triggers/fluent.sql", include_str!("../../triggers/fluent.sql")),
    ("triggers/browsers.sql", include_str!("../../triggers/browsers.sql")),
    ("sql/kept/templates.sql", include_str!("../../sql/kept/templates.sql")),
    ("sql/supabase/grants.sql", include_str!("../../sql/supabase/grants.sql")),
    ("sql/supabase/browsers.sql", include_str!("../../sql/supabase/browsers.sql")),
    ("sql/supabase/realtime.sql", include_str!("../../sql/supabase/realtime.sql")),
    ("sql/statements/fingerprints.sql", RECORD),
];

/// Records what stands now as what was installed. Definitions are printed with the names that the search path leaves out,
/// so it is fixed first, here as in `doctor`.
const RECORD: &str = concat!(
    "set local search_path = pg_catalog;\ndelete from rowcall.installed;\ninsert into rowcall.installed (object, fingerprint)\n",
    include_str!("../../sql/statements/fingerprints.sql"),
    ";\n"
);

/// What keeps a database from being migrated, or a worker from starting.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// No connection.
    #[error("connect to the database {database}")]
    Connect {
        /// Its name.
        database: String,
        /// Why not.
        #[source]
        source: tokio_postgres::Error,
    },
    /// A migration failed and left nothing behind.
    #[error("apply the migrations")]
    Migrations(#[source] Box<refinery::Error>),
    /// One of the re-applied files failed; none of them took effect.
    #[error("apply {file}")]
    Current {
        /// The file.
        file: &'static str,
        /// Why.
        #[source]
        source: tokio_postgres::Error,
    },
    /// Somebody holds a table for long.
    #[error("a transaction holds a lock that {file} needs; nothing was changed by it, try again when it has ended")]
    Locked {
        /// The file.
        file: &'static str,
    },
    /// Another statement failed.
    #[error("{what}")]
    Statement {
        /// What was being done.
        what: &'static str,
        /// Why it failed.
        #[source]
        source: tokio_postgres::Error,
    },
    /// An older binary beside a newer schema.
    #[error(
        "the schema is of version {found}, newer than version {known} that this rowcall knows: install the newer rowcall"
    )]
    Newer {
        /// The version in the database.
        found: i32,
        /// The newest version in this binary.
        known: i32,
    },
    /// A worker on a database that is not ready for it.
    #[error("the database is not migrated ({missing}): run `rowcall migrate`")]
    Pending {
        /// What is missing, in words.
        missing: String,
    },
}

/// What stands between a database and this binary.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// Migrations that are not applied.
    pub migrations: Vec<String>,
    /// Whether functions, views, triggers or grants are others than this binary's.
    pub current: bool,
}

impl Pending {
    /// Whether nothing is pending.
    pub fn is_empty(&self) -> bool {
        self.migrations.is_empty() && !self.current
    }

    /// What is pending, in words.
    pub fn words(&self) -> String {
        let mut words = self.migrations.clone();
        if self.current {
            words.push("functions, views, triggers and grants of this version".to_owned());
        }
        words.join(", ")
    }
}

/// Brings a database to this binary's schema. Returns what was done, in words; nothing when all was there.
pub async fn apply(database: &Database) -> Result<Vec<String>, MigrateError> {
    let statement = |what| move |source| MigrateError::Statement { what, source };
    // Held by a transaction of another connection: through a pooler, a session's lock would be left to somebody else.
    let mut keeper = connect(database).await?;
    let _held = lock(&mut keeper).await.map_err(statement("wait for another migrate to end"))?;
    let mut client = connect(database).await?;
    let before = pending_on(&client).await?;
    let drifted = if before.is_empty() {
        drift(&mut client).await.map_err(in_the_way("the comparison with what is installed"))?
    } else {
        vec![]
    };
    client
        .batch_execute(&format!("begin; {LOCK_TIMEOUT}; create schema if not exists rowcall; commit"))
        .await
        .map_err(statement("create the schema rowcall (the role needs CREATE on the database)"))?;
    let report = runner().run_async(&mut Through(&mut client)).await.map_err(migrations_failed)?;
    apply_current(&mut client).await?;
    let mut done: Vec<String> = report.applied_migrations().iter().map(ToString::to_string).collect();
    if before.current {
        done.push("functions, views, triggers and grants".to_owned());
    }
    done.extend(drifted.iter().map(Drifted::put_back));
    Ok(done)
}

/// What is pending on a database, or that it is newer than this binary.
pub async fn pending(database: &Database) -> Result<Pending, MigrateError> {
    pending_on(&connect(database).await?).await
}

/// An object that is not as the last migrate left it.
#[derive(Debug, PartialEq, Eq)]
pub struct Drifted {
    /// Its kind and name, such as `trigger _900_ring_insert on public.codes`.
    pub name: String,
    /// Whether it is gone; else it was changed.
    pub is_missing: bool,
}

impl Drifted {
    /// What a migrate makes of it, in words. An index that somebody changed may be meant so, and is left alone.
    fn put_back(&self) -> String {
        let stays = self.name.starts_with("index ") && !self.is_missing;
        format!("{} {}", self.name, if stays { "as somebody changed it" } else { "as it was" })
    }
}

/// Compares functions, views, triggers and indexes with what the last migrate installed.
pub async fn drift(client: &mut Client) -> Result<Vec<Drifted>, tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    transaction.batch_execute(&format!("set local search_path = pg_catalog; {LOCK_TIMEOUT}")).await?;
    let pair = |row: &Row| -> (String, String) { (row.get("object"), row.get("fingerprint")) };
    let installed = transaction.query_typed(include_str!("../../sql/statements/installed.sql"), &[]).await?;
    let standing = transaction.query_typed(include_str!("../../sql/statements/fingerprints.sql"), &[]).await?;
    let standing: HashMap<String, String> = standing.iter().map(pair).collect();
    let differs = |(name, fingerprint): (String, String)| {
        let found = standing.get(&name);
        (found != Some(&fingerprint)).then(|| Drifted { is_missing: found.is_none(), name })
    };
    Ok(installed.iter().map(pair).filter_map(differs).collect())
}

/// Refuses a database that this binary does not fit.
pub async fn require(database: &Database) -> Result<(), MigrateError> {
    let pending = pending(database).await?;
    if pending.is_empty() { Ok(()) } else { Err(MigrateError::Pending { missing: pending.words() }) }
}

impl Store {
    /// Whether the database answers and has this binary's schema.
    pub async fn is_current(&self) -> Result<bool, StoreError> {
        self.on_connection(
            || "look at the schema".to_owned(),
            async |connection| match pending_on(connection).await {
                Ok(pending) => Ok(pending.is_empty()),
                Err(MigrateError::Statement { source, .. }) => Err(source),
                Err(_) => Ok(false),
            },
        )
        .await
    }
}

/// Everything that `apply` would run on an empty database, as a script for `psql`.
pub fn script() -> String {
    let mut script = format!(
        "-- rowcall {} schema. Harmless when run again.\n\\set ON_ERROR_STOP on\nbegin;\n{LOCK_TIMEOUT};\n\ncreate schema if not exists rowcall;\n\
         create table if not exists {HISTORY} (\n    version int4 primary key,\n    name varchar(255),\n    \
         applied_on varchar(255),\n    checksum varchar(255)\n);\n",
        env!("CARGO_PKG_VERSION")
    );
    for migration in sorted(&runner()) {
        let _ = write!(
            script,
            "\n-- {migration}\n{}\ninsert into {HISTORY} (version, name, applied_on, checksum)\nvalues ({}, '{}', \
             to_char(now() at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), '{}')\non conflict do nothing;\n",
            migration.sql().unwrap_or_default(),
            migration.version(),
            migration.name(),
            migration.checksum(),
        );
    }
    for (file, text) in CURRENT {
        let _ = write!(script, "\n-- {file}\n{text}");
    }
    let _ = write!(script, "\n{};\n\ncommit;\n", record_files());
    script
}

/// The newest schema version in this binary.
pub fn known_version() -> i32 {
    sorted(&runner()).last().map_or(0, Migration::version)
}

async fn connect(database: &Database) -> Result<Client, MigrateError> {
    let failed = |source| MigrateError::Connect { database: database.name().to_owned(), source };
    database.client().await.map_err(failed)
}

fn runner() -> Runner {
    let mut runner = embedded::migrations::runner();
    runner.set_migration_table_name(HISTORY);
    runner
}

fn sorted(runner: &Runner) -> Vec<Migration> {
    let mut migrations = runner.get_migrations().clone();
    migrations.sort_by_key(Migration::version);
    migrations
}

/// Tells a lock that somebody holds from other faults of a migration.
fn migrations_failed(error: refinery::Error) -> MigrateError {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if inner.downcast_ref().and_then(tokio_postgres::Error::code) == Some(&SqlState::LOCK_NOT_AVAILABLE) {
            return MigrateError::Locked { file: "a migration" };
        }
        cause = inner.source();
    }
    MigrateError::Migrations(Box::new(error))
}

/// Tells a lock that somebody holds from other faults of a step.
fn in_the_way(file: &'static str) -> impl Fn(tokio_postgres::Error) -> MigrateError {
    move |source| match source.code() {
        Some(&SqlState::LOCK_NOT_AVAILABLE) => MigrateError::Locked { file },
        _ => MigrateError::Current { file, source },
    }
}

async fn apply_current(client: &mut Client) -> Result<(), MigrateError> {
    let statement = |what| move |source| MigrateError::Statement { what, source };
    let transaction = client.transaction().await.map_err(statement("begin"))?;
    transaction.batch_execute(LOCK_TIMEOUT).await.map_err(statement("set a lock timeout"))?;
    for (file, text) in CURRENT {
        transaction.batch_execute(text).await.map_err(in_the_way(file))?;
    }
    transaction.batch_execute(&record_files()).await.map_err(statement("record what was installed"))?;
    transaction.commit().await.map_err(statement("commit functions, views, triggers and grants"))
}

/// The fingerprint of this binary's re-applied files stands beside those of the objects that they made.
fn record_files() -> String {
    format!("insert into rowcall.installed (object, fingerprint) values ('files', '{}')", files_fingerprint())
}

fn files_fingerprint() -> String {
    let mut all = String::new();
    for (file, text) in CURRENT {
        all.push_str(file);
        all.push_str(text);
    }
    // Stable over builds: the same texts give the same UUID.
    uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, all.as_bytes()).to_string()
}

async fn version_on(client: &Client) -> Result<Option<i32>, MigrateError> {
    match client.query_typed_one(include_str!("../../sql/statements/version.sql"), &[]).await {
        Ok(row) => Ok(row.get(0)),
        Err(e) if e.code().is_some_and(|c| [SqlState::UNDEFINED_TABLE, SqlState::INVALID_SCHEMA_NAME].contains(c)) => {
            Ok(None)
        }
        Err(source) => Err(MigrateError::Statement { what: "read the schema's version", source }),
    }
}

async fn refuse_newer(client: &Client) -> Result<(), MigrateError> {
    let known = known_version();
    match version_on(client).await? {
        Some(found) if found > known => Err(MigrateError::Newer { found, known }),
        _ => Ok(()),
    }
}

/// What is pending over a connection, or that the database is newer than this binary.
pub(super) async fn pending_on(client: &Client) -> Result<Pending, MigrateError> {
    refuse_newer(client).await?;
    let Some(version) = version_on(client).await? else {
        let migrations = sorted(&runner()).iter().map(ToString::to_string).collect();
        return Ok(Pending { migrations, current: true });
    };
    let migrations = sorted(&runner()).iter().filter(|m| m.version() > version).map(ToString::to_string).collect();
    let installed = client
        .query_typed_opt("select i.fingerprint from rowcall.installed as i where i.object = 'files'", &[])
        .await
        .map_err(|source| MigrateError::Statement { what: "read what is installed", source })?;
    let current = installed.is_none_or(|row| row.get::<_, String>(0) != files_fingerprint());
    Ok(Pending { migrations, current })
}
