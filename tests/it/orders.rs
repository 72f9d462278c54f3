//! Orders: a row asks for another status, the CLI sets it at Fienta, and the answer is on the row; beside it, the order's
//! fulfilment goes on undisturbed.

use std::sync::Arc;
use std::time::Duration;

use rowcall::failure::{Failure, Fault};
use rowcall::integrations::fienta::Orders;
use rowcall::integrations::{Integration, Limits};
use rowcall::job::Job;
use rowcall::outcome::{Outcome, Verdict};
use rowcall::store::migrate;
use rowcall::store::queues::{FULFILLMENT_LOGS, ORDERS};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::binary::Binary;
use crate::database::{self, Ear, TestDatabase, chain};
use crate::fake::Fake;
use crate::fulfillment_rows::delivered;
use crate::worker::{Scripted, TestWorker};

const ROW: &str = "select to_jsonb(o) from orders as o order by created_at limit 1";

/// An order that Fienta and the table both have; its number there is `T-1`.
async fn sold(db: &TestDatabase, fake: &Fake) {
    db.fast().await;
    assert!(fake.cli(&["buy", "--id=T-1", "--status=PENDING"]).status.success());
    db.run(
        "insert into orders (customer, metadata) values ('c1', '{\"fienta_order_id\": \"T-1\", \"note\": \"kept\"}')",
    )
    .await;
}

fn worker(db: &TestDatabase, fake: &Fake) -> TestWorker {
    with(db, Arc::new(Orders::new(fake.settings())))
}

fn with(db: &TestDatabase, integration: Arc<dyn Integration>) -> TestWorker {
    TestWorker::of(&ORDERS, db.settings(), integration)
}

async fn ask(db: &TestDatabase, metadata: &Value) {
    let sql = "update orders set status = 'updating', metadata = metadata || $1::text::jsonb";
    db.client.execute(sql, &[&metadata.to_string()]).await.unwrap();
}

async fn all_ended(db: &TestDatabase) {
    db.eventually("every order has ended", "not exists (select from orders where status = 'updating')").await;
}

fn job(status: &str) -> Job {
    let payload = json!({"order": "T-1", "metadata": {"action": "update", "new_status": status}});
    Job {
        queue: "orders",
        key: "1".to_owned(),
        generation: 1,
        token: Uuid::new_v4(),
        attempt: 1,
        max_attempts: 4,
        uncertain: false,
        operation: "update".to_owned(),
        payload: to_raw_value(&payload).unwrap(),
    }
}

async fn execute(fake: &Fake, job: &Job) -> Outcome {
    let limits = Limits::new(Duration::from_secs(4), CancellationToken::new());
    Orders::new(fake.settings()).execute(job, &limits).await
}

fn bought() -> Fake {
    let fake = Fake::new();
    assert!(fake.cli(&["buy", "--id=T-1"]).status.success());
    fake
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_changes_at_fienta_and_on_the_row() {
    let (db, fake) = (TestDatabase::new().await, Fake::new());
    sold(&db, &fake).await;
    let ear = Ear::on(&db).await;
    let _worker = worker(&db, &fake);
    ask(
        &db,
        &json!({"action": "update_status", "new_status": "completed", "new_metadata": {"table": 7, "note": null}}),
    )
    .await;
    all_ended(&db).await;
    assert!(ear.heard().await.contains(&"orders".to_owned()));
    let row: Value = db.get(ROW).await;
    assert_eq!(
        (&row["status"], &row["error_message"], &row["claim_token"]),
        (&json!("completed"), &json!(null), &json!(null))
    );
    let metadata = &row["metadata"];
    assert_eq!(
        (&metadata["previous_status"], &metadata["table"], &metadata["note"]),
        (&json!("pending"), &json!(7), &json!(null))
    );
    assert!(metadata["updated_in_fienta_at"].is_string() && metadata["requested_at"].is_string(), "{metadata}");
    assert!(metadata.get("new_status").is_none() && metadata.get("new_metadata").is_none(), "{metadata}");
    assert_eq!(fake.log("effects.jsonl")[0]["now"], json!({"id": "T-1", "status": "completed"}));
    assert_eq!((fake.runs(), db.settled_as("done").await), (vec!["orders".to_owned()], 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_metadata_calls_nobody() {
    let (db, fake) = (TestDatabase::new().await, Fake::new());
    sold(&db, &fake).await;
    let _worker = worker(&db, &fake);
    ask(&db, &json!({"action": "update_metadata", "new_metadata": {"seat": "A1"}})).await;
    all_ended(&db).await;
    let row: Value = db.get(ROW).await;
    assert_eq!((&row["status"], &row["metadata"]["seat"]), (&json!("pending"), &json!("A1")));
    assert!(row["metadata"].get("updated_in_fienta_at").is_none(), "{row}");
    assert!(fake.runs().is_empty());
}

#[tokio::test]
async fn a_change_takes_effect_once_though_its_answer_is_lost() {
    for kind in ["commit-then-crash", "silent", "commit-then-hang"] {
        let fake = bought();
        fake.fault(&[kind]);
        let outcome = execute(&fake, &job("completed")).await;
        let result = json!({"read_back": true, "in_effect": {"new_status": "completed"}});
        assert_eq!((outcome.verdict, outcome.result), (Verdict::Done, Some(result)), "{kind}");
        assert_eq!(
            (fake.effects(), fake.runs()),
            (vec!["orders".to_owned()], vec!["orders".to_owned(), "order".to_owned()])
        );
    }
    // An attempt of a worker that died: looked at first, and not repeated.
    let fake = bought();
    assert_eq!(execute(&fake, &job("REFUNDED")).await.verdict, Verdict::Done);
    let again = execute(&fake, &Job { uncertain: true, ..job("refunded") }).await;
    let result = json!({"read_back": true, "in_effect": {"new_status": "refunded"}});
    assert_eq!((again.verdict, again.result), (Verdict::Done, Some(result)));
    assert_eq!(fake.effects(), ["orders"]);
    // One that had no effect is.
    let outcome = execute(&fake, &Job { uncertain: true, ..job("completed") }).await;
    assert_eq!((outcome.verdict, fake.effects().len()), (Verdict::Done, 2), "{outcome:?}");
}

#[tokio::test]
async fn what_is_not_in_effect_is_tried_again_and_what_cannot_be_seen_stays_in_doubt() {
    for kind in ["false-success", "crash"] {
        let fake = bought();
        fake.fault(&[kind]);
        let outcome = execute(&fake, &job("completed")).await;
        assert_eq!((outcome.fault, outcome.uncertain), (Some(Fault::Transient), false), "{kind} {outcome:?}");
        assert!(outcome.error.unwrap().contains("The change is not in effect"));
    }
    let fake = bought();
    fake.fault(&["silent"]);
    fake.fault(&["crash", "--verb", "order"]);
    let outcome = execute(&fake, &job("completed")).await;
    assert_eq!((outcome.fault, outcome.uncertain), (Some(Fault::Outage), true), "{outcome:?}");
    for (kind, fault) in
        [("bad-login", Fault::Credentials), ("rate-limited", Fault::Throttled), ("temporary", Fault::Transient)]
    {
        let fake = bought();
        fake.fault(&[kind]);
        assert_eq!(execute(&fake, &job("completed")).await.fault, Some(fault), "{kind}");
    }
    let outcome = execute(&Fake::new(), &job("completed")).await;
    assert_eq!((outcome.fault, outcome.uncertain), (Some(Fault::Item), false));
    assert!(outcome.error.unwrap().contains("The order T-1 is not in Fienta. Give its number"));
    let withdrawn = Limits {
        still: rowcall::integrations::Still::by(|| Box::pin(std::future::ready(false))),
        ..Limits::new(Duration::from_secs(4), CancellationToken::new())
    };
    let fake = bought();
    let outcome = Orders::new(fake.settings()).execute(&job("completed"), &withdrawn).await;
    assert_eq!(
        (outcome.fault, fake.runs().len()),
        (Some(Fault::Interrupted), 0),
        "nothing that was taken back is done"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_metadata_gets_a_clear_message_and_the_status_goes_back() {
    let (db, fake) = (TestDatabase::new().await, Fake::new());
    sold(&db, &fake).await;
    let _worker = worker(&db, &fake);
    let long = "x".repeat(50_000);
    for (metadata, words) in [
        (json!({}), "metadata has nothing to update: set new_status"),
        (json!({"action": "explode"}), "metadata.action is \"explode\", which is unknown"),
        (json!({"action": "update_status", "new_metadata": {}}), "metadata.new_status is missing"),
        (json!({"action": "update_metadata", "new_status": "x"}), "metadata.new_metadata is missing"),
        (json!({"new_status": "--help"}), "metadata.new_status is \"--help\""),
        (json!({"new_status": 7}), "metadata.new_status is 7"),
        (json!({"new_status": "Updating"}), "metadata.new_status is \"Updating\""),
        (json!({"new_status": long}), "metadata.new_status is \"xxx"),
        (json!({"new_metadata": [1]}), "metadata.new_metadata is [1]. Allowed is an object"),
        (json!({"new_metadata": {"previous_status": "paid"}}), "Its key previous_status belongs to the request"),
        (
            json!({"new_status": "completed", "fienta_order_id": "../etc"}),
            "metadata.fienta_order_id, or else the row's id, is \"../etc\"",
        ),
    ] {
        db.run("truncate rowcall.attempts; update orders set status = 'pending', metadata = '{}'").await;
        ask(&db, &metadata).await;
        all_ended(&db).await;
        let row: Value = db.get(ROW).await;
        let message = row["error_message"].as_str().unwrap();
        assert!(message.contains(words) && message.chars().count() <= 500, "{message}");
        assert_eq!((&row["status"], &row["attempts"]), (&json!("pending"), &json!(1)), "{metadata}");
        let kept = &row["metadata"];
        assert_eq!((&kept["action_failed"], &kept["action_error"]), (&json!(true), &json!(message)));
        assert!(kept["failed_at"].is_string());
        assert_eq!(db.settled_as("failed").await, 1, "nothing is tried twice");
    }
    assert!(fake.runs().is_empty(), "none of it came near the command line");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_mind_supersedes_what_runs() {
    let db = TestDatabase::new().await;
    db.fast().await;
    db.run("insert into orders (customer) values ('c1')").await;
    let held = Scripted::held();
    let _worker = with(&db, held.clone());
    ask(&db, &json!({"new_status": "completed"})).await;
    held.begun(1).await;
    ask(&db, &json!({"new_status": "refunded"})).await;
    held.release(2);
    all_ended(&db).await;
    assert_eq!(db.all::<String>("select settled_as from rowcall.attempts order by id").await, ["superseded", "done"]);
    let row: Value = db.get(ROW).await;
    assert_eq!((&row["status"], &row["metadata"]["previous_status"]), (&json!("refunded"), &json!("pending")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_lost_at_the_last_attempt_is_parked_and_settled_by_a_person() {
    let db = TestDatabase::new().await;
    db.fast().await;
    db.run("update rowcall.queues set max_attempts = 1; insert into orders (customer, status) values ('c1', 'paid')")
        .await;
    let _worker = with(&db, Scripted::new(|_| Failure::new(Fault::Transient, "lost").uncertain().into()));
    ask(&db, &json!({"new_status": "refunded"})).await;
    all_ended(&db).await;
    let key: String = db.get("select id::text from orders").await;
    assert_eq!(db.get::<String>("select status from orders").await, "unknown");
    assert_eq!(
        db.get::<String>("select state || ' ' || label from rowcall.work").await,
        format!("unknown order {key}")
    );
    let resolve = format!("select rowcall.resolve('orders', '{key}', 'done', 'I looked')");
    assert_eq!(db.get::<String>(&resolve).await, format!("order {key} is refunded"));
    let metadata: Value = db.get("select metadata from orders").await;
    assert!(metadata["resolved_at"].is_string() && metadata.get("action_failed").is_none(), "{metadata}");
    // Asked anew while it is not known: it goes back to what it was before, not to that.
    ask(&db, &json!({"new_status": "paid"})).await;
    all_ended(&db).await;
    ask(&db, &json!({"new_status": "void"})).await;
    assert_eq!(db.get::<String>("select metadata ->> 'previous_status' from orders").await, "refunded");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_verbs_know_orders() {
    let db = TestDatabase::new().await;
    db.fast().await;
    db.run("insert into orders (customer) values ('c1')").await;
    let key: String = db.get("select id::text from orders").await;
    let verb = |verb: &str| format!("select rowcall.{verb}('orders', '{key}')");
    ask(&db, &json!({"new_status": "completed"})).await;
    assert!(db.get::<String>(&verb("retry")).await.starts_with(&format!("order {key} is tried now")));
    db.run("select rowcall.pause('orders', 'the desk is closed')").await;
    assert_eq!(
        db.get::<String>("select state || ': ' || reason from rowcall.work").await,
        "waiting: paused: the desk is closed"
    );
    assert_eq!(db.get::<String>(&verb("cancel")).await, format!("order {key} is pending again"));
    for name in ["cancel", "retry"] {
        assert!(db.refusal(&verb(name)).await.contains("is pending: there is nothing to"), "{name}");
    }
    assert!(db.refusal("select rowcall.retry('orders', 'x')").await.contains("orders has no row with the key x"));
    let worker = with(&db, Scripted::failing(Fault::Item, "refused"));
    ask(&db, &json!({"new_status": "completed"})).await;
    db.run("select rowcall.resume('orders')").await;
    all_ended(&db).await;
    worker.stop().await;
    let _worker = with(&db, Scripted::done());
    assert!(db.get::<String>(&verb("retry")).await.starts_with(&format!("order {key} is asked for again")));
    all_ended(&db).await;
    assert_eq!(db.get::<String>("select status from orders").await, "completed");
}

#[tokio::test(flavor = "multi_thread")]
async fn fulfilment_and_a_change_of_status_at_once_lose_nothing() {
    let db = TestDatabase::new().await;
    db.fast().await;
    let bundles = Scripted::new(|seen| delivered(&seen.key));
    let changes = Scripted::done();
    let _workers = [TestWorker::of(&FULFILLMENT_LOGS, db.settings(), bundles.clone()), with(&db, changes.clone())];
    for _ in 0..4 {
        db.run(
            "insert into orders (network, phone_number, package)
             select 'AT-iShare', '026' || (1000000 + n + (select count(*) from orders)), '1GB' from generate_series(1, 10) as n;
             update orders set status = 'updating', metadata = '{\"new_status\": \"completed\"}' where status = 'pending'",
        )
        .await;
    }
    let standing = "select concat_ws(' ', o.status, o.fulfillment_status, l.status, o.generation, l.generation, count(*))
        from orders as o join fulfillment_logs as l on l.order_id = o.id group by o.status, o.fulfillment_status, l.status, o.generation, l.generation";
    db.eventually(
        "both have ended",
        "not exists (select from orders where status = 'updating') and not exists (select from fulfillment_logs where status <> 'success')",
    )
    .await;
    assert_eq!(db.all::<String>(standing).await, ["completed success success 1 1 40"]);
    assert_eq!((bundles.seen().len(), changes.seen().len()), (40, 40), "each was run once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_of_fulfilment_is_no_request_and_waits_for_no_change() {
    let db = TestDatabase::new().await;
    db.fast().await;
    db.run("insert into orders (network, phone_number, package) values ('AT-iShare', '0261234567', '1GB')").await;
    let held = Scripted::held();
    let _worker = with(&db, held.clone());
    ask(&db, &json!({"new_status": "completed"})).await;
    held.begun(1).await;
    let ear = Ear::on(&db).await;
    db.run("update fulfillment_logs set status = 'success', retry_after = null").await;
    assert_eq!(db.get::<String>("select fulfillment_status from orders").await, "success");
    assert!(!ear.heard().await.contains(&"orders".to_owned()), "it asks nothing of the order");
    // Somebody holds the order while its outcome comes.
    let holder = db.connect().await;
    database::run(&holder, "begin; update orders set fulfillment_status = 'failed'").await;
    held.release(1);
    db.eventually("the outcome meets the lock", "exists (select from pg_stat_activity where datname = current_database() and query like '-- Writes outcomes back on their orders%')").await;
    database::run(&holder, "commit").await;
    all_ended(&db).await;
    let row: Value = db.get(ROW).await;
    assert_eq!(
        (&row["status"], &row["fulfillment_status"], &row["generation"]),
        (&json!("completed"), &json!("failed"), &json!(1))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_status_that_an_order_gets_decides_whether_it_is_bought() {
    let db = TestDatabase::new().await;
    db.fast().await;
    let logs = "select count(*) from fulfillment_logs";
    let order = "insert into orders (network, phone_number, package, status) values ('AT-iShare', '0261234567', '1GB', 'cancelled')";
    db.run(order).await;
    // Asked for, refused, and not known: it stands as before.
    let worker = with(&db, Scripted::failing(Fault::Item, "refused"));
    ask(&db, &json!({"new_status": "paid"})).await;
    all_ended(&db).await;
    worker.stop().await;
    let unknown = with(&db, Scripted::new(|_| Failure::new(Fault::Unknowable, "lost").uncertain().into()));
    ask(&db, &json!({"new_status": "paid"})).await;
    all_ended(&db).await;
    unknown.stop().await;
    assert_eq!(
        (db.get::<String>("select status from orders").await, db.get::<i64>(logs).await),
        ("unknown".to_owned(), 0)
    );
    let _worker = with(&db, Scripted::done());
    ask(&db, &json!({"new_status": "cancelled"})).await;
    all_ended(&db).await;
    assert_eq!(db.get::<i64>(logs).await, 0);
    ask(&db, &json!({"new_status": "paid"})).await;
    all_ended(&db).await;
    assert_eq!(
        (db.get::<String>("select fulfillment_status from orders").await, db.get::<i64>(logs).await),
        ("pending".to_owned(), 1)
    );
    // Paid before, and paid again after a change: not a second time, though nothing shows the first.
    db.run("delete from fulfillment_logs; update orders set fulfillment_status = null").await;
    ask(&db, &json!({"new_status": "completed"})).await;
    all_ended(&db).await;
    assert_eq!(db.get::<i64>(logs).await, 0);
}

/// Codes and orders go by one account.
#[tokio::test(flavor = "multi_thread")]
async fn codes_and_orders_keep_fienta_to_one_operation_at_a_time() {
    let (db, fake) = (TestDatabase::new().await, Fake::new());
    let _workers = [
        Binary::start_with(&db, &fake, &[("ROWCALL_QUEUES", "codes")]).await,
        Binary::start_with(&db, &fake, &[("ROWCALL_QUEUES", "orders")]).await,
    ];
    for number in 1..=4 {
        assert!(fake.cli(&["buy", &format!("--id=T-{number}")]).status.success());
    }
    db.run(
        "insert into orders (status, metadata)
         select 'updating', jsonb_build_object('fienta_order_id', 'T-' || n, 'new_status', 'completed') from generate_series(1, 4) as n",
    )
    .await;
    db.ask(4).await;
    db.eventually(
        "every request has ended, by the bells of the slots alone",
        "not exists (select from codes where status = 'creating') and not exists (select from orders where status = 'updating')",
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
async fn many_codes_do_not_keep_an_order_waiting() {
    let (db, fake) = (TestDatabase::new().await, Fake::new());
    let _worker = Binary::start(&db, &fake).await;
    assert!(fake.cli(&["buy", "--id=T-1"]).status.success());
    db.ask(8).await;
    db.eventually("codes are under way", "exists (select from codes where status = 'active')").await;
    db.run("insert into orders (status, metadata) values ('updating', '{\"fienta_order_id\": \"T-1\", \"new_status\": \"completed\"}')").await;
    all_ended(&db).await;
    let left: i64 = db.get("select count(*) from codes where status = 'creating'").await;
    assert!(left >= 3, "it did not wait for all of them: {left} are left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_orders_that_was_there_is_adopted_or_refused_with_what_mends_it() {
    let db = TestDatabase::empty().await;
    db.run(
        "create table orders (
             id integer primary key, status text not null, generation bigint, network text, phone_number text, package text,
             amount numeric, fulfillment_status text
         );
         insert into orders (id, status, generation) values (7, 'open', 3)",
    )
    .await;
    let refused = chain(&migrate::apply(&db.database()).await.unwrap_err());
    assert!(refused.contains("public.orders.generation is of type bigint, rowcall needs integer"), "{refused}");
    db.run("alter table orders rename column generation to own_generation").await;
    db.run("alter table orders add error_message text; update orders set error_message = 'the card was refused'").await;
    let refused = chain(&migrate::apply(&db.database()).await.unwrap_err());
    assert!(refused.contains("public.orders.error_message has values of your own"), "{refused}");
    db.run("alter table orders rename column error_message to own_error_message").await;
    migrate::apply(&db.database()).await.unwrap();
    migrate::apply(&db.database()).await.unwrap();
    assert_eq!(db.get::<String>("select status || generation from orders").await, "open0");
    let checks = "select bool_and(convalidated) and count(*) = 2 from pg_constraint
        where conname in ('orders_counts_are_sane', 'orders_claim_is_whole')";
    assert!(db.get::<bool>(checks).await, "what stood there already is looked at too");
    // A text of the users' own is no request that failed.
    db.run("update orders set error_message = 'the card was refused'").await;
    assert_eq!(db.get::<i64>("select count(*) from rowcall.work").await, 0);
    assert!(db.refusal("select rowcall.retry('orders', '7')").await.contains("nothing to try again"));
    db.run("update orders set error_message = null").await;
    let fake = Fake::new();
    assert!(fake.cli(&["buy", "--id=7"]).status.success());
    let _worker = worker(&db, &fake);
    ask(&db, &json!({"new_status": "done"})).await;
    all_ended(&db).await;
    assert_eq!(db.get::<String>("select status || (metadata ->> 'previous_status') from orders").await, "doneopen");
    assert_eq!(fake.effects(), ["orders"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_writes_nothing_of_orders_but_what_it_asks_for() {
    let db = TestDatabase::new().await;
    for role in ["anon", "authenticated", "service_role bypassrls"] {
        db.run(&format!(
            "do $$ begin create role {role}; exception when duplicate_object or unique_violation then null; end $$"
        ))
        .await;
    }
    migrate::apply(&db.database()).await.unwrap();
    let browser = db.connect().await;
    database::run(&browser, "set role authenticated; select from orders").await;
    for change in
        ["claim_token = null", "fulfillment_status = 'success'", "network = 'AT-iShare'", "amount = 0", "attempts = 0"]
    {
        let refusal = database::refusal(&browser, &format!("update orders set {change}")).await;
        assert!(refusal.contains("permission denied"), "{change}: {refusal}");
    }
}
