//! Document 3 over HTTP: status, trigger, retry, the suppliers' webhook, and the sheet.

use std::sync::Arc;

use reqwest::RequestBuilder;
use rowcall::http::Settings;
use rowcall::http::webhooks::Secrets;
use rowcall::http::webhooks::supplier::{Call, ReadCalls, Unread};
use rowcall::store::fulfillment::{Report, State};
use serde_json::{Value, json};

use crate::actions_rows::Rows;
use crate::fulfillment_rows::{accepted, delivered, refused as refused_by_supplier};
use crate::web::{ADMIN, READER, Run, Web, client, json, locked, open, refused, told};

const PATH: &str = "/api/orders/fulfillment";
const SHEET: &str = "/api/orders/fulfillment/export.csv";

/// Reads `{"reference", "provider_reference", "state"}` of whoever shows the right token.
#[derive(Debug)]
struct Told;

impl ReadCalls for Told {
    fn profile(&self) -> &'static str {
        "default"
    }

    fn read(&self, call: &Call<'_>) -> Result<Vec<Report>, Unread> {
        match call.token {
            None => return Err(Unread::NotConfigured("AT_ISHARE_API_SECRET")),
            Some("right") => {}
            Some(_) => return Err(Unread::NotProven),
        }
        let body: Value = serde_json::from_slice(call.body).map_err(|_| Unread::NotReadable)?;
        let text = |name: &str| body[name].as_str().map(str::to_owned);
        let state = match body["state"].as_str() {
            Some("delivered") => State::Delivered,
            Some("reversed") => State::Reversed,
            _ => State::Unproven,
        };
        assert!(call.headers.contains_key("content-type"));
        Ok(vec![Report {
            profile: "default".to_owned(),
            reference: text("reference"),
            provider_reference: text("provider_reference"),
            state,
            code: None,
            text: text("text"),
            at: None,
        }])
    }
}

pub(crate) fn with_supplier() -> Settings {
    let open = locked();
    Settings { webhooks: Secrets { supplier: Some(Arc::new(Told)), ..open.webhooks }, ..open }
}

fn act(web: &Web, body: &Value) -> RequestBuilder {
    json(web.post(PATH), body)
}

#[tokio::test]
async fn an_order_is_looked_at_triggered_and_tried_again() {
    let rows = Rows::fulfillment().await;
    let web = Web::start(&rows.scratch, open()).await;
    let order = rows.order("0261234567").await;
    let (status, body) = told(web.get(&format!("{PATH}?orderId={order}"))).await;
    assert_eq!(
        (status, &body["fulfillment"]["status"], &body["order"]["amount"]),
        (200, &json!("pending"), &json!("4.50"))
    );
    assert_eq!((&body["fulfillment"]["attempts_left"], &body["attempts"]), (&json!(3), &json!([])));

    let (status, body) = told(act(&web, &json!({ "action": "trigger", "orderId": order }))).await;
    assert_eq!((status, &body["answer"]), (202, &json!(format!("order {order} is asked for already"))));
    let job = rows.claim_one().await;
    rows.settle(job, refused_by_supplier()).await;
    let (status, body) =
        told(act(&web, &json!({ "action": "retry", "orderId": order, "force": null, "note": null }))).await;
    assert_eq!(
        (status, &body["fulfillment"]["status"], &body["fulfillment"]["attempts_left"]),
        (202, &json!("pending"), &json!(2))
    );
    let job = rows.claim_one().await;
    assert_eq!(job.attempt, 2);
    rows.settle(job, delivered("P1")).await;
    let (_, body) = told(web.get(&format!("{PATH}?orderId={order}"))).await;
    let ended: Vec<_> = body["attempts"].as_array().unwrap().iter().map(|a| a["settled_as"].clone()).collect();
    assert_eq!((ended, &body["order"]["fulfillment_status"]), (vec![json!("retry"), json!("done")], &json!("success")));
    assert_eq!(refused(act(&web, &json!({ "action": "retry", "orderId": order }))).await, (409, "conflict".to_owned()));
}

#[tokio::test]
async fn a_spent_order_is_a_409_that_says_so_unless_an_admin_forces_it_with_a_note() {
    let rows = Rows::fulfillment().await;
    let web = Web::start(&rows.scratch, locked()).await;
    let order = rows.order("0261234567").await;
    for _ in 0..3 {
        rows.now_due(&order).await;
        let job = rows.claim_one().await;
        rows.settle(job, refused_by_supplier()).await;
    }
    let retry = |body: Value| act(&web, &body);
    let plain = json!({ "action": "retry", "orderId": order });
    let (status, body) = told(retry(plain.clone()).bearer_auth(ADMIN)).await;
    let error = &body["error"];
    assert_eq!((status, &error["message"]), (409, &json!(format!("all 3 attempts for order {order} are spent"))));
    assert!(error["hint"].as_str().unwrap().contains("an admin may force another"), "{error}");
    let forced = json!({ "action": "retry", "orderId": order, "force": true, "note": "they topped up" });
    assert_eq!(refused(retry(forced.clone()).bearer_auth(READER)).await, (403, "forbidden".to_owned()));
    assert_eq!(refused(retry(forced.clone())).await.0, 401);
    let without_note = json!({ "action": "retry", "orderId": order, "force": true });
    let (status, body) = told(retry(without_note).bearer_auth(ADMIN)).await;
    assert_eq!((status, &body["error"]["fields"]), (400, &json!(["note"])));
    assert_eq!(rows.standing(&order).await, "failed 3/3 failed");
    assert_eq!(told(retry(forced).bearer_auth(ADMIN)).await.0, 202);
    assert_eq!(rows.standing(&order).await, "pending 1/3 pending");
    let who = "concat_ws('|', resolved_by, requested_by, resolved_note)";
    assert_eq!(rows.log(&order, who).await, "api token|api token|they topped up");
}

#[tokio::test]
async fn what_is_missing_or_wrong_is_named() {
    let rows = Rows::fulfillment().await;
    let web = Web::start(&rows.scratch, open()).await;
    for (body, words) in [
        (json!({}), "action is missing"),
        (json!({ "action": "retry" }), "orderId is missing"),
        (json!({ "action": "retry", "orderId": "" }), "orderId is missing"),
        (json!({ "action": "buy", "orderId": "1" }), "action must be trigger or retry"),
        (json!({ "action": 7, "orderId": "1" }), "action must be text"),
        (json!({ "action": "retry", "orderId": "1", "force": "yes" }), "force must be true or false"),
        (json!({ "action": "retry", "orderId": "1", "note": [] }), "note must be text"),
    ] {
        let (status, answer) = told(act(&web, &body)).await;
        assert_eq!((status, &answer["error"]["message"]), (400, &json!(words)), "{body}");
    }
    let nobody = "00000000-0000-4000-8000-000000000000";
    for order in [nobody, "1", "'; drop table orders"] {
        for action in ["trigger", "retry"] {
            assert_eq!(refused(act(&web, &json!({ "action": action, "orderId": order }))).await.0, 404);
        }
    }
    assert_eq!(refused(web.get(&format!("{PATH}?orderId={nobody}"))).await.0, 404);
    assert_eq!(refused(web.get(PATH)).await, (400, "invalid".to_owned()));
    assert_eq!(refused(web.get(&format!("{PATH}?order=1"))).await, (400, "invalid_query".to_owned()));
    assert_eq!(refused(web.ask(reqwest::Method::PUT, PATH)).await.0, 405);
}

#[tokio::test]
async fn a_supplier_that_proves_itself_settles_its_order_and_no_other_does() {
    let rows = Rows::fulfillment().await;
    let web = Web::start(&rows.scratch, with_supplier()).await;
    let order = rows.order("0261234567").await;
    let job = rows.claim_one().await;
    rows.settle(job, accepted(Some("P1"))).await;
    let tell = |path: &str, body: String| web.post(path).header("content-type", "application/json").body(body);
    let body = json!({ "reference": order, "state": "delivered" }).to_string();
    for (path, status, code) in [
        ("/webhooks/supplier/default?token=wrong", 401, "unauthenticated"),
        ("/webhooks/supplier/default?token=", 401, "unauthenticated"),
        ("/webhooks/supplier/default", 503, "not_configured"),
        ("/webhooks/supplier/another?token=right", 404, "not_found"),
    ] {
        assert_eq!(refused(tell(path, body.clone())).await, (status, code.to_owned()), "{path}");
    }
    let right = "/webhooks/supplier/default?token=right&more=1";
    assert_eq!(refused(tell(right, "no JSON".to_owned())).await, (400, "invalid_report".to_owned()));
    assert_eq!(rows.standing(&order).await, "processing 1/3 processing");
    for _ in 0..2 {
        assert_eq!(tell(right, body.clone()).send().await.unwrap().status().as_u16(), 200);
    }
    assert_eq!(rows.standing(&order).await, "success 1/3 success");
    let reversed = json!({ "provider_reference": "P1", "state": "reversed" }).to_string();
    assert_eq!(tell(right, reversed).send().await.unwrap().status().as_u16(), 200);
    assert_eq!(rows.standing(&order).await, "failed 1/3 failed");
    assert_eq!(refused(web.get("/webhooks/supplier/default")).await.0, 405);
}

#[tokio::test]
async fn without_a_supplier_its_webhook_asks_for_patience() {
    let rows = Rows::fulfillment().await;
    let web = Web::start(&rows.scratch, locked()).await;
    let call = web.post("/webhooks/supplier/default?token=right").body("{}");
    assert_eq!(refused(call).await, (503, "not_configured".to_owned()), "what is told meanwhile comes again");
}

/// Orders of three pages, the first one hostile, the second failed.
async fn many(rows: &Rows) -> String {
    rows.run(
        "insert into orders (network, phone_number, package, amount)
         select 'AT-iShare', '+23326' || lpad(n::text, 7, '0'), '1GB', 4.50 from generate_series(1, 4500) as n;
         update fulfillment_logs set created_at = '2026-11-01 00:00Z'::timestamptz + right(phone_number, 7)::int * interval '1 minute';
         update fulfillment_logs set package = '=cmd|''/C calc''!A0', error_message = E'-1, \"quoted\"\\nline' where phone_number = '+233260000001';
         update fulfillment_logs set status = 'failed', retry_after = null where phone_number = '+233260000002'",
    )
    .await;
    rows.text("select order_id from fulfillment_logs where phone_number = '+233260000001'").await
}

fn records(sheet: &str) -> Vec<csv::StringRecord> {
    csv::Reader::from_reader(sheet.as_bytes()).records().map(Result::unwrap).collect()
}

#[tokio::test]
async fn the_sheet_has_everything_that_matches_once_and_no_cell_is_run() {
    let rows = Rows::fulfillment().await;
    let first = many(&rows).await;
    let web = Web::start(&rows.scratch, locked()).await;
    let export = async |query: &str| web.get(&format!("{SHEET}{query}")).bearer_auth(READER).send().await.unwrap();
    let answer = export("").await;
    assert_eq!(answer.headers()["content-type"], "text/csv; charset=utf-8; header=present");
    assert_eq!(answer.headers()["content-disposition"], "attachment; filename=\"fulfillment.csv\"");
    let sheet = answer.text().await.unwrap();
    assert!(
        sheet.starts_with("order_id,network,phone_number,package,amount,status,attempt_number,"),
        "{}",
        &sheet[..200]
    );
    let found = records(&sheet);
    assert_eq!(found.len(), 4500);
    let orders: std::collections::HashSet<_> = found.iter().map(|row| row[0].to_owned()).collect();
    assert_eq!(orders.len(), 4500, "each once");
    assert!(found.windows(2).all(|pair| pair[0][14] <= pair[1][14]), "oldest first");
    let cells = [0, 2, 3, 4, 5, 8, 14].map(|nth| &found[0][nth]);
    assert_eq!(
        cells,
        [
            &first,
            "'+233260000001",
            "'=cmd|'/C calc'!A0",
            "4.50",
            "pending",
            "'-1, \"quoted\"\nline",
            "2026-11-01T00:01:00Z"
        ]
    );
    for (query, count) in [
        ("?status=failed", 1),
        ("?status=success", 0),
        ("?phone=0260000003", 1),
        ("?phone=%2B233%2026%20000%200004&status=pending", 1),
        ("?from=2026-11-01T00:03:00Z&to=2026-11-01T00:05:00Z", 2),
        ("?to=2026-11-01", 1439),
        ("?from=2026-11-02&status=&phone=", 3061),
    ] {
        let sheet = export(query).await.text().await.unwrap();
        assert_eq!(records(&sheet).len(), count, "{query}");
    }
    assert_eq!(rows.scratch.rowcall(&["export", "fulfillment", "--csv"]).well(), sheet, "the command gives the same");
    let said =
        rows.scratch.rowcall(&["export", "fulfillment", "--csv", "--status", "failed", "--from", "2026-11-01"]).well();
    assert_eq!(records(&said).len(), 1);
    for (query, words) in [
        ("?status=done", "status must be one of"),
        ("?phone=12", "phone must be"),
        ("?from=soon", "from must be a day"),
        ("?size=1", "size"),
    ] {
        let (status, body) = told(web.get(&format!("{SHEET}{query}")).bearer_auth(READER)).await;
        assert_eq!(status, 400);
        assert!(body["error"]["message"].as_str().unwrap().contains(words), "{body}");
    }
    let said = rows.scratch.rowcall(&["export", "fulfillment", "--csv", "--phone", "12"]).refusal();
    assert!(said.contains("phone must be a telephone number"), "{said}");
    assert_eq!(refused(web.get(SHEET)).await.0, 401);
}

#[tokio::test]
async fn a_sheet_that_cannot_be_ended_is_broken_off_and_not_taken_for_a_whole_one() {
    let rows = Rows::fulfillment().await;
    // More than the buffers between here and there take.
    rows.run(
        "alter table orders disable trigger user; alter table fulfillment_logs disable trigger user;
         insert into orders (network) select 'AT-iShare' from generate_series(1, 100000);
         insert into fulfillment_logs (order_id, status, error_message) select id, 'success', repeat('x', 200) from orders",
    )
    .await;
    let web = Web::start(&rows.scratch, open()).await;
    // The first page is on its way; nothing more is read until somebody takes it.
    let mut answer = web.get(SHEET).send().await.unwrap();
    assert!(answer.chunk().await.unwrap().is_some());
    rows.scratch.server_sql(&format!("alter database {} allow_connections false", rows.scratch.name())).await;
    rows.run("alter table fulfillment_logs rename to elsewhere").await;
    let mut ended = Ok(Some(bytes::Bytes::default()));
    while let Ok(Some(_)) = ended {
        ended = answer.chunk().await;
    }
    assert!(ended.is_err());
    rows.scratch.reopen().await;
    rows.run("alter table elsewhere rename to fulfillment_logs").await;
    rows.scratch.shut().await;
    assert_eq!(refused(web.get(SHEET)).await.0, 503);
    rows.scratch.reopen().await;
}

#[tokio::test]
async fn nothing_personal_of_an_order_is_logged_and_the_prefix_is() {
    let rows = Rows::fulfillment().await;
    let order = rows.order("0261234567").await;
    let variables = [("RUST_LOG", "trace"), ("ROWCALL_API_TOKEN", ADMIN), ("AT_ISHARE_PROFILE", "at-ishare")];
    let run = Run::start(&rows.scratch, &variables);
    let address = run.address().await;
    let at = |path: &str| format!("http://{address}{path}");
    let secret = "a-secret-of-nobody";
    for (request, status) in [
        (
            json(
                client().post(at(PATH)).bearer_auth(ADMIN),
                &json!({ "action": "retry", "orderId": order, "note": secret }),
            ),
            202,
        ),
        (json(client().post(at(PATH)).bearer_auth(ADMIN), &json!({ "action": "retry", "orderId": "0261234567" })), 404),
        (client().get(at(&format!("{PATH}?orderId={order}"))).bearer_auth(ADMIN), 200),
        (client().get(at(&format!("{PATH}?orderId=0261234567"))).bearer_auth(ADMIN), 404),
        (client().get(at(&format!("{SHEET}?phone=0261234567"))).bearer_auth(ADMIN), 200),
        (client().post(at(&format!("/webhooks/supplier/at-ishare?token={secret}"))).body("0261234567"), 401),
    ] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status);
        answer.bytes().await.unwrap();
    }
    let line = run.logged("Fulfillment is asked for").await;
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (&line["prefix"], &line["action"], &line["order"]),
        (&json!("[FULFILLMENT]"), &json!("retry"), &json!(order))
    );
    for hidden in ["261234567", secret, ADMIN] {
        let log = run.log();
        let line = log.lines().find(|line| line.contains(hidden));
        assert!(line.is_none(), "{hidden}: {line:?}");
    }
}
