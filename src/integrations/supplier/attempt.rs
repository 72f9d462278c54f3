//! One attempt: buy one bundle, or look one order up, and conclude from what came back.
//!
//! A purchase is sent again only where that cannot buy twice: nothing left this process, the supplier said in its own
//! words that it did not take it, or it takes an order once for each reference. Every other doubt is looked up where the
//! supplier can be asked by our reference, and else parked.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::{debug, info};

use super::answer::Said;
use super::order::{Operation, Order, Wrong};
use super::profile::{Exchange, LookUp, Profile, State};
use super::reception::{Reader, Reception, Seen, failure, fitting, interrupted, outage, withdrawn};
use super::request::{Impossible, Values, Writer};
use super::template::Place;
use super::{PREFIX, Supplier};
use crate::failure::{Failure, Fault};
use crate::integrations::Limits;
use crate::integrations::http::{Answer, Bounds, Cause, Lost, Sent, with_jitter};
use crate::integrations::redact::Redactor;
use crate::job::Job;
use crate::outcome::{Outcome, Verdict};

/// How often an order that only waits for a callback is looked at, to find those that wait too long.
const CALLBACK_PAUSE: Duration = Duration::from_hours(1);

/// What a person does once nobody can tell. A retry without force only asks again.
const LOOK: &str = "Nothing is bought again by itself: the supplier's callback settles it when it comes; else ask the \
    supplier, then use rowcall.resolve, or rowcall.retry_fulfillment with force and a note to buy it again.";

/// An attempt whose order has been read.
pub(super) struct Attempt<'a> {
    supplier: &'a Supplier,
    profile: &'a Profile,
    job: &'a Job,
    limits: &'a Limits,
    order: Order,
    /// As the supplier takes it.
    reference: String,
    provider_reference: Option<String>,
    /// The order is, or may be, with a supplier that this worker does not buy from any more.
    elsewhere: Option<String>,
    /// The supplier's last answer.
    said: Option<Said>,
    is_ported: bool,
    redactor: Redactor,
    /// What follows where the next attempt may do better.
    again: String,
}

/// Why there is no answer.
enum Silence {
    /// The request was not made, or certainly did not leave.
    Unsent(Failure),
    /// It may have arrived.
    Lost(Lost),
}

impl<'a> Attempt<'a> {
    pub(super) fn new(supplier: &'a Supplier, job: &'a Job, limits: &'a Limits) -> Result<Self, Wrong> {
        let order = Order::of(job)?;
        let settings = &supplier.settings;
        let profile = &settings.profile;
        let secrets = [&settings.api_key, &settings.api_secret].into_iter().flatten().map(ExposeSecret::expose_secret);
        let digits = order.digits();
        let redactor = Redactor::new(secrets.chain(digits.iter().map(String::as_str)));
        let again = if job.attempt >= job.max_attempts {
            format!("that was the last of {} attempts. Use rowcall.retry to try it again.", job.max_attempts)
        } else {
            "it is tried again by itself.".to_owned()
        };
        let (reference, provider_reference) = (order.reference(profile)?, order.provider_reference());
        let is_open = order.operation == Operation::LookUp || job.uncertain;
        let elsewhere = order.supplier().filter(|supplier| is_open && *supplier != profile.name).map(str::to_owned);
        let (said, is_ported) = (None, false);
        Ok(Self {
            supplier,
            profile,
            job,
            limits,
            order,
            reference,
            provider_reference,
            elsewhere,
            said,
            is_ported,
            redactor,
            again,
        })
    }

    pub(super) async fn run(&mut self) -> Outcome {
        if let Some(supplier) = &self.elsewhere {
            let what = "which this worker does not buy from any more, so it cannot be asked";
            return self.unknown(Fault::Unknowable, &format!("The order went to the supplier {supplier}, {what}."));
        }
        match self.order.operation {
            Operation::LookUp => self.look_up().await,
            Operation::Purchase if !self.job.uncertain || self.order.repeats_safely(self.profile, true) => {
                self.purchase().await
            }
            Operation::Purchase => self.doubt("An earlier attempt was cut off", false, false).await,
        }
    }

    async fn purchase(&mut self) -> Outcome {
        let purchase = match self.order.purchase(self.profile) {
            Ok(purchase) => purchase,
            Err(wrong) => return self.refused(failure(Fault::Item, wrong.to_string()).unasked()),
        };
        self.is_ported = purchase.is_ported;
        info!(prefix = PREFIX, key = self.job.key, reference = self.reference, "Buying a bundle");
        let reference = self.reference.clone();
        let values = |place| match place {
            Place::Reference => Some(reference.as_str().into()),
            place => purchase.value(place),
        };
        let answer = match self.call(Operation::Purchase, &self.profile.purchase, &values).await {
            Ok(answer) => answer,
            Err(Silence::Unsent(failure)) => return self.refused(failure),
            Err(Silence::Lost(lost)) => {
                return self.doubt(&format!("The supplier did not answer ({lost})"), false, false).await;
            }
        };
        info!(prefix = PREFIX, key = self.job.key, status = answer.status.as_u16(), "The supplier answered");
        self.hear(&answer);
        if let Some(said) = &self.said {
            let told = said.provider_reference(&self.profile.response.provider_reference);
            self.provider_reference = told.or_else(|| self.provider_reference.take());
        }
        match self.reader().purchase(&answer, self.said.as_ref()) {
            Reception::Taken(state) => self.stands(state),
            Reception::Refused(failure) => self.refused(failure),
            Reception::Known(what) => self.doubt(&what, false, true).await,
            Reception::Unclear { what, is_outage } => self.doubt(&what, is_outage, false).await,
        }
    }

    /// Nobody knows yet whether the purchase took effect. `is_known`: the supplier has an order under our reference, so
    /// that buying it again would tell nothing new.
    async fn doubt(&mut self, what: &str, is_outage: bool, is_known: bool) -> Outcome {
        let mut seen = String::new();
        if self.can_look() && !self.limits.stop.is_cancelled() {
            match self.look().await {
                Seen::Stands(state) => return self.stands(state),
                Seen::Nothing(why) => seen = format!(", and {why}"),
                Seen::Blocked(failure) => seen = format!(", and {}", failure.message.trim_end_matches('.')),
            }
        }
        let is_stopped = self.limits.stop.is_cancelled();
        let fault = if is_outage { Fault::Outage } else { Fault::Unknowable };
        if self.order.repeats_safely(self.profile, self.job.uncertain) && !is_known {
            let fault = match fault {
                Fault::Outage => Fault::Outage,
                _ if is_stopped => Fault::Interrupted,
                _ => Fault::Transient,
            };
            let next = "the supplier takes an order once for each reference, so it is sent again by itself.";
            let next = if fault == Fault::Transient { &self.again } else { next };
            return self.not_done(failure(fault, format!("{what}{seen}; {next}")).uncertain(), "in_doubt");
        }
        let doubted_for = self.order.doubted_for();
        if self.can_look() && doubted_for < self.profile.give_up() {
            let next = "nobody knows yet whether it took the order: it is looked up by itself, and not bought again.";
            let mut waiting = self.not_done(failure(fault, format!("{what}{seen}; {next}")).uncertain(), "in_doubt");
            waiting.verdict = Verdict::Wait;
            waiting.delay = Some(if is_stopped { Duration::ZERO } else { self.next_look(doubted_for) });
            return waiting;
        }
        self.unknown(fault, &format!("{what}{seen}, so nobody knows whether the bundle was bought."))
    }

    async fn look_up(&mut self) -> Outcome {
        let seen = if self.can_look() {
            match self.look().await {
                Seen::Stands(State::Pending) => Ok("has not yet delivered it".to_owned()),
                Seen::Stands(state) => return self.stands(state),
                Seen::Nothing(why) => Ok(format!("has not yet said that it is delivered: {why}")),
                Seen::Blocked(failure) => Err(failure),
            }
        } else {
            Ok("tells its delivery by its callback".to_owned())
        };
        // An order that was accepted at no known time cannot wait for one.
        let age = self.order.accepted_for().unwrap_or(Duration::MAX);
        if age >= self.profile.give_up() {
            let hours = self.profile.give_up_h;
            let what = "The supplier took the order and did not say within";
            return self.unknown(Fault::Unknowable, &format!("{what} {hours} hours that the bundle is delivered."));
        }
        match seen {
            Ok(words) => self.accepted(&words, age),
            Err(failure) => {
                // No breaker counts the time for it.
                let delay = failure.after.or_else(|| failure.fault.opens_breaker().then(|| self.next_look(age)));
                Outcome { delay, ..self.not_done(failure, "accepted") }
            }
        }
    }

    /// Looks the order up, once.
    async fn look(&mut self) -> Seen {
        let Some(look_up) = &self.profile.look_up else { return Seen::Nothing("it cannot be looked up".to_owned()) };
        let (reference, provider_reference) = (self.reference.clone(), self.provider_reference.clone());
        let values = |place| match place {
            Place::Reference => Some(Value::from(reference.as_str())),
            Place::ProviderReference => provider_reference.as_deref().map(Value::from),
            _ => None,
        };
        let answer = match self.call(Operation::LookUp, &look_up.request, &values).await {
            Ok(answer) => answer,
            Err(Silence::Unsent(failure)) => return Seen::Blocked(failure),
            Err(Silence::Lost(lost)) if lost.cause == Cause::Stopped => return Seen::Blocked(interrupted()),
            Err(Silence::Lost(lost)) => return Seen::Nothing(format!("the look-up had no answer ({lost})")),
        };
        debug!(prefix = PREFIX, key = self.job.key, status = answer.status.as_u16(), "Looked the order up");
        self.hear(&answer);
        let seen = self.reader().look_up(&answer, self.said.as_ref());
        let Seen::Stands(_) = seen else { return seen };
        let told = self.said.as_ref().and_then(|said| said.provider_reference(self.profile.number_looked_up()));
        match (&self.provider_reference, told) {
            // Asked by our reference, it may tell of an earlier purchase.
            (Some(ours), Some(told)) if *ours != told => {
                Seen::Nothing("the supplier tells of another order than it took last".to_owned())
            }
            (None, Some(told)) => {
                self.provider_reference = Some(told);
                seen
            }
            _ => seen,
        }
    }

    /// Makes one request, at the other address where no connection to the first can be made.
    async fn call(&self, operation: Operation, exchange: &Exchange, values: &Values<'_>) -> Result<Answer, Silence> {
        let settings = &self.supplier.settings;
        let time = self.profile.timeout().min(self.limits.timeout);
        let bounds = Bounds { deadline: Instant::now() + time, stop: self.limits.stop.clone() };
        let configuration = |missing: String| Silence::Unsent(failure(Fault::Configuration, missing));
        let http = self.supplier.http().map_err(configuration)?;
        let Some(_turn) = self.supplier.pace.turn(&bounds).await else {
            let late = "So many orders were ahead that its turn did not come; it goes on by itself.";
            let is_stopped = bounds.stop.is_cancelled();
            return Err(Silence::Unsent(if is_stopped { interrupted() } else { failure(Fault::Throttled, late) }));
        };
        let writer = Writer { settings, values };
        let mut unreachable = None;
        for base in settings.base_url().into_iter().chain(self.profile.fallback_url.as_ref()) {
            let request = writer.request(base.url(), exchange, Timestamp::now());
            let request = request.map_err(|impossible| Silence::Unsent(said_impossible(impossible)))?;
            // A turn may be long in coming, and an address long in refusing: asked as late as can be.
            if operation == Operation::Purchase && !self.limits.still.stands().await {
                return Err(Silence::Unsent(withdrawn()));
            }
            match http.call(request, &bounds).await {
                Ok(answer) => return Ok(answer),
                Err(lost) if lost.sent == Sent::Perhaps => return Err(Silence::Lost(lost)),
                Err(lost) if lost.cause == Cause::Stopped => return Err(Silence::Unsent(interrupted())),
                Err(lost) => unreachable = Some(lost),
            }
        }
        let why = unreachable.map(|lost| format!(" ({lost})")).unwrap_or_default();
        let what = format!("The supplier could not be reached{why}, so nothing was sent, see AT_ISHARE_API_URL");
        Err(Silence::Unsent(outage(&what)))
    }

    fn hear(&mut self, answer: &Answer) {
        let is_tolerant = self.profile.response.tolerant_json;
        self.said = answer.bytes().and_then(|body| Said::read(body, is_tolerant));
    }

    /// Whether the order can be looked up with what is known of it.
    fn can_look(&self) -> bool {
        let places = |look_up: &LookUp| look_up.request.places();
        let needs_theirs = |look_up| places(look_up).contains(&Place::ProviderReference);
        self.profile.look_up.as_ref().is_some_and(|look_up| self.provider_reference.is_some() || !needs_theirs(look_up))
    }

    /// The time to the next look-up: the schedule counts from the moment at which the order was taken.
    fn next_look(&self, age: Duration) -> Duration {
        let schedule = self.profile.look_up.as_ref().map_or(&[][..], |look_up| &look_up.schedule_s);
        let pause = next_in(schedule, age).unwrap_or(CALLBACK_PAUSE);
        let left = self.profile.give_up().saturating_sub(age).max(Duration::from_secs(1));
        with_jitter(pause).min(left)
    }

    fn reader(&self) -> Reader<'_> {
        Reader { profile: self.profile, redactor: &self.redactor, again: &self.again }
    }

    /// What follows from a state that the supplier told.
    fn stands(&self, state: State) -> Outcome {
        match state {
            State::Delivered => Outcome::done(Some(self.result(state.as_str()))),
            State::Pending => self.accepted("has not yet delivered it", self.order.accepted_for().unwrap_or_default()),
            State::Failed | State::Reversed => {
                let ended = self.reader().ended(state, self.said.as_ref());
                self.not_done(ended, state.as_str())
            }
        }
    }

    /// Taken, and not yet known to be delivered.
    fn accepted(&self, words: &str, age: Duration) -> Outcome {
        let how = if self.can_look() { "it is looked up by itself." } else { "its callback is awaited." };
        // It is nobody's fault: no breaker, no attempt.
        Outcome {
            verdict: Verdict::Wait,
            delay: Some(self.next_look(age)),
            error: Some(fitting(&format!("The supplier took the order and {words}; {how}"))),
            ..Outcome::done(Some(self.result("accepted")))
        }
    }

    /// A purchase that certainly had no effect; what was in doubt before it, is still.
    fn refused(&self, mut failure: Failure) -> Outcome {
        if self.job.uncertain && failure.fault == Fault::Item {
            let what = failure.message.trim_end_matches('.');
            return self.unknown(Fault::Unknowable, &format!("{what}; an earlier attempt may have bought the bundle."));
        }
        failure.uncertain = self.job.uncertain;
        self.not_done(failure, if self.job.uncertain { "in_doubt" } else { "refused" })
    }

    fn unknown(&self, fault: Fault, what: &str) -> Outcome {
        let mut parked = self.not_done(failure(fault, format!("{what} {LOOK}")).uncertain(), "unknown");
        // Parked in any case. Where other orders would end the same way, the fault opens the breaker too.
        parked.verdict = Verdict::Unknown;
        parked
    }

    fn not_done(&self, failure: Failure, state: &str) -> Outcome {
        let mut outcome = Outcome::from(failure);
        outcome.result = Some(self.result(state));
        outcome
    }

    /// What the settle reads, and history keeps.
    fn result(&self, state: &str) -> Value {
        let mut result = json!({
            "state": state, "supplier": self.elsewhere.as_ref().unwrap_or(&self.profile.name), "reference": self.reference,
            "provider_reference": self.provider_reference,
            "response": self.said.as_ref().map(|said| said.kept(&self.redactor)),
        });
        if self.is_ported {
            result["warning"] = "The number does not begin like this network's; it may have been ported.".into();
        }
        result
    }
}

/// The pause that follows in a schedule after this age; the last one repeats.
fn next_in(schedule: &[u64], age: Duration) -> Option<Duration> {
    let mut due = Duration::ZERO;
    for seconds in schedule {
        due += Duration::from_secs(*seconds);
        if let Some(left) = due.checked_sub(age).filter(|left| !left.is_zero()) {
            return Some(left);
        }
    }
    schedule.last().copied().map(Duration::from_secs)
}

fn said_impossible(impossible: Impossible) -> Failure {
    match impossible {
        Impossible::Setting(variable) => failure(
            Fault::Configuration,
            format!("{variable} is missing or cannot be used as it is; orders wait until it is right."),
        ),
        Impossible::Order(place) => failure(
            Fault::Item,
            format!(
                "The order has nothing for ${{{}}} of the profile; correct it, then use rowcall.retry.",
                place.name()
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_follow_the_schedule_from_the_moment_of_acceptance() {
        let schedule = [5, 10, 15, 60];
        for (age, pause) in [(0, 5), (4, 1), (5, 10), (7, 8), (15, 15), (29, 1), (30, 60), (90, 60), (5000, 60)] {
            assert_eq!(next_in(&schedule, Duration::from_secs(age)), Some(Duration::from_secs(pause)), "{age}");
        }
        assert_eq!(next_in(&[], Duration::ZERO), None);
    }
}
