//! What the site and everything in front of it refuse: whose fault it is, and what the row says.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rowcall::failure::Fault as Whose;
use rowcall::integrations::{Integration, Limits};
use rowcall::job::Job;
use rowcall::outcome::{Outcome, Verdict};
use rowcall::sandbox::fluent::{Fault, Kind};
use secrecy::SecretString;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{PASSWORD, USERNAME, World, first};

/// Also checks that the words are fit for a row.
fn assert_fault(outcome: &Outcome, whose: Whose, words: &str) {
    assert_eq!((outcome.fault, outcome.verdict), (Some(whose), whose.verdict()), "{words}: {outcome:?}");
    let message = outcome.error.as_deref().unwrap();
    assert!(message.contains(words), "{words} is not in: {message}");
    assert!(message.chars().count() <= 500 && message.ends_with('.'), "{message}");
    let password = PASSWORD.replace(' ', "");
    for private in [PASSWORD, &password, "wrong-one", "somebody", "127.0.0"] {
        assert!(!message.contains(private), "{private} in {message}");
    }
}

#[tokio::test]
async fn every_refusal_has_its_fault_and_its_hint() {
    let world = World::new(1).await;
    let answer = |status, body| Kind::Answer { status, body };
    for (kind, whose, words) in [
        (Kind::NoPlugin, Whose::Configuration, "the plugin is active"),
        (Kind::NoRights, Whose::Credentials, "may not see tickets"),
        (Kind::NoHeader, Whose::Credentials, "SetEnvIf Authorization"),
        (Kind::NoPasswords, Whose::Credentials, "takes no application passwords"),
        (Kind::LoginRedirect, Whose::Configuration, "to its login page (HTTP 302)"),
        (Kind::LoginPage, Whose::Configuration, "to its login page (HTTP 200)"),
        (Kind::Moved, Whose::Configuration, "elsewhere (HTTP 302 to https://www.example.com)"),
        (Kind::Maintenance, Whose::Outage, "in maintenance (HTTP 503)"),
        (Kind::Notices, Whose::Transient, "WP_DEBUG_DISPLAY"),
        (Kind::Firewall, Whose::Transient, "A firewall in front of the site"),
        (Kind::Critical, Whose::Transient, "PHP error log"),
        (answer(200, json!("<html>Welcome</html>")), Whose::Transient, "a web page where its API should be"),
        (answer(200, json!({"tickets": []})), Whose::Transient, "not with tickets"),
        (answer(200, json!("")), Whose::Transient, "a web page"),
        (answer(401, json!("<html>Restricted</html>")), Whose::Credentials, "a login of its own"),
        (answer(404, json!("<html>Not found</html>")), Whose::Configuration, "?rest_route=/"),
        (answer(429, json!("<html>Slow down</html>")), Whose::Throttled, "asks for patience"),
        (answer(429, json!({"message": "Slow down"})), Whose::Throttled, "asks for patience"),
        (answer(502, json!("<html>Bad gateway</html>")), Whose::Outage, "HTTP 502"),
        (answer(522, json!("<html>Timed out</html>")), Whose::Outage, "HTTP 522"),
        (answer(503, json!({"message": "Service Unavailable"})), Whose::Outage, "HTTP 503"),
        (answer(500, json!({"message": "SQLSTATE: gone"})), Whose::Transient, "SQLSTATE: gone"),
        (answer(422, json!({"message": "order_by is invalid"})), Whose::Item, "order_by is invalid"),
        (answer(422, json!({"per_page": ["is too large"]})), Whose::Item, "HTTP 422"),
        (answer(418, json!("<html>I am a teapot</html>")), Whose::Item, "HTTP 418"),
        (
            answer(403, json!({"code": "Permission Callback Error", "message": "x", "data": {"status": 403}})),
            Whose::Credentials,
            "may not see tickets",
        ),
        (
            answer(401, json!({"code": "some_plugins_own", "message": "x"})),
            Whose::Credentials,
            "HTTP 401, some_plugins_own",
        ),
        (
            answer(403, json!({"code": "itsec_rest_api_access_restricted", "message": "x"})),
            Whose::Credentials,
            "HTTP 403",
        ),
        (Kind::Close, Whose::Transient, "did not answer"),
    ] {
        world.fake.fault(Fault::new(kind));
        assert_fault(&world.execute(&first()).await, whose, words);
    }
    world.fake.fault(Fault::new(Kind::Mark));
    assert_eq!(world.execute(&first()).await.verdict, Verdict::Done, "a byte order mark is in nobody's way");
}

#[tokio::test]
async fn the_login_is_checked_as_wordpress_checks_it() {
    for (username, password, words) in [
        ("somebody", PASSWORD, "no such user (HTTP 401, invalid_username)"),
        (USERNAME, "wrong-one", "application password of FLUENT_API_USERNAME"),
    ] {
        let world = World::with(
            1,
            |_| {},
            |settings| {
                settings.username = Some(SecretString::from(username));
                settings.password = Some(SecretString::from(password));
            },
        )
        .await;
        assert_fault(&world.execute(&first()).await, Whose::Credentials, words);
    }
    let without_spaces = |settings: &mut rowcall::integrations::fluent::Settings| {
        settings.password = Some(SecretString::from(PASSWORD.replace(' ', "")));
    };
    let world = World::with(1, |_| {}, without_spaces).await;
    assert_eq!(world.execute(&first()).await.verdict, Verdict::Done);
}

#[tokio::test]
async fn a_site_that_echoes_the_login_does_not_bring_it_onto_the_row() {
    for (username, password) in [(USERNAME, PASSWORD), (USERNAME, "abcd EFGH 1234 ijkl MNOP 567"), ("ab", PASSWORD)] {
        let change = |settings: &mut rowcall::integrations::fluent::Settings| {
            settings.username = Some(SecretString::from(username));
            settings.password = Some(SecretString::from(password));
        };
        let world = World::with(1, |_| {}, change).await;
        for password in [password.to_owned(), password.replace(' ', "")] {
            let pair = BASE64_STANDARD.encode(format!("{username}:{password}"));
            let plain = pair.trim_end_matches('=').to_owned();
            for echo in [
                json!({"code": plain, "message": "x"}),
                json!({"code": "no", "message": format!("Authorization: Basic {pair} is not taken")}),
                json!({"code": "no", "message": format!("[{plain}]")}),
            ] {
                world.fake.fault(Fault::new(Kind::Answer { status: 422, body: echo }));
                let outcome = world.execute(&first()).await;
                assert_fault(&outcome, Whose::Item, "FluentSupport refused the question (HTTP 422");
                assert!(!outcome.error.unwrap().contains(&plain), "{plain}");
            }
        }
    }
}

#[tokio::test]
async fn a_firewall_that_refuses_three_times_means_it() {
    let world = World::new(1).await;
    for (attempt, whose) in [(1, Whose::Transient), (2, Whose::Transient), (3, Whose::Configuration)] {
        world.fake.fault(Fault::new(Kind::Firewall));
        assert_fault(&world.execute(&Job { attempt, ..first() }).await, whose, "firewall");
    }
}

#[tokio::test]
async fn patience_that_the_site_asks_for_is_kept() {
    let world = World::new(1).await;
    for kind in [Kind::Maintenance, Kind::Answer { status: 429, body: json!("<html></html>") }] {
        world.fake.fault(Fault { retry_after: Some("600".to_owned()), ..Fault::new(kind) });
        let delay = world.execute(&first()).await.delay.unwrap();
        assert!((600..=660).contains(&delay.as_secs()), "{delay:?}");
    }
}

#[tokio::test]
async fn the_last_attempt_promises_no_other() {
    let world = World::new(1).await;
    for (attempt, words) in [(4, "tried again by itself"), (5, "the last of 5 attempts")] {
        world.fake.fault(Fault::new(Kind::Critical));
        assert_fault(&world.execute(&Job { attempt, ..first() }).await, Whose::Transient, words);
    }
}

#[tokio::test]
async fn a_cache_in_front_of_the_list_is_noticed() {
    let world = World::new(250).await;
    let first_page = world.execute(&first()).await.result.unwrap();
    let mut payload = json!({"date_filter": null, "is_full": false, "covered": null, "pages_read": 2});
    payload["cursor"] = first_page["cursor"].clone();
    payload["cursor"]["page"] = json!(2);
    world.fake.fault(Fault::new(Kind::Cached));
    assert_fault(
        &world.execute(&super::job(&payload)).await,
        Whose::Transient,
        "asked for page 2 and answered with page 1",
    );
}

#[tokio::test]
async fn a_site_that_does_not_answer_is_left_in_time() {
    let world = World::new(1).await;
    world.fake.fault(Fault::new(Kind::Hang).times(2));
    let outcome = world.execute_within(&first(), Duration::from_millis(300)).await;
    assert_fault(&outcome, Whose::Transient, "did not answer (no answer in time)");
    let limits = Limits::new(Duration::from_secs(20), CancellationToken::new());
    limits.stop.cancel();
    assert_fault(&world.fluent.execute(&first(), &limits).await, Whose::Interrupted, "goes on from there");
    let nowhere = World::with(1, |_| {}, |settings| settings.api_url = "http://127.0.0.1:1".parse().ok()).await;
    assert_fault(&nowhere.execute(&first()).await, Whose::Outage, "see FLUENT_API_URL");
}

#[tokio::test]
async fn a_page_larger_than_sixteen_megabytes_is_not_taken_in() {
    let world = World::new(0).await;
    world.fake.fault(Fault::new(Kind::Answer { status: 200, body: json!("x".repeat(17 * 1024 * 1024)) }));
    assert_fault(&world.execute(&first()).await, Whose::Transient, "larger than 16 MB");
}
