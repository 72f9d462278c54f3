//! Much to do, workers that are killed with 9 in the middle of it, and answers that get lost: no number gets its bundle twice.

use std::collections::HashMap;

use serde_json::json;

use crate::fulfillment_flow::Flow;

const ORDERS: usize = 500;

/// How often each number got its bundle, by the supplier's book.
async fn delivered(flow: &Flow) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for line in flow.sandbox.see("book").await.as_array().unwrap() {
        assert_eq!(line["what"], "delivered");
        *counts.entry(line["phone"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    counts
}

/// Orders for different numbers, two workers that are killed twice over, and answers that are lost on the way. Returns, by number,
/// how its order stands.
async fn storm(profile: &'static str) -> (Flow, HashMap<String, String>) {
    let mut flow = Flow::with(profile, |text| text.replace("[look_up]\n", "[look_up]\nschedule_s = [1]\n"), &[]).await;
    flow.sql(
        "update rowcall.queues
         set rate_per_second = 5000, rate_burst = 5000, slots = 40, retry_delays = '{20 milliseconds}', max_attempts = 9
         where queue = 'fulfillment_logs'",
    )
    .await;
    for (kind, times) in [("accept-then-close", 15), ("close", 10), ("accept-then-hang", 5)] {
        flow.tell("faults", json!({ "kind": kind, "times": times })).await;
    }
    flow.tell("faults", json!({ "kind": "close", "at": "look_up", "times": 10 })).await;
    // So that there always are some under way when somebody kills.
    flow.tell("faults", json!({ "kind": { "slow": 100 }, "times": ORDERS })).await;
    let mut second = flow.worker("127.0.0.1:0").await;
    flow.sql(&format!(
        "insert into orders (network, phone_number, package, amount)
         select 'AT-iShare', '026' || (1000000 + n), '1GB', 4.50 from generate_series(1, {ORDERS}) as n"
    ))
    .await;
    for number in [120, 280] {
        flow.sandbox.until("orders", number).await;
        drop(second);
        flow = flow.replace_worker().await;
        second = flow.worker("127.0.0.1:0").await;
    }
    let open =
        "select count(*) from fulfillment_logs where status in ('pending', 'processing') or retry_after is not null";
    flow.until(open, "0").await;
    let rows =
        flow.client.query("select '233' || right(phone_number, 9), status from fulfillment_logs", &[]).await.unwrap();
    let standings = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let lost = flow.text("select count(*) from rowcall.attempts where settled_as = 'lost'").await;
    assert!(lost.parse::<usize>().unwrap() >= 4, "{lost} were cut off");
    (flow, standings)
}

#[tokio::test]
async fn five_hundred_orders_under_kill_9_and_lost_answers_are_bought_once_each_or_are_unknown() {
    let (flow, standings) = storm("codecraft").await;
    let delivered = delivered(&flow).await;
    assert_eq!(standings.len(), ORDERS);
    assert_eq!(delivered.values().max(), Some(&1), "none was bought twice");
    let number = |status: &str| standings.values().filter(|standing| *standing == status).count();
    let (success, unknown) = (number("success"), number("unknown"));
    assert_eq!(success + unknown, ORDERS, "{standings:?}");
    assert!(unknown >= 30, "those whose answers were lost, and those that were cut off: {unknown}");
    for (phone, standing) in &standings {
        assert!(standing == "unknown" || delivered.contains_key(phone), "a success that the book does not have");
    }
    let shown = "select count(*) from orders as o join fulfillment_logs as l on l.order_id = o.id where o.fulfillment_status <> l.status";
    assert_eq!(flow.text(shown).await, "0");
}

#[tokio::test]
async fn where_a_reference_is_taken_once_five_hundred_orders_are_all_delivered_and_once_each() {
    let (flow, standings) = storm("spfastit").await;
    let delivered = delivered(&flow).await;
    assert_eq!((delivered.len(), delivered.values().max()), (ORDERS, Some(&1)));
    assert!(standings.values().all(|standing| standing == "success"), "{standings:?}");
    assert_eq!(flow.text("select count(*) from orders where fulfillment_status = 'success'").await, ORDERS.to_string());
}
