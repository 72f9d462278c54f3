//! Tickets of FluentSupport, a plugin of WordPress: pulled a page at a time.
//!
//! Each operation is one request, and one page of tickets its outcome: a part that says where the next one begins, or the
//! end. So the queue's rate is the site's rate, an interruption loses one page, no more than one page is in memory, and the
//! row shows after every page how far it is. What a ticket becomes is the database's to say (`rowcall.fluent_mapped`).
//!
//! Everything here only reads, so a page whose answer was lost is read again.

mod plan;
mod page;
mod said;
mod ticket;
mod moment;
mod plain;
mod refusal;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use self::moment::Clock;
use self::plan::{Next, PER_PAGE, Payload, Query};
use self::refusal::{Site, failure, last_words};
use super::http::{Bounds, Http, Request};
use super::{Integration, Limits};
use crate::failure::{Failure, Fault};
use crate::job::Job;
use crate::outcome::Outcome;

pub use self::moment::time_zone;

/// Below the API's root.
const ROUTE: &str = "fluent-support/v2/tickets";

/// The largest page that is read. A hundred tickets rarely have a megabyte.
const PAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What the integration needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `FLUENT_API_URL`: the site, without the path of its API. With a query `rest_route`, the site has plain permalinks.
    pub api_url: Option<Url>,
    /// `FLUENT_API_USERNAME`: an agent's login.
    pub username: Option<SecretString>,
    /// `FLUENT_API_PASSWORD`: an application password of that user.
    pub password: Option<SecretString>,
    /// `FLUENT_DATE_FILTER`: tickets that were closed before this day are not added, unless a sync names a day of its own.
    pub date_filter: Option<Date>,
    /// `FLUENT_SITE_TIMEZONE`: in which the site tells its times.
    pub site_timezone: TimeZone,
}

/// Runs the operation of the queue `fluent_sync_status`.
#[derive(Debug)]
pub struct Fluent {
    settings: Settings,
    clock: Clock,
    http: Result<Http, String>,
    site: Site,
    fingerprint: String,
}

impl Fluent {
    /// The integration with these settings.
    pub fn new(settings: Settings) -> Self {
        let http = Http::new().map_err(|_| {
            "TLS could not be set up, for lack of root certificates as a rule; syncs wait until it can.".to_owned()
        });
        let site = Site::new(settings.username.as_ref(), settings.password.as_ref());
        let fingerprint = fingerprint(&settings);
        Self { clock: Clock::new(settings.site_timezone.clone()), settings, http, site, fingerprint }
    }

    /// Which tickets a sync reads: those of this site, as this user sees them, by this clock. What was read under another
    /// fingerprint says nothing about them.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    fn http(&self) -> Result<&Http, String> {
        let Settings { api_url, username, password, .. } = &self.settings;
        let needed = [
            ("FLUENT_API_URL", api_url.is_none()),
            ("FLUENT_API_USERNAME", username.is_none()),
            ("FLUENT_API_PASSWORD", password.is_none()),
        ];
        let missing: Vec<&str> = needed.iter().filter(|(_, is_missing)| *is_missing).map(|(name, _)| *name).collect();
        if !missing.is_empty() {
            return Err(format!("FluentSupport is not configured: syncs wait until {} is set.", missing.join(", ")));
        }
        self.http.as_ref().map_err(Clone::clone)
    }

    /// Reads the next page of a sync.
    async fn read(&self, job: &Job, limits: &Limits) -> Result<Outcome, Failure> {
        let http = self.http().map_err(|missing| failure(Fault::Configuration, missing).unasked())?;
        // The parser's own words would quote the payload.
        let payload: Payload = job.payload().map_err(|_| {
            failure(
                Fault::Item,
                "The sync is not written as this rowcall reads it; run rowcall migrate, then use rowcall.retry.",
            )
            .unasked()
        })?;
        let (now, pages_before) = (Timestamp::now(), payload.pages_read);
        let plan = payload.plan(self.settings.date_filter, &self.clock, &self.fingerprint, now);
        let bounds = Bounds { deadline: Instant::now() + limits.timeout, stop: limits.stop.clone() };
        let answer = http.call(self.request(&plan.query())?, &bounds).await.map_err(|lost| refusal::lost(&lost))?;
        let page = self.site.read(&answer, job.attempt)?;
        drop(answer);
        let tickets: Vec<Value> =
            page.tickets().iter().map(|ticket| ticket::told(ticket, plan.filter(), &self.clock, now)).collect();
        let (next, progress) = plan.after(&page.seen(&self.clock), pages_before, now)?;
        let mut result = json!({"tickets": tickets, "pages_read": progress.pages_read, "since": progress.since});
        Ok(match next {
            Next::Page(plan) => {
                result["cursor"] = json!(plan);
                result["pages_total"] = json!(progress.pages_total);
                result["tickets_total"] = json!(progress.tickets_total);
                Outcome::part(result)
            }
            Next::End { watermark, covered_from, note } => {
                result["watermark"] = json!(watermark);
                result["covered_from"] = json!(covered_from);
                result["fingerprint"] = json!(self.fingerprint);
                result["note"] = json!(note);
                Outcome::done(Some(result))
            }
        })
    }

    /// `GET …/wp-json/fluent-support/v2/tickets?…`
    fn request(&self, query: &Query) -> Result<Request, Failure> {
        let Settings { api_url: Some(api_url), username: Some(username), password: Some(password), .. } =
            &self.settings
        else {
            return Err(failure(Fault::Configuration, "FluentSupport is not configured.").unasked());
        };
        let pair = encoded(username.expose_secret(), password.expose_secret());
        let request =
            Request::new(Method::GET, address(api_url, query)).keeping(PAGE_BYTES_MAX).authorized("Basic", &pair);
        let wrong = "FLUENT_API_PASSWORD cannot be sent as it is; syncs wait.";
        request.map_err(|_| failure(Fault::Configuration, wrong).unasked())
    }
}

impl Integration for Fluent {
    fn ready(&self) -> Result<(), String> {
        self.http().map(drop)
    }

    fn execute<'a>(&'a self, job: &'a Job, limits: &'a Limits) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let outcome = self.read(job, limits).await;
            outcome.unwrap_or_else(|failure| last_words(failure, job.attempt, job.max_attempts).into())
        })
    }
}

fn fingerprint(settings: &Settings) -> String {
    let Settings { api_url, username, site_timezone, .. } = settings;
    let url = api_url.as_ref().map(Url::as_str).unwrap_or_default();
    let username = username.as_ref().map(ExposeSecret::expose_secret).unwrap_or_default();
    let zone = site_timezone
        .iana_name()
        .map_or_else(|| site_timezone.to_offset(Timestamp::UNIX_EPOCH).to_string(), str::to_owned);
    // Half of it tells two apart as well, and is no name of anybody.
    BASE64_STANDARD.encode(&Sha256::digest(format!("{url}\n{username}\n{zone}"))[..15])
}

/// The login as HTTP Basic sends it.
fn encoded(username: &str, password: &str) -> String {
    BASE64_STANDARD.encode(format!("{username}:{password}"))
}

/// Where the page is. A site with plain permalinks has its API's path in a query.
fn address(site: &Url, query: &Query) -> Url {
    let mut url = site.clone();
    let is_plain = site.query_pairs().any(|(name, _)| name == "rest_route");
    url.set_query(None);
    if is_plain {
        url.query_pairs_mut().append_pair("rest_route", &format!("/{ROUTE}"));
    } else if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().push("wp-json").extend(ROUTE.split('/'));
    }
    url.query_pairs_mut()
        .append_pair("page", &query.page.to_string())
        .append_pair("per_page", &PER_PAGE.to_string())
        .append_pair("order_by", query.order_by)
        .append_pair("order_type", "DESC")
        .append_pair("filters[status_type]", query.status_type);
    url
}
