//! A worker that is killed at every page, and one that is told to stop.

use rowcall::sandbox::fluent::{Edit, Fault, Kind};
use serde_json::json;

use super::flow::{Flow, start};
use crate::process::eventually;

/// What a dead worker held is open to others at once: fifteen seconds pass in no time.
const DEAD: &str = "update rowcall.workers set heartbeat_at = now() - interval '1 minute'";

#[tokio::test]
async fn killed_with_9_at_every_page_a_sync_is_whole_in_the_end() {
    let mut flow = Flow::new(330).await;
    flow.sql("insert into fluent_sync_status default values").await;
    flow.until("select status = 'success' from fluent_sync_status").await;
    let pages = flow.fake.requests().len();
    assert_eq!(pages, 6);
    flow.sql("delete from fluent_tickets; delete from requests").await;
    flow.fake.edit(&[Edit::Retitle(2, "Changed".to_owned())]);

    flow.fake.fault(Fault::new(Kind::Hang));
    flow.sql("insert into fluent_sync_status (is_full) values (true)").await;
    for nth in 1..=pages {
        // Each page is asked for twice: by the worker that is killed while it waits, and by the next one.
        let asked = pages + 2 * nth - 1;
        eventually("a request that hangs", || (flow.fake.requests().len() == asked).then_some(())).await;
        flow.run.kill();
        flow.sql(DEAD).await;
        if nth < pages {
            flow.fake.fault(Fault::new(Kind::Slow(0)));
            flow.fake.fault(Fault::new(Kind::Hang));
        }
        flow.run = start(&flow.scratch, &flow.fake, &[]).await;
    }
    flow.until("select bool_and(status = 'success') from fluent_sync_status").await;
    let row = flow.last().await;
    assert_eq!((&row["tickets_added"], &row["pages_read"]), (&json!(330), &json!(6)));
    assert_eq!(flow.fake.requests().len(), 3 * pages);
    flow.assert_whole().await;
    assert_eq!(flow.text("select count(*) from rowcall.attempts where settled_as = 'lost'").await, pages.to_string());
    assert_eq!(flow.text("select count(*) from rowcall.fluent_pages").await, "0");
}

#[tokio::test]
async fn killed_with_9_while_the_tickets_are_written_none_or_all_are_there() {
    let mut flow = Flow::new(330).await;
    // The statement that ends the sync waits in its middle.
    flow.sql(
        "create function public.slowly() returns trigger language plpgsql as $$ begin perform pg_sleep(0.02); return new; end $$;
         create trigger slowly before insert on requests for each row execute function public.slowly()",
    )
    .await;
    flow.sql("insert into fluent_sync_status default values").await;
    let writing =
        "select exists (select from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database())";
    flow.until(writing).await;
    flow.run.kill();
    flow.until(&format!("select not ({writing})")).await;
    let (tickets, status) =
        (flow.text("select count(*) from fluent_tickets").await, flow.last().await["status"].clone());
    assert!(
        (tickets == "0" && status == "running") || (tickets == "330" && status == "success"),
        "{tickets} tickets, and the sync is {status}"
    );
    flow.sql("drop trigger slowly on requests").await;
    flow.sql(DEAD).await;
    flow.run = start(&flow.scratch, &flow.fake, &[]).await;
    flow.until("select status = 'success' from fluent_sync_status").await;
    flow.assert_whole().await;
}

#[tokio::test]
async fn a_worker_that_is_told_to_stop_hands_a_sync_back_as_far_as_it_is() {
    let mut flow = Flow::new(330).await;
    flow.fake.fault(Fault::at(3, Kind::Hang));
    flow.sql("insert into fluent_sync_status default values").await;
    eventually("a request that hangs", || (flow.fake.requests().len() == 4).then_some(())).await;
    flow.run.terminate();
    assert!(flow.run.ended().await.success());
    let row = flow.last().await;
    assert_eq!(
        (&row["pages_read"], &row["attempts"], &row["claimed_by"]),
        (&json!(3), &json!(0), &serde_json::Value::Null)
    );
    flow.run = start(&flow.scratch, &flow.fake, &[]).await;
    flow.until("select status = 'success' from fluent_sync_status").await;
    flow.assert_whole().await;
    assert_eq!(flow.fake.requests().len(), 7, "it went on from there");
}
