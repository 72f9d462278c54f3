//! WhatsApp by Meta's Cloud API: `POST {WHATSAPP_API_URL}/{phone number id}/messages`.
//!
//! A success is HTTP 200 with the number of a message, and means accepted, not delivered. Everything else is told by
//! `error.code` (see `code.rs`), and by the HTTP status only where there is none: Meta's statuses are not reliable.

mod code;

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use self::code::Said;
use super::provider::{Content, Message, Provider, Try};
use super::reception::{Reception, by_status};
use crate::integrations::http::{Answer, Request, join};
use crate::integrations::quote::Private;

/// What rowcall needs to know to send by Meta, and to believe its webhooks.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `WHATSAPP_API_URL`: with the version, without the phone number.
    pub api_url: Url,
    /// `WHATSAPP_PHONE_NUMBER_ID`
    pub phone_number_id: Option<String>,
    /// `WHATSAPP_ACCESS_TOKEN`
    pub access_token: Option<SecretString>,
    /// `WHATSAPP_APP_SECRET`: signs webhooks. Not needed to send.
    pub app_secret: Option<SecretString>,
    /// `WHATSAPP_VERIFY_TOKEN`: what Meta says when it verifies the webhook's address. Not needed to send.
    pub verify_token: Option<SecretString>,
}

/// Meta's Cloud API.
#[derive(Debug)]
pub(super) struct Meta {
    settings: Settings,
}

#[derive(Deserialize)]
struct Accepted {
    messages: Vec<AcceptedMessage>,
}

#[derive(Deserialize)]
struct AcceptedMessage {
    id: String,
}

#[derive(Deserialize)]
struct Refused {
    error: Said,
}

impl Meta {
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings }
    }
}

impl Provider for Meta {
    fn name(&self) -> &'static str {
        "meta"
    }

    fn address_setting(&self) -> &'static str {
        "WHATSAPP_API_URL"
    }

    fn missing(&self) -> Vec<&'static str> {
        let Settings { phone_number_id, access_token, .. } = &self.settings;
        let needed = [
            ("WHATSAPP_PHONE_NUMBER_ID", phone_number_id.is_none()),
            ("WHATSAPP_ACCESS_TOKEN", access_token.is_none()),
        ];
        needed.iter().filter(|(_, is_missing)| *is_missing).map(|(name, _)| *name).collect()
    }

    fn request(&self, message: &Message<'_>) -> Result<Request, &'static str> {
        let Settings { api_url, phone_number_id, access_token, .. } = &self.settings;
        let (Some(id), Some(token)) = (phone_number_id, access_token) else { return Err("WHATSAPP_ACCESS_TOKEN") };
        let url = join(api_url, &[id, "messages"]).ok_or("WHATSAPP_API_URL")?;
        Request::post_json(url, &body(message))
            .authorized("Bearer", token.expose_secret())
            .map_err(|_| "WHATSAPP_ACCESS_TOKEN")
    }

    fn read(&self, answer: &Answer, this: &Try, private: &Private) -> Reception {
        if let Some(Refused { error }) = answer.json() {
            return error.reception(answer, this, private);
        }
        let message = answer.json::<Accepted>().and_then(|accepted| accepted.messages.into_iter().next());
        match message {
            Some(message) if answer.status.is_success() && !message.id.is_empty() => Reception::Accepted(message.id),
            _ => by_status("WhatsApp", "WHATSAPP_API_URL", answer),
        }
    }
}

/// The body of a send.
fn body(message: &Message<'_>) -> Value {
    let mut body = json!({
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": message.to.digits(),
        "biz_opaque_callback_data": message.reference,
    });
    match message.content {
        Content::Text(text) => {
            body["type"] = json!("text");
            body["text"] = json!({"preview_url": false, "body": text});
        }
        Content::Template(template) => {
            let parameters = template.parameters.iter().map(|text| json!({"type": "text", "text": text}));
            let parameters: Vec<Value> = parameters.collect();
            let components =
                if parameters.is_empty() { json!([]) } else { json!([{"type": "body", "parameters": parameters}]) };
            body["type"] = json!("template");
            body["template"] = json!({
                "name": template.name, "language": {"code": template.language}, "components": components,
            });
        }
    }
    body
}
