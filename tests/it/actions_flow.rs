//! The whole flow of an action: the real `rowcall run`, its HTTP server, and the fake of Meta with its signed webhooks.

use std::time::Duration;

use rowcall::sandbox::whatsapp::{Fake, Fault, Kind, Report, WhatsAppArgs};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_postgres::Client;

use crate::process::eventually;
use crate::scratch::Scratch;
use crate::web::{ADMIN, APP_SECRET, INFOBIP_SECRET, Run, VERIFY_TOKEN, client, json, own_address, refused, told};

const PHONE: &str = "16505551234";
const NAME: &str = "Ama Serwaa";

pub(crate) struct Flow {
    pub(crate) run: Run,
    pub(crate) fake: Fake,
    at: String,
    pub(crate) client: Client,
    scratch: Scratch,
    _dir: TempDir,
}

impl Flow {
    pub(crate) async fn new() -> Self {
        Self::with(&[]).await
    }

    /// With more variables than Meta's.
    pub(crate) async fn with(more: &[(&str, &str)]) -> Self {
        let scratch = Scratch::migrated().await;
        let dir = tempfile::tempdir().unwrap();
        let at = own_address();
        let fake = Fake::start(WhatsAppArgs {
            webhook: Some(format!("http://{at}/webhooks/whatsapp")),
            // Infobip shows its secret by HTTP Basic.
            infobip_webhook: Some(format!("http://infobip:{INFOBIP_SECRET}@{at}/webhooks/infobip")),
            app_secret: APP_SECRET.to_owned(),
            ..WhatsAppArgs::new(dir.path().to_owned())
        })
        .await
        .unwrap();
        let run = start(&scratch, &fake, &at, more).await;
        let client = scratch.client().await;
        let contact = format!("insert into contacts (phone, name) values ('+{PHONE}', '{NAME}')");
        client.batch_execute(&contact).await.unwrap();
        Self { run, fake, at, client, scratch, _dir: dir }
    }

    /// An action of the one contact that nobody has answered.
    pub(crate) async fn action(&self) -> i32 {
        let ask =
            "insert into actions (contact_id, action_type) select id, 'refund_request' from contacts returning id";
        self.client.query_one(ask, &[]).await.unwrap().get(0)
    }

    pub(crate) async fn sql(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// Waits until a query gives this text.
    pub(crate) async fn until(&self, sql: &str, wanted: &str) {
        self.run.until(&self.client, sql, wanted).await;
    }

    /// Waits until the reply to an action stands so, and its bubble says so.
    pub(crate) async fn replied(&self, id: i32, reply_status: &str, bubble: &str) {
        self.until(&format!("select reply_status from actions where id = {id}"), reply_status).await;
        let shown = "select metadata ->> 'state' from messages where message_type = 'action_indicator'";
        self.until(&format!("{shown} and metadata ->> 'action_id' = '{id}'"), bubble).await;
    }

    /// The references of what the fake really accepted.
    pub(crate) fn accepted(&self) -> Vec<String> {
        self.fake.log().iter().map(|line| line["reference"].as_str().unwrap().to_owned()).collect()
    }

    /// Nothing more comes, though everybody has looked again.
    pub(crate) async fn stays(&self, accepted: &[String]) {
        self.sql("select pg_notify('rowcall', 'actions')").await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(self.accepted(), accepted);
    }

    fn feedback(&self, body: &Value) -> reqwest::RequestBuilder {
        json(client().post(format!("http://{}/action-feedback", self.at)).bearer_auth(ADMIN), body)
    }
}

/// The worker, once it works.
async fn start(scratch: &Scratch, fake: &Fake, at: &str, more: &[(&str, &str)]) -> Run {
    let address = fake.address();
    let meta = format!("{}/v25.0", fake.address());
    let mut variables = vec![
        ("ROWCALL_HTTP_ADDR", at),
        ("ROWCALL_API_TOKEN", ADMIN),
        ("ROWCALL_QUEUES", "actions"),
        ("RUST_LOG", "trace"),
        ("WHATSAPP_API_URL", meta.as_str()),
        ("WHATSAPP_PHONE_NUMBER_ID", "106540352242922"),
        ("WHATSAPP_ACCESS_TOKEN", "sandbox-access-token"),
        ("WHATSAPP_APP_SECRET", APP_SECRET),
        ("WHATSAPP_VERIFY_TOKEN", VERIFY_TOKEN),
        ("INFOBIP_BASE_URL", &address),
        ("INFOBIP_API_KEY", "sandbox-api-key"),
        ("INFOBIP_SENDER", "16505550000"),
        ("INFOBIP_WEBHOOK_SECRET", INFOBIP_SECRET),
    ];
    variables.extend_from_slice(more);
    let run = Run::start(scratch, &variables);
    run.logged("The bell works").await;
    run
}

#[tokio::test]
async fn what_only_postgres_can_hold_keeps_no_reply_from_its_customer() {
    let flow = Flow::new().await;
    let id = flow.action().await;
    flow.sql("update contacts set last_inbound_at = '-infinity'").await;
    flow.sql(&format!(
        "update actions set status = 'approved',
             details = jsonb_build_object('amount', '1e400'::jsonb, 'deep', (repeat('[', 200) || repeat(']', 200))::jsonb)
         where id = {id}"
    ))
    .await;
    flow.replied(id, "sent", "Sent").await;
    assert_eq!(flow.fake.log().len(), 1);
}

#[tokio::test]
async fn an_approval_reaches_the_customer_once_and_is_followed_to_the_end() {
    let flow = Flow::new().await;
    let id = flow.action().await;
    flow.sql(&format!("update actions set status = 'approved' where id = {id}")).await;
    flow.replied(id, "sent", "Sent").await;
    let line = &flow.fake.log()[0];
    assert_eq!(line["phone"], PHONE);
    let text = line["text"].as_str().unwrap();
    flow.until("select response_text from action_responses", text).await;
    // Its reports come over the real server, signed.
    flow.until("select status from action_responses", "read").await;
    flow.stays(&[format!("actions:{id}:1")]).await;
    let log = flow.run.log();
    for private in [PHONE, NAME, text, "sandbox-access-token", APP_SECRET, ADMIN] {
        assert!(!log.contains(private), "{private}: {:?}", log.lines().find(|line| line.contains(private)));
    }
}

#[tokio::test]
async fn a_lost_answer_is_unknown_until_its_status_tells() {
    let flow = Flow::new().await;
    for (status, reply_status, bubble) in [("delivered", "sent", "Sent"), ("failed", "failed", "Failed")] {
        let id = flow.action().await;
        let before = flow.accepted();
        flow.fake.reports(vec![Report { status: status.to_owned(), after_ms: 3000, times: 2, code: None }]);
        flow.fake.fault(Fault::new(Kind::AcceptThenClose));
        flow.sql(&format!("update actions set status = 'approved' where id = {id}")).await;
        flow.replied(id, "unknown", "Needs a look").await;
        flow.replied(id, reply_status, bubble).await;
        flow.stays(&[before, vec![format!("actions:{id}:1")]].concat()).await;
    }
}

#[tokio::test]
async fn an_approval_that_becomes_a_denial_before_it_is_sent_sends_the_denial_alone() {
    let flow = Flow::new().await;
    let id = flow.action().await;
    let later = "status = 'approved', next_retry_at = now() + interval '1 hour'";
    flow.sql(&format!("update actions set {later} where id = {id}")).await;
    flow.stays(&[]).await;
    flow.sql(&format!("update actions set status = 'denied' where id = {id}")).await;
    flow.replied(id, "sent", "Sent").await;
    flow.stays(&[format!("actions:{id}:2")]).await;
    flow.until("select count(*) from messages where direction = 'outbound'", "1").await;

    // After it was sent, another answer is another message.
    flow.sql(&format!("update actions set status = 'approved' where id = {id}")).await;
    flow.until(&format!("select count(*) from action_responses where action_id = {id}"), "2").await;
    flow.replied(id, "sent", "Sent").await;
    flow.stays(&[format!("actions:{id}:2"), format!("actions:{id}:3")]).await;
    let log = flow.fake.log();
    assert_ne!(log[0]["text"], log[1]["text"]);
}

#[tokio::test]
async fn a_worker_killed_with_9_while_it_sends_leaves_no_second_message() {
    let mut flow = Flow::new().await;
    let id = flow.action().await;
    flow.fake.reports(Vec::new());
    flow.fake.fault(Fault::new(Kind::AcceptThenHang));
    flow.sql(&format!("update actions set status = 'approved' where id = {id}")).await;
    eventually("the message", || (!flow.accepted().is_empty()).then_some(())).await;
    drop(flow.run);
    flow.run = start(&flow.scratch, &flow.fake, &flow.at, &[]).await;
    flow.replied(id, "unknown", "Needs a look").await;
    flow.until("select settled_as from rowcall.attempts order by id limit 1", "lost").await;
    flow.stays(&[format!("actions:{id}:1")]).await;
    flow.sql(&format!("select rowcall.resolve('actions', '{id}', 'done', 'the customer has it')")).await;
    flow.replied(id, "sent", "Sent").await;
    flow.stays(&[format!("actions:{id}:1")]).await;
}

#[tokio::test]
async fn feedback_over_http_takes_the_same_path() {
    let flow = Flow::new().await;
    let id = flow.action().await;
    let (status, body) = told(flow.feedback(&json!({ "action_id": id, "contact_id": 1 }))).await;
    assert_eq!((status, &body["error"]["fields"]), (400, &json!(["status", "request_type"])), "{body}");
    let feedback = json!({
        "action_id": id, "status": "edited", "user_response": "We refund half of it.", "contact_id": 1, "chatbot_id": 1,
        "request_type": "refund_request", "request_details": { "order": "42" },
    });
    let (status, answer) = told(flow.feedback(&feedback)).await;
    assert_eq!((status, &answer["reply_status"]), (202, &json!("pending")), "{answer}");
    flow.replied(id, "sent", "Sent").await;
    assert!(flow.fake.log()[0]["text"].as_str().unwrap().contains("We refund half of it."));
    assert_eq!(refused(flow.feedback(&feedback)).await.0, 409);
    let mut another = feedback;
    another["action_id"] = json!(999);
    assert_eq!(refused(flow.feedback(&another)).await.0, 404);
    flow.stays(&[format!("actions:{id}:1")]).await;
    let path = format!("http://{}/api/actions/{id}", flow.at);
    let (status, details) = told(client().get(path).bearer_auth(ADMIN)).await;
    assert_eq!(status, 200);
    assert!(details.to_string().contains(&format!("actions:{id}:1")), "{details}");
}
