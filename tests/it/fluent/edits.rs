//! What a person edits of a ticket's request stays, whatever the ticket does; the rest follows the ticket.

use serde_json::{Value, json};

use super::rows::{Rows, ticket, ticket_with};
use crate::database;

async fn request(rows: &Rows) -> Value {
    rows.db.get("select to_jsonb(r) from requests as r where r.source = 'fluent'").await
}

/// A ticket in which everything has changed.
fn changed() -> Value {
    ticket_with(
        1,
        &json!({"title": "Changed", "content": "Other words.", "priority": "critical", "product": "Email",
            "created_local": "2025-11-01 10:00:00", "created_at": "2025-11-01T08:00:00Z"}),
    )
}

/// What the request is when nobody has edited anything.
const FOLLOWED: [(&str, &str); 6] = [
    ("category", "Email"),
    ("date", "2025-11-01"),
    ("description", "Changed\n\nOther words."),
    ("time", "10:00:00"),
    ("urgency", "HIGH"),
    ("website_url", "Email"),
];

#[tokio::test(flavor = "multi_thread")]
async fn hours_and_category_survive_every_later_sync() {
    let rows = Rows::new().await;
    rows.sync(&[ticket(1)]).await;
    rows.db.run("update requests set hours = 2.25, category = 'Billed'").await;
    for ticket in [changed(), ticket(1), changed()] {
        rows.sync(&[ticket]).await;
        let found = request(&rows).await;
        assert_eq!((&found["hours"], &found["category"]), (&json!(2.25), &json!("Billed")));
    }
    let found = request(&rows).await;
    assert_eq!(found["edited_columns"], json!(["category"]), "no sync writes hours in any case");
    for (name, value) in FOLLOWED.into_iter().filter(|(name, _)| *name != "category") {
        assert_eq!(found[name], value, "{name} follows the ticket");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_column_that_a_person_edits_stays_and_no_other() {
    for (edited, value) in [
        ("category", "Mine"),
        ("date", "2024-01-01"),
        ("description", "My words"),
        ("time", "01:02:03"),
        ("urgency", "LOW"),
        ("website_url", "https://www.example.com"),
    ] {
        let rows = Rows::new().await;
        rows.sync(&[ticket(1)]).await;
        rows.db.run(&format!("update requests set {edited} = '{value}', updated_at = now()")).await;
        rows.sync(&[changed()]).await;
        let found = request(&rows).await;
        assert_eq!(found["edited_columns"], json!([edited]));
        for (name, followed) in FOLLOWED {
            assert_eq!(found[name], if name == edited { value } else { followed }, "{name} after an edit of {edited}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_writes_every_column_edits_only_what_differs() {
    let rows = Rows::new().await;
    rows.sync(&[ticket(1)]).await;
    rows.db
        .run(
            "update requests set date = date, time = time, description = description, urgency = urgency,
             category = 'Mine', website_url = website_url, hours = 1, synced_at = synced_at",
        )
        .await;
    assert_eq!(request(&rows).await["edited_columns"], json!(["category"]));
    rows.db.run("update requests set urgency = 'LOW'").await;
    assert_eq!(request(&rows).await["edited_columns"], json!(["category", "urgency"]), "edits add up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_is_handed_back_follows_the_ticket_again() {
    let rows = Rows::new().await;
    rows.sync(&[ticket(1)]).await;
    rows.db.run("update requests set category = 'Mine', urgency = 'LOW'").await;
    rows.db.run("update requests set edited_columns = array_remove(edited_columns, 'category')").await;
    let row = rows.sync(&[ticket(1)]).await;
    let found = request(&rows).await;
    assert_eq!((&found["category"], &found["urgency"]), (&json!("Hosting"), &json!("LOW")));
    assert_eq!((&row["tickets_updated"], &found["edited_columns"]), (&json!(1), &json!(["urgency"])));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_a_person_deleted_stays_deleted() {
    let rows = Rows::new().await;
    rows.sync(&[ticket(1), ticket(2)]).await;
    rows.db.run("delete from requests where description like 'Ticket 1%'").await;
    let row = rows.sync(&[changed(), ticket(2)]).await;
    assert_eq!(rows.db.get::<i64>("select count(*) from requests").await, 1);
    assert_eq!(
        (&row["tickets_added"], &row["tickets_updated"]),
        (&json!(0), &json!(1)),
        "what is known of the ticket goes on"
    );
    let row = rows.sync(&[changed(), ticket(2)]).await;
    assert_eq!(row["tickets_skipped"], 2);
    assert_eq!(rows.db.get::<i64>("select count(*) from fluent_tickets where request_id is null").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_in_the_moment_of_a_sync_is_kept() {
    let rows = Rows::new().await;
    rows.sync(&[ticket(1)]).await;
    rows.ask().await;
    let job = rows.claim_one().await;
    // After the page was read, and before it is written.
    rows.db.run("update requests set category = 'Mine'").await;
    assert_eq!(rows.settle(job, super::rows::end(&[changed()])).await.as_deref(), Some("done"));
    assert_eq!(request(&rows).await["category"], "Mine");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_other_sources_are_nobodys_business() {
    let rows = Rows::new().await;
    rows.db
        .run(
            "insert into requests (date, time, description, category) values ('2025-10-17', '09:30', 'By telephone', 'Support');
             update requests set category = 'Mine', hours = 3",
        )
        .await;
    let image = "select r::text from requests as r where r.source = 'manual'";
    let before: String = rows.db.get(image).await;
    assert!(before.contains("{}"), "no edit is noted: {before}");
    rows.sync(&[ticket(1)]).await;
    assert_eq!(rows.db.get::<String>(image).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_with_edited_columns_of_before_takes_no_edit_back() {
    let rows = Rows::new().await;
    rows.sync(&[ticket(1)]).await;
    // Two people have opened the same form; the second one saves what it showed.
    rows.db.run("update requests set category = 'Mine', hours = 1").await;
    let save = "update requests set category = 'Hosting', urgency = 'LOW', hours = 2, edited_columns = '{}'";
    rows.db.run(save).await;
    assert_eq!(request(&rows).await["edited_columns"], json!(["category", "urgency"]));
    rows.sync(&[changed()]).await;
    let found = request(&rows).await;
    assert_eq!((&found["category"], &found["urgency"]), (&json!("Hosting"), &json!("LOW")));
    // Nor does one that saves when it was written last, and a sync has come between.
    rows.db.run("update requests set website_url = 'Mine', synced_at = synced_at - interval '1 hour'").await;
    assert_eq!(request(&rows).await["edited_columns"], json!(["category", "urgency", "website_url"]));
}

const STOOD_HERE: &str = "insert into requests (date, time, description, urgency, category, website_url, source, hours)
    values ('2025-10-16', '23:30', 'Words of another program', 'LOW', 'Billed', 'Hosting', 'fluent', 4);
    insert into fluent_tickets (fluent_id, request_id) select 1, id from requests";

#[tokio::test(flavor = "multi_thread")]
async fn of_what_stood_here_before_rowcall_did_people_wrote_the_category_and_the_urgency() {
    let rows = Rows::new().await;
    rows.db.run(STOOD_HERE).await;
    rows.sync(&[ticket(1)]).await;
    let found = request(&rows).await;
    assert_eq!(found["edited_columns"], json!(["category", "urgency"]));
    assert_eq!(
        [&found["description"], &found["date"], &found["time"]],
        [&json!("Ticket 1\n\nWords."), &json!("2025-10-17"), &json!("09:30:00")],
        "another program's form of the same is no edit"
    );
    rows.sync(&[changed()]).await;
    let found = request(&rows).await;
    assert_eq!(
        [&found["category"], &found["urgency"], &found["hours"], &found["website_url"]],
        [&json!("Billed"), &json!("LOW"), &json!(4.0), &json!("Email")]
    );
    assert_eq!(rows.db.get::<i64>("select count(*) from requests").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_edited_before_the_first_sync_stays_edited() {
    let rows = Rows::new().await;
    rows.db.run(STOOD_HERE).await;
    rows.db.run("update requests set description = 'My words'; update requests set urgency = 'MEDIUM'").await;
    rows.sync(&[ticket(1)]).await;
    assert_eq!(request(&rows).await["edited_columns"], json!(["category", "description", "urgency"]));
    rows.sync(&[changed()]).await;
    let found = request(&rows).await;
    assert_eq!((&found["description"], &found["urgency"]), (&json!("My words"), &json!("MEDIUM")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_edits_under_a_policy_and_asks_for_a_sync() {
    let rows = Rows::new().await;
    for role in ["anon", "authenticated", "service_role bypassrls"] {
        let create = format!(
            "do $$ begin create role {role}; exception when duplicate_object or unique_violation then null; end $$"
        );
        rows.db.run(&create).await;
    }
    rowcall::store::migrate::apply(&rows.db.database()).await.unwrap();
    rows.sync(&[ticket(1)]).await;
    rows.db
        .run(
            "create policy everybody on requests to authenticated using (true) with check (true);
             create policy everybody on fluent_sync_status to authenticated using (true) with check (true)",
        )
        .await;
    let browser = rows.db.connect().await;
    database::run(&browser, "set role authenticated; set request.jwt.claims = '{\"sub\": \"7f3a\"}'").await;
    database::run(&browser, "update requests set category = 'Mine', hours = 1.5").await;
    assert_eq!(request(&rows).await["edited_columns"], json!(["category"]));
    database::run(&browser, "insert into fluent_sync_status (date_filter) values ('2025-10-17')").await;
    let asked: Value = rows.db.get("select to_jsonb(s) from fluent_sync_status as s order by id desc limit 1").await;
    assert_eq!(
        (&asked["status"], &asked["requested_by"], &asked["generation"]),
        (&json!("pending"), &json!("7f3a"), &json!(1))
    );
    for statement in [
        "update fluent_sync_status set cursor = '{}'",
        "update fluent_sync_status set watermark = now()",
        "insert into fluent_sync_status (status) values ('success')",
        "update requests set synced_at = now()",
        "update requests set source = 'manual'",
        "delete from requests",
        "update fluent_tickets set title = 'x'",
        "delete from fluent_categories",
    ] {
        assert!(database::refusal(&browser, statement).await.contains("permission denied"), "{statement}");
    }
    database::run(&browser, "reset role; set role anon").await;
    for table in ["requests", "fluent_tickets", "fluent_sync_status", "fluent_urgencies", "fluent_categories"] {
        let refusal = database::refusal(&browser, &format!("select * from {table}")).await;
        assert!(refusal.contains("permission denied"), "{table}: {refusal}");
    }
}
