//! The heartbeat: a dead worker's rows are others' soon, and one that only seemed dead changes nothing.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::binary::Binary;
use crate::database::TestDatabase;
use crate::fake::Fake;
use crate::process::eventually;
use crate::worker::Scripted;

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_with_9_is_replaced_within_20_seconds() {
    let (db, fake) = (TestDatabase::new().await, Fake::new());
    db.fast().await;
    fake.fault(&["hang"]);
    let mut dying = Binary::start(&db, &fake).await;
    db.ask(1).await;
    eventually("the run", || (fake.runs() == ["create"]).then_some(())).await;
    let _heir = Binary::start(&db, &fake).await;
    dying.signal(Signal::SIGKILL);
    let killed = Instant::now();
    dying.ended().await;
    db.within(
        Duration::from_secs(30),
        "the heir takes the row over",
        "exists (select from rowcall.attempts where settled_as = 'lost')",
    )
    .await;
    let after = killed.elapsed();
    assert!(after <= Duration::from_secs(20), "{after:?}");
    db.all_ended().await;
    assert_eq!(fake.runs(), ["create", "list", "create"], "it was read back before it was repeated");
    assert_eq!(fake.codes_changed(), ["CODE-1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_worker_that_wakes_after_its_lease_changes_nothing() {
    let (db, fake) = (TestDatabase::new().await, Fake::new());
    db.fast().await;
    fake.fault(&["slow", "--seconds", "2"]);
    let zombie = Binary::start(&db, &fake).await;
    db.ask(1).await;
    eventually("the run", || (fake.runs() == ["create"]).then_some(())).await;
    zombie.signal(Signal::SIGSTOP);
    let died = "update rowcall.workers set heartbeat_at = now() - interval '1 minute'";
    db.run(&format!("{died}; update codes set claimed_until = now() - interval '1 second'")).await;
    eventually("the effect of the run", || (fake.effects() == ["create"]).then_some(())).await;

    let _heir = Binary::start(&db, &fake).await;
    db.all_ended().await;
    assert_eq!(fake.runs(), ["create", "list"], "the heir looked first, and saw that it is done");
    let history = "select settled_as from rowcall.attempts order by id";
    assert_eq!(db.all::<String>(history).await, ["lost", "done"]);
    // Somebody has asked for something new meanwhile, and it is done too.
    db.run("update codes set status = 'updating', metadata = '{\"new_discount_percent\": 30}'").await;
    db.all_ended().await;
    let before = db.image().await;

    zombie.signal(Signal::SIGCONT);
    zombie.logged("The claim was lost").await;
    assert_eq!(db.image().await, before, "a zombie changes nothing");
    assert_eq!(db.all::<String>(history).await, ["lost", "done", "done"]);
    zombie.logged("it goes on under a new name").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_counted_as_dead_goes_on_under_a_new_name() {
    let db = TestDatabase::new().await;
    db.fast().await;
    let held = Scripted::held();
    let _worker = db.worker(held.clone());
    db.ask(1).await;
    held.begun(1).await;
    db.run("create table was as select id from rowcall.workers").await;
    db.run("update rowcall.workers set heartbeat_at = now() - interval '1 minute'").await;
    // Its row is open to others from now on, itself included, though under another name.
    db.eventually(
        "another name claims the row",
        "claimed_by is not null and claimed_by <> (select id from was) from codes",
    )
    .await;
    held.begun(2).await;
    held.release(2);
    db.all_ended().await;
    let seen = held.seen();
    assert!(!seen[0].uncertain && seen[1].uncertain, "{seen:?}");
    assert_eq!(db.settled_as("done").await, 1, "the outcome of the old name is fenced off");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_living_worker_is_seen_alive_and_a_gone_one_not_at_all() {
    let db = TestDatabase::new().await;
    let worker = db.worker(Scripted::done());
    db.eventually(
        "it is known with its queues",
        "exists (select from rowcall.workers where queues = '{codes}' and not draining and pid > 0)",
    )
    .await;
    worker.stop().await;
    assert_eq!(db.get::<i64>("select count(*) from rowcall.workers").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_worker_beats_on() {
    let db = TestDatabase::new().await;
    db.fast().await;
    let held = Scripted::held();
    let _worker = db.worker(held.clone());
    db.ask(8).await;
    held.begun(8).await;
    db.run("create table first as select heartbeat_at from rowcall.workers").await;
    db.eventually("another beat", "w.heartbeat_at > f.heartbeat_at from rowcall.workers as w, first as f").await;
}
