//! A Fienta of its own for a test: the faithful fake CLI on a directory that plays the site, and its two logs.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use jiff::Timestamp;
use rowcall::integrations::fienta::{Fienta, Settings};
use rowcall::integrations::{Integration, Limits};
use rowcall::job::Job;
use rowcall::outcome::Outcome;
use secrecy::SecretString;
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::process::ROWCALL;

pub(crate) const EMAIL: &str = "owner@example.com";
pub(crate) const PASSWORD: &str = "correct horse 42";
pub(crate) const EVENT_ID: &str = "200100";

/// A Fienta of its own for a test.
pub(crate) struct Fake {
    pub(crate) dir: TempDir,
}

/// One run of the CLI, as `runs.jsonl` tells it.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) verb: String,
    pub(crate) began_at: Timestamp,
    /// `None` for a run that was killed, or that goes on.
    pub(crate) ended_at: Option<Timestamp>,
}

impl Fake {
    pub(crate) fn new() -> Self {
        let fake = Self { dir: tempfile::tempdir().unwrap() };
        fake.set_password(PASSWORD);
        fs::write(fake.dir.path().join("event_id"), EVENT_ID).unwrap();
        fake
    }

    /// Makes this the password that the site takes.
    pub(crate) fn set_password(&self, password: &str) {
        fs::write(self.dir.path().join("password"), password).unwrap();
    }

    pub(crate) fn settings(&self) -> Settings {
        let state = self.dir.path().to_str().unwrap();
        Settings {
            argv: [ROWCALL, "sandbox", "fienta", "--state", state].map(str::to_owned).to_vec(),
            dir: None,
            email: Some(EMAIL.to_owned()),
            password: Some(SecretString::from(PASSWORD)),
            event_id: Some(EVENT_ID.to_owned()),
            guard: PathBuf::from(ROWCALL),
        }
    }

    pub(crate) async fn execute(&self, job: &Job) -> Outcome {
        let limits = Limits::new(Duration::from_mins(1), CancellationToken::new());
        Fienta::new(self.settings()).execute(job, &limits).await
    }

    /// Runs the fake CLI as a person would.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Output {
        Command::new(ROWCALL)
            .args(["sandbox", "fienta", "--state"])
            .arg(self.dir.path())
            .args(arguments)
            .env("FIENTA_EMAIL", EMAIL)
            .env("FIENTA_PASSWORD", PASSWORD)
            .env("FIENTA_EVENT_ID", EVENT_ID)
            .output()
            .unwrap()
    }

    pub(crate) fn fault(&self, arguments: &[&str]) {
        assert!(self.cli(&[&["fault", "--kind"], arguments].concat()).status.success());
    }

    /// There is a code already, by somebody else's hand.
    pub(crate) fn given(&self, code: &str, percent: &str) {
        let flags = ["create", &format!("--code={code}"), &format!("--discount-percent={percent}"), "--json"];
        assert!(self.cli(&flags).status.success());
        for log in ["runs.jsonl", "effects.jsonl"] {
            fs::remove_file(self.dir.path().join(log)).unwrap();
        }
    }

    pub(crate) fn log(&self, name: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.dir.path().join(name)).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The verbs that really took effect, in order.
    pub(crate) fn effects(&self) -> Vec<String> {
        self.log("effects.jsonl").iter().map(|line| line["verb"].as_str().unwrap().to_owned()).collect()
    }

    /// The codes that something really took effect on, sorted; twice where it did twice.
    pub(crate) fn codes_changed(&self) -> Vec<String> {
        let effects = self.log("effects.jsonl");
        let mut codes: Vec<String> = effects.iter().map(|line| line["code"].as_str().unwrap().to_owned()).collect();
        codes.sort();
        codes
    }

    /// The verbs that were run, in order.
    pub(crate) fn runs(&self) -> Vec<String> {
        self.runs_in_full().into_iter().map(|run| run.verb).collect()
    }

    /// What was run, in order, and when.
    pub(crate) fn runs_in_full(&self) -> Vec<Run> {
        let at = |line: &Value| line["at"].as_str().unwrap().parse().unwrap();
        let log = self.log("runs.jsonl");
        let (starts, ends): (Vec<_>, Vec<_>) = log.iter().partition(|line| line["event"] == "start");
        let ends: std::collections::HashMap<&str, Timestamp> =
            ends.into_iter().map(|line| (line["run"].as_str().unwrap(), at(line))).collect();
        let run = |line: &Value| Run {
            verb: line["verb"].as_str().unwrap().to_owned(),
            began_at: at(line),
            ended_at: ends.get(line["run"].as_str().unwrap()).copied(),
        };
        starts.into_iter().map(run).collect()
    }

    pub(crate) fn has(&self, code: &str) -> bool {
        self.dir.path().join("codes").join(format!("{code}.json")).exists()
    }
}
