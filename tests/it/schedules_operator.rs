//! Schedules as an operator meets them: the commands, HTTP, the doctor, the views that `pg_cron`'s users know.

use serde_json::{Value, json};

use crate::scratch::Scratch;
use crate::web::{READER, Run, Web, json, locked, open, refused, told};

/// One schedule of every kind, as workers left them.
const ONE_OF_EACH: &str = "
    delete from rowcall.schedules;
    insert into rowcall.workers (id, host, pid, version, queues)
    values ('00000000-0000-0000-0000-0000000000aa', 'somewhere', 77, '0.1.0', '{codes}');
    insert into rowcall.schedules (name, cron, statement, planned, next_run_at, problem) values
        ('well', '@daily', 'select 1', '@daily in UTC', now() + interval '1 hour', null),
        ('failing', '0 3 * * *', 'select 1 / 0', '0 3 * * * in UTC', now() + interval '1 hour', null),
        ('overdue', '@hourly', 'select 1', '@hourly in UTC', now() - interval '2 minutes', null),
        ('running', '@hourly', 'select 1', '@hourly in UTC', now() + interval '1 hour', null),
        ('broken', '61 * * * *', 'select 1', '61 * * * * in UTC', null, 'the cron text \"61 * * * *\" cannot be read'),
        ('unread', '@monthly', 'select 1', null, null, null),
        ('resting', '@weekly', 'select 1', '@weekly in UTC, paused', null, null);
    update rowcall.schedules set paused = true, paused_reason = 'the books are closed' where name = 'resting';
    insert into rowcall.schedule_runs (schedule_id, schedule, status, statement, atomic, timeout, token, worker, scheduled_for,
        began_at, running_until, ended_at, rows, result, error)
    select s.id, s.name, r.status, s.statement, true, '1 minute', gen_random_uuid(), '00000000-0000-0000-0000-0000000000aa',
        '2026-11-20 02:00Z', '2026-11-20 02:00:00.25Z'::timestamptz + nth * interval '1 minute', now() + interval '1 hour',
        '2026-11-20 02:00:01.75Z'::timestamptz + nth * interval '1 minute', r.rows, r.result, r.error
    from (values
        (1, 'well', 'failed', null, null, 'no such table'), (2, 'well', 'done', 1, '42', null),
        (3, 'failing', 'failed', null, null, 'division by zero (SQLSTATE 22012)'), (4, 'failing', 'refused', null, null, 'busy')
    ) as r (nth, name, status, rows, result, error)
    join rowcall.schedules as s on s.name = r.name
    order by nth;
    insert into rowcall.schedule_runs (schedule_id, schedule, status, statement, atomic, timeout, token, worker, running_until)
    select id, name, 'running', statement, true, '1 minute', gen_random_uuid(), '00000000-0000-0000-0000-0000000000aa',
        now() + interval '1 hour'
    from rowcall.schedules where name = 'running';
";

async fn one_of_each() -> Scratch {
    let scratch = Scratch::migrated().await;
    scratch.sql(ONE_OF_EACH).await;
    scratch
}

fn line<'a>(text: &'a str, first: &str) -> &'a str {
    text.lines().find(|line| line.split_whitespace().next() == Some(first)).unwrap_or_else(|| panic!("{first}: {text}"))
}

fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    list.as_array().unwrap().iter().find(|entry| entry["name"] == name).unwrap()
}

#[tokio::test]
async fn without_schedules_the_list_says_how_to_make_one() {
    let scratch = Scratch::migrated().await;
    scratch.sql("delete from rowcall.schedules").await;
    let text = scratch.rowcall(&["schedule", "list"]).well();
    assert!(text.contains("rowcall schedule --help"), "{text}");
    assert!(scratch.rowcall(&["schedule", "--help"]).well().contains("insert into rowcall.schedules"));
    assert!(scratch.rowcall(&["schedule", "history"]).well().contains("no run has begun yet"));
    let text = scratch.rowcall(&["schedule", "run", "x"]).refusal();
    assert!(text.starts_with("rowcall: there is no schedule x\n  hint: make one: insert"), "{text}");
}

#[tokio::test]
async fn the_list_shows_how_every_schedule_stands() {
    let scratch = one_of_each().await;
    let text = scratch.rowcall(&["schedule", "list"]).well();
    for (name, words) in [
        ("well", &["ok", "@daily", "UTC", "done", "1.5 s"][..]),
        ("failing", &["failing", "0 3 * * *", "failed", "division by zero"]),
        ("overdue", &["overdue", "no worker took it: none is up, or all are busy"]),
        ("running", &["running", "since"]),
        ("broken", &["broken", "cannot be read"]),
        ("unread", &["unread", "no worker has read it yet"]),
        ("resting", &["paused", "the books are closed"]),
    ] {
        let line = line(&text, name);
        assert!(words.iter().all(|word| line.contains(word)), "{words:?}: {line}");
    }
    let list = scratch.rowcall(&["schedule", "list", "--json"]).json();
    let well = named(&list, "well");
    assert_eq!((&well["last_result"], &well["last_began_at"]), (&json!("42"), &json!("2026-11-20T02:02:00.250Z")));
    let next = scratch
        .text("select to_char(next_run_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') from rowcall.schedules where name = 'well'")
        .await;
    assert_eq!(well["next_run_at"], json!(next));
    assert_eq!(named(&list, "resting")["next_run_at"], Value::Null);
}

#[tokio::test]
async fn the_history_of_schedules_is_newest_last_and_can_be_narrowed() {
    let scratch = one_of_each().await;
    let runs = |arguments: &[&str]| -> Vec<String> {
        let runs = scratch.rowcall(&[&["schedule", "history", "--json"], arguments].concat()).json();
        runs.as_array()
            .unwrap()
            .iter()
            .map(|r| format!("{} {}", r["schedule"].as_str().unwrap(), r["status"].as_str().unwrap()))
            .collect()
    };
    assert_eq!(runs(&[]), ["well failed", "well done", "failing failed", "failing refused", "running running"]);
    assert_eq!(runs(&["--limit", "1"]), ["running running"]);
    assert_eq!(runs(&["well"]), ["well failed", "well done"]);
    assert!(runs(&["overdue"]).is_empty());
    let text = scratch.rowcall(&["schedule", "history", "well"]).well();
    assert!(text.contains("no such table") && text.contains("1.5 s") && text.contains("42"), "{text}");
    let text = scratch.rowcall(&["schedule", "history", "nothing"]).refusal();
    assert!(text.contains("there is no schedule nothing\n  hint: schedules: "), "{text}");
}

#[tokio::test]
async fn the_verbs_for_schedules_do_what_they_say() {
    let scratch = one_of_each().await;
    let verb = |arguments: &[&str]| scratch.rowcall(&[&["schedule"], arguments].concat());
    assert_eq!(verb(&["run", "well"]).well(), "well runs now\n");
    let asked = "select (run_asked_at = now() or run_asked_at > now() - interval '1 minute')::text from rowcall.schedules where name = 'well'";
    assert_eq!(scratch.text(asked).await, "true");
    let text = verb(&["run", "running"]).refusal();
    assert!(text.starts_with("rowcall: running is running since "), "{text}");
    assert_eq!(verb(&["pause", "well", "--reason", " maintenance "]).well(), "well is paused: maintenance\n");
    let paused = "select format('%s %s %s %s', paused, paused_reason, paused_by = current_user, paused_at is not null) from rowcall.schedules where name = 'well'";
    assert_eq!(scratch.text(paused).await, "t maintenance t t");
    assert_eq!(verb(&["resume", "well"]).well(), "well goes on\n");
    assert_eq!(scratch.text(paused).await, "f   f");
    let text = verb(&["pause", "well", "--reason", " "]).refusal();
    assert!(text.starts_with("rowcall: say why well is paused\n  hint: "), "{text}");
    for verb in [&["run", "x"][..], &["pause", "x", "--reason", "y"], &["resume", "x"]] {
        let text = scratch.rowcall(&[&["schedule"], verb].concat()).refusal();
        assert!(text.starts_with("rowcall: there is no schedule x\n  hint: schedules: broken, "), "{text}");
    }
    scratch.sql("delete from rowcall.workers").await;
    assert!(verb(&["run", "well"]).well().contains("no worker is alive: start one"));
}

#[tokio::test]
async fn the_status_names_the_schedules_to_look_at() {
    let scratch = one_of_each().await;
    let text = scratch.rowcall(&["status"]).well();
    let (_, schedules) = text.split_once("schedules: 7, 1 running, 4 to look at (rowcall schedule list)\n").unwrap();
    assert!(
        ["failing", "overdue", "broken", "unread"].iter().all(|name| line(schedules, name).contains(name)),
        "{text}"
    );
    scratch.sql("delete from rowcall.schedules where name in ('failing', 'overdue', 'broken', 'unread')").await;
    let text = scratch.rowcall(&["status"]).well();
    assert!(text.ends_with("schedules: 3, 1 running, 0 to look at\n"), "{text}");
    let status = scratch.rowcall(&["status", "--json"]).json();
    assert_eq!(named(&status["schedules"], "well")["state"], "ok");
    scratch.sql("delete from rowcall.schedules").await;
    assert!(!scratch.rowcall(&["status"]).well().contains("schedules"));
}

#[tokio::test]
async fn the_doctor_tells_what_is_wrong_with_schedules_and_what_mends_it() {
    let scratch = one_of_each().await;
    let said = scratch.rowcall(&["doctor", "--json"]);
    let findings = said.json();
    let found = |name: &str| {
        let check = format!("schedule {name}");
        findings.as_array().unwrap().iter().find(|f| f["check"] == json!(check)).cloned().unwrap_or_default()
    };
    for (name, state, words, mend) in [
        ("broken", "problem", "it never runs: the cron text", "update rowcall.schedules set cron = '61 * * * *'"),
        ("overdue", "problem", "overdue: since ", "rowcall run"),
        (
            "failing",
            "problem",
            "its last run, of 2026-11-20 02:03:00 UTC, is failed: division by zero",
            "select rowcall.run_schedule('failing');",
        ),
        ("resting", "note", "paused: the books are closed", "select rowcall.resume_schedule('resting');"),
        ("unread", "note", "no worker has read it yet", "rowcall run"),
    ] {
        let finding = found(name);
        assert_eq!(finding["state"], state, "{finding}");
        assert!(finding["found"].as_str().unwrap().contains(words), "{finding}");
        assert!(finding["mend"].as_str().unwrap().contains(mend), "{finding}");
    }
    assert!(found("well").is_null() && found("running").is_null());
    assert_eq!(said.code, Some(1));
    scratch.sql("delete from rowcall.schedules where name in ('failing', 'overdue', 'broken')").await;
    assert_eq!(scratch.rowcall(&["doctor"]).code, Some(0));
}

#[tokio::test]
async fn readiness_counts_the_schedules_to_look_at() {
    let scratch = one_of_each().await;
    let web = Web::start(&scratch, open()).await;
    web.readiness.set_bell_works(true);
    web.readiness.beat(std::time::Instant::now());
    let trouble = json!({ "overdue": 1, "failing": 1, "broken": 1 });
    let expected = json!({ "ready": true, "failing": [], "bell": "works", "schedules": trouble });
    assert_eq!(told(web.get("/readyz")).await, (200, expected));
}

#[tokio::test]
async fn schedules_over_http_are_those_of_the_command_line() {
    let scratch = one_of_each().await;
    let web = Web::start(&scratch, open()).await;
    let same = |arguments: &[&str]| (200, scratch.rowcall(&[&["schedule"], arguments, &["--json"]].concat()).json());
    assert_eq!(told(web.get("/api/schedules")).await, same(&["list"]));
    assert_eq!(told(web.get("/api/schedules/well/runs")).await, same(&["history", "well"]));
    assert_eq!(told(web.get("/api/schedules/well/runs?limit=1")).await, same(&["history", "well", "--limit", "1"]));
    assert_eq!(refused(web.get("/api/schedules/nothing/runs")).await, (404, "not_found".to_owned()));
    assert_eq!(refused(web.get("/api/schedules/well/runs?limit=0")).await.0, 400);
    let answer = |text: &str| (200, json!({ "answer": text }));
    assert_eq!(told(web.post("/api/schedules/well/run")).await, answer("well runs now"));
    let (status, body) = told(web.post("/api/schedules/running/run")).await;
    assert_eq!((status, &body["error"]["code"]), (409, &json!("conflict")), "{body}");
    assert_eq!(body["error"]["hint"], "ask again when it has ended");
    let pause = json(web.post("/api/schedules/well/pause"), &json!({ "reason": "maintenance" }));
    assert_eq!(told(pause).await, answer("well is paused: maintenance"));
    assert_eq!(told(web.post("/api/schedules/well/resume")).await, answer("well goes on"));
    assert_eq!(refused(json(web.post("/api/schedules/well/pause"), &json!({}))).await.0, 400);
    assert_eq!(refused(web.post("/api/schedules/nothing/run")).await, (404, "not_found".to_owned()));
}

#[tokio::test]
async fn a_reader_sees_schedules_and_runs_none() {
    let scratch = one_of_each().await;
    let web = Web::start(&scratch, locked()).await;
    assert_eq!(told(web.get("/api/schedules").bearer_auth(READER)).await.0, 200);
    assert_eq!(told(web.get("/api/schedules")).await.0, 401);
    assert_eq!(told(web.post("/api/schedules/well/run").bearer_auth(READER)).await.0, 403);
    assert_eq!(scratch.text("select count(*)::text from rowcall.schedules where run_asked_at is not null").await, "0");
}

#[tokio::test]
async fn who_is_not_the_owner_neither_writes_nor_runs_schedules() {
    let scratch = one_of_each().await;
    let role = format!("r_{}", scratch.name());
    scratch.server_sql(&format!("create role {role}")).await;
    let client = scratch.client().await;
    client.batch_execute(&format!("set role {role}")).await.unwrap();
    for statement in [
        "insert into rowcall.schedules (name, cron, statement) values ('mine', '@daily', 'select 1')",
        "update rowcall.schedules set statement = 'select 2'",
        "select rowcall.run_schedule('well')",
        "select * from rowcall.cron_job",
    ] {
        let error = client.batch_execute(statement).await.unwrap_err();
        assert_eq!(error.code(), Some(&tokio_postgres::error::SqlState::INSUFFICIENT_PRIVILEGE), "{statement}");
    }
    drop(client);
    scratch.server_sql(&format!("drop role {role}")).await;
}

/// Document 4's queries, by the views' names; and `pg_cron` itself, where it is installed, is left alone.
#[tokio::test]
async fn who_monitored_pg_cron_finds_the_same_columns() {
    let scratch = Scratch::empty().await;
    scratch
        .sql(
            "create schema cron;
             create table cron.job (jobid bigint primary key, schedule text, command text, jobname text);
             insert into cron.job values (1, '* * * * *', 'select 1', 'theirs')",
        )
        .await;
    scratch.rowcall(&["migrate"]).well();
    scratch.sql(ONE_OF_EACH).await;
    assert_eq!(scratch.text("select string_agg(jobname, ',') from cron.job").await, "theirs");
    let jobs =
        "select string_agg(format('%s|%s|%s|%s', j.schedule, j.command, j.active, j.jobname), ', ' order by j.jobname)
        from (select * from rowcall.cron_job where jobname in ('well', 'resting')) as j
        where (j.nodename, j.database) = ('localhost', current_database()) and j.nodeport > 0";
    assert_eq!(scratch.text(jobs).await, "@weekly|select 1|f|resting, @daily|select 1|t|well");
    let details = "select string_agg(format('%s %s %s', d.status, d.return_message, d.end_time - d.start_time), ', ')
        from (
            select jobid, runid, status, return_message, start_time, end_time
            from rowcall.cron_job_run_details
            where jobid in (select jobid from rowcall.cron_job where jobname in ('well', 'failing'))
            order by start_time desc
            limit 20
        ) as d";
    assert_eq!(
        scratch.text(details).await,
        "failed busy 00:00:01.5, failed division by zero (SQLSTATE 22012) 00:00:01.5, succeeded 42 00:00:01.5, \
         failed no such table 00:00:01.5"
    );
    let running = "select status || ' ' || (username = current_user) || ' ' || (end_time is null) from rowcall.cron_job_run_details where command = 'select 1' and status = 'running'";
    assert_eq!(scratch.text(running).await, "running true true");
}

/// The statement runs as the worker's role, which needs no more than the doctor says.
#[tokio::test]
async fn a_statement_runs_as_the_role_of_the_worker() {
    let scratch = Scratch::migrated().await;
    let role = format!("r_{}", scratch.name());
    scratch
        .sql(&format!(
            "create role {role} login password 'secret';
             grant usage on schema rowcall to {role};
             grant select, insert, update, delete on all tables in schema rowcall to {role};
             grant select, insert, update on all tables in schema public to {role};
             grant execute on all functions in schema rowcall to {role};
             create policy rowcall_worker on public.codes to {role} using (true) with check (true);
             create policy rowcall_worker on public.actions to {role} using (true) with check (true);
             insert into rowcall.schedules (name, cron, statement, run_asked_at)
             values ('who', '@yearly', 'select current_user', now()), ('more', '@yearly', 'select * from public.secrets', now());
             create table public.secrets (x int);"
        ))
        .await;
    let mut url = url::Url::parse(&scratch.url).unwrap();
    url.set_username(&role).unwrap();
    url.set_password(Some("secret")).unwrap();
    let worker = Run::start(&scratch, &[("DATABASE_URL", url.as_str())]);
    let runs =
        "select string_agg(format('%s %s %s', schedule, status, coalesce(result, error)), ', ' order by schedule)
        from rowcall.schedule_runs";
    worker.logged("A schedule ran").await;
    worker.logged("A schedule failed").await;
    let told = scratch.text(runs).await;
    assert_eq!(told, format!("more failed permission denied for table secrets (SQLSTATE 42501), who done {role}"));
    drop(worker);
    scratch.sql(&format!("drop owned by {role}")).await;
    scratch.server_sql(&format!("drop owned by {role}; drop role {role}")).await;
}
