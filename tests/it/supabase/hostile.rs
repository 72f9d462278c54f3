//! What a browser may send: it gets an error, or a clear message on the row, and the worker goes on.

use serde_json::{Value, json};

use crate::binary::Binary;
use crate::database;
use crate::fake::Fake;
use crate::supabase::{ALICE, Project, refused};

fn nested(levels: usize) -> String {
    format!("{{\"note\": {}1{}}}", "[".repeat(levels), "]".repeat(levels))
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_that_is_huge_or_deep_is_refused_with_the_field_named() {
    let project = Project::new().await;
    let page = project.user(ALICE).await;
    project.code("A", ALICE).await;
    let large = [
        json!({ "note": "x".repeat(70_000) }).to_string(),
        json!({ "note": vec![1; 40_000] }).to_string(),
        // Seven characters of JSON, and a hundred thousand digits.
        "{\"max_uses\": 1e100000}".to_owned(),
        nested(40),
        nested(2_000),
    ];
    for metadata in &large {
        for statement in [
            format!("insert into codes (code, status, metadata) values ('B', 'creating', '{metadata}')"),
            format!("update codes set status = 'updating', metadata = '{metadata}'"),
            format!("update codes set metadata = '{metadata}'"),
        ] {
            let refusal = refused(&page, &statement).await;
            assert_eq!((refusal.code.as_str(), refusal.detail.as_str()), ("22023", "[\"metadata\"]"), "{refusal:?}");
            assert!(refusal.message.len() < 200, "{refusal:?}");
        }
    }
    // What not even Postgres can read does not come that far.
    for metadata in [nested(100_000), "{".to_owned(), "{\"a\": \"\\u0000\"}".to_owned()] {
        assert!(
            ["54001", "22P02", "22P05"]
                .contains(&refused(&page, &format!("update codes set metadata = '{metadata}'")).await.code.as_str())
        );
    }
    assert_eq!(refused(&page, "update codes set metadata = '[1]'").await.code, "23514");
    assert_eq!(refused(&page, "update codes set metadata = null").await.code, "23502");
    let code = "x".repeat(70_000);
    let refusal = refused(&page, &format!("insert into codes (code, status) values ('{code}', 'creating')")).await;
    assert_eq!((refusal.code.as_str(), refusal.detail.as_str()), ("22023", "[\"code\"]"));
    database::run(&page, &format!("update codes set metadata = '{}'", nested(20))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_links_and_organizations_take_no_more_than_codes_do() {
    let project = Project::new().await;
    project.open_orders().await;
    let [order, link, _] = project.others(ALICE).await;
    let page = project.user(ALICE).await;
    let large = [json!({ "note": "x".repeat(70_000) }).to_string(), "{\"a\": 1e100000}".to_owned(), nested(40)];
    for metadata in &large {
        for (statement, field) in [
            (format!("update orders set status = 'updating', metadata = '{metadata}'"), "metadata"),
            (format!("select request_order_update('{order}', 'x', '{metadata}')"), "metadata"),
            (format!("update links set metadata = '{metadata}'"), "metadata"),
            (
                format!("insert into links (target_url, metadata) values ('https://a.example', '{metadata}')"),
                "metadata",
            ),
            (format!("update organizations set status = 'syncing', metadata = '{metadata}'"), "metadata"),
            (
                format!("insert into organizations (name, status, metadata) values ('A', 'syncing', '{metadata}')"),
                "metadata",
            ),
        ] {
            let refusal = refused(&page, &statement).await;
            assert_eq!((refusal.code.as_str(), &refusal.detail), ("22023", &format!("[\"{field}\"]")), "{refusal:?}");
            assert!(refusal.message.len() < 200);
        }
    }
    let long = "x".repeat(70_000);
    for (statement, field) in [
        (format!("update links set target_url = 'https://example.com/{long}'"), "target_url"),
        (format!("select request_link_update('{link}', 'https://example.com/{long}')"), "target_url"),
        (format!("update organizations set name = '{long}'"), "name"),
    ] {
        let refusal = refused(&page, &statement).await;
        assert_eq!((refusal.code.as_str(), refusal.detail), ("22023", format!("[\"{field}\"]")), "{field}");
    }
    for table in ["orders", "links", "organizations"] {
        assert_eq!(refused(&page, &format!("update {table} set metadata = '[1]'")).await.code, "23514", "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_types_get_a_clear_message_on_the_row_and_the_worker_goes_on() {
    let (project, fake) = (Project::new().await, Fake::new());
    let db = &project.db;
    db.fast().await;
    db.run("update rowcall.browser_tables set bytes_max = 10000000 where table_name = 'codes'").await;
    let mut worker = Binary::start(db, &fake).await;
    let page = project.user(ALICE).await;
    let wrong = [
        ("creating", json!({ "discount_percent": { "deep": [1, 2, 3] } }), "metadata.discount_percent is"),
        ("creating", json!({ "max_uses": [[[[]]]] }), "metadata.max_uses is"),
        ("creating", json!({ "expires_at": true }), "metadata.expires_at is"),
        ("creating", json!({ "description": 7 }), "metadata.description is"),
        ("creating", json!({ "description": "\u{202e}\u{7}" }), "metadata.description is"),
        ("creating", json!({ "description": "x".repeat(1_000_000) }), "metadata.description is"),
        ("creating", json!({ "action": ["create"] }), "metadata.action is"),
        ("creating", json!({ "action": "delete" }), "metadata.action is"),
        ("updating", json!({ "new_discount_amount": "1e9" }), "metadata.new_discount_amount is"),
        ("renaming", json!({ "new_code": "--help" }), "metadata.new_code is"),
        ("deleting", json!({ "action": null, "note": "x".repeat(1_000_000) }), ""),
    ];
    for (nth, (status, metadata, words)) in wrong.iter().enumerate() {
        let code = format!("CODE-{nth}");
        let asked = if *status == "creating" {
            format!("insert into codes (code, status, metadata) values ('{code}', 'creating', '{metadata}')")
        } else {
            project.code(&code, ALICE).await;
            fake.cli(&["create", &format!("--code={code}")]);
            format!("update codes set status = '{status}', metadata = '{metadata}' where code = '{code}'")
        };
        database::run(&page, &asked).await;
        db.all_ended().await;
        let row: Value =
            database::get(&page, &format!("select to_jsonb(c) from codes as c where code = '{code}'")).await;
        let said = row["error_message"].as_str().unwrap_or_default();
        assert!(said.contains(words) && said.chars().count() < 1_000, "{status}: {said}");
        let ended = match *status {
            "creating" => "failed",
            "deleting" => "deleted",
            _ => "active",
        };
        assert_eq!(row["status"], ended, "{status}: {said}");
    }
    database::run(
        &page,
        "insert into codes (code, status, metadata) values ('GOOD', 'creating', '{\"discount_percent\": 20}')",
    )
    .await;
    db.all_ended().await;
    assert_eq!(database::get::<String>(&page, "select status from codes where code = 'GOOD'").await, "active");
    assert_eq!(db.get::<i64>("select count(*) from rowcall.workers").await, 1, "the same worker did all of it");
    assert!(!worker.log().contains(&"x".repeat(200)), "nothing of it is logged");
    worker.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(worker.ended().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_nested_too_deep_for_most_readers_does_not_hurt_the_worker() {
    // A backend, or a table without bounds, may hold what no browser may send.
    let (project, fake) = (Project::new().await, Fake::new());
    let db = &project.db;
    db.fast().await;
    let _worker = Binary::start(db, &fake).await;
    db.run(&format!("insert into codes (code, status, metadata) values ('DEEP', 'creating', '{}')", nested(2_000)))
        .await;
    db.run("insert into codes (code, status, metadata) values ('GOOD', 'creating', '{\"discount_percent\": 20}')")
        .await;
    db.all_ended().await;
    let ended = db.all::<String>("select code || ' ' || status from codes order by code").await;
    assert_eq!(ended, ["DEEP active", "GOOD active"], "a note is nobody's business but the users'");
}
