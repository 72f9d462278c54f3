//! The ways in which a request can go wrong on request.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::sandbox::server::{After, Left, answer};

/// A fault to happen to coming requests.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Fault {
    /// What goes wrong.
    pub kind: Kind,
    /// Only for this tenant or shop.
    #[serde(default)]
    pub tenant: Option<String>,
    /// Only for this call: `GET /customer`, `POST /club-membership`, … of Commerce7; `tagsAdd`, `customers`, … of Shopify.
    #[serde(default)]
    pub call: Option<String>,
    /// How many requests it happens to.
    #[serde(default = "one")]
    pub times: u32,
    /// A `Retry-After` for what is answered.
    #[serde(default)]
    pub retry_after: Option<String>,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// No effect; this status and this body.
    Answer {
        /// The HTTP status.
        status: u16,
        /// The body; a string is sent as it is, anything else as JSON.
        body: Value,
    },
    /// The effect, and then this status and this body.
    AcceptThenAnswer {
        /// The HTTP status.
        status: u16,
        /// The body, as above.
        body: Value,
    },
    /// No effect, and no answer.
    Hang,
    /// The effect, and no answer.
    AcceptThenHang,
    /// No effect, and the connection closes.
    Close,
    /// The effect, and the connection closes.
    AcceptThenClose,
    /// As usual, after so many milliseconds.
    Slow(u64),
}

fn one() -> u32 {
    1
}

impl Fault {
    /// It happens once, to whichever request comes next.
    pub fn new(kind: Kind) -> Self {
        Self { kind, tenant: None, call: None, times: 1, retry_after: None }
    }

    /// The same for this call alone.
    #[must_use]
    pub fn at(self, call: &str) -> Self {
        Self { call: Some(call.to_owned()), ..self }
    }

    pub(super) fn is_for(&self, tenant: &str, call: &str) -> bool {
        let is = |only: &Option<String>, this: &str| only.as_deref().is_none_or(|only| only == this);
        is(&self.tenant, tenant) && is(&self.call, call)
    }

    /// What it leaves to do.
    pub(super) async fn misbehave(self) -> Left {
        let retry_after = self.retry_after.as_deref();
        match self.kind {
            Kind::Answer { status, body } => Left::Nothing(After::Answer(answer(status, &body, retry_after))),
            Kind::AcceptThenAnswer { status, body } => {
                Left::EffectThen(After::Answer(answer(status, &body, retry_after)))
            }
            Kind::Hang => Left::Nothing(After::Hang),
            Kind::AcceptThenHang => Left::EffectThen(After::Hang),
            Kind::Close => Left::Nothing(After::Close),
            Kind::AcceptThenClose => Left::EffectThen(After::Close),
            Kind::Slow(millis) => {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                Left::Usual
            }
        }
    }
}
