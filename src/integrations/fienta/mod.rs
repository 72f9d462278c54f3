//! Fienta: discount codes are created, updated, renamed and deleted, and orders get another status (`order.rs`), by the CLI that
//! drives Fienta's site.
//!
//! Fienta has no interface for codes, so a Node/Playwright program does the clicking; it has no idempotency key either.
//! So nothing is believed but a plain answer, and where there is none (time limit, signal, crash, exit 0 without a word,
//! or a job that is `uncertain`) `list` is asked what is in effect, and only that decides. Credentials go by environment.
//!
//! One job is up to three runs of the CLI (`list`, the operation, `list`), each bounded by `limits.timeout` and 5 s; a
//! lease that is not renewed must be longer. That one operation runs at a time is the queue's business, not ours.

mod answer;
mod check;
mod cli;
mod listing;
mod order;
mod request;
mod terms;

use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::BoxFuture;
use secrecy::SecretString;
use serde_json::{Map, Value, json};

use self::answer::{AGAIN, Kind, Said, failure, interrupted, last_words};
pub use self::check::Checks;
use self::cli::{Cli, cannot_run, not_known, rest, uncertain_if};
use self::listing::{Place, Standing, Unread};
pub use self::order::Orders;
use self::request::Request;
use super::command::OUTPUT_BYTES_MAX;
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
    cli: Cli,
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
    pub fn new(settings: Settings) -> Self {
        Self { cli: Cli::new(settings) }
    }

    async fn perform(&self, job: &Job, limits: &Limits) -> Result<Outcome, Failure> {
        self.cli.missing().map_err(|missing| uncertain_if(job.uncertain, failure(Fault::Configuration, missing)))?;
        let request = Request::of(job).map_err(|wrong| cannot_run(job.uncertain, &wrong.to_string()))?;
        if limits.stop.is_cancelled() {
            return Err(uncertain_if(job.uncertain, interrupted()));
        }
        if job.uncertain {
            match self.read_back(&request, limits).await? {
                Standing::InEffect(place) => return Ok(done(&request, place.unwrap_or_default(), true)),
                Standing::Differs(key) => return Err(exists_differently(&request, key)),
                // Not in effect; or an update, which may be repeated without harm.
                Standing::NotInEffect | Standing::Unshown => rest(limits).await?,
            }
        }
        let doubt = match self.cli.run(request.argv(), OUTPUT_BYTES_MAX, limits).await {
            Said::Yes(answer) if names(&answer, &request) => {
                let data = answer.get("data").and_then(Value::as_object);
                return Ok(done(&request, data.map(Place::of).unwrap_or_default(), false));
            }
            Said::Yes(_) => Doubt::Unproven("answered about another code".to_owned()),
            Said::Nothing(why) | Said::CutOff(why) => Doubt::Unproven(why),
            Said::NotRun(failure) => return Err(failure),
            Said::No(refusal) if refusal.is_about_event => return Err(refusal.failure()),
            Said::No(refusal) => match (refusal.kind, &request) {
                (Kind::NotFound, Request::Delete { discount_id: None, .. }) => {
                    return Ok(done(&request, Place::default(), false));
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
        decide(&request, doubt, standing, job.uncertain)
    }

    /// Asks `list` whether the request is in effect. Where it cannot say, that is uncertain still.
    async fn read_back(&self, request: &Request, limits: &Limits) -> Result<Standing, Failure> {
        let failed = |fault, what: String| not_known(fault, request.verb(), &what);
        match self.cli.run(vec!["list".to_owned()], LIST_BYTES_MAX, limits).await {
            Said::Yes(answer) => match listing::read(&answer) {
                Ok(codes) => Ok(request.standing(codes)),
                // However many codes there are, each of them would meet this; but whatever does not read back goes on.
                Err(unread @ Unread::Part) => {
                    Err(failed(Fault::Transient, format!("`list` of the Fienta CLI {unread}; {AGAIN}")))
                }
                Err(unread) => Err(failed(
                    Fault::Outage,
                    format!("`list` of the Fienta CLI {unread}. Codes and orders wait until it is updated."),
                )),
            },
            // Nothing about this code can make `list` fail so; every other code would meet the same.
            Said::Nothing(why) => Err(failed(
                Fault::Outage,
                format!(
                    "`list` of the Fienta CLI {why}. Codes and orders wait until the CLI works, see FIENTA_CLI and FIENTA_CLI_DIR."
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
                            "the Fienta CLI refuses `list`{}. Codes and orders wait until FIENTA_CLI is right.",
                            refusal.quote
                        ),
                    )),
                    _ => Err(failure.uncertain()),
                }
            }
        }
    }
}

impl Integration for Fienta {
    fn ready(&self) -> Result<(), String> {
        self.cli.missing()
    }

    fn examine(&self) -> Result<(), String> {
        self.cli.examine()
    }

    fn execute<'a>(&'a self, job: &'a Job, limits: &'a Limits) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let failed = |failure| last_words(failure, job.attempt, job.max_attempts).into();
            self.perform(job, limits).await.unwrap_or_else(failed)
        })
    }
}

/// What becomes of a doubt once `list` has answered.
fn decide(request: &Request, doubt: Doubt, standing: Standing, is_uncertain: bool) -> Result<Outcome, Failure> {
    let verb = request.verb();
    match (standing, doubt) {
        (Standing::InEffect(place), _) => Ok(done(request, place.unwrap_or_default(), true)),
        // Two that agree: the CLI does not find it, and nothing at all is listed.
        (Standing::Unshown, Doubt::NotFound) if matches!(request, Request::Delete { .. }) => {
            Ok(done(request, Place::default(), true))
        }
        (Standing::Differs(key), _) => Err(exists_differently(request, key)),
        (Standing::Unshown, Doubt::Unproven(why)) => Err(failure(
            Fault::Transient,
            format!("The Fienta CLI {why}, and `list` does not show whether the {verb} took effect; {AGAIN}"),
        )
        .uncertain()),
        (_, Doubt::Unproven(why)) => {
            Err(failure(Fault::Transient, format!("The Fienta CLI {why}. The {verb} is not in effect; {AGAIN}")))
        }
        // An earlier attempt may have done what makes the CLI say so.
        (Standing::Unshown, Doubt::NotFound | Doubt::Exists) if is_uncertain => Err(failure(
            Fault::Transient,
            format!(
                "It is not known whether the {verb} took effect: `list` of the Fienta CLI shows no code at all; {AGAIN}"
            ),
        )
        .uncertain()),
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

/// It is in effect; told so that it is on the row also where something else is asked for by now.
fn done(request: &Request, place: Place, is_read_back: bool) -> Outcome {
    let mut result = Map::from_iter([("in_effect".to_owned(), request.in_effect())]);
    let metadata = place.metadata();
    if !metadata.is_empty() {
        result.insert("metadata".to_owned(), Value::Object(metadata));
    }
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
