//! What the rows of `actions` tell and are told: templates, feedback, webhooks, the operator's verbs, and who may do what.

use serde_json::{Value, json};

use crate::actions_rows::{Rows, nobody_knows, sent};
use crate::scratch::Scratch;
use rowcall::failure::{Failure, Fault};
use rowcall::outcome::Outcome;
use rowcall::store::connect::Database;
use rowcall::store::migrate;

async fn payload(rows: &Rows) -> Value {
    rows.claim_one().await.payload().unwrap()
}

#[tokio::test]
async fn what_is_hostile_in_a_value_is_text_in_the_reply() {
    let rows = Rows::new().await;
    rows.run(
        "insert into response_templates (action_type, outcome, body, approved_name, approved_language, approved_parameters)
         values ('odd', 'approved', ' {{ contact_name }}: {{user_response}} / {{details.a.b}} / {{details.none}} {{details.list}} ',
            'odd_update', 'en_US', array['{{contact_name}}', '{{action_type}} {{action_id}}'])",
    )
    .await;
    let hostile = r"{{details.a.b}} {{contact_name}} \1 $1 %s '; drop table actions; -- {{";
    let id = rows.action().await;
    rows.client
        .execute(
            "update actions set action_type = 'odd', status = 'approved', user_response = $1,
                details = '{\"a\":{\"b\":\"}}{{outcome}}\"},\"list\":[1]}'",
            &[&hostile],
        )
        .await
        .unwrap();
    rows.run("update contacts set name = '{{user_response}}'").await;
    let payload = payload(&rows).await;
    assert_eq!(payload["text"], format!("{{{{user_response}}}}: {hostile} / }}}}{{{{outcome}}}} /  [1]"));
    assert_eq!(
        payload["approved_template"],
        json!({"name": "odd_update", "language": "en_US", "parameters": ["{{user_response}}", format!("odd {id}")]})
    );
}

#[tokio::test]
async fn a_reply_is_no_longer_than_whatsapp_takes() {
    let rows = Rows::new().await;
    rows.action().await;
    rows.run("update actions set status = 'approved', user_response = repeat('ä', 5000)").await;
    let payload = payload(&rows).await;
    let text = payload["text"].as_str().unwrap();
    assert!(text.chars().count() == 4096 && text.ends_with('…'), "{}", text.chars().count());
}

#[tokio::test]
async fn a_template_with_an_unknown_placeholder_is_refused_by_its_name() {
    let rows = Rows::new().await;
    let put = |body: &str, parameter: &str| {
        format!(
            "insert into response_templates (action_type, outcome, body, approved_name, approved_language, approved_parameters)
             values ('t', 'denied', '{body}', 'n', 'en', array['{parameter}'])"
        )
    };
    for (body, parameter, complaint) in [
        ("Hi {{contact_nam}}", "x", "unknown placeholder {{contact_nam}} in the template for t denied"),
        ("Hi", "{{details}}", "unknown placeholder {{details}} in the template for t denied"),
        ("Hi {{contact_name", "x", "a placeholder of the template for t denied is not closed"),
        ("Hi contact_name}}", "x", "a placeholder of the template for t denied is not closed"),
    ] {
        let (code, message, _) = rows.refusal(&put(body, parameter)).await;
        assert_eq!((code.as_str(), message.as_str()), ("23514", complaint));
    }
    assert_eq!(rows.refusal(&put(" ", "x")).await.0, "23514", "an empty one too");
    rows.run(&put("Hi {{contact_name}}", "{{details.amount}}")).await;
    let (code, ..) = rows.refusal("update response_templates set body = '{{nothing}}'").await;
    assert_eq!(code, "23514");
}

#[tokio::test]
async fn the_language_comes_first_then_the_type_and_a_generic_template_is_the_fall_back() {
    let rows = Rows::new().await;
    rows.run(
        "insert into response_templates (action_type, outcome, language, body) values ('*', 'approved', 'fr', 'Oui.')",
    )
    .await;
    for (language, action_type, text) in [
        ("en", "refund_request", "Great news! Your refund request has been approved."),
        ("en", "never heard of", "Good news! Your request has been approved."),
        ("en_GB", "policy_clarification", "I've got the clarification you needed:"),
        ("fr-CA", "refund_request", "Oui."),
        ("tw", "refund_request", "Great news! Your refund request has been approved."),
    ] {
        let id = rows.action().await;
        rows.run(&format!("update contacts set language = '{language}'")).await;
        rows.run(&format!("update actions set action_type = '{action_type}', status = 'approved' where id = {id}"))
            .await;
        let payload = payload(&rows).await;
        assert_eq!((&payload["text"], &payload["missing"]), (&json!(text), &Value::Null), "{language} {action_type}");
    }
    rows.run("update response_templates set is_active = false").await;
    let id = rows.action().await;
    rows.answer(id, "approved").await;
    let payload = payload(&rows).await;
    assert!(payload["missing"].as_str().unwrap().contains("no reply template for approved"), "{payload}");
}

#[tokio::test]
async fn every_shipped_outcome_has_a_generic_template_and_migrate_keeps_the_users_edits() {
    let rows = Rows::new().await;
    let generic = "select string_agg(outcome, ' ' order by outcome) from response_templates where action_type = '*'";
    assert_eq!(rows.text(generic).await, "approved denied edited");
    rows.run("update response_templates set body = 'Mine.' where action_type = 'refund_request'").await;
    migrate::apply(&Database::parse(&rows.scratch.url).unwrap()).await.unwrap();
    assert_eq!(rows.text("select count(*) from response_templates where body = 'Mine.'").await, "3");
}

#[tokio::test]
async fn what_cannot_be_sent_says_what_is_missing() {
    let rows = Rows::new().await;
    for (change, missing) in [
        ("update actions set contact_id = null, status = 'approved'", "has no contact"),
        ("update contacts set phone = null; update actions set status = 'approved'", "no telephone number"),
        ("update contacts set phone = '0151 23'; update actions set status = 'approved'", "no telephone number"),
        (
            "update response_templates set body = '{{user_response}}'; update actions set status = 'edited'",
            "the reply would be empty",
        ),
    ] {
        rows.run("delete from actions; delete from contacts").await;
        rows.action().await;
        rows.run(change).await;
        let job = rows.claim_one().await;
        let payload: Value = job.payload().unwrap();
        assert!(payload["missing"].as_str().is_some_and(|m| m.contains(missing)), "{payload}");
        assert_eq!(rows.settle(job, Failure::new(Fault::Item, "x")).await, "failed", "and can be settled");
    }
}

#[tokio::test]
async fn feedback_names_each_missing_or_wrong_field() {
    let rows = Rows::new().await;
    let (contact, actions) = rows.contact(1).await;
    let id = actions[0];
    let submit = |payload: Value| format!("select rowcall.submit_action_feedback('{payload}')");
    for (payload, fields) in [
        (json!({}), r#"["action_id", "status", "contact_id", "request_type"]"#),
        (json!([1]), r#"["action_id", "status", "contact_id", "request_type"]"#),
        (
            json!({"action_id": "x", "status": "maybe", "user_response": 5, "contact_id": [], "chatbot_id": "a",
                "request_type": " ", "request_details": 5}),
            r#"["action_id", "status", "user_response", "contact_id", "chatbot_id", "request_type", "request_details"]"#,
        ),
        (json!({"action_id": 1.5, "status": "approved", "contact_id": 1, "request_type": "r"}), r#"["action_id"]"#),
        (json!({"action_id": id, "status": "approved", "contact_id": 999, "request_type": "r"}), r#"["contact_id"]"#),
    ] {
        let (code, message, detail) = rows.refusal(&submit(payload.clone())).await;
        assert_eq!((code.as_str(), detail.as_str()), ("22023", fields), "{payload}: {message}");
    }
    let nobody = json!({"action_id": 12345, "status": "approved", "contact_id": 1, "request_type": "r"});
    assert_eq!(rows.refusal(&submit(nobody)).await.0, "P0002");

    let good = json!({"action_id": id, "status": "denied", "contact_id": contact, "request_type": "refund_request",
        "user_response": "No.", "chatbot_id": 1, "request_details": {"amount": 5}});
    let answer: Value = serde_json::from_str(&rows.text(&submit(good.clone())).await).unwrap();
    assert_eq!(answer, json!({"action_id": id, "status": "denied", "reply_status": "pending", "generation": 1}));
    assert_eq!(payload(&rows).await["user_response"], "No.");
    let (code, message, _) = rows.refusal(&submit(good)).await;
    assert_eq!((code.as_str(), message), ("RC409", format!("action {id} is already denied")));
}

#[tokio::test]
async fn details_show_the_action_its_reply_and_every_attempt() {
    let rows = Rows::new().await;
    let id = rows.action().await;
    rows.answer(id, "approved").await;
    let job = rows.claim_one().await;
    rows.settle(job, Failure::new(Fault::Transient, "a hiccup")).await;
    rows.run("update actions set next_retry_at = now()").await;
    let job = rows.claim_one().await;
    assert_eq!(job.attempt, 2);
    rows.settle(job, sent("wamid.1")).await;
    let details = rows.text(&format!("select rowcall.action_details({id})")).await;
    let details: Value = serde_json::from_str(&details).unwrap();
    assert_eq!(
        (&details["action"]["state"], &details["reply"]["whatsapp_message_id"]),
        (&json!("Sent"), &json!("wamid.1"))
    );
    let ended: Vec<_> = details["attempts"].as_array().unwrap().iter().map(|a| a["settled_as"].clone()).collect();
    assert_eq!(ended, ["retry", "done"]);
    assert_eq!(rows.text("select rowcall.action_details(999)").await, "");
}

fn status(reference: &str, message: &str, status: &str) -> String {
    format!("select rowcall.whatsapp_status('meta', {reference}, '{message}', '{status}', '131047', now())")
}

#[tokio::test]
async fn statuses_late_twice_and_out_of_order_keep_the_furthest() {
    let rows = Rows::new().await;
    let id = rows.action().await;
    rows.answer(id, "approved").await;
    let job = rows.claim_one().await;
    rows.settle(job, sent("w1")).await;
    let reference = format!("'actions:{id}:1'");
    for (reference, told, answer, kept) in [
        (reference.as_str(), "read", "kept", "read"),
        (&reference, "delivered", "known already", "read"),
        ("null", "read", "known already", "read"),
        (&reference, "failed", "known already", "read"),
        (&reference, "invented", "ignored: no such status", "read"),
        ("'actions:999:1'", "sent", "ignored: not ours", "read"),
        ("'actions:1:99'", "sent", "ignored: not ours", "read"),
        ("'codes:1:1'", "sent", "known already", "read"),
    ] {
        assert_eq!(rows.text(&status(reference, "w1", told)).await, answer, "{reference} {told}");
        assert_eq!(rows.text("select status from action_responses").await, kept);
    }
    assert_eq!(rows.text(&status("null", "elsewhere", "sent")).await, "ignored: not ours");
    assert_eq!(rows.reply_status(id).await, "sent");
    assert_eq!(rows.text("select count(*) from rowcall.attempts").await, "1", "what is known settles nothing again");
}

#[tokio::test]
async fn an_accepted_message_that_is_not_delivered_fails_by_its_message_id() {
    let rows = Rows::new().await;
    let id = rows.action().await;
    rows.answer(id, "approved").await;
    let job = rows.claim_one().await;
    rows.settle(job, sent("w1")).await;
    assert_eq!(rows.text(&status("null", "w1", "failed")).await, "settled: failed");
    assert_eq!((rows.reply_status(id).await.as_str(), rows.bubble(id).await.as_str()), ("failed", "Failed"));
    let error = rows.text("select error_message from actions").await;
    assert_eq!(error, "WhatsApp could not deliver the message (code 131047)");
    // A second telephone of the customer: it arrived after all.
    assert_eq!(rows.text(&status("null", "w1", "delivered")).await, "settled: sent");
    assert_eq!((rows.reply_status(id).await.as_str(), rows.bubble(id).await.as_str()), ("sent", "Sent"));
    assert_eq!(rows.text("select generation from actions").await, "1");
    let history = "select string_agg(concat_ws(' ', settled_as, error), ', ' order by id) from rowcall.attempts";
    assert_eq!(rows.text(history).await, format!("done, failed {error}, done"), "no person is named where none was");
}

#[tokio::test]
async fn a_window_that_was_closed_after_all_is_answered_with_the_approved_template() {
    let rows = Rows::new().await;
    rows.run("update response_templates set approved_name = 'update', approved_language = 'en_US'").await;
    let id = rows.action().await;
    rows.run("update contacts set last_inbound_at = now() - interval '23 hours'").await;
    rows.answer(id, "approved").await;
    let job = rows.claim_one().await;
    rows.settle(job, sent("w1")).await;
    assert_eq!(rows.text(&status("null", "w1", "failed")).await, "asked again with the approved template");
    assert_eq!(rows.text(&status("null", "w1", "failed")).await, "known already");
    let job = rows.claim_one().await;
    let payload: Value = job.payload().unwrap();
    assert_eq!(payload["contact"]["last_inbound_at"].as_str().map(|at| &at[..4]), Some("1970"));
    let result = json!({"message_id": "w2", "provider": "meta", "text": "t", "made_by": "approved_template"});
    rows.settle(job, Outcome::done(Some(result))).await;
    assert_eq!(rows.text(&status("null", "w2", "failed")).await, "settled: failed", "once, and no more");
    assert!(rows.claim(10).await.is_empty());
}

#[tokio::test]
async fn a_parked_reply_is_settled_by_the_status_that_carries_its_reference() {
    let rows = Rows::new().await;
    for (told, reply_status, bubble) in [("delivered", "sent", "Sent"), ("failed", "failed", "Failed")] {
        let id = rows.action().await;
        rows.answer(id, "approved").await;
        let job = rows.claim_one().await;
        assert_eq!(rows.settle(job, nobody_knows()).await, "unknown");
        let of_another = status(&format!("'actions:{id}:0'"), "w0", told);
        assert_eq!(rows.text(&of_another).await, "ignored: not ours");
        let answer = rows.text(&status(&format!("'actions:{id}:1'"), &format!("w{id}"), told)).await;
        assert_eq!(answer, format!("settled: {reply_status}"));
        assert_eq!((rows.reply_status(id).await.as_str(), rows.bubble(id).await.as_str()), (reply_status, bubble));
        let message = format!("select whatsapp_message_id from action_responses where action_id = {id}");
        assert_eq!(rows.text(&message).await, format!("w{id}"));
        assert!(rows.claim(10).await.is_empty());
    }
}

#[tokio::test]
async fn a_status_that_is_faster_than_the_worker_counts_when_the_worker_knows_nothing() {
    let rows = Rows::new().await;
    let id = rows.action().await;
    rows.answer(id, "approved").await;
    let job = rows.claim_one().await;
    let reference = format!("'actions:{id}:1'");
    assert_eq!(rows.text(&status(&reference, "w1", "sent")).await, "kept", "the running claim is its worker's");
    assert_eq!(rows.reply_status(id).await, "pending");
    assert_eq!(rows.settle(job, nobody_knows()).await, "done");
    assert_eq!((rows.reply_status(id).await.as_str(), rows.bubble(id).await.as_str()), ("sent", "Sent"));

    // The same with an answer: the status that came first stays, the text comes with the answer.
    rows.answer(id, "denied").await;
    let job = rows.claim_one().await;
    rows.text(&status(&format!("'actions:{id}:2'"), "w2", "read")).await;
    assert_eq!(rows.settle(job, sent("w2")).await, "done");
    let reply =
        "select concat_ws(' ', status, whatsapp_message_id, response_text) from action_responses where generation = 2";
    assert_eq!(rows.text(reply).await, "read w2 It is approved.");
}

#[tokio::test]
async fn a_status_settles_what_a_dead_worker_left_and_fences_it_out() {
    let rows = Rows::new().await;
    let id = rows.action().await;
    rows.answer(id, "approved").await;
    let job = rows.claim_one().await;
    rows.run("update rowcall.workers set heartbeat_at = now() - interval '1 minute'").await;
    assert_eq!(rows.text(&status(&format!("'actions:{id}:1'"), "w1", "sent")).await, "settled: sent");
    assert_eq!(rows.settle(job, nobody_knows()).await, "lost");
    assert_eq!(rows.reply_status(id).await, "sent");
}

#[tokio::test]
async fn an_inbound_message_is_kept_once_and_moves_the_window_forward_only() {
    let rows = Rows::new().await;
    let (contact, _) = rows.contact(0).await;
    rows.run("update contacts set phone = '+49 15 00000001', name = null").await;
    let write = |message: &str, at: &str| {
        format!("select rowcall.whatsapp_inbound('meta', '491500000001', '{message}', '{at}', 'text', 'Hello', 'Ama')")
    };
    assert_eq!(rows.text(&write("m1", "2026-01-02T00:00:00Z")).await, "stored");
    assert_eq!(rows.text(&write("m1", "2026-01-02T00:00:00Z")).await, "known already");
    assert_eq!(rows.text(&write("m0", "2026-01-01T00:00:00Z")).await, "stored");
    let seen = "select concat_ws('|', id, name, last_inbound_at at time zone 'utc') from contacts";
    assert_eq!(rows.text(seen).await, format!("{contact}|Ama|2026-01-02 00:00:00"));
    assert_eq!(rows.text("select count(*) from messages where direction = 'inbound'").await, "2");
    rows.text("select rowcall.whatsapp_inbound('meta', '+233201234567', 'm2', 'infinity', 'image', null, null)").await;
    let new = "select phone || ' ' || (last_inbound_at <= now()) from contacts order by id desc limit 1";
    assert_eq!(rows.text(new).await, "+233201234567 true", "nobody writes in the future");
    for (phone, message) in [("not a number", "m3"), ("233201234567", "")] {
        let sql = format!("select rowcall.whatsapp_inbound('meta', '{phone}', '{message}', now(), 'text', 'x', 'x')");
        assert!(rows.text(&sql).await.starts_with("ignored"));
    }
}

#[tokio::test]
async fn a_person_retries_cancels_and_resolves() {
    let rows = Rows::new().await;
    let id = rows.action().await;
    let label = format!("refund_request #{id}");
    let retry = format!("select rowcall.retry_actions('{id}')");
    let resolve =
        |verdict: &str, note: &str| format!("select rowcall.resolve('actions', '{id}', '{verdict}', '{note}')");
    assert!(rows.refusal(&retry).await.1.contains("nothing to try again"));
    assert!(rows.refusal("select rowcall.retry_actions('x')").await.1.contains("no row with the key x"));

    rows.answer(id, "approved").await;
    assert_eq!(rows.text(&retry).await, format!("{label} is tried now"));
    assert!(rows.refusal(&resolve("done", "seen")).await.1.contains("not unknown"));
    let job = rows.claim_one().await;
    assert_eq!(rows.text(&retry).await, format!("{label} is running; nothing to do"));
    rows.settle(job, nobody_knows().uncertain()).await;
    assert!(rows.claim(10).await.is_empty(), "what is unknown is not sent again by itself");

    assert!(rows.text(&retry).await.contains("the customer gets it twice"));
    let job = rows.claim_one().await;
    assert_eq!((job.generation, job.uncertain), (2, false), "the person has decided");
    rows.settle(job, nobody_knows().uncertain()).await;

    assert!(rows.refusal(&resolve("perhaps", "x")).await.1.contains("done or failed"));
    assert!(rows.refusal(&resolve("done", " ")).await.1.contains("say how you know"));
    assert_eq!(rows.text(&resolve("done", "she said so")).await, format!("{label} is sent"));
    let row = "select concat_ws('|', reply_status, resolved_by = current_user, resolved_note, generation, error_message) from actions";
    assert_eq!(rows.text(row).await, "sent|t|she said so|2");
    let history = "select settled_as || ' ' || (error like 'resolved by % she said so') from rowcall.attempts order by id desc limit 1";
    assert_eq!(rows.text(history).await, "done true");
    assert_eq!(rows.bubble(id).await, "Sent");

    rows.answer(id, "denied").await;
    let job = rows.claim_one().await;
    let cancel = format!("select rowcall.cancel_actions('{id}')");
    assert!(rows.text(&cancel).await.contains("without a reply; one is being sent"));
    assert_eq!((rows.reply_status(id).await.as_str(), rows.bubble(id).await.as_str()), ("", "Denied"));
    assert_eq!(rows.settle(job, Failure::new(Fault::Transient, "x")).await, "superseded");
    assert!(rows.claim(10).await.is_empty());
    assert!(rows.refusal(&cancel).await.1.contains("nothing to cancel"));
}

#[tokio::test]
async fn a_parked_code_is_resolved_as_its_settled_outcome_would_leave_it() {
    let rows = Rows::new().await;
    rows.run(
        "insert into codes (code) values ('A'), ('B'), ('C'), ('D');
         update codes set status = 'updating', metadata = '{\"new_max_uses\":5}' where code = 'A';
         update codes set status = 'deleting' where code in ('B', 'C');
         update codes set status = 'renaming', metadata = '{\"new_code\":\"E\"}' where code = 'D';
         update codes set status = 'unknown', claim_token = gen_random_uuid(), error_message = 'nobody answered',
            metadata = metadata || '{\"action_failed\":true}'",
    )
    .await;
    for (key, verdict, answer) in [
        (1, "done", "A is active"),
        (2, "done", "B is deleted"),
        (3, "failed", "C is active"),
        (4, "done", "D is deleted"),
    ] {
        let sql = format!("select rowcall.resolve('codes', '{key}', '{verdict}', 'looked')");
        assert_eq!(rows.text(&sql).await, answer);
    }
    let found = "select string_agg(concat_ws(' ', code, status, metadata ->> 'max_uses', metadata ->> 'resolved_note',
            metadata ->> 'renamed_to', metadata ->> 'action_failed', error_message), ', ' order by id) from codes";
    assert_eq!(
        rows.text(found).await,
        "A active 5 looked, B deleted looked, C active looked true looked, D deleted looked E, E active looked"
    );
    assert!(rows.refusal("select rowcall.resolve('codes', '1', 'done', 'x')").await.1.contains("not unknown"));
    assert_eq!(
        rows.text("select string_agg(settled_as, ' ' order by id) from rowcall.attempts").await,
        "done done failed done"
    );
}

#[tokio::test]
async fn work_names_an_action_by_type_and_number_and_never_by_telephone() {
    let rows = Rows::new().await;
    let (_, actions) = rows.contact(2).await;
    rows.run("update actions set status = 'approved'").await;
    let job = rows.claim_one().await;
    let work = "select string_agg(concat_ws('|', label, state, reason), ', ' order by key) from rowcall.work";
    assert_eq!(
        rows.text(work).await,
        format!(
            "refund_request #{}|running, refund_request #{}|waiting|earlier replies to this contact go first",
            actions[0], actions[1]
        )
    );
    rows.settle(job, nobody_knows()).await;
    let health = "select concat_ws(' ', asked, unknown) from rowcall.queue_health where queue = 'actions'";
    assert_eq!(rows.text(health).await, "1 1");
    assert_eq!(rows.text("select count(*) from rowcall.work as w where w::text like '%+49%'").await, "0");
}

#[tokio::test]
async fn the_sweeps_repair_mends_bubbles_that_disagree_and_makes_those_that_lack() {
    let rows = Rows::new().await;
    let (done, waits) = (rows.action().await, rows.action().await);
    rows.answer(done, "approved").await;
    let job = rows.claim_one().await;
    rows.settle(job, sent("w")).await;
    rows.answer(waits, "denied").await;
    rows.run(
        "update messages set metadata = metadata || '{\"state\":\"Pending\"}' where message_type = 'action_indicator'",
    )
    .await;
    rows.run("delete from messages where message_type = 'action_status_update'").await;
    assert_eq!(rows.text("select rowcall.repair_actions()").await, "2");
    assert_eq!((rows.bubble(done).await.as_str(), rows.bubble(waits).await.as_str()), ("Sent", "Denied"));
    assert_eq!(
        rows.text("select string_agg(content, ',') from messages where message_type = 'action_status_update'").await,
        "refund request: Sent"
    );
    assert_eq!(rows.text("select rowcall.repair_actions()").await, "0");
}

/// Supabase's roles belong to the server, so tests that run at once may make them twice.
const ROLES: &str = "do $$ begin
    if to_regrole('anon') is null then create role anon nologin; end if;
    if to_regrole('authenticated') is null then create role authenticated nologin; end if;
    exception when others then null;
end $$;";

#[tokio::test]
async fn a_browser_answers_actions_that_a_policy_shows_it_and_nothing_else() {
    let scratch = Scratch::empty().await;
    scratch.sql(ROLES).await;
    scratch
        .sql(
            "create publication supabase_realtime;
             alter default privileges in schema public grant all on tables to anon, authenticated;
             alter default privileges in schema public grant all on sequences to anon, authenticated",
        )
        .await;
    let database = Database::parse(&scratch.url).unwrap();
    migrate::apply(&database).await.unwrap();
    migrate::apply(&database).await.unwrap();
    let rows = Rows::on(scratch).await;
    let published = "select string_agg(tablename, ' ' order by tablename) from pg_publication_tables where pubname = 'supabase_realtime'";
    let tables = "actions codes crm_sync_queue enrollments fluent_sync_status fulfillment_logs links messages orders organizations";
    assert_eq!(rows.text(published).await, tables);
    let bare = "select count(*) from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' and not relrowsecurity";
    assert_eq!(rows.text(bare).await, "0");
    let id = rows.action().await;

    rows.run("set role authenticated; set request.jwt.claims = '{\"sub\":\"u1\"}'").await;
    rows.answer(id, "approved").await;
    assert_eq!(rows.text("select count(*) from actions").await, "0", "no policy, no rows");
    for refused in [
        "update actions set reply_status = 'sent'",
        "update actions set claim_token = null",
        "insert into actions (status) values ('approved')",
        "delete from actions",
        "insert into messages (direction) values ('inbound')",
        "update messages set content = ''",
        "select * from response_templates",
        "select * from rowcall.contact_turns",
        "select rowcall.retry_actions('1')",
    ] {
        assert_eq!(rows.refusal(refused).await.0, "42501", "{refused}");
    }
    rows.run("reset role; create policy mine on actions to authenticated using (true) with check (true); set role authenticated").await;
    rows.answer(id, "approved").await;
    rows.run("reset role; set role anon").await;
    assert_eq!(rows.refusal("select * from actions").await.0, "42501");
    rows.run("reset role").await;
    assert_eq!(
        rows.text("select concat_ws(' ', status, reply_status, requested_by) from actions").await,
        "approved pending u1"
    );
}

#[tokio::test]
async fn tables_that_were_there_are_adopted_or_say_what_is_wrong() {
    let scratch = Scratch::empty().await;
    scratch
        .sql(
            "create table contacts (id uuid primary key default gen_random_uuid(), phone text not null, vip boolean);
             create table messages (id uuid primary key default gen_random_uuid(), contact_id uuid, direction varchar(10) not null,
                message_type text, content text not null, metadata jsonb, bot int not null);
             create table actions (id serial primary key, contact_id uuid references contacts, request_type text,
                details jsonb, status varchar(20) not null default 'pending');
             insert into contacts (phone) values ('+233201234567');
             insert into actions (contact_id, status) select id, 'approved' from contacts;
             insert into actions (contact_id, request_type) select id, 'refund_request' from contacts",
        )
        .await;
    let database = Database::parse(&scratch.url).unwrap();
    let refused = |error: migrate::MigrateError| rowcall::store::chain(&error);
    let error = migrate::apply(&database).await.unwrap_err();
    assert!(format!("{error:?}").contains("actions has no column action_type"), "{}", refused(error));
    scratch.sql("alter table actions add column action_type text generated always as (request_type) stored").await;
    let error = migrate::apply(&database).await.unwrap_err();
    assert!(format!("{error:?}").contains("messages.bot"), "{}", refused(error));
    scratch.sql("alter table messages alter column bot set default 1").await;
    migrate::apply(&database).await.unwrap();

    let rows = Rows::on(scratch).await;
    assert!(rows.claim(10).await.is_empty(), "what was approved before rowcall came is not answered now");
    rows.answer(2, "approved").await;
    let job = rows.claim_one().await;
    assert_eq!(rows.settle(job, sent("w1")).await, "done");
    assert_eq!((rows.reply_status(2).await.as_str(), rows.bubble(2).await.as_str()), ("sent", "Sent"));
    rows.text("select rowcall.whatsapp_inbound('meta', '233201234567', 'm1', now(), 'text', 'Hi', 'Ama')").await;
    assert_eq!(rows.text("select count(*) from contacts where last_inbound_at is not null").await, "1");
}
