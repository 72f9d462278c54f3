//! The agent words the reply, or the template goes out; it never stands in the way.

use std::time::{Duration, Instant};

use rowcall::job::Job;
use rowcall::outcome::{Outcome, Verdict};
use rowcall::sandbox::whatsapp::{Fault as Script, Kind};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Meta, TEXT, World, agent_of, job, plain};

async fn world() -> World {
    let mut world = World::new(Meta).await;
    world.settings.agent = Some(agent_of(&world.fake.address()));
    world.whatsapp = rowcall::integrations::whatsapp::WhatsApp::new(world.settings.clone());
    world
}

fn says(content: &Value, finish_reason: &str) -> Value {
    json!({"choices": [{"message": {"role": "assistant", "content": content}, "finish_reason": finish_reason}]})
}

#[tokio::test]
async fn the_agent_is_told_what_only_postgres_can_hold() {
    let world = world().await;
    let job = plain();
    let told =
        r#""details":{"amount":1e400,"deep":DEEP}"#.replace("DEEP", &format!("{}{}", "[".repeat(200), "]".repeat(200)));
    let text = job.payload.get().replacen(r#""details":null"#, &told, 1);
    assert!(text.contains(&told), "{text}");
    let job = Job { payload: RawValue::from_string(text).unwrap(), ..job };
    assert_eq!(made(&world.execute(&job).await).0, "agent");
    let asked = world.fake.requests()[0]["body"].to_string().replace('\\', "");
    assert!(asked.contains(&told.replace("details", "request_details")), "{asked}");
}

fn script(kind: Kind) -> Script {
    Script { at: Some("agent".to_owned()), ..Script::new(kind) }
}

fn made(outcome: &Outcome) -> (String, String) {
    assert_eq!(outcome.verdict, Verdict::Done, "{outcome:?}");
    let part = |name: &str| outcome.result.as_ref().unwrap()[name].as_str().unwrap().to_owned();
    (part("made_by"), part("text"))
}

#[tokio::test]
async fn the_agent_words_the_reply_from_the_action_and_never_learns_the_number() {
    let world = world().await;
    let outcome = world.execute(&job(|payload| payload["user_response"] = json!("It takes 5 days."))).await;
    assert_eq!(made(&outcome), ("agent".to_owned(), format!("Hello! {TEXT}")));
    assert_eq!(world.fake.log()[0]["text"], json!(format!("Hello! {TEXT}")));
    let asked = &world.fake.requests()[0];
    assert_eq!(asked["to"], "agent");
    let asked = asked["body"].to_string();
    for told in ["small", "refund_request", "approved", TEXT, "It takes 5 days."] {
        assert!(asked.contains(told), "{asked}");
    }
    assert!(!asked.contains("6505551234"), "{asked}");
}

#[tokio::test]
async fn whatever_the_agent_gets_wrong_the_template_goes_out() {
    let long = "x".repeat(1001);
    for body in [
        says(&json!(""), "stop"),
        says(&json!(" \n\u{0}"), "stop"),
        says(&json!(null), "stop"),
        says(&json!(long), "stop"),
        says(&json!("Good news"), "length"),
        says(&json!("Good news"), "content_filter"),
        says(&json!("You get 9000 back"), "stop"),
        says(&json!("See https://evil.example.org"), "stop"),
        says(&json!("Dear {{name}}"), "stop"),
        says(&json!(["Good news"]), "stop"),
        json!({"choices": []}),
        json!({"error": "no"}),
        json!("<html>"),
        json!("y".repeat(400_000)),
    ] {
        let world = world().await;
        world.fake.fault(script(Kind::Answer { status: 200, body: body.clone() }));
        let outcome = world.execute(&plain()).await;
        assert_eq!(made(&outcome), ("template".to_owned(), TEXT.to_owned()), "{body}");
        assert_eq!(world.fake.log().len(), 1);
    }
}

#[tokio::test]
async fn an_agent_that_is_down_or_gone_costs_nothing_but_its_words() {
    let answer = |status| Kind::Answer { status, body: json!("no") };
    for kind in [answer(401), answer(429), answer(500), Kind::Close] {
        let world = world().await;
        world.fake.fault(script(kind));
        assert_eq!(made(&world.execute(&plain()).await).0, "template");
    }
    let mut world = world().await;
    world.settings.agent = Some(agent_of("http://nowhere.invalid"));
    world.whatsapp = rowcall::integrations::whatsapp::WhatsApp::new(world.settings.clone());
    assert_eq!(made(&world.execute(&plain()).await).0, "template");
}

#[tokio::test]
async fn a_silent_agent_leaves_time_to_send() {
    let world = world().await;
    world.fake.fault(script(Kind::Hang));
    let outcome = world.execute_within(&plain(), Duration::from_secs(2)).await;
    assert_eq!(made(&outcome).0, "template");
    world.fake.fault(script(Kind::Hang));
    let began = Instant::now();
    let outcome = world.execute_within(&plain(), Duration::from_mins(2)).await;
    assert_eq!(made(&outcome).0, "template");
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}
