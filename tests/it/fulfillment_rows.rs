//! The rows of the queue `fulfillment_logs`, by the store alone: which orders ask for a bundle, what a claim hands out, and what a
//! settled outcome leaves behind. Outcomes are made by hand, as the integration of suppliers words them.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rowcall::failure::{Failure, Fault};
use rowcall::job::Job;
use rowcall::outcome::{Outcome, Verdict};
use rowcall::store::queues::FULFILLMENT_LOGS;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::actions_rows::Rows;
use crate::scratch::Scratch;

/// How the row of an order and the order itself stand, in one line.
const STANDING: &str =
    "select concat_ws(' ', l.status, l.attempt_number || '/' || l.max_attempts, o.fulfillment_status)
    from fulfillment_logs as l join orders as o on o.id = l.order_id";

impl Rows {
    pub(crate) async fn fulfillment() -> Self {
        Self::of(&FULFILLMENT_LOGS, Scratch::migrated().await).await
    }

    /// A paid order of one gigabyte. Returns its key.
    pub(crate) async fn order(&self, phone: &str) -> String {
        self.text_of(&format!(
            "insert into orders (network, phone_number, package, amount) values ('AT-iShare', '{phone}', '1GB', 4.50)
             returning id::text"
        ))
        .await
    }

    /// The one value of a statement that writes.
    pub(crate) async fn text_of(&self, sql: &str) -> String {
        self.client.query_one(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}")).get(0)
    }

    /// How an order's row and the order stand.
    pub(crate) async fn standing(&self, order: &str) -> String {
        self.text(&format!("{STANDING} where o.id = '{order}'")).await
    }

    /// What a column of an order's row says.
    pub(crate) async fn log(&self, order: &str, expression: &str) -> String {
        self.text(&format!("select {expression} from fulfillment_logs as l where order_id = '{order}'")).await
    }

    /// Lets a row's time come, as the clock would.
    pub(crate) async fn now_due(&self, order: &str) {
        self.run(&format!("update fulfillment_logs set retry_after = now() where order_id = '{order}'")).await;
    }

    /// What a report of the default supplier does.
    pub(crate) async fn report(
        &self,
        reference: &str,
        provider: Option<&str>,
        state: &str,
        at: Option<&str>,
    ) -> String {
        let quoted = |text: Option<&str>| text.map_or("null".to_owned(), |text| format!("'{text}'"));
        let (provider, at) = (quoted(provider), quoted(at));
        self.text(&format!(
            "select rowcall.supplier_report('default', '{reference}', {provider}, '{state}', null, null, {at}::timestamptz)"
        ))
        .await
    }
}

fn result(state: &str, provider: Option<&str>) -> Value {
    json!({"state": state, "supplier": "default", "reference": "told", "provider_reference": provider,
        "response": {"status": state}})
}

pub(crate) fn delivered(provider: &str) -> Outcome {
    Outcome::done(Some(result("delivered", Some(provider))))
}

pub(crate) fn accepted(provider: Option<&str>) -> Outcome {
    Outcome {
        verdict: Verdict::Wait,
        delay: Some(Duration::from_mins(1)),
        error: Some("The supplier took the order.".to_owned()),
        ..Outcome::done(Some(result("accepted", provider)))
    }
}

/// A failure with the state that the integration gives it.
pub(crate) fn not_done(failure: Failure, state: &str) -> Outcome {
    Outcome { result: Some(result(state, None)), ..failure.into() }
}

pub(crate) fn refused() -> Outcome {
    not_done(Failure::new(Fault::Transient, "out of stock"), "refused")
}

pub(crate) fn nobody_knows() -> Outcome {
    not_done(Failure::new(Fault::Unknowable, "nobody answered").uncertain(), "unknown")
}

fn payload(job: &Job) -> Value {
    job.payload().unwrap()
}

#[tokio::test]
async fn a_paid_order_gets_its_row_in_the_same_transaction_and_once_for_ever() {
    let rows = Rows::fulfillment().await;
    let first = "insert into orders (network, phone_number, package) values ('AT-iShare', '0261234567', '1GB')";
    assert_eq!(
        rows.text_of(&format!("{first} returning fulfillment_status")).await,
        "pending",
        "the frontend sees it at once"
    );
    let row = "select concat_ws(' ', network, phone_number, package, status, attempt_number, max_attempts, generation,
        retry_after <= now(), requested_by = current_user) from fulfillment_logs";
    assert_eq!(rows.text(row).await, "AT-iShare 0261234567 1GB pending 1 3 1 t t");
    rows.run("update orders set status = 'paid'; update orders set network = 'other'; update orders set network = 'AT-iShare'").await;
    assert_eq!(rows.text("select count(*) from fulfillment_logs").await, "1");

    rows.run("begin").await;
    rows.order("0261234568").await;
    rows.run("rollback").await;
    assert_eq!(rows.text("select count(*) from fulfillment_logs").await, "1", "an order that never was is not bought");
}

#[tokio::test]
async fn only_paid_orders_of_the_network_ask_and_an_import_or_an_old_order_does_not() {
    let rows = Rows::fulfillment().await;
    rows.run(
        "insert into orders (network, phone_number, package, status, fulfillment_status) values
            ('MTN', '0261234567', '1GB', 'pending', null),
            (null, null, null, 'updating', null),
            ('AT-iShare', '0261234567', '1GB', 'cancelled', null),
            ('AT-iShare', '0261234567', '1GB', 'completed', 'success')",
    )
    .await;
    let count = "select count(*) from fulfillment_logs";
    assert_eq!(rows.text(count).await, "0");
    // An order from before: it was of the network and paid already, so a change of its status asks for nothing.
    rows.run(
        "alter table orders disable trigger user;
         insert into orders (network, phone_number, package, status) values ('AT-iShare', '0261234567', '1GB', 'completed');
         alter table orders enable trigger user;
         update orders set status = 'archived' where status = 'completed' and fulfillment_status is null",
    )
    .await;
    assert_eq!(rows.text(count).await, "0");
    rows.run("update orders set network = 'AT-iShare' where network = 'MTN'").await;
    assert_eq!(rows.text(count).await, "1", "it became one of the network");
    rows.run("update orders set status = 'paid' where status = 'cancelled'").await;
    assert_eq!(rows.text(count).await, "2", "it became paid");
}

#[tokio::test]
async fn which_statuses_count_as_paid_is_a_setting_in_sql() {
    let rows = Rows::fulfillment().await;
    rows.run("update rowcall.fulfillment_settings set paid_statuses = '{paid,processing}', unpaid_statuses = '{void}'")
        .await;
    let order = rows.order("0261234567").await;
    let count = "select count(*) from fulfillment_logs";
    assert_eq!((rows.text(count).await.as_str(), rows.standing(&order).await.as_str()), ("0", ""));
    rows.run("update orders set status = 'awaiting'").await;
    assert_eq!(rows.text(count).await, "0");
    rows.run("update orders set status = 'paid'").await;
    assert_eq!(rows.standing(&order).await, "pending 1/3 pending");
    assert_eq!(rows.refusal("insert into rowcall.fulfillment_settings (is_only) values (true)").await.0, "23505");
}

#[tokio::test]
async fn an_order_that_cannot_be_bought_is_taken_and_says_why() {
    let rows = Rows::fulfillment().await;
    for (phone, package, words) in [
        ("null", "'1GB'", "the order has no phone number"),
        ("' '", "'1GB'", "the order has no phone number"),
        ("'0261 call me'", "'1GB'", "the order's phone number is not one"),
        ("'026'", "'1GB'", "the order's phone number is not one"),
        ("'0261234567'", "null", "the order has no package"),
        ("'0261234567'", "E'1GB\\n'", "the order's package is not one"),
    ] {
        let insert = format!(
            "insert into orders (network, phone_number, package) values ('AT-iShare', {phone}, {package}) returning id::text"
        );
        let order = rows.text_of(&insert).await;
        assert_eq!(rows.standing(&order).await, "failed 1/3 failed", "{phone} {package}");
        let error = rows.log(&order, "error_message").await;
        assert!(error.starts_with(words) && error.contains("then retry"), "{error}");
    }
    assert!(rows.claim(10).await.is_empty());
}

#[tokio::test]
async fn nothing_of_ours_can_fail_or_hold_up_the_users_order() {
    let rows = Rows::fulfillment().await;
    rows.run(
        "create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$;
         create trigger refuse before insert on fulfillment_logs for each row execute function refuse()",
    )
    .await;
    let order = rows.order("0261234567").await;
    assert_eq!(rows.text("select count(*) from orders").await, "1", "the order stands");
    rows.run("drop trigger refuse on fulfillment_logs").await;
    let answer = rows.text(&format!("select rowcall.trigger_fulfillment('{order}') ->> 'answer'")).await;
    assert_eq!(answer, format!("order {order} is asked for"));
    // A purchase that runs, and a person who holds its row, are in nobody's way.
    assert_eq!(rows.claim(10).await.len(), 1);
    let holder = rows.scratch.client().await;
    holder.batch_execute("begin; select * from fulfillment_logs for update").await.unwrap();
    rows.run("set lock_timeout = '1s'; update orders set status = 'paid', phone_number = '0261234568'").await;
}

#[tokio::test]
async fn a_claim_hands_out_what_the_supplier_needs_and_shows_it_on_the_order() {
    let rows = Rows::fulfillment().await;
    let order = rows.order("+233261234567").await;
    rows.run("update orders set metadata = '{\"source\": \"web\"}'").await;
    let job = rows.claim_one().await;
    assert_eq!((job.operation.as_str(), job.attempt, job.max_attempts, job.uncertain), ("purchase", 1, 3, false));
    let mut payload = payload(&job);
    for time in ["created_at", "now"] {
        assert!(payload[time].take().as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{time}");
    }
    assert_eq!(
        payload,
        json!({"order_id": order, "reference": order, "phone_number": "+233261234567", "package": "1GB", "amount": "4.50",
            "network": "AT-iShare", "metadata": {"source": "web"}, "supplier": null, "provider_reference": null, "accepted_at": null, "looks": 0,
            "created_at": null, "doubted_at": null, "now": null})
    );
    assert_eq!(rows.standing(&order).await, "processing 1/3 processing");
    assert!(rows.claim(10).await.is_empty());
}

#[tokio::test]
async fn a_delivered_bundle_is_on_the_row_on_the_order_and_in_history() {
    let rows = Rows::fulfillment().await;
    let order = rows.order("0261234567").await;
    let job = rows.claim_one().await;
    assert_eq!(rows.settle(job, delivered("P1")).await, "done");
    assert_eq!(rows.standing(&order).await, "success 1/3 success");
    let row = rows
        .log(
            &order,
            "concat_ws('|', api_response, provider_reference, reference, supplier, fulfilled_at is not null,
        error_message, retry_after, claim_token)",
        )
        .await;
    assert_eq!(row, "{\"status\": \"delivered\"}|P1|told|default|t");
    let history = "select concat_ws(' ', settled_as, attempt, response ->> 'provider_reference') from rowcall.attempts";
    assert_eq!(rows.text(history).await, "done 1 P1");
}

#[tokio::test]
async fn every_verdict_leaves_its_row_and_its_order_as_it_says() {
    let rows = Rows::fulfillment().await;
    let uncertain = Failure::new(Fault::Transient, "it may have arrived").uncertain();
    for (outcome, settled_as, standing, is_due, has_token) in [
        (refused(), "retry", "failed 1/3 failed", true, false),
        (not_done(uncertain, "in_doubt"), "retry", "failed 1/3 failed", true, true),
        (not_done(Failure::new(Fault::Item, "no such number"), "refused"), "failed", "failed 1/3 failed", false, false),
        (
            not_done(Failure::new(Fault::Outage, "the wallet is empty"), "refused"),
            "wait",
            "pending 1/3 pending",
            true,
            false,
        ),
        (
            not_done(Failure::new(Fault::Interrupted, "stopped").uncertain(), "in_doubt"),
            "wait",
            "processing 1/3 processing",
            true,
            true,
        ),
        (accepted(Some("P1")), "wait", "processing 1/3 processing", true, true),
        (nobody_knows(), "unknown", "unknown 1/3 unknown", false, true),
    ] {
        let order = rows
            .order(&format!("02612345{}", 10 + rows.text("select count(*) from orders").await.parse::<i32>().unwrap()))
            .await;
        let error = outcome.error.clone().unwrap();
        let job = rows.claim_one().await;
        assert_eq!(rows.settle(job, outcome).await, settled_as);
        assert_eq!(rows.standing(&order).await, standing, "{error}");
        let row = rows
            .log(&order, "concat_ws('|', retry_after is not null, claim_token is not null, claimed_by, error_message)")
            .await;
        let truth = |fact| if fact { "t" } else { "f" };
        assert_eq!(row, format!("{}|{}|{error}", truth(is_due), truth(has_token)));
        rows.run("update fulfillment_logs set retry_after = now() + interval '1 hour' where retry_after is not null")
            .await;
    }
}

#[tokio::test]
async fn an_accepted_order_is_looked_up_and_spends_no_attempt_by_it() {
    let rows = Rows::fulfillment().await;
    let order = rows.order("0261234567").await;
    let job = rows.claim_one().await;
    rows.settle(job, accepted(Some("P1"))).await;
    let accepted_at = rows.log(&order, "accepted_at").await;
    for looks in 0..3 {
        assert!(rows.claim(10).await.is_empty(), "not before its time");
        rows.now_due(&order).await;
        let job = rows.claim_one().await;
        let payload = payload(&job);
        assert_eq!((job.operation.as_str(), job.attempt), ("look_up", 1));
        assert_eq!((&payload["provider_reference"], &payload["looks"]), (&json!("P1"), &json!(looks)));
        assert_eq!(payload["supplier"], "default");
        assert!(payload["accepted_at"].is_string());
        rows.settle(job, accepted(None)).await;
    }
    assert_eq!(
        rows.log(&order, "concat_ws('|', provider_reference, looks, accepted_at)").await,
        format!("P1|3|{accepted_at}")
    );

    // Neither an outage nor a dead worker makes a purchase of it again, or spends an attempt.
    rows.now_due(&order).await;
    let job = rows.claim_one().await;
    rows.settle(job, Failure::new(Fault::Outage, "down")).await;
    assert_eq!(rows.standing(&order).await, "processing 1/3 processing");
    rows.now_due(&order).await;
    rows.claim_one().await;
    rows.kill_the_worker().await;
    let job = rows.claim_one().await;
    assert_eq!((job.operation.as_str(), job.attempt, job.is_exhausted()), ("look_up", 1, false));
    assert_eq!(rows.settle(job, delivered("P1")).await, "done");
    assert_eq!(rows.standing(&order).await, "success 1/3 success");
}

#[tokio::test]
async fn an_accepted_order_that_came_to_nothing_is_bought_anew() {
    let rows = Rows::fulfillment().await;
    let order = rows.order("0261234567").await;
    let job = rows.claim_one().await;
    rows.settle(job, accepted(Some("P1"))).await;
    rows.now_due(&order).await;
    let job = rows.claim_one().await;
    rows.settle(job, not_done(Failure::new(Fault::Transient, "the network was down"), "failed")).await;
    assert_eq!(rows.standing(&order).await, "failed 1/3 failed");
    rows.now_due(&order).await;
    let job = rows.claim_one().await;
    let payload = payload(&job);
    assert_eq!((job.operation.as_str(), job.attempt, job.uncertain), ("purchase", 2, false));
    assert_eq!(
        (&payload["provider_reference"], &payload["accepted_at"], &payload["looks"]),
        (&Value::Null, &Value::Null, &json!(0))
    );
    let second = payload["reference"].as_str().unwrap().to_owned();
    assert_ne!(second, order, "a supplier that takes each reference once would only tell of the first purchase again");
    assert!(Uuid::try_parse(&second).is_ok());

    // A refusal, and what nobody can tell about, are no purchase that ended: the reference stays.
    rows.settle(job, refused()).await;
    rows.now_due(&order).await;
    let job = rows.claim_one().await;
    assert_eq!(self::payload(&job)["reference"], second);
    assert_eq!(rows.settle(job, nobody_knows()).await, "unknown");
    rows.run(&format!("select rowcall.retry_fulfillment('{order}')")).await;
    let job = rows.claim_one().await;
    assert_eq!((&self::payload(&job)["reference"], job.uncertain), (&json!(second), true));
    assert_eq!(rows.log(&order, "concat_ws(' ', purchase, asked_as)").await, format!("2 {second}"));
}

#[tokio::test]
async fn since_when_nobody_can_tell_is_handed_on_until_somebody_can() {
    let rows = Rows::fulfillment().await;
    let order = rows.order("0261234567").await;
    rows.run("update fulfillment_logs set created_at = now() - interval '2 days'").await;
    let job = rows.claim_one().await;
    assert_eq!(payload(&job)["doubted_at"], Value::Null);
    rows.settle(job, not_done(Failure::new(Fault::Outage, "no answer").uncertain(), "in_doubt")).await;
    let since = rows.log(&order, "doubted_at").await;
    assert_ne!(since, "");
    rows.now_due(&order).await;
    let job = rows.claim_one().await;
    assert!(job.uncertain && payload(&job)["doubted_at"].is_string());
    assert_eq!(rows.log(&order, "doubted_at").await, since);
    rows.settle(job, delivered("P1")).await;
    assert_eq!(rows.log(&order, "doubted_at").await, "");

    let order = rows.order("0261234568").await;
    rows.claim_one().await;
    rows.kill_the_worker().await;
    let job = rows.claim_one().await;
    assert!(job.uncertain && payload(&job)["doubted_at"].is_string(), "{order}");
}

#[tokio::test]
async fn what_the_users_own_triggers_make_of_an_order_counts() {
    let rows = Rows::fulfillment().await;
    rows.run(
        "create function named_late() returns trigger language plpgsql as $$ begin
             new.network := coalesce(new.network, 'AT-iShare');
             if new.metadata ? 'paid' then new.status := 'paid'; end if;
             return new;
         end $$;
         create trigger named_late before insert or update on orders for each row execute function named_late();
         update rowcall.fulfillment_settings set paid_statuses = '{paid}'",
    )
    .await;
    let order = "insert into orders (phone_number, package) values ('0261234567', '1GB') returning id::text";
    let order = rows.text_of(order).await;
    assert_eq!(rows.text("select count(*) from fulfillment_logs").await, "0");
    rows.run("update orders set metadata = '{\"paid\": true}'").await;
    assert_eq!(rows.standing(&order).await, "pending 1/3 pending", "though the statement named neither column");
}

#[tokio::test]
async fn an_order_that_was_taken_back_and_is_paid_again_is_bought() {
    let rows = Rows::fulfillment().await;
    let order = rows.order("0261234567").await;
    rows.run("update orders set status = ' Cancelled '").await;
    assert!(rows.claim(10).await.is_empty(), "in capitals too");
    assert_eq!(rows.standing(&order).await, "failed 1/3 failed");
    rows.run("update orders set status = 'paid'").await;
    assert_eq!(rows.standing(&order).await, "pending 1/3 pending");
    let job = rows.claim_one().await;
    assert_eq!((job.operation.as_str(), job.uncertain), ("purchase", false));

    // What failed for another reason is not bought by that.
    rows.settle(job, not_done(Failure::new(Fault::Item, "no such number"), "refused")).await;
    rows.run("update orders set status = 'cancelled'; update orders set status = 'paid'").await;
    assert_eq!(rows.standing(&order).await, "failed 1/3 failed");
}

#[tokio::test]
async fn a_purchase_stands_only_while_its_order_is_as_it_was_claimed() {
    for (change, is_left) in [
        ("status = 'cancelled'", false),
        ("network = 'another'", false),
        ("phone_number = '0261234568'", false),
        ("package = '2GB'", false),
        ("package = null", false),
        ("customer = 'Ada', metadata = '{}'", true),
    ] {
        let rows = Rows::fulfillment().await;
        rows.order("0261234567").await;
        let job = rows.claim_one().await;
        assert!(rows.stands(&job).await);
        rows.run(&format!("update orders set {change}")).await;
        assert_eq!(rows.stands(&job).await, is_left, "{change}");
    }
    // What may have been bought goes by the row.
    let rows = Rows::fulfillment().await;
    let order = rows.order("0261234567").await;
    rows.claim_one().await;
    rows.kill_the_worker().await;
    let job = rows.claim_one().await;
    rows.run("update orders set package = '2GB'").await;
    assert!(job.uncertain && rows.stands(&job).await);
    rows.settle(job, accepted(Some("P1"))).await;
    rows.run("update orders set status = 'cancelled'").await;
    rows.now_due(&order).await;
    let job = rows.claim_one().await;
    assert!(rows.stands(&job).await, "it is with its supplier");
}

#[tokio::test]
async fn a_lost_purchase_is_uncertain_counted_and_after_the_last_one_unknown() {
    let rows = Rows::fulfillment().await;
    let order = rows.order("0261234567").await;
    assert_eq!(rows.claim_one().await.attempt, 1);
    for attempt in [2, 3] {
        rows.kill_the_worker().await;
        let job = rows.claim_one().await;
        assert_eq!((job.attempt, job.uncertain, job.is_exhausted()), (attempt, true, false));
        assert_eq!(rows.standing(&order).await, format!("processing {attempt}/3 processing"));
    }
    rows.kill_the_worker().await;
    let job = rows.claim_one().await;
    assert!(job.is_exhausted() && job.uncertain, "the worker runs nothing, and ends it");
    rows.settle_unstarted(job, nobody_knows()).await;
    assert_eq!(rows.standing(&order).await, "unknown 3/3 unknown");
    let history = "select string_agg(attempt || ' ' || settled_as, ', ' order by id) from rowcall.attempts";
    assert_eq!(rows.text(history).await, "1 lost, 2 lost, 3 lost, 4 unknown");
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_gives_the_same_rows_under_the_tokens_that_settle_them() {
    let rows = Rows::fulfillment().await;
    let (lost, fresh, again) =
        (rows.order("0261234501").await, rows.order("0261234502").await, rows.order("0261234503").await);
    rows.run(&format!(
        "update fulfillment_logs set retry_after = now() + interval '1 hour' where order_id in ('{fresh}', '{again}')"
    ))
    .await;
    rows.claim_one().await;
    rows.kill_the_worker().await;
    rows.now_due(&again).await;
    let token = Uuid::new_v4();
    rows.run(&format!("update fulfillment_logs set status = 'failed' where order_id = '{again}'")).await;
    rows.run(&format!("update fulfillment_logs set retry_after = now() where order_id in ('{fresh}', '{again}')"))
        .await;
    for nth in 1..=2 {
        let mut jobs = rows.claim_under(token, 10).await;
        jobs.sort_by_key(|job| payload(job)["phone_number"].to_string());
        let found: Vec<_> = jobs.iter().map(|job| (job.uncertain, job.token == token, job.attempt)).collect();
        assert_eq!(found, [(true, false, 2), (false, true, 1), (false, true, 2)], "claim {nth}");
        if nth == 2 {
            for job in jobs {
                assert_eq!(rows.settle(job, delivered("P")).await, "done");
            }
        }
    }
    for order in [lost, fresh, again] {
        assert!(rows.standing(&order).await.starts_with("success"));
    }
    assert_eq!(rows.text("select count(*) from rowcall.attempts where settled_as = 'lost'").await, "1");
}

#[tokio::test]
async fn a_stale_token_settles_nothing_and_a_held_row_or_order_keeps_nobody_waiting() {
    let rows = Rows::fulfillment().await;
    let order = rows.order("0261234567").await;
    let other = rows.order("0261234568").await;
    let stale = rows.claim_under(Uuid::new_v4(), 1).await.remove(0);
    rows.kill_the_worker().await;
    let holder = rows.scratch.client().await;
    for held in ["fulfillment_logs where order_id", "orders where id"] {
        holder.batch_execute(&format!("begin; select * from {held} = '{order}' for update")).await.unwrap();
        let jobs = rows.claim(10).await;
        assert!(jobs.iter().all(|job| payload(job)["order_id"] != order.as_str()), "{held}");
        if let Some(job) = jobs.into_iter().next() {
            rows.settle(job, delivered("P2")).await;
        }
        holder.batch_execute("commit").await.unwrap();
    }
    assert!(rows.standing(&other).await.starts_with("success"));
    let job = rows.claim_one().await;
    assert_eq!(rows.settle(stale, delivered("P9")).await, "lost");
    assert_eq!(rows.standing(&order).await, "processing 2/3 processing");

    // The settle too passes over what somebody holds, and is offered again.
    holder.batch_execute(&format!("begin; select * from orders where id = '{order}' for update")).await.unwrap();
    let settling = tokio::spawn(async move {
        let settled = rows.settle(job, delivered("P1")).await;
        (rows, settled)
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    holder.batch_execute("commit").await.unwrap();
    let (rows, settled) = settling.await.unwrap();
    assert_eq!((settled.as_str(), rows.standing(&order).await.as_str()), ("done", "success 2/3 success"));
}

#[tokio::test]
async fn a_change_of_the_order_counts_until_it_is_bought_and_not_after() {
    let rows = Rows::fulfillment().await;
    let order = rows.order("0261234567").await;
    rows.run("update orders set phone_number = '0261234568', package = '2GB'").await;
    let job = rows.claim_one().await;
    assert_eq!((&payload(&job)["phone_number"], &payload(&job)["package"]), (&json!("0261234568"), &json!("2GB")));
    rows.run("update orders set phone_number = '0261234569', package = '5GB'").await;
    rows.kill_the_worker().await;
    let job = rows.claim_one().await;
    assert!(job.uncertain);
    assert_eq!(
        (&payload(&job)["phone_number"], &payload(&job)["package"]),
        (&json!("0261234568"), &json!("2GB")),
        "it may be bought"
    );
    rows.settle(job, refused()).await;
    rows.now_due(&order).await;
    let job = rows.claim_one().await;
    assert_eq!((&payload(&job)["phone_number"], &payload(&job)["package"]), (&json!("0261234569"), &json!("5GB")));
}

#[tokio::test]
async fn an_order_taken_back_before_its_purchase_is_not_bought() {
    let rows = Rows::fulfillment().await;
    let (fresh, tried, lost, taken) = (
        rows.order("0261234501").await,
        rows.order("0261234502").await,
        rows.order("0261234503").await,
        rows.order("0261234504").await,
    );
    rows.run(&format!(
        "update fulfillment_logs set retry_after = now() + interval '1 hour' where order_id = '{fresh}'"
    ))
    .await;
    for job in rows.claim(10).await {
        let order = payload(&job)["order_id"].as_str().unwrap().to_owned();
        if order == tried {
            rows.settle(job, refused()).await;
        } else if order == taken {
            rows.settle(job, accepted(Some("P4"))).await;
        }
    }
    rows.kill_the_worker().await;
    rows.run("update orders set status = 'cancelled'; update fulfillment_logs set retry_after = now() where retry_after is not null").await;
    let jobs = rows.claim(10).await;
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    assert_eq!(
        (jobs[0].operation.as_str(), &payload(&jobs[0])["order_id"]),
        ("look_up", &json!(taken)),
        "what was taken is followed"
    );
    for (order, standing, words) in [
        (fresh, "failed 1/3 failed", "before anything was bought"),
        (tried, "failed 1/3 failed", "before anything was bought"),
        (lost, "unknown 1/3 unknown", "ask the supplier"),
    ] {
        assert_eq!(rows.standing(&order).await, standing);
        assert!(rows.log(&order, "error_message").await.contains(words), "{order}");
    }
    let history = "select string_agg(settled_as, ' ' order by settled_as) from rowcall.attempts where worker is null";
    assert_eq!(rows.text(history).await, "cancelled cancelled unknown");
    assert!(rows.claim(10).await.is_empty());
}

#[tokio::test]
async fn one_purchase_for_a_number_is_under_way_at_a_time_however_it_is_written() {
    let rows = Rows::fulfillment().await;
    let first = rows.order("0261234567").await;
    let second = rows.order("+233 26 123 4567").await;
    let third = rows.order("233-261-234567").await;
    rows.order("0261234568").await;
    let jobs = rows.claim(10).await;
    assert_eq!(jobs.len(), 2, "one of each number");
    assert!(rows.claim(10).await.is_empty());
    for job in jobs {
        rows.settle(job, accepted(Some("P"))).await;
    }
    assert!(rows.claim(10).await.is_empty(), "accepted is not delivered: it is under way still");
    let reason = format!(
        "select reason from rowcall.work as w join fulfillment_logs as l on l.id::text = w.key where l.order_id = '{second}'"
    );
    assert_eq!(rows.text(&reason).await, "an earlier purchase for the same number goes first");

    rows.now_due(&first).await;
    let job = rows.claim_one().await;
    rows.settle(job, refused()).await;
    let job = rows.claim_one().await;
    assert_eq!(
        payload(&job)["order_id"],
        second.as_str(),
        "called forward; what waits for its next attempt holds up nobody"
    );
    rows.now_due(&first).await;
    assert!(rows.claim(10).await.is_empty(), "and has to wait itself meanwhile");
    rows.settle(job, nobody_knows()).await;
    let job = rows.claim_one().await;
    assert_eq!(payload(&job)["order_id"], first.as_str(), "oldest first");
    rows.settle(job, delivered("P2")).await;
    assert_eq!(payload(&rows.claim_one().await)["order_id"], third.as_str());
}

#[tokio::test]
async fn a_claim_that_saw_an_older_turn_buys_nothing() {
    let rows = Arc::new(Rows::fulfillment().await);
    rows.order("0261234567").await;
    let job = rows.claim_one().await;
    rows.settle(job, delivered("P")).await;
    rows.order("0261234567").await;
    // Another claimer moves the turn on, after this one has looked and before it has its turn.
    rows.run("begin; update rowcall.number_turns set turn = turn + 1").await;
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
async fn many_claimers_never_buy_twice_for_a_number_at_once() {
    let rows = Arc::new(Rows::fulfillment().await);
    rows.run(
        "insert into orders (network, phone_number, package)
         select 'AT-iShare', '02612345' || (10 + n % 8), '1GB' from generate_series(1, 96) as n",
    )
    .await;
    let running: Arc<Mutex<HashSet<String>>> = Arc::default();
    let mut claimers = tokio::task::JoinSet::new();
    for nth in 0..4 {
        let (rows, running) = (Arc::clone(&rows), Arc::clone(&running));
        claimers.spawn(async move {
            let mut bought = Vec::new();
            while rows.text("select count(*) from fulfillment_logs where status <> 'success'").await != "0" {
                for job in rows.claim(3).await {
                    let number = payload(&job)["phone_number"].to_string();
                    assert!(running.lock().unwrap().insert(number.clone()), "two at once for a number");
                    tokio::task::yield_now().await;
                    bought.push(job.key.clone());
                    running.lock().unwrap().remove(&number);
                    let fails = (bought.len() + nth).is_multiple_of(7) && job.attempt == 1;
                    rows.settle(job, if fails { refused() } else { delivered("P") }).await;
                }
                rows.run(
                    "update fulfillment_logs set retry_after = now() where retry_after > now() and claimed_by is null",
                )
                .await;
            }
            bought
        });
    }
    let bought: Vec<String> = claimers.join_all().await.into_iter().flatten().collect();
    assert_eq!(bought.iter().collect::<HashSet<_>>().len(), 96);
    let retried = rows.text("select count(*) from rowcall.attempts where settled_as = 'retry'").await;
    assert_eq!(bought.len(), 96 + retried.parse::<usize>().unwrap(), "each once, but for those that were refused");
}

#[tokio::test]
async fn a_second_order_of_the_same_number_and_volume_within_ten_minutes_is_done_and_marked() {
    let rows = Rows::fulfillment().await;
    let ask = async |phone: &str, package: &str| {
        let order = rows.order(phone).await;
        rows.run(&format!("update orders set package = '{package}' where id = '{order}'")).await;
        let job = rows.claim_one().await;
        rows.settle(job, delivered("P")).await;
        assert!(rows.standing(&order).await.starts_with("success"));
        let marked = rows.log(&order, "duplicate_of").await;
        (order, marked)
    };
    let (first, marked) = ask("0261234567", "1GB").await;
    assert_eq!(marked, "");
    assert_eq!(
        ask("+233261234567", "1000 MB").await.1,
        first,
        "the same size in other words, the same number in others"
    );
    assert_eq!(ask("0261234567", "2GB").await.1, "", "another size");
    assert_eq!(ask("0261234568", "1GB").await.1, "", "another number");
    rows.run("update fulfillment_logs set created_at = created_at - interval '11 minutes'").await;
    assert_eq!(ask("0261234567", "1GB").await.1, "", "another occasion");
    let refused_order = rows.order("0261234569").await;
    let job = rows.claim_one().await;
    rows.settle(job, not_done(Failure::new(Fault::Item, "no"), "refused")).await;
    assert!(rows.standing(&refused_order).await.starts_with("failed"));
    assert_eq!(ask("0261234569", "1GB").await.1, "", "the first one was never bought");
}

#[tokio::test]
async fn a_persons_own_sql_is_a_request_that_verifies_what_may_have_been_bought() {
    let rows = Rows::fulfillment().await;
    let order = rows.order("0261234567").await;
    let job = rows.claim_one().await;
    rows.run("update fulfillment_logs set status = 'failed'").await;
    assert_eq!(rows.standing(&order).await, "failed 1/3 failed", "what a person stops is stopped");
    assert_eq!(rows.log(&order, "concat_ws(' ', generation, retry_after)").await, "2");
    assert_eq!(rows.settle(job, accepted(Some("P1"))).await, "superseded");
    assert_eq!(rows.standing(&order).await, "failed 1/3 failed");
    assert_eq!(rows.log(&order, "provider_reference").await, "P1", "what is known of it is kept");
    rows.run("update fulfillment_logs set status = 'pending'").await;
    let job = rows.claim_one().await;
    assert_eq!((job.operation.as_str(), job.uncertain), ("look_up", true), "looked up, and not bought again");
    rows.run("update fulfillment_logs set status = 'failed'").await;
    assert_eq!(rows.settle(job, delivered("P1")).await, "superseded");
    assert_eq!(rows.standing(&order).await, "success 1/3 success", "delivered is delivered");
    rows.run("update fulfillment_logs set status = 'pending'").await;
    assert!(rows.claim_one().await.uncertain, "even a success is not simply bought again");
}

#[tokio::test]
async fn thousands_of_orders_of_one_number_do_not_hold_up_the_others_and_no_plan_reads_a_table() {
    let rows = Rows::fulfillment().await;
    // What is done already, of the same numbers.
    rows.run(
        "alter table orders disable trigger user; alter table fulfillment_logs disable trigger user;
         insert into orders (network, phone_number, package, created_at)
         select 'AT-iShare', '025' || lpad((n % 2000 + 1)::text, 7, '0'), '1GB', now() - interval '1 day' from generate_series(1, 40000) as n;
         insert into fulfillment_logs (order_id, network, phone_number, package, status, retry_after, created_at)
         select id, network, phone_number, package, 'success', null, created_at from orders;
         alter table orders enable trigger user; alter table fulfillment_logs enable trigger user",
    )
    .await;
    for (number, count) in [("'0261234567'", 4000), ("'025' || lpad(n::text, 7, '0')", 2000)] {
        rows.run(&format!(
            "insert into orders (network, phone_number, package)
             select 'AT-iShare', {number}, '1GB' from generate_series(1, {count}) as n"
        ))
        .await;
    }
    rows.run("analyze").await;
    assert_eq!(rows.claim(60).await.len(), 1, "the first of the crowd, a thousand of which make room");
    let mut looks = 1;
    while rows.claim(60).await.len() < 60 {
        looks += 1;
    }
    assert!(looks <= 4, "{looks}");
    let numbers = "select count(distinct phone_number) from fulfillment_logs where status = 'processing'";
    assert_eq!(rows.text(numbers).await, "61");
    rows.no_plan_reads_a_table("'{\"state\": \"delivered\"}'::jsonb").await;
}
