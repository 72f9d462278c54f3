//! Document 1 over HTTP: what its curl users ask for stands on the row; what is wrong is named; and what is asked twice under one
//! `Idempotency-Key` is done once.

use std::time::Duration;

use reqwest::RequestBuilder;
use rowcall::http::auth::Keys;
use rowcall::http::jwt::Jwt;
use rowcall::http::{Limits, Settings};
use rowcall::store::Store;
use rowcall::store::connect::{Database, Session};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::http_auth::{SECRET, hs256, now};
use crate::scratch::Scratch;
use crate::web::{ADMIN, READER, Web, json, locked, open, refused, told};

const ROW: &str = "select to_jsonb(c)::text from public.codes as c where code = 'TEST-123'";

async fn value(scratch: &Scratch, sql: &str) -> Value {
    serde_json::from_str(&scratch.text(sql).await).unwrap()
}

fn create(web: &Web) -> RequestBuilder {
    json(web.post("/api/actions/codes/create"), &json!({"code": "TEST-123", "discount_percent": 20}))
}

fn keyed(request: RequestBuilder, key: &str) -> RequestBuilder {
    request.header("idempotency-key", key)
}

#[tokio::test]
async fn the_curls_of_document_1_work() {
    let scratch = Scratch::migrated().await;
    let web = Web::start(&scratch, open()).await;
    let role = scratch.text("select current_user::text").await;
    let (status, answer) = told(create(&web)).await;
    assert_eq!(
        (status, &answer["code"], &answer["status"], &answer["action"]),
        (202, &json!("TEST-123"), &json!("creating"), &json!("create"))
    );
    assert_eq!((&answer["requested_by"], &answer["request_method"]), (&json!(role), &json!("api")));
    assert_eq!(answer["message"], "TEST-123 is creating; but no live worker serves codes: start one with rowcall run");
    let row = value(&scratch, ROW).await;
    assert_eq!((&row["metadata"]["discount_percent"], &row["generation"]), (&json!(20), &json!(1)));
    assert!(row["metadata"]["requested_at"].is_string(), "{row}");

    let (status, pending) = told(web.get("/api/actions/status")).await;
    assert_eq!((status, &pending["pending_actions"], &pending["by_status"]), (200, &json!(1), &json!({"creating": 1})));
    assert_eq!(pending["queues"]["codes"]["due"], 1);
    scratch.sql("update public.codes set status = 'active'").await;

    let (status, answer) = told(web.post("/api/actions/codes/TEST-123/delete")).await;
    assert_eq!((status, &answer["status"], &answer["previous_status"]), (202, &json!("deleting"), &json!("active")));
    let again = told(web.post("/api/actions/codes/TEST-123/delete")).await.1;
    assert_eq!(
        (&again["status"], &again["generation"]),
        (&answer["status"], &answer["generation"]),
        "asked twice is asked once"
    );

    let (status, answer) = told(web.post("/api/actions/process-now")).await;
    assert_eq!((status, &answer["due"], &answer["pending_actions"]), (202, &json!(1), &json!(1)));
    scratch
        .sql(
            "insert into rowcall.attempts (queue, key, generation, attempt, settled_as) values
                ('codes', '1', 1, 1, 'retry'), ('codes', '1', 1, 2, 'done'), ('actions', '1', 1, 1, 'done')",
        )
        .await;
    let (status, history) = told(web.get("/api/actions/history?limit=10")).await;
    assert_eq!((status, &history["count"]), (200, &json!(2)));
    assert_eq!(
        (&history["history"][0]["settled_as"], &history["history"][0]["code"]),
        (&json!("done"), &json!("TEST-123"))
    );
    assert_eq!(told(web.get("/api/actions/history?limit=1")).await.1["count"], 1);
    assert_eq!(refused(web.get("/api/actions/history?limit=0")).await, (400, "invalid_query".to_owned()));

    let (status, monitoring) = told(web.get("/api/monitoring/status")).await;
    assert_eq!((status, &monitoring["scheduler"], &monitoring["workers"]), (200, &json!("stopped"), &json!([])));
    scratch
        .sql(
            "insert into rowcall.workers (id, host, pid, version, queues) values (gen_random_uuid(), 'h', 7, '1', '{codes}');
             select rowcall.pause('codes', 'the site moves')",
        )
        .await;
    let monitoring = told(web.get("/api/monitoring/status")).await.1;
    assert_eq!((&monitoring["scheduler"], &monitoring["workers"][0]["pid"]), (&json!("running"), &json!(7)));
    assert_eq!(monitoring["queues"]["codes"]["held_up"], "codes is paused: the site moves");
}

#[tokio::test]
async fn a_code_is_updated_renamed_and_made_anew() {
    let scratch = Scratch::migrated().await;
    scratch.sql("insert into public.codes (code, metadata) values ('TEST-123', '{\"note\": \"kept\", \"action_failed\": true, \"action_error\": \"old\"}'), ('TAKEN', '{}')").await;
    let web = Web::start(&scratch, open()).await;
    let ask = |path: &str, body: Value| json(web.post(&format!("/api/actions/codes/{path}")), &body);
    let update =
        told(ask("TEST-123/update", json!({"new_discount_percent": 30, "max_uses": "10", "expires_at": null}))).await;
    assert_eq!((update.0, &update.1["status"]), (202, &json!("updating")), "{update:?}");
    let metadata = value(&scratch, ROW).await["metadata"].clone();
    assert_eq!(
        (&metadata["new_discount_percent"], &metadata["new_max_uses"], &metadata["note"]),
        (&json!(30), &json!("10"), &json!("kept"))
    );
    assert!(metadata.get("action_failed").is_none() && metadata.get("new_expires_at").is_none(), "{metadata}");

    let (status, body) = told(ask("TEST-123/rename", json!({"new_code": "NEW-CODE-NAME"}))).await;
    let message = body["error"]["message"].as_str().unwrap();
    assert!(
        status == 409 && message == "the code TEST-123 is updating at this moment",
        "the update is not lost: {body}"
    );
    scratch.sql("select rowcall.cancel('codes', (select id::text from public.codes where code = 'TEST-123'))").await;
    let (status, body) = told(ask("TEST-123/rename", json!({"new_code": "TAKEN"}))).await;
    assert_eq!((status, &body["error"]["fields"]), (409, &json!({"new_code": "is taken"})));
    for _ in 0..2 {
        let renamed = told(ask("TEST-123/rename", json!({"new_code": "NEW-CODE-NAME"}))).await;
        assert_eq!((renamed.0, &renamed.1["status"], &renamed.1["generation"]), (202, &json!("renaming"), &json!(3)));
    }
    let metadata = value(&scratch, ROW).await["metadata"].clone();
    assert_eq!((&metadata["new_code"], &metadata["previous_status"]), (&json!("NEW-CODE-NAME"), &json!("active")));
    assert!(metadata.get("new_discount_percent").is_none(), "what was taken back is not asked now: {metadata}");

    assert_eq!(refused(ask("create", json!({"code": "TAKEN"}))).await, (409, "conflict".to_owned()));
    for path in ["NOBODY/update", "NOBODY/delete", "NOBODY/rename"] {
        let body = json!({"new_code": "B"});
        let body = if path.ends_with("update") {
            json!({"new_max_uses": 1})
        } else if path.ends_with("delete") {
            json!({})
        } else {
            body
        };
        assert_eq!(refused(ask(path, body)).await, (404, "not_found".to_owned()), "{path}");
    }
    scratch.sql("update public.codes set status = 'deleted', metadata = '{\"fienta_discount_id\": \"7\", \"note\": \"kept\"}' where code = 'TAKEN'").await;
    assert_eq!(refused(web.post("/api/actions/codes/TAKEN/delete")).await, (409, "conflict".to_owned()));
    let anew = told(ask("create", json!({"code": "TAKEN", "discount_amount": 5.5}))).await;
    assert_eq!((anew.0, &anew.1["status"]), (202, &json!("creating")));
    let metadata = value(&scratch, "select metadata::text from public.codes where code = 'TAKEN'").await;
    assert_eq!((&metadata["discount_amount"], &metadata["note"]), (&json!(5.5), &json!("kept")));
    assert!(metadata.get("fienta_discount_id").is_none(), "{metadata}");
}

#[tokio::test]
async fn what_is_wrong_is_named_by_its_field() {
    let scratch = Scratch::migrated().await;
    scratch.sql("insert into public.codes (code) values ('A'); insert into public.orders (id) values ('018f0000-0000-7000-8000-000000000001'); insert into public.organizations (name) values ('Acme')").await;
    let web = Web::start(&scratch, open()).await;
    let order = "orders/018f0000-0000-7000-8000-000000000001/update";
    for (path, body, fields) in [
        ("codes/create", json!({}), &["code"][..]),
        ("codes/create", json!({"code": "--help"}), &["code"]),
        ("codes/create", json!({"code": 7}), &["code"]),
        (
            "codes/create",
            json!({"code": "B", "discount_percent": 500, "max_uses": 1.5}),
            &["discount_percent", "max_uses"],
        ),
        ("codes/create", json!({"code": "B", "discount_percent": 5, "discount_amount": 5}), &["discount_amount"]),
        ("codes/create", json!({"code": "B", "discount_amount": "5,00"}), &["discount_amount"]),
        (
            "codes/create",
            json!({"code": "B", "discount_percent": true, "description": "a\nb"}),
            &["description", "discount_percent"],
        ),
        ("codes/create", json!({"code": "B", "expires_at": "2026-13-01"}), &["expires_at"]),
        ("codes/create", json!({"code": "B", "expires_at": "2026-12-01 10:00"}), &["expires_at"]),
        ("codes/create", json!({"code": "B", "discount": 5}), &["discount"]),
        ("codes/create", json!({"code": "B", "request_method": "telepathy"}), &["request_method"]),
        ("codes/A/update", json!({}), &["new_discount_percent"]),
        ("codes/A/update", json!({"new_max_uses": 0}), &["new_max_uses"]),
        ("codes/A/update", json!({"max_uses": 0}), &["max_uses"]),
        ("codes/A/update", json!({"max_uses": 1, "new_max_uses": 2}), &["max_uses"]),
        ("codes/A/update", json!({"discount_percent": 1, "new_discount_amount": 2}), &["new_discount_amount"]),
        ("codes/A/rename", json!({}), &["new_code"]),
        ("codes/A/rename", json!({"new_code": "A"}), &["new_code"]),
        ("codes/A/rename", json!({"new_code": "a b"}), &["new_code"]),
        ("codes/A/delete", json!({"force": true}), &["force"]),
        (order, json!({}), &["new_status"]),
        (order, json!({"new_status": "--all"}), &["new_status"]),
        (order, json!({"new_status": "updating"}), &["new_status"]),
        (order, json!({"new_metadata": []}), &["new_metadata"]),
        (order, json!({"new_metadata": {"action": 1}}), &["new_metadata"]),
        ("links/create", json!({}), &["target_url"]),
        ("links/create", json!({"target_url": "javascript:alert(1)", "expires_at": 7}), &["expires_at", "target_url"]),
        ("links/create", json!({"target_url": "https://bank.example@evil.example/"}), &["target_url"]),
        ("links/create", json!({"target_url": "https://exa mple.com"}), &["target_url"]),
        ("organizations/1/sync", json!({"name": "x"}), &["name"]),
    ] {
        let (status, answer) = told(json(web.post(&format!("/api/actions/{path}")), &body)).await;
        let error = &answer["error"];
        assert_eq!((status, &error["code"]), (400, &json!("invalid")), "{path} {body}: {answer}");
        let named: Vec<&str> =
            error["fields"].as_object().unwrap_or_else(|| panic!("{answer}")).keys().map(String::as_str).collect();
        assert_eq!(named, fields, "{path} {body}: {answer}");
        assert!(error["message"].as_str().unwrap().starts_with(fields[0]), "{answer}");
    }
    for key in rowcall::order::RESERVED {
        let body = json!({"new_metadata": {key: 1}});
        let (status, answer) = told(json(web.post(&format!("/api/actions/{order}")), &body)).await;
        assert_eq!((status, answer["error"]["fields"]["new_metadata"].is_string()), (400, true), "{key}: {answer}");
    }
    let untouched = "select concat_ws(' ', (select count(*) from public.codes where generation > 0 or code <> 'A'),
        (select count(*) from public.orders where generation > 0), (select count(*) from public.links))";
    assert_eq!(scratch.text(untouched).await, "0 0 0");
    assert_eq!(refused(web.post("/api/actions/codes/create").body("code=A")).await, (415, "not_json".to_owned()));
    assert_eq!(refused(web.post("/api/actions/codes/A/delete").body("{}")).await, (415, "not_json".to_owned()));
}

#[tokio::test]
async fn orders_links_and_organizations_are_asked_for_too() {
    let scratch = Scratch::migrated().await;
    let order = "018f0000-0000-7000-8000-000000000001";
    scratch
        .sql(&format!(
            "insert into public.orders (id) values ('{order}'); insert into public.organizations (name) values ('Acme')"
        ))
        .await;
    let web = Web::start(&scratch, open()).await;
    let ask = |path: &str, body: Value| json(web.post(&format!("/api/actions/{path}")), &body);
    let change = json!({"new_status": "completed", "new_metadata": {"seat": null}});
    let (status, answer) = told(ask(&format!("orders/{order}/update"), change)).await;
    assert_eq!(
        (status, &answer["id"], &answer["status"], &answer["previous_status"]),
        (202, &json!(order), &json!("updating"), &json!("pending"))
    );
    let asked = value(&scratch, "select metadata::text from public.orders").await;
    assert_eq!(
        (&asked["new_status"], &asked["new_metadata"], &asked["action"]),
        (&json!("completed"), &json!({"seat": null}), &json!("update"))
    );

    let (status, answer) =
        told(ask("links/create", json!({"target_url": "https://example.com/a", "expires_at": "2030-01-01"}))).await;
    assert_eq!(
        (status, &answer["status"], &answer["target_url"]),
        (202, &json!("creating"), &json!("https://example.com/a"))
    );
    for _ in 0..2 {
        let (status, answer) = told(web.post("/api/actions/organizations/1/sync")).await;
        assert_eq!((status, &answer["status"], &answer["generation"]), (202, &json!("syncing"), &json!(1)));
    }
    for path in ["orders/nothing/update", "organizations/77/sync"] {
        let body = if path.starts_with("orders") { json!({"new_status": "x"}) } else { json!({}) };
        assert_eq!(refused(ask(path, body)).await, (404, "not_found".to_owned()), "{path}");
    }
}

#[tokio::test]
async fn who_asked_and_how_stands_on_the_row() {
    let scratch = Scratch::migrated().await;
    scratch.sql("insert into public.codes (code) values ('TEST-123')").await;
    let mut settings = locked();
    settings.keys = Keys { jwt: Some(Jwt::new(Some(&SecretString::from(SECRET)), None).unwrap()), ..settings.keys };
    let web = Web::start(&scratch, settings).await;
    let asked = "select concat_ws(' ', requested_by, metadata ->> 'request_method') from public.codes";
    let service = |claims: &Value| {
        let mut all = json!({"role": "service_role", "exp": now() + 3600});
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        hs256(&all, SECRET.as_bytes())
    };
    for (token, body, expected) in [
        (ADMIN.to_owned(), json!({"new_max_uses": 1}), "api token api"),
        (ADMIN.to_owned(), json!({"new_max_uses": 2, "request_method": "webhook"}), "api token webhook"),
        (service(&json!({"sub": "7f3a"})), json!({"new_max_uses": 3, "request_method": "frontend"}), "7f3a frontend"),
        (service(&json!({})), json!({"new_max_uses": 4}), "service_role api"),
    ] {
        let request = json(web.post("/api/actions/codes/TEST-123/update").bearer_auth(token), &body);
        assert_eq!(told(request).await.0, 202);
        assert_eq!(scratch.text(asked).await, expected);
    }
    // By HTTP Basic it is the same token, whatever user stands before it.
    let basic = json(web.post("/api/actions/codes/TEST-123/update"), &json!({"new_max_uses": 5}));
    assert_eq!(told(basic.basic_auth("ama", Some(ADMIN))).await.0, 202);
    assert_eq!(scratch.text(asked).await, "api token api");
    // Of every table that is asked over HTTP.
    scratch
        .sql("insert into public.orders (customer) values ('c1'); insert into public.organizations (name) values ('A')")
        .await;
    let order = scratch.text("select id::text from public.orders").await;
    let organization = scratch.text("select id::text from public.organizations").await;
    for (path, body, table) in [
        (format!("orders/{order}/update"), json!({"new_status": "completed"}), "orders"),
        (format!("organizations/{organization}/sync"), json!({}), "organizations"),
        ("links/create".to_owned(), json!({"target_url": "https://example.com/"}), "links"),
    ] {
        let request = web.post(&format!("/api/actions/{path}")).bearer_auth(service(&json!({"sub": "7f3a"})));
        let (status, answer) = told(json(request, &body)).await;
        assert_eq!((status, &answer["requested_by"]), (202, &json!("7f3a")), "{table}: {answer}");
        let row = format!("select concat_ws(' ', requested_by, metadata ->> 'request_method') from public.{table}");
        assert_eq!(scratch.text(&row).await, "7f3a api", "{table}");
    }
    // A browser, by its JWT; and whoever writes SQL, of whom nothing is known and nothing remains.
    scratch.sql("set request.jwt.claims = '{\"sub\": \"ama\"}'; update public.codes set status = 'deleting'").await;
    assert_eq!(scratch.text(asked).await, "ama frontend");
    scratch.sql("update public.codes set status = 'renaming', metadata = metadata || '{\"new_code\": \"B\"}'").await;
    assert_eq!(scratch.text("select (metadata ? 'request_method')::text from public.codes").await, "false");
    assert_eq!(
        scratch.text("select requested_by from public.codes").await,
        scratch.text("select current_user::text").await
    );
    // The operator's verbs are the caller's too.
    assert_eq!(
        told(json(
            web.post("/api/queues/codes/pause").bearer_auth(service(&json!({"sub": "7f3a"}))),
            &json!({"reason": "r"})
        ))
        .await
        .0,
        200
    );
    assert_eq!(scratch.text("select paused_by from rowcall.queues where queue = 'codes'").await, "7f3a");

    assert_eq!(told(web.get("/api/actions/status").bearer_auth(READER)).await.0, 200);
    assert_eq!(told(web.get("/api/monitoring/status")).await.0, 401);
    for path in ["codes/create", "codes/A/delete", "process-now", "links/create"] {
        let path = format!("/api/actions/{path}");
        assert_eq!(told(json(web.post(&path), &json!({}))).await.0, 401, "{path}");
        assert_eq!(told(json(web.post(&path).bearer_auth(READER), &json!({}))).await.0, 403, "{path}");
    }
}

#[tokio::test]
async fn the_same_key_gets_the_first_answer_and_changes_nothing() {
    let scratch = Scratch::migrated().await;
    let web = Web::start(&scratch, open()).await;
    let first = told(keyed(create(&web), "8e03978e-40d5-43e8-bc93-6894a57f9324")).await;
    assert_eq!(first.0, 202);
    scratch.sql("update public.codes set status = 'active'").await;
    // As the IETF's draft writes it, too.
    for key in ["8e03978e-40d5-43e8-bc93-6894a57f9324", "\"8e03978e-40d5-43e8-bc93-6894a57f9324\""] {
        assert_eq!(told(keyed(create(&web), key)).await, first);
    }
    assert_eq!(
        scratch.text("select status || generation from public.codes").await,
        "active2",
        "the row moved on, and stays so"
    );

    let other = json(web.post("/api/actions/codes/create"), &json!({"code": "TEST-124"}));
    let (status, body) = told(keyed(other, "8e03978e-40d5-43e8-bc93-6894a57f9324")).await;
    assert_eq!((status, &body["error"]["code"]), (422, &json!("idempotency_key_reused")), "{body}");
    // Another path is another request; and so is one without a key.
    let delete = || web.post("/api/actions/codes/TEST-123/delete");
    let deleted = told(keyed(delete(), "8e03978e-40d5-43e8-bc93-6894a57f9324")).await;
    assert_eq!((deleted.0, &deleted.1["status"]), (202, &json!("deleting")));
    assert_eq!(refused(create(&web)).await.0, 409);
    // What is refused is not kept: it is looked at anew.
    assert_eq!(refused(keyed(create(&web), "k2")).await.0, 409);
    scratch.sql("update public.codes set status = 'deleted'").await;
    assert_eq!(told(keyed(create(&web), "k2")).await.0, 202);

    for key in ["", "two words", "é", &"x".repeat(256)] {
        let answer = refused(create(&web).header("idempotency-key", key.as_bytes())).await;
        assert_eq!(answer, (400, "invalid_idempotency_key".to_owned()), "{key}");
    }
    assert_eq!(refused(keyed(keyed(create(&web), "a"), "b")).await.0, 400);

    // The sweep removes what is older than a day, and with it the memory.
    assert_eq!(scratch.text("select count(*)::text from rowcall.answers").await, "3");
    scratch.sql("update rowcall.answers set answered_at = now() - interval '25 hours' where path like '%delete'").await;
    let store = Store::new(Database::parse(&scratch.url).unwrap().pool(1, Session::Worker));
    assert_eq!((store.prune_answers().await.unwrap(), store.prune_answers().await.unwrap()), (1, 0));
}

#[tokio::test]
async fn a_key_counts_for_every_change_and_for_its_caller_alone() {
    let scratch = Scratch::migrated().await;
    scratch.sql("insert into public.codes (code, status) values ('TEST-123', 'creating')").await;
    let mut settings = locked();
    settings.keys = Keys { jwt: Some(Jwt::new(Some(&SecretString::from(SECRET)), None).unwrap()), ..settings.keys };
    let web = Web::start(&scratch, settings).await;
    let cancel = || keyed(web.post("/api/queues/codes/rows/1/cancel").bearer_auth(ADMIN), "k");
    let first = told(cancel()).await;
    assert_eq!(first, (200, json!({"answer": "TEST-123 is failed again"})));
    assert_eq!(told(cancel()).await, first);
    let other = hs256(&json!({"role": "service_role", "sub": "7f3a", "exp": now() + 3600}), SECRET.as_bytes());
    let theirs = keyed(web.post("/api/queues/codes/rows/1/cancel").bearer_auth(other), "k");
    assert_eq!(refused(theirs).await.0, 400, "it is another's key, so it is done, and there is nothing to cancel");
}

#[tokio::test]
async fn a_key_counts_for_schedules_memberships_and_tickets_too() {
    let scratch = Scratch::migrated().await;
    scratch
        .sql(
            "insert into public.clients (id, crm_type, shop) values (1, 'shopify', 'shop');
             insert into public.crm_sync_queue (id, client_id, action_type) values (1, 1, 'add_membership')",
        )
        .await;
    let settings = open();
    let web =
        Web::start(&scratch, Settings { limits: Limits { wait: Duration::ZERO, ..settings.limits }, ..settings }).await;
    let counts = "select concat_ws(
            ' ', (select count(*) from public.fluent_sync_status), (select generation from public.crm_sync_queue),
            (select run_asked_at from rowcall.schedules where name = 'check-fienta-codes'),
            (select paused from rowcall.schedules where name = 'check-fienta-codes')
        )";
    for (nth, (path, body, undo)) in [
        ("/api/cron", json!({"action": "trigger"}), "update public.enrollments set ended_at = null"),
        (
            "/api/cron/sync",
            json!({"queueId": 1}),
            "update public.crm_sync_queue set next_retry_at = now() + interval '1 day'",
        ),
        ("/api/fluent/sync", json!({"full": true}), "delete from public.fluent_sync_status"),
        ("/api/schedules/check-fienta-codes/run", json!({}), "update rowcall.schedules set run_asked_at = null"),
        (
            "/api/schedules/check-fienta-codes/pause",
            json!({"reason": "r"}),
            "update rowcall.schedules set paused = false",
        ),
        ("/api/schedules/check-fienta-codes/resume", json!({}), "update rowcall.schedules set paused = true"),
    ]
    .into_iter()
    .enumerate()
    {
        let ask = |body: &Value| keyed(json(web.post(path), body), "k");
        let before = told(ask(&body)).await;
        assert!(before.0 < 300 || path.ends_with("sync"), "{path}: {before:?}");
        scratch.sql(undo).await;
        let stands = scratch.text(counts).await;
        let again = told(ask(&body)).await;
        assert_eq!(scratch.text(counts).await, stands, "{path} asked nothing anew");
        if !path.ends_with("sync") {
            assert_eq!(again, before, "{path}");
        }
        let other = if path.contains("fluent") { json!({"dateFilter": "2026-01-02"}) } else { json!({"other": true}) };
        let (status, other) = told(ask(&other)).await;
        assert_eq!((status, &other["error"]["code"]), (422, &json!("idempotency_key_reused")), "{path}: {other}");
        let kept = format!("select (count(*) = {})::text from rowcall.answers", nth + 1);
        assert_eq!(scratch.text(&kept).await, "true", "{path}");
    }
}

#[tokio::test]
async fn a_request_that_is_being_answered_is_not_begun_again_and_a_crash_leaves_nothing() {
    let scratch = Scratch::migrated().await;
    let web = Web::start(&scratch, open()).await;
    // Whoever holds the table keeps the first request between its change and its answer.
    let holder = scratch.client().await;
    holder.batch_execute("begin; lock table rowcall.answers in share row exclusive mode").await.unwrap();
    let first = tokio::spawn(keyed(create(&web), "k").send());
    let waiting = "select count(*)::text from pg_stat_activity
        where datname = current_database() and query like '%end_change%' and wait_event_type = 'Lock'";
    while scratch.text(waiting).await == "0" {
        tokio::task::yield_now().await;
    }
    let (status, body) = told(keyed(create(&web), "k")).await;
    assert_eq!((status, &body["error"]["code"]), (409, &json!("conflict")));
    assert!(body["error"]["message"].as_str().unwrap().contains("is being answered"), "{body}");
    // It dies there: neither the row nor the answer stands.
    scratch
        .sql("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query like '%end_change%' and wait_event_type = 'Lock'")
        .await;
    assert_eq!(first.await.unwrap().unwrap().status().as_u16(), 503);
    holder.batch_execute("rollback").await.unwrap();
    assert_eq!(scratch.text("select count(*)::text from public.codes").await, "0");
    let done = told(keyed(create(&web), "k")).await;
    assert_eq!(done.0, 202);
    assert_eq!(told(keyed(create(&web), "k")).await, done);
    assert_eq!(scratch.text("select generation::text from public.codes").await, "1");
}

#[tokio::test]
async fn forty_callers_with_one_key_ask_once() {
    let scratch = Scratch::migrated().await;
    let web = Web::start(&scratch, open()).await;
    // Nothing but the key keeps forty links from being made.
    let link = || json(web.post("/api/actions/links/create"), &json!({"target_url": "https://example.com/a"}));
    let all = (0..40).map(|_| tokio::spawn(keyed(link(), "one").send()));
    let mut statuses = Vec::new();
    for answer in all.collect::<Vec<_>>() {
        statuses.push(answer.await.unwrap().unwrap().status().as_u16());
    }
    assert!(statuses.iter().all(|status| [202, 409].contains(status)) && statuses.contains(&202), "{statuses:?}");
    assert_eq!(scratch.text("select count(*)::text from public.links").await, "1");
    for _ in 0..2 {
        assert_eq!(told(link()).await.0, 202);
    }
    assert_eq!(scratch.text("select count(*)::text from public.links").await, "3", "without a key, each is another");
}
