//! The organizations: the queue `organizations`, and a receiver of signed webhooks.

use anyhow::Context;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio_postgres::Client;
use uuid::Uuid;

use super::scene::{Scene, Step, Truth};
use super::system::{Effect, Script, Stage, System};
use crate::sandbox::webhook::{Fake, WebhookArgs};

static SCRIPT: Script = Script {
    name: "receiver",
    title: "Organizations, told to another system by signed webhooks",
    queue: "organizations",
    given: include_str!("../../../sql/demo/organizations/given.sql"),
    invite: include_str!("../../../sql/demo/organizations/invite.sql"),
    look: include_str!("../../../sql/demo/organizations/look.sql"),
    keys: Some(include_str!("../../../sql/demo/organizations/keys.sql")),
    scenes: &SCENES,
    effects: "requests, and what was heard of them in heard.jsonl",
    faults: Some((
        "answer, accept-then-close, accept-then-hang, hang, close, …",
        r#"{"kind": {"answer": {"status": 500}}, "times": 2}"#,
    )),
};

/// An organization, and how often rowcall tried.
const fn told(given: &'static [&'static str; 1]) -> Truth {
    Truth { name: "the organization", sql: include_str!("../../../sql/demo/organizations/told.sql"), given }
}

static SCENES: [Scene; 4] = [
    Scene {
        title: "Told, though the receiver fails twice",
        fault: Some(r#"{"kind": {"answer": {"status": 500}}, "times": 2}"#),
        steps: &[Step {
            when: "",
            told: None,
            sql: Some("update organizations set status = 'syncing' where name = 'Acme';"),
            truths: &[told(&["Acme"])],
        }],
        must: "active, with synced_at; the same id at every attempt, so it is heard once",
        keys: &["Acme"],
        history: &["retry", "retry", "done"],
        effects: &[
            ("organization 1", "asked as organizations:1:1"),
            ("organization 1", "asked as organizations:1:1"),
            ("organization 1", "asked as organizations:1:1"),
            ("organization 1", "heard organizations:1:1 of Acme"),
        ],
    },
    Scene {
        title: "It hears, and its answer is lost",
        fault: Some(r#"{"kind": "accept-then-close"}"#),
        steps: &[Step {
            when: "",
            told: None,
            sql: Some("update organizations set status = 'syncing' where name = 'Birch';"),
            truths: &[told(&["Birch"])],
        }],
        must: "told again under the same id, which the receiver knows: heard once",
        keys: &["Birch"],
        history: &["retry", "done"],
        effects: &[
            ("organization 2", "asked as organizations:2:1"),
            ("organization 2", "heard organizations:2:1 of Birch"),
            ("organization 2", "asked as organizations:2:1"),
        ],
    },
    Scene {
        title: "Another secret: the worker signs with both meanwhile",
        fault: None,
        steps: &[
            Step {
                when: "",
                told: None,
                sql: Some("update organizations set status = 'syncing' where name = 'Cedar';"),
                truths: &[told(&["Cedar"])],
            },
            Step {
                when: "the receiver changes over to the new secret, and knows the old one no more",
                told: Some("the new secret"),
                sql: Some("update organizations set status = 'syncing' where name = 'Cedar';"),
                truths: &[told(&["Cedar"])],
            },
        ],
        must: "heard before and after, and refused at no moment",
        keys: &["Cedar"],
        history: &["done", "done"],
        effects: &[
            ("organization 3", "asked as organizations:3:1"),
            ("organization 3", "heard organizations:3:1 of Cedar"),
            ("organization 3", "asked as organizations:3:2"),
            ("organization 3", "heard organizations:3:2 of Cedar"),
        ],
    },
    Scene {
        title: "410 Gone: it is not called again until a person says so",
        fault: Some(r#"{"kind": {"answer": {"status": 410}}}"#),
        steps: &[
            Step {
                when: "",
                told: None,
                sql: Some("update organizations set status = 'syncing' where name = 'Dune';"),
                truths: &[Truth {
                    name: "it is as before, and the row says that the endpoint is gone",
                    sql: "select status = 'active' and synced_at is null and error_message like '%410 Gone: it is not called again%' \
                          from organizations where name = 'Dune'",
                    given: &[],
                }],
            },
            Step {
                when: "asked for all the same:",
                told: None,
                sql: Some("update organizations set status = 'syncing' where name = 'Dune';"),
                truths: &[Truth {
                    name: "nobody is called",
                    sql: "select status = 'active' and generation = 2 and error_message like '%is gone (410)%' \
                          from organizations where name = 'Dune'",
                    given: &[],
                }],
            },
            Step {
                when: "once it is back:",
                told: None,
                sql: Some("select rowcall.resume('organizations');\nselect rowcall.retry('organizations', '4');"),
                truths: &[told(&["Dune"])],
            },
        ],
        must: "the row says so, and the second request calls nobody; told once a person lets it be",
        keys: &["Dune"],
        history: &["failed", "failed", "done"],
        effects: &[
            ("organization 4", "asked as organizations:4:1"),
            ("organization 4", "asked as organizations:4:3"),
            ("organization 4", "heard organizations:4:3 of Dune"),
        ],
    },
];

/// The running receiver, and the secrets of before and after a change.
#[derive(Debug)]
pub(super) struct Organizations {
    fake: Fake,
    secrets: [Secret; 2],
}

/// A secret; it is shown to nobody.
struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Secret {
    /// Thirty-two random bytes, as Standard Webhooks writes them.
    fn random() -> Self {
        let bytes = [Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes()].concat();
        Self(format!("whsec_{}", BASE64_STANDARD.encode(bytes)))
    }
}

impl Organizations {
    pub(super) async fn start(stage: &Stage) -> anyhow::Result<Self> {
        let secrets = [Secret::random(), Secret::random()];
        let args =
            WebhookArgs { secrets: vec![secrets[0].0.clone()], ..WebhookArgs::new(stage.folder.join("webhook")) };
        Ok(Self { fake: Fake::start(args).await.context("start the receiver of webhooks")?, secrets })
    }
}

impl System for Organizations {
    fn script(&self) -> &'static Script {
        &SCRIPT
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        let [old, new] = &self.secrets;
        vec![
            ("ORGANIZATION_SYNC_URL", format!("{}/hook", self.fake.address())),
            ("ORGANIZATION_SYNC_SECRET", format!("{} {}", new.0, old.0)),
            ("ROWCALL_WEBHOOK_LOOPBACK", "true".to_owned()),
        ]
    }

    fn address(&self) -> String {
        self.fake.address()
    }

    fn fault<'a>(&'a self, fault: &'a str) -> BoxFuture<'a, anyhow::Result<()>> {
        async move {
            self.fake.fault(serde_json::from_str(fault).with_context(|| format!("the receiver takes no {fault}"))?);
            Ok(())
        }
        .boxed()
    }

    /// From now on the receiver knows the new secret only.
    fn tell<'a>(&'a self, _client: &'a Client, _told: &'a str) -> BoxFuture<'a, anyhow::Result<()>> {
        async move {
            self.fake.know(&[&self.secrets[1].0]);
            Ok(())
        }
        .boxed()
    }

    fn shown_as_told(&self, told: &str) -> String {
        format!("$ curl … -d '[\"<{told}>\"]' …/_control/secrets")
    }

    /// Every request that came, in its order, and what was heard by it.
    fn effects(&self) -> Vec<Effect> {
        let about = |id: &str| format!("organization {}", id.split(':').nth(1).unwrap_or(id));
        let asked = self.fake.requests().into_iter().map(|line| {
            let id = text(&line["id"]);
            let refused = line["refused"].as_str().map(|why| format!(", refused: {why}")).unwrap_or_default();
            (text(&line["at"]), Effect { about: about(&id), what: format!("asked as {id}{refused}") })
        });
        let heard = self.fake.log().into_iter().map(|line| {
            let id = text(&line["id"]);
            let what = format!("heard {id} of {}", text(&line["body"]["data"]["name"]));
            (text(&line["at"]), Effect { about: about(&id), what })
        });
        let mut all: Vec<_> = asked.chain(heard).collect();
        // A request is noted down before what is heard by it.
        all.sort_by_key(|(at, _)| at.parse::<jiff::Timestamp>().unwrap_or_default());
        all.into_iter().map(|(_, effect)| effect).collect()
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
