//! Claiming: one claimer a lane. It looks when it is woken, when an alarm is due, and again at once after a full claim.
//!
//! It takes no more rows than slots are free. Behind an open breaker, or without the settings of its provider, it tells
//! the waiting rows why they wait, and spends nothing of theirs.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{error, info, warn};
use uuid::Uuid;

use super::lane::{Breaker, Lane, WAIT_MAX};
use super::{Worker, execute};
use crate::failure::{Failure, Fault};
use crate::job::Job;
use crate::queue::Policy;
use crate::store::claims::Claim;
use crate::store::reconnect::Reconnect;
use crate::store::settles::Settlement;
use crate::store::{StoreError, chain};

/// How long a probe may take before another one is sent.
const PROBE_MAX: Duration = Duration::from_mins(1);

/// When to look again at what no slot was free for, behind an open breaker.
const CROWDED: Duration = Duration::from_secs(5);

/// What the claimer does next.
enum Next {
    /// Look again at once.
    Again,
    /// Wait to be woken.
    Sleep,
    /// Wait to be woken, or for so long.
    Pause(Duration),
}

/// How many rows that refuse their own claim are passed over, and for how long.
const SKIP_MAX: i64 = 1000;
const SKIP_FOR: Duration = Duration::from_mins(1);

/// What an operation needs of its lease beside its own time: its reads back, and the write of its outcome.
const SETTLE: Duration = Duration::from_secs(20);

/// Claims for a lane until the worker closes. Returns whether every claim was answered: an unanswered one may hold rows.
pub(super) async fn run(worker: Arc<Worker>, lane: Arc<Lane>) -> bool {
    let mut claimer = Claimer {
        worker,
        lane,
        token: Uuid::new_v4(),
        answered: true,
        alone: false,
        skip: 0,
        skip_until: Instant::now(),
        reconnect: Reconnect::default(),
        reported: None,
    };
    let closing = claimer.worker.shutdown.closing.clone();
    let lane = Arc::clone(&claimer.lane);
    loop {
        // Ask to be woken before looking: a bell that rings while we query must not be lost.
        let woken = lane.woken();
        let looked_at = Instant::now();
        let pause = match claimer.look().await {
            Ok(Next::Again) if !closing.is_cancelled() => continue,
            Ok(Next::Again | Next::Sleep) => None,
            Ok(Next::Pause(pause)) => Some(pause),
            Err(error) => Some(claimer.report(&error)),
        };
        let pause_until = pause.map(|p| Instant::now() + p);
        tokio::pin!(woken);
        loop {
            let until = lane.next_alarm(looked_at).into_iter().chain(pause_until).min();
            tokio::select! {
                () = closing.cancelled() => return claimer.answered,
                () = &mut woken => break,
                () = sleep_until(until) => break,
                () = lane.alarm_set() => {}
            }
        }
    }
}

/// Sleeps until then; for ever without a time.
pub(super) async fn sleep_until(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}

struct Claimer {
    worker: Arc<Worker>,
    lane: Arc<Lane>,
    /// Chosen before a claim is sent, and changed only when its answer is here.
    token: Uuid,
    /// Whether the last claim was.
    answered: bool,
    /// A claim was refused by the data of some row: claim one by one, to find it.
    alone: bool,
    /// Rows that refused their own claim are first in order; so many are passed over until then.
    skip: i64,
    skip_until: Instant,
    reconnect: Reconnect,
    /// The reason for not claiming that was logged last.
    reported: Option<String>,
}

impl Claimer {
    async fn look(&mut self) -> Result<Next, StoreError> {
        let policy = self.lane.policy();
        if policy.paused.is_some() {
            return Ok(Next::Sleep);
        }
        if !self.worker.pulse.may_start() {
            return Ok(Next::Pause(Duration::from_secs(1)));
        }
        if let Err(missing) = self.lane.integration.ready() {
            if self.worker.store.served_elsewhere(self.lane.statements.queue, self.worker.pulse.id()).await? {
                return Ok(Next::Pause(WAIT_MAX));
            }
            return self.tell_waiting(&policy, &missing, WAIT_MAX).await;
        }
        if let Some(breaker) = self.lane.breaker() {
            return self.behind(&policy, breaker).await;
        }
        self.reported = None;

        let free = self.lane.free(&policy).min(policy.batch).min(startable(&policy));
        if free == 0 {
            return Ok(Next::Sleep);
        }
        let sent_at = Instant::now();
        let alone = self.alone;
        let jobs = self.claim(&policy, free).await?;
        let full = jobs.len() == free || alone;
        if alone && jobs.is_empty() {
            // An error is told before its transaction lets go of its locks: what was refused just now may be locked still.
            return Ok(Next::Pause(Duration::from_millis(50)));
        }
        self.start(&policy, jobs, false, sent_at).await;
        if full {
            return Ok(Next::Again);
        }
        self.lane.sated();
        Ok(match self.worker.store.next_due(self.lane.statements).await? {
            Some(due_in) => Next::Pause(due_in + Duration::from_millis(20)),
            None => Next::Sleep,
        })
    }

    /// What to do behind an open breaker: probe with one row when that is due, else tell the rows.
    async fn behind(&mut self, policy: &Arc<Policy>, breaker: Breaker) -> Result<Next, StoreError> {
        let now = Instant::now();
        if breaker.probing {
            // What is due stays due: it goes on, or is told, as soon as the probe has its answer.
            return Ok(Next::Sleep);
        }
        if breaker.probe_at > now {
            return self.tell_waiting(policy, &breaker.reason, breaker.probe_at - now).await;
        }
        // A row first: without one nothing is proven and the breaker stays open. Whatever the breaker holds up and comes next
        // is the probe.
        let jobs = self.claim(policy, 1).await?;
        let claimed = jobs.len();
        let jobs = self.let_past(policy, jobs, now).await;
        if jobs.is_empty() {
            return Ok(if claimed > 0 { Next::Again } else { Next::Sleep });
        }
        if !self.worker.store.probe(&policy.target, PROBE_MAX).await? {
            // Another worker probes; its answer rings.
            let pause = Duration::from_secs(5);
            self.lane.set_breaker(Some(Breaker { probe_at: now + pause, ..breaker.clone() }));
            self.tell(jobs, &breaker.reason, pause).await;
            return Ok(Next::Pause(pause));
        }
        self.lane.set_breaker(Some(Breaker { probe_at: now + PROBE_MAX, probing: true, ..breaker }));
        info!(target = policy.target, "Probing");
        self.start(policy, jobs, true, now).await;
        Ok(Next::Sleep)
    }

    /// Starts what an open breaker does not hold up, as slots are free; returns the rest.
    async fn let_past(&self, policy: &Arc<Policy>, jobs: Vec<Job>, sent_at: Instant) -> Vec<Job> {
        let (held_up, mut past): (Vec<_>, Vec<_>) =
            jobs.into_iter().partition(|job| self.lane.integration.is_held_up(job));
        let late = past.split_off(past.len().min(self.lane.free(policy)).min(startable(policy)));
        self.start(policy, past, false, sent_at).await;
        self.tell(late, "so many are ahead that its turn did not come; it goes on by itself", CROWDED).await;
        held_up
    }

    /// Tells due rows why they wait. Bounded to some hundreds a second, so that a million waiting rows cost little.
    async fn tell_waiting(&mut self, policy: &Arc<Policy>, reason: &str, delay: Duration) -> Result<Next, StoreError> {
        if self.reported.as_deref() != Some(reason) {
            warn!(queue = self.lane.statements.queue, reason, "Rows wait");
            self.reported = Some(reason.to_owned());
        }
        let sent_at = Instant::now();
        let jobs = self.claim(policy, policy.batch).await?;
        let told = u32::try_from(jobs.len()).unwrap_or(u32::MAX);
        // Without settings there is no breaker to get past, nor anybody to ask.
        let jobs =
            if self.lane.integration.ready().is_ok() { self.let_past(policy, jobs, sent_at).await } else { jobs };
        self.tell(jobs, reason, delay).await;
        Ok(Next::Pause(if told == 0 { delay } else { Duration::from_millis(10).max(Duration::from_millis(2) * told) }))
    }

    async fn tell(&self, jobs: Vec<Job>, reason: &str, delay: Duration) {
        for job in jobs {
            let mut failure = Failure::new(Fault::Configuration, reason);
            failure.uncertain = job.uncertain;
            let delay = delay.min(WAIT_MAX).mul_f64(1.0 + 0.1 * rand::random::<f64>());
            self.lane.settle(Settlement { job, outcome: failure.into(), delay, duration: None }).await;
        }
    }

    async fn claim(&mut self, policy: &Policy, limit: usize) -> Result<Vec<Job>, StoreError> {
        if self.skip > 0 && self.skip_until <= Instant::now() {
            self.skip = 0;
        }
        let worker = self.worker.pulse.id();
        let claim = Claim {
            limit: if self.alone { 1 } else { limit },
            worker,
            skip: self.skip,
            token: self.token,
            lease: policy.lease,
            bounded: policy.is_bounded(),
        };
        let claimed = self.worker.store.claim(self.lane.statements, claim).await;
        self.answered = claimed.as_ref().map_or_else(|error| error.answer().is_some(), |_| true);
        let jobs = claimed.inspect_err(|error| self.pass_over(error, claim.limit))?;
        self.token = Uuid::new_v4();
        self.alone = false;
        self.reconnect.reset();
        if self.worker.pulse.id() == worker {
            return Ok(jobs);
        }
        // The name under which these were claimed counts as dead: others may take them at any moment.
        self.tell(jobs, "the worker was silent for too long to start this; it is tried again", Duration::ZERO).await;
        Ok(Vec::new())
    }

    /// A row whose own data, or whose owner's trigger, refuses the claim must not stop those behind it.
    fn pass_over(&mut self, error: &StoreError, limit: usize) {
        if !error.is_about_data() {
            return;
        }
        if limit > 1 {
            self.alone = true;
        } else {
            self.skip = (self.skip + 1) % SKIP_MAX;
            self.skip_until = Instant::now() + SKIP_FOR;
        }
    }

    /// Starts jobs, each in a task with its slot, at the times that the target's rate allows.
    async fn start(&self, policy: &Arc<Policy>, jobs: Vec<Job>, probe: bool, sent_at: Instant) {
        let starts = match policy.rate {
            Some(rate) if !jobs.is_empty() => match self.worker.store.reserve(&policy.target, jobs.len(), rate).await {
                Ok(starts) => starts,
                Err(error) => {
                    // The rows are ours already: better a little later than not at all.
                    warn!(error = error.chain(), "No starts could be reserved; starting one second apart");
                    (1..=jobs.len()).map(|nth| Duration::from_secs(nth as u64)).collect()
                }
            },
            _ => vec![Duration::ZERO; jobs.len()],
        };
        for (job, start_in) in jobs.into_iter().zip(starts) {
            let attempt = execute::Attempt {
                worker: Arc::clone(&self.worker),
                policy: Arc::clone(policy),
                _slot: self.lane.take_slot(),
                lane: Arc::clone(&self.lane),
                start_in,
                // The lease is longer than this by `store::policies`.
                start_by: sent_at + policy.lease.saturating_sub(policy.timeout * 3 + SETTLE),
                probe,
            };
            self.worker.operations.spawn(attempt.run(job));
        }
    }

    fn report(&mut self, error: &StoreError) -> Duration {
        // Passing rows over is quick work; everything else is waited for.
        let delay = if error.is_about_data() { Duration::from_millis(10) } else { self.reconnect.next_delay() };
        let text = chain(error);
        if self.reported.as_deref() != Some(&text) {
            if error.is_about_data() {
                error!(
                    queue = self.lane.statements.queue,
                    error = text,
                    "A row refuses its own claim, by a constraint or a trigger; it is passed over for a minute"
                );
            } else {
                warn!(queue = self.lane.statements.queue, error = text, "Claiming does not work; trying again");
            }
            self.reported = Some(text);
        }
        delay
    }
}

/// How many operations it makes sense to hold at once under a rate: what may start within a second.
fn startable(policy: &Policy) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a positive number of starts, rounded up"
    )]
    policy.rate.map_or(usize::MAX, |rate| (rate.per_second.ceil() as usize).max(rate.burst as usize).max(1))
}
