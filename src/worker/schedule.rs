//! The scheduler: every worker has one, and none leads. It works out when edited schedules come next, takes those that are
//! due, and runs each in a session and a task of its own, so that a long statement holds no other up.
//!
//! Promises: a time is run at most once, by whichever worker takes it first; a text that cannot be read is told on its row and
//! stops nothing; what a dead worker ran is told as `lost`.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tracing::{debug, error, info, warn};
use uuid::Uuid;

use super::Worker;
use super::claim::sleep_until;
use crate::schedule::Timing;
use crate::store::connect::Database;
use crate::store::reconnect::Reconnect;
use crate::store::schedules::run::{self, Ended};
use crate::store::schedules::{End, Planned, Run, Unplanned};
use crate::store::{StoreError, chain};

/// What is due and was not to be had is with another worker, most likely: look again so soon.
const AGAIN: Duration = Duration::from_millis(250);

/// A row that somebody holds locked is left alone for so long.
const LOCKED: Duration = Duration::from_secs(1);

/// What wakes the scheduler, and what its runs need.
#[derive(Debug)]
pub(super) struct Schedules {
    /// Where statements are run, each in a session or at least a transaction of its own.
    database: Database,
    woken: Notify,
    slots: Arc<Semaphore>,
}

impl Schedules {
    /// `runs` statements run at a time, each over a connection of its own.
    pub(super) fn new(database: Database, runs: usize) -> Self {
        Self { database, woken: Notify::new(), slots: Arc::new(Semaphore::new(runs)) }
    }

    /// Makes the scheduler look, now or as soon as it is done with what it does.
    pub(super) fn wake(&self) {
        self.woken.notify_one();
    }
}

/// Schedules until the worker closes. Returns whether every claim was answered: an unanswered one may hold runs.
pub(super) async fn run(worker: Arc<Worker>) -> bool {
    let closing = worker.shutdown.closing.clone();
    let mut scheduler = Scheduler {
        worker: Arc::clone(&worker),
        token: Uuid::new_v4(),
        answered: true,
        fresh: true,
        reconnect: Reconnect::default(),
        reported: None,
    };
    loop {
        // Ask to be woken before looking: a bell that rings while we query must not be lost.
        let woken = worker.schedules.woken.notified();
        let pause = match scheduler.look().await {
            Ok(pause) => {
                scheduler.reconnect.reset();
                scheduler.reported = None;
                pause
            }
            Err(error) => Some(scheduler.report(&error)),
        };
        tokio::select! {
            () = closing.cancelled() => return scheduler.answered,
            () = woken => {}
            () = sleep_until(pause.map(|pause| Instant::now() + pause)) => {}
        }
    }
}

struct Scheduler {
    worker: Arc<Worker>,
    /// Chosen before a claim is sent, and changed only when its answer is here.
    token: Uuid,
    /// Whether the last claim was.
    answered: bool,
    /// It has not looked yet: this rowcall may read what another one could not.
    fresh: bool,
    reconnect: Reconnect,
    /// The fault that was logged last.
    reported: Option<String>,
}

impl Scheduler {
    /// One look at everything. Returns when to look again at the latest; nothing when only a bell can tell.
    async fn look(&mut self) -> Result<Option<Duration>, StoreError> {
        loop {
            let all_planned = self.plan().await?;
            for lost in self.worker.store.lose_runs().await? {
                warn!(
                    schedule = lost.schedule,
                    run = lost.id,
                    "A run was cut off: its worker is dead, or its time long over"
                );
            }
            if !self.worker.pulse.may_start() {
                return Ok(Some(LOCKED));
            }
            let free = self.worker.schedules.slots.available_permits();
            if free > 0 && !self.worker.shutdown.closing.is_cancelled() && self.claim(free).await? {
                // What was taken has no next time yet.
                continue;
            }
            let next = self.worker.store.next_run_in().await?.map(|next| next.max(AGAIN));
            // Without a free slot nothing is to be had: the end of a run wakes us.
            let next = next.filter(|_| free > 0);
            return Ok(if all_planned { next } else { Some(next.map_or(LOCKED, |next| next.min(LOCKED))) });
        }
    }

    /// Works out when schedules come next that nobody has worked out. `false` when a row was locked.
    async fn plan(&mut self) -> Result<bool, StoreError> {
        loop {
            let unplanned = self.worker.store.unplanned(self.fresh).await?;
            if unplanned.is_empty() {
                self.fresh = false;
                return Ok(true);
            }
            let mut planned = Vec::with_capacity(unplanned.len());
            for schedule in unplanned {
                // Away from everything else: a text that takes long to be found out must hold nothing up.
                let asked = schedule.clone();
                let worked_out = tokio::task::spawn_blocking(move || work_out(&asked)).await;
                let worked_out = worked_out.unwrap_or_else(|_| {
                    error!(cron = schedule.cron, zone = schedule.zone, "Working out a cron text panicked");
                    Err("rowcall met a bug of its own in working out this cron text; write it otherwise".to_owned())
                });
                planned.push((schedule, worked_out));
            }
            let is_all = self.worker.store.plan(&planned).await?;
            self.fresh = false;
            if !is_all {
                return Ok(false);
            }
        }
    }

    /// Takes what is due and starts it. Returns whether there was anything.
    async fn claim(&mut self, free: usize) -> Result<bool, StoreError> {
        let worker = self.worker.pulse.id();
        let taken = self.worker.store.claim_runs(free, worker, self.token).await;
        self.answered = taken.as_ref().map_or_else(|error| error.answer().is_some(), |_| true);
        let taken = taken?;
        self.token = Uuid::new_v4();
        for (schedule, status) in &taken.passed {
            warn!(schedule, status, "A time came and is not run; rowcall.schedule_runs tells why");
        }
        let is_any = !taken.runs.is_empty() || !taken.passed.is_empty();
        // The name under which they were taken may count as dead by now, and what is closing begins nothing.
        let may_begin = self.worker.pulse.id() == worker && !self.worker.shutdown.closing.is_cancelled();
        for run in taken.runs {
            let slot = Arc::clone(&self.worker.schedules.slots).try_acquire_owned().ok();
            let task = Task { worker: Arc::clone(&self.worker), slot, run };
            self.worker.operations.spawn(task.run(may_begin));
        }
        Ok(is_any)
    }

    fn report(&mut self, error: &StoreError) -> Duration {
        let text = chain(error);
        if self.reported.as_deref() != Some(&text) {
            warn!(error = text, "Scheduling does not work; trying again");
            self.reported = Some(text);
        }
        self.reconnect.next_delay()
    }
}

fn work_out(schedule: &Unplanned) -> Planned {
    let next = Timing::parse(&schedule.cron, &schedule.zone).and_then(|timing| timing.next_after(schedule.after));
    match next {
        Ok(_) if schedule.paused => Ok(None),
        Ok(next) => Ok(Some(next)),
        Err(error) => Err(error.to_string()),
    }
}

/// One run, with its slot.
struct Task {
    worker: Arc<Worker>,
    slot: Option<OwnedSemaphorePermit>,
    run: Run,
}

impl Drop for Task {
    fn drop(&mut self) {
        // The slot first: whoever is woken looks for one.
        drop(self.slot.take());
        self.worker.schedules.wake();
    }
}

impl Task {
    async fn run(self, may_begin: bool) {
        let (schedule, id, began) = (self.run.schedule.as_str(), self.run.id, Instant::now());
        let ended = if may_begin {
            debug!(schedule, run = id, "A schedule runs");
            self.execute().await
        } else {
            let reason = "not begun: its worker had to stop".to_owned();
            End::Interrupted { reason, is_undone: true }.into()
        };
        let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        if !ended.is_recorded && !self.settle(&ended.end).await {
            warn!(schedule, run = id, duration_ms, "The end of a run came too late to count: its row has one already");
            return;
        }
        // What it answered, and why it failed, stands on its row: it may quote what is in the users' tables.
        match ended.end {
            End::Done(_) => info!(schedule, run = id, duration_ms, "A schedule ran"),
            End::Failed(_) => {
                warn!(schedule, run = id, duration_ms, "A schedule failed; rowcall.schedule_runs tells why");
            }
            End::Interrupted { .. } => info!(schedule, run = id, duration_ms, "A schedule was interrupted"),
        }
    }

    async fn execute(&self) -> Ended {
        let stop = self.worker.stop();
        let running = AssertUnwindSafe(run::run(&self.worker.schedules.database, &self.run, &stop)).catch_unwind();
        running.await.unwrap_or_else(|_| {
            error!(schedule = self.run.schedule, run = self.run.id, "The run panicked");
            End::Failed("rowcall met a bug of its own in this run; the log has the place".to_owned()).into()
        })
    }

    /// Writes down how it ended, until the database answers. `false` when it is not ours any more.
    async fn settle(&self, end: &End) -> bool {
        let mut reconnect = Reconnect::default();
        loop {
            match self.worker.store.settle_run(&self.run, end).await {
                Ok(is_ours) => return is_ours,
                Err(error) if error.is_about_data() => {
                    error!(
                        schedule = self.run.schedule,
                        run = self.run.id,
                        error = error.chain(),
                        "rowcall.schedule_runs refuses the end of a run, which will count as lost"
                    );
                    return true;
                }
                Err(error) => {
                    warn!(
                        schedule = self.run.schedule,
                        run = self.run.id,
                        error = error.chain(),
                        "The end of a run could not be written; trying again"
                    );
                    tokio::time::sleep(reconnect.next_delay()).await;
                }
            }
        }
    }
}
