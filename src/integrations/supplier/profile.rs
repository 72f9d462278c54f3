//! A profile: what is to be known of one supplier, in TOML. `docs/suppliers.md` explains every key.
//!
//! This is the schema; a key that is not here is refused. What one key says of another is checked in `check.rs`, so a
//! profile that was read can be used: nothing of it fails later but what an order or an answer brings.

mod check;
mod defaults;
mod load;
mod parts;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

pub use self::load::{ProfileError, SHIPPED, shipped};
pub use self::parts::{Address, Charset, Class, Condition, Field, Header, Literal, Pattern, Pointer, State, States};
use super::bundle::Volume;
use super::number::NumberFormat;
use super::reference::Derive;
use super::sign::{Algorithm, Encoding};
use super::template::{Place, Template};

/// One supplier.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// A word: part of the callback's address.
    pub name: String,
    /// Where its API is; `AT_ISHARE_API_URL` comes first.
    #[serde(default)]
    pub base_url: Option<Address>,
    /// The same elsewhere, for when no connection can be made.
    #[serde(default)]
    pub fallback_url: Option<Address>,
    /// How long one answer may take.
    #[serde(default = "defaults::timeout_s")]
    pub timeout_s: u64,
    /// After so long without news of its delivery, an order is a person's.
    #[serde(default = "defaults::give_up_h")]
    pub give_up_h: u64,
    /// How it writes numbers.
    pub msisdn_format: NumberFormat,
    /// How its network's numbers begin; others are marked, not refused.
    #[serde(default)]
    pub msisdn_prefixes: Vec<String>,
    /// Its words for the orders' networks; without any, the orders' own are sent.
    #[serde(default)]
    pub networks: BTreeMap<String, Literal>,
    /// Its numbers for the orders' packages, written like `1GB`; without any, the package is sent as it stands.
    #[serde(default)]
    pub packages: BTreeMap<String, Literal>,
    /// How it writes sizes.
    #[serde(default)]
    pub volume: Volume,
    /// What our reference must look like.
    #[serde(default)]
    pub reference: Reference,
    /// Whether it takes an order once, however often it is sent.
    #[serde(default)]
    pub idempotent: Idempotent,
    /// What is shown with every request.
    #[serde(default)]
    pub auth: Vec<Auth>,
    /// How requests are signed, if they are.
    #[serde(default)]
    pub signing: Option<Signing>,
    /// How a bundle is bought.
    pub purchase: Exchange,
    /// What its answers mean.
    pub response: Response,
    /// Its words for how an order stands.
    #[serde(default)]
    pub states: States,
    /// How an order is looked up, if it can be.
    #[serde(default)]
    pub look_up: Option<LookUp>,
    /// How it calls back, if it does.
    #[serde(default)]
    pub callback: Option<Callback>,
    /// How fast it may be called by one worker; `rowcall.queues` has the rate over all workers.
    #[serde(default)]
    pub rate: Rate,
}

/// `[reference]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reference {
    /// The fewest characters it takes.
    pub min_len: usize,
    /// The most.
    pub max_len: usize,
    /// Which characters, as a class of a regular expression; without it, all that an address can carry.
    pub charset: Option<Charset>,
    /// How ours is made of the order's.
    pub derive: Derive,
}

/// `[idempotent]`
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Idempotent {
    /// A second purchase under the same reference is the first one.
    pub by_reference: bool,
    /// For so long; without it for ever.
    pub window_h: Option<u64>,
}

/// `[[auth]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, tag = "in", rename_all = "lowercase")]
pub enum Auth {
    /// A header.
    Header {
        /// Its name.
        name: Header,
        /// What it says.
        value: Template,
    },
    /// A part of the address.
    Query {
        /// Its name.
        name: String,
        /// What it says.
        value: Template,
    },
    /// A field of the body.
    Body {
        /// Its name.
        name: String,
        /// What it says.
        value: Template,
    },
    /// HTTP Basic.
    Basic {
        /// Who.
        username: Template,
        /// The proof.
        password: Template,
    },
}

/// `[signing]`: HMAC under `AT_ISHARE_API_SECRET`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signing {
    /// The digest.
    #[serde(default)]
    pub alg: Algorithm,
    /// What is signed.
    pub over: Over,
    /// For `over = "fields"`: the fields.
    #[serde(default)]
    pub fields: Vec<Template>,
    /// What stands between them.
    #[serde(default)]
    pub separator: String,
    /// How the signature is written.
    #[serde(default)]
    pub encode: Encoding,
    /// What stands before it.
    #[serde(default)]
    pub prefix: String,
    /// Where it stands.
    pub header: Header,
    /// Where the time stands, in seconds since 1970.
    #[serde(default)]
    pub ts_header: Option<Header>,
}

/// What a signature is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Over {
    /// The body.
    #[serde(rename = "body")]
    Body,
    /// The time, a full stop, the body.
    #[serde(rename = "ts.body")]
    TimeAndBody,
    /// Named fields.
    #[serde(rename = "fields")]
    Fields,
}

/// A method of HTTP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum Method {
    /// GET
    #[serde(rename = "GET")]
    Get,
    /// POST
    #[default]
    #[serde(rename = "POST")]
    Post,
}

/// How a body is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// JSON.
    #[default]
    Json,
    /// As a form of HTML sends it.
    Form,
}

/// `[purchase]`, and the request of `[look_up]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// GET or POST.
    #[serde(default)]
    pub method: Method,
    /// What follows the base address.
    pub path: Template,
    /// How the body is written.
    #[serde(default)]
    pub encoding: Shape,
    /// The body.
    #[serde(default)]
    pub fields: BTreeMap<String, Field>,
    /// A header that carries our reference.
    #[serde(default)]
    pub idempotency_header: Option<Header>,
}

/// `[response]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Response {
    /// What is not JSON may stand before it.
    #[serde(default)]
    pub tolerant_json: bool,
    /// The order was taken if all of these hold, and the HTTP status is a 2xx.
    pub success: Vec<Condition>,
    /// Whether a success without a word of its state is a promise, or the delivery itself.
    #[serde(default)]
    pub success_means: Means,
    /// Where a purchase's answer tells how the order stands.
    #[serde(default)]
    pub state: Vec<Pointer>,
    /// Where the supplier's number of the order stands.
    #[serde(default)]
    pub provider_reference: Vec<Pointer>,
    /// Where its words stand.
    #[serde(default)]
    pub message: Vec<Pointer>,
    /// Where its code stands.
    #[serde(default)]
    pub code: Vec<Pointer>,
    /// What a code means.
    #[serde(default)]
    pub code_map: BTreeMap<String, Class>,
    /// What words mean, where no code tells; the first that matches counts.
    #[serde(default)]
    pub text_map: Vec<Words>,
}

/// What a success means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Means {
    /// The order was taken.
    #[default]
    Accepted,
    /// The bundle is there.
    Delivered,
}

/// `[[response.text_map]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Words {
    /// The words.
    #[serde(rename = "match")]
    pub pattern: Pattern,
    /// What they mean.
    pub class: Class,
}

/// `[look_up]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookUp {
    /// The request.
    pub request: Exchange,
    /// Where its answer tells how the order stands.
    pub state: Vec<Pointer>,
    /// Where the supplier's number of the order stands; without any, where a purchase's answer has it.
    #[serde(default)]
    pub provider_reference: Vec<Pointer>,
    /// The pauses between looks; the last one repeats.
    #[serde(default = "defaults::schedule_s")]
    pub schedule_s: Vec<u64>,
}

/// `[callback]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Callback {
    /// How it proves itself.
    pub auth: CallbackAuth,
    /// Where the proof stands; the first of these headers that is there.
    #[serde(default)]
    pub headers: Vec<Header>,
    /// The digest of its signature.
    #[serde(default)]
    pub alg: Algorithm,
    /// How old a signed time may be, either way.
    #[serde(default = "defaults::tolerance_s")]
    pub tolerance_s: u64,
    /// Where our reference stands.
    #[serde(default)]
    pub reference: Vec<Pointer>,
    /// Where the supplier's number of the order stands.
    #[serde(default)]
    pub provider_reference: Vec<Pointer>,
    /// Where the state stands; the first word that is known counts.
    #[serde(default)]
    pub state: Vec<Pointer>,
    /// The same in a header. Beside a signature, which is over the body alone, it settles nothing that the body does not say.
    #[serde(default)]
    pub state_header: Option<Header>,
    /// Where its code stands.
    #[serde(default)]
    pub code: Vec<Pointer>,
    /// Where its words stand.
    #[serde(default)]
    pub message: Vec<Pointer>,
}

/// How a callback proves itself, under `AT_ISHARE_API_SECRET`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallbackAuth {
    /// A signature of the body, in hexadecimal digits.
    HmacHex,
    /// The same in base64.
    HmacBase64,
    /// `t=<time>,v1=<signature of time, full stop, body>`
    StripeTV1,
    /// `?token=` in the address that was registered.
    UrlToken,
    /// The password of HTTP Basic.
    Basic,
    /// Not at all: it makes us look, and settles nothing.
    None,
}

impl CallbackAuth {
    /// Whether it proves the body, and nothing beside it.
    pub(super) fn is_signature(self) -> bool {
        matches!(self, Self::HmacHex | Self::HmacBase64 | Self::StripeTV1)
    }
}

/// `[rate]`
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rate {
    /// Requests a second.
    pub per_s: u32,
    /// Requests at a time.
    pub concurrency: u32,
}

impl Default for Reference {
    fn default() -> Self {
        Self { min_len: 1, max_len: 64, charset: None, derive: Derive::plain() }
    }
}

impl Default for Rate {
    fn default() -> Self {
        Self { per_s: 2, concurrency: 2 }
    }
}

impl Profile {
    /// How long one answer may take.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_s)
    }

    /// What a purchase says, or signs, of its order.
    pub(super) fn places_bought(&self) -> Vec<Place> {
        let signed = self.signing.iter().flat_map(|signing| &signing.fields).flat_map(Template::places);
        self.purchase.places().into_iter().chain(signed).collect()
    }

    /// Where the answer to a look-up has the supplier's number of the order.
    pub(super) fn number_looked_up(&self) -> &[Pointer] {
        let of_its_own = self.look_up.as_ref().map(|look_up| look_up.provider_reference.as_slice());
        of_its_own.filter(|pointers| !pointers.is_empty()).unwrap_or(&self.response.provider_reference)
    }

    /// After how long without news an order is a person's.
    pub fn give_up(&self) -> Duration {
        Duration::from_hours(self.give_up_h)
    }
}
