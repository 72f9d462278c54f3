//! The fake Fienta of a demo: a folder that plays the site, and the program that plays the CLI.
//!
//! What it logs by itself, apart from rowcall and its database, says what really happened.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::process::Command;

use crate::integrations::command::own_binary;

/// How long an operation takes at least; a browser would take some seconds.
const DELAY_MS: &str = "400";

/// The fake Fienta.
#[derive(Debug)]
pub(super) struct Fake {
    state: PathBuf,
}

/// A change that took effect.
#[derive(Debug, Deserialize)]
pub(super) struct Effect {
    pub(super) verb: String,
    /// Of which code, or of which order.
    pub(super) code: String,
    /// What it is now.
    pub(super) now: Value,
}

/// A code as Fienta has it.
#[derive(Debug, Deserialize)]
pub(super) struct Discount {
    pub(super) code: String,
    #[serde(flatten)]
    terms: Map<String, Value>,
}

/// A run of the CLI began or ended.
#[derive(Debug, Deserialize)]
pub(super) struct Run {
    pub(super) at: Timestamp,
    pub(super) event: String,
}

impl Fake {
    pub(super) fn new(state: PathBuf) -> Self {
        Self { state }
    }

    /// The settings with which the worker drives it, as `rowcall run` reads them.
    pub(super) fn variables(&self) -> anyhow::Result<Vec<(&'static str, String)>> {
        let own = own_binary().context("find the rowcall binary")?;
        let (program, state) = (own.to_string_lossy(), self.state.to_string_lossy());
        let argv = [&*program, "sandbox", "fienta", "--state", &*state, "--delay-ms", DELAY_MS];
        Ok(vec![
            ("FIENTA_CLI", shell_words::join(argv)),
            ("FIENTA_EMAIL", "demo@example.com".to_owned()),
            ("FIENTA_PASSWORD", "demo".to_owned()),
            ("FIENTA_EVENT_ID", "200100".to_owned()),
        ])
    }

    /// The line that makes coming runs misbehave, as a person would type it.
    pub(super) fn fault_line(&self, words: &str) -> String {
        self.line(&format!("fault {words}"))
    }

    /// The line that lets the site do something, as a person would type it.
    pub(super) fn line(&self, words: &str) -> String {
        let program = std::env::current_exe().unwrap_or_else(|_| "rowcall".into());
        let quoted = |path: &Path| shell_words::quote(&path.to_string_lossy()).into_owned();
        format!("{} sandbox fienta --state {} {words}", quoted(&program), quoted(&self.state))
    }

    /// Makes coming runs misbehave.
    pub(super) async fn fault(&self, words: &str) -> anyhow::Result<()> {
        self.play(&format!("fault {words}")).await
    }

    /// Lets the site do something that is not asked of it by the worker: a customer buys, or uses a code.
    pub(super) async fn play(&self, words: &str) -> anyhow::Result<()> {
        let own = own_binary().context("find the rowcall binary")?;
        let state = [OsString::from("--state"), self.state.clone().into()];
        let mut command = Command::new(own);
        command.args(["sandbox", "fienta"]).args(state).args(words.split_whitespace());
        let status = command.status().await.context("run the fake Fienta")?;
        ensure!(status.success(), "the fake Fienta refused {words}");
        Ok(())
    }

    /// Whether the site knows an order.
    pub(super) fn has_order(&self, id: &str) -> bool {
        self.state.join("orders").join(format!("{id}.json")).is_file()
    }

    /// Every change that took effect, oldest first.
    pub(super) fn effects(&self) -> anyhow::Result<Vec<Effect>> {
        self.lines("effects.jsonl")
    }

    /// Every begin and end of a run, oldest first.
    pub(super) fn runs(&self) -> anyhow::Result<Vec<Run>> {
        self.lines("runs.jsonl")
    }

    /// Every code that is there.
    pub(super) fn codes(&self) -> anyhow::Result<Vec<Discount>> {
        let folder = self.state.join("codes");
        let files = fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))?;
        files
            .map(|file| {
                let path = file.with_context(|| format!("read {}", folder.display()))?.path();
                let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
                serde_json::from_slice(&bytes).with_context(|| format!("read {}", path.display()))
            })
            .collect()
    }

    fn lines<T: DeserializeOwned>(&self, log: &str) -> anyhow::Result<Vec<T>> {
        let path = self.state.join(log);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            text => text.with_context(|| format!("read {}", path.display()))?,
        };
        text.lines()
            .map(|line| serde_json::from_str(line).with_context(|| format!("read {}: {line}", path.display())))
            .collect()
    }
}

impl Discount {
    /// A term, by its key in a row's metadata.
    pub(super) fn term(&self, key: &str) -> Option<String> {
        self.terms.get(key).filter(|value| !value.is_null()).map(plain)
    }
}

/// A JSON value as a person would write it.
pub(super) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
