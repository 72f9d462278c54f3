//! What a page asks by RPC of orders, links and organizations: once, twice, wrongly, and of rows that are not its user's.

use std::sync::Arc;

use reqwest::Url;
use rowcall::integrations::shortlink::ShortLinks;
use rowcall::link::Prefix;
use rowcall::store::queues::{LINKS, ORDERS, ORGANIZATIONS};
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::database;
use crate::supabase::{ALICE, BOB, Project, refused};
use crate::worker::{Scripted, TestWorker};

async fn call(page: &Client, function: &str) -> Value {
    database::get(page, &format!("select {function}")).await
}

/// A project where a minute's bounds are no matter.
async fn patient() -> Project {
    let project = Project::new().await;
    project.open_orders().await;
    project.db.fast().await;
    project.db.run("update rowcall.browser_tables set per_minute = 100000").await;
    project
}

async fn ended(project: &Project, table: &str) {
    let ended = format!("not exists (select from {table} where status in ('updating', 'creating', 'syncing'))");
    project.db.eventually("every row has ended", &ended).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_asks_for_another_status_and_other_metadata_of_its_order() {
    let project = patient().await;
    let [order, ..] = project.others(ALICE).await;
    let page = project.user(ALICE).await;
    let ask = format!("request_order_update('{order}', 'completed', '{{\"note\": \"by hand\"}}')");
    for time in ["first", "second"] {
        let asked = call(&page, &ask).await;
        assert_eq!(
            (
                &asked["status"],
                &asked["action"],
                &asked["previous_status"],
                &asked["generation"],
                &asked["requested_by"]
            ),
            (&json!("updating"), &json!("update"), &json!("pending"), &json!(1), &json!(ALICE)),
            "{time}"
        );
    }
    let metadata: Value = project.db.get("select metadata - 'requested_at' from orders").await;
    assert_eq!(
        metadata,
        json!({
            "action": "update", "request_method": "frontend", "previous_status": "pending", "new_status": "completed",
            "new_metadata": {"note": "by hand"}
        })
    );
    let other = call(&page, &format!("request_order_update('{order}', new_metadata => '{{\"note\": 2}}')")).await;
    assert_eq!(other["generation"], 2);
    let asked = "select metadata ->> 'new_status' || (metadata -> 'new_metadata' ->> 'note') from orders";
    assert_eq!(project.db.get::<String>(asked).await, "completed2", "what was asked before is asked for still");
    let back = call(&page, &format!("cancel_order_request('{order}')")).await;
    assert_eq!((&back["status"], &back["generation"]), (&json!("pending"), &json!(3)));
    assert_eq!(
        call(&page, &format!("cancel_order_request('{order}')")).await["generation"],
        3,
        "there is nothing left"
    );

    let _worker = TestWorker::of(&ORDERS, project.db.settings(), Scripted::done());
    call(&page, &ask).await;
    ended(&project, "orders").await;
    let row: Value = database::get(&page, "select to_jsonb(o) from orders as o").await;
    assert_eq!((&row["status"], &row["metadata"]["note"]), (&json!("completed"), &json!("by hand")), "{row}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_forges_nothing_that_an_earlier_change_of_its_order_left() {
    let project = patient().await;
    let db = &project.db;
    let [order, ..] = project.others(ALICE).await;
    let page = project.user(ALICE).await;
    // Neither what a retry would ask for, nor where the order stands at Fienta.
    for status in ["pending", "unknown"] {
        db.run(&format!(
            "update orders set status = '{status}', metadata = '{{\"previous_status\": \"pending\"}}', claim_token = gen_random_uuid();
             update orders set claim_token = null"
        ))
        .await;
        database::run(
            &page,
            "update orders set metadata = '{\"reached_status\": \"paid\", \"failed_request\": {\"new_status\": \"paid\"}}'",
        )
        .await;
        let kept = "select not metadata ?| '{reached_status,failed_request}' from orders";
        assert!(db.get::<bool>(kept).await, "{status}");
    }
    db.run("update orders set metadata = metadata || '{\"action\": \"update\"}'").await;
    let ask = format!("select request_order_update('{order}', new_metadata => '{{\"note\": 2}}')");
    assert_eq!(refused(&page, &ask).await.code, "PT409", "nobody knows how the last one ended");

    // What a superseded change has reached is what a later one goes back to.
    db.run("update orders set status = 'paid'; update orders set status = 'updating', metadata = '{\"new_status\": \"refunded\"}'").await;
    db.run("update orders set metadata = metadata || '{\"reached_status\": \"refunded\"}', claim_token = gen_random_uuid()").await;
    db.run("update orders set claim_token = null").await;
    database::run(&page, &ask).await;
    let back = call(&page, &format!("cancel_order_request('{order}')")).await;
    assert_eq!(back["status"], "refunded");
    let left: Value = db.get("select metadata - '{action,requested_at,request_method}'::text[] from orders").await;
    let aside = json!({"new_status": "refunded", "new_metadata": {"note": 2}});
    assert_eq!(left, json!({"previous_status": "paid", "cancelled_request": aside}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_makes_a_link_points_it_elsewhere_disables_it_and_has_it_back() {
    let project = patient().await;
    let page = project.user(ALICE).await;
    let made = call(&page, "request_link_create('https://example.com/a', '2099-12-31')").await;
    assert_eq!(
        (&made["status"], &made["requested_by"], &made["slug"], &made["expires_at"].is_string()),
        (&json!("creating"), &json!(ALICE), &Value::Null, &true)
    );
    let id = &made["id"];
    let method = "select metadata ->> 'request_method' || ' ' || owner from links";
    assert_eq!(project.db.get::<String>(method).await, format!("frontend {ALICE}"));
    assert_eq!(call(&page, &format!("cancel_link_request('{id}')")).await["status"], "failed");

    let base = Url::parse("https://go.example.com").unwrap();
    let _worker = TestWorker::of(&LINKS, project.db.settings(), Arc::new(ShortLinks::new(Prefix::new(&base))));
    assert_eq!(call(&page, &format!("enable_link('{id}')")).await["status"], "creating", "a failed one is tried again");
    ended(&project, "links").await;
    let slug: String = database::get(&page, "select slug from links where status = 'active'").await;
    for (function, status, target) in [
        (format!("enable_link('{id}')"), "active", "https://example.com/a"),
        (format!("request_link_update('{id}', 'https://example.com/b')"), "active", "https://example.com/b"),
        (format!("request_link_update('{id}', expires_at => '2098-01-01')"), "active", "https://example.com/b"),
        (format!("disable_link('{id}')"), "disabled", "https://example.com/b"),
        (format!("disable_link('{id}')"), "disabled", "https://example.com/b"),
        (format!("enable_link('{id}')"), "creating", "https://example.com/b"),
    ] {
        let link = call(&page, &function).await;
        assert_eq!((&link["status"], &link["target_url"]), (&json!(status), &json!(target)), "{function}: {link}");
        ended(&project, "links").await;
    }
    let row: Value = database::get(&page, "select to_jsonb(l) from links as l").await;
    assert_eq!((&row["status"], &row["slug"]), (&json!("active"), &json!(slug)), "it keeps its slug");
    assert!(row["expires_at"].as_str().unwrap().starts_with("2098-01-01"), "{row}");

    // The worker refuses what no rule here sees, and a better target is another request.
    call(&page, &format!("disable_link('{id}')")).await;
    call(&page, &format!("request_link_update('{id}', 'https://user@example.com/')")).await;
    call(&page, &format!("enable_link('{id}')")).await;
    ended(&project, "links").await;
    let said: String = database::get(&page, "select status || ' ' || error_message from links").await;
    assert!(said.starts_with("failed target_url has a user"), "{said}");
    assert_eq!(refused(&page, &format!("select disable_link('{id}')")).await.code, "PT409");
    assert_eq!(
        call(&page, &format!("request_link_update('{id}', 'https://example.com/c')")).await["status"],
        "creating"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_has_its_organization_told_once() {
    let project = patient().await;
    let [.., organization] = project.others(ALICE).await;
    let page = project.user(ALICE).await;
    let ask = format!("request_organization_sync('{organization}')");
    for time in ["first", "second"] {
        let asked = call(&page, &ask).await;
        assert_eq!(
            (&asked["status"], &asked["action"], &asked["generation"], &asked["requested_by"]),
            (&json!("syncing"), &json!("sync"), &json!(1), &json!(ALICE)),
            "{time}"
        );
        assert!(!asked.to_string().contains("hook"), "whom it is told to is not a page's to know: {asked}");
    }
    assert_eq!(call(&page, &format!("cancel_organization_request('{organization}')")).await["status"], "active");
    let _worker = TestWorker::of(&ORGANIZATIONS, project.db.settings(), Scripted::done());
    call(&page, &ask).await;
    ended(&project, "organizations").await;
    assert!(database::get::<bool>(&page, "select synced_at is not null from organizations").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_named_and_what_is_not_theirs_is_not_there() {
    let project = patient().await;
    let [order, link, organization] = project.others(ALICE).await;
    let [order_of_bob, link_of_bob, organization_of_bob] = project.others(BOB).await;
    let page = project.user(ALICE).await;
    let image = "select concat((select string_agg(o::text, ' ') from orders as o), (select string_agg(l::text, ' ') from links as l),
        (select string_agg(o::text, ' ') from organizations as o))";
    let before: String = project.db.get(image).await;
    for (function, code, fields) in [
        (format!("request_order_update('{order}')"), "22023", "[\"new_status\"]"),
        (format!("request_order_update('{order}', 'updating')"), "22023", "[\"new_status\"]"),
        (format!("request_order_update('{order}', '--help', '[]')"), "22023", "[\"new_metadata\", \"new_status\"]"),
        (format!("request_order_update('{order}', 'x', '{{\"action\": 1}}')"), "22023", "[\"new_metadata\"]"),
        (format!("request_order_update('{order}', 'x', '{{\"fienta_order_id\": 1}}')"), "22023", "[\"new_metadata\"]"),
        ("request_link_create(null)".to_owned(), "22023", "[\"target_url\"]"),
        ("request_link_create('javascript:alert(1)', 'soon')".to_owned(), "22023", "[\"expires_at\", \"target_url\"]"),
        ("request_link_create('https://example.com/' || repeat('x', 3000))".to_owned(), "22023", "[\"target_url\"]"),
        (format!("request_link_update('{link}')"), "22023", "[\"target_url\"]"),
        (format!("request_link_update('{link}', 'ftp://example.com/')"), "22023", "[\"target_url\"]"),
        (format!("request_order_update('{order_of_bob}', 'completed')"), "PT404", ""),
        (format!("cancel_order_request('{order_of_bob}')"), "PT404", ""),
        ("request_order_update('no order', 'completed')".to_owned(), "PT404", ""),
        ("request_order_update(null, 'completed')".to_owned(), "PT404", ""),
        (format!("request_link_update('{link_of_bob}', 'https://example.com/')"), "PT404", ""),
        (format!("disable_link('{link_of_bob}')"), "PT404", ""),
        (format!("enable_link('{link_of_bob}')"), "PT404", ""),
        (format!("cancel_link_request('{link_of_bob}')"), "PT404", ""),
        (format!("request_organization_sync('{organization_of_bob}')"), "PT404", ""),
        ("cancel_organization_request(null)".to_owned(), "PT404", ""),
    ] {
        let refusal = refused(&page, &format!("select {function}")).await;
        assert_eq!((refusal.code.as_str(), refusal.detail.as_str()), (code, fields), "{function}: {refusal:?}");
        assert!(refusal.message.len() < 500, "{function}: {refusal:?}");
    }
    assert_eq!(project.db.get::<String>(image).await, before);

    // What runs is not taken back.
    project
        .db
        .run(
            "update orders set status = 'updating', metadata = '{\"new_status\": \"x\"}';
             update links set status = 'creating'; update organizations set status = 'syncing';
             update orders set claim_token = gen_random_uuid(); update links set claim_token = gen_random_uuid();
             update organizations set claim_token = gen_random_uuid()",
        )
        .await;
    for function in [
        format!("cancel_order_request('{order}')"),
        format!("cancel_link_request('{link}')"),
        format!("cancel_organization_request('{organization}')"),
    ] {
        assert_eq!(refused(&page, &format!("select {function}")).await.code, "PT409", "{function}");
    }
}
