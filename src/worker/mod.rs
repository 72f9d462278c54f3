//! The flow, in its order: the bell wakes a lane, the lane claims rows, executes them, and settles their outcomes; a
//! heartbeat keeps the claims, a sweep makes good what the bell missed, and shutdown hands back what still runs. Beside it, a
//! scheduler runs SQL at its times.
//!
//! Invariant: no transaction is open while an operation runs. Invariant: nothing here knows a domain table.

pub mod bell;
pub mod lane;
pub mod claim;
pub mod execute;
pub mod settle;
pub mod heartbeat;
pub mod sweep;
pub mod schedule;
pub mod shutdown;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::connections::Connections;
use crate::integrations::Integration;
use crate::integrations::monitor::Monitor;
use crate::readiness::Readiness;
use crate::store::connect::{Database, Session};
use crate::store::queues::Statements;
use crate::store::{Store, StoreError};
use heartbeat::Pulse;
use lane::Lane;
use schedule::Schedules;
use shutdown::Shutdown;

/// What a worker needs to know.
#[derive(Debug)]
pub struct Settings {
    /// For claims, settles and policy; may go through a pooler.
    pub database: Database,
    /// For the bell and for the statements of schedules. Through a transaction pooler there is no bell, and a statement that is
    /// not atomic is not run.
    pub listen: Database,
    /// How many connections it may hold.
    pub connections: Connections,
    /// How often to look at everything, whether or not a bell rang.
    pub sweep: Duration,
    /// How long a shutdown may take.
    pub grace: Duration,
    /// Who is told after every sweep.
    pub monitor: Option<Monitor>,
    /// Where it is noted how the worker stands.
    pub readiness: Readiness,
}

/// A queue and what runs its operations.
#[derive(Debug, Clone)]
pub struct Service {
    /// The queue's two statements.
    pub statements: &'static Statements,
    /// What runs its operations.
    pub integration: Arc<dyn Integration>,
}

/// Why a worker did not start.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The database did not answer.
    #[error("start the worker")]
    Store(#[from] StoreError),
    /// The database has no policy for a queue.
    #[error("rowcall.queues has no row for the queue {0}: run `rowcall migrate`, or insert one")]
    NoPolicy(&'static str),
}

/// What all tasks of a worker share.
#[derive(Debug)]
pub struct Worker {
    store: Store,
    lanes: HashMap<&'static str, Arc<Lane>>,
    schedules: Schedules,
    pulse: Pulse,
    shutdown: Shutdown,
    operations: TaskTracker,
    /// Cancelled to end every operation that runs; a new one is set for those that follow.
    fence: Mutex<CancellationToken>,
    /// Rung to read the policies again.
    reload: Notify,
    /// Whether the bell's self-test came through, without which the lanes poll; and when the last heartbeat did.
    readiness: Readiness,
}

impl Worker {
    /// Whether the bell is known to arrive.
    pub fn bell_works(&self) -> bool {
        self.readiness.bell_works()
    }

    /// What ends an operation that starts now.
    fn stop(&self) -> CancellationToken {
        self.fence.lock().unwrap_or_else(PoisonError::into_inner).child_token()
    }

    /// Sets a new fence for operations that follow; returns the old one.
    fn renew_fence(&self) -> CancellationToken {
        let mut fence = self.fence.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut fence, self.shutdown.stop.child_token())
    }

    fn wake_all(&self) {
        for lane in self.lanes.values() {
            lane.wake();
        }
        self.schedules.wake();
    }

    /// Reads the policies again and hands each lane its own.
    async fn read_policies(&self) -> Result<(), StoreError> {
        for standing in self.store.standings().await? {
            if let Some(lane) = self.lanes.get(standing.queue.as_str()) {
                lane.set_standing(standing);
            }
        }
        Ok(())
    }
}

/// Names the target of a queue that may have one of several. Without the settings to work, another worker's word counts.
async fn name_target(store: &Store, service: &Service) {
    let Some(target) = service.integration.target().filter(|_| service.integration.ready().is_ok()) else { return };
    let queue = service.statements.queue;
    if let Err(error) = store.name_target(queue, &target).await {
        warn!(queue, target, error = error.chain(), "The target was not named; the one before is used");
    }
}

/// Runs a worker until it is told to stop; returns when everything that ran is settled or handed back.
pub async fn run(settings: Settings, services: Vec<Service>, shutdown: Shutdown) -> Result<(), WorkerError> {
    // For each queue a claim and its settles at a time, and a few for policy, breakers, rates and schedules.
    let of_use = services.len() * (1 + settle::SETTLERS) + 4;
    let most = settings.connections.rows.unwrap_or(of_use).min(of_use);
    let store = Store::new(settings.database.pool(most, Session::Worker));
    for service in &services {
        name_target(&store, service).await;
    }
    let standings = store.standings().await?;

    let mut lanes = HashMap::new();
    let mut settlers = Vec::new();
    for service in &services {
        let queue = service.statements.queue;
        let standing = standings.iter().find(|s| s.queue == queue).cloned().ok_or(WorkerError::NoPolicy(queue))?;
        let (lane, settlements) = Lane::new(service.clone(), standing);
        let lane = Arc::new(lane);
        let outcomes = Arc::new(settle::Outcomes::new(settlements));
        settlers.extend((0..settle::SETTLERS).map(|_| (Arc::clone(&lane), Arc::clone(&outcomes))));
        lanes.insert(queue, lane);
    }

    // The heartbeat has a connection of its own: a busy pool must not make a living worker look dead.
    let pulse = Pulse::start(
        Store::new(settings.database.pool(1, Session::Worker)).with_answer_max(heartbeat::ANSWER_MAX),
        &services,
    )
    .await?;
    let worker = Arc::new(Worker {
        store,
        lanes,
        schedules: Schedules::new(settings.listen.clone(), settings.connections.runs),
        pulse,
        operations: TaskTracker::new(),
        fence: Mutex::new(shutdown.stop.child_token()),
        shutdown,
        reload: Notify::new(),
        readiness: settings.readiness,
    });
    info!(worker = %worker.pulse.id(), queues = ?worker.lanes.keys().collect::<Vec<_>>(), "Worker started");

    let settlers: Vec<_> = settlers
        .into_iter()
        .map(|(lane, outcomes)| tokio::spawn(settle::run(Arc::clone(&worker), lane, outcomes)))
        .collect();
    let mut claimers: Vec<_> =
        worker.lanes.values().map(|lane| tokio::spawn(claim::run(Arc::clone(&worker), Arc::clone(lane)))).collect();
    claimers.push(tokio::spawn(schedule::run(Arc::clone(&worker))));
    let background = [
        tokio::spawn(bell::run(Arc::clone(&worker), settings.listen)),
        tokio::spawn(bell::poll(Arc::clone(&worker))),
        tokio::spawn(sweep::run(Arc::clone(&worker), settings.sweep, settings.monitor)),
        tokio::spawn(heartbeat::run(Arc::clone(&worker))),
        tokio::spawn(heartbeat::fence(Arc::clone(&worker))),
    ];

    shutdown::tell_service_manager(&[NotifyState::Ready]);
    worker.shutdown.closing.cancelled().await;
    shutdown::tell_service_manager(&[NotifyState::Stopping]);
    let clean = shutdown::drain(&worker, settings.grace, claimers, settlers).await;
    for task in background {
        task.abort();
    }
    if clean {
        worker.pulse.retire().await;
    }
    // Else the name stays and falls silent: what it still holds is open to others in 15 s, and not after the lease.
    info!("Worker ended");
    Ok(())
}
