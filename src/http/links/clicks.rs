//! Clicks: counted in memory, and written every two seconds in one statement for all links.
//!
//! A process that is killed takes with it what it counted since the last time, two seconds as a rule; one that is told to
//! stop writes everything first. While the database is away clicks are kept; where a connection breaks while they are
//! written, nobody knows whether they were, and they are written again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::store::{Store, StoreError};

/// How often clicks are written.
const WRITE_EVERY: Duration = Duration::from_secs(2);

/// How long a write may take at the end, and how often locked rows are offered theirs in it.
const LAST_MAX: Duration = Duration::from_secs(3);
const LAST_PAUSE: Duration = Duration::from_millis(100);

/// Links in one statement.
const BATCH_MAX: usize = 1000;

/// Links with clicks that are not written yet. More are only had while the database is away, and are not counted then.
const LINKS_MAX: usize = 100_000;

/// Clicks by the key of their link.
#[derive(Debug, Default)]
pub(super) struct Clicks(Mutex<HashMap<Arc<str>, i64>>);

impl Clicks {
    /// Counts one.
    pub(super) fn add(&self, key: &Arc<str>) {
        self.put(key, 1);
    }

    fn put(&self, key: &Arc<str>, number: i64) {
        let mut clicks = self.clicks();
        if let Some(clicks) = clicks.get_mut(key) {
            *clicks += number;
        } else if clicks.len() < LINKS_MAX {
            clicks.insert(Arc::clone(key), number);
        }
    }

    fn clicks(&self) -> MutexGuard<'_, HashMap<Arc<str>, i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes them until the end, and then what is left.
    pub(super) async fn keep(&self, store: &Store, end: &CancellationToken) {
        let mut ticks = tokio::time::interval(WRITE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_broken = false;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = end.cancelled() => break,
            }
            let late = async {
                end.cancelled().await;
                tokio::time::sleep(LAST_MAX).await;
            };
            let written = tokio::select! {
                written = self.write(store) => written,
                () = late => break,
            };
            match written {
                Ok(()) if std::mem::take(&mut is_broken) => info!("Clicks are written again"),
                Ok(()) => {}
                Err(error) if is_broken => debug!(error = error.chain(), "Clicks still cannot be written"),
                Err(error) => {
                    is_broken = true;
                    warn!(error = error.chain(), "Clicks cannot be written; they are kept until they can");
                }
            }
        }
        // Rows that somebody holds locked may come free meanwhile.
        let last = async {
            while self.write(store).await.is_err() || !self.clicks().is_empty() {
                tokio::time::sleep(LAST_PAUSE).await;
            }
        };
        if tokio::time::timeout(LAST_MAX, last).await.is_err() {
            let clicks: i64 = self.clicks().values().sum();
            warn!(clicks, "Clicks could not be written in time and are lost");
        }
    }

    /// Writes what was counted so far. What could not be written is kept, also when this ends in the middle; a link whose row
    /// takes no clicks keeps nobody else's from being written.
    async fn write(&self, store: &Store) -> Result<(), StoreError> {
        let counted: Vec<(Arc<str>, i64)> = self.clicks().drain().collect();
        let mut unwritten = Unwritten { clicks: self, batches: counted.chunks(BATCH_MAX).map(<[_]>::to_vec).collect() };
        while let Some(batch) = unwritten.batches.last() {
            let numbers: Vec<(&str, i64)> = batch.iter().map(|(key, number)| (&**key, *number)).collect();
            let written = store.count_clicks(&numbers).await;
            if matches!(&written, Err(error) if !error.is_about_data()) {
                return written.map(drop);
            }
            let Some(mut batch) = unwritten.batches.pop() else { break };
            match written {
                Ok(locked) => {
                    let locked = batch.iter().filter(|(key, _)| locked.iter().any(|locked| **locked == **key));
                    locked.for_each(|(key, number)| self.put(key, *number));
                }
                Err(_) if batch.len() > 1 => {
                    let half = batch.split_off(batch.len() / 2);
                    unwritten.batches.extend([half, batch]);
                }
                Err(error) => {
                    let link = batch.first().map(|(key, _)| &**key);
                    warn!(link, error = error.chain(), "The row of this link takes no clicks; they are not counted");
                }
            }
        }
        Ok(())
    }
}

/// Clicks that are on their way to the database, and go back to the others if they do not get there.
struct Unwritten<'a> {
    clicks: &'a Clicks,
    batches: Vec<Vec<(Arc<str>, i64)>>,
}

impl Drop for Unwritten<'_> {
    fn drop(&mut self) {
        self.batches.iter().flatten().for_each(|(key, number)| self.clicks.put(key, *number));
    }
}
