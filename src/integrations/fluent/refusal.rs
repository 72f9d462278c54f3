//! What an answer without tickets means, and what a person can do about it.
//!
//! WordPress, its plugins and what stands in front of it refuse in many ways. A login that is not taken, rights that are
//! lacking and a site that is somewhere else open the breaker, for every page would meet them; a site that is down is
//! waited for; the rest is tried again, a bounded number of times.

use std::time::Duration;

use reqwest::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::encoded;
use super::page::{Page, TICKETS_MAX, Unread};
use super::plan::PER_PAGE;
use super::said::{Members, Text};
use crate::failure::{Failure, Fault};
use crate::integrations::http::{Answer, Cause, Lost, with_jitter};
use crate::integrations::redact::{Redactor, cut};

/// How long what goes on the row may be, in characters.
const MESSAGE_CHARS_MAX: usize = 500;

/// How much of the site's own words is quoted, in characters.
const QUOTE_CHARS_MAX: usize = 160;

/// What rowcall does about a failure that the next attempt may not meet.
pub(super) const AGAIN: &str = "it is tried again by itself.";

/// A firewall's page may be a mood of a minute; the third in a row is meant.
const WALLED_ATTEMPTS: i32 = 3;

/// Patience where the site names none.
const THROTTLED: Duration = Duration::from_mins(1);

/// What must not be quoted of the site's words.
#[derive(Debug)]
pub(super) struct Site {
    redactor: Redactor,
}

/// An error as WordPress and the plugin write it; the plugin also as a bare string.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Refused {
    code: Text,
    message: Text,
}

/// A failure whose message fits on the row.
pub(super) fn failure(fault: Fault, message: impl AsRef<str>) -> Failure {
    Failure::new(fault, cut(message.as_ref(), MESSAGE_CHARS_MAX))
}

/// The failure as the attempt of this number may tell it: the last one must not promise another.
pub(super) fn last_words(mut failure: Failure, attempt: i32, max_attempts: i32) -> Failure {
    if failure.fault == Fault::Transient && attempt >= max_attempts {
        let last = format!("that was the last of {max_attempts} attempts. Use rowcall.retry to read it again.");
        failure.message = failure.message.replace(AGAIN, &last);
    }
    failure
}

/// What the lack of an answer comes to. A page that was asked for may always be asked for again.
pub(super) fn lost(lost: &Lost) -> Failure {
    match lost.cause {
        Cause::Stopped => failure(
            Fault::Interrupted,
            "The worker was stopped while it read a page; the sync goes on from there when a worker runs again.",
        ),
        Cause::Unreachable | Cause::Closed => failure(
            Fault::Outage,
            format!("The site cannot be reached ({lost}); syncs wait until it can, see FLUENT_API_URL."),
        ),
        Cause::TimedOut | Cause::Broken => {
            failure(Fault::Transient, format!("The site did not answer ({lost}); {AGAIN}"))
        }
    }
}

impl Site {
    pub(super) fn new(username: Option<&SecretString>, password: Option<&SecretString>) -> Self {
        let exposed = |secret: Option<&SecretString>| secret.map(|secret| secret.expose_secret().to_owned());
        let (username, password) = (exposed(username).unwrap_or_default(), exposed(password).unwrap_or_default());
        let mut spoken = Vec::new();
        // WordPress shows an application password in groups, and takes it without the spaces too.
        for password in [password.replace(' ', ""), password] {
            // A site that echoes what it was sent has the login as the header has it.
            let pair = encoded(&username, &password);
            spoken.extend([pair.trim_end_matches('=').to_owned(), pair, password]);
        }
        spoken.push(username);
        // A login of two letters would blacken every word.
        let spoken = spoken.iter().map(String::as_str).filter(|secret| secret.chars().count() > 2);
        Self { redactor: Redactor::new(spoken) }
    }

    /// The page in an answer, or what stands in its place.
    pub(super) fn read(&self, answer: &Answer, attempt: i32) -> Result<Page, Failure> {
        let body = answer.bytes().unwrap_or_default().trim_ascii_start();
        // Some themes put a byte order mark before everything.
        let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
        if answer.status == StatusCode::OK {
            match Page::read(body) {
                Ok(page) => return Ok(page),
                Err(Unread::TooMany) => {
                    return Err(failure(
                        Fault::Transient,
                        format!(
                            "The site was asked for {PER_PAGE} tickets and answered with more than {TICKETS_MAX}, which is not taken \
                             in at once; {AGAIN}"
                        ),
                    ));
                }
                Err(Unread::NoPage) => {}
            }
        }
        Err(match serde_json::from_slice::<Members<Refused>>(body) {
            Ok(Members(mut refused)) => {
                if refused.message.get().is_none() {
                    refused.message = serde_json::from_slice(body).unwrap_or_default();
                }
                self.refusal(answer, &refused)
            }
            Err(_) => by_status(answer, attempt),
        })
    }

    /// What WordPress or the plugin says in JSON.
    fn refusal(&self, answer: &Answer, refused: &Refused) -> Failure {
        let code = refused.code.get().filter(|code| is_name(code)).unwrap_or("no code");
        let status = answer.status.as_u16();
        let what = format!("HTTP {status}, {}", self.redactor.line(code, QUOTE_CHARS_MAX));
        if let Some(failure) = by_code(code, status, &what) {
            return failure;
        }
        let words = refused.message.get().unwrap_or_default();
        let quote = match self.redactor.line(&super::plain::text(words), QUOTE_CHARS_MAX) {
            line if line.is_empty() => String::new(),
            line => format!(": {line}"),
        };
        match status {
            200 => failure(
                Fault::Transient,
                format!("The site answered, but not with tickets as Fluent Support has them; {AGAIN}"),
            ),
            408 | 425 | 500 => {
                failure(Fault::Transient, format!("FluentSupport could not do it ({what}{quote}); {AGAIN}"))
            }
            400 | 402 | 404..=407 | 409..=424 | 426 | 428 | 430..=499 => failure(
                Fault::Item,
                format!(
                    "FluentSupport refused the question ({what}{quote}). Look at the site, then use rowcall.retry."
                ),
            ),
            _ => by_status(answer, 1),
        }
    }
}

/// The error codes of WordPress that mean the same wherever they stand.
fn by_code(code: &str, status: u16, what: &str) -> Option<Failure> {
    let (fault, message) = match (code, status) {
        ("incorrect_password", _) => (
            Fault::Credentials,
            format!(
                "WordPress refused the password ({what}); syncs wait until FLUENT_API_PASSWORD is an application password \
                 of FLUENT_API_USERNAME (in WordPress under Users, Profile), not the one to sign in with."
            ),
        ),
        ("invalid_username" | "invalid_email", _) => (
            Fault::Credentials,
            format!("WordPress knows no such user ({what}); syncs wait until FLUENT_API_USERNAME is right."),
        ),
        (code, _) if code.starts_with("application_passwords_disabled") => (
            Fault::Credentials,
            format!(
                "WordPress takes no application passwords ({what}); syncs wait until it does. It takes them over HTTPS only, \
                 and security plugins switch them off."
            ),
        ),
        ("rest_forbidden" | "rest_not_logged_in", 401) => (
            Fault::Credentials,
            format!(
                "WordPress saw no login ({what}); syncs wait. The web server may keep the Authorization header from PHP: on \
                 Apache, SetEnvIf Authorization \"(.*)\" HTTP_AUTHORIZATION=$1 hands it on."
            ),
        ),
        ("rest_forbidden" | "rest_cannot_access" | "Permission Callback Error", _) => (
            Fault::Credentials,
            format!(
                "WordPress knows the user, who may not see tickets ({what}); syncs wait until FLUENT_API_USERNAME is an agent \
                 of Fluent Support with a permission for tickets."
            ),
        ),
        ("rest_no_route", _) => (
            Fault::Configuration,
            format!(
                "WordPress is there, Fluent Support is not ({what}); syncs wait until the plugin is active, and FLUENT_API_URL \
                 is the site that has it."
            ),
        ),
        (_, 401 | 403) => (
            Fault::Credentials,
            format!(
                "The site refused the login ({what}); syncs wait until FLUENT_API_USERNAME and FLUENT_API_PASSWORD are right, and \
                 no security plugin keeps the API closed to them."
            ),
        ),
        _ => return None,
    };
    Some(failure(fault, message))
}

/// What an answer means that is no JSON, as everything between us and the plugin gives it.
fn by_status(answer: &Answer, attempt: i32) -> Failure {
    let status = answer.status.as_u16();
    let body = answer.bytes().unwrap_or_default();
    let page = String::from_utf8_lossy(&body[..body.len().min(64 * 1024)]).to_ascii_lowercase();
    let patience = |failure: Failure| match answer.retry_after {
        Some(delay) => failure.after(with_jitter(delay)),
        None => failure,
    };
    match status {
        300..=399 => redirect(answer.header("location").unwrap_or_default(), status),
        200..=299 if page.contains("\"tickets\"") && answer.is_whole => failure(
            Fault::Transient,
            format!(
                "The site prints something before its answer, as PHP does with its notices; switch WP_DEBUG_DISPLAY off in \
                 wp-config.php; {AGAIN}"
            ),
        ),
        200..=299 if !answer.is_whole => {
            failure(Fault::Transient, format!("The answer broke off, or is larger than 16 MB; {AGAIN}"))
        }
        200..=299 if page.contains("type=\"password\"") => login_page(status),
        200..=299 => failure(
            Fault::Transient,
            format!("The site answered with a web page where its API should be (HTTP {status}); {AGAIN}"),
        ),
        401 => failure(
            Fault::Credentials,
            "Something in front of the site asks for a login of its own (HTTP 401 with a web page); syncs wait until it lets \
             /wp-json/ through.",
        ),
        403 if attempt >= WALLED_ATTEMPTS => failure(
            Fault::Configuration,
            "A firewall in front of the site keeps refusing rowcall (HTTP 403 with a web page); syncs wait until it lets this \
             machine through to /wp-json/.",
        ),
        403 => failure(
            Fault::Transient,
            format!("A firewall in front of the site refused (HTTP 403 with a web page); {AGAIN}"),
        ),
        404 | 410 => failure(
            Fault::Configuration,
            format!(
                "There is no WordPress API at FLUENT_API_URL (HTTP {status} with a web page); syncs wait until it is the \
                 site's address. A site with plain permalinks is written as https://example.com/?rest_route=/."
            ),
        ),
        429 => {
            let delay = answer.retry_after.unwrap_or(THROTTLED);
            failure(Fault::Throttled, format!("The site asks for patience (HTTP 429); {AGAIN}"))
                .after(with_jitter(delay))
                .resting(delay)
        }
        503 if page.contains("maintenance") => patience(failure(
            Fault::Outage,
            "The site is in maintenance (HTTP 503); syncs wait and go on by themselves. If it stays so, delete the file \
             .maintenance in WordPress' folder.",
        )),
        502..=504 | 520..=530 => patience(failure(
            Fault::Outage,
            format!("The site does not work just now (HTTP {status}); syncs wait and go on by themselves."),
        )),
        408 | 425 | 500..=599 => {
            failure(Fault::Transient, format!("The site failed (HTTP {status}); its PHP error log tells why; {AGAIN}"))
        }
        _ => failure(
            Fault::Item,
            format!(
                "The site refused the question (HTTP {status} with a web page). Look at it, then use rowcall.retry."
            ),
        ),
    }
}

fn redirect(location: &str, status: u16) -> Failure {
    if location.to_ascii_lowercase().contains("login") {
        return login_page(status);
    }
    let to =
        reqwest::Url::parse(location).ok().and_then(|url| Some(format!(" to {}://{}", url.scheme(), url.host_str()?)));
    failure(
        Fault::Configuration,
        format!(
            "The site sends rowcall elsewhere (HTTP {status}{}); syncs wait until FLUENT_API_URL is its real address, with \
             https and www as it has them.",
            to.unwrap_or_default()
        ),
    )
}

fn login_page(status: u16) -> Failure {
    failure(
        Fault::Configuration,
        format!(
            "The site sends rowcall to its login page (HTTP {status}): a plugin keeps the API to people who are signed in; \
             syncs wait until it lets /wp-json/fluent-support/ through."
        ),
    )
}

/// Whether it is one of the names that programs give, and no quote.
fn is_name(code: &str) -> bool {
    (1..=60).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_- ".contains(&byte))
}
