//! Schedules: read while workers run, run at their times, once each, whoever takes them.

use std::time::Duration;

use jiff::Timestamp;
use rowcall::worker::Settings;

use crate::database::TestDatabase;
use crate::worker::{Scripted, TestWorker};

impl TestDatabase {
    /// A migrated database without the schedules that ship.
    pub(crate) async fn unscheduled() -> Self {
        let db = Self::new().await;
        db.run("delete from rowcall.schedules").await;
        db
    }

    /// A schedule that does not come by itself while a test runs, and the table in which its statement leaves a row.
    pub(crate) async fn schedule(&self, name: &str, statement: &str) {
        self.run(&format!(
            "create table if not exists effects (what text, at timestamptz default clock_timestamp());
             insert into rowcall.schedules (name, cron, statement) values ('{name}', '0 0 1 1 *', $it${statement}$it$)"
        ))
        .await;
        self.planned(name).await;
    }

    /// Waits until a worker has read it.
    pub(crate) async fn planned(&self, name: &str) {
        let planned = format!("(select planned = plan from rowcall.schedules where name = '{name}')");
        self.eventually("a worker has read the schedule", &planned).await;
    }

    /// Lets the time of every schedule come now.
    pub(crate) async fn tick(&self) {
        self.run("update rowcall.schedules set next_run_at = now()").await;
    }

    /// Waits until so many runs ended in this way.
    pub(crate) async fn ran(&self, status: &str, number: i64) {
        let condition = format!("(select count(*) = {number} from rowcall.schedule_runs where status = '{status}')");
        self.eventually(&format!("{number} runs are {status}"), &condition).await;
    }

    /// Every run in its order: schedule, status, what it told.
    pub(crate) async fn runs(&self) -> Vec<String> {
        self.all(
            "select format('%s %s: %s', schedule, status, coalesce(error, result, rows::text)) from rowcall.schedule_runs
             order by id",
        )
        .await
    }

    /// Waits until a run's session waits for the advisory lock that the test holds.
    pub(crate) async fn at_the_gate(&self) {
        self.eventually(
            "the statement waits at the gate",
            "exists (select from pg_locks where locktype = 'advisory' and objid = 77 and not granted
                 and database = (select oid from pg_database where datname = current_database()))",
        )
        .await;
    }

    pub(crate) async fn state(&self, name: &str) -> String {
        self.get(&format!("select state from rowcall.schedule_health where name = '{name}'")).await
    }
}

/// A statement that waits at a gate which the test holds shut, and leaves a row.
pub(crate) const GATED: &str = "insert into effects (what) values ('gated'); select pg_advisory_xact_lock(77)";
pub(crate) const SHUT: &str = "select pg_advisory_lock(77)";
pub(crate) const OPEN: &str = "select pg_advisory_unlock(77)";

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_run_every_time_once() {
    let db = TestDatabase::unscheduled().await;
    let _workers = [db.worker(Scripted::done()), db.worker(Scripted::done())];
    for nth in 1..=3 {
        db.schedule(&format!("s{nth}"), &format!("insert into effects (what) values ('s{nth}')")).await;
    }
    for round in 1..=10 {
        // The bell wakes both at the same moment.
        db.tick().await;
        db.ran("done", round * 3).await;
        db.eventually("all are planned", "not exists (select from rowcall.schedules where next_run_at is null)").await;
    }
    assert_eq!(db.get::<i64>("select count(*) from effects").await, 30);
    assert_eq!(db.get::<i64>("select count(*) from rowcall.schedule_runs").await, 30, "none was refused or doubled");
    assert_eq!(db.get::<i64>("select count(distinct worker) from rowcall.schedule_runs").await, 2, "both worked");
    let same = "select count(*) from (select from rowcall.schedule_runs group by schedule, scheduled_for having count(*) > 1) as t";
    assert_eq!(db.get::<i64>(same).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_while_no_worker_was_there_runs_once_or_not_at_all() {
    let db = TestDatabase::unscheduled().await;
    let worker = db.worker(Scripted::done());
    db.schedule("once", "insert into effects (what) values ('once')").await;
    db.schedule("skip", "insert into effects (what) values ('skip')").await;
    worker.stop().await;
    db.run(
        "update rowcall.schedules set missed = 'skip' where name = 'skip';
         update rowcall.schedules set cron = '* * * * *', planned = replace(planned, '0 0 1 1 *', '* * * * *');
         update rowcall.schedules set next_run_at = now() - interval '3 hours'",
    )
    .await;
    assert_eq!(db.state("once").await, "overdue");
    let _worker = db.worker(Scripted::done());
    db.ran("done", 1).await;
    db.ran("missed", 1).await;
    assert_eq!(db.all::<String>("select what from effects").await, ["once"], "once for 180 times");
    let told = "select error from rowcall.schedule_runs where status = 'missed'";
    assert_eq!(db.get::<String>(told).await, "left out: no worker began it within a minute of its time");
    db.eventually("they go on", "(select bool_and(next_run_at > now()) from rowcall.schedules)").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_that_comes_while_an_earlier_run_goes_on_is_refused() {
    let db = TestDatabase::unscheduled().await;
    let _workers = [db.worker(Scripted::done()), db.worker(Scripted::done())];
    db.schedule("slow", GATED).await;
    db.run(SHUT).await;
    db.tick().await;
    db.at_the_gate().await;
    assert_eq!(db.state("slow").await, "running");
    db.tick().await;
    db.ran("refused", 1).await;
    db.planned("slow").await;
    db.run(OPEN).await;
    db.ran("done", 1).await;
    let runs = db.runs().await;
    assert!(runs[1].starts_with("slow refused: not begun: the run that began at "), "{runs:?}");
    assert_eq!(db.get::<i64>("select count(*) from effects").await, 1);
    db.tick().await;
    db.ran("done", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_statement_holds_no_other_up() {
    let db = TestDatabase::unscheduled().await;
    let _worker = db.worker(Scripted::done());
    for nth in 1..=4 {
        db.schedule(&format!("slow{nth}"), GATED).await;
    }
    db.run(SHUT).await;
    db.tick().await;
    db.eventually("four wait", "(select count(*) = 4 from rowcall.schedule_runs where status = 'running')").await;
    db.at_the_gate().await;
    db.schedule("quick", "select 1").await;
    db.run("select rowcall.run_schedule('quick')").await;
    db.ran("done", 1).await;
    db.ask(1).await;
    db.all_ended().await;
    db.run(OPEN).await;
    db.ran("done", 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_runs_ten_at_a_time_and_the_others_as_they_end() {
    let db = TestDatabase::unscheduled().await;
    let _worker = db.worker(Scripted::done());
    for nth in 1..=12 {
        db.schedule(&format!("slow{nth}"), GATED).await;
    }
    db.run(SHUT).await;
    db.tick().await;
    db.eventually("ten wait", "(select count(*) = 10 from pg_locks where objid = 77 and not granted)").await;
    assert_eq!(db.get::<i64>("select count(*) from rowcall.schedule_runs").await, 10);
    db.run(OPEN).await;
    db.ran("done", 12).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_asked_for_runs_now_and_changes_no_time() {
    let db = TestDatabase::unscheduled().await;
    let worker = db.worker(Scripted::done());
    db.schedule("asked", GATED).await;
    let next: Timestamp = db.get("select next_run_at from rowcall.schedules").await;
    db.run(SHUT).await;
    assert_eq!(db.get::<String>("select rowcall.run_schedule('asked')").await, "asked runs now");
    db.at_the_gate().await;
    let refusal = db.refusal("select rowcall.run_schedule('asked')").await;
    assert!(refusal.contains("asked is running since") && refusal.contains("ask again when it has ended"), "{refusal}");
    db.run(OPEN).await;
    db.ran("done", 1).await;
    let run = "select scheduled_for is null and asked_by = current_user from rowcall.schedule_runs";
    assert!(db.get::<bool>(run).await);
    assert_eq!(db.get::<Timestamp>("select next_run_at from rowcall.schedules").await, next);
    worker.stop().await;
    let answer: String = db.get("select rowcall.run_schedule('asked')").await;
    assert_eq!(answer, "asked is asked to run; but no worker is alive: start one with rowcall run");
    let _worker = db.worker(Scripted::done());
    db.ran("done", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_somebody_holds_locked_holds_no_other_up() {
    let db = TestDatabase::unscheduled().await;
    let worker = db.worker(Scripted::done());
    db.schedule("held", "select 1").await;
    db.schedule("free", "select 1").await;
    worker.stop().await;
    db.run("update rowcall.schedules set cron = '@daily' where name = 'held'").await;
    let holder = db.connect().await;
    holder.batch_execute("begin; select from rowcall.schedules where name = 'held' for update").await.unwrap();
    let _worker = db.worker(Scripted::done());
    db.run("update rowcall.schedules set next_run_at = now() where name = 'free'").await;
    db.ran("done", 1).await;
    db.run("update rowcall.schedules set cron = '@weekly' where name = 'free'").await;
    db.planned("free").await;
    holder.batch_execute("commit").await.unwrap();
    db.planned("held").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_notifications_dropped_the_sweep_reads_what_was_edited() {
    let db = TestDatabase::unscheduled().await;
    let worker = TestWorker::start(Settings { sweep: Duration::from_secs(1), ..db.settings() }, Scripted::done());
    db.schedule("first", "select 1").await;
    db.run("set rowcall.quiet = 'on'").await;
    db.schedule("quiet", "select 1").await;
    db.run("update rowcall.schedules set next_run_at = now() where name = 'quiet'").await;
    db.ran("done", 1).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_past_their_time_go() {
    let db = TestDatabase::unscheduled().await;
    let _worker = TestWorker::start(Settings { sweep: Duration::from_secs(1), ..db.settings() }, Scripted::done());
    db.schedule("short", "select 1").await;
    db.schedule("long", "select 1").await;
    db.run(
        "update rowcall.schedules set runs_kept = '10 days' where name = 'short';
         insert into rowcall.schedule_runs (schedule_id, schedule, status, statement, atomic, timeout, token, worker,
             began_at, running_until, ended_at)
         select s.id, s.name, 'done', '', true, '1 minute', gen_random_uuid(), gen_random_uuid(), t.at, t.at, t.at
         from (select id, name from rowcall.schedules union all select 77, 'gone') as s (id, name)
         cross join (select now() - n * interval '1 day' - interval '1 hour' from generate_series(1, 60) as n) as t (at)",
    )
    .await;
    db.eventually(
        "what is kept is left",
        "(select array_agg(format('%s %s', k.schedule, k.number) order by k.schedule) = '{gone 29,long 29,short 9}'
          from (select schedule, count(*) as number from rowcall.schedule_runs group by schedule) as k)",
    )
    .await;
}

/// Another worker worked it out before the time came, and writes it down after: the time has come, and comes no second time.
#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_is_older_than_the_last_run_is_not_taken() {
    let db = TestDatabase::unscheduled().await;
    let store = db.store();
    db.run("insert into rowcall.schedules (name, cron, statement) values ('s', '* * * * *', 'select 1')").await;
    let unplanned = store.unplanned(false).await.unwrap().remove(0);
    let late: Timestamp = "2026-03-01T10:00:00Z".parse().unwrap();
    let next = "select coalesce(next_run_at at time zone 'utc', '-infinity')::text from rowcall.schedules";
    for (ticked_at, is_taken) in
        [("2026-03-01T10:00:00Z", false), ("2026-03-01T10:01:00Z", false), ("2026-03-01T09:59:00Z", true)]
    {
        db.run(&format!("update rowcall.schedules set planned = plan, next_run_at = null, ticked_at = '{ticked_at}'"))
            .await;
        let is_planned = store.plan(&[(unplanned.clone(), Ok(Some(late)))]).await.unwrap();
        let planned = if is_taken { "2026-03-01 10:00:00" } else { "-infinity" };
        assert_eq!((is_planned, db.get::<String>(next).await.as_str()), (is_taken, planned), "{ticked_at}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn times_that_came_before_a_new_schedule_was_read_are_made_up_for_once() {
    let db = TestDatabase::unscheduled().await;
    db.run(
        "create table effects (what text);
         insert into rowcall.schedules (name, cron, statement, missed, created_at)
         select m, '0 0 * * *', format('insert into effects values (%L)', m), m, now() - interval '3 days'
         from unnest('{once,skip}'::text[]) as m",
    )
    .await;
    let _worker = db.worker(Scripted::done());
    for name in ["once", "skip"] {
        db.planned(name).await;
    }
    db.ran("done", 1).await;
    assert_eq!(db.all::<String>("select what from effects").await, ["once"]);
    // What an edit would have had come is not made up for.
    db.run("update rowcall.schedules set cron = '1 0 * * *', ticked_at = now() - interval '2 days'").await;
    for name in ["once", "skip"] {
        db.planned(name).await;
    }
    let ahead = "select bool_and(next_run_at > now())::text from rowcall.schedules";
    assert_eq!(db.get::<String>(ahead).await, "true");
}
