//! What the CRMs refuse: by status, by their own words, and with HTTP 200.

use rowcall::failure::Fault;
use rowcall::outcome::Verdict;
use rowcall::sandbox::crm::{Fault as Script, Kind, Limit, Limits};
use serde_json::{Value, json};

use super::{Commerce7, EMAIL, Shopify, Which, World, add, assert_fault, job, settings};

fn answer(status: u16, body: &Value) -> Kind {
    Kind::Answer { status, body: body.clone() }
}

fn words(kind: &str, message: &str, errors: &Value) -> Value {
    json!({"statusCode": 0, "type": kind, "message": message, "errors": errors})
}

#[tokio::test]
async fn every_status_of_commerce7_has_its_fault() {
    let said = words("processingError", "No", &json!([]));
    let shared = World::new().await;
    shared.fake.limits(&Limits { commerce7: Some(Limit { per_second: 1e3, burst: 1e3 }), ..Limits::default() });
    for (status, fault) in [
        (302, Fault::Configuration),
        (400, Fault::Item),
        (401, Fault::Credentials),
        (402, Fault::Item),
        (403, Fault::Credentials),
        (405, Fault::Configuration),
        (408, Fault::Transient),
        (409, Fault::Transient),
        (422, Fault::Item),
        (425, Fault::Transient),
        (429, Fault::Throttled),
        (500, Fault::Outage),
        (502, Fault::Outage),
        (503, Fault::Outage),
        (504, Fault::Outage),
    ] {
        for call in ["GET /customer", "GET /club-membership", "POST /club-membership"] {
            for body in [said.clone(), json!("<html>no</html>"), json!("")] {
                // Patience asked of one is kept by all, so it has a world of its own.
                let own = if fault == Fault::Throttled { Some(World::new().await) } else { None };
                let world = own.as_ref().unwrap_or(&shared);
                world.fake.fault(Script::new(answer(status, &body)).at(call));
                let outcome = world.execute(&add(Commerce7)).await;
                assert_fault(&outcome, fault, &format!("{status} at {call}"));
                assert_eq!(outcome.target.as_deref(), Some("commerce7:north"));
                assert_eq!(world.fake.log(), Vec::<Value>::new());
                let doubtful = call.starts_with("POST") && (status >= 500 || [408, 409, 425].contains(&status));
                assert_eq!(outcome.uncertain, doubtful, "{status} at {call}");
            }
        }
    }
    // None of it has left anything behind.
    shared.done(&add(Commerce7)).await;
}

#[tokio::test]
async fn commerce7s_own_words_tell_what_a_status_does_not() {
    let field = json!([{"field": "clubId", "message": "does not exist"}, {"field": "shipDate", "message": "is wrong"}]);
    let none = json!([]);
    for (status, body, call, fault, says) in [
        (
            422,
            words("validationError", "Validation", &field),
            "POST /club-membership",
            Fault::Item,
            "clubId: does not exist; shipDate",
        ),
        (422, words("validationError", "No card", &none), "POST /club-membership", Fault::Item, "(No card)"),
        (422, words("validationError", "x", &json!(["No card"])), "POST /club-membership", Fault::Item, "(No card)"),
        (422, json!({"errors": "No card"}), "POST /club-membership", Fault::Item, "HTTP 422"),
        (
            422,
            words("validationError", "Invalid query param: q", &none),
            "GET /customer",
            Fault::Configuration,
            "upgraded",
        ),
        (
            422,
            words("validationError", "Invalid operator x", &none),
            "GET /club-membership",
            Fault::Configuration,
            "upgraded",
        ),
        (404, words("notFound", "Not found", &none), "POST /club-membership", Fault::Item, "crm_club_id"),
        (404, words("notFound", "Not found", &none), "GET /club-membership", Fault::Configuration, "COMMERCE7_API_URL"),
        (404, json!("<html>nginx</html>"), "POST /club-membership", Fault::Configuration, "COMMERCE7_API_URL"),
        (200, json!("<html>Maintenance</html>"), "GET /customer", Fault::Outage, "something else"),
        (200, json!({"total": 1}), "GET /club-membership", Fault::Outage, "something else"),
        (200, json!({"errors": {"message": "No"}}), "GET /customer", Fault::Item, "HTTP 200"),
    ] {
        let world = World::new().await;
        world.fake.fault(Script::new(answer(status, &body)).at(call));
        let outcome = world.execute(&add(Commerce7)).await;
        assert_fault(&outcome, fault, &format!("{status} {body}"));
        let error = outcome.error.unwrap();
        assert!(error.contains(says), "{says}: {error}");
        assert_eq!(world.fake.log(), Vec::<Value>::new());
    }
}

#[tokio::test]
async fn the_fake_refuses_what_commerce7_refuses() {
    let world = World::new().await;
    let unknown = job(Commerce7, "add_membership", |p| p["club"]["crm_club_id"] = json!("bronze"));
    let outcome = world.execute(&unknown).await;
    assert_fault(&outcome, Fault::Item, "an unknown club");
    assert!(outcome.error.unwrap().contains("clubId: does not exist"));
    world.done(&add(Commerce7)).await;
    let world = World::with(|settings| settings.commerce7.cancellation_reason = "Expired".to_owned()).await;
    world.done(&add(Commerce7)).await;
    let outcome = world.execute(&super::cancel(Commerce7)).await;
    assert_fault(&outcome, Fault::Item, "no reason of Commerce7's");
    assert!(outcome.error.unwrap().contains("cancellationReason"));
}

#[tokio::test]
async fn every_status_of_shopify_has_its_fault() {
    let text = json!({"errors": "[API] Invalid API key or access token (unrecognized login or wrong password)"});
    let shared = World::new().await;
    for (status, fault) in [
        (302, Fault::Configuration),
        (400, Fault::Item),
        (401, Fault::Credentials),
        (402, Fault::Outage),
        (403, Fault::Credentials),
        (404, Fault::Configuration),
        (406, Fault::Item),
        (408, Fault::Transient),
        (423, Fault::Outage),
        (429, Fault::Throttled),
        (430, Fault::Outage),
        (500, Fault::Outage),
        (503, Fault::Outage),
    ] {
        for call in ["customers", "tagsAdd"] {
            for body in [text.clone(), json!("<html>no</html>")] {
                // Patience asked of one is kept by all, so it has a world of its own.
                let own = if fault == Fault::Throttled { Some(World::new().await) } else { None };
                let world = own.as_ref().unwrap_or(&shared);
                world.fake.fault(Script::new(answer(status, &body)).at(call));
                let outcome = world.execute(&add(Shopify)).await;
                assert_fault(&outcome, fault, &format!("{status} at {call}"));
                assert_eq!(outcome.target.as_deref(), Some("shopify:north"));
                assert_eq!(world.fake.log(), Vec::<Value>::new());
                let doubtful = call == "tagsAdd" && (status >= 500 || status == 408);
                assert_eq!(outcome.uncertain, doubtful, "{status} at {call}");
            }
        }
    }
    // None of it has left anything behind.
    shared.done(&add(Shopify)).await;
}

#[tokio::test]
async fn every_code_of_shopify_has_its_fault_at_http_200() {
    let shared = World::new().await;
    for (code, fault) in [
        ("THROTTLED", Fault::Throttled),
        ("INTERNAL_SERVER_ERROR", Fault::Outage),
        ("TIMEOUT", Fault::Outage),
        ("ACCESS_DENIED", Fault::Credentials),
        ("SHOP_INACTIVE", Fault::Outage),
        ("MAX_COST_EXCEEDED", Fault::Item),
        ("undefinedField", Fault::Configuration),
        ("SOMETHING_NEW", Fault::Transient),
        ("serwaa@example.com", Fault::Transient),
        ("", Fault::Transient),
    ] {
        for data in [json!(null), json!({"tagsAdd": null, "customers": null})] {
            for call in ["customers", "tagsAdd"] {
                let body = json!({"data": data, "errors": [{"message": "No", "extensions": {"code": code}}]});
                // Patience asked of one is kept by all, so it has a world of its own.
                let own = if fault == Fault::Throttled { Some(World::new().await) } else { None };
                let world = own.as_ref().unwrap_or(&shared);
                world.fake.fault(Script::new(answer(200, &body)).at(call));
                let outcome = world.execute(&add(Shopify)).await;
                assert_fault(&outcome, fault, &format!("{code} at {call}"));
                assert_eq!(world.fake.log(), Vec::<Value>::new());
            }
        }
    }
}

#[tokio::test]
async fn what_shopify_says_about_the_change_itself_is_for_a_person() {
    let world = World::new().await;
    let refused = json!({"data": {"tagsAdd": {"node": null, "userErrors": [
        {"field": ["tags"], "message": "Tags is too long"}, {"field": null, "message": "And more"},
    ]}}});
    world.fake.fault(Script::new(answer(200, &refused)).at("tagsAdd"));
    let outcome = world.execute(&add(Shopify)).await;
    assert_fault(&outcome, Fault::Item, "userErrors");
    assert!(outcome.error.unwrap().contains("(Tags is too long)"));
    for odd in [
        json!({"data": {"tagsAdd": {"node": null, "userErrors": []}}}),
        json!({"data": {"tagsAdd": null}}),
        json!({"data": {}}),
        json!({"data": null, "errors": []}),
        json!([]),
        json!("<html>"),
    ] {
        let world = World::new().await;
        world.fake.fault(Script::new(answer(200, &odd)).at("tagsAdd"));
        let outcome = world.execute(&add(Shopify)).await;
        assert_fault(&outcome, Fault::Outage, &format!("{odd}"));
        assert!(outcome.uncertain, "the look shows no tag, and the change may still come");
        world.done(&add(Shopify)).await;
    }
}

#[tokio::test]
async fn an_expired_version_is_answered_all_the_same() {
    let world = World::with(|settings| {
        let template = format!(
            "{}/{{shop}}/admin/api/2020-01/graphql.json",
            settings.commerce7.api_url.origin().ascii_serialization()
        );
        settings.shopify.api_url = rowcall::integrations::crm::shopify::Template::new(&template).unwrap();
    })
    .await;
    world.done(&add(Shopify)).await;
    assert!(world.member_of(Shopify, EMAIL).contains(&"gold".to_owned()));
}

#[tokio::test]
async fn where_no_connection_is_made_memberships_wait() {
    for which in Which::BOTH {
        let world = World::new().await;
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let tls = world.fake.address().replace("http:", "https:");
        for address in [format!("http://127.0.0.1:{port}"), "http://nowhere.invalid".to_owned(), tls] {
            let gone = World::with(|into| *into = settings(&address)).await;
            let outcome = gone.execute(&add(which)).await;
            assert_fault(&outcome, Fault::Outage, &address);
            assert!(!outcome.uncertain && outcome.error.unwrap().contains("could not be reached"));
        }
        assert_eq!(world.fake.requests(), Vec::<Value>::new());
        assert_eq!(world.execute(&add(which)).await.verdict, Verdict::Done);
    }
}
