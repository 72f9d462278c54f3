//! How fast a user may ask, counted on the rows themselves.

use std::time::{Duration, Instant};

use crate::database;
use crate::supabase::{ALICE, BOB, Project, refused};

/// A project whose users may ask for this many codes a minute.
async fn bounded(per_minute: i32) -> Project {
    let project = Project::new().await;
    project.db.run(&format!("update rowcall.browser_tables set per_minute = {per_minute}")).await;
    project
}

fn ask(from: i32, to: i32) -> String {
    format!("insert into codes (code, status) select 'CODE-' || n, 'creating' from generate_series({from}, {to}) as n")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_too_fast_is_refused_and_nobody_else_is() {
    let project = bounded(3).await;
    let (alice, bob) = (project.user(ALICE).await, project.user(BOB).await);
    database::run(&alice, &ask(1, 1)).await;
    database::run(&alice, &ask(2, 3)).await;
    let refusal = refused(&alice, &ask(4, 4)).await;
    assert_eq!(refusal.code, "PT429", "which PostgREST makes HTTP 429: {refusal:?}");
    assert!(
        refusal.message.contains("3 rows of codes a minute") && refusal.hint.contains("wait 60.0 s"),
        "{refusal:?}"
    );
    database::run(&bob, &ask(11, 13)).await;
    let backend = project.page("service_role", ALICE).await;
    database::run(&backend, &ask(21, 29)).await;

    // A minute later.
    project.db.run("update codes set requested_at = requested_at - interval '61 seconds'").await;
    database::run(&alice, &ask(4, 6)).await;
    assert_eq!(refused(&alice, &ask(7, 7)).await.code, "PT429");
    project.db.run("update rowcall.browser_tables set per_minute = 5 where table_name = 'codes'").await;
    database::run(&alice, &ask(7, 8)).await;
    project.db.run("update rowcall.browser_tables set per_minute = null where table_name = 'codes'").await;
    database::run(&alice, &ask(9, 10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_that_a_browser_writes_to_is_guarded_and_bounded_as_it_ships() {
    let project = Project::new().await;
    let bounds = project
        .db
        .all::<String>(
            "select concat_ws(' ', c.relname, array_to_string(b.asks, ','), b.per_minute, b.bytes_max,
                 (select string_agg(g.tgname, ',' order by g.tgname) from pg_trigger as g
                  where g.tgrelid = c.oid and g.tgname ~ '_(guard|limit)_' and g.tgenabled <> 'D'))
             from pg_class as c
             left join rowcall.browser_tables as b on b.table_name = c.relname
             where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'
               and has_any_column_privilege('authenticated', c.oid, 'insert, update')
             order by c.relname",
        )
        .await;
    let both = "65536 _010_guard_insert,_010_guard_update";
    let limits = "_200_limit_insert,_200_limit_update";
    assert_eq!(
        bounds,
        [
            format!("actions approved,denied,edited 300 {both},{limits}"),
            format!("codes creating,updating,deleting,renaming 300 {both},{limits}"),
            format!("fluent_sync_status pending 10 {both},{limits}"),
            format!("links creating,disabled 60 {both},{limits}"),
            format!("orders  60 {both},_020_guard_order_insert,_020_guard_order_update,{limits}"),
            format!("organizations syncing 60 {both},{limits}"),
            format!("requests {both}"),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_statement_may_not_ask_for_more_than_a_minutes_rows() {
    let project = bounded(10).await;
    let alice = project.user(ALICE).await;
    assert_eq!(refused(&alice, &ask(1, 11)).await.code, "PT429");
    assert_eq!(project.db.get::<i64>("select count(*) from codes").await, 0);
    database::run(&alice, &ask(1, 10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_not_asked_for_again_and_again_either() {
    let project = bounded(6).await;
    let alice = project.user(ALICE).await;
    database::run(&alice, &ask(1, 2)).await;
    let again = "update codes set status = 'deleting', metadata = '{\"note\": 2}' where code = 'CODE-1'";
    let refusal = refused(&alice, again).await;
    assert_eq!(refusal.code, "PT429");
    assert!(refusal.hint.starts_with("wait "), "{refusal:?}");
    // Two rows at six a minute: each of them every twenty seconds.
    project.db.run("update codes set requested_at = requested_at - interval '19 seconds'").await;
    assert_eq!(refused(&alice, again).await.code, "PT429");
    project.db.run("update codes set requested_at = requested_at - interval '2 seconds'").await;
    database::run(&alice, again).await;
    // What asks for nothing is never too fast.
    database::run(&alice, "update codes set updated_at = now(); update codes set updated_at = now()").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_an_action_counts_too() {
    let project = bounded(2).await;
    let actions = [project.action(ALICE).await, project.action(ALICE).await, project.action(ALICE).await];
    let alice = project.user(ALICE).await;
    for action in &actions[..2] {
        database::run(&alice, &format!("select approve_action({action})")).await;
    }
    assert_eq!(refused(&alice, &format!("select approve_action({})", actions[2])).await.code, "PT429");
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_links_and_organizations_are_bounded_too_by_table_and_by_function() {
    let project = bounded(2).await;
    project.open_orders().await;
    let alice = project.user(ALICE).await;
    for _ in 0..3 {
        project
            .db
            .run(&format!(
                "insert into orders (owner) values ('{ALICE}'); insert into organizations (owner) values ('{ALICE}')"
            ))
            .await;
    }
    let nth = |table: &str, nth: u8| format!("(select id::text from {table} order by id offset {nth} limit 1)");
    let asks: [(&str, [String; 3]); 3] = [
        ("orders", [0, 1, 2].map(|n| format!("select request_order_update({}, 'completed')", nth("orders", n)))),
        ("organizations", [0, 1, 2].map(|n| format!("select request_organization_sync({})", nth("organizations", n)))),
        ("links", [0, 1, 2].map(|n| format!("select request_link_create('https://example.com/{n}')"))),
    ];
    for (table, [first, second, third]) in asks {
        database::run(&alice, &format!("{first}; {second}")).await;
        let refusal = refused(&alice, &third).await;
        assert_eq!((refusal.code.as_str(), refusal.message.contains(table)), ("PT429", true), "{third}: {refusal:?}");
        project.db.run(&format!("update {table} set requested_at = requested_at - interval '61 seconds'")).await;
        database::run(&alice, &third).await;
        // The same by the table, as a page without functions asks.
        let again = match table {
            "orders" => "update orders set status = 'updating', metadata = metadata || '{\"note\": 1}'",
            "organizations" => "update organizations set status = 'syncing', metadata = metadata || '{\"note\": 1}'",
            _ => "update links set status = 'creating', metadata = metadata || '{\"note\": 1}'",
        };
        assert_eq!(refused(&alice, again).await.code, "PT429", "{again}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_at_the_same_moment_neither_wait_for_each_other_nor_go_round_the_bound() {
    let project = bounded(10).await;
    let (one, other) = (project.user(ALICE).await, project.user(ALICE).await);
    database::run(&one, "begin").await;
    database::run(&one, &ask(1, 9)).await;
    let began = Instant::now();
    assert_eq!(refused(&other, &ask(11, 12)).await.code, "PT429", "it cannot see what the other one asks for");
    database::run(&other, &ask(11, 11)).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    database::run(&one, "commit").await;
    assert_eq!(refused(&other, &ask(12, 12)).await.code, "PT429", "nine and one are ten");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_count_reads_an_index_and_a_claim_leaves_it_alone() {
    let project = bounded(300).await;
    project.db.run("set enable_seqscan = off; analyze codes").await;
    let plan = project
        .db
        .all::<String>(
            "explain select from public.codes as t where t.requested_by = 'x' and t.requested_at > now() - interval '1 minute' limit 300",
        )
        .await
        .join("\n");
    assert!(plan.contains("codes_requested_idx"), "{plan}");
    database::run(&project.user(ALICE).await, &ask(1, 5)).await;
    project
        .db
        .run("begin; update codes set claim_token = gen_random_uuid(), claimed_by = gen_random_uuid(), claimed_until = now()")
        .await;
    let hot = "select pg_stat_get_xact_tuples_hot_updated('codes'::regclass)";
    assert_eq!(project.db.get::<i64>(hot).await, 5, "a claim's update writes to no index");
}
