//! Faithful fakes of WhatsApp's two providers and of the agent, as one HTTP server: `rowcall sandbox whatsapp`.
//!
//! `/v25.0/<phone number id>/messages` is Meta's Cloud API, `/whatsapp/1/message/…` is Infobip's, `/agent/v1` is the agent's
//! base address. Both providers check what the real ones check, keep token buckets for the sender and for each recipient,
//! and tell by signed webhooks what becomes of a message. `messages.jsonl` in the state directory, and `/_control/log`, say
//! what was really accepted, whatever the caller believes.
//!
//! `POST /_control/faults` makes coming requests misbehave, `POST /_control/reports` says which webhooks come when,
//! `POST /_control/inbound` lets a customer write, `POST /_control/limits` sets the buckets.

mod state;
mod fault;
mod meta;
mod infobip;
mod agent;
mod report;
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
use super::bucket::Limit;
use super::server;

pub use self::fault::{Fault, Kind};
pub use self::report::Report;

/// The fakes of WhatsApp.
#[derive(Debug, Clone, Args)]
pub struct WhatsAppArgs {
    /// Where it listens; with port 0, wherever there is room. The first line of output is its address.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// The directory with the log of accepted messages.
    #[arg(long)]
    pub state: PathBuf,
    /// Where Meta's webhooks go.
    #[arg(long)]
    pub webhook: Option<String>,
    /// Where Infobip's delivery reports go, unless a message names its own address.
    #[arg(long)]
    pub infobip_webhook: Option<String>,
    /// What signs Meta's webhooks.
    #[arg(long, default_value = "sandbox-app-secret")]
    pub app_secret: String,
    /// The only token that Meta's API accepts.
    #[arg(long, default_value = "sandbox-access-token")]
    pub access_token: String,
    /// The only phone number id that Meta's API knows.
    #[arg(long, default_value = "106540352242922")]
    pub phone_number_id: String,
    /// The only key that Infobip's API accepts.
    #[arg(long, default_value = "sandbox-api-key")]
    pub api_key: String,
}

/// Runs the fakes until the process is ended.
pub async fn run(args: WhatsAppArgs) -> anyhow::Result<ExitCode> {
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

impl WhatsAppArgs {
    /// The defaults, on a free port of this machine, with the log in this directory.
    pub fn new(state: PathBuf) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            state,
            webhook: None,
            infobip_webhook: None,
            app_secret: "sandbox-app-secret".to_owned(),
            access_token: "sandbox-access-token".to_owned(),
            phone_number_id: "106540352242922".to_owned(),
            api_key: "sandbox-api-key".to_owned(),
        }
    }
}

impl Fake {
    /// Starts the fakes in this process.
    pub async fn start(args: WhatsAppArgs) -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind(args.listen).await.context("listen")?;
        let address = listener.local_addr().context("listen")?;
        let end = CancellationToken::new();
        let state = Arc::new(State::open(args)?);
        tokio::spawn(server::serve(listener, serve::router(Arc::clone(&state)), end.clone()));
        Ok(Self { state, address, end })
    }

    /// `http://…`, without a path.
    pub fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The messages that were really accepted, oldest first.
    pub fn log(&self) -> Vec<Value> {
        self.state.log()
    }

    /// The requests that came, oldest first: where, and what in them.
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

    /// Which webhooks follow an accepted message from now on; none, and nothing is ever heard of it.
    pub fn reports(&self, reports: Vec<Report>) {
        self.state.set_reports(reports);
    }

    /// When a customer has last written.
    pub fn last_inbound(&self, phone: &str, at: jiff::Timestamp) {
        self.state.note_inbound(phone, at);
    }

    /// Messages a second of the sender, and how many at once.
    pub fn sender_limit(&self, per_second: f64, burst: f64) {
        self.state.set_sender_limit(Limit { per_second, burst });
    }

    /// Messages a second to one recipient, and how many at once.
    pub fn pair_limit(&self, per_second: f64, burst: f64) {
        self.state.set_pair_limit(per_second, burst);
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.end.cancel();
    }
}
