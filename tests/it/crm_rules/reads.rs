//! Commerce7's orders, of which a webhook tells the number only: the row is asked for, read, and goes through the rule.

use rowcall::failure::{Failure, Fault};
use rowcall::outcome::Outcome;
use rowcall::store::queues::CRM_ORDERS;
use serde_json::{Value, json};

use super::{Crm, notice};
use crate::database::{Ear, TestDatabase};

async fn tenant() -> Crm {
    let crm = Crm::on(TestDatabase::new().await, &CRM_ORDERS).await;
    crm.tenant("north").await;
    crm
}

/// What Commerce7's webhook says, which may be anything.
fn told(webhook: &str) -> Value {
    json!({"crm_type": "commerce7", "tenant_or_shop": "north", "event": "order/update", "webhook_id": webhook, "total": "9999.00"})
}

/// What Commerce7 itself says of order 1001.
fn read(total: &str, state: &str) -> Outcome {
    let change = json!({"crm_type": "commerce7", "tenant_or_shop": "north", "total": total, "financial_state": state, "currency": null});
    let notice = notice("read", &change);
    Outcome::done(Some(json!({"crm_type": "commerce7", "target": "commerce7:north", "notice": notice})))
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_webhook_only_the_number_is_believed() {
    let crm = tenant().await;
    let ear = Ear::on(&crm.db).await;
    assert_eq!(crm.hear("w1", told("w1")).await, "the order is asked for");
    assert_eq!(ear.next().await, ["crm_orders"]);
    assert_eq!(crm.text("select count(*) from customers").await, "0");
    let job = crm.claim_one().await;
    assert_eq!(job.operation, "fetch_order");
    let payload: Value = job.payload().unwrap();
    assert_eq!(
        payload,
        json!({"crm_type": "commerce7", "client_id": 1, "tenant": "north", "shop": null, "credentials": null,
            "order_id": "1001", "webhook_id": "w1", "event": "order/update"})
    );
    assert_eq!(crm.text("select status from crm_orders").await, "fetching");
    assert_eq!(crm.settle(job, read("120.00", "paid")).await, "done");
    let order = "select concat_ws(' ', status, total, decision, claim_token) from crm_orders";
    assert_eq!(crm.text(order).await, "known 120.0000 enrolled in Silver");
    assert_eq!(crm.asked().await, "add_membership Silver");
    let history = "select concat_ws(' ', settled_as, response ->> 'target', response ? 'notice') from rowcall.attempts";
    assert_eq!(crm.text(history).await, "done commerce7:north f", "history names nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_comes_while_the_order_is_read_has_it_read_again() {
    let crm = tenant().await;
    crm.hear("w1", told("w1")).await;
    let job = crm.claim_one().await;
    assert_eq!(crm.hear("w1", told("w1")).await, "known already", "a replay is no news");
    crm.hear("w2", told("w2")).await;
    assert!(crm.claim(10).await.is_empty(), "one at a time");
    assert_eq!(crm.settle(job, read("120.00", "paid")).await, "superseded");
    assert_eq!(crm.text("select count(*) from enrollments").await, "0", "it may have been read before the change");
    crm.forgive().await;
    let job = crm.claim_one().await;
    let payload: Value = job.payload().unwrap();
    assert_eq!((&payload["webhook_id"], job.generation), (&json!("w2"), 2));
    crm.settle(job, read("600.00", "paid")).await;
    assert_eq!(crm.asked().await, "add_membership Gold");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_cannot_be_read_waits_or_fails_and_can_be_asked_for_again() {
    let crm = tenant().await;
    crm.hear("w1", told("w1")).await;
    let job = crm.claim_one().await;
    assert_eq!(crm.settle(job, Failure::new(Fault::Outage, "Commerce7 is down")).await, "wait");
    crm.db.run("update crm_orders set next_retry_at = now()").await;
    crm.forgive().await;
    let job = crm.claim_one().await;
    assert_eq!(crm.settle(job, Failure::new(Fault::Item, "Commerce7 has no such order")).await, "failed");
    let work = "select concat_ws('|', label, state, reason) from rowcall.work";
    assert_eq!(crm.text(work).await, "order 1001|failed|Commerce7 has no such order");
    let said: String = crm.db.get("select rowcall.retry('crm_orders', '1')").await;
    assert_eq!(said, "order 1001 is read now; but no live worker serves crm_orders: start one with rowcall run");
    crm.forgive().await;
    let job = crm.claim_one().await;
    assert_eq!((job.generation, job.attempt), (2, 1));
    let said: String = crm.db.get("select rowcall.cancel('crm_orders', '1')").await;
    assert_eq!(said, "order 1001 is not read");
    assert_eq!(crm.settle(job, read("120.00", "paid")).await, "superseded");
    for (sql, words) in [
        ("select rowcall.cancel('crm_orders', '1')", "nothing to cancel"),
        ("select rowcall.resolve('crm_orders', '1', 'done', 'x')", "nothing to resolve"),
        ("select rowcall.retry('crm_orders', 'x')", "no row with the key x"),
    ] {
        let refusal = crm.db.refusal(sql).await;
        assert!(refusal.contains(words), "{refusal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebodys_lock_holds_up_no_other_orders_outcome() {
    let crm = tenant().await;
    crm.tenant("south").await;
    crm.hear("w1", told("w1")).await;
    crm.hear(
        "w2",
        json!({"crm_type": "commerce7", "tenant_or_shop": "south", "event": "order/create", "order_id": "2"}),
    )
    .await;
    crm.hear(
        "w0",
        json!({"tenant_or_shop": "north", "crm_type": "commerce7", "event": "customer/update", "order_id": null}),
    )
    .await;
    let mut jobs = crm.claim(10).await;
    jobs.sort_by_key(|job| job.key.clone());
    let holder = crm.db.connect().await;
    holder.batch_execute("begin; select pg_advisory_xact_lock(hashtextextended('rowcall crm 1', 0))").await.unwrap();
    let settlement = |job| rowcall::store::settles::Settlement {
        job,
        outcome: read("120.00", "paid"),
        delay: std::time::Duration::ZERO,
        duration: Some(std::time::Duration::from_millis(10)),
    };
    let batch: Vec<_> = jobs.into_iter().map(settlement).collect();
    let error = crm.store.settle(crm.statements, &batch, false).await.unwrap_err();
    assert!(error.is_contention(), "it fails soon, to be tried again by halves: {}", error.chain());
    assert_eq!(crm.store.settle(crm.statements, &batch[1..], false).await.unwrap().len(), 1);
    holder.batch_execute("commit").await.unwrap();
    assert_eq!(crm.store.settle(crm.statements, &batch[..1], false).await.unwrap()[0].settled_as, "done");
    assert_eq!(crm.text("select count(*) from enrollments").await, "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_reads_and_changes_share_its_calls() {
    let crm = tenant().await;
    crm.hear("w1", told("w1")).await;
    assert_eq!(crm.claim(10).await.len(), 1);
    let changes = Crm { statements: &rowcall::store::queues::CRM_SYNC_QUEUE, ..crm };
    changes.asking(1, 1).await;
    assert!(changes.claim(10).await.is_empty(), "the read took the call that there was");
    changes.forgive().await;
    assert_eq!(changes.claim(10).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_opens_the_breaker_after_others_came_through_bears_the_fault_itself() {
    let crm = tenant().await;
    let mut settled = Vec::new();
    for nth in 0..6 {
        let other = json!({"crm_type": "commerce7", "tenant_or_shop": "north", "event": "order/create", "order_id": format!("o{nth}")});
        crm.hear("w1", told("w1")).await;
        crm.hear(&format!("o{nth}"), other).await;
        crm.forgive().await;
        crm.db.run("update crm_orders set next_retry_at = now()").await;
        for _ in 0..2 {
            let job = crm.claim(1).await.remove(0);
            let order: Value = job.payload().unwrap();
            let is_poison = order["order_id"] == "1001";
            let failure = Failure::new(Fault::Outage, "HTTP 500");
            let down = Outcome { result: Some(json!({"calls": 1, "opens_breaker": true})), ..failure.into() };
            let settled_as = crm.settle(job, if is_poison { down } else { read("10.00", "paid") }).await;
            settled.extend(is_poison.then_some(settled_as));
            crm.forgive().await;
        }
    }
    assert_eq!(settled, ["wait", "retry", "retry", "retry", "retry", "failed"]);
}

/// How much of it stays paid is not known, so no tier follows from it.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_commerce7_paid_back_in_part_enrolls_nobody_and_is_for_a_person() {
    let crm = tenant().await;
    let mut said = Vec::new();
    for (nth, state) in ["partially_refunded", "paid", "partially_refunded"].into_iter().enumerate() {
        crm.hear("", told(&format!("w{nth}"))).await;
        crm.forgive().await;
        let job = crm.claim_one().await;
        crm.settle(job, read("600.00", state)).await;
        said.push(crm.text("select decision from crm_orders").await);
    }
    let vague = "refunded in part, and Commerce7 does not say how much: look whether the customer is to be a member";
    let since = "enrolled in Gold; refunded in part since, look whether the membership is to stay";
    assert_eq!(said, [vague, "enrolled in Gold", since]);
    assert_eq!(crm.asked().await, "add_membership Gold");
}
