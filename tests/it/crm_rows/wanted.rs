//! Whether a row is still wanted when its turn comes, however late that is and whoever asked for it again.

use rowcall::failure::{Failure, Fault};
use rowcall::outcome::Outcome;
use serde_json::{Value, json};

use super::Crm;

/// A shop with one member of Silver; their id.
async fn one() -> (Crm, i64) {
    let crm = Crm::new().await;
    let client = crm.shop("one").await;
    let customer = crm.member(client).await;
    (crm, customer)
}

/// What the only job that is to be had asks for, and why it is not wanted.
async fn asked(crm: &Crm) -> (String, String, String) {
    let job = crm.claim_one().await;
    let payload: Value = job.payload().unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let asked = (job.operation.clone(), text(&payload["club"]["name"]), text(&payload["unwanted"]));
    let result = json!({"operation": job.operation, "unwanted": payload["unwanted"], "crm_membership_id": "m"});
    crm.settle(job, Outcome::done(Some(result))).await;
    asked
}

fn are(operation: &str, club: &str, unwanted: &str) -> (String, String, String) {
    (operation.to_owned(), club.to_owned(), unwanted.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_paid_again_is_not_cancelled_by_a_retry() {
    let (crm, customer) = one().await;
    crm.db
        .run(
            "update enrollments set expires_at = now() - interval '1 day'; select * from process_expired_enrollments()",
        )
        .await;
    let job = crm.claim_one().await;
    crm.settle(job, Failure::new(Fault::Item, "no such club")).await;
    crm.db
        .run(&format!(
            "select rowcall.enroll({customer}, (select id from club_stages where name = 'Silver'), 'order 2')"
        ))
        .await;
    assert_eq!(asked(&crm).await, are("add_membership", "Silver", ""));
    crm.db.run("update crm_sync_queue set status = 'pending' where status = 'failed'").await;
    let kept = "not wanted any more: enrollment 2 keeps the membership";
    assert_eq!(asked(&crm).await, are("cancel_membership", "Silver", kept));
    let row =
        "select concat_ws('|', status, error_message) from crm_sync_queue where action_type = 'cancel_membership'";
    assert_eq!(crm.text(row).await, format!("completed|{kept}"));
    // Gold keeps no Silver, and who cancels an active enrollment means it.
    crm.db.run("update enrollments set stage_id = (select id from club_stages where name = 'Gold') where id = 2").await;
    crm.db.run("update crm_sync_queue set status = 'pending' where action_type = 'cancel_membership'").await;
    assert_eq!(asked(&crm).await, are("cancel_membership", "Silver", ""));
    crm.db
        .run("insert into crm_sync_queue (client_id, enrollment_id, action_type) values (1, 2, 'cancel_membership')")
        .await;
    assert_eq!(asked(&crm).await, are("cancel_membership", "Gold", ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_enrollment_has_ended_is_not_added() {
    let (crm, customer) = one().await;
    let key = crm.ask(customer, "add_membership").await;
    let job = crm.claim_one().await;
    crm.settle(job, Failure::new(Fault::Item, "no card")).await;
    for status in ["expired", "upgraded", "cancelled"] {
        crm.db
            .run(&format!("update enrollments set status = '{status}'; update crm_sync_queue set status = 'failed'"))
            .await;
        crm.db.run(&format!("select rowcall.retry('crm_sync_queue', '{key}')")).await;
        let ended = format!("not wanted any more: the enrollment is {status}");
        assert_eq!(asked(&crm).await, are("add_membership", "Silver", &ended));
    }
}

/// Somebody else adds what came after; but nobody else leaves the old tier.
#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_whose_enrollment_has_ended_still_leaves_the_old_tier() {
    let (crm, customer) = one().await;
    crm.db
        .run(&format!(
            "select rowcall.enroll({customer}, (select id from club_stages where name = 'Gold'), 'order 2');
             update enrollments set status = 'expired' where status = 'active'"
        ))
        .await;
    assert_eq!(asked(&crm).await, are("cancel_membership", "Silver", ""));
    let learned = "select concat_ws('|', q.status, e.crm_membership_id) from crm_sync_queue as q join enrollments as e on e.id = q.enrollment_id";
    assert_eq!(crm.text(learned).await, "completed", "the old membership is not the new one's");
}
