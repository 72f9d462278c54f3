//! The settle: outcomes become rows, fenced by token and generation, and no row keeps another waiting.

use std::time::Duration;

use rowcall::failure::{Failure, Fault};
use rowcall::job::Job;
use rowcall::outcome::Outcome;
use rowcall::store::queues::CODES;
use rowcall::store::settles::Settlement;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::claim::Hand;
use crate::database::{self, TestDatabase};
use crate::worker::Scripted;

const ROW: &str = "select to_jsonb(c) from codes as c order by c.id limit 1";

fn settlement(job: Job, outcome: Outcome) -> Settlement {
    Settlement { job, outcome, delay: Duration::from_secs(30), duration: Some(Duration::from_secs(1)) }
}

fn fault(fault: Fault) -> Outcome {
    Failure::new(fault, "because").into()
}

impl Hand {
    /// Settles one job; how it was settled, or nothing when the row was locked.
    async fn settle(&self, job: Job, outcome: Outcome) -> Option<String> {
        let settled = self.store.settle(&CODES, &[settlement(job, outcome)], false).await.unwrap();
        settled.into_iter().next().map(|s| s.settled_as)
    }
}

/// Another handle on the same claim, as a zombie has it.
fn copy(job: &Job) -> Job {
    Job { key: job.key.clone(), operation: job.operation.clone(), payload: job.payload.clone(), ..*job }
}

/// One code alone, about which this is asked.
async fn one_row(db: &TestDatabase, status: &str, metadata: &Value) -> Hand {
    db.fast().await;
    db.run("delete from codes; delete from rowcall.attempts").await;
    db.active(1).await;
    db.run(&format!("update codes set status = '{status}', metadata = '{metadata}'")).await;
    Hand::of(db).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_token_cannot_settle() {
    let db = TestDatabase::new().await;
    let zombie = one_row(&db, "deleting", &json!({})).await;
    let stale = zombie.take(1).await.remove(0);
    zombie.die(&db).await;
    let heir = Hand::of(&db).await;
    let job = heir.take(1).await.remove(0);
    let before = db.image().await;
    for outcome in [Outcome::done(None), fault(Fault::Item), fault(Fault::Transient), fault(Fault::Unknowable)] {
        assert_eq!(zombie.settle(copy(&stale), outcome).await.as_deref(), Some("lost"));
        assert_eq!(db.image().await, before, "a zombie changes nothing");
    }
    assert_eq!(heir.settle(job, Outcome::done(None)).await.as_deref(), Some("done"));
    let after = db.image().await;
    assert_eq!(zombie.settle(stale, fault(Fault::Item)).await.as_deref(), Some("lost"));
    assert_eq!(db.image().await, after, "nor after the row is done");
    assert_eq!(db.all::<String>("select settled_as from rowcall.attempts order by id").await, ["lost", "done"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_that_is_written_already_is_not_written_again() {
    let db = TestDatabase::new().await;
    let hand = one_row(&db, "updating", &json!({"new_max_uses": 5})).await;
    let job = hand.take(1).await.remove(0);
    assert_eq!(hand.settle(copy(&job), Outcome::done(None)).await.as_deref(), Some("done"));
    let before = db.image().await;
    assert_eq!(hand.settle(job, Outcome::done(None)).await.as_deref(), Some("lost"), "its answer was lost, say");
    assert_eq!((db.image().await, db.settled_as("done").await), (before, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_gone_is_lost_and_keeps_nobody_waiting() {
    let db = TestDatabase::new().await;
    let hand = one_row(&db, "deleting", &json!({})).await;
    let job = hand.take(1).await.remove(0);
    db.run("delete from codes").await;
    assert_eq!(hand.settle(job, Outcome::done(None)).await.as_deref(), Some("lost"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_changed_is_not_overwritten() {
    let db = TestDatabase::new().await;
    for change in ["status = 'deleting'", "status = 'active'", "metadata = metadata || '{\"new_max_uses\": 9}'"] {
        for outcome in [Outcome::done(None), fault(Fault::Item), fault(Fault::Transient), fault(Fault::Unknowable)] {
            let hand = one_row(&db, "updating", &json!({"new_max_uses": 5})).await;
            let job = hand.take(1).await.remove(0);
            db.run(&format!("update codes set {change}")).await;
            let mut asked: Value = db.get(ROW).await;
            assert_eq!(hand.settle(job, outcome).await.as_deref(), Some("superseded"), "{change}");
            let row: Value = db.get(ROW).await;
            for column in ["claim_token", "claimed_by", "claimed_until"] {
                asked[column] = Value::Null;
            }
            assert_eq!(row, asked, "only the claim goes: {change}");
            assert_eq!(db.settled_as("superseded").await, 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_verdict_does_to_the_row_what_the_document_says() {
    let db = TestDatabase::new().await;
    let failed = "active";
    for (status, done, failed) in [
        ("creating", "active", "failed"),
        ("updating", "active", failed),
        ("deleting", "deleted", failed),
        ("renaming", "deleted", failed),
    ] {
        let unknowable = Outcome { uncertain: true, ..fault(Fault::Unknowable) };
        for (outcome, settled_as, expected, attempts) in [
            (Outcome::done(None), "done", done, 0),
            (fault(Fault::Item), "failed", failed, 1),
            (fault(Fault::Transient), "retry", status, 1),
            (fault(Fault::Throttled), "wait", status, 0),
            (fault(Fault::Outage), "wait", status, 0),
            (unknowable, "unknown", "unknown", 1),
        ] {
            let hand = one_row(&db, status, &json!({"new_code": "NEW", "new_max_uses": 5})).await;
            let job = hand.take(1).await.remove(0);
            let what = format!("{status} {settled_as}");
            assert_eq!(hand.settle(job, outcome).await.as_deref(), Some(settled_as), "{what}");
            let row: Value = db.get(ROW).await;
            assert_eq!((&row["status"], &row["attempts"]), (&json!(expected), &json!(attempts)), "{what}");
            assert_eq!(row["error_message"].as_str(), (settled_as != "done").then_some("because"), "{what}");
            let ended = matches!(settled_as, "failed" | "unknown");
            assert_eq!(row["metadata"]["action_failed"], if ended { json!(true) } else { Value::Null }, "{what}");
            assert_eq!(
                row["claim_token"].is_string(),
                settled_as == "unknown",
                "a mark stays where it is not known: {what}"
            );
            assert!(row["claimed_by"].is_null() && row["claimed_until"].is_null(), "{what}");
            let later = "next_retry_at - now() between interval '29 seconds' and interval '30 seconds'";
            let waits = db.get::<bool>(&format!("select {later} from codes order by id limit 1")).await;
            assert_eq!(waits, matches!(settled_as, "retry" | "wait"), "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_failure_ends_a_request() {
    for (uncertain, settled_as) in [(false, "failed"), (true, "unknown")] {
        let db = TestDatabase::new().await;
        let hand = one_row(&db, "creating", &json!({})).await;
        db.run("update codes set attempts = max_attempts - 1").await;
        let job = hand.take(1).await.remove(0);
        let outcome = Outcome { uncertain, ..fault(Fault::Transient) };
        assert_eq!(hand.settle(job, outcome).await.as_deref(), Some(settled_as));
        assert_eq!(db.get::<String>("select status from codes").await, settled_as);
        assert_eq!(hand.take(1).await.len(), 0, "it asks for nothing any more");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_row_does_not_hold_up_the_rows_beside_it() {
    let db = TestDatabase::new().await;
    db.fast().await;
    let hand = Hand::of(&db).await;
    db.ask(3).await;
    let jobs = hand.take(3).await;
    let batch: Vec<_> = jobs.iter().map(|job| settlement(copy(job), Outcome::done(None))).collect();
    let user = db.connect().await;
    database::run(&user, "begin; select from codes where code = 'CODE-2' for update").await;
    let settle = hand.store.settle(&CODES, &batch, false);
    let settled = timeout(Duration::from_secs(10), settle).await.expect("it does not wait").unwrap();
    let mut keys: Vec<_> = settled.iter().map(|s| (s.key.as_str(), s.settled_as.as_str())).collect();
    keys.sort_unstable();
    assert_eq!(keys, [("1", "done"), ("3", "done")], "the locked one is in no answer, so it is offered again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_locked_for_long_is_settled_when_it_is_free_and_the_others_at_once() {
    let db = TestDatabase::new().await;
    db.fast().await;
    let held = Scripted::held();
    let _worker = db.worker(held.clone());
    db.ask(100).await;
    held.begun(8).await;
    // A person keeps one of the running rows locked while everything else goes on.
    let user = db.connect().await;
    database::run(&user, "begin; select from codes where claimed_by is not null order by id limit 1 for update").await;
    held.release(200);
    db.eventually("all but the locked row are done", "(select count(*) = 99 from codes where status = 'active')").await;
    assert_eq!(held.seen().len(), 100, "every row was executed once");
    database::run(&user, "rollback").await;
    db.all_ended().await;
    assert_eq!((held.seen().len(), db.settled_as("done").await), (100, 100));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_that_the_database_refuses_parks_its_row_only() {
    let db = TestDatabase::new().await;
    db.fast().await;
    db.ask(50).await;
    db.run("alter table codes add constraint never_seven check (code <> 'CODE-7' or status <> 'active')").await;
    let scripted = Scripted::done();
    let _worker = db.worker(scripted.clone());
    db.all_ended().await;
    assert_eq!(db.all::<String>("select code from codes where status <> 'active'").await, ["CODE-7"]);
    let row: Value = db.get("select to_jsonb(c) from codes as c where code = 'CODE-7'").await;
    assert_eq!(row["status"], "unknown");
    let message = row["error_message"].as_str().unwrap();
    assert!(message.contains("ended as done") && message.contains("never_seven"), "{message}");
    assert_eq!(scripted.seen().len(), 50, "nothing was executed again");
}
