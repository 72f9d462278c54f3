//! `rowcall bench drain`: how many rows a second go from due to settled.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use futures_util::future::BoxFuture;
use serde_json::json;

use super::Scratch;
use crate::integrations::{Integration, Limits};
use crate::job::Job;
use crate::outcome::Outcome;
use crate::store::queues::CODES;
use crate::worker::shutdown::Shutdown;
use crate::worker::{self, Service};

/// How much to drain.
#[derive(Debug, Args)]
pub struct DrainArgs {
    /// Rows that are due
    #[arg(long, default_value_t = 200_000)]
    rows: i64,
    /// Rows that a claim takes at most
    #[arg(long, default_value_t = 500)]
    batch: i32,
    /// Operations at a time
    #[arg(long, default_value_t = 2000)]
    slots: i32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// An operation that does nothing.
#[derive(Debug)]
struct Nothing;

impl Integration for Nothing {
    fn ready(&self) -> Result<(), String> {
        Ok(())
    }

    fn execute<'a>(&'a self, _job: &'a Job, _limits: &'a Limits) -> BoxFuture<'a, Outcome> {
        Box::pin(std::future::ready(Outcome::done(None)))
    }
}

#[expect(clippy::print_stdout, clippy::cast_precision_loss, reason = "this is what was asked for")]
pub(super) async fn run(scratch: &Scratch, args: DrainArgs) -> anyhow::Result<()> {
    let client = &scratch.client;
    client.batch_execute("set rowcall.quiet = 'on'").await?;
    client
        .execute(
            "insert into codes (code, status, metadata)
             select 'CODE-' || n, 'updating', jsonb_build_object(
                 'action', 'update', 'requested_at', now(), 'request_method', 'frontend', 'previous_status', 'active',
                 'discount_percent', 20, 'max_uses', 5, 'new_discount_percent', 30
             )
             from generate_series(1, $1::bigint) as n",
            &[&args.rows],
        )
        .await?;
    client
        .execute(
            "update rowcall.queues
             set cluster_slots = null, rate_per_second = null, slots = $1, batch = $2
             where queue = 'codes'",
            &[&args.slots, &args.batch],
        )
        .await?;
    client.batch_execute("vacuum analyze codes").await?;

    let shutdown = Shutdown::default();
    let services = vec![Service { statements: &CODES, integration: Arc::new(Nothing) }];
    let began = Instant::now();
    let worker = tokio::spawn(worker::run(scratch.settings(), services, shutdown.clone()));
    let due = "select exists (select from codes where status in ('creating', 'updating', 'deleting', 'renaming'))";
    while client.query_one(due, &[]).await?.get::<_, bool>(0) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let took = began.elapsed();
    shutdown.closing.cancel();
    worker.await??;

    let settled: i64 =
        client.query_one("select count(*) from rowcall.attempts where settled_as = 'done'", &[]).await?.get(0);
    anyhow::ensure!(settled == args.rows, "{settled} of {} rows were executed", args.rows);
    let rate = args.rows as f64 / took.as_secs_f64();
    if args.json {
        println!("{}", json!({ "rows": args.rows, "seconds": took.as_secs_f64(), "rows_per_second": rate.round() }));
    } else {
        println!("{} rows in {:.2} s: {rate:.0} rows/s", args.rows, took.as_secs_f64());
    }
    Ok(())
}
