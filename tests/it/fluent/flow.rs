//! The whole flow: the real `rowcall run`, and a site that changes, fails and comes back.

use std::path::Path;
use std::time::{Duration, Instant};

use rowcall::sandbox::fluent::{Edit, Fake, Fault, FluentArgs, Kind};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_postgres::Client;

use super::{PASSWORD, USERNAME, number};
use crate::database::PATIENCE;
use crate::scratch::Scratch;
use crate::web::Run;

/// A database, a site, and a worker that knows both.
pub(super) struct Flow {
    pub(super) run: Run,
    pub(super) fake: Fake,
    pub(super) client: Client,
    pub(super) scratch: Scratch,
    _dir: TempDir,
}

impl Flow {
    /// With so many tickets, as fast as it goes.
    pub(super) async fn new(tickets: u32) -> Self {
        let scratch = Scratch::migrated().await;
        let client = scratch.client().await;
        client
            .batch_execute("update rowcall.queues set rate_per_second = null, retry_delays = '{50 milliseconds}'")
            .await
            .unwrap();
        let dir = tempfile::tempdir().unwrap();
        let fake = Fake::start(FluentArgs { tickets, ..FluentArgs::new(dir.path().to_owned()) }).await.unwrap();
        let run = start(&scratch, &fake, &[]).await;
        Self { run, fake, client, scratch, _dir: dir }
    }

    pub(super) async fn sql(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// The one value of a query as text; null is empty.
    pub(super) async fn text(&self, sql: &str) -> String {
        let row = self.client.query_one(&format!("select ({sql})::text"), &[]).await.unwrap();
        row.get::<_, Option<String>>(0).unwrap_or_default()
    }

    /// Waits until a condition in SQL holds.
    pub(super) async fn until(&self, condition: &str) {
        let began = Instant::now();
        while self.text(condition).await != "true" {
            let late = began.elapsed() > PATIENCE;
            assert!(!late, "{condition}\n{:?}\n{}", self.last().await, self.run.log());
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
    }

    /// The same, with a person who asks for it again and again: a row that is told to wait in the very moment in which its
    /// provider is let through again waits once more.
    pub(super) async fn until_hurried(&self, condition: &str) {
        let began = Instant::now();
        while self.text(condition).await != "true" {
            assert!(began.elapsed() < PATIENCE, "{condition}\n{:?}\n{}", self.last().await, self.run.log());
            self.sql("update fluent_sync_status set next_retry_at = now() where status in ('pending', 'running')")
                .await;
            self.sql("select rowcall.resume('fluent_sync_status'); select pg_notify('rowcall', 'fluent_sync_status')")
                .await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The newest sync.
    pub(super) async fn last(&self) -> Value {
        let row = self
            .client
            .query_one("select to_jsonb(s) from fluent_sync_status as s order by id desc limit 1", &[])
            .await;
        let tokio_postgres::types::Json(value) = row.unwrap().get(0);
        value
    }

    /// Asks for a sync, and waits for its end.
    pub(super) async fn sync(&self) -> Value {
        self.sql("insert into fluent_sync_status default values").await;
        self.until("select bool_and(status not in ('pending', 'running')) from fluent_sync_status").await;
        self.last().await
    }

    /// The tickets here are those of the site, each once and with its present title.
    pub(super) async fn assert_whole(&self) {
        let rows =
            self.client.query("select fluent_id, title from fluent_tickets order by fluent_id", &[]).await.unwrap();
        let here: Vec<(i64, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let title = |ticket: &Value| ticket["title"].as_str().unwrap().replace("&amp;", "&");
        let mut there: Vec<_> = self.fake.tickets().iter().map(|t| (number(&t["id"]), title(t))).collect();
        there.sort();
        assert_eq!(here, there);
        let odd = "select count(*) from requests as r full join fluent_tickets as t on t.request_id = r.id where r.id is null or t.id is null";
        assert_eq!(self.text(odd).await, "0", "each ticket is one request");
    }
}

/// The worker, once it works.
pub(super) async fn start(scratch: &Scratch, fake: &Fake, more: &[(&str, &str)]) -> Run {
    let address = fake.address();
    let mut variables = vec![
        ("ROWCALL_QUEUES", "fluent_sync_status"),
        ("RUST_LOG", "trace"),
        ("ROWCALL_SHUTDOWN_GRACE", "15"),
        ("FLUENT_API_URL", address.as_str()),
        ("FLUENT_API_USERNAME", USERNAME),
        ("FLUENT_API_PASSWORD", PASSWORD),
    ];
    variables.extend(more);
    let run = Run::start(scratch, &variables);
    run.logged("The bell works").await;
    run
}

#[tokio::test]
async fn run_twice_nothing_is_doubled_and_edits_are_kept() {
    let flow = Flow::new(330).await;
    let row = flow.sync().await;
    assert_eq!(
        (&row["status"], &row["tickets_added"], &row["tickets_fetched"]),
        (&json!("success"), &json!(330), &json!(330))
    );
    flow.assert_whole().await;
    flow.sql("update requests set hours = 1.5, category = 'Billed' where description like 'Ticket 3 %'").await;

    let row = flow.sync().await;
    assert_eq!((&row["tickets_added"], &row["tickets_updated"]), (&json!(0), &json!(0)), "{row}");
    flow.fake.edit(&[
        Edit::Open,
        Edit::Retitle(3, "Changed".to_owned()),
        Edit::Classify(3, "critical".to_owned(), "Email".to_owned()),
        Edit::Close(4),
    ]);
    let row = flow.sync().await;
    assert_eq!(
        (&row["tickets_added"], &row["tickets_updated"], &row["pages_read"]),
        (&json!(1), &json!(2), &json!(1)),
        "{row}"
    );
    flow.assert_whole().await;
    let edited =
        "select concat_ws(' ', hours, category, urgency, website_url) from requests where description like 'Changed%'";
    assert_eq!(flow.text(edited).await, "1.50 Billed HIGH Email");
    assert_eq!(flow.text("select status from fluent_tickets where fluent_id = 4").await, "closed");

    // Nothing of a ticket, a person or a secret is logged, whatever the level.
    let log = flow.run.log();
    let password = PASSWORD.replace(' ', "");
    for private in ["Ticket 3", "person7@example.com", "First7", "Changed", PASSWORD, &password, "YWdlbnQ6"] {
        assert!(!log.contains(private), "{private}: {:?}", log.lines().find(|line| line.contains(private)));
    }
}

#[tokio::test]
async fn the_row_shows_how_far_a_sync_is_while_it_runs() {
    let flow = Flow::new(450).await;
    flow.fake.fault(Fault::at(3, Kind::Slow(1500)));
    flow.sql("insert into fluent_sync_status default values").await;
    flow.until("select pages_read = 3 from fluent_sync_status").await;
    let row = flow.last().await;
    assert_eq!(row["status"], "running");
    let progress = ["pages_total", "tickets_fetched", "tickets_total"].map(|name| row[name].as_i64().unwrap());
    assert_eq!(progress, [7, 200, 450], "a ticket that is read twice is one");
    flow.until("select status = 'success' from fluent_sync_status").await;
    let row = flow.last().await;
    assert_eq!(
        (&row["pages_read"], &row["tickets_fetched"], &row["tickets_total"]),
        (&json!(7), &json!(450), &json!(450))
    );
    flow.assert_whole().await;
}

#[tokio::test]
async fn each_failure_says_what_it_is_and_a_sync_goes_on_when_it_is_mended() {
    let flow = Flow::new(150).await;
    for (kind, words) in [
        (Kind::NoPlugin, "Fluent Support is not"),
        (Kind::LoginRedirect, "login page"),
        (Kind::Maintenance, "in maintenance"),
        (Kind::NoRights, "may not see tickets"),
    ] {
        // At the second page, and at every look until somebody mends it.
        flow.fake.fault(Fault::at(2, kind).times(1000));
        flow.sql("insert into fluent_sync_status (is_full) values (true)").await;
        flow.until(&format!(
            "select bool_or(error_message like '%{words}%') from fluent_sync_status where status = 'pending'"
        ))
        .await;
        let row = flow.last().await;
        assert_eq!(
            (&row["attempts"], &row["pages_read"]),
            (&json!(0), &json!(2)),
            "an outage spends no attempt: {row}"
        );
        let open = "select state || ' ' || (reason like '%' || split_part(reason, ' ', 1) || '%') from rowcall.targets where target = 'fluent'";
        assert_eq!(flow.text(open).await, "open true");
        flow.fake.forget_faults();
        flow.until_hurried("select bool_and(status = 'success') from fluent_sync_status").await;
        assert_eq!(flow.last().await["error_message"], Value::Null);
        flow.assert_whole().await;
    }
}

#[tokio::test]
async fn a_wrong_password_waits_for_the_right_one() {
    let mut flow = Flow::new(20).await;
    flow.run = start(&flow.scratch, &flow.fake, &[("FLUENT_API_PASSWORD", "not the password")]).await;
    flow.sql("insert into fluent_sync_status default values").await;
    flow.until("select error_message like '%incorrect_password%' from fluent_sync_status").await;
    assert_eq!(flow.last().await["status"], "pending");
    flow.run = start(&flow.scratch, &flow.fake, &[]).await;
    flow.until_hurried("select status = 'success' from fluent_sync_status").await;
    flow.assert_whole().await;
}

#[tokio::test]
async fn a_failing_page_is_tried_again_from_where_it_was() {
    let flow = Flow::new(450).await;
    flow.fake.fault(Fault::at(3, Kind::Critical).times(3));
    flow.fake.fault(Fault::at(4, Kind::Notices));
    let row = flow.sync().await;
    assert_eq!(row["status"], "success");
    flow.assert_whole().await;
    let pages: Vec<u64> = flow.fake.requests().iter().map(|request| request["page"].as_u64().unwrap()).collect();
    assert_eq!(pages, [1, 1, 2, 3, 3, 3, 3, 4, 4, 5, 1]);
    assert_eq!(
        flow.text("select string_agg(settled_as, ' ' order by id) from rowcall.attempts").await,
        "retry retry retry retry done"
    );
    // And one that never works ends it.
    flow.fake.fault(Fault::new(Kind::Critical).times(5));
    let row = flow.sync().await;
    assert_eq!(row["status"], "failed");
    assert!(row["error_message"].as_str().unwrap().contains("the last of 5 attempts"), "{row}");
}

#[tokio::test]
async fn one_request_at_a_time_and_two_a_second_whoever_asks() {
    let flow = Flow::new(350).await;
    flow.sql("update rowcall.queues set rate_per_second = 2").await;
    let _second = start(&flow.scratch, &flow.fake, &[]).await;
    flow.sql("insert into fluent_sync_status (is_full) values (true), (true)").await;
    flow.until("select bool_and(status = 'success') from fluent_sync_status").await;
    let at = |request: &Value| request["at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let times: Vec<jiff::Timestamp> = flow.fake.requests().iter().map(at).collect();
    assert_eq!(times.len(), 12);
    for pair in times.windows(2) {
        let apart = pair[1].duration_since(pair[0]).as_millis();
        assert!(apart >= 450, "{apart} ms");
    }
    let order: Vec<String> = flow.fake.requests().iter().map(|r| r["order_by"].as_str().unwrap().to_owned()).collect();
    let one = ["updated_at", "id", "id", "id", "id", "updated_at"];
    assert_eq!(order, [one, one].concat(), "one sync after the other");
}

#[tokio::test]
async fn twenty_thousand_tickets_are_one_sync_in_little_memory() {
    let flow = Flow::new(20_000).await;
    flow.sql("insert into fluent_sync_status default values").await;
    let began = Instant::now();
    while flow.text("select status from fluent_sync_status").await != "success" {
        assert!(began.elapsed() < Duration::from_mins(4), "{:?}", flow.last().await);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let row = flow.last().await;
    assert_eq!((&row["tickets_added"], &row["pages_read"]), (&json!(20_000), &json!(202)));
    assert_eq!(flow.text("select count(*) from requests").await, "20000");
    let most = memory_kilobytes(flow.run.pid());
    assert!(most < 300 * 1024, "{most} kB at most");
}

#[tokio::test]
async fn a_sync_that_takes_too_long_to_write_says_so_and_spends_attempts() {
    let flow = Flow::new(150).await;
    // As the statement timeout ends a statement, only sooner.
    flow.sql(
        "create function public.never() returns trigger language plpgsql as $$
         begin perform pg_cancel_backend(pg_backend_pid()); perform pg_sleep(60); return new; end $$;
         create trigger never before insert on requests for each row execute function public.never()",
    )
    .await;
    let row = flow.sync().await;
    assert_eq!(
        (&row["status"], &row["attempts"], &row["pages_read"]),
        (&json!("failed"), &json!(5), &json!(3)),
        "{row}"
    );
    assert!(row["error_message"].as_str().unwrap().contains("could not be written in the time"), "{row}");
    assert_eq!(
        flow.text("select string_agg(settled_as, ' ' order by id) from rowcall.attempts").await,
        "retry retry retry retry failed"
    );
    assert!(flow.run.log().contains("takes longer to write"), "{}", flow.run.log());
    flow.sql("drop trigger never on requests; select rowcall.retry('fluent_sync_status', '1')").await;
    flow.until("select status = 'success' from fluent_sync_status").await;
    flow.assert_whole().await;
}

#[tokio::test]
async fn another_user_or_zone_begins_from_the_beginning_and_says_so() {
    let mut flow = Flow::new(150).await;
    flow.fake.sees_only(Some(2));
    let row = flow.sync().await;
    assert!(row["tickets_added"].as_i64().unwrap() < 50 && row["note"].is_null(), "{row}");
    flow.fake.sees_only(None);
    let row = flow.sync().await;
    assert_eq!((&row["pages_read"], &row["note"]), (&json!(1), &Value::Null), "the same: only what changed");
    // Another zone, as another agent or site would be, is another reading of the list.
    flow.run = start(&flow.scratch, &flow.fake, &[("FLUENT_SITE_TIMEZONE", "Europe/Tallinn")]).await;
    let row = flow.sync().await;
    assert!(row["note"].as_str().unwrap().starts_with("FLUENT_API_URL, FLUENT_API_USERNAME or FLUENT_SITE"), "{row}");
    assert_eq!((&row["since"], &row["tickets_fetched"]), (&Value::Null, &json!(150)));
    flow.assert_whole().await;
    let row = flow.sync().await;
    assert_eq!((&row["pages_read"], &row["note"]), (&json!(1), &Value::Null), "from then on it is the same again");
    let private = flow.text("select fingerprint from fluent_sync_status order by id desc limit 1").await;
    assert!(!private.contains(USERNAME) && private.len() == 20, "{private}");
}

/// The most memory that a process has ever had.
fn memory_kilobytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
