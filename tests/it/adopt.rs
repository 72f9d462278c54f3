//! Adopting the table that the users already have: its rows, its types, its own columns.

use rowcall::store::migrate;
use serde_json::Value;

use crate::database::{TestDatabase, chain};
use crate::worker::Scripted;

/// Migrates a database that has this table, and this in it.
async fn adopted(tables: &str) -> TestDatabase {
    let db = TestDatabase::empty().await;
    db.run(tables).await;
    migrate::apply(&db.database()).await.unwrap_or_else(|e| panic!("{}", chain(&e)));
    migrate::apply(&db.database()).await.unwrap();
    db.fast().await;
    db
}

/// All four operations come through, on whatever the table is.
async fn works(db: &TestDatabase) {
    let scripted = Scripted::done();
    let _worker = db.worker(scripted.clone());
    for (status, metadata, ends) in [
        ("creating", "{}", "active"),
        ("updating", "{\"new_max_uses\": 5}", "active"),
        ("renaming", "{\"new_code\": \"NEW\"}", "deleted"),
    ] {
        db.run(&format!("update codes set status = '{status}', metadata = '{metadata}' where code = 'OLD'")).await;
        db.all_ended().await;
        assert_eq!(db.get::<String>("select status::text from codes where code = 'OLD'").await, ends);
    }
    assert_eq!(db.get::<String>("select status::text from codes where code = 'NEW'").await, "active");
    db.run("update codes set status = 'deleting' where code = 'NEW'").await;
    db.all_ended().await;
    assert_eq!(scripted.seen().len(), 4);
    let key: String = db.get("select id::text from codes where code = 'OLD'").await;
    assert_eq!(scripted.seen()[0].key, key);
    db.run(
        "update codes set status = 'creating' where code = 'NEW';
         select rowcall.cancel('codes', id::text) from codes where code = 'NEW'",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_with_a_serial_id_is_adopted_with_its_rows() {
    let db = adopted(
        "create table codes (id serial primary key, code varchar(200) not null unique, status varchar(20), metadata jsonb);
         insert into codes (code, status, metadata) values ('OLD', 'active', '{\"discount_percent\": 20}'), ('NULLS', null, null)",
    )
    .await;
    let row: Value = db.get("select to_jsonb(c) from codes as c where code = 'OLD'").await;
    assert_eq!((row["metadata"]["discount_percent"].as_i64(), row["generation"].as_i64()), (Some(20), Some(0)));
    works(&db).await;
    assert_eq!(db.get::<i64>("select count(*) from codes where code = 'NULLS' and status is null").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_with_a_uuid_id_is_adopted() {
    let db = adopted(
        "create table codes (id uuid primary key default gen_random_uuid(), code text not null, status text not null, metadata jsonb not null default '{}');
         insert into codes (code, status) values ('OLD', 'active')",
    )
    .await;
    works(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_of_the_users_are_carried_over_by_a_rename() {
    let db = adopted(
        "create table events (id int primary key); insert into events values (200100);
         create table codes (
             id bigint generated always as identity primary key, code text not null unique, status text not null default 'active',
             metadata jsonb not null, event_id int not null references events, \"Partner Name\" text not null,
             discount numeric not null check (discount > 0), shout text generated always as (upper(code)) stored
         );
         insert into codes (code, metadata, event_id, \"Partner Name\", discount) values ('OLD', '{}', 200100, 'Ada', 12.5)",
    )
    .await;
    works(&db).await;
    let new: Value = db.get("select to_jsonb(c) from codes as c where code = 'NEW'").await;
    assert_eq!(
        (new["event_id"].as_i64(), new["Partner Name"].as_str(), new["discount"].as_f64(), new["shout"].as_str()),
        (Some(200_100), Some("Ada"), Some(12.5), Some("NEW"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_ask_already_when_rowcall_comes_are_done() {
    let db = adopted(
        "create table codes (id serial primary key, code text not null, status text not null, metadata jsonb);
         insert into codes (code, status, metadata) select 'CODE-' || n, 'creating', '{\"action\": \"create\"}' from generate_series(1, 20) as n",
    )
    .await;
    let scripted = Scripted::done();
    let _worker = db.worker(scripted.clone());
    db.all_ended().await;
    assert_eq!(scripted.seen().len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_that_is_no_object_is_no_reason_to_spin() {
    let db = adopted(
        "create table codes (id serial primary key, code text not null, status text not null, metadata jsonb);
         insert into codes (code, status, metadata) values ('A', 'active', '[1]'), ('B', 'active', '\"x\"'), ('C', 'active', null), ('D', 'active', 'null')",
    )
    .await;
    let scripted = Scripted::new(|seen| match seen.operation.as_str() {
        "update" => rowcall::failure::Failure::new(rowcall::failure::Fault::Item, "wrong").into(),
        _ => rowcall::outcome::Outcome::done(None),
    });
    let _worker = db.worker(scripted.clone());
    db.run("update codes set status = 'updating'").await;
    db.all_ended().await;
    assert_eq!(db.get::<i64>("select count(*) from codes where error_message = 'wrong'").await, 4);
    db.run("update codes set status = 'deleting'").await;
    db.all_ended().await;
    assert_eq!(db.get::<i64>("select count(*) from codes where status = 'deleted'").await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_does_not_fit_is_refused_with_what_mends_it_and_left_alone() {
    for (table, words, mend) in [
        (
            "id serial primary key, code text, status text, metadata text",
            "public.codes.metadata is of type text",
            "alter column metadata type jsonb",
        ),
        (
            "id serial primary key, code text, status int, metadata jsonb",
            "public.codes.status is of type integer",
            "alter column status type text",
        ),
        (
            "id serial primary key, code int, status text, metadata jsonb",
            "public.codes.code is of type integer",
            "add a text column code",
        ),
        (
            "code text primary key, status text, metadata jsonb",
            "public.codes has no column id",
            "add a primary key column id",
        ),
        ("id serial, code text, status text, metadata jsonb", "public.codes.id is not unique", "add primary key (id)"),
        (
            "id numeric primary key, code text, status text, metadata jsonb",
            "public.codes.id is of type numeric",
            "add a primary key column id",
        ),
    ] {
        let db = TestDatabase::empty().await;
        db.run(&format!("create table codes ({table})")).await;
        let columns = "select string_agg(attname || ' ' || atttypid::regtype, ',' order by attnum) from pg_attribute where attrelid = 'codes'::regclass and attnum > 0";
        let before: String = db.get(columns).await;
        let error = chain(&migrate::apply(&db.database()).await.unwrap_err());
        assert!(error.contains(words) && error.contains(mend), "{error}");
        assert_eq!(db.get::<String>(columns).await, before, "the table is as it was");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_of_a_carried_name_that_does_not_fit_is_refused_and_the_hint_mends_it() {
    let db = TestDatabase::empty().await;
    db.run(
        "create table codes (
             id serial primary key, code text not null, status text not null, metadata jsonb not null default '{}',
             updated_at bigint, attempts integer, max_attempts smallint null, next_retry_at timestamp, error_message varchar(50),
             generation integer not null, claim_token text, claimed_by uuid not null default gen_random_uuid(),
             claimed_until timestamptz generated always as (null) stored, requested_by uuid, requested_at timestamptz(3)
         );
         insert into codes (code, status, generation, requested_by) values ('OLD', 'active', 0, gen_random_uuid())",
    )
    .await;
    let mut refused = Vec::new();
    while let Err(error) = migrate::apply(&db.database()).await {
        let text = chain(&error);
        let (_, named) = text.split_once("public.codes.").unwrap_or_else(|| panic!("{text}"));
        refused.push(named.split(", rowcall").next().unwrap().to_owned());
        assert!(refused.len() < 20, "{refused:?}");
        let hint = text.rsplit_once("(hint: ").unwrap().1.trim_end_matches(')');
        db.run(hint.split(", or, if").next().unwrap()).await;
    }
    assert_eq!(
        refused,
        [
            "updated_at is of type bigint",
            "attempts may be null or has no default",
            "max_attempts is of type smallint",
            "next_retry_at is of type timestamp without time zone",
            "error_message is of type character varying(50)",
            "generation may be null or has no default",
            "claim_token is of type text",
            "claimed_by has values of your own",
            "claimed_until is generated",
            "requested_by is of type uuid",
        ]
    );
    db.run("alter table codes alter column own_claimed_until drop expression").await;
    db.fast().await;
    works(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_of_a_carried_name_that_does_not_fit_may_be_given_the_type_that_does() {
    let db = TestDatabase::empty().await;
    db.run(
        "create table codes (
             id serial primary key, code text not null, status text not null, metadata jsonb not null default '{}',
             attempts bigint default 0, error_message varchar(50) not null default '', requested_by uuid default gen_random_uuid(),
             claimed_until timestamptz default now(), requested_at timestamptz not null default now()
         );
         insert into codes (code, status, attempts, claimed_until) values ('OLD', 'active', null, null)",
    )
    .await;
    let mut refusals = 0;
    while let Err(error) = migrate::apply(&db.database()).await {
        let text = chain(&error);
        let hint = text.rsplit_once("(hint: ").unwrap().1;
        let hint = hint.rsplit_once("if it means the same: ").map_or(hint, |(_, other)| other);
        refusals += 1;
        assert!(refusals < 10, "{text}");
        db.run(hint.strip_suffix(')').unwrap_or(hint)).await;
    }
    assert_eq!(refusals, 6);
    db.fast().await;
    works(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_of_the_users_finds_its_tables_by_their_bare_names() {
    let db = adopted(
        "create table codes (id serial primary key, code text not null, status text not null, metadata jsonb);
         insert into codes (code, status) values ('OLD', 'active');
         create table audit (told text);
         create function tell() returns trigger language plpgsql as $$
         begin
             insert into audit values (tg_op || ' ' || new.code || ' ' || new.status);
             return null;
         end $$;
         create trigger tell after insert or update of status on codes for each row execute function tell()",
    )
    .await;
    works(&db).await;
    db.run(
        "update codes set status = 'active', error_message = 'no', metadata = '{\"action\": \"delete\"}' where code = 'NEW';
         select rowcall.retry('codes', id::text) from codes where code = 'NEW'",
    )
    .await;
    let told: Vec<String> = db.all("select told from audit").await;
    for fact in ["INSERT NEW active", "UPDATE NEW failed", "UPDATE NEW deleting"] {
        assert!(told.iter().any(|line| line == fact), "{fact}: {told:?}");
    }
}
