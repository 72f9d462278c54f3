//! Organizations: an outside system is told what a row says, by signed webhook.
//!
//! Told are the columns that the settings name and nothing else, so a column that is added to the table stays at home until
//! somebody says otherwise. The row's own `sync_url` goes before the settings' address.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::http::Reach;
use super::webhook::{Endpoint, Event, Place, Secret, Webhook};
use super::{Integration, Limits};
use crate::failure::{Failure, Fault};
use crate::job::Job;
use crate::outcome::Outcome;

/// Receivers take some tens of kilobytes; more is a row that went wrong.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// How long an organization waits that nobody is to be told of, until the settings are looked at again.
const NOBODY: Duration = Duration::from_mins(1);

/// What the integration needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `ORGANIZATION_SYNC_URL`
    pub endpoint: Option<Endpoint>,
    /// `ORGANIZATION_SYNC_SECRET`; while it is being replaced, several.
    pub secrets: Vec<Secret>,
    /// `ORGANIZATION_SYNC_COLUMNS`: what is told.
    pub columns: Vec<String>,
    /// `ROWCALL_WEBHOOK_LOOPBACK`
    pub reach: Reach,
}

/// Runs the operation of the queue `organizations`.
#[derive(Debug)]
pub struct Organizations {
    settings: Settings,
    webhook: Webhook,
}

/// One organization, as `claim.sql` built it.
#[derive(Deserialize)]
struct Payload {
    requested_at: String,
    sync_url: Option<String>,
    gone: Vec<String>,
    columns: BTreeMap<String, Box<RawValue>>,
}

impl Payload {
    /// The row's own address.
    fn own_url(&self) -> Option<&str> {
        self.sync_url.as_deref().filter(|text| !text.trim().is_empty())
    }
}

/// What is sent.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    timestamp: &'a str,
    data: Data<'a>,
}

/// Columns in the order of the settings, each value as Postgres writes it.
struct Data<'a>(Vec<(&'a str, &'a RawValue)>);

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

impl Organizations {
    /// The integration with these settings.
    pub fn new(settings: Settings) -> Self {
        let webhook = Webhook::new("ORGANIZATION_SYNC_SECRET", settings.secrets.clone(), settings.reach.clone());
        Self { settings, webhook }
    }

    /// Who is told.
    fn endpoint(&self, payload: &Payload) -> Result<Endpoint, Failure> {
        let Some(text) = payload.own_url() else {
            let nobody = "Nobody is to be told: ORGANIZATION_SYNC_URL is not set, and the row has no sync_url. It waits for either.";
            return self.settings.endpoint.clone().ok_or_else(|| Failure::new(Fault::Throttled, nobody).after(NOBODY));
        };
        Endpoint::parse(text, Place::Column("sync_url"), self.settings.reach.has_loopback()).map_err(|wrong| {
            Failure::new(Fault::Item, format!("sync_url cannot be used: {wrong}. Correct it and ask again."))
        })
    }

    fn body(&self, payload: &Payload) -> Result<Bytes, Failure> {
        let told = self.settings.columns.iter().map(|name| {
            let column = payload.columns.get(name).map(|value| (name.as_str(), &**value));
            column.ok_or_else(|| {
                let what = format!("ORGANIZATION_SYNC_COLUMNS names {name}, and organizations has no such column");
                Failure::new(Fault::Configuration, format!("{what}; rows wait until it is right."))
            })
        });
        let data = Data(told.collect::<Result<_, _>>()?);
        let body = Body { kind: "organization.sync", timestamp: &payload.requested_at, data };
        let body = serde_json::to_vec(&body).map_err(|_| unreadable())?;
        if body.len() > BODY_BYTES_MAX {
            let (bytes, limit) = (body.len(), BODY_BYTES_MAX);
            let what = format!("The organization is {bytes} bytes long, and at most {limit} are told");
            return Err(Failure::new(
                Fault::Item,
                format!("{what}. Shorten it, its metadata most likely, and ask again."),
            ));
        }
        Ok(body.into())
    }

    async fn sync(&self, job: &Job, limits: &Limits) -> Result<Outcome, Failure> {
        if job.operation != "sync" {
            return Err(unreadable());
        }
        self.ready().map_err(|missing| Failure::new(Fault::Configuration, missing))?;
        // The parser's own words would quote the payload.
        let payload: Payload = job.payload().map_err(|_| unreadable())?;
        let endpoint = self.endpoint(&payload)?;
        let body = self.body(&payload)?;
        if !limits.still.stands().await {
            return Err(Failure::new(
                Fault::Interrupted,
                "The organization changed before it was told; the newest is told next.",
            ));
        }
        let event = Event { id: &job.idempotency_key(), body, attempt: (job.attempt, job.max_attempts) };
        Ok(self.webhook.tell(&endpoint, &payload.gone, &event, limits).await)
    }
}

impl Integration for Organizations {
    fn ready(&self) -> Result<(), String> {
        if self.settings.secrets.is_empty() {
            let url = if self.settings.endpoint.is_none() { "ORGANIZATION_SYNC_URL and " } else { "" };
            let are = if url.is_empty() { "is" } else { "are" };
            let missing = format!("{url}ORGANIZATION_SYNC_SECRET {are} set.");
            return Err(format!("Nobody is set up to be told of organizations: they wait until {missing}"));
        }
        self.webhook.ready()
    }

    fn is_held_up(&self, job: &Job) -> bool {
        // The breaker is that of the endpoint which all share.
        job.payload::<Payload>().is_ok_and(|payload| payload.own_url().is_none())
    }

    fn execute<'a>(&'a self, job: &'a Job, limits: &'a Limits) -> BoxFuture<'a, Outcome> {
        // An uncertain attempt is repeated like any other: the receiver knows the request by its id.
        Box::pin(async move {
            let told = self.sync(job, limits).await;
            // Without an error somebody was asked, or it is said that nobody was.
            told.unwrap_or_else(|failure| failure.unasked().into())
        })
    }
}

fn unreadable() -> Failure {
    Failure::new(Fault::Item, "The organization cannot be read: the schema is another version's. Run rowcall migrate.")
}
