//! The bell: it wakes at once, and whatever it misses is made good.

use rowcall::worker::Settings;

use crate::database::{Ear, TestDatabase};
use crate::worker::{Scripted, TestWorker};

#[tokio::test(flavor = "multi_thread")]
async fn a_request_starts_without_any_sweep() {
    let db = TestDatabase::new().await;
    db.fast().await;
    let scripted = Scripted::done();
    let _worker = db.worker(scripted.clone());
    for number in 1..=20 {
        db.ask_more(&format!("CODE-{number}")).await;
        db.all_ended().await;
    }
    assert_eq!(scripted.seen().len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bell_missed_while_reconnecting_is_made_good() {
    let db = TestDatabase::new().await;
    db.fast().await;
    let scripted = Scripted::done();
    let _worker = db.worker(scripted.clone());
    db.ask_more("FIRST").await;
    db.all_ended().await;
    for round in 1..=20 {
        // The connection that listens is cut, and at once a row asks: nobody hears it.
        db.eventually(
            "the bell listens",
            "exists (select from pg_stat_activity where datname = current_database() and query = 'listen rowcall')",
        )
        .await;
        assert_eq!(db.cut("listen rowcall").await, 1);
        db.ask_more(&format!("CODE-{round}")).await;
        db.all_ended().await;
    }
    assert_eq!(scripted.seen().len(), 21);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bell_that_never_arrives_is_replaced_by_looking() {
    let (db, elsewhere) = (TestDatabase::new().await, TestDatabase::empty().await);
    db.fast().await;
    let scripted = Scripted::done();
    // As behind a transaction pooler: LISTEN succeeds and nothing is ever heard.
    let settings = Settings { listen: elsewhere.database(), ..db.settings() };
    let _worker = TestWorker::start(settings, scripted.clone());
    for number in 1..=3 {
        db.ask_more(&format!("CODE-{number}")).await;
        db.all_ended().await;
    }
    assert_eq!(scripted.seen().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bell_is_tested_over_the_ordinary_pool() {
    let db = TestDatabase::new().await;
    let ear = Ear::on(&db).await;
    let _worker = db.worker(Scripted::done());
    let mut heard = Vec::new();
    while heard.iter().all(|payload: &String| !payload.starts_with('?')) {
        heard.extend(ear.next().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strange_payloads_are_harmless() {
    let db = TestDatabase::new().await;
    db.fast().await;
    let scripted = Scripted::done();
    let _worker = db.worker(scripted.clone());
    for payload in ["", "orders", "?not-a-nonce", "codes; drop table codes", "*"] {
        db.run(&format!("select pg_notify('rowcall', '{payload}')")).await;
    }
    db.ask(1).await;
    db.all_ended().await;
}
