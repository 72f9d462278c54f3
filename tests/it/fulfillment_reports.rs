//! What suppliers tell of orders: in any order, twice, late, before the purchase has its answer, and while a worker is at it.

use std::sync::Arc;

use rowcall::failure::{Failure, Fault};
use rowcall::outcome::Outcome;

use crate::actions_rows::Rows;
use crate::fulfillment_rows::{accepted, delivered, nobody_knows, not_done, refused};

/// An order that its supplier has accepted under this number.
async fn accepted_order(rows: &Rows, phone: &str, provider: &str) -> String {
    let order = rows.order(phone).await;
    let job = rows.claim_one().await;
    rows.settle(job, accepted(Some(provider))).await;
    order
}

/// How an order's attempts ended.
async fn history(rows: &Rows, order: &str) -> String {
    rows.text(&format!(
        "select string_agg(a.settled_as, ' ' order by a.id) from rowcall.attempts as a
         join fulfillment_logs as l on l.id::text = a.key where l.order_id = '{order}'"
    ))
    .await
}

#[tokio::test]
async fn an_accepted_order_is_settled_by_what_its_supplier_tells() {
    let rows = Rows::fulfillment().await;
    let order = accepted_order(&rows, "0261234567", "P1").await;
    assert_eq!(rows.report(&order, Some("P1"), "pending", None).await, "known already");
    assert_eq!(rows.report(&order, Some("P1"), "delivered", Some("2026-11-20 12:00Z")).await, "settled: success");
    assert_eq!(rows.standing(&order).await, "success 1/3 success");
    let row = rows.log(&order, "concat_ws('|', fulfilled_at at time zone 'utc', api_response -> 'reported' ->> 'state', claim_token, error_message)").await;
    assert_eq!(row, "2026-11-20 12:00:00|delivered");
    for _ in 0..2 {
        assert_eq!(rows.report(&order, Some("P1"), "delivered", Some("2026-11-20 12:00Z")).await, "known already");
    }
    assert_eq!(rows.report(&order, Some("P1"), "delivered", None).await, "known already");
    assert_eq!(history(&rows, &order).await, "wait done");
    assert!(rows.claim(10).await.is_empty());
}

#[tokio::test]
async fn the_next_order_for_a_number_is_called_forward_by_what_is_told_of_the_one_before() {
    for (state, standing) in [("delivered", "success 1/3 success"), ("failed", "failed 1/3 failed")] {
        let rows = Rows::fulfillment().await;
        let first = accepted_order(&rows, "0261234567", "P1").await;
        let second = rows.order("+233 26 123 4567").await;
        assert!(rows.claim(10).await.is_empty(), "one purchase for a number at a time");
        let waits =
            "select retry_after > now() + interval '3 seconds' and held_back from fulfillment_logs where order_id";
        assert_eq!(rows.text(&format!("{waits} = '{second}'")).await, "true");
        rows.report(&first, Some("P1"), state, None).await;
        assert_eq!(rows.standing(&first).await, standing);
        assert_eq!(rows.claim_one().await.payload::<serde_json::Value>().unwrap()["order_id"], second.as_str());
    }
}

#[tokio::test]
async fn an_order_is_known_by_its_key_by_what_was_told_and_by_the_suppliers_number() {
    let rows = Rows::fulfillment().await;
    for (nth, reference, provider) in [(0, "key", None), (1, "told", None), (2, "", Some("P2"))] {
        let order = accepted_order(&rows, &format!("026123456{nth}"), &format!("P{nth}")).await;
        let reference = if reference == "key" { order.as_str() } else { reference };
        assert_eq!(rows.report(reference, provider, "delivered", None).await, "settled: success", "{nth}");
        assert!(rows.standing(&order).await.starts_with("success"));
        rows.run("update fulfillment_logs set reference = null").await;
    }
    let refused =
        rows.refusal("select rowcall.supplier_report('default', null, '', 'delivered', null, null, null)").await;
    assert_eq!(refused.0, "23514");
    let order = accepted_order(&rows, "0261234569", "P9").await;
    let another = "select rowcall.supplier_report('another', 'told', 'P9', 'delivered', null, null, null)";
    assert!(rows.text(another).await.starts_with("kept"), "the same numbers of another supplier");
    assert!(rows.standing(&order).await.starts_with("processing"));
}

#[tokio::test]
async fn a_failure_is_tried_again_by_the_retry_clock_and_the_last_one_ends_it() {
    let rows = Rows::fulfillment().await;
    let order = rows.order("0261234567").await;
    for (attempt, answer, minutes) in
        [(1, "settled: tried again", 5.0), (2, "settled: tried again", 15.0), (3, "settled: failed", 0.0)]
    {
        let job = rows.claim_one().await;
        assert_eq!((job.operation.as_str(), job.attempt), ("purchase", attempt));
        let provider = format!("P{attempt}");
        rows.settle(job, accepted(Some(&provider))).await;
        let told = format!(
            "select rowcall.supplier_report('default', '{order}', '{provider}', 'failed', '12', 'out of stock', null)"
        );
        assert_eq!(rows.text(&told).await, answer);
        assert_eq!(rows.standing(&order).await, format!("failed {attempt}/3 failed"));
        let row = rows.log(&order, "concat_ws('|', provider_reference, accepted_at, claim_token)").await;
        assert_eq!(
            row,
            if attempt < 3 { "" } else { &provider }.to_owned() + &row[row.find('|').unwrap_or(row.len())..]
        );
        let wait: f64 =
            rows.log(&order, "coalesce(extract(epoch from retry_after - now()) / 60, 0)").await.parse().unwrap();
        assert!((minutes..=minutes * 1.1).contains(&wait), "{wait}");
        assert!(
            rows.log(&order, "error_message")
                .await
                .starts_with("The supplier could not deliver the bundle (12: out of stock)")
        );
        rows.run("update fulfillment_logs set retry_after = now() where retry_after is not null").await;
    }
    assert!(rows.claim(10).await.is_empty());
    assert_eq!(history(&rows, &order).await, "wait retry wait retry wait failed");
    assert_eq!(rows.report(&order, Some("P3"), "delivered", None).await, "settled: success", "it came all the same");
}

#[tokio::test]
async fn a_reversal_after_a_success_is_recorded_shown_and_not_bought_again_by_itself() {
    let rows = Rows::fulfillment().await;
    for (nth, state) in ["reversed", "failed"].into_iter().enumerate() {
        let order = rows.order(&format!("026123456{nth}")).await;
        let job = rows.claim_one().await;
        let provider = format!("P{nth}");
        rows.settle(job, delivered(&provider)).await;
        assert_eq!(rows.report(&order, Some(&provider), state, Some("2026-11-22 12:00Z")).await, "settled: reversed");
        assert_eq!(rows.standing(&order).await, "failed 1/3 failed");
        let row = rows.log(&order, "concat_ws('|', retry_after, fulfilled_at, api_response -> 'reported' ->> 'state', api_response ->> 'status')").await;
        assert_eq!(row, format!("{state}|delivered"));
        assert!(rows.log(&order, "error_message").await.contains("It had been delivered"));
        assert_eq!(history(&rows, &order).await, "done failed");
        assert_eq!(rows.report(&order, Some(&provider), state, Some("2026-11-22 12:00Z")).await, "known already");
        let late = rows.report(&order, Some(&provider), "delivered", Some("2026-11-20 12:00Z")).await;
        assert_eq!(
            (late.as_str(), rows.standing(&order).await.as_str()),
            ("older than what is known", "failed 1/3 failed")
        );
        let shown =
            rows.text(&format!("select jsonb_array_length(rowcall.fulfillment_status('{order}') -> 'reports')")).await;
        assert_eq!(shown, "2");
        assert!(rows.claim(10).await.is_empty());
    }
}

#[tokio::test]
async fn a_parked_order_is_settled_or_followed_by_what_comes_late() {
    let rows = Rows::fulfillment().await;
    for (nth, state, standing) in [
        (0, "delivered", "success 1/3 success"),
        (1, "failed", "failed 1/3 failed"),
        (2, "pending", "processing 1/3 processing"),
    ] {
        let order = rows.order(&format!("026123456{nth}")).await;
        let job = rows.claim_one().await;
        assert_eq!(rows.settle(job, nobody_knows()).await, "unknown");
        assert!(rows.report(&order, Some("P1"), state, None).await.starts_with("settled"), "{state}");
        assert_eq!(rows.standing(&order).await, standing);
    }
    rows.run("update fulfillment_logs set retry_after = now() where retry_after is not null").await;
    let mut operations: Vec<_> = rows.claim(10).await.into_iter().map(|job| (job.operation, job.uncertain)).collect();
    operations.sort();
    assert_eq!(operations, [("look_up".to_owned(), true), ("purchase".to_owned(), false)]);
}

#[tokio::test]
async fn what_is_told_while_a_worker_is_at_it_counts_in_its_settle_and_is_not_undone() {
    let rows = Rows::fulfillment().await;
    let outage = || not_done(Failure::new(Fault::Outage, "no answer").uncertain(), "in_doubt");
    let cases: Vec<(&[&str], Outcome, &str, &str)> = vec![
        (&["delivered"], accepted(Some("P1")), "done", "success 1/3 success"),
        (&["delivered"], nobody_knows(), "done", "success 1/3 success"),
        (&["delivered"], refused(), "done", "success 1/3 success"),
        (&["delivered", "pending"], outage(), "done", "success 1/3 success"),
        (&["failed"], accepted(Some("P1")), "retry", "failed 1/3 failed"),
        (&["reversed"], nobody_knows(), "retry", "failed 1/3 failed"),
        (&["failed"], delivered("P1"), "done", "success 1/3 success"),
        (&["reversed"], delivered("P1"), "failed", "failed 1/3 failed"),
        (&["delivered", "reversed"], accepted(Some("P1")), "failed", "failed 1/3 failed"),
        (&["pending"], nobody_knows(), "wait", "processing 1/3 processing"),
        (&["pending"], refused(), "retry", "failed 1/3 failed"),
    ];
    for (nth, (states, outcome, settled_as, standing)) in cases.into_iter().enumerate() {
        let order = rows.order(&format!("02612345{nth:02}")).await;
        let job = rows.claim_one().await;
        for state in states {
            assert_eq!(rows.report(&order, Some("P1"), state, None).await, "kept: a worker is at it");
            assert_eq!(rows.standing(&order).await, "processing 1/3 processing", "a running claim is its worker's");
        }
        assert_eq!(rows.settle(job, outcome).await, settled_as, "{nth} {states:?}");
        assert_eq!(rows.standing(&order).await, standing, "{nth} {states:?}");
        assert_eq!(rows.log(&order, "reported").await, "");
        assert_eq!(rows.text("select rowcall.apply_reports()").await, "0", "it is not told twice");
        assert_eq!(rows.standing(&order).await, standing);
        rows.run("update fulfillment_logs set retry_after = now() + interval '1 hour' where retry_after is not null")
            .await;
    }
}

#[tokio::test]
async fn a_dead_workers_order_is_settled_at_once_and_the_zombie_brings_nothing_back() {
    let rows = Rows::fulfillment().await;
    let order = rows.order("0261234567").await;
    let zombie = rows.claim_one().await;
    rows.kill_the_worker().await;
    assert_eq!(rows.report(&order, Some("P1"), "delivered", None).await, "settled: success");
    assert_eq!(rows.settle(zombie, refused()).await, "lost");
    assert_eq!(rows.standing(&order).await, "success 1/3 success");

    // Told while the worker lived, which then died: nobody buys it again before that is applied.
    let order = rows.order("0261234568").await;
    let zombie = rows.claim_one().await;
    assert_eq!(rows.report(&order, Some("P2"), "delivered", None).await, "kept: a worker is at it");
    rows.kill_the_worker().await;
    assert!(rows.claim(10).await.is_empty());
    assert_eq!(rows.text("select rowcall.apply_reports()").await, "1");
    assert_eq!(rows.standing(&order).await, "success 1/3 success");
    assert_eq!(rows.settle(zombie, nobody_knows()).await, "lost");
    assert_eq!(rows.standing(&order).await, "success 1/3 success");
}

#[tokio::test]
async fn what_a_dead_worker_was_to_settle_by_leaves_no_order_stuck() {
    for (state, standing) in [("pending", "processing 1/3 processing"), ("failed", "failed 1/3 failed")] {
        let rows = Rows::fulfillment().await;
        let order = accepted_order(&rows, "0261234567", "P1").await;
        rows.now_due(&order).await;
        assert_eq!(rows.claim_one().await.operation, "look_up");
        assert_eq!(rows.report(&order, Some("P1"), state, None).await, "kept: a worker is at it");
        rows.kill_the_worker().await;
        assert_eq!(rows.text("select rowcall.apply_reports()").await, "1", "{state}");
        assert_eq!(rows.standing(&order).await, standing);
        rows.now_due(&order).await;
        assert_eq!(rows.claim(10).await.len(), 1, "{state}: it goes on");
    }
}

#[tokio::test]
async fn what_comes_in_order_is_applied_in_order_and_a_bundle_taken_back_is_no_success() {
    let rows = Rows::fulfillment().await;
    let order = accepted_order(&rows, "0261234567", "P1").await;
    let holder = rows.scratch.client().await;
    holder.batch_execute("begin; select from orders for update").await.unwrap();
    for state in ["delivered", "reversed"] {
        assert_eq!(rows.report(&order, Some("P1"), state, None).await, "kept: its order is held by somebody");
    }
    holder.batch_execute("commit").await.unwrap();
    assert_eq!(rows.text("select rowcall.apply_reports()").await, "2");
    assert_eq!(rows.standing(&order).await, "failed 1/3 failed");
    assert_eq!(history(&rows, &order).await, "wait done failed");
    assert_eq!(rows.log(&order, "retry_after").await, "", "it is not bought again by itself");

    let order = accepted_order(&rows, "0261234568", "P2").await;
    rows.run("update fulfillment_logs set attempt_number = 3").await;
    assert_eq!(rows.report(&order, Some("P2"), "reversed", None).await, "settled: failed");
    assert_eq!(rows.report(&order, Some("P2"), "delivered", None).await, "told to be taken back before");
    assert_eq!(rows.standing(&order).await, "failed 3/3 failed");
    assert_eq!(rows.report(&order, Some("P2"), "delivered", Some("2026-11-20 12:00Z")).await, "settled: success");
}

#[tokio::test]
async fn each_purchase_of_an_order_has_its_own_news() {
    let rows = Rows::fulfillment().await;
    let order = rows.order("0261234567").await;
    for purchase in 1..=2 {
        let job = rows.claim_one().await;
        let reference = job.payload::<serde_json::Value>().unwrap()["reference"].as_str().unwrap().to_owned();
        assert_eq!(reference == order, purchase == 1);
        // Nobody names a transaction, as some suppliers do not.
        rows.settle(job, accepted(None)).await;
        if purchase == 2 {
            assert_eq!(rows.report(&order, None, "failed", None).await, "known already");
            assert_eq!(rows.report(&order, None, "reversed", None).await, "of an earlier purchase of the order");
            assert_eq!(rows.report(&order, None, "delivered", None).await, "of an earlier purchase of the order");
        }
        let answer = rows.report(&reference, None, "failed", None).await;
        assert_eq!(answer, "settled: tried again", "{purchase}");
        rows.now_due(&order).await;
    }
    // What was told to have failed was delivered after all, and no other was begun.
    assert_eq!(rows.standing(&order).await, "failed 2/3 failed");
    assert_eq!(rows.report("told", None, "delivered", None).await, "settled: success");
}

#[tokio::test]
async fn a_report_and_a_settle_at_the_same_moment_both_count() {
    let rows = Arc::new(Rows::fulfillment().await);
    let teller = rows.scratch.client().await;
    for nth in 0..40 {
        let order = rows.order(&format!("02612345{nth:02}")).await;
        let job = rows.claim_one().await;
        let settler = Arc::clone(&rows);
        let settling = tokio::spawn(async move { settler.settle(job, accepted(Some("P1"))).await });
        if nth % 2 == 0 {
            tokio::task::yield_now().await;
        }
        let sql = format!("select rowcall.supplier_report('default', '{order}', null, 'delivered', null, null, null)");
        let answer: String = teller.query_one(&sql, &[]).await.unwrap().get(0);
        settling.await.unwrap();
        if answer == "kept: its order is held by somebody" {
            // It may apply that of an order before, too, which changes nothing any more.
            assert_ne!(rows.text("select rowcall.apply_reports()").await, "0");
        }
        assert_eq!(rows.standing(&order).await, "success 1/3 success", "{nth}: {answer}");
    }
}

#[tokio::test]
async fn a_settle_waits_out_a_report_that_is_not_committed_and_reads_it() {
    let rows = Rows::fulfillment().await;
    let order = rows.order("0261234567").await;
    let job = rows.claim_one().await;
    let teller = rows.scratch.client().await;
    let report = format!("select rowcall.supplier_report('default', '{order}', 'P1', 'delivered', null, null, null)");
    teller.batch_execute(&format!("begin; {report}")).await.unwrap();
    let settling = tokio::spawn(async move {
        let settled = rows.settle(job, refused()).await;
        (rows, settled)
    });
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    teller.batch_execute("commit").await.unwrap();
    let (rows, settled) = settling.await.unwrap();
    assert_eq!((settled.as_str(), rows.standing(&order).await.as_str()), ("done", "success 1/3 success"));
}

#[tokio::test]
async fn what_is_told_of_an_order_that_is_not_known_yet_or_held_by_somebody_is_made_good() {
    let rows = Rows::fulfillment().await;
    let order = rows.order("0261234567").await;
    let job = rows.claim_one().await;
    // The supplier's own number, before anybody here knows it.
    assert_eq!(rows.report("", Some("P1"), "delivered", None).await, "kept: its order is not known yet");
    assert_eq!(rows.text("select rowcall.apply_reports()").await, "0");
    rows.settle(job, accepted(Some("P1"))).await;
    assert_eq!(rows.text("select rowcall.apply_reports()").await, "1");
    assert_eq!(rows.standing(&order).await, "success 1/3 success");

    let order = accepted_order(&rows, "0261234568", "P2").await;
    let holder = rows.scratch.client().await;
    for held in ["fulfillment_logs where order_id", "orders where id"] {
        holder.batch_execute(&format!("begin; select * from {held} = '{order}' for update")).await.unwrap();
        let at = format!("2026-11-20 12:00:{:02}Z", held.len());
        assert_eq!(rows.report(&order, None, "delivered", Some(&at)).await, "kept: its order is held by somebody");
        holder.batch_execute("commit").await.unwrap();
    }
    assert_eq!(rows.text("select rowcall.apply_reports()").await, "2");
    assert_eq!(rows.standing(&order).await, "success 1/3 success");
}

#[tokio::test]
async fn news_of_an_earlier_purchase_does_not_end_a_later_one() {
    let rows = Rows::fulfillment().await;
    let order = accepted_order(&rows, "0261234567", "P1").await;
    rows.now_due(&order).await;
    let job = rows.claim_one().await;
    rows.settle(job, not_done(Failure::new(Fault::Transient, "no"), "failed")).await;
    rows.now_due(&order).await;
    let job = rows.claim_one().await;
    rows.settle(job, accepted(Some("P2"))).await;
    assert_eq!(rows.report(&order, Some("P1"), "failed", None).await, "of another purchase of the order");
    assert_eq!(rows.report(&order, None, "failed", None).await, "of an earlier purchase of the order");
    // Without the supplier's number it may be about either: the supplier is asked, and nothing is settled by it.
    let sooner = "retry_after <= now() and status = 'processing'";
    rows.run("update fulfillment_logs set updated_at = now() - interval '1 minute'").await;
    assert_eq!(rows.report("told", None, "failed", None).await, "looked up");
    assert_eq!(rows.log(&order, sooner).await, "true");
    let job = rows.claim_one().await;
    assert_eq!(job.operation, "look_up");
    rows.settle(job, accepted(Some("P2"))).await;
    assert_eq!(
        rows.report("told", None, "failed", Some("2020-01-01 00:00Z")).await,
        "about which purchase is not known"
    );
    assert_eq!(rows.standing(&order).await, "processing 2/3 processing");
    assert_eq!(rows.report("told", None, "failed", Some("2099-01-01 00:00Z")).await, "settled: tried again");
}

#[tokio::test]
async fn what_proves_nothing_brings_a_look_up_forward_and_settles_nothing() {
    let rows = Rows::fulfillment().await;
    let order = accepted_order(&rows, "0261234567", "P1").await;
    assert_eq!(rows.report(&order, None, "unproven", None).await, "ignored", "it was looked at just now");
    rows.run("update fulfillment_logs set updated_at = now() - interval '1 minute'").await;
    assert_eq!(rows.report(&order, None, "unproven", None).await, "looked up");
    assert_eq!(rows.report("nobody", Some("nothing"), "unproven", None).await, "ignored");
    assert_eq!(rows.standing(&order).await, "processing 1/3 processing");
    assert_eq!(rows.claim_one().await.operation, "look_up");
    assert_eq!(rows.text("select count(*) from rowcall.supplier_reports").await, "0");
}

#[tokio::test]
async fn a_report_that_the_users_own_trigger_refuses_is_kept_and_holds_up_no_other() {
    let rows = Rows::fulfillment().await;
    let refusing = accepted_order(&rows, "0261234567", "P1").await;
    let other = accepted_order(&rows, "0261234568", "P2").await;
    rows.run(&format!(
        "create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$;
         create trigger refuse before update of fulfillment_status on orders for each row when (new.id = '{refusing}')
         execute function refuse()"
    ))
    .await;
    assert_eq!(rows.report(&refusing, None, "delivered", None).await, "kept: it could not be applied");
    let holder = rows.scratch.client().await;
    holder.batch_execute(&format!("begin; select * from orders where id = '{other}' for update")).await.unwrap();
    assert!(rows.report(&other, None, "delivered", None).await.starts_with("kept"));
    holder.batch_execute("commit").await.unwrap();
    assert_eq!(rows.text("select rowcall.apply_reports()").await, "1");
    assert!(rows.standing(&other).await.starts_with("success"));
    rows.run("drop trigger refuse on orders").await;
    assert_eq!(rows.text("select rowcall.apply_reports()").await, "1");
    assert!(rows.standing(&refusing).await.starts_with("success"));
}

#[tokio::test]
async fn what_is_told_of_a_request_that_was_changed_meanwhile_is_not_lost() {
    let rows = Rows::fulfillment().await;
    let order = rows.order("0261234567").await;
    let job = rows.claim_one().await;
    assert_eq!(rows.report(&order, Some("P1"), "delivered", None).await, "kept: a worker is at it");
    rows.run("update fulfillment_logs set status = 'failed'").await;
    assert_eq!(rows.settle(job, accepted(Some("P1"))).await, "superseded");
    assert_eq!(rows.standing(&order).await, "failed 1/3 failed");
    assert_eq!(rows.text("select rowcall.apply_reports()").await, "1");
    assert_eq!(rows.standing(&order).await, "success 1/3 success");
}
