//! An outcome: what one attempt came to. The settle statement turns it into the row.
//!
//! The words are the same in Rust, SQL, logs and metrics: `Verdict::Wait` is `'wait'` everywhere.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use crate::failure::Fault;

/// What becomes of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It took effect, and that is known.
    Done,
    /// It did not; an attempt is spent and the next one follows.
    Retry,
    /// It did not and never will.
    Failed,
    /// Not yet: no attempt is spent.
    Wait,
    /// Nobody knows whether it took effect: parked for a person.
    Unknown,
}

impl Verdict {
    /// The word that stands in SQL, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Retry => "retry",
            Self::Failed => "failed",
            Self::Wait => "wait",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What one attempt came to.
#[derive(Clone)]
pub struct Outcome {
    /// What becomes of the request.
    pub verdict: Verdict,
    /// When to try again, where the verdict is `retry` or `wait`; `None` means by the queue's retry delays.
    pub delay: Option<Duration>,
    /// The operation may have taken effect: the next attempt is told so, and verifies before it repeats.
    pub uncertain: bool,
    /// What the provider answered, as the queue's `settle.sql` reads it; also the excerpt that history keeps.
    pub result: Option<Value>,
    /// Why it is not done, in words for the person who looks at the row.
    pub error: Option<String>,
    /// Whose fault it is, where it is one; decides about the breaker.
    pub fault: Option<Fault>,
    /// Whose breaker that is, where the queue's provider is many for its purposes: one tenant's access, not everybody's.
    /// Nothing means the queue's target.
    pub target: Option<String>,
    /// How long nothing at all should start on the target.
    pub rest: Option<Duration>,
    /// The provider was not asked, so that a probe proves nothing.
    pub unasked: bool,
}

impl fmt::Debug for Outcome {
    /// What the provider answered and what is told of it can quote a person, and are left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verdict, delay, uncertain, result: _, error: _, fault, target, rest, unasked } = self;
        f.debug_struct("Outcome")
            .field("verdict", verdict)
            .field("delay", delay)
            .field("uncertain", uncertain)
            .field("fault", fault)
            .field("target", target)
            .field("rest", rest)
            .field("unasked", unasked)
            .finish_non_exhaustive()
    }
}

impl Outcome {
    /// It took effect; `result` is what `settle.sql` applies to the row.
    pub fn done(result: Option<Value>) -> Self {
        Self {
            verdict: Verdict::Done,
            delay: None,
            uncertain: false,
            result,
            error: None,
            fault: None,
            target: None,
            rest: None,
            unasked: false,
        }
    }

    /// A part of it is done, and the rest follows at once: no attempt is spent. A long operation is cut so, that it loses
    /// little when it is interrupted and shows how far it has got; `result` has where it goes on, which `settle.sql` keeps
    /// and `claim.sql` hands back.
    pub fn part(result: Value) -> Self {
        Self { verdict: Verdict::Wait, delay: Some(Duration::ZERO), ..Self::done(Some(result)) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_provider_answered_is_not_in_debug_output() {
        let mut outcome = Outcome::done(Some(json!({ "text": "hidden" })));
        outcome.error = Some("hidden".to_owned());
        let shown = format!("{outcome:?}");
        assert!(shown.contains("Done") && !shown.contains("hidden"), "{shown}");
    }
}
