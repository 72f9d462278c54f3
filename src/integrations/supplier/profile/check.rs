//! What one key of a profile says of another. Every error names the key that a person changes.

use std::collections::BTreeSet;

use super::{
    Auth, Callback, CallbackAuth, Exchange, LookUp, Means, Method, Over, Profile, ProfileError, Response, Shape, States,
};
use crate::integrations::supplier::bundle::{Kind, tidy_package};
use crate::integrations::supplier::template::{Place, Template};

fn wrong<T>(key: impl Into<String>, problem: impl Into<String>) -> Result<T, ProfileError> {
    Err(ProfileError::Key { key: key.into(), problem: problem.into() })
}

fn within(key: &str, number: u64, range: std::ops::RangeInclusive<u64>) -> Result<(), ProfileError> {
    if range.contains(&number) {
        return Ok(());
    }
    wrong(key, format!("{number} is not within {} to {}", range.start(), range.end()))
}

impl Profile {
    pub(super) fn check(&self) -> Result<(), ProfileError> {
        let is_word = self.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !is_word || !(1..=40).contains(&self.name.len()) {
            return wrong("name", "up to 40 small letters, digits and hyphens: it is part of the callback's address");
        }
        within("timeout_s", self.timeout_s, 1..=120)?;
        within("give_up_h", self.give_up_h, 1..=168)?;
        within("volume.mb_per_gb", self.volume.mb_per_gb, 1..=1024)?;
        within("rate.per_s", self.rate.per_s.into(), 1..=1000)?;
        within("rate.concurrency", self.rate.concurrency.into(), 1..=1000)?;
        if self.volume.kind == Kind::Number && !self.volume.suffix.is_empty() {
            return wrong("volume.suffix", "nothing follows a number; set volume.as to \"string\"");
        }
        if self.msisdn_prefixes.iter().any(|prefix| prefix.is_empty() || !prefix.bytes().all(|b| b.is_ascii_digit())) {
            return wrong("msisdn_prefixes", "digits as they follow the country code, such as \"26\"");
        }
        if let Some(package) = self.packages.keys().find(|package| **package != tidy_package(package)) {
            return wrong(format!("packages.{package}"), format!("written {:?} here", tidy_package(package)));
        }
        self.check_auth()?;
        self.check_signing()?;
        self.check_purchase()?;
        self.check_reference()?;
        self.response.check()?;
        self.states.check()?;
        if let Some(look_up) = &self.look_up {
            look_up.check(self)?;
        }
        if let Some(callback) = &self.callback {
            callback.check(self)?;
        }
        if self.look_up.is_none() && self.callback.is_none() && self.response.success_means == Means::Accepted {
            let problem = "without look_up and callback no order is ever known to be delivered; give one of them, or \
                           set response.success_means to \"delivered\" if a success is the delivery itself";
            return wrong("look_up", problem);
        }
        Ok(())
    }

    fn check_auth(&self) -> Result<(), ProfileError> {
        for (nth, auth) in self.auth.iter().enumerate() {
            let key = |name: &str| format!("auth[{nth}].{name}");
            let only_secrets = |name: &str, text: &Template| match text.places().find(|place| !place.is_secret()) {
                Some(place) => wrong(key(name), format!("${{{}}} has no place here, only secrets", place.name())),
                None => Ok(()),
            };
            match auth {
                Auth::Header { value, .. } | Auth::Query { value, .. } => only_secrets("value", value)?,
                Auth::Body { value, name } => {
                    only_secrets("value", value)?;
                    let look_up = self.look_up.as_ref().map(|look_up| ("look_up.request", &look_up.request));
                    for (at, exchange) in [("purchase", &self.purchase)].into_iter().chain(look_up) {
                        if exchange.method == Method::Get {
                            return wrong(format!("{at}.method"), format!("a GET has no body for {}", key("in")));
                        }
                        if exchange.fields.contains_key(name) {
                            return wrong(format!("{at}.fields.{name}"), format!("{} sets it already", key("name")));
                        }
                    }
                }
                Auth::Basic { username, password } => {
                    only_secrets("username", username)?;
                    only_secrets("password", password)?;
                }
            }
        }
        Ok(())
    }

    fn check_signing(&self) -> Result<(), ProfileError> {
        let Some(signing) = &self.signing else { return Ok(()) };
        if signing.over == Over::TimeAndBody && signing.ts_header.is_none() {
            return wrong("signing.ts_header", "a time that is signed must be sent too");
        }
        if (signing.over == Over::Fields) == signing.fields.is_empty() {
            return wrong("signing.fields", "what is signed where over = \"fields\", and only there");
        }
        if signing.over == Over::Fields && self.look_up.is_some() {
            let mut places = signing.fields.iter().flat_map(Template::places);
            if let Some(place) = places.find(|place| ![Place::Reference, Place::ProviderReference].contains(place)) {
                return wrong("signing.fields", format!("a look-up is signed too and has no ${{{}}}", place.name()));
            }
        }
        no_secrets("signing.fields", signing.fields.iter().flat_map(Template::places))
    }

    fn check_purchase(&self) -> Result<(), ProfileError> {
        self.purchase.check("purchase")?;
        let places = self.purchase.places();
        if places.contains(&Place::ProviderReference) {
            return wrong("purchase", "${provider_reference} is known only after the purchase");
        }
        if !places.contains(&Place::Msisdn) {
            return wrong("purchase.fields", "${msisdn} is nowhere: a purchase says whom it is for");
        }
        if !places.contains(&Place::Volume) && !places.contains(&Place::Package) {
            return wrong("purchase.fields", "${volume} is nowhere, nor ${package}: a purchase says how much it is");
        }
        Ok(())
    }

    /// Whether the supplier hears our reference.
    fn is_reference_told(&self) -> bool {
        self.purchase.idempotency_header.is_some() || self.purchase.places().contains(&Place::Reference)
    }

    fn check_reference(&self) -> Result<(), ProfileError> {
        let reference = &self.reference;
        let length = reference.derive.length();
        if self.is_reference_told() && !(reference.min_len..=reference.max_len).contains(&length) {
            let problem = format!(
                "it makes {length} characters, and reference.min_len to reference.max_len are {} to {}; ${{base36}} \
                 takes 25, ${{sha256:20}} takes 20",
                reference.min_len, reference.max_len
            );
            return wrong("reference.derive", problem);
        }
        let characters = reference.derive.characters();
        if reference.charset.as_ref().is_some_and(|charset| !charset.takes(&characters)) {
            return wrong("reference.derive", "it makes characters that are not in reference.charset");
        }
        if self.idempotent.by_reference && !self.is_reference_told() {
            return wrong(
                "idempotent.by_reference",
                "${reference} is nowhere in purchase, so the supplier cannot know",
            );
        }
        if let Some(hours) = self.idempotent.window_h {
            within("idempotent.window_h", hours, 1..=8760)?;
        }
        Ok(())
    }
}

impl Exchange {
    /// Every place of the request.
    pub(in crate::integrations::supplier) fn places(&self) -> Vec<Place> {
        let header = self.idempotency_header.as_ref().map(|_| Place::Reference);
        let fields = self.fields.values().flat_map(super::Field::places);
        self.path.places().chain(fields).chain(header).collect()
    }

    fn check(&self, at: &str) -> Result<(), ProfileError> {
        if self.method == Method::Get && !self.fields.is_empty() {
            return wrong(format!("{at}.fields"), "a GET has no body; what it asks stands in path, after ?");
        }
        let nested = self.fields.iter().find(|(_, field)| self.encoding == Shape::Form && !field.is_flat());
        if let Some((name, _)) = nested {
            return wrong(format!("{at}.fields.{name}"), "a form has neither lists nor tables");
        }
        no_secrets(at, self.places())
    }
}

impl Response {
    fn check(&self) -> Result<(), ProfileError> {
        if self.success.is_empty() {
            return wrong("response.success", "at least one condition, or every answer would be a success");
        }
        if !self.code_map.is_empty() && self.code.is_empty() {
            return wrong("response.code", "where the codes of response.code_map stand");
        }
        if !self.text_map.is_empty() && self.message.is_empty() {
            return wrong("response.message", "where the words of response.text_map stand");
        }
        Ok(())
    }
}

impl States {
    fn check(&self) -> Result<(), ProfileError> {
        let mut seen = BTreeSet::new();
        for (key, words) in [
            ("states.delivered", &self.delivered),
            ("states.pending", &self.pending),
            ("states.failed", &self.failed),
            ("states.reversed", &self.reversed),
        ] {
            for word in words {
                if *word != Self::tidy(word) || word.is_empty() {
                    return wrong(key, format!("{word:?} is written {:?} here", Self::tidy(word)));
                }
                if !seen.insert(word) {
                    return wrong(key, format!("{word:?} stands in two places"));
                }
            }
        }
        if self.delivered.is_empty() { wrong("states.delivered", "at least one word") } else { Ok(()) }
    }
}

impl LookUp {
    fn check(&self, profile: &Profile) -> Result<(), ProfileError> {
        self.request.check("look_up.request")?;
        if self.state.is_empty() {
            return wrong("look_up.state", "where the answer says how the order stands");
        }
        if self.schedule_s.is_empty() {
            return wrong("look_up.schedule_s", "at least one pause, in seconds");
        }
        for seconds in &self.schedule_s {
            within("look_up.schedule_s", *seconds, 1..=86_400)?;
        }
        let places = self.request.places();
        let known = [Place::Reference, Place::ProviderReference];
        if let Some(place) = places.iter().find(|place| !known.contains(place)) {
            return wrong("look_up.request", format!("${{{}}} is not known then, only the references", place.name()));
        }
        if !known.iter().any(|place| places.contains(place)) {
            return wrong("look_up.request", "neither ${reference} nor ${provider_reference}: which order is meant?");
        }
        if places.contains(&Place::Reference) && !profile.is_reference_told() {
            return wrong("look_up.request", "${reference} is nowhere in purchase, so the supplier cannot know it");
        }
        Ok(())
    }
}

impl Callback {
    fn check(&self, profile: &Profile) -> Result<(), ProfileError> {
        if self.auth.is_signature() == self.headers.is_empty() {
            return wrong("callback.headers", "where a signature stands, if auth is one, and only then");
        }
        within("callback.tolerance_s", self.tolerance_s, 1..=86_400)?;
        if self.state.is_empty() && self.state_header.is_none() {
            return wrong("callback.state", "where the callback says how the order stands, or callback.state_header");
        }
        if self.auth.is_signature() && self.state.is_empty() && profile.look_up.is_none() {
            let problem =
                "callback.state_header is not signed; without look_up, the body must say how the order stands";
            return wrong("callback.state", problem);
        }
        if self.reference.is_empty() && self.provider_reference.is_empty() {
            return wrong("callback.reference", "where the callback says which order, or callback.provider_reference");
        }
        if self.auth == CallbackAuth::None && profile.look_up.is_none() {
            return wrong(
                "callback.auth",
                "anybody could say that an order is delivered; without a proof, give look_up",
            );
        }
        Ok(())
    }
}

fn no_secrets(key: &str, places: impl IntoIterator<Item = Place>) -> Result<(), ProfileError> {
    match places.into_iter().find(|place| place.is_secret()) {
        Some(place) => wrong(key, format!("${{{}}} stands in auth and nowhere else", place.name())),
        None => Ok(()),
    }
}
