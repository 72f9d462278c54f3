//! How a provider received one message, whichever provider it is.

use std::time::Duration;

use crate::failure::{Failure, Fault};
use crate::integrations::http::{Answer, with_jitter};
use crate::integrations::redact::cut;

/// How long what goes on the row may be, in characters.
const MESSAGE_CHARS_MAX: usize = 500;

/// What rowcall does about a failure that the next attempt may not meet.
const AGAIN: &str = "it is tried again by itself.";

/// What a person does once nobody can tell.
pub(super) const LOOK: &str = "Nothing is sent again by itself: the provider's delivery report settles it when it comes; \
     else look into the conversation, then use rowcall.resolve, or rowcall.retry to send it again.";

/// What became of one request to the provider.
#[derive(Debug)]
pub(super) enum Reception {
    /// It was accepted, which is not yet delivered. The provider's number of the message.
    Accepted(String),
    /// It was not, and certainly did not go out.
    Refused(Failure),
    /// The same, because this contact is written to too fast.
    PairLimit(Failure),
    /// The same, because the contact has been silent for more than 24 hours.
    WindowClosed,
    /// Nobody can tell.
    Unknown {
        /// What happened.
        what: String,
        /// Other messages would meet the same, so they should wait.
        is_outage: bool,
    },
}

impl Reception {
    pub(super) fn refused(fault: Fault, message: impl AsRef<str>) -> Self {
        Self::Refused(failure(fault, message))
    }

    /// The next attempt may not meet it.
    pub(super) fn transient(what: &str) -> Self {
        Self::refused(Fault::Transient, format!("{what}; {AGAIN}"))
    }

    /// The provider asks for patience with the sender: whatever else would be sent waits too.
    pub(super) fn throttled(what: &str, answer: &Answer, seconds: u64) -> Self {
        let rest = answer.retry_after.unwrap_or(Duration::from_secs(seconds));
        Self::Refused(throttled(what, answer, seconds).resting(rest))
    }
}

/// The provider asks for patience: as long as it says, else so many seconds.
pub(super) fn throttled(what: &str, answer: &Answer, seconds: u64) -> Failure {
    let delay = answer.retry_after.unwrap_or(Duration::from_secs(seconds));
    failure(Fault::Throttled, format!("{what}; {AGAIN}")).after(with_jitter(delay))
}

/// A failure whose message fits on the row.
pub(super) fn failure(fault: Fault, message: impl AsRef<str>) -> Failure {
    Failure::new(fault, cut(message.as_ref(), MESSAGE_CHARS_MAX))
}

/// The worker must stop.
pub(super) fn interrupted() -> Failure {
    failure(
        Fault::Interrupted,
        "The worker was stopped before the reply was sent; it is sent by itself when a worker runs again.",
    )
}

/// The answer was changed or taken back before the reply to it was sent.
pub(super) fn withdrawn() -> Failure {
    failure(Fault::Interrupted, "The request was changed before its reply was sent.").unasked()
}

/// The failure as the attempt of this number may tell it: the last one must not promise another.
pub(super) fn last_words(mut failure: Failure, attempt: i32, max_attempts: i32) -> Failure {
    if failure.fault == Fault::Transient && attempt >= max_attempts {
        let last = format!("that was the last of {max_attempts} attempts. Use rowcall.retry to send it after all.");
        failure.message = failure.message.replace(AGAIN, &last);
    }
    failure
}

/// What an answer without the provider's own words comes to, by its status alone. `setting` has the address.
pub(super) fn by_status(provider: &str, setting: &str, answer: &Answer) -> Reception {
    let status = answer.status.as_u16();
    let said = format!("{provider} answered with HTTP {status} and nothing else");
    match status {
        401 | 403 => Reception::refused(
            Fault::Credentials,
            format!("{said}; replies wait until its credentials are right, see the WhatsApp settings."),
        ),
        408 | 425 => Reception::transient(&said),
        429 => Reception::throttled(&format!("{provider} asks for patience"), answer, 5),
        404 | 405 | 407 | 410 | 421 | 300..=399 => Reception::refused(
            Fault::Configuration,
            format!("{said}, as if it were another address; replies wait until {setting} is right."),
        ),
        400..=499 => Reception::refused(
            Fault::Item,
            format!("{said}, so the reply was refused. Look at the action, then use rowcall.retry."),
        ),
        // Something between us and the provider may say so after the provider has taken the message.
        _ if status >= 500 => Reception::Unknown { what: said, is_outage: true },
        _ => Reception::Unknown {
            what: format!("{provider} answered with HTTP {status}, but not with the number of a message"),
            is_outage: false,
        },
    }
}
