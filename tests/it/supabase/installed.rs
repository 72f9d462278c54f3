//! What migrate does to a project: once, and never against what its users made of it.

use std::process::Command;

use rowcall::store::migrate;
use serde_json::Value;

use crate::database::{self, TestDatabase};
use crate::process::ROWCALL;
use crate::supabase::{ALICE, Defaults, Project, refused};

const POLICIES: &str =
    "select concat_ws(' ', tablename, policyname, qual) from pg_policies where schemaname = 'public' order by 1";
const PUBLISHED: &str =
    "select tablename::text from pg_publication_tables where pubname = 'supabase_realtime' order by 1";

#[tokio::test(flavor = "multi_thread")]
async fn every_table_that_a_browser_may_look_at_has_a_policy_and_pages_hear_of_it() {
    let project = Project::new().await;
    let db = &project.db;
    let without = "select c.relname::text from pg_class as c
        where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'
          and (not c.relrowsecurity or not exists (select from pg_policy as p where p.polrelid = c.oid))";
    let without = db.all::<String>(&format!("{without} order by 1")).await;
    assert_eq!(without, ["fienta_checks", "response_templates"], "which no browser may look at");
    assert_eq!(
        db.all::<String>(PUBLISHED).await,
        [
            "actions",
            "codes",
            "crm_sync_queue",
            "enrollments",
            "fluent_sync_status",
            "fulfillment_logs",
            "links",
            "messages",
            "orders",
            "organizations"
        ]
    );
    assert!(migrate::pending(&project.as_owner()).await.unwrap().is_empty());
    assert_eq!(migrate::apply(&project.as_owner()).await.unwrap(), Vec::<String>::new());
    assert!(!db.get::<bool>("select rolsuper from pg_roles where rolname = 'rowcall_test_supabase'").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_supabase_there_is_nothing_of_it() {
    let db = TestDatabase::new().await;
    assert_eq!(db.all::<String>(POLICIES).await, Vec::<String>::new());
    let owners =
        "select count(*) from information_schema.columns where table_schema = 'public' and column_name = 'owner'";
    assert_eq!(db.get::<i64>(owners).await, 0);
    db.run("insert into codes (code, status) values ('A', 'deleted')").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_was_replaced_or_dropped_is_not_put_back() {
    let project = Project::new().await;
    let db = &project.db;
    db.run(
        "drop policy rowcall_browser on codes;
         create policy team on codes to authenticated using (true) with check (true);
         drop policy rowcall_browser on orders;
         alter policy rowcall_browser on clients using (name is not null);
         alter publication supabase_realtime drop table messages",
    )
    .await;
    let (policies, published) = (db.all::<String>(POLICIES).await, db.all::<String>(PUBLISHED).await);
    project.migrate().await;
    assert_eq!(db.all::<String>(POLICIES).await, policies);
    assert_eq!(db.all::<String>(PUBLISHED).await, published);
    // Another version of rowcall has other rules: those that are still rowcall's follow it, the others stay.
    db.run("update rowcall.browser_tables set policies = split_part(policies, ' ', 1) || ' of-another-version'").await;
    project.migrate().await;
    assert_eq!(db.all::<String>(POLICIES).await, policies);
    let followed = "select policies not like '%another%' from rowcall.browser_tables where table_name = 'contacts'";
    assert!(db.get::<bool>(followed).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_policy_is_replaced_takes_its_followers_along() {
    let project = Project::new().await;
    let db = &project.db;
    let action = project.action("33333333-3333-3333-3333-333333333333").await;
    db.run(&format!(
        "create table public.members (user_id uuid primary key);
         alter table public.members enable row level security;
         grant select on public.members to authenticated;
         create policy oneself on public.members to authenticated using (user_id = (select auth.uid()));
         insert into public.members values ('{ALICE}');
         drop policy rowcall_browser on contacts;
         create policy team on contacts to authenticated using (exists (select from public.members));
         drop policy rowcall_browser on codes;
         create policy team on codes to authenticated using (exists (select from public.members)) with check (exists (select from public.members));
         insert into codes (code) values ('OURS')"
    ))
    .await;
    project.migrate().await;
    let alice = project.user(ALICE).await;
    database::run(&alice, &format!("select approve_action({action}); select request_code_delete('OURS')")).await;
    let bob = project.user(crate::supabase::BOB).await;
    assert_eq!(database::get::<i64>(&bob, "select count(*) from actions").await, 0);
    assert_eq!(refused(&bob, "select request_code_delete('OURS')").await.code, "PT404");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_owner_that_means_something_else_is_left_alone() {
    let project = Project::empty(Defaults::New).await;
    project.migrate().await;
    project
        .db
        .run(
            "drop policy rowcall_browser on orders; alter table orders drop column owner, add column owner text;
             update rowcall.browser_tables set policies = null, owner_column = null where table_name = 'orders'",
        )
        .await;
    project.migrate().await;
    let orders = project.db.all::<String>(POLICIES).await.into_iter().find(|policy| policy.starts_with("orders"));
    assert_eq!(orders, None);
    let owner = project.as_owner().client().await.unwrap();
    let refusal = database::refusal(&owner, "select rowcall.own_rows('orders')").await;
    assert!(refusal.contains("public.orders.owner is of type text") && refusal.contains("owner_id"), "{refusal}");
    database::run(&owner, "select rowcall.own_rows('orders', 'owner_id')").await;
    let orders = project.db.all::<String>(POLICIES).await.into_iter().find(|policy| policy.starts_with("orders"));
    assert!(orders.unwrap().contains("owner_id"));
}

/// A project whose users had `codes` before, with a policy of their own.
async fn adopted() -> Project {
    let project = Project::empty(Defaults::Old).await;
    let owner = project.as_owner().client().await.unwrap();
    database::run(
        &owner,
        "create table codes (id serial primary key, code text not null unique, status text not null default 'active',
             metadata jsonb not null default '{}', user_id uuid);
         alter table codes enable row level security;
         create policy mine on codes to authenticated using (user_id = auth.uid()) with check (user_id = auth.uid())",
    )
    .await;
    project.migrate().await;
    project.migrate().await;
    project
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_its_users_gave_policies_stays_theirs() {
    let project = adopted().await;
    let db = &project.db;
    let policies = db.all::<String>(POLICIES).await;
    assert!(policies.iter().any(|policy| policy == "codes mine (user_id = auth.uid())"), "{policies:?}");
    assert!(!policies.iter().any(|policy| policy.starts_with("codes rowcall")), "{policies:?}");
    let alice = project.user(ALICE).await;
    database::run(
        &alice,
        &format!("insert into codes (code, user_id) values ('A', '{ALICE}'); update codes set status = 'revoked'"),
    )
    .await;
    assert_eq!(refused(&alice, "update codes set attempts = 0").await.code, "42501");
    database::run(&alice, "update codes set metadata = '{\"fienta_discount_id\": 666, \"note\": 1}'").await;
    assert_eq!(db.get::<String>("select metadata::text from codes").await, "{\"note\": 1}");
}

#[tokio::test(flavor = "multi_thread")]
async fn its_users_may_have_rowcalls_bounds_by_two_statements() {
    let project = adopted().await;
    let owner = project.as_owner().client().await.unwrap();
    database::run(
        &owner,
        "update rowcall.browser_tables set asks = '{creating,updating,deleting,renaming}', per_minute = 2, bytes_max = 65536
             where table_name = 'codes';
         drop policy mine on codes;
         select rowcall.own_rows('codes', 'user_id')",
    )
    .await;
    project.migrate().await;
    let alice = project.user(ALICE).await;
    assert_eq!(refused(&alice, "insert into codes (code) values ('A')").await.code, "42501");
    database::run(&alice, "insert into codes (code, status) values ('A', 'creating')").await;
    assert_eq!(database::get::<String>(&alice, "select user_id::text from codes").await, ALICE);
    assert_eq!(
        refused(&alice, "insert into codes (code, status) select n::text, 'creating' from generate_series(1, 2) as n")
            .await
            .code,
        "PT429"
    );
}

/// What `rowcall doctor` says of browsers: state, found and mend.
fn doctor(project: &Project) -> Vec<[String; 3]> {
    doctor_of(project, "browsers")
}

fn doctor_of(project: &Project, check: &str) -> Vec<[String; 3]> {
    let said =
        Command::new(ROWCALL).args(["doctor", "--json"]).env("DATABASE_URL", project.db.address()).output().unwrap();
    let findings: Vec<Value> = serde_json::from_slice(&said.stdout).unwrap();
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let browsers = findings.iter().filter(|finding| finding["check"] == check);
    browsers.map(|finding| ["state", "found", "mend"].map(|key| text(finding, key))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_tells_when_a_browser_could_have_a_bundle_bought_or_read_whom_an_organization_is_told_to() {
    let project = Project::new().await;
    let db = &project.db;
    let ways = [
        ("update rowcall.browser_tables set asks = asks || '{completed}'", "set asks = '{updating}'"),
        ("update rowcall.browser_tables set asks = null", "set asks = '{updating}'"),
        ("alter table orders disable trigger _020_guard_order_update", ""),
        (
            "alter table orders enable trigger _020_guard_order_update; grant update (package) on orders to authenticated",
            "",
        ),
    ];
    for (way, back) in ways {
        assert_eq!(doctor_of(&project, "queue fulfillment_logs"), Vec::<[String; 3]>::new(), "before {way}");
        let only = if back.is_empty() { "" } else { " where table_name = 'orders'" };
        db.run(&format!("{way}{only}")).await;
        let [state, found, _] = &doctor_of(&project, "queue fulfillment_logs")[0];
        assert_eq!(state, "problem", "{way}");
        assert!(found.contains("authenticated may update public.orders"), "{found}");
        let mend = match back {
            "" => "alter table orders enable trigger _020_guard_order_update; revoke update (package) on orders from authenticated".to_owned(),
            back => format!("update rowcall.browser_tables {back}{only}"),
        };
        db.run(&mend).await;
    }

    let project = Project::empty(Defaults::Old).await;
    let owner = project.as_owner().client().await.unwrap();
    database::run(&owner, "create table organizations (id serial primary key, name text)").await;
    project.migrate().await;
    let [state, _, mend] = doctor(&project).into_iter().find(|[_, found, _]| found.contains("sync_url")).unwrap();
    assert_eq!(state, "note");
    project.db.run(&mend).await;
    assert!(!doctor(&project).iter().any(|[_, found, _]| found.contains("sync_url")));
    let page = project.user(ALICE).await;
    assert_eq!(refused(&page, "select sync_url from organizations").await.code, "42501");
    database::run(&page, "select id, name, status from organizations").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_tells_what_browsers_may_that_is_perhaps_not_meant() {
    let project = Project::new().await;
    assert_eq!(doctor(&project)[0][0], "ok");
    project.db.run("drop policy rowcall_browser on orders").await;
    let [state, found, mend] = &doctor(&project)[0];
    assert_eq!(state, "note");
    assert!(found.contains("no policy says which rows of public.orders"), "{found}");
    project.db.run(mend.rsplit_once(": ").unwrap().1).await;
    assert_eq!(doctor(&project)[0][0], "ok", "asked for by a person, it comes back");
    assert_eq!(doctor(&project)[0][0], "ok");

    let project = adopted().await;
    let [state, found, mend] = &doctor(&project)[0];
    assert_eq!(state, "note");
    assert!(found.contains("browsers may set any status of public.codes"), "{found}");
    project.db.run(&mend.replace("<the statuses that ask for something>", "creating,updating,deleting,renaming")).await;
    assert_eq!(doctor(&project)[0][0], "ok");
}
