//! The daily sync: a schedule that ships, and rests until somebody lets it go.

use super::flow::Flow;

const STATE: &str = "select concat_ws(' ', cron, time_zone, paused, paused_reason) from rowcall.schedules where name = 'sync-fluent-tickets'";

/// Lets its time come, and waits until it has run.
async fn tick(flow: &Flow, runs: u32) {
    flow.until("select planned = plan from rowcall.schedules where name = 'sync-fluent-tickets'").await;
    flow.sql("update rowcall.schedules set next_run_at = now() where name = 'sync-fluent-tickets'").await;
    flow.until(&format!("select count(*) = {runs} from rowcall.schedule_runs where status = 'done'")).await;
}

#[tokio::test]
async fn the_daily_sync_rests_until_it_is_resumed_and_asks_once_for_what_still_waits() {
    let flow = Flow::new(30).await;
    flow.sql("delete from rowcall.schedules where name <> 'sync-fluent-tickets'").await;
    let state = flow.text(STATE).await;
    assert!(state.starts_with("0 2 * * * UTC t FluentSupport is not configured yet; set FLUENT_API_URL"), "{state}");
    flow.sql("update rowcall.schedules set next_run_at = now(); select pg_notify('rowcall', 'schedules')").await;
    flow.until("select planned = plan from rowcall.schedules where name = 'sync-fluent-tickets'").await;

    // What a person lets go stays so over a migration.
    flow.sql("select rowcall.resume_schedule('sync-fluent-tickets')").await;
    flow.scratch.rowcall(&["migrate"]).well();
    assert_eq!(flow.text(STATE).await, "0 2 * * * UTC f");
    assert_eq!(flow.text("select count(*) from fluent_sync_status").await, "0", "a schedule that rests asks nothing");
    tick(&flow, 1).await;
    flow.until("select count(*) = 1 and bool_and(status = 'success') from fluent_sync_status").await;
    let row = flow.last().await;
    let is_sunday = flow.text("select extract(isodow from now()) = 7").await;
    assert_eq!((row["is_full"].to_string(), row["date_filter"].is_null()), (is_sunday, true), "{row}");
    flow.assert_whole().await;

    flow.sql("select rowcall.pause('fluent_sync_status', 'the site is down')").await;
    tick(&flow, 2).await;
    tick(&flow, 3).await;
    assert_eq!(flow.text("select count(*) from fluent_sync_status where status = 'pending'").await, "1");
    flow.sql("select rowcall.resume('fluent_sync_status')").await;
    flow.until("select count(*) = 2 and bool_and(status = 'success') from fluent_sync_status").await;
}
