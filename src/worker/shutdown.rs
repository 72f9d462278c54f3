//! Shutdown, in two steps: stop claiming, then stop running.
//!
//! Promises: what runs ends, or is interrupted and handed back with its attempt; every outcome is written before the
//! worker goes; all of it within the grace period. A second signal ends the process at once, and the rows come back by
//! the heartbeat.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::Worker;

/// What an interrupted operation needs to end: a program gets five seconds after SIGTERM, and is read for a while.
const INTERRUPT: Duration = Duration::from_secs(8);

/// What is left of the grace period for writing outcomes.
const SETTLE: Duration = Duration::from_secs(2);

/// The two steps, as tokens.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Claim nothing more.
    pub closing: CancellationToken,
    /// End what runs.
    pub stop: CancellationToken,
}

impl Shutdown {
    /// Closes on SIGTERM or SIGINT; ends the process at once on the second.
    pub fn on_signals(&self) -> std::io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let closing = self.closing.clone();
        tokio::spawn(async move {
            let mut told = false;
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                if told {
                    warn!("Second signal: ending at once; other workers pick up what ran");
                    std::process::exit(130);
                }
                told = true;
                info!("Shutting down: nothing more is claimed, what runs may end");
                closing.cancel();
            }
        });
        Ok(())
    }
}

/// Tells systemd, where it started this process, how the worker stands.
pub(super) fn tell_service_manager(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        debug!(%error, "The service manager could not be told");
    }
}

/// Ends a closing worker within `grace`. Returns whether it holds nothing any more.
pub(super) async fn drain(
    worker: &Arc<Worker>,
    grace: Duration,
    claimers: Vec<JoinHandle<bool>>,
    settlers: Vec<JoinHandle<()>>,
) -> bool {
    let mut clean = true;
    let end = Instant::now() + grace;
    // A claim that is under way still brings rows: they start, see the closing and are handed back, or run to their end.
    for claimer in claimers {
        if !matches!(timeout_at(end, claimer).await, Ok(Ok(true))) {
            clean = false;
            warn!("A claim was not answered; its rows, if it took any, are open to others in 15 s");
        }
    }
    worker.operations.close();
    let patience = end.checked_sub(INTERRUPT + SETTLE).unwrap_or_else(Instant::now);
    if timeout_at(patience, worker.operations.wait()).await.is_err() {
        info!(operations = worker.operations.len(), "Interrupting what still runs; its attempts are not counted");
        worker.shutdown.stop.cancel();
        if timeout_at(end - SETTLE, worker.operations.wait()).await.is_err() {
            clean = false;
            warn!(operations = worker.operations.len(), "Some operations did not end; other workers verify them");
        }
    }
    for lane in worker.lanes.values() {
        lane.close();
    }
    for settler in settlers {
        if timeout_at(end, settler).await.is_err() {
            clean = false;
            warn!("Some outcomes could not be written in time; other workers verify them");
        }
    }
    clean
}
