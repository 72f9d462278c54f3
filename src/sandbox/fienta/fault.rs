//! The ways in which a run can go wrong on request.
//!
//! `… fault --kind K [--code CODE] [--verb VERB] [--times N] [--seconds S]` queues a fault; each run takes at most one,
//! the oldest that fits. Without `--verb` it is for operations that change something, so that a read-back by `list`
//! and `orders` without a status stays truthful; `--verb list` is for `list`, `--verb order` for that one, `--verb any` for all.

use std::io::{self, Write as _};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Verb;
use super::state::State;
use super::verbs::{self, Reply};

/// Where a lingering grandchild leaves its number.
const GRANDCHILD_FILE: &str = "grandchild.pid";

/// How much `garbage` prints on each stream.
const GARBAGE_BYTES: usize = 10 * 1024 * 1024;

/// A fault to happen to coming runs.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub(super) struct Fault {
    /// What goes wrong.
    #[arg(long)]
    kind: Kind,
    /// Only for this code, or this order.
    #[arg(long)]
    code: Option<String>,
    /// Only for this verb: create, update, rename, delete, orders, list, order (which only shows one) or any.
    #[arg(long)]
    verb: Option<String>,
    /// How many runs it happens to.
    #[arg(long, default_value_t = 1)]
    pub(super) times: u32,
    /// For `slow`, how long it takes; for those that hang, how long; for `rate-limited`, the rest that is asked for.
    #[arg(long)]
    seconds: Option<u64>,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    /// No effect; exit 1 with an answer that names no kind.
    Fail,
    /// No effect; exit 1 with a stack trace and no answer.
    Crash,
    /// No effect; exit 75.
    Temporary,
    /// No effect, and no end.
    Hang,
    /// The effect, and no end.
    CommitThenHang,
    /// The effect, and dead at once by SIGKILL.
    CommitThenCrash,
    /// The effect, and exit 0 without an answer.
    Silent,
    /// No effect, and exit 0 without an answer.
    FalseSuccess,
    /// As usual, but a grandchild outlives the run and holds its pipes; SIGTERM does not end it.
    SpawnChild,
    /// The same grandchild, no effect and no end.
    SpawnChildThenHang,
    /// No effect; the site is not understood any more.
    SiteChanged,
    /// No effect; the login is refused, and quoted on stderr as careless programs do.
    BadLogin,
    /// No effect; patience is asked for.
    RateLimited,
    /// As usual, after 10 MB of noise on each stream.
    Garbage,
    /// As usual, but it takes its time.
    Slow,
}

impl Fault {
    pub(super) fn is_for(&self, verb: &str, code: Option<&str>) -> bool {
        let is_verb = match self.verb.as_deref() {
            None => !matches!(verb, "list" | "order"),
            Some("any") => true,
            Some(only) => only == verb,
        };
        is_verb && self.code.as_deref().is_none_or(|only| code == Some(only))
    }

    /// Does what the kind says; `None` ends the run with exit 0 and without an answer.
    pub(super) fn misbehave(&self, state: &State, verb: &Verb) -> Result<Option<Reply>> {
        let code = verb.code();
        match self.kind {
            Kind::Fail => {
                let error = json!({"message": "Something went wrong"});
                Ok(Some(Reply::No { exit_code: 1, code: code.map(str::to_owned), error }))
            }
            Kind::Crash => anyhow::bail!("Error: page crashed\n    at Page.click (cli.ts:120:15)"),
            Kind::Temporary => {
                let error = json!({"message": "net::ERR_CONNECTION_RESET"});
                Ok(Some(Reply::No { exit_code: 75, code: code.map(str::to_owned), error }))
            }
            Kind::Hang => self.hang(),
            Kind::CommitThenHang => {
                verbs::reply(state, verb)?;
                self.hang()
            }
            Kind::CommitThenCrash => {
                verbs::reply(state, verb)?;
                kill(Pid::this(), Signal::SIGKILL).context("kill myself")?;
                self.hang()
            }
            Kind::Silent => verbs::reply(state, verb).map(|_| None),
            Kind::FalseSuccess => Ok(None),
            Kind::SpawnChild => {
                spawn_grandchild(state)?;
                verbs::reply(state, verb).map(Some)
            }
            Kind::SpawnChildThenHang => {
                spawn_grandchild(state)?;
                self.hang()
            }
            Kind::SiteChanged => Ok(Some(Reply::no("site_changed", code, "No button [data-testid=save-discount]"))),
            Kind::BadLogin => {
                let variable = |name| std::env::var(name).unwrap_or_default();
                let login = format!("{} / {}", variable("FIENTA_EMAIL"), variable("FIENTA_PASSWORD"));
                eprintln!("login failed for {login}");
                Ok(Some(Reply::no("auth", code, &format!("Invalid login {login}"))))
            }
            Kind::RateLimited => {
                let error =
                    json!({"kind": "rate_limited", "message": "too_many_requests", "retry_after": self.seconds});
                Ok(Some(Reply::No { exit_code: 1, code: code.map(str::to_owned), error }))
            }
            Kind::Garbage => {
                let noise = vec![b'#'; GARBAGE_BYTES];
                io::stderr().write_all(&noise).context("print noise")?;
                io::stdout().write_all(&noise).context("print noise")?;
                println!();
                verbs::reply(state, verb).map(Some)
            }
            Kind::Slow => {
                thread::sleep(Duration::from_secs(self.seconds.unwrap_or(2)));
                verbs::reply(state, verb).map(Some)
            }
        }
    }

    fn hang(&self) -> Result<Option<Reply>> {
        thread::sleep(Duration::from_secs(self.seconds.unwrap_or(3600)));
        anyhow::bail!("Error: hung until the end of its time")
    }
}

/// Starts a process that outlives this one with its pipes, and waits until it runs.
fn spawn_grandchild(state: &State) -> Result<()> {
    let own = std::env::current_exe().context("find the own binary")?;
    let mut grandchild = Command::new(own)
        .args(["sandbox", "fienta", "--state"])
        .arg(state.dir())
        .arg("linger")
        .stdin(Stdio::null())
        .spawn()
        .context("start the grandchild")?;
    while state.setting(GRANDCHILD_FILE) != Some(grandchild.id().to_string()) {
        anyhow::ensure!(grandchild.try_wait()?.is_none(), "the grandchild did not stay");
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Is the grandchild: leaves its number and stays, whatever SIGTERM says.
pub(super) fn linger(state: &State) -> Result<ExitCode> {
    let mut blocked = SigSet::empty();
    blocked.add(Signal::SIGTERM);
    blocked.thread_block().context("block SIGTERM")?;
    std::fs::write(state.dir().join(GRANDCHILD_FILE), std::process::id().to_string()).context("leave my number")?;
    thread::sleep(Duration::from_hours(1));
    Ok(ExitCode::SUCCESS)
}
