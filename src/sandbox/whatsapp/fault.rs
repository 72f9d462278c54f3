//! The ways in which a request can go wrong on request.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::sandbox::server::{After, Left, answer};

/// A fault to happen to coming requests.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Fault {
    /// What goes wrong.
    pub kind: Kind,
    /// Whose request: `meta`, `infobip` or `agent`. Without it, any but the agent's.
    #[serde(default)]
    pub at: Option<String>,
    /// Only for this recipient, in digits.
    #[serde(default)]
    pub phone: Option<String>,
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
    /// No effect; one of Meta's errors, with this HTTP status and this code.
    Code {
        /// The HTTP status.
        status: u16,
        /// `error.code`
        code: i64,
        /// More members of `error`.
        #[serde(default)]
        more: Value,
    },
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
    /// It happens once, to either provider.
    pub fn new(kind: Kind) -> Self {
        Self { kind, at: None, phone: None, times: 1, retry_after: None }
    }

    /// One of Meta's errors.
    pub fn code(status: u16, code: i64) -> Self {
        Self::new(Kind::Code { status, code, more: Value::Null })
    }

    pub(super) fn is_for(&self, at: &str, phone: &str) -> bool {
        let is_here = self.at.as_deref().map_or(at != "agent", |only| only == at);
        is_here && self.phone.as_deref().is_none_or(|only| only == phone)
    }

    /// What it leaves to do.
    pub(super) async fn misbehave(self) -> Left {
        let retry_after = self.retry_after.as_deref();
        match self.kind {
            Kind::Code { status, code, more } => {
                let mut error = json!({
                    "message": format!("(#{code}) Scripted"), "type": "OAuthException", "code": code,
                    "error_data": {"messaging_product": "whatsapp", "details": "Scripted by the sandbox"},
                    "fbtrace_id": "Az8or2yhqkZfEZ-_4Qn_Bam",
                });
                if let (Some(error), Some(more)) = (error.as_object_mut(), more.as_object()) {
                    error.extend(more.clone());
                }
                Left::Nothing(After::Answer(answer(status, &json!({"error": error}), retry_after)))
            }
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
