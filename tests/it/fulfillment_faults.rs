//! What goes wrong between us and a supplier, through the whole flow: lost answers, answers that lie, an empty wallet, a worker
//! that dies. The supplier's book says what was really delivered.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::database::PATIENCE;
use crate::fulfillment_flow::Flow;

const TARGET: &str = "select state from rowcall.targets where target";

#[tokio::test]
async fn a_lost_answer_is_looked_up_where_that_can_be_and_nothing_is_bought_twice() {
    let flow = Flow::of("at-ishare").await;
    flow.tell("callbacks", json!([])).await;
    flow.tell("faults", json!({ "kind": "accept-then-hang" })).await;
    let order = flow.order("0261234567").await;
    flow.stands(&order, "success 1 success").await;
    assert_eq!((flow.sandbox.requests("purchase").await, flow.sandbox.requests("look_up").await), (1, 1));

    // The look-up is lost too: the order stays in doubt, and is looked up until the supplier says how it stands.
    flow.tell("faults", json!({ "kind": "accept-then-close" })).await;
    flow.tell("faults", json!({ "kind": "close", "at": "look_up" })).await;
    let order = flow.order("0261234568").await;
    flow.stands(&order, "processing 1 processing").await;
    let why = flow.log(&order, "error_message").await;
    assert!(why.contains("nobody knows yet whether it took the order"), "{why}");
    flow.time_comes(&order).await;
    flow.stands(&order, "success 1 success").await;
    assert_eq!(flow.sandbox.requests("purchase").await, 2);
    assert_eq!(flow.sandbox.book().await, ["delivered"; 2]);
}

#[tokio::test]
async fn where_a_reference_is_taken_once_a_lost_answer_is_sent_again_and_is_one_order() {
    let flow = Flow::of("spfastit").await;
    flow.tell("faults", json!({ "kind": "accept-then-close" })).await;
    flow.tell("faults", json!({ "kind": "close", "at": "look_up" })).await;
    let order = flow.order("0261234567").await;
    flow.stands(&order, "failed 1 failed").await;
    assert_eq!(
        flow.log(&order, "(retry_after > now() + interval '4 minutes') || ' ' || (claim_token is not null)").await,
        "true true"
    );
    flow.time_comes(&order).await;
    // Taken as the order that it is; SPFastIT tells its delivery by look-ups.
    flow.stands(&order, "processing 2 processing accepted").await;
    flow.time_comes(&order).await;
    flow.stands(&order, "success 2 success").await;
    assert_eq!(flow.sandbox.requests("purchase").await, 2);
    assert_eq!(flow.sandbox.see("orders").await.as_array().unwrap().len(), 1);
    assert_eq!(flow.sandbox.book().await, ["delivered"]);
}

#[tokio::test]
async fn with_neither_a_lost_answer_is_unknown_until_the_callback_or_a_person_tells() {
    let flow = Flow::of("hubnet").await;
    flow.tell("delivery", json!({ "end": "never" })).await;
    let mut lost = Vec::new();
    for phone in ["0261234567", "0261234568"] {
        flow.tell("faults", json!({ "kind": "accept-then-close" })).await;
        let order = flow.order(phone).await;
        flow.stands(&order, "unknown 1 unknown").await;
        let why = flow.log(&order, "error_message").await;
        assert!(why.contains("nobody knows whether the bundle was bought"), "{why}");
        lost.push(order);
    }
    let orders = flow.sandbox.see("orders").await;
    flow.tell("deliver", json!({ "order": orders[0]["order_id"] })).await;
    flow.stands(&lost[0], "success 1 success").await;
    assert_eq!(flow.log(&lost[0], "provider_reference").await, orders[0]["order_id"].as_str().unwrap());

    flow.stands(&lost[1], "unknown 1 unknown").await;
    let key = flow.log(&lost[1], "id").await;
    let resolve = ["resolve", "fulfillment_logs", &key, "done", "--note", "the statement has it"];
    flow.scratch.rowcall(&resolve).well();
    flow.stands(&lost[1], "success 1 success").await;
    assert_eq!(flow.log(&lost[1], "resolved_note").await, "the statement has it");
    assert_eq!(flow.sandbox.requests("purchase").await, 2);
}

#[tokio::test]
async fn codes_in_the_body_of_a_200_and_html_before_the_json_are_read() {
    let flow = Flow::of("codecraft").await;
    let code = |code: u16, words: &str| json!({ "status": code, "message": words });
    let answer = |body: Value| json!({ "kind": { "answer": { "status": 200, "body": body } } });
    flow.tell("faults", answer(code(101, "Out of stock"))).await;
    let order = flow.order("0261234567").await;
    flow.stands(&order, "failed 1 failed").await;
    assert!(flow.log(&order, "error_message").await.contains("(code 101: Out of stock)"));
    assert_eq!(
        flow.log(&order, "retry_after between now() + interval '4 minutes' and now() + interval '6 minutes'").await,
        "true"
    );
    flow.tell("faults", json!({ "kind": { "html-first": "<br /><b>Notice</b>: Undefined index<br />" } })).await;
    flow.time_comes(&order).await;
    flow.stands(&order, "processing 2 processing accepted").await;
    flow.time_comes(&order).await;
    flow.stands(&order, "success 2 success").await;

    flow.tell("faults", answer(code(103, "Price not found"))).await;
    let never = flow.order("0261234568").await;
    flow.stands(&never, "failed 1 failed").await;
    assert_eq!(flow.log(&never, "retry_after").await, "");
    // A fault of theirs with HTTP 200: perhaps it was bought.
    flow.tell("faults", answer(code(500, "Server error"))).await;
    let unclear = flow.order("0261234569").await;
    flow.stands(&unclear, "unknown 1 unknown").await;
    assert_eq!(flow.sandbox.book().await, ["delivered"]);
}

#[tokio::test]
async fn a_reference_that_the_supplier_knows_already_is_looked_up_and_not_bought_again() {
    let flow = Flow::of("at-ishare").await;
    flow.tell("callbacks", json!([])).await;
    // It says that it has none, and has taken the order all the same.
    let refusal = json!({ "success": false, "code": "out_of_stock" });
    flow.tell("faults", json!({ "kind": { "accept-then-answer": { "status": 200, "body": refusal } } })).await;
    let order = flow.order("0261234567").await;
    flow.stands(&order, "failed 1 failed").await;
    flow.time_comes(&order).await;
    flow.stands(&order, "success 2 success").await;
    assert_eq!((flow.sandbox.requests("purchase").await, flow.sandbox.requests("look_up").await), (2, 1));
    assert_eq!(flow.sandbox.book().await, ["delivered"]);
}

#[tokio::test]
async fn what_was_accepted_and_came_to_nothing_is_bought_anew() {
    let flow = Flow::of("codecraft").await;
    flow.tell("delivery", json!({ "end": "failed" })).await;
    let order = flow.order("0261234567").await;
    flow.stands(&order, "processing 1 processing accepted").await;
    let first = flow.log(&order, "provider_reference").await;
    flow.time_comes(&order).await;
    flow.stands(&order, "failed 1 failed").await;
    assert_eq!(flow.log(&order, "concat_ws(' ', accepted_at, provider_reference, claim_token)").await, "");
    flow.tell("delivery", json!({ "end": "delivered" })).await;
    flow.time_comes(&order).await;
    flow.stands(&order, "processing 2 processing accepted").await;
    assert_ne!(flow.log(&order, "provider_reference").await, first);
    flow.time_comes(&order).await;
    flow.stands(&order, "success 2 success").await;
    assert_eq!(flow.log(&order, "supplier").await, "codecraft");
    assert_eq!((flow.sandbox.requests("purchase").await, flow.sandbox.book().await), (2, vec!["delivered".to_owned()]));
}

#[tokio::test]
async fn an_empty_wallet_stops_purchases_alone_and_all_go_on_when_it_is_filled() {
    let flow = Flow::with("at-ishare", |text| text, &["--wallet", "1350"]).await;
    flow.sql("update rowcall.queues set rate_per_second = 1000, rate_burst = 1000 where queue = 'fulfillment_logs'")
        .await;
    let told = flow.accepted("0261234560").await;
    let asked = [flow.accepted("0261234561").await, flow.accepted("0261234562").await];
    flow.tell("delivery", json!({ "end": "delivered" })).await;
    let mut waiting = Vec::new();
    for nth in 3..9 {
        waiting.push(flow.order(&format!("026123456{nth}")).await);
    }
    flow.until(&format!("{TARGET} = 'supplier:at-ishare'"), "open").await;
    let told_why =
        "select count(*) from fulfillment_logs where status = 'pending' and attempt_number = 1 and claimed_by is null
        and error_message like 'Our account with the supplier is empty%go on by themselves.'";
    flow.until(told_why, "6").await;
    flow.until(&format!("{TARGET} = 'supplier'"), "closed").await;
    let health =
        flow.text("select target || ': ' || state from rowcall.queue_health where queue = 'fulfillment_logs'").await;
    assert_eq!(health, "supplier:at-ishare: breaker open");
    for command in ["status", "doctor"] {
        let shown = flow.scratch.rowcall(&[command]);
        assert!(shown.out.contains("supplier:at-ishare"), "{command}: {shown:?}");
    }

    // What was paid for is heard of, and asked about, whether or not a probe is due.
    flow.deliver(&told).await;
    flow.stands(&told, "success 1 success").await;
    flow.tell("callbacks", json!([])).await;
    flow.sql("update fulfillment_logs set retry_after = now() + interval '1 hour' where status = 'pending'").await;
    for (order, probe) in asked.iter().zip(["now() + interval '1 hour'", "now()"]) {
        flow.sql(&format!("update rowcall.targets set next_probe_at = {probe} where state = 'open'")).await;
        flow.deliver(order).await;
        flow.time_comes(order).await;
        flow.stands(order, "success 1 success").await;
    }
    // That proves nothing of the wallet.
    assert_eq!(flow.text(&format!("{TARGET} = 'supplier:at-ishare'")).await, "open");
    assert_eq!(flow.sandbox.requests("look_up").await, 2);

    flow.tell("wallet", json!({ "pesewas": 450 * 6 })).await;
    // A row that was told to wait comes back within a minute, and the probe sooner: that time passes.
    let_time_pass(&flow, 9).await;
    flow.until(&format!("{TARGET} = 'supplier:at-ishare'"), "closed").await;
    for order in &waiting {
        flow.stands(order, "success 1 success").await;
        assert_eq!(flow.log(order, "error_message").await, "");
    }
    assert_eq!(flow.text("select count(*) from rowcall.attempts where settled_as in ('retry', 'failed')").await, "0");
    assert_eq!(flow.sandbox.book().await, ["delivered"; 9]);
}

#[tokio::test]
async fn another_supplier_has_another_breaker() {
    let flow = Flow::with("codecraft", |text| text, &["--wallet", "0"]).await;
    let order = flow.order("0261234567").await;
    flow.until(&format!("{TARGET} = 'supplier:codecraft'"), "open").await;
    flow.stands(&order, "pending 1 pending").await;
    flow.tell("wallet", json!({ "pesewas": 450 })).await;
    let flow = flow.replace_supplier("spfastit").await;
    flow.time_comes(&order).await;
    flow.stands(&order, "processing 1 processing accepted").await;
    flow.time_comes(&order).await;
    flow.stands(&order, "success 1 success").await;
    let breakers = "select string_agg(target || ' ' || state, ', ' order by target) from rowcall.targets where target like 'supplier%'";
    assert_eq!(flow.text(breakers).await, "supplier closed, supplier:codecraft open, supplier:spfastit closed");
    assert_eq!(flow.sandbox.book().await, ["delivered"]);
}

/// Lets time pass until so many orders are delivered.
async fn let_time_pass(flow: &Flow, number: usize) {
    let began = Instant::now();
    while flow.text("select count(*) from fulfillment_logs where status = 'success'").await != number.to_string() {
        assert!(began.elapsed() < PATIENCE, "{}", flow.run.log());
        flow.sql(
            "update rowcall.targets set next_probe_at = now() where state = 'open';
             update fulfillment_logs set retry_after = now() where status = 'pending' and claimed_by is null;
             select rowcall.sweep_now()",
        )
        .await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_worker_that_dies_looking_an_order_up_spends_no_attempt() {
    let flow = Flow::of("codecraft").await;
    let order = flow.accepted("0261234567").await;
    flow.tell("faults", json!({ "kind": "hang", "at": "look_up" })).await;
    flow.time_comes(&order).await;
    flow.sandbox.until("requests", 2).await;
    let flow = flow.replace_worker().await;
    flow.until("select count(*) from rowcall.attempts where settled_as = 'lost'", "1").await;
    flow.stands(&order, "processing 1 processing accepted").await;
    flow.deliver(&order).await;
    flow.time_comes(&order).await;
    flow.stands(&order, "success 1 success").await;
    assert_eq!(flow.sandbox.requests("purchase").await, 1);
}

#[tokio::test]
async fn a_worker_that_dies_buying_leaves_a_doubt_that_is_not_bought_away() {
    let flow = Flow::of("codecraft").await;
    flow.tell("faults", json!({ "kind": "accept-then-hang" })).await;
    let order = flow.order("0261234567").await;
    flow.sandbox.until("book", 1).await;
    let flow = flow.replace_worker().await;
    flow.stands(&order, "unknown 2 unknown").await;
    assert_eq!(flow.history(&order).await, "lost unknown");
    assert_eq!((flow.sandbox.requests("purchase").await, flow.sandbox.book().await.len()), (1, 1));
}
