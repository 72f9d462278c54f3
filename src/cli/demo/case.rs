//! A case of the scenario: what a person asks, what goes wrong meanwhile, and how every row must end.
//!
//! A case is judged by three witnesses: the row, `rowcall.history`, and Fienta's own log of effects.

use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::time::{Instant, sleep};
use tokio_postgres::Client;

use super::fake::plain;
use super::row::{self, Row};
use super::world::World;

/// Between two looks at a row.
pub(super) const LOOK: Duration = Duration::from_millis(40);

/// A row that has not ended by then has failed its case.
pub(super) const PATIENCE: Duration = Duration::from_secs(25);

/// What a person asks, and what must come of it.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) title: &'static str,
    /// What the fake Fienta is told to do wrong.
    pub(super) fault: Option<&'static str>,
    /// What the person types.
    pub(super) sql: &'static str,
    /// What the person types while that runs.
    pub(super) meanwhile: Option<&'static str>,
    /// What must come of it, in words.
    pub(super) must: &'static str,
    pub(super) rows: &'static [Expected],
}

/// How a row must end.
#[derive(Debug)]
pub(super) struct Expected {
    pub(super) code: &'static str,
    pub(super) status: &'static str,
    pub(super) attempts: i32,
    pub(super) metadata: &'static [(&'static str, Want)],
    /// What the error must contain; none means that there must be none.
    pub(super) error: Option<&'static str>,
    /// How its attempts must have ended, in order.
    pub(super) history: &'static [&'static str],
    /// The verbs that must have taken effect in Fienta, in order, and no other.
    pub(super) effects: &'static [&'static str],
}

/// What a key of the metadata must be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Want {
    Is(&'static str),
    There,
    Gone,
}

/// A case that was asked for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) case: &'static Case,
    pub(super) before: Vec<Row>,
    /// The newest attempt in history before this case.
    history_from: i64,
    /// How many effects Fienta had before this case.
    effects_from: usize,
}

/// A case that has ended.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) after: Vec<Row>,
    /// How the attempts ended by `rowcall.history`, and what took effect by Fienta, in words.
    pub(super) story: String,
    /// What is not as it must be; nothing when the case passed.
    pub(super) faults: Vec<String>,
}

impl Case {
    fn codes(&self) -> Vec<&'static str> {
        self.rows.iter().map(|row| row.code).collect()
    }

    /// Does what a person would do: types the statement, and the second one while the first runs.
    pub(super) async fn ask(&'static self, world: &World, client: &Client) -> anyhow::Result<Asked> {
        if let Some(words) = self.fault {
            world.fienta.fault(words).await?;
        }
        let newest = client.query_one("select coalesce(max(h.id), 0) from rowcall.history as h", &[]).await;
        let asked = Asked {
            case: self,
            before: row::rows(client, &self.codes()).await?,
            history_from: newest.context("read the history")?.get(0),
            effects_from: world.fienta.effects()?.len(),
        };
        client.batch_execute(self.sql).await.with_context(|| format!("run: {}", self.sql))?;
        if let Some(sql) = self.meanwhile {
            asked.until(client, "runs", |rows| rows.iter().any(|row| row.is_running)).await?;
            client.batch_execute(sql).await.with_context(|| format!("run: {sql}"))?;
        }
        Ok(asked)
    }
}

impl Asked {
    /// Waits until every row has ended, and judges.
    pub(super) async fn judge(&self, world: &World, client: &Client) -> anyhow::Result<Judged> {
        let ended = self.until(client, "has ended", |rows| rows.iter().all(|row| !row.is_due)).await;
        let after = row::rows(client, &self.case.codes()).await?;
        let mut faults: Vec<String> = ended.err().iter().map(ToString::to_string).collect();
        let effects = world.fienta.effects()?;
        let mut story = Story::default();
        for expected in self.case.rows {
            let Some(row) = after.iter().find(|row| row.code == expected.code) else {
                faults.push(format!("there is no row {}", expected.code));
                continue;
            };
            let mut judge = Judge { expected, faults: &mut faults };
            judge.row(row);
            let history = row::ended(client, "codes", &[&row.key], self.history_from).await?;
            judge.same("history", &history, expected.history);
            let effects = effects.iter().skip(self.effects_from).filter(|effect| effect.code == expected.code);
            let effects: Vec<String> = effects.map(|effect| effect.verb.clone()).collect();
            judge.same("Fienta's effects", &effects, expected.effects);
            story.add(&history, &effects);
        }
        Ok(Judged { after, story: story.words(), faults })
    }

    async fn until(&self, client: &Client, what: &str, is_so: impl Fn(&[Row]) -> bool) -> anyhow::Result<()> {
        let codes = self.case.codes();
        let deadline = Instant::now() + PATIENCE;
        while !is_so(&row::rows(client, &codes).await?) {
            if Instant::now() > deadline {
                bail!("{} did not come so far within {} s: {what}", codes.join(", "), PATIENCE.as_secs());
            }
            sleep(LOOK).await;
        }
        Ok(())
    }
}

/// What history and Fienta say of the rows of a case, each only once.
#[derive(Default)]
struct Story {
    history: Vec<String>,
    effects: Vec<String>,
}

impl Story {
    fn add(&mut self, history: &[String], effects: &[String]) {
        for (all, new) in [(&mut self.history, history.join(", ")), (&mut self.effects, effects.join(", "))] {
            if !new.is_empty() && !all.contains(&new) {
                all.push(new);
            }
        }
    }

    fn words(&self) -> String {
        let effects = if self.effects.is_empty() { "nothing".to_owned() } else { self.effects.join(" / ") };
        format!("history: {} · took effect in Fienta: {effects}", self.history.join(" / "))
    }
}

/// Compares one row with what it must be.
struct Judge<'a> {
    expected: &'a Expected,
    faults: &'a mut Vec<String>,
}

impl Judge<'_> {
    fn row(&mut self, row: &Row) {
        let expected = self.expected;
        self.is("status", &row.status, expected.status);
        self.is("attempts", &row.attempts.to_string(), &expected.attempts.to_string());
        for (key, want) in expected.metadata {
            self.metadata(key, row.metadata.get(*key), *want);
        }
        let error = row.error_message.as_deref().unwrap_or_default();
        match expected.error {
            Some(part) if !error.contains(part) => self.is("error_message", error, part),
            None if !error.is_empty() => self.is("error_message", error, "null"),
            _ => {}
        }
    }

    fn metadata(&mut self, key: &str, found: Option<&Value>, want: Want) {
        let name = format!("metadata.{key}");
        let found = found.map(plain);
        match (want, found) {
            (Want::Is(value), found) => self.is(&name, found.as_deref().unwrap_or("missing"), value),
            (Want::There, None) => self.is(&name, "missing", "there"),
            (Want::Gone, Some(found)) => self.is(&name, &found, "gone"),
            (Want::There, Some(_)) | (Want::Gone, None) => {}
        }
    }

    fn same(&mut self, what: &str, found: &[String], expected: &[&str]) {
        self.is(what, &found.join(", "), &expected.join(", "));
    }

    fn is(&mut self, what: &str, found: &str, expected: &str) {
        if found != expected {
            self.faults.push(format!("{}: {what} is {found:?}, must be {expected:?}", self.expected.code));
        }
    }
}
