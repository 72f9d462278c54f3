//! The heartbeat: the worker says that it lives, and hears who is dead.
//!
//! Promises: a dead worker's rows are open to others 15 s after its last beat, and every lane looks when a death is seen.
//! A worker that was silent for long starts nothing and ends what runs, before others may take its rows; one that counted
//! as dead never claims under its old name again.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{Instant, MissedTickBehavior};
use tracing::{debug, info, warn};
use uuid::Uuid;

use super::{Service, Worker, shutdown};
use crate::store::workers::Introduction;
use crate::store::{Store, StoreError};

/// Beat every so often; five beats are missed before a worker counts as dead (15 s, in `claim.sql` and `heartbeat.sql`).
pub const BEAT: Duration = Duration::from_secs(3);

/// Without a beat for this long, start nothing and end what runs: a program gets five seconds to end, and all is over
/// before the fifteen of death.
const SILENCE_MAX: Duration = Duration::from_secs(8);

/// How long a beat may take: one that hangs must leave time for the next.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(3);

/// How often a worker looks whether it has been silent for too long.
const LISTEN_EVERY: Duration = Duration::from_millis(500);

/// The worker's name and the time of its last beat.
#[derive(Debug)]
pub struct Pulse {
    store: Store,
    introduction: Introduction,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    id: Uuid,
    /// When the last beat that came through was sent, by the monotonic clock.
    beat_at: Instant,
}

impl Pulse {
    /// Registers a fresh name.
    pub(super) async fn start(store: Store, services: &[Service]) -> Result<Self, StoreError> {
        let introduction = Introduction {
            host: nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION"),
            queues: services
                .iter()
                .filter(|s| s.integration.ready().is_ok())
                .map(|s| s.statements.queue.to_owned())
                .collect(),
        };
        let state = Mutex::new(State { id: Uuid::new_v4(), beat_at: Instant::now() });
        let pulse = Self { store, introduction, state };
        pulse.store.register(pulse.id(), &pulse.introduction).await?;
        Ok(pulse)
    }

    /// The name under which this worker claims.
    pub(super) fn id(&self) -> Uuid {
        self.state().id
    }

    /// Whether others still see this worker alive for long enough to start something.
    pub(super) fn may_start(&self) -> bool {
        self.state().beat_at.elapsed() < SILENCE_MAX
    }

    /// One beat. Returns the workers that are dead.
    ///
    /// When this worker itself counts as dead, it takes a fresh name and answers nothing.
    async fn beat(&self, draining: bool) -> Result<Option<Vec<Uuid>>, StoreError> {
        let sent_at = Instant::now();
        let id = self.id();
        let dead = self.store.heartbeat(id, draining).await?;
        if dead.is_none() {
            let fresh = Uuid::new_v4();
            self.store.register(fresh, &self.introduction).await?;
            warn!(was = %id, now = %fresh, "This worker was silent for so long that it counts as dead; it goes on under a new name");
            self.state().id = fresh;
        }
        self.state().beat_at = sent_at;
        Ok(dead)
    }

    /// Forgets the name, under which nothing is claimed any more, and makes the others look for what was handed back.
    pub(super) async fn retire(&self) {
        let retired = async {
            self.store.retire(self.id()).await?;
            self.store.ring("*").await
        };
        if let Err(error) = retired.await {
            warn!(error = error.chain(), "This worker could not sign off; it will count as dead in 15 s");
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends what runs whenever the worker has been silent for too long: soon others may take its rows, and no row runs twice
/// at the same time.
pub(super) async fn fence(worker: Arc<Worker>) {
    let mut ticks = tokio::time::interval(LISTEN_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut fenced = false;
    loop {
        ticks.tick().await;
        let silent = !worker.pulse.may_start();
        if silent && !fenced {
            warn!(operations = worker.operations.len(), "No heartbeat came through for 8 s; ending what runs");
            worker.renew_fence().cancel();
        }
        fenced = silent;
    }
}

/// Beats until the process ends.
pub(super) async fn run(worker: Arc<Worker>) {
    let mut ticks = tokio::time::interval(BEAT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut known = HashSet::new();
    let mut broken = false;
    loop {
        ticks.tick().await;
        let sent_at = Instant::now().into_std();
        match worker.pulse.beat(worker.shutdown.closing.is_cancelled()).await {
            Ok(None) => {
                // Others may have taken the rows of what runs.
                worker.renew_fence().cancel();
                worker.wake_all();
            }
            Ok(Some(dead)) => {
                broken = false;
                worker.readiness.beat(sent_at);
                // Under `WatchdogSec=`, a worker that cannot reach its database for long is started anew.
                shutdown::tell_service_manager(&[NotifyState::Watchdog]);
                let dead: HashSet<Uuid> = dead.into_iter().collect();
                if dead.difference(&known).next().is_some() {
                    info!(dead = dead.len(), "A worker died; looking for what it held");
                    worker.wake_all();
                }
                known = dead;
            }
            Err(error) if broken => debug!(error = error.chain(), "Still no heartbeat"),
            Err(error) => {
                broken = true;
                warn!(
                    error = error.chain(),
                    "The heartbeat does not come through; nothing new is started until it does"
                );
            }
        }
    }
}
