//! Targets: the breaker and the rate of each provider, shared by all workers.

use std::time::Duration;

use super::policies::seconds;
use super::{Store, StoreError};
use crate::rate::Rate;

impl Store {
    /// Reserves `starts` operations on a target. Returns when each may start, from now, in order.
    pub async fn reserve(&self, target: &str, starts: usize, rate: Rate) -> Result<Vec<Duration>, StoreError> {
        const SQL: &str = include_str!("../../sql/statements/reserve.sql");
        let number = i32::try_from(starts).unwrap_or(i32::MAX);
        let rows = self
            .rows(SQL, &[&target, &number, &rate.per_second, &rate.burst], || {
                format!("reserve {starts} starts on {target}")
            })
            .await?;
        let first: f64 = rows.first().map(|row| row.get(0)).unwrap_or_default();
        Ok((0..number).map(|nth| seconds(first + f64::from(nth) / rate.per_second)).collect())
    }

    /// Names the target of a queue, with a breaker of its own.
    pub async fn name_target(&self, queue: &str, target: &str) -> Result<(), StoreError> {
        const SQL: &str = include_str!("../../sql/statements/name_target.sql");
        self.rows(SQL, &[&queue, &target], || format!("name {target} as the target of {queue}")).await?;
        Ok(())
    }

    /// Lets a target rest: no operation starts on it before `pause` has passed.
    pub async fn rest(&self, target: &str, pause: Duration) -> Result<(), StoreError> {
        const SQL: &str = include_str!("../../sql/statements/rest.sql");
        let pause = pause.as_secs_f64();
        self.rows(SQL, &[&target, &pause], || format!("let {target} rest")).await?;
        Ok(())
    }

    /// Opens a target's breaker; `probe` says that a probe met the fault. Returns how long until the next probe, or
    /// nothing when it was open already.
    pub async fn trip(&self, target: &str, reason: &str, probe: bool) -> Result<Option<Duration>, StoreError> {
        const SQL: &str = include_str!("../../sql/statements/trip.sql");
        let rows = self.rows(SQL, &[&target, &reason, &probe], || format!("open the breaker of {target}")).await?;
        Ok(rows.first().map(|row| seconds(row.get(0))))
    }

    /// Takes the right to probe an open target for as long as `hold`. `false` when it is not due, or another has it.
    pub async fn probe(&self, target: &str, hold: Duration) -> Result<bool, StoreError> {
        const SQL: &str = include_str!("../../sql/statements/probe.sql");
        let hold = hold.as_secs_f64();
        Ok(!self.rows(SQL, &[&target, &hold], || format!("probe {target}")).await?.is_empty())
    }

    /// Gives the right to probe back: the probe proved nothing.
    pub async fn unprobe(&self, target: &str) -> Result<(), StoreError> {
        const SQL: &str = include_str!("../../sql/statements/unprobe.sql");
        self.rows(SQL, &[&target], || format!("give back the probe of {target}")).await?;
        Ok(())
    }

    /// Closes a target's breaker: an operation came through. `false` when it was closed already.
    pub async fn close(&self, target: &str) -> Result<bool, StoreError> {
        const SQL: &str = include_str!("../../sql/statements/close.sql");
        Ok(!self.rows(SQL, &[&target], || format!("close the breaker of {target}")).await?.is_empty())
    }
}
