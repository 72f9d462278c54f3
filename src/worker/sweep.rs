//! The sweep: every so often, look at everything, whether or not a bell rang; and keep the house.
//!
//! It reads the policies again, wakes every lane, prunes history and answers, and tells the monitor that all this worked.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tracing::{debug, info, warn};

use super::Worker;
use crate::integrations::monitor::Monitor;
use crate::store::StoreError;

/// Sweeps every `every`, and reads the policies whenever the bell says so.
pub(super) async fn run(worker: Arc<Worker>, every: Duration, monitor: Option<Monitor>) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => match sweep(&worker).await {
                Ok(()) => tell(monitor.as_ref()).await,
                Err(error) => warn!(error = error.chain(), "The sweep did not work; the next one will"),
            },
            () = worker.reload.notified() => {
                if let Err(error) = worker.read_policies().await {
                    warn!(error = error.chain(), "The policies could not be read; the sweep will");
                    worker.wake_all();
                }
            }
        }
    }
}

async fn sweep(worker: &Worker) -> Result<(), StoreError> {
    worker.read_policies().await?;
    worker.wake_all();
    if worker.lanes.contains_key("actions") {
        let mended = worker.store.repair_actions().await?;
        if mended > 0 {
            info!(mended, "Bubbles of actions are mended");
        }
    }
    if worker.lanes.contains_key("fulfillment_logs") {
        let applied = worker.store.apply_reports().await?;
        if applied > 0 {
            info!(applied, "What suppliers told before is applied to its orders");
        }
    }
    while worker.store.prune().await? >= 10_000 {}
    while worker.store.prune_runs().await? >= 10_000 {}
    while worker.store.prune_answers().await? >= 10_000 {}
    Ok(())
}

async fn tell(monitor: Option<&Monitor>) {
    if let Some(monitor) = monitor
        && let Err(error) = monitor.tell().await
    {
        debug!(error = crate::store::chain(&error), "The monitor could not be told");
    }
}
