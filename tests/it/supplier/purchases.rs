//! A bundle is bought in every supplier's own words, and delivered once.

use rowcall::failure::Fault;
use rowcall::integrations::Integration as _;
use rowcall::integrations::supplier::profile::shipped;
use rowcall::outcome::Verdict;
use rowcall::sandbox::supplier::{Fault as Script, Kind};
use serde_json::{Value, json};

use super::{NUMBER, ORDER, World, ago, assert_accepted, assert_fault, job, look_up, names, purchase, state};

#[tokio::test]
async fn every_supplier_sells_a_bundle_once() {
    for name in names() {
        let world = World::new(name).await;
        world.supplier.ready().unwrap();
        let outcome = world.execute(&purchase()).await;
        let done = if name == "at-ishare" {
            // This one says in its answer that the bundle is there.
            outcome
        } else {
            assert_accepted(&outcome, name);
            if name == "hubnet" {
                assert_eq!(world.fake.book().len(), 1);
                continue;
            }
            world.execute(&look_up(&outcome, 5)).await
        };
        assert_eq!((done.verdict, state(&done)), (Verdict::Done, "delivered"), "{name}: {done:?}");
        let (result, book) = (done.result.unwrap(), world.fake.book());
        assert_eq!(book.len(), 1);
        assert_eq!((&book[0]["phone"], &book[0]["mb"]), (&json!("233261234567"), &json!(1000)), "{name}");
        assert_eq!((&result["provider_reference"], &result["supplier"]), (&book[0]["order_id"], &json!(name)));
        let told = &book[0]["reference"];
        assert!(told.is_null() || *told == result["reference"], "{name}: {told}");
        let file = std::fs::read_to_string(world.dir.path().join("book.jsonl")).unwrap();
        assert_eq!(serde_json::from_str::<Value>(file.trim()).unwrap(), book[0]);
    }
}

#[tokio::test]
async fn each_supplier_is_told_in_its_own_words() {
    for (name, body) in [
        ("at-ishare", json!({"network": "AT-iShare", "phone_number": NUMBER, "package": "1.5GB", "reference": ORDER})),
        ("codecraft", json!({"recipient_number": "0261234567", "gig": "1.5", "network": "AT"})),
        (
            "spfastit",
            json!({
                "api_key": "sandbox-supplier-key", "phone": "0261234567", "bundle_mb": "1500", "client_reference": ORDER,
            }),
        ),
        ("hubnet", json!({"phone": "0261234567", "volume": "1500", "reference": "035wgfbvn5r1zcbkjgwikh956i"})),
        (
            "xpress",
            json!({
                "service": "airteltigo",
                "items": [{"msisdn": "0261234567", "data_gb": 1.5, "reference": ORDER}],
            }),
        ),
    ] {
        let world = World::new(name).await;
        world.execute(&job("purchase", |payload| payload["package"] = json!("1.5 GB"))).await;
        let sent = &world.fake.requests()[0]["content"]["body"];
        if name == "hubnet" {
            // 25 characters that lead back to the order; the callback's test follows them.
            assert_eq!((&sent["phone"], &sent["volume"]), (&body["phone"], &body["volume"]));
            assert_eq!(sent["reference"].as_str().unwrap().len(), 25);
            assert_eq!(sent["webhook"], "http://127.0.0.1:1/hubnet?token=sandbox-supplier-secret");
        } else {
            assert_eq!(*sent, body, "{name}");
        }
    }
}

#[tokio::test]
async fn the_same_order_bought_twice_is_one_bundle_where_the_supplier_knows_references() {
    for (name, bundles) in [("at-ishare", 1), ("codecraft", 2), ("spfastit", 1), ("hubnet", 1), ("xpress", 1)] {
        let world = World::new(name).await;
        let first = world.execute(&purchase()).await;
        let again = world.execute(&purchase()).await;
        assert_eq!(world.fake.book().len(), bundles, "{name}: {again:?}");
        if ["spfastit", "xpress"].contains(&name) {
            // The supplier says that it is the first one.
            assert_accepted(&again, name);
            let number =
                |outcome: &rowcall::outcome::Outcome| outcome.result.as_ref().unwrap()["provider_reference"].clone();
            assert_eq!(number(&first), number(&again));
        }
    }
}

#[tokio::test]
async fn a_number_is_told_as_the_supplier_wants_it_however_it_was_written() {
    for written in ["0261234567", "233261234567", " +233 26-123 4567 "] {
        let world = World::new("codecraft").await;
        assert_accepted(&world.execute(&job("purchase", |p| p["phone_number"] = json!(written))).await, written);
        assert_eq!(world.fake.book()[0]["phone"], "233261234567");
    }
}

#[tokio::test]
async fn a_number_of_another_network_is_bought_for_and_marked() {
    let world = World::new("at-ishare").await;
    let outcome = world.execute(&job("purchase", |payload| payload["phone_number"] = json!("0241234567"))).await;
    assert_eq!(outcome.verdict, Verdict::Done);
    assert!(outcome.result.unwrap()["warning"].as_str().unwrap().contains("ported"));
    let outcome = world.execute(&job("purchase", |payload| payload["reference"] = json!("another"))).await;
    assert_eq!(outcome.result.unwrap().get("warning"), None);
}

#[tokio::test]
async fn what_cannot_be_bought_is_refused_without_a_call() {
    let world = World::new("at-ishare").await;
    for (what, job) in [
        ("a foreign number", job("purchase", |payload| payload["phone_number"] = json!("+16505551234"))),
        ("no number", job("purchase", |payload| payload["phone_number"] = json!(null))),
        ("no package", job("purchase", |payload| payload["package"] = json!(null))),
        ("a package without a size", job("purchase", |payload| payload["package"] = json!("huge"))),
        ("a reference with spaces", job("purchase", |payload| payload["reference"] = json!("two words"))),
        ("another operation", job("refund", |_| {})),
        ("another payload", job("purchase", |payload| *payload = json!([NUMBER]))),
    ] {
        assert_fault(&world.execute(&job).await, Fault::Item, what);
    }
    let hubnet = World::new("hubnet").await;
    let outcome = hubnet.execute(&job("purchase", |payload| payload["reference"] = json!("17"))).await;
    assert_fault(&outcome, Fault::Item, "no UUID");
    assert!(world.fake.requests().is_empty() && hubnet.fake.requests().is_empty());
}

#[tokio::test]
async fn json_is_found_behind_what_a_supplier_says_before_it() {
    for name in ["codecraft", "spfastit"] {
        let world = World::new(name).await;
        let html = "<br />\n<b>Warning</b>: Undefined array key {\"x\"} in <b>/a.php</b> on line <b>3</b><br />\n";
        world.fake.fault(Script::new(Kind::HtmlFirst(html.to_owned())));
        assert_accepted(&world.execute(&purchase()).await, name);
    }
}

#[tokio::test]
async fn what_the_supplier_charged_is_kept_to_the_last_digit() {
    let world = World::new("xpress").await;
    let outcome = world.execute(&job("purchase", |payload| payload["package"] = json!("2GB"))).await;
    let response = outcome.result.unwrap()["response"].clone();
    assert_eq!((&response["charged"], &response["balance"]), (&json!("9.00"), &json!("9991.00")));
}

#[tokio::test]
async fn a_fallback_is_tried_when_no_connection_can_be_made() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let world = World::with("codecraft", |settings| {
        settings.profile.fallback_url = settings.base_url.take();
        settings.base_url = Some(format!("http://{gone}").try_into().unwrap());
    })
    .await;
    assert_accepted(&world.execute(&purchase()).await, "by the other address");
    assert_eq!(world.fake.book().len(), 1);
    // But never after a request that left.
    let script = Script::new(Kind::Close);
    world.fake.fault(script.clone());
    let both = World::with("codecraft", |settings| {
        settings.profile.fallback_url = settings.base_url.clone();
        settings.base_url = world.settings.profile.fallback_url.clone();
    })
    .await;
    assert_eq!(both.execute(&purchase()).await.verdict, Verdict::Unknown);
    assert_eq!((world.fake.requests().len(), both.fake.requests().len()), (2, 0));
}

#[tokio::test]
async fn a_success_of_the_request_is_no_delivery() {
    let world = World::new("at-ishare").await;
    for (word, verdict) in [
        ("success", Verdict::Wait),
        ("successful", Verdict::Wait),
        ("sent", Verdict::Wait),
        ("done", Verdict::Wait),
        ("queued", Verdict::Wait),
        ("delivered", Verdict::Done),
        ("Completed", Verdict::Done),
        ("failed", Verdict::Retry),
    ] {
        let body = json!({"success": true, "status": word, "message": "Order received and queued"});
        world.fake.fault(Script::new(Kind::Answer { status: 200, body }));
        assert_eq!(world.execute(&purchase()).await.verdict, verdict, "{word}");
    }
    // A look-up is asked of the order, and so is its answer; and a profile may say that a success is the delivery.
    let body = json!({"success": true, "status": "success"});
    world.fake.fault(Script::new(Kind::Answer { status: 200, body: body.clone() }).of_look_up());
    let accepted = job("look_up", |payload| payload["accepted_at"] = ago(60));
    assert_eq!(world.execute(&accepted).await.verdict, Verdict::Done);
    let text = shipped("at-ishare").unwrap().replace("[response]", "[response]\nsuccess_means = \"delivered\"");
    let world = World::of(&text, |_| {}).await;
    world.fake.fault(Script::new(Kind::Answer { status: 200, body }));
    assert_eq!(world.execute(&purchase()).await.verdict, Verdict::Done);
}
