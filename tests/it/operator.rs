//! The operator's commands, by the real binary: what they print, and how they end.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::process::ROWCALL;
use crate::scratch::{Said, Scratch};

/// One code of every kind. Key 1 is asked for, 2 waits, 3 runs, 4 failed, 5 is unknown, 6 is done.
const ONE_OF_EACH: &str = "
    insert into rowcall.workers (id, host, pid, version, queues)
    values ('00000000-0000-0000-0000-0000000000aa', 'somewhere', 77, '0.1.0', '{codes}');
    insert into public.codes (code, status) values
        ('ASKED', 'creating'), ('WAITS', 'creating'), ('RUNS', 'creating'), ('FAILED', 'active'), ('UNKNOWN', 'active'),
        ('DONE', 'active');
    update public.codes
    set attempts = 1, next_retry_at = now() + interval '90 minutes', error_message = 'Fienta is slow'
    where code = 'WAITS';
    update public.codes
    set claim_token = gen_random_uuid(), claimed_by = '00000000-0000-0000-0000-0000000000aa',
        claimed_until = now() + interval '1 hour'
    where code = 'RUNS';
    update public.codes
    set status = 'updating', metadata = '{\"new_max_uses\":5}'
    where code in ('FAILED', 'UNKNOWN');
    update public.codes
    set status = 'active', claim_token = gen_random_uuid(), attempts = 4, error_message = 'there is no such code',
        metadata = metadata || '{\"action_failed\":true}'
    where code = 'FAILED';
    update public.codes
    set status = 'unknown', claim_token = gen_random_uuid(), attempts = 4, error_message = 'nobody answered',
        metadata = metadata || '{\"action_failed\":true}'
    where code = 'UNKNOWN';
";

async fn one_of_each() -> Scratch {
    let scratch = Scratch::migrated().await;
    scratch.sql(ONE_OF_EACH).await;
    scratch
}

/// The line of a table that begins a row about `word`.
fn line<'a>(text: &'a str, word: &str) -> &'a str {
    text.lines().find(|line| line.split_whitespace().any(|w| w == word)).unwrap_or_else(|| panic!("{word}: {text}"))
}

#[tokio::test]
async fn the_status_of_an_idle_database_says_what_to_do() {
    let scratch = Scratch::migrated().await;
    let text = scratch.rowcall(&["status"]).well();
    assert!(text.contains("nothing is asked for"), "{text}");
    assert!(text.contains("no worker is alive: start one with `rowcall run`"), "{text}");
    let text = scratch.rowcall(&["history"]).well();
    assert!(text.contains("no attempt"), "{text}");
}

#[tokio::test]
async fn status_shows_what_every_row_waits_for() {
    let scratch = one_of_each().await;
    let text = scratch.rowcall(&["status"]).well();
    assert!(!text.contains('\u{1b}'), "no colours into a pipe: {text}");
    for (label, state, next) in [
        ("ASKED", "asked", "due now"),
        ("WAITS", "waiting", "in 1 h 29 min"),
        ("RUNS", "running", "running now"),
        ("FAILED", "failed", "rowcall retry codes 4"),
        ("UNKNOWN", "unknown", "rowcall resolve codes 5"),
    ] {
        // Between 1 h 29 min and 1 h 30 min, whatever the second.
        let text = text.replace("in 1 h 30 min", "in 1 h 29 min");
        let (_, rows) = text.split_once("WHY\n").and_then(|(_, rest)| rest.split_once("WHY\n")).unwrap();
        let row = line(rows, label);
        assert!(row.contains(state) && row.contains(next), "{row}");
    }
    assert!(!text.contains("codes  6"), "what is done is not work: {text}");
    assert!(line(&text, "somewhere/77").contains("alive"), "{text}");
    assert!(text.contains("Fienta is slow") && text.contains("1/4"), "{text}");
}

#[tokio::test]
async fn the_json_of_status_is_one_object() {
    let scratch = one_of_each().await;
    let status = scratch.rowcall(&["status", "--json"]).json();
    let queue = &status["queues"][1];
    assert_eq!(queue["queue"], "codes");
    for state in ["asked", "running", "waiting", "failed", "unknown"] {
        assert_eq!(queue[state], 1, "{state}");
    }
    assert_eq!(status["work"][0]["state"], "unknown", "what needs a person comes first");
    assert_eq!(status["workers"][0]["host"], "somewhere");
}

#[tokio::test]
async fn a_database_without_the_schema_says_migrate() {
    let scratch = Scratch::empty().await;
    for arguments in [&["status"][..], &["history"], &["retry", "codes", "1"], &["pause", "codes", "--reason", "x"]] {
        let text = scratch.rowcall(arguments).refusal();
        assert!(text.contains("hint: run `rowcall migrate`"), "{arguments:?}: {text}");
    }
}

#[tokio::test]
async fn an_unreachable_database_says_where_to_look() {
    let scratch = Scratch::empty().await;
    let said: Said =
        scratch.command(&["status"]).env("DATABASE_URL", "postgres://u@127.0.0.1:1/x").output().unwrap().into();
    let text = said.refusal();
    assert!(text.contains("Connection refused") && text.contains("hint: DATABASE_URL"), "{text}");
    assert_eq!(text.matches("error connecting to server").count(), 1, "{text}");
}

#[tokio::test]
async fn watching_survives_a_lost_connection_and_ends_with_ctrl_c() {
    let scratch = Scratch::migrated().await;
    let mut watch = scratch.command(&["status", "--watch", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut until = |key: &str| loop {
        let seen: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        if !seen[key].is_null() {
            return;
        }
    };
    until("queues");
    let name = scratch.name();
    scratch.server_sql(&format!("alter database {name} allow_connections false")).await;
    scratch
        .server_sql(&format!("select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"))
        .await;
    until("error");
    scratch.server_sql(&format!("alter database {name} allow_connections true")).await;
    until("queues");
    kill(Pid::from_raw(i32::try_from(watch.id()).unwrap()), Signal::SIGINT).unwrap();
    assert_eq!(watch.wait().unwrap().code(), Some(0));
}

#[tokio::test]
async fn history_is_newest_last_and_can_be_narrowed() {
    let scratch = Scratch::migrated().await;
    scratch
        .sql(
            "insert into rowcall.attempts (queue, key, generation, attempt, settled_as, error, duration) values
                ('codes', '1', 1, 1, 'retry', 'Fienta is slow', '2 seconds'), ('codes', '2', 1, 1, 'done', null, '1.5 seconds'),
                ('codes', '1', 1, 2, 'done', null, '0.25 seconds')",
        )
        .await;
    let keys = |arguments: &[&str]| -> Vec<String> {
        let attempts = scratch.rowcall(&[&["history", "--json"], arguments].concat()).json();
        attempts.as_array().unwrap().iter().map(|a| a["key"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(keys(&[]), ["1", "2", "1"]);
    assert_eq!(keys(&["--limit", "2"]), ["2", "1"], "the newest two, newest last");
    assert_eq!(keys(&["--key", "1", "--queue", "codes"]), ["1", "1"]);
    assert!(keys(&["--queue", "nothing"]).is_empty());
    let text = scratch.rowcall(&["history"]).well();
    assert!(line(&text, "slow").contains("retry") && text.contains("250 ms") && text.contains("1.5 s"), "{text}");
}

#[tokio::test]
async fn retry_answers_for_every_state_of_a_row() {
    let scratch = one_of_each().await;
    for (key, answer) in [
        ("1", "ASKED is tried now\n"),
        ("2", "WAITS is tried now\n"),
        ("3", "RUNS is running; nothing to do\n"),
        ("4", "FAILED is asked for again\n"),
        ("5", "UNKNOWN is asked for again\n"),
    ] {
        assert_eq!(scratch.rowcall(&["retry", "codes", key]).well(), answer);
    }
    let text = scratch.rowcall(&["retry", "codes", "6"]).refusal();
    assert!(text.starts_with("rowcall: the code DONE is active: there is nothing to try again\n  hint: ask"), "{text}");
    let rows = "select string_agg(code || ' ' || status || ' ' || attempts, ', ' order by id) from public.codes where id in (2, 4, 5)";
    assert_eq!(scratch.text(rows).await, "WAITS creating 0, FAILED updating 0, UNKNOWN updating 0");
    let verified = "select (claim_token is not null)::text from public.codes where code = 'UNKNOWN'";
    assert_eq!(scratch.text(verified).await, "true", "what was unknown is verified before it is repeated");
}

#[tokio::test]
async fn retry_says_what_still_holds_the_row_up() {
    let scratch = one_of_each().await;
    scratch.sql("select rowcall.pause('codes', 'the site moves')").await;
    let retry = || scratch.rowcall(&["retry", "codes", "1"]).well();
    assert_eq!(retry(), "ASKED is tried now; but codes is paused: the site moves\n");
    scratch.sql("select rowcall.resume('codes'); delete from rowcall.workers").await;
    assert!(retry().contains("no live worker serves codes"), "{}", retry());
}

#[tokio::test]
async fn cancel_answers_for_every_state_of_a_row() {
    let scratch = one_of_each().await;
    scratch.sql("update public.codes set status = 'updating' where code = 'DONE'").await;
    for (key, answer) in [
        ("1", "ASKED is failed again\n"),
        ("3", "RUNS is failed again; an operation is running and may still take effect, history will tell\n"),
        ("6", "DONE is active again\n"),
    ] {
        assert_eq!(scratch.rowcall(&["cancel", "codes", key]).well(), answer);
    }
    for (key, complaint) in [("4", "the code FAILED is active"), ("5", "the code UNKNOWN is unknown")] {
        let text = scratch.rowcall(&["cancel", "codes", key]).refusal();
        assert!(text.starts_with(&format!("rowcall: {complaint}: there is nothing to cancel\n")), "{text}");
    }
    let text = scratch.rowcall(&["history"]).well();
    assert_eq!(text.matches("cancelled by ").count(), 3, "{text}");
}

#[tokio::test]
async fn a_row_or_queue_that_does_not_exist_gets_a_hint() {
    let scratch = one_of_each().await;
    for verb in ["retry", "cancel"] {
        let text = scratch.rowcall(&[verb, "codes", "FAILED"]).refusal();
        assert_eq!(text, "rowcall: codes has no row with the key FAILED\n  hint: the code FAILED has the key 4\n");
        let text = scratch.rowcall(&[verb, "codes", "999"]).refusal();
        assert!(text.contains("no row with the key 999\n  hint: the key is the row's id"), "{text}");
    }
    for arguments in
        [&["retry", "x", "1"][..], &["cancel", "x", "1"], &["pause", "x", "--reason", "y"], &["resume", "x"]]
    {
        let text = scratch.rowcall(arguments).refusal();
        let queues = "actions, codes, crm_orders, crm_sync_queue, fienta_checks, fluent_sync_status, fulfillment_logs, links, \
                      orders, organizations";
        assert_eq!(text, format!("rowcall: there is no queue x\n  hint: queues: {queues}\n"));
    }
}

#[tokio::test]
async fn a_paused_queue_says_why_until_it_goes_on() {
    let scratch = one_of_each().await;
    assert_eq!(
        scratch.rowcall(&["pause", "codes", "--reason", "the site moves"]).well(),
        "codes is paused: the site moves\n"
    );
    let text = scratch.rowcall(&["status"]).well();
    assert!(line(&text, "paused").contains("the site moves"), "{text}");
    assert_eq!(scratch.rowcall(&["resume", "codes"]).well(), "codes goes on\n");
    assert!(!scratch.rowcall(&["status"]).well().contains("the site moves"));
    let text = scratch.rowcall(&["pause", "codes", "--reason", " "]).refusal();
    assert!(text.contains("say why codes is paused\n  hint: the reason is shown"), "{text}");
}

#[test]
fn a_command_line_that_lacks_something_exits_2() {
    for arguments in
        [&["retry", "codes"][..], &["pause", "codes"], &["status", "--interval", "2"], &["history", "--limit", "0"]]
    {
        let output = Command::new(ROWCALL).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn completions_offer_what_a_person_runs_and_nothing_else() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output: Said = Command::new(ROWCALL).args(["completions", shell]).output().unwrap().into();
        let script = output.well();
        assert!(script.contains("doctor") && script.contains("resume") && !script.contains("guard"), "{shell}");
    }
}

#[tokio::test]
async fn the_copy_of_a_renamed_code_gets_identities_of_its_own() {
    let scratch = one_of_each().await;
    scratch
        .sql(
            "alter table public.codes add column serial bigint generated always as identity, add column note text;
             update public.codes set note = 'kept' where code = 'DONE';
             select rowcall.put_renamed_code(id, 'DONE2', metadata) from public.codes where code = 'DONE'",
        )
        .await;
    let copy = "select status || ' ' || note || ' ' || serial from public.codes where code = 'DONE2'";
    assert_eq!(scratch.text(copy).await, "active kept 7");
}
