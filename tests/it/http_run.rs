//! HTTP as part of the real `rowcall run`: it begins, ends and logs with it.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::process::eventually;
use crate::scratch::{Said, Scratch};
use crate::web::{ADMIN, APP_SECRET, INFOBIP_SECRET, READER, Run, STAND_INS, VERIFY_TOKEN, client, json, read, told};

async fn ready(address: SocketAddr) {
    let began = std::time::Instant::now();
    while told(client().get(format!("http://{address}/readyz"))).await.0 != 200 {
        assert!(began.elapsed() < Duration::from_secs(20), "the worker is ready");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_worker_that_runs_is_ready_and_alive() {
    let scratch = Scratch::migrated().await;
    let run = Run::start(&scratch, &[]);
    let address = run.address().await;
    ready(address).await;
    let (status, body) = told(client().get(format!("http://{address}/api/status"))).await;
    assert_eq!((status, &body["workers"][0]["state"]), (200, &json!("alive")));
}

#[tokio::test]
async fn what_was_asked_is_answered_before_the_worker_ends() {
    let scratch = Scratch::migrated().await;
    scratch.sql(STAND_INS).await;
    let mut run = Run::start(&scratch, &[]);
    let address = run.address().await;
    ready(address).await;
    let held = scratch.client().await;
    held.batch_execute("select pg_advisory_lock(9)").await.unwrap();
    let request = json(
        client().post(format!("http://{address}/action-feedback")),
        &json!({ "action_id": 9, "status": "approved" }),
    );
    let answer = tokio::spawn(request.send());
    let waits = "select count(*)::text from pg_locks where locktype = 'advisory' and not granted and database = (select oid from pg_database where datname = current_database())";
    while scratch.text(waits).await != "1" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    run.terminate();
    run.logged("HTTP closes").await;
    assert!(TcpStream::connect(address).await.is_err(), "nothing more is accepted");
    assert!(!answer.is_finished());
    held.batch_execute("select pg_advisory_unlock(9)").await.unwrap();
    assert_eq!(read(answer.await.unwrap().unwrap()).await, (202, json!({ "action_id": 9 })));
    assert!(run.ended().await.success(), "{}", run.log());
}

#[tokio::test]
async fn an_idle_connection_holds_up_no_shutdown() {
    let scratch = Scratch::migrated().await;
    let mut run = Run::start(&scratch, &[]);
    let address = run.address().await;
    ready(address).await;
    let mut kept = TcpStream::connect(address).await.unwrap();
    kept.write_all(format!("GET /livez HTTP/1.1\r\nhost: {address}\r\n\r\n").as_bytes()).await.unwrap();
    // Answered, so that it is known to be idle.
    kept.read_exact(&mut [0; 15]).await.unwrap();
    let _silent = TcpStream::connect(address).await.unwrap();
    run.terminate();
    assert!(run.ended().await.success());
    assert!(!run.log().contains("not answered in time"), "{}", run.log());
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_says_what_to_do() {
    let scratch = Scratch::migrated().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = scratch.command(&["run"]);
    command.env("ENABLE_MONITORING", "true").env("ROWCALL_HTTP_ADDR", &address);
    let text = Said::from(command.output().unwrap()).refusal();
    assert!(text.contains(&format!("{address} is taken")) && text.contains("ENABLE_MONITORING=false"), "{text}");
    assert_eq!(scratch.text("select count(*)::text from rowcall.workers").await, "0");
}

#[tokio::test]
async fn another_address_is_refused_without_a_token() {
    let scratch = Scratch::migrated().await;
    let mut command = scratch.command(&["run"]);
    command.env("ENABLE_MONITORING", "true").env("ROWCALL_HTTP_ADDR", "0.0.0.0:0").env("ROWCALL_READ_TOKEN", READER);
    let text = Said::from(command.output().unwrap()).refusal();
    assert!(text.contains("ROWCALL_HTTP_ADDR=\"0.0.0.0:0\"") && text.contains("ROWCALL_API_TOKEN"), "{text}");
    let run = Run::start(&scratch, &[("ROWCALL_HTTP_ADDR", "0.0.0.0:0"), ("ROWCALL_API_TOKEN", ADMIN)]);
    let port = run.address().await.port();
    let (status, _) = told(client().get(format!("http://127.0.0.1:{port}/api/status")).bearer_auth(ADMIN)).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn a_webhooks_secret_without_a_token_is_refused() {
    let scratch = Scratch::migrated().await;
    for secret in [
        &[("WHATSAPP_APP_SECRET", APP_SECRET)][..],
        &[("SHOPIFY_WEBHOOK_SECRET", APP_SECRET)],
        &[("COMMERCE7_WEBHOOK_USER", "hooks"), ("COMMERCE7_WEBHOOK_PASSWORD", APP_SECRET)],
    ] {
        let mut run = Run::start(&scratch, secret);
        assert!(!run.ended().await.success());
        let text = run.logged("rowcall: ").await;
        assert!(text.contains("ROWCALL_API_TOKEN: it must be set") && !text.contains(APP_SECRET), "{text}");
    }
}

#[tokio::test]
async fn a_supplier_that_calls_back_without_a_token_is_refused() {
    let scratch = Scratch::migrated().await;
    let mut run = Run::start(&scratch, &[("AT_ISHARE_PROFILE", "at-ishare")]);
    assert!(!run.ended().await.success());
    let text = run.logged("rowcall: ").await;
    assert!(text.contains("ROWCALL_API_TOKEN: it must be set") && text.contains("AT_ISHARE_API_SECRET"), "{text}");
}

#[tokio::test]
async fn http_can_be_done_without() {
    let scratch = Scratch::migrated().await;
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut run = Run::start(&scratch, &[("ENABLE_MONITORING", "false"), ("ROWCALL_HTTP_ADDR", &free.to_string())]);
    run.logged("The bell works").await;
    assert!(TcpStream::connect(free).await.is_err());
    run.terminate();
    assert!(run.ended().await.success());
    assert!(!run.log().contains("HTTP is served"), "{}", run.log());
}

#[tokio::test]
async fn what_a_caller_gave_is_not_in_the_log_when_the_database_is_away() {
    let scratch = Scratch::migrated().await;
    let run = Run::start(&scratch, &[]);
    let address = run.address().await;
    ready(address).await;
    let (phone, words) = ("972501234567", "Ama Serwaa +972501234567");
    scratch.shut().await;
    let post = |path: String, body: Value| json(client().post(format!("http://{address}{path}")), &body);
    let row = |verb: &str| format!("/api/queues/codes/rows/{phone}/{verb}");
    let asked = [
        post("/api/queues/codes/pause".to_owned(), json!({ "reason": words })),
        post(format!("/api/queues/{phone}/pause"), json!({ "reason": words })),
        post(format!("/api/queues/{phone}/resume"), json!({})),
        post(row("retry"), json!({})),
        post(row("cancel"), json!({})),
        post(row("resolve"), json!({ "verdict": "done", "note": words })),
        post("/action-feedback".to_owned(), json!({ "status": words })),
        client().get(format!("http://{address}/api/actions/{phone}")),
        client().get(format!("http://{address}/api/history?queue={phone}&key={phone}")),
    ];
    let number = asked.len();
    for request in asked {
        assert_eq!(told(request).await.0, 503);
    }
    let is_failure = |line: &&str| line.contains("did not do what a request asked for");
    eventually("the log of every failure", || (run.log().lines().filter(is_failure).count() == number).then_some(()))
        .await;
    let log = run.log();
    assert!(log.contains("retry a row: no connection to the database"), "{log}");
    for hidden in [phone, "Serwaa"] {
        assert_eq!(log.lines().find(|line| line.contains(hidden)), None);
    }
    scratch.reopen().await;
}

#[tokio::test]
async fn nothing_secret_or_personal_is_logged_whatever_the_log_level() {
    const JWT_SECRET: &str = "the-hs256-secret-of-a-supabase-project";
    let scratch = Scratch::migrated().await;
    scratch.sql(STAND_INS).await;
    let mut run = Run::start(
        &scratch,
        &[
            ("RUST_LOG", "trace,tokio_postgres::query=trace,tokio_postgres::prepare=trace,hyper::proto=trace"),
            ("ROWCALL_API_TOKEN", ADMIN),
            ("ROWCALL_READ_TOKEN", READER),
            ("SUPABASE_JWT_SECRET", JWT_SECRET),
            ("WHATSAPP_APP_SECRET", APP_SECRET),
            ("WHATSAPP_VERIFY_TOKEN", VERIFY_TOKEN),
            ("INFOBIP_WEBHOOK_SECRET", INFOBIP_SECRET),
        ],
    );
    let address = run.address().await;
    ready(address).await;
    let (at, phone, words) = (|path: &str| format!("http://{address}{path}"), "972501234567", "a-secret-word");
    let feedback = json!({ "action_id": 7, "status": "approved", "contact_id": phone, "user_response": words });
    let message = json!({ "results": [{ "messageId": "m2", "from": phone, "message": { "type": "TEXT", "text": words },
        "contact": { "name": words } }, { "messageId": "poison", "to": phone, "status": { "groupName": "DELIVERED" } }] });
    let verify = format!("/webhooks/whatsapp?hub.mode=subscribe&hub.challenge=1&hub.verify_token={VERIFY_TOKEN}");
    for (request, status) in [
        (json(client().post(at("/action-feedback")).bearer_auth(ADMIN), &feedback), 202),
        (json(client().post(at("/action-feedback")).bearer_auth(ADMIN), &json!({ "contact_id": phone })), 400),
        (
            json(
                client().post(at("/action-feedback")).bearer_auth(ADMIN),
                &json!({ "action_id": 500, "status": words }),
            ),
            400,
        ),
        (client().post(at("/action-feedback")).bearer_auth(words), 401),
        (client().get(at("/api/status")).basic_auth(words, Some(READER)), 200),
        (client().get(at("/api/status")).bearer_auth(format!("{words}.{words}.{words}")), 401),
        (client().get(at(&format!("/api/history?key={phone}"))).bearer_auth(READER), 200),
        (client().get(at(&format!("/{words}/{phone}?token={ADMIN}"))).header("x-request-id", phone), 404),
        (client().post(at(&format!("/api/queues/codes/rows/{phone}/retry"))).bearer_auth(ADMIN), 404),
        (client().post(at("/webhooks/infobip")).basic_auth("", Some(INFOBIP_SECRET)).body(message.to_string()), 200),
        (client().get(at(&verify)), 200),
        (client().post(at("/webhooks/whatsapp")).header("x-hub-signature-256", words).body(feedback.to_string()), 401),
    ] {
        let answer = request.header("x-request-id", "r-1").send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status);
    }
    run.terminate();
    assert!(run.ended().await.success());
    run.logged("Worker ended").await;
    let log = run.log();
    assert!(
        log.contains("\"request_id\":\"r-1\"") && log.contains("\"route\":\"/api/queues/{queue}/rows/{key}/retry\"")
    );
    assert!(log.contains("does not take an event of WhatsApp"), "a refused event is told of");
    for hidden in [ADMIN, READER, JWT_SECRET, APP_SECRET, VERIFY_TOKEN, INFOBIP_SECRET, phone, words] {
        let line = log.lines().find(|line| line.contains(hidden));
        assert!(line.is_none(), "{hidden}: {line:?}");
    }
}
