//! The stamp: what the triggers write on a request, and that they never fail the user's statement.

use serde_json::{Value, json};

use crate::database::{self, Ear, TestDatabase};
use crate::worker::Scripted;

const CODE: &str = "select to_jsonb(c) from codes as c where c.code = 'CODE-1'";

#[tokio::test(flavor = "multi_thread")]
async fn a_request_says_who_asked_for_what_and_when() {
    let db = TestDatabase::new().await;
    db.run("insert into codes (code, status, metadata) values ('CODE-1', 'creating', '{\"discount_percent\": 20}')")
        .await;
    let row: Value = db.get(CODE).await;
    assert_eq!((&row["generation"], &row["attempts"]), (&json!(1), &json!(0)));
    assert_eq!(row["requested_by"], db.get::<String>("select current_user::text").await);
    assert_eq!((&row["metadata"]["action"], &row["metadata"]["discount_percent"]), (&json!("create"), &json!(20)));
    assert!(row["requested_at"].is_string() && row["metadata"]["requested_at"].is_string(), "{row}");
    assert!(db.get::<bool>("select next_retry_at <= now() from codes").await, "it is due at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_to_go_back_to_is_filled_in() {
    let db = TestDatabase::new().await;
    db.run("insert into codes (code, status) values ('CODE-1', 'expired')").await;
    for (status, action) in [("updating", "update"), ("deleting", "delete"), ("renaming", "rename")] {
        db.run(&format!("update codes set status = '{status}'")).await;
        let metadata: Value = db.get("select metadata from codes").await;
        assert_eq!(
            (&metadata["action"], &metadata["previous_status"]),
            (&json!(action), &json!("expired")),
            "{status}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_person_wrote_stays_as_written() {
    let db = TestDatabase::new().await;
    db.active(1).await;
    let written = json!({
        "action": "delete", "requested_at": "2025-09-15T10:30:00Z", "previous_status": "paused", "request_method": "frontend",
    });
    db.run(&format!("update codes set status = 'deleting', metadata = '{written}'")).await;
    assert_eq!(db.get::<Value>("select metadata from codes").await, written);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_action_does_not_stand_for_a_new_request() {
    let db = TestDatabase::new().await;
    db.run("insert into codes (code, status) values ('CODE-1', 'creating')").await;
    db.run("update codes set status = 'active'").await;
    db.run("update codes set status = 'deleting', metadata = metadata || '{\"reason\": \"expired\"}'").await;
    let metadata: Value = db.get("select metadata from codes").await;
    assert_eq!((&metadata["action"], &metadata["previous_status"]), (&json!("delete"), &json!("active")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_subject_of_the_token_is_who_asked() {
    let db = TestDatabase::new().await;
    db.active(1).await;
    db.run(
        "begin; set local request.jwt.claims = '{\"sub\": \"7f3a\", \"role\": \"authenticated\"}';
         update codes set status = 'deleting'; commit",
    )
    .await;
    assert_eq!(db.get::<String>("select requested_by from codes").await, "7f3a");
    assert_eq!(db.get::<Value>(CODE).await["generation"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_claims_do_not_fail_the_statement() {
    let db = TestDatabase::new().await;
    db.active(1).await;
    let role: String = db.get("select current_user::text").await;
    for claims in ["", "no json", "{\"sub\": ", "5", "[1]", "null", "\"text\"", "{\"sub\": null}", "{}"] {
        db.run(&format!("set request.jwt.claims = '{claims}'")).await;
        db.run("update codes set status = 'active'; update codes set status = 'deleting'").await;
        assert_eq!(db.get::<String>("select requested_by from codes").await, role, "{claims}");
    }
    db.run("set request.jwt.claims = '{\"sub\": {\"id\": 7}}'; update codes set status = 'updating'").await;
    assert_eq!(db.get::<String>("select requested_by from codes").await, "{\"id\": 7}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_asks_for_nothing_is_not_stamped() {
    let db = TestDatabase::new().await;
    db.active(1).await;
    db.run("update codes set metadata = '{\"note\": 1}'; update codes set updated_at = now(); update codes set status = status").await;
    assert_eq!(db.get::<Value>(CODE).await["generation"], 0);
    db.run("update codes set status = 'updating'").await;
    db.run("update codes set status = status, metadata = metadata; update codes set updated_at = now()").await;
    assert_eq!(db.get::<Value>(CODE).await["generation"], 1, "the request did not change");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_request_begins_anew() {
    let db = TestDatabase::new().await;
    db.active(1).await;
    db.run("update codes set status = 'updating', metadata = '{\"new_max_uses\": 5}'").await;
    db.run("update codes set attempts = 3, error_message = 'no', next_retry_at = now() + interval '1 hour'").await;
    assert_eq!(db.get::<Value>(CODE).await["generation"], 1, "columns of the worker are no request");
    db.run("update codes set metadata = metadata || '{\"new_max_uses\": 6}'").await;
    let row: Value = db.get(CODE).await;
    assert_eq!((&row["generation"], &row["attempts"], &row["error_message"]), (&json!(2), &json!(0), &Value::Null));
    assert!(db.get::<bool>("select next_retry_at <= now() from codes").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_write_rows_is_stamped() {
    let db = TestDatabase::new().await;
    let lines = r"CODE-1,creating,{}\nCODE-2,active,{}\nCODE-3,creating,{}\n";
    db.run(&format!("copy codes (code, status, metadata) from program $$printf '{lines}'$$ (format csv)")).await;
    let generations = "select array_agg(generation order by code) from codes";
    assert_eq!(db.get::<Vec<i32>>(generations).await, [1, 0, 1], "copy");
    db.run("update codes set status = 'deleting'").await;
    assert_eq!(db.get::<Vec<i32>>(generations).await, [2, 1, 2], "an update of many rows");
    db.run("insert into codes (code, status) select code, 'updating' from codes on conflict (code) do update set status = excluded.status").await;
    assert_eq!(db.get::<Vec<i32>>(generations).await, [3, 2, 3], "an upsert");
    db.run(
        "create table renames (old text, new text); insert into renames values ('CODE-1', 'NEW-1');
         update codes as c set status = 'renaming', metadata = c.metadata || jsonb_build_object('new_code', r.new)
         from renames as r where r.old = c.code",
    )
    .await;
    assert_eq!(db.get::<Vec<i32>>(generations).await, [4, 2, 3], "an update from another table");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_rolled_back_never_was() {
    let db = TestDatabase::new().await;
    db.active(1).await;
    let before = db.image().await;
    db.run("begin; update codes set status = 'deleting'; rollback").await;
    assert_eq!(db.image().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_any_right_in_the_schema_can_ask() {
    let db = TestDatabase::new().await;
    let user = db.connect().await;
    db.run(
        "do $$ begin create role rowcall_test_user; exception when duplicate_object or unique_violation then null; end $$;
         grant select, insert (code, status, metadata) on codes to rowcall_test_user;
         create policy everybody on codes to rowcall_test_user using (true) with check (true)",
    )
    .await;
    database::run(&user, "set role rowcall_test_user; insert into codes (code, status) values ('CODE-1', 'creating')")
        .await;
    let row: Value = db.get(CODE).await;
    assert_eq!((&row["generation"], &row["requested_by"]), (&json!(1), &json!("rowcall_test_user")));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_code_on_a_row_that_asks_is_another_request() {
    let db = TestDatabase::new().await;
    db.run("insert into codes (code, status, metadata) values ('CODE-1', 'creating', '{\"requested_at\": \"then\"}')")
        .await;
    let ear = Ear::on(&db).await;
    db.run("update codes set code = 'CODE-2'; update codes set code = code").await;
    let row: Value = db.get("select to_jsonb(c) from codes as c").await;
    assert_eq!((&row["generation"], &row["metadata"]["action"]), (&json!(2), &json!("create")));
    assert_ne!(row["metadata"]["requested_at"], "then");
    assert_eq!(ear.heard().await, ["codes"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_code_on_a_row_that_asks_for_nothing_is_no_request() {
    let db = TestDatabase::new().await;
    db.active(1).await;
    let ear = Ear::on(&db).await;
    db.run("update codes set code = 'CODE-2'").await;
    let row: Value = db.get("select to_jsonb(c) from codes as c").await;
    assert_eq!((&row["generation"], &row["metadata"], &row["requested_at"]), (&json!(0), &json!({}), &Value::Null));
    assert!(ear.heard().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_is_edited_while_its_operation_runs_is_not_confirmed() {
    let db = TestDatabase::new().await;
    db.fast().await;
    let scripted = Scripted::held();
    let _worker = db.worker(scripted.clone());
    db.ask(1).await;
    scripted.begun(1).await;
    db.run("update codes set code = 'CODE-2'").await;
    scripted.release(1);
    scripted.begun(2).await;
    assert_eq!(db.get::<String>("select status from codes").await, "creating");
    scripted.release(1);
    db.all_ended().await;
    assert_eq!((db.settled_as("superseded").await, db.settled_as("done").await), (1, 1));
}
