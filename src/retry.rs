//! When to try again: the queue's delays, with jitter upwards only, so that a documented delay is never undercut.

use std::time::Duration;

/// The share of a delay that jitter may add.
const JITTER: f64 = 0.1;

/// The delay after the `attempt`-th failure (from 1), lengthened by up to a tenth; `chance` is uniform in `0.0..1.0`.
///
/// The last delay repeats; without any delay it is zero.
pub fn delay(delays: &[Duration], attempt: i32, chance: f64) -> Duration {
    let nth = usize::try_from(attempt.max(1) - 1).unwrap_or(0);
    let base = delays.get(nth).or(delays.last()).copied();
    base.unwrap_or_default().mul_f64(1.0 + JITTER * chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_delay_is_never_undercut_and_never_a_tenth_longer(
            seconds in prop::collection::vec(0_u64..100_000, 1..6),
            attempt in i32::MIN..i32::MAX,
            chance in 0.0_f64..1.0,
        ) {
            let delays: Vec<_> = seconds.iter().map(|&s| Duration::from_secs(s)).collect();
            let nth = usize::try_from(attempt.max(1) - 1).unwrap_or(usize::MAX).min(delays.len() - 1);
            let got = delay(&delays, attempt, chance);
            prop_assert!(got >= delays[nth]);
            prop_assert!(got <= delays[nth].mul_f64(1.1001));
        }
    }

    #[test]
    fn a_queue_without_delays_tries_at_once() {
        assert_eq!(delay(&[], 3, 0.5), Duration::ZERO);
    }
}
