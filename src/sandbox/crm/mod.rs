//! Faithful fakes of Commerce7 and of Shopify's Admin API, as one HTTP server: `rowcall sandbox crm`.
//!
//! `/v1/…` is Commerce7's API for any number of tenants, `/<shop>/admin/api/<version>/graphql.json` Shopify's for any number of
//! shops: `COMMERCE7_API_URL=<address>/v1`, `SHOPIFY_API_URL=<address>/{shop}/admin/api/2026-01/graphql.json`. Both check what the
//! real ones check and keep their buckets: calls a minute of a tenant, points of a shop. Where the real ones are not known,
//! the fake is the worse: Commerce7 makes a second membership in the same club if asked, and both searches find neighbours.
//!
//! `effects.jsonl` in the state directory, and `/_control/log`, say what was really changed, whatever the caller believes.
//! `POST /_control/seed` brings tenants, shops and customers, `/_control/faults` makes coming requests misbehave,
//! `/_control/access` revokes credentials, `/_control/limits` sets the buckets, `/_control/webhooks` tells of orders: signed or
//! forged, once or twice, now or later. `GET /_control/world` shows how things stand.

mod state;
mod world;
mod fault;
mod commerce7;
mod clubs;
mod shopify;
mod graphql;
mod schema;
mod webhook;
mod control;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use self::state::State;
use super::server::serve;

pub use self::control::Limits;
pub use self::fault::{Fault, Kind};
pub use self::webhook::Webhook;
pub use self::world::{Person, Seed, ShopSeed, TenantSeed};
pub use super::bucket::Limit;

/// The fakes of Commerce7 and Shopify.
#[derive(Debug, Clone, Args)]
pub struct CrmArgs {
    /// Where it listens; with port 0, wherever there is room. The first line of output is its address.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// The directory with the log of effects.
    #[arg(long)]
    pub state: PathBuf,
    /// Where Commerce7's webhooks go.
    #[arg(long)]
    pub commerce7_webhook: Option<String>,
    /// Where Shopify's webhooks go.
    #[arg(long)]
    pub shopify_webhook: Option<String>,
    /// What Commerce7's webhooks show as the user of HTTP Basic.
    #[arg(long, default_value = "sandbox-hooks")]
    pub webhook_user: String,
    /// What Commerce7's webhooks show as its password.
    #[arg(long, default_value = "sandbox-password")]
    pub webhook_password: String,
    /// What signs Shopify's webhooks.
    #[arg(long, default_value = "sandbox-client-secret")]
    pub webhook_secret: String,
}

/// Runs the fakes until the process is ended.
pub async fn run(args: CrmArgs) -> anyhow::Result<ExitCode> {
    let fake = Fake::start(args).await?;
    println!("{}", fake.address());
    std::future::pending::<()>().await;
    Ok(ExitCode::SUCCESS)
}

/// Running fakes; they end when this is dropped.
#[derive(Debug)]
pub struct Fake {
    state: Arc<State>,
    address: SocketAddr,
    end: CancellationToken,
}

impl CrmArgs {
    /// The defaults, on a free port of this machine, with the log in this directory.
    pub fn new(state: PathBuf) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            state,
            commerce7_webhook: None,
            shopify_webhook: None,
            webhook_user: "sandbox-hooks".to_owned(),
            webhook_password: "sandbox-password".to_owned(),
            webhook_secret: "sandbox-client-secret".to_owned(),
        }
    }
}

impl Fake {
    /// Starts the fakes in this process.
    pub async fn start(args: CrmArgs) -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind(args.listen).await.context("listen")?;
        let address = listener.local_addr().context("listen")?;
        let end = CancellationToken::new();
        let state = Arc::new(State::open(args)?);
        tokio::spawn(serve(listener, control::router(Arc::clone(&state)), end.clone()));
        Ok(Self { state, address, end })
    }

    /// `http://…`, without a path.
    pub fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Brings tenants, shops and customers.
    pub fn seed(&self, seed: Seed) {
        self.state.seed(seed);
    }

    /// What was really changed, oldest first.
    pub fn log(&self) -> Vec<Value> {
        self.state.log()
    }

    /// The requests that came, oldest first: where, and what in them.
    pub fn requests(&self) -> Vec<Value> {
        self.state.requests()
    }

    /// How things stand: by tenant and shop, the customers with their live memberships or tags.
    pub fn world(&self) -> Value {
        self.state.world()
    }

    /// Makes coming requests misbehave, after those that do already.
    pub fn fault(&self, fault: Fault) {
        self.state.queue(fault);
    }

    /// Takes a tenant's or a shop's credentials away, or gives them back.
    pub fn set_access(&self, name: &str, is_open: bool) {
        self.state.set_access(name, is_open);
    }

    /// Sets the buckets; they are full then.
    pub fn limits(&self, limits: &Limits) {
        self.state.set_limits(limits);
    }

    /// Tells of orders, each in its time; waits until the last was told.
    pub async fn tell(&self, webhooks: Vec<Webhook>) {
        webhook::tell(&self.state, webhooks).await;
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.end.cancel();
    }
}
