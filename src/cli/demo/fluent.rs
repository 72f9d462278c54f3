//! The tickets: the queue `fluent_sync_status`, and a fake of a WordPress site with FluentSupport.

use anyhow::Context;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::Value;

use super::scene::{Scene, Step, Truth};
use super::system::{Effect, Script, Stage, System};
use crate::sandbox::fluent::{Fake, FluentArgs};

/// Three pages: enough to see that one is pulled after the other.
const TICKETS: u32 = 230;

static SCRIPT: Script = Script {
    name: "FluentSupport",
    title: "Support tickets, of a WordPress site",
    queue: "fluent_sync_status",
    given: include_str!("../../../sql/demo/fluent/given.sql"),
    invite: include_str!("../../../sql/demo/fluent/invite.sql"),
    look: include_str!("../../../sql/demo/fluent/look.sql"),
    keys: None,
    scenes: &SCENES,
    effects: "pages in requests.jsonl",
    faults: Some(("critical, notices, maintenance, no-plugin, hang, close, …", r#"{"kind": "critical"}"#)),
};

/// A sync, and how many tickets it added, updated and skipped.
const fn pulled(given: &'static [&'static str; 4]) -> Truth {
    Truth {
        name: "the sync, its counts, and one request for each ticket",
        sql: include_str!("../../../sql/demo/fluent/pulled.sql"),
        given,
    }
}

static SCENES: [Scene; 4] = [
    Scene {
        title: "Pull: 230 tickets become requests",
        fault: None,
        steps: &[Step {
            when: "",
            sql: Some("insert into fluent_sync_status default values;"),
            told: None,
            truths: &[
                pulled(&["1", "230", "0", "0"]),
                Truth {
                    name: "ticket 15 in the words of a request",
                    sql: "select (r.source, r.urgency, r.category, r.website_url) = ('fluent', 'MEDIUM', 'Website', 'Website') \
                          and r.description like E'Ticket 15 & more\\n\\n%' and r.description !~ '<' \
                          from requests as r join fluent_tickets as t on t.request_id = r.id where t.fluent_id = 15",
                    given: &[],
                },
            ],
        }],
        must: "a page at a time, all written at once: success with its counts; each ticket one request, its HTML plain text",
        keys: &["1"],
        history: &["done"],
        effects: &[
            ("request 1", "page 1, by change"),
            ("request 2", "page 1, by number"),
            ("request 3", "page 2, by number"),
            ("request 4", "page 3, by number"),
            ("request 5", "page 1, by change"),
        ],
    },
    Scene {
        title: "Again, with edits on both sides",
        fault: Some(
            r#"{"kind": {"edits": [{"classify": [7, "critical", "Email"]}, {"retitle": [8, "Solved itself"]}, "open"]}}"#,
        ),
        steps: &[Step {
            when: "",
            sql: Some(
                "update requests set category = 'Billed', hours = 1.5
where id = (select request_id from fluent_tickets where fluent_id = 7);
insert into fluent_sync_status default values;",
            ),
            told: None,
            truths: &[
                Truth {
                    name: "only what has changed is written",
                    sql: "select (tickets_added, tickets_updated) = (1, 2) and status = 'success' from fluent_sync_status where id = 2",
                    given: &[],
                },
                Truth {
                    name: "what the person edited stays, the rest follows the ticket",
                    sql: "select (r.category, r.hours, r.urgency, r.website_url) = ('Billed', 1.5, 'HIGH', 'Email') \
                          from requests as r join fluent_tickets as t on t.request_id = r.id where t.fluent_id = 7",
                    given: &[],
                },
            ],
        }],
        must: "one page is asked for; one ticket more, two follow, and the category and the hours that a person wrote stay",
        keys: &["2"],
        history: &["done"],
        effects: &[("request 6", "page 1, by change")],
    },
    Scene {
        title: "WordPress goes into maintenance in the middle",
        fault: Some(r#"{"kind": "maintenance", "page": 2}"#),
        steps: &[
            Step {
                when: "",
                sql: Some("insert into fluent_sync_status (is_full) values (true);"),
                told: None,
                truths: &[Truth {
                    name: "the site's breaker is open, the sync waits at its page and says why",
                    sql: "select w.state = 'waiting' and w.reason like 'The site is in maintenance (HTTP 503)%' \
                          and (s.pages_read, s.attempts) = (2, 0) from rowcall.work as w join fluent_sync_status as s \
                          on s.id::text = w.key where w.queue = 'fluent_sync_status' and s.id = 3",
                    given: &[],
                }],
            },
            Step { when: "then it is over", sql: None, told: None, truths: &[pulled(&["3", "0", "0", "231"])] },
        ],
        must: "the site rests, the row waits and says why, no attempt is spent; it goes on by itself at the page where it was",
        keys: &["3"],
        history: &["wait", "done"],
        effects: &[
            ("request 7", "page 1, by change"),
            ("request 8", "page 1, by number"),
            ("request 9", "page 2, by number"),
            ("request 10", "page 2, by number"),
            ("request 11", "page 3, by number"),
            ("request 12", "page 1, by change"),
        ],
    },
    Scene {
        title: "The plugin refuses; read anew by hand",
        fault: Some(
            r#"{"kind": {"answer": {"status": 422, "body": {"code": "invalid_filter", "message": "Filter is not valid"}}}}"#,
        ),
        steps: &[
            Step {
                when: "",
                sql: Some("insert into fluent_sync_status default values;"),
                told: None,
                truths: &[Truth {
                    name: "failed, with words that say what is wrong and what to do",
                    sql: "select status = 'failed' and error_message like 'FluentSupport refused the question (HTTP 422, \
                          invalid_filter: Filter is not valid)%rowcall.retry%' from fluent_sync_status where id = 4",
                    given: &[],
                }],
            },
            Step {
                when: "once the site is mended:",
                sql: Some("select rowcall.retry('fluent_sync_status', '4');"),
                told: None,
                truths: &[Truth {
                    name: "the sync worked",
                    sql: "select status = 'success' and error_message is null from fluent_sync_status where id = 4",
                    given: &[],
                }],
            },
        ],
        must: "failed at once, with the site's words and what to do; then success",
        keys: &["4"],
        history: &["failed", "done"],
        effects: &[("request 13", "page 1, by change"), ("request 14", "page 1, by change")],
    },
];

/// The running fake.
#[derive(Debug)]
pub(super) struct Fluent {
    fake: Fake,
    args: FluentArgs,
}

impl Fluent {
    pub(super) async fn start(stage: &Stage) -> anyhow::Result<Self> {
        let args = FluentArgs { tickets: TICKETS, ..FluentArgs::new(stage.folder.join("fluent")) };
        let fake = Fake::start(args.clone()).await.context("start the fake FluentSupport")?;
        Ok(Self { fake, args })
    }
}

impl System for Fluent {
    fn script(&self) -> &'static Script {
        &SCRIPT
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("FLUENT_API_URL", self.fake.address()),
            ("FLUENT_API_USERNAME", self.args.username.clone()),
            ("FLUENT_API_PASSWORD", self.args.password.clone()),
        ]
    }

    fn address(&self) -> String {
        self.fake.address()
    }

    fn fault<'a>(&'a self, fault: &'a str) -> BoxFuture<'a, anyhow::Result<()>> {
        async move {
            self.fake.fault(
                serde_json::from_str(fault).with_context(|| format!("the fake FluentSupport takes no {fault}"))?,
            );
            Ok(())
        }
        .boxed()
    }

    /// A pull only reads, so what counts is what it asked for: each page no more often than it must.
    fn effects(&self) -> Vec<Effect> {
        let effect = |(nth, request): (usize, &Value)| {
            let order = if request["order_by"] == "id" { "by number" } else { "by change" };
            Effect { about: format!("request {}", nth + 1), what: format!("page {}, {order}", request["page"]) }
        };
        self.fake.requests().iter().enumerate().map(effect).collect()
    }
}
