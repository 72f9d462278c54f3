//! What the users of document 4 have and do: its statements, their own tables, and who may do what.

use std::path::Path;

use rowcall::store::migrate;
use serde_json::json;

use super::Crm;
use crate::database::{self, TestDatabase, chain};

fn document() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/crm.md")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_statement_of_the_document_runs() {
    let db = TestDatabase::new().await;
    let document = document();
    let blocks: Vec<&str> =
        document.split("```sql\n").skip(1).map(|block| block.split("```").next().unwrap()).collect();
    assert!(blocks.len() >= 5);
    for block in blocks {
        db.run(block).await;
    }
    assert_eq!(
        db.get::<i64>("select count(*) from rowcall.crm_credentials as c join club_stages using (client_id)").await,
        2
    );
}

/// Those of document 4, as they stand there.
#[tokio::test(flavor = "multi_thread")]
async fn the_documented_monitoring_sees_what_it_saw() {
    let crm = Crm::new().await;
    let client = crm.shop("one").await;
    crm.asking(client, 3).await;
    let job = crm.claim(1).await.remove(0);
    let failure = rowcall::failure::Failure::new(rowcall::failure::Fault::Item, "no such club");
    crm.settle(job, failure).await;
    crm.claim(1).await;
    let rows = async |sql: &str| {
        let rows = crm.db.client.query(sql, &[]).await.unwrap();
        let columns: Vec<String> = rows.first().unwrap().columns().iter().map(|c| c.name().to_owned()).collect();
        (columns.join(" "), rows.len())
    };
    let pending = "SELECT id, action_type, status, attempts, error_message, created_at, next_retry_at
        FROM crm_sync_queue WHERE status = 'pending' ORDER BY created_at ASC";
    assert_eq!(
        rows(pending).await,
        ("id action_type status attempts error_message created_at next_retry_at".to_owned(), 1)
    );
    let failed = "SELECT id, action_type, error_message, attempts, created_at FROM crm_sync_queue
        WHERE status = 'failed' ORDER BY created_at DESC LIMIT 10";
    assert_eq!(rows(failed).await, ("id action_type error_message attempts created_at".to_owned(), 1));
    let counts = "select string_agg(status || ' ' || count, ', ' order by status) from (SELECT status, COUNT(*) FROM crm_sync_queue GROUP BY status) as s";
    assert_eq!(crm.text(counts).await, "failed 1, pending 1, processing 1");
    assert_eq!(rows("SELECT action_type, COUNT(*) FROM crm_sync_queue GROUP BY action_type").await.1, 1);
    assert_eq!(rows("SELECT * FROM process_crm_sync_queue()").await, ("processed succeeded failed".to_owned(), 1));
    assert_eq!(
        crm.text("select concat_ws(' ', processed, succeeded, failed) from process_crm_sync_queue()").await,
        "1 0 1"
    );
    let job = "select concat_ws(' ', jobname, schedule, active) from rowcall.cron_job where jobname in ('process-expired-enrollments', 'process-crm-sync-queue')";
    assert_eq!(crm.text(job).await, "process-expired-enrollments 0 2 * * * t");
}

async fn with_roles() -> TestDatabase {
    let db = TestDatabase::new().await;
    for role in ["anon", "authenticated", "service_role bypassrls"] {
        db.run(&format!(
            "do $$ begin create role {role}; exception when duplicate_object or unique_violation then null; end $$"
        ))
        .await;
    }
    migrate::apply(&db.database()).await.unwrap();
    db
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_users_own_backend_runs_the_jobs_and_nobody_of_them_reads_credentials() {
    let crm = Crm::on(with_roles().await, &rowcall::store::queues::CRM_SYNC_QUEUE).await;
    let client = crm.shop("one").await;
    crm.member(client).await;
    crm.db
        .run(&format!("insert into rowcall.crm_credentials (client_id, access_token) values ({client}, 'secret')"))
        .await;
    let browser = crm.db.connect().await;
    let jobs = ["process_expired_enrollments()", "test_process_expired_enrollments()", "process_crm_sync_queue()"];
    for role in ["anon", "authenticated", "service_role"] {
        database::run(&browser, &format!("reset role; set role {role}")).await;
        let secret = database::refusal(&browser, "select * from rowcall.crm_credentials").await;
        assert!(secret.contains("permission denied"), "{role}: {secret}");
        for job in jobs {
            let call = format!("select * from {job}");
            if role == "service_role" {
                database::run(&browser, &call).await;
            } else {
                let refusal = database::refusal(&browser, &call).await;
                assert!(refusal.contains("permission denied for function"), "{role} {job}: {refusal}");
            }
        }
    }
    database::run(&browser, "reset role; set role authenticated").await;
    for table in ["clients", "customers", "club_stages", "enrollments", "crm_sync_queue", "crm_orders"] {
        assert_eq!(
            database::get::<i64>(&browser, &format!("select count(*) from {table}")).await,
            0,
            "{table} without a policy"
        );
        let refusal = database::refusal(&browser, &format!("delete from {table}")).await;
        assert!(refusal.contains("permission denied"), "{refusal}");
    }
    // The backend fills the queue as document 4 does.
    database::run(
        &browser,
        "reset role; set role service_role;
         insert into crm_sync_queue (client_id, enrollment_id, action_type) select 1, id, 'add_membership' from enrollments",
    )
    .await;
    assert_eq!(
        crm.text("select concat_ws(' ', customer_id, generation, requested_by) from crm_sync_queue").await,
        "1 1 service_role"
    );
    assert_eq!(crm.claim(10).await.len(), 1);
}

/// The tables as somebody else made them: ids of another type, columns of their own, and rows that wait.
const THEIRS: &str = "
    create table clients (
        id uuid primary key default gen_random_uuid(), business text not null, crm_type text not null, tenant_shop text not null,
        tenant text generated always as (case crm_type when 'commerce7' then tenant_shop end) stored,
        shop text generated always as (case crm_type when 'shopify' then tenant_shop end) stored
    );
    create table customers (
        id uuid primary key default gen_random_uuid(), client_id uuid not null references clients, email text not null, notes text
    );
    create table club_stages (
        id uuid primary key default gen_random_uuid(), client_id uuid not null references clients, name varchar(100) not null,
        min_amount numeric not null, threshold numeric generated always as (min_amount) stored
    );
    create table enrollments (
        id uuid primary key default gen_random_uuid(), customer_id uuid not null references customers,
        stage_id uuid not null references club_stages, status text not null default 'active', expires_at timestamptz not null
    );
    create table crm_sync_queue (
        id uuid primary key default gen_random_uuid(), client_id uuid not null references clients,
        enrollment_id uuid references enrollments, action_type varchar(50) not null, stage_id uuid, old_stage_id uuid,
        customer_crm_id text, attempts int not null default 0, max_attempts int not null default 5, last_attempt_at timestamptz,
        next_retry_at timestamptz not null default now(), error_message text, status text not null default 'pending',
        created_at timestamptz default now()
    );
    create function process_expired_enrollments() returns integer language sql as 'select 1';
    insert into clients (business, crm_type, tenant_shop) values ('One', 'shopify', 'one');
    insert into club_stages (client_id, name, min_amount) select id, 'Silver', 100 from clients;
    insert into customers (client_id, email) select id, 'ama@example.com' from clients;
    insert into enrollments (customer_id, stage_id, expires_at) select u.id, s.id, now() - interval '1 day' from customers as u, club_stages as s;
    insert into crm_sync_queue (client_id, enrollment_id, action_type, stage_id, status)
    select u.client_id, e.id, 'add_membership', e.stage_id, s.status
    from enrollments as e join customers as u on u.id = e.customer_id, (values ('pending'), ('processing')) as s (status);
";

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_the_users_had_are_adopted_with_what_waits_in_them() {
    let db = TestDatabase::empty().await;
    db.run(THEIRS).await;
    for _ in 0..2 {
        migrate::apply(&db.database()).await.unwrap_or_else(|error| panic!("{}", chain(&error)));
    }
    db.run("update club_stages set tag = 'Silver'; insert into rowcall.targets (target, part_of) values ('shopify:one', 'crm')").await;
    let crm = Crm::on(db, &rowcall::store::queues::CRM_SYNC_QUEUE).await;
    for _ in 0..2 {
        let job = crm.claim_one().await;
        let payload: serde_json::Value = job.payload().unwrap();
        assert_eq!((&payload["shop"], &payload["customer"]["email"]), (&json!("one"), &json!("ama@example.com")));
        crm.settle(job, super::super::crm_rows::done()).await;
    }
    crm.db.run("update customers set is_member = true, crm_customer_id = 'c-1'").await;
    assert_eq!(
        crm.text("select concat_ws(' ', expired, customers_updated, queued) from process_expired_enrollments()").await,
        "1 1 1"
    );
    assert_eq!(crm.hear("w1", json!({})).await, "enrolled in Silver");
    assert_eq!(
        crm.text(
            "select string_agg(action_type, ' ' order by created_at) from crm_sync_queue where status = 'pending'"
        )
        .await,
        "cancel_membership add_membership"
    );
    assert_eq!(crm.claim_one().await.operation, "cancel_membership", "one customer's rows in their order");
}

/// A published table whose rows nothing identifies refuses every update.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_without_a_primary_key_is_not_published_and_doctor_says_so() {
    let db = TestDatabase::empty().await;
    db.run(THEIRS).await;
    db.run("alter table crm_sync_queue drop constraint crm_sync_queue_pkey, add unique (id); alter table crm_sync_queue alter id set not null").await;
    db.run("create publication supabase_realtime").await;
    let published = "select string_agg(tablename, ' ' order by tablename) from pg_publication_tables
        where pubname = 'supabase_realtime' and tablename in ('crm_sync_queue', 'enrollments')";
    let doctor = include_str!("../../../sql/statements/doctor_crm.sql");
    let noted = format!("select count(*)::text from ({doctor}) as d where d.subject = 'realtime'");
    for (identity, expected) in [
        ("default", ("enrollments", "1")),
        ("nothing", ("enrollments", "1")),
        ("using index crm_sync_queue_id_key", ("crm_sync_queue enrollments", "0")),
    ] {
        db.run(&format!("alter table crm_sync_queue replica identity {identity}")).await;
        migrate::apply(&db.database()).await.unwrap_or_else(|error| panic!("{}", chain(&error)));
        let found: (String, String) = (db.get(published).await, db.get(&noted).await);
        assert_eq!((found.0.as_str(), found.1.as_str()), expected, "{identity}");
        db.run("update crm_sync_queue set status = status").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_does_not_fit_is_refused_with_what_mends_it() {
    for (change, complaint, mend) in [
        ("alter table clients drop column tenant", "public.clients has no column tenant", "generated always as"),
        (
            "alter table club_stages drop column threshold",
            "public.club_stages has no column threshold",
            "threshold numeric",
        ),
        (
            "alter table customers add column loyalty text not null default '' ; alter table customers alter column loyalty drop default",
            "customers.loyalty",
            "give them a default",
        ),
        (
            "alter table crm_sync_queue alter column attempts drop not null",
            "crm_sync_queue.attempts may be null",
            "set not null",
        ),
        (
            "alter table crm_sync_queue add column claim_token text",
            "crm_sync_queue.claim_token is of type text",
            "own_claim_token",
        ),
    ] {
        let db = TestDatabase::empty().await;
        db.run(THEIRS).await;
        db.run(change).await;
        let error = chain(&migrate::apply(&db.database()).await.unwrap_err());
        assert!(error.contains(complaint) && error.contains(mend), "{change}: {error}");
    }
}
