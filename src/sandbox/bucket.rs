//! A token bucket: how much may still be done at once, refilled at a steady pace.

use std::time::Instant;

use serde::Deserialize;

/// How a bucket is filled.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Limit {
    /// Tokens that come back in a second.
    pub per_second: f64,
    /// How many it holds.
    pub burst: f64,
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

    /// Takes so many tokens, if there are so many.
    pub(super) fn take(&mut self, limit: Limit, cost: f64) -> bool {
        let is_there = self.level(limit) >= cost;
        if is_there {
            self.tokens -= cost;
        }
        is_there
    }

    /// How many tokens there are.
    pub(super) fn level(&mut self, limit: Limit) -> f64 {
        let now = Instant::now();
        let refill = now.duration_since(self.at).as_secs_f64() * limit.per_second;
        self.at = now;
        self.tokens = (self.tokens + refill).min(limit.burst);
        self.tokens
    }
}
