//! A job: one due row, as the claim hands it to an operation.
//!
//! It is made by `claim.sql` and by nothing else. The payload is carried as the JSON text that Postgres sent and is
//! parsed by the integration that knows its shape, so an operation that needs no payload pays for no parsing. It may hold
//! people and secrets, so debug output leaves it out.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use uuid::Uuid;

/// One due row under one claim.
pub struct Job {
    /// The queue it was claimed from.
    pub queue: &'static str,
    /// The row's primary key, as text.
    pub key: String,
    /// Which request of the row this is; the stamp trigger counts them.
    pub generation: i32,
    /// The fence: a write-back is accepted only while the row still carries it.
    pub token: Uuid,
    /// The number of the attempt about to start, from 1. Past `max_attempts` the row is out of attempts.
    pub attempt: i32,
    /// How many attempts the request may spend.
    pub max_attempts: i32,
    /// An earlier attempt began and its end is not known: verify before repeating.
    pub uncertain: bool,
    /// What to do, in the queue's own words: `create`, `delete`, …
    pub operation: String,
    /// What the operation needs, as `claim.sql` built it.
    pub payload: Box<RawValue>,
}

impl Job {
    /// The key to give to the outside world: the same over all attempts of a request, another for the next request.
    pub fn idempotency_key(&self) -> String {
        format!("{}:{}:{}", self.queue, self.key, self.generation)
    }

    /// Whether the bound on attempts is reached, so that the operation must not be started again.
    pub fn is_exhausted(&self) -> bool {
        self.attempt > self.max_attempts
    }

    /// The payload in the shape that the operation expects.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.payload.get())
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { queue, key, generation, token, attempt, max_attempts, uncertain, operation, payload: _ } = self;
        f.debug_struct("Job")
            .field("queue", queue)
            .field("key", key)
            .field("generation", generation)
            .field("token", token)
            .field("attempt", attempt)
            .field("max_attempts", max_attempts)
            .field("uncertain", uncertain)
            .field("operation", operation)
            .finish_non_exhaustive()
    }
}
