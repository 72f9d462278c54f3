//! Several requests of one row: what one promised, another does not undo unseen, and the row never says what is not so.

use std::sync::Arc;
use std::time::Duration;

use rowcall::failure::Fault;
use rowcall::integrations::fienta::{Fienta, Orders};
use rowcall::integrations::{Integration, Limits};
use rowcall::job::Job;
use rowcall::outcome::Verdict;
use rowcall::store::queues::{CODES, ORDERS};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::database::TestDatabase;
use crate::fake::Fake;
use crate::process::eventually;
use crate::worker::{Scripted, TestWorker};

const ORDER: &str = "select to_jsonb(o) from orders as o";

/// An order that is paid, and `T-1` at Fienta.
async fn paid() -> (TestDatabase, Fake) {
    let (db, fake) = (TestDatabase::new().await, Fake::new());
    db.fast().await;
    assert!(fake.cli(&["buy", "--id=T-1", "--status=COMPLETED"]).status.success());
    db.run("insert into orders (status, metadata) values ('paid', '{\"fienta_order_id\": \"T-1\"}')").await;
    (db, fake)
}

/// A code that is active here and there.
async fn active() -> (TestDatabase, Fake) {
    let (db, fake) = (TestDatabase::new().await, Fake::new());
    db.fast().await;
    fake.given("A", "20");
    fake.given("OTHER", "20");
    db.run("insert into codes (code, metadata) values ('A', '{\"discount_percent\": 20}')").await;
    (db, fake)
}

fn orders(db: &TestDatabase, fake: &Fake) -> TestWorker {
    TestWorker::of(&ORDERS, db.settings(), Arc::new(Orders::new(fake.settings())))
}

fn codes(db: &TestDatabase, fake: &Fake) -> TestWorker {
    TestWorker::of(&CODES, db.settings(), Arc::new(Fienta::new(fake.settings())))
}

/// What `POST /api/actions/orders/{id}/update` does.
async fn ask_order(db: &TestDatabase, payload: &Value) {
    db.run(&format!("select rowcall.request_order_update((select id::text from orders), '{payload}')")).await;
}

/// What a person does who follows document 1: it adds to the metadata.
async fn add(db: &TestDatabase, metadata: &Value) {
    db.run(&format!("update orders set status = 'updating', metadata = metadata || '{metadata}'")).await;
}

async fn orders_ended(db: &TestDatabase) -> Value {
    db.eventually("the order has ended", "not exists (select from orders where status = 'updating')").await;
    db.get(ORDER).await
}

async fn begun(fake: &Fake) {
    eventually("the first run", || (!fake.runs().is_empty()).then_some(())).await;
}

async fn row(db: &TestDatabase, code: &str) -> Value {
    db.get(&format!("select to_jsonb(c) from codes as c where code = '{code}'")).await
}

async fn refused(db: &TestDatabase, function: &str) -> String {
    db.refusal(&format!("select rowcall.{function}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_metadata_does_not_undo_a_refund_that_is_asked_for() {
    let (db, fake) = paid().await;
    ask_order(&db, &json!({"new_status": "refunded", "new_metadata": {"seat": null, "door": 1}})).await;
    ask_order(&db, &json!({"new_metadata": {"table": 7, "door": 2}})).await;
    let _worker = orders(&db, &fake);
    let order = orders_ended(&db).await;
    let metadata = &order["metadata"];
    assert_eq!((&order["status"], &metadata["table"], &metadata["door"]), (&json!("refunded"), &json!(7), &json!(2)));
    assert!(metadata.as_object().unwrap().contains_key("seat"), "{metadata}");
    ask_order(&db, &json!({"new_status": "void"})).await;
    ask_order(&db, &json!({"new_status": "completed"})).await;
    assert_eq!(orders_ended(&db).await["status"], "completed", "the newest status counts");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_was_made_stands_on_the_row_whatever_was_asked_meanwhile() {
    for replaced in [false, true] {
        let (db, fake) = paid().await;
        fake.fault(&["slow", "--seconds", "1"]);
        let _worker = orders(&db, &fake);
        ask_order(&db, &json!({"new_status": "refunded"})).await;
        begun(&fake).await;
        if replaced {
            db.run("update orders set metadata = '{\"fienta_order_id\": \"T-1\", \"new_metadata\": {\"table\": 7}}'")
                .await;
        } else {
            ask_order(&db, &json!({"new_metadata": {"table": 7}})).await;
        }
        let order = orders_ended(&db).await;
        let metadata = &order["metadata"];
        assert_eq!((&order["status"], &metadata["table"]), (&json!("refunded"), &json!(7)), "{replaced}: {order}");
        assert!(metadata["updated_in_fienta_at"].is_string() && metadata.get("reached_status").is_none(), "{metadata}");
        assert_eq!(fake.effects(), ["orders"], "it is refunded once: {replaced}");
        let runs = if replaced { vec!["orders"] } else { vec!["orders", "order"] };
        assert_eq!(fake.runs(), runs, "what is asked for again is looked at: {replaced}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_paid_by_a_superseded_change_is_bought() {
    let (db, fake) = paid().await;
    db.run(
        "delete from orders; insert into orders (network, phone_number, package, status, metadata)
         values ('AT-iShare', '0261234567', '1GB', 'cancelled', '{\"fienta_order_id\": \"T-1\"}')",
    )
    .await;
    fake.fault(&["slow", "--seconds", "1"]);
    let _worker = orders(&db, &fake);
    ask_order(&db, &json!({"new_status": "paid"})).await;
    begun(&fake).await;
    db.run("update orders set metadata = '{\"fienta_order_id\": \"T-1\", \"new_metadata\": {\"table\": 7}}'").await;
    assert_eq!(orders_ended(&db).await["status"], "paid");
    assert_eq!(db.get::<i64>("select count(*) from fulfillment_logs").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_was_taken_back_is_not_made_by_the_next_request() {
    let (db, fake) = paid().await;
    add(&db, &json!({"new_status": "refunded"})).await;
    db.run("select rowcall.cancel('orders', (select id::text from orders))").await;
    let metadata: Value = db.get("select metadata from orders").await;
    assert_eq!(metadata["cancelled_request"], json!({"new_status": "refunded"}), "{metadata}");
    let _worker = orders(&db, &fake);
    add(&db, &json!({"new_metadata": {"table": 7}})).await;
    let order = orders_ended(&db).await;
    assert_eq!((&order["status"], &order["metadata"]["table"]), (&json!("paid"), &json!(7)));
    assert!(fake.runs().is_empty(), "{:?}", fake.runs());
    // The same for whoever sets the status back by hand.
    db.run("update rowcall.queues set paused = true where queue = 'orders'").await;
    add(&db, &json!({"new_status": "refunded"})).await;
    db.run("update orders set status = 'paid'").await;
    assert!(db.get::<bool>("select not metadata ? 'new_status' from orders").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_failed_is_made_again_by_a_retry_alone() {
    let (db, fake) = paid().await;
    let retry = "select rowcall.retry('orders', (select id::text from orders))";
    let _worker = orders(&db, &fake);
    add(&db, &json!({"fienta_order_id": "T-2", "new_status": "refunded", "new_metadata": {"seat": null}})).await;
    let failed = orders_ended(&db).await;
    assert!(failed["error_message"].as_str().unwrap().contains("use rowcall.retry"), "{failed}");
    assert_eq!(failed["metadata"]["failed_request"], json!({"new_status": "refunded", "new_metadata": {"seat": null}}));
    db.run("update orders set metadata = metadata || '{\"fienta_order_id\": \"T-1\"}'").await;
    db.run(retry).await;
    let order = orders_ended(&db).await;
    assert_eq!((&order["status"], &order["metadata"]["failed_request"]), (&json!("refunded"), &json!(null)));
    assert!(order["metadata"].as_object().unwrap().contains_key("seat"), "{order}");

    add(&db, &json!({"fienta_order_id": "T-2", "new_status": "void"})).await;
    orders_ended(&db).await;
    let runs = fake.runs().len();
    add(&db, &json!({"fienta_order_id": "T-1", "new_metadata": {"table": 7}})).await;
    let order = orders_ended(&db).await;
    assert_eq!(
        (&order["status"], &order["error_message"], fake.runs().len()),
        (&json!("refunded"), &json!(null), runs)
    );
    assert!(order["metadata"].get("failed_request").is_none(), "no retry finds what is long over: {order}");

    // And when a person finds that it did not take effect.
    db.run("update rowcall.queues set paused = true where queue = 'orders'").await;
    add(&db, &json!({"new_status": "void"})).await;
    db.run("update orders set status = 'unknown', claim_token = gen_random_uuid()").await;
    db.run("select rowcall.resolve('orders', (select id::text from orders), 'failed', 'I looked')").await;
    add(&db, &json!({"new_metadata": {"table": 8}})).await;
    assert!(db.get::<bool>("select not metadata ? 'new_status' from orders").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doubt_is_not_ended_by_another_request() {
    let (db, fake) = paid().await;
    fake.fault(&["silent"]);
    fake.fault(&["crash", "--verb", "order", "--times", "9"]);
    db.run("update rowcall.queues set max_attempts = 1").await;
    let worker = TestWorker::of(
        &ORDERS,
        db.settings(),
        Scripted::new(|_| rowcall::failure::Failure::new(Fault::Transient, "lost").uncertain().into()),
    );
    ask_order(&db, &json!({"new_status": "refunded"})).await;
    assert_eq!(orders_ended(&db).await["status"], "unknown");
    worker.stop().await;
    let asked = "request_order_update((select id::text from orders), '{\"new_metadata\": {\"table\": 7}}')";
    let refusal = refused(&db, asked).await;
    assert!(
        refusal.contains("nobody knows yet whether the last change") && refusal.contains("rowcall resolve"),
        "{refusal}"
    );

    let _worker = orders(&db, &fake);
    for metadata in [json!({"new_metadata": {"table": 7}}), json!({"new_status": 7})] {
        db.run(&format!("update orders set status = 'updating', metadata = '{metadata}'")).await;
        let order = orders_ended(&db).await;
        assert_eq!(order["status"], "unknown", "{metadata}: {order}");
        let words = order["error_message"].as_str().unwrap();
        assert!(words.starts_with("An earlier attempt may have taken effect: look at Fienta"), "{words}");
        assert_eq!(order["metadata"]["previous_status"], "paid", "{order}");
        assert!(!order["claim_token"].is_null(), "{order}");
    }
    assert!(fake.runs().is_empty(), "{:?}", fake.runs());
    // The same of a code.
    let payload = json!({"code": "A", "status": "updating", "metadata": {"new_max_uses": 0}});
    let job = Job {
        queue: "codes",
        key: "1".to_owned(),
        generation: 2,
        token: Uuid::new_v4(),
        attempt: 1,
        max_attempts: 4,
        uncertain: true,
        operation: "update".to_owned(),
        payload: to_raw_value(&payload).unwrap(),
    };
    let limits = Limits::new(Duration::from_secs(4), CancellationToken::new());
    let outcome = Fienta::new(fake.settings()).execute(&job, &limits).await;
    assert_eq!((outcome.verdict, outcome.uncertain), (Verdict::Unknown, true), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_clicked_twice_forges_no_status_to_go_back_to() {
    let db = TestDatabase::new().await;
    db.fast().await;
    db.run(
        "insert into orders (status) values ('paid'); insert into organizations (name, status) values ('Acme', 'trial');
         insert into codes (code, status) values ('A', 'paused')",
    )
    .await;
    // As document 1 has it: previous_status is what the page shows as the present one.
    for (table, due) in [("orders", "updating"), ("organizations", "syncing"), ("codes", "deleting")] {
        for nth in 1..=3 {
            db.run(&format!(
                "update {table} set status = '{due}', metadata = jsonb_build_object('previous_status', status, 'nth', {nth})"
            ))
            .await;
        }
        db.run(&format!("select rowcall.cancel('{table}', (select id::text from {table}))")).await;
    }
    let statuses = "select concat_ws(' ', (select status from orders), (select status from organizations), (select status from codes))";
    assert_eq!(db.get::<String>(statuses).await, "paid trial paused");
    // Nobody knows how it ended: that is no status to go back to either.
    db.run(
        "update orders set status = 'updating'; update orders set status = 'unknown', claim_token = gen_random_uuid()",
    )
    .await;
    db.run("update orders set status = 'updating', metadata = jsonb_build_object('previous_status', status)").await;
    assert_eq!(db.get::<String>("select metadata ->> 'previous_status' from orders").await, "paid");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_comes_with_a_request_is_bought_when_that_is_done() {
    let (db, fake) = paid().await;
    db.run("delete from orders").await;
    let order = "insert into orders (network, phone_number, package, status, metadata) values
        ('AT-iShare', '0261234567', '1GB', 'updating', '{\"fienta_order_id\": \"T-1\", \"new_status\": \"completed\"}')";
    db.run(order).await;
    assert_eq!(db.get::<i64>("select count(*) from fulfillment_logs").await, 0, "asked for, it is not bought");
    let _worker = orders(&db, &fake);
    assert_eq!(orders_ended(&db).await["status"], "completed");
    assert_eq!(db.get::<i64>("select count(*) from fulfillment_logs").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_was_never_created_is_never_active() {
    let (db, fake) = (TestDatabase::new().await, Fake::new());
    db.fast().await;
    db.run("select rowcall.request_code_create('{\"code\": \"A\"}')").await;
    for function in
        ["request_code_update('A', '{\"max_uses\": 5}')", "request_code_rename('A', '{\"new_code\": \"B\"}')"]
    {
        let refusal = refused(&db, function).await;
        assert!(refusal.contains("the code A is creating at this moment"), "{refusal}");
    }
    // By SQL the newest request wins; and what it leaves is true.
    db.run("update codes set status = 'updating', metadata = metadata || '{\"new_max_uses\": 5}'").await;
    let worker = codes(&db, &fake);
    db.all_ended().await;
    let code = row(&db, "A").await;
    assert_eq!(code["status"], "failed", "{code}");
    assert!(code["error_message"].as_str().unwrap().contains("A is not in Fienta"), "{code}");
    worker.stop().await;

    // One that is being created just now, and deleted: whichever comes first, nothing is left.
    fake.fault(&["slow", "--seconds", "1"]);
    let _worker = codes(&db, &fake);
    db.run("select rowcall.request_code_create('{\"code\": \"B\"}')").await;
    eventually("the creation", || fake.runs().contains(&"create".to_owned()).then_some(())).await;
    db.run("select rowcall.request_code_delete('B', '{}')").await;
    db.all_ended().await;
    assert_eq!((row(&db, "B").await["status"].as_str(), fake.has("B")), (Some("deleted"), false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_came_to_be_meanwhile_is_active_when_the_next_request_fails() {
    let (db, fake) = (TestDatabase::new().await, Fake::new());
    db.fast().await;
    fake.fault(&["slow", "--seconds", "1"]);
    let _worker = codes(&db, &fake);
    db.run("select rowcall.request_code_create('{\"code\": \"A\"}')").await;
    begun(&fake).await;
    db.run("update codes set status = 'updating', metadata = '{\"new_max_uses\": 0}'").await;
    db.all_ended().await;
    let code = row(&db, "A").await;
    assert_eq!((code["status"].as_str(), fake.has("A")), (Some("active"), true), "{code}");
    assert!(code["metadata"]["fienta_discount_id"].is_string(), "{code}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_updates_of_a_code_are_both_done() {
    let (db, fake) = active().await;
    db.run("select rowcall.request_code_update('A', '{\"discount_percent\": 30, \"description\": \"x\"}')").await;
    db.run("select rowcall.request_code_update('A', '{\"max_uses\": 5, \"new_discount_amount\": \"5.00\"}')").await;
    let asked: Value = db.get("select metadata from codes").await;
    assert_eq!((&asked["new_description"], &asked["new_max_uses"]), (&json!("x"), &json!(5)));
    assert!(asked.get("new_discount_percent").is_none(), "of a percentage and an amount, the newer counts: {asked}");
    for function in ["request_code_rename('A', '{\"new_code\": \"B\"}')"] {
        assert!(refused(&db, function).await.contains("the code A is updating at this moment"));
    }
    db.run("select rowcall.request_code_update('A', '{\"discount_percent\": 30}')").await;
    let _worker = codes(&db, &fake);
    db.all_ended().await;
    let metadata = row(&db, "A").await["metadata"].clone();
    assert_eq!((&metadata["discount_percent"], &metadata["max_uses"]), (&json!(30), &json!(5)));
    let there: Value = fake.log("effects.jsonl").pop().unwrap();
    assert_eq!((&there["now"]["discount_percent"], &there["now"]["max_uses"]), (&json!("30"), &json!("5")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_was_made_stands_on_the_row_whatever_was_asked_meanwhile() {
    let (db, fake) = active().await;
    fake.fault(&["slow", "--seconds", "1"]);
    let _worker = codes(&db, &fake);
    db.run("select rowcall.request_code_update('A', '{\"discount_percent\": 30}')").await;
    begun(&fake).await;
    db.run("update codes set metadata = '{\"new_max_uses\": 5}'").await;
    db.all_ended().await;
    let metadata = row(&db, "A").await["metadata"].clone();
    assert_eq!((&metadata["discount_percent"], &metadata["max_uses"]), (&json!(30), &json!(5)), "{metadata}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rename_that_was_made_stands_on_the_rows_whatever_was_asked_meanwhile() {
    let (db, fake) = active().await;
    fake.fault(&["slow", "--seconds", "1"]);
    let _worker = codes(&db, &fake);
    db.run("select rowcall.request_code_rename('A', '{\"new_code\": \"B\"}')").await;
    begun(&fake).await;
    for function in [
        "request_code_update('A', '{\"max_uses\": 5}')",
        "request_code_delete('A', '{}')",
        "request_code_rename('A', '{\"new_code\": \"C\"}')",
    ] {
        assert!(refused(&db, function).await.contains("the code A is renaming at this moment"), "{function}");
    }
    db.run("update codes set status = 'updating', metadata = metadata || '{\"new_max_uses\": 5}'").await;
    db.all_ended().await;
    let (old, new) = (row(&db, "A").await, row(&db, "B").await);
    assert_eq!((old["status"].as_str(), &old["metadata"]["renamed_to"]), (Some("deleted"), &json!("B")), "{old}");
    assert!(old["error_message"].as_str().unwrap().contains("A is not in Fienta"), "{old}");
    assert_eq!((new["status"].as_str(), &new["metadata"]["renamed_from"]), (Some("active"), &json!("A")), "{new}");
    assert!(new["metadata"].get("new_max_uses").is_none() && fake.has("B") && !fake.has("A"), "{new}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_amount_replaces_a_percentage_and_a_percentage_an_amount() {
    let (db, fake) = active().await;
    let _worker = codes(&db, &fake);
    let discounts =
        "select concat_ws(' ', metadata -> 'discount_percent', '-', metadata -> 'discount_amount') from codes";
    for (asked, now) in [
        ("{\"discount_percent\": 20}", "20 -"),
        ("{\"discount_amount\": 5}", "- 5"),
        ("{\"max_uses\": 7}", "- 5"),
        ("{\"discount_percent\": 30}", "30 -"),
    ] {
        db.run(&format!("select rowcall.request_code_update('A', '{asked}')")).await;
        db.all_ended().await;
        assert_eq!(db.get::<String>(discounts).await, now, "{asked}: {}", row(&db, "A").await);
    }
    // Also where the row came to ask for something else meanwhile.
    fake.fault(&["slow", "--seconds", "1"]);
    let runs = fake.runs().len();
    db.run("select rowcall.request_code_update('A', '{\"discount_amount\": 6}')").await;
    eventually("the next run", || (fake.runs().len() > runs).then_some(())).await;
    db.run(
        "update codes set status = 'updating', metadata = metadata - 'new_discount_amount' || '{\"new_max_uses\": 5}'",
    )
    .await;
    db.all_ended().await;
    assert_eq!(db.get::<String>(discounts).await, "- 6", "{}", row(&db, "A").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rename_that_is_asked_for_twice_while_it_runs_is_done_once() {
    let (db, fake) = active().await;
    fake.fault(&["slow", "--seconds", "1"]);
    let _worker = codes(&db, &fake);
    // As document 1's page does, which is clicked twice.
    let click = |second: u8| {
        format!(
            "update codes set status = 'renaming', metadata = '{{\"action\": \"rename\", \"new_code\": \"B\", \"requested_at\": \"2026-01-02T10:00:0{second}Z\"}}'
             where code = 'A'"
        )
    };
    db.run(&click(1)).await;
    begun(&fake).await;
    db.run(&click(2)).await;
    db.all_ended().await;
    let (old, new) = (row(&db, "A").await, row(&db, "B").await);
    assert_eq!(
        (old["status"].as_str(), &old["error_message"], &old["metadata"]["action_failed"]),
        (Some("deleted"), &Value::Null, &Value::Null),
        "{old}"
    );
    assert_eq!((new["status"].as_str(), &old["metadata"]["renamed_to"]), (Some("active"), &json!("B")), "{new}");
    assert_eq!(db.get::<i64>("select count(*) from codes").await, 2);
    assert!(fake.has("B") && !fake.has("A"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_was_made_is_no_active_code_whatever_was_asked_meanwhile() {
    let (db, fake) = active().await;
    fake.fault(&["slow", "--seconds", "1"]);
    let _worker = codes(&db, &fake);
    db.run("select rowcall.request_code_delete('A', '{}')").await;
    begun(&fake).await;
    db.run("update codes set status = 'updating', metadata = metadata || '{\"new_max_uses\": 5}'").await;
    db.all_ended().await;
    assert_eq!(row(&db, "A").await["status"], "deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_failed_or_cancelled_request_of_a_code_asked_for_is_not_done_by_the_next() {
    let (db, fake) = active().await;
    let worker = TestWorker::of(&CODES, db.settings(), Scripted::failing(Fault::Item, "refused"));
    let add = |metadata: Value| format!("update codes set status = 'updating', metadata = metadata || '{metadata}'");
    db.run(&add(json!({"new_discount_percent": 30, "new_description": "x"}))).await;
    db.all_ended().await;
    worker.stop().await;
    // It stands there as document 1 shows it, and is asked for again as it is, or corrected.
    let failed: Value = db.get("select metadata from codes").await;
    assert_eq!((&failed["new_discount_percent"], &failed["action_failed"]), (&json!(30), &json!(true)), "{failed}");
    let new = "select array(select key || '=' || value from jsonb_each_text(metadata) where key like 'new%' order by key) from codes";
    db.run("begin").await;
    db.run("update codes set status = 'updating', metadata = metadata || '{\"new_discount_percent\": 25}'").await;
    assert_eq!(db.get::<Vec<String>>(new).await, ["new_description=x", "new_discount_percent=25"]);
    db.run("rollback").await;
    // Who writes it anew means all of it, also what failed before.
    for anew in [
        "update codes set status = 'updating', metadata = '{\"new_discount_percent\": 30, \"new_max_uses\": 5}'",
        "select rowcall.request_code_update('A', '{\"discount_percent\": 30, \"max_uses\": 5}')",
    ] {
        db.run("begin").await;
        db.run(anew).await;
        assert_eq!(db.get::<Vec<String>>(new).await, ["new_discount_percent=30", "new_max_uses=5"], "{anew}");
        db.run("rollback").await;
    }
    // Something else is something else.
    db.run(&add(json!({"new_max_uses": 5}))).await;
    assert_eq!(db.get::<Vec<String>>(new).await, ["new_max_uses=5"]);
    db.run("select rowcall.cancel('codes', (select id::text from codes))").await;
    db.run(&add(json!({"new_description": "y"}))).await;
    assert_eq!(db.get::<Vec<String>>(new).await, ["new_description=y"]);
    let _worker = codes(&db, &fake);
    db.all_ended().await;
    let there = fake.log("effects.jsonl").pop().unwrap();
    assert_eq!(
        (&there["now"]["discount_percent"], &there["now"]["description"]),
        (&json!("20"), &json!("y")),
        "{there}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_code_is_deleted_though_its_absence_alone_proves_nothing() {
    let (db, fake) = (TestDatabase::new().await, Fake::new());
    db.fast().await;
    fake.given("A", "20");
    db.run("insert into codes (code) values ('A')").await;
    fake.fault(&["silent"]);
    let _worker = codes(&db, &fake);
    db.run("select rowcall.request_code_delete('A', '{}')").await;
    db.all_ended().await;
    assert_eq!(row(&db, "A").await["status"], "deleted");
    assert_eq!(fake.runs(), ["delete", "list", "list", "delete"], "an empty list is not taken for a proof");
    assert_eq!(fake.effects(), ["delete"]);
}
