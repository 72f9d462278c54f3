//! The world of a demo: a private Postgres, a migrated database, a fake Fienta and the real worker, all in one.
//!
//! Whoever starts it ends it: `end` ends the worker first, so that what it ran is settled or handed back, then Postgres.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use super::fake::Fake;
use super::place::Place;
use crate::integrations::fienta::Fienta;
use crate::readiness::Readiness;
use crate::sandbox::postgres::{Cluster, Options};
use crate::store::connect::Database;
use crate::store::{migrate, queues};
use crate::worker::shutdown::Shutdown;
use crate::worker::{self, Service, Settings, WorkerError};

/// The database that a person uses.
const KEPT: &str = "rowcall";

/// The database of `--once`, made anew each time.
const FRESH: &str = "rowcall_once";

/// A demo's patience is shorter than a production's, so that nobody waits to see what becomes of a failure.
pub(super) const POLICY: &str = "update rowcall.queues
set retry_delays = '{1 second,2 seconds,4 seconds}', timeout = '3 seconds'
where queue = 'codes';";

/// Everything of a demo that runs.
#[derive(Debug)]
pub(super) struct World {
    pub(super) database: Database,
    pub(super) fienta: Fake,
    /// The connection string, password included.
    pub(super) url: String,
    /// Whether there were no codes yet.
    pub(super) is_new: bool,
    cluster: Cluster,
    shutdown: Shutdown,
    worker: JoinHandle<Result<(), WorkerError>>,
}

impl World {
    /// Starts everything; the worker runs when this returns. Nothing when a person ended it meanwhile.
    pub(super) async fn start(place: &Place, shutdown: &Shutdown) -> anyhow::Result<Option<Self>> {
        let options = Options { durable: place.is_kept, ..Options::new(place.postgres()) };
        let cluster = tokio::select! {
            cluster = Cluster::start(options) => cluster?,
            () = shutdown.closing.cancelled() => return Ok(None),
        };
        match prepare(place, &cluster).await {
            Ok((database, is_new)) => Ok(Some(Self::run(place, cluster, database, is_new, shutdown)?)),
            Err(error) => {
                // What went wrong first is what a person must read.
                let _ = cluster.end().await;
                Err(error)
            }
        }
    }

    fn run(
        place: &Place,
        cluster: Cluster,
        database: Database,
        is_new: bool,
        shutdown: &Shutdown,
    ) -> anyhow::Result<Self> {
        let fienta = Fake::new(place.fienta());
        let integration = Arc::new(Fienta::new(fienta.settings()?));
        let settings = Settings {
            database: database.clone(),
            listen: database.clone(),
            sweep: Duration::from_secs(30),
            grace: Duration::from_secs(15),
            monitor: None,
            readiness: Readiness::default(),
        };
        let services = vec![Service { statements: &queues::CODES, integration }];
        let closing = shutdown.closing.clone();
        let running = worker::run(settings, services, shutdown.clone());
        let worker = tokio::spawn(async move {
            let ended = running.await;
            // A demo without a worker shows nothing: one that could not start ends it.
            closing.cancel();
            ended
        });
        let url = cluster.url(database.name());
        Ok(Self { database, fienta, url, is_new, cluster, shutdown: shutdown.clone(), worker })
    }

    /// A connection for what a person would type.
    pub(super) async fn client(&self) -> anyhow::Result<Client> {
        self.database.client().await.context("connect to the demo's database")
    }

    /// Ends the worker, then Postgres. An error when the worker did not run.
    pub(super) async fn end(self) -> anyhow::Result<()> {
        self.shutdown.closing.cancel();
        let worker = self.worker.await;
        // The lock of the place says that nobody else uses a server that a killed demo left behind.
        self.cluster.end().await?;
        Ok(worker.context("the worker broke off")??)
    }
}

/// Makes the database, brings it to this version, and gives a new one the demo's policy.
async fn prepare(place: &Place, cluster: &Cluster) -> anyhow::Result<(Database, bool)> {
    let name = if place.is_kept { KEPT } else { FRESH };
    let database = Database::parse(&cluster.url(name))?;
    if !place.is_kept {
        let server = database.with_name("postgres").client().await.context("connect to the private Postgres")?;
        let drop = format!("drop database if exists {name} with (force)");
        server.batch_execute(&drop).await.context("drop the database of the last time")?;
    }
    cluster.create_database_if_missing(name).await?;
    migrate::apply(&database).await.with_context(|| {
        let folder = place.postgres();
        format!("bring the demo's database to this version; to begin anew, remove {} and", folder.display())
    })?;
    let client = database.client().await.context("connect to the demo's database")?;
    let empty = client.query_one("select not exists (select from public.codes)", &[]).await;
    let is_new: bool = empty.context("look for codes")?.get(0);
    if is_new {
        client.batch_execute(POLICY).await.context("set the demo's policy")?;
    }
    Ok((database, is_new))
}
