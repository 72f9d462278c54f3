//! Monitoring: the codes here are compared with those in Fienta; drift and usage stand on the check's row, and nothing is changed.

use std::sync::Arc;

use rowcall::integrations::fienta::{Checks, Settings};
use rowcall::outcome::Outcome;
use rowcall::store::migrate;
use rowcall::store::queues::FIENTA_CHECKS;
use serde_json::{Value, json};

use crate::database::{Ear, TestDatabase, chain};
use crate::fake::Fake;
use crate::scratch::Scratch;
use crate::web::{Web, open, refused, told};
use crate::worker::{Scripted, TestWorker};

const ROW: &str = "select to_jsonb(f) from fienta_checks as f";

fn worker(db: &TestDatabase, fake: &Fake) -> TestWorker {
    TestWorker::of(&FIENTA_CHECKS, db.settings(), Arc::new(Checks::new(fake.settings())))
}

async fn check(db: &TestDatabase) -> Value {
    db.run("select rowcall.check_codes_now()").await;
    db.eventually("the check has ended", "(select status <> 'checking' from fienta_checks)").await;
    db.get(ROW).await
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_and_usage_are_recorded_and_nothing_is_changed() {
    let (db, fake) = (TestDatabase::new().await, Fake::new());
    db.fast().await;
    for code in ["SAME", "OTHER", "FOREIGN", "GONE"] {
        fake.given(code, "20");
    }
    assert!(fake.cli(&["redeem", "--code=SAME"]).status.success());
    db.run(
        "insert into codes (code, status, metadata) values
            ('SAME', 'active', '{\"discount_percent\": 20}'), ('OTHER', 'active', '{\"discount_percent\": 25}'),
            ('LOST', 'active', '{}'), ('GONE', 'deleted', '{}'), ('NEVER', 'failed', '{}')",
    )
    .await;
    let before = db.image().await;
    let ear = Ear::on(&db).await;
    let _worker = worker(&db, &fake);
    let row = check(&db).await;
    assert!(ear.heard().await.contains(&"fienta_checks".to_owned()));
    assert_eq!((&row["status"], &row["listed"], &row["compared"]), (&json!("checked"), &json!(4), &json!(3)));
    assert_eq!((&row["usage"], &row["drift_count"]), (&json!({"SAME": 1}), &json!(4)));
    let mut drift: Vec<&Value> = row["drift"].as_array().unwrap().iter().collect();
    drift.sort_by_key(|entry| entry["code"].as_str().unwrap().to_owned());
    let expected = [
        json!({"code": "FOREIGN", "drift": "missing_here"}),
        json!({"code": "GONE", "drift": "missing_here"}),
        json!({"code": "LOST", "drift": "missing_there"}),
        json!({"code": "OTHER", "drift": "different", "values": {"discount_percent": {"here": "25", "there": "20"}}}),
    ];
    assert_eq!(drift, expected.iter().collect::<Vec<_>>());
    assert!(row["checked_at"].is_string() && row["claim_token"].is_null(), "{row}");
    assert_eq!((db.image().await, fake.effects().len(), fake.runs()), (before, 0, vec!["list".to_owned()]));
    let history: Value = db.get("select response from rowcall.attempts where queue = 'fienta_checks'").await;
    assert!(history.get("drift").is_none() && history["drift_count"] == 4, "history stays narrow: {history}");

    // What is mended is no drift at the next look, and what is being changed is none either.
    db.run("update codes set metadata = '{\"discount_percent\": 20}' where code = 'OTHER'; update codes set status = 'deleting' where code = 'LOST'; update codes set status = 'creating' where code = 'GONE'").await;
    let row = check(&db).await;
    assert_eq!(row["drift"], json!([{"code": "FOREIGN", "drift": "missing_here"}]));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_quarter_of_an_hour_a_schedule_asks_for_a_check() {
    let (db, fake) = (TestDatabase::empty().await, Fake::new());
    migrate::apply(&db.database()).await.unwrap();
    db.fast().await;
    fake.given("FOREIGN", "20");
    db.run("insert into codes (code, status) values ('LOST', 'active')").await;
    let _worker = worker(&db, &fake);
    db.planned("check-fienta-codes").await;
    let minutes =
        "select extract(minute from next_run_at)::integer % 15 = 0 and next_run_at <= now() + interval '15 minutes'
        from rowcall.schedules where name = 'check-fienta-codes'";
    assert!(db.get::<bool>(minutes).await);
    db.run("update rowcall.schedules set next_run_at = now() where name = 'check-fienta-codes'").await;
    db.ran("done", 1).await;
    db.eventually("the check has ended", "(select status = 'checked' and drift_count = 2 from fienta_checks)").await;
    assert!(db.get::<bool>("select requested_by = current_user from fienta_checks").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_changed_meanwhile_is_no_drift() {
    let db = TestDatabase::new().await;
    db.fast().await;
    db.run("insert into codes (code, status, updated_at) values ('OLD', 'active', now() - interval '1 hour'), ('NEW', 'active', now() + interval '1 hour'), ('MOVING', 'updating', now() - interval '1 hour')").await;
    let entry = |code: &str| json!({"code": code, "drift": "missing_there"});
    let drift: Vec<Value> = ["OLD", "NEW", "MOVING", "NOBODYS"].map(entry).to_vec();
    let as_of: String = db.get("select now()::text").await;
    let operations = Scripted::new(move |_| {
        let drift = json!({"as_of": as_of, "listed": 1, "compared": 3, "usage": {}, "drift": drift, "drift_count": 4});
        Outcome::done(Some(drift))
    });
    let _worker = TestWorker::of(&FIENTA_CHECKS, db.settings(), operations);
    let row = check(&db).await;
    assert_eq!((&row["drift"], &row["drift_count"]), (&json!([entry("OLD"), entry("NOBODYS")]), &json!(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_fails_says_why_and_stops_no_code() {
    let (db, fake) = (TestDatabase::new().await, Fake::new());
    db.fast().await;
    db.run("insert into codes (code) values ('A')").await;
    fake.given("A", "20");
    fake.fault(&["crash", "--verb", "list", "--times", "3"]);
    let _worker = worker(&db, &fake);
    let row = check(&db).await;
    assert_eq!((&row["status"], &row["attempts"]), (&json!("failed"), &json!(3)));
    assert!(row["error_message"].as_str().unwrap().contains("`list` of the Fienta CLI ended with code 1"), "{row}");
    assert_eq!(db.get::<String>("select state from rowcall.targets where target = 'fienta'").await, "closed");
    assert_eq!(db.get::<String>("select state || ' ' || label from rowcall.work").await, "failed the check of codes");
    db.run("select rowcall.retry('fienta_checks', '1')").await;
    db.eventually("it is made again", "(select status = 'checked' and error_message is null from fienta_checks)").await;
    assert!(db.refusal("select rowcall.cancel('fienta_checks', '1')").await.contains("there is nothing to cancel"));
    assert!(
        db.refusal("select rowcall.resolve('fienta_checks', '1', 'done', 'x')").await.contains("nothing to resolve")
    );
}

#[tokio::test]
async fn what_a_check_has_shown_is_told_over_http_and_by_the_doctor() {
    let scratch = Scratch::migrated().await;
    let web = Web::start(&scratch, open()).await;
    let ask = async || told(web.post("/api/monitoring/check-now")).await;
    assert_eq!(ask().await, (202, json!({"success": true, "message": "there are no codes to compare"})));
    scratch.sql("insert into public.codes (code) values ('A')").await;
    assert_eq!(ask().await.1["message"], "the codes are compared with those in Fienta");
    assert_eq!(ask().await.1["message"], "they are being compared already");
    assert_eq!(
        scratch.text("select status || generation || requested_by from public.fienta_checks").await,
        format!("checking1{}", scratch.text("select current_user::text").await)
    );
    scratch
        .sql(
            "update public.fienta_checks set status = 'checked', checked_at = now(), drift_count = 2, usage = '{\"A\": 3}',
             drift = '[{\"code\": \"A\", \"drift\": \"missing_there\"}, {\"code\": \"B\", \"drift\": \"missing_here\"}]'",
        )
        .await;
    let monitoring = told(web.get("/api/monitoring/status")).await.1["monitoring"].clone();
    assert_eq!((&monitoring["drift_count"], &monitoring["usage"]), (&json!(2), &json!({"A": 3})));
    assert_eq!(monitoring["drift"][0]["drift"], "missing_there");
    let doctor = scratch.rowcall(&["doctor"]).out;
    assert!(
        doctor.contains("2 of the codes stood here and in Fienta differently, such as A (missing there)"),
        "{doctor}"
    );
    assert_eq!(refused(web.get("/api/monitoring/check-now")).await.0, 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_that_name_with_other_columns_is_refused_with_what_mends_it() {
    let db = TestDatabase::empty().await;
    db.run("create table fienta_checks (id bigint primary key, name text)").await;
    let refused = chain(&migrate::apply(&db.database()).await.unwrap_err());
    assert!(refused.contains("public.fienta_checks has no column status"), "{refused}");
    db.run("alter table public.fienta_checks rename to own_fienta_checks").await;
    migrate::apply(&db.database()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_shows_nothing_or_a_part_is_no_drift() {
    let (db, fake) = (TestDatabase::new().await, Fake::new());
    db.fast().await;
    db.run("insert into codes (code) values ('A'), ('B')").await;
    let nothing = worker(&db, &fake);
    let row = check(&db).await;
    assert_eq!(
        (&row["status"], &row["drift"], &row["checked_at"]),
        (&json!("failed"), &json!([]), &json!(null)),
        "{row}"
    );
    assert!(row["error_message"].as_str().unwrap().contains("shows no code at all, though 2 are active here"), "{row}");
    nothing.stop().await;

    let first_page = r#"echo '{"ok":true,"data":{"codes":[{"code":"A"}],"total":2}}'"#;
    let settings = Settings { argv: ["sh", "-c", first_page, "cli"].map(str::to_owned).to_vec(), ..fake.settings() };
    let part = TestWorker::of(&FIENTA_CHECKS, db.settings(), Arc::new(Checks::new(settings)));
    let row = check(&db).await;
    assert_eq!((&row["status"], &row["drift"]), (&json!("failed"), &json!([])), "{row}");
    assert!(row["error_message"].as_str().unwrap().contains("shows only a part of the codes"), "{row}");
    part.stop().await;

    // Where nothing is expected, nothing is right.
    db.run("update codes set status = 'deleted'").await;
    let _worker = worker(&db, &fake);
    assert_eq!(check(&db).await["status"], "checked");
}
