//! Settling: one settler a lane. It writes back whatever has piled up while its last statement ran; no timer delays it.
//!
//! Promises: an outcome is offered until the row takes it or the claim is lost; a row that somebody holds locked keeps
//! nobody else waiting; an outcome that the database cannot take is parked by itself, not with its whole batch.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{debug, error, warn};

use super::Worker;
use super::lane::Lane;
use crate::failure::{Failure, Fault};
use crate::outcome::Verdict;
use crate::store::reconnect::Reconnect;
use crate::store::settles::{Settled, Settlement};

/// Outcomes that one statement writes at most.
const BATCH_MAX: usize = 1000;

/// How long to leave a locked row alone, at first and at most.
const LOCKED_FIRST: Duration = Duration::from_millis(50);
const LOCKED_MAX: Duration = Duration::from_secs(2);

/// Settles a lane's outcomes until no more can come and all are written.
pub(super) async fn run(worker: Arc<Worker>, lane: Arc<Lane>, mut outcomes: mpsc::Receiver<Settlement>) {
    let mut settler = Settler { worker, lane, locked: Vec::new(), patience: LOCKED_FIRST };
    let mut batch = Vec::with_capacity(BATCH_MAX);
    let mut retry_at: Option<Instant> = None;
    loop {
        let open = tokio::select! {
            received = outcomes.recv_many(&mut batch, BATCH_MAX) => received > 0,
            () = tokio::time::sleep_until(retry_at.unwrap_or_else(Instant::now)), if retry_at.is_some() => true,
        };
        if !open && settler.locked.is_empty() {
            return;
        }
        if retry_at.is_some_and(|at| at <= Instant::now()) || !open {
            batch.append(&mut settler.locked);
        }
        let before = batch.len();
        settler.settle(std::mem::take(&mut batch)).await;
        retry_at = if settler.locked.is_empty() {
            settler.patience = LOCKED_FIRST;
            None
        } else if before > 0 || retry_at.is_none() {
            settler.patience = (settler.patience * 2).min(LOCKED_MAX);
            Some(Instant::now() + settler.patience)
        } else {
            retry_at
        };
        if !open && let Some(at) = retry_at {
            tokio::time::sleep_until(at).await;
        }
    }
}

struct Settler {
    worker: Arc<Worker>,
    lane: Arc<Lane>,
    /// Outcomes whose rows were held locked by somebody.
    locked: Vec<Settlement>,
    patience: Duration,
}

impl Settler {
    /// Writes a batch, halving it where the database cannot take it as it is.
    async fn settle(&mut self, batch: Vec<Settlement>) {
        let mut left = vec![batch];
        let mut reconnect = Reconnect::default();
        while let Some(mut batch) = left.pop() {
            if batch.is_empty() {
                continue;
            }
            match self.worker.store.settle(self.lane.statements, &batch).await {
                Ok(settled) => {
                    reconnect.reset();
                    self.acknowledge(batch, &settled);
                }
                Err(error) if error.is_about_data() && batch.len() > 1 => {
                    let half = batch.split_off(batch.len() / 2);
                    left.push(half);
                    left.push(batch);
                }
                Err(error) if error.is_about_data() => {
                    let text = error.chain();
                    let Some(settlement) = batch.pop() else { continue };
                    error!(
                        queue = settlement.job.queue,
                        key = settlement.job.key,
                        error = text,
                        "The database refuses this outcome"
                    );
                    left.extend(
                        park(settlement, error.answer().map_or(text.as_str(), |e| e.message())).map(|s| vec![s]),
                    );
                }
                Err(error) => {
                    warn!(
                        queue = self.lane.statements.queue,
                        outcomes = batch.len(),
                        error = error.chain(),
                        "Outcomes cannot be written; trying again"
                    );
                    tokio::time::sleep(reconnect.next_delay()).await;
                    left.push(batch);
                }
            }
        }
    }

    fn acknowledge(&mut self, batch: Vec<Settlement>, settled: &[Settled]) {
        let bounded = self.lane.policy().is_bounded();
        if settled.len() == batch.len() && !bounded && settled.iter().all(|s| s.settled_as == "done") {
            return;
        }
        let ways: std::collections::HashMap<&str, &str> =
            settled.iter().map(|s| (s.key.as_str(), s.settled_as.as_str())).collect();
        let mut wake = bounded;
        for settlement in batch {
            let key = settlement.job.key.as_str();
            match ways.get(key).copied() {
                None => self.locked.push(settlement),
                Some("lost") => {
                    warn!(
                        queue = settlement.job.queue,
                        key, "The claim was lost, or this outcome was written already; the row stays as it is"
                    );
                }
                Some("superseded") => {
                    debug!(queue = settlement.job.queue, key, "The request had changed; the newest one is next");
                    wake = true;
                }
                Some("retry" | "wait") => self.lane.wake_in(settlement.delay),
                Some(_) => {}
            }
        }
        if wake {
            self.lane.wake();
        }
    }
}

/// An outcome that the database cannot take becomes one that it can: parked, with the reason. Nothing when even that was
/// refused; the lease then runs out and the row comes back as uncertain.
fn park(mut settlement: Settlement, refusal: &str) -> Option<Settlement> {
    if settlement.outcome.verdict == Verdict::Unknown {
        return None;
    }
    let verdict = settlement.outcome.verdict;
    let message = format!("the operation ended as {verdict}, but the row could not be written: {refusal}");
    settlement.outcome = Failure::new(Fault::Unknowable, message).uncertain().into();
    Some(settlement)
}
