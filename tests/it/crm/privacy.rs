//! What must not leave the row: keys, addresses and names, whatever a CRM quotes and whatever is logged or shown.

use std::io::Write;
use std::sync::{Arc, Mutex};

use rowcall::failure::Fault;
use rowcall::sandbox::crm::{Fault as Script, Kind};
use serde_json::json;
use tracing_subscriber::EnvFilter;

use super::{Commerce7, EMAIL, Shopify, Which, World, add, assert_fault, assert_no_secret, job, settings};

#[tokio::test]
async fn what_a_crm_quotes_does_not_reach_the_row() {
    let quotes = [
        format!("{EMAIL} is not allowed"),
        EMAIL.replace('@', "%40").to_uppercase(),
        "Dear Ama Serwaa, no".to_owned(),
        "SERWAA: unknown".to_owned(),
        "key sandbox-key or token sandbox-access-token is bad".to_owned(),
    ];
    for words in quotes {
        for (which, status, body) in [
            (Commerce7, 422, json!({"type": words, "message": words, "errors": [{"field": words, "message": words}]})),
            (Commerce7, 400, json!({"message": words})),
            (Commerce7, 200, json!({"errors": [words]})),
            (Shopify, 200, json!({"errors": [{"message": words, "extensions": {"code": words}}]})),
            (
                Shopify,
                200,
                json!({"data": {"tagsAdd": {"node": null, "userErrors": [{"field": [words], "message": words}]}}}),
            ),
            (Shopify, 400, json!({"errors": words})),
        ] {
            let world = World::new().await;
            world.fake.fault(Script::new(Kind::Answer { status, body }).at(which.change("add_membership")));
            let outcome = world.execute(&add(which)).await;
            let fault = outcome.fault.unwrap();
            assert!(matches!(fault, Fault::Item | Fault::Transient), "{outcome:?}");
            assert_fault(&outcome, fault, &words);
        }
    }
}

#[tokio::test]
async fn an_address_goes_whole_also_where_it_looks_like_none() {
    let email = "o'hara!\"x\"@example.com";
    let world = World::new().await;
    let body = json!({"message": format!("bad address {email}")});
    world.fake.fault(Script::new(Kind::Answer { status: 400, body }));
    let outcome = world.execute(&job(Commerce7, "add_membership", |p| p["customer"]["email"] = json!(email))).await;
    let error = outcome.error.unwrap();
    assert!(error.contains("bad address") && !error.contains("hara"), "{error}");
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn nothing_private_is_logged_at_any_level() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new("rowcall=trace"))
        .with_writer(move || writer.clone())
        .finish();
    // For this thread, on which the whole test runs.
    let _guard = tracing::subscriber::set_default(subscriber);
    let old = |address: &str| format!("{address}/{{shop}}/admin/api/2020-01/graphql.json");
    let world = World::with(|into| {
        let address = into.commerce7.api_url.origin().ascii_serialization();
        into.shopify.api_url = rowcall::integrations::crm::shopify::Template::new(&old(&address)).unwrap();
    })
    .await;
    for which in Which::BOTH {
        world.done(&add(which)).await;
        world.fake.fault(Script::new(Kind::AcceptThenClose).at(which.change("cancel_membership")));
        world.done(&super::cancel(which)).await;
        world.fake.set_access("north", false);
        world.execute(&add(which)).await;
        world.fake.set_access("north", true);
    }
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.matches("another API version").count(), 1, "the log is heard, and warns once: {text}");
    assert_no_secret(&text);
}

#[tokio::test]
async fn nothing_private_is_in_debug_output() {
    let world = World::new().await;
    let own = json!({"app_id": "app", "key": "client-secret-1", "access_token": "client-secret-2"});
    let job = job(Commerce7, "add_membership", |payload| payload["credentials"] = own);
    let outcome = world.execute(&job).await;
    let shown = format!("{job:?} {outcome:?} {:?}", settings("http://crm.invalid"));
    assert!(shown.contains("add_membership") && shown.contains("commerce7:north"), "{shown}");
    assert_no_secret(&shown);
    // The address of the fake is in there, and is no secret.
    assert_no_secret(&format!("{:?}", world.crm).replace("127.0.0.1", ""));
}
