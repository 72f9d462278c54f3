//! A client's account: how fast it is called, and that its trouble is nobody else's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rowcall::failure::{Failure, Fault};
use rowcall::outcome::Outcome;
use rowcall::store::queues::CRM_SYNC_QUEUE;
use serde_json::json;

use super::{Crm, done, keys};
use crate::worker::{Scripted, TestWorker};

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_was_never_called_has_its_turn_with_the_second_look() {
    let crm = Crm::new().await;
    let client = crm.tenant("north").await;
    crm.asking(client, 1).await;
    crm.db.run("delete from rowcall.targets where part_of = 'crm'").await;
    assert!(crm.claim(10).await.is_empty());
    let account =
        "select concat_ws(' ', target, part_of, calls_per_minute) from rowcall.targets where part_of is not null";
    assert_eq!(crm.text(account).await, "commerce7:north crm 90");
    assert!(crm.store.next_due(crm.statements).await.unwrap().is_some(), "the look is soon");
    assert_eq!(crm.claim(10).await.len(), 1);
}

/// Ninety calls a minute, and a row is taken as soon as one of them is to be had: it may overdraw what there is.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_rows_are_taken_no_faster_than_its_calls_allow() {
    let crm = Crm::new().await;
    let (north, south) = (crm.tenant("north").await, crm.tenant("south").await);
    let north = crm.asking(north, 5).await;
    crm.asking(south, 1).await;
    let image =
        "select string_agg(ctid::text || xmin::text, ' ' order by id) from crm_sync_queue where status = 'pending'";
    assert_eq!(crm.claim(10).await.len(), 2, "one of each");
    let before = crm.text(image).await;
    assert!(crm.claim(10).await.is_empty());
    // An addition may cost six calls, two thirds of a second each; one call may be saved up beside the next.
    let due_in = crm.store.next_due(crm.statements).await.unwrap().unwrap().as_secs_f64();
    assert!((2.0..=4.0).contains(&due_in), "{due_in}");
    assert_eq!(crm.text(image).await, before, "rows that wait for their account are not written");

    // However many claimers there are: what is taken in a minute of the database's clock costs ninety calls and a row's.
    crm.forgive().await;
    crm.db
        .run("update crm_sync_queue set claimed_until = now() - interval '1 second' where claimed_until is not null")
        .await;
    let mut taken = 0;
    for _ in 0..60 {
        taken += crm.claim(10).await.iter().filter(|job| north.contains(&job.key)).count();
        crm.db
            .run(
                "update crm_sync_queue set status = 'pending', claim_token = null, claimed_by = null, claimed_until = null;
                 update rowcall.targets set spent_until = spent_until - interval '1 second' where part_of = 'crm'",
            )
            .await;
    }
    assert!((14..=17).contains(&taken), "a minute's ninety calls are fifteen additions: {taken}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_were_not_needed_are_given_back() {
    let crm = Crm::new().await;
    let client = crm.tenant("north").await;
    crm.asking(client, 3).await;
    let wait = || async { crm.store.next_due(crm.statements).await.unwrap().unwrap().as_secs_f64() };
    let job = crm.claim_one().await;
    let reserved = wait().await;
    let outcome = Outcome::done(Some(json!({"crm_customer_id": "7", "calls": 2})));
    crm.settle(job, outcome).await;
    let left = wait().await;
    assert!((2.0..3.0).contains(&(reserved - left)), "four calls at two thirds of a second: {reserved} {left}");
    crm.forgive().await;
    let job = crm.claim_one().await;
    let reserved = wait().await;
    crm.settle(job, done()).await;
    assert!((reserved - wait().await).abs() < 0.5, "nothing is known of its calls");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_asks_for_patience_rests_with_all_its_rows() {
    let crm = Crm::new().await;
    let (busy, quiet) = (crm.shop("busy").await, crm.shop("quiet").await);
    crm.asking(busy, 3).await;
    let first = crm.claim(1).await.remove(0);
    crm.settle_in(first, Failure::new(Fault::Throttled, "patience"), Duration::from_secs(20)).await;
    let quiet = crm.asking(quiet, 1).await;
    assert_eq!(keys(&crm.claim(10).await), quiet);
    let due_in = crm.store.next_due(crm.statements).await.unwrap().unwrap().as_secs_f64();
    assert!((15.0..=20.0).contains(&due_in), "{due_in}");
    assert_eq!(crm.text("select sum(attempts) from crm_sync_queue").await, "0");
    // An interruption is nobody's wish for patience.
    crm.forgive().await;
    let job = crm.claim(1).await.remove(0);
    crm.settle_in(job, Failure::new(Fault::Interrupted, "the worker stops"), Duration::ZERO).await;
    assert_eq!(crm.claim(10).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_an_open_breaker_one_row_probes_and_the_others_are_neither_taken_nor_written() {
    let crm = Crm::new().await;
    let (shut, open) = (crm.shop("shut").await, crm.shop("open").await);
    crm.asking(shut, 20).await;
    let others = crm.asking(open, 3).await;
    crm.db
        .run(
            "update rowcall.targets set state = 'open', reason = 'the login is refused', next_probe_at = now() + interval '1 hour'
             where target = 'shopify:shut'",
        )
        .await;
    assert_eq!(keys(&crm.claim(100).await), others);
    let due_in = crm.store.next_due(crm.statements).await.unwrap().unwrap();
    assert!(due_in > Duration::from_mins(59), "{due_in:?}");
    let said = "select concat_ws('|', state, reason, count(*)) from rowcall.work where label like '%' and state = 'waiting' group by state, reason";
    assert_eq!(crm.text(said).await, "waiting|the login is refused|20");
    let health =
        "select concat_ws('|', state, reason, waiting) from rowcall.queue_health where queue = 'crm_sync_queue'";
    assert_eq!(crm.text(health).await, "open|1 of 2 accounts rest, the longest: shopify:shut: the login is refused|20");
    let retried: String =
        crm.db.get("select rowcall.retry('crm_sync_queue', (select min(id)::text from crm_sync_queue))").await;
    assert!(retried.contains("shopify:shut is probed first: the login is refused"), "{retried}");

    crm.db.run("select rowcall.resume('crm_sync_queue')").await;
    let probe = crm.claim(100).await;
    assert_eq!(probe.len(), 1);
    assert!(crm.claim(100).await.is_empty(), "one probe at a time");
}

/// The whole flow: the real worker, one client whose login is refused, and one whose is not.
#[tokio::test(flavor = "multi_thread")]
async fn one_clients_refused_login_leaves_the_others_running_and_its_own_rows_untouched() {
    let crm = Crm::new().await;
    let (shut, open) = (crm.shop("shut").await, crm.shop("open").await);
    let shut = crm.asking(shut, 30).await;
    crm.asking(open, 30).await;
    let refuses = Arc::new(AtomicBool::new(true));
    let is_refused = Arc::clone(&refuses);
    let scripted = Scripted::new(move |seen| {
        let is_shut = shut.contains(&seen.key);
        let target = Some(if is_shut { "shopify:shut" } else { "shopify:open" }.to_owned());
        if is_shut && is_refused.load(Ordering::Relaxed) {
            let failure = Failure::new(Fault::Credentials, "Shopify refuses the login");
            return Outcome { target, ..failure.into() };
        }
        Outcome { target, ..done() }
    });
    let _worker = TestWorker::of(&CRM_SYNC_QUEUE, crm.db.settings(), scripted.clone());
    crm.db
        .eventually(
            "the other client's rows are done",
            "(select count(*) = 30 from crm_sync_queue where status = 'completed')",
        )
        .await;
    crm.db
        .eventually("the breaker is open", "(select state = 'open' from rowcall.targets where target = 'shopify:shut')")
        .await;
    crm.db.eventually("nothing runs", "not exists (select from crm_sync_queue where status = 'processing')").await;
    let met = "select count(*) from crm_sync_queue where error_message is not null";
    let met: i64 = crm.text(met).await.parse().unwrap();
    assert!(met <= 5, "at most its slots' worth of rows met it: {met}");
    assert_eq!(
        crm.text(
            "select concat_ws(' ', sum(attempts), count(*) filter (where claim_token is not null)) from crm_sync_queue"
        )
        .await,
        "0 0"
    );
    assert_eq!(crm.text("select state from rowcall.targets where target = 'crm'").await, "closed");

    // The login is mended: a probe comes through, and all the others follow by themselves.
    refuses.store(false, Ordering::Relaxed);
    crm.db
        .nudged(
            "update rowcall.targets set next_probe_at = now() where state = 'open'; update crm_sync_queue set next_retry_at = now() where status = 'pending' and next_retry_at > now()",
            "all are done",
            "(select count(*) = 60 from crm_sync_queue where status = 'completed')",
        )
        .await;
    assert_eq!(crm.text("select state from rowcall.targets where target = 'shopify:shut'").await, "closed");
}

/// An adopted table may have clients whose account is still to come.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_an_account_stops_nobody_and_its_rows_are_handed_out_to_say_so() {
    let crm = Crm::new().await;
    let (good, bad) = (crm.tenant("north").await, crm.shop("none").await);
    let (good, bad) = (crm.asking(good, 1).await, crm.asking(bad, 1).await);
    crm.db
        .run(
            "alter table clients drop constraint clients_account_is_named, alter column crm_type drop not null;
             update clients set crm_type = null, shop = null where shop = 'none'",
        )
        .await;
    assert_eq!(keys(&crm.claim(10).await), good);
    let job = crm.claim_one().await;
    assert_eq!(vec![job.key.clone()], bad);
    let payload: serde_json::Value = job.payload().unwrap();
    assert_eq!((&payload["crm_type"], &payload["shop"]), (&json!(null), &json!(null)));
    crm.settle(job, Failure::new(Fault::Item, "the client names no CRM")).await;
    assert_eq!(crm.text("select state from rowcall.work where key = '2'").await, "failed");
}

/// The CRM fails at one row, however urgent it is: the others pass it by, and it bears the fault itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_opens_the_breaker_each_time_shuts_out_nobody_and_ends() {
    let crm = Crm::new().await;
    let client = crm.shop("one").await;
    let poison = crm.asking(client, 1).await.remove(0);
    crm.db.run("update crm_sync_queue set priority = 10").await;
    let breaker = async |state: &str| {
        let sql = format!(
            "update rowcall.targets set state = '{state}', reason = 'HTTP 500', next_probe_at = now() where target = 'shopify:one';
             update crm_sync_queue set next_retry_at = now() where status = 'pending'"
        );
        crm.db.run(&sql).await;
    };
    let mut settled = Vec::new();
    for round in 0..6 {
        if round > 0 {
            let other = crm.asking(client, 1).await.remove(0);
            breaker("open").await;
            let probe = crm.claim_one().await;
            assert_eq!(probe.key, other, "round {round}");
            crm.settle(probe, done()).await;
            breaker("closed").await;
        }
        let job = crm.claim(1).await.remove(0);
        assert_eq!(job.key, poison, "the more urgent first");
        breaker("open").await;
        let failure = Failure::new(Fault::Outage, "Shopify is not available just now (HTTP 500).");
        let result = Some(json!({"calls": 1, "opens_breaker": true}));
        settled.push(crm.settle(job, Outcome { result, ..failure.into() }).await);
        if round == 2 {
            let put_off = format!(
                "select next_retry_at > now() + interval '100 seconds' from crm_sync_queue where id = {poison}"
            );
            assert_eq!(crm.text(&put_off).await, "true", "as after any fault of its own");
        }
        // Nobody else came through since: it may be everybody's trouble.
        if round > 0 && round < 5 {
            breaker("open").await;
            let failure = Failure::new(Fault::Outage, "Shopify is not available just now (HTTP 500).");
            let result = Some(json!({"calls": 1, "opens_breaker": true}));
            assert_eq!(crm.settle(crm.claim_one().await, Outcome { result, ..failure.into() }).await, "wait");
        }
    }
    assert_eq!(settled, ["wait", "retry", "retry", "retry", "retry", "failed"]);
    let row = format!("select concat_ws(' ', status, attempts, error_message) from crm_sync_queue where id = {poison}");
    let row = crm.text(&row).await;
    assert!(row.starts_with("failed 5 Shopify is not") && row.ends_with("counted as its own."), "{row}");
}
