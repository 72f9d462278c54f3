//! How a supplier received a purchase, or answered a look-up, and in which words the row says so.

use std::time::Duration;

use super::answer::Said;
use super::profile::{Class, Profile, State};
use crate::failure::{Failure, Fault};
use crate::integrations::http::{Answer, with_jitter};
use crate::integrations::redact::{Redactor, cut};

/// How long what goes on the row may be, in characters.
const MESSAGE_CHARS_MAX: usize = 500;

/// How much of a supplier's words is quoted, in characters.
const QUOTE_CHARS_MAX: usize = 160;

/// A code is quoted if it is one, and not a sentence.
const CODE_CHARS_MAX: usize = 40;

/// For how long a supplier is left alone that asks for patience and does not say for how long.
const PATIENCE: Duration = Duration::from_secs(10);

/// What became of one purchase.
#[derive(Debug)]
pub(super) enum Reception {
    /// It was taken, and stands so.
    Taken(State),
    /// It was not, and certainly had no effect.
    Refused(Failure),
    /// The supplier knows this order already; what follows is what it said.
    Known(String),
    /// Nobody can tell.
    Unclear {
        /// What happened.
        what: String,
        /// Other orders would meet the same, so they should wait.
        is_outage: bool,
    },
}

/// What a look-up found.
#[derive(Debug)]
pub(super) enum Seen {
    /// The order stands so.
    Stands(State),
    /// Nothing of use, for this reason; to be looked up again.
    Nothing(String),
    /// Nothing, and other requests would meet the same.
    Blocked(Failure),
}

/// Reads an answer with the profile's eyes.
pub(super) struct Reader<'a> {
    pub(super) profile: &'a Profile,
    pub(super) redactor: &'a Redactor,
    /// What follows where the next attempt may do better.
    pub(super) again: &'a str,
}

impl Reader<'_> {
    /// What became of a purchase.
    pub(super) fn purchase(&self, answer: &Answer, said: Option<&Said>) -> Reception {
        let Some(said) = said else { return by_status(answer, "") };
        if answer.status.is_success() && said.is_success(self.profile) {
            return Reception::Taken(said.state_bought(self.profile));
        }
        let quote = self.quote(said);
        // A code is the supplier's own verdict. Words are read only where it certainly refuses: a wallet is also named by who
        // has just debited it.
        let is_refusal = match answer.status.as_u16() {
            408 | 425 => false,
            400..=499 => true,
            status => (200..=299).contains(&status) && said.is_failure(self.profile),
        };
        let words = said.class_of_words(self.profile).filter(|class| is_refusal || class.is_doubt());
        match said.class_of_code(self.profile).or(words) {
            Some(class) => self.by_class(class, answer, &quote),
            None => by_status(answer, &quote),
        }
    }

    /// What a look-up found. Only a success says how an order stands: what is not found has not failed.
    pub(super) fn look_up(&self, answer: &Answer, said: Option<&Said>) -> Seen {
        let state = self.profile.look_up.as_ref().zip(said).and_then(|(look_up, said)| {
            let state = said.state(self.profile, &look_up.state);
            state.filter(|_| answer.status.is_success())
        });
        if let Some(state) = state {
            return Seen::Stands(state);
        }
        let quote = said.map(|said| self.quote(said)).unwrap_or_default();
        let status = answer.status.as_u16();
        match (status, said.and_then(|said| said.class(self.profile))) {
            (401 | 403, _) | (_, Some(Class::Credentials)) => Seen::Blocked(credentials(&quote)),
            (429, _) | (_, Some(Class::Throttled)) => Seen::Blocked(throttled(answer, &quote)),
            (404, _) => Seen::Nothing(format!("the supplier does not find the order{quote}")),
            (200..=299, _) => Seen::Nothing(format!("the supplier does not say how the order stands{quote}")),
            _ => Seen::Nothing(format!("the supplier answered the look-up with HTTP {status}{quote}")),
        }
    }

    fn by_class(&self, class: Class, answer: &Answer, quote: &str) -> Reception {
        Reception::Refused(match class {
            Class::Wallet => wallet(quote),
            Class::Credentials => credentials(quote),
            Class::Outage => outage(&format!("The supplier cannot sell just now{quote}")),
            Class::Throttled => throttled(answer, quote),
            Class::Retry => self.transient(&format!("The supplier could not do it just now{quote}")),
            Class::Failed => refused(quote),
            Class::Verify => return Reception::Known(format!("The supplier knows this order already{quote}")),
            Class::Unknown => {
                let what = format!("The supplier met a fault of its own{quote}");
                return Reception::Unclear { what, is_outage: false };
            }
        })
    }

    /// The next attempt may not meet it.
    pub(super) fn transient(&self, what: &str) -> Failure {
        failure(Fault::Transient, format!("{what}; {}", self.again))
    }

    /// The supplier took the order and then did not deliver it.
    pub(super) fn ended(&self, state: State, said: Option<&Said>) -> Failure {
        let quote = said.map(|said| self.quote(said)).unwrap_or_default();
        let what = match state {
            State::Reversed => format!("The supplier took the order back{quote}"),
            _ => format!("The supplier could not deliver the bundle{quote}"),
        };
        let is_final = said.and_then(|said| said.class(self.profile)) == Some(Class::Failed);
        if is_final {
            return failure(Fault::Item, format!("{what}. Look at the order, then use rowcall.retry."));
        }
        // Another purchase, under another reference.
        self.transient(&what)
    }

    /// Its code and its words in parentheses, with a space before; nothing where there are none.
    fn quote(&self, said: &Said) -> String {
        let is_code = |text: &String| {
            text.len() <= CODE_CHARS_MAX
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
        };
        let code = said.text(&self.profile.response.code).filter(is_code).map(|code| self.redactor.redact(&code));
        let words = said.text(&self.profile.response.message);
        let words = words.map(|words| self.redactor.line(&words, QUOTE_CHARS_MAX)).filter(|words| !words.is_empty());
        match (code, words) {
            (Some(code), Some(words)) if code != words => format!(" (code {code}: {words})"),
            (Some(code), _) => format!(" (code {code})"),
            (None, Some(words)) => format!(" ({words})"),
            (None, None) => String::new(),
        }
    }
}

/// What an answer comes to whose words mean nothing to the profile, by its status alone.
fn by_status(answer: &Answer, quote: &str) -> Reception {
    let status = answer.status.as_u16();
    let said = format!("The supplier answered with HTTP {status}{quote}");
    Reception::Refused(match status {
        401 | 403 => credentials(quote),
        402 => wallet(quote),
        409 => return Reception::Known(format!("The supplier says that the order conflicts with another{quote}")),
        429 => throttled(answer, quote),
        404 | 405 | 407 | 410 | 421 => failure(
            Fault::Configuration,
            format!("{said}, as if it were another address; orders wait until AT_ISHARE_API_URL is right."),
        ),
        // Something between us and the supplier may say so after the supplier has taken the order.
        408 | 425 => return Reception::Unclear { what: said, is_outage: false },
        400..=499 => refused(quote),
        300..=399 => {
            let what = format!("{said}, as if it were another address (see AT_ISHARE_API_URL)");
            return Reception::Unclear { what, is_outage: true };
        }
        500.. => return Reception::Unclear { what: said, is_outage: true },
        _ => return Reception::Unclear { what: format!("{said}, which is no success"), is_outage: false },
    })
}

/// A failure whose message fits on the row.
pub(super) fn failure(fault: Fault, message: impl AsRef<str>) -> Failure {
    Failure::new(fault, fitting(message.as_ref()))
}

/// The words as they fit on the row.
pub(super) fn fitting(message: &str) -> String {
    cut(message, MESSAGE_CHARS_MAX)
}

/// The worker stops.
pub(super) fn interrupted() -> Failure {
    failure(
        Fault::Interrupted,
        "The worker was stopped before the supplier was asked; the order goes on by itself when a worker runs again.",
    )
}

/// The order was changed or taken back before it was bought.
pub(super) fn withdrawn() -> Failure {
    failure(Fault::Interrupted, "The order was changed before it was bought.").unasked()
}

/// The supplier is down, or sells nothing to anybody.
pub(super) fn outage(what: &str) -> Failure {
    failure(Fault::Outage, format!("{what}; orders wait and go on by themselves."))
}

fn wallet(quote: &str) -> Failure {
    let what = "Our account with the supplier is empty";
    failure(Fault::Outage, format!("{what}{quote}; orders wait until it is topped up, and go on by themselves."))
}

fn credentials(quote: &str) -> Failure {
    let what = "The supplier refused the access";
    failure(
        Fault::Credentials,
        format!("{what}{quote}; orders wait until AT_ISHARE_API_KEY and AT_ISHARE_API_SECRET are right."),
    )
}

fn throttled(answer: &Answer, quote: &str) -> Failure {
    let delay = answer.retry_after.unwrap_or(PATIENCE);
    let what = format!("The supplier asks for patience{quote}; the order goes on by itself.");
    failure(Fault::Throttled, what).after(with_jitter(delay))
}

fn refused(quote: &str) -> Failure {
    failure(Fault::Item, format!("The supplier refused the order{quote}. Look at it, then use rowcall.retry."))
}
