//! Schedules: read while workers run, run at their times, once each, whoever takes them.

use std::time::Duration;

use jiff::Timestamp;
use rowcall::worker::Settings;

use crate::database::{TestDatabase, refusal};
use crate::worker::{Scripted, TestWorker};

impl TestDatabase {
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
async fn a_schedule_is_read_at_once_and_comes_by_its_zone() {
    let db = TestDatabase::new().await;
    let _worker = db.worker(Scripted::done());
    db.run(
        "insert into rowcall.schedules (name, cron, time_zone, statement)
         values ('night', '30 2 * * *', 'Europe/Berlin', 'select 1'), ('noon', '0 12 * * *', 'Asia/Tokyo', 'select 1')",
    )
    .await;
    db.planned("night").await;
    db.planned("noon").await;
    // What Postgres makes of it; on a night without a change of the clock it is the same.
    let shown = "select string_agg(to_char(next_run_at at time zone time_zone, 'HH24:MI:SS'), ' ' order by name)
        from rowcall.schedules";
    assert!(["02:30:00 12:00:00", "03:00:00 12:00:00"].contains(&db.get::<String>(shown).await.as_str()));
    assert!(
        db.get::<bool>(
            "select bool_and(next_run_at > now() and next_run_at <= now() + '25 hours') from rowcall.schedules"
        )
        .await
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_night_on_which_the_clock_changes_has_one_half_past_two() {
    let db = TestDatabase::new().await;
    let _worker = db.worker(Scripted::done());
    db.run(
        "insert into rowcall.schedules (name, cron, time_zone, statement)
         values ('night', '30 2 * * *', 'Europe/Berlin', 'select 1')",
    )
    .await;
    // In 2090, Berlin leaves 02:00 to 03:00 out on 26 March, and repeats it on 29 October; both changes are at 01:00 UTC.
    for (last, next) in [
        ("2090-03-25T01:30:00Z", "2090-03-26T01:00:00Z"),
        ("2090-03-26T01:00:00Z", "2090-03-27T00:30:00Z"),
        ("2090-10-28T00:30:00Z", "2090-10-29T00:30:00Z"),
        ("2090-10-29T00:30:00Z", "2090-10-30T01:30:00Z"),
    ] {
        db.run(&format!("update rowcall.schedules set ticked_at = '{last}', planned = null")).await;
        db.run("select rowcall.sweep_now()").await;
        db.planned("night").await;
        let found: Timestamp = db.get("select next_run_at from rowcall.schedules").await;
        assert_eq!(found.to_string(), next, "after {last}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_run_every_time_once() {
    let db = TestDatabase::new().await;
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
    let db = TestDatabase::new().await;
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
    let db = TestDatabase::new().await;
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
    let db = TestDatabase::new().await;
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
    let db = TestDatabase::new().await;
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
async fn a_schedule_is_edited_while_workers_run() {
    let db = TestDatabase::new().await;
    let _worker = db.worker(Scripted::done());
    db.schedule("edited", "select 'before'").await;
    let is_next = |shown: &str| {
        format!(
            "(select planned = plan and to_char(next_run_at at time zone time_zone, 'MM-DD HH24:MI') = '{shown}' from rowcall.schedules)"
        )
    };
    db.eventually("as it was made", &is_next("01-01 00:00")).await;
    db.run("update rowcall.schedules set cron = '15 4 24 12 *'").await;
    db.eventually("another time", &is_next("12-24 04:15")).await;
    let utc: Timestamp = db.get("select next_run_at from rowcall.schedules").await;
    db.run("update rowcall.schedules set time_zone = 'America/New_York'").await;
    db.eventually("another zone", &is_next("12-24 04:15")).await;
    let new_york: Timestamp = db.get("select next_run_at from rowcall.schedules").await;
    assert_eq!(utc.duration_until(new_york).as_hours(), 5);
    db.run("update rowcall.schedules set statement = $$select 'after'$$").await;
    db.tick().await;
    db.ran("done", 1).await;
    assert_eq!(db.runs().await, ["edited done: after"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_of_a_text_that_was_changed_does_not_come_any_more() {
    let db = TestDatabase::new().await;
    let worker = db.worker(Scripted::done());
    db.schedule("edited", "select 1").await;
    db.schedule("left", "select 1").await;
    worker.stop().await;
    // As after a restore, where no trigger fires.
    db.run(
        "set session_replication_role = replica;
         update rowcall.schedules set next_run_at = now() - interval '1 second';
         update rowcall.schedules set cron = '@yearly' where name = 'edited'",
    )
    .await;
    let _worker = db.worker(Scripted::done());
    db.ran("done", 1).await;
    db.planned("edited").await;
    assert_eq!(db.runs().await, ["left done: 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_told_on_its_row_and_stops_nothing() {
    let db = TestDatabase::new().await;
    let _worker = db.worker(Scripted::done());
    db.schedule("good", "insert into effects (what) values ('good')").await;
    for (cron, zone, told) in [
        ("61 * * * *", "UTC", "\"61 * * * *\" cannot be read"),
        ("every day", "UTC", "five fields"),
        ("0 0 0 * * *", "UTC", "five fields"),
        ("0 0 30 2 *", "UTC", "never comes"),
        ("0 2 * * *", "Mars/Olympus", "there is no time zone \"Mars/Olympus\""),
    ] {
        db.run(&format!(
            "insert into rowcall.schedules (name, cron, time_zone, statement) values ('bad', '{cron}', '{zone}', 'select 1')
             on conflict (name) do update set cron = excluded.cron, time_zone = excluded.time_zone"
        ))
        .await;
        db.planned("bad").await;
        let bad = "from rowcall.schedules where name = 'bad'";
        let problem: String = db.get(&format!("select problem {bad}")).await;
        assert!(problem.contains(told), "{cron} {zone}: {problem}");
        assert!(db.get::<bool>(&format!("select next_run_at is null {bad}")).await);
        assert_eq!(db.state("bad").await, "broken");
    }
    db.run("select rowcall.run_schedule('good')").await;
    db.ran("done", 1).await;
    // It can be run by hand all the same, and goes on when it is mended.
    db.run("select rowcall.run_schedule('bad')").await;
    db.ran("done", 2).await;
    db.run("update rowcall.schedules set cron = '@daily', time_zone = 'UTC' where name = 'bad'").await;
    db.eventually(
        "it is mended",
        "(select problem is null and next_run_at > now() from rowcall.schedules where name = 'bad')",
    )
    .await;
    assert_eq!(db.state("bad").await, "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_at_all_is_refused_at_once() {
    let db = TestDatabase::new().await;
    let insert = |columns: &str, values: &str| {
        format!("insert into rowcall.schedules (name, cron, statement{columns}) values ({values})")
    };
    for (columns, values, constraint) in [
        ("", "'a', '', 'select 1'", "schedules_texts_are_there"),
        ("", "' a', '@daily', 'select 1'", "schedules_texts_are_there"),
        ("", "'a', '@daily', '  '", "schedules_texts_are_there"),
        (", missed", "'a', '@daily', 'select 1', 'twice'", "schedules_missed_is_known"),
        (", timeout", "'a', '@daily', 'select 1', '0'", "schedules_timeout_is_possible"),
        (", timeout", "'a', '@daily', 'select 1', '1 year'", "schedules_timeout_is_possible"),
        (", next_run_at", "'a', '@daily', 'select 1', 'infinity'", "schedules_times_are_finite"),
        (", planned, plan", "'a', '@daily', 'select 1', 'x', 'x'", "plan"),
    ] {
        let refusal = refusal(&db.client, &insert(columns, values)).await;
        assert!(refusal.contains(constraint), "{refusal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_schedule_rests_and_goes_on_with_the_next_of_its_times() {
    let db = TestDatabase::new().await;
    let worker = db.worker(Scripted::done());
    db.schedule("resting", "select 1").await;
    db.run("select rowcall.pause_schedule('resting', 'the books are closed')").await;
    db.planned("resting").await;
    assert!(db.get::<bool>("select next_run_at is null from rowcall.schedules").await);
    db.tick().await;
    db.schedule("other", "select 1").await;
    db.run("select rowcall.run_schedule('other')").await;
    db.ran("done", 1).await;
    assert_eq!(db.state("resting").await, "paused");
    // Whoever asks for it gets it.
    db.run("select rowcall.run_schedule('resting')").await;
    db.ran("done", 2).await;
    // However it is woken, and with no worker there: what passed by is not made up for.
    worker.stop().await;
    db.run(
        "update rowcall.schedules set paused = false, next_run_at = now() - interval '1 day' where name = 'resting'",
    )
    .await;
    let _worker = db.worker(Scripted::done());
    db.planned("resting").await;
    assert!(db.get::<bool>("select next_run_at > now() from rowcall.schedules where name = 'resting'").await);
    assert_eq!(db.get::<i64>("select count(*) from rowcall.schedule_runs").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_asked_for_runs_now_and_changes_no_time() {
    let db = TestDatabase::new().await;
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
    let db = TestDatabase::new().await;
    let _worker = db.worker(Scripted::done());
    db.schedule("held", "select 1").await;
    db.schedule("free", "select 1").await;
    let holder = db.connect().await;
    holder
        .batch_execute(
            "update rowcall.schedules set cron = '@daily', planned = null where name = 'held'; begin;
            select from rowcall.schedules where name = 'held' for update",
        )
        .await
        .unwrap();
    db.run("update rowcall.schedules set next_run_at = now() where name = 'free'").await;
    db.ran("done", 1).await;
    db.run("update rowcall.schedules set cron = '@weekly' where name = 'free'").await;
    db.planned("free").await;
    holder.batch_execute("commit").await.unwrap();
    db.planned("held").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_notifications_dropped_the_sweep_reads_what_was_edited() {
    let db = TestDatabase::new().await;
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
    let db = TestDatabase::new().await;
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
