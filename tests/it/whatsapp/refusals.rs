//! What the providers refuse in their own words: nothing went out, and the code says what becomes of the reply.

use std::time::Duration;

use rowcall::failure::Fault;
use rowcall::job::Job;
use rowcall::outcome::Verdict;
use rowcall::sandbox::whatsapp::{Fault as Script, Kind};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::{Infobip, Meta, World, assert_fault, assert_parked, plain, with_approved};

fn answer(status: u16, body: Value) -> Script {
    Script::new(Kind::Answer { status, body })
}

#[tokio::test]
async fn every_error_code_of_meta_has_its_fault() {
    let world = World::new(Meta).await;
    let table: [(Fault, &[i64]); 6] = [
        (Fault::Credentials, &[0, 3, 10, 190, 200, 299, 131_005]),
        (Fault::Throttled, &[4, 80_007, 130_429, 133_016, 131_056]),
        (Fault::Outage, &[131_048, 368, 131_031, 131_042, 131_044, 131_045, 131_037, 131_064, 2, 131_016, 131_057]),
        (Fault::Transient, &[1, 131_000, 135_000]),
        (
            Fault::Item,
            &[
                100, 130_497, 131_008, 131_009, 131_021, 131_026, 131_030, 131_047, 131_049, 131_050, 130_472, 131_051,
                131_052, 131_053, 131_062, 131_063, 132_000, 132_001, 132_005, 132_007, 132_008, 132_012, 132_015,
                132_016, 132_068, 132_069, 137_000, 138_001, 139_001, 424_242,
            ],
        ),
        (Fault::Configuration, &[33, 133_010]),
    ];
    for (fault, codes) in table {
        for &code in codes {
            // The status says nothing: sources disagree about it.
            for status in [200, 400, 429] {
                world.fake.fault(Script::code(status, code));
                let outcome = world.execute(&plain()).await;
                assert_fault(&outcome, fault, &format!("{code} with {status}"));
                assert!(!outcome.uncertain && outcome.error.unwrap().contains(&code.to_string()));
            }
        }
    }
    assert_eq!(world.fake.log(), Vec::<Value>::new());
}

#[tokio::test]
async fn a_code_that_nobody_knows_is_transient_only_when_meta_says_so() {
    let world = World::new(Meta).await;
    let unknown = |status, more| Script::new(Kind::Code { status, code: 424_242, more });
    for (script, fault) in [
        (unknown(400, json!({})), Fault::Item),
        (unknown(400, json!({"is_transient": true})), Fault::Transient),
        (unknown(500, json!({"is_transient": true})), Fault::Transient),
        (Script::new(Kind::Code { status: 400, code: 100, more: json!({"error_subcode": 33}) }), Fault::Configuration),
    ] {
        world.fake.fault(script);
        assert_fault(&world.execute(&plain()).await, fault, "an unknown code");
    }
    world.fake.fault(unknown(500, json!({})));
    assert_parked(&world.execute(&plain()).await, "a fault of Meta's own");
}

#[tokio::test]
async fn a_fault_without_a_name_ends_with_the_third_attempt() {
    let world = World::new(Meta).await;
    for (attempt, fault) in [(2, Fault::Transient), (3, Fault::Item)] {
        world.fake.fault(Script::code(500, 135_000));
        assert_fault(&world.execute(&Job { attempt, ..plain() }).await, fault, "135000");
    }
}

#[tokio::test]
async fn the_last_attempt_promises_no_other() {
    let world = World::new(Meta).await;
    for (attempt, words) in [(7, "tried again by itself"), (8, "the last of 8 attempts")] {
        world.fake.fault(Script::code(500, 131_000));
        let outcome = world.execute(&Job { attempt, ..plain() }).await;
        assert!(outcome.error.unwrap().contains(words));
    }
}

#[tokio::test]
async fn the_login_of_either_provider_is_checked() {
    let wrong = || Some(SecretString::from("wrong"));
    for provider in [Meta, Infobip] {
        let world = World::with(provider, |settings| {
            settings.meta.access_token = wrong();
            settings.infobip.api_key = wrong();
        })
        .await;
        assert_fault(&world.execute(&plain()).await, Fault::Credentials, "a wrong login");
    }
    let world = World::with(Meta, |settings| settings.meta.phone_number_id = Some("1".to_owned())).await;
    assert_fault(&world.execute(&plain()).await, Fault::Configuration, "a wrong sender");
}

#[tokio::test]
async fn every_error_class_of_infobip_has_its_fault() {
    let world = World::new(Infobip).await;
    let words = |name: &str| json!({"requestError": {"serviceException": {"messageId": name, "text": "No"}}});
    for (status, fault) in [
        (400, Fault::Item),
        (404, Fault::Item),
        (401, Fault::Credentials),
        (403, Fault::Credentials),
        (429, Fault::Throttled),
        (408, Fault::Transient),
        (503, Fault::Outage),
    ] {
        world.fake.fault(answer(status, words("SOME_NAME")));
        let outcome = world.execute(&plain()).await;
        assert_fault(&outcome, fault, &format!("HTTP {status}"));
        assert!(outcome.error.unwrap().contains("SOME_NAME"));
    }
    for status in [500, 502, 504] {
        world.fake.fault(answer(status, words("SOME_NAME")));
        assert_parked(&world.execute(&plain()).await, "a fault of Infobip's own");
    }
    let with_errors = json!({"requestError": {"serviceException": {
        "messageId": "BAD_REQUEST", "text": "Bad Request", "validationErrors": [{"field": "to", "message": "no"}],
    }}});
    world.fake.fault(answer(400, with_errors));
    assert_fault(&world.execute(&plain()).await, Fault::Item, "validation errors as a list");
    for (group, name, fault) in [
        ("REJECTED", "REJECTED_DESTINATION", Fault::Item),
        ("UNDELIVERABLE", "UNDELIVERABLE_REJECTED_OPERATOR", Fault::Item),
        ("REJECTED", "REJECTED_NOT_ENOUGH_CREDITS", Fault::Configuration),
    ] {
        let status = json!({"groupName": group, "name": name, "description": "no"});
        let message = json!({"messageId": "m", "status": status});
        for body in [message.clone(), json!({"messages": [message]})] {
            world.fake.fault(answer(200, body));
            assert_fault(&world.execute(&plain()).await, fault, name);
        }
    }
    assert_eq!(world.fake.log(), Vec::<Value>::new());
}

#[tokio::test]
async fn without_the_providers_words_the_status_decides() {
    for provider in [Meta, Infobip] {
        let world = World::new(provider).await;
        for (status, fault) in [
            (400, Fault::Item),
            (401, Fault::Credentials),
            (403, Fault::Credentials),
            (404, Fault::Configuration),
            (302, Fault::Configuration),
            (408, Fault::Transient),
            (425, Fault::Transient),
            (429, Fault::Throttled),
        ] {
            world.fake.fault(answer(status, json!("<html>no</html>")));
            assert_fault(&world.execute(&plain()).await, fault, &format!("HTTP {status}"));
        }
    }
}

#[tokio::test]
async fn patience_is_kept_as_long_as_asked() {
    for provider in [Meta, Infobip] {
        let world = World::new(provider).await;
        for (asked, seconds) in [("30", 30), ("999999", 3600), ("soon", 5)] {
            let body = json!("slow down");
            world.fake.fault(Script { retry_after: Some(asked.to_owned()), ..answer(429, body) });
            let outcome = world.execute(&plain()).await;
            assert_fault(&outcome, Fault::Throttled, asked);
            let asked = Duration::from_secs(seconds);
            assert!((asked..=asked.mul_f64(1.1)).contains(&outcome.delay.unwrap()), "{outcome:?}");
        }
    }
}

#[tokio::test]
async fn the_pause_with_one_contact_grows_and_starts_anew() {
    let world = World::new(Meta).await;
    world.fake.pair_limit(0.0001, 1.0);
    assert_eq!(world.execute(&plain()).await.verdict, Verdict::Done);
    for seconds in [1, 4, 16, 64, 256, 256] {
        let outcome = world.execute(&plain()).await;
        assert_fault(&outcome, Fault::Throttled, "131056");
        let asked = Duration::from_secs(seconds);
        assert!((asked..=asked.mul_f64(1.1)).contains(&outcome.delay.unwrap()), "{seconds}: {outcome:?}");
    }
    world.fake.fault(Script::code(500, 131_000));
    world.execute(&plain()).await;
    assert!(world.execute(&plain()).await.delay.unwrap() < Duration::from_secs(2));
    assert_eq!(world.fake.log().len(), 1);
}

#[tokio::test]
async fn after_24_hours_of_silence_the_approved_template_goes_out() {
    let world = World::new(Meta).await;
    world.fake.fault(Script::code(400, 131_047));
    let outcome = world.execute(&with_approved()).await;
    assert_eq!(outcome.verdict, Verdict::Done, "{outcome:?}");
    let result = outcome.result.unwrap();
    assert_eq!(result["made_by"], "approved_template");
    assert_eq!(result["text"], "[action_update en_US]: Ama · order 42");
    let log = world.fake.log();
    assert_eq!(log.len(), 1);
    let template = json!({"name": "action_update", "language": "en_US", "parameters": ["Ama", "order 42"]});
    assert_eq!((&log[0]["template"], &log[0]["reference"]), (&template, &json!("actions:17:2")));

    world.fake.fault(Script::code(400, 131_047));
    let outcome = world.execute(&plain()).await;
    assert_fault(&outcome, Fault::Item, "no approved template");
    assert!(outcome.error.unwrap().contains("response_templates"));
}

#[tokio::test]
async fn a_silence_that_is_known_costs_no_refusal() {
    for provider in [Meta, Infobip] {
        let world = World::new(provider).await;
        let mut payload: Value = with_approved().payload().unwrap();
        payload["contact"]["last_inbound_at"] = json!("2020-01-01T00:00:00+00:00");
        let silent = super::job(|p| *p = payload.clone());
        assert_eq!(world.execute(&silent).await.result.unwrap()["made_by"], "approved_template");
        assert_eq!((world.fake.requests().len(), world.fake.log().len()), (1, 1));
        // Without a template of that kind the provider decides.
        payload["approved_template"] = json!(null);
        let outcome = world.execute(&super::job(|p| *p = payload)).await;
        assert_eq!(outcome.result.unwrap()["made_by"], "template");
    }
}

#[tokio::test]
async fn a_refused_template_says_so() {
    let world = World::new(Meta).await;
    let mut payload: Value = with_approved().payload().unwrap();
    payload["approved_template"]["name"] = json!("absent");
    world.fake.fault(Script::code(400, 131_047));
    let outcome = world.execute(&super::job(|p| *p = payload)).await;
    assert_fault(&outcome, Fault::Item, "132001");
    assert_eq!(outcome.result.unwrap()["made_by"], "approved_template");
}
