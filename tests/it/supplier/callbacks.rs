//! Callbacks: the fakes' own, over real HTTP, and those of every other way to prove oneself. Forged ones change nothing.

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use rowcall::integrations::supplier::callback::{Call, Callbacks, Refused, Report};
use rowcall::integrations::supplier::profile::{Address, Profile, State, shipped};
use rowcall::sandbox::supplier::{Callback, Delivery, End, Fake, Proof, SupplierArgs};
use secrecy::SecretString;
use serde_json::json;
use sha2::Sha256;

use super::{LONG, ORDER, limits, purchase, settings};
use crate::process::eventually;
use rowcall::integrations::Integration as _;
use rowcall::integrations::supplier::{Settings, Supplier};

/// What came in: headers, token and raw body.
#[derive(Debug, Clone)]
struct Heard {
    headers: HeaderMap,
    token: Option<String>,
    body: Vec<u8>,
}

type Inbox = Arc<Mutex<Vec<Heard>>>;

async fn receiver() -> (String, Inbox) {
    let inbox = Inbox::default();
    let kept = Arc::clone(&inbox);
    let take = move |uri: axum::http::Uri, headers: HeaderMap, body: axum::body::Bytes| async move {
        let query = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned();
        let token = query.into_iter().find(|(name, _)| name == "token").map(|(_, token)| token);
        kept.lock().unwrap().push(Heard { headers, token, body: body.to_vec() });
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/webhooks/supplier", listener.local_addr().unwrap());
    let router = axum::Router::new().route("/webhooks/supplier/{name}", axum::routing::post(take));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (url, inbox)
}

/// A supplier that calls back, and what it has called back with.
struct World {
    fake: Fake,
    settings: Settings,
    inbox: Inbox,
    _dir: tempfile::TempDir,
}

impl World {
    async fn new(name: &str) -> Self {
        let (url, inbox) = receiver().await;
        let dir = tempfile::tempdir().unwrap();
        let args = SupplierArgs { callback: Some(url.clone()), ..SupplierArgs::new(dir.path().to_owned()) };
        let fake = Fake::start(args).await.unwrap();
        let mut settings = settings(Profile::load(name).unwrap(), &fake.address());
        settings.callback_url = Some(Address::try_from(format!("{url}/{name}")).unwrap());
        Self { fake, settings, inbox, _dir: dir }
    }

    /// Buys one bundle and waits for so many callbacks.
    async fn hear(&self, callbacks: Vec<Callback>, count: usize) -> Vec<Heard> {
        self.fake.callbacks(callbacks);
        Supplier::new(self.settings.clone()).execute(&purchase(), &limits(LONG)).await;
        self.wait(count).await
    }

    async fn wait(&self, count: usize) -> Vec<Heard> {
        eventually("callbacks", || {
            let inbox = self.inbox.lock().unwrap();
            (inbox.len() >= count).then(|| inbox.clone())
        })
        .await
    }

    fn read(&self, heard: &Heard) -> Result<Report, Refused> {
        read(&self.settings.callbacks(), heard, Timestamp::now())
    }
}

fn read(callbacks: &Callbacks, heard: &Heard, now: Timestamp) -> Result<Report, Refused> {
    callbacks.read(&Call { headers: &heard.headers, token: heard.token.as_deref(), body: &heard.body, now })
}

fn callback(proof: Proof, times: u32) -> Callback {
    Callback { proof, times, after_ms: 0 }
}

const CALLING: [&str; 3] = ["at-ishare", "hubnet", "xpress"];

#[tokio::test]
async fn a_suppliers_callback_tells_of_our_order() {
    for name in CALLING {
        let world = World::new(name).await;
        let heard = world.hear(vec![callback(Proof::Good, 2)], 2).await;
        let report = world.read(&heard[0]).unwrap();
        assert_eq!((report.state, report.is_proven), (State::Delivered, true), "{name}");
        assert_eq!(report.reference.as_deref(), Some(ORDER), "{name}: it leads back to the order");
        let order = &world.fake.orders()[0];
        assert_eq!(json!(report.provider_reference), order["order_id"]);
        assert_eq!(json!(report.told_reference), order["reference"]);
        // Twice is the same report.
        assert_eq!(world.read(&heard[1]), Ok(report));
        assert_eq!(world.settings.callbacks().supplier(), name);
    }
}

#[tokio::test]
async fn a_failure_and_a_late_reversal_are_told() {
    for name in CALLING {
        let world = World::new(name).await;
        world.fake.delivery(Delivery { after_ms: 0, end: End::Failed });
        let heard = world.hear(vec![callback(Proof::Good, 1)], 1).await;
        assert_eq!(world.read(&heard[0]).unwrap().state, State::Failed, "{name}");

        let world = World::new(name).await;
        world.hear(vec![callback(Proof::Good, 1)], 1).await;
        let id = world.fake.orders()[0]["order_id"].as_str().unwrap().to_owned();
        assert!(world.fake.reverse(&id));
        let heard = world.wait(2).await;
        let report = world.read(&heard[1]).unwrap();
        assert_eq!((report.state, report.provider_reference), (State::Reversed, Some(id)), "{name}");
    }
}

#[tokio::test]
async fn what_cannot_prove_itself_is_not_believed() {
    for name in CALLING {
        let world = World::new(name).await;
        let heard = world.hear(vec![callback(Proof::Forged, 1), callback(Proof::Missing, 1)], 2).await;
        for heard in &heard {
            assert_eq!(world.read(heard), Err(Refused::NotProven), "{name}: {heard:?}");
        }
        // A good one whose body was changed on the way.
        let world = World::new(name).await;
        let mut heard = world.hear(vec![callback(Proof::Good, 1)], 1).await;
        heard[0].body.push(b' ');
        let changed = world.read(&heard[0]);
        // A token proves who calls, not what is said.
        assert_eq!(changed.is_ok(), name == "hubnet", "{name}: {changed:?}");
        let mut settings = world.settings.clone();
        settings.api_secret = None;
        let unset = read(&settings.callbacks(), &heard[0], Timestamp::now());
        assert_eq!(unset, Err(Refused::NotConfigured));
    }
    let codecraft = settings(Profile::load("codecraft").unwrap(), "http://127.0.0.1:1");
    let nothing = Heard { headers: HeaderMap::new(), token: None, body: Vec::new() };
    assert_eq!(read(&codecraft.callbacks(), &nothing, Timestamp::now()), Err(Refused::NoCallback));
}

/// A profile whose callback is this.
fn callbacks(callback: &str, secret: &str) -> Callbacks {
    let text = format!("{}\n[callback]\n{callback}", shipped("codecraft").unwrap());
    let mut settings = settings(Profile::parse(&text).unwrap(), "http://127.0.0.1:1");
    settings.api_secret = Some(SecretString::from(secret));
    settings.callbacks()
}

const WHERE: &str = "reference = [\"/ref\"]\nstate = [\"/state\"]\nmessage = [\"/words\"]\ncode = [\"/code\"]";
const BODY: &str = r#"{"ref":"order-17","state":"order.Success","words":"Sent to 0261234567","code":7}"#;

fn hmac(secret: &str, parts: &[&str]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    for part in parts {
        mac.update(part.as_bytes());
    }
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

fn heard(headers: &[(&str, &str)], token: Option<&str>) -> Heard {
    let pairs = headers
        .iter()
        .map(|(name, value)| (HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap()));
    Heard { headers: pairs.collect(), token: token.map(str::to_owned), body: BODY.as_bytes().to_vec() }
}

fn is_believed(callbacks: &Callbacks, heard: &Heard) -> bool {
    match read(callbacks, heard, Timestamp::from_second(1_000_000).unwrap()) {
        Ok(report) => {
            assert_eq!((report.state, report.reference.as_deref()), (State::Delivered, Some("order-17")));
            assert_eq!((report.text.as_deref(), report.code.as_deref()), (Some("Sent to •••"), Some("7")));
            true
        }
        Err(refused) => {
            assert_eq!(refused, Refused::NotProven);
            false
        }
    }
}

#[test]
fn a_signature_counts_with_and_without_its_prefix_in_any_of_its_headers() {
    let signed = hex(&hmac("whsec_hidden", &[BODY]));
    let bare = hex(&hmac("hidden", &[BODY]));
    let forged = hex(&hmac("guess", &[BODY]));
    let hex = callbacks(&format!("auth = \"hmac_hex\"\nheaders = [\"x-one\", \"x-two\"]\n{WHERE}"), "whsec_hidden");
    for (name, value, is_good) in [
        ("x-one", signed.clone(), true),
        ("x-two", format!("sha256={signed}"), true),
        ("x-one", signed.to_uppercase(), true),
        ("x-one", bare, true),
        ("x-one", forged, false),
        ("x-one", signed[2..].to_owned(), false),
        ("x-one", String::new(), false),
        ("x-three", signed.clone(), false),
    ] {
        assert_eq!(is_believed(&hex, &heard(&[(name, &value)], None)), is_good, "{name}: {value}");
    }
    let base64 = callbacks(&format!("auth = \"hmac_base64\"\nheaders = [\"x-one\"]\n{WHERE}"), "hidden");
    let signed = STANDARD.encode(hmac("hidden", &[BODY]));
    assert!(is_believed(&base64, &heard(&[("x-one", &signed)], None)));
    assert!(!is_believed(&base64, &heard(&[("x-one", &signed[1..])], None)));
}

#[test]
fn a_signature_with_a_time_does_not_count_for_long() {
    let stripe = callbacks(&format!("auth = \"stripe_t_v1\"\nheaders = [\"x-sig\"]\n{WHERE}"), "hidden");
    let header = |time: i64, signed_time: i64| {
        let signature = hex(&hmac("hidden", &[&signed_time.to_string(), ".", BODY]));
        format!("t={time},v0=old,v1={signature}")
    };
    for (header, is_good) in [
        (header(1_000_000, 1_000_000), true),
        (header(999_700, 999_700), true),
        (header(1_000_300, 1_000_300), true),
        // Replayed later, or from a clock that is far ahead, or with another time than was signed.
        (header(999_699, 999_699), false),
        (header(1_000_301, 1_000_301), false),
        (header(1_000_000, 999_000), false),
        ("t=1000000".to_owned(), false),
        ("v1=00".to_owned(), false),
        ("t=-9223372036854775808,v1=00".to_owned(), false),
    ] {
        assert_eq!(is_believed(&stripe, &heard(&[("x-sig", &header)], None)), is_good, "{header}");
    }
}

#[test]
fn a_token_and_a_password_must_be_the_secret() {
    let token = callbacks(&format!("auth = \"url_token\"\n{WHERE}"), "hidden");
    assert!(is_believed(&token, &heard(&[], Some("hidden"))));
    assert!(!is_believed(&token, &heard(&[], Some("hidde"))) && !is_believed(&token, &heard(&[], None)));
    let basic = callbacks(&format!("auth = \"basic\"\n{WHERE}"), "hidden:x");
    for (shown, is_good) in [("any:hidden:x", true), (":hidden:x", true), ("any:hidden", false), ("hidden", false)] {
        let header = format!("Basic {}", STANDARD.encode(shown));
        assert_eq!(is_believed(&basic, &heard(&[("authorization", &header)], None)), is_good, "{shown}");
    }
    assert!(!is_believed(&basic, &heard(&[("authorization", "Bearer hidden:x")], None)));
}

#[test]
fn what_proves_nothing_is_marked_and_what_says_nothing_is_refused() {
    let none = callbacks(&format!("auth = \"none\"\n{WHERE}"), "hidden");
    let now = Timestamp::now();
    assert!(!read(&none, &heard(&[], None), now).unwrap().is_proven);
    let said = |body: &str| read(&none, &Heard { body: body.as_bytes().to_vec(), ..heard(&[], None) }, now);
    for body in ["", "[]", "null", "{}", r#"{"state":"success"}"#, r#"{"ref":null}"#, r#"{"ref":{"a":1}}"#] {
        assert_eq!(said(body), Err(Refused::NotReadable), "{body}");
    }
    for (word, state) in [
        ("transfer.delivered", State::Delivered),
        ("COMPLETED", State::Delivered),
        ("pending-retry", State::Pending),
        ("bundle.failed", State::Failed),
        ("Refunded", State::Reversed),
        // A word that nobody knows is no delivery.
        ("not delivered", State::Pending),
        ("", State::Pending),
    ] {
        assert_eq!(said(&json!({"ref": "a", "state": word}).to_string()).unwrap().state, state, "{word}");
    }
}

/// What is made of a callback whose header and body say this, each in one word.
fn made_of(callbacks: &Callbacks, header: Option<&str>, body: Option<&str>, token: Option<&str>) -> (State, bool) {
    let body = json!({"ref": "order-17", "state": body}).to_string();
    let signature = hex(&hmac("hidden", &[&body]));
    let shown: Vec<_> = header.map(|word| ("x-event", word)).into_iter().chain([("x-sig", &*signature)]).collect();
    let heard = Heard { body: body.into_bytes(), ..heard(&shown, token) };
    let report = read(callbacks, &heard, Timestamp::now()).unwrap();
    (report.state, report.is_proven)
}

#[test]
fn a_header_beside_a_signature_settles_nothing_that_the_body_does_not_say() {
    let text = |auth: &str| format!("auth = {auth}\nstate_header = \"x-event\"\n{WHERE}");
    let signed = callbacks(&text("\"hmac_hex\"\nheaders = [\"x-sig\"]"), "hidden");
    for (header, body, made) in [
        (None, Some("completed"), (State::Delivered, true)),
        (Some("item.completed"), Some("completed"), (State::Delivered, true)),
        // Of the event, nothing is known.
        (Some("order.updated"), Some("completed"), (State::Delivered, true)),
        (Some("item.completed"), Some("processing"), (State::Pending, false)),
        (Some("item.completed"), None, (State::Pending, false)),
        (Some("item.completed"), Some("teleported"), (State::Pending, false)),
        (Some("item.refunded"), Some("completed"), (State::Delivered, false)),
        (Some("item.processing"), Some("failed"), (State::Failed, false)),
        (None, None, (State::Pending, true)),
    ] {
        assert_eq!(made_of(&signed, header, body, None), made, "{header:?}, {body:?}");
    }
    // A token proves the whole call.
    let token = callbacks(&text("\"url_token\""), "hidden");
    assert_eq!(made_of(&token, Some("item.completed"), None, Some("hidden")), (State::Delivered, true));
}

#[tokio::test]
async fn a_signed_body_that_comes_again_under_another_event_is_no_delivery() {
    let world = World::new("xpress").await;
    world.fake.delivery(Delivery { after_ms: 0, end: End::Failed });
    let mut heard = world.hear(vec![callback(Proof::Good, 1)], 1).await;
    heard[0].headers.insert("x-xpress-event", HeaderValue::from_static("item.completed"));
    let report = world.read(&heard[0]).unwrap();
    assert_eq!((report.state, report.is_proven), (State::Failed, false));
}

#[test]
fn debug_shows_neither_secret_nor_body() {
    let callbacks = callbacks(&format!("auth = \"url_token\"\n{WHERE}"), "hidden");
    let heard = heard(&[], Some("hidden"));
    let call =
        Call { headers: &heard.headers, token: heard.token.as_deref(), body: &heard.body, now: Timestamp::now() };
    let shown = format!("{callbacks:?} {call:?}");
    assert!(!shown.contains("hidden") && !shown.contains("026123"), "{shown}");
}
