//! Orders: another status at Fienta, by `orders --id=… --status=…` of the CLI.
//!
//! A status may stand for money that moves, so it is never blindly set again: where a run proved nothing, `orders --id=…` is
//! asked how the order stands, and only that decides. A change of metadata alone is the row's own affair; nobody is called.

use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::Settings;
use super::answer::{AGAIN, Kind, Said, failure, interrupted, last_words};
use super::cli::{Cli, cannot_run, not_known, rest, uncertain_if};
use super::request::{Metadata, Shown, Wrong, is_code, text, text_or_number};
use crate::failure::{Failure, Fault};
use crate::integrations::command::OUTPUT_BYTES_MAX;
use crate::integrations::{Integration, Limits};
use crate::job::Job;
use crate::order::RESERVED;
use crate::outcome::Outcome;

/// How long a status may be.
const STATUS_CHARS_MAX: usize = 40;

/// Runs the operations of the queue `orders`.
#[derive(Debug)]
pub struct Orders {
    cli: Cli,
}

/// What is asked of an order.
#[derive(Debug, PartialEq, Eq)]
struct Change {
    /// Fienta's number of it.
    id: String,
    /// What its status shall be; nothing where only its metadata changes.
    new_status: Option<String>,
    /// An earlier change, superseded since, has given it that status already; so it may have to be looked at only.
    is_reached: bool,
}

/// `claim.sql`'s payload.
#[derive(Deserialize)]
struct Payload {
    order: Option<Box<RawValue>>,
    metadata: Option<Box<RawValue>>,
}

impl Change {
    /// Reads and validates the payload of a job.
    fn of(job: &Job) -> Result<Self, Wrong> {
        let payload: Payload =
            job.payload().map_err(|_| Wrong("The payload of claim.sql is not readable; this is a bug.".to_owned()))?;
        let metadata = Metadata::read(payload.metadata.as_deref())?;
        check_action(&metadata)?;
        let new_status = metadata.read_key(
            "new_status",
            "a word like completed, of letters, digits, dashes and underscores, and neither updating nor unknown",
            |value| text(value).filter(|status| is_status(status)),
        )?;
        let new_metadata = new_metadata(&metadata)?;
        if new_status.is_none() && !new_metadata {
            return Err(Wrong(
                "metadata has nothing to update: set new_status, or new_metadata with what shall be in the metadata, and the \
                 status again."
                    .to_owned(),
            ));
        }
        let order = payload.order.as_deref();
        let id = order.and_then(text_or_number).filter(|id| is_code(id)).ok_or_else(|| {
            Wrong(format!(
                "metadata.fienta_order_id, or else the row's id, is {}. Allowed are 1 to 64 letters, digits, dots, dashes and \
                 underscores. Correct it and use rowcall.retry.",
                Shown(order)
            ))
        })?;
        let reached = metadata.get("reached_status").and_then(text);
        let is_reached =
            new_status.as_ref().zip(reached).is_some_and(|(new, reached)| new.eq_ignore_ascii_case(&reached));
        Ok(Self { id, new_status, is_reached })
    }
}

/// `update` says what the status says; the other two say which of both.
fn check_action(metadata: &Metadata) -> Result<(), Wrong> {
    let Some(value) = metadata.get("action") else { return Ok(()) };
    let shown = Shown(Some(value));
    let lacking = match text(value).as_deref() {
        Some("update") => None,
        Some("update_status") => Some("new_status"),
        Some("update_metadata") => Some("new_metadata"),
        _ => {
            return Err(Wrong(format!(
                "metadata.action is {shown}, which is unknown. Allowed are update, update_status and update_metadata, or nothing."
            )));
        }
    };
    match lacking.filter(|key| metadata.get(key).is_none()) {
        Some(key) => Err(Wrong(format!(
            "metadata.action is {shown}, and metadata.{key} is missing. Set it, and the status again."
        ))),
        None => Ok(()),
    }
}

/// Whether the metadata is to change. What it shall be, `settle.sql` reads from the row.
fn new_metadata(metadata: &Metadata) -> Result<bool, Wrong> {
    let Some(value) = metadata.get("new_metadata") else { return Ok(false) };
    let keys = metadata.read_key("new_metadata", "an object", |value| {
        serde_json::from_str::<std::collections::BTreeMap<String, &RawValue>>(value.get())
            .ok()
            .map(|keys| keys.into_keys().collect::<Vec<_>>())
    })?;
    match keys.iter().flatten().find(|key| RESERVED.contains(&key.as_str())) {
        Some(key) => Err(Wrong(format!(
            "metadata.new_metadata is {}. Its key {key} belongs to the request. Remove it and set the status again.",
            Shown(Some(value))
        ))),
        None => Ok(true),
    }
}

fn is_status(text: &str) -> bool {
    let is_word = text.len() <= STATUS_CHARS_MAX
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    is_word && !["updating", "unknown"].iter().any(|ours| text.eq_ignore_ascii_case(ours))
}

impl Orders {
    /// The integration with these settings; an empty setting counts as missing.
    pub fn new(settings: Settings) -> Self {
        Self { cli: Cli::new(settings) }
    }

    async fn perform(&self, job: &Job, limits: &Limits) -> Result<Outcome, Failure> {
        self.cli.missing().map_err(|missing| uncertain_if(job.uncertain, failure(Fault::Configuration, missing)))?;
        let Change { id, new_status, is_reached } =
            Change::of(job).map_err(|wrong| cannot_run(job.uncertain, &wrong.to_string()))?;
        let Some(new_status) = new_status else {
            if job.uncertain {
                return Err(cannot_run(true, "Then the metadata changes."));
            }
            return Ok(Outcome { unasked: true, ..Outcome::done(None) });
        };
        if limits.stop.is_cancelled() {
            return Err(uncertain_if(job.uncertain, interrupted()));
        }
        if job.uncertain || is_reached {
            if self.stands(&id, limits).await?.eq_ignore_ascii_case(&new_status) {
                return Ok(done(&new_status, true));
            }
            rest(limits).await?;
        }
        if !limits.still.stands().await {
            return Err(failure(Fault::Interrupted, "The order was changed before Fienta was told.").unasked());
        }
        let argv = vec!["orders".to_owned(), format!("--id={id}"), format!("--status={new_status}")];
        let doubt = match self.cli.run(argv, OUTPUT_BYTES_MAX, limits).await {
            Said::Yes(answer) if status_of(&answer).is_none_or(|status| status.eq_ignore_ascii_case(&new_status)) => {
                return Ok(done(&new_status, false));
            }
            Said::Yes(_) => "answered that the order has another status".to_owned(),
            Said::Nothing(why) | Said::CutOff(why) => why,
            Said::NotRun(failure) => return Err(failure),
            Said::No(refusal) if refusal.kind == Kind::NotFound && !refusal.is_about_event => {
                return Err(not_there(&id));
            }
            Said::No(refusal) => return Err(refusal.failure()),
        };
        rest(limits).await.map_err(Failure::uncertain)?;
        if self.stands(&id, limits).await?.eq_ignore_ascii_case(&new_status) {
            return Ok(done(&new_status, true));
        }
        Err(failure(Fault::Transient, format!("The Fienta CLI {doubt}. The change is not in effect; {AGAIN}")))
    }

    /// The status that the order has at Fienta.
    async fn stands(&self, id: &str, limits: &Limits) -> Result<String, Failure> {
        let failed = |fault, what: String| not_known(fault, "change", &what);
        match self.cli.run(vec!["orders".to_owned(), format!("--id={id}")], OUTPUT_BYTES_MAX, limits).await {
            Said::Yes(answer) => status_of(&answer).map(str::to_owned).ok_or_else(|| {
                failed(
                    Fault::Outage,
                    "the Fienta CLI shows an order in a form that rowcall does not know. Codes and orders wait until it is \
                     updated."
                        .to_owned(),
                )
            }),
            Said::Nothing(why) => Err(failed(
                Fault::Outage,
                format!("`orders` of the Fienta CLI {why}. Codes and orders wait until the CLI works."),
            )),
            Said::CutOff(why) => Err(failed(Fault::Transient, format!("`orders` of the Fienta CLI {why}; {AGAIN}"))),
            Said::NotRun(failure) => Err(failure.uncertain()),
            Said::No(refusal) if refusal.kind == Kind::NotFound && !refusal.is_about_event => Err(not_there(id)),
            Said::No(refusal) => match refusal.failure() {
                Failure { fault: Fault::Item, .. } => Err(failed(
                    Fault::Configuration,
                    format!(
                        "the Fienta CLI does not show an order by `orders --id`{}. Codes and orders wait until FIENTA_CLI is \
                         right.",
                        refusal.quote
                    ),
                )),
                failure => Err(failure.uncertain()),
            },
        }
    }
}

impl Integration for Orders {
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

fn status_of(answer: &Map<String, Value>) -> Option<&str> {
    answer.get("data")?.get("status")?.as_str()
}

/// It has that status there; told so that it is on the row also where something else is asked for by now.
fn done(new_status: &str, is_read_back: bool) -> Outcome {
    let mut result = json!({"in_effect": {"new_status": new_status}});
    if is_read_back {
        result["read_back"] = json!(true);
    }
    Outcome::done(Some(result))
}

fn not_there(id: &str) -> Failure {
    failure(
        Fault::Item,
        format!(
            "The order {id} is not in Fienta. Give its number there as metadata.fienta_order_id, and use rowcall.retry."
        ),
    )
}
