//! Short links: a link is looked at, and gets the address under which it is served.
//!
//! Nothing outside is called. The slug itself is minted by `settle.sql`, in the statement that makes the link active, so
//! a link is never active without one.

use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::json;

use super::{Integration, Limits};
use crate::failure::{Failure, Fault};
use crate::job::Job;
use crate::link::{self, Prefix};
use crate::outcome::Outcome;

/// Runs the operation of the queue `links`.
#[derive(Debug)]
pub struct ShortLinks {
    prefix: Option<Prefix>,
}

/// One link, as `claim.sql` built it.
#[derive(Deserialize)]
struct Payload {
    target_url: Option<String>,
    slug: Option<String>,
}

impl ShortLinks {
    /// The integration for links with this before their slugs.
    pub fn new(prefix: Option<Prefix>) -> Self {
        Self { prefix }
    }

    fn create(&self, job: &Job) -> Result<Outcome, Failure> {
        let item = |what: String| {
            Failure::new(Fault::Item, format!("{what}. Correct the row and set its status to creating."))
        };
        let Some(prefix) = &self.prefix else { return Err(Failure::new(Fault::Configuration, NOT_CONFIGURED)) };
        // The parser's own words would quote the payload.
        let payload: Option<Payload> = job.payload().ok().filter(|_| job.operation == "create");
        let payload =
            payload.ok_or_else(|| Failure::new(Fault::Item, "The link cannot be read. Run rowcall migrate."))?;
        let target = payload.target_url.unwrap_or_default();
        link::target(&target, Some(prefix)).map_err(|wrong| item(wrong.to_string()))?;
        if payload.slug.is_some_and(|slug| !link::is_slug(&slug)) {
            let most = link::SLUG_CHARS_MAX;
            return Err(item(format!("slug can be {most} letters, digits, - and _ at most, or null to have one made")));
        }
        Ok(Outcome::done(Some(json!({ "prefix": prefix.as_str() }))))
    }
}

const NOT_CONFIGURED: &str = "Short links are not configured: they wait until LINKS_BASE_URL is set.";

impl Integration for ShortLinks {
    fn ready(&self) -> Result<(), String> {
        if self.prefix.is_some() { Ok(()) } else { Err(NOT_CONFIGURED.to_owned()) }
    }

    fn execute<'a>(&'a self, job: &'a Job, _: &'a Limits) -> BoxFuture<'a, Outcome> {
        Box::pin(async move { self.create(job).unwrap_or_else(Outcome::from) })
    }
}
