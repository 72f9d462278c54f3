//! Behind a pooler in transaction mode: everything works, nothing is left to whoever gets the server process next, and that no
//! bell is heard is said.

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;
use rowcall::sandbox::postgres::{Cluster, Options};
use rowcall::store::connect::{Database, Session};
use rowcall::store::pooling::Pooling;
use serde_json::json;

use crate::binary::Binary;
use crate::database::TestDatabase;
use crate::fake::Fake;
use crate::pooler::{PROCESSES, Pooler, each_process};
use crate::process::{ROWCALL, eventually};
use crate::scratch::{Said, Scratch};
use crate::web::{Run, client, json as json_of, told};

/// What a stranger meets who gets one of our server processes: the defaults, and nothing of ours.
const LEFT: &str = "
    select concat_ws(' ',
        current_setting('statement_timeout'), current_setting('idle_in_transaction_session_timeout'),
        current_setting('lock_timeout'), current_setting('plan_cache_mode'), current_setting('enable_seqscan'),
        current_setting('jit'), current_setting('search_path'), current_setting('application_name'),
        nullif(current_setting('rowcall.run', true), ''), nullif(current_setting('rowcall.asker', true), ''),
        (select string_agg(p.statement, '; ') from pg_prepared_statements as p),
        (select string_agg(c, '; ') from pg_listening_channels() as c),
        (select string_agg(l.mode, '; ') from pg_locks as l where l.locktype = 'advisory' and l.pid = pg_backend_pid()))";

const NOTHING: &str = "0 0 0 auto on on \"$user\", public test";

async fn nothing_is_left(through: &str) {
    assert_eq!(each_process(through, LEFT).await, [NOTHING; PROCESSES]);
}

/// A database behind a pooler.
struct Pooled {
    scratch: Scratch,
    _pooler: Pooler,
    url: String,
}

impl Pooled {
    async fn of(scratch: Scratch) -> Self {
        let pooler = Pooler::before(&scratch.url).await;
        let url = pooler.through(&scratch.url);
        Self { scratch, _pooler: pooler, url }
    }

    fn rowcall(&self, arguments: &[&str]) -> Said {
        self.scratch.command(arguments).env("DATABASE_URL", &self.url).output().unwrap().into()
    }

    /// What the doctor says of one thing: how bad it is, and what it is.
    fn doctor(&self, check: &str, variables: &[(&str, &str)]) -> (String, String) {
        let mut command = self.scratch.command(&["doctor", "--json"]);
        let said = Said::from(command.env("DATABASE_URL", &self.url).envs(variables.iter().copied()).output().unwrap());
        let findings = said.json();
        let found = findings.as_array().unwrap().iter().find(|finding| finding["check"] == check).unwrap().clone();
        let text = |key: &str| found[key].as_str().unwrap().to_owned();
        (text("state"), text("found"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pooler_is_known_by_looking_and_by_what_the_address_says() {
    let pooled = Pooled::of(Scratch::migrated().await).await;
    let look = async |address: &str| Database::parse(address).unwrap().look_for_pooler().await.unwrap();
    for _ in 0..5 {
        assert_eq!(look(&pooled.url).await, Pooling::Transaction);
        assert_eq!(look(&pooled.scratch.url).await, Pooling::Session);
    }
    assert_eq!(look(&format!("{}?pgbouncer=true", pooled.scratch.url)).await, Pooling::Transaction);
    assert_eq!(look(&format!("{}?pgbouncer=false", pooled.url)).await, Pooling::Session);
    let supabase = "postgres://postgres.ref:p@aws-0-eu-west-1.pooler.supabase.com:6543/postgres";
    assert_eq!(Database::parse(supabase).unwrap().pooling(), Some(Pooling::Transaction));

    // A pooler in session mode lends sessions, and one with a single process has none for a second transaction.
    let session = Pooler::with(&pooled.scratch.url, "pool_mode = session\ndefault_pool_size = 20\n").await;
    assert_eq!(look(&session.through(&pooled.scratch.url)).await, Pooling::Session);
    let single = Pooler::with(&pooled.scratch.url, "default_pool_size = 1\n").await;
    assert_eq!(look(&single.through(&pooled.scratch.url)).await, Pooling::Transaction);
    let in_turn = Pooler::with(&pooled.scratch.url, "server_round_robin = 1\n").await;
    for _ in 0..5 {
        assert_eq!(look(&in_turn.through(&pooled.scratch.url)).await, Pooling::Transaction);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_works_through_it_and_leaves_nothing_behind() {
    let pooled = Pooled::of(Scratch::empty().await).await;
    let rowcall = |arguments: &[&str]| pooled.rowcall(arguments);
    assert_eq!(rowcall(&["migrate", "--check"]).code, Some(1));
    rowcall(&["migrate"]).well();
    pooled.scratch.sql("drop trigger _100_stamp_insert on public.codes").await;
    assert!(rowcall(&["migrate"]).well().contains("trigger _100_stamp_insert on public.codes as it was"));
    assert!(rowcall(&["migrate"]).well().contains("had everything"));
    rowcall(&["migrate", "--check"]).well();
    pooled.scratch.sql("insert into codes (code, status) values ('ONE', 'creating'), ('TWO', 'deleting')").await;

    let findings = rowcall(&["doctor", "--json"]).json();
    let bad = findings.as_array().unwrap().iter().filter(|finding| finding["state"] == "problem");
    let checks: Vec<_> = bad.map(|finding| finding["check"].as_str().unwrap()).collect();
    // No worker is running.
    assert_eq!(checks, ["bell", "workers"], "{findings}");

    assert_eq!(rowcall(&["status", "--json"]).json()["work"].as_array().unwrap().len(), 2);
    rowcall(&["pause", "codes", "--reason", "the site moves"]).well();
    rowcall(&["resume", "codes"]).well();
    rowcall(&["retry", "codes", "1"]).well();
    rowcall(&["cancel", "codes", "2"]).well();
    rowcall(&["history", "--json"]).well();
    rowcall(&["schedule", "list"]).well();
    rowcall(&["schedule", "pause", "check-fienta-codes", "--reason", "moved"]).well();
    rowcall(&["schedule", "resume", "check-fienta-codes"]).well();
    rowcall(&["schedule", "history"]).well();
    rowcall(&["export", "fulfillment"]).well();
    let refused = rowcall(&["resolve", "codes", "1", "done", "--note", "seen"]).refusal();
    assert!(!refused.contains("prepared") && !refused.contains("SQLSTATE"), "in words of ours: {refused}");
    nothing_is_left(&pooled.url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn migrates_through_it_at_the_same_time_wait_for_each_other() {
    let pooled = Pooled::of(Scratch::empty().await).await;
    std::thread::scope(|scope| {
        let migrates: Vec<_> = (0..2).map(|_| scope.spawn(|| pooled.rowcall(&["migrate"]).well())).collect();
        let said: Vec<_> = migrates.into_iter().map(|migrate| migrate.join().unwrap()).collect();
        assert_eq!(said.iter().filter(|said| said.contains("had everything")).count(), 1, "{said:?}");
    });
    nothing_is_left(&pooled.url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_behind_it_looks_for_rows_says_so_and_serves_over_http() {
    let pooled = Pooled::of(Scratch::migrated().await).await;
    let run = Run::start(&pooled.scratch, &[("DATABASE_URL", &pooled.url), ("ACTION_CHECK_INTERVAL", "3600")]);
    let address = run.address().await;
    run.logged("carries no notifications").await;
    let ready = || async { told(client().get(format!("http://{address}/readyz"))).await };
    let began = std::time::Instant::now();
    while ready().await.0 != 200 {
        assert!(began.elapsed() < Duration::from_secs(20), "{}", run.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(ready().await.1["bell"], "polls");

    let ask = |code: &str| {
        let asked = client().post(format!("http://{address}/api/actions/codes/create"));
        json_of(asked, &json!({ "code": code, "discount_percent": 20 }))
    };
    for code in ["A", "B", "C"] {
        assert_eq!(told(ask(code)).await.0, 202, "{}", run.log());
    }
    let direct = pooled.scratch.client().await;
    run.until(&direct, "select count(*) from codes where status = 'active' and code in ('A', 'B', 'C')", "3").await;
    let (status, body) = told(client().get(format!("http://{address}/api/status"))).await;
    assert_eq!((status, &body["workers"][0]["state"]), (200, &json!("alive")));
    for path in
        ["/api/history", "/api/schedules", "/api/actions/status", "/api/actions/history", "/api/monitoring/status"]
    {
        assert_eq!(told(client().get(format!("http://{address}{path}"))).await.0, 200, "{path}");
    }
    assert_eq!(pooled.doctor("pooler", &[]).0, "note");
    let (state, found) = pooled.doctor("bell", &[]);
    assert!(state == "problem" && found.contains("DATABASE_URL goes through a pooler in transaction mode"), "{found}");
    let log = run.log();
    let warnings: Vec<_> = log.lines().filter(|line| line.contains("\"WARN\"") || line.contains("\"ERROR\"")).collect();
    assert_eq!(warnings.len(), 1, "it is said once, and nothing else is wrong: {warnings:#?}");
    nothing_is_left(&pooled.url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_an_address_for_the_bell_it_rings() {
    let db = TestDatabase::new().await;
    db.fast().await;
    let (pooler, fake) = (Pooler::before(&db.address()).await, Fake::new());
    let through = pooler.through(&db.address());
    let bell = [("DATABASE_URL", through.as_str()), ("LISTEN_DATABASE_URL", &db.address())];
    let worker = Binary::start_with(&db, &fake, &bell).await;
    worker.logged("The bell works").await;
    db.ask(20).await;
    db.all_ended().await;
    assert_eq!(fake.runs().len(), 20);
    assert!(!worker.log().contains("once a second"), "nobody polls");
    nothing_is_left(&through).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_that_nobody_noticed_is_understood_by_what_it_loses() {
    let db = TestDatabase::new().await;
    db.fast().await;
    let (pooler, fake) = (Pooler::before(&db.address()).await, Fake::new());
    // A lie that keeps it from looking.
    let through = format!("{}?pgbouncer=false", pooler.through(&db.address()));
    let worker = Binary::spawn(&db, &fake, &[("DATABASE_URL", &through)]);
    db.ask(30).await;
    db.all_ended().await;
    assert_eq!(db.get::<i64>("select count(*) from codes where status = 'active'").await, 30);
    assert_eq!(fake.codes_changed().len(), 30, "each took effect once");
    worker.logged("add pgbouncer=true to DATABASE_URL").await;
    worker.logged("Notifications do not arrive").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_behind_it_execute_every_row_once_though_one_is_killed() {
    let db = TestDatabase::new().await;
    db.fast().await;
    let (pooler, fake) = (Pooler::before(&db.address()).await, Fake::new());
    let through = pooler.through(&db.address());
    let settings = [("DATABASE_URL", through.as_str())];
    let first = Binary::start_with(&db, &fake, &settings).await;
    let _second = Binary::start_with(&db, &fake, &settings).await;
    db.ask(500).await;
    eventually("some runs", || (fake.runs().len() >= 60).then_some(())).await;
    first.signal(Signal::SIGKILL);
    let patience = Duration::from_mins(4);
    db.within(patience, "all is done", "not exists (select from codes where status = 'creating')").await;
    let mut codes: Vec<String> = (1..=500).map(|n| format!("CODE-{n}")).collect();
    codes.sort();
    assert_eq!(fake.codes_changed(), codes, "each took effect once");
    assert_eq!(db.settled_as("done").await, 500);
    assert_eq!(db.get::<i64>("select count(distinct worker) from rowcall.attempts").await, 2, "both worked");
    nothing_is_left(&through).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_schedules_statement_leaves_is_cleared_before_somebody_else_gets_it() {
    let db = TestDatabase::new().await;
    let (pooler, fake) = (Pooler::before(&db.address()).await, Fake::new());
    let through = pooler.through(&db.address());
    let mut worker = Binary::start_with(&db, &fake, &[("DATABASE_URL", &through)]).await;
    let leaves = "set statement_timeout = 77; set search_path = pg_catalog; create temp table left_behind (n int); \
                  prepare left_behind as select 1; listen left_behind; select pg_advisory_lock(77); set role pg_monitor";
    db.run(&format!(
        "insert into rowcall.schedules (name, cron, statement, atomic, timeout) values
             ('done', '@yearly', $${leaves}$$, true, '5 minutes'),
             ('failed', '@yearly', $${leaves}; select 1 / 0$$, true, '5 minutes'),
             ('late', '@yearly', 'select pg_sleep(60)', true, '1 second'),
             ('stopped', '@yearly', 'select pg_sleep(60)', true, '5 minutes'),
             ('unlendable', '@yearly', 'vacuum codes', false, '5 minutes')"
    ))
    .await;
    for name in ["done", "failed", "late", "unlendable"] {
        db.run(&format!("select rowcall.run_schedule('{name}')")).await;
    }
    let ended = |name: &str| {
        format!("select status || ': ' || coalesce(error, '') from rowcall.schedule_runs where schedule = '{name}'")
    };
    db.eventually("all have ended", "(select count(*) = 4 from rowcall.schedule_runs where status <> 'running')").await;
    assert_eq!(db.get::<String>(&ended("done")).await, "done: ");
    assert!(db.get::<String>(&ended("failed")).await.starts_with("failed: division by zero"));
    assert!(db.get::<String>(&ended("late")).await.contains("it took longer than its timeout of 1 s"));
    assert!(db.get::<String>(&ended("unlendable")).await.contains("give LISTEN_DATABASE_URL"));
    nothing_is_left(&through).await;
    let temporary = "select count(*) from pg_class where relname = 'left_behind'";
    assert_eq!(db.get::<i64>(temporary).await, 0);

    // A statement that a shutdown ends is told to end through the pooler.
    db.run("select rowcall.run_schedule('stopped')").await;
    let sleeps = "exists (select from pg_stat_activity where datname = current_database() and state = 'active' and query like 'select pg_sleep%')";
    db.eventually("it runs", sleeps).await;
    worker.signal(Signal::SIGTERM);
    assert!(worker.ended().await.success());
    assert!(!db.get::<bool>(&format!("select {sleeps}")).await, "it was cancelled");
    assert!(db.get::<String>(&ended("stopped")).await.starts_with("interrupted: "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_hangs_is_ended_by_its_own_transactions_timeout() {
    let db = TestDatabase::new().await;
    let pooler = Pooler::before(&db.address()).await;
    let through = pooler.through(&db.address());
    let database = Database::parse(&through).unwrap().looked_at().await;
    let store = rowcall::store::Store::new(database.pool(2, Session::Request));
    // Somebody holds a row, and the statement waits for its lock.
    db.ask(1).await;
    let held = db.connect().await;
    held.batch_execute("begin; update codes set metadata = metadata").await.unwrap();
    let (timed, began) = (store.clone(), std::time::Instant::now());
    let refused = timed.cancel("codes", "1").await.unwrap_err();
    assert!(refused.is_cut_off() && began.elapsed() < Duration::from_secs(25), "{}", refused.chain());
    held.batch_execute("rollback").await.unwrap();
    store.cancel("codes", "1").await.unwrap();
    nothing_is_left(&through).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_connections_are_enough_and_no_more_are_made() {
    let db = TestDatabase::new().await;
    db.fast().await;
    let fake = Fake::new();
    let settings =
        [("ROWCALL_CONNECTIONS_MAX", "5"), ("ENABLE_MONITORING", "true"), ("ROWCALL_HTTP_ADDR", "127.0.0.1:0")];
    db.run(
        "insert into rowcall.schedules (name, cron, statement) values
             ('slow', '@yearly', 'select pg_sleep(2)'), ('slower', '@yearly', 'select pg_sleep(3)');
         select rowcall.run_schedule('slow'), rowcall.run_schedule('slower')",
    )
    .await;
    let worker = Binary::start_with(&db, &fake, &settings).await;
    worker.logged("The bell works").await;
    db.ask(300).await;
    let mut most = 0;
    let counted =
        "select count(*) from pg_stat_activity where datname = current_database() and application_name like 'rowcall%'";
    while db.get::<bool>("select exists (select from codes where status = 'creating')").await {
        most = most.max(db.get::<i64>(counted).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    db.eventually(
        "both schedules ran",
        "(select count(distinct schedule) = 2 from rowcall.schedule_runs where status = 'done')",
    )
    .await;
    assert!((3..=5).contains(&most), "{most} connections");
    assert_eq!(fake.codes_changed().len(), 300, "each took effect once");
    let beat = "select now() - heartbeat_at < interval '5 seconds' from rowcall.workers";
    assert!(db.get::<bool>(beat).await, "its heart beats");
    assert!(!worker.log().contains("heartbeat does not come through"), "{}", worker.log());
}

/// The demo plays every system: codes, replies, orders, CRMs, tickets and the rest, with their webhooks and their faults.
#[tokio::test(flavor = "multi_thread")]
async fn every_scene_of_the_demo_ends_as_it_must_behind_a_pooler() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let data = folder.path().join("once/postgres");
    let cluster = Cluster::start(Options { durable: false, ..Options::new(data) }).await.unwrap();
    let pooler = Pooler::before(&cluster.url("postgres")).await;
    let through = pooler.through(&cluster.url("postgres"));
    let played = tokio::task::spawn_blocking({
        let (data, through) = (folder.path().to_owned(), through.clone());
        move || {
            let mut demo = std::process::Command::new(ROWCALL);
            demo.args(["demo", "--once", "--data"]).arg(data).env("ROWCALL_DEMO_POOLER", through).output().unwrap()
        }
    })
    .await
    .unwrap();
    let log = fs::read_to_string(folder.path().join("once/log")).unwrap();
    let said = Said::from(played);
    assert!(log.contains("carries no notifications"), "it was played behind the pooler: {log}");
    assert!(said.well().contains(" as they must be, in "), "{log}");
}

#[test]
fn an_address_with_a_wrong_word_is_refused_by_its_name() {
    let refused = |address: &str| Database::parse(address).unwrap_err().to_string();
    assert!(refused("postgres://u:secret@h/db?pgbouncer=yes").contains("pgbouncer=yes is neither true"));
    let certificate = refused("postgres://u:secret@h/db?sslcert=/c.pem&sslkey=/k.pem");
    assert!(certificate.contains("no client certificate") && !certificate.contains("secret"), "{certificate}");
}
