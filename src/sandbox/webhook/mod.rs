//! A faithful receiver of Standard Webhooks 1.0: `rowcall sandbox webhook`.
//!
//! Every path but `/_control/…` is an endpoint. It checks what receivers check: the three headers, a time within five
//! minutes, and a signature by one of its secrets. An id that it has heard is answered and not heard again. `heard.jsonl` in
//! the state directory, and `/_control/log`, say what really arrived, whatever the caller believes; `/_control/requests`
//! says every request, with the reason where it was refused.
//!
//! `POST /_control/faults` makes coming requests misbehave; `POST /_control/secrets` gives it other secrets.

mod fault;
mod receive;
mod state;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use clap::Args;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use self::state::State;
use super::server;

pub use self::fault::{Fault, Kind};

/// The receiver.
#[derive(Debug, Clone, Args)]
pub struct WebhookArgs {
    /// Where it listens; with port 0, wherever there is room. The first line of output is its address.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// The directory with the log of what was heard.
    #[arg(long)]
    pub state: PathBuf,
    /// The secret that it knows; may be given several times.
    #[arg(long = "secret", default_value = SECRET)]
    pub secrets: Vec<String>,
}

/// What the receiver knows unless it is told otherwise.
pub const SECRET: &str = "whsec_c2FuZGJveC1zZWNyZXQtb2YtYS1yZWNlaXZlcg==";

/// Runs the receiver until the process is ended.
pub async fn run(args: WebhookArgs) -> anyhow::Result<ExitCode> {
    let fake = Fake::start(args).await?;
    println!("{}", fake.address());
    std::future::pending::<()>().await;
    Ok(ExitCode::SUCCESS)
}

/// A running receiver; it ends when this is dropped.
#[derive(Debug)]
pub struct Fake {
    state: Arc<State>,
    address: SocketAddr,
    end: CancellationToken,
}

impl WebhookArgs {
    /// The defaults, on a free port of this machine, with the log in this directory.
    pub fn new(state: PathBuf) -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 0)), state, secrets: vec![SECRET.to_owned()] }
    }
}

impl Fake {
    /// Starts the receiver in this process.
    pub async fn start(args: WebhookArgs) -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind(args.listen).await.context("listen")?;
        let address = listener.local_addr().context("listen")?;
        let end = CancellationToken::new();
        let state = Arc::new(State::open(&args)?);
        tokio::spawn(server::serve(listener, router(Arc::clone(&state)), end.clone()));
        Ok(Self { state, address, end })
    }

    /// `http://…`, without a path.
    pub fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was really heard, oldest first.
    pub fn log(&self) -> Vec<Value> {
        self.state.log()
    }

    /// Every request that came, oldest first.
    pub fn requests(&self) -> Vec<Value> {
        self.state.requests()
    }

    /// Makes coming requests misbehave, after those that do already.
    pub fn fault(&self, fault: Fault) {
        self.state.queue(fault);
    }

    /// Forgets the faults that are left.
    pub fn mend(&self) {
        self.state.forget_faults();
    }

    /// Which secrets it knows from now on.
    pub fn know(&self, secrets: &[&str]) {
        self.state.know(secrets.iter().map(|text| (*text).to_owned()).collect());
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/_control/log", get(async |Shared(state): Shared<Arc<State>>| Json(state.log())))
        .route("/_control/requests", get(async |Shared(state): Shared<Arc<State>>| Json(state.requests())))
        .route("/_control/faults", post(fault).delete(forget_faults))
        .route("/_control/secrets", post(secrets))
        .fallback(receive::receive)
        .with_state(state)
}

async fn fault(Shared(state): Shared<Arc<State>>, Json(fault): Json<Fault>) -> StatusCode {
    state.queue(fault);
    StatusCode::NO_CONTENT
}

async fn forget_faults(Shared(state): Shared<Arc<State>>) -> StatusCode {
    state.forget_faults();
    StatusCode::NO_CONTENT
}

async fn secrets(Shared(state): Shared<Arc<State>>, Json(secrets): Json<Vec<String>>) -> StatusCode {
    state.know(secrets);
    StatusCode::NO_CONTENT
}
