//! The WhatsApp integration against the faithful fakes, over real HTTP; the fakes' own log says what was really accepted.

mod refusals;
mod doubts;
mod agent;
mod reports;
mod privacy;

use std::io::{BufRead as _, BufReader};
use std::time::Duration;

use reqwest::Url;
use rowcall::failure::Fault;
use rowcall::integrations::whatsapp::{ProviderName, Settings, WhatsApp, agent as agent_settings, infobip, meta};
use rowcall::integrations::{Integration, Limits};
use rowcall::job::Job;
use rowcall::outcome::{Outcome, Verdict};
use rowcall::sandbox::whatsapp::{Fake, WhatsAppArgs};
use secrecy::SecretString;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use ProviderName::{Infobip, Meta};

const PHONE: &str = "+16505551234";
const NAME: &str = "Ama Serwaa";
const TEXT: &str = "Great news! Your refund request has been approved.";
const SHORT: Duration = Duration::from_millis(500);

/// The outside world of one test, with an integration that knows its way.
struct World {
    fake: Fake,
    dir: TempDir,
    settings: Settings,
    whatsapp: WhatsApp,
}

impl World {
    async fn new(provider: ProviderName) -> Self {
        Self::with(provider, |_| {}).await
    }

    async fn with(provider: ProviderName, change: impl FnOnce(&mut Settings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let fake = Fake::start(WhatsAppArgs::new(dir.path().to_owned())).await.unwrap();
        let mut settings = settings(provider, &fake.address());
        change(&mut settings);
        Self { fake, dir, whatsapp: WhatsApp::new(settings.clone()), settings }
    }

    async fn execute(&self, job: &Job) -> Outcome {
        self.whatsapp.execute(job, &limits(Duration::from_secs(20))).await
    }

    async fn execute_within(&self, job: &Job, timeout: Duration) -> Outcome {
        self.whatsapp.execute(job, &limits(timeout)).await
    }
}

fn settings(provider: ProviderName, address: &str) -> Settings {
    Settings {
        provider,
        meta: meta::Settings {
            api_url: Url::parse(&format!("{address}/v25.0")).unwrap(),
            phone_number_id: Some("106540352242922".to_owned()),
            access_token: Some(SecretString::from("sandbox-access-token")),
            app_secret: None,
            verify_token: None,
        },
        infobip: infobip::Settings {
            base_url: Some(Url::parse(address).unwrap()),
            api_key: Some(SecretString::from("sandbox-api-key")),
            sender: Some("96179374241".to_owned()),
        },
        agent: None,
    }
}

fn agent_of(address: &str) -> agent_settings::Settings {
    agent_settings::Settings {
        api_url: Url::parse(&format!("{address}/agent/v1")).unwrap(),
        api_key: Some(SecretString::from("agent-key-4711")),
        model: "small".to_owned(),
    }
}

fn limits(timeout: Duration) -> Limits {
    Limits::new(timeout, CancellationToken::new())
}

fn job(change: impl FnOnce(&mut Value)) -> Job {
    let mut payload = json!({
        "action_id": 17, "action_type": "refund_request", "outcome": "approved", "language": "en",
        "contact": {"phone": PHONE, "name": NAME, "last_inbound_at": null},
        "text": TEXT, "user_response": null, "details": null, "approved_template": null, "missing": null,
    });
    change(&mut payload);
    Job {
        queue: "actions",
        key: "17".to_owned(),
        generation: 2,
        token: Uuid::new_v4(),
        attempt: 1,
        max_attempts: 8,
        uncertain: false,
        operation: "reply".to_owned(),
        payload: to_raw_value(&payload).unwrap(),
    }
}

fn plain() -> Job {
    job(|_| {})
}

fn with_approved() -> Job {
    job(|payload| {
        payload["approved_template"] =
            json!({"name": "action_update", "language": "en_US", "parameters": ["Ama", "order\n42"]});
    })
}

/// Also checks that the words are fit for a row.
fn assert_fault(outcome: &Outcome, fault: Fault, what: &str) {
    assert_eq!((outcome.fault, outcome.verdict), (Some(fault), fault.verdict()), "{what}: {outcome:?}");
    fit_for_a_row(outcome);
}

/// Nobody knows whether it went out, and others wait.
fn assert_parked(outcome: &Outcome, what: &str) {
    assert_eq!(outcome.verdict, Verdict::Unknown, "{what}: {outcome:?}");
    assert!(outcome.uncertain && outcome.fault.unwrap().opens_breaker(), "{what}: {outcome:?}");
    fit_for_a_row(outcome);
}

fn fit_for_a_row(outcome: &Outcome) {
    let message = outcome.error.as_deref().unwrap();
    assert!(message.chars().count() <= 500 && message.ends_with('.'), "{message}");
    for private in ["6505551234", "Serwaa", "refund", "sandbox-access-token", "sandbox-api-key", "agent-key", "127.0.0"]
    {
        assert!(!message.contains(private), "{private} in {message}");
    }
}

#[tokio::test]
async fn a_reply_is_accepted_with_its_reference() {
    for (provider, name) in [(Meta, "meta"), (Infobip, "infobip")] {
        let world = World::new(provider).await;
        world.whatsapp.ready().unwrap();
        let outcome = world.execute(&plain()).await;
        assert_eq!(outcome.verdict, Verdict::Done, "{outcome:?}");
        let log = world.fake.log();
        assert_eq!(log.len(), 1);
        let line = &log[0];
        assert_eq!((&line["reference"], &line["phone"]), (&json!("actions:17:2"), &json!("16505551234")));
        assert_eq!((&line["text"], &line["provider"]), (&json!(TEXT), &json!(name)));
        let expected = json!({"message_id": line["message_id"], "provider": name, "text": TEXT, "made_by": "template"});
        assert_eq!(outcome.result, Some(expected));
        let file = std::fs::read_to_string(world.dir.path().join("messages.jsonl")).unwrap();
        assert_eq!(serde_json::from_str::<Value>(file.trim()).unwrap(), *line);
    }
}

#[tokio::test]
async fn the_contact_gets_hostile_text_as_text_and_whole() {
    for provider in [Meta, Infobip] {
        let world = World::new(provider).await;
        let longest = "🙂".repeat(4096);
        for text in [
            r#"","to":"16505550000","type":"x"}}"#,
            "{{name}} %s ${x} \\u0000 'quoted' <b>",
            "\u{202e}RTL\u{202c} é \t\n ok",
            longest.as_str(),
        ] {
            world.execute(&job(|payload| payload["text"] = json!(text))).await;
            let log = world.fake.log();
            let line = log.last().unwrap();
            assert_eq!((&line["text"], &line["phone"]), (&json!(text), &json!("16505551234")));
        }
        let outcome = world.execute(&job(|payload| payload["text"] = json!("a\u{0}b\u{1b}c\r\nd"))).await;
        assert_eq!(world.fake.log().last().unwrap()["text"], "abc\nd");
        assert_eq!(outcome.result.unwrap()["text"], "abc\nd", "what was sent is told");
    }
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_without_a_call() {
    let world = World::new(Meta).await;
    for (what, job) in [
        ("a local number", job(|payload| payload["contact"]["phone"] = json!("0241234567"))),
        ("no number", job(|payload| payload["contact"]["phone"] = json!(null))),
        ("too long", job(|payload| payload["text"] = json!("x".repeat(4097)))),
        ("no text", job(|payload| payload["text"] = json!(null))),
        ("another operation", Job { operation: "delete".to_owned(), ..plain() }),
        ("another payload", job(|payload| *payload = json!(["Ama Serwaa"]))),
    ] {
        assert_fault(&world.execute(&job).await, Fault::Item, what);
    }
    assert_eq!(world.fake.requests(), Vec::<Value>::new());
}

#[tokio::test]
async fn without_settings_replies_wait_and_say_which() {
    for (provider, setting) in [(Meta, "WHATSAPP_ACCESS_TOKEN"), (Infobip, "INFOBIP_API_KEY")] {
        let world = World::with(provider, |settings| {
            settings.meta.access_token = None;
            settings.infobip.api_key = None;
        })
        .await;
        assert!(world.whatsapp.ready().unwrap_err().contains(setting));
        let outcome = world.execute(&plain()).await;
        assert_fault(&outcome, Fault::Configuration, setting);
        assert!(outcome.error.unwrap().contains(setting));
    }
}

/// The fakes as a process of their own.
struct Sandbox(std::process::Child);

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test]
async fn the_sandbox_prints_its_address_and_takes_orders() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new(crate::process::ROWCALL);
    command.args(["sandbox", "whatsapp", "--listen", "127.0.0.1:0", "--state"]).arg(dir.path());
    let mut sandbox = Sandbox(command.stdout(std::process::Stdio::piped()).spawn().unwrap());
    let mut address = String::new();
    let mut stdout = BufReader::new(sandbox.0.stdout.take().unwrap());
    stdout.read_line(&mut address).unwrap();
    let address = address.trim();

    let whatsapp = WhatsApp::new(settings(Meta, address));
    // The integration has set TLS up for the process, which this client needs too.
    let client = reqwest::Client::new();
    let order = |path: &str, body: Value| {
        client
            .post(format!("{address}/_control/{path}"))
            .header("content-type", "application/json")
            .body(body.to_string())
    };
    for (path, body) in [
        ("faults", json!({"kind": {"code": {"status": 400, "code": 131_026}}, "phone": "16505551234"})),
        ("faults", json!({"kind": "accept-then-close"})),
        ("reports", json!([{"status": "read"}])),
        ("inbound", json!({"phone": PHONE, "text": "hi"})),
        ("limits", json!({"sender": {"per_second": 1000, "burst": 1000}, "pair": {"per_second": 1000, "burst": 1000}})),
    ] {
        assert_eq!(order(path, body).send().await.unwrap().status(), 204, "{path}");
    }
    let limits = limits(Duration::from_secs(20));
    assert_fault(&whatsapp.execute(&plain(), &limits).await, Fault::Item, "the first order");
    assert_parked(&whatsapp.execute(&plain(), &limits).await, "the second order");
    let log = client.get(format!("{address}/_control/log")).send().await.unwrap().text().await.unwrap();
    let log: Value = serde_json::from_str(&log).unwrap();
    assert_eq!((log.as_array().unwrap().len(), &log[0]["reference"]), (1, &json!("actions:17:2")));
}
