//! Faithful fakes of the suppliers of data bundles, as one HTTP server: `rowcall sandbox supplier`.
//!
//! The first part of the path says which supplier it is: `/at-ishare`, `/codecraft`, `/spfastit`, `/hubnet`, `/xpress`. All
//! sell from one wallet and deliver into one book. `book.jsonl` in the state directory, and `/_control/book`, say which
//! bundle really reached which number, whatever the caller believes.
//!
//! `POST /_control/faults` makes coming requests misbehave, `…/delivery` says when and how coming orders end,
//! `…/callbacks` which callbacks follow (signed, forged, late, twice, none), `…/wallet` tops up, `…/deliver` delivers an
//! order that waits, `…/reverse` takes a delivered bundle back. `GET /_control/orders`, `…/requests` and `…/wallet` show the rest.

mod state;
mod shop;
mod fault;
mod callback;
mod api;
mod control;
mod serve;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use self::state::State;
use super::server;

pub use self::callback::{Callback, Proof};
pub use self::fault::{At, Fault, Kind};
pub use self::shop::{Delivery, End};

/// The fakes of suppliers.
#[derive(Debug, Clone, Args)]
pub struct SupplierArgs {
    /// Where it listens; with port 0, wherever there is room. The first line of output is its address.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// The directory with the book of delivered bundles.
    #[arg(long)]
    pub state: PathBuf,
    /// Where callbacks go, without the supplier's name, which is added: http://…/webhooks/supplier
    #[arg(long)]
    pub callback: Option<String>,
    /// What is in the wallet, in pesewas; a gigabyte costs 450.
    #[arg(long, default_value_t = 1_000_000)]
    pub wallet: u64,
    /// The only key that the suppliers accept.
    #[arg(long, default_value = "sandbox-supplier-key")]
    pub api_key: String,
    /// What signs requests and callbacks.
    #[arg(long, default_value = "sandbox-supplier-secret")]
    pub api_secret: String,
}

/// Runs the fakes until the process is ended.
pub async fn run(args: SupplierArgs) -> anyhow::Result<ExitCode> {
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

impl SupplierArgs {
    /// The defaults, on a free port of this machine, with the book in this directory.
    pub fn new(state: PathBuf) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            state,
            callback: None,
            wallet: 1_000_000,
            api_key: "sandbox-supplier-key".to_owned(),
            api_secret: "sandbox-supplier-secret".to_owned(),
        }
    }
}

impl Fake {
    /// Starts the fakes in this process.
    pub async fn start(args: SupplierArgs) -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind(args.listen).await.context("listen")?;
        let address = listener.local_addr().context("listen")?;
        let end = CancellationToken::new();
        let state = Arc::new(State::open(args)?);
        tokio::spawn(server::serve(listener, serve::router(&state), end.clone()));
        Ok(Self { state, address, end })
    }

    /// `http://…`, without a path; a supplier's own address follows it by its name.
    pub fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What really happened to which number, oldest first.
    pub fn book(&self) -> Vec<Value> {
        self.state.book()
    }

    /// The orders that were taken, oldest first.
    pub fn orders(&self) -> Vec<Value> {
        self.state.orders()
    }

    /// The requests that came, oldest first: for what, and what in them.
    pub fn requests(&self) -> Vec<Value> {
        self.state.requests()
    }

    /// Makes coming requests misbehave, after those that do already.
    pub fn fault(&self, fault: Fault) {
        self.state.queue(fault);
    }

    /// When and how coming orders end.
    pub fn delivery(&self, delivery: Delivery) {
        self.state.set_delivery(delivery);
    }

    /// Which callbacks follow what happens to an order from now on; none, and nothing is ever heard of it.
    pub fn callbacks(&self, callbacks: Vec<Callback>) {
        self.state.set_callbacks(callbacks);
    }

    /// What is in the wallet, in pesewas.
    pub fn wallet(&self) -> u64 {
        self.state.wallet()
    }

    /// Puts so many pesewas into the wallet.
    pub fn top_up(&self, pesewas: u64) {
        self.state.top_up(pesewas);
    }

    /// Takes back what was delivered under this number of the supplier's or reference of ours; whether there was such.
    pub fn reverse(&self, order: &str) -> bool {
        shop::reverse(&self.state, order)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.end.cancel();
    }
}
