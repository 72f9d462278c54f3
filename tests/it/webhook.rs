//! Signed webhooks against the receiver of the sandbox, which checks every signature and says what it really heard.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rowcall::failure::Fault;
use rowcall::integrations::Limits;
use rowcall::integrations::http::Reach;
use rowcall::integrations::webhook::{Endpoint, Event, Place, Secret, Webhook};
use rowcall::outcome::{Outcome, Verdict};
use rowcall::sandbox::webhook::{Fake, Fault as Script, Kind, SECRET, WebhookArgs};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::process::ROWCALL;

const SETTING: &str = "ORGANIZATION_SYNC_SECRET";
const OLD: &str = "whsec_b2xkLXNlY3JldC1vZi1hLXJlY2VpdmVyLi4uLi4=";
const BODY: &str =
    r#"{"type":"thing.changed","timestamp":"2026-01-31T10:00:00.000Z","data":{"id":7,"name":"Ünïcode \u00e9"}}"#;

struct World {
    fake: Fake,
    dir: TempDir,
}

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let world = Self { fake: Fake::start(WebhookArgs::new(dir.path().to_owned())).await.unwrap(), dir };
        world.knows(&world.endpoint(false));
        world
    }

    /// The receiver knows the secret of all rows, and that of this endpoint.
    fn knows(&self, own: &Endpoint) {
        self.fake.know(&[SECRET, &secret_of(own)]);
    }

    /// The endpoint of all rows, or of one row.
    fn endpoint(&self, is_shared: bool) -> Endpoint {
        endpoint(&format!("{}/hook", self.fake.address()), is_shared)
    }

    fn port(&self) -> u16 {
        self.fake.address().rsplit_once(':').unwrap().1.parse().unwrap()
    }

    async fn tell(&self, is_shared: bool) -> Outcome {
        tell(&webhook(SECRET), &self.endpoint(is_shared), 1).await
    }
}

/// The secret of a row's own endpoint.
fn secret_of(endpoint: &Endpoint) -> String {
    Secret::parse(SECRET).unwrap().of(endpoint).text().expose_secret().to_owned()
}

fn endpoint(address: &str, is_shared: bool) -> Endpoint {
    let place = if is_shared { Place::Setting("ORGANIZATION_SYNC_URL") } else { Place::Column("sync_url") };
    Endpoint::parse(address, place, true).unwrap()
}

fn webhook(secrets: &str) -> Webhook {
    Webhook::new(SETTING, Secret::parse_all(secrets).unwrap(), Reach::new(true))
}

fn limits(timeout: Duration) -> Limits {
    Limits::new(timeout, CancellationToken::new())
}

async fn tell(webhook: &Webhook, endpoint: &Endpoint, attempt: i32) -> Outcome {
    webhook.tell(endpoint, &[], &event(attempt), &limits(Duration::from_secs(20))).await
}

fn event(attempt: i32) -> Event<'static> {
    Event { id: "things:7:3", body: Bytes::from_static(BODY.as_bytes()), attempt: (attempt, 10) }
}

fn words(outcome: &Outcome) -> &str {
    outcome.error.as_deref().unwrap()
}

#[tokio::test]
async fn an_event_is_heard_once_however_often_it_is_told() {
    let world = World::new().await;
    let began = Timestamp::now().as_second();
    for attempt in [1, 2] {
        let outcome = tell(&webhook(SECRET), &world.endpoint(true), attempt).await;
        assert_eq!((outcome.verdict, &outcome.result.unwrap()["status"]), (Verdict::Done, &json!(200)));
    }
    let log = world.fake.log();
    assert_eq!((log.len(), &log[0]["id"], &log[0]["path"]), (1, &json!("things:7:3"), &json!("/hook")));
    assert_eq!(log[0]["body"], serde_json::from_str::<Value>(BODY).unwrap());
    let file = std::fs::read_to_string(world.dir.path().join("heard.jsonl")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(file.trim()).unwrap(), log[0]);
    let requests = world.fake.requests();
    for request in &requests {
        let at: i64 = request["timestamp"].as_str().unwrap().parse().unwrap();
        assert!((began..=Timestamp::now().as_second()).contains(&at), "the attempt's own time: {request}");
        assert_eq!((&request["id"], &request["bytes"]), (&json!("things:7:3"), &json!(BODY.len())));
    }
    assert_eq!(requests.len(), 2);
}

#[tokio::test]
async fn while_secrets_change_a_receiver_that_knows_either_hears() {
    let world = World::new().await;
    let both = webhook(&format!("{OLD} {SECRET}"));
    for known in [OLD, SECRET] {
        world.fake.know(&[known]);
        assert_eq!(tell(&both, &world.endpoint(true), 1).await.verdict, Verdict::Done);
    }
    // Once the new one alone signs, who knows the old one alone does not take it; that is everybody's.
    world.fake.know(&[OLD]);
    let outcome = world.tell(true).await;
    assert_eq!(outcome.fault, Some(Fault::Credentials));
    assert!(words(&outcome).contains("rows wait until ORGANIZATION_SYNC_SECRET has the secret"), "{outcome:?}");
    assert_eq!(world.tell(false).await.fault, Some(Fault::Transient), "another endpoint is its row's own");
    assert!(world.fake.requests().last().unwrap()["refused"].as_str().unwrap().contains("no signature"));
}

#[tokio::test]
async fn every_status_has_its_fault() {
    let world = World::new().await;
    for (status, shared, own) in [
        (400, Fault::Transient, Fault::Transient),
        (401, Fault::Credentials, Fault::Transient),
        (403, Fault::Credentials, Fault::Transient),
        (404, Fault::Configuration, Fault::Transient),
        (405, Fault::Configuration, Fault::Transient),
        (408, Fault::Transient, Fault::Transient),
        (409, Fault::Transient, Fault::Transient),
        (410, Fault::Item, Fault::Item),
        (422, Fault::Transient, Fault::Transient),
        (429, Fault::Throttled, Fault::Throttled),
        (304, Fault::Configuration, Fault::Transient),
        (500, Fault::Transient, Fault::Transient),
        (502, Fault::Outage, Fault::Transient),
        (503, Fault::Outage, Fault::Transient),
        (504, Fault::Outage, Fault::Transient),
        (599, Fault::Transient, Fault::Transient),
    ] {
        for (is_shared, fault) in [(true, shared), (false, own)] {
            let kind = Kind::Answer { status, body: "name of Ama Serwaa is taken".to_owned() };
            world.fake.fault(Script::new(kind));
            let outcome = world.tell(is_shared).await;
            assert_eq!((outcome.fault, outcome.uncertain), (Some(fault), false), "{status} {is_shared}");
            assert!(words(&outcome).contains(&format!("HTTP {status}")) && words(&outcome).len() < 500, "{outcome:?}");
            assert_eq!(outcome.result.as_ref().unwrap()["status"], status);
            // A breaker's reason is logged, and everybody reads it.
            assert!(!fault.opens_breaker() || !words(&outcome).contains("Serwaa"), "{outcome:?}");
        }
    }
    for status in [200, 201, 202, 204, 299] {
        world.fake.fault(Script::new(Kind::AcceptThenAnswer { status, body: String::new() }));
        assert_eq!(world.tell(true).await.verdict, Verdict::Done, "{status}");
    }
    assert_eq!(world.fake.log().len(), 1);
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_not_called_again() {
    let world = World::new().await;
    let endpoint = endpoint(&format!("{}/hook?key=hunter2", world.fake.address()), true);
    world.fake.fault(Script::status(410));
    let outcome = tell(&webhook(SECRET), &endpoint, 1).await;
    let result = outcome.result.clone().unwrap();
    assert_eq!((outcome.verdict, &result["host"]), (Verdict::Failed, &json!("127.0.0.1")));
    assert!(
        words(&outcome).contains("410 Gone: it is not called again until ORGANIZATION_SYNC_URL is another"),
        "{outcome:?}"
    );
    assert!(!result.to_string().contains("hunter2"), "a digest stands for the address: {result}");
    let gone = [result["gone"].as_str().unwrap().to_owned()];
    let limits = limits(Duration::from_secs(20));
    let outcome = webhook(SECRET).tell(&endpoint, &gone, &event(1), &limits).await;
    assert_eq!((outcome.verdict, world.fake.requests().len()), (Verdict::Failed, 1));
    assert!(words(&outcome).contains("is gone (410)"), "{outcome:?}");
    let other = world.endpoint(true);
    assert_eq!(webhook(SECRET).tell(&other, &gone, &event(1), &limits).await.verdict, Verdict::Done);
}

#[tokio::test]
async fn patience_is_kept_as_long_as_asked() {
    let world = World::new().await;
    for (status, asked, fault, seconds) in [
        (429, Some("30"), Fault::Throttled, Some(30)),
        (429, Some("0"), Fault::Throttled, Some(1)),
        (429, Some("999999"), Fault::Throttled, Some(3600)),
        (429, None, Fault::Throttled, None),
        (503, Some("120"), Fault::Throttled, Some(120)),
        // An attempt is spent, and the next one is not sooner than asked.
        (500, Some("600"), Fault::Transient, Some(600)),
        (500, None, Fault::Transient, None),
    ] {
        world.fake.fault(Script { retry_after: asked.map(str::to_owned), ..Script::status(status) });
        let outcome = world.tell(true).await;
        assert_eq!(outcome.fault, Some(fault), "{status} {asked:?}");
        let range = seconds.map(Duration::from_secs).map(|asked| asked..=asked.mul_f64(1.1));
        assert_eq!(outcome.delay.is_some(), range.is_some(), "{status} {asked:?}");
        assert!(outcome.delay.is_none_or(|delay| range.unwrap().contains(&delay)), "{status} {:?}", outcome.delay);
    }
}

#[tokio::test]
async fn a_redirect_is_followed_nowhere() {
    let world = World::new().await;
    for location in
        ["", "/other", "http://169.254.169.254/latest/meta-data", "http://127.0.0.1:1/", "file:///etc/passwd"]
    {
        for status in [301, 302, 307, 308] {
            let before = world.fake.requests().len();
            world.fake.fault(Script::new(Kind::Redirect { status, location: location.to_owned() }));
            let outcome = world.tell(false).await;
            assert_eq!(outcome.fault, Some(Fault::Transient));
            assert!(words(&outcome).contains("a redirect, and those are not followed"), "{outcome:?}");
            assert_eq!(world.fake.requests().len(), before + 1, "{location}");
        }
    }
    assert_eq!(world.fake.log(), Vec::<Value>::new());
}

#[tokio::test]
async fn an_answer_that_is_lost_or_never_ends_is_bounded() {
    let world = World::new().await;
    for (kind, heard) in [(Kind::AcceptThenHang, 1), (Kind::AcceptThenClose, 1), (Kind::Hang, 1), (Kind::Close, 1)] {
        world.fake.fault(Script::new(kind));
        let limits = limits(Duration::from_millis(400));
        let outcome = webhook(SECRET).tell(&world.endpoint(true), &[], &event(1), &limits).await;
        assert_eq!((outcome.fault, outcome.uncertain), (Some(Fault::Transient), true), "{outcome:?}");
        assert_eq!(world.fake.log().len(), heard);
    }
    world.fake.fault(Script::new(Kind::Endless));
    let outcome = world.tell(true).await;
    let excerpt = outcome.result.unwrap()["answer"].as_str().unwrap().to_owned();
    assert!(outcome.verdict == Verdict::Done && excerpt.chars().count() <= 160, "{excerpt}");
}

#[tokio::test]
async fn the_last_attempt_promises_no_other() {
    let world = World::new().await;
    for (attempt, said) in [(9, "it is tried again by itself"), (10, "the last of 10 attempts. Look at sync_url")] {
        world.fake.fault(Script::status(500));
        let outcome = tell(&webhook(SECRET), &world.endpoint(false), attempt).await;
        assert!(words(&outcome).contains(said), "{outcome:?}");
    }
}

#[tokio::test]
async fn without_a_connection_nothing_was_told() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    for (host, is_shared, fault) in [
        (format!("127.0.0.1:{port}"), true, Fault::Outage),
        (format!("127.0.0.1:{port}"), false, Fault::Transient),
        ("nowhere.invalid".to_owned(), true, Fault::Outage),
    ] {
        let outcome = tell(&webhook(SECRET), &endpoint(&format!("http://{host}/"), is_shared), 1).await;
        assert_eq!((outcome.fault, outcome.uncertain), (Some(fault), false), "{host} {outcome:?}");
    }
}

#[tokio::test]
async fn what_a_receiver_quotes_is_cut_out() {
    let world = World::new().await;
    let path = "services/B%C3%A4ckerei17/T0k3nT0k3n";
    let endpoint = endpoint(&format!("{}/{path}?key=hunter2hunter2", world.fake.address()), false);
    world.knows(&endpoint);
    let (own, rest) = (secret_of(&endpoint), "x".repeat(5000));
    let body = format!(
        "{own} /{path} T0k3nT0k3n Bäckerei17 hunter2hunter2 +16505551234 ama@example.com \u{1b}[31mred\u{0}\n\n{rest}"
    );
    for status in [200, 500] {
        world.fake.fault(Script::new(Kind::AcceptThenAnswer { status, body: body.clone() }));
        let outcome = tell(&webhook(SECRET), &endpoint, 1).await;
        let shown = format!("{:?} {:?}", outcome.error, outcome.result);
        for private in [&own[6..], "hunter2", "T0k3n", "Bäckerei17", "6505551234", "ama@", "\u{1b}", "\u{0}"] {
            assert!(!shown.contains(private), "{private:?} in {shown}");
        }
        assert!(outcome.result.unwrap()["answer"].as_str().unwrap().chars().count() <= 160);
    }
    let shown = format!("{endpoint:?} {:?}", webhook(SECRET));
    assert!(!shown.contains("hunter2") && !shown.contains(&SECRET[6..]), "{shown}");
}

#[tokio::test]
async fn an_endpoint_of_a_rows_own_knows_nobody_elses_secret() {
    let world = World::new().await;
    let own = secret_of(&world.endpoint(false));
    for (known, is_shared, is_heard) in
        [(SECRET, true, true), (SECRET, false, false), (own.as_str(), true, false), (own.as_str(), false, true)]
    {
        world.fake.know(&[known]);
        assert_eq!(world.tell(is_shared).await.verdict == Verdict::Done, is_heard, "shared: {is_shared}");
    }
    // While secrets change, so does its own: either is taken.
    let both = webhook(&format!("{OLD} {SECRET}"));
    world.fake.know(&[&own]);
    assert_eq!(tell(&both, &world.endpoint(false), 1).await.verdict, Verdict::Done);
    let command = std::process::Command::new(ROWCALL)
        .args(["webhook-secret", &format!("{}/hook", world.fake.address())])
        .env("ORGANIZATION_SYNC_SECRET", SECRET)
        .env("ROWCALL_WEBHOOK_LOOPBACK", "true")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(command.stdout).unwrap(), format!("{own}\n"));
}

#[tokio::test]
async fn a_worker_that_stops_says_whether_it_may_have_been_heard() {
    let world = World::new().await;
    let stopped = limits(Duration::from_secs(20));
    stopped.stop.cancel();
    let outcome = webhook(SECRET).tell(&world.endpoint(true), &[], &event(1), &stopped).await;
    assert_eq!((outcome.fault, outcome.uncertain), (Some(Fault::Interrupted), false));

    world.fake.fault(Script::new(Kind::AcceptThenHang));
    let limits = limits(Duration::from_mins(1));
    let stop = limits.stop.clone();
    let (webhook, endpoint) = (webhook(SECRET), world.endpoint(true));
    let telling = tokio::spawn(async move { webhook.tell(&endpoint, &[], &event(1), &limits).await });
    crate::process::eventually("the webhook", || (!world.fake.log().is_empty()).then_some(())).await;
    stop.cancel();
    let outcome = telling.await.unwrap();
    assert_eq!((outcome.fault, outcome.uncertain), (Some(Fault::Interrupted), true));
}

/// Names that mean what the test says, and the next time perhaps something else.
#[derive(Default)]
struct Names {
    answers: Mutex<HashMap<String, VecDeque<Vec<IpAddr>>>>,
}

impl Names {
    fn new(pairs: &[(&str, &[&[&str]])]) -> Arc<Self> {
        let ips = |addresses: &&[&str]| addresses.iter().map(|address| address.parse().unwrap()).collect();
        let answers = pairs.iter().map(|(name, answers)| ((*name).to_owned(), answers.iter().map(ips).collect()));
        Arc::new(Self { answers: Mutex::new(answers.collect()) })
    }

    /// How many answers are left.
    fn left(&self, name: &str) -> usize {
        self.answers.lock().unwrap()[name].len()
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let mut answers = self.answers.lock().unwrap();
        let answer = answers.get_mut(name.as_str()).and_then(VecDeque::pop_front).unwrap_or_default();
        let answer: Vec<SocketAddr> = answer.into_iter().map(|address| SocketAddr::new(address, 0)).collect();
        Box::pin(async move { Ok(Box::new(answer.into_iter()) as Addrs) })
    }
}

fn resolving(names: &Arc<Names>, loopback: bool) -> Webhook {
    let reach = Reach::new(loopback).resolving_by(Arc::clone(names) as Arc<dyn Resolve>);
    Webhook::new(SETTING, Secret::parse_all(SECRET).unwrap(), reach)
}

#[tokio::test]
async fn a_name_that_leads_inside_is_not_called_whatever_else_it_leads_to() {
    let world = World::new().await;
    let inside: [&[&str]; 12] = [
        &["127.0.0.1"],
        &["10.0.0.1"],
        &["192.168.1.1"],
        &["169.254.169.254"],
        &["100.64.0.1"],
        &["224.0.0.1"],
        &["::1"],
        &["::ffff:127.0.0.1"],
        &["::ffff:169.254.169.254"],
        &["fd00:ec2::254"],
        &["64:ff9b::7f00:1"],
        // One of them is enough, wherever it stands.
        &["93.184.215.14", "127.0.0.1"],
    ];
    let address = format!("http://hook.example.com:{}/hook", world.port());
    for addresses in inside {
        for (is_shared, fault) in [(true, Fault::Configuration), (false, Fault::Item)] {
            let names = Names::new(&[("hook.example.com", &[addresses])]);
            let outcome = tell(&resolving(&names, false), &endpoint(&address, is_shared), 1).await;
            assert_eq!((outcome.fault, outcome.uncertain), (Some(fault), false), "{addresses:?} {outcome:?}");
            assert!(words(&outcome).contains("leads to an address that is not public"), "{outcome:?}");
            assert!(!words(&outcome).contains(addresses[0]), "what it leads to stays inside: {outcome:?}");
        }
    }
    // Written out, no resolver is asked.
    let port = world.port();
    for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "127.1", "0.0.0.0"] {
        let webhook = Webhook::new(SETTING, Secret::parse_all(SECRET).unwrap(), Reach::new(false));
        let outcome = tell(&webhook, &endpoint(&format!("http://{host}:{port}/hook"), false), 1).await;
        assert_eq!(outcome.fault, Some(Fault::Item), "{host} {outcome:?}");
    }
    assert_eq!(world.fake.requests(), Vec::<Value>::new(), "nobody was called");
}

#[tokio::test]
async fn a_name_that_changes_its_mind_is_asked_once_for_a_connection() {
    let world = World::new().await;
    let names = Names::new(&[("hook.example.com", &[&["127.0.0.1"], &["10.0.0.1"], &["127.0.0.1"]])]);
    let endpoint = endpoint(&format!("http://hook.example.com:{}/hook", world.port()), false);
    world.knows(&endpoint);
    // The connection goes to what was looked at, and the second answer is not even asked for.
    assert_eq!(tell(&resolving(&names, true), &endpoint, 1).await.verdict, Verdict::Done);
    assert_eq!(names.left("hook.example.com"), 2);
    assert_eq!(world.fake.requests()[0]["host"], format!("hook.example.com:{}", world.port()));
    // Another connection is another question.
    assert_eq!(tell(&resolving(&names, true), &endpoint, 1).await.fault, Some(Fault::Item));
    assert_eq!(tell(&resolving(&names, true), &endpoint, 1).await.verdict, Verdict::Done);
    assert_eq!(world.fake.requests().len(), 2);
}

/// The receiver as a process of its own.
struct Sandbox(std::process::Child);

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test]
async fn the_sandbox_prints_its_address_and_takes_orders() {
    use std::io::BufRead as _;
    let dir = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new(ROWCALL);
    command.args(["sandbox", "webhook", "--secret", OLD, "--state"]).arg(dir.path());
    let mut sandbox = Sandbox(command.stdout(std::process::Stdio::piped()).spawn().unwrap());
    let mut address = String::new();
    std::io::BufReader::new(sandbox.0.stdout.take().unwrap()).read_line(&mut address).unwrap();
    let address = address.trim();
    let webhook = webhook(SECRET);
    let endpoint = endpoint(&format!("{address}/any/path"), false);
    assert!(words(&tell(&webhook, &endpoint, 1).await).contains("HTTP 401"));
    let client = crate::web::client();
    let order = |path: &str, body: Value| crate::web::json(client.post(format!("{address}/_control/{path}")), &body);
    assert_eq!(order("secrets", json!([secret_of(&endpoint)])).send().await.unwrap().status(), 204);
    let fault = json!({"kind": {"answer": {"status": 418}}, "path": "/any/path"});
    assert_eq!(order("faults", fault).send().await.unwrap().status(), 204);
    assert!(words(&tell(&webhook, &endpoint, 1).await).contains("HTTP 418"));
    assert_eq!(tell(&webhook, &endpoint, 1).await.verdict, Verdict::Done);
    // Unsigned, too old, or torn: it is not fooled.
    for (name, value) in [("webhook-timestamp", "1"), ("webhook-signature", "v1,AAAA"), ("webhook-id", "things:8:1")] {
        let log = crate::web::told(client.get(format!("{address}/_control/requests"))).await.1;
        let good = log.as_array().unwrap().last().unwrap().clone();
        let mut request = client.post(format!("{address}/hook")).body(BODY);
        for (header, known) in
            [("webhook-id", "id"), ("webhook-timestamp", "timestamp"), ("webhook-signature", "signature")]
        {
            request = request.header(header, if header == name { value } else { good[known].as_str().unwrap() });
        }
        assert_eq!(request.send().await.unwrap().status(), 401, "{name}");
        // The next one is measured by a good one again.
        assert_eq!(tell(&webhook, &endpoint, 1).await.verdict, Verdict::Done);
    }
    let heard = crate::web::told(client.get(format!("{address}/_control/log"))).await.1;
    assert_eq!(heard.as_array().unwrap().len(), 1);
}
