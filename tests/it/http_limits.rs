//! What every request meets: bounds of size and time, refusals as JSON, ids, headers.

use std::time::{Duration, Instant};

use reqwest::Method;
use rowcall::http::{Limits, Settings};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::scratch::Scratch;
use crate::web::{STAND_INS, Web, heard, json, locked, open, raw, refused, told};

fn limited(limits: Limits) -> Settings {
    Settings { limits, ..open() }
}

fn said(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn every_refusal_is_json_with_a_code() {
    let scratch = Scratch::migrated().await;
    scratch.sql(STAND_INS).await;
    let web = Web::start(&scratch, open()).await;
    let feedback =
        |kind: &str, body: &'static str| web.post("/action-feedback").header("content-type", kind).body(body);
    assert_eq!(refused(web.get("/nothing/here")).await, said(404, "not_found"));
    assert_eq!(refused(web.ask(Method::DELETE, "/api/status")).await, said(405, "method_not_allowed"));
    assert_eq!(refused(web.get("/api/history?limit=many")).await, said(400, "invalid_query"));
    assert_eq!(refused(web.get("/api/history?limit=1001")).await, said(400, "invalid_query"));
    assert_eq!(refused(web.get("/api/history?qeueu=codes")).await, said(400, "invalid_query"));
    assert_eq!(refused(web.get("/api/actions/seven")).await, said(400, "invalid_path"));
    assert_eq!(refused(web.get("/api/actions/%ff")).await, said(400, "invalid_path"));
    assert_eq!(refused(feedback("text/plain", "{}")).await, said(415, "not_json"));
    assert_eq!(refused(web.post("/action-feedback").body("{}")).await, said(415, "not_json"));
    for body in ["", "{", "{\"a\":1}x", "nothing", "[1]", "\"text\"", "{\"a\":\"\\ud800\"}"] {
        assert_eq!(refused(feedback("application/json", body)).await, said(400, "invalid_json"), "{body}");
    }
    let nul = "{\"status\":\"approved\",\"note\":\"\\u0000\"}";
    assert_eq!(refused(feedback("application/json", nul)).await, said(400, "invalid"), "Postgres has no room for it");
    let taken = feedback("application/vnd.rowcall+json; charset=utf-8", "{\"status\":\"approved\"}");
    assert_eq!(told(taken).await.0, 202);
    assert_eq!(heard(&scratch).await, ["approved"], "what was refused changed nothing");
    let allowed = web.ask(Method::DELETE, "/api/status").send().await.unwrap();
    assert_eq!(allowed.headers()["allow"], "GET,HEAD");
}

#[tokio::test]
async fn a_body_beyond_the_bound_is_refused_whether_or_not_it_says_so() {
    let scratch = Scratch::migrated().await;
    scratch.sql(STAND_INS).await;
    let web = Web::start(&scratch, limited(Limits { body_bytes_max: 100, ..Limits::default() })).await;
    let head = |rest: &str| {
        let host = web.address;
        format!(
            "POST /action-feedback HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-type: application/json\r\n{rest}"
        )
    };
    // Nothing of the announced body is waited for.
    let announced = raw(web.address, head("content-length: 101\r\n\r\n").as_bytes()).await;
    let endless = format!("{}65\r\n{}\r\n", head("transfer-encoding: chunked\r\n\r\n"), " ".repeat(101));
    for answer in [announced, raw(web.address, endless.as_bytes()).await] {
        assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("\"large_body\""), "{answer}");
    }
    let fits = json!({ "status": "approved", "padding": "x".repeat(66) });
    assert_eq!(fits.to_string().len(), 100);
    assert_eq!(told(json(web.post("/action-feedback"), &fits)).await.0, 202);
    assert_eq!(heard(&scratch).await, ["approved"]);
}

#[tokio::test]
async fn the_bound_of_a_body_is_one_mebibyte() {
    assert_eq!(Limits::default().body_bytes_max, 1024 * 1024);
}

#[tokio::test]
async fn a_slow_body_is_given_up() {
    let scratch = Scratch::migrated().await;
    let web = Web::start(&scratch, limited(Limits { body: Duration::from_millis(100), ..Limits::default() })).await;
    let host = web.address;
    let request = format!(
        "POST /action-feedback HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: 20\r\n\r\n{{\"status\":"
    );
    let answer = raw(web.address, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("\"slow_body\""), "{answer}");
}

#[tokio::test]
async fn a_slow_head_and_an_idle_connection_are_closed() {
    let scratch = Scratch::migrated().await;
    let web = Web::start(&scratch, limited(Limits { head: Duration::from_millis(100), ..Limits::default() })).await;
    let host = web.address;
    assert!(!raw(web.address, b"").await.contains("200"));
    assert!(!raw(web.address, format!("GET /livez HTTP/1.1\r\nhost: {host}\r\nx-").as_bytes()).await.contains("200"));
    let answer = raw(web.address, format!("GET /livez HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "answered, then closed when nothing more came: {answer}");
}

/// Asks and asks and reads nothing, until the server cuts it off, which must be sooner than the default bounds.
async fn ask_without_reading(web: &Web, path: &str) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(web.address).await.unwrap();
    let requests = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", web.address).repeat(1000);
    let asking = async { while stream.write_all(requests.as_bytes()).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(8), asking).await.expect("the server cuts it off");
}

#[tokio::test]
async fn whoever_does_not_read_is_given_up_and_makes_room() {
    let scratch = Scratch::migrated().await;
    let limits = Limits { write: Duration::from_millis(100), connections_max: 1, ..Limits::default() };
    let web = Web::start(&scratch, limited(limits)).await;
    ask_without_reading(&web, "/").await;
    assert_eq!(told(web.get("/livez")).await.0, 200);
}

#[tokio::test]
async fn whoever_takes_its_last_answer_slowly_is_cut_off_in_the_end() {
    let scratch = Scratch::migrated().await;
    // An answer that no buffer on the way has room for.
    let long = "insert into rowcall.attempts (queue, key, generation, attempt, settled_as, response)
                select 'codes', '1', 1, 1, 'done', to_jsonb(repeat('x', 20000)) from generate_series(1, 1000)";
    scratch.sql(long).await;
    let web =
        Web::start(&scratch, limited(Limits { connection_max: Duration::from_secs(2), ..Limits::default() })).await;
    ask_without_reading(&web, "/api/history?limit=1000").await;
}

#[tokio::test]
async fn no_connection_is_kept_for_ever() {
    let scratch = Scratch::migrated().await;
    let web = Web::start(&scratch, limited(Limits { connection: Duration::from_secs(3), ..Limits::default() })).await;
    let request = format!("GET /livez HTTP/1.1\r\nhost: {}\r\n\r\n", web.address);
    let (mut stream, began) = (TcpStream::connect(web.address).await.unwrap(), Instant::now());
    let mut answer = [0; 4096];
    let mut answers = 0;
    loop {
        stream.write_all(request.as_bytes()).await.unwrap();
        let length = stream.read(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]).to_lowercase();
        assert!(answer.starts_with("http/1.1 200 "), "it is told before it ends: {answer}");
        answers += 1;
        if answer.contains("connection: close") {
            break;
        }
    }
    assert!(answers > 1 && began.elapsed() >= Duration::from_secs(3), "{answers} in {:?}", began.elapsed());
    assert_eq!(stream.read(&mut answer).await.unwrap(), 0);
}

/// Requests that wait in the database.
async fn waiting(scratch: &Scratch) -> String {
    let waits = "select count(*)::text from pg_locks where locktype = 'advisory' and not granted
                 and database = (select oid from pg_database where datname = current_database())";
    scratch.text(waits).await
}

#[tokio::test]
async fn a_request_that_nobody_waits_for_leaves_no_statement_behind() {
    let scratch = Scratch::migrated().await;
    scratch.sql(STAND_INS).await;
    let held = scratch.client().await;
    held.batch_execute("select pg_advisory_lock(9)").await.unwrap();
    let web = Web::start(&scratch, open()).await;
    let body = json!({ "action_id": 9, "status": "approved" }).to_string();
    let request = format!(
        "POST /action-feedback HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        web.address,
        body.len()
    );
    let mut callers = Vec::new();
    for _ in 0..5 {
        let mut caller = TcpStream::connect(web.address).await.unwrap();
        caller.write_all(request.as_bytes()).await.unwrap();
        callers.push(caller);
    }
    while waiting(&scratch).await != "5" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(callers);
    let next = tokio::time::timeout(Duration::from_secs(8), told(web.get("/api/status"))).await;
    assert_eq!(next.expect("nobody's statement is in the way").0, 200);
    let hung_up = Instant::now();
    while waiting(&scratch).await != "0" {
        assert!(hung_up.elapsed() < Duration::from_secs(8), "the server ends what nobody waits for");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    held.batch_execute("select pg_advisory_unlock(9)").await.unwrap();
    assert!(heard(&scratch).await.is_empty());
}

#[tokio::test]
async fn a_request_that_is_given_up_keeps_no_connection_to_the_database() {
    let scratch = Scratch::migrated().await;
    scratch.sql(STAND_INS).await;
    let held = scratch.client().await;
    held.batch_execute("select pg_advisory_lock(9)").await.unwrap();
    let web = Web::start(&scratch, limited(Limits { answer: Duration::from_secs(4), ..Limits::default() })).await;
    let feedback = json!({ "action_id": 9, "status": "approved" });
    let asked = (0..5).map(|_| refused(json(web.post("/action-feedback"), &feedback)));
    assert_eq!(futures_util::future::join_all(asked).await, vec![said(503, "timeout"); 5]);
    assert_eq!(told(web.get("/api/status")).await.0, 200);
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_for_room() {
    let scratch = Scratch::migrated().await;
    let web = Web::start(&scratch, limited(Limits { connections_max: 1, ..Limits::default() })).await;
    let host = web.address;
    let request = format!("GET /livez HTTP/1.1\r\nhost: {host}\r\n\r\n");
    let mut first = TcpStream::connect(web.address).await.unwrap();
    first.write_all(request.as_bytes()).await.unwrap();
    let mut byte = [0];
    first.read_exact(&mut byte).await.unwrap();
    let mut second = TcpStream::connect(web.address).await.unwrap();
    second.write_all(request.as_bytes()).await.unwrap();
    let waited = tokio::time::timeout(Duration::from_millis(200), second.read_exact(&mut byte)).await;
    assert!(waited.is_err(), "there is room for one");
    drop(first);
    tokio::time::timeout(Duration::from_secs(20), second.read_exact(&mut byte)).await.expect("room").unwrap();
}

#[tokio::test]
async fn every_answer_carries_the_requests_id() {
    let scratch = Scratch::migrated().await;
    let web = Web::start(&scratch, locked()).await;
    let id = async |path: &str, id: Option<&str>| {
        let request = id.into_iter().fold(web.get(path), |request, id| request.header("x-request-id", id));
        request.send().await.unwrap().headers()["x-request-id"].to_str().unwrap().to_owned()
    };
    for path in ["/livez", "/api/status", "/nothing"] {
        assert_eq!(id(path, Some("a-Trace_7.1")).await, "a-Trace_7.1");
        for unfit in [None, Some(""), Some("with space"), Some("972501234567"), Some(&*"a".repeat(65)), Some("a\"b")] {
            let made = id(path, unfit).await;
            assert!(uuid::Uuid::parse_str(&made).is_ok(), "{unfit:?} {made}");
        }
    }
    assert_ne!(id("/livez", None).await, id("/livez", None).await);
}

#[tokio::test]
async fn browsers_are_told_to_be_careful_and_no_other_origin_is_let_in() {
    let scratch = Scratch::migrated().await;
    let web = Web::start(&scratch, locked()).await;
    for path in ["/", "/api/status", "/nothing"] {
        let answer = web.get(path).header("origin", "http://evil.example").send().await.unwrap();
        let headers = answer.headers();
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["cache-control"], "no-store");
        assert_eq!(headers["x-frame-options"], "DENY");
        assert!(headers["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
        assert!(!headers.keys().any(|name| name.as_str().starts_with("access-control-")), "{headers:?}");
    }
}
