//! Whose rows a browser is shown.

use crate::database;
use crate::supabase::{ALICE, BOB, Project, refused};

/// One row of each table for each of two users, and of the roots one that is nobody's.
const ROWS: &str = "
    create temporary table who as select * from (values
        ('11111111-1111-1111-1111-111111111111'::uuid, 1), ('22222222-2222-2222-2222-222222222222', 2), (null, 3)
    ) as w (id, nth);
    insert into codes (code, owner) select 'CODE-' || w.nth, w.id from who as w;
    insert into orders (owner) select w.id from who as w;
    insert into contacts (phone, owner) select '+1555010' || w.nth, w.id from who as w;
    insert into clients (crm_type, shop, owner) select 'shopify', 'shop-' || w.nth, w.id from who as w;
    insert into actions (contact_id) select c.id from contacts as c;
    insert into messages (contact_id, direction) select c.id, 'inbound' from contacts as c;
    insert into action_responses (action_id, response_text) select a.id, 'x' from actions as a;
    insert into fulfillment_logs (order_id, status) select o.id, 'failed' from orders as o;
    insert into customers (client_id) select c.id from clients as c;
    insert into club_stages (client_id, name, threshold) select c.id, 'Gold', 100 from clients as c;
    insert into enrollments (customer_id, stage_id)
        select c.id, s.id from customers as c join club_stages as s on s.client_id = c.client_id;
    insert into crm_sync_queue (client_id, action_type, status) select c.id, 'add_membership', 'completed' from clients as c;
    insert into crm_orders (client_id, crm_order_id) select c.id, 'x' from clients as c;
    insert into requests (date, time, owner) select now(), now(), w.id from who as w;
    insert into fluent_tickets (fluent_id, request_id) select r.id, r.id from requests as r;
    insert into fluent_sync_status (status, owner) select 'success', w.id from who as w;
    insert into links (target_url, owner) select 'https://example.com/', w.id from who as w;
    insert into organizations (owner) select w.id from who as w";

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_shown_their_own_rows_of_every_table_and_nobody_elses() {
    let project = Project::new().await;
    project.db.run(ROWS).await;
    let shown = project
        .db
        .all::<String>(
            "select c.relname::text from pg_class as c
             where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'
               and c.relname <> all ('{response_templates,fienta_checks,fluent_urgencies,fluent_categories}') order by 1",
        )
        .await;
    let stranger = project.user("33333333-3333-3333-3333-333333333333").await;
    let alice = project.user(ALICE).await;
    for table in shown {
        let count = format!("select count(*) from {table}");
        assert_eq!(database::get::<i64>(&alice, &count).await, 1, "{table}");
        assert_eq!(database::get::<i64>(&stranger, &count).await, 0, "{table}");
    }
    let words = "select count(*) from fluent_urgencies";
    assert!(database::get::<i64>(&stranger, words).await > 0, "what words mean is for everybody who is signed in");
    let hers = "select code from codes";
    assert_eq!(database::get::<String>(&alice, hers).await, "CODE-1");
    assert_eq!(database::get::<String>(&project.user(BOB).await, hers).await, "CODE-2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_a_page_makes_is_its_users_and_says_who_asked() {
    let project = Project::new().await;
    let (alice, bob) = (project.user(ALICE).await, project.user(BOB).await);
    database::run(&alice, "insert into codes (code, status, metadata) values ('A', 'creating', '{}')").await;
    let row = "select concat_ws(' ', code, status, owner, requested_by) from codes";
    let expected = format!("A creating {ALICE} {ALICE}");
    assert_eq!(database::get::<String>(&alice, row).await, expected);
    for statement in ["update codes set status = 'deleting'", "update codes set status = 'deleting' where code = 'A'"] {
        database::run(&bob, statement).await;
    }
    assert_eq!(project.db.get::<String>(row).await, expected, "nobody else's statement reaches it");
    let taken = refused(&bob, "insert into codes (code, status) values ('A', 'creating')").await;
    assert_eq!(taken.code, "23505");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_asks_for_a_sync_and_edits_its_requests() {
    let project = Project::new().await;
    project.db.run(&format!("insert into requests (date, time, owner) values (now(), now(), '{ALICE}')")).await;
    let alice = project.user(ALICE).await;
    database::run(
        &alice,
        "insert into fluent_sync_status (date_filter) values ('2026-01-02');
         update requests set hours = 1.5, urgency = 'HIGH'",
    )
    .await;
    let row = "select concat_ws(' ', status, owner, requested_by) from fluent_sync_status";
    assert_eq!(database::get::<String>(&alice, row).await, format!("pending {ALICE} {ALICE}"));
    let large = format!("update requests set description = '{}'", "x".repeat(70_000));
    assert_eq!(refused(&alice, &large).await.detail, "[\"description\"]");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_asks_for_a_link_and_has_its_organization_told() {
    let project = Project::new().await;
    let alice = project.user(ALICE).await;
    database::run(
        &alice,
        "insert into links (target_url, metadata) values ('https://example.com/', '{\"note\": 1, \"resolved_by\": \"me\"}');
         insert into organizations (name, status) values ('Acme', 'syncing')",
    )
    .await;
    for table in ["links", "organizations"] {
        let row = format!("select concat_ws(' ', status, generation, owner, requested_by) from {table}");
        let status = if table == "links" { "creating" } else { "syncing" };
        assert_eq!(database::get::<String>(&alice, &row).await, format!("{status} 1 {ALICE} {ALICE}"));
        let refusal = refused(&alice, &format!("update {table} set status = 'active'")).await;
        assert_eq!(refusal.code, "42501", "the worker sets it: {refusal:?}");
    }
    assert!(project.db.get::<bool>("select not metadata ? 'resolved_by' from links").await);
    project.db.run("update links set slug = 'a', status = 'active'").await;
    for status in ["disabled", "creating"] {
        database::run(&alice, &format!("update links set status = '{status}'")).await;
    }
    let many = "insert into links (target_url) select 'https://example.com/' from generate_series(1, 100)";
    assert_eq!(refused(&alice, many).await.code, "PT429");
    assert_eq!(project.db.get::<i64>("select count(*) from links").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_has_not_signed_in_has_no_business_here() {
    let project = Project::new().await;
    let anon = project.page("anon", ALICE).await;
    for statement in [
        "select * from codes",
        "insert into codes (code, status) values ('A', 'creating')",
        "select request_code_create('A')",
    ] {
        assert_eq!(refused(&anon, statement).await.code, "42501", "{statement}");
    }
    // A signed-in role without a user is one to whom nothing belongs.
    let nobody = project.db.connect().await;
    database::run(&nobody, "set role authenticated").await;
    assert_eq!(refused(&nobody, "insert into codes (code, status) values ('A', 'creating')").await.code, "42501");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_code_stays_its_users_also_on_a_row_that_was_deleted() {
    let project = Project::new().await;
    project.code("OLD", ALICE).await;
    project.db.run(&format!("insert into codes (code, status, owner) values ('NEW', 'deleted', '{BOB}')")).await;
    project.db.run("select rowcall.put_renamed_code(id, 'NEW', metadata) from codes where code = 'OLD'").await;
    project.db.run("select rowcall.put_renamed_code(id, 'NEWER', metadata) from codes where code = 'OLD'").await;
    assert_eq!(
        project.db.all::<String>("select code || ' ' || status || ' ' || owner from codes order by code").await,
        [format!("NEW active {ALICE}"), format!("NEWER active {ALICE}"), format!("OLD active {ALICE}")]
    );
}
