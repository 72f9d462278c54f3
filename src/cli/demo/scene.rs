//! A scene of `--once`: what a person types, step by step, and what must come of it.
//!
//! A scene is judged by three witnesses: the rows, by predicates in SQL; `rowcall.history`; and the fake's own log of what
//! really took effect. Unlike a `Case`, it knows no queue: what is particular stands in the system's script.

use anyhow::Context;
use tokio::time::{Instant, sleep};
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

use super::case::{LOOK, PATIENCE};
use super::row;
use super::system::{Effect, Script, System};
use super::table::{Rows, table};

/// What a person asks, and what must come of it.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) title: &'static str,
    /// What the fake is told to do wrong, in the words of its `/_control/faults`.
    pub(super) fault: Option<&'static str>,
    /// One after the other: the next is taken once the truths of the one before hold.
    pub(super) steps: &'static [Step],
    /// What must come of it, in words.
    pub(super) must: &'static str,
    /// The rows to look at, by their keys or by what the system calls them. No other scene changes them.
    pub(super) keys: &'static [&'static str],
    /// How their attempts must have ended, in order.
    pub(super) history: &'static [&'static str],
    /// What must have taken effect, in order: whom it concerns, and what. Nothing else may have, for any of these.
    pub(super) effects: &'static [(&'static str, &'static str)],
}

/// A part of a scene.
#[derive(Debug)]
pub(super) struct Step {
    /// When it comes, in words; of the first step nothing.
    pub(super) when: &'static str,
    /// What the provider tells by webhook, in the words of its fake's `/_control/webhooks`.
    pub(super) told: Option<&'static str>,
    /// What the person types; nothing where the world moves by itself.
    pub(super) sql: Option<&'static str>,
    /// What it must come to.
    pub(super) truths: &'static [Truth],
}

/// What must become true.
#[derive(Debug)]
pub(super) struct Truth {
    pub(super) name: &'static str,
    /// A statement that gives one boolean; no row is false.
    pub(super) sql: &'static str,
    /// Its parameters, texts all.
    pub(super) given: &'static [&'static str],
}

/// A scene that was played.
#[derive(Debug)]
pub(super) struct Played {
    pub(super) scene: &'static Scene,
    /// The rows at each step.
    pub(super) table: String,
    /// What took effect for them, by the fake.
    pub(super) effects: Vec<Effect>,
    /// How their attempts ended.
    pub(super) history: Vec<String>,
    /// What is not as it must be; nothing when the scene passed.
    pub(super) faults: Vec<String>,
}

/// Plays all scenes of a system.
pub(super) async fn play(system: &dyn System, client: Client) -> anyhow::Result<Vec<Played>> {
    let script = system.script();
    let mut played = Vec::new();
    for scene in script.scenes {
        let this = scene.play(system, &client).await;
        played.push(this.with_context(|| format!("play {:?} of {}", scene.title, script.name))?);
    }
    Ok(played)
}

/// Everything that took effect in a system, against everything that its scenes ask for: how much, and what is wrong.
pub(super) fn total(system: &dyn System) -> (usize, Vec<String>) {
    let mut must: Vec<Effect> = system.script().scenes.iter().flat_map(Scene::wanted).collect();
    let mut faults = Vec::new();
    let found = system.effects();
    let count = found.len();
    for effect in found {
        match must.iter().position(|wanted| *wanted == effect) {
            Some(place) => drop(must.swap_remove(place)),
            None => faults.push(format!("once too often: {}: {}", effect.about, effect.what)),
        }
    }
    faults.extend(must.iter().map(|wanted| format!("missing: {}: {}", wanted.about, wanted.what)));
    (count, faults)
}

impl Scene {
    fn wanted(&self) -> impl Iterator<Item = Effect> {
        self.effects.iter().map(|(about, what)| Effect { about: (*about).to_owned(), what: (*what).to_owned() })
    }

    async fn keys_in_queue(&self, script: &Script, client: &Client) -> anyhow::Result<Vec<String>> {
        let Some(sql) = script.keys else { return Ok(self.keys.iter().map(|key| (*key).to_owned()).collect()) };
        let rows = client.query(sql, &[&self.keys]).await.with_context(|| format!("run: {sql}"))?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    async fn play(&'static self, system: &dyn System, client: &Client) -> anyhow::Result<Played> {
        let script = system.script();
        if let Some(fault) = self.fault {
            system.fault(fault).await?;
        }
        let mut moments = vec![Rows::look(client, script.look, self.keys).await?];
        let newest = client.query_one("select coalesce(max(h.id), 0) from rowcall.history as h", &[]).await;
        let history_from: i64 = newest.context("read the history")?.get(0);
        let mut faults = Vec::new();
        for step in self.steps {
            if let Some(told) = step.told {
                system.tell(client, told).await?;
            }
            if let Some(sql) = step.sql {
                client.batch_execute(sql).await.with_context(|| format!("run: {sql}"))?;
            }
            faults.extend(step.missing(client).await?);
            moments.push(Rows::look(client, script.look, self.keys).await?);
            if !faults.is_empty() {
                break;
            }
        }
        let keys = self.keys_in_queue(script, client).await?;
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let history = row::ended(client, script.queue, &keys, history_from).await?;
        if history != self.history {
            faults.push(format!("history is {}, must be {}", history.join(", "), self.history.join(", ")));
        }
        let wanted: Vec<Effect> = self.wanted().collect();
        let mut effects = system.effects();
        effects.retain(|effect| wanted.iter().any(|wanted| wanted.about == effect.about));
        if effects != wanted {
            faults.push(format!("{} has {}, must have {}", script.name, words(&effects), words(&wanted)));
        }
        let last = moments.len() - 1;
        let word = |nth: usize| {
            if nth == 0 {
                "before"
            } else if nth == last {
                "after"
            } else {
                "then"
            }
        };
        let moments: Vec<_> = moments.iter().enumerate().map(|(nth, rows)| (word(nth), rows)).collect();
        Ok(Played { scene: self, table: table(&moments), effects, history, faults })
    }
}

impl Step {
    /// Waits for the truths; returns those that did not come.
    async fn missing(&self, client: &Client) -> anyhow::Result<Vec<String>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut missing = Vec::new();
            for truth in self.truths {
                if !truth.holds(client).await? {
                    let Truth { name, given, .. } = truth;
                    missing.push(format!("not so within {} s: {name} ({})", PATIENCE.as_secs(), given.join(", ")));
                }
            }
            if missing.is_empty() || Instant::now() > deadline {
                return Ok(missing);
            }
            sleep(LOOK).await;
        }
    }
}

impl Truth {
    async fn holds(&self, client: &Client) -> anyhow::Result<bool> {
        let given: Vec<_> = self.given.iter().map(|text| text as &(dyn ToSql + Sync)).collect();
        let row = client.query_opt(self.sql, &given).await.with_context(|| format!("look at {}", self.name))?;
        Ok(row.and_then(|row| row.get::<_, Option<bool>>(0)) == Some(true))
    }
}

fn words(effects: &[Effect]) -> String {
    let words: Vec<_> = effects.iter().map(|effect| format!("{}: {:?}", effect.about, effect.what)).collect();
    if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
}
