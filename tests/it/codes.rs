//! Codes, whole: a row changes, the real worker runs the real command line, and the answer is on the row.

use serde_json::{Value, json};

use crate::binary::Binary;
use crate::database::TestDatabase;
use crate::fake::Fake;

async fn row(db: &TestDatabase, code: &str) -> Value {
    db.get(&format!("select to_jsonb(c) from codes as c where code = '{code}'")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_lives_from_its_creation_to_its_deletion() {
    let (db, fake) = (TestDatabase::new().await, Fake::new());
    db.fast().await;
    let _worker = Binary::start(&db, &fake).await;
    db.run("insert into codes (code, status, metadata) values ('MY-CODE', 'creating', '{\"discount_percent\": 20, \"max_uses\": 5, \"note\": \"kept\"}')").await;
    db.all_ended().await;
    let created = row(&db, "MY-CODE").await;
    assert_eq!((created["status"].as_str(), &created["metadata"]["note"]), (Some("active"), &json!("kept")));
    assert!(
        created["metadata"]["created_in_fienta_at"].is_string()
            && created["metadata"]["fienta_discount_id"].is_string()
    );

    db.run("update codes set status = 'updating', metadata = metadata || '{\"new_discount_percent\": 30, \"new_max_uses\": 10}'").await;
    db.all_ended().await;
    let updated = row(&db, "MY-CODE").await["metadata"].clone();
    assert_eq!((&updated["discount_percent"], &updated["max_uses"]), (&json!(30), &json!(10)));
    assert!(updated["new_discount_percent"].is_null() && updated["updated_in_fienta_at"].is_string(), "{updated}");

    db.run("update codes set status = 'renaming', metadata = metadata || '{\"new_code\": \"NEW-CODE\"}'").await;
    db.all_ended().await;
    let (old, new) = (row(&db, "MY-CODE").await, row(&db, "NEW-CODE").await);
    assert_eq!((old["status"].as_str(), &old["metadata"]["renamed_to"]), (Some("deleted"), &json!("NEW-CODE")));
    assert_eq!((new["status"].as_str(), &new["metadata"]["discount_percent"]), (Some("active"), &json!(30)));
    assert_eq!(new["metadata"]["renamed_from"], "MY-CODE");

    db.run("update codes set status = 'deleting' where code = 'NEW-CODE'").await;
    db.all_ended().await;
    let deleted = row(&db, "NEW-CODE").await;
    assert_eq!(deleted["status"], "deleted");
    assert!(deleted["metadata"]["deleted_in_fienta_at"].is_string(), "{deleted}");
    assert_eq!(fake.effects(), ["create", "update", "rename", "delete"]);
    assert_eq!(db.settled_as("done").await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_input_gets_a_clear_message_and_does_not_spin() {
    let (db, fake) = (TestDatabase::new().await, Fake::new());
    db.fast().await;
    db.run("update rowcall.queues set max_attempts = 3").await;
    let _worker = Binary::start(&db, &fake).await;
    for (code, status, metadata, back, words) in [
        ("A", "deleting", json!({"action": "explode"}), "active", "metadata.action is \"explode\", which is unknown"),
        ("B", "renaming", json!({}), "active", "metadata.new_code is missing"),
        (
            "C",
            "creating",
            json!({"discount_percent": 500}),
            "failed",
            "metadata.discount_percent is 500. Allowed is a number above 0 and up to 100",
        ),
        ("D", "updating", json!({"new_discount_percent": -5}), "active", "metadata.new_discount_percent is -5"),
        ("E", "updating", json!({}), "active", "metadata has nothing to update"),
        ("-rf", "deleting", json!({}), "active", "The code is \"-rf\""),
        ("--help", "creating", json!({}), "failed", "The code is \"--help\""),
        ("F", "deleting", json!({"action": "create"}), "active", "status \"deleting\" asks for \"delete\""),
        ("G", "creating", json!({"description": "a\nb"}), "failed", "metadata.description"),
        ("H; rm -rf /", "creating", json!({}), "failed", "The code is \"H; rm -rf /\""),
        (&"x".repeat(10_000), "creating", json!({}), "failed", "The code is \"xxxx"),
        ("", "creating", json!({}), "failed", "The code is \"\""),
    ] {
        let shown = &code[..code.len().min(20)];
        db.run(&format!("truncate rowcall.attempts; delete from codes; insert into codes (code) values ('{code}')"))
            .await;
        db.run(&format!("update codes set status = '{status}', metadata = '{metadata}'")).await;
        db.all_ended().await;
        let row: Value = db.get("select to_jsonb(c) from codes as c").await;
        let message = row["error_message"].as_str().unwrap();
        assert!(message.contains(words) && message.chars().count() <= 500, "{shown}: {message}");
        let back = if status == "creating" { "failed" } else { back };
        assert_eq!(
            (row["status"].as_str(), row["metadata"]["action_failed"].as_bool()),
            (Some(back), Some(true)),
            "{shown}"
        );
        assert_eq!(
            (row["attempts"].as_i64(), row["metadata"]["action_error"].as_str()),
            (Some(1), Some(message)),
            "{shown}"
        );
        let history = "select array_agg(settled_as || ' ' || attempt) from rowcall.attempts";
        assert_eq!(db.get::<Vec<String>>(history).await, ["failed 1"], "{shown}");
    }
    assert!(fake.runs().is_empty(), "none of it came near the command line: {:?}", fake.runs());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_is_taken_is_not_renamed_onto() {
    let (db, fake) = (TestDatabase::new().await, Fake::new());
    db.fast().await;
    fake.given("CODE-1", "20");
    db.active(3).await;
    let _worker = Binary::start(&db, &fake).await;
    let rename = |new: &str| {
        format!("update codes set status = 'renaming', metadata = '{{\"new_code\": \"{new}\"}}' where code = 'CODE-1'")
    };
    // Another row has it; another code in Fienta has it; and it is the very name.
    fake.given("ELSEWHERE", "20");
    for (new, words) in [
        ("CODE-2", "which another row has already"),
        ("ELSEWHERE", "ELSEWHERE exists in Fienta already"),
        ("CODE-1", "which is the code's present name"),
    ] {
        db.run(&rename(new)).await;
        db.all_ended().await;
        let row = row(&db, "CODE-1").await;
        assert!(row["error_message"].as_str().unwrap().contains(words), "{row}");
        assert_eq!(row["status"], "active");
    }
    assert!(fake.effects().is_empty());
    // A row that was deleted gives its name free.
    db.run("update codes set status = 'deleted' where code = 'CODE-3'").await;
    db.run(&rename("CODE-3")).await;
    db.all_ended().await;
    assert_eq!(row(&db, "CODE-1").await["status"], "deleted");
    assert_eq!(row(&db, "CODE-3").await["status"], "active");
    assert_eq!(db.get::<i64>("select count(*) from codes").await, 3, "the row is put to use again");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_renames_to_one_name_make_one_code() {
    let (db, fake) = (TestDatabase::new().await, Fake::new());
    db.fast().await;
    fake.given("CODE-1", "20");
    fake.given("CODE-2", "20");
    db.active(2).await;
    let _worker = Binary::start(&db, &fake).await;
    db.run("update codes set status = 'renaming', metadata = '{\"new_code\": \"ONE\"}'").await;
    db.all_ended().await;
    assert_eq!(fake.effects(), ["rename"]);
    let rows = "select array_agg(code || ' ' || status order by status, code) from codes";
    let rows: Vec<String> = db.get(rows).await;
    assert_eq!((rows.len(), rows.iter().filter(|r| r.ends_with(" active")).count()), (3, 2), "{rows:?}");
    assert!(rows.contains(&"ONE active".to_owned()), "{rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_lost_on_the_way_is_read_back() {
    let (db, fake) = (TestDatabase::new().await, Fake::new());
    db.fast().await;
    fake.fault(&["commit-then-crash"]);
    let _worker = Binary::start(&db, &fake).await;
    db.ask(1).await;
    db.all_ended().await;
    assert_eq!(
        (fake.runs(), fake.effects()),
        (vec!["create".to_owned(), "list".to_owned()], vec!["create".to_owned()])
    );
    assert_eq!(db.get::<Value>("select response from rowcall.attempts").await["read_back"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_asks_for_patience_gets_it_without_a_count() {
    let (db, fake) = (TestDatabase::new().await, Fake::new());
    db.fast().await;
    fake.fault(&["rate-limited", "--seconds", "90"]);
    let _worker = Binary::start(&db, &fake).await;
    db.ask(1).await;
    db.eventually(
        "the row waits as long as was asked",
        "attempts = 0 and next_retry_at - updated_at between interval '90 seconds' and interval '100 seconds'
             and error_message like 'Fienta asks for patience%' from codes",
    )
    .await;
    db.run("update codes set next_retry_at = now(); select rowcall.sweep_now()").await;
    db.all_ended().await;
    assert_eq!(fake.runs(), ["create", "create"]);
}
