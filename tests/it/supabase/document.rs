//! `docs/supabase.md`: its SQL runs, and its page does what it says.

use crate::database;
use crate::supabase::{ALICE, BOB, Project};

const DOCUMENT: &str = include_str!("../../../docs/supabase.md");

/// The blocks of SQL, in order.
fn blocks() -> Vec<&'static str> {
    DOCUMENT.split("```sql\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sql_of_the_document_runs_as_the_projects_owner() {
    let project = Project::new().await;
    project.db.run("insert into contacts (phone) values ('+15550100')").await;
    let owner = project.as_owner().client().await.unwrap();
    let blocks = blocks();
    assert!(blocks.len() >= 4, "{blocks:?}");
    for block in blocks {
        database::run(&owner, block).await;
    }
    project.migrate().await;
    project
        .db
        .run(&format!("insert into members values ('{ALICE}'); insert into codes (code) values ('MY-CODE')"))
        .await;
    let alice = project.user(ALICE).await;
    assert_eq!(database::get::<i64>(&alice, "select count(*) from contacts").await, 1);
    assert_eq!(database::get::<i64>(&project.user(BOB).await, "select count(*) from codes").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_delete_button_asks_as_the_document_writes_it() {
    let project = Project::new().await;
    project.code("MY-CODE", ALICE).await;
    let page = project.user(ALICE).await;
    // What PostgREST makes of `.update({…}).eq('code', …).select()`.
    let status: String = database::get(
        &page,
        "with row as (
             update public.codes set status = 'deleting', updated_at = '2026-01-02T03:04:05.678Z',
                 metadata = '{\"action\": \"delete\", \"requested_at\": \"2026-01-02T03:04:05.678Z\", \"previous_status\": \"active\"}'
             where code = 'MY-CODE' returning codes.*
         )
         select status from row",
    )
    .await;
    assert_eq!(status, "deleting");
    for field in ["status: 'deleting'", "action: 'delete'", "previous_status: row.status", ".eq('code', row.code)"] {
        assert!(DOCUMENT.contains(field), "{field}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_function_and_code_of_an_error_stands_in_the_document() {
    let project = Project::new().await;
    let functions = "select p.proname::text from pg_proc as p
        where p.pronamespace = 'public'::regnamespace and has_function_privilege('authenticated', p.oid, 'execute')";
    for name in project.db.all::<String>(functions).await {
        assert!(DOCUMENT.contains(&format!("`{name}`")), "{name}");
    }
    for code in ["22023", "42501", "PT404", "PT409", "PT429"] {
        assert!(DOCUMENT.contains(&format!("| `{code}` |")), "{code}");
    }
}
