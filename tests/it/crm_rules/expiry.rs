//! Enrollments expire: marked, flagged, queued; and what would happen can be looked at first.

use serde_json::json;

use super::super::crm_rows::Crm;
use super::{hear, notice};

const DUE: &str = "update enrollments set expires_at = now() - interval '1 minute'";

/// Customers of one client with what each of them has, as (tier, is it due).
async fn customers(crm: &Crm, client: i64, all: &[&[(&str, bool)]]) {
    for enrollments in all {
        let customer = crm.member(client).await;
        crm.db.run(&format!("delete from enrollments where customer_id = {customer}")).await;
        for (stage, is_due) in *enrollments {
            let time = if *is_due { "now() - interval '1 minute'" } else { "now() + interval '1 day'" };
            crm.db
                .run(&format!(
                    "insert into enrollments (customer_id, stage_id, expires_at)
                     select {customer}, id, {time} from club_stages where client_id = {client} and name = '{stage}'"
                ))
                .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_expires_and_what_else_a_customer_has_stays() {
    let crm = Crm::new().await;
    let client = crm.tenant("north").await;
    // Silver of another name is the same club to the CRM.
    crm.db.run(&format!("insert into club_stages (client_id, name, threshold, crm_club_id) values ({client}, 'Argent', 150, 'club-silver')")).await;
    let all: [&[(&str, bool)]; 5] = [
        &[("Silver", true)],
        &[("Silver", false)],
        &[("Silver", true), ("Gold", false)],
        &[("Silver", true), ("Argent", false)],
        &[("Silver", true), ("Gold", true)],
    ];
    customers(&crm, client, &all).await;
    crm.db
        .run("update enrollments set crm_membership_id = 'm-' || id; update customers set crm_customer_id = 'c-' || id")
        .await;

    let image = "select concat(
        (select string_agg(e::text, ' ' order by id) from enrollments as e), (select string_agg(u::text, ' ' order by id) from customers as u),
        (select count(*) from crm_sync_queue), (select string_agg(xmin::text, ' ' order by id) from enrollments))";
    let before = crm.text(image).await;
    let would = "select string_agg(concat_ws(' ', customer_id, stage, would_end_flags, would_queue), ', ' order by enrollment_id)
                 from test_process_expired_enrollments()";
    assert_eq!(
        crm.text(would).await,
        "1 Silver t cancel_membership, 3 Silver f cancel_membership, 4 Silver f, 5 Silver t cancel_membership, \
         5 Gold t cancel_membership"
    );
    assert_eq!(crm.text(image).await, before, "it only looks");

    let counts = "select concat_ws(' ', expired, customers_updated, queued) from process_expired_enrollments()";
    assert_eq!(crm.text(counts).await, "5 2 4", "as it was foretold");
    assert_eq!(crm.text(counts).await, "0 0 0", "once");
    assert_eq!(crm.text("select string_agg(id || ' ' || is_member || coalesce(' ' || member_since::date, ''), ', ' order by id) from customers where not is_member").await, "1 false, 5 false");
    let queued = "select string_agg(concat_ws(' ', q.customer_id, q.action_type, s.name, q.customer_crm_id, q.crm_membership_id = 'm-' || q.enrollment_id, q.status, q.generation, q.reason), ', ' order by q.customer_id, s.name)
                  from crm_sync_queue as q join club_stages as s on s.id = q.stage_id";
    let row = |customer: i32, stage: &str| {
        format!("{customer} cancel_membership {stage} c-{customer} t pending 1 the enrollment expired")
    };
    assert_eq!(
        crm.text(queued).await,
        [row(1, "Silver"), row(3, "Silver"), row(5, "Gold"), row(5, "Silver")].join(", ")
    );
    let ended = "select bool_and((status = 'expired') = (ended_at is not null)) from enrollments";
    assert_eq!(crm.text(ended).await, "true");
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_at_the_same_time_expire_everything_once_and_what_is_locked_waits_for_the_next() {
    let crm = Crm::new().await;
    let client = crm.shop("one").await;
    for _ in 0..20 {
        crm.member(client).await;
    }
    crm.db.run(DUE).await;
    let holder = crm.db.connect().await;
    holder.batch_execute("begin; update customers set first_name = 'Edited' where id = 7").await.unwrap();
    let mut runs = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let connection = crm.db.connect().await;
        runs.spawn(async move {
            let row = connection.query_one("select expired from process_expired_enrollments()", &[]).await.unwrap();
            row.get::<_, i32>(0)
        });
    }
    assert_eq!(runs.join_all().await.iter().sum::<i32>(), 19, "nobody waits for whoever edits a customer");
    holder.batch_execute("commit").await.unwrap();
    assert_eq!(crm.text("select expired from process_expired_enrollments()").await, "1");
    assert_eq!(
        crm.text("select concat_ws(' ', count(*), count(distinct enrollment_id)) from crm_sync_queue").await,
        "20 20"
    );
}

/// The flag must be true to whichever is later, though the expiry began before the enrolling was seen.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_enrolls_while_their_old_enrollment_expires_stays_a_member() {
    let crm = Crm::new().await;
    let client = crm.shop("one").await;
    let customer = crm.member(client).await;
    crm.db.run(DUE).await;
    let order = crm.db.connect().await;
    order
        .batch_execute(&format!(
            "begin; select rowcall.enroll({customer}, (select id from club_stages where name = 'Gold'), 'order 1')"
        ))
        .await
        .unwrap();
    assert_eq!(crm.text("select expired from process_expired_enrollments()").await, "0");
    order.batch_execute("commit").await.unwrap();
    assert_eq!(
        crm.text("select concat_ws(' ', expired, customers_updated) from process_expired_enrollments()").await,
        "1 0"
    );
    assert_eq!(crm.text("select is_member from customers").await, "true");
    assert_eq!(crm.enrollments().await, "Silver expired, Gold active");
}

/// The order of their rows is the one in which the customer's lock was held, whichever transaction began first.
#[tokio::test(flavor = "multi_thread")]
async fn a_customers_rows_stand_in_the_order_in_which_they_came_to_be() {
    let crm = Crm::new().await;
    let client = crm.shop("one").await;
    crm.member(client).await;
    crm.db.run("update customers set crm_customer_id = 'c-1'").await;
    crm.db.run(DUE).await;
    let ordered = "select string_agg(action_type, ' ' order by created_at, id) from crm_sync_queue";
    let mut rows = Vec::new();
    for (webhook, total) in [("w1", "150.00"), ("w3", "600.00")] {
        // It has begun, and what comes in between overtakes it.
        let begun = crm.db.connect().await;
        begun.batch_execute("begin; select now()").await.unwrap();
        if rows.is_empty() {
            crm.db.run("select * from process_expired_enrollments()").await;
        } else {
            crm.db.run("update enrollments set status = 'expired', expires_at = now() where status = 'active'").await;
            crm.hear("w2", json!({"order_id": "1002", "total": "150.00"})).await;
        }
        hear(&begun, &notice(webhook, &json!({"order_id": webhook, "total": total}))).await;
        begun.batch_execute("commit").await.unwrap();
        rows.push(crm.text(ordered).await);
    }
    assert_eq!(rows[0], "cancel_membership add_membership");
    assert_eq!(rows[1], "cancel_membership add_membership add_membership upgrade_membership");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enrollment_that_a_person_cancels_ends_its_membership_and_the_flag() {
    let crm = Crm::new().await;
    let client = crm.shop("one").await;
    let all: [&[(&str, bool)]; 3] =
        [&[("Silver", false)], &[("Silver", false), ("Silver", false)], &[("Silver", false)]];
    customers(&crm, client, &all).await;
    crm.db
        .run(
            "update enrollments set crm_membership_id = 'm-' || customer_id;
             update enrollments set status = 'expired' where customer_id = 3;
             update enrollments set status = 'cancelled' where id in (select min(id) from enrollments group by customer_id)",
        )
        .await;
    assert_eq!(crm.text("select string_agg(is_member::text, ' ' order by id) from customers").await, "false true true");
    let queued = "select string_agg(concat_ws(' ', customer_id, action_type, crm_membership_id, status, reason), ', ' order by id) from crm_sync_queue";
    let row = |n: i32| format!("{n} cancel_membership m-{n} pending the enrollment was cancelled");
    assert_eq!(crm.text(queued).await, row(1), "another keeps the second customer's, and the third's was over");
    assert_eq!(crm.text("select count(ended_at) from enrollments").await, "2");
    crm.db.run("update enrollments set status = 'cancelled' where status = 'active'").await;
    assert_eq!(crm.text(queued).await, [row(1), row(2)].join(", "));
    assert_eq!(crm.text("select is_member from customers where id = 2").await, "false");
}
