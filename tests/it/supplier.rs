//! The suppliers of data bundles against the faithful fakes, over real HTTP; the fakes' own book says what was delivered.

mod purchases;
mod requests;
mod waits;
mod refusals;
mod doubts;
mod callbacks;
mod profiles;
mod privacy;

use std::time::Duration;

use jiff::Timestamp;
use rowcall::failure::Fault;
use rowcall::integrations::supplier::profile::{Address, Profile, SHIPPED, shipped};
use rowcall::integrations::supplier::{Settings, Supplier};
use rowcall::integrations::{Integration, Limits};
use rowcall::job::Job;
use rowcall::outcome::{Outcome, Verdict};
use rowcall::sandbox::supplier::{Delivery, End, Fake, SupplierArgs};
use secrecy::SecretString;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::sandbox::Sandbox;

const ORDER: &str = "0190c2a4-7b1e-7c3d-8f00-00000000002a";
const NUMBER: &str = "+233261234567";
const SHORT: Duration = Duration::from_millis(500);
const LONG: Duration = Duration::from_secs(20);

/// Every profile that ships.
fn names() -> impl Iterator<Item = &'static str> {
    SHIPPED.into_iter().map(|(name, _)| name)
}

/// Those whose suppliers can be asked how an order stands.
const WITH_LOOK_UP: [&str; 4] = ["at-ishare", "codecraft", "spfastit", "xpress"];

/// The outside world of one test, with an integration that knows its way.
struct World {
    fake: Fake,
    dir: TempDir,
    settings: Settings,
    supplier: Supplier,
}

impl World {
    async fn new(name: &str) -> Self {
        Self::with(name, |_| {}).await
    }

    async fn with(name: &str, change: impl FnOnce(&mut Settings)) -> Self {
        Self::of(shipped(name).unwrap(), change).await
    }

    /// With a profile's text.
    async fn of(profile: &str, change: impl FnOnce(&mut Settings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let fake = Fake::start(SupplierArgs::new(dir.path().to_owned())).await.unwrap();
        let mut settings = settings(Profile::parse(profile).unwrap(), &fake.address());
        change(&mut settings);
        Self { fake, dir, supplier: Supplier::new(settings.clone()), settings }
    }

    async fn execute(&self, job: &Job) -> Outcome {
        self.supplier.execute(job, &limits(LONG)).await
    }

    async fn execute_within(&self, job: &Job, timeout: Duration) -> Outcome {
        self.supplier.execute(job, &limits(timeout)).await
    }

    /// Coming orders are taken and nothing more is heard of them.
    fn never_deliver(&self) {
        self.fake.delivery(Delivery { after_ms: 0, end: End::Never });
    }
}

/// As fast as a test may go: the pace has tests of its own.
fn settings(mut profile: Profile, address: &str) -> Settings {
    profile.rate.per_s = 1000;
    profile.rate.concurrency = 100;
    Settings {
        base_url: Some(Address::try_from(format!("{address}/{}", profile.name)).unwrap()),
        // Nobody listens there.
        callback_url: (profile.name == "hubnet")
            .then(|| Address::try_from("http://127.0.0.1:1/hubnet".to_owned()).unwrap()),
        profile,
        api_key: Some(SecretString::from("sandbox-supplier-key")),
        api_secret: Some(SecretString::from("sandbox-supplier-secret")),
    }
}

fn limits(timeout: Duration) -> Limits {
    Limits::new(timeout, CancellationToken::new())
}

/// Seconds ago.
fn ago(seconds: i64) -> Value {
    json!(Timestamp::from_second(Timestamp::now().as_second() - seconds).unwrap())
}

fn job(operation: &str, change: impl FnOnce(&mut Value)) -> Job {
    let mut payload = json!({
        "order_id": ORDER, "reference": ORDER, "phone_number": NUMBER, "package": "1GB", "amount": "4.50",
        "network": "AT-iShare", "metadata": {}, "provider_reference": null, "accepted_at": null, "looks": 0,
        "created_at": ago(5),
    });
    change(&mut payload);
    Job {
        queue: "fulfillment_logs",
        key: "0190c2a4-0000-7000-8000-000000000001".to_owned(),
        generation: 1,
        token: Uuid::new_v4(),
        attempt: 1,
        max_attempts: 3,
        uncertain: false,
        operation: operation.to_owned(),
        payload: to_raw_value(&payload).unwrap(),
    }
}

fn purchase() -> Job {
    job("purchase", |_| {})
}

/// The job that follows this outcome, as the row's SQL makes it.
fn look_up(outcome: &Outcome, accepted_ago: i64) -> Job {
    job("look_up", |payload| {
        payload["provider_reference"] = outcome.result.as_ref().unwrap()["provider_reference"].clone();
        payload["accepted_at"] = ago(accepted_ago);
    })
}

fn state(outcome: &Outcome) -> &str {
    outcome.result.as_ref().unwrap()["state"].as_str().unwrap()
}

/// Also checks that the words are fit for a row.
fn assert_fault(outcome: &Outcome, fault: Fault, what: &str) {
    assert_eq!((outcome.fault, outcome.verdict), (Some(fault), fault.verdict()), "{what}: {outcome:?}");
    fit_for_a_row(outcome);
}

fn assert_accepted(outcome: &Outcome, what: &str) {
    assert_eq!(
        (outcome.verdict, outcome.fault, state(outcome)),
        (Verdict::Wait, None, "accepted"),
        "{what}: {outcome:?}"
    );
    assert!(!outcome.uncertain);
    fit_for_a_row(outcome);
}

fn fit_for_a_row(outcome: &Outcome) {
    let message = outcome.error.as_deref().unwrap();
    assert!(message.chars().count() <= 500 && message.ends_with('.'), "{message}");
    let told = format!("{message} {}", outcome.result.as_ref().unwrap_or(&Value::Null));
    for private in ["261234567", "sandbox-supplier-key", "sandbox-supplier-secret", "127.0.0"] {
        assert!(!told.contains(private), "{private} in {told}");
    }
}

#[tokio::test]
async fn without_settings_orders_wait_and_say_which() {
    for (name, missing) in [
        ("at-ishare", "AT_ISHARE_API_URL, AT_ISHARE_API_KEY, AT_ISHARE_API_SECRET is set"),
        ("codecraft", "AT_ISHARE_API_KEY is set"),
        ("spfastit", "AT_ISHARE_API_KEY is set"),
        // Nothing else tells that it has delivered.
        ("hubnet", "AT_ISHARE_API_KEY, AT_ISHARE_API_SECRET, AT_ISHARE_CALLBACK_URL is set"),
        ("xpress", "AT_ISHARE_API_URL, AT_ISHARE_API_KEY is set"),
    ] {
        let world = World::with(name, |settings| {
            let unset =
                Settings { base_url: None, api_key: None, api_secret: None, callback_url: None, ..settings.clone() };
            *settings = unset;
        })
        .await;
        let told = world.supplier.ready().unwrap_err();
        assert!(told.contains(missing) && told.contains(name), "{told}");
        let outcome = world.execute(&purchase()).await;
        assert_fault(&outcome, Fault::Configuration, name);
        assert!(outcome.error.unwrap().contains(missing));
    }
}

#[tokio::test]
async fn the_sandbox_prints_its_address_and_takes_orders() {
    let sandbox = Sandbox::start(&["--wallet", "100"]);
    let supplier = Supplier::new(settings(Profile::load("spfastit").unwrap(), &sandbox.address));
    assert_fault(&supplier.execute(&purchase(), &limits(LONG)).await, Fault::Outage, "an empty wallet");
    for (what, body) in [
        ("wallet", json!({"pesewas": 1000})),
        ("faults", json!({"kind": "accept-then-close", "phone": "233261234567"})),
        ("delivery", json!({"end": "delivered"})),
        ("callbacks", json!([{"times": 2, "proof": "forged"}])),
    ] {
        assert!((200..300).contains(&sandbox.tell(what, body).await), "{what}");
    }
    let outcome = supplier.execute(&purchase(), &limits(LONG)).await;
    assert_eq!(outcome.verdict, Verdict::Done, "looked up after the answer was lost: {outcome:?}");
    assert_eq!(sandbox.see("wallet").await, json!({"pesewas": 650}));
    assert_eq!(sandbox.see("orders").await[0]["standing"], "delivered");
    assert_eq!(sandbox.see("requests").await.as_array().unwrap().len(), 3);
    assert_eq!(sandbox.tell("deliver", json!({"order": ORDER})).await, 404, "it is delivered already");
    assert_eq!(sandbox.tell("reverse", json!({"order": ORDER})).await, 204);
    assert_eq!(sandbox.tell("reverse", json!({"order": ORDER})).await, 404, "only once");
    assert_eq!(sandbox.book().await, ["delivered", "reversed"]);
    let file = std::fs::read_to_string(sandbox.dir.path().join("book.jsonl")).unwrap();
    assert_eq!(file.lines().count(), 2);
}
