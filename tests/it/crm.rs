//! The CRM integration against the faithful fakes, over real HTTP; the fakes' own log says what was really changed.

mod repeats;
mod upgrades;
mod customers;
mod refusals;
mod patience;
mod tenants;
mod webhooks;
mod privacy;

use std::io::{BufRead as _, BufReader};
use std::time::Duration;

use reqwest::Url;
use rowcall::failure::Fault;
use rowcall::integrations::crm::shopify::Template;
use rowcall::integrations::crm::{CredentialsFrom, Crm, Settings, UpgradeOrder, commerce7, shopify};
use rowcall::integrations::{Integration, Limits};
use rowcall::job::Job;
use rowcall::outcome::{Outcome, Verdict};
use rowcall::sandbox::crm::{CrmArgs, Fake, Person, Seed, ShopSeed, TenantSeed};
use secrecy::SecretString;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use Which::{Commerce7, Shopify};

const EMAIL: &str = "ama.serwaa@example.com";
const SHORT: Duration = Duration::from_millis(600);

/// Both have a tenant or shop `north` and one `south`, and clubs and tags of the same names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    Commerce7,
    Shopify,
}

impl Which {
    const BOTH: [Self; 2] = [Commerce7, Shopify];

    fn word(self) -> &'static str {
        match self {
            Commerce7 => "commerce7",
            Shopify => "shopify",
        }
    }

    /// The call that changes something for this operation, in the fake's words.
    fn change(self, operation: &str) -> &'static str {
        match (self, operation) {
            (Commerce7, "cancel_membership") => "PUT /club-membership",
            (Commerce7, _) => "POST /club-membership",
            (Shopify, "cancel_membership") => "tagsRemove",
            (Shopify, _) => "tagsAdd",
        }
    }

    /// The call that shows what became of it.
    fn look(self) -> &'static str {
        match self {
            Commerce7 => "GET /club-membership",
            Shopify => "customer",
        }
    }
}

/// The outside world of one test, with an integration that knows its way.
struct World {
    fake: Fake,
    dir: TempDir,
    crm: Crm,
}

impl World {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let fake = Fake::start(CrmArgs::new(dir.path().to_owned())).await.unwrap();
        fake.seed(seed());
        let mut settings = settings(&fake.address());
        change(&mut settings);
        Self { fake, dir, crm: Crm::new(settings) }
    }

    async fn execute(&self, job: &Job) -> Outcome {
        self.crm.execute(job, &limits(Duration::from_secs(20))).await
    }

    async fn execute_within(&self, job: &Job, timeout: Duration) -> Outcome {
        self.crm.execute(job, &limits(timeout)).await
    }

    /// Runs it, and it is done.
    async fn done(&self, job: &Job) -> Value {
        let outcome = self.execute(job).await;
        assert_eq!((outcome.verdict, outcome.uncertain), (Verdict::Done, false), "{outcome:?}");
        outcome.result.unwrap()
    }

    /// The customer's clubs or tags, in `north`.
    fn member_of(&self, which: Which, email: &str) -> Vec<String> {
        let world = self.fake.world();
        let all = world[which.word()]["north"].as_array().unwrap().clone();
        let customer = all.into_iter().find(|one| one["email"] == email).unwrap();
        let list = if which == Commerce7 { &customer["clubs"] } else { &customer["tags"] };
        list.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    }

    /// The effects of this kind, in the order in which they happened.
    fn effects(&self, kind: &str) -> Vec<Value> {
        self.fake.log().into_iter().filter(|effect| effect["effect"] == kind).collect()
    }

    fn calls(&self) -> Vec<String> {
        self.fake.requests().iter().map(|request| request["call"].as_str().unwrap().to_owned()).collect()
    }
}

fn person(email: &str) -> Person {
    let (first_name, last_name) = ("Ama".to_owned(), "Serwaa".to_owned());
    Person { email: email.to_owned(), first_name, last_name, ..Person::default() }
}

fn seed() -> Seed {
    let tenant = |name: &str| TenantSeed {
        tenant: name.to_owned(),
        clubs: vec!["silver".to_owned(), "gold".to_owned()],
        customers: vec![person(EMAIL)],
        ..TenantSeed::default()
    };
    let shop = |name: &str| ShopSeed {
        shop: name.to_owned(),
        customers: vec![Person { tags: vec!["vip".to_owned(), "Newsletter".to_owned()], ..person(EMAIL) }],
        ..ShopSeed::default()
    };
    Seed { commerce7: vec![tenant("north"), tenant("south")], shopify: vec![shop("north"), shop("south")] }
}

fn settings(address: &str) -> Settings {
    Settings {
        credentials: CredentialsFrom::Environment,
        upgrade_order: UpgradeOrder::AddFirst,
        commerce7: commerce7::Settings {
            api_url: Url::parse(&format!("{address}/v1")).unwrap(),
            app_id: Some("sandbox-app".to_owned()),
            key: Some(SecretString::from("sandbox-key")),
            // So fast that no test waits for its turn.
            calls_per_minute: 6000,
            cancellation_reason: "Other".to_owned(),
            webhook: None,
        },
        shopify: shopify::Settings {
            api_url: Template::new(&format!("{address}/{{shop}}/admin/api/2026-01/graphql.json")).unwrap(),
            access_token: Some(SecretString::from("sandbox-access-token")),
            webhook: None,
        },
    }
}

fn limits(timeout: Duration) -> Limits {
    Limits::new(timeout, CancellationToken::new())
}

fn job(which: Which, operation: &str, change: impl FnOnce(&mut Value)) -> Job {
    let club = |name: &str| json!({"crm_club_id": name, "tag": name, "name": name});
    let previous = if operation == "upgrade_membership" { club("silver") } else { Value::Null };
    let mut payload = json!({
        "crm_type": which.word(), "client_id": 4, "tenant": "north", "shop": "north.myshopify.com",
        "customer": {"email": EMAIL, "crm_customer_id": null, "first_name": "Ama", "last_name": "Serwaa"},
        "club": club("gold"), "previous_club": previous, "reason": "expired", "enrollment_id": 9, "steps": null,
        "credentials": null,
    });
    change(&mut payload);
    Job {
        queue: "crm_sync_queue",
        key: "17".to_owned(),
        generation: 1,
        token: Uuid::new_v4(),
        attempt: 1,
        max_attempts: 5,
        uncertain: false,
        operation: operation.to_owned(),
        payload: to_raw_value(&payload).unwrap(),
    }
}

fn add(which: Which) -> Job {
    job(which, "add_membership", |_| {})
}

fn cancel(which: Which) -> Job {
    job(which, "cancel_membership", |_| {})
}

fn upgrade(which: Which) -> Job {
    job(which, "upgrade_membership", |_| {})
}

/// The tier that an upgrade leaves.
fn add_silver(which: Which) -> Job {
    job(which, "add_membership", |payload| {
        payload["club"] = json!({"crm_club_id": "silver", "tag": "silver"});
    })
}

/// The same job as it is claimed again, with what the row remembers.
fn again(job: &Job, result: &Value) -> Job {
    let mut payload: Value = job.payload().unwrap();
    payload["steps"] = result["steps"].clone();
    Job {
        queue: job.queue,
        key: job.key.clone(),
        generation: job.generation,
        token: Uuid::new_v4(),
        attempt: job.attempt,
        max_attempts: job.max_attempts,
        uncertain: true,
        operation: job.operation.clone(),
        payload: to_raw_value(&payload).unwrap(),
    }
}

/// Also checks that the words are fit for a row.
fn assert_fault(outcome: &Outcome, fault: Fault, what: &str) {
    assert_eq!((outcome.fault, outcome.verdict), (Some(fault), fault.verdict()), "{what}: {outcome:?}");
    let message = outcome.error.as_deref().unwrap();
    assert!(message.chars().count() <= 500 && message.ends_with('.'), "{what}: {message}");
    assert_no_secret(message);
    assert_no_secret(&outcome.result.clone().unwrap_or_default().to_string());
}

fn assert_no_secret(text: &str) {
    for private in ["serwaa", "example.com", "sandbox-key", "sandbox-access-token", "client-secret", "127.0.0"] {
        assert!(!text.to_lowercase().contains(private), "{private} in {text}");
    }
}

#[tokio::test]
async fn a_member_is_added_upgraded_and_cancelled() {
    for which in Which::BOTH {
        let world = World::new().await;
        world.crm.ready().unwrap();
        let others = if which == Shopify { vec!["vip", "Newsletter"] } else { vec![] };
        let is = |clubs: &[&str]| others.iter().chain(clubs).map(|name| (*name).to_owned()).collect::<Vec<_>>();

        let result = world.done(&add_silver(which)).await;
        assert_eq!(world.member_of(which, EMAIL), is(&["silver"]), "{which:?}");
        assert_eq!((&result["crm_type"], &result["changed"]), (&json!(which.word()), &json!(true)));
        assert_eq!(result["target"], json!(format!("{}:north", which.word())));
        let made = &world.fake.log()[0];
        assert_eq!(result["crm_customer_id"], made["customer_id"]);
        let id = if which == Commerce7 { &made["membership_id"] } else { &json!("silver") };
        assert_eq!(&result["crm_membership_id"], id);

        let result = world.done(&upgrade(which)).await;
        assert_eq!(world.member_of(which, EMAIL), is(&["gold"]), "{which:?}");
        assert_eq!(result["steps"]["new_membership_id"], result["crm_membership_id"]);
        assert!(result["steps"]["cancelled_old_at"].is_string());

        world.done(&cancel(which)).await;
        assert_eq!(world.member_of(which, EMAIL), is(&[]), "{which:?}");
        let file = std::fs::read_to_string(world.dir.path().join("effects.jsonl")).unwrap();
        let file: Vec<Value> = file.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((file.len(), &file), (4, &world.fake.log()));
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_without_a_call() {
    let world = World::new().await;
    for which in Which::BOTH {
        for (what, job) in [
            ("no customer", job(which, "add_membership", |p| p["customer"] = json!({}))),
            ("no address", job(which, "add_membership", |p| p["customer"]["email"] = json!("ama"))),
            ("no club", job(which, "cancel_membership", |p| p["club"] = json!({}))),
            (
                "another's address",
                job(which, "add_membership", |p| {
                    p["tenant"] = json!("../south");
                    p["shop"] = json!("evil.example.org/#");
                }),
            ),
            ("another operation", Job { operation: "delete".to_owned(), ..add(which) }),
            ("another payload", job(which, "add_membership", |p| *p = json!([EMAIL]))),
            ("another CRM", job(which, "add_membership", |p| p["crm_type"] = json!("serwaa"))),
            ("no CRM", job(which, "add_membership", |p| p["crm_type"] = json!(null))),
        ] {
            let outcome = world.execute(&job).await;
            assert_fault(&outcome, Fault::Item, what);
            assert_eq!(outcome.target, None, "{what}: nothing is known of the tenant");
            assert_eq!(outcome.error.unwrap().contains("clients.crm_type"), what.ends_with("CRM"), "{what}");
        }
    }
    assert_eq!(world.fake.requests(), Vec::<Value>::new());
}

#[tokio::test]
async fn what_is_not_wanted_any_more_is_done_without_a_call() {
    let world = World::new().await;
    for which in Which::BOTH {
        for operation in ["add_membership", "cancel_membership", "upgrade_membership"] {
            let unwanted = job(which, operation, |payload| payload["unwanted"] = json!("the enrollment is expired"));
            let outcome = world.execute(&unwanted).await;
            assert!(outcome.verdict == Verdict::Done && outcome.unasked && outcome.target.is_none(), "{outcome:?}");
            assert_eq!(outcome.result.unwrap()["unwanted"], "the enrollment is expired");
        }
    }
    assert_eq!(world.fake.requests(), Vec::<Value>::new());
}

#[tokio::test]
async fn without_credentials_memberships_wait_and_say_which() {
    let without = |settings: &mut Settings| {
        settings.commerce7.key = None;
        settings.shopify.access_token = None;
    };
    let world = World::with(without).await;
    let missing = world.crm.ready().unwrap_err();
    assert!(missing.contains("COMMERCE7_KEY") && missing.contains("SHOPIFY_ACCESS_TOKEN"), "{missing}");
    for (which, setting) in [(Commerce7, "COMMERCE7_KEY"), (Shopify, "SHOPIFY_ACCESS_TOKEN")] {
        let outcome = world.execute(&add(which)).await;
        assert_fault(&outcome, Fault::Configuration, setting);
        assert!(outcome.error.unwrap().contains(setting));
        assert_eq!(outcome.target, Some(format!("{}:north", which.word())));
    }
    assert_eq!(world.fake.requests(), Vec::<Value>::new());

    World::with(|settings| settings.shopify.access_token = None).await.crm.ready().unwrap();
    let each = World::with(|settings| {
        without(settings);
        settings.credentials = CredentialsFrom::Clients;
    })
    .await;
    each.crm.ready().unwrap();
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
    command.args(["sandbox", "crm", "--state"]).arg(dir.path());
    let mut sandbox = Sandbox(command.stdout(std::process::Stdio::piped()).spawn().unwrap());
    let mut address = String::new();
    BufReader::new(sandbox.0.stdout.take().unwrap()).read_line(&mut address).unwrap();
    let address = address.trim();

    let crm = Crm::new(settings(address));
    // The integration has set TLS up for the process, which this client needs too.
    let client = reqwest::Client::new();
    let order = |path: &str, body: Value| {
        let request = client.post(format!("{address}/_control/{path}")).header("content-type", "application/json");
        request.body(body.to_string()).send()
    };
    let customers = json!([{"email": EMAIL}]);
    let limit = json!({"per_second": 1000, "burst": 1000});
    for (path, body) in [
        (
            "seed",
            json!({
                "commerce7": [{"tenant": "north", "clubs": ["gold"], "customers": customers}],
                "shopify": [{"shop": "north", "customers": customers}],
            }),
        ),
        ("faults", json!({"kind": {"answer": {"status": 503, "body": "<html>"}}, "call": "GET /customer"})),
        ("limits", json!({"commerce7": limit, "shopify": limit})),
        ("access", json!({"tenant": "nobody", "is_open": false})),
    ] {
        assert_eq!(order(path, body).await.unwrap().status(), 204, "{path}");
    }
    let limits = limits(Duration::from_secs(20));
    assert_fault(&crm.execute(&add(Commerce7), &limits).await, Fault::Outage, "the order");
    for which in Which::BOTH {
        assert_eq!(crm.execute(&add(which), &limits).await.verdict, Verdict::Done);
    }
    let get = async |path: &str| -> Value {
        let text = client.get(format!("{address}/_control/{path}")).send().await.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap()
    };
    assert_eq!(get("world").await["commerce7"]["north"][0]["clubs"], json!(["gold"]));
    assert_eq!((get("log").await.as_array().unwrap().len(), get("requests").await.as_array().unwrap().len()), (2, 8));
    assert_eq!(order("webhooks", json!([])).await.unwrap().status(), 200);
}
