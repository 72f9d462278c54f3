//! The rule, by Shopify's notices, which go through it at once.

use serde_json::{Value, json};

use super::{Crm, hear, notice};

async fn shop() -> Crm {
    let crm = Crm::new().await;
    crm.shop("one").await;
    crm
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paid_order_that_qualifies_enrolls_and_a_larger_one_upgrades() {
    let crm = shop().await;
    assert_eq!(crm.hear("w1", json!({"total": "99.9999"})).await, "below every tier");
    assert_eq!(crm.hear("w2", json!({"order_id": "1002", "total": "100"})).await, "enrolled in Silver");
    let customer = "select concat_ws(' ', crm_customer_id, email, first_name, last_name, is_member, member_since is not null) from customers";
    assert_eq!(crm.text(customer).await, "c-1 ama@example.com Ama Mensah t t");
    let term = "select expires_at = enrolled_at + interval '1 year' from enrollments";
    assert_eq!(crm.text(term).await, "true");
    assert_eq!(
        crm.hear("w3", json!({"order_id": "1003", "total": "499.99"})).await,
        "the customer has the tier Silver already"
    );
    assert_eq!(crm.hear("w4", json!({"order_id": "1004", "total": "500.00"})).await, "upgraded from Silver to Gold");
    assert_eq!(
        crm.hear("w5", json!({"order_id": "1005", "total": "150.00"})).await,
        "the customer has the tier Gold already"
    );
    assert_eq!(crm.enrollments().await, "Silver upgraded, Gold active");
    assert_eq!(crm.asked().await, "add_membership Silver, upgrade_membership Silver Gold");
    let orders = "select string_agg(concat_ws(' ', crm_order_id, total, enrollment_id), ', ' order by crm_order_id) from crm_orders";
    assert_eq!(crm.text(orders).await, "1001 99.9999, 1002 100.0000 1, 1003 499.9900, 1004 500.0000 2, 1005 150.0000");
    assert_eq!(
        crm.text("select string_agg(reason || ' ' || priority, ', ' order by id) from crm_sync_queue").await,
        "order 1002 10, order 1004 10"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_single_notice_is_made_of() {
    let crm = shop().await;
    for (nth, (change, decision)) in [
        (json!({"financial_state": "pending", "event": "orders/updated"}), "not paid"),
        (json!({"financial_state": null, "event": "orders/updated"}), "not paid"),
        (json!({"financial_state": null}), "enrolled in Silver"),
        (json!({"financial_state": "partially_refunded", "event": "orders/updated"}), "enrolled in Silver"),
        (json!({"financial_state": "refunded", "event": "orders/updated"}), "refunded"),
        (json!({"financial_state": "voided", "event": "orders/updated"}), "refunded"),
        (json!({"event": "orders/cancelled"}), "cancelled"),
        (json!({"event": "refunds/create", "total": "5.00", "financial_state": null}), "not paid"),
        (json!({"customer": null}), "names no customer"),
        (json!({"customer": {"id": null, "email": " ", "first_name": "Ama", "last_name": null}}), "names no customer"),
        (json!({"customer": {"id": null, "email": "guest@example.com"}}), "enrolled in Silver"),
        (json!({"total": null}), "has no total"),
        (json!({"total": "12,50"}), "has no total"),
        (json!({"total": "1e3"}), "has no total"),
        (json!({"total": "99999999999999"}), "has no total"),
        (json!({"total": "0.00"}), "below every tier"),
        (json!({"total": "-600.00"}), "below every tier"),
        (json!({"total": "9999999999.99"}), "enrolled in Gold"),
        (json!({"currency": "EUR"}), "in another currency than the tiers"),
        (json!({"currency": "usd"}), "enrolled in Silver"),
        (json!({"currency": null}), "enrolled in Silver"),
        (json!({"order_id": null}), "ignored: not about an order"),
        (json!({"tenant_or_shop": "another"}), "nobody's"),
        (json!({"tenant_or_shop": "ONE.myshopify.com"}), "enrolled in Silver"),
        (json!({"at": null}), "enrolled in Silver"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut change = change;
        if change.get("order_id").is_none() {
            change["order_id"] = json!(format!("o-{nth}"));
        }
        if change.get("customer").is_none() {
            change["customer"] = json!({"id": format!("c-{nth}"), "email": null});
        }
        assert_eq!(crm.hear(&format!("w-{nth}"), change.clone()).await, decision, "{change}");
    }
    let enrolled: i64 = crm.db.get("select count(*) from enrollments").await;
    assert_eq!(enrolled, 8);
    assert_eq!(crm.text("select count(*) from crm_sync_queue").await, "8", "nothing else asks the CRM for anything");
}

/// Binary fractions would miss these by a hair.
#[tokio::test(flavor = "multi_thread")]
async fn amounts_are_exact() {
    let crm = shop().await;
    crm.db.run("update club_stages set threshold = 0.3 where name = 'Silver'").await;
    crm.hear("r1", json!({"event": "refunds/create", "total": "0.1"})).await;
    crm.hear("r2", json!({"event": "refunds/create", "total": "0.2"})).await;
    assert_eq!(crm.hear("w1", json!({"total": "0.5999"})).await, "below every tier");
    assert_eq!(crm.hear("w2", json!({"total": "0.6", "at": "2026-03-01T11:00:00Z"})).await, "enrolled in Silver");
    let order = "select concat_ws(' ', total - refunded, decided_amount) from crm_orders";
    assert_eq!(crm.text(order).await, "0.3000 0.3000");
}

#[tokio::test(flavor = "multi_thread")]
async fn tiers_and_orders_are_compared_within_one_currency() {
    let crm = shop().await;
    crm.db.run("insert into club_stages (client_id, name, threshold, currency, tag) select id, 'Bronze', 10000, 'JPY', 'Bronze' from clients").await;
    let yen = |total: &str| json!({"order_id": total, "total": total, "currency": "JPY"});
    assert_eq!(crm.hear("w1", yen("9999")).await, "in another currency than the tiers", "not 9999 dollars");
    assert_eq!(crm.hear("w2", yen("10000")).await, "enrolled in Bronze");
    // Nor is 500 dollars less than 10000 yen.
    let said = "the customer has the tier Bronze in another currency: nobody but a person can say which is higher";
    assert_eq!(crm.hear("w2d", json!({"order_id": "d", "total": "600"})).await, said);
    assert_eq!(crm.enrollments().await, "Bronze active");
    crm.db.run("update clients set currency = null").await;
    let euro = json!({"order_id": "e", "total": "100", "currency": "EUR", "customer": {"id": "c-2"}});
    assert_eq!(crm.hear("w3", euro).await, "enrolled in Silver", "nothing says that these are not the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_or_a_cancellation_is_recorded_and_left_to_a_person() {
    let crm = shop().await;
    crm.hear("w1", json!({})).await;
    let look = |what: &str| format!("enrolled in Silver; {what} since, look whether the membership is to stay");
    let part =
        json!({"event": "refunds/create", "total": "20.00", "financial_state": null, "at": "2026-03-02T10:00:00Z"});
    assert_eq!(crm.hear("w2", part.clone()).await, look("refunded in part"));
    assert_eq!(crm.hear("w2", part.clone()).await, "known already", "and counts once");
    let rest =
        json!({"event": "refunds/create", "total": "100.00", "financial_state": null, "at": "2026-03-03T10:00:00Z"});
    assert_eq!(crm.hear("w3", rest).await, look("refunded"));
    assert_eq!(crm.text("select refunded from crm_orders").await, "120.0000");
    let cancelled = json!({"event": "orders/cancelled", "financial_state": "refunded", "at": "2026-03-04T10:00:00Z"});
    assert_eq!(crm.hear("w4", cancelled).await, look("cancelled"));
    let order =
        "select concat_ws(' ', financial_state, cancelled_at is not null, enrollment_id is not null) from crm_orders";
    assert_eq!(crm.text(order).await, "refunded t t");
    assert_eq!(
        (crm.asked().await.as_str(), crm.enrollments().await.as_str()),
        ("add_membership Silver", "Silver active")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_decided_once_unless_it_comes_to_more() {
    let crm = shop().await;
    assert_eq!(crm.hear("w1", json!({"total": "90.00"})).await, "below every tier");
    // The tiers become cheaper; an old order that is merely touched again enrolls nobody.
    crm.db.run("update club_stages set threshold = 50 where name = 'Silver'").await;
    let touched = json!({"event": "orders/updated", "total": "90.00", "at": "2026-06-01T10:00:00Z"});
    assert_eq!(crm.hear("w2", touched).await, "below every tier");
    let grown = json!({"event": "orders/updated", "total": "95.00", "at": "2026-06-02T10:00:00Z"});
    assert_eq!(crm.hear("w3", grown).await, "enrolled in Silver");
    let larger = json!({"event": "orders/updated", "total": "500.00", "at": "2026-06-03T10:00:00Z"});
    assert_eq!(crm.hear("w4", larger).await, "upgraded from Silver to Gold");
    let smaller = json!({"event": "orders/updated", "total": "500.00", "at": "2026-06-04T10:00:00Z"});
    assert_eq!(crm.hear("w5", smaller).await, "upgraded from Silver to Gold");
    assert_eq!(crm.asked().await, "add_membership Silver, upgrade_membership Silver Gold");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enrollment_that_is_over_and_not_yet_marked_is_none() {
    let crm = shop().await;
    crm.hear("w1", json!({"total": "600.00"})).await;
    crm.db.run("update enrollments set expires_at = now() - interval '1 hour'").await;
    assert_eq!(crm.hear("w2", json!({"order_id": "1002"})).await, "enrolled in Silver");
    crm.db.run("select * from process_expired_enrollments()").await;
    assert_eq!(crm.enrollments().await, "Gold expired, Silver active");
    assert_eq!(crm.asked().await, "add_membership Gold, add_membership Silver, cancel_membership Gold");
    assert_eq!(crm.text("select is_member from customers").await, "true");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tiers_of_one_club_are_no_move_in_the_crm() {
    let crm = shop().await;
    crm.db.run("update club_stages set tag = 'Member'").await;
    crm.hear("w1", json!({})).await;
    assert_eq!(crm.hear("w2", json!({"order_id": "1002", "total": "600"})).await, "upgraded from Silver to Gold");
    assert_eq!(crm.asked().await, "add_membership Silver, add_membership Gold");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_customer_asked_for_before_becomes_as_urgent_as_their_purchase() {
    let crm = shop().await;
    crm.hear("w1", json!({})).await;
    crm.db.run("update enrollments set expires_at = now() - interval '1 hour'; select * from process_expired_enrollments()").await;
    assert_eq!(crm.text("select string_agg(priority::text, ' ' order by id) from crm_sync_queue").await, "10 0");
    crm.hear("w2", json!({"order_id": "1002"})).await;
    assert_eq!(crm.text("select string_agg(priority::text, ' ' order by id) from crm_sync_queue").await, "10 10 10");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_known_by_the_id_and_else_by_the_address() {
    let crm = shop().await;
    let who = |id: Value, email: Value| json!({"id": id, "email": email});
    let mut nth = 0;
    for (customer, known) in [
        (who(json!(null), json!("Ama@Example.com")), 1),
        (who(json!("c-1"), json!("ama@example.com")), 1),
        (who(json!("c-1"), json!("new@example.com")), 1),
        (who(json!(null), json!("NEW@example.com ")), 1),
        (who(json!("c-2"), json!("other@example.com")), 2),
        (who(json!("c-3"), json!(null)), 3),
        // Two people may share an address: the CRM knows them apart.
        (who(json!("c-9"), json!("other@example.com")), 4),
        (who(json!("c-2"), json!("other@example.com")), 4),
    ] {
        nth += 1;
        crm.hear(&format!("w{nth}"), json!({"order_id": format!("o{nth}"), "customer": customer.clone()})).await;
        assert_eq!(crm.text("select count(*) from customers").await, known.to_string(), "{customer}");
    }
    let all = "select string_agg(concat_ws(' ', crm_customer_id, email), ', ' order by id) from customers";
    assert_eq!(crm.text(all).await, "c-1 NEW@example.com, c-2 other@example.com, c-3, c-9 other@example.com");
    crm.db.run("update customers set crm_customer_id = 'gid://shopify/Customer/' || crm_customer_id where crm_customer_id = 'c-3'").await;
    crm.hear("w10", json!({"order_id": "o10", "customer": {"id": "c-3", "email": "c3@example.com"}})).await;
    assert_eq!(crm.text("select count(*) from customers where crm_customer_id like '%c-3'").await, "1");
    // The same address at another client is another customer.
    crm.shop("two").await;
    crm.hear("w0", json!({"tenant_or_shop": "two", "customer": {"id": "c-1", "email": "new@example.com"}})).await;
    assert_eq!(crm.text("select count(*) from customers").await, "5");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_in_which_addresses_are_unique_refuses_no_webhook() {
    let crm = shop().await;
    crm.db.run("alter table customers add unique (client_id, email)").await;
    let order = |nth: &str, id: &str, email: &str| json!({"order_id": nth, "customer": {"id": id, "email": email}});
    assert_eq!(crm.hear("w1", order("1", "c-1", "ama@example.com")).await, "enrolled in Silver");
    let said = "names a customer whose e-mail address another customer has: merge them, or change one of them";
    assert_eq!(crm.hear("w2", order("2", "c-2", "ama@example.com")).await, said);
    assert_eq!(crm.hear("w3", order("3", "c-3", "kofi@example.com")).await, "enrolled in Silver");
    let known = "the customer has the tier Silver already";
    assert_eq!(crm.hear("w4", order("4", "c-3", "ama@example.com")).await, known);
    let all = "select string_agg(concat_ws(' ', crm_customer_id, email), ', ' order by crm_customer_id) from customers";
    assert_eq!(crm.text(all).await, "c-1 ama@example.com, c-3 kofi@example.com");
}

/// Everything that one order can be told of, in every order and with repeats: the end is the same, and one enrollment at most.
#[tokio::test(flavor = "multi_thread")]
async fn in_whatever_order_an_order_is_told_it_ends_the_same() {
    let told = [
        ("paid", json!({"at": "2026-03-01T10:00:00Z"})),
        (
            "updated",
            json!({"event": "orders/updated", "financial_state": "partially_refunded", "at": "2026-03-01T12:00:00Z"}),
        ),
        (
            "refund",
            json!({"event": "refunds/create", "total": "15.00", "financial_state": null, "at": "2026-03-01T11:59:00Z"}),
        ),
        (
            "cancelled",
            json!({"event": "orders/cancelled", "financial_state": "refunded", "at": "2026-03-01T13:00:00Z"}),
        ),
    ];
    let crm = shop().await;
    let mut ends = std::collections::HashSet::new();
    for (nth, order) in permutations(told.len()).into_iter().enumerate() {
        for at in order.iter().chain(&order[..2]) {
            let (name, change) = &told[*at];
            let mut change = change.clone();
            change["order_id"] = json!(format!("o-{nth}"));
            change["customer"] = json!({"id": format!("c-{nth}")});
            crm.hear(&format!("{name}-{nth}"), change).await;
        }
        let end = crm
            .text(&format!(
                "select concat_ws(' ', total, refunded, financial_state, cancelled_at at time zone 'utc', told_at at time zone 'utc')
                 from crm_orders where crm_order_id = 'o-{nth}'"
            ))
            .await;
        ends.insert(end);
        let cancelled_first = order.iter().position(|at| *at == 3) < order.iter().position(|at| *at < 2);
        let enrolled = crm.text(&format!("select count(*) from crm_sync_queue as q join customers as u on u.id = q.customer_id where u.crm_customer_id = 'c-{nth}'")).await;
        assert_eq!(enrolled, if cancelled_first { "0" } else { "1" }, "{order:?}");
    }
    assert_eq!(
        ends.into_iter().collect::<Vec<_>>(),
        ["120.0000 15.0000 refunded 2026-03-01 13:00:00 2026-03-01 13:00:00"]
    );
}

fn permutations(number: usize) -> Vec<Vec<usize>> {
    if number == 0 {
        return vec![Vec::new()];
    }
    permutations(number - 1)
        .into_iter()
        .flat_map(|shorter| {
            (0..number).map(move |place| {
                let mut longer = shorter.clone();
                longer.insert(place, number - 1);
                longer
            })
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_webhook_many_times_at_once_counts_once_and_two_orders_make_one_customer() {
    let crm = shop().await;
    let mut told = tokio::task::JoinSet::new();
    for nth in 0..12 {
        let connection = crm.db.connect().await;
        // Six deliveries of one webhook, and six first orders of one customer.
        let heard = if nth % 2 == 0 {
            notice("same", &json!({"total": "20.00"}))
        } else {
            notice(
                &format!("w{nth}"),
                &json!({"order_id": format!("o{nth}"), "customer": {"id": null, "email": "new@example.com"}}),
            )
        };
        told.spawn(async move { hear(&connection, &heard).await });
    }
    let mut said = told.join_all().await;
    said.sort();
    assert_eq!(said.iter().filter(|said| *said == "known already").count(), 5, "{said:?}");
    assert_eq!(said.iter().filter(|said| said.starts_with("enrolled")).count(), 1, "{said:?}");
    assert_eq!(crm.text("select count(*) from customers").await, "2");
    assert_eq!(crm.text("select count(*) from crm_sync_queue").await, "1");
}

/// Several subscriptions, or a replay by hand, tell of one refund under ids of their own.
#[tokio::test(flavor = "multi_thread")]
async fn a_refund_counts_once_however_many_webhooks_tell_of_it() {
    let crm = shop().await;
    let refund = |id: &str, total: &str| json!({"event": "refunds/create", "refund_id": id, "total": total, "financial_state": null});
    for (webhook, id, total) in
        [("a", "r-1", "15.00"), ("b", "r-1", "15.00"), ("c", "r-2", "5.00"), ("d", "r-1", "15.00")]
    {
        crm.hear(webhook, refund(id, total)).await;
    }
    assert_eq!(crm.hear("w1", json!({})).await, "enrolled in Silver");
    assert_eq!(crm.text("select concat_ws(' ', refunded, decided_amount) from crm_orders").await, "20.0000 100.0000");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_came_before_its_client_counts_when_it_comes_again() {
    let crm = Crm::new().await;
    for _ in 0..2 {
        assert_eq!(crm.hear("w1", json!({})).await, "nobody's");
    }
    let noted = "select concat_ws('|', count(*), max(answer)) from rowcall.crm_notices";
    assert_eq!(crm.text(noted).await, "1|no client has this account", "doctor tells of it");
    crm.shop("one").await;
    assert_eq!(crm.hear("w1", json!({})).await, "enrolled in Silver");
    assert_eq!(crm.hear("w1", json!({})).await, "known already");
    assert_eq!(crm.text(noted).await, "1|enrolled in Silver");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_could_not_be_written_is_not_remembered_so_that_its_repeat_counts() {
    let crm = shop().await;
    crm.hear("w1", json!({"total": "20.00"})).await;
    let holder = crm.db.connect().await;
    holder.batch_execute("begin; update crm_orders set currency = 'USD'").await.unwrap();
    let heard = notice("w2", &json!({"at": "2026-03-01T11:00:00Z"})).to_string();
    let error = crm.db.client.query_one("select rowcall.hear_crm($1::text::jsonb)", &[&heard]).await.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "55P03", "it waits no longer than the CRM does");
    holder.batch_execute("commit").await.unwrap();
    assert_eq!(crm.hear("w2", json!({"at": "2026-03-01T11:00:00Z"})).await, "enrolled in Silver");
}
