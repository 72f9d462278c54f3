//! What a sync keeps until it is written, how much of it at a time, and two who ask at once.

use serde_json::{Value, json};

use super::rows::{Rows, counts, end_after, failing, part, ticket, ticket_with};
use crate::database;

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_beyond_all_measure_is_written_in_slices() {
    let rows = Rows::new().await;
    rows.sync(&[ticket(9000)]).await;
    let key = rows.ask().await;
    for nth in 0..7 {
        let tickets: Vec<Value> = (0..1000).map(|of| ticket(nth * 1000 + of + 1)).collect();
        let job = rows.claim_one().await;
        rows.settle(job, part(i32::try_from(nth).unwrap() + 1, &tickets)).await;
    }
    assert_eq!(counts(&rows.row(key).await), [7, 7000, 6000, 0, 0, 0]);
    assert_eq!(rows.db.get::<i64>("select count(tickets) from rowcall.fluent_pages").await, 1);
    let job = rows.claim_one().await;
    rows.settle(job, end_after(8, &[ticket(7001), ticket(1)])).await;
    let row = rows.row(key).await;
    assert_eq!(counts(&row), [8, 7001, 7001, 0, 0, 0], "what two slices have is one");
    // What an earlier slice wrote was seen.
    assert!(row["note"].as_str().unwrap().starts_with("1 tickets that are known here were not shown"), "{row}");
    assert_eq!(rows.db.get::<i64>("select count(*) from rowcall.fluent_pages").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_tickets_are_written_in_slices_of_fewer() {
    let rows = Rows::new().await;
    let key = rows.ask().await;
    for nth in 1..=3 {
        let job = rows.claim_one().await;
        let tickets = [ticket_with(nth.into(), &json!({"content": "x".repeat(9 * 1024 * 1024)}))];
        rows.settle(job, part(nth, &tickets)).await;
        assert_eq!(counts(&rows.row(key).await)[2], if nth == 3 { 3 } else { 0 }, "18 MB are kept, and no more is");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_sync_read_that_plain_sql_took_back_does_not_stay() {
    let rows = Rows::new().await;
    for (statement, left) in [
        ("update fluent_sync_status set status = 'cancelled'", 0),
        ("update fluent_sync_status set is_full = not is_full", 0),
        ("update fluent_sync_status set updated_at = now()", 1),
    ] {
        rows.db.run("delete from fluent_sync_status").await;
        rows.ask().await;
        let job = rows.claim_one().await;
        rows.settle(job, part(1, &[ticket(1)])).await;
        rows.db.run(statement).await;
        rows.store.prune().await.unwrap();
        assert_eq!(rows.db.get::<i64>("select count(*) from rowcall.fluent_pages").await, left, "{statement}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_ask_in_the_same_words_at_once_ask_for_one_sync() {
    let rows = Rows::new().await;
    let somebody = rows.db.connect().await;
    database::run(&somebody, "begin; select rowcall.start_fluent_sync(null, false)").await;
    let store = rows.store.clone();
    let asked = tokio::spawn(async move { store.start_fluent_sync(None, false).await.unwrap() });
    let waits = "select exists (select from pg_locks where locktype = 'advisory' and not granted
        and database = (select oid from pg_database where datname = current_database()))";
    while !asked.is_finished() && !rows.db.get::<bool>(waits).await {}
    database::run(&somebody, "commit").await;
    asked.await.unwrap();
    assert_eq!(rows.db.get::<i64>("select count(*) from fluent_sync_status").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_error_of_the_time_before_is_not_told_while_it_runs() {
    let rows = Rows::new().await;
    let key = rows.ask().await;
    let job = rows.claim_one().await;
    rows.settle(job, failing()).await;
    let error = async || rows.store.fluent_sync(&key.to_string()).await.unwrap().unwrap()["error"].clone();
    assert_eq!(error().await, "The site failed (HTTP 500).");
    rows.db.run("update fluent_sync_status set next_retry_at = now()").await;
    let job = rows.claim_one().await;
    assert_eq!(error().await, Value::Null);
    rows.settle(job, failing()).await;
    assert_eq!(error().await, "The site failed (HTTP 500).");
}
