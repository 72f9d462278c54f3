//! The sweep: what no bell announced is found all the same.

use std::time::Duration;

use rowcall::worker::Settings;

use crate::database::TestDatabase;
use crate::worker::{Scripted, TestWorker};

/// A worker that sweeps every second, which is the least that can be set.
async fn sweeping(db: &TestDatabase) -> (TestWorker, std::sync::Arc<Scripted>) {
    db.fast().await;
    let scripted = Scripted::done();
    let settings = Settings { sweep: Duration::from_secs(1), ..db.settings() };
    let worker = TestWorker::start(settings, scripted.clone());
    // The bell works, so that nobody polls in the sweep's place.
    db.run("insert into codes (code, status) values ('FIRST', 'creating')").await;
    db.all_ended().await;
    (worker, scripted)
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_notifications_dropped_every_row_is_still_done() {
    let db = TestDatabase::new().await;
    let (_worker, scripted) = sweeping(&db).await;
    db.run("set rowcall.quiet = 'on'").await;
    db.ask(50).await;
    db.all_ended().await;
    assert_eq!(scripted.seen().len(), 51);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_came_by_replication_or_restore_are_found() {
    let db = TestDatabase::new().await;
    let (_worker, scripted) = sweeping(&db).await;
    db.run("set session_replication_role = replica").await;
    db.ask(20).await;
    assert_eq!(db.get::<i64>("select count(*) from codes where generation = 0").await, 20, "no trigger fired");
    db.all_ended().await;
    assert_eq!(scripted.seen().len(), 21);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_cut_off_before_a_restore_stays_uncertain() {
    let db = TestDatabase::new().await;
    let (_worker, scripted) = sweeping(&db).await;
    db.run("set session_replication_role = replica").await;
    db.run(
        "insert into codes (code, status, generation, claim_token, claimed_by, claimed_until)
         values ('RESTORED', 'deleting', 7, gen_random_uuid(), gen_random_uuid(), now() - interval '1 minute')",
    )
    .await;
    db.all_ended().await;
    let seen = scripted.seen().pop().unwrap();
    assert_eq!((seen.generation, seen.uncertain, seen.operation.as_str()), (7, true, "delete"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_runs_out_is_noticed() {
    let db = TestDatabase::new().await;
    db.fast().await;
    db.run("set rowcall.quiet = 'on'").await;
    db.ask(1).await;
    db.run(
        "update codes set claim_token = gen_random_uuid(), claimed_by = gen_random_uuid(),
             claimed_until = clock_timestamp() + interval '3 seconds'",
    )
    .await;
    let scripted = Scripted::done();
    let settings = Settings { sweep: Duration::from_secs(1), ..db.settings() };
    let _worker = TestWorker::start(settings, scripted.clone());
    db.all_ended().await;
    assert!(scripted.seen()[0].uncertain && db.settled_as("lost").await == 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn history_past_its_time_goes() {
    let db = TestDatabase::new().await;
    db.run(
        "insert into rowcall.attempts (queue, key, generation, attempt, settled_as, settled_at)
         select 'codes', n::text, 1, 1, 'done', now() - n * interval '1 day' from generate_series(1, 60) as n",
    )
    .await;
    let (_worker, _) = sweeping(&db).await;
    db.eventually(
        "30 days are left",
        "(select count(*) = 29 from rowcall.attempts where key <> '1' or duration is null)",
    )
    .await;
    assert!(db.get::<bool>("select min(settled_at) > now() - interval '30 days' from rowcall.attempts").await);
}
