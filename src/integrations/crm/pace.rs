//! How fast one tenant's CRM is called: a bucket a target, in calls of Commerce7 or in Shopify's points.
//!
//! A job takes a ticket for what it may need before its first call, so that none stops in the middle for want of a call;
//! what it did not need goes back when the ticket is dropped. Who would wait long is sent away with a time of its own, one
//! after the other, and spends no attempt. The buckets are this worker's own: how often jobs start over all workers is
//! the claim's business, and a CRM that is asked too fast all the same says so.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a job waits with its slot in hand.
const PATIENCE: Duration = Duration::from_secs(2);

/// The farthest time that a job is sent away for. Short enough to come back once others are gone, and long enough that
/// a crowd has times of its own and does not come back together.
const AWAY_MAX: Duration = Duration::from_hours(1);

/// More targets than that are not remembered, but for those with jobs on their way; the others start anew.
const TARGETS_MAX: usize = 10_000;

/// How a bucket is filled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Limit {
    pub(super) per_second: f64,
    pub(super) burst: f64,
}

/// What an operation may cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    /// One call.
    pub(super) call: f64,
    /// How many calls it may make, as a rule.
    pub(super) calls: f64,
    /// How the bucket is filled, where the CRM has not told.
    pub(super) usual: Limit,
}

/// The buckets, by target.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<HashMap<String, Bucket>>);

#[derive(Debug)]
struct Bucket {
    /// What is left, as far as is known; what tickets hold is still in there.
    level: f64,
    /// What tickets hold.
    held: f64,
    limit: Limit,
    at: Instant,
    /// Until when everybody sent away has been given a time.
    given_until: Instant,
}

/// The right to so much, as it is spent; the rest goes back when it is dropped.
#[derive(Debug)]
pub(super) struct Ticket<'a> {
    pace: &'a Pace,
    target: &'a str,
    left: f64,
}

impl Pace {
    /// A ticket for one job, and how long it must wait before its first call; or, when that is too long, after how long
    /// to come back.
    pub(super) fn take<'a>(
        &'a self,
        target: &'a str,
        cost: f64,
        usual: Limit,
    ) -> Result<(Ticket<'a>, Duration), Duration> {
        self.take_at(Instant::now(), target, cost, usual)
    }

    fn take_at<'a>(
        &'a self,
        now: Instant,
        target: &'a str,
        cost: f64,
        usual: Limit,
    ) -> Result<(Ticket<'a>, Duration), Duration> {
        let mut buckets = self.buckets();
        if buckets.len() >= TARGETS_MAX && !buckets.contains_key(target) {
            buckets.retain(|_, bucket| bucket.held > 0.0);
        }
        let bucket = buckets.entry(target.to_owned()).or_insert_with(|| Bucket::full(usual, now));
        bucket.refill(now);
        let Limit { per_second, burst } = bucket.limit;
        // What costs more than a bucket holds waits for a full one.
        let cost = cost.min(burst);
        let wait = Duration::from_secs_f64(((cost + bucket.held - bucket.level) / per_second).max(0.0));
        if wait <= PATIENCE {
            bucket.held += cost;
            return Ok((Ticket { pace: self, target, left: cost }, wait));
        }
        let share = Duration::from_secs_f64(cost / per_second);
        let first = bucket.given_until.max(now + wait.saturating_sub(share));
        bucket.given_until = (first + share).min(now + AWAY_MAX);
        Err(bucket.given_until - now)
    }

    /// The CRM has asked for patience: nobody else begins before.
    pub(super) fn hold(&self, target: &str, asked: Duration) {
        if let Some(bucket) = self.buckets().get_mut(target) {
            bucket.refill(Instant::now());
            bucket.level = bucket.level.min(-asked.as_secs_f64() * bucket.limit.per_second);
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

impl Ticket<'_> {
    /// Notes what a call about to be made costs.
    pub(super) fn spend(&mut self, cost: f64) {
        if let Some(bucket) = self.pace.buckets().get_mut(self.target) {
            let held = cost.min(self.left);
            self.left -= held;
            bucket.held -= held;
            bucket.level -= cost;
        }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if let Some(bucket) = self.pace.buckets().get_mut(self.target) {
            bucket.held = (bucket.held - self.left).max(0.0);
        }
    }
}

impl Bucket {
    fn full(limit: Limit, now: Instant) -> Self {
        Self { level: limit.burst, held: 0.0, limit, at: now, given_until: now }
    }

    fn refill(&mut self, now: Instant) {
        let refill = now.duration_since(self.at).as_secs_f64() * self.limit.per_second;
        self.level = (self.level + refill).min(self.limit.burst);
        self.at = self.at.max(now);
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
            // Who was told to wait a little does not come, and gives back.
            while let Ok((mut ticket, Duration::ZERO)) = pace.take_at(now, "t", 1.0, USUAL) {
                ticket.spend(1.0);
                calls += 1;
            }
            now += Duration::from_millis(100);
        }
        assert!((98..=100).contains(&calls), "{calls}");
    }

    #[test]
    fn who_is_sent_away_has_a_time_of_its_own() {
        let (pace, now) = (Pace::default(), Instant::now());
        let take = |after, target, cost| pace.take_at(now + secs(after), target, cost, USUAL);
        let (first, wait) = take(0.0, "t", 5.0).unwrap();
        assert_eq!(wait, Duration::ZERO);
        let (mut second, wait) = take(0.0, "t", 5.0).unwrap();
        assert_eq!(wait, Duration::ZERO);
        let (third, wait) = take(0.0, "t", 3.0).unwrap();
        assert_eq!(wait, secs(2.0));
        assert_eq!(take(0.0, "t", 3.0).unwrap_err(), secs(4.0));
        assert_eq!(take(0.0, "t", 3.0).unwrap_err(), secs(6.0));
        assert!(take(0.0, "other", 3.0).is_ok(), "another tenant's bucket is another");
        // What was spent is gone, what was not goes back.
        second.spend(5.0);
        drop((first, second, third));
        assert_eq!(take(0.0, "t", 5.0).unwrap().1, Duration::ZERO);
        assert_eq!(take(0.0, "t", 8.0).unwrap().1, secs(2.0));
    }

    #[test]
    fn a_crowd_has_its_times_within_the_hour() {
        let (pace, now) = (Pace::default(), Instant::now());
        let crowd: Vec<_> = (0..2000).map(|_| pace.take_at(now, "t", 4.0, USUAL)).collect();
        let away: Vec<Duration> = crowd.iter().filter_map(|taken| taken.as_ref().err().copied()).collect();
        let hour = Duration::from_hours(1);
        let own = away.windows(2).filter(|two| two[0] < two[1]).count();
        assert!(away.iter().all(|time| *time <= hour) && own >= 1340, "{own}");
        // Nor does it run ahead, so that whoever comes later would wait for nobody.
        drop(crowd);
        assert!(pace.take_at(now + hour, "t", 4.0, USUAL).is_ok());
    }

    #[test]
    fn patience_asked_of_one_is_kept_by_all() {
        let (pace, now) = (Pace::default(), Instant::now());
        let ticket = pace.take_at(now, "t", 4.0, USUAL).unwrap();
        pace.hold("t", secs(60.0));
        drop(ticket);
        let away = pace.take_at(now, "t", 3.0, USUAL).unwrap_err();
        assert!(away >= secs(62.0) && away < secs(63.0), "{away:?}");
        assert!(pace.take_at(now + secs(62.0), "t", 3.0, USUAL).is_ok());
    }

    #[test]
    fn the_crms_own_words_count_and_tickets_on_their_way_too() {
        let (pace, now) = (Pace::default(), Instant::now());
        let limit = |per_second, burst| Limit { per_second, burst };
        let (mut ticket, _) = pace.take_at(now, "s", 20.0, limit(100.0, 1000.0)).unwrap();
        ticket.spend(10.0);
        pace.told("s", limit(10.0, 2000.0), -20.0);
        assert_eq!(pace.take_at(now, "s", 20.0, USUAL).unwrap_err(), secs(5.0), "ten are held");
        drop(ticket);
        for (limit, level) in [(limit(0.0, 9.0), 1.0), (limit(f64::NAN, 9.0), 1.0), (limit(1.0, 9.0), f64::INFINITY)] {
            pace.told("s", limit, level);
        }
        assert_eq!(pace.take_at(now, "s", 20.0, USUAL).unwrap_err(), secs(7.0), "what cannot be is not believed");
        assert_eq!(pace.take_at(now, "x", 1e9, USUAL).unwrap().1, Duration::ZERO, "a job of any cost gets its turn");
    }
}
