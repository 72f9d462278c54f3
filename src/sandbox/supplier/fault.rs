//! The ways in which a request can go wrong on request.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::sandbox::server::{After, answer};

/// A fault to happen to coming requests.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Fault {
    /// What goes wrong.
    pub kind: Kind,
    /// With which requests.
    #[serde(default)]
    pub at: At,
    /// Only for this recipient, in E.164's digits; look-ups name none.
    #[serde(default)]
    pub phone: Option<String>,
    /// How many requests it happens to.
    #[serde(default = "one")]
    pub times: u32,
    /// A `Retry-After` for what is answered.
    #[serde(default)]
    pub retry_after: Option<String>,
}

/// What a request is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum At {
    /// To buy.
    #[default]
    Purchase,
    /// To look an order up.
    LookUp,
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
    /// As usual, with this before the answer's JSON.
    HtmlFirst(String),
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

/// What is left to do after a fault.
pub(super) enum Left {
    /// Whatever is done usually, with this before its answer.
    Usual(String),
    /// The effect, and then this in place of the answer.
    EffectThen(After),
    /// This alone.
    Nothing(After),
}

fn one() -> u32 {
    1
}

impl Fault {
    /// It happens once, to a purchase.
    pub fn new(kind: Kind) -> Self {
        Self { kind, at: At::Purchase, phone: None, times: 1, retry_after: None }
    }

    /// The same, to a look-up.
    #[must_use]
    pub fn of_look_up(mut self) -> Self {
        self.at = At::LookUp;
        self
    }

    pub(super) fn is_for(&self, at: At, phone: Option<&str>) -> bool {
        self.at == at && self.phone.as_deref().is_none_or(|only| Some(only) == phone)
    }

    /// What it leaves to do.
    pub(super) async fn misbehave(self) -> Left {
        let retry_after = self.retry_after.as_deref();
        match self.kind {
            Kind::Answer { status, body } => Left::Nothing(After::Answer(answer(status, &body, retry_after))),
            Kind::AcceptThenAnswer { status, body } => {
                Left::EffectThen(After::Answer(answer(status, &body, retry_after)))
            }
            Kind::HtmlFirst(html) => Left::Usual(html),
            Kind::Hang => Left::Nothing(After::Hang),
            Kind::AcceptThenHang => Left::EffectThen(After::Hang),
            Kind::Close => Left::Nothing(After::Close),
            Kind::AcceptThenClose => Left::EffectThen(After::Close),
            Kind::Slow(millis) => {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                Left::Usual(String::new())
            }
        }
    }
}
