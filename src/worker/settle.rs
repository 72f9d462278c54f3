//! Settling: one settler a lane, in two hands. Each writes back whatever has piled up while its last statement ran;
//! no timer delays it.
//!
//! Promises: an outcome is offered until the row takes it or the claim is lost; a row that somebody holds locked keeps
//! nobody else waiting; an outcome that the database cannot take is parked by itself, not with its whole batch.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{debug, error, warn};
use uuid::Uuid;

use super::Worker;
use super::claim::sleep_until;
use super::lane::{Lane, YIELD};
use crate::failure::{Failure, Fault};
use crate::outcome::Verdict;
use crate::retry;
use crate::store::reconnect::Reconnect;
use crate::store::settles::{Settled, Settlement};

/// Outcomes that one statement writes at most.
const BATCH_MAX: usize = 1000;

/// How long to leave a locked row alone, at first and at most.
const LOCKED_FIRST: Duration = Duration::from_millis(50);
const LOCKED_MAX: Duration = Duration::from_secs(2);

/// Statements of a lane that write at the same time: one computes while the other waits for its commit.
pub(super) const SETTLERS: usize = 2;

/// The outcomes of a lane, taken by one settler at a time.
pub(super) type Outcomes = tokio::sync::Mutex<mpsc::Receiver<Settlement>>;

/// Settles a lane's outcomes until no more can come and all are written.
pub(super) async fn run(worker: Arc<Worker>, lane: Arc<Lane>, outcomes: Arc<Outcomes>) {
    let mut settler = Settler { worker, lane, locked: Vec::new(), retry_at: None, patience: LOCKED_FIRST };
    let mut batch = Vec::with_capacity(BATCH_MAX);
    loop {
        let receive = async { outcomes.lock().await.recv_many(&mut batch, BATCH_MAX).await };
        let open = tokio::select! {
            received = receive => received > 0,
            () = sleep_until(settler.retry_at) => true,
        };
        if open {
            settler.take_locked(Instant::now(), &mut batch);
        } else if settler.locked.is_empty() {
            return;
        } else {
            sleep_until(settler.retry_at).await;
            settler.take_locked(Instant::now(), &mut batch);
        }
        settler.settle(std::mem::take(&mut batch)).await;
        settler.plan_retry();
    }
}

struct Settler {
    worker: Arc<Worker>,
    lane: Arc<Lane>,
    /// Outcomes whose rows were held locked by somebody.
    locked: Vec<Settlement>,
    /// When to offer them again.
    retry_at: Option<Instant>,
    patience: Duration,
}

impl Settler {
    /// Moves outcomes of locked rows into the batch, when it is time to offer them again.
    fn take_locked(&mut self, now: Instant, batch: &mut Vec<Settlement>) {
        if self.retry_at.is_some_and(|at| at <= now) {
            batch.append(&mut self.locked);
            self.retry_at = None;
        }
    }

    /// Says when to offer the outcomes of locked rows again: a little later each time that some are left.
    fn plan_retry(&mut self) {
        if self.locked.is_empty() {
            self.patience = LOCKED_FIRST;
        } else if self.retry_at.is_none() {
            self.retry_at = Some(Instant::now() + self.patience);
            self.patience = (self.patience * 2).min(LOCKED_MAX);
        }
    }

    /// Writes a batch, halving it where the database cannot take it as it is.
    async fn settle(&mut self, batch: Vec<Settlement>) {
        let mut left = vec![batch];
        let mut reconnect = Reconnect::default();
        while let Some(mut batch) = left.pop() {
            if batch.is_empty() {
                continue;
            }
            // A row's old claim and its new one may both have an outcome here; answers go by key.
            let mut keys = HashSet::new();
            let (batch_of_keys, twice) =
                batch.into_iter().partition::<Vec<_>, _>(|settlement| keys.insert(settlement.job.key.clone()));
            batch = batch_of_keys;
            left.push(twice);
            let bounded = self.lane.was_bounded();
            match self.worker.store.settle(self.lane.statements, &batch, bounded).await {
                Ok(settled) => {
                    reconnect.reset();
                    self.acknowledge(batch, &settled, bounded);
                }
                Err(error) if (error.is_about_data() || error.is_contention()) && batch.len() > 1 => {
                    let half = batch.split_off(batch.len() / 2);
                    left.push(half);
                    left.push(batch);
                }
                Err(error) if error.is_cut_off() => {
                    warn!(
                        queue = self.lane.statements.queue,
                        error = error.chain(),
                        "An outcome takes longer to write than the database lets a statement run"
                    );
                    if batch.iter_mut().all(|settlement| self.do_again(settlement)) {
                        left.push(batch);
                    } else {
                        self.locked.append(&mut batch);
                    }
                }
                Err(error) if error.is_contention() => {
                    let (queue, text) = (self.lane.statements.queue, error.chain());
                    if error.is_about_schema() {
                        warn!(queue, error = text, "The schema is not as outcomes need it; trying again");
                    } else {
                        debug!(queue, error = text, "A lock is in the way of this outcome; trying again");
                    }
                    self.locked.append(&mut batch);
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
                    let refusal = error.answer().map_or(text.as_str(), |e| e.message());
                    let (key, token) = (settlement.job.key.clone(), settlement.job.token);
                    match soften(settlement, refusal) {
                        Some(settlement) => left.push(vec![settlement]),
                        None => self.give_up(&key, token).await,
                    }
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

    /// An outcome that takes too long to write becomes one that does not: what only reads is done again, and the row says
    /// why. Any other is kept, and so is one that has nothing to write; they are offered again.
    fn do_again(&self, settlement: &mut Settlement) -> bool {
        if !self.lane.statements.only_reads || settlement.outcome.result.is_none() {
            return false;
        }
        let message = "What was read could not be written in the time that the database gives a statement (30 s). Look at what \
            slows it, such as triggers of your own on the tables that are written.";
        settlement.outcome = Failure::new(Fault::Transient, message).into();
        settlement.delay = retry::delay(&self.lane.policy().retry_delays, settlement.job.attempt, rand::random());
        true
    }

    /// A row that takes no write at all: at least it holds no slot of the others.
    async fn give_up(&self, key: &str, token: Uuid) {
        if let Err(error) = self.worker.store.release(self.lane.statements.queue, key, token).await {
            warn!(key, error = error.chain(), "A slot could not be given back; it is free when its lease ends");
        }
        self.lane.wake();
    }

    fn acknowledge(&mut self, batch: Vec<Settlement>, settled: &[Settled], bounded: bool) {
        if settled.len() == batch.len() && !bounded && settled.iter().all(|s| s.settled_as == "done") {
            return;
        }
        let ways: std::collections::HashMap<&str, &str> =
            settled.iter().map(|s| (s.key.as_str(), s.settled_as.as_str())).collect();
        let yields = self.lane.policy().yields();
        if yields {
            self.lane.wake_in(YIELD);
        }
        let mut wake = bounded && !yields;
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
                    wake = !yields;
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

/// How long a row rests that takes no outcome.
const REFUSED_REST: Duration = Duration::from_mins(10);

/// An outcome that the database cannot take becomes one that it can: parked, with the reason; or, where even that is
/// refused, a wait that changes neither status nor metadata. Nothing when the row takes no write at all; the lease then
/// runs out and the row comes back as uncertain.
fn soften(mut settlement: Settlement, refusal: &str) -> Option<Settlement> {
    let verdict = settlement.outcome.verdict;
    let fault = match verdict {
        Verdict::Wait => return None,
        Verdict::Unknown => Fault::Interrupted,
        _ => Fault::Unknowable,
    };
    let message = match verdict {
        Verdict::Unknown => settlement.outcome.error.take().unwrap_or_default(),
        _ => format!("the operation ended as {verdict}, but the row could not be written: {refusal}"),
    };
    settlement.outcome = Failure::new(fault, message).uncertain().into();
    settlement.delay = REFUSED_REST;
    Some(settlement)
}
