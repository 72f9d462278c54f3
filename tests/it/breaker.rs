//! The breaker: what is nobody's fault but the provider's, or our settings', spends no attempt, and goes on by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rowcall::failure::{Failure, Fault};
use rowcall::integrations::fienta::{Fienta, Settings};
use rowcall::outcome::Outcome;
use serde_json::json;

use crate::database::{PATIENCE, TestDatabase};
use crate::fake::{Fake, PASSWORD};
use crate::worker::Scripted;

/// Makes row and probe due: a row that is looked at before the probe is due is told to wait for a minute.
pub(crate) const PROBE: &str =
    "update codes set next_retry_at = now() where status = 'creating' and claim_token is null;
     update rowcall.targets set next_probe_at = now() where state = 'open' and next_probe_at > now();
     select rowcall.sweep_now()";

const OPEN: &str = "(select state = 'open' from rowcall.targets where target = 'fienta')";

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_login_spends_no_attempt_and_the_rows_go_on_by_themselves() {
    let (db, fake) = (TestDatabase::new().await, Fake::new());
    db.fast().await;
    db.run("update rowcall.queues set slots = 1").await;
    fake.set_password("another");
    let _worker = db.worker(Arc::new(Fienta::new(fake.settings())));
    db.ask(20).await;
    db.eventually("the breaker is open", OPEN).await;
    db.eventually(
        "every row says why it waits, and what makes it go on",
        "(select count(*) = 20 from codes where claimed_by is null
             and error_message like 'Fienta refused the login%FIENTA_PASSWORD are right.')",
    )
    .await;
    assert_eq!(db.get::<i64>("select count(*) from codes where attempts > 0 or status <> 'creating'").await, 0);
    assert!(fake.runs().len() <= 2, "one row met it, the others were told: {:?}", fake.runs());
    let states = "select distinct state || ': ' || reason from rowcall.queue_health where queue = 'codes'";
    assert!(db.get::<String>(states).await.starts_with("breaker open: Fienta refused the login"));

    fake.set_password(PASSWORD);
    db.all_ended().await;
    assert_eq!(db.get::<i64>("select count(*) from codes where status = 'active' and error_message is null").await, 20);
    assert_eq!(fake.codes_changed().len(), 20);
    assert!(
        db.get::<bool>(
            "select state = 'closed' and reason is null and trips = 0 from rowcall.targets where target = 'fienta'"
        )
        .await
    );
    assert_eq!(db.settled_as("retry").await + db.settled_as("failed").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_login_quoted_by_the_provider_is_not_on_the_row() {
    let (db, fake) = (TestDatabase::new().await, Fake::new());
    db.fast().await;
    fake.fault(&["bad-login"]);
    let _worker = db.worker(Arc::new(Fienta::new(fake.settings())));
    db.ask(1).await;
    db.eventually("the breaker is open", OPEN).await;
    db.eventually("the row says why", "error_message is not null from codes").await;
    let said: String = db
        .get("select (select error_message from codes) || (select reason from rowcall.targets where target = 'fienta')")
        .await;
    assert!(said.contains("Invalid login") && !said.contains(PASSWORD) && !said.contains('@'), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_without_its_password_waits_and_says_so() {
    let (db, fake) = (TestDatabase::new().await, Fake::new());
    // As shipped, with its bound and its rate.
    let settings = Settings { password: None, ..fake.settings() };
    let worker = db.worker(Arc::new(Fienta::new(settings)));
    db.ask(5).await;
    db.eventually(
        "every row says what is missing",
        "(select count(*) = 5 from codes where claimed_by is null
             and error_message = 'Fienta is not configured: codes and orders wait until FIENTA_PASSWORD is set.')",
    )
    .await;
    assert_eq!(db.get::<i64>("select count(*) from codes where attempts > 0 or claim_token is not null").await, 0);
    assert_eq!(db.get::<i64>("select count(*) from rowcall.attempts").await, 0, "nothing was attempted");
    assert!(fake.runs().is_empty());
    worker.stop().await;

    db.fast().await;
    let _configured = db.worker(Arc::new(Fienta::new(fake.settings())));
    db.run("update codes set next_retry_at = now(); select rowcall.sweep_now()").await;
    db.all_ended().await;
    assert_eq!(fake.codes_changed().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_settings_leaves_the_rows_to_one_that_has_them() {
    let (db, fake) = (TestDatabase::new().await, Fake::new());
    db.fast().await;
    let _configured = db.worker(Arc::new(Fienta::new(fake.settings())));
    db.eventually("it is known", "exists (select from rowcall.workers where queues = '{codes}')").await;
    let settings = Settings { password: None, ..fake.settings() };
    let _other = db.worker(Arc::new(Fienta::new(settings)));
    db.eventually("both are known", "(select count(*) = 2 from rowcall.workers)").await;
    db.ask(10).await;
    db.all_ended().await;
    assert_eq!(db.get::<i64>("select count(*) from codes where status = 'active' and attempts = 0").await, 10);
    assert_eq!(db.settled_as("wait").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_row_probes_and_the_others_wait() {
    let db = TestDatabase::new().await;
    db.fast().await;
    db.run("set rowcall.quiet = 'on'").await;
    db.ask(10).await;
    db.run("update rowcall.targets set state = 'open', reason = 'down', next_probe_at = now()").await;
    let held = Scripted::held();
    let _workers = [db.worker(held.clone()), db.worker(held.clone())];
    held.begun(1).await;
    db.run("select rowcall.sweep_now()").await;
    db.eventually("the others are told", "(select count(*) = 9 from codes where error_message = 'down')").await;
    assert_eq!(held.seen().len(), 1);
    held.release(10);
    db.eventually("the breaker is closed", "(select state = 'closed' from rowcall.targets where target = 'fienta')")
        .await;
    // A worker that has not yet heard of it may put rows off once more.
    let due = "update codes set next_retry_at = now() where claimed_by is null and next_retry_at > now();
               select rowcall.sweep_now()";
    let ended = async {
        while db.get::<bool>("select exists (select from codes where status = 'creating')").await {
            db.run(due).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.unwrap();
    assert_eq!(held.seen().len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_probe_makes_the_next_one_wait_twice_as_long() {
    let db = TestDatabase::new().await;
    db.fast().await;
    let scripted = Scripted::failing(Fault::Outage, "the site is down");
    let _worker = db.worker(scripted.clone());
    db.ask(3).await;
    for (probes, seconds) in [(1, 10), (2, 20), (3, 40), (4, 80), (5, 160), (6, 300), (7, 300)] {
        db.eventually(
            &format!("trip {probes} waits {seconds} s"),
            &format!(
                "state = 'open' and trips = {probes}
                     and next_probe_at between now() + interval '{seconds} seconds' - interval '5 seconds' and now() + interval '{seconds} seconds'
                 from rowcall.targets where target = 'fienta'"
            ),
        )
        .await;
        db.eventually("no row is held", "not exists (select from codes where claimed_by is not null)").await;
        // The rows are told to come a little after the probe; here the probe and one row are due at the same time.
        db.run(
            "begin; update codes set next_retry_at = now() where id = 1;
             update rowcall.targets set next_probe_at = now(); commit",
        )
        .await;
    }
    assert_eq!(db.get::<i64>("select count(*) from codes where attempts > 0").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breaker_is_not_closed_by_a_probe_that_had_no_row() {
    let db = TestDatabase::new().await;
    db.fast().await;
    let scripted = Scripted::failing(Fault::Outage, "the site is down");
    let _worker = db.worker(scripted.clone());
    db.ask(3).await;
    db.eventually("the breaker is open", OPEN).await;
    db.eventually("every row waits", "(select bool_and(next_retry_at > now() and claimed_by is null) from codes)")
        .await;
    let ran = scripted.seen().len();
    // The probe is due before any of the rows is, which is how they are told to come.
    db.run("update codes set next_retry_at = now() + interval '3 seconds'; update rowcall.targets set next_probe_at = now()").await;
    scripted.begun(ran + 1).await;
    db.eventually(
        "the next one waits longer",
        "(select state = 'open' and trips = 2 from rowcall.targets where target = 'fienta')",
    )
    .await;
    assert_eq!(scripted.seen().len(), ran + 1, "one row, not all that were due");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_of_the_row_opens_no_breaker() {
    let db = TestDatabase::new().await;
    db.fast().await;
    let scripted = Scripted::new(|seen| match seen.key.as_str() {
        "1" => rowcall::failure::Failure::new(Fault::Item, "wrong").into(),
        "2" => rowcall::failure::Failure::new(Fault::Transient, "odd").into(),
        "3" if seen.attempt == 1 && !seen.uncertain => {
            rowcall::failure::Failure::new(Fault::Transient, "cut off").uncertain().into()
        }
        _ => Outcome::done(Some(json!({"metadata": {"fienta_discount_id": "7"}}))),
    });
    let _worker = db.worker(scripted.clone());
    db.ask(10).await;
    db.all_ended().await;
    assert_eq!(
        db.all::<String>("select status from codes order by id limit 4").await,
        ["failed", "failed", "active", "active"]
    );
    assert!(db.get::<bool>("select state = 'closed' and trips = 0 from rowcall.targets where target = 'fienta'").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_fault_opens_its_own_breaker_and_the_others_go_on() {
    let db = TestDatabase::new().await;
    db.fast().await;
    let is_mended = Arc::new(AtomicBool::new(false));
    let mended = is_mended.clone();
    let scripted = Scripted::new(move |seen| {
        let is_one = seen.key == "1" || seen.key == "2";
        let outcome = if is_one && !mended.load(Ordering::Relaxed) {
            rowcall::failure::Failure::new(Fault::Credentials, "this tenant's key was revoked").into()
        } else {
            Outcome::done(None)
        };
        Outcome { target: Some(if is_one { "tenant:one" } else { "tenant:two" }.to_owned()), ..outcome }
    });
    let _worker = db.worker(scripted.clone());
    db.ask(20).await;
    db.eventually("the others are done", "(select count(*) = 18 from codes where status = 'active')").await;
    db.eventually(
        "the tenant's rows say why they wait, and have spent nothing",
        "(select count(*) = 2 from codes where id in (1, 2) and status = 'creating' and claimed_by is null
             and attempts = 0 and error_message = 'this tenant''s key was revoked' and next_retry_at > now())",
    )
    .await;
    let states = "select string_agg(target || ' ' || state || ' ' || trips, ', ' order by target) from rowcall.targets
                  where target in ('fienta', 'tenant:one', 'tenant:two')";
    assert_eq!(db.get::<String>(states).await, "fienta closed 0, tenant:one open 1");

    // Two rows that are due together count as one probe.
    db.run(
        "begin; update codes set next_retry_at = now() where id in (1, 2);
            update rowcall.targets set next_probe_at = now() where target = 'tenant:one'; commit;
            select rowcall.sweep_now()",
    )
    .await;
    scripted.begun(22).await;
    db.eventually("none runs", "not exists (select from codes where claimed_by is not null)").await;
    assert_eq!(db.get::<String>(states).await, "fienta closed 0, tenant:one open 2");

    is_mended.store(true, Ordering::Relaxed);
    db.run("update codes set next_retry_at = now(); select rowcall.sweep_now()").await;
    db.all_ended().await;
    assert_eq!(db.get::<i64>("select count(*) from codes where status = 'active' and attempts = 0").await, 20);
    db.eventually("it is closed", "(select state = 'closed' from rowcall.targets where target = 'tenant:one')").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_that_did_not_reach_the_provider_leaves_the_breaker_open_and_the_next_row_probes() {
    let db = TestDatabase::new().await;
    db.fast().await;
    db.run("update rowcall.targets set state = 'open', reason = 'down', next_probe_at = now() where target = 'fienta'")
        .await;
    let wrong = || Failure::new(Fault::Item, "there is no number to call").unasked();
    let count = AtomicUsize::new(0);
    let probes = Scripted::new(move |_| match count.fetch_add(1, Ordering::Relaxed) {
        0 | 1 => wrong().into(),
        _ => Outcome::done(None),
    });
    let _worker = db.worker(Arc::clone(&probes) as _);
    db.ask(1).await;
    for nth in 1..=2 {
        let settled = format!("(select count(*) from rowcall.attempts where settled_as = 'failed') = {nth}");
        db.nudged(PROBE, "a row is told what is wrong with it", &settled).await;
        assert!(db.get::<bool>(&format!("select {OPEN}")).await, "nothing was proven");
        db.run(&format!("insert into codes (code, status) values ('NEXT-{nth}', 'creating')")).await;
    }
    db.nudged(PROBE, "the third one came through", "exists (select from codes where status = 'active')").await;
    assert!(!db.get::<bool>(&format!("select {OPEN}")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_asks_everybody_for_patience_gets_it() {
    let db = TestDatabase::new().await;
    db.fast().await;
    db.run(
        "update rowcall.queues set rate_per_second = 50, rate_burst = 1, cluster_slots = null where queue = 'codes'",
    )
    .await;
    let pause = Duration::from_mins(10);
    let throttled =
        Scripted::new(move |_| Failure::new(Fault::Throttled, "too many calls").after(pause).resting(pause).into());
    let _worker = db.worker(Arc::clone(&throttled) as _);
    db.ask(1).await;
    let rests =
        "exists (select from rowcall.targets where target = 'fienta' and spent_until > now() + interval '9 minutes')";
    db.eventually("the target rests", rests).await;
    db.ask_more("ANOTHER").await;
    db.eventually(
        "it waits for its turn",
        "exists (select from codes where code = 'ANOTHER' and next_retry_at > now() + interval '9 minutes')",
    )
    .await;
    assert_eq!(throttled.seen().len(), 1, "nothing more was asked of it");
}
