//! `rowcall doctor`: what is wrong here, and what mends it. It changes nothing and calls no provider.
//!
//! Exit code 1 when there is a problem, so that a deployment can stop on it.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;

use super::print::{Paint, paint, plain, print};
use super::services::services;
use crate::config::{self, Config, ProcessEnvironment};
use crate::store::connect::Database;
use crate::store::doctor::{self, Finding, State, bell};
use crate::store::{chain, queues, tls};
use crate::worker::Service;

/// How to tell it.
#[derive(Debug, Args)]
#[command(after_help = "Run it in the worker's environment. It changes nothing and calls no provider.
Exit code 0: no problem; 1: a problem, each with the SQL, setting or command that mends it.

Examples:
  rowcall doctor
  rowcall doctor --json | jq '.[] | select(.state == \"problem\")'")]
pub struct DoctorArgs {
    /// Print an array of {check, state, found, mend}
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: DoctorArgs) -> anyhow::Result<ExitCode> {
    let findings = examine().await;
    if args.json {
        print(&format!("{}\n", serde_json::to_string_pretty(&findings)?))?;
    } else {
        print(&render(&findings))?;
    }
    let has_problem = findings.iter().any(|finding| finding.state == State::Problem);
    Ok(if has_problem { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn examine() -> Vec<Finding> {
    let mut findings = Vec::new();
    let config = match Config::read(&ProcessEnvironment) {
        Ok(config) => Some(config),
        Err(error) => {
            findings.push(Finding::problem("settings", chain(&error), "correct that variable in this environment"));
            None
        }
    };
    // A wrong setting elsewhere keeps nobody from looking at the database.
    if let Ok(database) = config::database(&ProcessEnvironment) {
        look_at(&database, config.as_ref(), &mut findings).await;
    }
    findings
}

async fn look_at(database: &Database, config: Option<&Config>, findings: &mut Vec<Finding>) {
    let mut client = match database.client().await {
        Ok(client) => client,
        Err(error) => {
            findings.push(unreachable(database, &error));
            return;
        }
    };
    findings.push(Finding::ok("connection", format!("{} at {}", database.name(), database.place())));
    findings.extend(doctor::server(&mut client).await);
    findings.push(doctor::clock(&client).await);
    findings.push(bell::pooler(database).await);
    if let Ok(listen) = config::listen(&ProcessEnvironment) {
        findings.push(bell::bell(&client, listen.as_ref().unwrap_or(database), listen.is_some()).await);
    }
    let names = queues::ALL.map(|statements| statements.queue);
    let (schema, can_go_on) = doctor::schema(&mut client, &names).await;
    findings.extend(schema);
    if can_go_on {
        findings.extend(doctor::database(&mut client, &names).await);
    }
    for service in config.map(services).unwrap_or_default() {
        let is_served = can_go_on && doctor::is_served(&client, service.statements.queue).await;
        findings.push(provider(&service, is_served));
    }
}

/// What keeps a queue's provider from being called from here; no problem where a live worker has what is missing.
fn provider(service: &Service, is_served: bool) -> Finding {
    let queue = service.statements.queue;
    let check = format!("provider of {queue}");
    match service.integration.examine() {
        Ok(()) => Finding::ok(check, "its settings are here"),
        Err(missing) if is_served => Finding::note(
            check,
            format!("{missing} A live worker elsewhere has its settings"),
            Some("nothing to do, unless a worker is to run in this environment".to_owned()),
        ),
        Err(missing) => Finding::problem(
            check,
            missing,
            format!("set what it names where the worker runs, or leave {queue} out of ROWCALL_QUEUES"),
        ),
    }
}

fn unreachable(database: &Database, error: &tokio_postgres::Error) -> Finding {
    let advice = tls::advice(error).map(str::to_owned);
    let mend = advice.unwrap_or_else(|| match error.code().map(tokio_postgres::error::SqlState::code) {
        Some("28P01" | "28000") => {
            "DATABASE_URL: the right user and password, and a line for it in pg_hba.conf".to_owned()
        }
        Some("3D000") => format!("create database \"{}\"; or name another in DATABASE_URL", database.name()),
        Some("53300") => "end sessions that are not needed, or raise max_connections".to_owned(),
        Some("57P03") => "wait until the server has started".to_owned(),
        _ => tls::advice(error)
            .unwrap_or("start the server, or correct host, port and sslmode in DATABASE_URL")
            .to_owned(),
    });
    let found = format!("{} at {} does not answer: {}", database.name(), database.place(), chain(error));
    Finding::problem("connection", found, mend)
}

fn render(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.check.chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for finding in findings {
        let (word, colour) = match finding.state {
            State::Ok => ("ok     ", Paint::Green),
            State::Note => ("note   ", Paint::Yellow),
            State::Problem => ("PROBLEM", Paint::Red),
        };
        let _ = writeln!(text, "{}  {:width$}  {}", paint(word, colour), finding.check, plain(&finding.found));
        if let Some(mend) = &finding.mend {
            let _ = writeln!(text, "{:9}{:width$}  mend: {}", "", "", plain(mend));
        }
    }
    let problems = findings.iter().filter(|finding| finding.state == State::Problem).count();
    let count = match problems {
        0 => "no problem".to_owned(),
        1 => "1 problem".to_owned(),
        more => format!("{more} problems"),
    };
    text + &count + "\n"
}
