//! WhatsApp by Infobip: `POST {INFOBIP_BASE_URL}/whatsapp/1/message/text` and `…/template`.
//!
//! A success is a 2xx with the number of a message whose status is not a refusal. `messageId` is left to Infobip: whether
//! it would recognise a repeated one is not established, so it protects from nothing; `callbackData` carries our
//! reference. An error in Infobip's own words (`requestError`) means that the message was not taken.

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::provider::{Content, Message, Provider, Try};
use super::reception::{Reception, by_status};
use crate::failure::Fault;
use crate::integrations::http::{Answer, Request, join};
use crate::integrations::quote::Private;

/// What rowcall needs to know to send by Infobip.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// `INFOBIP_BASE_URL`
    pub base_url: Option<Url>,
    /// `INFOBIP_API_KEY`
    pub api_key: Option<SecretString>,
    /// `INFOBIP_SENDER`: the number that sends, in digits.
    pub sender: Option<String>,
}

/// Infobip's API.
#[derive(Debug)]
pub(super) struct Infobip {
    settings: Settings,
}

/// The answer to one text is flat, the one to a template is a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Taken {
    Bulk { messages: Vec<TakenMessage> },
    Single(TakenMessage),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TakenMessage {
    #[serde(default)]
    message_id: Option<String>,
    #[serde(default)]
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    group_name: String,
    name: String,
    description: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Refused {
    request_error: RequestError,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RequestError {
    service_exception: ServiceException,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ServiceException {
    message_id: String,
    text: String,
}

impl Infobip {
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings }
    }
}

impl Provider for Infobip {
    fn name(&self) -> &'static str {
        "infobip"
    }

    fn address_setting(&self) -> &'static str {
        "INFOBIP_BASE_URL"
    }

    fn missing(&self) -> Vec<&'static str> {
        let Settings { base_url, api_key, sender } = &self.settings;
        let needed = [
            ("INFOBIP_BASE_URL", base_url.is_none()),
            ("INFOBIP_API_KEY", api_key.is_none()),
            ("INFOBIP_SENDER", sender.is_none()),
        ];
        needed.iter().filter(|(_, is_missing)| *is_missing).map(|(name, _)| *name).collect()
    }

    fn request(&self, message: &Message<'_>) -> Result<Request, &'static str> {
        let Settings { base_url: Some(base_url), api_key: Some(api_key), sender: Some(sender) } = &self.settings else {
            return Err("INFOBIP_API_KEY");
        };
        let (kind, body) = body(sender, message);
        let url = join(base_url, &["whatsapp", "1", "message", kind]).ok_or("INFOBIP_BASE_URL")?;
        Request::post_json(url, &body).authorized("App", api_key.expose_secret()).map_err(|_| "INFOBIP_API_KEY")
    }

    fn read(&self, answer: &Answer, _: &Try, private: &Private) -> Reception {
        if let Some(Refused { request_error }) = answer.json() {
            return refusal(answer, &request_error.service_exception, private);
        }
        let taken = if answer.status.is_success() { answer.json::<Taken>() } else { None };
        let message = match taken {
            Some(Taken::Bulk { messages }) => messages.into_iter().next(),
            Some(Taken::Single(message)) => Some(message),
            None => None,
        };
        match message {
            Some(TakenMessage { status, .. }) if status.is_refusal() => status.reception(private),
            Some(TakenMessage { message_id: Some(id), .. }) if !id.is_empty() => Reception::Accepted(id),
            _ => by_status("Infobip", "INFOBIP_BASE_URL", answer),
        }
    }
}

impl Status {
    fn is_refusal(&self) -> bool {
        ["REJECTED", "UNDELIVERABLE", "EXPIRED"].contains(&self.group_name.as_str())
    }

    fn reception(&self, private: &Private) -> Reception {
        // Names like REJECTED_NOT_ENOUGH_CREDITS: then every message would be refused.
        if self.name.contains("CREDITS") || self.name.contains("PREPAID") {
            return Reception::refused(
                Fault::Configuration,
                "Infobip refused the message: the account has no credit left. Replies wait until it has.",
            );
        }
        let name = identifier(&self.name).or(identifier(&self.group_name)).unwrap_or("no name");
        Reception::refused(
            Fault::Item,
            format!(
                "Infobip refused the message as {name}{}. Check the contact's phone number, then use rowcall.retry.",
                private.quote(&self.description)
            ),
        )
    }
}

/// What an error in Infobip's own words comes to.
fn refusal(answer: &Answer, exception: &ServiceException, private: &Private) -> Reception {
    let status = answer.status.as_u16();
    let name = identifier(&exception.message_id).map(|name| format!(", {name}")).unwrap_or_default();
    let said = format!("HTTP {status}{name}");
    match status {
        401 | 403 => Reception::refused(
            Fault::Credentials,
            format!(
                "Infobip refused the access ({said}); replies wait until INFOBIP_API_KEY is valid and may send by \
                 INFOBIP_SENDER."
            ),
        ),
        429 => Reception::throttled(&format!("Infobip asks for patience ({said})"), answer, 5),
        503 => Reception::refused(
            Fault::Outage,
            format!("Infobip is not available just now ({said}); replies wait and go on by themselves."),
        ),
        408 | 425 => Reception::transient(&format!("Infobip could not do it just now ({said})")),
        // It may have failed after it took the message.
        500.. => Reception::Unknown { what: format!("Infobip had a fault of its own ({said})"), is_outage: true },
        _ => Reception::refused(
            Fault::Item,
            format!(
                "Infobip refused the message ({said}){}. Look at the action, then use rowcall.retry.",
                private.quote(&exception.text)
            ),
        ),
    }
}

/// The word, if it is one of the provider's names and not something that it quotes.
fn identifier(word: &str) -> Option<&str> {
    let is_identifier = (1..=60).contains(&word.len())
        && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
        && word.contains('_');
    is_identifier.then_some(word)
}

/// Which of the two addresses, and the body for it.
fn body(sender: &str, message: &Message<'_>) -> (&'static str, Value) {
    let mut body = json!({"from": sender, "to": message.to.digits(), "callbackData": message.reference});
    match message.content {
        Content::Text(text) => {
            body["content"] = json!({"text": text});
            ("text", body)
        }
        Content::Template(template) => {
            body["content"] = json!({
                "templateName": template.name,
                "templateData": {"body": {"placeholders": template.parameters}},
                "language": template.language,
            });
            ("template", json!({"messages": [body]}))
        }
    }
}
