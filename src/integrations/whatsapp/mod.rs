//! Replies to customers over WhatsApp, by Meta's Cloud API or by Infobip.
//!
//! Neither provider has an idempotency key, and neither can be asked what became of a message. So a message is sent once:
//! only what certainly did not go out is sent again, and whatever nobody can tell is `unknown`, to be settled by the
//! provider's delivery report, which carries our reference (`queue:key:generation`), or by a person.
//!
//! One job is at most two messages to the provider: the second is the approved template, after the free text was refused
//! because the contact has been silent for more than 24 hours. Pace and order are the queue's business, not ours.

pub mod meta;
pub mod infobip;
pub mod agent;
mod provider;
mod request;
mod attempt;
mod reception;
mod pairs;

use futures_util::future::BoxFuture;
use secrecy::SecretString;
use serde_json::json;

use self::agent::Agent;
use self::attempt::{Attempt, Ended};
use self::infobip::Infobip;
use self::meta::Meta;
use self::pairs::Pairs;
use self::provider::Provider;
use self::reception::last_words;
use self::request::Phone;
use super::http::Http;
use super::{Integration, Limits};
use crate::job::Job;
use crate::outcome::{Outcome, Verdict};

/// Which provider sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderName {
    /// Meta's Cloud API.
    Meta,
    /// Infobip.
    Infobip,
}

/// What the integration needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `WHATSAPP_PROVIDER`
    pub provider: ProviderName,
    /// `WHATSAPP_…`
    pub meta: meta::Settings,
    /// `INFOBIP_…`
    pub infobip: infobip::Settings,
    /// `AGENT_…`; without an address there is no agent.
    pub agent: Option<agent::Settings>,
}

/// Runs the operation of the queue `actions`.
#[derive(Debug)]
pub struct WhatsApp {
    provider: Box<dyn Provider>,
    agent: Option<Agent>,
    http: Result<Http, String>,
    pairs: Pairs,
    /// Of all providers and the agent: none may stand on a row, whoever quotes it.
    secrets: Vec<SecretString>,
}

impl WhatsApp {
    /// The integration with these settings.
    pub fn new(settings: Settings) -> Self {
        let Settings { provider, meta, infobip, agent } = settings;
        let secrets =
            [&meta.access_token, &meta.app_secret, &meta.verify_token, &infobip.api_key].into_iter().flatten();
        let secrets = secrets.chain(agent.as_ref().and_then(|agent| agent.api_key.as_ref())).cloned().collect();
        let provider: Box<dyn Provider> = match provider {
            ProviderName::Meta => Box::new(Meta::new(meta)),
            ProviderName::Infobip => Box::new(Infobip::new(infobip)),
        };
        let http = Http::new().map_err(|_| {
            "TLS could not be set up, for lack of root certificates as a rule; replies wait until it can.".to_owned()
        });
        Self { provider, agent: agent.map(Agent::new), http, pairs: Pairs::default(), secrets }
    }

    fn http(&self) -> Result<&Http, String> {
        let missing = self.provider.missing();
        if !missing.is_empty() {
            return Err(format!("WhatsApp is not configured: replies wait until {} is set.", missing.join(", ")));
        }
        self.http.as_ref().map_err(Clone::clone)
    }
}

impl Integration for WhatsApp {
    fn ready(&self) -> Result<(), String> {
        self.http().map(drop)
    }

    fn execute<'a>(&'a self, job: &'a Job, limits: &'a Limits) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let (ended, made) = match Attempt::new(self, job, limits) {
                Ok(mut attempt) => (attempt.run().await, attempt.made),
                Err(ended) => (Err(ended), None),
            };
            let made = made.map(|reply| json!({"text": reply.text, "made_by": reply.made_by}));
            match ended {
                Ok(message_id) => {
                    let mut result = made.unwrap_or_else(|| json!({}));
                    result["message_id"] = json!(message_id);
                    result["provider"] = json!(self.provider.name());
                    Outcome::done(Some(result))
                }
                Err(ended) => not_done(ended, made, job),
            }
        })
    }
}

/// A phone number in E.164's digits, as people write them; nothing unless it is international.
pub fn phone_digits(text: &str) -> Option<String> {
    Phone::parse(text).map(|phone| phone.digits().to_owned())
}

fn not_done(ended: Ended, made: Option<serde_json::Value>, job: &Job) -> Outcome {
    let mut outcome = Outcome::from(last_words(ended.failure, job.attempt, job.max_attempts));
    outcome.result = made;
    if ended.is_unknown {
        // Parked in any case. Where other replies would end the same way, the fault opens the breaker too.
        outcome.verdict = Verdict::Unknown;
    }
    outcome
}
