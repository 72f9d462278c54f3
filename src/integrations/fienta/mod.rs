//! Fienta discount codes: create, update, rename and delete, by the CLI that drives Fienta's site.
//!
//! Fienta has no interface for codes, so a Node/Playwright program does the clicking; it has no idempotency key either.
//! So nothing is believed but a plain answer, and where there is none (time limit, signal, crash, exit 0 without a word,
//! or a job that is `uncertain`) `list` is asked what is in effect, and only that decides. Credentials go by environment.
//!
//! One job is up to three runs of the CLI (`list`, the operation, `list`), each bounded by `limits.timeout` and 5 s; a
//! lease that is not renewed must be longer. That one operation runs at a time is the queue's business, not ours.

mod answer;
mod listing;
mod request;
mod terms;

use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::BoxFuture;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use self::answer::{AGAIN, Kind, Said, failure, interrupted, last_words};
use self::listing::{Place, Standing};
use self::request::Request;
use super::command::{Command, NotStarted, OUTPUT_BYTES_MAX, can_start};
use super::redact::Redactor;
use super::{Integration, Limits};
use crate::failure::{Failure, Fault};
use crate::job::Job;
use crate::outcome::Outcome;

/// The rest between two runs of the CLI for one job; between jobs the queue keeps it.
const SPACING: Duration = Duration::from_millis(500);

/// A list of tens of thousands of codes is one line, and all of it is needed.
const LIST_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What the integration needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `FIENTA_CLI`: the program and its first arguments.
    pub argv: Vec<String>,
    /// `FIENTA_CLI_DIR`: where it runs.
    pub dir: Option<PathBuf>,
    /// `FIENTA_EMAIL`
    pub email: Option<String>,
    /// `FIENTA_PASSWORD`
    pub password: Option<SecretString>,
    /// `FIENTA_EVENT_ID`
    pub event_id: Option<String>,
    /// The rowcall binary: see [`super::command::own_binary`].
    pub guard: PathBuf,
}

/// Runs the operations of the queue `codes`.
#[derive(Debug)]
pub struct Fienta {
    settings: Settings,
    redactor: Redactor,
}

/// Why `list` has to decide.
enum Doubt {
    /// The run proved nothing; what happened, after "The Fienta CLI".
    Unproven(String),
    /// It says that the code, or the new code, exists already.
    Exists,
    /// It says that the code is not there.
    NotFound,
}

impl Fienta {
    /// The integration with these settings; an empty setting counts as missing.
    pub fn new(mut settings: Settings) -> Self {
        let is_set = |value: &String| !value.is_empty();
        settings.email = settings.email.filter(is_set);
        settings.event_id = settings.event_id.filter(is_set);
        settings.password = settings.password.filter(|password| !password.expose_secret().is_empty());
        let secrets = [settings.email.as_deref(), settings.password.as_ref().map(ExposeSecret::expose_secret)];
        let redactor = Redactor::new(secrets.into_iter().flatten());
        Self { settings, redactor }
    }

    fn missing(&self) -> Result<(), String> {
        let settings = &self.settings;
        let needed = [
            ("FIENTA_CLI", settings.argv.is_empty()),
            ("FIENTA_EMAIL", settings.email.is_none()),
            ("FIENTA_PASSWORD", settings.password.is_none()),
            ("FIENTA_EVENT_ID", settings.event_id.is_none()),
        ];
        let missing: Vec<&str> = needed.iter().filter(|(_, is_missing)| *is_missing).map(|(name, _)| *name).collect();
        if !missing.is_empty() {
            return Err(format!("Fienta is not configured: codes wait until {} is set.", missing.join(", ")));
        }
        if !settings.event_id.as_deref().is_some_and(request::is_id) {
            return Err("FIENTA_EVENT_ID is not an event's number, like 200100; codes wait until it is.".to_owned());
        }
        Ok(())
    }

    async fn perform(&self, job: &Job, limits: &Limits) -> Result<Outcome, Failure> {
        self.missing().map_err(|missing| uncertain_if(job.uncertain, failure(Fault::Configuration, missing)))?;
        let request = Request::of(job).map_err(|wrong| failure(Fault::Item, wrong.to_string()).unasked())?;
        if limits.stop.is_cancelled() {
            return Err(uncertain_if(job.uncertain, interrupted()));
        }
        if job.uncertain {
            match self.read_back(&request, limits).await? {
                Standing::InEffect(place) => return Ok(done(place.unwrap_or_default(), true)),
                Standing::Differs(key) => return Err(exists_differently(&request, key)),
                // Not in effect; or an update, which may be repeated without harm.
                Standing::NotInEffect | Standing::Unshown => rest(limits).await?,
            }
        }
        let doubt = match self.run(request.argv(), OUTPUT_BYTES_MAX, limits).await {
            Said::Yes(answer) if names(&answer, &request) => {
                let data = answer.get("data").and_then(Value::as_object);
                return Ok(done(data.map(Place::of).unwrap_or_default(), false));
            }
            Said::Yes(_) => Doubt::Unproven("answered about another code".to_owned()),
            Said::Nothing(why) | Said::CutOff(why) => Doubt::Unproven(why),
            Said::NotRun(failure) => return Err(failure),
            Said::No(refusal) if refusal.is_about_event => return Err(refusal.failure()),
            Said::No(refusal) => match (refusal.kind, &request) {
                (Kind::NotFound, Request::Delete { discount_id: None, .. }) => {
                    return Ok(done(Place::default(), false));
                }
                // Perhaps only the discount's number on the row is out of date.
                (Kind::NotFound, Request::Delete { .. } | Request::Rename { .. }) => Doubt::NotFound,
                (Kind::NotFound, Request::Update { .. }) => return Err(not_there(&request)),
                (Kind::Exists, Request::Create { .. } | Request::Rename { .. }) => Doubt::Exists,
                _ => return Err(refusal.failure()),
            },
        };
        rest(limits).await.map_err(Failure::uncertain)?;
        let standing = self.read_back(&request, limits).await?;
        decide(&request, doubt, standing)
    }

    /// Asks `list` whether the request is in effect. Where it cannot say, that is uncertain still.
    async fn read_back(&self, request: &Request, limits: &Limits) -> Result<Standing, Failure> {
        let failed = |fault, what: String| {
            let what = format!("It is not known whether the {} took effect: {what}", request.verb());
            failure(fault, what).uncertain()
        };
        match self.run(vec!["list".to_owned()], LIST_BYTES_MAX, limits).await {
            Said::Yes(answer) => match listing::read(&answer) {
                Some(codes) => Ok(request.standing(codes)),
                None => Err(failed(
                    Fault::Outage,
                    "the Fienta CLI lists codes in a form that rowcall does not know. Codes wait until it is updated."
                        .to_owned(),
                )),
            },
            // Nothing about this code can make `list` fail so; every other code would meet the same.
            Said::Nothing(why) => Err(failed(
                Fault::Outage,
                format!(
                    "`list` of the Fienta CLI {why}. Codes wait until the CLI works, see FIENTA_CLI and FIENTA_CLI_DIR."
                ),
            )),
            Said::CutOff(why) => Err(failed(Fault::Transient, format!("`list` of the Fienta CLI {why}; {AGAIN}"))),
            Said::NotRun(failure) => Err(failure.uncertain()),
            Said::No(refusal) => {
                let failure = refusal.failure();
                match failure.fault {
                    Fault::Item => Err(failed(
                        Fault::Configuration,
                        format!(
                            "the Fienta CLI refuses `list`{}. Codes wait until FIENTA_CLI is right.",
                            refusal.quote
                        ),
                    )),
                    _ => Err(failure.uncertain()),
                }
            }
        }
    }

    async fn run(&self, mut argv: Vec<String>, output_bytes_max: usize, limits: &Limits) -> Said {
        let settings = &self.settings;
        argv.extend(settings.event_id.iter().map(|id| format!("--event-id={id}")));
        argv.push("--json".to_owned());
        let env = [
            ("FIENTA_EMAIL", settings.email.as_deref()),
            ("FIENTA_PASSWORD", settings.password.as_ref().map(ExposeSecret::expose_secret)),
            ("FIENTA_EVENT_ID", settings.event_id.as_deref()),
        ];
        let command = Command {
            argv: settings.argv.iter().cloned().chain(argv).map(Into::into).collect(),
            dir: settings.dir.clone(),
            env: env.into_iter().filter_map(|(name, value)| Some((name, SecretString::from(value?)))).collect(),
            output_bytes_max,
            guard: settings.guard.clone(),
        };
        Said::of(&command.run(limits).await, &self.redactor)
    }
}

impl Integration for Fienta {
    fn ready(&self) -> Result<(), String> {
        self.missing()
    }

    fn examine(&self) -> Result<(), String> {
        self.missing()?;
        let Some(program) = self.settings.argv.first() else { return Ok(()) };
        can_start(program, self.settings.dir.as_deref()).map_err(|reason| match (&self.settings.dir, &reason) {
            (Some(dir), NotStarted::Dir) => {
                format!("FIENTA_CLI_DIR {} is not there; codes wait until it is.", dir.display())
            }
            _ => {
                format!("The program {program} of FIENTA_CLI is not there, or not executable; codes wait until it is.")
            }
        })
    }

    fn execute<'a>(&'a self, job: &'a Job, limits: &'a Limits) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let failed = |failure| last_words(failure, job.attempt, job.max_attempts).into();
            self.perform(job, limits).await.unwrap_or_else(failed)
        })
    }
}

/// What becomes of a doubt once `list` has answered.
fn decide(request: &Request, doubt: Doubt, standing: Standing) -> Result<Outcome, Failure> {
    let verb = request.verb();
    match (standing, doubt) {
        (Standing::InEffect(place), _) => Ok(done(place.unwrap_or_default(), true)),
        (Standing::Differs(key), _) => Err(exists_differently(request, key)),
        (Standing::Unshown, Doubt::Unproven(why)) => Err(failure(
            Fault::Transient,
            format!("The Fienta CLI {why}, and `list` does not show whether the {verb} took effect; {AGAIN}"),
        )
        .uncertain()),
        (_, Doubt::Unproven(why)) => {
            Err(failure(Fault::Transient, format!("The Fienta CLI {why}. The {verb} is not in effect; {AGAIN}")))
        }
        (_, Doubt::Exists) => Err(match request {
            Request::Rename { new_code, .. } => failure(
                Fault::Item,
                format!(
                    "{new_code} exists in Fienta already; nothing was changed. Choose another metadata.new_code and set the status again."
                ),
            ),
            _ => failure(
                Fault::Transient,
                format!("Fienta says that {} exists, and does not list it; {AGAIN}", request.code()),
            ),
        }),
        (_, Doubt::NotFound) => Err(match request {
            Request::Delete { .. } => failure(
                Fault::Item,
                format!(
                    "{} is in Fienta, but not under metadata.fienta_discount_id; nothing was deleted. Remove that key and set the status again.",
                    request.code()
                ),
            ),
            _ => not_there(request),
        }),
    }
}

fn not_there(request: &Request) -> Failure {
    let (code, verb) = (request.code(), request.verb());
    failure(
        Fault::Item,
        format!("{code} is not in Fienta, so there is nothing to {verb}. Create it first, or correct the code."),
    )
}

fn exists_differently(request: &Request, key: &str) -> Failure {
    let code = request.code();
    failure(
        Fault::Item,
        format!(
            "{code} exists in Fienta already, with another {key}; nothing was changed. Choose another code, or ask for status \"updating\" with new_{key}."
        ),
    )
}

fn done(place: Place, is_read_back: bool) -> Outcome {
    let metadata = place.metadata();
    if metadata.is_empty() && !is_read_back {
        return Outcome::done(None);
    }
    let mut result = Map::from_iter([("metadata".to_owned(), Value::Object(metadata))]);
    if is_read_back {
        result.insert("read_back".to_owned(), json!(true));
    }
    Outcome::done(Some(Value::Object(result)))
}

/// Whether a success is about the code that was asked for; one that names no code is.
fn names(answer: &Map<String, Value>, request: &Request) -> bool {
    let is_asked = |code: &str| {
        let new_code = if let Request::Rename { new_code, .. } = request { new_code } else { request.code() };
        code.eq_ignore_ascii_case(request.code()) || code.eq_ignore_ascii_case(new_code)
    };
    answer.get("code").and_then(Value::as_str).is_none_or(is_asked)
}

fn uncertain_if(is_uncertain: bool, failure: Failure) -> Failure {
    if is_uncertain { failure.uncertain() } else { failure }
}

/// Keeps the spacing between two runs; an error when the worker must stop meanwhile.
async fn rest(limits: &Limits) -> Result<(), Failure> {
    tokio::select! {
        () = tokio::time::sleep(SPACING) => Ok(()),
        () = limits.stop.cancelled() => Err(interrupted()),
    }
}
