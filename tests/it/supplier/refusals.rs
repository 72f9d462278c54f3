//! What suppliers refuse in their own words: nothing was bought, and the words say what becomes of the order.

use std::time::Duration;

use rowcall::failure::Fault;
use rowcall::job::Job;
use rowcall::outcome::Verdict;
use rowcall::sandbox::supplier::{Fault as Script, Kind};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::{World, assert_accepted, assert_fault, job, names, purchase, state};

fn answer(status: u16, body: Value) -> Script {
    Script::new(Kind::Answer { status, body })
}

#[tokio::test]
async fn an_empty_wallet_stops_the_supplier_and_spends_no_attempt() {
    for name in names() {
        let world = World::new(name).await;
        for _ in 0..5 {
            // 10 000 GHS buy 5 × 444 GB and not a sixth.
            world
                .execute(&job("purchase", |p| {
                    p["package"] = json!("444GB");
                    p["reference"] = json!(uuid::Uuid::new_v4().to_string());
                }))
                .await;
        }
        let large = job("purchase", |payload| payload["package"] = json!("444GB"));
        let outcome = world.execute(&large).await;
        assert_fault(&outcome, Fault::Outage, name);
        assert!(outcome.fault.unwrap().opens_breaker() && !outcome.uncertain, "{outcome:?}");
        assert!(outcome.error.unwrap().contains("empty"));
        assert_eq!(world.fake.book().len(), 5);
        world.fake.top_up(1_000_000);
        let outcome = world.execute(&large).await;
        assert!([Verdict::Done, Verdict::Wait].contains(&outcome.verdict) && outcome.fault.is_none(), "{outcome:?}");
        assert_eq!(world.fake.book().len(), 6, "{name}: it goes on by itself");
    }
}

#[tokio::test]
async fn a_wrong_login_stops_the_supplier() {
    let wrong = || Some(SecretString::from("wrong"));
    for name in names() {
        let world = World::with(name, |settings| settings.api_key = wrong()).await;
        let outcome = world.execute(&purchase()).await;
        assert_fault(&outcome, Fault::Credentials, name);
        assert!(outcome.error.unwrap().contains("AT_ISHARE_API_KEY"));
    }
    let world = World::with("at-ishare", |settings| settings.api_secret = wrong()).await;
    assert_fault(&world.execute(&purchase()).await, Fault::Credentials, "a wrong signature");
    assert_eq!(world.fake.book(), Vec::<Value>::new());
}

#[tokio::test]
async fn every_code_of_a_profile_has_its_fault() {
    for (name, code, body, fault) in [
        ("codecraft", "100", json!({"status": 100, "message": "x"}), Fault::Outage),
        ("codecraft", "101", json!({"status": 101, "message": "x"}), Fault::Transient),
        ("codecraft", "102", json!({"status": 102, "message": "x"}), Fault::Credentials),
        ("codecraft", "103", json!({"status": 103, "message": "x"}), Fault::Item),
        ("codecraft", "555", json!({"status": "555", "message": "x"}), Fault::Item),
        ("at-ishare", "out_of_stock", json!({"success": false, "code": "out_of_stock"}), Fault::Transient),
        ("at-ishare", "maintenance", json!({"success": false, "code": "maintenance"}), Fault::Outage),
        ("at-ishare", "invalid_number", json!({"success": false, "code": "invalid_number"}), Fault::Item),
    ] {
        let world = World::new(name).await;
        // The real status stands in the body, whatever HTTP says.
        for status in [200, 400, 500] {
            world.fake.fault(answer(status, body.clone()));
            let outcome = world.execute(&purchase()).await;
            assert_fault(&outcome, fault, &format!("{code} with {status}"));
            assert!(!outcome.uncertain && outcome.error.as_ref().unwrap().contains(code), "{outcome:?}");
            assert_eq!(state(&outcome), "refused");
        }
        assert!(world.fake.book().is_empty());
    }
}

#[tokio::test]
async fn words_count_where_no_code_tells() {
    for (name, words, fault) in [
        ("at-ishare", "Please TOP-UP your account", Fault::Outage),
        ("at-ishare", "Invalid number", Fault::Item),
        ("spfastit", "Insufficient funds", Fault::Outage),
        ("spfastit", "used for a different phone number or bundle size", Fault::Item),
        ("spfastit", "Invalid bundle", Fault::Item),
        ("hubnet", "Low balance", Fault::Outage),
        ("hubnet", "Invalid volume", Fault::Item),
        ("xpress", "insufficient wallet balance: need GHS 4.50", Fault::Outage),
        ("xpress", "Invalid msisdn", Fault::Item),
    ] {
        let world = World::new(name).await;
        // Xpress has nothing that says no in a 200.
        for status in if name == "xpress" { vec![402] } else { vec![200, 402] } {
            let code = if name == "hubnet" { json!(false) } else { json!("error") };
            let body = json!({"status": code, "success": false, "message": words, "reason": words});
            world.fake.fault(answer(status, body));
            let outcome = world.execute(&purchase()).await;
            assert_fault(&outcome, fault, &format!("{name}: {words}, with {status}"));
            assert!(!outcome.uncertain);
        }
    }
}

/// Answers to a purchase that may have been taken all the same, whatever they say of wallets.
fn doubtful(name: &str) -> Vec<(u16, Value)> {
    let no = if name == "hubnet" { json!(false) } else { json!("error") };
    let told = |words: &str| json!({"success": false, "status": no, "message": words, "reason": words, "error": words});
    let debited = "Wallet debited, but the delivery gateway timed out";
    let taken = "Order placed. Your wallet balance is now GHS 4.50";
    vec![
        (500, told(debited)),
        (502, told("Insufficient wallet balance")),
        (200, told(debited)),
        // Neither a success of this supplier's nor a denial.
        (200, json!({"success": "true", "status": "ok", "message": taken, "reason": taken})),
        (200, json!({"success": "true", "status": "ok", "message": "Low balance", "reason": "Low balance"})),
        (302, json!("<html>Found</html>")),
        (307, told("Insufficient wallet balance")),
        (408, told("Insufficient wallet balance")),
        (408, json!("<html>Request Timeout</html>")),
        (425, json!("<html>Too Early</html>")),
    ]
}

#[tokio::test]
async fn only_what_certainly_refuses_is_believed_that_nothing_was_bought() {
    for name in names() {
        for (status, body) in doubtful(name) {
            let world = World::new(name).await;
            world.never_deliver();
            let body = Kind::AcceptThenAnswer { status, body: body.clone() };
            world.fake.fault(Script::new(body.clone()));
            let outcome = world.execute(&purchase()).await;
            // Looked up at once where that can be; else in doubt, or sent again under its reference.
            let is_known = state(&outcome) == "accepted";
            assert!(is_known || outcome.uncertain, "{name}: {body:?}: {outcome:?}");
            let repeats = ["spfastit", "xpress"].contains(&name);
            assert!(repeats || ![Verdict::Retry, Verdict::Failed].contains(&outcome.verdict), "{name}: {outcome:?}");
            if !is_known {
                world.execute(&Job { uncertain: true, attempt: 2, ..purchase() }).await;
            }
            assert_eq!(world.fake.orders().len(), 1, "{name}: {body:?}");
        }
    }
}

#[tokio::test]
async fn a_redirect_holds_up_the_others() {
    let world = World::new("codecraft").await;
    world.fake.fault(answer(302, json!("<html>Found</html>")));
    let outcome = world.execute(&purchase()).await;
    assert_eq!((outcome.verdict, outcome.fault), (Verdict::Unknown, Some(Fault::Outage)), "{outcome:?}");
    assert!(outcome.error.unwrap().contains("AT_ISHARE_API_URL"));
}

#[tokio::test]
async fn without_words_that_are_known_the_status_decides() {
    for name in names() {
        let world = World::new(name).await;
        for (status, fault) in [
            (400, Fault::Item),
            (422, Fault::Item),
            (401, Fault::Credentials),
            (403, Fault::Credentials),
            (402, Fault::Outage),
            (404, Fault::Configuration),
            (429, Fault::Throttled),
        ] {
            for body in [json!("<html>no</html>"), json!({"message": "nobody knows this"})] {
                world.fake.fault(answer(status, body));
                assert_fault(&world.execute(&purchase()).await, fault, &format!("{name}: HTTP {status}"));
            }
        }
        assert!(world.fake.book().is_empty());
    }
}

#[tokio::test]
async fn patience_is_kept_as_long_as_asked() {
    let world = World::new("at-ishare").await;
    for (asked, seconds) in [("30", 30), ("999999", 3600), ("soon", 10)] {
        world.fake.fault(Script { retry_after: Some(asked.to_owned()), ..answer(429, json!("slow down")) });
        let outcome = world.execute(&purchase()).await;
        assert_fault(&outcome, Fault::Throttled, asked);
        let asked = Duration::from_secs(seconds);
        assert!((asked..=asked.mul_f64(1.1)).contains(&outcome.delay.unwrap()), "{outcome:?}");
    }
}

#[tokio::test]
async fn the_last_attempt_promises_no_other() {
    let world = World::new("codecraft").await;
    for (attempt, words) in [(2, "tried again by itself"), (3, "the last of 3 attempts")] {
        world.fake.fault(answer(200, json!({"status": 101, "message": "Out of stock"})));
        let outcome = world.execute(&Job { attempt, ..purchase() }).await;
        assert!(outcome.error.unwrap().contains(words));
    }
}

#[tokio::test]
async fn a_reference_of_another_number_is_refused_for_good() {
    let world = World::new("spfastit").await;
    assert_accepted(&world.execute(&purchase()).await, "the first");
    let other = world.execute(&job("purchase", |payload| payload["phone_number"] = json!("0271234567"))).await;
    assert_fault(&other, Fault::Item, "the conflict");
    assert_eq!(world.fake.book().len(), 1);
}
