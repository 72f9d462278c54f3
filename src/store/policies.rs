//! Policies: how each queue is worked, and the state of its target's breaker, as an operator's SQL left them.

use std::time::Duration;

use super::{Store, StoreError};
use crate::queue::Policy;
use crate::rate::Rate;

/// A target whose breaker is open.
#[derive(Debug, Clone, PartialEq)]
pub struct Open {
    /// Why, in words for the person who looks at a waiting row.
    pub reason: String,
    /// How long until the next probe; zero when it is due.
    pub probe_in: Duration,
}

/// A queue's policy with its target's breaker.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// The queue.
    pub queue: String,
    /// How it is worked.
    pub policy: Policy,
    /// The breaker, if it is open.
    pub open: Option<Open>,
}

/// A claim must outlast its operation (read back, run, read back again) and the write-back.
const GRACE: Duration = Duration::from_secs(30);

impl Store {
    /// Every queue's policy.
    pub async fn standings(&self) -> Result<Vec<Standing>, StoreError> {
        const SQL: &str = include_str!("../../sql/statements/policies.sql");
        let rows = self.rows(SQL, &[], || "read the policies of the queues".to_owned()).await?;
        Ok(rows.iter().map(standing).collect())
    }
}

fn standing(row: &tokio_postgres::Row) -> Standing {
    let timeout = seconds(row.get("timeout"));
    let rate: Option<f64> = row.get("rate_per_second");
    let reason: Option<String> = row.get("open_reason");
    Standing {
        queue: row.get("queue"),
        policy: Policy {
            target: row.get("target"),
            paused: row.get("paused"),
            slots: count(row.get("slots")),
            batch: count(row.get("batch")),
            lease: seconds(row.get("lease")).max(timeout * 3 + GRACE),
            timeout,
            retry_delays: row.get::<_, Vec<f64>>("retry_delays").into_iter().map(seconds).collect(),
            cluster_slots: row.get("cluster_slots"),
            rate: rate.map(|per_second| Rate { per_second, burst: row.get("rate_burst") }),
        },
        open: reason.map(|reason| Open {
            reason,
            probe_in: seconds(row.get::<_, Option<f64>>("probe_in").unwrap_or_default()),
        }),
    }
}

fn count(number: i32) -> usize {
    usize::try_from(number).unwrap_or(1).max(1)
}

/// Seconds as Postgres tells them; what is past is now.
pub(super) fn seconds(number: f64) -> Duration {
    Duration::try_from_secs_f64(number.max(0.0)).unwrap_or(Duration::MAX)
}
