//! A worker in the test's own process, with operations that do what the test says.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use rowcall::connections::Connections;
use rowcall::failure::{Failure, Fault};
use rowcall::integrations::{Integration, Limits};
use rowcall::job::Job;
use rowcall::outcome::Outcome;
use rowcall::readiness::Readiness;
use rowcall::store::queues::{CODES, Statements};
use rowcall::worker::shutdown::Shutdown;
use rowcall::worker::{self, Service, Settings, WorkerError};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::database::TestDatabase;
use crate::process::eventually;

/// So long that no sweep comes to the help of a test.
pub(crate) const NEVER: Duration = Duration::from_hours(1);

/// A running worker; it ends with the test.
pub(crate) struct TestWorker {
    pub(crate) shutdown: Shutdown,
    task: JoinHandle<Result<(), WorkerError>>,
}

impl TestDatabase {
    /// The settings of a worker of this database that no sweep helps.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            database: self.database(),
            listen: self.database(),
            connections: Connections::default(),
            sweep: NEVER,
            grace: Duration::from_secs(20),
            monitor: None,
            readiness: Readiness::default(),
        }
    }

    /// A worker that no sweep helps.
    pub(crate) fn worker(&self, integration: Arc<dyn Integration>) -> TestWorker {
        TestWorker::start(self.settings(), integration)
    }
}

impl TestWorker {
    pub(crate) fn start(settings: Settings, integration: Arc<dyn Integration>) -> Self {
        Self::of(&CODES, settings, integration)
    }

    /// The same for another queue.
    pub(crate) fn of(statements: &'static Statements, settings: Settings, integration: Arc<dyn Integration>) -> Self {
        let shutdown = Shutdown::default();
        let services = vec![Service { statements, integration }];
        let task = tokio::spawn(worker::run(settings, services, shutdown.clone()));
        Self { shutdown, task }
    }

    /// Shuts it down and waits for its end.
    pub(crate) async fn stop(mut self) {
        self.shutdown.closing.cancel();
        (&mut self.task).await.unwrap().unwrap();
    }
}

impl Drop for TestWorker {
    fn drop(&mut self) {
        self.shutdown.closing.cancel();
        self.task.abort();
    }
}

/// What an operation was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) key: String,
    pub(crate) generation: i32,
    pub(crate) attempt: i32,
    pub(crate) uncertain: bool,
    pub(crate) operation: String,
    pub(crate) idempotency_key: String,
}

/// Operations that answer as the test says, and wait before that while the test holds them.
pub(crate) struct Scripted {
    answer: Box<dyn Fn(&Seen) -> Outcome + Send + Sync>,
    gate: Semaphore,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    seen: Vec<Seen>,
    running: usize,
    running_max: usize,
}

impl Scripted {
    pub(crate) fn new(answer: impl Fn(&Seen) -> Outcome + Send + Sync + 'static) -> Arc<Self> {
        let gate = Semaphore::new(Semaphore::MAX_PERMITS / 2);
        Arc::new(Self { answer: Box::new(answer), gate, log: Mutex::default() })
    }

    /// Every operation works.
    pub(crate) fn done() -> Arc<Self> {
        Self::new(|_| Outcome::done(None))
    }

    /// Every operation works, once the test lets it.
    pub(crate) fn held() -> Arc<Self> {
        Arc::new(Self { answer: Box::new(|_| Outcome::done(None)), gate: Semaphore::new(0), log: Mutex::default() })
    }

    /// Every operation meets this fault.
    pub(crate) fn failing(fault: Fault, message: &'static str) -> Arc<Self> {
        Self::new(move |_| Failure::new(fault, message).into())
    }

    /// Lets so many operations end.
    pub(crate) fn release(&self, number: usize) {
        self.gate.add_permits(number);
    }

    /// What was executed so far, in order.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.log.lock().unwrap().seen.clone()
    }

    /// How many operations ran at the same time at most.
    pub(crate) fn running_max(&self) -> usize {
        self.log.lock().unwrap().running_max
    }

    /// Waits until so many operations have begun.
    pub(crate) async fn begun(&self, number: usize) {
        let what = format!("the start of operation {number}");
        eventually(&what, || (self.log.lock().unwrap().seen.len() >= number).then_some(())).await;
    }
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scripted")
    }
}

impl Integration for Scripted {
    fn ready(&self) -> Result<(), String> {
        Ok(())
    }

    fn execute<'a>(&'a self, job: &'a Job, limits: &'a Limits) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let seen = Seen {
                key: job.key.clone(),
                generation: job.generation,
                attempt: job.attempt,
                uncertain: job.uncertain,
                operation: job.operation.clone(),
                idempotency_key: job.idempotency_key(),
            };
            {
                let mut log = self.log.lock().unwrap();
                log.seen.push(seen.clone());
                log.running += 1;
                log.running_max = log.running_max.max(log.running);
            }
            let outcome = tokio::select! {
                permit = self.gate.acquire() => {
                    permit.unwrap().forget();
                    (self.answer)(&seen)
                }
                () = limits.stop.cancelled() => Failure::new(Fault::Interrupted, "interrupted").uncertain().into(),
            };
            self.log.lock().unwrap().running -= 1;
            outcome
        })
    }
}
