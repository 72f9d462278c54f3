//! A faithful fake of a WordPress site with the plugin FluentSupport: `rowcall sandbox fluent`.
//!
//! `GET /wp-json/fluent-support/v2/tickets`, or `/?rest_route=/fluent-support/v2/tickets`, lists generated tickets behind an
//! application password, as either version of the plugin does: its paginator and times, numbers that are text, tickets that
//! the agent may not see. The list moves while it is read. `requests.jsonl` in the state directory, and
//! `/_control/requests`, say what was really asked.
//!
//! `POST /_control/faults` makes coming requests misbehave, or changes tickets between two pages; `POST /_control/edits` changes
//! them now, `GET /_control/tickets` tells which there are.

mod ticket;
mod site;
mod list;
mod fault;
mod control;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::routing::{get, post};
use clap::{Args, ValueEnum};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::site::Site;
use super::server;

pub use self::fault::{Fault, Kind};
pub use self::site::Edit;

/// The fake of FluentSupport.
#[derive(Debug, Clone, Args)]
pub struct FluentArgs {
    /// Where it listens; with port 0, wherever there is room. The first line of output is its address.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// The directory with the log of requests.
    #[arg(long)]
    pub state: PathBuf,
    /// How many tickets there are.
    #[arg(long, default_value_t = 5000)]
    pub tickets: u32,
    /// Which version of the plugin answers.
    #[arg(long, value_enum, default_value_t = Version::Two)]
    pub plugin: Version,
    /// The site's time zone, in which it tells times.
    #[arg(long, default_value = "UTC")]
    pub timezone: String,
    /// The only user.
    #[arg(long, default_value = "agent")]
    pub username: String,
    /// The user's application password.
    #[arg(long, default_value = "abcd EFGH 1234 ijkl MNOP 5678")]
    pub password: String,
}

/// A version of the plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Version {
    /// Numbers of pages as text, times of day without a zone.
    #[value(name = "1")]
    One,
    /// Numbers as numbers, times in ISO 8601.
    #[value(name = "2")]
    Two,
}

/// Runs the fake until the process is ended.
pub async fn run(args: FluentArgs) -> anyhow::Result<ExitCode> {
    let fake = Fake::start(args).await?;
    println!("{}", fake.address());
    std::future::pending::<()>().await;
    Ok(ExitCode::SUCCESS)
}

/// A running fake; it ends when this is dropped.
#[derive(Debug)]
pub struct Fake {
    site: Arc<Site>,
    address: SocketAddr,
    end: CancellationToken,
}

impl FluentArgs {
    /// The defaults, on a free port of this machine, with the log in this directory.
    pub fn new(state: PathBuf) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            state,
            tickets: 5000,
            plugin: Version::Two,
            timezone: "UTC".to_owned(),
            username: "agent".to_owned(),
            password: "abcd EFGH 1234 ijkl MNOP 5678".to_owned(),
        }
    }
}

impl Fake {
    /// Starts the fake in this process.
    pub async fn start(args: FluentArgs) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(args.listen).await.context("listen")?;
        let address = listener.local_addr().context("listen")?;
        let end = CancellationToken::new();
        let site = Arc::new(Site::open(args)?);
        let router = Router::new()
            .route("/wp-json/fluent-support/v2/tickets", get(list::tickets))
            .route("/_control/requests", get(control::requests))
            .route("/_control/tickets", get(control::tickets))
            .route("/_control/edits", post(control::edits))
            .route("/_control/faults", post(control::fault).delete(control::forget_faults))
            .fallback(list::elsewhere)
            .with_state(Arc::clone(&site));
        tokio::spawn(server::serve(listener, router, end.clone()));
        Ok(Self { site, address, end })
    }

    /// `http://…`, without a path.
    pub fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests that came, oldest first: which page of which list.
    pub fn requests(&self) -> Vec<Value> {
        self.site.requests()
    }

    /// The tickets that are there, by number, as the list tells them.
    pub fn tickets(&self) -> Vec<Value> {
        self.site.told()
    }

    /// Makes coming requests misbehave, after those that do already.
    pub fn fault(&self, fault: Fault) {
        self.site.queue(fault);
    }

    /// From now on everything works.
    pub fn forget_faults(&self) {
        self.site.forget_faults();
    }

    /// Changes tickets now.
    pub fn edit(&self, edits: &[Edit]) {
        self.site.edit(edits);
    }

    /// Changes tickets after the next request is answered; each call is for one request more.
    pub fn edit_between(&self, edits: Vec<Edit>) {
        self.site.edit_later(edits);
    }

    /// The user sees the tickets of this agent only; `None` is all of them.
    pub fn sees_only(&self, agent: Option<i64>) {
        self.site.limit_view(agent);
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.end.cancel();
    }
}
