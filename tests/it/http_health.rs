//! `/livez` and `/readyz`: each check that can fail, by itself.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::scratch::Scratch;
use crate::web::{Web, open, told};

async fn ready() -> (Scratch, Web) {
    let scratch = Scratch::migrated().await;
    let web = Web::start(&scratch, open()).await;
    web.readiness.set_bell_works(true);
    web.readiness.beat(Instant::now());
    (scratch, web)
}

/// The names of what fails.
async fn failing(web: &Web) -> Value {
    let (status, body) = told(web.get("/readyz")).await;
    let failing = body["failing"].clone();
    let is_ready = failing == json!([]);
    assert_eq!((status, body["ready"].as_bool()), if is_ready { (200, Some(true)) } else { (503, Some(false)) });
    assert_eq!(is_ready, body["error"].is_null(), "{body}");
    failing
}

#[tokio::test]
async fn a_worker_that_works_is_ready() {
    let (_scratch, web) = ready().await;
    assert_eq!(failing(&web).await, json!([]));
    assert_eq!(told(web.get("/livez")).await, (200, json!({ "alive": true })));
}

#[tokio::test]
async fn a_silent_bell_is_named() {
    let (_scratch, web) = ready().await;
    web.readiness.set_bell_works(false);
    assert_eq!(failing(&web).await, json!(["bell"]));
}

#[tokio::test]
async fn a_heartbeat_that_stays_away_is_named() {
    let (_scratch, web) = ready().await;
    web.readiness.beat(Instant::now().checked_sub(Duration::from_secs(11)).unwrap());
    assert_eq!(failing(&web).await, json!(["heartbeat"]));
}

#[tokio::test]
async fn a_worker_that_has_not_begun_is_not_ready() {
    let scratch = Scratch::migrated().await;
    let web = Web::start(&scratch, open()).await;
    assert_eq!(failing(&web).await, json!(["bell", "heartbeat"]));
}

#[tokio::test]
async fn another_schema_is_named() {
    let (scratch, web) = ready().await;
    scratch.sql("delete from rowcall.installed where object = 'files'").await;
    assert_eq!(failing(&web).await, json!(["schema"]));
    let scratch = Scratch::empty().await;
    let web = Web::start(&scratch, open()).await;
    assert_eq!(failing(&web).await, json!(["schema", "bell", "heartbeat"]));
}

#[tokio::test]
async fn a_database_that_is_away_is_named_and_the_process_lives() {
    let (scratch, web) = ready().await;
    scratch.shut().await;
    assert_eq!(failing(&web).await, json!(["database"]));
    assert_eq!(told(web.get("/livez")).await.0, 200);
    scratch.reopen().await;
    // The last look counts for a second.
    let began = Instant::now();
    while failing(&web).await != json!([]) {
        assert!(began.elapsed() < Duration::from_secs(20), "the database is back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
