//! Monitoring: the codes here are compared with those that `list` shows. Nothing is changed by it, here or there.
//!
//! *Drift* is a code that is active here and missing there, one that is there and not active here, and one with other terms. What
//! `list` does not show contradicts nothing; codes that are being changed are left out. `used` of `list`, where it has it, is usage.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::answer::{AGAIN, Said, failure, last_words};
use super::cli::Cli;
use super::listing::{self, Listed};
use super::request::Metadata;
use super::{LIST_BYTES_MAX, Settings};
use crate::failure::{Failure, Fault};
use crate::integrations::redact::cut;
use crate::integrations::{Integration, Limits};
use crate::job::Job;
use crate::outcome::Outcome;

/// How much drift is told one by one; all of it is counted.
const DRIFT_MAX: usize = 200;

/// Of how many codes the usage is told.
const USAGE_MAX: usize = 10_000;

/// How much of a differing value is told, in characters.
const VALUE_CHARS_MAX: usize = 100;

/// Runs the operations of the queue `fienta_checks`.
#[derive(Debug)]
pub struct Checks {
    cli: Cli,
}

/// `claim.sql`'s payload: what stands here.
#[derive(Deserialize)]
struct Here {
    as_of: String,
    active: Vec<Active>,
    changing: Vec<String>,
}

#[derive(Deserialize)]
struct Active {
    code: String,
    metadata: Box<RawValue>,
}

impl Checks {
    /// The integration with these settings; an empty setting counts as missing.
    pub fn new(settings: Settings) -> Self {
        Self { cli: Cli::new(settings) }
    }

    async fn perform(&self, job: &Job, limits: &Limits) -> Result<Outcome, Failure> {
        self.cli.missing().map_err(|missing| failure(Fault::Configuration, missing))?;
        let here: Here = job
            .payload()
            .map_err(|_| failure(Fault::Item, "The payload of claim.sql is not readable; this is a bug.").unasked())?;
        let again = |why: &str| failure(Fault::Transient, format!("`list` of the Fienta CLI {why}; {AGAIN}"));
        match self.cli.run(vec!["list".to_owned()], LIST_BYTES_MAX, limits).await {
            Said::Yes(answer) => match listing::read(&answer) {
                Ok(there) if there.is_empty() && !here.active.is_empty() => {
                    let active = here.active.len();
                    Err(again(&format!("shows no code at all, though {active} are active here")))
                }
                Ok(there) => Ok(Outcome::done(Some(compare(&here, &there)))),
                Err(unread) => Err(again(&unread.to_string())),
            },
            Said::Nothing(why) | Said::CutOff(why) => Err(again(&why)),
            Said::NotRun(failure) => Err(failure),
            Said::No(refusal) => Err(match refusal.failure() {
                Failure { fault: Fault::Item, .. } => failure(
                    Fault::Item,
                    format!("The Fienta CLI refuses `list`{}. Nothing is compared until it takes it.", refusal.quote),
                ),
                failure => failure,
            }),
        }
    }
}

impl Integration for Checks {
    fn ready(&self) -> Result<(), String> {
        self.cli.missing()
    }

    fn examine(&self) -> Result<(), String> {
        self.cli.examine()
    }

    fn execute<'a>(&'a self, job: &'a Job, limits: &'a Limits) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            // A look has no effect, so none is in doubt.
            let failed =
                |failure| Failure { uncertain: false, ..last_words(failure, job.attempt, job.max_attempts) }.into();
            self.perform(job, limits).await.unwrap_or_else(failed)
        })
    }
}

/// What `settle.sql` writes: counts, usage, and the drift one by one.
fn compare(here: &Here, there: &[Listed]) -> Value {
    // Fienta may write a code in capitals.
    let name = str::to_ascii_uppercase;
    let listed: HashMap<String, &Listed> = there.iter().map(|listed| (name(listed.code()), listed)).collect();
    let changing: HashSet<String> = here.changing.iter().map(|code| name(code)).collect();
    let mut known = changing.clone();
    let mut drift = Vec::new();
    for Active { code, metadata } in here.active.iter().filter(|active| !changing.contains(&name(&active.code))) {
        known.insert(name(code));
        match listed.get(&name(code)) {
            None => drift.push(json!({"code": code, "drift": "missing_there"})),
            Some(listed) => {
                let values = different(metadata, listed);
                if !values.is_empty() {
                    drift.push(json!({"code": code, "drift": "different", "values": values}));
                }
            }
        }
    }
    let missing = there.iter().filter(|listed| !known.contains(&name(listed.code())));
    drift.extend(missing.map(|listed| json!({"code": listed.code(), "drift": "missing_here"})));
    let drift_count = drift.len();
    drift.truncate(DRIFT_MAX);
    let used = there.iter().filter_map(|listed| Some((listed.code(), listed.used().filter(|used| *used > 0)?)));
    let usage: BTreeMap<&str, u64> = used.take(USAGE_MAX).collect();
    json!({
        "as_of": here.as_of, "listed": there.len(), "compared": here.active.len(), "usage": usage, "drift": drift,
        "drift_count": drift_count,
    })
}

/// The terms that differ, each with what it is here and there. Metadata that cannot be read says nothing.
fn different(metadata: &RawValue, listed: &Listed) -> BTreeMap<&'static str, Value> {
    let Ok(terms) = Metadata::read(Some(metadata)).and_then(|metadata| metadata.terms("")) else {
        return BTreeMap::new();
    };
    let value = |value: Option<String>| value.map(|value| cut(&value, VALUE_CHARS_MAX));
    let keys = terms.differences(listed.terms()).into_iter();
    keys.map(|key| (key, json!({"here": value(terms.value(key)), "there": value(listed.terms().value(key))}))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drift(active: &Value, changing: &Value, list: &Value) -> Value {
        let here = json!({"as_of": "t", "active": active, "changing": changing}).to_string();
        let answer = json!({"ok": true, "data": {"codes": list}});
        let there = listing::read(answer.as_object().unwrap()).unwrap();
        compare(&serde_json::from_str(&here).unwrap(), &there)
    }

    #[test]
    fn drift_is_what_stands_here_and_there_differently() {
        let active = json!([
            {"code": "same", "metadata": {"discount_percent": 20, "max_uses": "5", "expires_at": "2026-12-31"}},
            {"code": "LOST", "metadata": {}},
            {"code": "OTHER", "metadata": {"discount_percent": 20, "max_uses": 5}},
            {"code": "UNREAD", "metadata": {"discount_percent": "many"}},
            {"code": "MOVING", "metadata": {"discount_percent": 1}},
        ]);
        let list = json!([
            {"code": "SAME", "discount_percent": "20.00", "max_uses": 5, "used": 3},
            {"code": "OTHER", "discount_percent": 30, "max_uses": 6, "used": "0"},
            {"code": "UNREAD", "discount_percent": 1},
            {"code": "MOVING", "discount_percent": 2},
            {"code": "FOREIGN"},
        ]);
        let found = drift(&active, &json!(["MOVING", "SOON"]), &list);
        assert_eq!(
            found["drift"],
            json!([
                {"code": "LOST", "drift": "missing_there"},
                {"code": "OTHER", "drift": "different", "values": {
                    "discount_percent": {"here": "20", "there": "30"}, "max_uses": {"here": "5", "there": "6"},
                }},
                {"code": "FOREIGN", "drift": "missing_here"},
            ])
        );
        assert_eq!(
            (&found["listed"], &found["compared"], &found["usage"]),
            (&json!(5), &json!(5), &json!({"SAME": 3}))
        );
    }

    #[test]
    fn much_drift_is_counted_whole_and_told_in_part() {
        let list: Vec<Value> = (0..500).map(|n| json!({"code": format!("C{n}")})).collect();
        let found = drift(&json!([]), &json!([]), &json!(list));
        assert_eq!((found["drift"].as_array().unwrap().len(), &found["drift_count"]), (DRIFT_MAX, &json!(500)));
    }
}
