//! A cluster that accepts connections: started, or found running.
//!
//! A server that is running already is used and left running; only who started it ends it. One that outlived its owner (a
//! `kill -9`) is found by the next start in the same way.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, sleep};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};
use url::Url;

use super::account::AccountError;
use super::find::FindError;
use super::folder::FolderError;
use super::initdb::{InitdbError, ROLE};
use super::postmaster::Postmaster;
use super::server::{Server, ServerError};
use super::start::start;

/// How long a server that somebody else started may take to end: it writes a checkpoint.
const END_PATIENCE: Duration = Duration::from_secs(30);

/// What to start.
#[derive(Debug, Clone)]
pub struct Options {
    /// The cluster's folder. It is made on first use and kept.
    pub data: PathBuf,
    /// Whether the data outlives a crash of the machine. Without, everything is faster.
    pub durable: bool,
    /// How long the start may take, recovery after a crash included.
    pub patience: Duration,
}

impl Options {
    /// A durable cluster in this folder, with a minute to start.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self { data: data.into(), durable: true, patience: Duration::from_mins(1) }
    }
}

/// A private Postgres that accepts connections.
///
/// Dropping it tells a server that we started to end, without waiting for that.
#[derive(Debug)]
pub struct Cluster {
    pub(super) data: PathBuf,
    pub(super) port: u16,
    pub(super) password: SecretString,
    pub(super) pid: Pid,
    pub(super) server: Option<Server>,
}

/// The cluster could not be started, used or ended.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// There is no Postgres to start.
    #[error(transparent)]
    Find(#[from] FindError),
    /// Postgres has no account or no place to run in.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// Something in the folder cannot be read or written.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The data directory could not be made.
    #[error(transparent)]
    Initdb(#[from] InitdbError),
    /// The process could not be started or ended.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// It ended instead of starting.
    #[error("Postgres in {} did not start ({status}); the end of its log:\n{tail}", data.display())]
    Ended {
        /// The cluster's folder.
        data: PathBuf,
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        tail: String,
    },
    /// It does not answer, or somebody else has been starting it for as long.
    #[error("Postgres in {} did not answer within {patience:?}; the end of its log:\n{tail}", data.display())]
    Late {
        /// The cluster's folder.
        data: PathBuf,
        /// How long we waited.
        patience: Duration,
        /// What it said.
        tail: String,
    },
    /// It runs with the risk that the caller does not want.
    #[error("Postgres in {} is running without fsync (process {pid}): end it first, or name another folder", data.display())]
    NotDurable {
        /// The cluster's folder.
        data: PathBuf,
        /// The server.
        pid: Pid,
    },
    /// A statement or a login was refused.
    #[error("{action} in the Postgres of {}", data.display())]
    Query {
        /// What we were doing.
        action: String,
        /// The cluster's folder.
        data: PathBuf,
        /// Why.
        #[source]
        source: tokio_postgres::Error,
    },
}

impl Cluster {
    /// Starts the cluster, or finds it running, and waits until it accepts connections.
    ///
    /// Only one process at a time starts a cluster; others wait and then use the same server. When the future is dropped
    /// the server is told to end.
    pub async fn start(options: Options) -> Result<Self, ClusterError> {
        start(&options).await
    }

    /// The connection string of a database, password included.
    pub fn url(&self, database: &str) -> String {
        let mut url = Url::parse("postgres://127.0.0.1").expect("the address of this machine is a URL");
        url.set_path(database);
        // These three fail only for a URL without a host.
        let _ = url.set_username(ROLE);
        let _ = url.set_password(Some(self.password.expose_secret()));
        let _ = url.set_port(Some(self.port));
        url.into()
    }

    /// The cluster's folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The process id of the server.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// Whether the server ends with us: we started it.
    pub fn owned(&self) -> bool {
        self.server.is_some()
    }

    /// Makes a database, unless it is there.
    pub async fn create_database_if_missing(&self, name: &str) -> Result<(), ClusterError> {
        let failed = |source| self.refused(format!("create the database {name}"), source);
        let client = self.connect("postgres").await.map_err(failed)?;
        let known = client.query_opt("select from pg_database where datname = $1", &[&name]).await.map_err(failed)?;
        if known.is_some() {
            return Ok(());
        }
        let quoted = name.replace('"', "\"\"");
        match client.batch_execute(&format!("create database \"{quoted}\"")).await {
            Err(error) if !made_meanwhile(&error) => Err(failed(error)),
            _ => Ok(()),
        }
    }

    /// Ends a server that we started, and waits until it has ended; leaves any other running.
    pub async fn stop(mut self) -> Result<(), ClusterError> {
        match self.server.take() {
            Some(server) => Ok(server.stop().await?),
            None => Ok(()),
        }
    }

    /// Ends the server, whoever started it, and waits until it has ended.
    pub async fn end(self) -> Result<(), ClusterError> {
        if self.owned() {
            return self.stop().await;
        }
        let is_running = || Postmaster::on(&self.data.join("pgdata")).is_some_and(|found| found.pid == self.pid);
        // It fails only for a server that has just ended.
        let _ = kill(self.pid, Signal::SIGINT);
        let deadline = Instant::now() + END_PATIENCE;
        while is_running() {
            if Instant::now() > deadline {
                return Err(ServerError::Immortal(self.pid).into());
            }
            // It is not our child, so nothing tells when it is gone.
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Lets the server outlive us.
    pub fn leave(mut self) {
        if let Some(server) = self.server.take() {
            server.leave();
        }
    }

    async fn connect(&self, database: &str) -> Result<Client, tokio_postgres::Error> {
        let (client, connection) = tokio_postgres::connect(&self.url(database), NoTls).await?;
        // It ends with the client, and the client reports its errors.
        tokio::spawn(connection);
        Ok(client)
    }

    /// Answers once connections are accepted: whether the server serves our own data directory, and whether durably.
    pub(super) async fn answer(&self) -> Result<(bool, bool), tokio_postgres::Error> {
        let client = self.connect("postgres").await?;
        let settings = "select current_setting('data_directory'), current_setting('fsync') = 'on'";
        let row = client.query_one(settings, &[]).await?;
        let pgdata: String = row.try_get(0)?;
        Ok((Path::new(&pgdata) == self.data.join("pgdata"), row.try_get(1)?))
    }

    pub(super) fn refused(&self, action: impl Into<String>, source: tokio_postgres::Error) -> ClusterError {
        ClusterError::Query { action: action.into(), data: self.data.clone(), source }
    }
}

/// Two who looked at once both saw no database.
fn made_meanwhile(error: &tokio_postgres::Error) -> bool {
    matches!(error.code(), Some(&SqlState::DUPLICATE_DATABASE | &SqlState::UNIQUE_VIOLATION))
}
