//! Why an operation is not done, and whose fault that is: the one table from fault to what happens next.
//!
//! A fault of the item is bounded by a count. A fault of the provider, of its credentials or of our own settings spends no
//! attempt: it opens the breaker of the target, and the rows wait. An interrupted operation spends none either.

use std::time::Duration;

use crate::outcome::{Outcome, Verdict};

/// Whose fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The request can never work as it stands: wrong input, a conflict. A repeat would only fail again.
    Item,
    /// This attempt did not work and the next may: a time-out, a fault without a name.
    Transient,
    /// The provider asks for patience.
    Throttled,
    /// The provider is down or has changed; every row of the target would meet the same.
    Outage,
    /// The provider refuses our login.
    Credentials,
    /// Our own settings are wrong: no program there, no password set.
    Configuration,
    /// We stopped it ourselves, to shut down.
    Interrupted,
    /// It is not known whether the operation took effect, and it cannot be found out here.
    Unknowable,
}

impl Fault {
    /// What the row is settled with.
    pub fn verdict(self) -> Verdict {
        match self {
            Self::Item => Verdict::Failed,
            Self::Transient => Verdict::Retry,
            Self::Throttled | Self::Outage | Self::Credentials | Self::Configuration | Self::Interrupted => {
                Verdict::Wait
            }
            Self::Unknowable => Verdict::Unknown,
        }
    }

    /// Whether every other row of the target would fail alike, so that the breaker opens.
    pub fn opens_breaker(self) -> bool {
        matches!(self, Self::Outage | Self::Credentials | Self::Configuration)
    }
}

/// An operation that did not get done.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Whose fault it is.
    pub fault: Fault,
    /// What happened, for the person who looks at the row. Never a secret, a phone number or a body.
    pub message: String,
    /// When the provider said to come back; else the queue's retry delays count.
    pub after: Option<Duration>,
    /// The operation may have taken effect: the next attempt verifies before it repeats.
    pub uncertain: bool,
    /// How long nothing at all should start on the target, where the provider asks everybody for patience.
    pub rest: Option<Duration>,
    /// The provider was not asked, so that this says nothing about how it is.
    pub unasked: bool,
}

impl Failure {
    /// A failure whose operation certainly had no effect.
    pub fn new(fault: Fault, message: impl Into<String>) -> Self {
        Self { fault, message: message.into(), after: None, uncertain: false, rest: None, unasked: false }
    }

    /// The same, of an operation that may have taken effect.
    #[must_use]
    pub fn uncertain(mut self) -> Self {
        self.uncertain = true;
        self
    }

    /// The same, to be tried again after `delay`.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.after = Some(delay);
        self
    }

    /// The same, after which nothing should start on the target for so long.
    #[must_use]
    pub fn resting(mut self, rest: Duration) -> Self {
        self.rest = Some(rest);
        self
    }

    /// The same, found before the provider was asked.
    #[must_use]
    pub fn unasked(mut self) -> Self {
        self.unasked = true;
        self
    }
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        Self {
            verdict: failure.fault.verdict(),
            delay: failure.after,
            uncertain: failure.uncertain,
            result: None,
            error: Some(failure.message),
            fault: Some(failure.fault),
            target: None,
            rest: failure.rest,
            unasked: failure.unasked,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_faults_that_spend_no_attempt_open_the_breaker() {
        for fault in [
            Fault::Item,
            Fault::Transient,
            Fault::Throttled,
            Fault::Outage,
            Fault::Credentials,
            Fault::Configuration,
            Fault::Interrupted,
            Fault::Unknowable,
        ] {
            if fault.opens_breaker() {
                assert_eq!(fault.verdict(), Verdict::Wait, "{fault:?}");
            }
        }
    }
}
