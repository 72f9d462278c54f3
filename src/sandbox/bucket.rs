//! A token bucket: how many messages may still be sent at once, refilled at a steady pace.

use std::time::Instant;

use serde::Deserialize;

/// How a bucket is filled.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Limit {
    /// Tokens that come back in a second.
    pub(super) per_second: f64,
    /// How many it holds.
    pub(super) burst: f64,
}

/// One bucket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    pub(super) fn full(limit: Limit) -> Self {
        Self { tokens: limit.burst, at: Instant::now() }
    }

    /// Takes a token, if there is one.
    pub(super) fn take(&mut self, limit: Limit) -> bool {
        let now = Instant::now();
        let refill = now.duration_since(self.at).as_secs_f64() * limit.per_second;
        self.at = now;
        self.tokens = (self.tokens + refill).min(limit.burst);
        let is_there = self.tokens >= 1.0;
        if is_there {
            self.tokens -= 1.0;
        }
        is_there
    }
}
