//! What a supplier calls back with: proven first, over the bytes as they came, then read.
//!
//! Pure: bytes and headers in, a report out. A report that comes twice is the same report, and one may come late: a
//! delivery after a person had to look, a reversal days after a success. What follows is the database's to say.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, HeaderMap};
use secrecy::{ExposeSecret, SecretString};

use super::Settings;
use super::answer::Said;
use super::profile::{Callback, CallbackAuth, Profile, State};
use super::sign::{self, Encoding};
use crate::integrations::redact::Redactor;

/// How much of a supplier's words is told, in characters.
const TEXT_CHARS_MAX: usize = 160;

/// Reads one supplier's callbacks. Its debug output shows no secret.
#[derive(Debug, Clone)]
pub struct Callbacks {
    profile: Profile,
    secret: Option<SecretString>,
}

/// A callback as it came.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// `token` of its address.
    pub token: Option<&'a str>,
    /// Its body, untouched.
    pub body: &'a [u8],
    /// When it came.
    pub now: Timestamp,
}

/// What it says of one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The order's reference, where what was told leads back to it.
    pub reference: Option<String>,
    /// The reference as it was told: `result.reference` of the purchase.
    pub told_reference: Option<String>,
    /// The supplier's number of the order. Where both are known, both must fit the row.
    pub provider_reference: Option<String>,
    /// How the order stands; `pending` also where the word is not known.
    pub state: State,
    /// The supplier's code.
    pub code: Option<String>,
    /// Its words, without secrets and numbers.
    pub text: Option<String>,
    /// Whether it proved itself, with all that it says. Otherwise it may bring the next look-up forward, and settle nothing.
    pub is_proven: bool,
}

/// Why a callback is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// This supplier does not call back.
    #[error("the profile has no callback")]
    NoCallback,
    /// There is nothing to check it with.
    #[error("this webhook has no secret yet; set AT_ISHARE_API_SECRET")]
    NotConfigured,
    /// Its proof is missing, wrong, or too old.
    #[error("the callback's proof is missing, wrong or too old")]
    NotProven,
    /// It says nothing of an order.
    #[error("the callback is not JSON that names an order")]
    NotReadable,
}

impl Callbacks {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { profile: settings.profile.clone(), secret: settings.api_secret.clone() }
    }

    /// The supplier: the last part of the webhook's address.
    pub fn supplier(&self) -> &str {
        &self.profile.name
    }

    /// Checks a callback and reads it.
    pub fn read(&self, call: &Call<'_>) -> Result<Report, Refused> {
        let callback = self.profile.callback.as_ref().ok_or(Refused::NoCallback)?;
        let has_proof = callback.auth != CallbackAuth::None;
        if has_proof {
            let secret = self.secret.as_ref().ok_or(Refused::NotConfigured)?;
            if !callback.proves(call, secret) {
                return Err(Refused::NotProven);
            }
        }
        let said = Said::read(call.body, self.profile.response.tolerant_json).ok_or(Refused::NotReadable)?;
        let told_reference = said.text(&callback.reference);
        let provider_reference = said.provider_reference(&callback.provider_reference);
        if told_reference.is_none() && provider_reference.is_none() {
            return Err(Refused::NotReadable);
        }
        let shown = callback.state_header.as_ref().and_then(|name| call.headers.get(&name.0)?.to_str().ok());
        let shown = shown.and_then(|word| self.profile.states.of(word));
        let written = said.state(&self.profile, &callback.state);
        // A signature is over the body: what a header adds to it may be anybody's, and is looked up.
        let is_added = callback.auth.is_signature() && shown.is_some() && shown != written;
        let state = if is_added { written } else { shown.or(written) };
        let redactor = Redactor::new(self.secret.iter().map(ExposeSecret::expose_secret));
        let line = |text: String| Some(redactor.line(&text, TEXT_CHARS_MAX)).filter(|line| !line.is_empty());
        Ok(Report {
            reference: told_reference.as_deref().and_then(|told| self.profile.reference.derive.restore(told)),
            told_reference,
            provider_reference,
            state: state.unwrap_or(State::Pending),
            code: said.text(&callback.code).and_then(line),
            text: said.text(&callback.message).and_then(line),
            is_proven: has_proof && !is_added,
        })
    }
}

impl Callback {
    fn proves(&self, call: &Call<'_>, secret: &SecretString) -> bool {
        let secret = secret.expose_secret();
        let text = |name| call.headers.get(name).and_then(|value| value.to_str().ok());
        let shown = || self.headers.iter().find_map(|name| text(&name.0)).map(str::trim);
        match self.auth {
            CallbackAuth::HmacHex => shown().is_some_and(|it| self.is_signed(secret, Encoding::Hex, it, &[call.body])),
            CallbackAuth::HmacBase64 => {
                shown().is_some_and(|it| self.is_signed(secret, Encoding::Base64, it, &[call.body]))
            }
            CallbackAuth::StripeTV1 => shown().is_some_and(|it| self.is_signed_lately(secret, it, call)),
            CallbackAuth::UrlToken => call.token.is_some_and(|token| sign::same(token.as_bytes(), secret.as_bytes())),
            CallbackAuth::Basic => text(&AUTHORIZATION)
                .and_then(|it| STANDARD.decode(it.strip_prefix("Basic ")?.trim()).ok())
                .and_then(|both| Some(both.splitn(2, |byte| *byte == b':').nth(1)?.to_vec()))
                .is_some_and(|password| sign::same(&password, secret.as_bytes())),
            CallbackAuth::None => false,
        }
    }

    /// A signature, with or without `sha256=` before it, under the secret with or without its `whsec_`.
    fn is_signed(&self, secret: &str, encoding: Encoding, shown: &str, parts: &[&[u8]]) -> bool {
        let signature = ["sha256=", "sha512="].into_iter().find_map(|name| shown.strip_prefix(name)).unwrap_or(shown);
        let Some(signature) = sign::decode(encoding, signature) else { return false };
        let keys = [Some(secret), secret.strip_prefix("whsec_")];
        keys.into_iter().flatten().any(|key| {
            sign::sign(self.alg, key.as_bytes(), parts).is_some_and(|expected| sign::same(&expected, &signature))
        })
    }

    /// `t=…,v1=…`: signed together with a time that is not long ago.
    fn is_signed_lately(&self, secret: &str, shown: &str, call: &Call<'_>) -> bool {
        let parts = || shown.split(',').filter_map(|part| part.trim().split_once('='));
        let Some((_, time)) = parts().find(|(name, _)| *name == "t") else { return false };
        let age = time.parse().ok().map(|time: i64| call.now.as_second().abs_diff(time));
        age.is_some_and(|age| age <= self.tolerance_s)
            && parts().filter(|(name, _)| *name == "v1").any(|(_, signature)| {
                self.is_signed(secret, Encoding::Hex, signature, &[time.as_bytes(), b".", call.body])
            })
    }
}

impl fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("body_bytes", &self.body.len()).finish_non_exhaustive()
    }
}
