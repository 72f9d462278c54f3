//! The world of a demo: a private Postgres, a migrated database, fake providers, and the real worker with its HTTP server.
//!
//! The worker is told by variables, as `rowcall run` is, but by none of this process's environment.
//!
//! Whoever starts it ends it: `end` ends the worker first, so that what it ran is settled or handed back, then Postgres.

use std::collections::HashMap;
use std::net::SocketAddr;

use anyhow::Context;
use reqwest::Url;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_postgres::Client;
use uuid::Uuid;

use super::fake::Fake;
use super::place::Place;
use super::system::{self, Stage, System};
use crate::cli::run::work;
use crate::config::{Config, Environment, ProcessEnvironment};
use crate::sandbox::postgres::{Cluster, Options};
use crate::store::connect::Database;
use crate::store::migrate;
use crate::worker::shutdown::Shutdown;

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
    pub(super) systems: Vec<Box<dyn System>>,
    /// Where the worker serves HTTP.
    pub(super) http: SocketAddr,
    /// Whose bearer may do everything there; another one at every start.
    pub(super) token: String,
    /// The connection string, password included.
    pub(super) url: String,
    /// Whether there were no codes yet.
    pub(super) is_new: bool,
    cluster: Cluster,
    shutdown: Shutdown,
    worker: JoinHandle<anyhow::Result<()>>,
}

/// Everything but the cluster, before the worker runs.
struct Prepared {
    database: Database,
    is_new: bool,
    fienta: Fake,
    systems: Vec<Box<dyn System>>,
    listener: TcpListener,
    http: SocketAddr,
    token: String,
    config: Config,
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
            Ok(prepared) => Ok(Some(Self::run(cluster, prepared, shutdown))),
            Err(error) => {
                // What went wrong first is what a person must read.
                let _ = cluster.end().await;
                Err(error)
            }
        }
    }

    fn run(cluster: Cluster, prepared: Prepared, shutdown: &Shutdown) -> Self {
        let Prepared { database, is_new, fienta, systems, listener, http, token, config } = prepared;
        let closing = shutdown.closing.clone();
        let running = work(config, Some(listener), shutdown.clone());
        let worker = tokio::spawn(async move {
            let ended = running.await;
            // A demo without a worker shows nothing: one that could not start ends it.
            closing.cancel();
            ended
        });
        let url = cluster.url(database.name());
        Self { database, fienta, systems, http, token, url, is_new, cluster, shutdown: shutdown.clone(), worker }
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
        worker.context("the worker broke off")?
    }
}

/// Prepares the database, starts the fakes, and settles what the worker is told.
async fn prepare(place: &Place, cluster: &Cluster) -> anyhow::Result<Prepared> {
    let (database, is_new) = make_database(place, cluster).await?;
    // The fakes must know where to tell of things before the worker knows where the fakes are.
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("take a port for HTTP")?;
    let http = listener.local_addr().context("take a port for HTTP")?;
    let fienta = Fake::new(place.fienta());
    let systems = system::start(&Stage { folder: place.fakes(), fienta: place.fienta(), http }).await?;
    let client = database.client().await.context("connect to the demo's database")?;
    for script in systems.iter().map(|system| system.script()) {
        client.batch_execute(script.given).await.with_context(|| format!("put the samples of {} in", script.name))?;
    }
    let mut variables: HashMap<&str, String> = fienta.variables()?.into_iter().collect();
    variables.extend(systems.iter().flat_map(|system| system.variables()));
    // A test puts a pooler between the worker and this Postgres.
    let pooler = ProcessEnvironment.get("ROWCALL_DEMO_POOLER").and_then(|address| Url::parse(&address).ok());
    let url = pooler.map_or_else(
        || cluster.url(database.name()),
        |mut address| {
            address.set_path(database.name());
            address.into()
        },
    );
    variables.insert("DATABASE_URL", url);
    let token = Uuid::new_v4().simple().to_string();
    variables.insert("ROWCALL_API_TOKEN", token.clone());
    // A person who ends the demo does not wait long.
    variables.insert("ROWCALL_SHUTDOWN_GRACE", "15".to_owned());
    let config = Config::read(&|variable: &str| variables.get(variable).cloned())?;
    Ok(Prepared { database, is_new, fienta, systems, listener, http, token, config })
}

/// Makes the database, brings it to this version, and gives a new one the demo's policy.
async fn make_database(place: &Place, cluster: &Cluster) -> anyhow::Result<(Database, bool)> {
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
