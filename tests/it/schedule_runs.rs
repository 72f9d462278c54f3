//! Runs of schedules: what a statement may do, what is told of it, and what is left when somebody dies in the middle.

use std::time::Duration;

use nix::sys::signal::Signal;
use rowcall::store::schedules::{End, Run};
use rowcall::worker::Settings;
use uuid::Uuid;

use crate::binary::Binary;
use crate::database::TestDatabase;
use crate::fake::Fake;
use crate::schedules::{GATED, OPEN, SHUT};
use crate::worker::{Scripted, TestWorker};

/// Runs a statement once, with these settings of its row, and tells its run.
async fn run_once(db: &TestDatabase, settings: &str, statement: &str) -> String {
    db.run("delete from rowcall.schedules; delete from rowcall.schedule_runs").await;
    db.schedule("it", statement).await;
    if !settings.is_empty() {
        db.run(&format!("update rowcall.schedules set {settings}")).await;
    }
    db.run("select rowcall.run_schedule('it')").await;
    let ended = "(select count(*) = 1 from rowcall.schedule_runs where status <> 'running')";
    db.eventually("the run has ended", ended).await;
    let [told] = <[String; 1]>::try_from(db.runs().await).unwrap();
    told.strip_prefix("it ").unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_tells_what_its_statement_answered() {
    let db = TestDatabase::unscheduled().await;
    let _worker = db.worker(Scripted::done());
    db.run("create table numbers as select n from generate_series(1, 7) as n").await;
    for (statement, told) in [
        ("select count(*) from numbers", "done: 7"),
        ("select 3 as queued, null as skipped, 'a b' as note", "done: queued=3, skipped=null, note=a b"),
        ("select n from numbers order by n", "done: 1"),
        ("delete from numbers where n > 5", "done: 2"),
        ("update numbers set n = n; insert into numbers values (8), (9), (10);", "done: 3"),
        ("create table made (); drop table made", "done: 0"),
        ("select repeat('ab', 100000)", "done: abab"),
        ("-- nothing at all", "done: "),
    ] {
        let found = run_once(&db, "", statement).await;
        assert!(found.starts_with(told) && found.chars().count() < 520, "{statement}: {found}");
    }
    assert_eq!(run_once(&db, "", "select n from numbers").await, "done: 1");
    assert_eq!(db.get::<i64>("select rows from rowcall.schedule_runs").await, 8, "of them all");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_run_says_why_and_leaves_nothing() {
    let db = TestDatabase::unscheduled().await;
    let _worker = db.worker(Scripted::done());
    db.run("create table keys (key text primary key); insert into keys values ('taken')").await;
    for (statement, told) in [
        ("insert into effects values ('x'); select 1 / 0", "failed: division by zero (SQLSTATE 22012)"),
        (
            "insert into effects values ('x'); insert into keys values ('taken')",
            "(SQLSTATE 23505); detail: Key (key)=(taken) already exists.",
        ),
        ("select * from nothing", "(SQLSTATE 42P01)"),
        ("insert into effects values ('x'); vacuum keys", "VACUUM cannot run inside a transaction block"),
        ("insert into effects values ('x'); copy keys from stdin", "failed: "),
        ("insert into effects values ('x'); set transaction read only", "read-only transaction"),
    ] {
        let found = run_once(&db, "", statement).await;
        assert!(found.starts_with("failed: ") && found.contains(told), "{statement}: {found}");
        assert_eq!(db.state("it").await, "failing");
    }
    assert_eq!(db.get::<i64>("select count(*) from effects").await, 0);
    assert_eq!(run_once(&db, "", "select 1").await, "done: 1");
    assert_eq!(db.state("it").await, "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_statement_says_is_not_logged() {
    let (db, fake) = (TestDatabase::unscheduled().await, Fake::new());
    let worker = Binary::start_with(&db, &fake, &[("RUST_LOG", "trace,tokio_postgres=trace")]).await;
    for statement in
        ["select 'hush'", "do $x$ begin raise exception 'hush'; end $x$", "do $x$ begin raise warning 'hush'; end $x$"]
    {
        run_once(&db, "", statement).await;
    }
    worker.logged("A schedule failed").await;
    assert!(worker.log().contains("A schedule ran") && !worker.log().contains("hush"), "{}", worker.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_transaction_may_hold_runs_without_one() {
    let db = TestDatabase::unscheduled().await;
    let _worker = db.worker(Scripted::done());
    db.run(
        "create table effects (what text, at timestamptz default clock_timestamp());
         create procedure in_steps() language plpgsql as
         'begin insert into effects values (1); commit; insert into effects values (2); end'",
    )
    .await;
    assert_eq!(run_once(&db, "atomic = false", "vacuum effects").await, "done: 0");
    assert_eq!(run_once(&db, "atomic = false", "call in_steps()").await, "done: 0");
    assert_eq!(db.get::<i64>("select count(*) from effects").await, 2);
    let found =
        run_once(&db, "atomic = true", "insert into effects values (3); commit; insert into effects values (4)").await;
    assert!(found.starts_with("failed: it ended its own transaction"), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_takes_no_longer_than_its_timeout() {
    let db = TestDatabase::unscheduled().await;
    let _worker = db.worker(Scripted::done());
    for statement in [
        "insert into effects values ('x'); select pg_sleep(60)",
        // Each part is short; the whole is not.
        &format!("insert into effects values ('x'); {}", "select pg_sleep(0.5);".repeat(100)),
        "insert into effects values ('x'); set statement_timeout = 0; select pg_sleep(60)",
    ] {
        let found = run_once(&db, "timeout = '1 second'", statement).await;
        assert!(found.contains("longer than its timeout of 1 s and was ended"), "{found}");
        let took: f64 =
            db.get("select extract(epoch from ended_at - began_at)::float8 from rowcall.schedule_runs").await;
        assert!(took < 30.0, "{took}");
    }
    assert_eq!(db.get::<i64>("select count(*) from effects").await, 0);
    db.eventually(
        "its sessions are gone",
        "not exists (select from pg_stat_activity where datname = current_database() and query like '%pg_sleep(60)%' and pid <> pg_backend_pid())",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_statement_sets_outlives_it() {
    let db = TestDatabase::unscheduled().await;
    let _worker = db.worker(Scripted::done());
    let sets = "set search_path = nowhere; create temp table effects (x int); set role pg_monitor; select pg_advisory_lock(78)";
    assert!(run_once(&db, "", sets).await.starts_with("done: "));
    let shown = "select current_setting('search_path') || ' ' || current_user || ' ' || pg_try_advisory_lock(78)";
    let expected = format!("done: \"$user\", public {} true", db.get::<String>("select current_user::text").await);
    assert_eq!(run_once(&db, "", shown).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_with_9_in_the_middle_leaves_a_lost_run_and_no_effect() {
    let (db, fake) = (TestDatabase::unscheduled().await, Fake::new());
    let mut dying = Binary::start(&db, &fake).await;
    db.schedule("cut", GATED).await;
    db.run(SHUT).await;
    db.tick().await;
    db.at_the_gate().await;
    let _heir = Binary::start(&db, &fake).await;
    dying.signal(Signal::SIGKILL);
    dying.ended().await;
    // Nobody waits here for the 15 s that another test measures; the heir sees it with its next beat.
    db.run("update rowcall.workers set heartbeat_at = now() - interval '1 minute' where id = (select worker from rowcall.schedule_runs)").await;
    db.ran("lost", 1).await;
    assert_eq!(db.runs().await, ["cut lost: cut off: its worker died; nothing of it took effect"]);
    // The gate is still shut: the heir ended the session that nobody waits for.
    db.eventually("its session is ended", "not exists (select from pg_locks where objid = 77 and not granted)").await;
    db.planned("cut").await;
    db.run(OPEN).await;
    db.eventually("the next time is known", "(select next_run_at > now() from rowcall.schedules)").await;
    assert_eq!(db.get::<i64>("select count(*) from effects").await, 0);
    assert_eq!(
        db.get::<i64>("select count(*) from rowcall.schedule_runs").await,
        1,
        "its time was run once, and is over"
    );
    assert_eq!(db.state("cut").await, "failing");
    db.tick().await;
    db.ran("done", 1).await;
    assert_eq!(db.get::<i64>("select count(*) from effects").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_stopped_and_wakes_changes_nothing() {
    let (db, fake) = (TestDatabase::unscheduled().await, Fake::new());
    let zombie = Binary::start(&db, &fake).await;
    db.schedule("cut", GATED).await;
    db.run(SHUT).await;
    db.tick().await;
    db.at_the_gate().await;
    zombie.signal(Signal::SIGSTOP);
    db.run("update rowcall.workers set heartbeat_at = now() - interval '1 minute'").await;
    let _heir = Binary::start(&db, &fake).await;
    db.ran("lost", 1).await;
    db.run(OPEN).await;
    zombie.signal(Signal::SIGCONT);
    zombie.logged("came too late to count").await;
    assert_eq!(db.get::<i64>("select count(*) from effects").await, 0);
    assert_eq!(db.runs().await, ["cut lost: cut off: its worker died; nothing of it took effect"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_that_comes_after_the_run_was_lost_is_rolled_back() {
    let db = TestDatabase::unscheduled().await;
    let worker = db.worker(Scripted::done());
    db.schedule("cut", GATED).await;
    db.run(SHUT).await;
    db.tick().await;
    db.at_the_gate().await;
    // As if somebody had found its worker dead, and could not end its session.
    db.run("update rowcall.schedule_runs set status = 'lost', ended_at = now()").await;
    db.run(OPEN).await;
    db.eventually("its session is gone", "not exists (select from pg_stat_activity where application_name like 'rowcall run %' and datname = current_database())").await;
    worker.stop().await;
    assert_eq!(db.get::<i64>("select count(*) from effects").await, 0);
    assert_eq!(db.get::<String>("select status from rowcall.schedule_runs").await, "lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_the_server_ends_is_a_failed_run_without_effect() {
    let db = TestDatabase::unscheduled().await;
    let _worker = db.worker(Scripted::done());
    db.schedule("cut", GATED).await;
    db.run(SHUT).await;
    db.tick().await;
    db.at_the_gate().await;
    db.run("select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'rowcall run %' and datname = current_database()").await;
    db.ran("failed", 1).await;
    let told = db.runs().await;
    assert!(told[0].contains("terminating connection due to administrator command"), "{told:?}");
    db.run(OPEN).await;
    assert_eq!(db.get::<i64>("select count(*) from effects").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_interrupts_a_long_run_and_another_worker_makes_up_for_it() {
    let db = TestDatabase::unscheduled().await;
    // What still runs ten seconds before the end of the grace is interrupted.
    let settings = || Settings { grace: Duration::from_secs(11), ..db.settings() };
    let worker = TestWorker::start(settings(), Scripted::done());
    db.schedule("long", GATED).await;
    db.schedule("skipped", GATED).await;
    db.run("update rowcall.schedules set missed = 'skip' where name = 'skipped'").await;
    db.run(SHUT).await;
    db.tick().await;
    db.eventually("both run", "(select count(*) = 2 from pg_locks where objid = 77 and not granted)").await;
    worker.stop().await;
    db.ran("interrupted", 2).await;
    let told = "its worker had to stop; nothing of it took effect";
    assert_eq!(
        db.all::<String>("select schedule || ': ' || error from rowcall.schedule_runs order by schedule").await,
        [format!("long: {told}"), format!("skipped: {told}")]
    );
    db.run(OPEN).await;
    let _heir = TestWorker::start(settings(), Scripted::done());
    db.ran("done", 1).await;
    let same =
        "select count(*) = 2 and count(distinct scheduled_for) = 1 from rowcall.schedule_runs where schedule = 'long'";
    assert!(db.get::<bool>(same).await, "it ran for the time that was interrupted");
    assert_eq!(db.get::<i64>("select count(*) from effects").await, 1);
    db.eventually("both go on", "(select bool_and(next_run_at > now()) from rowcall.schedules)").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cuts_every_connection_again_and_again_doubles_no_effect() {
    let db = TestDatabase::unscheduled().await;
    let _workers = [db.worker(Scripted::done()), db.worker(Scripted::done())];
    for nth in 1..=3 {
        db.schedule(&format!("s{nth}"), "insert into effects (what) values ('x'); select pg_sleep(0.05)").await;
    }
    let mut cuts = 0_i64;
    for round in 1..=8 {
        db.tick().await;
        cuts += db
            .get::<i64>(
                "select count(*) filter (where pg_terminate_backend(pid)) from pg_stat_activity
                 where datname = current_database() and application_name like 'rowcall%'",
            )
            .await;
        let is_over = format!(
            "(select count(*) >= 3 * {round} from rowcall.schedule_runs where status <> 'running')
             and not exists (select from rowcall.schedules where next_run_at is null)"
        );
        db.eventually("every time has come", &is_over).await;
    }
    assert!(cuts >= 8, "{cuts}");
    let effects: i64 = db.get("select count(*) from effects").await;
    assert_eq!(db.get::<i64>("select count(*) from rowcall.schedule_runs where status = 'done'").await, effects);
    assert_eq!(db.get::<i64>("select count(*) from rowcall.schedule_runs").await, 24, "one run a time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_whose_answer_was_lost_is_repeated_and_gives_the_same_runs() {
    let db = TestDatabase::unscheduled().await;
    let store = db.store();
    db.run(
        "insert into rowcall.schedules (name, cron, statement, planned, next_run_at)
         select 's' || n, '@daily', 'select 1', '@daily in UTC', now() - interval '1 second' from generate_series(1, 3) as n
         union all
         select 'edited', '@daily', 'select 1', '@hourly in UTC', now() - interval '1 minute'",
    )
    .await;
    let (worker, token) = (Uuid::new_v4(), Uuid::new_v4());
    let ids = |runs: &[Run]| runs.iter().map(|run| run.id).collect::<Vec<_>>();
    let first = store.claim_runs(2, worker, token).await.unwrap();
    let again = store.claim_runs(2, worker, token).await.unwrap();
    assert_eq!((first.runs.len(), ids(&first.runs)), (2, ids(&again.runs)));
    let other = store.claim_runs(2, worker, Uuid::new_v4()).await.unwrap();
    assert_eq!(other.runs.len(), 1, "the third, and none for a time that was worked out of another text");
    // The token is the fence.
    let stolen = Run { token: Uuid::new_v4(), ..first.runs[0].clone() };
    assert!(!store.settle_run(&stolen, &End::Failed("no".to_owned())).await.unwrap());
    assert!(store.settle_run(&first.runs[0], &End::Failed("no".to_owned())).await.unwrap());
    assert!(!store.settle_run(&first.runs[0], &End::Failed("twice".to_owned())).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_claims_a_schedule_has_one_run_at_a_time() {
    let db = TestDatabase::unscheduled().await;
    db.schedule_row("'@daily in UTC', now()").await;
    let running = "insert into rowcall.schedule_runs (schedule_id, schedule, status, statement, atomic, timeout, token, worker, running_until)
        select id, name, 'running', statement, atomic, timeout, gen_random_uuid(), gen_random_uuid(), now() + interval '1 hour' from rowcall.schedules";
    db.run(running).await;
    assert!(db.refusal(running).await.contains("schedule_runs_running_key"));
    // Not even a claim whose snapshot is older than the other run begins a second one; the time is not lost either.
    let other = db.connect().await;
    db.run("delete from rowcall.schedule_runs").await;
    other.batch_execute(&format!("begin; {running}")).await.unwrap();
    let store = db.store();
    let claim = tokio::spawn(async move { store.claim_runs(5, Uuid::new_v4(), Uuid::new_v4()).await.unwrap() });
    db.eventually("the claim waits for the other's run", "exists (select from pg_stat_activity where wait_event_type = 'Lock' and query like '-- Takes up to%' and datname = current_database())").await;
    other.batch_execute("commit").await.unwrap();
    let taken = claim.await.unwrap();
    assert!(taken.runs.is_empty() && taken.passed.is_empty(), "{taken:?}");
    assert!(db.get::<bool>("select next_run_at is not null from rowcall.schedules").await);
}

impl TestDatabase {
    /// A schedule as a worker has planned it, without a worker.
    async fn schedule_row(&self, planned: &str) {
        self.run(&format!(
            "insert into rowcall.schedules (name, cron, statement, planned, next_run_at)
             values ('it', '@daily', 'select 1', {planned})"
        ))
        .await;
    }
}
