//! Row level security: a browser asks, and nothing else is its business.

use rowcall::store::migrate;
use tokio_postgres::Client;

use crate::database::{self, TestDatabase};

/// A database on which Supabase's roles are there, and a policy lets everybody change the rows of one owner.
async fn supabase() -> (TestDatabase, Client) {
    let db = TestDatabase::new().await;
    for role in ["anon", "authenticated", "service_role bypassrls"] {
        db.run(&format!(
            "do $$ begin create role {role}; exception when duplicate_object or unique_violation then null; end $$"
        ))
        .await;
    }
    migrate::apply(&db.database()).await.unwrap();
    db.active(3).await;
    db.run(
        "create policy own_codes on codes to authenticated
         using (code in ('CODE-1', 'CODE-2')) with check (code in ('CODE-1', 'CODE-2', 'CODE-9'))",
    )
    .await;
    let browser = db.connect().await;
    (db, browser)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_asks_under_a_policy_and_for_its_rows_only() {
    let (db, browser) = supabase().await;
    database::run(
        &browser,
        "set role authenticated; set request.jwt.claims = '{\"sub\": \"7f3a\"}';
         update codes set status = 'deleting', updated_at = now(), metadata = metadata || '{\"action\": \"delete\"}';
         insert into codes (code, status, metadata) values ('CODE-9', 'creating', '{\"discount_percent\": 20}')",
    )
    .await;
    let rows = "select array_agg(code || ' ' || status || ' ' || generation || ' ' || coalesce(requested_by, '-') order by code) from codes";
    assert_eq!(
        db.get::<Vec<String>>(rows).await,
        ["CODE-1 deleting 1 7f3a", "CODE-2 deleting 1 7f3a", "CODE-3 active 0 -", "CODE-9 creating 1 7f3a"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_columns_of_the_worker_are_closed_to_a_browser() {
    let (db, browser) = supabase().await;
    database::run(&browser, "set role authenticated").await;
    let before = db.image().await;
    for column in [
        "claim_token = gen_random_uuid()",
        "claimed_by = null",
        "claimed_until = null",
        "attempts = 0",
        "max_attempts = 1000",
        "generation = 7",
        "next_retry_at = now()",
        "error_message = 'x'",
        "requested_by = 'somebody else'",
        "requested_at = now()",
        "code = 'OTHER'",
        "id = 7",
    ] {
        let refusal = database::refusal(&browser, &format!("update codes set status = 'deleting', {column}")).await;
        assert!(refusal.contains("permission denied"), "{column}: {refusal}");
    }
    for statement in [
        "insert into codes (code, status, claim_token) values ('CODE-9', 'creating', gen_random_uuid())",
        "insert into codes (code, requested_by) values ('CODE-9', 'somebody else')",
        "delete from codes",
        "truncate codes",
    ] {
        assert!(database::refusal(&browser, statement).await.contains("permission denied"), "{statement}");
    }
    assert_eq!(db.image().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_rowcall_is_closed() {
    let (_db, browser) = supabase().await;
    for role in ["anon", "authenticated", "service_role"] {
        database::run(&browser, &format!("reset role; set role {role}")).await;
        for statement in [
            "select * from rowcall.queues",
            "select * from rowcall.work",
            "select * from rowcall.history",
            "update rowcall.queues set paused = true",
            "delete from rowcall.attempts",
            "select rowcall.retry('codes', '1')",
            "select rowcall.cancel('codes', '1')",
            "select rowcall.pause('codes', 'x')",
            "select rowcall.sweep_now()",
            "select rowcall.put_renamed_code(1, 'X', '{}')",
        ] {
            let refusal = database::refusal(&browser, statement).await;
            assert!(refusal.contains("permission denied for schema rowcall"), "{role} {statement}: {refusal}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_policy_nothing_is_seen_and_anonymous_has_no_business_at_all() {
    let (db, browser) = supabase().await;
    db.run("drop policy own_codes on codes").await;
    database::run(&browser, "set role authenticated").await;
    assert_eq!(database::get::<i64>(&browser, "select count(*) from codes").await, 0);
    database::run(&browser, "update codes set status = 'deleting'").await;
    assert_eq!(db.get::<i64>("select count(*) from codes where status = 'deleting'").await, 0);
    database::run(&browser, "reset role; set role anon").await;
    for statement in
        ["select code from codes", "update codes set status = 'deleting'", "insert into codes (code) values ('X')"]
    {
        assert!(database::refusal(&browser, statement).await.contains("permission denied"), "{statement}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_in_public_has_row_level_security() {
    let (db, _) = supabase().await;
    let without = "select relname::text from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relrowsecurity";
    assert_eq!(db.all::<String>(without).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backend_of_the_users_may_change_everything_in_public() {
    let (db, backend) = supabase().await;
    database::run(
        &backend,
        "set role service_role; update codes set status = 'updating', metadata = '{\"new_max_uses\": 3}';
         delete from codes where code = 'CODE-3'",
    )
    .await;
    assert_eq!(
        db.get::<i64>("select count(*) from codes where generation = 1 and requested_by = 'service_role'").await,
        2
    );
}

/// A database whose users had the table, with grants of their own, when rowcall came; migrated twice.
async fn supabase_adopted(grants: &str) -> (TestDatabase, Client) {
    let db = TestDatabase::empty().await;
    for role in ["anon", "authenticated", "service_role bypassrls"] {
        db.run(&format!(
            "do $$ begin create role {role}; exception when duplicate_object or unique_violation then null; end $$"
        ))
        .await;
    }
    db.run(&format!(
        "create table codes (
             id serial primary key, code text not null, status text not null default 'active',
             metadata jsonb not null default '{{}}', \"Partner Name\" text
         );
         {grants};
         grant usage on sequence codes_id_seq to public;
         insert into codes (code) values ('CODE-1'), ('CODE-2')"
    ))
    .await;
    for _ in 0..2 {
        migrate::apply(&db.database()).await.unwrap();
    }
    let browser = db.connect().await;
    (db, browser)
}

const WORKERS: [(&str, &str); 10] = [
    ("claim_token", "gen_random_uuid()"),
    ("claimed_by", "null"),
    ("claimed_until", "null"),
    ("attempts", "0"),
    ("max_attempts", "1000"),
    ("generation", "7"),
    ("next_retry_at", "now()"),
    ("error_message", "'x'"),
    ("requested_by", "'somebody else'"),
    ("requested_at", "now()"),
];

#[tokio::test(flavor = "multi_thread")]
async fn an_adopted_table_keeps_its_grants_and_only_the_columns_of_the_worker_are_closed() {
    for grants in [
        "grant all on codes to anon, authenticated",
        "grant all on codes to public",
        "grant all on codes to anon, authenticated, public",
    ] {
        let (db, browser) = supabase_adopted(grants).await;
        for role in ["authenticated", "anon"] {
            database::run(
                &browser,
                &format!(
                    "reset role; set role {role};
                     insert into codes (code, status, metadata, \"Partner Name\") values ('{role}', 'creating', '{{}}', 'Ada');
                     update codes set code = code || '!', status = 'updating', metadata = '{{\"new_max_uses\": 5}}',
                         \"Partner Name\" = 'Eve', updated_at = now() where code = '{role}';
                     delete from codes where code = '{role}!'"
                ),
            )
            .await;
            assert_eq!(database::get::<i64>(&browser, "select count(*) from codes").await, 2, "its rows are seen");
            let before = db.image().await;
            for (column, value) in WORKERS {
                for statement in [
                    format!("update codes set status = 'deleting', {column} = {value}"),
                    format!("insert into codes (code, {column}) values ('X', {value})"),
                ] {
                    let refusal = database::refusal(&browser, &statement).await;
                    assert!(refusal.contains("permission denied"), "{grants}, {role}, {statement}: {refusal}");
                }
            }
            assert_eq!(db.image().await, before);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adopted_table_gives_nobody_more_than_was_granted() {
    let (db, browser) = supabase_adopted(
        "grant select, insert (code), update (status) on codes to authenticated; grant select on codes to anon",
    )
    .await;
    database::run(
        &browser,
        "set role authenticated; update codes set status = 'deleting'; insert into codes (code) values ('X')",
    )
    .await;
    for statement in [
        "update codes set code = 'X'",
        "insert into codes (code, status) values ('Y', 'creating')",
        "delete from codes",
    ] {
        assert!(database::refusal(&browser, statement).await.contains("permission denied"), "{statement}");
    }
    database::run(&browser, "reset role; set role anon").await;
    assert_eq!(database::get::<i64>(&browser, "select count(*) from codes").await, 3);
    assert!(database::refusal(&browser, "update codes set status = 'active'").await.contains("permission denied"));
    assert!(!db.get::<bool>("select relrowsecurity from pg_class where oid = 'codes'::regclass").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_after_the_adoption_is_narrowed_by_the_next_migrate() {
    let (db, browser) = supabase_adopted("grant select on codes to authenticated").await;
    db.run(
        "alter table codes add column note text, enable row level security;
         create policy everybody on codes to authenticated using (true) with check (true);
         grant all on codes to authenticated; grant update (attempts) on codes to authenticated, anon, public",
    )
    .await;
    migrate::apply(&db.database()).await.unwrap();
    assert!(db.get::<bool>("select relrowsecurity from pg_class where oid = 'codes'::regclass").await);
    database::run(&browser, "set role authenticated; update codes set note = 'mine'").await;
    assert!(database::refusal(&browser, "update codes set attempts = 0").await.contains("permission denied"));
    database::run(&browser, "reset role; set role anon").await;
    assert!(database::refusal(&browser, "update codes set attempts = 0").await.contains("permission denied"));
}
