//! How long to wait before the next try at a connection: exponential with jitter, and never giving up.
//!
//! The only file that knows the crate `backoff`, which is unmaintained; replace it here if it must go.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff;

/// The delays of one connection's reconnects.
#[derive(Debug)]
pub struct Reconnect {
    delays: ExponentialBackoff,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self {
            delays: ExponentialBackoff {
                current_interval: Duration::from_millis(50),
                initial_interval: Duration::from_millis(50),
                randomization_factor: 0.5,
                multiplier: 2.0,
                max_interval: Duration::from_secs(5),
                max_elapsed_time: None,
                ..ExponentialBackoff::default()
            },
        }
    }
}

impl Reconnect {
    /// The delay before the next try: about 50 ms at first, about 5 s at last.
    pub fn next_delay(&mut self) -> Duration {
        self.delays.next_backoff().unwrap_or(Duration::from_secs(5))
    }

    /// The connection works: begin anew with the next loss.
    pub fn reset(&mut self) {
        self.delays.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_gives_up_and_never_waits_long() {
        let mut reconnect = Reconnect::default();
        assert!(reconnect.next_delay() <= Duration::from_millis(80));
        for _ in 0..1000 {
            assert!(reconnect.next_delay() <= Duration::from_millis(7500));
        }
        reconnect.reset();
        assert!(reconnect.next_delay() <= Duration::from_millis(80));
    }
}
