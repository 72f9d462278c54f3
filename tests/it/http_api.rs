//! The API: what the SQL functions say, over HTTP.

use serde_json::{Value, json};

use crate::scratch::Scratch;
use crate::web::{ADMIN, STAND_INS, Web, heard, json, locked, open, refused, told};

const ROWS: &str = "
    insert into public.codes (code, status) values ('ASKED', 'creating'), ('DONE', 'active');
    insert into rowcall.attempts (queue, key, generation, attempt, settled_as) values
        ('codes', '1', 1, 1, 'retry'), ('codes', '2', 1, 1, 'done'), ('codes', '1', 1, 2, 'done');
";

#[tokio::test]
async fn status_and_history_are_those_of_the_command_line() {
    let scratch = Scratch::migrated().await;
    scratch.sql(ROWS).await;
    let web = Web::start(&scratch, open()).await;
    let history = async |query: &str| told(web.get(&format!("/api/history{query}"))).await;
    let mut status = told(web.get("/api/status")).await;
    let mut same = scratch.rowcall(&["status", "--json"]).json();
    for value in [&mut status.1, &mut same] {
        // What passes with time.
        for queue in value["queues"].as_array_mut().unwrap() {
            queue["oldest_seconds"].take();
        }
        value["work"][0]["next_retry_in_seconds"].take();
    }
    assert_eq!(status, (200, same));
    assert_eq!(history("").await, (200, scratch.rowcall(&["history", "--json"]).json()));
    let one = scratch.rowcall(&["history", "--json", "--key", "1", "--queue", "codes", "--limit", "1"]).json();
    assert_eq!(history("?queue=codes&key=1&limit=1").await, (200, one));
    assert_eq!(history("?key=&queue=").await.1.as_array().unwrap().len(), 3, "empty is not given");
    assert_eq!(history("?queue=nothing").await, (200, json!([])));
}

#[tokio::test]
async fn the_operators_verbs_do_what_they_say() {
    let scratch = Scratch::migrated().await;
    scratch.sql(ROWS).await;
    let web = Web::start(&scratch, open()).await;
    let pause = |queue: &str, body: Value| json(web.post(&format!("/api/queues/{queue}/pause")), &body);
    let answer = |text: &str| (200, json!({ "answer": text }));
    assert_eq!(
        told(pause("codes", json!({ "reason": "the site moves" }))).await,
        answer("codes is paused: the site moves")
    );
    let paused = "select paused::text || ' ' || coalesce(paused_reason, '') from rowcall.queues where queue = 'codes'";
    assert_eq!(scratch.text(paused).await, "true the site moves");
    let retried = told(web.post("/api/queues/codes/rows/1/retry")).await;
    assert_eq!(retried, answer("ASKED is tried now; but codes is paused: the site moves"));
    assert_eq!(told(web.post("/api/queues/codes/resume")).await, answer("codes goes on"));
    assert_eq!(scratch.text(paused).await, "false ");
    assert_eq!(told(web.post("/api/queues/codes/rows/1/cancel")).await.0, 200);
    assert_eq!(scratch.text("select status from public.codes where id = 1").await, "failed");
}

#[tokio::test]
async fn what_a_verb_refuses_is_said_in_its_own_words() {
    let scratch = Scratch::migrated().await;
    scratch.sql(ROWS).await;
    let web = Web::start(&scratch, open()).await;
    for (path, status, message) in [
        ("/api/queues/nothing/resume", 404, "there is no queue nothing"),
        ("/api/queues/codes/rows/77/retry", 404, "77"),
        ("/api/queues/codes/rows/2/retry", 400, "the code DONE is active: there is nothing to try again"),
        ("/api/queues/codes/rows/1%27%3B--/retry", 404, "codes has no row with the key 1';--"),
    ] {
        let (found, body) = told(web.post(path)).await;
        assert_eq!(found, status, "{path} {body}");
        assert!(body["error"]["message"].as_str().unwrap().contains(message), "{body}");
    }
    let (status, body) = told(json(web.post("/api/queues/codes/pause"), &json!({ "reason": 7 }))).await;
    assert_eq!((status, &body["error"]["message"]), (400, &json!("say why codes is paused")));
    assert_eq!(body["error"]["hint"], "the reason is shown to everybody who waits");
}

#[tokio::test]
async fn feedback_is_handed_over_and_its_refusals_keep_their_meaning() {
    let scratch = Scratch::migrated().await;
    scratch.sql(STAND_INS).await;
    let web = Web::start(&scratch, locked()).await;
    let feedback = |body: Value| json(web.post("/action-feedback").bearer_auth(ADMIN), &body);
    let taken = told(feedback(json!({ "action_id": 7, "status": "approved" }))).await;
    assert_eq!(taken, (202, json!({ "action_id": 7 })));
    let (status, body) = told(feedback(json!({ "action_id": 7 }))).await;
    let error = json!({ "code": "invalid", "message": "the feedback is not complete", "hint": "approved, denied or edited",
        "fields": { "status": "is missing" } });
    assert_eq!((status, &body["error"]), (400, &error));
    let unknown = refused(feedback(json!({ "action_id": 404, "status": "denied" }))).await;
    assert_eq!(unknown, (404, "not_found".to_owned()));
    let again = refused(feedback(json!({ "action_id": 409, "status": "denied" }))).await;
    assert_eq!(again, (409, "conflict".to_owned()));
    let (status, body) = told(feedback(json!({ "action_id": 500, "status": "denied" }))).await;
    assert_eq!(status, 400);
    assert!(!body.to_string().contains("zero"), "what Postgres says of itself stays inside: {body}");
    assert_eq!(told(json(web.post("/action-feedback"), &json!({ "status": "denied" }))).await.0, 401);
    assert_eq!(heard(&scratch).await, ["approved"]);
}

#[tokio::test]
async fn an_action_is_shown_or_not_found() {
    let scratch = Scratch::migrated().await;
    scratch.sql(STAND_INS).await;
    let web = Web::start(&scratch, open()).await;
    assert_eq!(told(web.get("/api/actions/7")).await, (200, json!({ "id": 7 })));
    assert_eq!(refused(web.get("/api/actions/8")).await, (404, "not_found".to_owned()));
}

#[tokio::test]
async fn a_database_without_the_schema_or_away_is_a_503_that_says_when_to_come_again() {
    let scratch = Scratch::empty().await;
    let web = Web::start(&scratch, open()).await;
    assert_eq!(refused(web.get("/api/status")).await, (503, "not_migrated".to_owned()));
    scratch.shut().await;
    for _ in 0..2 {
        let answer = web.get("/api/status").send().await.unwrap();
        assert_eq!(answer.headers()["retry-after"], "5");
        let (status, body) = crate::web::read(answer).await;
        assert_eq!((status, &body["error"]["code"]), (503, &json!("database_unavailable")));
        assert!(!body.to_string().contains(scratch.name()), "{body}");
    }
    scratch.reopen().await;
}
