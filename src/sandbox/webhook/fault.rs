//! The ways in which a webhook can go wrong on request.

use serde::{Deserialize, Serialize};

/// A fault to happen to coming requests.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Fault {
    /// What goes wrong.
    pub kind: Kind,
    /// Only at this path.
    #[serde(default)]
    pub path: Option<String>,
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
    /// Not heard; this status and this text.
    Answer {
        /// The HTTP status; 410 says that the endpoint is gone.
        status: u16,
        /// The text.
        #[serde(default)]
        body: String,
    },
    /// Heard, and then this status and this text.
    AcceptThenAnswer {
        /// The HTTP status.
        status: u16,
        /// The text.
        #[serde(default)]
        body: String,
    },
    /// Not heard; a redirect with this status to this address. An empty one is the very same endpoint.
    Redirect {
        /// 301, 302, 303, 307 or 308.
        status: u16,
        /// Where to.
        #[serde(default)]
        location: String,
    },
    /// Not heard, and no answer.
    Hang,
    /// Heard, and no answer.
    AcceptThenHang,
    /// Not heard, and the connection closes.
    Close,
    /// Heard, and the connection closes.
    AcceptThenClose,
    /// Heard, and an answer that never ends.
    Endless,
}

fn one() -> u32 {
    1
}

impl Fault {
    /// It happens once, anywhere.
    pub fn new(kind: Kind) -> Self {
        Self { kind, path: None, times: 1, retry_after: None }
    }

    /// An answer of this status, and nothing heard.
    pub fn status(status: u16) -> Self {
        Self::new(Kind::Answer { status, body: String::new() })
    }

    pub(super) fn is_at(&self, path: &str) -> bool {
        self.path.as_deref().is_none_or(|only| only == path)
    }
}

impl Kind {
    /// Whether the webhook is heard all the same.
    pub(super) fn is_heard(&self) -> bool {
        match self {
            Self::AcceptThenAnswer { .. } | Self::AcceptThenHang | Self::AcceptThenClose | Self::Endless => true,
            Self::Answer { .. } | Self::Redirect { .. } | Self::Hang | Self::Close => false,
        }
    }
}
