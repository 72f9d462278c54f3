//! The server process that we started: how it begins and how it ends.
//!
//! It is in its own process group, so that Ctrl-C in a terminal reaches us and not it: we end it when our own work is done.
//! When the value is dropped the server is told to end; nobody waits for that.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::account::Account;
use super::find::Binaries;
use super::folder::{Folder, FolderError};

/// Enough for every worker, test and benchmark at once; the default of 100 is not.
const CONNECTIONS_MAX: u32 = 300;

/// What a crash of the machine may cost when nobody would miss the data.
const NOT_DURABLE: [&str; 3] = ["fsync=off", "synchronous_commit=off", "full_page_writes=off"];

/// How a server is told to end, and how long it may take: a fast shutdown writes a checkpoint, an immediate one does not.
const ENDINGS: [(Signal, Duration); 3] = [
    (Signal::SIGINT, Duration::from_secs(30)),
    (Signal::SIGQUIT, Duration::from_secs(10)),
    (Signal::SIGKILL, Duration::from_secs(10)),
];

/// The server process could not be started or ended.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// No log, or no port.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The program cannot be run.
    #[error("run {program}")]
    Run {
        /// Its path.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The system does not tell how it ended.
    #[error("wait for Postgres (process {pid})")]
    Wait {
        /// Its process.
        pid: Pid,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It outlived every signal.
    #[error("Postgres (process {0}) does not end")]
    Immortal(Pid),
}

/// A server that we started and that ends with us.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    pid: Pid,
    /// How long the log was before this server wrote to it.
    pub(super) log_began: u64,
    ends_with_us: bool,
}

impl Server {
    /// Starts Postgres on the port. It does not yet accept connections.
    pub(super) fn spawn(
        folder: &Folder,
        binaries: &Binaries,
        account: Option<&Account>,
        port: u16,
        durable: bool,
    ) -> Result<Self, ServerError> {
        let (log, log_began) = folder.open_log(account)?;
        let program = binaries.postgres();
        let mut command = Command::new(&program);
        // `-D` first and something after it: the list of processes is searched for that.
        command.arg("-D").arg(folder.pgdata()).args(["-p", &port.to_string()]);
        let settings = [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "logging_collector=off",
            "log_destination=stderr",
            "log_line_prefix=%m [%p] %d ",
        ];
        settings.iter().chain(if durable { &[][..] } else { &NOT_DURABLE }).for_each(|setting| {
            command.args(["-c", setting]);
        });
        command.args(["-c", &format!("max_connections={CONNECTIONS_MAX}")]);
        command.current_dir(folder.path()).env("LC_ALL", "C").process_group(0).stdin(Stdio::null());
        if let Some(account) = account {
            account.run(&mut command);
        }
        let child = log.try_clone().and_then(|copy| command.stdout(copy).stderr(log).spawn());
        let child = child.map_err(|source| ServerError::Run { program: program.display().to_string(), source })?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).expect("a process not waited for has an id");
        Ok(Self { child, pid: Pid::from_raw(pid), log_began, ends_with_us: true })
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits until the process has ended by itself.
    pub(super) async fn ended(&mut self) -> Result<ExitStatus, ServerError> {
        self.child.wait().await.map_err(|source| ServerError::Wait { pid: self.pid, source })
    }

    /// Ends the process, and waits until it has ended.
    pub(super) async fn stop(mut self) -> Result<(), ServerError> {
        for (signal, patience) in ENDINGS {
            self.signal(signal);
            if let Ok(ended) = timeout(patience, self.ended()).await {
                return ended.map(|_| ());
            }
        }
        Err(ServerError::Immortal(self.pid))
    }

    /// Lets the process outlive us.
    pub(super) fn leave(mut self) {
        self.ends_with_us = false;
    }

    fn signal(&self, signal: Signal) {
        // Once waited for, the number may belong to somebody else.
        if self.child.id().is_some() {
            // It fails only for a process that is gone, which is what we want.
            let _ = kill(self.pid, signal);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.ends_with_us {
            self.signal(Signal::SIGINT);
        }
    }
}
