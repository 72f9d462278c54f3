//! The doctor, by the real binary: every damage is found, and what it prints mends it.

use std::process::{Command, Stdio};

use rowcall::store::connect::Database;
use serde_json::Value;

use crate::process::{ROWCALL, eventually};
use crate::scratch::{Said, Scratch};

/// A finding as the doctor tells it in JSON.
#[derive(Debug)]
struct Finding {
    check: String,
    state: String,
    found: String,
    mend: String,
}

fn findings(said: &Said) -> Vec<Finding> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let read = |f: &Value| Finding {
        check: text(&f["check"]),
        state: text(&f["state"]),
        found: text(&f["found"]),
        mend: text(&f["mend"]),
    };
    said.json().as_array().unwrap().iter().map(read).collect()
}

/// The problems, after a look at the exit code.
fn problems(said: &Said) -> Vec<Finding> {
    let problems: Vec<Finding> = findings(said).into_iter().filter(|f| f.state == "problem").collect();
    assert_eq!(said.code, Some(i32::from(!problems.is_empty())), "{said:?}");
    assert!(problems.iter().all(|f| !f.mend.is_empty()), "each problem says what mends it: {problems:?}");
    problems
}

fn examine(scratch: &Scratch) -> Vec<Finding> {
    problems(&scratch.rowcall(&["doctor", "--json"]))
}

fn examine_with(scratch: &Scratch, environment: &[(&str, &str)]) -> Vec<Finding> {
    problems(&scratch.command(&["doctor", "--json"]).envs(environment.iter().copied()).output().unwrap().into())
}

/// The only problem that there is.
fn only(problems: Vec<Finding>) -> Finding {
    let [problem] = <[Finding; 1]>::try_from(problems).unwrap();
    problem
}

/// Waits until so many requests are done.
async fn done(scratch: &Scratch, count: usize) {
    eventually("requests that are done", || {
        let attempts = scratch.rowcall(&["history", "--json"]).json();
        let done = attempts.as_array().unwrap().iter().filter(|a| a["settled_as"] == "done").count();
        (done == count).then_some(())
    })
    .await;
}

/// Does what a mending line says.
async fn mend(scratch: &Scratch, mend: &str) {
    let mut sql = mend;
    if let Some(before) = mend.strip_suffix("rowcall migrate") {
        sql = before.strip_suffix(" and then: ").unwrap_or(before);
    }
    if !sql.is_empty() {
        scratch.sql(sql).await;
    }
    if mend.ends_with("rowcall migrate") {
        scratch.rowcall(&["migrate"]).well();
    }
}

#[tokio::test]
async fn a_healthy_database_has_no_problem() {
    let scratch = Scratch::migrated().await;
    let said = scratch.rowcall(&["doctor"]);
    let text = said.well();
    for check in ["connection", "server", "clock", "pooler", "bell", "schema", "objects", "access", "provider of codes"]
    {
        assert!(text.contains(&format!("ok       {check} ")), "{check}: {text}");
    }
    assert!(text.ends_with("no problem\n") && !text.contains('\u{1b}'), "{text}");
    assert!(examine(&scratch).is_empty());
}

#[tokio::test]
async fn what_the_doctor_prints_mends_what_it_found() {
    let scratch = Scratch::migrated().await;
    for (damage, found) in [
        ("drop trigger _900_ring_update on public.codes", "trigger _900_ring_update on public.codes is missing"),
        ("alter table public.codes disable trigger _900_ring_update", "_900_ring_update on public.codes is disabled"),
        (
            "alter table public.codes enable replica trigger _100_stamp_update",
            "_100_stamp_update on public.codes is disabled",
        ),
        (
            "create or replace function rowcall.stamp() returns trigger language plpgsql as 'begin return new; end'",
            "function rowcall.stamp() is not as rowcall migrate left it",
        ),
        ("drop view rowcall.history", "view rowcall.history is missing"),
        ("drop function rowcall.sweep_now()", "function rowcall.sweep_now() is missing"),
        ("drop index public.codes_due_idx", "index public.codes_due_idx is missing"),
        ("drop index rowcall.attempts_key_idx", "index rowcall.attempts_key_idx is missing"),
        (
            "drop index public.codes_due_idx; create index codes_due_idx on public.codes (id)",
            "index public.codes_due_idx is not as",
        ),
        (
            "update pg_index set indisvalid = false where indexrelid = 'public.codes_due_idx'::regclass",
            "public.codes_due_idx is invalid",
        ),
        ("alter table public.codes disable row level security", "it is off for public.codes"),
        ("select rowcall.pause('codes', 'the site moves')", "the site moves"),
        ("delete from rowcall.queues where queue = 'codes'", "has no row for it"),
        ("delete from rowcall.targets where target = 'links'", "has no row for it"),
        ("alter table public.codes alter column id drop identity", "public.codes.id has no default"),
    ] {
        scratch.sql(damage).await;
        let problem = only(examine(&scratch));
        assert!(problem.found.contains(found), "{damage}: {problem:?}");
        mend(&scratch, &problem.mend).await;
        let left = examine(&scratch);
        assert!(left.is_empty(), "{damage}: {left:?}");
    }
}

#[tokio::test]
async fn an_adopted_table_without_row_level_security_is_worth_a_note() {
    let scratch = Scratch::empty().await;
    scratch
        .sql("create table public.codes (id serial primary key, code text not null, status text, metadata jsonb)")
        .await;
    scratch.rowcall(&["migrate"]).well();
    let row_security = || {
        let said = scratch.rowcall(&["doctor", "--json"]);
        assert!(problems(&said).is_empty(), "{said:?}");
        findings(&said).into_iter().find(|f| f.check == "row security").unwrap()
    };
    let note = row_security();
    assert!(note.state == "note" && note.found.contains("it is off for public.codes"), "{note:?}");
    mend(&scratch, &note.mend).await;
    assert_eq!(row_security().state, "ok");
}

#[tokio::test]
async fn migrate_says_what_it_put_back() {
    let scratch = Scratch::migrated().await;
    scratch.sql("drop index public.codes_due_idx; drop trigger _100_stamp_insert on public.codes").await;
    let text = scratch.rowcall(&["migrate"]).well();
    assert!(text.contains("index public.codes_due_idx as it was"), "{text}");
    assert!(text.contains("trigger _100_stamp_insert on public.codes as it was"), "{text}");
    assert!(scratch.rowcall(&["migrate"]).well().contains("had everything"));
}

#[tokio::test]
async fn another_search_path_changes_no_fingerprint() {
    let scratch = Scratch::migrated().await;
    scratch.sql(&format!("alter database {} set search_path = rowcall, public", scratch.name())).await;
    assert!(examine(&scratch).is_empty());
}

#[tokio::test]
async fn a_database_without_the_schema_is_mended_by_migrate() {
    let scratch = Scratch::empty().await;
    let problem = only(examine(&scratch));
    assert!(problem.check == "schema" && problem.found.contains("V1__core"), "{problem:?}");
    mend(&scratch, &problem.mend).await;
    assert!(examine(&scratch).is_empty());
}

#[tokio::test]
async fn a_newer_schema_asks_for_the_newer_rowcall() {
    let scratch = Scratch::migrated().await;
    scratch.sql("insert into rowcall.schema_migrations (version, name) values (9999, 'of_the_future')").await;
    let problem = only(examine(&scratch));
    assert!(problem.found.contains("version 9999"), "{problem:?}");
    assert_eq!(problem.mend, "install the newer rowcall");
}

#[tokio::test]
async fn files_of_another_version_ask_for_migrate() {
    let scratch = Scratch::migrated().await;
    scratch.sql("update rowcall.installed set fingerprint = 'older' where object = 'files'").await;
    let problem = only(examine(&scratch));
    assert!(problem.check == "schema" && problem.mend == "rowcall migrate", "{problem:?}");
    mend(&scratch, &problem.mend).await;
    assert!(examine(&scratch).is_empty());
}

#[tokio::test]
async fn a_provider_that_is_not_configured_here_is_named() {
    let scratch = Scratch::migrated().await;
    for (variable, value) in [
        ("FIENTA_EMAIL", ""),
        ("FIENTA_PASSWORD", ""),
        ("FIENTA_EVENT_ID", ""),
        ("FIENTA_CLI", "no-such-program-anywhere --fast"),
        ("FIENTA_CLI_DIR", "/does/not/exist"),
    ] {
        let problems = examine_with(&scratch, &[(variable, value)]);
        let checks: Vec<_> = problems.iter().map(|problem| problem.check.as_str()).collect();
        assert_eq!(checks, ["provider of codes", "provider of orders", "provider of fienta_checks"]);
        assert!(problems.iter().all(|problem| problem.found.contains(variable)), "{problems:?}");
    }
    // Where a live worker has the settings, nothing waits.
    scratch
        .sql("insert into rowcall.workers (id, host, pid, version, queues) values (gen_random_uuid(), 'h', 1, '0', '{codes,orders,fienta_checks}')")
        .await;
    assert!(examine_with(&scratch, &[("FIENTA_EMAIL", "")]).is_empty());
}

#[tokio::test]
async fn a_wrong_setting_keeps_nobody_from_looking_at_the_database() {
    let scratch = Scratch::migrated().await;
    scratch.sql("drop view rowcall.history").await;
    let found = examine_with(&scratch, &[("FIENTA_EVENT_ID", "the big one")]);
    assert_eq!(found.iter().map(|f| f.check.as_str()).collect::<Vec<_>>(), ["settings", "objects"]);
    assert!(found[0].found.contains("FIENTA_EVENT_ID"), "{found:?}");
}

#[tokio::test]
async fn a_bell_that_does_not_arrive_is_told_with_its_cause() {
    let scratch = Scratch::migrated().await;
    let problem = only(examine_with(&scratch, &[("LISTEN_DATABASE_URL", scratch.elsewhere())]));
    assert!(problem.check == "bell" && problem.mend.contains(scratch.name()), "{problem:?}");
    let problem = only(examine_with(&scratch, &[("LISTEN_DATABASE_URL", "postgres://u@127.0.0.1:1/x")]));
    assert!(problem.check == "bell" && problem.found.contains("Connection refused"), "{problem:?}");
}

#[tokio::test]
async fn an_open_breaker_is_told_with_its_reason() {
    let scratch = Scratch::migrated().await;
    scratch
        .sql(
            "update rowcall.targets
             set state = 'open', reason = 'Fienta refused the login', next_probe_at = now() + interval '1 minute'
             where target = 'fienta'",
        )
        .await;
    let problem = only(examine(&scratch));
    assert!(problem.found.contains("Fienta refused the login"), "{problem:?}");
    assert!(problem.mend.contains("select rowcall.resume('codes');"), "{problem:?}");
}

#[tokio::test]
async fn rows_that_nobody_works_are_told() {
    let scratch = Scratch::migrated().await;
    let dead = "00000000-0000-0000-0000-0000000000dd";
    scratch
        .sql(&format!(
            "insert into rowcall.workers (id, host, pid, version, queues, heartbeat_at)
             values ('{dead}', 'h', 1, '0', '{{codes}}', now() - interval '1 minute');
             insert into public.codes (code, status) values ('HELD', 'creating'), ('PARKED', 'active');
             update public.codes
             set claim_token = gen_random_uuid(), claimed_by = '{dead}', claimed_until = now() + interval '1 hour'
             where code = 'HELD';
             update public.codes set status = 'unknown', error_message = 'nobody answered' where code = 'PARKED';"
        ))
        .await;
    let found = examine(&scratch);
    let texts: Vec<&str> = found.iter().map(|f| f.found.as_str()).collect();
    assert_eq!(
        texts,
        [
            "no worker is alive; 1 rows are asked for and not done",
            "dead workers hold 1 rows of codes",
            "the row 2 (PARKED) is parked, nobody knows whether it took effect: nobody answered",
        ]
    );
    assert_eq!(
        found[2].mend,
        "select rowcall.retry('codes', '2'); or, knowing that it took effect: \
         select rowcall.resolve('codes', '2', 'done', 'how you know');"
    );
}

#[tokio::test]
async fn the_grants_that_it_prints_are_all_that_a_role_needs() {
    let scratch = Scratch::migrated().await;
    let role = format!("r_{}", scratch.name());
    scratch.server_sql(&format!("create role {role} login password 'secret'")).await;
    let mut url = url::Url::parse(&scratch.url).unwrap();
    url.set_username(&role).unwrap();
    url.set_password(Some("secret")).unwrap();
    let as_role = [("DATABASE_URL", url.as_str())];

    // The first look cannot even read the schema's version; each next one tells more.
    let mut looks = 0;
    loop {
        let found = examine_with(&scratch, &as_role);
        if found.is_empty() {
            break;
        }
        looks += 1;
        assert!(looks < 6, "{found:?}");
        for finding in found.iter().filter(|f| !f.mend.starts_with("mend the problems")) {
            mend(&scratch, &finding.mend).await;
        }
    }
    assert!(looks > 0);

    let mut worker = scratch.command(&["run"]).envs(as_role).stderr(Stdio::null()).spawn().unwrap();
    scratch.sql("insert into public.codes (code, status, metadata) values ('NEW', 'creating', '{\"discount_percent\": 10}')").await;
    done(&scratch, 1).await;
    scratch
        .sql("update public.codes set status = 'renaming', metadata = metadata || '{\"new_code\": \"NEWER\"}'")
        .await;
    done(&scratch, 2).await;
    memberships(&scratch, &url).await;
    worker.kill().unwrap();
    worker.wait().unwrap();
    let rows = "select string_agg(code || ' ' || status, ', ' order by code) from public.codes";
    assert_eq!(scratch.text(rows).await, "NEW deleted, NEWER active");

    scratch.server_sql(&format!("drop owned by {role}")).await;
    scratch.sql(&format!("drop owned by {role}")).await;
    scratch.server_sql(&format!("drop role {role}")).await;
}

/// A webhook of each CRM, a job by hand, and what the worker, for which no CRM is there, makes of the rows.
async fn memberships(scratch: &Scratch, url: &url::Url) {
    scratch
        .sql(
            "insert into clients (crm_type, tenant, shop) values ('shopify', null, 'one'), ('commerce7', 'north', null);
             insert into club_stages (client_id, name, threshold, tag) select id, 'Silver', 100, 'Silver' from clients",
        )
        .await;
    let role = Database::parse(url.as_str()).unwrap().client().await.unwrap();
    role.batch_execute(
        "select rowcall.hear_crm('{\"crm_type\": \"shopify\", \"tenant_or_shop\": \"one\", \"webhook_id\": \"w1\", \"event\": \"orders/paid\",
             \"order_id\": \"1\", \"customer\": {\"id\": \"7\"}, \"total\": \"150.00\", \"financial_state\": \"paid\"}');
         select rowcall.hear_crm('{\"crm_type\": \"commerce7\", \"tenant_or_shop\": \"north\", \"webhook_id\": \"w2\", \"event\": \"order/create\",
             \"order_id\": \"2\"}');
         select rowcall.run_cron('trigger', null); select rowcall.run_cron('test', null); select rowcall.cron_status();
         select rowcall.start_crm_sync('{\"queueId\": 1}'); select * from process_crm_sync_queue();",
    )
    .await
    .unwrap_or_else(|error| panic!("{error:?}"));
    let told = "select concat_ws(' ', (select error_message is not null from crm_sync_queue), (select error_message is not null from crm_orders where crm_order_id = '2'))";
    let began = std::time::Instant::now();
    while scratch.text(told).await != "t t" {
        assert!(began.elapsed() < std::time::Duration::from_secs(45), "both queues are worked");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_told_with_what_to_do() {
    let scratch = Scratch::migrated().await;
    let missing = scratch.url.replace(scratch.name(), "no_such_database");
    for (url, mend) in
        [("postgres://u@127.0.0.1:1/x", "start the server"), (&missing, "create database \"no_such_database\"")]
    {
        let problem = only(examine_with(&scratch, &[("DATABASE_URL", url)]));
        assert!(problem.check == "connection" && problem.mend.contains(mend), "{problem:?}");
    }
}

#[test]
fn without_a_database_url_the_doctor_names_it() {
    let said: Said = Command::new(ROWCALL).arg("doctor").env_remove("DATABASE_URL").output().unwrap().into();
    assert_eq!(said.code, Some(1));
    assert!(said.out.contains("DATABASE_URL is not set"), "{said:?}");
}

#[tokio::test]
async fn what_keeps_memberships_from_their_crm_is_told() {
    let scratch = Scratch::migrated().await;
    scratch
        .sql(
            "insert into clients (crm_type, tenant, shop) values ('shopify', null, 'one'), ('commerce7', 'north', null);
             insert into club_stages (client_id, name, threshold, tag) select id, 'Silver', 100, 'Silver' from clients;
             select rowcall.hear_crm('{\"crm_type\": \"shopify\", \"tenant_or_shop\": \"other\", \"webhook_id\": \"w\", \"event\": \"orders/paid\", \"order_id\": \"1\"}')",
        )
        .await;
    let said = scratch.rowcall(&["doctor", "--json"]);
    let problem = only(problems(&said));
    assert_eq!(
        problem.found,
        "the tier Silver of client 2 names no club of Commerce7, so its members cannot be told to the CRM"
    );
    let note = findings(&said).into_iter().find(|f| f.check == "memberships" && f.state == "note").unwrap();
    assert_eq!(note.found, "1 webhooks of the last day came from shopify other, which no client has");
    scratch.sql(&problem.mend.replace('…', "club-1")).await;
    assert!(examine(&scratch).is_empty());
}
