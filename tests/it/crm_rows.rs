//! The rows of `crm_sync_queue`, by the store alone: whose turn it is, what a row becomes, and what a client's trouble costs the
//! others. Outcomes are made by hand; what fills the queue stands in `crm_rules.rs`.

mod turns;
mod accounts;
mod scale;
mod wanted;

use std::time::Duration;

use rowcall::failure::{Failure, Fault};
use rowcall::job::Job;
use rowcall::outcome::Outcome;
use rowcall::store::Store;
use rowcall::store::claims::Claim;
use rowcall::store::queues::{CRM_SYNC_QUEUE, Statements};
use rowcall::store::settles::Settlement;
use rowcall::store::workers::Introduction;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::database::TestDatabase;

/// A database with a worker that has no lane: the test is the worker.
pub(crate) struct Crm {
    pub(crate) db: TestDatabase,
    pub(crate) store: Store,
    pub(crate) worker: Uuid,
    pub(crate) statements: &'static Statements,
}

impl Crm {
    pub(crate) async fn new() -> Self {
        Self::on(TestDatabase::new().await, &CRM_SYNC_QUEUE).await
    }

    pub(crate) async fn on(db: TestDatabase, statements: &'static Statements) -> Self {
        let (store, worker) = (db.store(), Uuid::new_v4());
        let introduction =
            Introduction { host: "here".to_owned(), pid: 1, version: "0", queues: vec!["crm_sync_queue".to_owned()] };
        store.register(worker, &introduction).await.unwrap();
        // It sends no heartbeat, and must not count as dead while a slow test goes on.
        db.run("update rowcall.workers set heartbeat_at = now() + interval '1 hour'").await;
        Self { db, store, worker, statements }
    }

    /// A client of Shopify, whose pace nothing bounds, with the tiers Silver (from 100) and Gold (from 500).
    pub(crate) async fn shop(&self, name: &str) -> i64 {
        self.client("shopify", name).await
    }

    /// The same of Commerce7, which is called ninety times a minute.
    pub(crate) async fn tenant(&self, name: &str) -> i64 {
        self.client("commerce7", name).await
    }

    /// Its account was called before.
    async fn client(&self, crm_type: &str, name: &str) -> i64 {
        let place = if crm_type == "shopify" { "shop" } else { "tenant" };
        let calls = if crm_type == "shopify" { "null" } else { "90" };
        self.db
            .get(&format!(
                "with client as (
                     insert into clients (crm_type, {place}, currency) values ('{crm_type}', '{name}', 'USD') returning id
                 ),
                 stage as (
                     insert into club_stages (client_id, name, threshold, crm_club_id, tag)
                     select c.id, s.name, s.threshold, 'club-' || lower(s.name), s.name || ' member'
                     from client as c, (values ('Silver', 100), ('Gold', 500)) as s (name, threshold)
                 ),
                 account as (
                     insert into rowcall.targets (target, part_of, calls_per_minute)
                     values ('{crm_type}:{name}', 'crm', {calls}) on conflict do nothing
                 )
                 select id from client"
            ))
            .await
    }

    /// A customer with an active enrollment in Silver.
    pub(crate) async fn member(&self, client: i64) -> i64 {
        self.db
            .get(&format!(
                "with customer as (
                     insert into customers (client_id, email, first_name, is_member, member_since)
                     select {client}, 'c' || (count(*) + 1) || '@example.com', 'Ama', true, now() from customers returning id
                 ),
                 enrollment as (
                     insert into enrollments (customer_id, stage_id, expires_at)
                     select c.id, s.id, now() + interval '1 year'
                     from customer as c, club_stages as s where s.client_id = {client} and s.name = 'Silver'
                 )
                 select id from customer"
            ))
            .await
    }

    /// A change of this customer's membership; its key.
    pub(crate) async fn ask(&self, customer: i64, action: &str) -> String {
        self.db
            .get(&format!(
                "insert into crm_sync_queue (client_id, customer_id, enrollment_id, action_type, stage_id, old_stage_id, reason)
                 select u.client_id, u.id, e.id, '{action}', e.stage_id,
                     case '{action}' when 'upgrade_membership' then e.stage_id end, 'a test'
                 from customers as u join enrollments as e on e.customer_id = u.id where u.id = {customer}
                 returning id::text"
            ))
            .await
    }

    /// So many customers of a client, each of whom asks to be added; the keys in order.
    pub(crate) async fn asking(&self, client: i64, number: usize) -> Vec<String> {
        let mut keys = Vec::new();
        for _ in 0..number {
            let customer = self.member(client).await;
            keys.push(self.ask(customer, "add_membership").await);
        }
        keys
    }

    pub(crate) fn claim_of(&self, limit: usize) -> Claim {
        let lease = Duration::from_mins(1);
        Claim { limit, worker: self.worker, token: Uuid::new_v4(), lease, bounded: false, skip: 0 }
    }

    pub(crate) async fn claim(&self, limit: usize) -> Vec<Job> {
        self.store.claim(self.statements, self.claim_of(limit)).await.unwrap()
    }

    /// The only job that a claim gives.
    pub(crate) async fn claim_one(&self) -> Job {
        let mut jobs = self.claim(10).await;
        assert_eq!(jobs.len(), 1, "{:?}", keys(&jobs));
        jobs.remove(0)
    }

    pub(crate) async fn settle(&self, job: Job, outcome: impl Into<Outcome>) -> String {
        self.settle_in(job, outcome, Duration::from_mins(1)).await
    }

    pub(crate) async fn settle_in(&self, job: Job, outcome: impl Into<Outcome>, delay: Duration) -> String {
        let settlement =
            [Settlement { job, outcome: outcome.into(), delay, duration: Some(Duration::from_millis(200)) }];
        // Whoever looked at the row at this very moment has it locked: try again, as the settler does.
        loop {
            let settled = self.store.settle(self.statements, &settlement, false).await.unwrap();
            if let Some(settled) = settled.into_iter().next() {
                return settled.settled_as;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The one value of a query as text; null is empty.
    pub(crate) async fn text(&self, sql: &str) -> String {
        self.db.get::<Option<String>>(&format!("select ({sql})::text")).await.unwrap_or_default()
    }

    /// The account rests until its calls are paid for; not here.
    pub(crate) async fn forgive(&self) {
        self.db.run("update rowcall.targets set spent_until = '-infinity'").await;
    }

    pub(crate) async fn kill_the_worker(&self) {
        // The test goes on as another worker: a dead one gets nothing.
        self.db
            .run(
                "insert into rowcall.workers (id, host, pid, version, queues, heartbeat_at)
                 select gen_random_uuid(), w.host, w.pid, w.version, w.queues, now() - interval '1 minute'
                 from rowcall.workers as w limit 1;
                 update crm_sync_queue set claimed_by = (select w.id from rowcall.workers as w order by w.heartbeat_at limit 1)
                 where claimed_by is not null",
            )
            .await;
    }
}

pub(crate) fn keys(jobs: &[Job]) -> Vec<String> {
    jobs.iter().map(|job| job.key.clone()).collect()
}

pub(crate) fn done() -> Outcome {
    Outcome::done(Some(json!({"crm_customer_id": "crm-1", "crm_membership_id": "membership-1", "changed": true})))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_handed_out_with_all_that_the_crm_needs_and_keeps_what_was_learned() {
    let crm = Crm::new().await;
    let client = crm.tenant("north").await;
    let customer = crm.member(client).await;
    crm.db
        .run(&format!(
            "insert into rowcall.crm_credentials (client_id, app_id, key) values ({client}, 'app', 'the-secret-key')"
        ))
        .await;
    let key = crm.ask(customer, "upgrade_membership").await;
    crm.db.run("update crm_sync_queue set stage_id = (select id from club_stages where name = 'Gold')").await;

    let job = crm.claim_one().await;
    assert_eq!((job.operation.as_str(), job.attempt, job.max_attempts), ("upgrade_membership", 1, 5));
    let payload: Value = job.payload().unwrap();
    let enrollment: i64 = crm.db.get("select id from enrollments").await;
    let club = |name: &str| {
        json!({"name": name, "crm_club_id": format!("club-{}", name.to_lowercase()), "tag": format!("{name} member"),
            "pickup_inventory_location_id": null})
    };
    assert_eq!(
        payload,
        json!({
            "crm_type": "commerce7", "client_id": client, "tenant": "north", "shop": null,
            "customer": {"email": "c1@example.com", "crm_customer_id": null, "first_name": "Ama", "last_name": null,
                "country_code": null},
            "club": club("Gold"), "previous_club": club("Silver"), "reason": "a test", "enrollment_id": enrollment, "steps": {},
            "membership_id": null, "unwanted": null,
            "credentials": {"app_id": "app", "key": "the-secret-key", "access_token": null}
        })
    );
    let row = "select concat_ws(' ', status, attempts, claimed_until > now()) from crm_sync_queue";
    assert_eq!(crm.text(row).await, "processing 0 t");

    // Half of it is done, and that is remembered.
    let mut half = Outcome::from(Failure::new(Fault::Transient, "a hiccup").uncertain());
    half.result = Some(json!({"crm_customer_id": "crm-1", "steps": {"new_membership_id": "m-2"}}));
    assert_eq!(crm.settle(job, half).await, "retry");
    let row = "select concat_ws('|', status, attempts, error_message, steps, round(extract(epoch from next_retry_at - now())), last_attempt_at is not null) from crm_sync_queue";
    assert_eq!(crm.text(row).await, "pending|1|a hiccup|{\"new_membership_id\": \"m-2\"}|60|t");

    crm.forgive().await;
    crm.db.run("update crm_sync_queue set next_retry_at = now()").await;
    let job = crm.claim_one().await;
    let payload: Value = job.payload().unwrap();
    assert_eq!(
        (&payload["steps"]["new_membership_id"], &payload["customer"]["crm_customer_id"]),
        (&json!("m-2"), &json!("crm-1"))
    );
    assert!(job.uncertain && job.attempt == 2);
    assert_eq!(crm.settle(job, done()).await, "done");
    let row = "select concat_ws(' ', status, claim_token, error_message, customer_crm_id, crm_membership_id, completed_at is not null) from crm_sync_queue";
    assert_eq!(crm.text(row).await, "completed crm-1 membership-1 t");
    let learned = "select concat_ws(' ', u.crm_customer_id, e.crm_membership_id) from customers as u join enrollments as e on e.customer_id = u.id";
    assert_eq!(crm.text(learned).await, "crm-1 membership-1");

    let told = "select string_agg(t::text, '') from (
        select row_to_json(a)::text as t from rowcall.history as a union all select row_to_json(w)::text from rowcall.work as w
        union all select row_to_json(q)::text from crm_sync_queue as q union all select row_to_json(a)::text from rowcall.crm_accounts as a
    ) as t";
    let told = crm.text(told).await;
    assert!(told.contains(&format!("\"key\":\"{key}\"")) && !told.contains("the-secret-key"), "{told}");
    assert!(!told.contains("example.com"), "history and views name nobody: {told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn five_failures_of_the_row_end_it_and_an_outage_spends_none() {
    let crm = Crm::new().await;
    let client = crm.shop("one").await;
    crm.asking(client, 1).await;
    for _ in 0..3 {
        let job = crm.claim_one().await;
        assert_eq!(crm.settle_in(job, Failure::new(Fault::Throttled, "patience"), Duration::ZERO).await, "wait");
    }
    for attempt in 1..=5 {
        let job = crm.claim_one().await;
        assert_eq!(job.attempt, attempt);
        let settled_as = crm.settle_in(job, Failure::new(Fault::Transient, "a hiccup"), Duration::ZERO).await;
        assert_eq!(settled_as, if attempt < 5 { "retry" } else { "failed" });
    }
    let row = "select concat_ws(' ', status, attempts, error_message) from crm_sync_queue";
    assert_eq!(crm.text(row).await, "failed 5 a hiccup");
    assert!(crm.claim(10).await.is_empty());

    // The bound is the row's own.
    crm.db.run("update crm_sync_queue set status = 'pending', max_attempts = 1").await;
    let job = crm.claim_one().await;
    assert_eq!((job.attempt, job.generation), (1, 2), "setting the status asks anew");
    assert_eq!(crm.settle(job, Failure::new(Fault::Transient, "again")).await, "failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_delays_are_powers_of_two_in_minutes() {
    let crm = Crm::new().await;
    let policy = crm.store.standings().await.unwrap().into_iter().find(|s| s.queue == "crm_sync_queue").unwrap().policy;
    let minutes: Vec<u64> = policy.retry_delays.iter().map(|delay| delay.as_secs() / 60).collect();
    assert_eq!(minutes, (0..11).map(|n| 1 << n).collect::<Vec<u64>>(), "for rows of more attempts too");
    assert_eq!(crm.text("select max_attempts from rowcall.queues where queue = 'crm_sync_queue'").await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_workers_row_is_counted_and_verified_and_one_that_nobody_knows_of_is_told_apart() {
    let crm = Crm::new().await;
    let client = crm.tenant("north").await;
    let key = crm.asking(client, 1).await.remove(0);
    crm.claim_one().await;
    crm.kill_the_worker().await;
    crm.forgive().await;
    let job = crm.claim_one().await;
    assert_eq!((job.uncertain, job.attempt), (true, 2));
    assert_eq!(crm.text("select count(*) from rowcall.attempts where settled_as = 'lost'").await, "1");

    assert_eq!(crm.settle(job, Failure::new(Fault::Unknowable, "nobody answered").uncertain()).await, "unknown");
    assert_eq!(
        crm.text("select status from crm_sync_queue").await,
        "failed",
        "the documented statuses know no other word"
    );
    assert_eq!(crm.text("select concat_ws(' ', state, reason) from rowcall.work").await, "unknown nobody answered");

    crm.db.run(&format!("select rowcall.retry('crm_sync_queue', '{key}')")).await;
    crm.forgive().await;
    let job = crm.claim_one().await;
    assert_eq!((job.uncertain, job.generation, job.attempt), (true, 2, 1), "it is verified before it is repeated");
    crm.settle(job, Failure::new(Fault::Unknowable, "nobody answered").uncertain()).await;
    let said: String =
        crm.db.get(&format!("select rowcall.resolve('crm_sync_queue', '{key}', 'done', 'seen in the CRM')")).await;
    assert_eq!(said, format!("add_membership #{key} is completed"));
    assert_eq!(crm.text("select status from crm_sync_queue").await, "completed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_while_it_ran_is_recorded_and_asked_anew() {
    let crm = Crm::new().await;
    let client = crm.shop("one").await;
    let customer = crm.member(client).await;
    let key = crm.ask(customer, "add_membership").await;
    let job = crm.claim_one().await;
    crm.db.run("update crm_sync_queue set steps = '{\"new_membership_id\": \"m\"}'; update crm_sync_queue set action_type = 'cancel_membership'").await;
    assert!(crm.claim(10).await.is_empty(), "one at a time");
    assert_eq!(crm.settle(job, done()).await, "superseded");
    let row = "select concat_ws(' ', status, generation, steps, crm_membership_id) from crm_sync_queue";
    assert_eq!(crm.text(row).await, "pending 2 {}", "nothing of the new request is done yet");
    assert_eq!(crm.text("select crm_customer_id from customers").await, "");
    let job = crm.claim_one().await;
    assert_eq!((job.key.as_str(), job.operation.as_str(), job.uncertain), (key.as_str(), "cancel_membership", false));

    // Taken back while it runs.
    let said: String = crm.db.get(&format!("select rowcall.cancel('crm_sync_queue', '{key}')")).await;
    assert!(said.ends_with("is taken back; it is running and may still take effect, history will tell"), "{said}");
    assert_eq!(crm.settle(job, done()).await, "superseded");
    assert!(
        crm.text("select concat_ws(' ', status, error_message) from crm_sync_queue")
            .await
            .starts_with("failed cancelled by")
    );
    assert!(crm.claim(10).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_as_document_4_writes_it_finds_its_customer_and_tier() {
    let crm = Crm::new().await;
    let client = crm.shop("one").await;
    crm.member(client).await;
    crm.db
        .run("insert into crm_sync_queue (client_id, enrollment_id, action_type, customer_crm_id) select client_id, e.id, 'cancel_membership', '77' from customers as u join enrollments as e on e.customer_id = u.id")
        .await;
    let payload: Value = crm.claim_one().await.payload().unwrap();
    assert_eq!(
        (&payload["customer"]["email"], &payload["customer"]["crm_customer_id"]),
        (&json!("c1@example.com"), &json!("77"))
    );
    assert_eq!(payload["club"]["tag"], "Silver member");
}
