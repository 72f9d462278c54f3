//! The start of a cluster, in its order: alone, find it running or launch it, wait until it accepts connections.

use std::time::Duration;

use nix::unistd::Pid;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_postgres::error::SqlState;

use super::account::Account;
use super::cluster::{Cluster, ClusterError, Options};
use super::find::{Binaries, find_binaries, find_major};
use super::folder::{Folder, FolderError};
use super::initdb::initdb;
use super::postmaster::Postmaster;
use super::server::Server;

/// Between two looks at a server that does not answer yet.
const PAUSE: Duration = Duration::from_millis(50);

/// What the log of a server says that did not start and may start now: processes of a killed predecessor were still
/// ending, or somebody else took the port first.
const PASSING: [&str; 2] = ["pre-existing shared memory block", "could not create any TCP/IP sockets"];

/// Starts the cluster, or finds it running.
pub(super) async fn start(options: &Options) -> Result<Cluster, ClusterError> {
    let folder = Folder::open(&options.data)?;
    let deadline = Instant::now() + options.patience;
    let start = Start { folder: &folder, options, deadline };
    let Some(_lock) = folder.lock(deadline).await? else { return Err(start.late(0)) };
    loop {
        let attempt = match Postmaster::on(&folder.pgdata()) {
            Some(running) => start.join(running).await?,
            None => start.launch().await?,
        };
        if let Some(cluster) = attempt {
            return Ok(cluster);
        }
        // Nothing tells when the last process of a killed server is gone.
        sleep(PAUSE).await;
    }
}

/// What every step of one start needs.
struct Start<'a> {
    folder: &'a Folder,
    options: &'a Options,
    deadline: Instant,
}

impl Start<'_> {
    /// Uses a running server; `None` when it ended meanwhile.
    async fn join(&self, running: Postmaster) -> Result<Option<Cluster>, ClusterError> {
        let cluster = self.cluster(running.port, running.pid)?;
        while Postmaster::on(&self.folder.pgdata()) == Some(running) {
            match self.ready(&cluster, 0).await? {
                Some(durable) if durable || !self.options.durable => return Ok(Some(cluster)),
                Some(_) => return Err(ClusterError::NotDurable { data: cluster.data, pid: running.pid }),
                None => sleep(PAUSE).await,
            }
        }
        Ok(None)
    }

    /// Starts a server; `None` when it failed for a reason that passes.
    async fn launch(&self) -> Result<Option<Cluster>, ClusterError> {
        let pgdata = self.folder.pgdata();
        let account = Account::lent(&pgdata)?;
        if let Some(account) = &account {
            account.enters(self.folder.path())?;
        }
        let binaries = self.binaries(account.as_ref()).await?;
        Postmaster::forget_stale(&pgdata).map_err(FolderError::of("remove the stale pid file in", &pgdata))?;
        let port = self.folder.port()?;
        let server = Server::spawn(self.folder, &binaries, account.as_ref(), port, self.options.durable)?;
        let mut cluster = self.cluster(port, server.pid())?;
        self.accepted(server, &mut cluster).await.map(|accepted| accepted.then_some(cluster))
    }

    /// The programs for the data that is there; on the first start also the data.
    async fn binaries(&self, account: Option<&Account>) -> Result<Binaries, ClusterError> {
        if let Some(major) = self.folder.major()? {
            return Ok(find_major(major, self.folder.path())?);
        }
        let binaries = find_binaries()?;
        initdb(self.folder, &binaries, account, self.options.durable).await?;
        Ok(binaries)
    }

    /// Waits for our own server, and hands it to the cluster once it accepts connections.
    async fn accepted(&self, mut server: Server, cluster: &mut Cluster) -> Result<bool, ClusterError> {
        let log_began = server.log_began;
        let status = loop {
            let ready = tokio::select! {
                biased;
                status = server.ended() => break status?,
                ready = self.ready(cluster, log_began) => ready?,
            };
            if ready.is_some() {
                cluster.server = Some(server);
                return Ok(true);
            }
            if let Ok(status) = timeout(PAUSE, server.ended()).await {
                break status?;
            }
        };
        let tail = self.folder.log_tail(log_began)?;
        if PASSING.iter().any(|reason| tail.contains(reason)) && Instant::now() < self.deadline {
            return Ok(false);
        }
        Err(ClusterError::Ended { data: cluster.data.clone(), status, tail })
    }

    /// Tries to log in: `None` while the server does not answer, then whether it runs durably.
    async fn ready(&self, cluster: &Cluster, log_began: u64) -> Result<Option<bool>, ClusterError> {
        match timeout_at(self.deadline, cluster.answer()).await {
            Ok(Ok((true, durable))) => Ok(Some(durable)),
            Ok(Err(error)) if error.code() == Some(&SqlState::INVALID_PASSWORD) => {
                Err(cluster.refused("log in", error))
            }
            // Not yet, or for a moment somebody else on this port.
            Ok(_) if Instant::now() < self.deadline => Ok(None),
            _ => Err(self.late(log_began)),
        }
    }

    /// The cluster with a server that is not ours until it accepts connections.
    fn cluster(&self, port: u16, pid: Pid) -> Result<Cluster, ClusterError> {
        let password = self.folder.password()?;
        Ok(Cluster { data: self.folder.path().to_owned(), port, password, pid, server: None })
    }

    fn late(&self, log_began: u64) -> ClusterError {
        let tail = self.folder.log_tail(log_began).unwrap_or_default();
        ClusterError::Late { data: self.options.data.clone(), patience: self.options.patience, tail }
    }
}
