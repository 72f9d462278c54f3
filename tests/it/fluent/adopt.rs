//! A database that has these tables already.

use rowcall::store::migrate;
use serde_json::json;

use super::rows::{Rows, ticket, ticket_with};
use crate::database::{TestDatabase, chain};

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_are_there_are_adopted_whatever_their_keys() {
    let db = TestDatabase::empty().await;
    db.run(
        "create table requests (
            id uuid primary key default gen_random_uuid(), date date not null, time time, category varchar(50),
            description text not null, hours numeric, status text not null default 'active'
         );
         create table fluent_tickets (id serial primary key, fluent_id integer unique not null, request_id uuid);
         create table fluent_sync_status (id serial primary key, status varchar(20) not null);
         insert into requests (date, category, description, hours) values ('2025-10-17', 'Billed', 'By hand', 3);
         insert into requests (date, category, description, hours) values ('2025-10-17', 'Hosting', 'No ticket', 5);
         insert into fluent_tickets (fluent_id, request_id) select 1, id from requests where hours = 3;
         insert into fluent_sync_status (status) values ('completed')",
    )
    .await;
    migrate::apply(&db.database()).await.unwrap();
    assert!(migrate::apply(&db.database()).await.unwrap().is_empty());
    let rows = Rows::on(db).await;
    let row = rows.sync(&[ticket(1), ticket(2)]).await;
    assert_eq!((&row["status"], &row["tickets_added"]), (&json!("success"), &json!(1)));
    let linked =
        "select concat_ws(' ', r.category, r.urgency, r.hours, r.source, left(r.description, 8), r.edited_columns)
        from requests as r join fluent_tickets as t on t.request_id = r.id where t.fluent_id = 1";
    assert_eq!(rows.db.get::<String>(linked).await, "Billed MEDIUM 3 manual Ticket 1 {category}");
    assert_eq!(
        rows.db.get::<i64>("select count(*) from fluent_tickets as t join requests as r on r.id = t.request_id").await,
        2
    );
    // What is edited from now on stays, though nothing says that the request came from here.
    rows.db.run("update requests set description = 'By hand', website_url = 'Mine' where hours = 3").await;
    rows.db.run("update requests set description = 'Mine' where hours = 5").await;
    rows.sync(&[ticket_with(1, &json!({"title": "New", "product": "Email"})), ticket(2)]).await;
    let texts = "select string_agg(concat_ws(' ', description, website_url, edited_columns), '; ' order by hours) from requests where hours > 0";
    let kept = "By hand Mine {category,description,website_url}; Mine {}";
    assert_eq!(rows.db.get::<String>(texts).await, kept);
    assert_eq!(rows.db.get::<String>("select status from fluent_sync_status order by id limit 1").await, "completed");
    // Without a reference of its own, a deleted request stays deleted all the same.
    rows.db.run("delete from requests where hours is null").await;
    rows.sync(&[ticket(1), ticket_with(2, &json!({"title": "New"}))]).await;
    assert_eq!(rows.db.get::<i64>("select count(*) from requests").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_way_is_said_with_what_mends_it() {
    for (table, words) in [
        (
            "create table requests (id int primary key, date text)",
            "public.requests.date is of type text, rowcall needs date",
        ),
        ("create table requests (title text)", "public.requests has no column id"),
        (
            "create table requests (id serial primary key, client_id integer not null)",
            "rowcall cannot fill these columns, which must not be null: requests.client_id",
        ),
        (
            "create table fluent_tickets (id serial primary key, fluent_id bigint not null)",
            "public.fluent_tickets.fluent_id is not unique",
        ),
        (
            "create table requests (id serial primary key, description varchar(255))",
            "public.requests.description is too short for tickets",
        ),
        (
            "create table requests (id serial primary key);
             create table fluent_tickets (
                 fluent_id bigint unique, request_id integer references requests on delete cascade
             )",
            "public.fluent_tickets goes with its request",
        ),
        ("create table fluent_sync_status (id serial primary key)", "public.fluent_sync_status has no column status"),
    ] {
        let db = TestDatabase::empty().await;
        db.run(table).await;
        let error = migrate::apply(&db.database()).await.unwrap_err();
        let said = chain(&error);
        assert!(said.contains(words), "{said}");
        assert_eq!(db.get::<i64>("select count(*) from rowcall.schema_migrations where version = 8").await, 0);
    }
}
