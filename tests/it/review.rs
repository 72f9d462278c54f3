//! What a hostile reading found, each fault mended and kept from coming back.

use std::time::Duration;

use rowcall::failure::{Failure, Fault};
use rowcall::outcome::Outcome;
use rowcall::store::claims::Claim;
use rowcall::store::queues::CODES;
use uuid::Uuid;

use crate::breaker::PROBE;
use crate::database::TestDatabase;
use crate::worker::{Scripted, TestWorker};

/// A trigger of the users' that refuses some writes, with a SQLSTATE of their own choosing.
async fn refuse(db: &TestDatabase, event: &str, when: &str) {
    db.run(&format!(
        "create function refuse() returns trigger language plpgsql as
         $$ begin raise sqlstate 'PT409' using message = 'customer Ama Owusu has no right to this'; end $$;
         create trigger zz_refuse before {event} on codes for each row when ({when}) execute function refuse()"
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_that_is_cut_off_is_followed_by_another() {
    let db = TestDatabase::new().await;
    db.fast().await;
    let operations = Scripted::new(|seen| match seen.key.as_str() {
        "1" => Failure::new(Fault::Outage, "the provider is down").into(),
        "2" => Failure::new(Fault::Interrupted, "cut off").uncertain().into(),
        _ => Outcome::done(None),
    });
    let _worker = db.worker(operations);
    db.ask(1).await;
    db.eventually("the breaker is open", "(select state = 'open' from rowcall.targets where target = 'fienta')").await;
    db.run("delete from codes; insert into codes (code, status) values ('CODE-2', 'creating')").await;
    db.nudged(PROBE, "the probe was cut off", "exists (select from rowcall.attempts where key = '2')").await;
    db.run("delete from codes; insert into codes (code, status) values ('CODE-3', 'creating')").await;
    db.nudged(PROBE, "the next one came through", "exists (select from codes where status = 'active')").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bounded_claim_that_waited_until_its_worker_counts_as_dead_takes_nothing() {
    let db = TestDatabase::new().await;
    db.ask(1).await;
    let worker = Uuid::new_v4();
    db.run(&format!(
        "insert into rowcall.workers (id, host, pid, version, queues) values ('{worker}', 'h', 1, 'v', '{{codes}}')"
    ))
    .await;
    // The claim begins its transaction and waits for the policy; meanwhile its worker falls silent.
    let holder = db.connect().await;
    crate::database::run(&holder, "begin; select from rowcall.queues where queue = 'codes' for update").await;
    let store = db.store();
    let claim =
        Claim { limit: 1, worker, token: Uuid::new_v4(), lease: Duration::from_mins(1), bounded: true, skip: 0 };
    let claiming = tokio::spawn(async move { store.claim(&CODES, claim).await });
    db.eventually(
        "the claim waits",
        "exists (select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database())",
    )
    .await;
    // Sixteen seconds pass for the worker, and none for the transaction: its own time stands still.
    db.run("update rowcall.workers set heartbeat_at = clock_timestamp() - interval '14.9 seconds'").await;
    db.eventually(
        "it counts as dead",
        "(select heartbeat_at <= clock_timestamp() - interval '15 seconds' from rowcall.workers)",
    )
    .await;
    crate::database::run(&holder, "commit").await;
    assert!(claiming.await.unwrap().unwrap().is_empty());
    assert!(db.get::<bool>("select claim_token is null from codes").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_refused_with_an_unknown_sqlstate_is_parked_alone() {
    let db = TestDatabase::new().await;
    db.fast().await;
    refuse(&db, "update", "new.status = 'active' and new.code in ('CODE-1', 'CODE-2')").await;
    let _worker = db.worker(Scripted::done());
    db.ask(8).await;
    db.eventually(
        "six are done and two parked",
        "(select count(*) filter (where status = 'active') = 6 and count(*) filter (where status = 'unknown') = 2 from codes)",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_takes_no_outcome_holds_up_nobody() {
    let db = TestDatabase::new().await;
    db.run("update rowcall.queues set rate_per_second = null").await;
    refuse(&db, "update", "new.status in ('active', 'unknown') and new.code = 'CODE-1'").await;
    let _worker = db.worker(Scripted::done());
    // One at a time over all workers: a slot that is not given back would stop the queue.
    db.ask(3).await;
    db.eventually("the others are done", "(select count(*) = 2 from codes where status = 'active')").await;
    db.eventually(
        "it rests, and says why",
        "(select error_message like '%could not be written%' and next_retry_at > now() + interval '5 minutes'
             from codes where code = 'CODE-1')",
    )
    .await;
    assert_eq!(db.get::<i64>("select count(*) from rowcall.slots").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_refuses_its_own_claim_is_passed_over() {
    let db = TestDatabase::new().await;
    db.fast().await;
    db.ask(12).await;
    refuse(&db, "update", "new.claim_token is not null and new.code in ('CODE-1', 'CODE-7')").await;
    let _worker = db.worker(Scripted::done());
    db.eventually("the others are done", "(select count(*) = 10 from codes where status = 'active')").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_whose_turn_comes_after_its_lease_is_not_started() {
    let db = TestDatabase::new().await;
    db.run("update rowcall.queues set rate_per_second = 2, lease = '1 second', timeout = '1 second'").await;
    // As after a failover to a host with an earlier clock.
    db.run("update rowcall.targets set spent_until = now() + interval '1 hour'").await;
    let operations = Scripted::done();
    let _worker = db.worker(operations.clone());
    db.ask(1).await;
    db.eventually(
        "it is handed back until its turn",
        "(select claim_token is null and attempts = 0 and next_retry_at > now() + interval '50 minutes' from codes)",
    )
    .await;
    assert!(operations.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_says_nothing_is_given_up() {
    let db = TestDatabase::new().await;
    db.fast().await;
    // Rows are looked for every second anyway: what hangs must not be what is asked again.
    let settings = db.settings();
    let _worker = TestWorker::start(settings, Scripted::done());
    db.eventually("the worker is known", "exists (select from rowcall.workers)").await;
    let store = db.store().with_answer_max(Duration::from_millis(300));
    let holder = db.connect().await;
    crate::database::run(&holder, "begin; lock table rowcall.queues in access exclusive mode").await;
    let error = store.standings().await.unwrap_err();
    assert!(error.chain().contains("did not answer in time"), "{}", error.chain());
    crate::database::run(&holder, "rollback").await;
    assert!(!store.standings().await.unwrap().is_empty(), "the next connection is another");
}

#[tokio::test(flavor = "multi_thread")]
async fn words_that_a_trigger_raises_are_not_for_the_log() {
    let db = TestDatabase::new().await;
    refuse(&db, "insert", "true").await;
    let error = db.connect().await.execute("insert into codes (code) values ('X')", &[]).await.unwrap_err();
    let logged = rowcall::store::chain(&error);
    assert!(logged.contains("PT409") && !logged.contains("Ama"), "{logged}");
}
