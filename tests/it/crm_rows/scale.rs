//! A hundred thousand expiries at once, and the rows that they make: in seconds, and no claim reads them all.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::Crm;

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_expire_in_seconds_and_no_claim_reads_them_all() {
    let crm = Crm::new().await;
    for nth in 1..=10 {
        crm.shop(&format!("shop-{nth}")).await;
        crm.tenant(&format!("tenant-{nth}")).await;
    }
    crm.db
        .run(
            "insert into customers (client_id, email, is_member)
             select c.id, 'c' || c.id || '-' || n || '@example.com', true from clients as c, generate_series(1, 5000) as n;
             insert into enrollments (customer_id, stage_id, expires_at)
             select u.id, s.id, now() - interval '1 hour'
             from customers as u join club_stages as s on s.client_id = u.client_id and s.name = 'Silver'",
        )
        .await;
    // The statistics of the queue are those of an empty table, as they are when a night's expiries come.
    let began = Instant::now();
    let counts = "select concat_ws(' ', expired, customers_updated, queued) from process_expired_enrollments()";
    assert_eq!(crm.text(counts).await, "100000 100000 100000");
    assert!(began.elapsed() < Duration::from_mins(1), "on a busy machine too: {:?}", began.elapsed());

    let mut client = crm.db.connect().await;
    client
        .batch_execute("set enable_seqscan = off; set jit = off; set plan_cache_mode = force_generic_plan")
        .await
        .unwrap();
    let claim = explain(
        &mut client,
        "bigint, uuid, uuid, float8, bigint",
        crm.statements.claim,
        &format!("20, '{}', '00000000-0000-4000-8000-00000000000d', 60, 0", crm.worker),
    )
    .await;
    let taken =
        "select concat_ws(' ', count(*), count(distinct client_id)) from crm_sync_queue where status = 'processing'";
    assert_eq!(crm.text(taken).await, "20 20", "one of each client");
    let next = explain(&mut client, "", crm.statements.next.unwrap(), "").await;
    for (name, plan) in [("claim", claim), ("next", next)] {
        walk(&plan[0]["Plan"], &mut |node| {
            let read = |field: &str| node[field].as_f64().unwrap_or_default();
            let looked_at = (read("Actual Rows") + read("Rows Removed by Filter")) * read("Actual Loops");
            assert!(looked_at < 2000.0, "{name} looks at {looked_at} rows: {node:#}");
        });
    }
}

async fn explain(client: &mut Client, types: &str, sql: &str, values: &str) -> Value {
    let types = if types.is_empty() { String::new() } else { format!("({types})") };
    let values = if values.is_empty() { String::new() } else { format!("({values})") };
    client.batch_execute(&format!("deallocate all; prepare p {types} as {sql}")).await.unwrap();
    let rows = client.simple_query(&format!("explain (analyze, format json) execute p {values}")).await.unwrap();
    let text = rows.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    serde_json::from_str(&text.unwrap()).unwrap()
}

fn walk(node: &Value, look: &mut impl FnMut(&Value)) {
    look(node);
    for inner in node["Plans"].as_array().into_iter().flatten() {
        walk(inner, look);
    }
}
