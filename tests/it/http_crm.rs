//! Document 4 over HTTP: the jobs by hand, one row run now, and the webhooks of both CRMs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::RequestBuilder;
use ring::hmac;
use rowcall::connections::Connections;
use rowcall::failure::{Failure, Fault};
use rowcall::http::webhooks::Secrets;
use rowcall::http::{Limits, Settings};
use rowcall::outcome::Outcome;
use rowcall::readiness::Readiness;
use rowcall::store::connect::Database;
use rowcall::store::queues::CRM_SYNC_QUEUE;
use rowcall::worker;
use serde_json::{Value, json};

use crate::scratch::Scratch;
use crate::web::{ADMIN, COMMERCE7_LOGIN, READER, SHOPIFY_SECRET, Web, json, locked, open, read, refused, told};
use crate::worker::{NEVER, Scripted, TestWorker};

/// A shop and a tenant with a tier from 100, a member of the shop whose enrollment is over, and as many rows to sync as asked.
async fn scratch(rows: usize) -> Scratch {
    let scratch = Scratch::migrated().await;
    scratch
        .sql(&format!(
            "insert into clients (crm_type, tenant, shop) values ('shopify', null, 'one'), ('commerce7', 'north', null);
             insert into club_stages (client_id, name, threshold, tag, crm_club_id) select id, 'Silver', 100, 'Silver', 'c' from clients;
             insert into rowcall.targets (target, part_of) values ('shopify:one', 'crm');
             insert into customers (client_id, email, is_member) select 1, 'c' || n || '@example.com', true from generate_series(1, {rows}) as n;
             insert into enrollments (customer_id, stage_id, expires_at) select id, 1, now() - interval '1 hour' from customers;
             insert into crm_sync_queue (client_id, customer_id, enrollment_id, action_type, stage_id)
             select 1, id, id, 'add_membership', 1 from customers"
        ))
        .await;
    scratch
}

fn serving(scratch: &Scratch, scripted: Arc<Scripted>) -> TestWorker {
    let database = || Database::parse(&scratch.url).unwrap();
    let settings = worker::Settings {
        database: database(),
        listen: database(),
        connections: Connections::default(),
        sweep: NEVER,
        grace: Duration::from_secs(20),
        monitor: None,
        readiness: Readiness::default(),
    };
    TestWorker::of(&CRM_SYNC_QUEUE, settings, scripted)
}

/// Waits until the worker has made itself known.
async fn known(scratch: &Scratch) {
    let began = Instant::now();
    while scratch.text("select count(*)::text from rowcall.workers").await == "0" {
        assert!(began.elapsed() < Duration::from_secs(30), "a worker");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_jobs_run_by_hand_as_the_document_says() {
    let scratch = scratch(2).await;
    let web = Web::start(&scratch, open()).await;
    let form = |body: &str| {
        web.post("/api/cron").header("content-type", "application/x-www-form-urlencoded").body(body.to_owned())
    };
    let (status, body) = told(form("action=test")).await;
    assert_eq!((status, &body["result"]["would_expire"], &body["result"]["would_queue"]), (200, &json!(2), &json!(2)));
    assert_eq!(body["result"]["first"][0]["stage"], "Silver");
    assert_eq!(scratch.text("select count(*)::text from enrollments where status = 'expired'").await, "0");
    let (status, body) = told(form("action=trigger&job=process-expired-enrollments")).await;
    assert_eq!(
        (status, body),
        (
            200,
            json!({"success": true, "job": "process-expired-enrollments", "result": {"expired": 2, "customers_updated": 2, "queued": 2}})
        )
    );
    let (status, body) = told(form("action=sync")).await;
    assert_eq!((status, &body["result"]["processed"]), (200, &json!(0)));
    let (status, body) = told(json(web.post("/api/cron"), &json!({"action": "trigger"}))).await;
    assert_eq!((status, &body["result"]["expired"]), (200, &json!(0)), "JSON is taken too");
    let (status, body) = told(web.get("/api/cron")).await;
    assert_eq!(
        (status, &body["jobs"][0]["jobname"], &body["jobs"][0]["schedule"]),
        (200, &json!("process-expired-enrollments"), &json!("0 2 * * *"))
    );
    assert_eq!((&body["queue"], &body["runs"]), (&json!({"pending": 4}), &json!([])));

    for (wrong, field) in [("action=drop", "action"), ("", "action"), ("action=trigger&job=drop-everything", "job")] {
        let (status, body) = told(form(wrong)).await;
        assert_eq!((status, &body["error"]["fields"]), (400, &json!([field])), "{body}");
        assert!(body["error"]["hint"].is_string(), "{body}");
    }
    assert_eq!(refused(web.post("/api/cron").body("action=sync")).await, (415, "not_json".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_without_a_token_runs_anything() {
    let scratch = scratch(1).await;
    let web = Web::start(&scratch, locked()).await;
    let form =
        || web.post("/api/cron").header("content-type", "application/x-www-form-urlencoded").body("action=trigger");
    let sync = || json(web.post("/api/cron/sync"), &json!({"queueId": 1}));
    for request in [form(), sync(), form().bearer_auth("wrong"), web.get("/api/cron")] {
        assert_eq!(refused(request).await, (401, "unauthenticated".to_owned()));
    }
    for request in [form(), sync()] {
        assert_eq!(refused(request.bearer_auth(READER)).await, (403, "forbidden".to_owned()));
    }
    assert_eq!(told(web.get("/api/cron").bearer_auth(READER)).await.0, 200);
    assert_eq!(scratch.text("select count(*)::text from enrollments where status = 'expired'").await, "0");
    assert_eq!(told(form().bearer_auth(ADMIN)).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_row_is_run_now_and_its_true_outcome_is_the_answer() {
    let scratch = scratch(4).await;
    // Nothing runs by itself: every row waits for an hour.
    scratch.sql("update crm_sync_queue set next_retry_at = now() + interval '1 hour'").await;
    let scripted = Scripted::new(|seen| match seen.key.as_str() {
        "1" => Outcome::done(Some(json!({"crm_customer_id": "7", "crm_membership_id": "m-7"}))),
        "2" => Failure::new(Fault::Item, "Shopify knows no such customer").into(),
        "3" => Failure::new(Fault::Transient, "a hiccup").into(),
        _ => Failure::new(Fault::Throttled, "patience").after(Duration::from_secs(30)).into(),
    });
    let _worker = serving(&scratch, scripted.clone());
    let web = Web::start(&scratch, open()).await;
    let sync = |body: Value| json(web.post("/api/cron/sync"), &body);

    // What the documented caller sends, and what it says of the row is true.
    let body = json!({"queueId": 1, "clientId": 1, "actionType": "add_membership", "crmType": "shopify", "tenantShop": "one",
        "stageId": 1, "clubId": null, "customerCrmId": null, "oldStageId": null});
    known(&scratch).await;
    let (status, answer) = told(sync(body)).await;
    assert_eq!(
        (status, &answer["success"], &answer["status"], &answer["membershipId"]),
        (200, &json!(true), &json!("completed"), &json!("m-7")),
        "{answer}"
    );
    assert_eq!(told(sync(json!({"queueId": "1"}))).await.0, 200, "it is done already, and not done again");

    for again in 1..=2 {
        let (status, answer) = told(sync(json!({"queueId": 2}))).await;
        assert_eq!(
            (status, &answer["status"], &answer["error"]["message"]),
            (422, &json!("failed"), &json!("Shopify knows no such customer")),
            "{again}"
        );
    }
    let response = sync(json!({"queueId": 3})).send().await.unwrap();
    let wait: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    let (status, answer) = read(response).await;
    assert_eq!(
        (status, &answer["status"], &answer["attempts"], &answer["success"]),
        (503, &json!("pending"), &json!(1), &json!(false))
    );
    assert!((50..=70).contains(&wait), "{wait}");
    let (status, answer) = told(sync(json!({"queueId": 4}))).await;
    assert_eq!((status, &answer["error"]["message"], &answer["attempts"]), (503, &json!("patience"), &json!(0)));
    let keys: Vec<String> = scripted.seen().into_iter().map(|seen| seen.key).collect();
    assert_eq!(keys, ["1", "2", "2", "3", "4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_does_not_end_in_time_is_to_be_watched() {
    let scratch = scratch(1).await;
    let held = Scripted::held();
    let _worker = serving(&scratch, held.clone());
    let limits = Limits { answer: Duration::from_millis(1500), ..Limits::default() };
    let web = Web::start(&scratch, Settings { limits, ..open() }).await;
    held.begun(1).await;
    let (status, answer) = told(json(web.post("/api/cron/sync"), &json!({"queueId": 1}))).await;
    assert_eq!(
        (status, &answer["status"], &answer["error"]["code"]),
        (202, &json!("processing"), &json!("not_ended")),
        "{answer}"
    );
    assert_eq!(answer["error"]["hint"], "watch it: GET /api/history?queue=crm_sync_queue&key=1");
    held.release(1);
    let (status, _) = told(json(web.post("/api/cron/sync"), &json!({"queueId": 1}))).await;
    assert_eq!(status, 200);
    assert_eq!(held.seen().len(), 1, "it was watched, not begun a second time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_cannot_run_now_says_why_at_once() {
    let scratch = scratch(1).await;
    let web = Web::start(&scratch, open()).await;
    let sync = |body: Value| json(web.post("/api/cron/sync"), &body);
    let (status, answer) = told(sync(json!({"queueId": 1}))).await;
    assert_eq!(
        (status, &answer["error"]["message"]),
        (503, &json!("no live worker serves crm_sync_queue: start one with rowcall run"))
    );
    // Before there is anybody who would run it.
    scratch
        .sql("update rowcall.targets set state = 'open', reason = 'the login is refused', next_probe_at = now() + interval '1 hour' where target = 'shopify:one'")
        .await;
    let _worker = serving(&scratch, Scripted::done());
    let message = "shopify:one is probed first: the login is refused";
    known(&scratch).await;
    let (status, answer) = told(sync(json!({"queueId": 1}))).await;
    assert_eq!((status, &answer["error"]["message"]), (503, &json!(message)));
    scratch
        .sql("update rowcall.targets set state = 'closed', next_probe_at = null; update crm_sync_queue set next_retry_at = now() + interval '1 hour';
              insert into crm_sync_queue (client_id, customer_id, enrollment_id, action_type, stage_id) select 1, id, id, 'cancel_membership', 1 from customers")
        .await;
    let (status, answer) = told(sync(json!({"queueId": 2}))).await;
    let message = "row 1 of the same customer goes first, and is tried again by itself";
    assert_eq!((status, &answer["error"]["message"]), (503, &json!(message)));
    scratch.sql("select rowcall.pause('crm_sync_queue', 'the season is over')").await;
    let (_, answer) = told(sync(json!({"queueId": 1}))).await;
    assert_eq!(answer["error"]["message"], "crm_sync_queue is paused: the season is over");

    assert_eq!(refused(sync(json!({"queueId": 99}))).await, (404, "not_found".to_owned()));
    assert_eq!(refused(sync(json!({"queueId": "';--"}))).await, (404, "not_found".to_owned()));
    for (body, fields) in [
        (json!({}), json!(["queueId"])),
        (json!({"queueId": 1, "clientId": 2, "actionType": "cancel_membership"}), json!(["clientId", "actionType"])),
        (json!({"queueId": 1, "crmType": "commerce7"}), json!(["crmType"])),
    ] {
        let (status, answer) = told(sync(body)).await;
        assert_eq!((status, &answer["error"]["fields"]), (400, &fields), "{answer}");
    }
}

fn order() -> Value {
    json!({"id": 820_982_911, "email": "ama@example.com", "total_price": "150.00", "currency": "USD", "financial_status": "paid",
        "updated_at": "2026-03-01T10:00:00Z", "customer": {"id": 115, "email": "ama@example.com", "first_name": "Ama"}})
}

fn signature(body: &str, secret: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    BASE64_STANDARD.encode(hmac::sign(&key, body.as_bytes()))
}

fn shopify(web: &Web, webhook: &str, body: &str, signature: &str) -> RequestBuilder {
    web.post("/webhooks/shopify")
        .header("x-shopify-topic", "orders/paid")
        .header("x-shopify-shop-domain", "one.myshopify.com")
        .header("x-shopify-webhook-id", webhook)
        .header("x-shopify-hmac-sha256", signature)
        .body(body.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn shopifys_signature_decides_and_a_replay_counts_once() {
    let scratch = scratch(0).await;
    let web = Web::start(&scratch, locked()).await;
    let body = order().to_string();
    let right = signature(&body, SHOPIFY_SECRET);
    let forged = order().to_string().replace("150.00", "950.00");
    for (body, signature) in [
        (body.as_str(), ""),
        (&body, "AAAA"),
        (&body, &*signature(&body, "another secret")),
        (&body, &*right.to_lowercase()),
        (&forged, &right),
    ] {
        assert_eq!(
            refused(shopify(&web, "w1", body, signature)).await,
            (401, "unauthenticated".to_owned()),
            "{signature}"
        );
    }
    let nothing = "select concat_ws(' ', (select count(*) from crm_orders), (select count(*) from customers), (select count(*) from rowcall.crm_notices))";
    assert_eq!(scratch.text(nothing).await, "0 0 0");

    assert_eq!(told(shopify(&web, "w1", &body, &right)).await, (200, json!({"answer": "enrolled in Silver"})));
    assert_eq!(told(shopify(&web, "w1", &body, &right)).await, (200, json!({"answer": "known already"})));
    let queued = "select string_agg(concat_ws(' ', action_type, customer_crm_id, status), ', ') from crm_sync_queue";
    assert_eq!(scratch.text(queued).await, "add_membership 115 pending");
    let other_topic = shopify(&web, "w2", &body, &right).header("x-shopify-topic", "products/update");
    assert_eq!(told(other_topic).await.0, 200);
    let unreadable = signature("[]", SHOPIFY_SECRET);
    assert_eq!(refused(shopify(&web, "w3", "[]", &unreadable)).await, (400, "unreadable".to_owned()));
}

/// Which shop tells is not signed: one shop's secret must not speak for another.
#[tokio::test(flavor = "multi_thread")]
async fn a_shops_own_secret_is_good_for_that_shop_only() {
    let scratch = scratch(0).await;
    scratch
        .sql(
            "insert into clients (crm_type, shop) values ('shopify', 'two');
             insert into club_stages (client_id, name, threshold, tag) select id, 'Silver', 100, 'Silver' from clients where shop = 'two';
             insert into rowcall.crm_credentials (client_id, webhook_secret) select id, 'old-one, own-one' from clients where shop = 'two'",
        )
        .await;
    let web = Web::start(&scratch, locked()).await;
    let body = order().to_string();
    let (shared, own) = (signature(&body, SHOPIFY_SECRET), signature(&body, "own-one"));
    let of_two = |webhook: &str, signature: &str| {
        let request = web.post("/webhooks/shopify").header("x-shopify-topic", "orders/paid");
        let request =
            request.header("x-shopify-shop-domain", "TWO.myshopify.com").header("x-shopify-webhook-id", webhook);
        request.header("x-shopify-hmac-sha256", signature).body(body.clone())
    };
    let refusal = (401, "unauthenticated".to_owned());
    assert_eq!(refused(of_two("w1", &shared)).await, refusal);
    assert_eq!(refused(shopify(&web, "w1", &body, &own)).await, refusal);
    assert_eq!(told(of_two("w1", &own)).await, (200, json!({"answer": "enrolled in Silver"})));
    assert_eq!(told(of_two("w1", &signature(&body, "old-one"))).await, (200, json!({"answer": "known already"})));
    assert_eq!(told(shopify(&web, "w1", &body, &shared)).await, (200, json!({"answer": "enrolled in Silver"})));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_of_an_account_that_no_client_has_yet_is_to_come_again() {
    let scratch = scratch(0).await;
    scratch.sql("update clients set shop = 'two' where shop = 'one'").await;
    let web = Web::start(&scratch, locked()).await;
    let body = order().to_string();
    let right = signature(&body, SHOPIFY_SECRET);
    assert_eq!(refused(shopify(&web, "w1", &body, &right)).await, (503, "unknown_account".to_owned()));
    scratch.sql("update clients set shop = 'one' where shop = 'two'").await;
    assert_eq!(told(shopify(&web, "w1", &body, &right)).await, (200, json!({"answer": "enrolled in Silver"})));
}

#[tokio::test(flavor = "multi_thread")]
async fn shopify_has_its_answer_in_time_also_when_somebody_holds_the_row() {
    let scratch = scratch(0).await;
    let web = Web::start(&scratch, locked()).await;
    let body = order().to_string();
    let right = signature(&body, SHOPIFY_SECRET);
    let holder = scratch.client().await;
    holder.batch_execute("begin; select pg_advisory_xact_lock(hashtextextended('rowcall crm 1', 0))").await.unwrap();
    let began = Instant::now();
    assert_eq!(refused(shopify(&web, "w1", &body, &right)).await.0, 503);
    assert!(began.elapsed() < Duration::from_millis(4800), "{:?}", began.elapsed());
    holder.batch_execute("commit").await.unwrap();
    assert_eq!(
        told(shopify(&web, "w1", &body, &right)).await.1,
        json!({"answer": "enrolled in Silver"}),
        "and its repeat counts"
    );
}

fn commerce7(web: &Web, login: (&str, &str), body: &Value) -> RequestBuilder {
    web.post("/webhooks/commerce7").basic_auth(login.0, Some(login.1)).body(body.to_string())
}

fn event(updated_at: &str, user: &str) -> Value {
    json!({"object": "Order", "action": "Update", "tenantId": "north", "user": user,
        "payload": {"id": "7d3c-1", "total": 999_900, "paymentStatus": "Paid", "updatedAt": updated_at, "customerId": "c-1"}})
}

#[tokio::test(flavor = "multi_thread")]
async fn commerce7_is_known_by_its_login_and_its_order_is_asked_for_once_a_change() {
    let scratch = scratch(0).await;
    let web = Web::start(&scratch, locked()).await;
    let first = event("2026-03-01T10:00:00Z", "staff@example.com");
    let (user, password) = COMMERCE7_LOGIN;
    for request in [
        commerce7(&web, (user, "wrong"), &first),
        commerce7(&web, ("wrong", password), &first),
        commerce7(&web, ("", ADMIN), &first),
        web.post("/webhooks/commerce7").bearer_auth(password).body(first.to_string()),
        web.post("/webhooks/commerce7").body(first.to_string()),
    ] {
        assert_eq!(refused(request).await, (401, "unauthenticated".to_owned()));
    }
    assert_eq!(scratch.text("select count(*)::text from crm_orders").await, "0");
    let asked = (200, json!({"answer": "the order is asked for"}));
    assert_eq!(told(commerce7(&web, COMMERCE7_LOGIN, &first)).await, asked);
    assert_eq!(told(commerce7(&web, COMMERCE7_LOGIN, &first)).await.1, json!({"answer": "known already"}));
    let second = event("2026-03-01T11:00:00Z", "staff@example.com");
    assert_eq!(told(commerce7(&web, COMMERCE7_LOGIN, &second)).await, asked);
    let own = event("2026-03-01T12:00:00Z", "our-app");
    assert_eq!(
        told(commerce7(&web, COMMERCE7_LOGIN, &own)).await.1,
        json!({"answer": "ignored: of a kind that asks for nothing"})
    );
    let orders = "select string_agg(concat_ws(' ', crm_order_id, status, generation, total), ', ') from crm_orders";
    assert_eq!(scratch.text(orders).await, "7d3c-1 asked 2", "of what it says, the number is believed");
    assert_eq!(refused(commerce7(&web, COMMERCE7_LOGIN, &json!({}))).await, (400, "unreadable".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_secret_a_webhook_asks_to_come_again() {
    let scratch = scratch(0).await;
    let web = Web::start(&scratch, Settings { webhooks: Secrets::default(), ..locked() }).await;
    let not_configured = (503, "not_configured".to_owned());
    let body = order().to_string();
    assert_eq!(refused(shopify(&web, "w1", &body, &signature(&body, ""))).await, not_configured);
    assert_eq!(refused(commerce7(&web, ("", ""), &event("2026-03-01T10:00:00Z", "x"))).await, not_configured);
}
