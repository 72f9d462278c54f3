//! One attempt's line to its CRM: one exchange after another, within the operation's time, and what silence means.
//!
//! A question that is cut off has changed nothing. A change that is cut off may have been made, and its failure is
//! `uncertain`: whoever made it looks before anything else is done, and has half of the time that is left for that.

use std::time::Duration;

use tokio::time::Instant;

use super::pace::Ticket;
use crate::failure::{Failure, Fault};
use crate::integrations::http::{Answer, Bounds, Cause, Http, Lost, Request, Sent};
use crate::integrations::quote::Private;
use crate::integrations::redact::cut;
use crate::integrations::{Limits, Still};

/// How long a CRM may take for one answer, whatever the operation's time limit.
const CALL_TIME_MAX: Duration = Duration::from_secs(15);

/// How long what goes on the row may be, in characters.
const MESSAGE_CHARS_MAX: usize = 500;

/// What a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It changes nothing.
    Look,
    /// It changes something.
    Change,
}

/// The line.
pub(super) struct Line<'a> {
    http: &'a Http,
    bounds: Bounds,
    still: Still,
    /// What of the job must not be quoted.
    pub(super) private: Private,
    /// The CRM's name in words.
    crm: &'static str,
    /// The setting that has its address.
    setting: &'static str,
    /// What its calls are paid with, each with so much.
    ticket: Ticket<'a>,
    call_cost: f64,
    /// How many calls were made.
    pub(super) calls: u32,
}

impl<'a> Line<'a> {
    /// A line to the CRM of this name, whose address is in this setting; each call is paid with so much of the ticket.
    pub(super) fn new(
        http: &'a Http,
        limits: &Limits,
        private: Private,
        (crm, setting): (&'static str, &'static str),
        (ticket, call_cost): (Ticket<'a>, f64),
    ) -> Self {
        let bounds = Bounds { deadline: Instant::now() + limits.timeout, stop: limits.stop.clone() };
        let still = limits.still.clone();
        Self { http, bounds, still, private, crm, setting, ticket, call_cost, calls: 0 }
    }

    /// Makes one call; a look whose connection breaks is made once more, and a change is made only of a request that still
    /// stands.
    pub(super) async fn call(&mut self, request: Request, purpose: Purpose) -> Result<Answer, Failure> {
        if purpose == Purpose::Look {
            match self.exchange(request.clone(), purpose).await {
                Err(Lost { cause: Cause::Broken, .. }) => {}
                other => return other.map_err(|lost| self.silence(&lost, purpose)),
            }
        }
        if purpose == Purpose::Change && !self.still.stands().await {
            return Err(failure(
                Fault::Interrupted,
                "The request was changed or taken back meanwhile, so what was still to do of it was not done.",
            ));
        }
        self.exchange(request, purpose).await.map_err(|lost| self.silence(&lost, purpose))
    }

    async fn exchange(&mut self, request: Request, purpose: Purpose) -> Result<Answer, Lost> {
        if self.bounds.stop.is_cancelled() {
            return Err(Lost { sent: Sent::No, cause: Cause::Stopped, reason: String::new() });
        }
        let now = Instant::now();
        let left = self.bounds.deadline.saturating_duration_since(now);
        let time = if purpose == Purpose::Change { left / 2 } else { left };
        let bounds = Bounds { deadline: now + time.min(CALL_TIME_MAX), stop: self.bounds.stop.clone() };
        self.calls += 1;
        self.ticket.spend(self.call_cost);
        self.http.call(request, &bounds).await
    }

    fn silence(&self, lost: &Lost, purpose: Purpose) -> Failure {
        let Self { crm, setting, .. } = self;
        let failure = match (lost.sent, lost.cause) {
            (_, Cause::Stopped) => failure(
                Fault::Interrupted,
                "The worker was stopped in the middle of this; it goes on by itself when a worker runs again.",
            ),
            (Sent::No, _) => failure(
                Fault::Outage,
                format!("{crm} could not be reached ({lost}); memberships wait until it can, see {setting}."),
            ),
            (Sent::Perhaps, _) => failure(
                Fault::Outage,
                format!(
                    "{crm} did not answer ({lost}); memberships wait and go on by themselves, looking before they change anything."
                ),
            ),
        };
        if lost.sent == Sent::Perhaps { doubtful(failure, purpose) } else { failure }
    }
}

/// A failure whose message fits on the row.
pub(super) fn failure(fault: Fault, message: impl AsRef<str>) -> Failure {
    Failure::new(fault, cut(message.as_ref(), MESSAGE_CHARS_MAX))
}

/// The failure of a call that may have taken effect, if it was to have one.
pub(super) fn doubtful(failure: Failure, purpose: Purpose) -> Failure {
    if purpose == Purpose::Change { failure.uncertain() } else { failure }
}
