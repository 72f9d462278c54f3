//! The rows of the queue `actions`, by the store alone: what asks for a reply, who gets a turn, and what a settled one leaves
//! behind. Outcomes are made by hand; what the rows tell and are told stands in `actions_words.rs`.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::poll_fn;
use rowcall::failure::{Failure, Fault};
use rowcall::job::Job;
use rowcall::outcome::Outcome;
use rowcall::store::Store;
use rowcall::store::claims::Claim;
use rowcall::store::connect::{Database, Session};
use rowcall::store::queues::{ACTIONS, Statements};
use rowcall::store::settles::Settlement;
use rowcall::store::workers::Introduction;
use serde_json::{Value, json};
use tokio_postgres::{AsyncMessage, Client};
use uuid::Uuid;

use crate::scratch::Scratch;

/// A migrated database with a worker that has no lane: the test is the worker.
pub(crate) struct Rows {
    pub(crate) scratch: Scratch,
    pub(crate) client: Client,
    pub(crate) store: Store,
    pub(crate) worker: Uuid,
    queue: &'static Statements,
}

impl Rows {
    pub(crate) async fn new() -> Self {
        Self::on(Scratch::migrated().await).await
    }

    pub(crate) async fn on(scratch: Scratch) -> Self {
        Self::of(&ACTIONS, scratch).await
    }

    /// The same for another queue.
    pub(crate) async fn of(queue: &'static Statements, scratch: Scratch) -> Self {
        let store = Store::new(Database::parse(&scratch.url).unwrap().pool(4, Session::Worker));
        let worker = Uuid::new_v4();
        let introduction =
            Introduction { host: "here".to_owned(), pid: 1, version: "0", queues: vec![queue.queue.to_owned()] };
        store.register(worker, &introduction).await.unwrap();
        let client = scratch.client().await;
        // It sends no heartbeat, and must not count as dead while a slow test goes on.
        client.batch_execute("update rowcall.workers set heartbeat_at = now() + interval '1 hour'").await.unwrap();
        Self { scratch, client, store, worker, queue }
    }

    pub(crate) async fn run(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// The one value of a query as text; null is empty.
    pub(crate) async fn text(&self, sql: &str) -> String {
        let row = self.client.query_one(&format!("select ({sql})::text"), &[]).await;
        let row = row.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        row.get::<_, Option<String>>(0).unwrap_or_default()
    }

    /// What a refused statement says: code, message, detail.
    pub(crate) async fn refusal(&self, sql: &str) -> (String, String, String) {
        let error = self.client.batch_execute(sql).await.expect_err(sql);
        let said = error.as_db_error().unwrap();
        let detail = said.detail().unwrap_or_default().to_owned();
        (said.code().code().to_owned(), said.message().to_owned(), detail)
    }

    /// A contact with `number` actions that nobody has answered. Returns the contact, and the keys of the actions in order.
    pub(crate) async fn contact(&self, number: i32) -> (i64, Vec<i32>) {
        let row = self
            .client
            .query_one(
                "with contact as (
                    insert into contacts (phone, name)
                    select '+4915' || lpad((count(*) + 1)::text, 8, '0'), 'Ama' from contacts
                    returning id
                ),
                asked as (
                    insert into actions (contact_id, action_type) select id, 'refund_request' from contact, generate_series(1, $1)
                    returning id
                )
                select (select id from contact), array(select id from asked order by id)",
                &[&number],
            )
            .await
            .unwrap();
        (row.get(0), row.get(1))
    }

    /// One action of a contact of its own.
    pub(crate) async fn action(&self) -> i32 {
        self.contact(1).await.1[0]
    }

    pub(crate) async fn answer(&self, id: i32, status: &str) {
        self.run(&format!("update actions set status = '{status}' where id = {id}")).await;
    }

    pub(crate) async fn claim(&self, limit: usize) -> Vec<Job> {
        self.claim_under(Uuid::new_v4(), limit).await
    }

    /// The same under a token of one's own.
    pub(crate) async fn claim_under(&self, token: Uuid, limit: usize) -> Vec<Job> {
        let lease = Duration::from_mins(1);
        let claim = Claim { limit, worker: self.worker, token, lease, bounded: false, skip: 0 };
        self.store.claim(self.queue, claim).await.unwrap()
    }

    /// The only job that a claim gives.
    pub(crate) async fn claim_one(&self) -> Job {
        let mut jobs = self.claim(10).await;
        assert_eq!(jobs.len(), 1, "{jobs:?}");
        jobs.remove(0)
    }

    /// The keys that a claim of all gives.
    async fn claimed(&self) -> Vec<String> {
        self.claim(1000).await.into_iter().map(|job| job.key).collect()
    }

    pub(crate) async fn settle(&self, job: Job, outcome: impl Into<Outcome>) -> String {
        self.settle_after(job, outcome.into(), Some(Duration::from_millis(200))).await
    }

    /// The same of an operation that was not started.
    pub(crate) async fn settle_unstarted(&self, job: Job, outcome: impl Into<Outcome>) -> String {
        self.settle_after(job, outcome.into(), None).await
    }

    async fn settle_after(&self, job: Job, outcome: Outcome, duration: Option<Duration>) -> String {
        let settlement = [Settlement { job, outcome, delay: Duration::from_mins(1), duration }];
        // Whoever looked at the row at this very moment has it locked: try again, as the settler does.
        loop {
            let settled = self.store.settle(self.queue, &settlement, false).await.unwrap();
            if let Some(settled) = settled.into_iter().next() {
                return settled.settled_as;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The word on an action's bubble.
    pub(crate) async fn bubble(&self, id: i32) -> String {
        self.text(&format!(
            "select metadata ->> 'state' from messages where message_type = 'action_indicator' and metadata ->> 'action_id' = '{id}'"
        ))
        .await
    }

    pub(crate) async fn reply_status(&self, id: i32) -> String {
        self.text(&format!("select reply_status from actions where id = {id}")).await
    }

    /// Claims sixty rows and settles them as done with this result; neither statement may look at much more.
    pub(crate) async fn no_plan_reads_a_table(&self, result: &str) {
        let Statements { queue, claim, settle, .. } = self.queue;
        let token = "00000000-0000-4000-8000-00000000000d";
        let mut client = self.scratch.client().await;
        client.batch_execute("set enable_seqscan = off; set jit = off").await.unwrap();
        let types = "bigint, uuid, uuid, float8, bigint";
        let claim = explain(&mut client, types, claim, &format!("60, '{}', '{token}', 60, 0", self.worker)).await;
        let held = client
            .query_one(
                &format!(
                    "select array_agg(id::text)::text, array_agg(generation)::text, array_agg(claim_token)::text, count(*)
                     from {queue} where claim_token = '{token}'"
                ),
                &[],
            )
            .await
            .unwrap();
        assert_eq!(held.get::<_, i64>(3), 60);
        let [keys, generations, tokens]: [String; 3] = [held.get(0), held.get(1), held.get(2)];
        let each = |value: &str| format!("array_fill({value}, '{{60}}')");
        let (done, delay, error) = (each("'done'::text"), each("0::float8"), each("null::text"));
        let (result, duration, uncertain, attempt) = (each(result), each("0.2::float8"), each("false"), each("1"));
        let settle = explain(
            &mut client,
            "text[], int[], uuid[], text[], float8[], jsonb[], text[], float8[], bool[], int[]",
            settle,
            &format!(
                "'{keys}', '{generations}', '{tokens}', {done}, {delay}, {result}, {error}, {duration}, {uncertain}, {attempt}"
            ),
        )
        .await;
        for (name, plan) in [("claim", claim), ("settle", settle)] {
            walk(&plan[0]["Plan"], &mut |node| {
                let relation = node["Relation Name"].as_str().unwrap_or_default();
                let reads_all = node["Node Type"] == "Seq Scan" && node["Actual Loops"] != 0;
                let is_small = ["workers", "queues", "fulfillment_settings"].contains(&relation);
                assert!(!reads_all || is_small, "{name} reads {relation} whole");
                let read = |field: &str| node[field].as_f64().unwrap_or_default();
                let looked_at = (read("Actual Rows") + read("Rows Removed by Filter")) * read("Actual Loops");
                assert!(looked_at < 4000.0, "{name} looks at {looked_at} rows: {node:#}");
            });
        }
    }

    /// Whether a row still asks for what was claimed.
    pub(crate) async fn stands(&self, job: &Job) -> bool {
        self.store.stands(self.queue, &job.key, job.generation, job.token).await.unwrap()
    }

    pub(crate) async fn kill_the_worker(&self) {
        // The test goes on as another worker: a dead one gets nothing.
        self.run(&format!(
            "insert into rowcall.workers (id, host, pid, version, queues, heartbeat_at)
             select gen_random_uuid(), w.host, w.pid, w.version, w.queues, now() - interval '1 minute' from rowcall.workers as w limit 1;
             update {} set claimed_by = (select w.id from rowcall.workers as w order by w.heartbeat_at limit 1)
             where claimed_by is not null",
            self.queue.queue
        ))
        .await;
    }
}

pub(crate) fn sent(message: &str) -> Outcome {
    Outcome::done(Some(
        json!({"message_id": message, "provider": "meta", "text": "It is approved.", "made_by": "template"}),
    ))
}

pub(crate) fn nobody_knows() -> Failure {
    Failure::new(Fault::Unknowable, "nobody answered")
}

#[tokio::test]
async fn an_answer_by_any_sql_asks_for_its_reply_and_rings() {
    let rows = Rows::new().await;
    let (listener, mut connection) = Database::parse(&rows.scratch.url).unwrap().connect().await.unwrap();
    let (sender, mut heard) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut messages = poll_fn(move |context| connection.poll_message(context));
        while let Some(Ok(message)) = messages.next().await {
            if let AsyncMessage::Notification(ring) = message {
                sender.send(ring.payload().to_owned()).unwrap();
            }
        }
    });
    listener.batch_execute("listen rowcall").await.unwrap();

    for status in ["approved", "denied", "edited"] {
        let id = rows.action().await;
        rows.answer(id, status).await;
        assert_eq!(rows.reply_status(id).await, "pending", "{status}");
        assert_eq!(heard.recv().await.unwrap(), "actions");
    }
    rows.run("insert into actions (status) values ('approved')").await;
    assert_eq!(heard.recv().await.unwrap(), "actions");
    let newest = "select concat_ws(' ', reply_status, generation, requested_by is not null) from actions order by id desc limit 1";
    assert_eq!(rows.text(newest).await, "pending 1 t");

    rows.run("insert into actions (status, reply_status) values ('approved', 'sent'), ('pending', null)").await;
    rows.run("update actions set details = '{\"amount\":5}', action_type = 'other'").await;
    assert_eq!(
        rows.text("select sum(generation) from actions").await,
        "4",
        "an import and other columns ask for nothing"
    );
    assert!(heard.try_recv().is_err());
}

#[tokio::test]
async fn an_answer_taken_back_takes_its_reply_back() {
    let rows = Rows::new().await;
    let id = rows.action().await;
    rows.answer(id, "approved").await;
    rows.answer(id, "pending").await;
    assert_eq!(rows.reply_status(id).await, "");
    assert!(rows.claim(10).await.is_empty());
}

#[tokio::test]
async fn a_sent_reply_is_recorded_everywhere_and_in_history_without_its_text() {
    let rows = Rows::new().await;
    let id = rows.action().await;
    rows.run(&format!("update actions set status = 'approved', user_response = 'Enjoy' where id = {id}")).await;
    let job = rows.claim_one().await;
    let payload: Value = job.payload().unwrap();
    assert_eq!(
        payload,
        json!({
            "action_id": id, "action_type": "refund_request", "outcome": "approved", "language": "en",
            "contact": {"phone": "+491500000001", "name": "Ama", "last_inbound_at": null},
            "text": "Great news! Your refund request has been approved. Enjoy",
            "user_response": "Enjoy", "details": null, "approved_template": null, "missing": null
        })
    );
    assert_eq!((job.operation.as_str(), job.attempt, job.max_attempts, job.uncertain), ("reply", 1, 8, false));
    assert_eq!(rows.bubble(id).await, "Processing");

    assert_eq!(rows.settle(job, sent("wamid.1")).await, "done");
    let row = "select concat_ws(' ', reply_status, generation, attempts, claim_token, error_message) from actions";
    assert_eq!(rows.text(row).await, "sent 1 0");
    let response = "select concat_ws('|', response_text, whatsapp_message_id, status, made_by, provider, reference, sent_at is not null) from action_responses";
    assert_eq!(rows.text(response).await, format!("It is approved.|wamid.1|sent|template|meta|actions:{id}:1|t"));
    let messages =
        "select string_agg(concat_ws('|', direction, message_type, content), '; ' order by direction, message_type, id)
        from messages where contact_id is not null";
    assert_eq!(
        rows.text(messages).await,
        "internal|action_indicator|refund request; internal|action_status_update|refund request: Approved; \
         internal|action_status_update|refund request: Sent; outbound|text|It is approved."
    );
    assert_eq!(rows.bubble(id).await, "Sent");
    let history =
        "select concat_ws(' ', settled_as, response ? 'text', response ->> 'message_id') from rowcall.attempts";
    assert_eq!(rows.text(history).await, "done f wamid.1");
}

#[tokio::test]
async fn the_bubble_follows_each_step_and_the_workers_writes_ask_for_nothing() {
    let rows = Rows::new().await;
    for (failure, settled_as, state, reply_status) in [
        (Failure::new(Fault::Throttled, "patience"), "wait", "Denied", "pending"),
        (Failure::new(Fault::Transient, "a hiccup"), "retry", "Denied", "pending"),
        (Failure::new(Fault::Item, "no such number"), "failed", "Failed", "failed"),
        (nobody_knows(), "unknown", "Needs a look", "unknown"),
    ] {
        let id = rows.action().await;
        rows.answer(id, "denied").await;
        let job = rows.claim_one().await;
        assert_eq!(rows.bubble(id).await, "Processing");
        let error = failure.message.clone();
        assert_eq!(rows.settle(job, failure).await, settled_as);
        assert_eq!((rows.bubble(id).await.as_str(), rows.reply_status(id).await.as_str()), (state, reply_status));
        let row = format!("select concat_ws(' ', generation, error_message) from actions where id = {id}");
        assert_eq!(rows.text(&row).await, format!("1 {error}"));
        let detail = "select metadata ->> 'detail' from messages where message_type = 'action_indicator' order by id desc limit 1";
        assert_eq!(rows.text(detail).await, error);
    }
    let told = "select string_agg(metadata ->> 'state', ' ' order by id) from messages where message_type = 'action_status_update'";
    assert_eq!(rows.text(told).await, "Denied Denied Denied Failed Denied Needs a look");
    let parked = "select string_agg(concat_ws(' ', status, response_text), ',') from action_responses";
    assert_eq!(rows.text(parked).await, "unknown ", "what may have gone out is on record");
}

#[tokio::test]
async fn a_bubble_that_is_there_is_used_and_one_held_locked_keeps_nobody_waiting() {
    let rows = Rows::new().await;
    let (contact, actions) = rows.contact(1).await;
    let id = actions[0];
    rows.run(&format!(
        "insert into messages (contact_id, direction, message_type, metadata)
         values ({contact}, 'internal', 'action_indicator', '{{\"action_id\":{id},\"mine\":1}}')"
    ))
    .await;
    rows.answer(id, "approved").await;
    let holder = rows.scratch.client().await;
    holder.batch_execute("begin; update messages set content = 'being edited'").await.unwrap();
    let job = rows.claim_one().await;
    assert_eq!(rows.settle(job, sent("w")).await, "done");
    holder.batch_execute("commit").await.unwrap();
    assert_eq!(rows.bubble(id).await, "", "nobody waited for it");
    assert_eq!(rows.text("select rowcall.repair_actions()").await, "1");
    assert_eq!(rows.bubble(id).await, "Sent");
    let kept = "select metadata ->> 'mine' || count(*) over () from messages where message_type = 'action_indicator'";
    assert_eq!(rows.text(kept).await, "11", "its own metadata stays, and there is no second one");
    assert_eq!(rows.text("select rowcall.repair_actions()").await, "0");
}

#[tokio::test]
async fn an_approval_changed_to_a_denial_before_the_send_sends_only_the_denial() {
    let rows = Rows::new().await;
    let id = rows.action().await;
    rows.answer(id, "approved").await;
    rows.answer(id, "denied").await;
    let job = rows.claim_one().await;
    let payload: Value = job.payload().unwrap();
    assert_eq!((payload["outcome"].as_str(), job.generation), (Some("denied"), 2));
    assert_eq!(rows.settle(job, sent("w")).await, "done");
    assert!(rows.claim(10).await.is_empty());
}

#[tokio::test]
async fn a_denial_while_the_approval_is_sent_is_sent_as_well_and_both_are_on_record() {
    let rows = Rows::new().await;
    let id = rows.action().await;
    rows.answer(id, "approved").await;
    let approval = rows.claim_one().await;
    rows.answer(id, "denied").await;
    assert!(rows.claim(10).await.is_empty(), "one at a time");
    assert_eq!(rows.settle(approval, sent("w1")).await, "superseded");
    assert_eq!((rows.reply_status(id).await.as_str(), rows.bubble(id).await.as_str()), ("pending", "Denied"));
    let denial = rows.claim_one().await;
    assert_eq!((denial.generation, denial.uncertain), (2, false));
    assert_eq!(rows.settle(denial, sent("w2")).await, "done");
    let replies = "select string_agg(reference || ' ' || whatsapp_message_id, ', ' order by id) from action_responses";
    assert_eq!(rows.text(replies).await, format!("actions:{id}:1 w1, actions:{id}:2 w2"));
    assert_eq!(rows.text("select count(*) from messages where direction = 'outbound'").await, "2");
}

#[tokio::test]
async fn a_denial_after_the_send_or_another_text_sends_a_second_message() {
    let rows = Rows::new().await;
    let id = rows.action().await;
    rows.answer(id, "approved").await;
    let job = rows.claim_one().await;
    rows.settle(job, sent("w1")).await;
    rows.answer(id, "denied").await;
    let job = rows.claim_one().await;
    assert_eq!((job.generation, job.uncertain), (2, false));
    rows.settle(job, sent("w2")).await;
    rows.run("update actions set user_response = 'Sorry.'").await;
    let job = rows.claim_one().await;
    let payload: Value = job.payload().unwrap();
    assert_eq!(payload["text"], "I understand your refund request. Sorry.");
}

#[tokio::test]
async fn a_dead_workers_reply_is_uncertain_unless_the_request_has_changed() {
    let rows = Rows::new().await;
    let (same, changed) = (rows.action().await, rows.action().await);
    rows.run("update actions set status = 'approved'").await;
    assert_eq!(rows.claim(10).await.len(), 2);
    rows.answer(changed, "denied").await;
    rows.kill_the_worker().await;
    let mut jobs = rows.claim(10).await;
    jobs.sort_by_key(|job| job.generation);
    let found: Vec<_> = jobs.iter().map(|job| (job.key.clone(), job.uncertain, job.attempt)).collect();
    assert_eq!(found, [(same.to_string(), true, 2), (changed.to_string(), false, 1)]);
    assert_eq!(
        rows.text("select count(*) from rowcall.attempts where settled_as = 'lost' and generation = 1").await,
        "2"
    );
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_gets_the_same_rows_and_spends_no_second_turn() {
    let rows = Rows::new().await;
    let (_, actions) = rows.contact(2).await;
    rows.run("update actions set status = 'approved'").await;
    let claim = Claim {
        limit: 10,
        worker: rows.worker,
        token: Uuid::new_v4(),
        lease: Duration::from_mins(1),
        bounded: false,
        skip: 0,
    };
    for _ in 0..2 {
        let jobs = rows.store.claim(&ACTIONS, claim).await.unwrap();
        let found: Vec<_> = jobs.iter().map(|job| (job.key.clone(), job.uncertain)).collect();
        assert_eq!(found, [(actions[0].to_string(), false)]);
    }
    assert_eq!(rows.text("select turn from rowcall.contact_turns").await, "1");
}

#[tokio::test]
async fn a_contacts_replies_go_out_one_at_a_time_in_the_order_asked() {
    let rows = Rows::new().await;
    let (_, actions) = rows.contact(3).await;
    let other = rows.action().await;
    // Asked in another order than that of the keys.
    for id in [actions[1], actions[2], other] {
        rows.answer(id, "approved").await;
    }
    let mut jobs = rows.claim(10).await;
    let keys: Vec<_> = jobs.iter().map(|job| job.key.clone()).collect();
    assert_eq!(keys, [actions[1].to_string(), other.to_string()]);
    rows.answer(actions[0], "approved").await;
    assert!(rows.claim(10).await.is_empty(), "an older action asked later does not overtake or join");
    let first = jobs.remove(0);

    assert_eq!(rows.settle(first, Failure::new(Fault::Transient, "a hiccup")).await, "retry");
    assert!(rows.claim(10).await.is_empty(), "nothing overtakes a reply that is tried again");
    rows.run(&format!("update actions set next_retry_at = now() where id = {}", actions[1])).await;
    let first = rows.claim_one().await;
    rows.settle(first, sent("w")).await;
    for id in [actions[2], actions[0]] {
        let job = rows.claim_one().await;
        assert_eq!(job.key, id.to_string(), "the next one was called forward");
        rows.settle(job, nobody_knows()).await;
    }
}

#[tokio::test]
async fn a_reply_that_was_asked_anew_while_it_runs_lets_no_other_of_its_contact_in() {
    let rows = Rows::new().await;
    let (_, actions) = rows.contact(2).await;
    rows.run("update actions set status = 'approved'").await;
    let first = rows.claim_one().await;
    rows.answer(actions[0], "denied").await;
    assert!(rows.claim(10).await.is_empty(), "the second is the oldest now, and the first still runs");
    rows.run(&format!("select rowcall.cancel_actions('{}')", actions[0])).await;
    rows.run("update actions set next_retry_at = now()").await;
    assert!(rows.claim(10).await.is_empty(), "taken back, and it still runs");
    assert_eq!(rows.settle(first, sent("w")).await, "superseded");
    assert_eq!(rows.claim_one().await.key, actions[1].to_string());
}

#[tokio::test]
async fn a_claim_that_saw_an_older_turn_takes_nothing() {
    let rows = Arc::new(Rows::new().await);
    rows.contact(2).await;
    rows.run("update actions set status = 'approved'").await;
    let job = rows.claim_one().await;
    rows.settle(job, sent("w")).await;

    // Another claimer moves the turn on, after this one has looked and before it has its turn.
    rows.run("begin; update rowcall.contact_turns set turn = turn + 1").await;
    let slow = Arc::clone(&rows);
    let claim = tokio::spawn(async move { slow.claim(10).await.len() });
    let waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    while rows.scratch.text(&format!("select ({waits})::text")).await == "0" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    rows.run("commit").await;
    assert_eq!(claim.await.unwrap(), 0);
    assert_eq!(rows.claim(10).await.len(), 1);
}

#[tokio::test]
async fn a_contact_gets_five_at_once_and_then_one_in_six_seconds() {
    let rows = Rows::new().await;
    rows.contact(7).await;
    rows.run("update actions set status = 'approved'").await;
    for nth in 1..=5 {
        let job = rows.claim_one().await;
        rows.settle(job, sent(&format!("w{nth}"))).await;
    }
    assert!(rows.claim(10).await.is_empty());
    let due_in = rows.store.next_due(&ACTIONS).await.unwrap().unwrap();
    assert!(due_in > Duration::from_secs(3) && due_in <= Duration::from_secs(6), "{due_in:?}");
    let other = rows.action().await;
    rows.answer(other, "approved").await;
    assert_eq!(rows.claim_one().await.key, other.to_string(), "another contact is not held up");

    rows.run("update rowcall.contact_turns set spent_until = spent_until - interval '6 seconds'").await;
    rows.run("update actions set next_retry_at = now() where reply_status = 'pending'").await;
    let job = rows.claim_one().await;
    rows.settle(job, sent("w6")).await;
    assert!(rows.claim(10).await.is_empty(), "one, and not another burst");
    rows.run("update rowcall.queues set key_interval = null where queue = 'actions'").await;
    rows.run("update actions set next_retry_at = now() where reply_status = 'pending'").await;
    assert_eq!(rows.claim(10).await.len(), 1, "the policy is the row in rowcall.queues");
}

#[tokio::test]
async fn many_claimers_never_give_a_contact_two_turns_at_once() {
    let rows = Arc::new(Rows::new().await);
    rows.run("update rowcall.queues set key_interval = null where queue = 'actions'").await;
    for _ in 0..10 {
        rows.contact(12).await;
    }
    rows.run("update actions set status = 'approved'").await;
    let running: Arc<Mutex<HashSet<String>>> = Arc::default();
    let mut claimers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (rows, running) = (Arc::clone(&rows), Arc::clone(&running));
        claimers.spawn(async move {
            let mut order = Vec::new();
            while rows.text("select count(*) from actions where reply_status = 'pending'").await != "0" {
                for job in rows.claim(3).await {
                    let payload: Value = job.payload().unwrap();
                    let phone = payload["contact"]["phone"].to_string();
                    assert!(running.lock().unwrap().insert(phone.clone()), "two at once for a contact");
                    tokio::task::yield_now().await;
                    order.push(job.key.clone());
                    running.lock().unwrap().remove(&phone);
                    assert_eq!(rows.settle(job, sent("w")).await, "done");
                }
                rows.run("update actions set next_retry_at = now() where held_back and reply_status = 'pending' and claim_token is null").await;
            }
            order
        });
    }
    let claimed: Vec<String> = claimers.join_all().await.into_iter().flatten().collect();
    assert_eq!(claimed.len(), 120);
    assert_eq!(claimed.iter().collect::<HashSet<_>>().len(), 120, "each once");
    let disordered = "select count(*) from (
        select m.id < lag(m.id) over (partition by m.contact_id order by (m.metadata ->> 'action_id')::int) as is_wrong
        from messages as m where m.direction = 'outbound') as o where o.is_wrong";
    assert_eq!(rows.text(disordered).await, "0");
}

#[tokio::test]
async fn ten_thousand_rows_of_one_contact_do_not_slow_the_others_and_no_plan_reads_a_table() {
    let rows = Rows::new().await;
    rows.contact(0).await;
    rows.run(
        "insert into contacts (phone) select '+4916' || lpad(n::text, 8, '0') from generate_series(1, 90000) as n;
         insert into actions (contact_id, status) select 1, 'approved' from generate_series(1, 10000);
         insert into actions (contact_id, status) select id, 'approved' from contacts where id > 1;
         analyze contacts, actions",
    )
    .await;
    assert_eq!(rows.claimed().await.len(), 1, "the first of the crowd, a thousand of which make room");
    let mut looks = 1;
    while rows.claim(60).await.len() < 60 {
        looks += 1;
    }
    assert!(looks <= 10, "{looks}");

    rows.no_plan_reads_a_table("'{\"text\":\"t\"}'::jsonb").await;
}

async fn explain(client: &mut Client, types: &str, sql: &str, values: &str) -> Value {
    client
        .batch_execute(&format!(
            "set plan_cache_mode = force_generic_plan; deallocate all; prepare p ({types}) as {sql}"
        ))
        .await
        .unwrap();
    let rows = client.simple_query(&format!("explain (analyze, format json) execute p ({values})")).await.unwrap();
    let text = rows.iter().find_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    serde_json::from_str(&text.unwrap()).unwrap()
}

fn walk(node: &Value, look: &mut impl FnMut(&Value)) {
    look(node);
    for inner in node["Plans"].as_array().into_iter().flatten() {
        walk(inner, look);
    }
}

#[tokio::test]
async fn a_repeated_claim_gives_the_same_rows_under_the_tokens_that_settle_them() {
    let rows = Rows::new().await;
    let (lost, fresh) = (rows.action().await, rows.action().await);
    rows.answer(lost, "approved").await;
    assert_eq!(rows.claim_one().await.key, lost.to_string());
    rows.kill_the_worker().await;
    rows.answer(fresh, "approved").await;
    let claim = Claim {
        limit: 10,
        worker: rows.worker,
        token: Uuid::new_v4(),
        lease: Duration::from_mins(1),
        bounded: false,
        skip: 0,
    };
    for nth in 1..=2 {
        let mut jobs = rows.store.claim(&ACTIONS, claim).await.unwrap();
        jobs.sort_by_key(|job| job.key != lost.to_string());
        let found: Vec<_> = jobs.iter().map(|job| (job.uncertain, job.token == claim.token, job.attempt)).collect();
        assert_eq!(found, [(true, false, 2), (false, true, 1)], "claim {nth}");
        if nth == 2 {
            for job in jobs {
                assert_eq!(rows.settle(job, sent("w")).await, "done");
            }
        }
    }
    assert_eq!(rows.text("select count(*) from rowcall.attempts where settled_as = 'lost'").await, "1");
}

#[tokio::test]
async fn a_row_that_refuses_its_claim_is_passed_over_and_a_dead_worker_gets_none() {
    let rows = Rows::new().await;
    let (refusing, next) = (rows.action().await, rows.action().await);
    for id in [refusing, next] {
        rows.answer(id, "approved").await;
    }
    rows.run(&format!(
        "create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$;
         create trigger refuse before update of claim_token on actions for each row when (new.id = {refusing})
         execute function refuse()"
    ))
    .await;
    let claim = Claim {
        limit: 1,
        worker: rows.worker,
        token: Uuid::new_v4(),
        lease: Duration::from_mins(1),
        bounded: false,
        skip: 0,
    };
    assert!(rows.store.claim(&ACTIONS, claim).await.unwrap_err().is_about_data());
    rows.run("update rowcall.workers set heartbeat_at = now() - interval '1 minute'").await;
    assert!(rows.store.claim(&ACTIONS, Claim { skip: 1, ..claim }).await.unwrap().is_empty());
    rows.run("update rowcall.workers set heartbeat_at = now() + interval '1 hour'").await;
    let jobs = rows.store.claim(&ACTIONS, Claim { skip: 1, ..claim }).await.unwrap();
    assert_eq!(jobs.iter().map(|job| job.key.clone()).collect::<Vec<_>>(), [next.to_string()]);
}
