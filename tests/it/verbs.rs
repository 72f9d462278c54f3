//! The operator's verbs as SQL: what retry and cancel do in every state of a code.

use serde_json::Value;

use crate::database::{Ear, TestDatabase};
use crate::worker::Scripted;

const ROW: &str = "select to_jsonb(c) from codes as c";

/// One code in a state, as the worker leaves it.
async fn code(state: &str) -> TestDatabase {
    let db = TestDatabase::new().await;
    db.fast().await;
    db.active(1).await;
    let metadata = r#"{"action": "delete", "previous_status": "active", "action_failed": true, "action_error": "no"}"#;
    let worker =
        "claim_token = gen_random_uuid(), claimed_by = gen_random_uuid(), claimed_until = now() + interval '1 hour'";
    db.run(&match state {
        "active" => "select 1".to_owned(),
        "asked" => "update codes set status = 'deleting'".to_owned(),
        "waiting" => "update codes set status = 'deleting'; update codes set attempts = 2, error_message = 'no', \
                      next_retry_at = now() + interval '1 hour'"
            .to_owned(),
        "running" => format!("update codes set status = 'deleting'; update codes set {worker}"),
        "failed" => format!(
            "update codes set metadata = '{metadata}', error_message = 'no', attempts = 4, claim_token = gen_random_uuid();
             update codes set claim_token = null"
        ),
        "unknown" => format!(
            "update codes set status = 'unknown', metadata = '{metadata}', error_message = 'no', attempts = 4,
                 claim_token = gen_random_uuid()"
        ),
        other => unreachable!("{other}"),
    })
    .await;
    db
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_asks_for_what_stopped_again() {
    for (state, uncertain) in [("failed", false), ("unknown", true)] {
        let db = code(state).await;
        let ear = Ear::on(&db).await;
        let generation: i32 = db.get("select generation from codes").await;
        let answer: String = db.get("select rowcall.retry('codes', '1')").await;
        assert!(answer.starts_with("CODE-1 is asked for again"), "{answer}");
        assert_eq!(ear.heard().await, ["codes"]);
        let row: Value = db.get(ROW).await;
        assert_eq!((row["status"].as_str(), row["attempts"].as_i64()), (Some("deleting"), Some(0)), "{state}");
        assert_eq!(row["generation"].as_i64(), Some(i64::from(generation) + 1));
        assert!(row["error_message"].is_null() && row["metadata"]["action_failed"].is_null(), "{row}");
        let scripted = Scripted::done();
        let _worker = db.worker(scripted.clone());
        db.all_ended().await;
        assert_eq!(scripted.seen()[0].uncertain, uncertain, "a parked row is verified first: {state}");
        assert_eq!(db.get::<String>("select status from codes").await, "deleted");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_brings_a_waiting_row_forward_and_leaves_a_running_one() {
    let db = code("waiting").await;
    let generation: i32 = db.get("select generation from codes").await;
    let answer: String = db.get("select rowcall.retry('codes', '1')").await;
    assert!(answer.starts_with("CODE-1 is tried now"), "{answer}");
    assert!(
        db.get::<bool>(&format!(
            "select next_retry_at <= now() and attempts = 0 and generation = {generation} from codes"
        ))
        .await
    );

    let db = code("running").await;
    let before = db.image().await;
    assert_eq!(db.get::<String>("select rowcall.retry('codes', '1')").await, "CODE-1 is running; nothing to do");
    assert_eq!(db.image().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_takes_back_what_is_not_done() {
    for (state, words) in [
        ("asked", "CODE-1 is active again"),
        ("waiting", "CODE-1 is active again"),
        ("running", "CODE-1 is active again; an operation is running and may still take effect, history will tell"),
    ] {
        let db = code(state).await;
        assert_eq!(db.get::<String>("select rowcall.cancel('codes', '1')").await, words);
        let row: Value = db.get(ROW).await;
        assert_eq!(
            (row["status"].as_str(), row["metadata"]["previous_status"].as_str()),
            (Some("active"), Some("active"))
        );
        assert!(row["metadata"]["cancelled_by"].is_string(), "{row}");
        assert_eq!(db.settled_as("cancelled").await, 1);
        let scripted = Scripted::done();
        let _worker = db.worker(scripted.clone());
        db.ask_more("CODE-2").await;
        db.all_ended().await;
        assert_eq!(scripted.seen().len(), 1, "only the other row ran: {state}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_creation_never_came_to_be() {
    let db = TestDatabase::new().await;
    db.ask(1).await;
    assert_eq!(db.get::<String>("select rowcall.cancel('codes', '1')").await, "CODE-1 is failed again");
    assert_eq!(db.get::<String>("select status from codes").await, "failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verb_without_sense_is_refused_with_a_hint_and_changes_nothing() {
    for (state, statement, words) in [
        ("active", "select rowcall.retry('codes', '1')", "the code CODE-1 is active: there is nothing to try again"),
        ("active", "select rowcall.cancel('codes', '1')", "the code CODE-1 is active: there is nothing to cancel"),
        ("failed", "select rowcall.cancel('codes', '1')", "nothing to cancel"),
        ("unknown", "select rowcall.cancel('codes', '1')", "nothing to cancel"),
        ("asked", "select rowcall.retry('codes', '77')", "codes has no row with the key 77"),
        ("asked", "select rowcall.cancel('codes', 'CODE-1')", "codes has no row with the key CODE-1"),
        ("asked", "select rowcall.retry('parcels', '1')", "there is no queue parcels"),
        ("asked", "select rowcall.cancel(null, '1')", "there is no queue"),
        ("asked", "select rowcall.pause('codes', ' ')", "say why codes is paused"),
        ("asked", "select rowcall.pause('nothing', 'why')", "there is no queue nothing"),
        ("asked", "select rowcall.resume('nothing')", "there is no queue nothing"),
    ] {
        let db = code(state).await;
        let before = db.image().await;
        let refusal = db.refusal(statement).await;
        assert!(
            refusal.contains(words) && (refusal.contains("hint: ") || refusal.contains("nothing to cancel")),
            "{refusal}"
        );
        assert_eq!(db.image().await, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn resume_probes_at_once() {
    let db = TestDatabase::new().await;
    db.run("update rowcall.targets set state = 'open', reason = 'down', next_probe_at = now() + interval '5 minutes'")
        .await;
    db.run("select rowcall.pause('codes', 'maintenance')").await;
    assert_eq!(db.get::<String>("select rowcall.resume('codes')").await, "codes goes on");
    assert!(db.get::<bool>("select next_probe_at <= now() from rowcall.targets where target = 'fienta'").await);
    assert!(
        db.get::<bool>("select not paused and paused_reason is null and paused_by is null from rowcall.queues where queue = 'codes'").await
    );
}
