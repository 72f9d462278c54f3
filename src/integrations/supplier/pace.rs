//! How fast one worker calls a supplier. `rowcall.queues` has the rate of all workers' orders; this also counts the
//! look-ups that an order makes on its way.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::profile::Rate;
use crate::integrations::http::Bounds;

/// Turns, evenly spaced, a few at a time.
#[derive(Debug)]
pub(super) struct Pace {
    pause: Duration,
    next_at: Mutex<Instant>,
    places: Arc<Semaphore>,
}

/// The right to make one request; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Turn(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

impl Pace {
    pub(super) fn new(rate: Rate) -> Self {
        Self {
            pause: Duration::from_secs(1) / rate.per_s.max(1),
            next_at: Mutex::new(Instant::now()),
            places: Arc::new(Semaphore::new(usize::try_from(rate.concurrency).unwrap_or(1).max(1))),
        }
    }

    /// Waits for a turn; nothing when none comes in time, or the worker must stop.
    pub(super) async fn turn(&self, bounds: &Bounds) -> Option<Turn> {
        let turn = async {
            let place = Arc::clone(&self.places).acquire_owned().await.ok()?;
            let mut next_at = self.next_at.lock().await;
            tokio::time::sleep_until(*next_at).await;
            *next_at = Instant::now() + self.pause;
            Some(Turn(place))
        };
        tokio::select! {
            biased;
            () = bounds.stop.cancelled() => None,
            turn = tokio::time::timeout_at(bounds.deadline, turn) => turn.ok().flatten(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;

    fn bounds(patience: Duration) -> Bounds {
        Bounds { deadline: Instant::now() + patience, stop: CancellationToken::new() }
    }

    #[tokio::test]
    async fn turns_are_spaced_and_end_with_the_time_for_them() {
        let pace = Pace::new(Rate { per_s: 20, concurrency: 2 });
        let began = Instant::now();
        for _ in 0..3 {
            pace.turn(&bounds(Duration::from_mins(1))).await.unwrap();
        }
        assert!(began.elapsed() >= Duration::from_millis(100), "{:?}", began.elapsed());
        assert!(pace.turn(&bounds(Duration::ZERO)).await.is_none());
        let stopped = bounds(Duration::from_mins(1));
        stopped.stop.cancel();
        assert!(pace.turn(&stopped).await.is_none());
    }

    #[tokio::test]
    async fn only_so_many_have_a_turn_at_a_time() {
        let pace = Pace::new(Rate { per_s: 1000, concurrency: 2 });
        let first = pace.turn(&bounds(Duration::from_mins(1))).await.unwrap();
        let _second = pace.turn(&bounds(Duration::from_mins(1))).await.unwrap();
        assert!(pace.turn(&bounds(Duration::from_millis(50))).await.is_none());
        drop(first);
        pace.turn(&bounds(Duration::from_mins(1))).await.unwrap();
    }
}
