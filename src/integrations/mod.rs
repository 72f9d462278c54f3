//! The outside world: one file (or folder) a provider.
//!
//! An integration turns a payload into an outcome. It is pure input and output and knows no database; what becomes of the
//! row is `settle.sql`'s to say.

pub mod redact;
pub mod guard;
pub mod tail;
pub mod command;
pub mod http;
pub mod fienta;
pub mod whatsapp;
pub mod fluent;
pub mod monitor;

use std::fmt;
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
}
