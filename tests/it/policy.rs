//! The policy: edited with SQL while workers run, and kept over all of them.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::binary::Binary;
use crate::database::TestDatabase;
use crate::fake::Fake;
use crate::worker::Scripted;

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_queue_rests_and_goes_on_while_the_worker_runs() {
    let db = TestDatabase::new().await;
    db.fast().await;
    let held = Scripted::held();
    let _worker = db.worker(held.clone());
    db.ask(1).await;
    held.begun(1).await;
    policy_read_after(&db, "select rowcall.pause('codes', 'the site is being rebuilt')").await;
    held.release(100);
    db.eventually("what ran has ended", "status = 'active' from codes").await;
    db.ask_more("CODE-2").await;
    policy_read_after(&db, "update rowcall.queues set batch = 50").await;
    policy_read_after(&db, "select rowcall.sweep_now()").await;
    let state = "select state || ': ' || reason from rowcall.work";
    assert_eq!(db.get::<String>(state).await, "waiting: paused: the site is being rebuilt");
    assert_eq!(held.seen().len(), 1);
    db.run("select rowcall.resume('codes')").await;
    db.all_ended().await;
    assert_eq!(held.seen().len(), 2);
}

/// Runs a statement that rings everywhere, and waits until the worker has read its policies after it.
async fn policy_read_after(db: &TestDatabase, statement: &str) {
    const READ: &str = "select exists (
        select from pg_stat_activity as a, moment as m
        where a.datname = current_database() and a.application_name = 'rowcall' and a.query_start > m.at and a.state = 'idle'
          and a.query like '-- The policy of every queue%')";
    db.run(&format!("drop table if exists moment; create table moment as select clock_timestamp() as at; {statement}"))
        .await;
    // A connection shows its last statement only, and the scheduler is woken too: so it is rung until one is seen.
    let began = Instant::now();
    for look in 1_u32.. {
        if db.get::<bool>(READ).await {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(45), "the worker reads its policies");
        if look % 20 == 0 {
            db.run("select rowcall.sweep_now()").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_over_all_workers_is_given_back_though_the_bound_is_lifted_meanwhile() {
    let db = TestDatabase::new().await;
    db.fast().await;
    db.run("update rowcall.queues set cluster_slots = 1 where queue = 'codes'").await;
    let held = Scripted::held();
    let _worker = db.worker(held.clone());
    db.ask(1).await;
    held.begun(1).await;
    assert_eq!(db.get::<i64>("select count(*) from rowcall.slots").await, 1);
    policy_read_after(&db, "update rowcall.queues set cluster_slots = null where queue = 'codes'").await;
    held.release(100);
    db.all_ended().await;
    assert_eq!(
        db.get::<i64>("select count(*) from rowcall.slots").await,
        0,
        "another queue of the account may want it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_are_changed_while_the_worker_runs() {
    let db = TestDatabase::new().await;
    db.fast().await;
    db.run("update rowcall.queues set slots = 2").await;
    db.ask(20).await;
    let held = Scripted::held();
    let _worker = db.worker(held.clone());
    held.begun(2).await;
    assert_eq!(held.seen().len(), 2);
    db.run("update rowcall.queues set slots = 5").await;
    held.begun(5).await;
    held.release(20);
    db.all_ended().await;
    assert_eq!(held.running_max(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bound_on_attempts_is_changed_while_the_worker_runs() {
    let db = TestDatabase::new().await;
    db.fast().await;
    db.run("update rowcall.queues set max_attempts = 2").await;
    let scripted = Scripted::failing(rowcall::failure::Fault::Transient, "no");
    let _worker = db.worker(scripted.clone());
    db.ask(1).await;
    db.all_ended().await;
    db.run("update rowcall.queues set max_attempts = null").await;
    db.ask_more("CODE-2").await;
    db.all_ended().await;
    assert_eq!(db.all::<i32>("select attempts from codes order by id").await, [2, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_makes_no_sense_is_refused() {
    let db = TestDatabase::new().await;
    for edit in
        ["slots = 0", "batch = 0", "lease = '0'", "retry_delays = '{}'", "cluster_slots = 0", "rate_per_second = 0"]
    {
        let refusal = db.refusal(&format!("update rowcall.queues set {edit}")).await;
        assert!(refusal.contains("queues_bounds_are_positive"), "{refusal}");
    }
}

/// Fienta as shipped: one operation at a time over all workers, half a second apart.
#[tokio::test(flavor = "multi_thread")]
async fn two_workers_keep_fienta_to_one_operation_at_a_time_half_a_second_apart() {
    let (db, fake) = (TestDatabase::new().await, Fake::new());
    let _workers = [Binary::start(&db, &fake).await, Binary::start(&db, &fake).await];
    for number in 1..=8 {
        db.ask_more(&format!("CODE-{number}")).await;
    }
    // The bell rings both, again and again, while they work.
    db.eventually(
        "every request has ended",
        "not exists (select from codes where status = 'creating') and pg_notify('rowcall', 'codes') is not null",
    )
    .await;
    let runs = fake.runs_in_full();
    assert_eq!(runs.len(), 8, "{runs:?}");
    for pair in runs.windows(2) {
        let rest = pair[1].began_at.duration_since(pair[0].ended_at.unwrap());
        assert!(rest.as_millis() >= 500, "they rested {rest:?}: {pair:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bound_is_free_again_when_its_worker_died() {
    let (db, fake) = (TestDatabase::new().await, Fake::new());
    fake.fault(&["hang", "--code", "CODE-1"]);
    let dying = Binary::start(&db, &fake).await;
    db.ask(2).await;
    crate::process::eventually("the run", || (fake.runs() == ["create"]).then_some(())).await;
    let _heir = Binary::start(&db, &fake).await;
    dying.signal(Signal::SIGKILL);
    db.run("update rowcall.workers set heartbeat_at = now() - interval '1 minute' where pid <> (select max(pid) from rowcall.workers)").await;
    db.all_ended().await;
    assert_eq!(fake.codes_changed(), ["CODE-1", "CODE-2"]);
}
