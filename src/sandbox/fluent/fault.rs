//! The ways in which the site can fail on request.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Response, header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::site::Edit;
use crate::sandbox::server::{After, answer};

/// A fault to happen to coming requests.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Fault {
    /// What goes wrong.
    pub kind: Kind,
    /// Only for this page.
    #[serde(default)]
    pub page: Option<u64>,
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
    /// WordPress is being updated.
    Maintenance,
    /// The plugin is switched off.
    NoPlugin,
    /// The user is no agent.
    NoRights,
    /// The web server keeps the login from PHP.
    NoHeader,
    /// Application passwords are switched off.
    NoPasswords,
    /// A plugin sends whoever is not signed in to the login page.
    LoginRedirect,
    /// The same, with the login page itself.
    LoginPage,
    /// The site has another address.
    Moved,
    /// PHP prints notices before the answer.
    Notices,
    /// A byte order mark comes before the answer, as some themes have it.
    Mark,
    /// A firewall refuses with a page of its own.
    Firewall,
    /// WordPress met a fatal error.
    Critical,
    /// A cache answers with the first page.
    Cached,
    /// This status and this body; a string is sent as a web page.
    Answer {
        /// The HTTP status.
        status: u16,
        /// The body.
        body: Value,
    },
    /// The list moves: people do this just before it is answered.
    Edits(Vec<Edit>),
    /// No answer.
    Hang,
    /// The connection closes.
    Close,
    /// As usual, after so many milliseconds.
    Slow(u64),
}

/// What is left to do after a fault.
pub(super) enum Left {
    /// Whatever is done usually.
    Usual,
    /// The same, of the first page.
    FirstPage,
    /// The same, after these edits.
    Edited(Vec<Edit>),
    /// The same, after these words.
    After(&'static str),
    /// This alone.
    Nothing(After),
}

fn one() -> u32 {
    1
}

impl Fault {
    /// It happens once, to any page.
    pub fn new(kind: Kind) -> Self {
        Self { kind, page: None, times: 1, retry_after: None }
    }

    /// It happens once, to this page.
    pub fn at(page: u64, kind: Kind) -> Self {
        Self { page: Some(page), ..Self::new(kind) }
    }

    /// The same, to so many requests.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times, ..self }
    }

    /// What it leaves to do.
    pub(super) async fn misbehave(self) -> Left {
        let retry_after = self.retry_after.as_deref();
        let page = |status: u16, text: &str| {
            answer(status, &json!(format!("<!DOCTYPE html><html>{text}</html>")), retry_after)
        };
        let response = match self.kind {
            Kind::Maintenance => page(
                503,
                "<title>Maintenance</title><p>Briefly unavailable for scheduled maintenance. Check back in a minute.</p>",
            ),
            Kind::NoPlugin => no_route(),
            Kind::NoRights => refused(403, "rest_forbidden", "Sorry, you are not allowed to do that."),
            Kind::NoHeader => refused(401, "rest_forbidden", "Sorry, you are not allowed to do that."),
            Kind::NoPasswords => {
                refused(401, "application_passwords_disabled", "Application passwords are not available.")
            }
            Kind::LoginRedirect => redirect("https://www.example.com/wp-login.php?redirect_to=x&reauth=1"),
            Kind::LoginPage => page(200, "<form id=\"loginform\"><input type=\"password\" name=\"pwd\"></form>"),
            Kind::Moved => redirect("https://www.example.com/wp-json/fluent-support/v2/tickets"),
            Kind::Notices => {
                return Left::After(
                    "<br />\n<b>Notice</b>:  Undefined index: x in <b>/srv/x.php</b> on line <b>7</b><br />\n",
                );
            }
            Kind::Mark => return Left::After("\u{feff}\n"),
            Kind::Firewall => page(403, "<title>Attention Required!</title>"),
            Kind::Critical => page(500, "<p>There has been a critical error on this website.</p>"),
            Kind::Cached => return Left::FirstPage,
            Kind::Answer { status, body } => answer(status, &body, retry_after),
            Kind::Edits(edits) => return Left::Edited(edits),
            Kind::Hang => return Left::Nothing(After::Hang),
            Kind::Close => return Left::Nothing(After::Close),
            Kind::Slow(millis) => {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                return Left::Usual;
            }
        };
        Left::Nothing(After::Answer(response))
    }
}

/// A refusal in WordPress' words.
pub(super) fn refused(status: u16, code: &str, message: &str) -> Response<Body> {
    answer(status, &json!({"code": code, "message": message, "data": {"status": status}}), None)
}

pub(super) fn no_route() -> Response<Body> {
    refused(404, "rest_no_route", "No route was found matching the URL and request method.")
}

fn redirect(to: &'static str) -> Response<Body> {
    let mut response = answer(302, &json!(""), None);
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static(to));
    response
}
