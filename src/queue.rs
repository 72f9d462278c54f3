//! A queue's policy: the row of `rowcall.queues` that says how fast, how often and how long.
//!
//! The database holds it, an operator edits it with SQL, and every worker picks the change up while it runs.

use std::time::Duration;

use crate::rate::Rate;

/// How a queue is worked, as its row in `rowcall.queues` says.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// The provider that its operations call; breaker and rate belong to it.
    pub target: String,
    /// Why it is paused, if it is.
    pub paused: Option<String>,
    /// Operations that one worker runs at a time.
    pub slots: usize,
    /// Rows that one claim takes at most.
    pub batch: usize,
    /// How long a claim holds, if its worker lives. Never shorter than `timeout` and a grace for settling.
    pub lease: Duration,
    /// How long one operation may take.
    pub timeout: Duration,
    /// The delay after the first, second, … failure of an item; the last one repeats.
    pub retry_delays: Vec<Duration>,
    /// Operations that all workers together run at a time; `None` is no bound.
    pub cluster_slots: Option<i32>,
    /// How often operations may start on the target, over all workers.
    pub rate: Option<Rate>,
}

impl Policy {
    /// Whether claims must be made under the lock that counts what runs over all workers.
    pub fn is_bounded(&self) -> bool {
        self.cluster_slots.is_some()
    }

    /// Whether a queue that shares the target goes first when an operation has ended: it rests anyway before the next one starts.
    pub fn yields(&self) -> bool {
        self.is_bounded() && self.rate.is_some()
    }
}
