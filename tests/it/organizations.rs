//! Organizations: a row is changed, an outside system is told by signed webhook, and the answer is on the row.

use std::sync::Arc;
use std::time::Duration;

use rowcall::integrations::http::Reach;
use rowcall::integrations::organization::{Organizations, Settings};
use rowcall::integrations::webhook::{Endpoint, Place, Secret};
use rowcall::sandbox::webhook::{Fake, Fault, Kind, SECRET, WebhookArgs};
use rowcall::store::migrate;
use rowcall::store::queues::ORGANIZATIONS;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::database::{Ear, TestDatabase};
use crate::process::eventually;
use crate::scratch::Scratch;
use crate::web::Run;
use crate::worker::TestWorker;

// Without what serde would not read: metadata may be deeper than it goes.
const ROW: &str = "select to_jsonb(o) || jsonb_build_object('metadata', o.metadata - 'deep') from organizations as o order by id limit 1";

/// By which a row that names `/own` there is signed.
fn own_secret(fake: &Fake) -> String {
    let own = Endpoint::parse(&format!("{}/own", fake.address()), Place::Column("sync_url"), true).unwrap();
    Secret::parse(SECRET).unwrap().of(&own).text().expose_secret().to_owned()
}

struct World {
    db: TestDatabase,
    fake: Fake,
    _dir: TempDir,
}

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let fake = Fake::start(WebhookArgs::new(dir.path().to_owned())).await.unwrap();
        fake.know(&[SECRET, &own_secret(&fake)]);
        let db = TestDatabase::new().await;
        db.fast().await;
        db.run("insert into organizations (name, metadata) values ('Acme', '{\"plan\": \"gold\"}')").await;
        Self { db, fake, _dir: dir }
    }

    fn settings(&self) -> Settings {
        let hook = format!("{}/hook", self.fake.address());
        Settings {
            endpoint: Some(Endpoint::parse(&hook, Place::Setting("ORGANIZATION_SYNC_URL"), true).unwrap()),
            secrets: Secret::parse_all(SECRET).unwrap(),
            columns: ["id", "name", "metadata"].map(str::to_owned).to_vec(),
            reach: Reach::new(true),
        }
    }

    fn worker(&self) -> TestWorker {
        self.worker_with(self.settings())
    }

    fn worker_with(&self, settings: Settings) -> TestWorker {
        let integration = Arc::new(Organizations::new(settings));
        TestWorker::of(&ORGANIZATIONS, self.db.settings(), integration)
    }

    async fn sync(&self) {
        self.db.run("update organizations set status = 'syncing'").await;
    }

    async fn all_ended(&self) {
        let none = "not exists (select from organizations where status = 'syncing')";
        self.db.eventually("every organization has ended", none).await;
    }

    async fn row(&self) -> Value {
        self.db.get(ROW).await
    }

    async fn history(&self) -> Vec<String> {
        self.db.all("select settled_as from rowcall.attempts order by id").await
    }

    /// The ids that were really heard, in order.
    fn heard(&self) -> Vec<String> {
        self.fake.log().iter().map(|line| line["id"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_syncs_is_told_and_active() {
    let world = World::new().await;
    let ear = Ear::on(&world.db).await;
    let _worker = world.worker();
    world.db.run("update organizations set status = 'pending'").await;
    world
        .db
        .run(
            "set request.jwt.claims = '{\"sub\": \"7f3a\"}';
             update organizations set status = 'syncing', metadata = metadata || '{\"action\": \"sync\", \"request_method\": \"frontend\"}'",
        )
        .await;
    world.all_ended().await;
    assert!(ear.heard().await.contains(&"organizations".to_owned()));
    let row = world.row().await;
    assert_eq!(
        (&row["status"], &row["error_message"], &row["requested_by"]),
        (&json!("active"), &json!(null), &json!("7f3a"))
    );
    assert!(row["synced_at"].is_string() && row["metadata"]["requested_at"].is_string(), "{row}");
    assert_eq!((&row["metadata"]["previous_status"], &row["metadata"]["action"]), (&json!("pending"), &json!("sync")));
    // What is told is the row's own, without what the worker keeps on it.
    let heard = world.fake.log();
    assert_eq!((heard.len(), &heard[0]["id"]), (1, &json!("organizations:1:1")));
    let body = &heard[0]["body"];
    assert_eq!(body["data"], json!({"id": 1, "name": "Acme", "metadata": {"plan": "gold"}}));
    assert_eq!(body["type"], "organization.sync");
    let requested: jiff::Timestamp = row["requested_at"].as_str().unwrap().parse().unwrap();
    let told: jiff::Timestamp = body["timestamp"].as_str().unwrap().parse().unwrap();
    assert_eq!(told.as_millisecond(), requested.as_millisecond());
    assert_eq!(world.history().await, ["done"]);
    let response: Value = world.db.get("select response from rowcall.attempts").await;
    assert_eq!(response, json!({"status": 200, "answer": "{\"ok\":true}"}));
    assert_eq!(world.db.get::<i64>("select count(*) from rowcall.work").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_keep_their_id_and_the_next_request_has_another() {
    let world = World::new().await;
    let _worker = world.worker();
    world.fake.fault(Fault { times: 2, ..Fault::status(500) });
    world.fake.fault(Fault::new(Kind::AcceptThenClose));
    world.sync().await;
    world.all_ended().await;
    assert_eq!(world.history().await, ["retry", "retry", "retry", "done"]);
    assert_eq!(world.heard(), ["organizations:1:1"], "heard once, though the first answer was lost");
    let ids: Vec<Value> = world.fake.requests().iter().map(|request| request["id"].clone()).collect();
    assert_eq!(ids, vec![json!("organizations:1:1"); 4]);
    world.sync().await;
    world.all_ended().await;
    assert_eq!(world.heard(), ["organizations:1:1", "organizations:1:2"]);
    assert_eq!(world.row().await["attempts"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn out_of_attempts_it_is_what_it_was_before_and_says_why() {
    let world = World::new().await;
    world.db.run("update rowcall.queues set max_attempts = 2; update organizations set status = 'trial'").await;
    let _worker = world.worker();
    world.fake.fault(Fault { times: 2, ..Fault::new(Kind::Answer { status: 422, body: "no plan gold".to_owned() }) });
    world.sync().await;
    world.all_ended().await;
    let row = world.row().await;
    let message = row["error_message"].as_str().unwrap();
    assert!(message.contains("HTTP 422 (no plan gold); that was the last of 2 attempts"), "{message}");
    assert_eq!((&row["status"], &row["metadata"]["action_error"]), (&json!("trial"), &json!(message)));
    assert!(row["metadata"]["action_failed"] == true && row["metadata"]["failed_at"].is_string(), "{row}");
    assert_eq!(
        (world.history().await, row["synced_at"].is_null()),
        (vec!["retry".to_owned(), "failed".to_owned()], true)
    );
    let work: Value = world.db.get("select to_jsonb(w) from rowcall.work as w").await;
    assert_eq!(
        (&work["state"], &work["label"], &work["needs_person"]),
        (&json!("failed"), &json!("Acme"), &json!(true))
    );
    // The trouble is over.
    let answer: String = world.db.get("select rowcall.retry('organizations', '1')").await;
    assert_eq!(answer, "organization #1 is asked for again");
    world.all_ended().await;
    let row = world.row().await;
    assert_eq!((&row["status"], &row["error_message"]), (&json!("active"), &json!(null)));
    assert!(row["metadata"].get("action_failed").is_none() && row["metadata"]["plan"] == "gold", "{row}");
    assert_eq!(world.heard(), ["organizations:1:2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_to_the_last_is_unknown_until_a_person_tells() {
    for (verdict, status) in [("done", "active"), ("failed", "trial")] {
        let world = World::new().await;
        world.db.run("update rowcall.queues set max_attempts = 1; update organizations set status = 'trial'").await;
        let _worker = world.worker();
        world.fake.fault(Fault::new(Kind::AcceptThenClose));
        world.sync().await;
        world.db.eventually("it is parked", "(select status = 'unknown' from organizations)").await;
        let work: Value = world.db.get("select to_jsonb(w) from rowcall.work as w").await;
        assert_eq!((&work["state"], &work["needs_person"]), (&json!("unknown"), &json!(true)));
        let refusal = world.db.refusal("select rowcall.cancel('organizations', '1')").await;
        assert!(refusal.contains("organization #1 is unknown: there is nothing to cancel"), "{refusal}");
        let resolve = format!("select rowcall.resolve('organizations', '1', '{verdict}', 'they said so')");
        assert_eq!(world.db.get::<String>(&resolve).await, format!("organization #1 is {status}"));
        let row = world.row().await;
        assert_eq!((&row["status"], row["synced_at"].is_string()), (&json!(status), verdict == "done"));
        assert_eq!((&row["metadata"]["resolved_note"], &row["claim_token"]), (&json!("they said so"), &json!(null)));
        assert_eq!(world.history().await, ["unknown", verdict]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_one_is_told_again_when_a_person_asks() {
    let world = World::new().await;
    world.db.run("update rowcall.queues set max_attempts = 1").await;
    let _worker = world.worker();
    world.fake.fault(Fault::new(Kind::AcceptThenClose));
    world.sync().await;
    world.db.eventually("it is parked", "(select status = 'unknown' from organizations)").await;
    world.db.run("select rowcall.retry('organizations', '1')").await;
    world.all_ended().await;
    assert_eq!(world.row().await["status"], "active");
    assert_eq!(world.heard(), ["organizations:1:1", "organizations:1:2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_gone_is_not_called_for_any_row_until_a_person_says_so() {
    let world = World::new().await;
    world.db.run("insert into organizations (name) values ('Second')").await;
    let _worker = world.worker();
    world.fake.fault(Fault::status(410));
    world.db.run("update organizations set status = 'syncing' where id = 1").await;
    world.all_ended().await;
    let row = world.row().await;
    assert_eq!((&row["status"], &row["attempts"]), (&json!("active"), &json!(1)));
    let message = row["error_message"].as_str().unwrap();
    assert!(message.contains("410 Gone: it is not called again until ORGANIZATION_SYNC_URL is another"), "{message}");
    let gone: Value = world.db.get("select to_jsonb(e) from rowcall.gone_endpoints as e").await;
    assert_eq!((&gone["queue"], &gone["host"]), (&json!("organizations"), &json!("127.0.0.1")));

    world.db.run("update organizations set status = 'syncing' where id = 2").await;
    world.all_ended().await;
    assert!(
        world.db.get::<String>("select error_message from organizations where id = 2").await.contains("is gone (410)")
    );
    assert_eq!((world.fake.requests().len(), world.history().await), (1, vec!["failed".to_owned(); 2]));

    // A row with an address of its own is another matter.
    let own = format!("{}/own", world.fake.address());
    world.db.run(&format!("update organizations set sync_url = '{own}', status = 'syncing' where id = 2")).await;
    world.all_ended().await;
    assert_eq!(world.fake.log()[0]["path"], "/own");

    assert_eq!(world.db.get::<String>("select rowcall.resume('organizations')").await, "organizations goes on");
    world.db.run("select rowcall.retry('organizations', '1')").await;
    world.all_ended().await;
    assert_eq!(world.row().await["error_message"], json!(null));
    assert_eq!(world.heard(), ["organizations:2:2", "organizations:1:2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_names_an_endpoint_that_is_gone() {
    let scratch = Scratch::migrated().await;
    scratch.sql("insert into rowcall.gone_endpoints (queue, endpoint, host) values ('organizations', 'abc', 'sync.example.com')").await;
    let said = scratch.rowcall(&["doctor", "--json"]);
    let problem = said.json().as_array().unwrap().iter().find(|f| f["state"] == "problem").unwrap().clone();
    assert_eq!(problem["check"], "queue organizations");
    assert!(problem["found"].as_str().unwrap().contains("sync.example.com answered 410 Gone"), "{problem}");
    scratch.rowcall(&["resume", "organizations"]).well();
    let text = scratch.rowcall(&["doctor"]).well();
    for check in ["provider of links", "provider of organizations"] {
        assert!(text.contains(&format!("ok       {check} ")), "{check}: {text}");
    }
    for (variable, check) in [("LINKS_BASE_URL", "links"), ("ORGANIZATION_SYNC_SECRET", "organizations")] {
        let output = scratch.command(&["doctor", "--json"]).env(variable, "").output().unwrap();
        let said: crate::scratch::Said = output.into();
        let problem = said.json().as_array().unwrap().iter().find(|f| f["state"] == "problem").unwrap().clone();
        assert_eq!(problem["check"], format!("provider of {check}"));
        assert!(problem["found"].as_str().unwrap().contains(variable), "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn patience_spends_no_attempt_and_an_outage_waits_behind_the_breaker() {
    let world = World::new().await;
    let worker = world.worker();
    world.fake.fault(Fault { retry_after: Some("90".to_owned()), ..Fault::status(429) });
    world.sync().await;
    world
        .db
        .eventually(
            "it waits as long as asked",
            "attempts = 0 and next_retry_at - updated_at between interval '90 seconds' and interval '100 seconds'
                 and error_message like '%asks for patience%' from organizations",
        )
        .await;
    world.fake.fault(Fault::status(503));
    world.db.run("select rowcall.retry('organizations', '1')").await;
    world
        .db
        .eventually(
            "the breaker is open",
            "(select state = 'open' from rowcall.targets where target = 'organizations')",
        )
        .await;
    world
        .db
        .eventually(
            "it spends nothing",
            "attempts = 0 and error_message like '%HTTP 503; rows wait%' from organizations",
        )
        .await;
    // It is not the breaker of a row with an address of its own.
    let own = format!("{}/own", world.fake.address());
    world
        .db
        .run("update rowcall.targets set next_probe_at = now() + interval '1 hour' where target = 'organizations'")
        .await;
    world
        .db
        .run(&format!("insert into organizations (name, sync_url, status) values ('Own', '{own}', 'syncing')"))
        .await;
    world.db.eventually("it is told", "synced_at is not null from organizations where name = 'Own'").await;
    assert_eq!(
        world.db.get::<String>("select state from rowcall.targets where target = 'organizations'").await,
        "open",
        "and proves nothing of the other"
    );
    world
        .db
        .run("delete from organizations where name = 'Own'; delete from rowcall.attempts where settled_as = 'done'")
        .await;
    world.db.run("select rowcall.resume('organizations'); update organizations set next_retry_at = now()").await;
    world.all_ended().await;
    assert_eq!(world.history().await, ["wait", "wait", "done"]);
    // An attempt that is spent comes no sooner than asked.
    world.fake.fault(Fault { retry_after: Some("600".to_owned()), ..Fault::status(500) });
    world.sync().await;
    world
        .db
        .eventually(
            "the next attempt is in ten minutes",
            "attempts = 1 and next_retry_at - updated_at between interval '600 seconds' and interval '661 seconds' from organizations",
        )
        .await;
    // Nor sooner than the schedule says.
    worker.stop().await;
    world.db.run("update rowcall.queues set retry_delays = '{1 hour}'").await;
    world.fake.fault(Fault { retry_after: Some("1".to_owned()), ..Fault::status(500) });
    world.db.run("select rowcall.retry('organizations', '1')").await;
    let _worker = world.worker();
    world
        .db
        .eventually(
            "the next attempt is in an hour",
            "attempts = 1 and next_retry_at > now() + interval '50 minutes' from organizations",
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_changed_while_it_is_told_is_told_too() {
    let world = World::new().await;
    // A column of the users' own, and one that is computed from it.
    world.db.run("alter table organizations add column city text, add column shout text generated always as (upper(city)) stored").await;
    migrate::apply(&world.db.database()).await.unwrap();
    let columns = ["id", "name", "city", "shout"].map(str::to_owned).to_vec();
    let _worker = world.worker_with(Settings { columns, ..world.settings() });
    for (nth, change) in
        ["name = 'Acme 2'", "city = 'Accra'", "city = 'Tema', status = 'syncing'"].into_iter().enumerate()
    {
        let before = world.fake.requests().len();
        world.fake.fault(Fault::new(Kind::AcceptThenHang));
        world.sync().await;
        eventually("the first telling", || (world.fake.requests().len() > before).then_some(())).await;
        world.db.run(&format!("update organizations set {change}")).await;
        // Its answer never comes, and the claim is taken from it.
        world.db.run("update organizations set claimed_until = now(); select rowcall.sweep_now()").await;
        world.all_ended().await;
        let heard = world.fake.log();
        let row = world.row().await;
        let told = &heard.last().unwrap()["body"]["data"];
        for column in ["name", "city", "shout"] {
            assert_eq!(told[column], row[column], "{change}");
        }
        assert_eq!(heard.len(), 2 * (nth + 1), "{change}");
    }
    // What is no news is none.
    world.db.run("update organizations set next_retry_at = now() + interval '1 hour', status = 'syncing'").await;
    let generation: i32 = world.db.get("select generation from organizations").await;
    world
        .db
        .run("update organizations set updated_at = now(), max_attempts = 11, status = 'syncing', name = name")
        .await;
    assert_eq!(world.db.get::<i32>("select generation from organizations").await, generation);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_columns_of_the_settings_are_told_and_a_wrong_name_waits() {
    let world = World::new().await;
    world.db.run("alter table organizations add column api_key text default 'hunter2'").await;
    let worker = world.worker();
    world.sync().await;
    world.all_ended().await;
    assert!(!world.fake.log()[0].to_string().contains("hunter2"));
    worker.stop().await;

    let _worker = world.worker_with(Settings { columns: vec!["id".to_owned(), "nmae".to_owned()], ..world.settings() });
    world.sync().await;
    world
        .db
        .eventually("it waits and says so", "attempts = 0 and error_message like '%names nmae, and organizations has no such column%' from organizations")
        .await;
    assert_eq!(world.heard().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_rows_get_clear_words_or_are_told_as_they_are() {
    let world = World::new().await;
    let _worker = world.worker();
    let set = async |metadata: &str| {
        let ask = "update organizations set status = 'syncing', metadata = $1::text::jsonb";
        world.db.client.execute(ask, &[&metadata]).await.unwrap();
        world.all_ended().await;
        world.row().await
    };
    let row = set(&format!("{{\"huge\": \"{}\"}}", "x".repeat(300_000))).await;
    let message = row["error_message"].as_str().unwrap();
    assert!(message.contains("bytes long, and at most 262144 are told") && message.len() < 300, "{message}");
    assert_eq!((&row["status"], world.fake.requests().len()), (&json!("active"), 0));

    // Deeper than our own parser would go.
    let deep = format!("{}1{}", "[".repeat(900), "]".repeat(900));
    let row = set(&format!(
        "{{\"deep\": {deep}, \"number\": 12345678901234567890.123456789, \"action\": [1], \"requested_at\": {{}}}}"
    ))
    .await;
    assert_eq!((&row["status"], &row["error_message"]), (&json!("active"), &json!(null)), "{row}");

    for (url, words) in [
        ("javascript:alert(1)", "must be an https address"),
        ("ftp://example.com/", "must begin with https://"),
        ("https://me:pw@example.com/", "no user and no password"),
        ("http://169.254.169.254/latest", "leads to an address that is not public"),
        ("http://[::ffff:10.0.0.1]/", "leads to an address that is not public"),
        (&format!("https://example.com/{}", "x".repeat(3000)), "must be an https address"),
    ] {
        world.db.client.execute("update organizations set sync_url = $1, status = 'syncing'", &[&url]).await.unwrap();
        world.all_ended().await;
        let row = world.row().await;
        let message = row["error_message"].as_str().unwrap();
        assert!(message.contains(words) && message.contains("sync_url") && message.len() < 300, "{url}: {message}");
        assert_eq!(row["attempts"], 1, "nothing is tried twice: {url}");
    }
    assert_eq!(world.heard().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_settings_rows_wait_and_say_which() {
    let world = World::new().await;
    let worker = world.worker_with(Settings { secrets: Vec::new(), endpoint: None, ..world.settings() });
    world.sync().await;
    let waits =
        |words: &str| format!("attempts = 0 and error_message like '%{words}%' from organizations where name = 'Acme'");
    world.db.eventually("it waits", &waits("ORGANIZATION_SYNC_URL and ORGANIZATION_SYNC_SECRET are set")).await;
    worker.stop().await;
    // With a secret, rows that have an address of their own are told.
    let own = format!("{}/own", world.fake.address());
    world.db.run(&format!("insert into organizations (name, sync_url) values ('Own', '{own}')")).await;
    let _worker = world.worker_with(Settings { endpoint: None, ..world.settings() });
    world.db.run("update organizations set status = 'syncing', next_retry_at = now()").await;
    world.db.eventually("the one waits", &waits("the row has no sync_url")).await;
    world
        .db
        .eventually("the other is told", "(select synced_at is not null from organizations where name = 'Own')")
        .await;
    assert_eq!(
        world.db.get::<String>("select state from rowcall.targets where target = 'organizations'").await,
        "closed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_verbs_know_organizations() {
    let world = World::new().await;
    world.db.run("update organizations set status = 'trial'").await;
    world.sync().await;
    assert!(
        world
            .db
            .get::<String>("select rowcall.retry('organizations', '1')")
            .await
            .starts_with("organization #1 is tried now")
    );
    assert_eq!(
        world.db.get::<String>("select rowcall.cancel('organizations', '1')").await,
        "organization #1 is trial again"
    );
    assert_eq!(world.history().await, ["cancelled"]);
    for (call, words) in [
        ("retry('organizations', '1')", "organization #1 is trial: there is nothing to try again"),
        ("cancel('organizations', '1')", "organization #1 is trial: there is nothing to cancel"),
        ("resolve('organizations', '1', 'done', 'x')", "not unknown"),
        ("retry('organizations', 'x')", "organizations has no row with the key x"),
    ] {
        let refusal = world.db.refusal(&format!("select rowcall.{call}")).await;
        assert!(refusal.contains(words), "{refusal}");
    }
}

/// The real worker beside the receiver, as an operator starts it, with everything logged.
#[tokio::test]
async fn the_real_worker_tells_signed_and_logs_nothing_of_it() {
    let scratch = Scratch::migrated().await;
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start(WebhookArgs::new(dir.path().to_owned())).await.unwrap();
    let url = format!("{}/hook?key=hunter2hunter2", fake.address());
    let both = format!("whsec_b2xkLXNlY3JldC1vZi1hLXJlY2VpdmVyLi4uLi4=,{SECRET}");
    let mut run = Run::start(
        &scratch,
        &[
            ("ROWCALL_QUEUES", "organizations,links"),
            ("ORGANIZATION_SYNC_URL", &url),
            ("ORGANIZATION_SYNC_SECRET", &both),
            ("ROWCALL_WEBHOOK_LOOPBACK", "true"),
            ("RUST_LOG", "trace"),
            // Whatever the environment says, nobody stands between us and the address that was looked at.
            ("http_proxy", "http://127.0.0.1:9"),
            ("HTTP_PROXY", "http://127.0.0.1:9"),
            ("all_proxy", "http://127.0.0.1:9"),
        ],
    );
    run.logged("The bell works").await;
    let client = scratch.client().await;
    client
        .batch_execute(
            "insert into organizations (name, status) values ('Ama Serwaa Ltd', 'syncing');
             insert into links (target_url) values ('https://private.example.com/plan-of-ama')",
        )
        .await
        .unwrap();
    eventually("the webhook", || (!fake.log().is_empty()).then_some(())).await;
    assert_eq!(fake.log()[0]["body"]["data"]["name"], "Ama Serwaa Ltd");
    let began = std::time::Instant::now();
    loop {
        let left = "select (select count(*) from organizations where status <> 'active') + (select count(*) from links where status <> 'active')";
        if client.query_one(left, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(45), "{}", run.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    run.terminate();
    run.ended().await;
    let log = run.log();
    assert!(log.matches("Attempt ended").count() >= 2, "{log}");
    for private in ["Serwaa", "hunter2", &SECRET[6..], "b2xkLXNlY3JldC", "plan-of-ama", "v1,"] {
        assert!(!log.contains(private), "{private}: {:?}", log.lines().find(|line| line.contains(private)));
    }
}
