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

impl fmt::Debug for Job {
    /// The payload is a person's, and is left out.
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

#[cfg(test)]
mod tests {
    use serde_json::json;
    use serde_json::value::to_raw_value;

    use super::*;

    #[test]
    fn what_a_person_wrote_is_not_in_debug_output() {
        let job = Job {
            queue: "actions",
            key: "17".to_owned(),
            generation: 1,
            token: Uuid::nil(),
            attempt: 1,
            max_attempts: 8,
            uncertain: false,
            operation: "reply".to_owned(),
            payload: to_raw_value(&json!({ "text": "hidden" })).unwrap(),
        };
        let shown = format!("{job:?}");
        assert!(shown.contains("17") && !shown.contains("hidden"), "{shown}");
    }
}
