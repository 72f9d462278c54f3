//! The ring: one hint a transaction, and nothing that a user's transaction could notice.

use crate::database::{self, Ear, TestDatabase};
use crate::worker::Scripted;

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_asks_for_ten_thousand_codes_rings_once() {
    let db = TestDatabase::new().await;
    db.active(10_000).await;
    let ear = Ear::on(&db).await;
    let user = db.connect().await;
    let all =
        async |sql: &str| -> Vec<String> { user.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect() };
    database::run(&user, "begin; update codes set status = 'updating', metadata = '{\"new_max_uses\": 5}'").await;

    // What the user's transaction wrote, and what it holds.
    let written = "select relname || ' ' || n_tup_ins || ' ' || n_tup_upd || ' ' || n_tup_del
         from pg_stat_xact_user_tables where n_tup_ins + n_tup_upd + n_tup_del > 0";
    assert_eq!(all(written).await, ["codes 0 10000 0"], "each row once, and nothing else");
    let held = "select l.locktype || ' ' || coalesce(c.relname, '') || ' ' || l.mode from pg_locks as l
         left join pg_class as c on c.oid = l.relation and l.database = (select oid from pg_database where datname = current_database())
         where l.pid = pg_backend_pid()
           and (l.locktype = 'advisory' or c.relnamespace = 'rowcall'::regnamespace)";
    assert_eq!(all(held).await, Vec::<String>::new(), "no lock on anything of rowcall's");
    let scans = "select coalesce(sum(seq_scan + coalesce(idx_scan, 0)), 0)::bigint from pg_stat_xact_user_tables
         where schemaname = 'rowcall'";
    assert_eq!(database::get::<i64>(&user, scans).await, 0, "no table of rowcall's is even read");
    assert_eq!(ear.heard().await, Vec::<String>::new(), "nothing rings before the commit");

    database::run(&user, "commit").await;
    assert_eq!(ear.heard().await, ["codes"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_not_kept_waiting_by_a_running_worker() {
    let db = TestDatabase::new().await;
    db.fast().await;
    let held = Scripted::held();
    let _worker = db.worker(held.clone());
    db.ask(8).await;
    held.begun(8).await;
    // Every row is claimed and runs: a person may change each, and waits for nobody.
    db.run("set lock_timeout = '1ms'; update codes set status = 'deleting'; delete from codes where code = 'CODE-1'")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_requests_ring() {
    let db = TestDatabase::new().await;
    db.active(3).await;
    let ear = Ear::on(&db).await;
    db.run("update codes set metadata = '{\"note\": 1}'; insert into codes (code) values ('QUIET')").await;
    db.run("begin; update codes set status = 'deleting'; rollback").await;
    assert_eq!(ear.heard().await, Vec::<String>::new());
    db.run("update codes set status = 'deleting'; update codes set status = 'active'").await;
    assert_eq!(ear.heard().await, ["codes"], "one ring for both, and leaving a request rings nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_does_not_ring_for_what_it_writes_itself() {
    let db = TestDatabase::unscheduled().await;
    db.fast().await;
    db.run("set rowcall.quiet = 'on'").await;
    db.ask(20).await;
    let ear = Ear::on(&db).await;
    let _worker = db.worker(Scripted::done());
    db.all_ended().await;
    let heard = ear.heard().await;
    assert!(heard.iter().all(|payload| payload.starts_with('?')), "only the bell's own test: {heard:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_session_rings_nobody() {
    let db = TestDatabase::new().await;
    let ear = Ear::on(&db).await;
    db.run("set rowcall.quiet = 'on'").await;
    db.ask(3).await;
    assert_eq!(ear.heard().await, Vec::<String>::new());
    db.run("select rowcall.sweep_now()").await;
    assert_eq!(ear.heard().await, ["*"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_policy_and_a_changed_breaker_ring_everywhere() {
    let db = TestDatabase::new().await;
    let ear = Ear::on(&db).await;
    for edit in [
        "update rowcall.queues set slots = 3",
        "select rowcall.pause('codes', 'maintenance')",
        "select rowcall.resume('codes')",
        "update rowcall.targets set state = 'open', reason = 'down', next_probe_at = now()",
        "update rowcall.targets set next_probe_at = now() + interval '1 minute'",
    ] {
        db.run(edit).await;
        assert_eq!(ear.heard().await, ["*"], "{edit}");
    }
    db.run("update rowcall.targets set spent_until = now()").await;
    assert_eq!(ear.heard().await, Vec::<String>::new(), "a spent start is nobody's news");
}
