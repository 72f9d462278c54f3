//! Role by table by verb by column: what each may, and that everything else is refused, whatever the defaults grant.

use crate::database::{self, TestDatabase};
use crate::supabase::{ALICE, Defaults, Project, refused};

/// What a signed-in user may with the tables, beside looking at all of them but two: verb and columns.
const ASKS: [(&str, &str, &str); 10] = [
    ("codes", "insert", "code,metadata,status"),
    ("codes", "update", "metadata,status,updated_at"),
    ("actions", "update", "status,user_response"),
    ("fluent_sync_status", "insert", "date_filter,is_full"),
    ("links", "insert", "expires_at,metadata,status,target_url"),
    ("links", "update", "expires_at,metadata,status,target_url,updated_at"),
    ("organizations", "insert", "metadata,name,status"),
    ("organizations", "update", "metadata,name,status,updated_at"),
    ("orders", "update", "metadata,status,updated_at"),
    ("requests", "update", "category,date,description,edited_columns,hours,time,updated_at,urgency,website_url"),
];

const TABLES: &str = "select c.relname::text from pg_class as c
    where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' order by 1";

/// What no browser reads, of the tables that it may look at.
const HIDDEN: [(&str, &str); 1] = [("organizations", "sync_url")];

/// What a role may with a table: all of it, none, or these columns.
fn allowed(role: &str, table: &str, verb: &str) -> &'static str {
    match (role, verb) {
        ("service_role", "select" | "insert" | "update" | "delete") => "*",
        ("authenticated", "select") if !["response_templates", "fienta_checks"].contains(&table) => "*",
        ("authenticated", _) => ASKS.iter().find(|(t, v, _)| (*t, *v) == (table, verb)).map_or("", |found| found.2),
        _ => "",
    }
}

async fn columns(db: &TestDatabase, table: &str) -> Vec<String> {
    db.all(&format!(
        "select a.attname::text from pg_attribute as a
         where a.attrelid = 'public.{table}'::regclass and a.attnum > 0 and not a.attisdropped"
    ))
    .await
}

/// A statement that touches no row, and needs this right.
fn statement(table: &str, verb: &str, column: &str) -> String {
    match verb {
        "select" => format!("select {column} from public.{table} where false"),
        "insert" => format!("insert into public.{table} ({column}) select null where false"),
        "update" => format!("update public.{table} set {column} = null where false"),
        "delete" => format!("delete from public.{table} where false"),
        other => format!("{other} public.{table}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_may_what_is_meant_and_nothing_else_by_old_and_by_new_defaults() {
    for defaults in [Defaults::Old, Defaults::New] {
        let project = Project::with(defaults).await;
        let tables = project.db.all::<String>(TABLES).await;
        assert!(tables.len() >= 19, "{tables:?}");
        for role in ["anon", "authenticated", "service_role"] {
            let page = project.page(role, ALICE).await;
            for table in &tables {
                let all = columns(&project.db, table).await;
                for verb in ["select", "insert", "update", "delete", "truncate"] {
                    let may = allowed(role, table, verb);
                    for column in if ["delete", "truncate"].contains(&verb) { &all[..1] } else { &all[..] } {
                        let sql = statement(table, verb, column);
                        let outcome = page.batch_execute(&sql).await;
                        let is_hidden = role == "authenticated" && HIDDEN.contains(&(table.as_str(), column.as_str()));
                        let is_allowed = !is_hidden && (may == "*" || may.split(',').any(|name| name == column));
                        match outcome {
                            Ok(()) => assert!(is_allowed, "{defaults:?}: {role} may {sql}"),
                            Err(error) => {
                                let code = error.code().map(|code| code.code().to_owned());
                                assert_eq!(code.as_deref(), Some("42501"), "{defaults:?}: {role} {sql}: {error:?}");
                                assert!(!is_allowed, "{defaults:?}: {role} may not {sql}");
                            }
                        }
                    }
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_and_sequences_are_granted_by_name_by_old_and_by_new_defaults() {
    let functions = "select r.name || ' ' || p.proname
        from unnest('{anon,authenticated,service_role}'::text[]) as r (name), pg_proc as p
        where p.pronamespace = 'public'::regnamespace and has_function_privilege(r.name, p.oid, 'execute') order by 1";
    let sequences = "select distinct r.name || ' ' || v.name
        from unnest('{anon,authenticated,service_role}'::text[]) as r (name),
            unnest('{usage,select,update}'::text[]) as v (name), pg_class as c
        where c.relnamespace = 'public'::regnamespace and c.relkind = 'S' and has_sequence_privilege(r.name, c.oid, v.name)
        order by 1";
    for defaults in [Defaults::Old, Defaults::New] {
        let project = Project::with(defaults).await;
        assert_eq!(
            project.db.all::<String>(functions).await,
            [
                "authenticated approve_action",
                "authenticated cancel_code_request",
                "authenticated cancel_link_request",
                "authenticated cancel_order_request",
                "authenticated cancel_organization_request",
                "authenticated deny_action",
                "authenticated disable_link",
                "authenticated edit_action",
                "authenticated enable_link",
                "authenticated request_code_create",
                "authenticated request_code_delete",
                "authenticated request_code_rename",
                "authenticated request_code_update",
                "authenticated request_link_create",
                "authenticated request_link_update",
                "authenticated request_order_update",
                "authenticated request_organization_sync",
                "service_role process_crm_sync_queue",
                "service_role process_expired_enrollments",
                "service_role test_process_expired_enrollments",
            ],
            "{defaults:?}"
        );
        assert_eq!(
            project.db.all::<String>(sequences).await,
            ["service_role select", "service_role usage"],
            "{defaults:?}"
        );
        let backend = project.page("service_role", ALICE).await;
        database::run(&backend, "insert into action_responses (response_text) values ('from a backend')").await;
    }
}

/// Who is told of an organization, and with which secret, is between the worker and them.
#[tokio::test(flavor = "multi_thread")]
async fn whom_an_organization_is_told_to_no_browser_reads_by_any_way() {
    for defaults in [Defaults::Old, Defaults::New] {
        let project = Project::empty(defaults).await;
        // Once only: what it grants at first is what it grants.
        project.migrate().await;
        project
            .db
            .run(&format!("insert into organizations (name, owner, sync_url) values ('A', '{ALICE}', 'https://example.com/hook?key=hunter2')"))
            .await;
        let page = project.user(ALICE).await;
        for statement in [
            "select sync_url from organizations",
            "select * from organizations",
            "select o from organizations as o",
            "select to_jsonb(o) from organizations as o",
            "update organizations set name = sync_url",
            "update organizations set name = 'B' returning *",
            "update organizations set name = 'B' where sync_url like '%hunter%'",
        ] {
            assert_eq!(refused(&page, statement).await.code, "42501", "{defaults:?}: {statement}");
        }
        let seen: String = database::get(
            &page,
            "select concat_ws(' ', id, name, status, owner, request_organization_sync(id::text)) from organizations",
        )
        .await;
        assert!(seen.contains(ALICE) && !seen.contains("hunter2"), "{defaults:?}: {seen}");
        // A column of the users' own is read as the others are, from the next migrate on.
        project.db.run("alter table organizations add column city text default 'Accra'").await;
        project.migrate().await;
        assert_eq!(database::get::<String>(&page, "select city from organizations").await, "Accra");
        assert_eq!(refused(&page, "select sync_url from organizations").await.code, "42501", "{defaults:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_rowcall_is_closed_though_its_functions_are_called_through_public() {
    let project = Project::new().await;
    let page = project.user(ALICE).await;
    database::run(&page, "select request_code_create('A'), request_link_create('https://example.com/')").await;
    for statement in [
        "select * from rowcall.answers",
        "select * from rowcall.gone_endpoints",
        "select * from rowcall.attempts",
        "select * from rowcall.work",
        "select rowcall.ask_new_link('{}')",
        "select rowcall.take_back('codes', 'code', '1')",
        "select rowcall.ask_code('create', 'B', '{}', '[]')",
        "select rowcall.code_terms('create', '{}')",
        "select * from rowcall.browser_tables",
        "update rowcall.browser_tables set asks = null",
        "select rowcall.own_rows('codes')",
    ] {
        let refusal = database::refusal(&page, statement).await;
        assert!(refusal.contains("permission denied for schema rowcall"), "{statement}: {refusal}");
    }
}
