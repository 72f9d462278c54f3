//! The times of schedules: worked out by a worker from what stands on the row now, in its zone, or told as a problem.

use jiff::Timestamp;

use crate::database::{TestDatabase, refusal};
use crate::worker::Scripted;

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_is_read_at_once_and_comes_by_its_zone() {
    let db = TestDatabase::unscheduled().await;
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
    let db = TestDatabase::unscheduled().await;
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
async fn a_schedule_is_edited_while_workers_run() {
    let db = TestDatabase::unscheduled().await;
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
    let db = TestDatabase::unscheduled().await;
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
    let db = TestDatabase::unscheduled().await;
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
    let db = TestDatabase::unscheduled().await;
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
    let db = TestDatabase::unscheduled().await;
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
