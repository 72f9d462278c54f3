//! A lane: one queue as one worker works it. Its claimer, its operations and its settler meet here.
//!
//! Promise: a wake that comes while the claimer is busy is not lost. Promise: an operation holds a slot from claim to
//! outcome, and gives it back however it ends.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::futures::Notified;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::Service;
use crate::integrations::Integration;
use crate::queue::Policy;
use crate::store::policies::Standing;
use crate::store::queues::Statements;
use crate::store::settles::Settlement;

/// Outcomes on their way to the settler; when it is full, operations wait with theirs.
const SETTLEMENTS_MAX: usize = 4096;

/// Rows that wait behind a breaker, or for settings, are told why and come back after this long at the latest.
pub(super) const WAIT_MAX: Duration = Duration::from_mins(1);

/// How long a queue leaves it to those that share its target to go first. What it claims starts no sooner than its rate allows.
pub(super) const YIELD: Duration = Duration::from_millis(100);

/// One queue as one worker works it.
#[derive(Debug)]
pub struct Lane {
    pub(super) statements: &'static Statements,
    pub(super) integration: Arc<dyn Integration>,
    policy: RwLock<Arc<Policy>>,
    open: Mutex<Option<Breaker>>,
    woken: Notify,
    alarm_set: Notify,
    alarms: Mutex<BinaryHeap<Reverse<Instant>>>,
    running: AtomicUsize,
    /// More is due than slots were free: a slot that comes free wakes the claimer.
    hungry: AtomicBool,
    /// Claims took slots over all workers, under this policy or one before it: outcomes give them back.
    bounded: AtomicBool,
    settlements: Mutex<Option<mpsc::Sender<Settlement>>>,
}

/// An open breaker, as this worker knows it.
#[derive(Debug, Clone)]
pub(super) struct Breaker {
    pub(super) reason: String,
    pub(super) probe_at: Instant,
    /// A probe of this worker runs.
    pub(super) probing: bool,
}

/// The right to run one operation; dropped with it.
#[derive(Debug)]
pub(super) struct Slot(Arc<Lane>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::AcqRel);
        match self.0.hungry.load(Ordering::Acquire) {
            true if self.0.policy().yields() => self.0.wake_in(YIELD),
            true => self.0.woken.notify_one(),
            false => {}
        }
    }
}

impl Lane {
    pub(super) fn new(service: Service, standing: Standing) -> (Self, mpsc::Receiver<Settlement>) {
        let (sender, receiver) = mpsc::channel(SETTLEMENTS_MAX);
        let lane = Self {
            statements: service.statements,
            integration: service.integration,
            policy: RwLock::new(Arc::new(standing.policy.clone())),
            open: Mutex::new(None),
            woken: Notify::new(),
            alarm_set: Notify::new(),
            alarms: Mutex::default(),
            running: AtomicUsize::new(0),
            hungry: AtomicBool::new(false),
            bounded: AtomicBool::new(false),
            settlements: Mutex::new(Some(sender)),
        };
        lane.set_standing(standing);
        (lane, receiver)
    }

    /// Makes the claimer look, now or as soon as it is done with what it does.
    pub(super) fn wake(&self) {
        self.woken.notify_one();
    }

    /// Makes the claimer look after `delay`.
    pub(super) fn wake_in(&self, delay: Duration) {
        // A grid of 20 ms keeps a thousand retries of one moment from being a thousand alarms.
        let at = Instant::now() + delay + Duration::from_millis(20);
        let mut alarms = lock(&self.alarms);
        if alarms.len() < 100_000
            && alarms.peek().is_none_or(|Reverse(first)| at < *first || at > *first + Duration::from_millis(20))
        {
            alarms.push(Reverse(at));
        }
        drop(alarms);
        self.alarm_set.notify_one();
    }

    /// An alarm was set while the claimer slept: it sleeps on, but perhaps not for so long.
    pub(super) async fn alarm_set(&self) {
        self.alarm_set.notified().await;
    }

    /// When the next alarm rings, or rang since the claimer began to look at `looked_at`; earlier ones are forgotten.
    pub(super) fn next_alarm(&self, looked_at: Instant) -> Option<Instant> {
        let mut alarms = lock(&self.alarms);
        while alarms.peek().is_some_and(|Reverse(at)| *at <= looked_at) {
            alarms.pop();
        }
        alarms.peek().map(|Reverse(at)| *at)
    }

    pub(super) fn woken(&self) -> Notified<'_> {
        self.woken.notified()
    }

    pub(super) fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes over a policy and a breaker as they were just read.
    pub(super) fn set_standing(&self, standing: Standing) {
        self.bounded.fetch_or(standing.policy.is_bounded(), Ordering::AcqRel);
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(standing.policy);
        let mut breaker = lock(&self.open);
        let probing = breaker.as_ref().is_some_and(|b| b.probing);
        *breaker = standing.open.map(|open| Breaker {
            reason: open.reason,
            probe_at: Instant::now() + open.probe_in,
            probing,
        });
        drop(breaker);
        self.wake();
    }

    /// Whether a claim of this lane may have taken a slot over all workers.
    pub(super) fn was_bounded(&self) -> bool {
        self.bounded.load(Ordering::Acquire)
    }

    pub(super) fn breaker(&self) -> Option<Breaker> {
        lock(&self.open).clone()
    }

    pub(super) fn set_breaker(&self, breaker: Option<Breaker>) {
        *lock(&self.open) = breaker;
        self.wake();
    }

    /// A probe is over, however it ended: without an answer, the next one is sent when its time comes.
    pub(super) fn end_probe(&self) {
        if let Some(breaker) = lock(&self.open).as_mut() {
            breaker.probing = false;
        }
        self.wake();
    }

    /// How many slots are free. Asking announces hunger first, so that a slot freed just now is not missed.
    pub(super) fn free(&self, policy: &Policy) -> usize {
        self.hungry.store(true, Ordering::Release);
        policy.slots.saturating_sub(self.running.load(Ordering::Acquire))
    }

    /// Nothing more is due: slots that come free wake nobody.
    pub(super) fn sated(&self) {
        self.hungry.store(false, Ordering::Release);
    }

    pub(super) fn take_slot(self: &Arc<Self>) -> Slot {
        self.running.fetch_add(1, Ordering::AcqRel);
        Slot(Arc::clone(self))
    }

    /// Hands an outcome to the settler; waits while it has too many.
    pub(super) async fn settle(&self, settlement: Settlement) {
        let sender = lock(&self.settlements).clone();
        if let Some(sender) = sender {
            // The settler ends only when every sender is gone.
            let _ = sender.send(settlement).await;
        }
    }

    /// No more outcomes will come; the settler ends when it has written what it has.
    pub(super) fn close(&self) {
        lock(&self.settlements).take();
    }
}

/// A panic elsewhere leaves these values whole: each is written in one step.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
