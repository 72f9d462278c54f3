//! A system that the demo shows beside the promo codes: its queue, its fake, what a person may type, and its scenes.
//!
//! To add one: a file like `whatsapp.rs`, its line in `start`, and its queue's arm in `sql/demo/changes.sql`.

use std::fmt::Debug;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::bail;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio_postgres::Client;

use super::checks::Checks;
use super::crm::Crm;
use super::fluent::Fluent;
use super::links::Links;
use super::orders::Orders;
use super::organizations::Organizations;
use super::scene::Scene;
use super::supplier::Supplier;
use super::whatsapp::WhatsApp;

/// Starts the fakes of all systems, in the order in which they are shown.
pub(super) async fn start(stage: &Stage) -> anyhow::Result<Vec<Box<dyn System>>> {
    Ok(vec![
        Box::new(WhatsApp::start(stage).await?),
        Box::new(Supplier::start(stage).await?),
        Box::new(Crm::start(stage).await?),
        Box::new(Fluent::start(stage).await?),
        Box::new(Links::start(stage)?),
        Box::new(Organizations::start(stage).await?),
        Box::new(Orders::start(stage).await?),
        Box::new(Checks::start(stage)),
    ])
}

/// What a fake needs to know before it starts.
#[derive(Debug)]
pub(super) struct Stage {
    /// Where each may have a folder for what it notes down.
    pub(super) folder: PathBuf,
    /// What plays Fienta, whose account codes, orders and checks share.
    pub(super) fienta: PathBuf,
    /// Where the demo's worker serves HTTP, for the fakes that tell by webhook.
    pub(super) http: SocketAddr,
}

/// What stands in a system's file and never changes. Its SQL lies in `sql/demo/`.
#[derive(Debug)]
pub(super) struct Script {
    /// The provider, as people call it.
    pub(super) name: &'static str,
    /// What the system is for.
    pub(super) title: &'static str,
    pub(super) queue: &'static str,
    /// SQL: the sample rows and the demo's policy. It is run at every start, and does nothing where they stand.
    pub(super) given: &'static str,
    /// SQL: what a person may type now to ask for something and to look, as rows of `what` and `line`, in which `{fake}` stands
    /// for the fake's address.
    pub(super) invite: &'static str,
    /// SQL: the rows with the keys `$1` as texts, with their `error_message`.
    pub(super) look: &'static str,
    /// SQL: the keys in the queue of what the scenes call `$1`; without it, they call it by its keys.
    pub(super) keys: Option<&'static str>,
    /// The scenes of `--once`, one after the other.
    pub(super) scenes: &'static [Scene],
    /// What its fake notes down, and where: "7 … , each exactly as often as it must be".
    pub(super) effects: &'static str,
    /// The kinds of faults worth trying, and one of them as the fake takes it; nothing where nothing is called.
    pub(super) faults: Option<(&'static str, &'static str)>,
}

/// What really took effect, by what the fake noted down itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Effect {
    /// Whom or what it concerns.
    pub(super) about: String,
    pub(super) what: String,
}

/// A system whose fake runs; that ends when this is dropped.
pub(super) trait System: Debug + Send + Sync {
    fn script(&self) -> &'static Script;

    /// The settings with which the worker reaches the fake, as `rowcall run` reads them.
    fn variables(&self) -> Vec<(&'static str, String)>;

    /// Where the fake is; with an address, it takes faults at `/_control/faults`.
    fn address(&self) -> String;

    /// Whether its worker's operations run one at a time with those of the codes, so that its scenes come after theirs.
    fn is_at_fienta(&self) -> bool {
        false
    }

    /// Makes coming requests misbehave, in the words of `/_control/faults`.
    fn fault<'a>(&'a self, fault: &'a str) -> BoxFuture<'a, anyhow::Result<()>>;

    /// What a person would type to have this fault.
    fn fault_line(&self, fault: &str) -> String {
        format!("curl -H content-type:application/json -d '{fault}' {}/_control/faults", self.address())
    }

    /// Lets the world outside do something, as a rule telling the worker by webhook, in the words of `/_control/webhooks`; and waits
    /// for its answers.
    fn tell<'a>(&'a self, _client: &'a Client, told: &'a str) -> BoxFuture<'a, anyhow::Result<()>> {
        async move { bail!("{} does not tell {told}", self.script().name) }.boxed()
    }

    /// How that is shown to who reads along.
    fn shown_as_told(&self, told: &str) -> String {
        format!("$ curl … -d @- …/_control/webhooks\n  {}", told.replace('\n', "\n  "))
    }

    /// How a fault is shown to who reads along.
    fn shown_as_fault(&self, fault: &str) -> String {
        format!("$ curl … -d '{fault}' …/_control/faults")
    }

    /// What took effect since the fake started, oldest first.
    fn effects(&self) -> Vec<Effect>;
}
