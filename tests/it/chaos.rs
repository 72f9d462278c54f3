//! Chaos: many rows, several workers, and somebody who kills; the fake's own log says what really happened.

use nix::sys::signal::Signal;

use crate::binary::Binary;
use crate::database::TestDatabase;
use crate::fake::Fake;
use crate::process::eventually;
use crate::worker::Scripted;

fn codes(number: usize) -> Vec<String> {
    let mut codes: Vec<String> = (1..=number).map(|n| format!("CODE-{n}")).collect();
    codes.sort();
    codes
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_execute_five_thousand_rows_once_each() {
    let (db, fake) = (TestDatabase::new().await, Fake::new());
    db.fast().await;
    let _workers = [Binary::start(&db, &fake).await, Binary::start(&db, &fake).await];
    db.ask(5000).await;
    let patience = std::time::Duration::from_mins(4);
    db.within(patience, "all is done", "not exists (select from codes where status = 'creating')").await;
    assert_eq!(fake.runs().len(), 5000, "every row was run once");
    assert_eq!(fake.codes_changed(), codes(5000), "and took effect once");
    assert_eq!(db.settled_as("done").await, 5000);
    assert_eq!(db.get::<i64>("select count(distinct worker) from rowcall.attempts").await, 2, "both worked");
    assert_eq!(db.get::<i64>("select count(*) from codes where status <> 'active' or attempts <> 0").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_killed_with_9_in_the_middle_leave_nothing_undone_and_nothing_done_twice() {
    let (db, fake) = (TestDatabase::new().await, Fake::new());
    db.fast().await;
    fake.fault(&["slow", "--seconds", "1", "--times", "24"]);
    let first = [Binary::start(&db, &fake).await, Binary::start(&db, &fake).await];
    db.ask(120).await;
    eventually("some runs", || (fake.runs().len() >= 20).then_some(())).await;
    for worker in &first {
        worker.signal(Signal::SIGKILL);
    }
    // What they had sent before they died is still carried out.
    db.eventually(
        "their statements have ended",
        "not exists (select from pg_stat_activity
             where datname = current_database() and state = 'active' and pid <> pg_backend_pid())",
    )
    .await;
    db.run("create table cut as select id from codes where claimed_by is not null").await;
    // They are dead; nobody waits here for the 15 s that another test measures.
    db.run("update rowcall.workers set heartbeat_at = now() - interval '1 minute'").await;
    let _heirs = [Binary::start(&db, &fake).await, Binary::start(&db, &fake).await];
    db.all_ended().await;
    assert_eq!(fake.codes_changed(), codes(120), "each took effect once");
    assert_eq!(db.get::<i64>("select count(*) from codes where status = 'active'").await, 120);
    let cut: i64 = db.get("select count(*) from cut").await;
    assert!(cut >= 8, "{cut} rows were cut off");
    assert_eq!(db.settled_as("lost").await, cut, "each of them counted once");
    let lists = fake.runs().iter().filter(|verb| *verb == "list").count();
    assert!(lists >= usize::try_from(cut).unwrap(), "each of them was read back: {lists} of {cut}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cuts_every_connection_again_and_again_loses_and_doubles_nothing() {
    let db = TestDatabase::new().await;
    db.fast().await;
    let scripted = Scripted::done();
    let _workers = [db.worker(scripted.clone()), db.worker(scripted.clone())];
    db.run("update rowcall.queues set rate_per_second = 150, slots = 50, batch = 7").await;
    db.run("create table progress (done bigint)").await;
    db.eventually("both workers are known", "(select count(*) = 2 from rowcall.workers)").await;
    db.ask(600).await;
    let mut cuts = 0;
    while db.get::<bool>("select exists (select from codes where status = 'creating')").await {
        cuts += db.cut("%").await;
        db.eventually(
            "some more is done",
            "(select count(*) from rowcall.attempts) > coalesce((select max(done) from progress), 0) + 60
                 or not exists (select from codes where status = 'creating')",
        )
        .await;
        db.run("insert into progress select count(*) from rowcall.attempts").await;
    }
    assert!(cuts >= 20, "{cuts} connections were cut");
    assert_eq!(db.get::<i64>("select count(*) from codes where status = 'active' and attempts = 0").await, 600);
    let seen = scripted.seen();
    let executed: std::collections::HashSet<_> = seen.iter().map(|s| &s.key).collect();
    assert_eq!((executed.len(), seen.len()), (600, 600), "exactly once each");
    assert_eq!(db.settled_as("done").await, 600);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_who_change_their_minds_while_workers_run_get_what_they_asked_for_last() {
    let db = TestDatabase::new().await;
    db.fast().await;
    db.active(100).await;
    let scripted = Scripted::done();
    let _workers = [db.worker(scripted.clone()), db.worker(scripted.clone())];
    for round in 1..=10 {
        db.run(&format!("update codes set status = 'updating', metadata = '{{\"new_max_uses\": {round}}}' where id % 3 <> {round} % 3")).await;
    }
    db.run("update codes set status = 'updating', metadata = '{\"new_max_uses\": 99}'").await;
    db.all_ended().await;
    let last = "select count(*) from codes where status = 'active' and metadata -> 'max_uses' = '99'";
    assert_eq!(db.get::<i64>(last).await, 100);
    let done_once = "select count(*) from (select key, generation from rowcall.attempts where settled_as = 'done'
         group by key, generation having count(*) > 1) as twice";
    assert_eq!(db.get::<i64>(done_once).await, 0, "no request was executed twice");
}
