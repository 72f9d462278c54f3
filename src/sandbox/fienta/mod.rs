//! A faithful fake of the Fienta CLI: `rowcall sandbox fienta --state DIR <verb> <flags…>`.
//!
//! It takes the flags of the real one, wants a login from the environment, chats on stdout as a browser script does, and
//! ends with one line of JSON and exit code 0, 1, 2 or 75. Its codes live in a directory (see `state.rs`), beside two logs:
//! what really took effect, and which runs began and ended when. `… fault --kind K` makes coming runs misbehave.
//!
//! It is as fast as a process can be; `--delay-ms` makes it as slow as a browser.

mod fault;
mod state;
mod verbs;

use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::{Args, Subcommand};

use self::fault::Fault;
use self::state::State;
use self::verbs::Reply;

/// The fake Fienta CLI.
#[derive(Debug, Args)]
pub struct FientaArgs {
    /// The directory that plays Fienta. Its file `password`, if there is one, is what `FIENTA_PASSWORD` must be; its file
    /// `event_id`, if there is one, is the only event.
    #[arg(long)]
    state: PathBuf,
    /// How long an operation takes, as a browser does, in milliseconds.
    #[arg(long, default_value_t = 0)]
    delay_ms: u64,
    #[command(subcommand)]
    verb: Verb,
}

/// What a run is asked to do.
#[derive(Debug, Subcommand)]
enum Verb {
    /// Create a code.
    Create {
        #[command(flatten)]
        common: Common,
        #[arg(long)]
        code: String,
        #[arg(long, conflicts_with = "discount_amount")]
        discount_percent: Option<String>,
        #[arg(long)]
        discount_amount: Option<String>,
        #[arg(long)]
        max_uses: Option<String>,
        #[arg(long)]
        expires_at: Option<String>,
        #[arg(long)]
        description: Option<String>,
    },
    /// Change a code.
    Update {
        #[command(flatten)]
        common: Common,
        #[arg(long)]
        code: String,
        #[arg(long, conflicts_with = "new_discount_amount")]
        new_discount_percent: Option<String>,
        #[arg(long)]
        new_discount_amount: Option<String>,
        #[arg(long)]
        new_max_uses: Option<String>,
        #[arg(long)]
        new_expires_at: Option<String>,
        #[arg(long)]
        new_description: Option<String>,
    },
    /// Rename a code.
    Rename {
        #[command(flatten)]
        common: Common,
        #[arg(long)]
        code: String,
        #[arg(long)]
        new_code: String,
    },
    /// Delete a code.
    Delete {
        #[command(flatten)]
        common: Common,
        #[arg(long)]
        code: String,
        #[arg(long)]
        discount_id: Option<String>,
    },
    /// List all codes.
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Show an order, or give it another status.
    Orders {
        #[command(flatten)]
        common: Common,
        #[arg(long)]
        id: String,
        #[arg(long)]
        status: Option<String>,
    },
    /// A customer uses a code; what the real CLI has not.
    Redeem {
        #[arg(long)]
        code: String,
    },
    /// A customer orders; what the real CLI has not.
    Buy {
        #[arg(long)]
        id: String,
        #[arg(long, default_value = "PENDING")]
        status: String,
    },
    /// Make coming runs misbehave.
    Fault(Fault),
    /// Outlive the run that started this process, holding its pipes.
    #[command(hide = true)]
    Linger,
}

/// The flags of every operation.
#[derive(Debug, Args)]
struct Common {
    /// The event; `FIENTA_EVENT_ID` where it is not given.
    #[arg(long)]
    event_id: Option<String>,
    /// End with one line of JSON.
    #[arg(long)]
    json: bool,
}

impl Verb {
    fn common(&self) -> Option<&Common> {
        match self {
            Self::Create { common, .. }
            | Self::Update { common, .. }
            | Self::Rename { common, .. }
            | Self::Delete { common, .. }
            | Self::List { common }
            | Self::Orders { common, .. } => Some(common),
            Self::Redeem { .. } | Self::Buy { .. } | Self::Fault(_) | Self::Linger => None,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Update { .. } => "update",
            Self::Rename { .. } => "rename",
            Self::Delete { .. } => "delete",
            Self::List { .. } => "list",
            Self::Orders { status: Some(_), .. } => "orders",
            Self::Orders { status: None, .. } => "order",
            Self::Redeem { .. } => "redeem",
            Self::Buy { .. } => "buy",
            Self::Fault(_) => "fault",
            Self::Linger => "linger",
        }
    }

    fn code(&self) -> Option<&str> {
        match self {
            Self::Create { code, .. }
            | Self::Update { code, .. }
            | Self::Rename { code, .. }
            | Self::Delete { code, .. }
            | Self::Orders { id: code, .. } => Some(code),
            _ => None,
        }
    }
}

/// Runs the fake CLI once.
pub fn run(args: FientaArgs) -> ExitCode {
    let FientaArgs { state, delay_ms, verb } = args;
    let ended = State::open(&state).and_then(|state| match &verb {
        Verb::Fault(fault) => state.queue(fault).map(|()| ExitCode::SUCCESS),
        Verb::Redeem { code } => verbs::redeem(&state, code).map(|()| ExitCode::SUCCESS),
        Verb::Buy { id, status } => verbs::buy(&state, id, status).map(|()| ExitCode::SUCCESS),
        Verb::Linger => fault::linger(&state),
        operation => operate(&state, operation, delay_ms),
    });
    ended.unwrap_or_else(|error| {
        eprintln!("sandbox fienta: {error:#}");
        ExitCode::FAILURE
    })
}

fn operate(state: &State, verb: &Verb, delay_ms: u64) -> anyhow::Result<ExitCode> {
    let run = state.run_began(verb.name(), verb.code())?;
    let fault = state.take_fault(verb.name(), verb.code())?;
    println!("Launching chromium (headless)\nOpening https://fienta.com/my/events");
    thread::sleep(Duration::from_millis(delay_ms));
    let reply = match fault {
        Some(fault) => fault.misbehave(state, verb),
        None => verbs::reply(state, verb).map(Some),
    };
    let code = reply.as_ref().map_or(1, |reply| reply.as_ref().map_or(0, Reply::exit_code));
    state.run_ended(&run, code)?;
    if let Some(reply) = reply? {
        reply.print(verb.common().is_some_and(|common| common.json));
    }
    Ok(ExitCode::from(code))
}
