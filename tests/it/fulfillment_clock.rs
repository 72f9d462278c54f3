//! The retry clock of fulfilment, whole: the real engine with a scripted supplier. The clock is moved on in the database, where
//! every time stands.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rowcall::failure::Fault;
use rowcall::outcome::{Outcome, Verdict};
use rowcall::store::queues::FULFILLMENT_LOGS;
use serde_json::json;

use crate::database::TestDatabase;
use crate::worker::{Scripted, TestWorker};

const ORDER: &str = "insert into orders (network, phone_number, package) values ('AT-iShare', '0261234567', '1GB')";

/// Moves the clock on by so many minutes: everything that was ahead is nearer by that.
async fn minutes_pass(db: &TestDatabase, minutes: u32) {
    db.run(&format!(
        "update fulfillment_logs set retry_after = retry_after - interval '{minutes} minutes' where retry_after is not null;
         select pg_notify('rowcall', 'fulfillment_logs')"
    ))
    .await;
}

/// Waits until the row and its order stand so.
async fn stands(db: &TestDatabase, standing: &str) {
    db.eventually(
        standing,
        &format!(
            "(select concat_ws(' ', l.status, l.attempt_number, o.fulfillment_status) = '{standing}'
              from fulfillment_logs as l join orders as o on o.id = l.order_id where l.claimed_by is null)"
        ),
    )
    .await;
}

/// The minutes until the next attempt, as the row says; nothing when none follows.
async fn wait(db: &TestDatabase) -> Option<f64> {
    db.get("select (extract(epoch from retry_after - now()) / 60)::float8 from fulfillment_logs").await
}

async fn engine(integration: Arc<Scripted>) -> (TestDatabase, TestWorker) {
    let db = TestDatabase::new().await;
    let worker = TestWorker::of(&FULFILLMENT_LOGS, db.settings(), integration);
    (db, worker)
}

#[tokio::test(flavor = "multi_thread")]
async fn three_attempts_are_five_and_fifteen_minutes_apart_and_no_hour_is_waited_for() {
    let scripted = Scripted::failing(Fault::Transient, "out of stock");
    let (db, _worker) = engine(scripted.clone()).await;
    db.run(ORDER).await;
    for (attempt, minutes) in [(1, 5), (2, 15)] {
        stands(&db, &format!("failed {attempt} failed")).await;
        let waits = wait(&db).await.unwrap();
        assert!((f64::from(minutes) - 0.5..=f64::from(minutes) * 1.1).contains(&waits), "{waits}");
        minutes_pass(&db, minutes - 1).await;
        db.run("select rowcall.sweep_now()").await;
        assert_eq!(scripted.seen().len(), attempt, "a minute early is early");
        assert_eq!(db.get::<i32>("select attempt_number from fulfillment_logs").await, i32::try_from(attempt).unwrap());
        minutes_pass(&db, minutes).await;
    }
    stands(&db, "failed 3 failed").await;
    assert_eq!(wait(&db).await, None);
    minutes_pass(&db, 600).await;
    db.run("select rowcall.sweep_now(); select pg_notify('rowcall', 'fulfillment_logs')").await;
    let attempts: Vec<i32> = scripted.seen().iter().map(|seen| seen.attempt).collect();
    assert_eq!(attempts, [1, 2, 3]);
    let keys: std::collections::HashSet<_> = scripted.seen().into_iter().map(|seen| seen.idempotency_key).collect();
    assert_eq!(keys.len(), 1, "the same request each time");
    let history: Vec<String> = db.all("select settled_as || ' ' || attempt from rowcall.attempts order by id").await;
    assert_eq!(history, ["retry 1", "retry 2", "failed 3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fourth_attempt_that_is_allowed_comes_after_an_hour_and_is_the_last() {
    let scripted = Scripted::failing(Fault::Transient, "out of stock");
    let (db, _worker) = engine(scripted.clone()).await;
    db.run("update rowcall.queues set max_attempts = 4 where queue = 'fulfillment_logs'").await;
    db.run(ORDER).await;
    for (attempt, minutes) in [(1, 5), (2, 15), (3, 60)] {
        stands(&db, &format!("failed {attempt} failed")).await;
        let waits = wait(&db).await.unwrap();
        assert!((f64::from(minutes) - 0.5..=f64::from(minutes) * 1.1).contains(&waits), "{waits}");
        minutes_pass(&db, minutes * 2).await;
    }
    stands(&db, "failed 4 failed").await;
    assert_eq!(wait(&db).await, None);
    assert_eq!(
        db.get::<i32>("select max_attempts from fulfillment_logs").await,
        4,
        "the documented SQL compares with the policy"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bound_that_is_lowered_meanwhile_ends_a_row_without_running_it() {
    let scripted = Scripted::failing(Fault::Transient, "out of stock");
    let (db, _worker) = engine(scripted.clone()).await;
    db.run(ORDER).await;
    stands(&db, "failed 1 failed").await;
    db.run("update rowcall.queues set max_attempts = 1 where queue = 'fulfillment_logs'").await;
    minutes_pass(&db, 6).await;
    db.eventually("the row is ended", "retry_after is null and status = 'failed' from fulfillment_logs").await;
    assert_eq!(db.get::<String>("select attempt_number || '/' || max_attempts from fulfillment_logs").await, "1/1");
    assert_eq!(scripted.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_goes_from_paid_to_delivered_through_an_outage_and_its_look_ups() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let scripted = Scripted::new(move |seen| {
        let accepted = || Outcome {
            verdict: Verdict::Wait,
            delay: Some(Duration::from_millis(20)),
            error: Some("accepted".to_owned()),
            ..Outcome::done(Some(json!({"state": "accepted", "reference": "r", "provider_reference": "P1"})))
        };
        match (counted.fetch_add(1, Ordering::SeqCst), seen.operation.as_str()) {
            (0, "purchase") => rowcall::failure::Failure::new(Fault::Outage, "the wallet is empty").into(),
            (1, "purchase") | (2 | 3, "look_up") => accepted(),
            (4, "look_up") => {
                Outcome::done(Some(json!({"state": "delivered", "reference": "r", "provider_reference": "P1"})))
            }
            (nth, other) => panic!("{nth} {other}"),
        }
    });
    let (db, _worker) = engine(scripted.clone()).await;
    db.run(ORDER).await;
    db.eventually("the outage is told", "error_message = 'the wallet is empty' from fulfillment_logs").await;
    stands(&db, "pending 1 pending").await;
    assert_eq!(db.get::<String>("select state from rowcall.targets where target = 'supplier'").await, "open");
    db.run("select rowcall.resume('fulfillment_logs'); update fulfillment_logs set retry_after = now()").await;
    stands(&db, "success 1 success").await;
    assert_eq!(db.get::<String>("select state from rowcall.targets where target = 'supplier'").await, "closed");
    assert_eq!(calls.load(Ordering::SeqCst), 5);
    assert_eq!(db.get::<i32>("select looks from fulfillment_logs").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_supplier_told_too_early_is_applied_by_the_sweep() {
    let db = TestDatabase::new().await;
    db.run(&format!(
        "{ORDER};
         update fulfillment_logs set status = 'processing', accepted_at = now(), claim_token = gen_random_uuid(), generation = generation + 1,
            retry_after = now() + interval '1 hour';
         select rowcall.supplier_report('s', null, 'P1', 'delivered', null, null, null);
         update fulfillment_logs set provider_reference = 'P1'"
    ))
    .await;
    let mut settings = db.settings();
    settings.sweep = Duration::from_millis(200);
    let _worker = TestWorker::of(&FULFILLMENT_LOGS, settings, Scripted::done());
    stands(&db, "success 1 success").await;
}
