//! Document 5 over HTTP, on the command line, and by the script for cron.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use rowcall::http::{Limits, Settings};
use rowcall::sandbox::fluent::{Edit, Fault, Kind};
use serde_json::{Value, json};

use super::flow::Flow;
use super::rows::{Rows, end, ticket, ticket_with};
use crate::process::ROWCALL;
use crate::scratch::{Said, Scratch};
use crate::web::{ADMIN, READER, Web, client, json as with_json, locked, open, refused, told};

/// A server that waits for a sync no longer than this.
async fn patient(scratch: &Scratch, wait: Duration) -> Web {
    let limits = Limits { wait, ..Limits::default() };
    Web::start(scratch, Settings { limits, ..open() }).await
}

fn sync(web: &Web, body: &Value) -> reqwest::RequestBuilder {
    with_json(web.post("/api/fluent/sync"), body)
}

#[tokio::test]
async fn a_sync_is_answered_as_the_document_says() {
    let flow = Flow::new(7).await;
    let web = patient(&flow.scratch, Duration::from_secs(15)).await;
    let (status, answer) = told(sync(&web, &json!({"dateFilter": "2024-10-17"}))).await;
    assert_eq!(status, 200, "{answer}");
    for (name, value) in [
        ("success", json!(true)),
        ("ticketsFetched", json!(7)),
        ("ticketsAdded", json!(7)),
        ("ticketsUpdated", json!(0)),
        ("ticketsSkipped", json!(0)),
        ("dateFilter", json!("2024-10-17")),
    ] {
        assert_eq!(answer[name], value, "{name}");
    }
    assert!(answer["syncDuration"].as_i64().unwrap() > 0);

    flow.fake.edit(&[Edit::Open, Edit::Retitle(2, "Changed".to_owned())]);
    let (_, answer) = told(sync(&web, &json!({}))).await;
    let counts =
        ["ticketsFetched", "ticketsAdded", "ticketsUpdated", "ticketsSkipped"].map(|n| answer[n].as_i64().unwrap());
    assert_eq!(counts, [8, 1, 1, 6]);
    let (_, status) = told(web.get("/api/fluent/status")).await;
    assert_eq!((&status["lastSync"]["status"], &status["tickets"]), (&json!("success"), &json!(8)));
    assert!(status["lastSuccessAt"].is_string());
}

#[tokio::test]
async fn a_sync_that_takes_longer_is_under_way() {
    let flow = Flow::new(150).await;
    let web = patient(&flow.scratch, Duration::from_millis(700)).await;
    flow.fake.fault(Fault::at(2, Kind::Hang));
    let (status, answer) = told(sync(&web, &json!({"full": true}))).await;
    assert_eq!(status, 202, "{answer}");
    flow.until("select pages_read = 2 from fluent_sync_status").await;
    // Whoever asks again in the same words meets the same sync.
    let (status, again) = told(sync(&web, &json!({"full": true}))).await;
    assert_eq!((status, &again["sync"]["id"]), (202, &answer["sync"]["id"]));
    let shown = &again["sync"];
    assert_eq!((&shown["status"], &shown["pagesRead"], &shown["isFull"]), (&json!("running"), &json!(2), &json!(true)));
    assert_eq!(flow.text("select count(*) from fluent_sync_status").await, "1");
}

#[tokio::test]
async fn what_keeps_a_sync_is_told_at_once() {
    let flow = Flow::new(5).await;
    let web = patient(&flow.scratch, Duration::from_secs(15)).await;
    flow.fake.fault(Fault::new(Kind::NoPlugin));
    let (status, answer) = told(sync(&web, &json!({}))).await;
    assert_eq!((status, &answer["success"]), (500, &json!(false)), "{answer}");
    let error = &answer["error"];
    assert!(error["message"].as_str().unwrap().contains("the plugin is active"), "{error}");
    assert!(error["hint"].as_str().unwrap().contains("goes on by itself"), "{error}");
}

#[tokio::test]
async fn without_a_worker_it_says_so() {
    let scratch = Scratch::migrated().await;
    let web = patient(&scratch, Duration::ZERO).await;
    let (status, answer) = told(sync(&web, &json!({}))).await;
    assert_eq!(status, 202);
    assert!(answer["sync"]["waitsFor"].as_str().unwrap().contains("rowcall run"), "{answer}");
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said() {
    let scratch = Scratch::migrated().await;
    let web = patient(&scratch, Duration::ZERO).await;
    for filter in
        [json!("17.10.2025"), json!("2025-02-30"), json!(20_251_017), json!(["2025-10-17"]), json!("2999-01-01")]
    {
        assert_eq!(refused(sync(&web, &json!({"dateFilter": filter}))).await, (400, "invalid".to_owned()), "{filter}");
    }
    for body in [
        json!({"datefilter": "2025-10-17"}),
        json!({"date_filter": "2025-10-17"}),
        json!({"full": "true"}),
        json!({"full": 1}),
        json!({"dateFilter": "1969-12-31"}),
        json!({"dateFilter": "-000500-01-01"}),
    ] {
        assert_eq!(refused(sync(&web, &body)).await, (400, "invalid".to_owned()), "{body}");
    }
    for query in ["page=0", "per_page=201", "page=x", "colour=red"] {
        assert_eq!(refused(web.get(&format!("/api/fluent/tickets?{query}"))).await.0, 400, "{query}");
    }
    assert_eq!(scratch.text("select count(*)::text from fluent_sync_status").await, "0");
    for nothing in [json!({"dateFilter": null}), json!({"dateFilter": ""}), json!({})] {
        assert_eq!(told(sync(&web, &nothing)).await.0, 202);
    }
    assert_eq!(scratch.text("select count(*)::text from fluent_sync_status").await, "1");
}

#[tokio::test]
async fn the_status_is_public_and_its_reasons_are_not() {
    let scratch = Scratch::migrated().await;
    scratch.sql("insert into fluent_sync_status (status, error_message) values ('failed', 'The site failed.')").await;
    let web = Web::start(&scratch, locked()).await;
    let (status, shown) = told(web.get("/api/fluent/status")).await;
    assert_eq!((status, &shown["lastSync"]["status"]), (200, &json!("failed")));
    assert!(!shown.to_string().contains("The site failed"), "{shown}");
    let (_, shown) = told(web.get("/api/fluent/status").bearer_auth(READER)).await;
    assert_eq!(shown["lastSync"]["error"], "The site failed.");
    assert_eq!(refused(web.get("/api/fluent/tickets")).await.0, 401);
    assert_eq!(refused(sync(&web, &json!({})).bearer_auth(READER)).await.0, 403);
    assert_eq!(told(web.get("/api/fluent/tickets").bearer_auth(READER)).await.0, 200);
    assert_eq!(told(web.get("/api/fluent/tickets").basic_auth("admin", Some(ADMIN))).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn tickets_are_listed_with_their_requests() {
    let rows = Rows::new().await;
    let tickets: Vec<Value> = (1..=120)
        .map(|id| {
            let (product, status) = if id % 2 == 0 { ("Email", "closed") } else { ("Hosting", "active") };
            let updated_at = format!("2025-10-18T06:{:02}:{:02}Z", id / 60, id % 60);
            ticket_with(id, &json!({"product": product, "status": status, "updated_at": updated_at}))
        })
        .collect();
    rows.ask().await;
    let job = rows.claim_one().await;
    rows.settle(job, end(&tickets)).await;
    rows.db.run("update requests set hours = 2 where description like 'Ticket 120%'; delete from requests where description like 'Ticket 119%'").await;
    let list = async |asked: Value| rows.store.fluent_ticket_list(asked).await.unwrap();
    let first = list(json!({})).await;
    let ids = |page: &Value| {
        page["tickets"].as_array().unwrap().iter().map(|t| t["fluentId"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(
        (ids(&first), &first["total"], &first["lastPage"]),
        ((71..=120).rev().collect(), &json!(120), &json!(3))
    );
    let newest = &first["tickets"][0];
    assert_eq!((&newest["request"]["hours"], &newest["request"]["category"]), (&json!(2.0), &json!("Email")));
    assert_eq!((&first["tickets"][1]["request"], &first["tickets"][1]["requestId"]), (&Value::Null, &Value::Null));
    let third = list(json!({"page": 3})).await;
    assert_eq!(ids(&third), (1..=20).rev().collect::<Vec<_>>());
    assert_eq!(ids(&list(json!({"page": 9})).await), Vec::<i64>::new());
    for (asked, total) in [
        (json!({"status": "closed"}), 60),
        (json!({"category": "Hosting"}), 59),
        (json!({"urgency": "MEDIUM"}), 119),
        (json!({"urgency": "HIGH"}), 0),
        (json!({"search": "ticket 12"}), 2),
        (json!({"search": "%"}), 0),
        (json!({"search": "'; drop table requests; --"}), 0),
        (json!({"status": "closed", "search": "Ticket 12"}), 2),
    ] {
        assert_eq!(list(asked.clone()).await["total"], total, "{asked}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_many_large_tickets_is_listed_at_once() {
    let rows = Rows::new().await;
    rows.db
        .run(
            "insert into requests (date, time, description, source)
             select '2025-10-17', '09:30', repeat(md5(n::text), 300), 'fluent' from generate_series(1, 20000) as n;
             insert into fluent_tickets (fluent_id, request_id, title, ticket_updated_at)
             select n, n, 'Ticket', now() - n * interval '1 minute' from generate_series(1, 20000) as n;
             insert into fluent_sync_status (status, completed_at)
             select 'success', now() - n * interval '1 minute' from generate_series(1, 20000) as n;
             analyze",
        )
        .await;
    let scanned =
        "select coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::bigint from pg_stat_xact_user_tables
        where relname in ('requests', 'fluent_sync_status')";
    for asked in ["rowcall.fluent_ticket_list('{\"page\": 3}')", "rowcall.fluent_status()"] {
        rows.db.run("begin").await;
        rows.db.get::<Value>(&format!("select {asked}")).await;
        let read: i64 = rows.db.get(scanned).await;
        rows.db.run("commit").await;
        assert!(read < 200, "{asked} read {read} rows");
    }
    let page = rows.store.fluent_ticket_list(json!({})).await.unwrap();
    assert_eq!((&page["total"], &page["tickets"][0]["fluentId"]), (&json!(20_000), &json!(1)));
    assert_eq!(page["tickets"][0]["request"]["description"].as_str().unwrap().chars().count(), 2000);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_waits_and_says_what_came_of_it() {
    let flow = Flow::new(130).await;
    let said = |arguments: &[&str]| flow.scratch.rowcall(&[&["fluent", "sync"], arguments].concat());
    let text = said(&[]).well();
    assert!(
        text.starts_with("130 tickets read in ") && text.ends_with(": 130 added, 0 updated, 0 left as they were\n"),
        "{text}"
    );
    let text = said(&["--since", "2025-01-01"]).well();
    assert!(text.ends_with(": 0 added, 0 updated, 130 left as they were\n"), "{text}");
    assert!(said(&["--full"]).well().contains("130 left"));
    assert!(said(&["--since", "yesterday"]).err.contains("--since"));
    flow.fake.fault(Fault::new(Kind::Answer { status: 422, body: json!({"message": "no"}) }));
    let text = said(&[]).refusal();
    assert!(text.starts_with("rowcall: sync 4 is failed: FluentSupport refused the question"), "{text}");
    flow.fake.fault(Fault::new(Kind::Hang));
    let text = said(&["--timeout", "1"]).refusal();
    assert!(text.contains("sync 5 is not done yet") && text.contains("goes on by itself"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_script_for_cron_asks_for_the_last_seven_days() {
    let flow = Flow::new(30).await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/bin/sync-fluent-tickets");
    let run = |arguments: &[&str]| -> Said {
        let mut command = Command::new(script);
        command.args(arguments).env_clear().env("DATABASE_URL", &flow.scratch.url).env("ROWCALL", ROWCALL);
        command.env("PATH", std::env::var_os("PATH").unwrap()).output().unwrap().into()
    };
    assert!(run(&[]).well().contains("tickets read in"));
    assert_eq!(flow.text("select current_date - date_filter from fluent_sync_status").await, "7");
    assert!(run(&["2025-03-01"]).well().contains("added"));
    assert_eq!(flow.last().await["date_filter"], "2025-03-01");
    let text = run(&["last week"]).refusal();
    assert!(text.contains("not a day, such as 2025-10-17"), "{text}");
}

#[tokio::test]
async fn the_recipe_of_the_document_works() {
    let flow = Flow::new(7).await;
    let mut command = flow.scratch.command(&["hash-password"]);
    let mut hashing = command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut hashing.stdin.take().unwrap(), b"an admin's password\n").unwrap();
    let hash = Said::from(hashing.wait_with_output().unwrap()).well();
    let run = super::flow::start(
        &flow.scratch,
        &flow.fake,
        &[("ROWCALL_ADMIN_EMAIL", "admin@example.com"), ("ROWCALL_ADMIN_PASSWORD_HASH", hash.trim())],
    )
    .await;
    let address: SocketAddr = run.address().await;
    let at = |path: &str| format!("http://{address}{path}");
    let login = json!({"email": "admin@example.com", "password": "an admin's password"});
    let (status, answer) = told(with_json(client().post(at("/api/auth/login")), &login)).await;
    assert_eq!(status, 200, "{answer}");
    let token = answer["accessToken"].as_str().unwrap();
    let asked =
        with_json(client().post(at("/api/fluent/sync")).bearer_auth(token), &json!({"dateFilter": "2024-10-17"}));
    let (status, answer) = told(asked).await;
    assert_eq!((status, &answer["ticketsAdded"]), (200, &json!(7)), "{answer}");
    let log = run.log();
    for secret in ["an admin's password", "admin@example.com", token, hash.trim()] {
        assert!(!log.contains(secret), "{:?}", log.lines().find(|line| line.contains(secret)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_found_by_its_words() {
    let rows = Rows::new().await;
    rows.sync(&[ticket(1), ticket_with(2, &json!({"content": "A 100% broken_form"}))]).await;
    for (search, total) in [("100% broken_", 1), ("BROKEN", 1), ("words", 1), ("100_ broken", 0)] {
        assert_eq!(rows.store.fluent_ticket_list(json!({"search": search})).await.unwrap()["total"], total, "{search}");
    }
}
