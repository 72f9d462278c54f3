//! How fast one tenant's CRM is called: a bucket a target, in calls of Commerce7 or in Shopify's points.
//!
//! A job takes what it may need before its first call, so that none stops in the middle for want of a call, and gives back
//! what it did not need. Who would wait long is sent away with a time of its own, one after the other, and spends no
//! attempt. The buckets are this worker's own: how often jobs start over all workers is the claim's business, and a CRM
//! that is asked too fast all the same says so.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a job waits with its slot in hand.
const PATIENCE: Duration = Duration::from_secs(2);

/// The farthest time that a job is sent away for.
const AWAY_MAX: Duration = Duration::from_mins(5);

/// More targets than that are not remembered; then all start anew.
const TARGETS_MAX: usize = 10_000;

/// How a bucket is filled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Limit {
    pub(super) per_second: f64,
    pub(super) burst: f64,
}

/// The buckets, by target.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<HashMap<String, Bucket>>);

#[derive(Debug)]
struct Bucket {
    level: f64,
    limit: Limit,
    at: Instant,
    /// Until when everybody sent away has been given a time.
    given_until: Instant,
}

impl Pace {
    /// Takes `cost` for one job. How long it must wait before its first call; or, when that is too long and nothing was
    /// taken, after how long to come back.
    pub(super) fn take(&self, target: &str, cost: f64, usual: Limit) -> Result<Duration, Duration> {
        self.take_at(Instant::now(), target, cost, usual)
    }

    fn take_at(&self, now: Instant, target: &str, cost: f64, usual: Limit) -> Result<Duration, Duration> {
        let mut buckets = self.buckets();
        if buckets.len() >= TARGETS_MAX && !buckets.contains_key(target) {
            buckets.clear();
        }
        let bucket = buckets.entry(target.to_owned()).or_insert_with(|| Bucket::full(usual, now));
        bucket.refill(now);
        let Limit { per_second, burst } = bucket.limit;
        // What costs more than a bucket holds waits for a full one.
        let cost = cost.min(burst);
        let wait = Duration::from_secs_f64(((cost - bucket.level) / per_second).max(0.0));
        if wait <= PATIENCE {
            bucket.level -= cost;
            return Ok(wait);
        }
        let share = Duration::from_secs_f64(cost / per_second);
        bucket.given_until = bucket.given_until.max(now + wait.saturating_sub(share)) + share;
        Err((bucket.given_until - now).min(AWAY_MAX))
    }

    /// Gives back what a job has not needed.
    pub(super) fn give_back(&self, target: &str, unspent: f64) {
        if let Some(bucket) = self.buckets().get_mut(target) {
            bucket.level = (bucket.level + unspent.max(0.0)).min(bucket.limit.burst);
        }
    }

    /// The CRM has told how its own bucket stands.
    pub(super) fn told(&self, target: &str, limit: Limit, level: f64) {
        let is_sound =
            limit.per_second.is_finite() && limit.per_second > 0.0 && limit.burst >= 1.0 && level.is_finite();
        if let (true, Some(bucket)) = (is_sound, self.buckets().get_mut(target)) {
            (bucket.limit, bucket.level, bucket.at) = (limit, level.min(limit.burst), Instant::now());
        }
    }

    fn buckets(&self) -> MutexGuard<'_, HashMap<String, Bucket>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bucket {
    fn full(limit: Limit, now: Instant) -> Self {
        Self { level: limit.burst, limit, at: now, given_until: now }
    }

    fn refill(&mut self, now: Instant) {
        let refill = now.duration_since(self.at).as_secs_f64() * self.limit.per_second;
        self.level = (self.level + refill).min(self.limit.burst);
        self.at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Limit = Limit { per_second: 1.5, burst: 10.0 };

    fn secs(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn no_minute_holds_more_calls_than_the_rate_and_the_burst() {
        let (pace, mut now, mut calls) = (Pace::default(), Instant::now(), 0);
        for _ in 0..600 {
            while let Ok(Duration::ZERO) = pace.take_at(now, "t", 1.0, USUAL) {
                calls += 1;
            }
            // Who was told to wait a little does not come, and gives back.
            pace.give_back("t", 1.0);
            now += Duration::from_millis(100);
        }
        assert!((98..=100).contains(&calls), "{calls}");
    }

    #[test]
    fn who_is_sent_away_has_a_time_of_its_own() {
        let (pace, now) = (Pace::default(), Instant::now());
        let take = |after, target, cost| pace.take_at(now + secs(after), target, cost, USUAL);
        assert_eq!(take(0.0, "t", 5.0), Ok(Duration::ZERO));
        assert_eq!(take(0.0, "t", 5.0), Ok(Duration::ZERO));
        assert_eq!(take(0.0, "t", 3.0), Ok(secs(2.0)));
        assert_eq!(take(0.0, "t", 3.0), Err(secs(4.0)));
        assert_eq!(take(0.0, "t", 3.0), Err(secs(6.0)));
        assert_eq!(take(0.0, "other", 3.0), Ok(Duration::ZERO), "another tenant's bucket is another");
        pace.give_back("t", 3.0);
        assert_eq!(take(0.0, "t", 3.0), Ok(secs(2.0)));
        assert_eq!(take(4.0, "t", 3.0), Ok(Duration::ZERO));
    }

    #[test]
    fn the_crms_own_words_count() {
        let (pace, now) = (Pace::default(), Instant::now());
        let limit = |per_second, burst| Limit { per_second, burst };
        assert_eq!(pace.take_at(now, "s", 10.0, limit(100.0, 1000.0)), Ok(Duration::ZERO));
        pace.told("s", limit(10.0, 2000.0), -30.0);
        let wait = pace.take_at(now, "s", 20.0, USUAL).unwrap_err();
        assert_eq!(wait, secs(5.0));
        for (limit, level) in [(limit(0.0, 9.0), 1.0), (limit(f64::NAN, 9.0), 1.0), (limit(1.0, 9.0), f64::INFINITY)] {
            pace.told("s", limit, level);
        }
        assert_eq!(pace.take_at(now, "s", 20.0, USUAL), Err(secs(7.0)), "what cannot be is not believed");
        assert_eq!(pace.take_at(now, "x", 1e9, USUAL), Ok(Duration::ZERO), "a job of any cost gets its turn");
    }
}
