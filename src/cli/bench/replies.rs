//! How fast replies go out at the rates that ship: the real worker and integration, against the sandbox's WhatsApp.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Scratch;
use crate::integrations::whatsapp::{ProviderName, Settings, WhatsApp, infobip, meta};
use crate::sandbox::whatsapp::{Fake, WhatsAppArgs};
use crate::store::queues::ACTIONS;
use crate::worker::shutdown::Shutdown;
use crate::worker::{self, Service};

/// How many replies.
#[derive(Debug, Args)]
pub struct RepliesArgs {
    /// Contacts with one approved action each
    #[arg(long, default_value_t = 1000)]
    contacts: i64,
    /// Approved actions of one more contact
    #[arg(long, default_value_t = 8)]
    of_one: i64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// When the fake accepted messages, seconds from the first.
struct Accepted {
    of_others: Vec<f64>,
    of_one: Vec<f64>,
}

#[expect(clippy::print_stdout, clippy::cast_precision_loss, reason = "this is what was asked for")]
pub(super) async fn run(scratch: &Scratch, args: RepliesArgs) -> anyhow::Result<()> {
    let client = &scratch.client;
    let state = std::env::temp_dir().join(format!("rowcall-bench-{}", std::process::id()));
    std::fs::create_dir_all(&state).context("make a folder for the fake's log")?;
    let fake = Fake::start(WhatsAppArgs::new(state.clone())).await?;
    fake.reports(Vec::new());
    client
        .execute(
            "with contact as (
                insert into contacts (phone, last_inbound_at)
                select '+16505' || lpad(n::text, 6, '0'), now() from generate_series(0, $1::bigint) as n
                returning id, phone
            )
            insert into actions (contact_id, action_type)
            select c.id, 'refund_request'
            from contact as c
            cross join lateral generate_series(1, case when c.phone = '+16505000000' then $2::bigint else 1 end)",
            &[&args.contacts, &args.of_one],
        )
        .await?;
    client.batch_execute("vacuum analyze actions, contacts, messages").await?;

    let shutdown = Shutdown::default();
    let services = vec![Service { statements: &ACTIONS, integration: Arc::new(WhatsApp::new(settings(&fake)?)) }];
    let worker = tokio::spawn(worker::run(scratch.settings(), services, shutdown.clone()));
    let began = Instant::now();
    client.batch_execute("update actions set status = 'approved'").await?;
    let due = "select exists (select from actions where reply_status = 'pending')";
    while client.query_one(due, &[]).await?.get::<_, bool>(0) {
        anyhow::ensure!(!worker.is_finished(), "the worker ended");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let took = began.elapsed().as_secs_f64();
    shutdown.closing.cancel();
    worker.await??;
    std::fs::remove_dir_all(&state).context("remove the fake's log")?;

    let accepted = accepted(&fake.log())?;
    let count = accepted.of_others.len() + accepted.of_one.len();
    anyhow::ensure!(i64::try_from(count)? == args.contacts + args.of_one, "{count} messages were accepted");
    let last = accepted.of_others.last().copied().unwrap_or_default();
    let rate = (accepted.of_others.len().saturating_sub(1)) as f64 / last;
    let waits: Vec<f64> = accepted.of_one.windows(2).map(|pair| pair[1] - pair[0]).collect();
    if args.json {
        println!(
            "{}",
            json!({ "replies": count, "seconds": took, "per_second": rate, "seconds_between_those_of_one": waits })
        );
    } else {
        println!("{} replies to {0} contacts in {last:.1} s: {rate:.1} a second", accepted.of_others.len());
        let waits: Vec<String> = waits.iter().map(|wait| format!("{wait:.1}")).collect();
        println!("{} replies to one more contact, seconds between them: {}", accepted.of_one.len(), waits.join(", "));
    }
    Ok(())
}

fn settings(fake: &Fake) -> anyhow::Result<Settings> {
    let args = WhatsAppArgs::new(std::path::PathBuf::new());
    Ok(Settings {
        provider: ProviderName::Meta,
        meta: meta::Settings {
            api_url: format!("{}/v25.0", fake.address()).parse().context("read the fake's address")?,
            phone_number_id: Some(args.phone_number_id),
            access_token: Some(SecretString::from(args.access_token)),
            app_secret: None,
            verify_token: None,
        },
        infobip: infobip::Settings { base_url: None, api_key: None, sender: None },
        agent: None,
    })
}

/// Reads the fake's log; each message may be there once only.
fn accepted(log: &[Value]) -> anyhow::Result<Accepted> {
    let mut seen = BTreeMap::new();
    for line in log {
        let at: Timestamp = line["at"].as_str().context("a line without a time")?.parse()?;
        let reference = line["reference"].as_str().context("a line without a reference")?;
        let phone = line["phone"].as_str().context("a line without a phone")?;
        let is_new = seen.insert(reference.to_owned(), (at, phone.ends_with("05000000"))).is_none();
        anyhow::ensure!(is_new, "{reference} was accepted twice");
    }
    let first = seen.values().map(|(at, _)| *at).min().context("nothing was accepted")?;
    let times = |of_one: bool| {
        let found = seen.values().filter(|(_, is_one)| *is_one == of_one);
        let mut times: Vec<f64> = found.map(|(at, _)| at.duration_since(first).as_secs_f64()).collect();
        times.sort_by(f64::total_cmp);
        times
    };
    Ok(Accepted { of_others: times(false), of_one: times(true) })
}
