//! What the CLI said: its exit code, and the JSON on the last line of its stdout.
//!
//! `{"ok":bool,"code":"…","error":{"kind":"…","message":"…","field":"…","retry_after":s},"data":{…}}`, exit 0 ok, 1 failure,
//! 2 usage, 75 temporary. Only a success that says so on that line is one: an exit code of 0 alone proves nothing, and
//! neither does a failure without words. A kind is believed before an exit code.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::failure::{Failure, Fault};
use crate::integrations::command::{End, NotStarted, Ran};
use crate::integrations::redact::{Redactor, cut};

/// How much of the CLI's own words is quoted, in characters.
const QUOTE_CHARS_MAX: usize = 200;

/// How long what goes on the row may be, in characters.
pub(super) const MESSAGE_CHARS_MAX: usize = 500;

/// What rowcall does about a failure that the next attempt may not meet.
pub(super) const AGAIN: &str = "it is tried again by itself.";

/// The longest rest that Fienta may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

/// What one run of the CLI said.
#[derive(Debug)]
pub(super) enum Said {
    /// It did it. The whole answer.
    Yes(Map<String, Value>),
    /// It did not, and says why.
    No(Refusal),
    /// It ended without an answer that could be believed; why not.
    Nothing(String),
    /// It was cut off before it could answer; by what.
    CutOff(String),
    /// It was not started, or stopped because the worker must stop.
    NotRun(Failure),
}

/// Why it did not.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) kind: Kind,
    /// The CLI's own words, redacted, in parentheses and with a space before; empty where it had none.
    pub(super) quote: String,
    /// It is about the event, which is our setting, and not about the code.
    pub(super) is_about_event: bool,
    retry_after: Option<Duration>,
}

/// The kinds of failure that the CLI names, and two that its exit code names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    NotFound,
    Exists,
    Auth,
    SiteChanged,
    RateLimited,
    Validation,
    Temporary,
    Other,
}

impl Kind {
    fn of(name: Option<&str>, code: i32) -> Self {
        match (name, code) {
            (Some("not_found"), _) => Self::NotFound,
            (Some("exists"), _) => Self::Exists,
            (Some("auth"), _) => Self::Auth,
            (Some("site_changed"), _) => Self::SiteChanged,
            (Some("rate_limited"), _) => Self::RateLimited,
            (Some("validation"), _) | (_, 2) => Self::Validation,
            (_, 75) => Self::Temporary,
            _ => Self::Other,
        }
    }
}

impl Said {
    /// Reads what a run of the CLI said.
    pub(super) fn of(ran: &Ran, redactor: &Redactor) -> Self {
        let code = match &ran.end {
            End::Exited(code) => *code,
            End::Signalled(number) => return Self::CutOff(format!("was ended by signal {number}")),
            End::TimedOut => return Self::CutOff("did not end within its time limit".to_owned()),
            End::Interrupted => return Self::NotRun(interrupted().uncertain()),
            End::NotStarted(reason) => return Self::NotRun(not_started(reason)),
        };
        let last_line = ran.stdout.last_line();
        let answer = last_line.as_deref().and_then(|line| serde_json::from_str::<Map<String, Value>>(line).ok());
        let quote = |words: Option<&str>| match words.map(|words| redactor.line(words, QUOTE_CHARS_MAX)) {
            Some(words) if !words.is_empty() => format!(" ({words})"),
            _ => String::new(),
        };
        let stderr = ran.stderr.last_line();
        match answer.as_ref().map(|answer| answer.get("ok").and_then(Value::as_bool)) {
            Some(Some(true)) if code == 0 => Self::Yes(answer.unwrap_or_default()),
            Some(Some(false)) => {
                let error = answer.as_ref().and_then(|answer| answer.get("error"));
                let words = error.and_then(|error| error.get("message").unwrap_or(error).as_str());
                Self::refused(error, code, quote(words))
            }
            _ if matches!(code, 2 | 75) => Self::refused(None, code, quote(stderr.as_deref())),
            _ => Self::Nothing(format!("ended with code {code} and no answer{}", quote(stderr.as_deref()))),
        }
    }

    fn refused(error: Option<&Value>, code: i32, quote: String) -> Self {
        let part = |name: &str| error.and_then(|error| error.get(name));
        let kind = part("kind").and_then(Value::as_str);
        if kind == Some("timeout") {
            return Self::CutOff(format!("waited too long for Fienta{quote}"));
        }
        let kind = Kind::of(kind, code);
        if kind == Kind::Other && code == 0 {
            return Self::Nothing(format!("ended with code 0 and says that it failed{quote}"));
        }
        Self::No(Refusal {
            kind,
            quote,
            is_about_event: part("field").and_then(Value::as_str) == Some("event-id"),
            retry_after: part("retry_after").and_then(seconds),
        })
    }
}

impl Refusal {
    /// The one table from a refusal to a failure, where the operation makes no difference.
    pub(super) fn failure(&self) -> Failure {
        let quote = &self.quote;
        if self.is_about_event {
            return failure(
                Fault::Configuration,
                format!("Fienta does not know the event{quote}; codes and orders wait until FIENTA_EVENT_ID is right."),
            );
        }
        match self.kind {
            Kind::Auth => failure(
                Fault::Credentials,
                format!(
                    "Fienta refused the login{quote}; codes and orders wait until FIENTA_EMAIL and FIENTA_PASSWORD are right."
                ),
            ),
            // It may have noticed only after the last click.
            Kind::SiteChanged => failure(
                Fault::Outage,
                format!("The Fienta CLI no longer understands the site{quote}; codes and orders wait until the CLI is updated."),
            )
            .uncertain(),
            Kind::RateLimited => {
                let failure =
                    failure(Fault::Throttled, format!("Fienta asks for patience{quote}; it is tried again by itself."));
                match self.retry_after {
                    Some(delay) => failure.after(delay),
                    None => failure,
                }
            }
            Kind::Validation | Kind::NotFound | Kind::Exists => failure(
                Fault::Item,
                format!("The Fienta CLI refused the request{quote}. Correct the row and set the status again."),
            ),
            Kind::Temporary => failure(Fault::Transient, format!("Fienta could not do it just now{quote}; {AGAIN}")),
            Kind::Other => failure(Fault::Transient, format!("The Fienta CLI failed{quote}; {AGAIN}")),
        }
    }
}

/// A failure whose message fits on the row.
pub(super) fn failure(fault: Fault, message: impl AsRef<str>) -> Failure {
    Failure::new(fault, cut(message.as_ref(), MESSAGE_CHARS_MAX))
}

/// The failure as the attempt of this number may tell it: the last one must not promise another.
pub(super) fn last_words(mut failure: Failure, attempt: i32, max_attempts: i32) -> Failure {
    if failure.fault == Fault::Transient && attempt >= max_attempts {
        let last = format!("that was the last of {max_attempts} attempts. Set the status again to ask anew.");
        failure.message = failure.message.replace(AGAIN, &last);
    }
    failure
}

/// The worker must stop.
pub(super) fn interrupted() -> Failure {
    failure(Fault::Interrupted, "The worker was stopped; it goes on by itself when a worker runs again.")
}

fn not_started(reason: &NotStarted) -> Failure {
    let setting = match reason {
        NotStarted::Program(_) => "FIENTA_CLI",
        NotStarted::Dir => "FIENTA_CLI_DIR",
        NotStarted::Guard(_) => "the installation of rowcall",
    };
    failure(
        Fault::Configuration,
        format!("The Fienta CLI was not started: {reason}; codes and orders wait until {setting} is right."),
    )
}

fn seconds(value: &Value) -> Option<Duration> {
    let seconds = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
    Duration::try_from_secs_f64(seconds.ceil()).ok().map(|delay| delay.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::integrations::tail::Tail;

    fn said(end: End, stdout: &str, stderr: &str) -> Said {
        let ran = Ran { end, stdout: Tail::from(stdout), stderr: Tail::from(stderr) };
        Said::of(&ran, &Redactor::new(["hunter2"]))
    }

    fn fault(code: i32, stdout: &str) -> (Fault, bool) {
        match said(End::Exited(code), stdout, "") {
            Said::No(refusal) => (refusal.failure().fault, refusal.failure().uncertain),
            other => panic!("{stdout}: {other:?}"),
        }
    }

    fn error(kind: &str) -> String {
        format!(
            "Opening Fienta\n{{\"ok\":false,\"code\":\"A\",\"error\":{{\"kind\":\"{kind}\",\"message\":\"no\"}}}}\n"
        )
    }

    #[test]
    fn every_kind_has_its_fault() {
        for (kind, expected) in [
            ("auth", (Fault::Credentials, false)),
            ("site_changed", (Fault::Outage, true)),
            ("rate_limited", (Fault::Throttled, false)),
            ("validation", (Fault::Item, false)),
            ("not_found", (Fault::Item, false)),
            ("exists", (Fault::Item, false)),
            ("of_next_year", (Fault::Transient, false)),
        ] {
            assert_eq!(fault(1, &error(kind)), expected, "{kind}");
        }
        assert_eq!(fault(2, &error("auth")).0, Fault::Credentials, "a kind is believed before an exit code");
        assert_eq!(fault(2, "").0, Fault::Item);
        assert_eq!(fault(75, "").0, Fault::Transient);
        assert_eq!(fault(1, r#"{"ok":false}"#).0, Fault::Transient);
        assert_eq!(fault(1, r#"{"ok":false,"error":{"kind":"not_found","field":"event-id"}}"#).0, Fault::Configuration);
    }

    #[test]
    fn only_a_success_that_says_so_is_one() {
        assert!(matches!(said(End::Exited(0), "x\n{\"ok\":true}\n", ""), Said::Yes(_)));
        for (code, stdout) in [
            (0, ""),
            (0, "Deleted MY-CODE"),
            (0, "{\"ok\":true}\nBye"),
            (0, "{\"ok\":\"true\"}"),
            (0, "{\"ok\":true"),
            (0, "[true]"),
            (0, "{\"ok\":false}"),
            (1, "{\"ok\":true}"),
            (1, ""),
            (127, ""),
        ] {
            assert!(matches!(said(End::Exited(code), stdout, ""), Said::Nothing(_)), "{code} {stdout}");
        }
        assert!(matches!(said(End::TimedOut, "{\"ok\":true}", ""), Said::CutOff(_)));
        assert!(matches!(said(End::Signalled(9), "{\"ok\":true}", ""), Said::CutOff(_)));
        assert!(matches!(said(End::Exited(1), &error("timeout"), ""), Said::CutOff(_)));
    }

    #[test]
    fn the_last_attempt_promises_no_other() {
        let told = |fault, attempt| last_words(failure(fault, format!("No; {AGAIN}")), attempt, 4).message;
        assert_eq!(told(Fault::Transient, 3), "No; it is tried again by itself.");
        assert_eq!(told(Fault::Transient, 4), "No; that was the last of 4 attempts. Set the status again to ask anew.");
        assert_eq!(told(Fault::Throttled, 4), "No; it is tried again by itself.", "it spends no attempt");
    }

    #[test]
    fn what_is_missing_is_named() {
        for (reason, setting) in
            [(NotStarted::Program(std::io::ErrorKind::NotFound), "FIENTA_CLI "), (NotStarted::Dir, "FIENTA_CLI_DIR ")]
        {
            let Said::NotRun(failure) = said(End::NotStarted(reason), "", "") else { panic!("{setting}") };
            assert!(failure.fault == Fault::Configuration && failure.message.contains(setting), "{failure}");
        }
    }

    #[test]
    fn the_rest_that_is_asked_for_is_bounded() {
        for (json, expected) in [("80", 80), ("\"80\"", 80), ("0.2", 1), ("1e9", 3600)] {
            let line = format!(r#"{{"ok":false,"error":{{"kind":"rate_limited","retry_after":{json}}}}}"#);
            let Said::No(refusal) = said(End::Exited(1), &line, "") else { panic!("{json}") };
            assert_eq!(refusal.failure().after, Some(Duration::from_secs(expected)), "{json}");
        }
        assert_eq!(seconds(&Value::from(-1)), None);
        assert_eq!(seconds(&Value::from("soon")), None);
    }

    #[test]
    fn its_words_are_quoted_short_and_without_secrets() {
        let words = format!("login as ama@example.com with hunter2 {}", "long ".repeat(200));
        let line = serde_json::json!({"ok": false, "error": {"kind": "auth", "message": words}}).to_string();
        let Said::No(refusal) = said(End::Exited(1), &line, "") else { panic!("{line}") };
        let message = refusal.failure().message;
        assert!(message.starts_with("Fienta refused the login (login as ••• with ••• long"), "{message}");
        assert!(message.chars().count() <= MESSAGE_CHARS_MAX);
        let Said::Nothing(why) = said(End::Exited(1), "", "Error: hunter2 is wrong\n") else { panic!("a crash") };
        assert_eq!(why, "ended with code 1 and no answer (Error: ••• is wrong)");
    }
}
