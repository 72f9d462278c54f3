//! The rows of the queue, by the store alone: what asks for a sync, what its parts leave on the row, how it ends. Outcomes are
//! made by hand.

use std::time::Duration;

use rowcall::failure::{Failure, Fault};
use rowcall::job::Job;
use rowcall::outcome::Outcome;
use rowcall::store::Store;
use rowcall::store::claims::Claim;
use rowcall::store::queues::FLUENT;
use rowcall::store::settles::Settlement;
use rowcall::store::workers::Introduction;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::database::{Ear, TestDatabase};

/// A database with a worker that has no lane: the test is the worker.
pub(super) struct Rows {
    pub(super) db: TestDatabase,
    pub(super) store: Store,
    worker: Uuid,
}

impl Rows {
    pub(super) async fn new() -> Self {
        Self::on(TestDatabase::new().await).await
    }

    pub(super) async fn on(db: TestDatabase) -> Self {
        let (store, worker) = (db.store(), Uuid::new_v4());
        let queues = vec!["fluent_sync_status".to_owned()];
        store.register(worker, &Introduction { host: "here".to_owned(), pid: 1, version: "0", queues }).await.unwrap();
        // It sends no heartbeat, and must not count as dead while a slow test goes on.
        db.run("update rowcall.workers set heartbeat_at = now() + interval '1 hour'").await;
        Self { db, store, worker }
    }

    /// Asks for a sync; its key.
    pub(super) async fn ask(&self) -> i64 {
        self.db.get("insert into fluent_sync_status (status) values ('pending') returning id::bigint").await
    }

    pub(super) async fn claim(&self) -> Vec<Job> {
        self.claim_up_to(10).await
    }

    async fn claim_up_to(&self, limit: usize) -> Vec<Job> {
        let claim = Claim {
            limit,
            worker: self.worker,
            token: Uuid::new_v4(),
            lease: Duration::from_mins(1),
            bounded: false,
            skip: 0,
        };
        self.store.claim(&FLUENT, claim).await.unwrap()
    }

    /// The only job that a claim gives.
    pub(super) async fn claim_one(&self) -> Job {
        let mut jobs = self.claim().await;
        assert_eq!(jobs.len(), 1, "{jobs:?}");
        jobs.remove(0)
    }

    /// How an outcome was settled; nothing when the row, or one that it writes, is locked.
    pub(super) async fn settle(&self, job: Job, outcome: impl Into<Outcome>) -> Option<String> {
        let outcome = outcome.into();
        let delay = outcome.delay.unwrap_or(Duration::from_mins(1));
        let settlement = [Settlement { job, outcome, delay, duration: Some(Duration::from_millis(200)) }];
        let settled = self.store.settle(&FLUENT, &settlement, false).await;
        match settled {
            Ok(settled) => settled.into_iter().next().map(|settled| settled.settled_as),
            Err(error) if error.is_contention() => None,
            Err(error) => panic!("{}", crate::database::chain(&error)),
        }
    }

    /// A whole sync of one page with these tickets; the row afterwards.
    pub(super) async fn sync(&self, tickets: &[Value]) -> Value {
        let key = self.ask().await;
        let job = self.claim_one().await;
        assert_eq!(self.settle(job, end(tickets)).await.as_deref(), Some("done"));
        self.row(key).await
    }

    pub(super) async fn row(&self, key: i64) -> Value {
        self.db.get(&format!("select to_jsonb(s) from fluent_sync_status as s where s.id = {key}")).await
    }
}

/// A ticket as the integration tells it.
pub(super) fn ticket(id: i64) -> Value {
    json!({
        "id": id, "is_wanted": true, "title": format!("Ticket {id}"), "content": "Words.", "status": "active",
        "priority": "normal", "client_priority": "normal", "product": "Hosting", "agent": "Kofi", "customer": "Ama Serwaa",
        "email": "ama@example.com", "responses": 2, "created_local": "2025-10-17 09:30:00",
        "created_at": "2025-10-17T06:30:00Z", "updated_at": "2025-10-18T06:30:00Z", "resolved_at": null,
    })
}

/// The same with other members.
pub(super) fn ticket_with(id: i64, members: &Value) -> Value {
    let mut ticket = ticket(id);
    ticket.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    ticket
}

pub(super) fn part(nth: i32, tickets: &[Value]) -> Outcome {
    Outcome::part(json!({
        "tickets": tickets, "pages_read": nth, "pages_total": 9, "tickets_total": 900, "since": null,
        "cursor": {"page": nth + 1},
    }))
}

pub(super) fn end(tickets: &[Value]) -> Outcome {
    end_after(1, tickets)
}

pub(super) fn end_after(nth: i32, tickets: &[Value]) -> Outcome {
    let result = json!({
        "tickets": tickets, "pages_read": nth, "since": null, "watermark": "2025-10-18T06:30:00Z", "covered_from": null,
    });
    Outcome::done(Some(result))
}

pub(super) fn failing() -> Failure {
    Failure::new(Fault::Transient, "The site failed (HTTP 500).")
}

const COUNTS: [&str; 6] =
    ["pages_read", "tickets_fetched", "tickets_added", "tickets_updated", "tickets_skipped", "attempts"];

pub(super) fn counts(row: &Value) -> [i64; 6] {
    COUNTS.map(|name| row[name].as_i64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_asks_for_a_sync_and_rings() {
    let rows = Rows::new().await;
    let ear = Ear::on(&rows.db).await;
    let key = rows.ask().await;
    rows.db.run("insert into fluent_sync_status (date_filter) values ('2025-10-17')").await;
    rows.db.run("insert into fluent_sync_status (status, tickets_added) values ('success', 7)").await;
    assert_eq!(
        ear.heard().await,
        ["fluent_sync_status", "fluent_sync_status"],
        "what comes with an end asks for nothing"
    );
    assert_eq!(rows.row(key).await["generation"], 1);
    assert_eq!(rows.row(key + 2).await["tickets_added"], 7);
    let jobs = rows.claim().await;
    assert_eq!(jobs.len(), 2);
    let payload: Value = jobs[1].payload().unwrap();
    assert_eq!(
        payload,
        json!({"date_filter": "2025-10-17", "is_full": false, "cursor": null, "pages_read": 0, "covered": null})
    );
    assert!(!jobs[1].uncertain && jobs[1].operation == "sync" && jobs[1].max_attempts == 5);
    assert!(rows.claim().await.is_empty(), "both are claimed");
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_show_how_far_it_is_and_the_end_writes_all_or_nothing() {
    let rows = Rows::new().await;
    let key = rows.ask().await;
    for nth in 1..=3 {
        let job = rows.claim_one().await;
        let payload: Value = job.payload().unwrap();
        let cursor = if nth == 1 { Value::Null } else { json!({"page": nth}) };
        assert_eq!((&payload["cursor"], &payload["pages_read"]), (&cursor, &json!(nth - 1)));
        let tickets = [ticket(nth.into()), ticket(100)];
        assert_eq!(rows.settle(job, part(nth, &tickets)).await.as_deref(), Some("wait"));
        let row = rows.row(key).await;
        assert_eq!(
            (&row["status"], &row["pages_total"], &row["tickets_total"]),
            (&json!("running"), &json!(9), &json!(900))
        );
        assert_eq!(counts(&row), [i64::from(nth), i64::from(nth) + 1, 0, 0, 0, 0], "one of them is the same each time");
        let reason: String = rows.db.get("select reason from rowcall.work").await;
        assert_eq!(reason, format!("{nth} of 9 pages, {} of 900 tickets", nth + 1));
        assert_eq!(rows.db.get::<i64>("select count(*) from fluent_tickets").await, 0, "nothing is written yet");
    }
    assert_eq!(rows.db.get::<i64>("select count(*) from rowcall.attempts").await, 0, "a sync is one entry in history");
    let job = rows.claim_one().await;
    let last = [ticket_with(100, &json!({"title": "Changed meanwhile"})), ticket_with(9, &json!({"is_wanted": false}))];
    assert_eq!(rows.settle(job, end_after(4, &last)).await.as_deref(), Some("done"));
    let row = rows.row(key).await;
    assert_eq!(
        (&row["status"], &row["cursor"], &row["error_message"]),
        (&json!("success"), &Value::Null, &Value::Null)
    );
    assert_eq!(counts(&row), [4, 5, 4, 0, 1, 0], "a ticket that was read four times is one");
    assert_eq!((&row["pages_total"], &row["tickets_total"]), (&json!(4), &json!(5)));
    assert!(row["sync_duration"].as_i64().unwrap() >= 200 && row["completed_at"].is_string());
    let title = "select title from fluent_tickets where fluent_id = 100";
    assert_eq!(rows.db.get::<String>(title).await, "Changed meanwhile", "the later reading counts");
    assert_eq!(rows.db.get::<i64>("select count(*) from rowcall.fluent_pages").await, 0);
    let history: Value = rows.db.get("select to_jsonb(a) from rowcall.attempts as a").await;
    assert_eq!(history["response"], json!({"pages": 4, "fetched": 5, "added": 4, "updated": 0, "skipped": 1}));
    assert_eq!(history["settled_as"], "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_sync_is_told_what_is_covered() {
    let rows = Rows::new().await;
    rows.sync(&[]).await;
    rows.ask().await;
    let job = rows.claim_one().await;
    let payload: Value = job.payload().unwrap();
    assert_eq!(
        payload["covered"],
        json!({"watermark": "2025-10-18T06:30:00+00:00", "from": null, "fingerprint": null})
    );
    let Outcome { result: Some(mut result), .. } = end(&[]) else { panic!("an end has a result") };
    result["fingerprint"] = json!("of this site");
    result["note"] = json!("something odd");
    rows.ask().await;
    for job in rows.claim().await.into_iter().chain(std::iter::once(job)) {
        rows.settle(job, Outcome::done(Some(result.clone()))).await;
    }
    let row: Value = rows.db.get("select to_jsonb(s) from fluent_sync_status as s order by id desc limit 1").await;
    assert!(row["note"].as_str().unwrap().ends_with("may see none; something odd"), "{row}");
    rows.ask().await;
    let payload: Value = rows.claim_one().await.payload().unwrap();
    assert_eq!(payload["covered"]["fingerprint"], "of this site");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_has_begun_goes_on_before_another_begins() {
    let rows = Rows::new().await;
    let first = rows.ask().await;
    let job = rows.claim_one().await;
    rows.settle(job, part(1, &[])).await;
    let second = rows.ask().await;
    rows.db
        .run(&format!("update fluent_sync_status set next_retry_at = now() - interval '1 hour' where id = {second}"))
        .await;
    let jobs = rows.claim_up_to(1).await;
    assert_eq!(jobs.iter().map(|job| job.key.as_str()).collect::<Vec<_>>(), [first.to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_counted_at_one_page_and_keep_what_was_read() {
    let rows = Rows::new().await;
    let key = rows.ask().await;
    let due = format!("update fluent_sync_status set next_retry_at = now() where id = {key}");
    for _ in 0..2 {
        for attempt in 1..=4 {
            let job = rows.claim_one().await;
            assert_eq!(job.attempt, attempt);
            assert_eq!(rows.settle(job, failing()).await.as_deref(), Some("retry"));
            rows.db.run(&due).await;
        }
        let job = rows.claim_one().await;
        let nth = rows.row(key).await["pages_read"].as_i64().unwrap() + 1;
        rows.settle(job, part(i32::try_from(nth).unwrap(), &[ticket(nth)])).await;
    }
    assert_eq!(rows.row(key).await["pages_read"], 2);
    for attempt in 1..=5 {
        let job = rows.claim_one().await;
        let settled = rows.settle(job, failing()).await;
        assert_eq!(settled.as_deref(), Some(if attempt < 5 { "retry" } else { "failed" }));
        rows.db.run(&due).await;
    }
    let row = rows.row(key).await;
    assert_eq!((&row["status"], &row["error_message"]), (&json!("failed"), &json!("The site failed (HTTP 500).")));
    assert_eq!(
        rows.db.get::<i64>("select count(*) from fluent_tickets").await,
        0,
        "a sync that failed changed nothing"
    );
    assert_eq!(rows.db.get::<i64>("select count(*) from rowcall.fluent_pages").await, 0);
    assert!(rows.claim().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_keeps_what_was_read_and_is_in_history() {
    let rows = Rows::new().await;
    let key = rows.ask().await;
    let job = rows.claim_one().await;
    rows.settle(job, part(1, &[ticket(1)])).await;
    let job = rows.claim_one().await;
    assert_eq!(rows.settle(job, Failure::new(Fault::Outage, "The site is down.")).await.as_deref(), Some("wait"));
    let row = rows.row(key).await;
    assert_eq!((&row["status"], &row["error_message"]), (&json!("pending"), &json!("The site is down.")));
    assert_eq!((&row["pages_read"], &row["attempts"]), (&json!(1), &json!(0)));
    assert_eq!(rows.db.settled_as("wait").await, 1);
    assert!(rows.claim().await.is_empty());
    // Whoever asks in the same words meets this one, and it is tried now.
    assert_eq!(rows.store.start_fluent_sync(None, false).await.unwrap(), key.to_string());
    assert_eq!(rows.row(key).await["error_message"], Value::Null);
    let payload: Value = rows.claim_one().await.payload().unwrap();
    assert_eq!(payload["cursor"], json!({"page": 2}));
    assert_ne!(
        rows.store.start_fluent_sync(None, true).await.unwrap(),
        key.to_string(),
        "other words are another sync"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_at_the_same_page_five_times_ends_it_as_failed() {
    let rows = Rows::new().await;
    let key = rows.ask().await;
    for attempt in 1..=6 {
        let job = rows.claim_one().await;
        assert_eq!((job.attempt, job.uncertain), (attempt, false), "what only reads is never in doubt");
        if job.is_exhausted() {
            let failure = Failure::new(Fault::Item, "all 5 attempts are spent");
            rows.settle(job, failure).await;
        } else {
            rows.db.run("update fluent_sync_status set claimed_until = now()").await;
        }
    }
    assert_eq!(rows.row(key).await["status"], "failed");
    assert_eq!(rows.db.settled_as("lost").await, 5);
    // A bug of ours ends as failed too.
    let key = rows.ask().await;
    let job = rows.claim_one().await;
    let settled = rows.settle(job, Failure::new(Fault::Unknowable, "nobody knows").uncertain()).await;
    assert_eq!((settled.as_deref(), &rows.row(key).await["claim_token"]), (Some("failed"), &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_token_writes_no_page_and_no_ticket() {
    let rows = Rows::new().await;
    let key = rows.ask().await;
    let zombie = rows.claim_one().await;
    rows.db.run("update fluent_sync_status set claimed_until = now()").await;
    let job = rows.claim_one().await;
    let stale = || Job { payload: zombie.payload.clone(), key: zombie.key.clone(), operation: String::new(), ..zombie };
    assert_eq!(rows.settle(stale(), part(1, &[ticket(1)])).await.as_deref(), Some("lost"));
    assert_eq!(rows.settle(stale(), end(&[ticket(1)])).await.as_deref(), Some("lost"));
    assert_eq!(rows.db.get::<i64>("select count(*) from rowcall.fluent_pages").await, 0);
    assert_eq!(rows.db.get::<i64>("select count(*) from fluent_tickets").await, 0);
    assert_eq!(rows.settle(job, end(&[ticket(2)])).await.as_deref(), Some("done"));
    assert_eq!(rows.row(key).await["tickets_added"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_changes_while_it_runs_begins_anew() {
    let rows = Rows::new().await;
    let key = rows.ask().await;
    let job = rows.claim_one().await;
    rows.settle(job, part(1, &[ticket(1)])).await;
    let job = rows.claim_one().await;
    rows.db.run("update fluent_sync_status set date_filter = '2025-10-17'").await;
    let row = rows.row(key).await;
    assert_eq!((&row["generation"], &row["cursor"], &row["pages_read"]), (&json!(2), &Value::Null, &json!(0)));
    assert_eq!(rows.settle(job, part(2, &[ticket(2)])).await.as_deref(), Some("superseded"));
    let job = rows.claim_one().await;
    let payload: Value = job.payload().unwrap();
    assert_eq!((&payload["cursor"], &payload["date_filter"]), (&Value::Null, &json!("2025-10-17")));
    rows.settle(job, end(&[ticket(3)])).await;
    let ids = "select array_agg(fluent_id) from fluent_tickets";
    assert_eq!(rows.db.get::<Vec<i64>>(ids).await, [3], "what the old request read is forgotten");
    rows.db.run("update fluent_sync_status set date_filter = '2025-10-18'").await;
    assert!(rows.claim().await.is_empty(), "a sync that is over is not asked for again by its filter");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_verbs_do_what_they_say() {
    let rows = Rows::new().await;
    let key = rows.ask().await;
    let job = rows.claim_one().await;
    rows.settle(job, part(1, &[ticket(1)])).await;
    let verb = |verb: &str| format!("select rowcall.{verb}('fluent_sync_status', '{key}')");
    let job = rows.claim_one().await;
    assert_eq!(rows.db.get::<String>(&verb("retry")).await, format!("sync {key} is running; nothing to do"));
    assert_eq!(rows.db.get::<String>(&verb("cancel")).await, format!("sync {key} is cancelled"));
    assert_eq!(rows.db.get::<i64>("select count(*) from rowcall.fluent_pages").await, 0);
    assert_eq!(rows.settle(job, end(&[ticket(1)])).await.as_deref(), Some("superseded"));
    assert_eq!(rows.row(key).await["status"], "cancelled");
    assert_eq!(rows.db.get::<i64>("select count(*) from fluent_tickets").await, 0);
    assert!(rows.db.refusal(&verb("cancel")).await.contains("nothing to cancel"));
    let ear = Ear::on(&rows.db).await;
    assert!(rows.db.get::<String>(&verb("retry")).await.starts_with(&format!("sync {key} is asked for again")));
    assert_eq!(ear.heard().await, ["fluent_sync_status"]);
    let job = rows.claim_one().await;
    rows.settle(job, end(&[ticket(1)])).await;
    assert!(rows.db.refusal(&verb("retry")).await.contains("is success: there is nothing to try again"));
    let resolve = format!("select rowcall.resolve('fluent_sync_status', '{key}', 'done', 'seen')");
    assert!(rows.db.refusal(&resolve).await.contains("nothing to resolve"));
    assert!(
        rows.db.refusal("select rowcall.retry('fluent_sync_status', '77')").await.contains("no row with the key 77")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_is_made_good_by_a_later_one_of_as_much() {
    let rows = Rows::new().await;
    let state = "select coalesce(string_agg(state || ' ' || label, ', ' order by key), '') from rowcall.work";
    for filter in ["null", "'2025-10-17'"] {
        rows.db.run(&format!("insert into fluent_sync_status (date_filter) values ({filter})")).await;
        let job = rows.claim_one().await;
        rows.settle(job, Failure::new(Fault::Item, "no")).await;
    }
    assert_eq!(rows.db.get::<String>(state).await, "failed changed tickets, failed tickets since 2025-10-17");
    rows.sync(&[]).await;
    assert_eq!(rows.db.get::<String>(state).await, "failed tickets since 2025-10-17");
    rows.db.run("insert into fluent_sync_status (is_full) values (true)").await;
    let job = rows.claim_one().await;
    rows.settle(job, end(&[])).await;
    assert_eq!(rows.db.get::<String>(state).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_shows_less_is_noted_and_nothing_goes() {
    let rows = Rows::new().await;
    let row = rows.sync(&[]).await;
    assert!(row["note"].as_str().unwrap().contains("no ticket at all"), "{row}");
    rows.sync(&[ticket(1), ticket(2), ticket(3)]).await;
    let row = rows.sync(&[ticket(2)]).await;
    assert!(row["note"].as_str().unwrap().starts_with("2 tickets that are known here were not shown"), "{row}");
    assert_eq!(rows.db.get::<i64>("select count(*) from requests").await, 3);
}
