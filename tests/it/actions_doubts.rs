//! What stands between asked and sent: a wait that costs nothing, a report that comes too early, a row that nobody settles,
//! and a table whose checks refuse what rowcall writes.

use rowcall::failure::{Failure, Fault};
use rowcall::store::connect::Database;
use rowcall::store::migrate;
use serde_json::{Value, json};

use crate::actions_rows::{Rows, nobody_knows, sent};
use crate::scratch::Scratch;

const NOT_DELIVERED: &str = "WhatsApp could not deliver the message (code 131047)";

#[tokio::test]
async fn a_reply_that_waits_takes_no_place_in_its_contacts_rate() {
    let rows = Rows::new().await;
    let id = rows.action().await;
    rows.answer(id, "approved").await;
    let spent = "select spent_until <= now() from rowcall.contact_turns";
    for _ in 0..7 {
        let job = rows.claim_one().await;
        assert_eq!(rows.text(spent).await, "false", "a claim takes a place");
        assert_eq!(rows.settle(job, Failure::new(Fault::Outage, "WhatsApp is not there")).await, "wait");
        assert_eq!(rows.text(spent).await, "true", "what did not go out gives it back");
        rows.run("update actions set next_retry_at = now()").await;
    }
    let job = rows.claim_one().await;
    rows.settle(job, sent("w1")).await;
    assert_eq!(rows.text(spent).await, "false", "what went out keeps it");
}

#[tokio::test]
async fn a_report_of_a_closed_window_that_comes_before_the_answer_is_not_lost() {
    let rows = Rows::new().await;
    rows.run("update response_templates set approved_name = 'update', approved_language = 'en_US'").await;
    let id = rows.action().await;
    rows.run("update contacts set last_inbound_at = now() - interval '23 hours'").await;
    rows.answer(id, "approved").await;
    let job = rows.claim_one().await;
    let report = format!("select rowcall.whatsapp_status('meta', 'actions:{id}:1', 'w1', 'failed', '131047', now())");
    assert_eq!(rows.text(&report).await, "kept", "the running claim is its worker's");
    assert_eq!(rows.settle(job, sent("w1")).await, "failed");

    assert_eq!(rows.text("select rowcall.repair_actions()").await, "1");
    let asked = "select concat_ws('|', reply_status, generation, error_message) from actions";
    assert_eq!(rows.text(asked).await, format!("pending|2|{NOT_DELIVERED}; the approved template is sent instead"));
    let job = rows.claim_one().await;
    let payload: Value = job.payload().unwrap();
    assert_eq!(payload["contact"]["last_inbound_at"].as_str().map(|at| &at[..4]), Some("1970"));
    let result = json!({"message_id": "w2", "provider": "meta", "text": "t", "made_by": "approved_template"});
    assert_eq!(rows.settle(job, rowcall::outcome::Outcome::done(Some(result))).await, "done");
    assert_eq!(rows.text("select error_message from actions").await, "");
    assert_eq!(rows.text("select rowcall.repair_actions()").await, "0");
    assert!(rows.claim(10).await.is_empty());
}

#[tokio::test]
async fn a_row_that_nobody_settles_is_a_persons_after_a_while() {
    let rows = Rows::new().await;
    let id = rows.action().await;
    rows.answer(id, "approved").await;
    let job = rows.claim_one().await;
    assert_eq!(rows.settle(job, nobody_knows().uncertain()).await, "unknown");

    let needs_person = "select needs_person from rowcall.work";
    let parked = || {
        let findings = rows.scratch.rowcall(&["doctor", "--json"]).json();
        let about = |f: &&Value| f["found"].as_str().unwrap().contains("is parked");
        let found = findings.as_array().unwrap().iter().find(about).unwrap().clone();
        (found["state"].as_str().unwrap().to_owned(), found["mend"].as_str().unwrap().to_owned())
    };
    assert_eq!(rows.text(needs_person).await, "false");
    assert_eq!(parked().0, "note", "a report may still tell");
    assert!(rows.scratch.rowcall(&["status"]).out.contains("when the provider tells"));

    rows.run("update rowcall.queues set look_after = '0' where queue = 'actions'").await;
    assert_eq!(rows.text(needs_person).await, "true");
    let (state, mend) = parked();
    assert_eq!(state, "problem");
    assert!(mend.contains(&format!("select rowcall.resolve('actions', '{id}', 'done', 'how you know')")), "{mend}");
    assert!(rows.scratch.rowcall(&["status"]).out.contains(&format!("rowcall resolve actions {id}")));

    let resolve = |verdict: &str| {
        rows.scratch.rowcall(&["resolve", "actions", &id.to_string(), verdict, "--note", "Ama said so by phone"])
    };
    assert_eq!(resolve("perhaps").code, Some(2));
    let said = resolve("failed");
    assert_eq!((said.code, said.out.trim()), (Some(0), format!("refund_request #{id} is failed").as_str()), "{said:?}");
    let row = "select concat_ws('|', reply_status, error_message) from actions";
    assert_eq!(rows.text(row).await, "failed|Ama said so by phone");
    assert!(resolve("done").err.contains("not unknown"));
}

#[tokio::test]
async fn a_check_that_refuses_what_rowcall_writes_is_named_before_anything_is_changed() {
    let scratch = Scratch::empty().await;
    scratch
        .sql(
            "create table messages (id uuid primary key default gen_random_uuid(), contact_id bigint, direction text not null,
                message_type text check (message_type in ('text', 'image')), content text not null, metadata jsonb,
                constraint short check (length(content) < 4097))",
        )
        .await;
    let database = Database::parse(&scratch.url).unwrap();
    let error = format!("{:?}", migrate::apply(&database).await.unwrap_err());
    assert!(error.contains("refuse the messages that rowcall writes: messages_message_type_check"), "{error}");
    scratch.sql("alter table messages drop constraint messages_message_type_check").await;
    migrate::apply(&database).await.unwrap();
}

/// A signed report about a message, as the server hands it on.
fn report(id: i32, generation: i32, message: &str, status: &str) -> String {
    format!(
        "select rowcall.whatsapp_status('meta', 'actions:{id}:{generation}', '{message}', '{status}', '131026', now())"
    )
}

#[tokio::test]
async fn a_delivery_that_is_told_before_the_next_attempt_ends_the_request() {
    let rows = Rows::new().await;
    let id = rows.action().await;
    rows.answer(id, "approved").await;
    let job = rows.claim_one().await;
    assert_eq!(rows.settle(job, Failure::new(Fault::Transient, "a hiccup")).await, "retry");
    assert_eq!(rows.text(&report(id, 1, "w1", "failed")).await, "kept", "the next attempt may still get through");
    assert_eq!(rows.text(&report(id, 1, "w1", "delivered")).await, "settled: sent");
    assert_eq!(rows.reply_status(id).await, "sent");
    rows.run("update actions set next_retry_at = now()").await;
    assert!(rows.claim(10).await.is_empty(), "the customer has it");

    // What was told of an earlier request is no answer to the newest.
    rows.answer(id, "denied").await;
    assert_eq!(rows.text(&report(id, 1, "w1", "read")).await, "kept: of an earlier request");
    assert_eq!(rows.reply_status(id).await, "pending");
}

#[tokio::test]
async fn a_report_about_another_message_under_our_reference_is_not_ours() {
    let rows = Rows::new().await;
    let id = rows.action().await;
    rows.answer(id, "approved").await;
    let job = rows.claim_one().await;
    rows.settle(job, sent("w1")).await;
    assert_eq!(rows.text(&report(id, 1, "of-another-installation", "failed")).await, "ignored: not ours");
    assert_eq!(rows.reply_status(id).await, "sent");
    assert_eq!(rows.text(&report(id, 1, "w1", "failed")).await, "settled: failed");
}

#[tokio::test]
async fn what_a_report_told_while_the_settle_ran_is_followed_by_the_sweep() {
    for (settled, told, ends_as) in [("sent", "failed", "failed"), ("unknown", "delivered", "sent")] {
        let rows = Rows::new().await;
        let id = rows.action().await;
        rows.answer(id, "approved").await;
        let job = rows.claim_one().await;
        match settled {
            "sent" => rows.settle(job, sent("w1")).await,
            _ => rows.settle(job, nobody_knows()).await,
        };
        assert_eq!(rows.reply_status(id).await, settled);
        // The settle statement did not see it, and the report found the claim still running.
        rows.run(&format!("update action_responses set status = '{told}', status_at = now()")).await;
        assert_eq!(rows.text("select rowcall.repair_actions()").await, "1");
        assert_eq!(rows.reply_status(id).await, ends_as);
        assert_eq!(rows.text("select rowcall.repair_actions()").await, "0");
    }
}

#[tokio::test]
async fn a_template_that_is_named_later_sends_nothing_that_failed_long_ago() {
    let rows = Rows::new().await;
    let id = rows.action().await;
    rows.answer(id, "approved").await;
    let job = rows.claim_one().await;
    rows.settle(job, sent("w1")).await;
    let closed = format!("select rowcall.whatsapp_status('meta', 'actions:{id}:1', 'w1', 'failed', '131047', now())");
    assert_eq!(rows.text(&closed).await, "settled: failed");
    rows.run("update actions set updated_at = now() - interval '1 hour'; update action_responses set status_at = now() - interval '1 hour'").await;
    rows.run("update response_templates set approved_name = 'update', approved_language = 'en_US'").await;
    rows.text("select rowcall.repair_actions()").await;
    assert_eq!(rows.reply_status(id).await, "failed");
}

#[tokio::test]
async fn only_a_number_that_is_certainly_international_is_written_to() {
    let rows = Rows::new().await;
    for (phone, taken) in [
        ("+1 (650) 555-1234", "+16505551234"),
        ("0049 170 1234567", "+491701234567"),
        ("233201234567", "+233201234567"),
        ("16505551234", "+16505551234"),
        ("650 555 1234", ""),
        ("0201234567", ""),
        ("+1 650-555-1234 ext 22", ""),
        ("+1 650 555 1234 / +1 650 555 9999", ""),
        ("٠٥٠1234567890", ""),
        ("+12", ""),
        ("", ""),
    ] {
        assert_eq!(rows.text(&format!("select rowcall.international('{phone}')")).await, taken, "{phone}");
    }
}

#[tokio::test]
async fn an_answer_that_says_the_same_as_before_asks_for_nothing() {
    let rows = Rows::new().await;
    let id = rows.action().await;
    rows.answer(id, "approved").await;
    let job = rows.claim_one().await;
    rows.settle(job, sent("w1")).await;
    rows.run("update actions set user_response = '', status = 'approved'").await;
    assert_eq!(rows.text("select concat_ws(' ', reply_status, generation) from actions").await, "sent 1");
    rows.run("update actions set user_response = 'We are sorry.'").await;
    assert_eq!(rows.text("select concat_ws(' ', reply_status, generation) from actions").await, "pending 2");
}

#[tokio::test]
async fn a_paused_queue_hands_nothing_out_though_no_worker_heard_of_it() {
    let rows = Rows::new().await;
    let id = rows.action().await;
    rows.answer(id, "approved").await;
    rows.run("insert into codes (code, status) values ('A', 'creating')").await;
    rows.run("select rowcall.pause('actions', 'a test')").await;
    assert!(rows.claim(10).await.is_empty());
    rows.run("select rowcall.resume('actions')").await;
    assert_eq!(rows.claim(10).await.len(), 1);
}

#[tokio::test]
async fn what_waits_behind_a_waiting_reply_is_not_looked_at_again_and_again() {
    let rows = Rows::new().await;
    let (_, keys) = rows.contact(3).await;
    for key in &keys {
        rows.answer(*key, "approved").await;
    }
    let job = rows.claim_one().await;
    rows.settle(job, Failure::new(Fault::Outage, "WhatsApp is not there").after(std::time::Duration::from_secs(50)))
        .await;
    rows.run("update actions set next_retry_at = now() where held_back").await;
    assert!(rows.claim(10).await.is_empty());
    let held = "select bool_and(next_retry_at > now() + interval '40 seconds') from actions";
    assert_eq!(rows.text(held).await, "true");
    // The earlier one is taken back: it calls nobody, and the next one comes within the minute all the same.
    rows.run(&format!("update actions set status = 'pending' where id = {}", keys[0])).await;
    let soon =
        "select bool_and(next_retry_at < now() + interval '80 seconds') from actions where reply_status = 'pending'";
    assert_eq!(rows.text(soon).await, "true");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_and_a_claim_at_the_same_moment_make_one_bubble() {
    let rows = Rows::new().await;
    for _ in 0..20 {
        let (_, keys) = rows.contact(1).await;
        rows.answer(keys[0], "approved").await;
        let sweeper = rows.scratch.client().await;
        let sweep = sweeper.batch_execute("select rowcall.repair_actions()");
        let (jobs, swept) = tokio::join!(rows.claim(10), sweep);
        swept.unwrap();
        for job in jobs {
            rows.settle(job, sent("w")).await;
        }
        let bubbles = "select count(*) from messages where message_type = 'action_indicator'";
        let one_each = format!("select ({bubbles}) = (select count(*) from actions)");
        assert_eq!(rows.text(&one_each).await, "true");
    }
}
