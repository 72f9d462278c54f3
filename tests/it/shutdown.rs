//! The shutdown: what runs may end, what must be cut off is handed back, and a second signal waits for nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use nix::sys::signal::Signal;
use rowcall::integrations::{Integration, Limits};
use rowcall::job::Job;
use rowcall::outcome::Outcome;
use rowcall::worker::Settings;
use serde_json::Value;

use crate::binary::Binary;
use crate::database::{Ear, TestDatabase};
use crate::fake::Fake;
use crate::process::eventually;
use crate::worker::{Scripted, TestWorker};

async fn running(fake: &Fake, number: usize) {
    eventually("the runs", || (fake.runs().len() >= number).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_lets_end_what_runs_and_claims_nothing_more() {
    let (db, fake) = (TestDatabase::new().await, Fake::new());
    db.fast().await;
    db.run("update rowcall.queues set slots = 2").await;
    fake.fault(&["slow", "--seconds", "2", "--times", "2"]);
    let mut worker = Binary::start(&db, &fake).await;
    db.ask(5).await;
    running(&fake, 2).await;
    worker.signal(Signal::SIGTERM);
    assert_eq!(worker.ended().await.code(), Some(0));
    let status = "select array_agg(status order by status) from codes";
    assert_eq!(db.get::<Vec<String>>(status).await, ["active", "active", "creating", "creating", "creating"]);
    assert_eq!(fake.runs().len(), 2);
    assert_eq!(db.get::<i64>("select count(*) from codes where claim_token is not null or attempts > 0").await, 0);
    assert_eq!(db.get::<i64>("select count(*) from rowcall.workers").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_hands_back_what_does_not_end_without_counting_the_attempt() {
    let (db, fake) = (TestDatabase::new().await, Fake::new());
    db.fast().await;
    fake.fault(&["commit-then-hang"]);
    let mut worker = Binary::start(&db, &fake).await;
    db.ask(1).await;
    eventually("the effect", || (fake.effects().len() == 1).then_some(())).await;
    worker.signal(Signal::SIGTERM);
    let told = Instant::now();
    assert_eq!(worker.ended().await.code(), Some(0));
    assert!(told.elapsed() < Duration::from_secs(16), "{:?} of a grace of 15 s", told.elapsed());
    let row: Value = db.get("select to_jsonb(c) from codes as c").await;
    assert_eq!((row["status"].as_str(), row["attempts"].as_i64()), (Some("creating"), Some(0)));
    assert!(row["claimed_by"].is_null() && row["claim_token"].is_string(), "its effect is not known: {row}");
    assert!(db.get::<bool>("select next_retry_at <= now() from codes").await, "it is due at once");

    let _next = Binary::start(&db, &fake).await;
    db.all_ended().await;
    assert_eq!(fake.runs(), ["create", "list"], "the next worker looks, and sees that it is done");
    assert_eq!(db.get::<i32>("select attempts from codes").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_sigterm_ends_at_once() {
    let (db, fake) = (TestDatabase::new().await, Fake::new());
    db.fast().await;
    fake.fault(&["hang"]);
    let mut worker = Binary::start(&db, &fake).await;
    db.ask(1).await;
    running(&fake, 1).await;
    worker.signal(Signal::SIGTERM);
    worker.logged("Shutting down").await;
    let told = Instant::now();
    worker.signal(Signal::SIGTERM);
    assert_eq!(worker.ended().await.code(), Some(130));
    assert!(told.elapsed() < Duration::from_secs(4), "{:?}", told.elapsed());
    assert!(db.get::<bool>("select claimed_by is not null from codes").await, "the heartbeat will tell the others");
    assert_eq!(db.get::<i64>("select count(*) from rowcall.workers").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_waits_for_its_rate_hands_its_rows_back_unstarted() {
    let db = TestDatabase::new().await;
    db.fast().await;
    db.run("update rowcall.queues set rate_per_second = 0.01, rate_burst = 2, slots = 2, lease = '1 hour'").await;
    let scripted = Scripted::done();
    let worker = db.worker(scripted.clone());
    db.ask(4).await;
    scripted.begun(2).await;
    db.eventually("others are claimed and wait", "(select count(*) = 2 from codes where claimed_by is not null)").await;
    worker.stop().await;
    assert_eq!(scripted.seen().len(), 2);
    let waiting = "select count(*) from codes where status = 'creating' and attempts = 0 and claim_token is null";
    assert_eq!(db.get::<i64>(waiting).await, 2, "nothing of them was begun, so nothing is uncertain");
}

/// Operations that do not end, whatever they are told.
#[derive(Debug)]
struct Deaf;

impl Integration for Deaf {
    fn ready(&self) -> Result<(), String> {
        Ok(())
    }

    fn execute<'a>(&'a self, _job: &'a Job, _limits: &'a Limits) -> BoxFuture<'a, Outcome> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_leaves_something_running_counts_as_dead_and_not_as_gone() {
    let db = TestDatabase::new().await;
    db.fast().await;
    let settings = Settings { grace: Duration::from_millis(500), ..db.settings() };
    let worker = TestWorker::start(settings, Arc::new(Deaf));
    db.ask(1).await;
    db.eventually("it is claimed", "claimed_by is not null from codes").await;
    worker.stop().await;
    db.run("update rowcall.workers set heartbeat_at = now() - interval '1 minute'").await;
    let heir = Scripted::done();
    let _heir = db.worker(heir.clone());
    // Without the dead worker's row nobody would know before the lease ends, minutes later.
    db.all_ended().await;
    assert!(heir.seen()[0].uncertain);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_goes_rings_for_those_that_stay() {
    let db = TestDatabase::new().await;
    let held = Scripted::held();
    let worker = db.worker(held.clone());
    db.ask(2).await;
    held.begun(1).await;
    // The bound keeps the other worker from the second row, and it has looked already.
    let other = Scripted::done();
    let _other = db.worker(other.clone());
    db.eventually("both are known", "(select count(*) = 2 from rowcall.workers)").await;
    let ear = Ear::on(&db).await;
    worker.shutdown.closing.cancel();
    held.release(1);
    worker.stop().await;
    assert!(ear.heard().await.contains(&"*".to_owned()));
    db.all_ended().await;
    assert_eq!((held.seen().len(), other.seen().len()), (1, 1));
}
