//! `rowcall sandbox postgres [-- command…]`: runs a command beside a private Postgres.
//!
//! The command finds the database in `DATABASE_URL`. What ends us is forwarded to the command, and the cluster ends after it.

use std::io::{self, IsTerminal};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus};

use anyhow::Context;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::signal::unix::{self, SignalKind};

use super::account::default_data;
use super::cluster::{Cluster, Options};

/// The database that the command finds in `DATABASE_URL`.
const DATABASE: &str = "rowcall";

/// Run a private Postgres from the binaries on this machine, and a command that uses it.
#[derive(Debug, clap::Args)]
pub struct PostgresArgs {
    /// Folder of the data, made on first use and kept [default: the sandbox's own, by its name]
    #[arg(long)]
    data: Option<PathBuf>,
    /// Which sandbox; each has data of its own
    #[arg(long, default_value = "sandbox", conflicts_with = "data")]
    name: String,
    /// Let the data outlive a crash of the machine, at the price of speed
    #[arg(long)]
    durable: bool,
    /// Leave Postgres running at the end
    #[arg(long)]
    keep: bool,
    /// What to run with `DATABASE_URL` set; without it, print the URL and wait for Ctrl-C
    #[arg(last = true)]
    command: Vec<String>,
}

/// Starts the cluster, runs the command and ends the cluster; answers as the command did.
pub async fn run_with_cluster(args: PostgresArgs) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::listen().context("listen for signals")?;
    let data = args.data.map_or_else(|| default_data(&args.name), Ok)?;
    let options = Options { durable: args.durable, ..Options::new(data) };
    let cluster = tokio::select! {
        started = Cluster::start(options) => started?,
        signal = signals.next() => return Ok(exit_code(128 + signal as i32)),
    };
    let code = work(&cluster, &args.command, args.keep, &mut signals).await;
    if args.keep {
        cluster.leave();
    } else {
        cluster.stop().await?;
    }
    code
}

async fn work(cluster: &Cluster, command: &[String], keep: bool, signals: &mut Signals) -> anyhow::Result<ExitCode> {
    cluster.create_database_if_missing(DATABASE).await?;
    let url = cluster.url(DATABASE);
    if let Some((program, arguments)) = command.split_first() {
        let child = Command::new(program).args(arguments).env("DATABASE_URL", url).spawn();
        let child = child.with_context(|| format!("run {program}"))?;
        return forwarding(child, signals).await;
    }
    println!("{url}");
    if keep || !cluster.owned() {
        eprintln!("It stays up; kill -INT {} ends it.", cluster.pid());
    } else {
        eprintln!("Ctrl-C ends it; the data in {} stays.", cluster.data().display());
        signals.next().await;
    }
    Ok(ExitCode::SUCCESS)
}

/// Waits for the command, and forwards the signals that end us.
async fn forwarding(mut child: Child, signals: &mut Signals) -> anyhow::Result<ExitCode> {
    // Ctrl-C reaches every process of the terminal; a second one would tell the command to hurry.
    let from_terminal = io::stdin().is_terminal() || io::stdout().is_terminal() || io::stderr().is_terminal();
    loop {
        tokio::select! {
            status = child.wait() => return Ok(exit_code(status_code(status.context("wait for the command")?))),
            signal = signals.next() => {
                if let Some(id) = child.id().filter(|_| !(from_terminal && signal == Signal::SIGINT)) {
                    // It fails only for a command that has just ended.
                    let _ = kill(Pid::from_raw(i32::try_from(id)?), signal);
                }
            }
        }
    }
}

/// As a shell would say it: 128 and the signal for a command that a signal ended.
fn status_code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1)
}

fn exit_code(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// What asks us to end: Ctrl-C, a supervisor, a terminal that closes.
struct Signals {
    interrupt: unix::Signal,
    terminate: unix::Signal,
    hangup: unix::Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: unix::signal(SignalKind::interrupt())?,
            terminate: unix::signal(SignalKind::terminate())?,
            hangup: unix::signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::SIGINT,
            _ = self.terminate.recv() => Signal::SIGTERM,
            _ = self.hangup.recv() => Signal::SIGHUP,
        }
    }
}
