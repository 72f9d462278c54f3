//! Data bundles, bought from whichever supplier a profile describes.
//!
//! What a supplier wants and what its answers mean stands in a profile (`profile.rs`, `docs/suppliers.md`); the rules that
//! keep an order from being bought twice stand here and hold for all of them. Accepted is not delivered: an order waits,
//! looked up by the profile's schedule or told by the supplier's callback, until one of them says so or a person must look.
//!
//! # The contract with the queue's SQL
//!
//! The claim's `operation` is `purchase`, or `look_up` once the order was accepted. Its `payload`:
//!
//! | key | what |
//! |---|---|
//! | `reference` | text: the same until the supplier has ended what it took, for it keeps a supplier from selling twice |
//! | `phone_number`, `package`, `network` | as they stand on the order: `+233…` or `0…`, `1GB`, `AT-iShare` |
//! | `amount` | the order's, as a text or a number with at most two decimals, or null |
//! | `supplier` | the last `result.supplier`, or null: an order in doubt is not bought from another one |
//! | `provider_reference` | the last `result.provider_reference`, or null |
//! | `accepted_at` | when the first result with `state = 'accepted'` was settled, or null; a `look_up` has it |
//! | `doubted_at` | since when nobody knows whether it was bought; null: nobody has to know, or from now on |
//! | `created_at` | of the order's row: no attempt is older |
//! | `now` | the database's clock at the claim; without it, the worker's |
//!
//! `uncertain` on a `purchase` means that an earlier one may have taken effect. Every outcome that came so far as to read
//! the order has a `result`: `{state, supplier, reference, provider_reference, response, warning?}`. `reference` is what the
//! supplier was told, `response` its last answer without secrets and numbers, at most 2000 characters.
//!
//! | verdict | `result.state` | what the row does |
//! |---|---|---|
//! | `done` | `delivered` | it is done |
//! | `wait` | `accepted` | set `accepted_at` once; the next operation is `look_up`, after the delay |
//! | `wait` | `in_doubt` | as for any uncertain outcome: the next `purchase` is `uncertain`, and looks before it buys |
//! | `wait` | `refused` | nobody's fault on the row: no money, no login, no supplier |
//! | `retry`, `failed` | `refused` | it had no effect |
//! | `retry`, `failed` | `failed`, `reversed` | it was taken and came to nothing: forget `accepted_at` and `provider_reference`, and give the next purchase another `reference` |
//! | `retry` | `in_doubt` | the supplier takes an order once for each reference, and gets it again |
//! | `unknown` | `unknown` | a callback may still settle it, or a person |
//!
//! Whenever a result has a `supplier` or a `provider_reference`, the row keeps it; without a result it keeps what it has. A callback's
//! report is matched by `provider_reference` where both sides have one, else by `reference`, else by what the supplier was
//! told.

pub mod callback;
pub mod profile;
mod template;
mod reference;
mod number;
mod bundle;
mod order;
mod sign;
mod request;
mod answer;
mod reception;
mod attempt;
mod pace;

use futures_util::future::BoxFuture;
use secrecy::SecretString;

use self::attempt::Attempt;
use self::callback::Callbacks;
use self::order::Order;
use self::pace::Pace;
use self::profile::{Address, Auth, CallbackAuth, Means, Profile};
use self::reception::failure;
use self::template::{Place, Template};
use super::http::Http;
use super::{Integration, Limits};
use crate::failure::Fault;
use crate::job::Job;
use crate::outcome::Outcome;

/// What the lines of its log are found by.
const PREFIX: &str = "[AT-ISHARE]";

/// What the integration needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `AT_ISHARE_PROFILE`
    pub profile: Profile,
    /// `AT_ISHARE_API_URL`; the profile may have one too.
    pub base_url: Option<Address>,
    /// `AT_ISHARE_API_KEY`
    pub api_key: Option<SecretString>,
    /// `AT_ISHARE_API_SECRET`: signs requests, or proves callbacks, or both, as the profile says.
    pub api_secret: Option<SecretString>,
    /// `AT_ISHARE_CALLBACK_URL`: told to suppliers that want to hear it with every purchase.
    pub callback_url: Option<Address>,
}

/// Runs the operations of the queue `fulfillment_logs`.
#[derive(Debug)]
pub struct Supplier {
    settings: Settings,
    http: Result<Http, String>,
    pace: Pace,
}

impl Settings {
    /// Where the supplier is, if that is known.
    fn base_url(&self) -> Option<&Address> {
        self.base_url.as_ref().or(self.profile.base_url.as_ref())
    }

    /// The settings without which nothing can be bought, or no delivery be known.
    fn missing(&self) -> Vec<&'static str> {
        let profile = &self.profile;
        let shown: Vec<Place> = profile
            .auth
            .iter()
            .flat_map(|auth| match auth {
                Auth::Header { value, .. } | Auth::Query { value, .. } | Auth::Body { value, .. } => vec![value],
                Auth::Basic { username, password } => vec![username, password],
            })
            .flat_map(Template::places)
            .collect();
        // Where an order can be looked up, callbacks are a convenience.
        let is_callback_needed = profile.look_up.is_none()
            && profile.callback.as_ref().is_some_and(|callback| callback.auth != CallbackAuth::None);
        let is_secret_needed = profile.signing.is_some() || is_callback_needed || shown.contains(&Place::ApiSecret);
        let is_told_later = profile.response.success_means == Means::Accepted && profile.look_up.is_none();
        let is_called_back_only = is_told_later && profile.purchase.places().contains(&Place::CallbackUrl);
        let needed = [
            ("AT_ISHARE_API_URL", self.base_url().is_none()),
            ("AT_ISHARE_API_KEY", self.api_key.is_none() && shown.contains(&Place::ApiKey)),
            ("AT_ISHARE_API_SECRET", self.api_secret.is_none() && is_secret_needed),
            ("AT_ISHARE_CALLBACK_URL", self.callback_url.is_none() && is_called_back_only),
        ];
        needed.iter().filter(|(_, is_missing)| *is_missing).map(|(name, _)| *name).collect()
    }

    /// Whether its callbacks are heard, so that whoever can call may.
    pub fn is_called(&self) -> bool {
        let auth = self.profile.callback.as_ref().map(|callback| callback.auth);
        auth.is_some_and(|auth| auth == CallbackAuth::None || self.api_secret.is_some())
    }

    /// What reads this supplier's callbacks.
    pub fn callbacks(&self) -> Callbacks {
        Callbacks::new(self)
    }
}

impl Supplier {
    /// The integration with these settings.
    pub fn new(settings: Settings) -> Self {
        let http = Http::new().map_err(|_| {
            "TLS could not be set up, for lack of root certificates as a rule; orders wait until it can.".to_owned()
        });
        Self { pace: Pace::new(settings.profile.rate), settings, http }
    }

    fn http(&self) -> Result<&Http, String> {
        let missing = self.settings.missing();
        if !missing.is_empty() {
            let name = &self.settings.profile.name;
            let missing = missing.join(", ");
            return Err(format!("The supplier ({name}) is not configured: orders wait until {missing} is set."));
        }
        self.http.as_ref().map_err(Clone::clone)
    }
}

impl Integration for Supplier {
    fn ready(&self) -> Result<(), String> {
        self.http().map(drop)
    }

    fn target(&self) -> Option<String> {
        Some(format!("supplier:{}", self.settings.profile.name))
    }

    /// An empty wallet is no reason not to ask after what was paid for.
    fn is_held_up(&self, job: &Job) -> bool {
        let profile = &self.settings.profile;
        match Order::of(job) {
            Ok(order) if job.uncertain => order.is_purchase() && order.repeats_safely(profile, true),
            Ok(order) => order.is_purchase(),
            Err(_) => job.operation != "look_up" && !job.uncertain,
        }
    }

    fn execute<'a>(&'a self, job: &'a Job, limits: &'a Limits) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            match Attempt::new(self, job, limits) {
                Ok(mut attempt) => attempt.run().await,
                Err(wrong) => {
                    // What was bought, or may have been, is not failed for want of a readable order.
                    let is_open = job.uncertain || job.operation == "look_up";
                    let mut failure = failure(if is_open { Fault::Unknowable } else { Fault::Item }, wrong.to_string());
                    failure.uncertain = is_open;
                    failure.into()
                }
            }
        })
    }
}
