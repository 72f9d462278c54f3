//! What a browser cannot forge: the statuses that only the worker sets, and what the worker keeps in the metadata.

use rowcall::failure::Fault;
use serde_json::{Value, json};

use crate::database;
use crate::supabase::{ALICE, Defaults, Project, refused};
use crate::worker::Scripted;

#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_only_the_worker_sets_is_refused_and_says_which_may_be_set() {
    let project = Project::new().await;
    project.code("A", ALICE).await;
    project.action(ALICE).await;
    let page = project.user(ALICE).await;
    let before = project.db.image().await;
    for status in ["'deleted'", "'failed'", "'unknown'", "'Deleting'", "''", "null"] {
        let refusal = refused(&page, &format!("update codes set status = {status}")).await;
        assert_eq!(refusal.code, "42501", "{status}: {refusal:?}");
        assert!(refusal.message.contains("may not set the status"), "{refusal:?}");
        assert!(refusal.hint.contains("creating or updating or deleting or renaming"), "{refusal:?}");
    }
    for columns in
        ["(code) values ('B')", "(code, status) values ('B', 'active')", "(code, status) values ('B', 'deleted')"]
    {
        assert_eq!(refused(&page, &format!("insert into codes {columns}")).await.code, "42501", "{columns}");
    }
    for status in ["'sent'", "'failed'", "'pending_review'", "null"] {
        let refusal = refused(&page, &format!("update actions set status = {status}")).await;
        assert_eq!(
            (refusal.code.as_str(), refusal.hint.contains("approved or denied or edited")),
            ("42501", true),
            "{status}"
        );
    }
    assert_eq!(refused(&page, "update actions set reply_status = 'sent'").await.code, "42501");
    assert_eq!(project.db.image().await, before);

    // What stays as it is, is not set.
    database::run(&page, "update codes set metadata = '{\"note\": 1}', status = 'active'").await;
    for (table, status) in [("codes", "updating"), ("codes", "deleting"), ("actions", "approved")] {
        project.db.run("update codes set requested_at = null").await;
        database::run(&page, &format!("update {table} set status = '{status}'")).await;
    }
}

/// Tables beyond codes: what a browser may set, what it may not, and what the worker keeps in the metadata.
const OTHERS: [(&str, &str, &[&str], &[&str]); 3] = [
    (
        "orders",
        "updating",
        &["completed", "paid", "pending ", "unknown", "Updating", ""],
        &["updated_in_fienta_at", "fienta_order_id"],
    ),
    ("links", "creating or disabled", &["failed", "unknown", "expired", "Disabled", ""], &["link_created_at"]),
    ("organizations", "syncing", &["trial", "failed", "unknown", "synced", ""], &[]),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_worker_sets_of_orders_links_and_organizations_no_browser_forges() {
    let project = Project::new().await;
    project.open_orders().await;
    project.others(ALICE).await;
    let page = project.user(ALICE).await;
    for (table, may, forged, kept) in OTHERS {
        let image = format!("select to_jsonb(t) from {table} as t");
        let common = ["previous_status", "action_failed", "action_error", "failed_at", "cancelled_at", "cancelled_by"];
        let resolved = ["resolved_by", "resolved_note", "resolved_at"];
        let keys: Vec<&str> = common.iter().chain(&resolved).chain(kept).copied().collect();
        let metadata: Value =
            keys.iter().map(|key| ((*key).to_owned(), json!("true"))).collect::<serde_json::Map<_, _>>().into();
        project.db.run(&format!("update {table} set metadata = '{metadata}'")).await;
        let before: Value = project.db.get(&image).await;
        for status in forged.iter().map(|status| format!("'{status}'")).chain(["null".to_owned()]) {
            let refusal = refused(&page, &format!("update {table} set status = {status}")).await;
            assert_eq!(refusal.code, "42501", "{table} {status}: {refusal:?}");
            assert!(refusal.hint.contains(&format!("set {may};")), "{refusal:?}");
        }
        for column in [
            "attempts",
            "error_message",
            "generation",
            "claim_token",
            "claimed_until",
            "requested_by",
            "next_retry_at",
            "owner",
        ] {
            assert_eq!(
                refused(&page, &format!("update {table} set {column} = null")).await.code,
                "42501",
                "{table}.{column}"
            );
        }
        assert_eq!(project.db.get::<Value>(&image).await, before, "{table}");

        let mut all: serde_json::Map<String, Value> =
            keys.iter().map(|key| ((*key).to_owned(), json!("forged"))).collect();
        all.insert("note".to_owned(), json!("mine"));
        all.insert("new_metadata".to_owned(), Value::Object(all.clone()));
        all.insert("request_method".to_owned(), json!("webhook"));
        database::run(&page, &format!("update {table} set metadata = '{}'", Value::Object(all))).await;
        let mut now: Value = project.db.get(&format!("select metadata from {table}")).await;
        assert_eq!(now["new_metadata"], json!({"note": "mine"}), "{table}: nor by the way of what it is to be");
        assert_eq!((&now["note"], &now["request_method"]), (&json!("mine"), &json!("frontend")), "{table}");
        for key in ["new_metadata", "note", "request_method"] {
            now.as_object_mut().unwrap().remove(key);
        }
        assert_eq!(now, metadata, "{table}: what the worker keeps stays");
    }
    for statement in [
        "insert into links (target_url, status) values ('https://example.com/', 'active')",
        "insert into organizations (name, status) values ('A', 'failed')",
        "insert into organizations (name) values ('A')",
        "insert into orders (status) values ('updating')",
        "insert into links (target_url, status) values ('https://example.com/', 'disabled')",
        "insert into codes (code, status) values ('HANDMADE', 'deleting')",
        "insert into codes (code, status) values ('HANDMADE', 'updating')",
        "insert into codes (code, status) values ('HANDMADE', 'renaming')",
        "insert into fienta_checks (name) values ('A')",
        "update fienta_checks set status = 'checking'",
    ] {
        assert_eq!(refused(&page, statement).await.code, "42501", "{statement}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_browser_asks_for_another_status_of_an_order_until_that_is_opened() {
    for is_adopted in [false, true] {
        let project = Project::empty(Defaults::Old).await;
        if is_adopted {
            let owner = project.as_owner().client().await.unwrap();
            database::run(
                &owner,
                "create table orders (id uuid primary key default gen_random_uuid(), status text, metadata jsonb)",
            )
            .await;
        }
        project.migrate().await;
        let owner = if is_adopted { String::new() } else { format!(", owner = '{ALICE}'") };
        project
            .db
            .run(&format!(
                "insert into orders (status) values ('pending'); update orders set status = 'pending'{owner}"
            ))
            .await;
        let page = project.user(ALICE).await;
        let asks = [
            "update orders set status = 'updating', metadata = '{\"new_status\": \"refunded\", \"fienta_order_id\": \"7\"}'",
            "update orders set status = 'unknown'",
        ];
        for ask in asks {
            let refusal = refused(&page, ask).await;
            assert_eq!(refusal.code, "42501", "{is_adopted} {ask}: {refusal:?}");
            assert!(refusal.hint.contains("let your backend"), "{refusal:?}");
        }
        if is_adopted {
            let insert = "insert into orders (status, metadata) values ('updating', '{\"new_status\": \"refunded\"}')";
            assert_eq!(refused(&page, insert).await.code, "42501");
            // What is theirs stays theirs.
            database::run(&page, "update orders set status = 'shipped'").await;
        }
        // Nor does a page change what the backend has asked.
        project.db.run("update orders set status = 'updating', metadata = '{\"new_status\": \"completed\"}'").await;
        let refusal = refused(&page, "update orders set metadata = '{\"new_status\": \"refunded\"}'").await;
        assert_eq!(refusal.code, "42501", "{is_adopted}: {refusal:?}");
        project.open_orders().await;
        database::run(
            &page,
            "update orders set metadata = '{\"new_status\": \"refunded\", \"fienta_order_id\": \"7\"}'",
        )
        .await;
        let asked: Value = project.db.get("select metadata from orders").await;
        assert_eq!(
            (&asked["new_status"], &asked["fienta_order_id"]),
            (&json!("refunded"), &Value::Null),
            "{is_adopted}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_browser_has_a_bundle_bought_by_calling_its_order_paid() {
    let project = Project::new().await;
    project.open_orders().await;
    let order = "insert into orders (network, phone_number, package, amount, status, owner)";
    let values = format!("'+233260000001', '1GB', 5, 'cancelled', '{ALICE}'");
    project.db.run(&format!("{order} values ('AT-iShare', {values})")).await;
    let page = project.user(ALICE).await;
    for ask in [
        "update orders set status = 'updating', metadata = '{\"new_status\": \"completed\"}'",
        "update orders set status = 'updating', metadata = '{\"new_status\": \"Paid\", \"previous_status\": \"paid\"}'",
        "select request_order_update(id::text, 'completed') from orders",
    ] {
        let refusal = refused(&page, ask).await;
        assert_eq!(refusal.code, "42501", "{ask}: {refusal:?}");
        assert!(refusal.message.contains("its bundle would be bought"), "{refusal:?}");
    }
    assert_eq!(project.db.get::<i64>("select count(*) from fulfillment_logs").await, 0);
    // What buys nothing may be asked, and so may anything of an order of another kind.
    database::run(&page, "select request_order_update(id::text, 'canceled') from orders").await;
    database::run(&page, "select cancel_order_request(id::text) from orders").await;
    project.db.run("update orders set requested_at = null").await;
    database::run(&page, "select request_order_update(id::text, new_metadata => '{\"note\": 1}') from orders").await;
    project.db.run("delete from orders").await;
    project.db.run(&format!("{order} values ('Fienta', {values})")).await;
    database::run(&page, "select request_order_update(id::text, 'completed') from orders").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_own_backend_may_set_any_status() {
    let project = Project::new().await;
    project.code("A", ALICE).await;
    let backend = project.page("service_role", ALICE).await;
    database::run(
        &backend,
        "update codes set status = 'revoked'; insert into codes (code, status) values ('B', 'deleted')",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_worker_keeps_in_the_metadata_stays_whatever_a_page_sends() {
    let project = Project::new().await;
    project
        .db
        .run(&format!(
            "insert into codes (code, owner, metadata) values ('A', '{ALICE}', '{{
                 \"note\": \"old\", \"fienta_discount_id\": \"7\", \"created_in_fienta_at\": \"then\", \"action_failed\": true,
                 \"action_error\": \"no\"
             }}')"
        ))
        .await;
    let page = project.user(ALICE).await;
    let metadata = "select metadata from codes";
    let forged = json!({
        "note": "new", "fienta_discount_id": "666", "deleted_in_fienta_at": "now", "previous_status": "deleted",
        "renamed_to": "X", "resolved_by": "me", "action_failed": false
    });
    database::run(&page, &format!("update codes set metadata = '{forged}'")).await;
    assert_eq!(
        project.db.get::<Value>(metadata).await,
        json!({
            "note": "new", "fienta_discount_id": "7", "created_in_fienta_at": "then", "action_failed": true, "action_error": "no"
        })
    );

    // Document 1's React example sends a metadata of its own; a new request leaves the last one's failure behind.
    database::run(
        &page,
        "update codes set status = 'deleting',
             metadata = '{\"action\": \"delete\", \"requested_at\": \"2026-01-02T03:04:05Z\", \"previous_status\": \"failed\"}'",
    )
    .await;
    assert_eq!(
        project.db.get::<Value>(metadata).await,
        json!({
            "action": "delete", "requested_at": "2026-01-02T03:04:05Z", "previous_status": "active",
            "request_method": "frontend", "fienta_discount_id": "7", "created_in_fienta_at": "then"
        })
    );
    database::run(&page, &format!("insert into codes (code, status, metadata) values ('B', 'creating', '{forged}')"))
        .await;
    let made: Value = project.db.get("select metadata - 'requested_at' from codes where code = 'B'").await;
    assert_eq!(made, json!({ "action": "create", "request_method": "frontend", "note": "new" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_previous_status_is_not_what_a_failed_request_ends_as() {
    let project = Project::new().await;
    project.db.fast().await;
    project.code("A", ALICE).await;
    let page = project.user(ALICE).await;
    let _worker = project.db.worker(Scripted::failing(Fault::Item, "no"));
    database::run(&page, "update codes set status = 'updating', metadata = '{\"previous_status\": \"deleted\"}'").await;
    project.db.all_ended().await;
    assert_eq!(database::get::<String>(&page, "select status || ' ' || error_message from codes").await, "active no");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_no_worker_has_begun_may_be_taken_back() {
    let project = Project::new().await;
    let db = &project.db;
    project.code("A", ALICE).await;
    let page = project.user(ALICE).await;
    database::run(&page, "update codes set status = 'deleting'").await;
    assert_eq!(refused(&page, "update codes set status = 'failed'").await.code, "42501", "it was active before");
    database::run(&page, "update codes set status = 'active'").await;
    assert_eq!(db.get::<i32>("select generation from codes").await, 2, "what might have begun meanwhile is superseded");

    db.run("update codes set status = 'deleting'").await;
    db.run("update codes set claim_token = gen_random_uuid(), claimed_by = gen_random_uuid(), claimed_until = now() + interval '1 hour'").await;
    assert_eq!(refused(&page, "update codes set status = 'active'").await.code, "42501", "it runs");
    assert_eq!(refused(&page, "select cancel_code_request('A')").await.code, "PT409");
    db.run("update codes set claimed_by = null, claimed_until = null").await;
    assert_eq!(refused(&page, "update codes set status = 'active'").await.code, "42501", "it may have taken effect");
    db.run("update codes set claim_token = null").await;
    assert_eq!(database::get::<Value>(&page, "select cancel_code_request('A')").await["status"], "active");
}
