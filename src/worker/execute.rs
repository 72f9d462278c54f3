//! Executing: one attempt of one job, as a pipeline: wait for its start, run it, draw the breaker's consequences, settle.
//!
//! Promise: no transaction is open and no connection is held while the operation runs. Promise: whatever happens, an
//! outcome reaches the settler; a panic is an outcome too.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use super::Worker;
use super::lane::{Breaker, Lane, Slot, WAIT_MAX};
use crate::failure::{Failure, Fault};
use crate::integrations::{Limits, Still};
use crate::job::Job;
use crate::outcome::{Outcome, Verdict};
use crate::queue::Policy;
use crate::retry;
use crate::store::StoreError;
use crate::store::settles::Settlement;

/// An integration keeps its own time; this only guards against one that does not.
const OVERTIME: u32 = 3;

/// One attempt about to be made.
pub(super) struct Attempt {
    pub(super) worker: Arc<Worker>,
    pub(super) lane: Arc<Lane>,
    pub(super) policy: Arc<Policy>,
    /// Held until the outcome is with the settler.
    pub(super) _slot: Slot,
    pub(super) start_in: Duration,
    /// Past this the lease may end before the operation does: it is not started any more.
    pub(super) start_by: Instant,
    pub(super) probe: bool,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.probe {
            self.lane.end_probe();
        }
    }
}

impl Attempt {
    pub(super) async fn run(self, job: Job) {
        let Some(started) = self.wait_for_start(&job).await else {
            self.lane.settle(self.not_started(job)).await;
            return;
        };
        let (outcome, duration) = if job.is_exhausted() {
            (exhausted(&job), None)
        } else {
            let outcome = self.execute(&job).await;
            self.slow_down(&outcome).await;
            (outcome, Some(started.elapsed()))
        };
        let probe_in = self.judge_target(&job, &outcome).await;
        let delay = self.delay(&job, &outcome, probe_in);
        self.rest().await;
        log(&job, &outcome, duration);
        self.lane.settle(Settlement { job, outcome, delay, duration }).await;
    }

    /// What becomes of a job whose operation was not started.
    fn not_started(&self, job: Job) -> Settlement {
        let waits_for = self.in_the_way(&job);
        let (fault, reason) = match &waits_for {
            Some(breaker) => (Fault::Configuration, breaker.reason.as_str()),
            None => (Fault::Interrupted, "its turn did not come in time; it is tried again"),
        };
        let delay = match &waits_for {
            _ if self.worker.shutdown.closing.is_cancelled() => Duration::ZERO,
            Some(breaker) => breaker.probe_at.saturating_duration_since(Instant::now()).min(WAIT_MAX),
            None => self.start_in,
        };
        let mut failure = Failure::new(fault, reason).unasked();
        failure.uncertain = job.uncertain;
        Settlement { job, outcome: failure.into(), delay, duration: None }
    }

    /// The open breaker that holds this job up.
    fn in_the_way(&self, job: &Job) -> Option<Breaker> {
        self.lane.breaker().filter(|_| !self.probe && self.lane.integration.is_held_up(job))
    }

    /// Waits until the target's rate lets the operation start; nothing when the worker closes or the breaker opens first, or
    /// the lease would end before the operation.
    async fn wait_for_start(&self, job: &Job) -> Option<Instant> {
        if Instant::now() + self.start_in > self.start_by {
            return None;
        }
        if !self.start_in.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(self.start_in) => {}
                () = self.worker.shutdown.closing.cancelled() => return None,
            }
        }
        // Closing, or silent for so long that others may soon take these rows: nothing new is started.
        let may_start = self.worker.pulse.may_start() && !self.worker.shutdown.closing.is_cancelled();
        let may_start = may_start && self.in_the_way(job).is_none();
        (may_start && Instant::now() <= self.start_by).then(Instant::now)
    }

    async fn execute(&self, job: &Job) -> Outcome {
        let limits = Limits { timeout: self.policy.timeout, stop: self.worker.stop(), still: self.still(job) };
        let operation = AssertUnwindSafe(self.lane.integration.execute(job, &limits)).catch_unwind();
        match tokio::time::timeout(self.policy.timeout * OVERTIME + Duration::from_secs(20), operation).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => {
                error!(queue = job.queue, key = job.key, operation = job.operation, "The operation panicked");
                Failure::new(Fault::Transient, "rowcall met a bug of its own in this operation; the log has the place")
                    .uncertain()
                    .into()
            }
            Err(_) => Failure::new(Fault::Transient, "the operation did not end in its time").uncertain().into(),
        }
    }

    /// What an integration asks before an operation that cannot be taken back.
    fn still(&self, job: &Job) -> Still {
        let (worker, statements) = (Arc::clone(&self.worker), self.lane.statements);
        let (key, generation, token) = (job.key.clone(), job.generation, job.token);
        Still::by(move || {
            let (worker, key) = (Arc::clone(&worker), key.clone());
            Box::pin(async move {
                let stands = worker.store.stands(statements, &key, generation, token).await;
                let failed = |error: &StoreError| warn!(error = error.chain(), "Whether a request stands is not known");
                stands.inspect_err(failed).unwrap_or(false)
            })
        })
    }

    /// The provider asks everybody for patience: nothing starts before it is over.
    async fn slow_down(&self, outcome: &Outcome) {
        let Some(rest) = outcome.rest else { return };
        let target = self.policy.target.as_str();
        info!(target, ?rest, "The provider asks for patience");
        if let Err(error) = self.worker.store.rest(target, rest).await {
            warn!(target, error = error.chain(), "The target's rest was not written down");
        }
    }

    /// Opens the breaker on a fault that every row would meet, closes it when a probe came through. Returns how long
    /// until the next probe, when the breaker is open.
    async fn judge_target(&self, job: &Job, outcome: &Outcome) -> Option<Duration> {
        if !self.lane.integration.is_held_up(job) {
            // What passes an open breaker says nothing of what does not.
            return None;
        }
        let target = self.policy.target.as_str();
        let part = outcome.target.as_deref().filter(|part| *part != target);
        let probe_in = match part {
            Some(part) => self.judge_part(part, outcome).await,
            None => None,
        };
        if part.is_none() && outcome.fault.is_some_and(Fault::opens_breaker) {
            let reason = outcome.error.as_deref().unwrap_or("the provider does not work");
            let probe_in = match self.worker.store.trip(target, reason, self.probe).await {
                Ok(Some(probe_in)) => {
                    warn!(target, reason, ?probe_in, "The breaker is open");
                    probe_in
                }
                Ok(None) => self
                    .lane
                    .breaker()
                    .map_or(Duration::from_secs(10), |b| b.probe_at.saturating_duration_since(Instant::now())),
                Err(error) => {
                    warn!(target, error = error.chain(), "The breaker could not be opened for all workers");
                    Duration::from_secs(10)
                }
            };
            self.lane.set_breaker(Some(Breaker {
                reason: reason.to_owned(),
                probe_at: Instant::now() + probe_in,
                probing: false,
            }));
            return Some(probe_in);
        }
        if self.probe && outcome.unasked {
            if let Err(error) = self.worker.store.unprobe(target).await {
                debug!(target, error = error.chain(), "The probe was not given back; it comes in a minute");
            }
            if let Some(breaker) = self.lane.breaker() {
                self.lane.set_breaker(Some(Breaker { probe_at: Instant::now(), ..breaker }));
            }
            return probe_in;
        }
        if self.probe && !matches!(outcome.fault, Some(Fault::Interrupted | Fault::Unknowable)) {
            match self.worker.store.close(target).await {
                Ok(_) => info!(target, "The breaker is closed"),
                Err(error) => warn!(target, error = error.chain(), "The breaker could not be closed for all workers"),
            }
            self.lane.set_breaker(None);
        }
        probe_in
    }

    /// The same for a part of the target that fails and works by itself, such as one tenant's access: the lane goes on,
    /// and the part's own rows come back when it may be looked at again.
    async fn judge_part(&self, part: &str, outcome: &Outcome) -> Option<Duration> {
        let store = &self.worker.store;
        if !outcome.fault.is_some_and(Fault::opens_breaker) {
            if outcome.fault != Some(Fault::Interrupted) {
                match store.close(part).await {
                    Ok(true) => info!(target = part, "The breaker is closed"),
                    Ok(false) => {}
                    Err(error) => warn!(target = part, error = error.chain(), "The breaker could not be closed"),
                }
            }
            return None;
        }
        let reason = outcome.error.as_deref().unwrap_or("the provider does not work");
        let tripped = async {
            let was_due = store.probe(part, WAIT_MAX).await?;
            store.trip(part, reason, was_due).await
        };
        match tripped.await {
            Ok(Some(probe_in)) => {
                warn!(target = part, reason, ?probe_in, "The breaker is open");
                Some(probe_in)
            }
            Ok(None) => Some(WAIT_MAX),
            Err(error) => {
                warn!(target = part, error = error.chain(), "The breaker could not be opened");
                Some(Duration::from_secs(10))
            }
        }
    }

    fn delay(&self, job: &Job, outcome: &Outcome, probe_in: Option<Duration>) -> Duration {
        let chance = rand::random::<f64>();
        match (outcome.delay, outcome.verdict) {
            // What a provider asks for counts where it is longer than the queue's own delay: a repeat spends an attempt.
            (Some(delay), Verdict::Retry) => delay.max(retry::delay(&self.policy.retry_delays, job.attempt, chance)),
            (Some(delay), _) => delay,
            (None, Verdict::Wait) => match (probe_in, outcome.fault) {
                (Some(probe_in), _) => probe_in.min(WAIT_MAX).mul_f64(1.0 + 0.1 * chance),
                (None, Some(Fault::Interrupted)) => Duration::ZERO,
                (None, _) => retry::delay(&self.policy.retry_delays, 1, chance),
            },
            (None, _) => retry::delay(&self.policy.retry_delays, job.attempt, chance),
        }
    }

    /// One operation at a time, spaced: the pause counts from the end of one to the start of the next.
    async fn rest(&self) {
        if let (true, Some(rate)) = (self.policy.is_bounded(), self.policy.rate) {
            let pause = Duration::from_secs_f64(1.0 / rate.per_second);
            if let Err(error) = self.worker.store.rest(&self.policy.target, pause).await {
                debug!(error = error.chain(), "The target's rest was not written down");
            }
        }
    }
}

/// What becomes of a row that has no attempt left, without running anything.
fn exhausted(job: &Job) -> Outcome {
    let Job { max_attempts, .. } = job;
    let failure = if job.uncertain {
        Failure::new(
            Fault::Unknowable,
            format!(
                "the last attempt was cut off and none of {max_attempts} is left: look outside whether it took effect, \
                 then use rowcall.retry"
            ),
        )
        .uncertain()
    } else {
        Failure::new(Fault::Item, format!("all {max_attempts} attempts are spent"))
    };
    failure.unasked().into()
}

fn log(job: &Job, outcome: &Outcome, duration: Option<Duration>) {
    let Job { queue, key, generation, attempt, operation, .. } = job;
    let verdict = outcome.verdict.as_str();
    let duration_ms = duration.map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX));
    // The error's text is the row's; a log carries no more than the verdict and whose fault it is.
    // What goes well, and each part of what is long.
    if outcome.fault.is_none() {
        debug!(queue, key, generation, attempt, operation, verdict, duration_ms, "Attempt ended");
    } else {
        let fault = outcome.fault.map(tracing::field::debug);
        info!(queue, key, generation, attempt, operation, verdict, fault, duration_ms, "Attempt ended");
    }
}
