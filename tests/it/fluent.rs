//! Document 5: syncs with FluentSupport, against the fake of its site.

mod pull;
mod since;
mod refusals;
mod rows;
mod slices;
mod adopt;
mod tickets;
mod edits;
mod flow;
mod crashes;
mod api;
mod login;
mod nightly;

use std::time::Duration;

use reqwest::Url;
use rowcall::integrations::fluent::{Fluent, Settings, time_zone};
use rowcall::integrations::{Integration, Limits};
use rowcall::job::Job;
use rowcall::outcome::{Outcome, Verdict};
use rowcall::sandbox::fluent::{Fake, FluentArgs};
use secrecy::SecretString;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const USERNAME: &str = "agent";
const PASSWORD: &str = "abcd EFGH 1234 ijkl MNOP 5678";

/// A site with an integration that knows its way there.
struct World {
    fake: Fake,
    fluent: Fluent,
    settings: Settings,
    dir: TempDir,
}

impl World {
    async fn new(tickets: u32) -> Self {
        Self::with(tickets, |_| {}, |_| {}).await
    }

    async fn with(tickets: u32, site: impl FnOnce(&mut FluentArgs), change: impl FnOnce(&mut Settings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut args = FluentArgs { tickets, ..FluentArgs::new(dir.path().to_owned()) };
        site(&mut args);
        let zone = args.timezone.clone();
        let fake = Fake::start(args).await.unwrap();
        let mut settings = Settings {
            api_url: Some(Url::parse(&fake.address()).unwrap()),
            username: Some(SecretString::from(USERNAME)),
            password: Some(SecretString::from(PASSWORD)),
            date_filter: None,
            site_timezone: time_zone(&zone).unwrap(),
        };
        change(&mut settings);
        Self { fake, fluent: Fluent::new(settings.clone()), settings, dir }
    }

    async fn execute(&self, job: &Job) -> Outcome {
        self.execute_within(job, Duration::from_secs(20)).await
    }

    async fn execute_within(&self, job: &Job, timeout: Duration) -> Outcome {
        self.fluent.execute(job, &Limits::new(timeout, CancellationToken::new())).await
    }

    /// Reads a whole sync, as the queue would: every part, and the end.
    async fn pull(&self, asked: Value) -> (Vec<Value>, Value) {
        let mut parts = Vec::new();
        let mut payload =
            json!({"date_filter": null, "is_full": false, "cursor": null, "pages_read": 0, "covered": null});
        payload.as_object_mut().unwrap().extend(asked.as_object().unwrap().clone());
        if let Some(covered) = payload["covered"].as_object_mut() {
            covered.entry("fingerprint").or_insert_with(|| json!(self.fluent.fingerprint()));
        }
        loop {
            let outcome = self.execute(&job(&payload)).await;
            let result = outcome.result.clone().unwrap_or_else(|| panic!("{outcome:?}"));
            match outcome.verdict {
                Verdict::Wait => {
                    assert_eq!((outcome.delay, outcome.fault), (Some(Duration::ZERO), None));
                    payload["cursor"] = result["cursor"].clone();
                    payload["pages_read"] = result["pages_read"].clone();
                    parts.push(result);
                }
                Verdict::Done => return (parts, result),
                other => panic!("{other}: {outcome:?}"),
            }
        }
    }
}

/// One page of a sync.
fn job(payload: &Value) -> Job {
    Job {
        queue: "fluent_sync_status",
        key: "1".to_owned(),
        generation: 1,
        token: Uuid::new_v4(),
        attempt: 1,
        max_attempts: 5,
        uncertain: false,
        operation: "sync".to_owned(),
        payload: to_raw_value(payload).unwrap(),
    }
}

/// The first page of a sync of everything.
fn first() -> Job {
    job(&json!({"date_filter": null, "is_full": false, "cursor": null, "pages_read": 0, "covered": null}))
}

/// The tickets of all parts and of the end, by number; the later reading of one counts.
fn read((parts, end): &(Vec<Value>, Value)) -> std::collections::BTreeMap<i64, Value> {
    let pages = parts.iter().chain([end]);
    let tickets = pages.flat_map(|page| page["tickets"].as_array().unwrap().clone());
    tickets.map(|ticket| (ticket["id"].as_i64().unwrap(), ticket)).collect()
}

/// A number that may be text, as the site has it.
fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| value.as_str().unwrap().parse().unwrap())
}
