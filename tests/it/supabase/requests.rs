//! What a page asks by RPC: each function, asked once, asked twice, and asked wrongly.

use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::database;
use crate::supabase::{ALICE, BOB, Project, refused};
use crate::worker::Scripted;

async fn call(page: &Client, function: &str) -> Value {
    database::get(page, &format!("select {function}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_asks_for_everything_that_a_code_can_become() {
    let project = Project::new().await;
    project.db.fast().await;
    project.db.run("update rowcall.browser_tables set per_minute = 100000").await;
    let page = project.user(ALICE).await;
    let created = call(
        &page,
        "request_code_create('A', '{\"discount_percent\": 20, \"max_uses\": \"5\", \"description\": null}')",
    )
    .await;
    assert_eq!(
        (&created["status"], &created["action"], &created["requested_by"], &created["generation"]),
        (&json!("creating"), &json!("create"), &json!(ALICE), &json!(1))
    );
    let metadata: Value = project.db.get("select metadata - 'requested_at' from codes").await;
    assert_eq!(
        metadata,
        json!({ "action": "create", "request_method": "frontend", "discount_percent": 20, "max_uses": "5" })
    );

    let _worker = project.db.worker(Scripted::done());
    project.db.all_ended().await;
    for (function, status) in [
        ("request_code_update('A', '{\"discount_percent\": 30, \"new_max_uses\": 10}')", "active"),
        ("request_code_rename('A', 'B')", "deleted"),
        ("request_code_create('A', '{\"discount_amount\": \"5.00\"}')", "active"),
        ("request_code_delete('A')", "deleted"),
    ] {
        let asked = call(&page, function).await;
        assert_eq!((&asked["code"], &asked["requested_by"]), (&json!("A"), &json!(ALICE)), "{function}");
        project.db.all_ended().await;
        let ended: String = project.db.get("select status from codes where code = 'A'").await;
        assert_eq!(ended, status, "{function}");
    }
    let renamed: Value = database::get(&page, "select metadata from codes where code = 'B'").await;
    assert_eq!(
        (&renamed["discount_percent"], &renamed["max_uses"]),
        (&json!(30), &json!(10)),
        "a page sees its renamed code"
    );
    let anew: Value = project.db.get("select metadata from codes where code = 'A'").await;
    assert_eq!((&anew["discount_percent"], &anew["discount_amount"]), (&Value::Null, &json!("5.00")));
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_twice_for_the_same_it_is_asked_once() {
    let project = Project::new().await;
    project.code("A", ALICE).await;
    let page = project.user(ALICE).await;
    for (function, generation) in [
        ("request_code_update('A', '{\"max_uses\": 3}')", 1),
        ("request_code_update('A', '{\"new_max_uses\": 3}')", 1),
        ("request_code_update('A', '{\"max_uses\": 4}')", 2),
        ("cancel_code_request('A')", 3),
        ("request_code_rename('A', 'B')", 4),
        ("request_code_rename('A', 'B')", 4),
        ("request_code_delete('A')", 5),
        ("request_code_delete('A')", 5),
        ("cancel_code_request('A')", 6),
        ("cancel_code_request('A')", 6),
        ("request_code_create('NEW')", 1),
        ("request_code_create('NEW', '{}')", 1),
    ] {
        let before: i64 = project.db.get("select coalesce(sum(generation), 0) from codes").await;
        let answer = call(&page, function).await;
        assert_eq!(answer["generation"], generation, "{function} after {before}: {answer}");
        project.db.run("update codes set requested_at = requested_at - interval '1 minute'").await;
    }
    let status: String = project.db.get("select status from codes where code = 'A'").await;
    assert_eq!(status, "active", "taken back, it is what it was before all of them");
    project.db.run("update codes set status = 'deleted' where code = 'A'").await;
    assert_eq!(call(&page, "request_code_delete('A')").await["status"], "deleted", "what is gone needs no deletion");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_named_field_by_field() {
    let project = Project::new().await;
    project.code("A", ALICE).await;
    let page = project.user(ALICE).await;
    let before = project.db.image().await;
    for (function, fields) in [
        ("request_code_create(null)", json!(["code"])),
        ("request_code_create('a code')", json!(["code"])),
        ("request_code_create('B', '[]')", json!(["terms"])),
        (
            "request_code_create('B', '{\"discount_percent\": 101, \"max_uses\": 1.5, \"expires_at\": \"soon\", \"description\": {}}')",
            json!(["description", "discount_percent", "expires_at", "max_uses"]),
        ),
        ("request_code_create('B', '{\"discount_percent\": 5, \"discount_amount\": 5}')", json!(["discount_amount"])),
        ("request_code_create('B', '{\"discount_amount\": -1}')", json!(["discount_amount"])),
        ("request_code_create('B', '{\"discount_amount\": 1.005}')", json!(["discount_amount"])),
        ("request_code_create('B', '{\"status\": \"active\"}')", json!(["status"])),
        ("request_code_create('B', '{\"new_max_uses\": 5}')", json!(["new_max_uses"])),
        ("request_code_update('A', null)", json!(["terms"])),
        ("request_code_update('A', '{}')", json!(["terms"])),
        ("request_code_update('A', '{\"new_max_uses\": 0}')", json!(["max_uses"])),
        ("request_code_update('A', '{\"max_uses\": 1, \"new_max_uses\": 2}')", json!(["new_max_uses"])),
        ("request_code_update('A', '{\"description\": \"two\\nlines\"}')", json!(["description"])),
        ("request_code_rename('A', 'A')", json!(["new_code"])),
        ("request_code_rename('A', null)", json!(["new_code"])),
        ("request_code_rename('A', '-x')", json!(["new_code"])),
        ("approve_action(null)", json!(["action_id"])),
        ("edit_action(1, ' ')", json!(["user_response"])),
        ("approve_action(1, repeat('x', 5000))", json!(["user_response"])),
    ] {
        let refusal = refused(&page, &format!("select {function}")).await;
        assert_eq!(refusal.code, "22023", "{function}: {refusal:?}");
        assert_eq!(serde_json::from_str::<Value>(&refusal.detail).unwrap(), fields, "{function}: {refusal:?}");
        for field in fields.as_array().unwrap() {
            assert!(refusal.message.contains(field.as_str().unwrap()), "{function}: {refusal:?}");
        }
        assert!(refusal.message.len() < 1000, "{function}: {refusal:?}");
    }
    assert_eq!(project.db.image().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_and_what_stands_in_the_way_are_told_apart() {
    let project = Project::new().await;
    project.code("MINE", ALICE).await;
    project.code("ALSO-MINE", ALICE).await;
    project.code("THEIRS", BOB).await;
    project.db.run(&format!("insert into codes (code, status, owner) values ('GONE', 'deleted', '{ALICE}')")).await;
    let page = project.user(ALICE).await;
    let theirs = project.action(BOB).await;
    for (function, code) in [
        ("request_code_delete('NONE')".to_owned(), "PT404"),
        ("request_code_delete('THEIRS')".to_owned(), "PT404"),
        ("request_code_update('THEIRS', '{\"max_uses\": 3}')".to_owned(), "PT404"),
        ("cancel_code_request('THEIRS')".to_owned(), "PT404"),
        (format!("approve_action({theirs})"), "PT404"),
        ("request_code_create('MINE')".to_owned(), "PT409"),
        ("request_code_create('THEIRS')".to_owned(), "PT409"),
        ("request_code_rename('MINE', 'ALSO-MINE')".to_owned(), "PT409"),
        ("request_code_update('GONE', '{\"max_uses\": 3}')".to_owned(), "PT409"),
        ("request_code_rename('GONE', 'X')".to_owned(), "PT409"),
    ] {
        let refusal = refused(&page, &format!("select {function}")).await;
        assert_eq!(refusal.code, code, "{function}: {refusal:?}");
    }
    assert_eq!(project.db.get::<i64>("select count(*) from codes where generation > 0").await, 0);
    assert_eq!(project.db.get::<i64>("select count(*) from actions where generation > 0").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_is_answered_once() {
    let project = Project::new().await;
    let page = project.user(ALICE).await;
    for (function, status) in [("approve_action", "approved"), ("deny_action", "denied"), ("edit_action", "edited")] {
        let action = project.action(ALICE).await;
        for time in ["first", "second"] {
            let answer = call(&page, &format!("{function}({action}, ' It is on its way. ')")).await;
            assert_eq!(
                (&answer["status"], &answer["reply_status"], &answer["generation"], &answer["requested_by"]),
                (&json!(status), &json!("pending"), &json!(1), &json!(ALICE)),
                "{function}, {time}"
            );
        }
        let other = if status == "denied" { "approve_action" } else { "deny_action" };
        assert_eq!(refused(&page, &format!("select {other}({action})")).await.code, "PT409", "{function}");
        let row: String =
            project.db.get(&format!("select status || ': ' || user_response from actions where id = {action}")).await;
        assert_eq!(row, format!("{status}: It is on its way."));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_promised_to_a_page_is_not_undone_by_its_next_request() {
    let project = Project::new().await;
    project.db.run("update rowcall.browser_tables set per_minute = 100000").await;
    project.code("A", ALICE).await;
    let page = project.user(ALICE).await;
    let later = || project.db.run("update codes set requested_at = requested_at - interval '1 minute'");
    call(&page, "request_code_update('A', '{\"discount_percent\": 30, \"max_uses\": 3}')").await;
    later().await;
    call(&page, "request_code_update('A', '{\"discount_amount\": 5}')").await;
    later().await;
    let asked: Value = project.db.get("select metadata from codes").await;
    assert_eq!((&asked["new_max_uses"], &asked["new_discount_amount"]), (&json!(3), &json!(5)));
    assert!(asked.get("new_discount_percent").is_none(), "{asked}");
    call(&page, "request_code_create('NEW')").await;
    for function in [
        "request_code_rename('A', 'B')",
        "request_code_update('NEW', '{\"max_uses\": 3}')",
        "request_code_rename('NEW', 'B')",
    ] {
        let refusal = refused(&page, &format!("select {function}")).await;
        assert_eq!(refusal.code, "PT409", "{function}: {refusal:?}");
    }
    project.db.run("update codes set status = 'renaming' where code = 'A'; update codes set claim_token = gen_random_uuid() where code = 'A'").await;
    assert_eq!(
        refused(&page, "select request_code_delete('A')").await.code,
        "PT409",
        "it may have another name by now"
    );
    project.db.run("update codes set status = 'unknown', claim_token = gen_random_uuid() where code = 'A'").await;
    assert_eq!(refused(&page, "select request_code_delete('A')").await.code, "PT409", "nobody knows what it is");
}
