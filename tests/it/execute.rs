//! The execution: what surrounds an operation, how often it is tried, and what becomes of a request that changes meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};

use rowcall::failure::{Failure, Fault};
use rowcall::outcome::Outcome;

use crate::database::TestDatabase;
use crate::worker::Scripted;

#[tokio::test(flavor = "multi_thread")]
async fn no_transaction_is_open_while_an_operation_runs() {
    let db = TestDatabase::new().await;
    // As shipped, with the bound that is taken under a lock.
    db.ask(3).await;
    let held = Scripted::held();
    let _worker = db.worker(held.clone());
    held.begun(1).await;
    db.eventually(
        "every connection of the worker is idle and holds nothing",
        "count(*) > 0 and bool_and(a.state = 'idle' and a.xact_start is null and a.backend_xmin is null)
         from pg_stat_activity as a where a.datname = current_database() and a.application_name = 'rowcall'",
    )
    .await;
    // A heartbeat may come in between.
    let locks = "count(*) = 0 from pg_locks as l join pg_stat_activity as a using (pid)
         where a.datname = current_database() and a.application_name = 'rowcall'";
    db.eventually("and holds no lock", locks).await;
    assert_eq!(held.seen().len(), 1, "and it still runs");
    held.release(3);
    db.all_ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_request_wins_over_the_one_that_runs() {
    let db = TestDatabase::new().await;
    db.fast().await;
    db.active(1).await;
    let held = Scripted::held();
    let _worker = db.worker(held.clone());
    db.run("update codes set status = 'updating', metadata = '{\"new_max_uses\": 5}'").await;
    held.begun(1).await;
    // Twice, while the first still runs: one row never runs twice at the same time.
    db.run("update codes set metadata = '{\"new_max_uses\": 6}'").await;
    db.run("update codes set status = 'deleting', metadata = '{\"note\": 7}'").await;
    held.release(1);
    held.begun(2).await;
    assert_eq!(db.get::<String>("select status from codes").await, "deleting", "the first outcome was not applied");
    held.release(1);
    db.all_ended().await;
    let ran: Vec<_> = held.seen().iter().map(|s| (s.operation.clone(), s.generation)).collect();
    assert_eq!(ran, [("update".to_owned(), 1), ("delete".to_owned(), 3)]);
    assert_eq!(db.all::<String>("select settled_as from rowcall.attempts order by id").await, ["superseded", "done"]);
    assert_eq!(db.get::<String>("select status from codes").await, "deleted");
    assert_eq!(held.running_max(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_taken_back_while_it_runs_stays_taken_back() {
    let db = TestDatabase::new().await;
    db.fast().await;
    db.active(1).await;
    let held = Scripted::held();
    let _worker = db.worker(held.clone());
    db.run("update codes set status = 'deleting'").await;
    held.begun(1).await;
    db.run("update codes set status = 'active'").await;
    held.release(9);
    db.eventually(
        "the outcome is in the history",
        "exists (select from rowcall.attempts where settled_as = 'superseded')",
    )
    .await;
    assert_eq!(db.get::<String>("select status from codes where claim_token is null").await, "active");
    assert_eq!(held.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_one_account_run_one_at_a_time_and_the_oldest_first() {
    let db = TestDatabase::new().await;
    db.run("update rowcall.queues set rate_per_second = null, slots = 8").await;
    db.ask(12).await;
    db.run("update codes set next_retry_at = now() - id * interval '1 second'").await;
    let scripted = Scripted::done();
    let _one = db.worker(scripted.clone());
    let _other = db.worker(scripted.clone());
    db.all_ended().await;
    let ran: Vec<i64> = scripted.seen().iter().map(|seen| seen.key.parse().unwrap()).collect();
    assert_eq!(ran, (1..=12).rev().collect::<Vec<_>>());
    assert_eq!(scripted.running_max(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_follow_the_documented_delays_and_end() {
    let db = TestDatabase::new().await;
    // The shipped delays and attempts; only the bound and the rate are lifted.
    db.run("update rowcall.queues set cluster_slots = null, rate_per_second = null").await;
    let scripted = Scripted::failing(Fault::Transient, "it does not work today");
    let _worker = db.worker(scripted.clone());
    db.ask(1).await;
    for (attempt, seconds) in [(1, 30), (2, 60), (3, 120)] {
        db.eventually(
            &format!("the row waits {seconds} s after attempt {attempt}, and up to a tenth more"),
            &format!(
                "attempts = {attempt} and claimed_by is null and status = 'creating'
                     and error_message = 'it does not work today'
                     and next_retry_at - updated_at between interval '{seconds} seconds' and interval '{seconds} seconds' * 1.101
                 from codes"
            ),
        )
        .await;
        db.run("update codes set next_retry_at = now(); select rowcall.sweep_now()").await;
    }
    db.all_ended().await;
    assert_eq!(db.get::<String>("select status || ' ' || attempts from codes").await, "failed 4");
    assert_eq!(
        db.all::<String>("select settled_as from rowcall.attempts order by id").await,
        ["retry", "retry", "retry", "failed"]
    );
    let keys: Vec<_> = scripted.seen().into_iter().map(|seen| seen.idempotency_key).collect();
    assert_eq!(keys, ["codes:1:1"; 4], "the outside world gets the same key over all attempts");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_comes_when_its_time_is_there_without_any_bell() {
    let db = TestDatabase::new().await;
    db.fast().await;
    let failed = AtomicBool::new(false);
    let scripted = Scripted::new(move |_| {
        let first = !failed.swap(true, Ordering::Relaxed);
        if first { Failure::new(Fault::Transient, "once").into() } else { Outcome::done(None) }
    });
    let _worker = db.worker(scripted.clone());
    db.ask(1).await;
    db.all_ended().await;
    assert_eq!(db.get::<String>("select status || ' ' || attempts from codes").await, "active 1");
    assert_eq!(scripted.seen().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_without_attempts_left_ends_and_nothing_is_executed() {
    for (mark, status, words) in [
        ("", "failed", "all 4 attempts are spent"),
        (", claim_token = gen_random_uuid()", "unknown", "look outside whether it took effect"),
    ] {
        let db = TestDatabase::new().await;
        db.fast().await;
        db.run("set rowcall.quiet = 'on'").await;
        db.ask(1).await;
        db.run(&format!("update codes set attempts = max_attempts {mark}")).await;
        let scripted = Scripted::done();
        let _worker = db.worker(scripted.clone());
        db.all_ended().await;
        assert_eq!(db.get::<String>("select status from codes").await, status);
        let message: String = db.get("select error_message from codes").await;
        assert!(message.contains(words), "{message}");
        assert_eq!((scripted.seen().len(), db.settled_as(status).await), (0, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_an_outcome() {
    let db = TestDatabase::new().await;
    db.fast().await;
    let scripted = Scripted::new(|seen| if seen.attempt == 1 { panic!("a bug") } else { Outcome::done(None) });
    let _worker = db.worker(scripted.clone());
    db.ask(3).await;
    db.all_ended().await;
    assert_eq!((db.settled_as("retry").await, db.settled_as("done").await), (3, 3));
    let seen = scripted.seen();
    assert!(seen.iter().all(|seen| seen.uncertain == (seen.attempt == 2)), "what it did is not known: {seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_effect_is_parked_and_never_repeated() {
    let db = TestDatabase::new().await;
    db.fast().await;
    let scripted = Scripted::new(|_| Failure::new(Fault::Unknowable, "nobody knows").uncertain().into());
    let _worker = db.worker(scripted.clone());
    db.ask(3).await;
    db.all_ended().await;
    assert_eq!(
        db.get::<i64>("select count(*) from codes where status = 'unknown' and error_message = 'nobody knows'").await,
        3
    );
    db.run("select rowcall.sweep_now()").await;
    assert_eq!(scripted.seen().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_bound_what_one_worker_runs() {
    let db = TestDatabase::new().await;
    db.fast().await;
    db.ask(30).await;
    let held = Scripted::held();
    let _worker = db.worker(held.clone());
    held.begun(8).await;
    db.eventually("eight are claimed", "(select count(*) = 8 from codes where claimed_by is not null)").await;
    held.release(30);
    db.all_ended().await;
    assert_eq!(held.running_max(), 8);
}
