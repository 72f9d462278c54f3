//! Accepted is not delivered: an order waits until the supplier says so, and never for ever.

use std::time::Duration;

use rowcall::failure::Fault;
use rowcall::integrations::Integration as _;
use rowcall::integrations::supplier::profile::shipped;
use rowcall::job::Job;
use rowcall::outcome::Verdict;
use rowcall::sandbox::supplier::{Delivery, End, Fault as Script, Kind};
use serde_json::{Value, json};

use super::{
    NUMBER, WITH_LOOK_UP, World, ago, assert_accepted, assert_fault, fit_for_a_row, job, look_up, names, purchase,
    state,
};
use crate::process::eventually;

const HOUR: i64 = 3600;

fn about(delay: Option<Duration>, seconds: u64) -> bool {
    let expected = Duration::from_secs(seconds);
    delay.is_some_and(|delay| delay + Duration::from_secs(1) >= expected && delay <= expected.mul_f64(1.1))
}

#[tokio::test]
async fn an_order_that_is_on_its_way_is_looked_up_by_the_schedule() {
    for name in WITH_LOOK_UP {
        let world = World::new(name).await;
        world.never_deliver();
        let accepted = world.execute(&purchase()).await;
        assert_accepted(&accepted, name);
        assert!(about(accepted.delay, 5), "{:?}", accepted.delay);
        for (age, seconds) in [(5, 10), (15, 15), (30, 60), (90, 300), (390, 900), (5 * HOUR, 900)] {
            let still = world.execute(&look_up(&accepted, age)).await;
            assert_accepted(&still, name);
            assert!(about(still.delay, seconds), "after {age} s: {:?}", still.delay);
            let number =
                |outcome: &rowcall::outcome::Outcome| outcome.result.as_ref().unwrap()["provider_reference"].clone();
            assert_eq!(number(&still), number(&accepted));
        }
        assert_eq!(world.fake.orders().len(), 1, "looking buys nothing");
    }
}

#[tokio::test]
async fn a_late_delivery_is_seen() {
    for name in WITH_LOOK_UP {
        let world = World::new(name).await;
        world.fake.delivery(Delivery { after_ms: 300, end: End::Delivered });
        let accepted = world.execute(&purchase()).await;
        assert_accepted(&accepted, name);
        eventually("the delivery", || (world.fake.book().len() == 1).then_some(())).await;
        assert_eq!(world.execute(&look_up(&accepted, 5)).await.verdict, Verdict::Done, "{name}");
    }
}

#[tokio::test]
async fn what_the_supplier_could_not_deliver_is_bought_anew() {
    for name in WITH_LOOK_UP {
        let world = World::new(name).await;
        world.fake.delivery(Delivery { after_ms: 200, end: End::Failed });
        let accepted = world.execute(&purchase()).await;
        assert_accepted(&accepted, name);
        eventually("the failure", || (world.fake.orders()[0]["standing"] == "failed").then_some(())).await;
        let failed = world.execute(&look_up(&accepted, 5)).await;
        assert_fault(&failed, Fault::Transient, name);
        assert_eq!(state(&failed), "failed");
        assert!(!failed.uncertain && world.fake.book().is_empty());
        // Under another reference, which the row's SQL gives it.
        world.never_deliver();
        let other = job("purchase", |payload| payload["reference"] = json!("0190c2a4-7b1e-7c3d-8f00-00000000002b"));
        assert_accepted(&world.execute(&other).await, name);
        assert_eq!(world.fake.orders().len(), 2, "{name}");
    }
}

#[tokio::test]
async fn a_bundle_that_was_taken_back_before_it_was_seen_is_not_delivered() {
    for name in WITH_LOOK_UP {
        let world = World::new(name).await;
        world.fake.delivery(Delivery { after_ms: 100, end: End::Delivered });
        let accepted = world.execute(&purchase()).await;
        let number = accepted.result.as_ref().unwrap()["provider_reference"].as_str().unwrap().to_owned();
        eventually("the delivery", || world.fake.reverse(&number).then_some(())).await;
        let reversed = world.execute(&look_up(&accepted, 5)).await;
        assert_eq!(state(&reversed), "reversed", "{name}: {reversed:?}");
        assert!([Verdict::Retry, Verdict::Failed].contains(&reversed.verdict));
        fit_for_a_row(&reversed);
    }
}

#[tokio::test]
async fn after_a_day_without_news_an_order_is_a_persons_and_never_a_success() {
    for name in names() {
        let world = World::new(name).await;
        world.never_deliver();
        let accepted = world.execute(&purchase()).await;
        let before = world.execute(&look_up(&accepted, 24 * HOUR - 20)).await;
        assert_accepted(&before, name);
        assert!(before.delay.unwrap() <= Duration::from_secs(20), "the last look comes with the end: {before:?}");
        let after = world.execute(&look_up(&accepted, 24 * HOUR)).await;
        assert_fault(&after, Fault::Unknowable, name);
        assert!(after.error.unwrap().contains("24 hours"));
        // One that was delivered after all is a success, however late that is seen.
        if WITH_LOOK_UP.contains(&name) && name != "at-ishare" {
            let world = World::new(name).await;
            let accepted = world.execute(&purchase()).await;
            assert_eq!(world.execute(&look_up(&accepted, 48 * HOUR)).await.verdict, Verdict::Done, "{name}");
        }
    }
}

#[tokio::test]
async fn an_order_that_only_a_callback_can_tell_of_waits_for_it() {
    let world = World::new("hubnet").await;
    let accepted = world.execute(&purchase()).await;
    assert!(accepted.error.unwrap().contains("callback"));
    let still = world.execute(&job("look_up", |payload| payload["accepted_at"] = ago(60))).await;
    assert_accepted(&still, "hubnet");
    assert!(about(still.delay, 3600), "{:?}", still.delay);
    assert_eq!(world.fake.requests().len(), 1, "there is nothing to ask");
}

#[tokio::test]
async fn what_is_not_found_has_not_failed() {
    for name in WITH_LOOK_UP {
        let world = World::new(name).await;
        let absent = |payload: &mut Value| {
            payload["provider_reference"] = json!("TX-absent");
            payload["accepted_at"] = ago(60);
        };
        assert_accepted(&world.execute(&job("look_up", absent)).await, name);
    }
}

#[tokio::test]
async fn a_look_up_that_goes_wrong_spends_nothing_and_is_repeated() {
    let broken = |status| Kind::Answer { status, body: json!("<html>no</html>") };
    for name in WITH_LOOK_UP {
        let world = World::new(name).await;
        world.never_deliver();
        let accepted = world.execute(&purchase()).await;
        for kind in [broken(500), broken(503), broken(200), broken(404), Kind::Close, Kind::Hang] {
            world.fake.fault(Script::new(kind.clone()).of_look_up());
            let outcome = world.execute_within(&look_up(&accepted, 60), Duration::from_millis(300)).await;
            assert_accepted(&outcome, &format!("{name} {kind:?}"));
        }
        world.fake.fault(Script { retry_after: Some("30".to_owned()), ..Script::new(broken(429)).of_look_up() });
        let patient = world.execute(&look_up(&accepted, 60)).await;
        assert_fault(&patient, Fault::Throttled, name);
        assert!(about(patient.delay, 30) && state(&patient) == "accepted", "{patient:?}");
        world.fake.fault(Script::new(broken(401)).of_look_up());
        let refused = world.execute(&look_up(&accepted, 60)).await;
        assert_fault(&refused, Fault::Credentials, name);
        assert!(about(refused.delay, 30) && state(&refused) == "accepted", "by the schedule: {refused:?}");
    }
}

#[tokio::test]
async fn an_open_breaker_holds_up_what_may_buy_and_nothing_else() {
    for name in names() {
        let world = World::new(name).await;
        assert_eq!(world.supplier.target(), Some(format!("supplier:{name}")));
        let is_held_up = |operation, uncertain| {
            let job = Job { uncertain, ..job(operation, |_| {}) };
            world.supplier.is_held_up(&job)
        };
        assert!(is_held_up("purchase", false), "{name}");
        assert!(!is_held_up("look_up", false) && !is_held_up("look_up", true), "{name}");
        // In doubt it is only asked about, or parked; but not where it is sent again.
        assert_eq!(is_held_up("purchase", true), ["spfastit", "xpress"].contains(&name), "{name}");
        // After the window of its reference it is only looked up, and so says nothing of whether anything can be bought.
        let old = Job { uncertain: true, ..job("purchase", |payload| payload["doubted_at"] = ago(25 * HOUR)) };
        assert_eq!(world.supplier.is_held_up(&old), name == "spfastit", "{name}");
    }
}

#[tokio::test]
async fn a_state_in_a_refusal_of_a_look_up_does_not_count() {
    let world = World::new("at-ishare").await;
    world.never_deliver();
    let accepted = world.execute(&purchase()).await;
    for (status, body) in [
        (404, json!({"success": false, "status": "failed"})),
        (500, json!({"success": true, "status": "delivered"})),
        (200, json!({"success": true, "status": "teleported"})),
    ] {
        world.fake.fault(Script::new(Kind::Answer { status, body }).of_look_up());
        assert_accepted(&world.execute(&look_up(&accepted, 60)).await, "no state");
    }
}

#[tokio::test]
async fn a_look_up_that_tells_of_an_earlier_purchase_is_not_believed() {
    for (name, order) in [
        ("at-ishare", json!({"success": true, "transaction_id": "TX-earlier"})),
        ("spfastit", json!({"status": "success", "transaction_id": "TX-earlier"})),
        ("xpress", json!({"order_id": "TX-earlier"})),
    ] {
        let world = World::new(name).await;
        world.never_deliver();
        let accepted = world.execute(&purchase()).await;
        let number = accepted.result.as_ref().unwrap()["provider_reference"].clone();
        for word in ["failed", "refunded", "completed"] {
            let mut body = order.clone();
            body[if name == "spfastit" { "order_status" } else { "status" }] = json!(word);
            world.fake.fault(Script::new(Kind::Answer { status: 200, body }).of_look_up());
            let outcome = world.execute(&look_up(&accepted, 60)).await;
            assert_accepted(&outcome, &format!("{name}, {word}"));
            assert_eq!(outcome.result.as_ref().unwrap()["provider_reference"], number);
            assert!(outcome.error.unwrap().contains("another order"));
        }
    }
}

#[tokio::test]
async fn an_order_is_known_by_the_number_that_a_look_up_tells_first() {
    let world = World::new("at-ishare").await;
    world.never_deliver();
    world.fake.fault(Script::new(Kind::AcceptThenClose));
    let outcome = world.execute(&purchase()).await;
    assert_accepted(&outcome, "looked up");
    assert_eq!(outcome.result.unwrap()["provider_reference"], world.fake.orders()[0]["order_id"]);
}

#[tokio::test]
async fn the_number_in_a_look_ups_answer_may_stand_elsewhere() {
    let text = shipped("at-ishare").unwrap().replace("[look_up]", "[look_up]\nprovider_reference = [\"/order\"]");
    let world = World::of(&text, |_| {}).await;
    world.never_deliver();
    let accepted = world.execute(&purchase()).await;
    let number = accepted.result.as_ref().unwrap()["provider_reference"].clone();
    for (order, verdict) in [(json!("TX-earlier"), Verdict::Wait), (number, Verdict::Done)] {
        let body = json!({"success": true, "status": "delivered", "transaction_id": "a look-up's", "order": order});
        world.fake.fault(Script::new(Kind::Answer { status: 200, body }).of_look_up());
        assert_eq!(world.execute(&look_up(&accepted, 60)).await.verdict, verdict, "{order}");
    }
}

#[tokio::test]
async fn a_look_up_that_was_cut_off_is_looked_up_again() {
    let world = World::new("codecraft").await;
    let accepted = world.execute(&purchase()).await;
    let job = Job { uncertain: true, attempt: 3, ..look_up(&accepted, 60) };
    assert_eq!(world.execute(&job).await.verdict, Verdict::Done);
    assert_eq!(world.fake.orders().len(), 1);
}

#[tokio::test]
async fn where_a_success_is_the_delivery_the_profile_says_so() {
    let text = r#"
        name = "codecraft"
        msisdn_format = "0XXXXXXXXX"
        auth = [{ in = "header", name = "x-api-key", value = "${secret.api_key}" }]
        purchase = { path = "/initiate.php", fields = { recipient_number = "${msisdn}", gig = "${volume}", network = "AT" } }
        response = { success = [{ pointer = "/status", equals = 200 }], success_means = "delivered" }
    "#;
    let world = World::of(text, |_| {}).await;
    assert_eq!(world.execute(&purchase()).await.verdict, Verdict::Done);
    assert_eq!(world.fake.book()[0]["phone"], json!(NUMBER.trim_start_matches('+')));
}
