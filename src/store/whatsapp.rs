//! What WhatsApp's providers tell by webhook: how a message fared, and what a customer wrote.
//!
//! Each event is a statement of its own, so that one which cannot be taken holds up no other; they are sent without
//! waiting for each other, in their order, so that a thousand take one round trip a hundred. All may come twice: the
//! functions see to it that a repeat changes nothing.

use futures_util::future::join_all;
use jiff::Timestamp;
use tracing::error;

use super::parameter::Parameter;
use super::{Store, StoreError, chain, is_of_class};

/// Statements that are sent ahead of their answers.
const AHEAD_MAX: usize = 100;

const STATUS: &str = "select rowcall.whatsapp_status($1, $2, $3, $4, $5, coalesce($6::timestamptz, now()))";

const INBOUND: &str = "select rowcall.whatsapp_inbound($1, $2, $3, coalesce($4::timestamptz, now()), $5, $6, $7)";

/// One thing that a provider tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// How a message of ours fared.
    Status(Status),
    /// What a customer wrote.
    Inbound(Inbound),
}

/// How a message of ours fared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// `meta` or `infobip`.
    pub provider: &'static str,
    /// What we gave it to know it by.
    pub reference: Option<String>,
    /// The provider's own name of it.
    pub message_id: String,
    /// `sent`, `delivered`, `read`, `played` or `failed`.
    pub status: String,
    /// Why it failed, in the provider's number.
    pub error_code: Option<String>,
    /// When, by the provider's clock; now, where that cannot be read.
    pub at: Option<Timestamp>,
}

/// What a customer wrote.
#[derive(Clone, PartialEq, Eq)]
pub struct Inbound {
    /// `meta` or `infobip`.
    pub provider: &'static str,
    /// The customer's number, digits.
    pub phone: String,
    /// The provider's own name of the message.
    pub message_id: String,
    /// When, by the provider's clock; now, where that cannot be read.
    pub at: Option<Timestamp>,
    /// `text`, `image`, `button` and so on.
    pub message_type: String,
    /// Its words, where it has any.
    pub body: Option<String>,
    /// How the customer calls themselves.
    pub profile_name: Option<String>,
}

impl std::fmt::Debug for Inbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbound").field("message_type", &self.message_type).finish_non_exhaustive()
    }
}

impl Store {
    /// Tells the database what a provider told, in order.
    ///
    /// An event that the database refuses for what it says is logged and left out: to have it repeated would change nothing.
    /// Any other failure is an error, and the caller has all of it repeated.
    pub async fn record_whatsapp(&self, events: &[Event]) -> Result<(), StoreError> {
        let what = || format!("record {} events of WhatsApp", events.len());
        if events.is_empty() {
            return Ok(());
        }
        self.on_connection(what, async |connection| {
            connection.ready(STATUS).await?;
            connection.ready(INBOUND).await?;
            for some in events.chunks(AHEAD_MAX) {
                let parameters: Vec<_> = some.iter().map(parameters).collect();
                let sent = some.iter().zip(&parameters).map(|(event, parameters)| match event {
                    Event::Status(_) => connection.rows(STATUS, parameters),
                    Event::Inbound(_) => connection.rows(INBOUND, parameters),
                });
                for ended in join_all(sent).await {
                    let Err(error) = ended else { continue };
                    if !error.as_db_error().is_some_and(|answer| is_of_class(answer, &["22", "23", "44", "P0"])) {
                        return Err(error);
                    }
                    error!(error = chain(&error), "The database does not take an event of WhatsApp; it is left out");
                }
            }
            Ok(())
        })
        .await
    }
}

fn parameters(event: &Event) -> Vec<&(dyn Parameter + Sync)> {
    match event {
        Event::Status(Status { provider, reference, message_id, status, error_code, at }) => {
            vec![provider, reference, message_id, status, error_code, at]
        }
        Event::Inbound(Inbound { provider, phone, message_id, at, message_type, body, profile_name }) => {
            vec![provider, phone, message_id, at, message_type, body, profile_name]
        }
    }
}
