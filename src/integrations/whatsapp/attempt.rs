//! One attempt to send one reply: check, compose, send, and conclude from what came back.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::ExposeSecret;
use tokio::time::Instant;
use tracing::debug;

use super::WhatsApp;
use super::agent::Unusable;
use super::provider::{Content, Message, Try};
use super::reception::{LOOK, Reception, failure, interrupted, withdrawn};
use super::request::{ApprovedTemplate, Payload, Phone, Wrong};
use crate::failure::{Failure, Fault};
use crate::integrations::http::{Bounds, Cause, Http, Lost, Sent};
use crate::integrations::quote::Private;
use crate::integrations::{Limits, Still};
use crate::job::Job;

/// How long a provider may take to answer, whatever the operation's time limit.
const SEND_TIME_MAX: Duration = Duration::from_secs(30);

/// An attempt whose job has been found in order.
pub(super) struct Attempt<'a> {
    whatsapp: &'a WhatsApp,
    http: &'a Http,
    job: &'a Job,
    payload: Payload,
    phone: Phone,
    bounds: Bounds,
    still: Still,
    /// What was sent last, or was about to be.
    pub(super) made: Option<Reply>,
}

/// What is sent, and how it was made.
pub(super) struct Reply {
    pub(super) text: String,
    /// `template`, `agent` or `approved_template`.
    pub(super) made_by: &'static str,
}

/// What an attempt came to that did not get the reply accepted.
pub(super) struct Ended {
    pub(super) failure: Failure,
    /// Nobody can tell whether the message went out.
    pub(super) is_unknown: bool,
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self { failure, is_unknown: false }
    }
}

impl From<Wrong> for Ended {
    fn from(wrong: Wrong) -> Self {
        failure(Fault::Item, wrong.to_string()).unasked().into()
    }
}

impl<'a> Attempt<'a> {
    /// The attempt, unless it is clear already that nothing may be sent.
    pub(super) fn new(whatsapp: &'a WhatsApp, job: &'a Job, limits: &Limits) -> Result<Self, Ended> {
        if job.uncertain {
            let what = "An earlier attempt was cut off, and WhatsApp cannot be asked whether the reply went out.";
            let mut ended = unknown(format!("{what} {LOOK}"), false);
            ended.failure.unasked = true;
            return Err(ended);
        }
        let http = whatsapp.http().map_err(|missing| failure(Fault::Configuration, missing))?;
        let payload = Payload::of(job)?;
        let phone = payload.phone()?;
        let bounds = Bounds { deadline: Instant::now() + limits.timeout, stop: limits.stop.clone() };
        Ok(Self { whatsapp, http, job, payload, phone, bounds, still: limits.still.clone(), made: None })
    }

    /// Sends the reply; the provider's number of the message.
    pub(super) async fn run(&mut self) -> Result<String, Ended> {
        let approved = self.payload.approved_template.as_ref().map(ApprovedTemplate::sendable);
        let reception = match approved {
            Some(approved) if self.payload.is_window_closed(Timestamp::now()) => self.send_approved(&approved).await?,
            approved => match (self.send_text().await?, approved) {
                (Reception::WindowClosed, Some(approved)) => self.send_approved(&approved).await?,
                (reception, _) => reception,
            },
        };
        conclude(reception)
    }

    async fn send_text(&mut self) -> Result<Reception, Ended> {
        let template = self.payload.text()?;
        let reply = self.compose(template).await?;
        let text = reply.text.clone();
        self.made = Some(reply);
        self.send(Content::Text(&text), &text).await
    }

    async fn send_approved(&mut self, approved: &ApprovedTemplate) -> Result<Reception, Ended> {
        let text = approved.shown();
        self.made = Some(Reply { text: text.clone(), made_by: "approved_template" });
        self.send(Content::Template(approved), &text).await
    }

    /// The reply in the agent's words if there is an agent and they are usable, else in the template's.
    async fn compose(&self, template: String) -> Result<Reply, Failure> {
        let Some(agent) = &self.whatsapp.agent else { return Ok(Reply { text: template, made_by: "template" }) };
        match agent.write(self.http, &self.payload, &template, &self.bounds).await {
            Ok(text) => Ok(Reply { text, made_by: "agent" }),
            Err(Unusable::Stopped) => Err(interrupted()),
            Err(why) => {
                let Job { queue, key, .. } = self.job;
                debug!(queue, key, %why, "The template is sent, not the agent's words");
                Ok(Reply { text: template, made_by: "template" })
            }
        }
    }

    async fn send(&self, content: Content<'_>, text: &str) -> Result<Reception, Ended> {
        let WhatsApp { provider, pairs, secrets, .. } = self.whatsapp;
        if self.bounds.stop.is_cancelled() {
            return Err(interrupted().into());
        }
        let reference = self.job.idempotency_key();
        let message = Message { to: &self.phone, content, reference: &reference };
        let request = provider.request(&message).map_err(|setting| {
            failure(Fault::Configuration, format!("{setting} cannot be used as it is; replies wait until it is right."))
        })?;
        let mut bounds = self.bounds.clone();
        bounds.deadline = bounds.deadline.min(Instant::now() + SEND_TIME_MAX);
        if !self.still.stands().await {
            return Err(withdrawn().into());
        }
        let answer = self.http.call(request, &bounds).await.map_err(|lost| self.lost(&lost))?;
        let secrets = secrets.iter().map(ExposeSecret::expose_secret).chain([self.phone.digits()]);
        let private = Private::new(secrets, self.payload.texts().chain([text]), self.payload.contact.name.as_deref());
        let this = Try { attempt: self.job.attempt, pair_pauses: pairs.pauses(&reference) };
        let reception = provider.read(&answer, &this, &private);
        pairs.note(reference, matches!(reception, Reception::PairLimit(_)));
        Ok(reception)
    }

    /// What the lack of an answer comes to.
    fn lost(&self, lost: &Lost) -> Ended {
        match (lost.sent, lost.cause) {
            (Sent::No, Cause::Stopped) => interrupted().into(),
            (Sent::No, _) => {
                let setting = self.whatsapp.provider.address_setting();
                let what = format!("WhatsApp could not be reached ({lost}), so nothing was sent");
                failure(Fault::Outage, format!("{what}; replies wait until it can, see {setting}.")).into()
            }
            (Sent::Perhaps, cause) => {
                let what = format!("WhatsApp did not answer ({lost}), so nobody knows whether the reply went out.");
                // Whoever takes a message and does not answer may do the same to all: one at a time, until one is answered.
                unknown(format!("{what} {LOOK}"), cause != Cause::Stopped)
            }
        }
    }
}

fn conclude(reception: Reception) -> Result<String, Ended> {
    match reception {
        Reception::Accepted(message_id) => Ok(message_id),
        Reception::Refused(failure) | Reception::PairLimit(failure) => Err(failure.into()),
        Reception::WindowClosed => Err(failure(
            Fault::Item,
            "The contact has written nothing for more than 24 hours, and then WhatsApp takes approved templates only \
             (code 131047). Name one in response_templates, or wait for the contact to write; then use rowcall.retry.",
        )
        .into()),
        Reception::Unknown { what, is_outage } => {
            Err(unknown(format!("{what}, so nobody knows whether the reply went out. {LOOK}"), is_outage))
        }
    }
}

/// Nobody can tell whether the message went out; `is_outage` when others should wait rather than end so too.
fn unknown(message: String, is_outage: bool) -> Ended {
    let fault = if is_outage { Fault::Outage } else { Fault::Unknowable };
    Ended { failure: failure(fault, message).uncertain(), is_unknown: true }
}
