//! The outside world: one file (or folder) a provider.
//!
//! An integration turns a payload into an outcome. It is pure input and output and knows no database; what becomes of the
//! row is `settle.sql`'s to say.

pub mod redact;
mod quote;
pub mod guard;
pub mod tail;
pub mod command;
pub mod http;
pub mod fienta;
pub mod whatsapp;
pub mod crm;
pub mod supplier;
pub mod fluent;
pub mod webhook;
pub mod organization;
pub mod shortlink;
pub mod monitor;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::job::Job;
use crate::outcome::Outcome;

/// What runs the operations of a queue.
pub trait Integration: fmt::Debug + Send + Sync + 'static {
    /// What is missing in the settings, in words for the person who looks at a waiting row; `Ok` when nothing is.
    fn ready(&self) -> Result<(), String>;

    /// What of the settings cannot work on this machine, as far as that can be told without calling anybody; for `doctor`.
    fn examine(&self) -> Result<(), String> {
        self.ready()
    }

    /// Which of several its queue's target is, where the settings say so. Each has a breaker and a rate of its own.
    fn target(&self) -> Option<String> {
        None
    }

    /// Whether an open breaker holds this job up. What only asks after something that was done before may go on; then it neither
    /// opens nor closes one, and its outcomes say when to ask again.
    fn is_held_up(&self, _job: &Job) -> bool {
        true
    }

    /// Runs the job's operation once, verifying first where the job is `uncertain`.
    fn execute<'a>(&'a self, job: &'a Job, limits: &'a Limits) -> BoxFuture<'a, Outcome>;
}

/// What bounds one attempt.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How long the operation may take before it is stopped.
    pub timeout: Duration,
    /// Cancelled when the worker must stop now: end the operation and answer `Fault::Interrupted`.
    pub stop: CancellationToken,
    /// Whether the request still stands.
    pub still: Still,
}

impl Limits {
    /// For a request that always stands.
    pub fn new(timeout: Duration, stop: CancellationToken) -> Self {
        Self { timeout, stop, still: Still::default() }
    }
}

type Look = dyn Fn() -> BoxFuture<'static, bool> + Send + Sync;

/// Whether the row still asks for what the job says. For an operation that cannot be taken back, asked as late as can be.
#[derive(Clone, Default)]
pub struct Still(Option<Arc<Look>>);

impl Still {
    /// Asks like this.
    pub fn by(look: impl Fn() -> BoxFuture<'static, bool> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(look)))
    }

    /// Asks now. `false` when the request was changed or taken back, or when that cannot be found out.
    pub async fn stands(&self) -> bool {
        match &self.0 {
            Some(look) => look().await,
            None => true,
        }
    }
}

impl fmt::Debug for Still {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Still")
    }
}
