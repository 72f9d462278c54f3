//! Migrate: twice without harm, by anybody who owns the database, and the same by script.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use rowcall::store::migrate::{self, MigrateError};

use crate::binary::Binary;
use crate::database::{self, TestDatabase};
use crate::fake::Fake;
use crate::process::ROWCALL;

/// Everything that a migrate may have made, one line an object.
const SCHEMA: &str = "
    select object || ' ' || fingerprint from rowcall.installed
    union all
    select 'column ' || table_schema || '.' || table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable
        || ' ' || coalesce(column_default, '')
    from information_schema.columns where table_schema in ('public', 'rowcall')
    union all
    select 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
    from pg_constraint where connamespace in ('public'::regnamespace, 'rowcall'::regnamespace)
    union all
    select 'index ' || indexdef from pg_indexes where schemaname in ('public', 'rowcall')
    union all
    select 'options ' || relname || ' ' || coalesce(reloptions::text, '') || ' ' || relrowsecurity || ' ' || coalesce(relacl::text, '')
    from pg_class where relnamespace in ('public'::regnamespace, 'rowcall'::regnamespace) and relkind in ('r', 'v')
    union all
    select 'migration ' || version || ' ' || name || ' ' || checksum from rowcall.schema_migrations
    order by 1";

fn rowcall(db: &TestDatabase, arguments: &[&str]) -> Output {
    Command::new(ROWCALL).args(arguments).env("DATABASE_URL", db.address()).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A role that may log in, and the database is its own.
async fn owned_by(db: &TestDatabase, role: &str) {
    db.run(&format!(
        "do $$ begin create role {role} login password '{role}'; exception when duplicate_object or unique_violation then null; end $$;
         alter database {} owner to {role}",
        db.name
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_migrate_changes_nothing() {
    let db = TestDatabase::empty().await;
    let first = migrate::apply(&db.database()).await.unwrap();
    assert!(first.len() >= 3, "{first:?}");
    db.run("update rowcall.queues set slots = 3, rate_per_second = 9").await;
    db.ask(2).await;
    let (schema, rows) = (db.all::<String>(SCHEMA).await, db.image().await);
    assert_eq!(migrate::apply(&db.database()).await.unwrap(), Vec::<String>::new());
    assert_eq!(db.all::<String>(SCHEMA).await, schema);
    assert_eq!(db.image().await, rows);
    assert_eq!(
        db.get::<i32>("select slots from rowcall.queues where queue = 'codes'").await,
        3,
        "an operator's policy is kept"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn migrates_at_the_same_time_wait_for_each_other() {
    let db = TestDatabase::empty().await;
    let migrates = (0..4).map(|_| async { migrate::apply(&db.database()).await.unwrap().len() });
    let done = futures_util::future::join_all(migrates).await;
    assert_eq!(done.iter().filter(|done| **done > 0).count(), 1, "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_of_a_database_needs_to_be_no_superuser() {
    let db = TestDatabase::empty().await;
    owned_by(&db, "rowcall_test_owner").await;
    let as_owner = db.database_as("rowcall_test_owner");
    for _ in 0..2 {
        migrate::apply(&as_owner).await.unwrap();
    }
    assert!(migrate::pending(&as_owner).await.unwrap().is_empty());
    let owner = as_owner.client().await.unwrap();
    assert!(!database::get::<bool>(&owner, "select rolsuper from pg_roles where rolname = current_user").await);
    database::run(&owner, "insert into codes (code, status) values ('A', 'creating')").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_script_through_psql_is_the_same_as_migrate() {
    let (by_script, by_migrate) = (TestDatabase::empty().await, TestDatabase::new().await);
    let script = rowcall(&by_script, &["migrate", "--print"]);
    assert!(script.status.success());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &script.stdout).unwrap();
    migrate::apply(&by_migrate.database()).await.unwrap();
    for run in ["first", "second"] {
        let psql = Command::new("psql").args(["-X", "-q", "-d", &by_script.address(), "-f"]).arg(file.path()).output();
        let psql = psql.expect("psql comes with Postgres");
        assert!(psql.status.success(), "{run}: {}", said(&psql));
        assert_eq!(by_script.all::<String>(SCHEMA).await, by_migrate.all::<String>(SCHEMA).await, "{run}");
    }
    assert!(migrate::pending(&by_script.database()).await.unwrap().is_empty());
    assert_eq!(
        migrate::apply(&by_script.database()).await.unwrap(),
        Vec::<String>::new(),
        "nor is anything left to do"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn check_tells_what_is_pending_and_changes_nothing() {
    let db = TestDatabase::empty().await;
    let before = rowcall(&db, &["migrate", "--check"]);
    assert_eq!(before.status.code(), Some(1));
    let words = said(&before);
    assert!(words.contains("lacks: V1__core, V2__codes") && words.contains("functions, views, triggers"), "{words}");
    assert_eq!(db.get::<i64>("select count(*) from pg_namespace where nspname = 'rowcall'").await, 0);
    assert!(rowcall(&db, &["migrate"]).status.success());
    let after = rowcall(&db, &["migrate", "--check"]);
    assert!(after.status.success() && said(&after).contains("has everything of this version"));
    db.run("update rowcall.installed set fingerprint = 'of another version' where object = 'files'").await;
    assert_eq!(rowcall(&db, &["migrate", "--check"]).status.code(), Some(1));
}

/// Functions of versions before, by signatures that there are no more: a call that fits two is refused.
const OF_BEFORE: &str = "
    create function rowcall.grant_table(relation text, browser text, workers name[] default '{}') returns void language sql as '';
    create function rowcall.living_code(wanted text) returns text language sql as 'select wanted';
    create function rowcall.complete_code_request() returns trigger language plpgsql as 'begin return new; end';
    update rowcall.installed set fingerprint = 'of another version' where object = 'files'";

#[tokio::test(flavor = "multi_thread")]
async fn functions_of_a_version_before_stand_in_nobodys_way() {
    let db = TestDatabase::new().await;
    let functions =
        "select p.oid::regprocedure::text from pg_proc as p where p.pronamespace = 'rowcall'::regnamespace order by 1";
    let before = db.all::<String>(functions).await;
    db.run(OF_BEFORE).await;
    assert_eq!(db.all::<String>(functions).await.len(), before.len() + 3);
    migrate::apply(&db.database()).await.unwrap();
    assert_eq!(db.all::<String>(functions).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_refuses_a_database_that_does_not_fit() {
    let (db, fake) = (TestDatabase::new().await, Fake::new());
    db.run(
        "insert into rowcall.schema_migrations (version, name, applied_on, checksum) values (9999, 'future', '', '1')",
    )
    .await;
    let mut worker = Binary::spawn(&db, &fake, &[]);
    assert_eq!(worker.ended().await.code(), Some(1));
    assert!(worker.log().contains("newer than version"), "{}", worker.log());
    assert!(matches!(migrate::apply(&db.database()).await, Err(MigrateError::Newer { found: 9999, .. })));

    let empty = TestDatabase::empty().await;
    let mut worker = Binary::spawn(&empty, &fake, &[]);
    assert_eq!(worker.ended().await.code(), Some(1));
    assert!(worker.log().contains("run `rowcall migrate`"), "{}", worker.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migrate_that_meets_a_users_lock_gives_up_and_says_so() {
    let db = TestDatabase::new().await;
    let user = db.connect().await;
    database::run(&user, "begin; lock table codes in access exclusive mode").await;
    let error = migrate::apply(&db.database()).await.unwrap_err();
    assert!(error.to_string().contains("a transaction holds a lock"), "{error}");
    database::run(&user, "rollback").await;
    migrate::apply(&db.database()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_meets_a_users_lock_gives_up_and_says_so() {
    let db = TestDatabase::empty().await;
    db.run(
        "create table codes (id serial primary key, code text not null, status text, metadata jsonb);
         insert into codes (code) values ('OLD')",
    )
    .await;
    let user = db.connect().await;
    database::run(&user, "begin; select from codes").await;
    let began = Instant::now();
    let error = migrate::apply(&db.database()).await.unwrap_err();
    assert!(error.to_string().contains("a transaction holds a lock that a migration needs"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    database::run(&user, "rollback").await;
    migrate::apply(&db.database()).await.unwrap();
    assert_eq!(db.all::<String>("select table_name from rowcall.adopted").await, ["codes"]);
}

#[test]
fn the_script_waits_for_no_lock_for_long() {
    let script = migrate::script();
    let (before, _) = script.split_once("create ").unwrap();
    assert!(before.ends_with("\nbegin;\nset local lock_timeout = '5s';\n\n"), "{before}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_rowcall_made_is_never_taken_for_an_adopted_one() {
    let db = TestDatabase::new().await;
    for _ in 0..2 {
        db.run(&migrate::script().replace("\\set ON_ERROR_STOP on", "")).await;
    }
    assert_eq!(db.get::<i64>("select count(*) from rowcall.adopted").await, 0);
}
