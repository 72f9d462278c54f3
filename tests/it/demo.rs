//! The demo, as a new user meets it: a real process, and what it prints typed back.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

use crate::process::{ROWCALL, eventually};
use crate::web;

/// A folder that the unprivileged user of a root process can enter.
fn open_folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    folder
}

fn demo(data: &Path) -> Command {
    let mut command = Command::new(ROWCALL);
    command.args(["demo", "--data"]).arg(data).stdin(Stdio::null());
    command
}

/// A demo that runs, with what it has printed so far. It ends with the test however that ends.
struct Demo {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Demo {
    fn start(data: &Path) -> Self {
        let mut child = demo(data).stdout(Stdio::piped()).spawn().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (said, out) = (Arc::clone(&lines), BufReader::new(child.stdout.take().unwrap()));
        thread::spawn(move || out.lines().map_while(Result::ok).for_each(|line| said.lock().unwrap().push(line)));
        Self { child, lines }
    }

    /// The first line that says so, without its indentation.
    async fn line(&self, is_it: impl Fn(&str) -> bool) -> String {
        let look =
            || self.lines.lock().unwrap().iter().map(|line| line.trim()).find(|line| is_it(line)).map(str::to_owned);
        eventually("a line of the demo", look).await
    }

    /// A connection by the `psql` line.
    async fn psql(&self) -> Client {
        let line = self.line(|line| line.contains("psql 'postgres://")).await;
        let url = line.split('\'').nth(1).unwrap().to_owned();
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    fn interrupt(mut self) -> ExitStatus {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGINT).unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            // Not by SIGKILL: it has a Postgres to end.
            let _ = kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGTERM);
            let _ = self.child.wait();
        }
    }
}

#[test]
fn the_scenario_ends_as_it_must_and_can_be_played_beside_a_demo() {
    let folder = open_folder();
    let _demo = Demo::start(folder.path());
    let output = demo(folder.path()).arg("--once").output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    assert!(out.contains("PASS  55 of 55 as they must be"), "{out}");
    assert!(!out.contains("FAIL"), "{out}");
    assert!(!folder.path().join("once/postgres/pgdata/postmaster.pid").exists(), "its Postgres has ended");
}

#[tokio::test]
async fn what_the_demo_prints_works_when_it_is_typed() {
    let folder = open_folder();
    let first = Demo::start(folder.path());
    let update = first.line(|line| line.starts_with("update codes") && line.contains("'MY-CODE'")).await;
    let client = first.psql().await;
    client.batch_execute(&update).await.unwrap();
    first.line(|line| line.contains("MY-CODE") && line.contains("deleting → deleted")).await;
    let deleted = "select metadata ? 'deleted_in_fienta_at' from codes where code = 'MY-CODE' and status = 'deleted'";
    assert!(client.query_one(deleted, &[]).await.unwrap().get::<_, bool>(0));

    let second = demo(folder.path()).output().unwrap();
    assert!(!second.status.success(), "two demos in one folder");
    assert!(String::from_utf8_lossy(&second.stderr).contains("a demo runs in"), "{second:?}");

    let lines = Arc::clone(&first.lines);
    assert!(first.interrupt().success());
    eventually("the last word", || {
        lines.lock().unwrap().iter().any(|line| line.contains("data was kept")).then_some(())
    })
    .await;
    assert!(!folder.path().join("postgres/pgdata/postmaster.pid").exists(), "its Postgres has ended");

    let again = Demo::start(folder.path());
    let update = again.line(|line| line.starts_with("update codes") && line.contains("'SUMMER-20'")).await;
    let client = again.psql().await;
    assert!(client.query_one(deleted, &[]).await.unwrap().get::<_, bool>(0), "the data is still there");
    client.batch_execute(&update).await.unwrap();
    again.line(|line| line.contains("SUMMER-20") && line.contains("deleting → deleted")).await;
    assert!(again.interrupt().success());
}

#[tokio::test]
async fn an_approval_that_is_typed_reaches_its_customer_once_and_a_lost_answer_is_settled_by_its_report() {
    let folder = open_folder();
    let demo = Demo::start(folder.path());
    let approve = demo.line(|line| line.starts_with("update actions") && line.contains("'approved'")).await;
    let edit = demo.line(|line| line.starts_with("update actions") && line.contains("'edited'")).await;
    let fault = demo.line(|line| line.starts_with("curl") && line.contains("accept-then-close")).await;
    let client = demo.psql().await;

    client.batch_execute(&approve).await.unwrap();
    demo.line(|line| line.contains("refund_request #1") && line.contains("approved by")).await;
    demo.line(|line| line.contains("refund_request #1") && line.contains("→ sent")).await;
    demo.line(|line| line.contains("+12025550101: Great news! Your refund request has been")).await;
    client.batch_execute(&edit).await.unwrap();
    demo.line(|line| line.contains("discount_request #2") && line.contains("→ sent")).await;
    demo.line(|line| line.contains("+12025550102: Here is what we can offer you. We can do")).await;

    let (json, address) = fault.split_once("-d '").and_then(|(_, rest)| rest.split_once("' ")).unwrap();
    let asked = web::json(web::client().post(address), &serde_json::from_str(json).unwrap());
    assert!(asked.send().await.unwrap().status().is_success());
    client.batch_execute(&approve.replace("id = 1", "id = 3")).await.unwrap();
    demo.line(|line| line.contains("order_change #3") && line.contains("→ unknown")).await;
    demo.line(|line| line.contains("unknown → sent") && line.contains("told by a status webhook")).await;

    let messages = fs::read_to_string(folder.path().join("fakes/whatsapp/messages.jsonl")).unwrap();
    let messages: Vec<Value> = messages.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let phones: Vec<_> = messages.iter().map(|message| message["phone"].as_str().unwrap()).collect();
    assert_eq!(phones, ["12025550101", "12025550102", "12025550103"], "each has one message");
    let http = demo.line(|line| line.starts_with("curl -H 'Authorization: Bearer ")).await;
    let (token, address) = http.split_once("Bearer ").and_then(|(_, rest)| rest.split_once("' ")).unwrap();
    assert_eq!(web::told(web::client().get(address).bearer_auth(token)).await.0, 200, "{address}");
    assert_eq!(web::told(web::client().get(address)).await.0, 401, "{address}");
    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    for private in ["12025550101", "Great news", "half of it", "Ada"] {
        assert!(!log.contains(private), "{private}");
    }
}

#[tokio::test]
async fn an_order_that_is_typed_has_its_bundle_once_and_a_reversal_that_is_told_shows() {
    let folder = open_folder();
    let demo = Demo::start(folder.path());
    let order = demo.line(|line| line.starts_with("insert into orders")).await;
    let client = demo.psql().await;
    client.batch_execute(&order).await.unwrap();
    demo.line(|line| line.contains("processing → success") && line.contains("told by a")).await;
    demo.line(|line| line.contains("▸ the supplier, +2332600") && line.contains("2000 MB delivered")).await;
    let reference: String =
        client.query_one("select id::text from orders where network = 'AT-iShare'", &[]).await.unwrap().get(0);
    let lines = demo.lines.lock().unwrap().clone();
    let of_bundles = lines.iter().skip_while(|line| !line.contains("Data bundles"));
    let fault = of_bundles.into_iter().find(|line| line.contains("/_control/faults")).unwrap();
    let (_, control) = fault.split_once("' ").unwrap();
    let reverse = web::client().post(control.replace("faults", "reverse"));
    let taken_back = web::json(reverse, &serde_json::json!({ "order": reference })).send().await.unwrap();
    assert!(taken_back.status().is_success());
    demo.line(|line| line.contains("success → failed")).await;
    demo.line(|line| line.contains("The supplier took the order back")).await;

    let book = fs::read_to_string(folder.path().join("fakes/supplier/book.jsonl")).unwrap();
    let book: Vec<Value> = book.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> =
        book.iter().map(|line| (line["what"].as_str().unwrap(), line["reference"].as_str().unwrap())).collect();
    assert_eq!(told, [("delivered", reference.as_str()), ("reversed", reference.as_str())]);
}

#[tokio::test]
async fn an_order_that_is_told_as_printed_makes_a_member_and_a_year_ends_it() {
    let folder = open_folder();
    let demo = Demo::start(folder.path());
    let order = demo.line(|line| line.starts_with("curl") && line.contains("orders/paid")).await;
    let expire = demo.line(|line| line.starts_with("update enrollments") && line.contains("expired_enrollments")).await;
    let client = demo.psql().await;

    let (json, address) = order.split_once("-d '").and_then(|(_, rest)| rest.split_once("' ")).unwrap();
    let told = web::json(web::client().post(address), &serde_json::from_str(json).unwrap());
    assert!(told.send().await.unwrap().status().is_success());
    demo.line(|line| line.contains("add_membership #1") && line.contains("→ completed")).await;
    demo.line(|line| line.contains("ada@example.com: tags-added Silver Club")).await;
    let members = "select string_agg(email, ' ') from customers where is_member";
    assert_eq!(client.query_one(members, &[]).await.unwrap().get::<_, Option<&str>>(0), Some("ada@example.com"));

    client.batch_execute(&expire).await.unwrap();
    demo.line(|line| line.contains("cancel_membership #2") && line.contains("→ completed")).await;
    demo.line(|line| line.contains("ada@example.com: tags-removed Silver Club")).await;
    assert_eq!(client.query_one(members, &[]).await.unwrap().get::<_, Option<&str>>(0), None);
    assert!(!fs::read_to_string(folder.path().join("log")).unwrap().contains("ada@example.com"));
}

#[tokio::test]
async fn a_pull_that_is_typed_makes_requests_of_tickets_and_an_edit_that_is_typed_stays() {
    let folder = open_folder();
    let demo = Demo::start(folder.path());
    let pull = demo.line(|line| line.starts_with("insert into fluent_sync_status")).await;
    let edit = demo.line(|line| line.starts_with("update requests")).await;
    let client = demo.psql().await;
    client.batch_execute(&pull).await.unwrap();
    demo.line(|line| line.contains("changed tickets") && line.contains("→ success")).await;
    demo.line(|line| line.contains("▸ FluentSupport, request 5: page 1, by change")).await;
    client.batch_execute(&edit).await.unwrap();
    client.batch_execute(&pull).await.unwrap();
    demo.line(|line| line.contains("▸ FluentSupport, request 6: page 1, by change")).await;
    eventually("both have worked", || {
        let worked = |line: &&String| line.contains("changed tickets") && line.contains("→ success");
        (demo.lines.lock().unwrap().iter().filter(worked).count() == 2).then_some(())
    })
    .await;
    let requests = "select count(*), count(*) filter (where category = 'Billed' and hours = 1.5) from requests";
    let requests = client.query_one(requests, &[]).await.unwrap();
    assert_eq!((requests.get::<_, i64>(0), requests.get::<_, i64>(1)), (230, 1));

    let asked = fs::read_to_string(folder.path().join("fakes/fluent/requests.jsonl")).unwrap();
    assert_eq!(asked.lines().count(), 6, "{asked}");
    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    for private in ["Ticket 7", "person7@example.com", "First7", "EFGH"] {
        assert!(!log.contains(private), "{private}");
    }
}

#[tokio::test]
async fn an_order_a_link_an_organization_and_a_check_that_are_typed_show_what_came_of_them() {
    let folder = open_folder();
    let demo = Demo::start(folder.path());
    let link = demo.line(|line| line.starts_with("insert into links")).await;
    let organization = demo.line(|line| line.starts_with("update organizations")).await;
    let order = demo.line(|line| line.starts_with("update orders") && line.contains("'ada'")).await;
    let ghost = demo.line(|line| line.starts_with("insert into codes") && line.contains("GHOST-5")).await;
    let redeem = demo.line(|line| line.contains(" sandbox fienta ") && line.contains("redeem")).await;
    let heard = demo.line(|line| line.starts_with("curl") && line.ends_with("/_control/log")).await;
    let client = demo.psql().await;

    client.batch_execute(&link).await.unwrap();
    let slug = "select slug from links where status = 'active'";
    demo.line(|line| line.contains("  links ") && line.contains("creating → active")).await;
    let slug: String = client.query_one(slug, &[]).await.unwrap().get(0);
    let curl = demo.line(|line| line.starts_with("curl -si -A Firefox")).await;
    let (_, address) = curl.split_once("http://").unwrap();
    let url = format!("http://{}/l/{slug}", address.split('/').next().unwrap());
    assert_eq!(crate::links_served::browser().get(url).send().await.unwrap().status(), 302);

    client.batch_execute(&organization).await.unwrap();
    demo.line(|line| line.contains("▸ receiver, organization 1: heard organizations:1:1 of Acme")).await;
    let heard = web::client().get(heard.trim_start_matches("curl "));
    assert_eq!(web::told(heard).await.1[0]["body"]["data"]["name"], "Acme");

    client.batch_execute(&order).await.unwrap();
    demo.line(|line| line.contains("order of ada") && line.contains("→ refunded")).await;
    demo.line(|line| line.contains("▸ Fienta, T-1001: refunded")).await;

    let words = shell_words::split(&redeem).unwrap();
    assert!(Command::new(&words[0]).args(&words[1..]).status().unwrap().success());
    client.batch_execute(&ghost).await.unwrap();
    demo.line(|line| line.contains("check of codes") && line.contains("→ checked")).await;
    let found =
        "select drift @> '[{\"code\": \"GHOST-5\", \"drift\": \"missing_there\"}]' and usage @> '{\"SUMMER-20\": 1}'
        from fienta_checks";
    assert!(client.query_one(found, &[]).await.unwrap().get::<_, bool>(0));
    let clicks = "select coalesce(max(clicks), 0) from links";
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while client.query_one(clicks, &[]).await.unwrap().get::<_, i64>(0) != 1 {
        assert!(tokio::time::Instant::now() < deadline, "the click is not counted");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(!log.contains("whsec_"), "no secret is logged");
}

#[tokio::test]
async fn a_demo_takes_over_the_postgres_of_a_killed_one_and_ends_it() {
    let folder = open_folder();
    let mut killed = Demo::start(folder.path());
    killed.psql().await;
    killed.child.kill().unwrap();
    killed.child.wait().unwrap();
    assert!(folder.path().join("postgres/pgdata/postmaster.pid").exists());

    let next = Demo::start(folder.path());
    next.psql().await;
    assert!(next.interrupt().success());
    assert!(!folder.path().join("postgres/pgdata/postmaster.pid").exists(), "its Postgres has ended");
}
