//! The short links: the queue `links`, and a visitor who follows them over the demo's HTTP and notes down where they led.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use reqwest::header::{LOCATION, USER_AGENT};
use tokio_postgres::Client;

use super::scene::{Scene, Step, Truth};
use super::system::{Effect, Script, Stage, System};

/// How long a visitor waits.
const PATIENCE: Duration = Duration::from_secs(10);

static SCRIPT: Script = Script {
    name: "visitor",
    title: "Short links, served by the worker itself",
    queue: "links",
    // A link that nobody has asked for is none.
    given: "",
    invite: include_str!("../../../sql/demo/links/invite.sql"),
    look: include_str!("../../../sql/demo/links/look.sql"),
    keys: Some(include_str!("../../../sql/demo/links/keys.sql")),
    scenes: &SCENES,
    effects: "visits, as the visitor saw them",
    faults: None,
};

/// A link's name, its status, and how often people followed it.
const fn followed(given: &'static [&'static str; 3]) -> Truth {
    Truth { name: "the link and its clicks", sql: include_str!("../../../sql/demo/links/followed.sql"), given }
}

static SCENES: [Scene; 3] = [
    Scene {
        title: "A link is made, and people follow it",
        fault: None,
        steps: &[
            Step {
                when: "",
                told: None,
                sql: Some(
                    "insert into links (target_url, metadata)
values ('https://shop.example.com/summer?from=mail', '{\"name\": \"summer\"}');",
                ),
                truths: &[followed(&["summer", "active", "0"])],
            },
            Step {
                when: "three people, and a program that looks at every link",
                told: Some(
                    "summer 3 Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\nsummer 1 ExampleBot/1.0",
                ),
                sql: None,
                truths: &[followed(&["summer", "active", "3"])],
            },
        ],
        must: "a slug that nobody guesses; it leads there; three clicks within seconds, the program's is none",
        keys: &["summer"],
        history: &["done"],
        effects: &[
            ("summer", "302 https://shop.example.com/summer?from=mail"),
            ("summer", "302 https://shop.example.com/summer?from=mail"),
            ("summer", "302 https://shop.example.com/summer?from=mail"),
            ("summer", "302 https://shop.example.com/summer?from=mail"),
        ],
    },
    Scene {
        title: "Its time is over",
        fault: None,
        steps: &[
            Step {
                when: "",
                told: None,
                sql: Some(
                    "insert into links (target_url, expires_at, metadata)
values ('https://shop.example.com/spring', now() + interval '1 hour', '{\"name\": \"spring\"}');",
                ),
                truths: &[followed(&["spring", "active", "0"])],
            },
            Step {
                when: "an hour later:",
                told: None,
                sql: Some("update links set expires_at = now() where metadata ->> 'name' = 'spring';"),
                truths: &[],
            },
            Step {
                when: "somebody comes late",
                told: Some("spring 1 Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
                sql: None,
                truths: &[followed(&["spring", "active", "0"])],
            },
        ],
        must: "410 Gone, and no click",
        keys: &["spring"],
        history: &["done"],
        effects: &[("spring", "410")],
    },
    Scene {
        title: "Bad input: a target that is no page",
        fault: None,
        steps: &[Step {
            when: "",
            told: None,
            sql: Some(
                "insert into links (target_url, metadata) values ('javascript:alert(1)', '{\"name\": \"bad\"}');",
            ),
            truths: &[Truth {
                name: "the error says what a link leads to",
                sql: "select status = 'failed' and slug is null and error_message like \
                      'target_url begins with javascript: and a link leads to http and https only%' \
                      from links where metadata ->> 'name' = 'bad'",
                given: &[],
            }],
        }],
        must: "failed at once, with words that say what a link may lead to; no slug is spent on it",
        keys: &["bad"],
        history: &["failed"],
        effects: &[],
    },
];

/// The visitor, and what they have seen.
#[derive(Debug)]
pub(super) struct Links {
    http: SocketAddr,
    browser: reqwest::Client,
    seen: Arc<Mutex<Vec<Effect>>>,
}

impl Links {
    pub(super) fn start(stage: &Stage) -> anyhow::Result<Self> {
        let browser =
            reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(PATIENCE).no_proxy();
        let browser = browser.build().context("set up the visitor of links")?;
        Ok(Self { http: stage.http, browser, seen: Arc::default() })
    }

    /// Follows the link of that name, and notes down where it led.
    async fn follow(&self, client: &Client, name: &str, agent: &str) -> anyhow::Result<()> {
        let sql = "select short_url from links where metadata ->> 'name' = $1";
        let row = client.query_one(sql, &[&name]).await.with_context(|| format!("look for the link {name}"))?;
        let url: Option<String> = row.get(0);
        let request = self.browser.get(url.context("a link that is active has an address")?);
        let answer =
            request.header(USER_AGENT, agent).send().await.with_context(|| format!("follow the link {name}"))?;
        let target = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let what = format!("{} {target}", answer.status().as_u16()).trim().to_owned();
        let effect = Effect { about: name.to_owned(), what };
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(effect);
        Ok(())
    }
}

/// Who follows which link, how often: "summer 3 Mozilla/5.0 …".
fn visits(told: &str) -> impl Iterator<Item = anyhow::Result<(&str, u32, &str)>> {
    told.lines().map(|line| {
        let mut words = line.splitn(3, ' ');
        let (Some(name), Some(times), Some(agent)) = (words.next(), words.next(), words.next()) else {
            bail!("the visitor does not understand {line}");
        };
        Ok((name, times.parse().with_context(|| format!("the visitor does not understand {line}"))?, agent))
    })
}

impl System for Links {
    fn script(&self) -> &'static Script {
        &SCRIPT
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        vec![("LINKS_BASE_URL", self.address())]
    }

    fn address(&self) -> String {
        format!("http://{}", self.http)
    }

    fn fault<'a>(&'a self, fault: &'a str) -> BoxFuture<'a, anyhow::Result<()>> {
        async move { bail!("nothing is called for a link, so nothing goes wrong by {fault}") }.boxed()
    }

    fn tell<'a>(&'a self, client: &'a Client, told: &'a str) -> BoxFuture<'a, anyhow::Result<()>> {
        async move {
            for visit in visits(told) {
                let (name, times, agent) = visit?;
                for _ in 0..times {
                    self.follow(client, name, agent).await?;
                }
            }
            Ok(())
        }
        .boxed()
    }

    fn shown_as_told(&self, told: &str) -> String {
        let line = |(name, times, agent): (&str, u32, &str)| {
            let times = if times == 1 { String::new() } else { format!("   # {times} times") };
            let program = agent.rsplit(' ').next().unwrap_or(agent);
            format!("$ curl -A '{program}' …/l/<the slug of {name}>{times}")
        };
        visits(told).flatten().map(line).collect::<Vec<_>>().join("\n")
    }

    fn effects(&self) -> Vec<Effect> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
