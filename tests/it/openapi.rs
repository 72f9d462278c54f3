//! The server and its document, held to each other: a client that knows nothing but `/openapi.json` asks for everything in it, in
//! valid and in broken words, and finds every answer described.
//!
//! The requests of an operation come from its name: every run makes the same ones, and a failing one is made small and shown.

mod asking;
mod document;
mod values;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::future::Future;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use reqwest::RequestBuilder;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use self::asking::{Client, Heard, known};
use self::document::{Operation, validator};
use self::values::{Case, at_home, breaks, has_nul, junk, shaken, text, valid};
use crate::web::{ADMIN, READER};

/// As many requests of each kind are made for an operation.
const VALID: u32 = 24;
const BROKEN: u32 = 40;

/// Makes so many cases of an operation, and tells of the first that fails, made small.
fn each<S: Strategy>(
    operation: &Operation,
    cases: u32,
    strategy: &S,
    check: impl Fn(S::Value) -> Result<(), String>,
) -> Result<(), String> {
    let seed = operation.id.bytes().fold(7_u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
    let config = Config {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 50,
        ..Config::default()
    };
    let checked = TestRunner::new(config).run(strategy, |case| check(case).map_err(TestCaseError::fail));
    checked.map_err(|error| format!("{}: {error}", operation.id))
}

/// Waits, in the midst of what does not.
fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(future))
}

fn none_of(failures: &[String]) {
    assert!(failures.is_empty(), "{} failures\n\n{}", failures.len(), failures.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_valid_request_is_answered_as_the_document_says() {
    let client = Client::start().await;
    let mut failures = Vec::new();
    for operation in &client.operations {
        let statuses = RefCell::new(BTreeSet::new());
        let checked = each(operation, VALID, &valid(operation, &known()), |case| {
            let heard = wait(client.ask(operation, client.request(operation, &case)))?.taken()?;
            statuses.borrow_mut().insert(heard.status);
            Ok(())
        });
        failures.extend(checked.err());
        // Else nothing of what it promises was seen; what providers tell has a form that their own test knows.
        if !operation.id.starts_with("hear") && !statuses.borrow().iter().any(|status| *status < 400) {
            failures.push(format!("{} was never done: {statuses:?}", operation.id));
        }
    }
    none_of(&failures);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_body_is_refused_and_the_field_is_named() {
    let client = Client::start().await;
    let mut failures = Vec::new();
    for operation in client.operations.iter().filter(|operation| operation.tag != "webhooks") {
        let Some(body) = &operation.body else { continue };
        let strategy = (at_home(operation, &known()), breaks(&body.schema));
        let checked = each(operation, BROKEN, &strategy, |(case, broken)| {
            let mut given = case.body.clone().filter(Value::is_object).unwrap_or_else(|| json!({}));
            let name = broken.apply(&mut given);
            let is_valid = body.validator.is_valid(&given) && !has_nul(&given);
            let case = Case { body: Some(given), is_form: false, ..case };
            let heard = wait(client.ask(operation, client.request(operation, &case)))?;
            if is_valid { heard.taken() } else { heard.refused_for(&name) }
                .map(drop)
                .map_err(|wrong| format!("{wrong}\n{case:?}"))
        });
        failures.extend(checked.err());
    }
    none_of(&failures);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_path_or_query_is_refused_and_the_part_is_named() {
    let client = Client::start().await;
    let mut failures = Vec::new();
    let texts: Vec<String> = junk().iter().map(text).collect();
    for operation in client.operations.iter().filter(|operation| operation.tag != "webhooks") {
        let home = one(operation);
        let mut asked = Vec::new();
        for (nth, parameter) in operation.in_path.iter().enumerate() {
            for text in &texts {
                let mut case = home.clone();
                case.parts[nth].clone_from(text);
                asked.push((case, parameter.name.as_str(), is_valid(&parameter.schema, text)));
            }
        }
        for parameter in &operation.in_query {
            let others = home.query.iter().filter(|(name, _)| *name != parameter.name);
            for text in &texts {
                let query = others.clone().cloned().chain([(parameter.name.clone(), text.clone())]).collect();
                asked.push((Case { query, ..home.clone() }, &parameter.name, is_valid(&parameter.schema, text)));
            }
            let twice = others.clone().cloned().chain(["1", "1"].map(|text| (parameter.name.clone(), text.to_owned())));
            asked.push((Case { query: twice.collect(), ..home.clone() }, &parameter.name, false));
        }
        if !operation.in_query.is_empty() {
            let query = home.query.iter().cloned().chain([("unheard_of".to_owned(), "1".to_owned())]).collect();
            asked.push((Case { query, ..home.clone() }, "unheard_of", false));
        }
        for (case, name, is_valid) in asked {
            let is_nul = case.parts.iter().any(|part| part.contains('\0'));
            let heard = client.ask(operation, client.request(operation, &case)).await;
            let checked = heard.and_then(|heard| match (is_valid, is_nul) {
                (true, _) => heard.taken(),
                // What can be no name is asked of nobody.
                (false, true) if heard.status == 404 => heard.taken(),
                (false, true) if heard.body.to_string().contains("U+0000") => heard.refused_for("U+0000"),
                (false, _) => heard.refused_for(name),
            });
            failures.extend(checked.err().map(|wrong| format!("{}: {wrong}\n{case:?}", operation.id)));
        }
    }
    none_of(&failures);
}

/// A request about rows that are there.
fn one(operation: &Operation) -> Case {
    let made = RefCell::new(Case::default());
    each(operation, 1, &at_home(operation, &known()), |case| {
        made.replace(case);
        Ok(())
    })
    .unwrap();
    made.into_inner()
}

/// Whether a text may stand for a value of the schema.
fn is_valid(schema: &Value, text: &str) -> bool {
    let is_number = schema["type"].to_string().contains("integer");
    let value = if is_number { text.parse::<i64>().map_or(json!(text), Value::from) } else { json!(text) };
    validator(schema).is_valid(&value) && !text.contains('\0')
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_json_is_refused_by_every_operation_with_a_body() {
    let client = Client::start().await;
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let mut failures = Vec::new();
    for operation in client.operations.iter().filter(|operation| operation.tag != "webhooks") {
        let Some(body) = &operation.body else { continue };
        let request = |kind: Option<&str>, bytes: &[u8]| {
            let request = client.without_body(operation, &one(operation)).bearer_auth(ADMIN).body(bytes.to_vec());
            kind.into_iter().fold(request, |request, kind| request.header(CONTENT_TYPE, kind))
        };
        let json = Some("application/json");
        let mut asked = vec![
            (400, request(json, b"{\"a\":")),
            (400, request(json, b"{} {}")),
            (400, request(json, b"[]")),
            (400, request(json, b"null")),
            (400, request(json, b"\xff\xfe{}")),
            (400, request(json, b"{\"a\": \"\\ud800\"}")),
            (400, request(json, b"{\"a\": 1e999}")),
            (400, request(json, deep.as_bytes())),
            (415, request(Some("text/plain"), b"{}")),
            (415, request(None, b"{}")),
        ];
        if body.is_required {
            asked.push((400, request(json, b"")));
        }
        for (nth, (status, request)) in asked.into_iter().enumerate() {
            match client.ask(operation, request).await {
                Ok(heard) if heard.status == status => {}
                other => failures.push(format!("{} {nth}: not {status}: {other:?}", operation.id)),
            }
        }
        let huge = client.announce(operation, &one(operation), 2 << 20).await;
        if !huge.starts_with("HTTP/1.1 413 ") || !operation.answers.contains_key(&413) {
            failures.push(format!("{}: {huge}", operation.id));
        }
    }
    none_of(&failures);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_let_in_who_shows_nothing_or_too_little() {
    let client = Client::start().await;
    let mut failures = Vec::new();
    for operation in &client.operations {
        let case = one(operation);
        let request = || client.anonymous(operation, &case);
        let is_open = operation.security.is_empty() || operation.security.iter().any(serde_json::Map::is_empty);
        let role = operation.security.first().and_then(|scheme| scheme.get("token")?[0].as_str());
        let mut expect = async |what: &str, request: RequestBuilder, is_right: fn(&Heard) -> bool| match client
            .ask(operation, request)
            .await
        {
            Ok(heard) if is_right(&heard) => {}
            other => failures.push(format!("{} {what}: {other:?}", operation.id)),
        };
        if is_open {
            expect("is open", request(), |heard| heard.status != 401 || heard.is_own).await;
            continue;
        }
        expect("with nothing", request(), |heard| heard.status == 401).await;
        expect("with a wrong token", request().bearer_auth("wrong"), |heard| heard.status == 401).await;
        expect("with a wrong password", request().basic_auth("me", Some("wrong")), |heard| heard.status == 401).await;
        match role {
            Some("reader") => expect("as a reader", request().bearer_auth(READER), Heard::is_success).await,
            Some(_) => {
                expect("as a reader", request().bearer_auth(READER), |heard| heard.status == 403).await;
                expect("as an admin", request().basic_auth("", Some(ADMIN)), |heard| {
                    !matches!(heard.status, 401 | 403)
                })
                .await;
            }
            None => {}
        }
    }
    none_of(&failures);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_done_once_under_its_key_and_another_under_it_is_refused() {
    let client = Client::start().await;
    let mut failures = Vec::new();
    for operation in &client.operations {
        let is_change = operation.security.first().is_some_and(|scheme| scheme.get("token") == Some(&json!(["admin"])));
        assert_eq!(operation.takes_key, is_change, "{}", operation.id);
        if is_change {
            failures.extend(keyed(&client, operation).err());
        }
    }
    none_of(&failures);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_no_word_is_refused() {
    let client = Client::start().await;
    let mut failures = Vec::new();
    for operation in client.operations.iter().filter(|operation| operation.takes_key) {
        for key in ["", "\"\"", "two words", "\u{e9}", &"x".repeat(256)] {
            let request = client.request(operation, &one(operation)).header("idempotency-key", key.as_bytes());
            let checked = client.ask(operation, request).await.and_then(|heard| heard.refused_for("Idempotency-Key"));
            failures.extend(checked.err().map(|wrong| format!("{} {key:?}: {wrong}", operation.id)));
        }
    }
    none_of(&failures);
}

/// Finds a request that is done, and makes it again.
fn keyed(client: &Client, operation: &Operation) -> Result<(), String> {
    let (count, is_done) = (RefCell::new(0), RefCell::new(false));
    each(operation, VALID, &at_home(operation, &known()), |case| {
        if *is_done.borrow() {
            return Ok(());
        }
        *count.borrow_mut() += 1;
        let key = format!("{}-{}", operation.id, count.borrow());
        let request = || client.request(operation, &case).header("idempotency-key", &key);
        let first = wait(client.ask(operation, request()))?;
        if !first.is_success() {
            return Ok(());
        }
        is_done.replace(true);
        let again = wait(client.ask(operation, request()))?;
        if again != first {
            return Err(format!("not the first answer: {first:?} {again:?}"));
        }
        let body = request().build().unwrap().body().and_then(|body| body.as_bytes()).unwrap_or_default().to_vec();
        let kind = if case.is_form { "application/x-www-form-urlencoded" } else { "application/json" };
        let other = client.without_body(operation, &case).bearer_auth(ADMIN).header("idempotency-key", &key);
        // White space is another body.
        let other =
            other.header(CONTENT_TYPE, kind).body([&body[..], if case.is_form { b"&a=1" } else { b"  " }].concat());
        let other = wait(client.ask(operation, other))?;
        if other.status != 422 || other.body["error"]["code"] != "idempotency_key_reused" {
            return Err(format!("another body is not refused: {other:?}"));
        }
        Ok(())
    })?;
    if is_done.into_inner() { Ok(()) } else { Err(format!("{} was never done", operation.id)) }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_provider_tells_is_answered_as_the_document_says() {
    let client = Client::start().await;
    let status = json!({"id": "wamid.A", "status": "sent", "timestamp": "1750263773", "biz_opaque_callback_data": "actions:1:1"});
    let message = json!({"from": "16505551234", "id": "wamid.IN", "timestamp": "1750263700", "type": "text", "text": {"body": "hello"}});
    let value = json!({"contacts": [{"profile": {"name": "Dana"}, "wa_id": "16505551234"}], "messages": [message], "statuses": [status]});
    let mut failures = Vec::new();
    for (id, body) in [
        (
            "hearMeta",
            json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [{"field": "messages", "value": value}]}]}),
        ),
        (
            "hearInfobip",
            json!({"results": [{"messageId": "m1", "callbackData": "actions:1:1", "status": {"groupName": "DELIVERED"}, "doneAt": "2026-11-20T12:00:00.000+0000"},
            {"from": "385919998888", "messageId": "m2", "receivedAt": "2026-11-20T12:00:00Z", "message": {"type": "TEXT", "text": "hello"}}]}),
        ),
        (
            "hearCommerce7",
            json!({"object": "Order", "action": "Update", "tenantId": "north", "user": "staff@example.com",
            "payload": {"id": "7d3c-1", "total": 15_000, "paymentStatus": "Paid", "updatedAt": "2026-03-01T10:00:00Z", "customerId": "c-1"}}),
        ),
        ("hearShopify", crate::http_crm::order()),
        ("hearSupplier", json!({"reference": "r1", "provider_reference": "p1", "state": "delivered", "text": "done"})),
    ] {
        let operation = client.operation(id);
        let case = Case {
            parts: vec!["default".to_owned()],
            query: vec![("token".to_owned(), "right".to_owned())],
            ..Case::default()
        };
        let ask = |body: Value| {
            let case = Case { body: Some(body), ..case.clone() };
            wait(client.ask(operation, client.request(operation, &case)))?.taken()
        };
        match ask(body.clone()) {
            Ok(heard) if heard.is_success() => {}
            other => failures.push(format!("{id}: {other:?}")),
        }
        failures.extend(each(operation, BROKEN, &shaken(vec![body]), |body| ask(body).map(drop)).err());
    }
    none_of(&failures);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_binary_prints_the_document_that_is_served() {
    let client = Client::start().await;
    let (show, index) = (client.operation("getDocument"), client.operation("getIndex"));
    let served = client.ask(show, client.anonymous(show, &Case::default())).await.unwrap().body;
    let printed = std::process::Command::new(crate::process::ROWCALL).arg("openapi").env_clear().output().unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&printed.stdout).unwrap(), served, "without a database");
    assert_eq!((&served["openapi"], &served["info"]["version"]), (&json!("3.1.0"), &json!(env!("CARGO_PKG_VERSION"))));

    let listed = client.ask(index, client.anonymous(index, &Case::default())).await.unwrap().body;
    assert_eq!((&listed["health"], &listed["links"]), (&json!(["/livez", "/readyz"]), &json!(["GET /l/{slug}"])));
    let api = listed["api"].as_array().unwrap();
    assert!(api.contains(&json!("GET /api/history?queue=&key=&limit=")), "{api:?}");
    let known = 4 + 1 + listed["webhooks"].as_array().unwrap().len() + api.len();
    assert_eq!(known, client.operations.len(), "each of the document is there");
}

/// A handler is served by its description, so a route that has none can only be one that is added otherwise.
#[test]
fn no_route_is_served_without_its_description() {
    fn look(folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                look(&entry, found);
                continue;
            }
            let text = fs::read_to_string(&entry).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            let ways = [".route(", ".route_service(", ".nest(", ".nest_service(", ".fallback_service(", "routing::"];
            found.extend(
                ways.iter().filter(|way| code.contains(*way)).map(|way| format!("{} has {way}", entry.display())),
            );
        }
    }
    let mut found = Vec::new();
    look(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http"), &mut found);
    assert!(found.is_empty(), "routes!(…) serves what is described: {found:?}");
}
