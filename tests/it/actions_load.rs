//! Actions by the real worker when there is much to do, when the provider is away, and with the other provider.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rowcall::sandbox::whatsapp::{Fault, Kind, Report};

use crate::actions_flow::Flow;
use crate::database::PATIENCE;
use crate::process::eventually;

/// So many contacts with one action each that nobody has answered.
async fn contacts(flow: &Flow, number: u32) {
    flow.sql(&format!(
        "with contact as (
            insert into contacts (phone, name, last_inbound_at)
            select '+16505' || lpad(n::text, 6, '0'), 'Ama', now() from generate_series(1, {number}) as n
            returning id
        )
        insert into actions (contact_id, action_type) select id, 'refund_request' from contact"
    ))
    .await;
}

/// How often each reference was accepted.
fn counts(flow: &Flow) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for reference in flow.accepted() {
        *counts.entry(reference).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn an_approval_is_an_accepted_message_within_a_second() {
    let flow = Flow::new().await;
    let mut fastest = Duration::MAX;
    // The best of five: what else this machine does at the moment is not what is asked.
    for nth in 1..=5 {
        let id = flow.action().await;
        let began = Instant::now();
        flow.sql(&format!("update actions set status = 'approved' where id = {id}")).await;
        eventually("the message", || (flow.accepted().len() == nth).then_some(())).await;
        fastest = fastest.min(began.elapsed());
        flow.replied(id, "sent", "Sent").await;
    }
    assert!(fastest < Duration::from_secs(1), "{fastest:?}");
}

#[tokio::test]
async fn a_thousand_approvals_at_once_go_out_within_half_a_minute_and_once_each() {
    let flow = Flow::new().await;
    contacts(&flow, 1000).await;
    // WhatsApp's own limits would take 17 s; the benchmark shows those.
    flow.fake.sender_limit(5000.0, 5000.0);
    flow.fake.reports(Vec::new());
    flow.sql("update rowcall.queues set rate_per_second = 5000, rate_burst = 5000 where queue = 'actions'").await;
    let began = Instant::now();
    flow.sql("update actions set status = 'approved'").await;
    flow.until("select count(*) from actions where reply_status = 'sent'", "1000").await;
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    let counts = counts(&flow);
    assert_eq!((counts.len(), counts.values().max()), (1000, Some(&1)));
    flow.until("select count(*) from messages where direction = 'outbound'", "1000").await;
}

#[tokio::test]
async fn an_outage_of_a_minute_costs_no_attempt_and_nobody_gets_a_message_twice() {
    let flow = Flow::new().await;
    contacts(&flow, 20).await;
    flow.fake.reports(Vec::new());
    // One message is taken at the very moment at which WhatsApp goes away.
    flow.fake.fault(Fault::new(Kind::AcceptThenClose));
    flow.fake.fault(Fault { times: 10_000, ..Fault::code(503, 131_016) });
    flow.sql("update actions set status = 'approved'").await;
    let open = "select state || ' ' || (reason <> '') from rowcall.targets where target = 'whatsapp'";
    flow.until(open, "open true").await;
    flow.until("select count(*) from actions where reply_status = 'unknown'", "1").await;
    let waiting = "select count(*) from rowcall.work where state = 'waiting' and reason <> ''";
    flow.until(waiting, "19").await;
    assert_eq!(flow.accepted().len(), 1);

    // The minute passes: every probe meets the outage, and so does a person's impatience.
    for _ in 0..4 {
        let before = flow.fake.requests().len();
        flow.sql("select rowcall.resume('actions')").await;
        eventually("a probe", || (flow.fake.requests().len() > before).then_some(())).await;
        flow.until(open, "open true").await;
    }
    flow.until("select coalesce(sum(attempts), 0) from actions where reply_status = 'pending'", "0").await;
    assert_eq!(flow.accepted().len(), 1);

    flow.fake.mend();
    // A row that was looked at before the breaker closed was told to wait for a minute: that passes, too.
    let sent = "select count(*) from actions where reply_status = 'sent'";
    let began = Instant::now();
    while flow.client.query_one(sent, &[]).await.unwrap().get::<_, i64>(0) < 19 {
        assert!(began.elapsed() < PATIENCE, "{}", flow.run.log());
        flow.sql(
            "update rowcall.targets set next_probe_at = now() where target = 'whatsapp' and state = 'open';
             update actions set next_retry_at = now() where reply_status = 'pending' and claim_token is null;
             select rowcall.sweep_now()",
        )
        .await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let counts = counts(&flow);
    assert_eq!((counts.len(), counts.values().max()), (20, Some(&1)));
    flow.until("select state from rowcall.targets where target = 'whatsapp'", "closed").await;
    flow.until("select count(*) from actions where reply_status = 'unknown'", "1").await;
}

#[tokio::test]
async fn infobip_sends_and_tells_too() {
    let flow = Flow::with(&[("WHATSAPP_PROVIDER", "infobip")]).await;
    let id = flow.action().await;
    flow.sql(&format!("update actions set status = 'approved' where id = {id}")).await;
    flow.replied(id, "sent", "Sent").await;
    flow.until("select provider || ' ' || status from action_responses", "infobip read").await;

    // An answer that is lost: the report that carries our reference tells.
    let lost = flow.action().await;
    flow.fake.reports(vec![Report { status: "delivered".to_owned(), after_ms: 3000, times: 2, code: None }]);
    flow.fake.fault(Fault::new(Kind::AcceptThenClose));
    flow.sql(&format!("update actions set status = 'denied' where id = {lost}")).await;
    flow.replied(lost, "unknown", "Needs a look").await;
    flow.replied(lost, "sent", "Sent").await;
    flow.stays(&[format!("actions:{id}:1"), format!("actions:{lost}:1")]).await;
}
