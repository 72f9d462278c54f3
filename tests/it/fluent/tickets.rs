//! What a ticket becomes: the mapping tables of document 5, and how its request is written.

use serde_json::{Value, json};

use super::rows::{Rows, end, ticket, ticket_with};
use crate::database;

async fn request(rows: &Rows, fluent_id: i64) -> Value {
    rows.db
        .get(&format!(
            "select to_jsonb(r) from requests as r join fluent_tickets as t on t.request_id = r.id where t.fluent_id = {fluent_id}"
        ))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_becomes_a_request() {
    let rows = Rows::new().await;
    rows.sync(&[ticket(7)]).await;
    let found = request(&rows, 7).await;
    for (name, value) in [
        ("date", json!("2025-10-17")),
        ("time", json!("09:30:00")),
        ("description", json!("Ticket 7\n\nWords.")),
        ("urgency", json!("MEDIUM")),
        ("category", json!("Hosting")),
        ("website_url", json!("Hosting")),
        ("source", json!("fluent")),
        ("hours", Value::Null),
        ("edited_columns", json!([])),
    ] {
        assert_eq!(found[name], value, "{name}");
    }
    let known: Value = rows.db.get("select to_jsonb(t) from fluent_tickets as t").await;
    for (name, value) in [
        ("fluent_id", json!(7)),
        ("request_id", found["id"].clone()),
        ("title", json!("Ticket 7")),
        ("status", json!("active")),
        ("priority", json!("normal")),
        ("product", json!("Hosting")),
        ("agent_name", json!("Kofi")),
        ("customer_name", json!("Ama Serwaa")),
        ("customer_email", json!("ama@example.com")),
        ("response_count", json!(2)),
        ("ticket_created_at", json!("2025-10-17T06:30:00+00:00")),
        ("resolved_at", Value::Null),
    ] {
        assert_eq!(known[name], value, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn urgencies_and_categories_are_those_of_the_document() {
    let rows = Rows::new().await;
    let priorities = [
        ("critical", "HIGH"),
        ("high", "HIGH"),
        ("Urgent ", "HIGH"),
        ("medium", "MEDIUM"),
        ("normal", "MEDIUM"),
        ("low", "LOW"),
        ("whatever", "MEDIUM"),
    ];
    let products = [
        (json!("Support"), "Support"),
        (json!("hosting"), "Hosting"),
        (json!("MIGRATION"), "Migration"),
        (json!("Website"), "Website"),
        (json!("Email"), "Email"),
        (json!("Forms"), "Forms"),
        (json!("Scripts"), "Scripts"),
        (json!("Advisory"), "Advisory"),
        (json!("Project"), "General"),
        (json!("General"), "General"),
        (json!("Something else"), "Support"),
        (json!(""), "Support"),
        (Value::Null, "Support"),
    ];
    let by_priority = priorities.iter().zip(1..).map(|((word, _), id)| ticket_with(id, &json!({"priority": word})));
    let by_product = products.iter().zip(101..).map(|((word, _), id)| ticket_with(id, &json!({"product": word})));
    let none = ticket_with(50, &json!({"priority": "", "client_priority": "critical"}));
    rows.sync(&by_priority.chain(by_product).chain([none]).collect::<Vec<_>>()).await;
    for ((word, urgency), id) in priorities.iter().zip(1..) {
        assert_eq!(request(&rows, id).await["urgency"], *urgency, "{word}");
    }
    for ((word, category), id) in products.iter().zip(101..) {
        let request = request(&rows, id).await;
        assert_eq!(request["category"], *category, "{word}");
        assert_eq!(request["website_url"], if word == "" { Value::Null } else { word.clone() }, "{word}");
    }
    assert_eq!(request(&rows, 50).await["urgency"], "HIGH", "the customer's word, where the agents have none");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mapping_is_the_users_to_change() {
    let rows = Rows::new().await;
    rows.sync(&[ticket_with(1, &json!({"product": "Shop", "priority": "vip"}))]).await;
    rows.db
        .run(
            "insert into fluent_categories values ('shop', 'Website');
             insert into fluent_urgencies values ('vip', 'HIGH');
             update fluent_categories set category = 'Everything' where product = '*'",
        )
        .await;
    let row = rows
        .sync(&[
            ticket_with(1, &json!({"product": "Shop", "priority": "vip"})),
            ticket_with(2, &json!({"product": "x"})),
        ])
        .await;
    assert_eq!(
        (&row["tickets_updated"], &row["tickets_added"]),
        (&json!(1), &json!(1)),
        "it counts for tickets that are here"
    );
    let found = request(&rows, 1).await;
    assert_eq!((&found["category"], &found["urgency"]), (&json!("Website"), &json!("HIGH")));
    assert_eq!(request(&rows, 2).await["category"], "Everything");
    let refusal = rows.db.refusal("insert into fluent_categories values ('Shop ', 'x')").await;
    assert!(refusal.contains("fluent_categories_product_is_lower"), "{refusal}");
    // A migrate puts back what was deleted, and leaves alone what was changed.
    rows.db.run("delete from fluent_urgencies where priority = 'high'").await;
    rowcall::store::migrate::apply(&rows.db.database()).await.unwrap();
    assert_eq!(rows.db.get::<String>("select urgency from fluent_urgencies where priority = 'high'").await, "HIGH");
    assert_eq!(rows.db.get::<String>("select category from fluent_categories where product = '*'").await, "Everything");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_title_or_its_content_alone_is_the_description() {
    let rows = Rows::new().await;
    rows.sync(&[
        ticket_with(1, &json!({"content": ""})),
        ticket_with(2, &json!({"title": null})),
        ticket_with(3, &json!({"title": null, "content": null})),
    ])
    .await;
    let descriptions =
        [request(&rows, 1).await, request(&rows, 2).await, request(&rows, 3).await].map(|r| r["description"].clone());
    assert_eq!(descriptions, [json!("Ticket 1"), json!("Words."), json!("")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_twice_adds_nothing_and_writes_nothing() {
    let rows = Rows::new().await;
    let tickets: Vec<Value> = (1..=50).map(ticket).collect();
    let row = rows.sync(&tickets).await;
    assert_eq!(row["tickets_added"], 50);
    let image = "select md5(string_agg(t.ctid::text || t::text || r.ctid::text || r::text, ',' order by t.id))
        from fluent_tickets as t join requests as r on r.id = t.request_id";
    let before: String = rows.db.get(image).await;
    let row = rows.sync(&tickets).await;
    assert_eq!(
        (&row["tickets_added"], &row["tickets_updated"], &row["tickets_skipped"]),
        (&json!(0), &json!(0), &json!(50))
    );
    assert_eq!(rows.db.get::<String>(image).await, before, "not one row was touched");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_in_a_ticket_is_followed() {
    let rows = Rows::new().await;
    rows.sync(&[ticket(1), ticket(2)]).await;
    let changed = json!({"title": "New title", "priority": "critical", "product": "Email", "status": "closed",
        "resolved_at": "2025-10-19T06:30:00Z", "responses": 3});
    let row = rows.sync(&[ticket_with(1, &changed), ticket(2)]).await;
    assert_eq!((&row["tickets_updated"], &row["tickets_skipped"]), (&json!(1), &json!(1)));
    let found = request(&rows, 1).await;
    assert_eq!(
        [&found["description"], &found["urgency"], &found["category"], &found["website_url"]],
        [&json!("New title\n\nWords."), &json!("HIGH"), &json!("Email"), &json!("Email")]
    );
    let known = "select concat_ws(' ', status, priority, response_count, resolved_at at time zone 'utc') from fluent_tickets where fluent_id = 1";
    assert_eq!(rows.db.get::<String>(known).await, "closed critical 3 2025-10-19 06:30:00");
    // Closed before the date filter, but known: it is kept up to date all the same.
    let row = rows.sync(&[ticket_with(2, &json!({"is_wanted": false, "title": "Late"}))]).await;
    assert_eq!(row["tickets_updated"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_database_refuses_fails_the_sync_with_the_tickets_number() {
    let rows = Rows::new().await;
    rows.db.run("alter table requests add constraint short check (char_length(description) < 50)").await;
    let key = rows.ask().await;
    let job = rows.claim_one().await;
    let settlement = rowcall::store::settles::Settlement {
        job,
        outcome: end(&[ticket(1), ticket_with(2, &json!({"content": "x".repeat(60)}))]),
        delay: std::time::Duration::ZERO,
        duration: None,
    };
    let error = rows.store.settle(&rowcall::store::queues::FLUENT, &[settlement], false).await.unwrap_err();
    assert!(error.is_about_data());
    let said = error.answer().unwrap().message().to_owned();
    assert!(said.starts_with("ticket 2: ") && said.contains("short"), "{said}");
    assert_eq!(rows.db.get::<i64>("select count(*) from requests").await, 0);
    assert_eq!(rows.row(key).await["status"], "pending");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_somebody_holds_locked_is_not_waited_for() {
    let rows = Rows::new().await;
    rows.sync(&[ticket(1), ticket(2)]).await;
    let somebody = rows.db.connect().await;
    database::run(&somebody, "begin; update requests set hours = 1 where description like 'Ticket 1%'").await;
    rows.ask().await;
    let job = rows.claim_one().await;
    let changed = [ticket_with(1, &json!({"title": "New 1"})), ticket_with(2, &json!({"title": "New 2"}))];
    let again =
        || rowcall::job::Job { payload: job.payload.clone(), key: job.key.clone(), operation: String::new(), ..job };
    let began = std::time::Instant::now();
    assert_eq!(rows.settle(again(), end(&changed)).await, None);
    assert!(began.elapsed() < std::time::Duration::from_secs(10));
    assert!(request(&rows, 2).await["description"].as_str().unwrap().starts_with("Ticket 2"), "all or nothing");
    database::run(&somebody, "commit").await;
    assert_eq!(rows.settle(again(), end(&changed)).await.as_deref(), Some("done"));
    let found = request(&rows, 1).await;
    assert_eq!((&found["description"], &found["hours"]), (&json!("New 1\n\nWords."), &json!(1.0)));
}
